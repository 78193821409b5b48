"""Division of all images for cross-validation: folds of whole groups, and validation images inside each training."""

import dataclasses
from collections import Counter
from collections.abc import Mapping

import numpy as np

from headstart.components.core.artifacts.cross_validation import FoldParts
from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.printable import pluralize, quote_name
from headstart.components.split_dataset.assignment import apportion, assign_folds
from headstart.components.split_dataset.groups import Assignment, GroupedImages, groups_by_class, hash_position
from headstart.components.split_dataset.settings import AUTO, LEAVE_OUT, SplitSettings
from headstart.components.split_dataset.user_groups import count_images, select_images
from headstart.components.split_dataset.whole_groups import Parts, assign_whole_groups

AUTO_FOLDS = 5
"""Number of folds that `auto` takes, if each class has as many groups."""

FEWEST_TEST_IMAGES, FEWEST_TEST_IMAGES_OF_CLASS = 200, 20
"""Sizes of a test set below which `auto` cross-validates."""

_LEARNING = ("train", "validation")


@dataclasses.dataclass(frozen=True)
class FoldAssignment:
    """Fold of each image, and its use in the training of the other folds.

    Attributes:
        folds: Number of folds; 0: there is no cross-validation.
        fold_of: Fold of each image by its row.
        validation: Rows of the validation images of each fold.
    """

    folds: int
    fold_of: Mapping[int, int]
    validation: list[set[int]]

    def to_parts(self, id_of: Mapping[int, str]) -> FoldParts:
        """The validation images by their ids, for the artifact.

        Args:
            id_of: Id of each image by its row.
        """
        return FoldParts(self.folds, [[id_of[row] for row in sorted(rows)] for rows in self.validation])


NO_FOLDS = FoldAssignment(0, {}, [])


def assign_cross_validation(data: GroupedImages, settings: SplitSettings) -> FoldAssignment:
    """Assigns all images to folds, and chooses validation images inside the training of each fold.

    Folds are stratified, and groups stay whole. The validation images of a fold are of the other folds, in the
    proportion of the fractions for train and validation, and no group lies on both sides.

    Args:
        data: Groups in order of assignment.
        settings: Number of folds, fractions and seed.

    Returns:
        The assignment, without folds if `settings` asks for none, or leaves it open and the test set is large enough.

    Raises:
        HeadstartError: If a class, or the data, has fewer groups than there are folds, or there is only one class.
    """
    folds = _choose_folds(data, settings) if settings.cross_validation == AUTO else int(settings.cross_validation)
    if not folds:
        return NO_FOLDS
    _check_classes(data, folds)
    everything: Assignment = {image.row: _LEARNING[0] for group in data.groups for image in group}
    fold_of = assign_folds(data, everything, dataclasses.replace(settings, folds=folds))
    validation = [_choose_validation(data, fold_of, fold, settings) for fold in range(folds)]
    _check_training(data, fold_of, validation)
    return FoldAssignment(folds, fold_of, validation)


def _choose_folds(data: GroupedImages, settings: SplitSettings) -> int:
    """Number of folds where the test set would be small, else 0."""
    fraction = settings.sizes.fractions[-1]
    sizes = Counter(image.label for group in data.groups for image in group)
    images, of_rarest = (round(fraction * number, 6) for number in (sum(sizes.values()), min(sizes.values())))
    if images >= FEWEST_TEST_IMAGES and of_rarest >= FEWEST_TEST_IMAGES_OF_CLASS:
        event("no_folds", test_images=int(images), of_rarest_class=int(of_rarest))
        return 0
    folds = min(AUTO_FOLDS, *_count_groups(data).values())
    if folds < len(SPLITS):
        event("no_folds", reason=f"a class has fewer than {len(SPLITS)} groups")
        return 0
    event("folds", folds=folds, test_images=int(images), of_rarest_class=int(of_rarest))
    return folds


def _count_groups(data: GroupedImages) -> dict[int, int]:
    """Number of groups of each class, by its label."""
    labels = Counter(label for group in data.groups for label in {image.label for image in group})
    return {label: labels[label] for label in range(len(data.classes)) if label not in data.left_out}


def _check_classes(data: GroupedImages, folds: int) -> None:
    groups = _count_groups(data)
    for label in data.left_out:
        name = data.classes[label]
        event("class_left_out", label=name, why=data.tiny[label].describe(name))
    if len(groups) < 2:
        raise HeadstartError(f"folds {folds}: an evaluation needs two classes, and {len(groups)} is left; add images")
    rarest = min(groups, key=lambda label: (groups[label], label))
    number = groups[rarest]
    if number >= folds:
        return
    images = sum(image.label == rarest for group in data.groups for image in group)
    unit = data.unit or "group of near-duplicates"
    of = f" of {number} {pluralize(data.unit, number) if data.unit else 'groups of near-duplicates'}"
    few = f"{images} {pluralize('image', images)}{of if images > number else ''}"
    fewer = f"ask for at most {number} folds, " if number > 1 else ""
    leave = f", or leave the class out with --tiny-classes {LEAVE_OUT}" if rarest in data.tiny else ""
    raise HeadstartError(
        f"folds {folds}: class {quote_name(data.classes[rarest])} has {few}, and each fold needs "
        f"{'an image' if images == number else f'a {unit}'} of it; {fewer}{'or ' if fewer and not leave else ''}add "
        f"images{leave}"
    )


def _choose_validation(
    data: GroupedImages, fold_of: Mapping[int, int], fold: int, settings: SplitSettings
) -> set[int]:
    """Rows of the images that validate the training without a fold."""
    others = select_images(data, {row for row, each in fold_of.items() if each != fold})
    # A class with a single group has to be trained on.
    by_class = groups_by_class(others.groups)
    alone = {id(group) for groups in by_class.values() if len(groups) < len(_LEARNING) for group in groups}
    groups = [group for group in others.groups if id(group) not in alone]
    fractions = settings.sizes.fractions[: len(_LEARNING)]
    # Another seed for each fold, so that not the same images validate in all of them.
    own = dataclasses.replace(settings, order="hash", seed=settings.seed + 1 + fold)
    if data.unit:
        sizes = count_images(groups, len(data.classes))
        targets = np.array(fractions)[:, None] / sum(fractions) * sizes.sum(axis=0)
        positions = [hash_position(group, own.seed) for group in groups]
        assigned = assign_whole_groups(sizes, positions, Parts(targets, len(_LEARNING)), stay=0)
        return {image.row for group, at in zip(groups, assigned.tolist(), strict=True) if at for image in group}
    assignment = apportion(groups, dict(zip(_LEARNING, fractions, strict=True)), own)
    return {row for row, split in assignment.items() if split == _LEARNING[1]}


def _check_training(data: GroupedImages, fold_of: Mapping[int, int], validation: list[set[int]]) -> None:
    """Refuses folds of which a training lacks a class, or has no validation images."""
    images = [image for group in data.groups for image in group]
    for fold, chosen in enumerate(validation):
        trained = {image.label for image in images if fold_of[image.row] != fold and image.row not in chosen}
        missing = [label for label in _count_groups(data) if label not in trained]
        if missing or not chosen:
            what = f"class {quote_name(data.classes[missing[0]])}" if missing else "validation images"
            raise HeadstartError(
                f"folds {len(validation)}: the training without fold {fold + 1} would lack {what}, since groups stay "
                f"whole; ask for another number of folds, or add images"
                f"{f' of other {pluralize(data.unit, 2)}' if data.unit else ''}"
            )
