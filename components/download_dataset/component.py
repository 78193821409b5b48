"""KFP interface of `download_dataset`."""

from typing import List

from kfp import dsl
from kfp.dsl import HTML, Dataset, Output

from headstart.components.container_image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
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
) -> None:
    """Reads labelled pictures, decodes every one, and writes the good ones as Parquet shards.

    Args:
        data: Sources: folders of class folders or object prefixes, zip or tar archives, CSV or JSON-lines manifests
            with the columns image and label, or image Parquet; as paths or http(s)://, gs:// or s3:// addresses.
        dataset: The pictures as Parquet shards, `dataset.json` and `quarantine.csv` (file, reason, detail).
        hygiene: A page on what is to be known of the data before training on it.
        labels: How classes are told: 'auto', 'given' (manifest, Parquet), 'folders', or 'names' (cat.1.jpg).
        max_side: Longest side that is kept, in pixels; larger pictures are reduced.
        max_bad_fraction: Share of the files that may be of no use before the step fails.
        sha256: The SHA-256 of each source that is a file, '' where unchecked; empty: none is checked.
        listing: What `list_data` says of the sources: another one makes KFP's cache forget what it has of them.
        corrections: A CSV file with the columns id and label, such as an evaluation's label_errors.csv: right classes
            of pictures, by id; a path or an address. An empty label leaves the picture out; empty: no corrections.
        class_level: Which folder of a file's path is its class, from 1, the topmost in the source; 0: the topmost
            that divides the pictures.
        image_column: Column of manifests and Parquet that names or holds the picture; empty: by the usual names.
        label_column: Column of manifests and Parquet that has the class; empty: by the usual names.
    """
    from pathlib import Path

    from headstart.components.download_dataset import step

    settings = step.Settings(
        labels, max_side, max_bad_fraction, sha256, corrections, class_level, image_column, label_column
    )
    info = step.download_dataset(data, Path(dataset.path), Path(hygiene.path), settings)
    dataset.metadata.update(images=info.images, classes=len(info.classes), digest=info.digest, listing=listing)
