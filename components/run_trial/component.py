"""KFP interface of `run_trial`."""

from typing import Any, Dict

from kfp import dsl
from kfp.dsl import Dataset, Input

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def run_trial(
    train: Input[Dataset],
    validation: Input[Dataset],
    trial: Dict[str, Any],
    recipe: str = "fast",
    settings: Dict[str, Any] = {},  # noqa: B006 - KFP reads the default and never changes it
    backbone: str = "",
    weights: str = "",
    image_size: int = 0,
    seed: int = 0,
    record_uri: str = "",
    checkpoint_uri: str = "",
    accelerators: str = "0",
) -> Dict[str, Any]:
    """Trains a head and fine-tunes it with the settings of one trial; the model is not kept.

    The head alone is trained where it is far behind the best head of the rounds before. A recipe that cannot be
    trained with is a result, too, and does not fail the task.

    Args:
        train: Dataset artifact to train on.
        validation: Dataset artifact whose loss is the trial's.
        trial: Trial to run, as `propose_trials` makes it.
        recipe: Name or YAML of the recipe that is varied, as `propose_trials` takes it, likewise the next four.
        settings: See `recipe`.
        backbone: See `recipe`.
        weights: See `recipe`.
        image_size: See `recipe`.
        seed: Random seed for initialisation, augmentation and the order of images.
        record_uri: Folder, or gs:// or s3:// address, of a feature cache that the trials share; empty: each pod
            computes the features anew.
        checkpoint_uri: Folder, or gs:// or s3:// address, of checkpoints, from which interrupted training resumes;
            empty: none.
        accelerators: Number of GPUs required, as text; the task fails if TensorFlow finds fewer.

    Returns:
        The trial's number, settings, state, seconds and losses, as `propose_trials` records them; nothing where there
        was nothing to try.
    """
    import tempfile
    from pathlib import Path

    from headstart.components.core.artifacts.search_trials import NO_TRIAL, ProposedTrial, from_fields, to_fields
    from headstart.components.core.recipes.recipe import load_recipe
    from headstart.components.core.recipes.resolve import resolve_recipe
    from headstart.components.core.training.training_inputs import TrainingInputs
    from headstart.components.run_trial import step

    proposed = from_fields(ProposedTrial, trial)
    if proposed == NO_TRIAL:
        return {}
    varied = load_recipe(recipe, settings).override(backbone=backbone, weights=weights, image_size=int(image_size))
    inputs = TrainingInputs(
        Path(train.path),
        Path(validation.path),
        resolve_recipe(varied),
        int(seed),
        record_uri=record_uri,
        checkpoint_uri=checkpoint_uri,
        accelerators=int(accelerators or 0),
    )
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        return to_fields(step.run_trial(proposed, inputs, step.TrainedHeads(Path(folder))))
