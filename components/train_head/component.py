"""KFP interface of `train_head`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from headstart.components.image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def train_head(
    train: Input[Dataset],
    validation: Input[Dataset],
    model: Output[Model],
    backbone: str = "mobilenet_v2",
    weights: str = "",
    image_size: int = 0,
    epochs: int = 20,
    learning_rate: float = 0.001,
    augmented_views: int = -1,
    batch_size: int = 32,
    seed: int = 0,
) -> None:
    """Trains a new head on a frozen, pretrained backbone, whose features are recorded once.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch.
        model: Model artifact: model.keras, model.json, history.csv.
        backbone: Name of a backbone.
        weights: Pretrained weights: empty for those in the image or else the backbone's own, 'none', a file, or an
            http(s)://, gs:// or s3:// address.
        image_size: Side in pixels that images are resized to; 0: the backbone's own.
        epochs: Passes over the training images.
        learning_rate: Peak of the schedule.
        augmented_views: Recorded views of each training image, one plain, the others augmented; -1: as many as pay.
        batch_size: Images a step.
        seed: Of everything drawn at random.
    """
    from pathlib import Path

    from headstart.components.core.plan import Plan
    from headstart.components.train_head import step

    plan = Plan("head", epochs, learning_rate, augmented_views, batch_size, seed)
    settings = step.HeadSettings(backbone, weights, image_size, plan)
    info = step.train_head(Path(train.path), Path(validation.path), Path(model.path), settings)
    model.metadata.update(info.metrics)
