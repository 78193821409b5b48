"""KFP interface of `download_dataset`."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl import HTML, Dataset, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def download_dataset(
    data: List[str],
    dataset: Output[Dataset],
    hygiene: Output[HTML],
    labels: str = "auto",
    max_side: int = 512,
    max_bad_fraction: float = 0.1,
    sha256: List[str] = [],  # noqa: B006 - KFP reads the default and never changes it
    corrections: str = "",
    listing: str = "",
    class_level: int = 0,
    image_column: str = "",
    label_column: str = "",
    accept_suggestions: float = -1.0,
    min_classes: int = 2,
    ranges: Dict[str, Any] = {},  # noqa: B006
    group_column: str = "",
    group_from: str = "",
) -> None:
    """Reads labelled images, decodes every one, and writes the usable ones as Parquet shards.

    Args:
        data: Sources: folders of class folders or object prefixes, zip or tar archives, CSV or JSON-lines manifests
            with the columns image and label, or image Parquet; as paths or http(s)://, gs:// or s3:// addresses.
        dataset: Dataset artifact: images as Parquet shards, `dataset.json` and `quarantine.csv` (file, reason,
            detail).
        hygiene: HTML report on the quality of the data, to be read before training.
        labels: Rule that gives the classes: 'auto', 'given' (manifest, Parquet), 'folders', or 'names' (cat.1.jpg).
        max_side: Longest side to keep, in pixels; larger images are reduced.
        max_bad_fraction: Largest share of unusable files, 0 to 1; above it the step fails.
        sha256: Expected SHA-256 of each source that is a file, '' where unchecked; empty: none is checked.
        listing: Digest by `list_data` of the sources; a new one makes KFP run the step instead of using its cache.
        corrections: CSV file with the columns id and label, such as an evaluation's label_errors.csv: right classes
            of images by id, as a path or an address. An empty label leaves the image out. Empty: no corrections.
        class_level: Position in a file's path of the folder that is its class, from 1, the topmost in the source; 0:
            the topmost that divides the images.
        image_column: Column of manifests and Parquet that names or holds the image; empty: one with a usual name.
        label_column: Column of manifests and Parquet that has the class; empty: one with a usual name.
        accept_suggestions: Least confidence, 0 to 1, from which classes that the corrections suggest are taken
            unread; -1: none is.
        min_classes: Fewest classes that the data must show.
        ranges: Black and white of images of more than 8 bits, [black, white] by their form, such as those of a model;
            empty: the data decide.
        group_column: Column of manifests and Parquet that names the group of an image, such as its patient, which no
            split divides; empty: `group`, if there is one.
        group_from: Regular expression whose first capture in a file's path is its group, or 'parent' for the folder
            below the class; empty: none.
    """
    from pathlib import Path

    from headstart.components.download_dataset import step

    settings = step.DownloadSettings(
        *(labels, max_side, max_bad_fraction, sha256, corrections, class_level, image_column, label_column),
        accept_suggestions=accept_suggestions,
        min_classes=min_classes,
        ranges={form: (black, white) for form, (black, white) in ranges.items()} or None,
        group_column=group_column,
        group_from=group_from,
    )
    info = step.download_dataset(data, Path(dataset.path), Path(hygiene.path), settings)
    dataset.metadata.update(images=info.images, classes=len(info.classes), digest=info.digest, listing=listing)
