import io
from pathlib import Path

import numpy as np
from PIL import Image
from support.drawn_images import PER_CLASS
from typer.testing import CliRunner

from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.checked_image import CheckedImage, check_image
from headstart.pipelines.cli.main import app
from headstart.pipelines.sample.folder import draw_sample


def test_same_seed_draws_the_same_and_a_larger_sample_extends_a_smaller_one(pictures: Path, tmp_path: Path) -> None:
    draw_sample(tmp_path, 5, seed=1)
    for name in ("cat", "dog"):
        for number in range(1, 6):
            assert (tmp_path / f"{name}.{number}.jpg").read_bytes() == (
                pictures / f"{name}.{number}.jpg"
            ).read_bytes()


def test_nothing_but_the_drawing_gives_the_class_away(pictures: Path) -> None:
    """Sizes, bytes and mean colours, as far apart as two halves of one class may be."""
    features = {}
    for name in ("cat", "dog"):
        rows = []
        for number in range(1, PER_CLASS + 1):
            content = (pictures / f"{name}.{number}.jpg").read_bytes()
            assert isinstance(check_image(content, 512), CheckedImage)
            image = Image.open(io.BytesIO(content))
            corner = np.asarray(image.crop((0, 0, 8, 8)), float).mean()
            rows.append([image.width, image.height, len(content), np.asarray(image, float).mean(), corner])
        features[name] = np.array(rows)
    both = np.concatenate(list(features.values()))
    distance = np.abs(features["cat"].mean(axis=0) - features["dog"].mean(axis=0)) / both.std(axis=0)
    # Two means of 60 draws from one distribution differ by 0.55 standard deviations once in 400 times.
    assert (distance < 0.55).all(), distance


def test_what_cannot_be_drawn_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(app, ["sample", str(tmp_path / "file")])
    assert isinstance(done.exception, HeadstartError)
    assert str(done.exception).endswith("file' cannot be written (File exists); name another folder")
    done = CliRunner().invoke(app, ["sample", str(tmp_path / "s"), "--seed", "-1"])
    assert done.exit_code == 2 and "--seed" in done.output
