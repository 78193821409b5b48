"""KFP interface of `list_data`."""

from typing import Any, Dict, List

from kfp import dsl

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def list_data(
    data: List[str],
    corrections: str = "",
    publish_uri: str = "",
    champion: str = "",
    exports: List[str] = ["saved_model"],  # noqa: B006 - KFP reads the default and never changes it
    level: float = 0.05,
    min_accuracy: float = -1.0,
    min_recall: float = 0.0,
    max_slice_drop: float = 1.0,
    record_uri: str = "",
    checkpoint_uri: str = "",
    recipe: str = "",
    settings: Dict[str, Any] = {},  # noqa: B006
    backbone: str = "",
    weights: str = "",
    image_size: int = 0,
    variants: List[Dict[str, Any]] = [],  # noqa: B006
    publishes: str = "asked",
    image_column: str = "",
    label_column: str = "",
    group_column: str = "",
    false_alarm: float = 0.01,
    folds: str = "0",
    has_folds: bool = True,
    backbones: List[str] = [],  # noqa: B006
    registry_url: str = "",
    trials_uri: str = "",
) -> str:
    """Lists the files of the data without reading an image; its result changes when the files do.

    KFP's cache must never answer for this component: its result tells the cache whether the data are still the same.
    As the first task of a run it also checks what the run will need at its end, and fails where something is missing.

    Args:
        data: Sources, as `download_dataset` takes them.
        corrections: CSV file of corrections, as `download_dataset` takes it; empty: none.
        publish_uri: Address that the run publishes to; it must be writable, and its champion must load.
        champion: Model to compare with where nothing has been published; empty: none.
        exports: Formats that are published; this image must be able to make them.
        level: As `compare_models` takes it, likewise the next three.
        min_accuracy: See `level`.
        min_recall: See `level`.
        max_slice_drop: See `level`.
        record_uri: Address of the feature cache; it must be writable. Empty: none.
        checkpoint_uri: Address of the checkpoints; it must be writable. Empty: none.
        recipe: As `train_head` takes it, likewise the next four; its weights must be available. Empty: none is
            checked.
        settings: See `recipe`.
        backbone: See `recipe`.
        weights: See `recipe`.
        image_size: See `recipe`.
        variants: As `train_variant` takes each of them; their weights must be available.
        publishes: When the pipeline publishes: 'asked' (in runs that give publish_uri), 'always' or 'never'.
        image_column: Column of manifests that names the image; empty: one with a usual name.
        label_column: Column of manifests that has the class; empty: one with a usual name.
        group_column: Column of manifests that names the group of an image; empty: none that must be there.
        false_alarm: As `evaluate_model` takes it.
        folds: As `split_dataset` takes `cross_validation`.
        has_folds: Whether the pipeline has the tasks of a cross-validation.
        backbones: Backbones to choose from, each of which takes the place of `backbone`; empty: that one alone.
        registry_url: As `publish_model` takes it.
        trials_uri: Address of the trials of a search for a recipe; it must be writable. Empty: none.

    Returns:
        SHA-256 in hexadecimal over names, sizes and versions of all files, and over the corrections.
    """
    from headstart.components.core.artifacts.backbone_ranking import check_backbone_names
    from headstart.components.core.metrics.false_alarms import check_false_alarm
    from headstart.components.core.recipes.recipe import load_recipe
    from headstart.components.core.recipes.variants import read_variants
    from headstart.components.list_data import step

    check_false_alarm(false_alarm)
    if registry_url:
        from headstart.components.core.registry.model_registry import check_registry_url

        check_registry_url(registry_url)
    if publish_uri:
        from headstart.components.core.metrics.gate import Floors, Gate

        Gate(level, floors=Floors(min_accuracy, min_recall, max_slice_drop))
    compared = read_variants(variants) if variants else []
    trainings = [each.load_recipe() for each in compared if each.method != "from_scratch"]
    if backbones:
        check_backbone_names(backbones)
    if recipe:
        common = load_recipe(recipe, settings).override(weights=weights, image_size=int(image_size))
        trainings += [common.override(backbone=each) for each in backbones or [backbone]]
    requirements = step.RunRequirements(
        trainings=trainings,
        publish_uri=publish_uri,
        champion=champion,
        exports=exports,
        written={"record_uri": record_uri, "checkpoint_uri": checkpoint_uri, "trials_uri": trials_uri},
        publishes=publishes,
        folds=folds,
        has_folds=has_folds,
    )
    return step.list_data(data, corrections, image_column, label_column, requirements, group_column)
