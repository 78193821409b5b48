import pytest

from headstart.components.core.errors import HeadstartError
from headstart.components.download_dataset.labels import labels_of


@pytest.mark.parametrize(
    ("paths", "labels", "rule"),
    [
        (["cats/1.jpg", "dogs/1.jpg"], ["cats", "dogs"], "folders"),
        (["pets/cats/1.jpg", "pets/dogs/a/1.jpg"], ["cats", "a"], "folders"),
        (["train/cats/1.jpg", "test/dogs/1.jpg"], ["cats", "dogs"], "folders"),
        (["cats/img.1.jpg", "dogs/img.2.jpg"], ["cats", "dogs"], "folders"),
        (["train/cat.1.jpg", "train/dog.1.jpg"], ["cat", "dog"], "names"),
        (["train/cat.1.jpg", "validation/dog.2.jpg"], ["cat", "dog"], "names"),
        (["cat.1.jpg", "dog.1.jpg", "LICENSE"], ["cat", "dog", ""], "names"),
        (["cats/1.jpg", "dogs/1.jpg", "README.txt"], ["cats", "dogs", ""], "folders"),
    ],
)
def test_rule_and_labels(paths: list[str], labels: list[str], rule: str) -> None:
    assert labels_of(paths, "data") == (labels, rule)


@pytest.mark.parametrize("paths", [["cats/1.jpg", "cats/2.jpg"], ["cat.1.jpg", "cat.2.jpg"], ["1.jpg", "2.jpg"]])
def test_fewer_than_two_classes_are_refused(paths: list[str]) -> None:
    with pytest.raises(HeadstartError, match=r"data 'pets' shows (only one class, 'cats?'|no classes) in 2 files"):
        labels_of(paths, "pets")
