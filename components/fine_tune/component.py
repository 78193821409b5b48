"""KFP interface of `fine_tune`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from headstart.components.image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def fine_tune(
    head: Input[Model],
    train: Input[Dataset],
    validation: Input[Dataset],
    model: Output[Model],
    unfreeze_from: str = "",
    epochs: int = 4,
    learning_rate: float = 0.0001,
    augmented_views: int = -1,
    batch_size: int = 32,
    seed: int = 0,
) -> None:
    """Trains the head and the backbone's top layers together; never worse than the head on validation loss.

    Args:
        head: Model artifact of the head stage.
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch and how far to go from the head.
        model: Model artifact: model.keras, model.json, history.csv.
        unfreeze_from: First layer or block of the backbone that is trained; empty: the backbone's own choice.
        epochs: Passes over the training images.
        learning_rate: Peak of the schedule.
        augmented_views: Recorded views of each training image, one plain, the others augmented; -1: as many as pay.
        batch_size: Images a step.
        seed: Of everything drawn at random.
    """
    from pathlib import Path

    from headstart.components.core.plan import Plan
    from headstart.components.fine_tune import step

    plan = Plan("fine_tuning", epochs, learning_rate, augmented_views, batch_size, seed)
    settings = step.FineTuneSettings(unfreeze_from, plan)
    info = step.fine_tune(Path(head.path), Path(train.path), Path(validation.path), Path(model.path), settings)
    model.metadata.update(info.metrics)
