"""KFP interface of `split_dataset`."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def split_dataset(
    dataset: Input[Dataset],
    train: Output[Dataset],
    validation: Output[Dataset],
    test: Output[Dataset],
    counts: List[int] = [],  # noqa: B006 - KFP reads the default and never changes it
    fractions: List[float] = [0.7, 0.15, 0.15],  # noqa: B006
    order: str = "hash",
    seed: int = 0,
    folds: int = 0,
    class_counts: Dict[str, Any] = {},  # noqa: B006
    tiny_classes: str = "keep",
    strict_groups: bool = False,
    cross_validation: str = "0",
    folds_in_task: int = 1,
) -> List[str]:
    """Splits a dataset into train, validation and test, each class alike; groups stay in one split.

    Args:
        dataset: Dataset artifact.
        train: Dataset artifact of the training images.
        validation: Dataset artifact of the images that choose between epochs and models.
        test: Dataset artifact of the images that only the evaluation uses, once.
        counts: Images per class for train, validation and test; empty: use fractions.
        fractions: Parts of each class for train, validation and test.
        order: Order of assignment: 'hash' (by content), 'name' (natural order of file names) or 'given' (the
            source's ready-made split).
        seed: Random seed of the split by hash.
        folds: Number of cross-validation folds over train and validation, in the column `fold`; 0: none.
        class_counts: Images for train, validation and test by class, as a JSON object: {"cat": [100, 20, 20]}; empty:
            use counts.
        tiny_classes: Treatment of a class of fewer than three images, or groups of near-duplicates: 'keep' puts it
            into train alone, 'leave_out' leaves it out.
        strict_groups: Whether a ready-made split that tears groups of the user's, such as patients, is refused.
        cross_validation: Number of cross-validation folds over all images, or 'auto', which cross-validates where the
            test set would have fewer than 200 images or 20 of a class. Then train and test both have all images, and
            validation has none. '0': none.
        folds_in_task: Number of folds that one task trains; 0: all.

    Returns:
        Folds for each task of `train_folds`, such as '0,1'; a single empty text without cross-validation.
    """
    from pathlib import Path

    from headstart.components.split_dataset import step

    sizes = step.SplitSizes(
        [int(count) for count in counts], [float(part) for part in fractions], step.parse_class_counts(class_counts)
    )
    written = step.split_dataset(
        Path(dataset.path),
        Path(train.path),
        Path(validation.path),
        Path(test.path),
        step.SplitSettings(sizes, order, seed, folds, tiny_classes, strict_groups, cross_validation),
    )
    for artifact, info in zip((train, validation, test), written.values(), strict=True):
        artifact.metadata.update(images=info.images, digest=info.digest)
    return step.list_fold_tasks(Path(train.path), folds_in_task)
