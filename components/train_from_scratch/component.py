"""KFP interface of `train_from_scratch`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from headstart.components.image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def train_from_scratch(
    train: Input[Dataset],
    validation: Input[Dataset],
    model: Output[Model],
    backbone: str = "mobilenet_v2",
    image_size: int = 0,
    epochs: int = 15,
    learning_rate: float = 0.001,
    augmented_views: int = -1,
    batch_size: int = 32,
    seed: int = 0,
) -> None:
    """Trains a small convnet from random weights, to compare transfer learning with.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch.
        model: Model artifact: model.keras, model.json, history.csv.
        backbone: The backbone it is compared with, whose image size it takes for 0.
        image_size: Side in pixels that images are resized to; 0: the backbone's own.
        epochs: Passes over the training images.
        learning_rate: Peak of the schedule.
        augmented_views: Recorded views of each training image, one plain, the others augmented; -1: as many as pay.
        batch_size: Images a step.
        seed: Of everything drawn at random.
    """
    from pathlib import Path

    from headstart.components.core.plan import Plan
    from headstart.components.train_from_scratch import step

    plan = Plan("from_scratch", epochs, learning_rate, augmented_views, batch_size, seed)
    settings = step.ScratchSettings(backbone, image_size, plan)
    info = step.train_from_scratch(Path(train.path), Path(validation.path), Path(model.path), settings)
    model.metadata.update(info.metrics)
