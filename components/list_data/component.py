"""KFP interface of `list_data`."""

from typing import Any, Dict, List

from kfp import dsl

from headstart.components.container_image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
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
) -> str:
    """Lists the sources without reading a picture; what it returns changes when they do.

    KFP's cache must never answer for it: what it returns is what tells the cache whether the data are still the same.
    As the first task of a run it is also told what the run will need at its end, and fails where that is not there.

    Args:
        data: Sources, as `download_dataset` takes them.
        corrections: Likewise; empty: there are none.
        publish_uri: Where the run publishes; it must be possible to write there, and to load the model in use.
        champion: Model in use where nothing has been published; empty: there is none.
        exports: Forms in which it publishes; this image must have what makes them.
        level: As `compare_models` takes it, likewise the next three.
        min_accuracy: See `level`.
        min_recall: See `level`.
        max_slice_drop: See `level`.
        record_uri: Where it keeps records; it must be possible to write there; empty: nowhere.
        checkpoint_uri: Where it keeps states, likewise.
        recipe: As `train_head` takes it, likewise the next four: its weights must be there; empty: none is checked.
        settings: See `recipe`.
        backbone: See `recipe`.
        weights: See `recipe`.
        image_size: See `recipe`.
        variants: As `train_variant` takes each of them; their weights must be there.
        publishes: Whether the pipeline has tasks that publish: 'asked' (they run where publish_uri is given),
            'always' or 'never'.
        image_column: Column of manifests that names the picture; empty: by the usual names.
        label_column: Column of manifests that has the class; empty: by the usual names.

    Returns:
        SHA-256 in hexadecimal over names, sizes and versions of all files, and over the corrections.
    """
    from headstart.components.core.recipes.recipe import load_recipe
    from headstart.components.core.recipes.variants import read_variants
    from headstart.components.list_data import step

    if publish_uri:
        from headstart.components.core.metrics.gate import Floors, Gate

        Gate(level, floors=Floors(min_accuracy, min_recall, max_slice_drop))
    compared = read_variants(variants) if variants else []
    trainings = [each.load_recipe() for each in compared if each.method != "from_scratch"]
    if recipe:
        trainings.append(
            load_recipe(recipe, settings).override(backbone=backbone, weights=weights, image_size=int(image_size))
        )
    needs = step.Needs(
        trainings=trainings,
        publish_uri=publish_uri,
        champion=champion,
        exports=exports,
        written={"record_uri": record_uri, "checkpoint_uri": checkpoint_uri},
        publishes=publishes,
    )
    return step.list_data(data, corrections, image_column, label_column, needs)
