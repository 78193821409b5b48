"""Words in the names of folders: splits, holders, sessions, and whatever else is no class."""

import re
from functools import lru_cache

from headstart.components.core.sources.file_names import SPLIT_NAMES

_WORDS = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Words beside that of a split that mean nothing more: train_images, test_set, seg_train, val2017.
_FILLER_WORDS = {
    *(
        "image",
        "images",
        "img",
        "imgs",
        "pic",
        "pics",
        "picture",
        "pictures",
        "photo",
        "photos",
        "jpg",
        "jpeg",
        "png",
    ),
    *("set", "data", "dataset", "split", "seg", "folder", "dir", "files", "original", "resized", "full"),
}
_HOLDERS = {
    *("image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photo", "photos", "jpg", "jpeg"),
    *("jpegimages", "png", "data", "dataset", "files", "all", "rgbimages", "alldata", "allimages"),
}
_BESIDE_IMAGES = {
    *("annotation", "annotations", "trimap", "trimaps", "masks", "xml", "xmls", "meta", "metadata", "bbox", "bboxes"),
    *("boundingboxes", "segmentation", "segmentations", "segmentationclass", "segmentationobject", "imagesets"),
    *("groundtruth", "gt", "saliency", "labels", "labelmaps", "maskimages", "imagemasks", "segmentationmasks"),
}
_SAMPLES = {
    *("example", "examples", "sample", "samples", "sampleimages", "exampleimages", "demo", "demos", "preview"),
    *("previews", "thumbnails", "thumbs", "unlabeled", "unlabelled", "pred", "preds", "prediction", "predictions"),
    *("predict", "topredict", "segpred", "submission", "unsup", "unsupervised"),
}
_VARIANTS = {
    *("color", "colour", "gray", "grey", "grayscale", "greyscale", "segmented", "original", "originals", "augmented"),
    *("raw", "cropped", "resized", "withaugmentation", "withoutaugmentation", "processed", "preprocessed"),
}
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|wed|thu|fri|sat|sun"
_MONTH = (
    "january|february|march|april|may|june|july|august|september|october|november|december|"
    "jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec"
)
_OCCASION = (
    "session|batch|fold|part|chunk|run|camera|cam|seq|sequence|video|clip|take|burst|day|week|month|year|visit|"
    "patient|subject|participant|volume|vol|disc|disk|upload|shoot|roll|device|phone|shard"
)
_SESSION = re.compile(
    rf"(?:{_DAY}|{_MONTH}|(?:{_MONTH})\W?\d{{1,4}}|\d{{1,2}}\W?(?:{_MONTH})(?:\W?\d{{2,4}})?"
    r"|(?:19|20)\d\d(?:[-_. ]?\d\d?){0,2}(?:[-_. T]?\d\d?){0,3}|\d\d?[-_.]\d\d?[-_.](?:19|20)?\d\d"
    rf"|(?:{_OCCASION})[-_ #.]?\d+|(?:{_OCCASION})[-_ #.][a-z])",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"[a-z]{0,3}[-_ ]?\d+", re.IGNORECASE)


@lru_cache(maxsize=65536)
def split_of(name: str) -> str:
    """The split that a folder's name stands for, as `train`, `test_images`, `val2017`, `seg_test` do; empty: none."""
    words = [word.lower() for word in _WORDS.findall(_CAMEL.sub(" ", name))]
    words = [word.removesuffix("set") if word.removesuffix("set") in SPLIT_NAMES else word for word in words]
    telling = [word for word in words if word not in _FILLER_WORDS and not word.isdecimal()]
    return SPLIT_NAMES.get(telling[0], "") if len(telling) == 1 else ""


def is_split_name(name: str) -> bool:
    """Whether a folder's name is the name of a split and nothing more: `train`, `Validation`."""
    return name.lower() in SPLIT_NAMES


def is_holder(name: str) -> bool:
    """Whether a folder's name says only that it holds images: `images`, `jpg`, `data`."""
    return _joined_words(name) in _HOLDERS


def is_beside_images(name: str) -> bool:
    """Whether a folder's name stands for companions of images: `annotations`, `masks`, `meta`."""
    return _joined_words(name) in _BESIDE_IMAGES


def lies_beside_images(folder: str) -> bool:
    """Whether a folder lies in one for companions of images, or is one.

    Args:
        folder: Path of the folder.
    """
    return any(map(is_beside_images, folder.split("/")))


def is_variant(name: str) -> bool:
    """Whether a folder's name stands for a variant of the images: `grayscale`, `cropped`, `augmented`."""
    return _joined_words(name) in _VARIANTS


def is_session(name: str) -> bool:
    """Whether a folder's name says when or by what images were taken: a date, a weekday, `batch_2`."""
    return _SESSION.fullmatch(name.strip()) is not None


def is_session_or_number(name: str) -> bool:
    """Whether a folder's name is a session or a mere number: `batch_2`, `p001`, `17`."""
    return is_session(name) or _NUMBERED.fullmatch(name) is not None


@lru_cache(maxsize=65536)
def names_no_class(name: str) -> bool:
    """Whether a folder's name stands for anything but a class: a split, a holder, companions, a sample."""
    return bool(split_of(name)) or _joined_words(name) in _HOLDERS | _BESIDE_IMAGES | _SAMPLES


def _joined_words(name: str) -> str:
    return "".join(word.lower() for word in _WORDS.findall(name) if not word.isdecimal())
