from pathlib import Path

import pytest

from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.local.backbone_choice import draw_part


def test_a_part_is_of_the_training_images_and_has_the_classes_in_proportion(
    splits: dict[str, Path], tmp_path: Path
) -> None:
    parts = draw_part(splits["train"], 0.75, 0, tmp_path)
    infos = [read_dataset_info(part) for part in parts]
    assert [info.images for info in infos] == [48, 12]
    assert [len(set(info.counts)) for info in infos] == [1, 1]
    drawn = [image for part in parts for image in read_columns(part, ["id"])["id"].to_pylist()]
    assert len(set(drawn)) == 60
    assert set(drawn) <= set(read_columns(splits["train"], ["id"])["id"].to_pylist())


def test_a_part_that_is_too_small_to_rank_is_refused(splits: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"budget suffices for 40 images with each .* ranking takes 50"):
        draw_part(splits["train"], 0.5, 0, tmp_path)
