"""KFP interface of `publish_model`."""

from typing import List

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Markdown, Model, Output

from headstart.components.container_image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def publish_model(
    model: Input[Model],
    evaluation: Input[Artifact],
    test: Input[Dataset],
    publish_uri: str,
    card: Output[Markdown],
    train: Input[Dataset] = None,
    decision: Input[Artifact] = None,
    exports: List[str] = ["saved_model"],  # noqa: B006 - KFP reads the default and never changes it
    tolerance: float = 0.01,
    run: str = "",
) -> str:
    """Publishes a model in the forms that servers take, once they are shown to answer as it was evaluated.

    The SavedModel is loaded by a process that has nothing of this package, and asked about the bytes of the test
    images; where it answers otherwise, nothing is published and the step fails.

    Args:
        model: Model artifact.
        evaluation: Folder that `evaluate_model` made of it.
        test: Dataset artifact that it was evaluated on.
        publish_uri: Where models of this kind are published: a folder, or a gs:// or s3:// address.
        card: The model card.
        train: Dataset artifact that it learned from, for the card; 'litert_int8' needs it.
        decision: What `compare_models` decided: the model then takes only the place of the one it was compared with.
            Without, it takes the place of any.
        exports: Forms: 'saved_model', which there is always, 'litert', 'litert_int8', 'onnx'; all but the first need
            the packages of headstart[export] in the image.
        tolerance: How far a served probability may be from the evaluated one.
        run: What made it, for the history; empty: the command that started it, if the evaluation knows it.

    Returns:
        'published'; 'unchanged' if the model is in use already; 'overtaken' if another model came into use meanwhile,
        which then stays.
    """
    from pathlib import Path

    from headstart.components.publish_model import step

    inputs = step.Inputs(
        model=Path(model.path),
        evaluation=Path(evaluation.path),
        test=Path(test.path),
        train=Path(train.path) if train else None,
        decision=Path(decision.path) if decision else None,
        exports=exports,
        tolerance=tolerance,
    )
    outcome = step.publish_model(inputs, publish_uri, Path(card.path), run)
    card.metadata.update(version=outcome.version, address=outcome.address, replaced=outcome.replaced)
    return outcome.status
