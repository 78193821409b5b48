"""KFP interface of `publish_model`."""

from typing import List

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Markdown, Model, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
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
    registry_url: str = "",
) -> str:
    """Publishes a model in the formats that servers take, after checking that it predicts as it was evaluated.

    The SavedModel is run on the encoded test images by a process without this package. If its predictions differ,
    nothing is published and the step fails.

    Args:
        model: Model artifact.
        evaluation: Folder that `evaluate_model` made of the model.
        test: Dataset artifact of the test images.
        publish_uri: Folder, or gs:// or s3:// address, where models of this kind are published.
        card: Model card.
        train: Dataset artifact of the training images, for the card; 'litert_int8' needs it.
        decision: Decision of `compare_models`: the model then replaces only the champion that it was compared with.
            Without, it replaces any.
        exports: Formats: 'saved_model', which is always exported, 'litert', 'litert_int8', 'onnx'; all but the first
            need the packages of headstart[export] in the image.
        tolerance: Largest allowed difference of a served probability from the evaluated one.
        run: Origin of the model, for the history; empty: the command that started the run, if known.
        registry_url: Kubeflow Model Registry in which the version is registered: its http(s):// address, empty: none.
            Its token comes from the environment variable HEADSTART_MODEL_REGISTRY_TOKEN. Where it fails, the version
            is published, and the log has a warning.

    Returns:
        'published'; 'unchanged' if the model is the champion already; 'overtaken' if another model became the
        champion meanwhile, which then stays.
    """
    from pathlib import Path

    from headstart.components.publish_model import step

    inputs = step.PublicationInputs(
        model=Path(model.path),
        evaluation=Path(evaluation.path),
        test=Path(test.path),
        train=Path(train.path) if train else None,
        decision=Path(decision.path) if decision else None,
        exports=exports,
        tolerance=tolerance,
    )
    outcome = step.publish_model(inputs, publish_uri, Path(card.path), run, registry_url)
    card.metadata.update(version=outcome.version, address=outcome.address, replaced=outcome.replaced)
    if registry_url:
        card.metadata["registered"] = bool(outcome.registered)
    return outcome.status
