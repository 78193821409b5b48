"""Files are kept as they came, of each form, and a published model is asked of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import HEAD_RECIPE, SPLIT_SETTINGS
from PIL import Image
from support.forms import GRAY, PALETTE, RGB, forms, png
from support.fuzzed import draw_image

from headstart.components.core.artifacts.evaluation import read_metrics, temperature_of
from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.artifacts.originals import ORIGINALS, read_originals
from headstart.components.core.artifacts.predictions import PREDICTIONS, read_predictions
from headstart.components.core.images.file_forms import file_form
from headstart.components.core.networks.saving import load_model
from headstart.components.core.registry.export_formats import SAVED_MODEL
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.step import download_dataset
from headstart.components.evaluate_model.step import EvaluationInputs, evaluate_model
from headstart.components.publish_model.parity import (
    ServedPredictions,
    check_file_forms,
    draw_sample,
    read_original_pixels,
    run_saved_model,
)
from headstart.components.publish_model.step import TOLERANCE, PublicationInputs, build_version
from headstart.components.split_dataset.step import split_dataset
from headstart.components.train_head.step import train_head


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("JPEG RGB", "JPEG colour"),
        ("JPEG L progressive", "JPEG gray progressive"),
        ("JPEG arithmetic", "JPEG colour arithmetic"),
        ("JPEG orientation 6 <", "JPEG colour EXIF"),
        ("PNG palette 2 transparent interlaced", "PNG palette 2 interlaced transparent"),
        ("PNG RGBA 16", "PNG RGBA 16"),
        ("GIF 16 transparent", "GIF transparent"),
        ("GIF whose frame is a part of the canvas", "GIF part of the canvas"),
        ("BMP 8, run lengths", "BMP 8 run lengths"),
        ("BMP 24, header of 12", "BMP 24"),
        ("WebP animated transparent", "WebP animated transparent"),
        ("WebP lossless", "WebP lossless"),
    ],
)
def test_form_is_named(name: str, form: str) -> None:
    assert file_form(forms()[name](draw_image())) == form


def test_cut_files_have_some_form() -> None:
    """Only files that a decoder has read are asked about; none may raise all the same."""
    for encode in forms().values():
        content = encode(draw_image())
        for kept in (0, 1, 3, 11, 17, 29, 33, 34, 35, 60, 800):
            assert file_form(content[:kept])


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of a run on images of which some have other forms than most."""
    root = tmp_path_factory.mktemp("run")
    shutil.copytree(pictures, root / "data")
    cats = sorted((root / "data").glob("cat.*.jpg"))[:6]
    for path, kind in zip(cats, ("tiff", "palette", "palette", "palette", "deep", "runs"), strict=True):
        image = Image.open(path).convert("RGB")
        path.unlink()
        match kind:
            case "tiff":
                image.save(path.with_suffix(".tif"))
            case "palette":
                path.with_suffix(".png").write_bytes(png(image, PALETTE, 4))
            case "deep":
                path.with_suffix(".png").write_bytes(png(image, GRAY, 16, bits=12))
            case "runs":
                path.with_suffix(".bmp").write_bytes(forms()["BMP 8, run lengths"](image))
    download_dataset([str(root / "data")], root / "dataset", root / "hygiene.html")
    splits = {name: root / name for name in ("train", "validation", "test")}
    split_dataset(root / "dataset", **splits, settings=SPLIT_SETTINGS)
    train_head(TrainingInputs(splits["train"], splits["validation"], HEAD_RECIPE, seed=0), root / "model")
    evaluate_model(
        EvaluationInputs(root / "model", splits["test"], splits["validation"]),
        root / "evaluation",
        root / "report.html",
    )
    build_version(PublicationInputs(root / "model", root / "evaluation", splits["test"]), root / "version")
    return root


@pytest.mark.slow
def test_two_files_of_each_form_go_along_with_the_test_set(run: Path) -> None:
    kept: dict[str, list[int]] = {}
    for each in read_originals(run / "test"):
        kept.setdefault(each.form, []).append(each.files)
        assert (run / "data" / each.path).read_bytes() == each.content
    assert kept["TIFF"] == [1] and kept["PNG palette 4"] == [3, 3] and kept["PNG gray 16"] == [1]
    assert not (run / "train" / ORIGINALS).exists()


@pytest.mark.slow
def test_card_says_which_forms_the_saved_model_does_not_read(run: Path) -> None:
    card = json.loads((run / "version" / "model_card.json").read_text())
    found = card["parity"]["forms"]
    assert {form for form, each in found.items() if not each["read"]} == {"TIFF", "BMP 8 run lengths"}
    assert found["PNG palette 4"] == found["PNG palette 4"] | {"files": 3, "asked": 2, "read": 2}
    assert max(each["largest_difference"] for each in found.values()) < 1e-4
    text = (run / "version" / "model_card.md").read_text()
    assert "the SavedModel does not read: BMP 8 run lengths (1), TIFF (1)." in text
    assert not list((run / "version").rglob(ORIGINALS)), "no images of the user"


@pytest.mark.slow
def test_model_that_reads_a_form_otherwise_is_not_published(run: Path) -> None:
    info = read_model_info(run / "model")
    assert info.ranges is not None and info.ranges["PNG gray uint16"] == (0, 4095)
    info.ranges["PNG gray uint16"] = (0, 65535)
    temperature = temperature_of(read_metrics(run / "evaluation"))
    sample = draw_sample(run / "test", read_predictions(run / "evaluation" / PREDICTIONS), temperature, most=1)
    originals = read_original_pixels(run / "test", info)
    _, served = run_saved_model(run / "version" / SAVED_MODEL, sample, originals)
    with pytest.raises(HeadstartError, match=r"nothing is published: .* for cat.*png \(PNG gray 16\) where"):
        check_file_forms(originals, served, load_model(run / "model"), info.classes, temperature, 0.0005)


@pytest.mark.slow
def test_dataset_without_originals_is_compared_by_its_stored_images_alone(run: Path, tmp_path: Path) -> None:
    info = read_model_info(run / "model")
    originals = read_original_pixels(tmp_path, info)
    nothing = ServedPredictions(np.empty(0, object), np.empty((0, 2)))
    assert check_file_forms(originals, nothing, load_model(run / "model"), info.classes, 1.0, TOLERANCE) == {}


def test_damaged_originals_are_one_line(tmp_path: Path) -> None:
    (tmp_path / ORIGINALS).write_bytes(b"PAR1 no more")
    with pytest.raises(HeadstartError, match=r"originals\.table is damaged"):
        read_originals(tmp_path)


def test_rgb_needs_no_form_of_its_own() -> None:
    assert file_form(png(draw_image(), RGB, 8)) == "PNG RGB 8"
