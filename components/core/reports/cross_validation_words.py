"""A cross-validation in words: what its figures are of, and what their intervals are worth."""

from typing import Any


def describe_cross_validation(metrics: dict[str, Any]) -> list[str]:
    """Sentences on how images were predicted, and on the intervals; none if there was no cross-validation.

    Args:
        metrics: Content of `metrics.json`.
    """
    found = metrics.get("cross_validation")
    if not found:
        return []
    images, folds = metrics["test"]["images"], found["folds"]
    shares = [each["correct"] / each["images"] for each in found["by_fold"]]
    return [
        f"Cross-validated in {folds} folds: each of the {images:,} images was predicted once, by a model that had "
        "seen neither it nor its group, and that chose epochs, mixture of weights and temperature on other "
        f"images. Accuracy by fold: {100 * min(shares):.1f} % to {100 * max(shares):.1f} %.",
        "The final model is trained on all images with what the folds chose. The figures are of the folds' models, "
        "which had fewer images, and so rather too low than too high.",
        "The intervals of metrics are those of a test set of as many images, widened because the models of the folds "
        "differ by chance. "
        "They remain approximate. Comparisons of models, abstention and unfamiliarity are not corrected.",
        "Where test images are named, all images are meant, predicted out of fold. The same predictions stand for "
        "validation images where the final model's temperature and thresholds are chosen; what these achieve is "
        "measured fold by fold, with others that the images of the fold had no part in.",
    ]


def describe_folds(metrics: dict[str, Any]) -> str:
    """The cross-validation in a clause; empty if there was none.

    Args:
        metrics: Content of `metrics.json`.
    """
    found = metrics.get("cross_validation")
    return f"out of fold, in {found['folds']} folds; the final model is trained on all images" if found else ""
