"""KFP interface of `compare_models`."""

from kfp import dsl
from kfp.dsl import Artifact, Input, Markdown, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def compare_models(
    evaluation: Input[Artifact],
    decision: Output[Artifact],
    summary: Output[Markdown],
    level: float = 0.05,
    min_images: int = 50,
    min_accuracy: float = -1.0,
    min_recall: float = 0.0,
    max_slice_drop: float = 1.0,
) -> str:
    """Decides whether a candidate may replace the champion, from predictions for the same test images.

    Args:
        evaluation: Folder that `evaluate_model` made, with or without the predictions of a champion.
        decision: Decision with its reasons and metrics, as JSON.
        summary: Decision in words, as Markdown.
        level: Significance level: largest share of equally good models that may be taken for better.
        min_images: Fewest test images that the champion has not seen, for a comparison.
        min_accuracy: Accuracy on the test images that the candidate must reach. Without a champion, it must also be
            shown better than always predicting the most frequent class, unless this is 0; -1: not given.
        min_recall: Recall that the candidate must reach on each class.
        max_slice_drop: Largest loss of accuracy against the champion on any slice of 20 images that the champion has
            not seen; 1: no limit.

    Returns:
        'better', 'worse' or 'cannot tell'. Without a champion 'better' if the floors are met and the candidate is
        shown to be better than chance, 'cannot tell' if that is not shown, else 'worse'.
    """
    from pathlib import Path

    from headstart.components.compare_models import step
    from headstart.components.core.metrics.gate import Floors, Gate

    floors = Floors(min_accuracy, min_recall, max_slice_drop)
    gate = Gate(level, min_images, floors)
    return step.compare_models(Path(evaluation.path), Path(decision.path), Path(summary.path), gate)
