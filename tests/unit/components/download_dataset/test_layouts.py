"""Layouts of folders that people have, and what is a class in each."""

from collections import Counter

import pytest

from headstart.components.core.sources import Entry
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.labels import Labelling, infer_labels

Files = dict[str, int]
"""Number of images in each folder; a key with a `.` is a single file."""


def read(files: Files, rule: str = "auto", least: int = 2, level: int = 0) -> Labelling:
    paths = []
    for place, number in files.items():
        name = place.rpartition("/")[2]
        if "*" in name:
            paths += [place.replace("*", str(each)) for each in range(1, number + 1)]
        elif "." in name:
            paths.append(place)
        else:
            paths += [f"{place}/{each}.jpg".lstrip("/") for each in range(1, number + 1)]
    return infer_labels([Entry(path) for path in paths], "data", rule, least, level)


def count_classes(found: Labelling) -> dict[str, int]:
    return dict(Counter(filter(None, found.labels)))


CLEAR: dict[str, tuple[Files, dict[str, int], dict[str, int]]] = {
    "plain": ({"cats": 5, "dogs": 4}, {"cats": 5, "dogs": 4}, {}),
    "one wrapping folder": ({"pets/cats": 5, "pets/dogs": 4}, {"cats": 5, "dogs": 4}, {}),
    "two wrapping folders": ({"a/b/cats": 5, "a/b/dogs": 4}, {"cats": 5, "dogs": 4}, {}),
    "flower_photos": (
        {"flower_photos/daisy": 5, "flower_photos/tulips": 4, "flower_photos/LICENSE.txt": 1},
        {"daisy": 5, "tulips": 4},
        {},
    ),
    "EuroSAT": ({"2750/Forest": 5, "2750/River": 4}, {"Forest": 5, "River": 4}, {}),
    "Food-101": (
        {
            "food-101/images/pizza": 5,
            "food-101/images/sushi": 4,
            "food-101/meta/classes.txt": 1,
            "food-101/meta/train.json": 1,
        },
        {"pizza": 5, "sushi": 4},
        {},
    ),
    "Caltech 101": (
        {
            "caltech-101/101_ObjectCategories/ant": 5,
            "caltech-101/101_ObjectCategories/BACKGROUND_Google": 4,
            "caltech-101/Annotations/ant/1.mat": 1,
        },
        {"ant": 5, "BACKGROUND_Google": 4},
        {},
    ),
    "Stanford Dogs": (
        {
            "Images/n02085620-Chihuahua": 5,
            "Images/n02085782-Japanese_spaniel": 4,
            "Annotation/n02085620-Chihuahua/n02085620_*": 5,
        },
        {"n02085620-Chihuahua": 5, "n02085782-Japanese_spaniel": 4},
        {},
    ),
    "PetImages": (
        {"PetImages/Cat": 5, "PetImages/Dog": 4, "PetImages/Cat/Thumbs.db": 1, "readme[1].txt": 1},
        {"Cat": 6, "Dog": 4},
        {},
    ),
    "CIFAR folders": (
        {
            "cifar/train/airplane": 5,
            "cifar/train/bird": 4,
            "cifar/test/airplane": 3,
            "cifar/test/bird": 2,
            "cifar/labels.txt": 1,
        },
        {"airplane": 8, "bird": 6},
        {"train": 9, "test": 5},
    ),
    "splits above classes": (
        {"train/cat": 5, "train/dog": 4, "val/cat": 3, "val/dog": 3, "test/cat": 2, "test/dog": 2},
        {"cat": 10, "dog": 9},
        {"train": 9, "validation": 6, "test": 4},
    ),
    "a split that lacks a class": (
        {"train/cat": 5, "train/dog": 4, "test/cat": 3},
        {"cat": 8, "dog": 4},
        {"train": 9, "test": 3},
    ),
    "tiny-imagenet": (
        {
            "t/train/n01/images": 5,
            "t/train/n02/images": 4,
            "t/train/n01/n01_boxes.txt": 1,
            "t/val/images": 6,
            "t/val/val_annotations.txt": 1,
            "t/test/images": 7,
            "t/wnids.txt": 1,
        },
        {"n01": 6, "n02": 4},
        {},
    ),
    "Intel": (
        {
            "seg_train/seg_train/sea": 5,
            "seg_train/seg_train/forest": 4,
            "seg_test/seg_test/sea": 3,
            "seg_test/seg_test/forest": 2,
            "seg_pred/seg_pred": 9,
        },
        {"sea": 8, "forest": 6},
        {"train": 9, "test": 5},
    ),
    "chest_xray, nested once more": (
        {
            "chest_xray/train/NORMAL": 5,
            "chest_xray/train/PNEUMONIA": 4,
            "chest_xray/test/NORMAL": 3,
            "chest_xray/test/PNEUMONIA": 2,
            "chest_xray/chest_xray/train/NORMAL": 5,
            "chest_xray/chest_xray/train/PNEUMONIA": 4,
            "chest_xray/chest_xray/test/NORMAL": 3,
            "chest_xray/chest_xray/test/PNEUMONIA": 2,
        },
        {"NORMAL": 16, "PNEUMONIA": 12},
        {"train": 18, "test": 10},
    ),
    "training_set/training_set": (
        {
            "training_set/training_set/cats": 5,
            "training_set/training_set/dogs": 4,
            "test_set/test_set/cats": 3,
            "test_set/test_set/dogs": 2,
        },
        {"cats": 8, "dogs": 6},
        {"train": 9, "test": 5},
    ),
    "train2017": (
        {"train2017/cat": 5, "train2017/dog": 4, "val2017/cat": 3, "val2017/dog": 2, "annotations/instances.json": 1},
        {"cat": 8, "dog": 6},
        {"train": 9, "validation": 5},
    ),
    "images and masks by class": (
        {"images/cat": 5, "images/dog": 4, "masks/cat": 5, "masks/dog": 4},
        {"cat": 5, "dog": 4},
        {},
    ),
    "class, then session": ({"cats/monday": 5, "cats/tuesday": 4, "dogs/monday": 3}, {"cats": 9, "dogs": 3}, {}),
    "class, then date": (
        {"cats/2024-05-01": 5, "cats/2024-05-02": 4, "dogs/2024-05-01": 3},
        {"cats": 9, "dogs": 3},
        {},
    ),
    "class, then patient": (
        {"normal/p001": 5, "normal/p002": 4, "tumor/p003": 3, "tumor/p004": 3},
        {"normal": 9, "tumor": 6},
        {},
    ),
    "class, then one folder each": ({"cats/a": 5, "dogs/b": 4}, {"cats": 5, "dogs": 4}, {}),
    "class, then images": ({"cats/images": 5, "dogs/images": 4}, {"cats": 5, "dogs": 4}, {}),
    "folders in some classes": (
        {"cats": 5, "cats/kittens": 2, "dogs": 4, "dogs/puppies": 3},
        {"cats": 7, "dogs": 7},
        {},
    ),
    "date, then class": (
        {"2024-05-01/cats": 5, "2024-05-01/dogs": 4, "2024-05-02/cats": 3},
        {"cats": 8, "dogs": 4},
        {},
    ),
    "year and month, then class": (
        {"2021/06/cats": 5, "2021/07/dogs": 4, "2022/06/cats": 3},
        {"cats": 8, "dogs": 4},
        {},
    ),
    "the same once more in a folder": (
        {"yes": 5, "no": 4, "brain_tumor_dataset/yes": 5, "brain_tumor_dataset/no": 4},
        {"yes": 10, "no": 8},
        {},
    ),
    "the same once more in a folder of its name": (
        {"pv/PlantVillage/a": 5, "pv/PlantVillage/b": 4, "pv/a": 5, "pv/b": 4},
        {"a": 10, "b": 8},
        {},
    ),
    "masks within each class": (
        {"cats/images": 5, "cats/masks": 5, "dogs/images": 4, "dogs/masks": 4},
        {"cats": 5, "dogs": 4},
        {},
    ),
    "annotations beside the images of each class": (
        {"cats": 5, "cats/annotations": 5, "dogs": 4, "dogs/annotations": 4},
        {"cats": 5, "dogs": 4},
        {},
    ),
    "splits in a folder train": (
        {"train/train/cat": 5, "train/train/dog": 4, "train/test/cat": 3},
        {"cat": 8, "dog": 4},
        {"train": 9, "test": 3},
    ),
    "ImageNet": (
        {
            "ILSVRC/Data/CLS-LOC/train/n01": 5,
            "ILSVRC/Data/CLS-LOC/train/n02": 4,
            "ILSVRC/Data/CLS-LOC/val": 9,
            "ILSVRC/Data/CLS-LOC/test": 9,
            "ILSVRC/Annotations/CLS-LOC/train/n01/*.xml": 5,
            "ILSVRC/ImageSets/CLS-LOC/train_cls.txt": 1,
        },
        {"n01": 5, "n02": 4},
        {},
    ),
    "CUB-200-2011": (
        {
            "CUB/images/001.Black_footed_Albatross/*.jpg": 5,
            "CUB/images/002.Laysan_Albatross/*.jpg": 4,
            "CUB/segmentations/001.Black_footed_Albatross/*.png": 5,
            "CUB/parts/parts.txt": 1,
        },
        {"001.Black_footed_Albatross": 5, "002.Laysan_Albatross": 4},
        {},
    ),
    "STL-10": (
        {"train_images/1": 5, "train_images/2": 4, "test_images/1": 3, "test_images/2": 2, "unlabeled": 9},
        {"1": 8, "2": 6},
        {"train": 9, "test": 5},
    ),
    "batch, then class": ({"batch_1/cats": 5, "batch_1/dogs": 4, "batch_2/dogs": 3}, {"cats": 5, "dogs": 7}, {}),
    "split, then class, then session": (
        {"train/cats/mon": 5, "train/cats/tue": 4, "train/dogs/mon": 3, "test/cats/mon": 2, "test/dogs/mon": 2},
        {"cats": 11, "dogs": 5},
        {"train": 12, "test": 4},
    ),
    "class, then split": (
        {"cat/train": 5, "cat/test": 4, "dog/train": 3, "dog/test": 2},
        {"cat": 9, "dog": 5},
        {"train": 8, "test": 6},
    ),
    "class, then split in a wrapping folder": (
        {"pets/cat/training": 5, "pets/cat/validation": 4, "pets/dog/training": 3},
        {"cat": 9, "dog": 3},
        {"train": 8, "validation": 4},
    ),
    "unlabelled test": ({"train/cat": 5, "train/dog": 4, "test": 9}, {"cat": 5, "dog": 4}, {}),
    "unlabelled test in a folder": ({"train/cat": 5, "train/dog": 4, "test/unknown": 9}, {"cat": 5, "dog": 4}, {}),
    "unlabelled test beside two splits": (
        {"train/cat": 5, "train/dog": 4, "valid/cat": 3, "valid/dog": 2, "test": 9},
        {"cat": 8, "dog": 6},
        {"train": 9, "validation": 5},
    ),
    "examples beside splits": ({"train/cat": 5, "train/dog": 4, "examples": 3}, {"cat": 5, "dog": 4}, {}),
    "classes valid and invalid": ({"valid": 5, "invalid": 4}, {"valid": 5, "invalid": 4}, {}),
    "classes valid, invalid and unsure": (
        {"valid": 5, "invalid": 4, "unsure": 3},
        {"valid": 5, "invalid": 4, "unsure": 3},
        {},
    ),
    "classes test and control": ({"test": 5, "control": 4}, {"test": 5, "control": 4}, {}),
    "classes dev and prod": ({"dev": 5, "prod": 4}, {"dev": 5, "prod": 4}, {}),
    "classes train and plane": ({"train": 5, "plane": 4}, {"train": 5, "plane": 4}, {}),
    "a class train among others": ({"bus": 5, "car": 4, "train": 3}, {"bus": 5, "car": 4, "train": 3}, {}),
    "a class train in splits": (
        {"train/bus": 5, "train/train": 4, "test/bus": 3, "test/train": 2},
        {"bus": 8, "train": 6},
        {"train": 9, "test": 5},
    ),
    "classes valid and invalid in splits": (
        {"train/valid": 5, "train/invalid": 4, "test/valid": 3, "test/invalid": 2},
        {"valid": 8, "invalid": 6},
        {"train": 9, "test": 5},
    ),
    "classes valid and invalid, then session": (
        {"valid/monday": 5, "invalid/monday": 4, "invalid/friday": 3},
        {"valid": 5, "invalid": 7},
        {},
    ),
    "digits": ({"0": 5, "1": 4, "2": 3}, {"0": 5, "1": 4, "2": 3}, {}),
    "day and night": ({"day": 5, "night": 4}, {"day": 5, "night": 4}, {}),
    "words that begin like a split": (
        {"test_strip": 5, "train_station": 4, "valid_ticket": 3},
        {"test_strip": 5, "train_station": 4, "valid_ticket": 3},
        {},
    ),
    "images without an ending": ({"cats/pic*": 5, "dogs/pic*": 4}, {"cats": 5, "dogs": 4}, {}),
    "Kaggle's names": ({"train/cat.*.jpg": 5, "train/dog.*.jpg": 4}, {"cat": 5, "dog": 4}, {}),
    "Kaggle's names beside a test folder": (
        {"train/cat.*.jpg": 5, "train/dog.*.jpg": 4, "test1": 9},
        {"cat": 5, "dog": 4},
        {},
    ),
}


@pytest.mark.parametrize(("files", "classes", "splits"), CLEAR.values(), ids=CLEAR.keys())
def test_layouts_that_are_clear(files: Files, classes: dict[str, int], splits: dict[str, int]) -> None:
    found = read(files)
    assert count_classes(found) == classes
    assert dict(Counter(filter(None, found.splits))) == splits


AMBIGUOUS: dict[str, tuple[Files, list[str]]] = {
    "date, and nothing else": (
        {"2024-05-01": 5, "2024-05-02": 4},
        ["--class-level 1 takes 2 classes: 2024-05-01 (5)"],
    ),
    "breeds below species": (
        {"cats/tabby": 5, "cats/siamese": 4, "dogs/pug": 3, "dogs/boxer": 2},
        ["--class-level 1 takes 2 classes: cats (9), dogs (5)", "--class-level 2 takes 4 classes"],
    ),
    "two levels of classes, crossed": (
        {"a/red": 5, "a/blue": 4, "b/red": 3, "b/blue": 2},
        ["--class-level 1 takes 2 classes: a (9), b (5)", "--class-level 2 takes 2 classes: blue (6), red (8)"],
    ),
    "PlantVillage": (
        {"pv/color/apple": 5, "pv/color/corn": 4, "pv/grayscale/apple": 5, "pv/segmented/corn": 4},
        ["variants", "--class-level 2 takes 3 classes", "--class-level 3 takes 2 classes: apple (10)"],
    ),
    "a test folder beside classes": (
        {"bus": 5, "car": 4, "test": 9},
        [
            "--class-level 1 takes 3 classes: bus (5), car (4), test (9)",
            "--labels folders takes 2 classes: bus (5), car (4)",
        ],
    ),
    "examples beside classes": (
        {"cats": 5, "dogs": 4, "examples": 2},
        ["examples", "--labels folders takes 2 classes"],
    ),
    "masks beside images": ({"scans": 5, "masks": 5}, ["masks may be no class", "--class-level 1"]),
    "a class beside train": (
        {"train/cat": 5, "train/dog": 4, "horse": 3},
        [
            "--class-level 1 takes 2 classes: horse (3), train (9)",
            "--labels folders takes 2 classes: cat (5), dog (4)",
        ],
    ),
    "train and extra with the same folders": (
        {"train/cat": 5, "train/dog": 4, "extra/cat": 3, "extra/dog": 3},
        [
            "--class-level 1 takes 2 classes: extra (6), train (9)",
            "--class-level 2 takes 2 classes: cat (8), dog (7)",
        ],
    ),
    "other folders in test": (
        {"train/cat": 5, "train/dog": 4, "test/a": 3, "test/b": 3},
        ["--class-level 2 takes 4 classes", "--labels folders takes 2 classes: cat (5), dog (4)"],
    ),
    "a copy in a folder data": (
        {
            "natural_images/cat": 5,
            "natural_images/dog": 4,
            "data/natural_images/cat": 5,
            "data/natural_images/dog": 4,
        },
        ["data may be no class", "--class-level 1", "--class-level 2"],
    ),
    "Kaggle's single_prediction": (
        {
            "training_set/cats": 5,
            "training_set/dogs": 4,
            "test_set/cats": 3,
            "test_set/dogs": 2,
            "single_prediction": 2,
        },
        ["single_prediction beside them is none of these classes", "--labels folders takes 2 classes: cats (8)"],
    ),
    "Fruits-360": (
        {"Training/Apple": 5, "Training/Fig": 4, "Test/Apple": 3, "Test/Fig": 2, "test-multiple_images": 3},
        ["test-multiple_images", "--labels folders takes 2 classes: Apple (8), Fig (6)"],
    ),
    "horse-or-human": (
        {"hoh/horses": 5, "hoh/humans": 4, "validation-hoh/horses": 3, "validation-hoh/humans": 2},
        ["--class-level 1 takes 2 classes: hoh (9)", "--class-level 2 takes 2 classes: horses (8), humans (6)"],
    ),
    "days that hold the same single class": (
        {"monday/cat": 5, "tuesday/cat": 4},
        ["named as sessions", "--class-level 1 takes 2 classes"],
    ),
    "breeds in a folder of one name": (
        {"cats/all/tabby": 5, "cats/all/siamese": 4, "dogs/all/pug": 3, "dogs/all/boxer": 2},
        ["--class-level 1 takes 2 classes: cats (9), dogs (5)", "--class-level 3 takes 4 classes"],
    ),
    "splits without classes": ({"train": 5, "test": 4}, ["no classes", "--class-level 1 takes 2 classes"]),
    "a list beside": ({"train_images": 5, "test_images": 4, "train.csv": 1}, ["train.csv may list the classes"]),
    "a list beside numbered folders": (
        {"images_001/images": 5, "images_002/images": 4, "Data_Entry.csv": 1},
        ["Data_Entry.csv may list the classes"],
    ),
    "Oxford pets": (
        {
            "images/Abyssinian_*.jpg": 5,
            "images/great_pyrenees_*.jpg": 4,
            "annotations/trimaps/Abyssinian_*.png": 5,
            "annotations/list.txt": 1,
        },
        ["--labels names takes 2 classes: Abyssinian (5), great_pyrenees (4)"],
    ),
    "Kaggle's names, and a second folder": (
        {"train/cat.*.jpg": 5, "train/dog.*.jpg": 4, "more/cat.*.jpg": 3},
        ["pass labels 'folders' or 'names'"],
    ),
    "one class": ({"cats": 5}, ["only one class, 'cats' in 5 files"]),
}


@pytest.mark.parametrize(("files", "words"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_layouts_that_are_ambiguous(files: Files, words: list[str]) -> None:
    with pytest.raises(HeadstartError) as refused:
        read(files)
    for text in words:
        assert text in str(refused.value)


def test_each_interpretation_can_be_selected() -> None:
    breeds = {"cats/tabby": 5, "cats/siamese": 4, "dogs/pug": 3}
    assert count_classes(read(breeds, level=1)) == {"cats": 9, "dogs": 3}
    assert count_classes(read(breeds, level=2)) == {"tabby": 5, "siamese": 4, "pug": 3}
    beside = {"bus": 5, "car": 4, "test": 9}
    assert count_classes(read(beside, level=1)) == {"bus": 5, "car": 4, "test": 9}
    without = read(beside, rule="folders")
    assert count_classes(without) == {"bus": 5, "car": 4}
    assert sum(map(bool, without.left_out)) == 9
    horse = {"train/cat": 5, "train/dog": 4, "horse": 3}
    assert count_classes(read(horse, rule="folders")) == {"cat": 5, "dog": 4}


def test_a_named_level_keeps_the_splits_above_and_below() -> None:
    above = read({"train/cat": 5, "train/dog": 4, "test/cat": 3, "test/dog": 2}, level=2)
    assert Counter(above.splits) == {"train": 9, "test": 5}
    below = read({"cat/train": 5, "cat/test": 4, "dog/train": 3}, level=1)
    assert Counter(below.splits) == {"train": 8, "test": 4}


def test_left_out_files_have_a_reason_each_and_a_sentence() -> None:
    found = read({"train/cat": 5, "train/dog": 4, "test": 9})
    assert sum(map(bool, found.left_out)) == 9
    assert "left out: test (9 files), it has no class folders" in found.why
    kaggle = read({"train/cat.*.jpg": 5, "train/dog.*.jpg": 4, "test1": 9})
    assert sum(map(bool, kaggle.left_out)) == 9


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(HeadstartError, match="class_level -1: give 1 for the topmost folder"):
        read({"cats": 2, "dogs": 2}, level=-1)
    with pytest.raises(HeadstartError, match="class_level 1 is for classes by folders"):
        read({"cats": 2, "dogs": 2}, rule="names", level=1)
    with pytest.raises(HeadstartError, match="no classes in 4 files by class_level=3"):
        read({"cats": 2, "dogs": 2}, level=3)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Abyssinian_12.jpg", "Abyssinian"),
        ("american_bulldog_10.jpg", "american_bulldog"),
        ("dog012.jpg", "dog"),
        ("cat.1.jpg", "cat"),
        ("cat (7).jpg", "cat"),
        ("cat-3.png", "cat"),
        ("n02085620_10074.JPEG", "n02085620"),
        ("12.jpg", ""),
    ],
)
def test_classes_of_numbered_names_on_request(name: str, label: str) -> None:
    assert infer_labels([Entry(name), Entry("x_1.jpg"), Entry("y_1.jpg")], "data", "names").labels[0] == label


def test_folders_of_any_depth_are_read() -> None:
    deep = "/".join("a" * 20000)
    found = infer_labels([Entry("cats/1.jpg"), Entry("dogs/1.jpg"), Entry(f"{deep}/1.jpg")], "data")
    assert found.labels == ["cats", "dogs", ""]
