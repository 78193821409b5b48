"""Pipeline `check_data`: the data of a training, checked without training anything."""

from typing import List

from kfp import dsl

from headstart.components.download_dataset.component import download_dataset
from headstart.components.list_data.component import list_data
from headstart.pipelines.definitions.tasks import CHECK_DATA


@dsl.pipeline(
    name=CHECK_DATA, description="Checks labelled images: broken files, copies, near-duplicates, shortcuts."
)
def check_data(
    data: List[str],
    labels: str,
    class_level: int,
    max_side: int,
    max_bad_fraction: float,
    sha256: List[str],
    corrections: str,
    accept_suggestions: float,
    image_column: str,
    label_column: str,
    group_column: str,
    group_from: str,
) -> None:
    """Checks labelled images as a training does.

    Args:
        data: Sources, as `download_dataset` takes them; likewise all other parameters.
        labels: See `data`.
        class_level: See `data`.
        max_side: See `data`.
        max_bad_fraction: See `data`.
        sha256: See `data`.
        corrections: See `data`.
        accept_suggestions: See `data`.
        image_column: See `data`.
        label_column: See `data`.
        group_column: See `data`.
        group_from: See `data`.
    """
    listing = list_data(
        data=data,
        corrections=corrections,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
    ).set_caching_options(False)
    download_dataset(
        data=data,
        labels=labels,
        class_level=class_level,
        max_side=max_side,
        max_bad_fraction=max_bad_fraction,
        sha256=sha256,
        corrections=corrections,
        listing=listing.output,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        group_from=group_from,
        accept_suggestions=accept_suggestions,
    )
