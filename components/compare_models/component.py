"""KFP interface of `compare_models`."""

from kfp import dsl
from kfp.dsl import Artifact, Input, Markdown, Output

from headstart.components.container_image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
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
    """Decides whether a new model may take the place of the one in use, from predictions on the same test images.

    Args:
        evaluation: Folder that `evaluate_model` made, with or without the predictions of a champion.
        decision: The decision with its reasons and figures, as JSON.
        summary: The same in words.
        level: Share of equal models that may be taken for better, at most.
        min_images: Test images that the champion has not seen that have to be left for a comparison.
        min_accuracy: Accuracy that the new model has to reach on the test images. Where there is no champion, it
            has to be shown better than always answering the most frequent class, too, unless this is 0; -1: not
            given.
        min_recall: Recall that it has to reach on each class.
        max_slice_drop: How much lower its accuracy may be than the champion's on any slice of 20 images that the
            champion has not seen; 1: no matter.

    Returns:
        'better', 'worse' or 'cannot tell'; without a champion 'better' if the floors are met and the model is shown
        to be better than chance, 'cannot tell' if it is not shown to be, else 'worse'.
    """
    from pathlib import Path

    from headstart.components.compare_models import step
    from headstart.components.core.metrics.gate import Floors, Gate

    floors = Floors(min_accuracy, min_recall, max_slice_drop)
    gate = Gate(level, min_images, floors)
    return step.compare_models(Path(evaluation.path), Path(decision.path), Path(summary.path), gate)
