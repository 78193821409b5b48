import pytest

from headstart.components.core.sources import Entry
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.labels import infer_labels


@pytest.mark.parametrize(
    ("paths", "labels", "rule"),
    [
        (["cats/1.jpg", "dogs/1.jpg"], ["cats", "dogs"], "folders"),
        (["pets/cats/1.jpg", "pets/dogs/a/1.jpg"], ["cats", "dogs"], "folders"),
        (["train/cats/1.jpg", "test/dogs/1.jpg"], ["cats", "dogs"], "folders"),
        (["cats/img.1.jpg", "dogs/img.2.jpg"], ["cats", "dogs"], "folders"),
        (["train/cat.1.jpg", "train/dog.1.jpg"], ["cat", "dog"], "names"),
        (["train/cat.1.jpg", "validation/dog.2.jpg"], ["cat", "dog"], "names"),
        (["cat.1.jpg", "dog.1.jpg", "LICENSE"], ["cat", "dog", ""], "names"),
        (["cats/1.jpg", "dogs/1.jpg", "README.txt"], ["cats", "dogs", ""], "folders"),
        (["voc/bus/1.jpg", "voc/car/1.jpg", "voc/train/1.jpg"], ["bus", "car", "train"], "folders"),
        (["bus/1.jpg", "car/1.jpg", "train/1.jpg", "test/1.jpg"], ["bus", "car", "", ""], "folders"),
        (["bus/1.jpg", "car/1.jpg", "test/1.jpg"], ["bus", "car", ""], "folders"),
        (["train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg"], ["cat", "dog", ""], "folders"),
        (["train/cat.1.jpg", "train/dog.1.jpg", "test1/1.jpg"], ["cat", "dog", ""], "names"),
    ],
)
def test_rule_and_labels(paths: list[str], labels: list[str], rule: str) -> None:
    found = infer_labels([Entry(path) for path in paths], "data")
    assert (found.labels, found.rule) == (labels, rule)
    assert found.why.count("files") >= 1


@pytest.mark.parametrize("paths", [["cats/1.jpg", "cats/2.jpg"], ["cat.1.jpg", "cat.2.jpg"], ["1.jpg", "2.jpg"]])
def test_fewer_than_two_classes_are_refused(paths: list[str]) -> None:
    with pytest.raises(HeadstartError, match=r"data 'pets' shows (only one class, 'cats?'|no classes) in 2 files"):
        infer_labels([Entry(path) for path in paths], "pets")


def test_what_the_source_says_goes_before_its_paths_unless_another_rule_is_asked_for() -> None:
    entries = [Entry("a/cat.1.jpg", "tabby"), Entry("b/dog.1.jpg", "collie"), Entry("b/dog.2.jpg", "")]
    found = infer_labels(entries, "data")
    assert (found.labels, found.rule) == (["tabby", "collie", ""], "given")
    assert "files without one: 1" in found.why
    assert infer_labels(entries, "data", "folders").labels == ["a", "b", "b"]
    assert infer_labels(entries, "data", "names").labels == ["cat", "dog", "dog"]
    with pytest.raises(HeadstartError, match="unknown rule for labels 'guess'; known: auto, given, folders, names"):
        infer_labels(entries, "data", "guess")


@pytest.mark.parametrize(
    ("paths", "labels", "rule"),
    [
        (["cats/1.jpg", "cats/2.jpg"], ["cats", "cats"], "folders"),
        (["batch1/cat.1.jpg", "batch1/cat.2.jpg"], ["batch1", "batch1"], "folders"),
        (["cat.1.jpg", "cat.2.jpg"], ["cat", "cat"], "names"),
    ],
)
def test_one_of_several_sources_may_hold_one_class(paths: list[str], labels: list[str], rule: str) -> None:
    found = infer_labels([Entry(path) for path in paths], "data", min_classes=1)
    assert (found.labels, found.rule) == (labels, rule)


def test_one_of_several_sources_whose_folder_and_names_disagree_is_no_matter_of_guessing() -> None:
    entries = [Entry("batch1/cat.1.jpg"), Entry("batch1/dog.1.jpg")]
    message = "data 'b.zip': by its folder every file is of class 'batch1', by their names they are of cat, dog; pass"
    with pytest.raises(HeadstartError, match=message):
        infer_labels(entries, "b.zip", min_classes=1)
    assert infer_labels(entries, "b.zip", "names", min_classes=1).labels == ["cat", "dog"]
    assert infer_labels(entries, "b.zip", "folders", min_classes=1).labels == ["batch1", "batch1"]
    assert infer_labels(entries, "b.zip").rule == "names", "of one source a single class is none"


def test_ready_made_splits_are_recognised_where_there_are_several() -> None:
    paths = ["pets/Training/cats/1.jpg", "pets/val/dogs/1.jpg", "pets/test/dogs/2.jpg", "pets/dogs/3.jpg"]
    assert infer_labels([Entry(path) for path in paths], "data").splits == ["train", "validation", "test", ""]
    alone = infer_labels([Entry("train/cat.1.jpg"), Entry("train/dog.1.jpg")], "data")
    assert alone.splits == ["", ""]
    trains = ["train/bus/1.jpg", "train/car/1.jpg", "train/train/1.jpg"]
    paths = [*trains, *(path.replace("train", "test", 1) for path in trains)]
    found = infer_labels([Entry(path) for path in paths], "data")
    assert found.labels == ["bus", "car", "train"] * 2
    assert found.splits == ["train"] * 3 + ["test"] * 3
    assert "not for a split, as it lies beside others: train" in found.why
    given = [Entry("1.jpg", "cat", "train"), Entry("2.jpg", "dog", "dev"), Entry("3.jpg", "dog", "other")]
    assert infer_labels(given, "data").splits == ["train", "validation", ""]
