"""What a command needs is checked before any image is read."""

import zipfile
from pathlib import Path

import pytest

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.local.requirements import check_before_reading


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Files of two classes that no decoder would take."""
    for name in (*(f"cats/{number}.jpg" for number in range(9)), *(f"dogs/{number}.jpg" for number in range(5))):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "pets"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"counts": [4, 2, 2]}, "class 'dogs' has 5 files, and counts 4,2,2 ask for 8; ask for fewer"),
        ({"class_counts": {"cats": [9, 1, 1], "dogs": [1, 1, 1]}}, "class 'cats' has 9 files, and counts 9,1,1 ask"),
        ({"class_counts": {"cats": [1, 1, 1], "wolves": [1, 1, 1]}}, "unknown class in counts 'wolves'; known: cats"),
        ({"class_counts": {"cats": [1, 1, 1]}}, "counts name no class 'dogs'"),
    ],
)
def test_counts_that_the_files_cannot_meet_are_refused(given: dict[str, object], message: str, pets: Path) -> None:
    with zipfile.ZipFile(pets.with_suffix(".zip"), "w") as archive:
        for path in pets.rglob("*.jpg"):
            archive.write(path, path.relative_to(pets))
    for data in (str(pets), f"file://{pets}", str(pets.with_suffix(".zip"))):
        with pytest.raises(HeadstartError, match=message):
            check_before_reading(Parameters(data=[data], **given), [])


@pytest.mark.parametrize(
    "given",
    [
        {"counts": [3, 1, 1]},
        {},
        # Classes may change, or be left out, as images are read.
        {"counts": [4, 2, 2], "corrections": "corrections.csv"},
        {"counts": [4, 2, 2], "tiny_classes": "leave_out"},
        # The run itself says what is wrong with its data.
        {"counts": [4, 2, 2], "labels": "names"},
    ],
)
def test_nothing_else_is_refused(given: dict[str, object], pets: Path) -> None:
    check_before_reading(Parameters(data=[str(pets)], **given), [])
