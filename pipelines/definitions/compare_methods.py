"""Pipeline `compare_methods`: several ways to train on one split, compared."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from headstart.components.compare_variants.component import compare_variants
from headstart.components.core.recipes.variants import DEFAULT_VARIANTS
from headstart.components.download_dataset.component import download_dataset
from headstart.components.evaluate_model.component import evaluate_model
from headstart.components.list_data.component import list_data
from headstart.components.split_dataset.component import split_dataset
from headstart.components.train_variant.component import train_variant
from headstart.pipelines.definitions.argument_docs import document_arguments
from headstart.pipelines.definitions.notification import notifies_at_end
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.placement import accelerator_limit_of, place_tasks
from headstart.pipelines.definitions.profile import Profile
from headstart.pipelines.definitions.tasks import COMPARE_METHODS

_DEFAULTS = Parameters()


def build_comparison(profile: Profile, parallelism: int = 0) -> BaseComponent:
    """Builds the pipeline; choices that KFP cannot take as parameters at run time are made here.

    Args:
        profile: Cluster profile; kfp's local runner reads only its retries.
        parallelism: Largest number of variants at the same time; 0: no limit.
    """
    on_data, on_network = profile.data, profile.network

    @dsl.pipeline(
        name=COMPARE_METHODS,
        description="Trains image classifiers in several ways on one split of labelled images, and compares them: "
        "validation images choose the best, test images compare.",
    )
    @document_arguments
    @notifies_at_end(profile, COMPARE_METHODS)
    def compare_methods(
        data: List[str],
        labels: str = _DEFAULTS.labels,
        class_level: int = _DEFAULTS.class_level,
        max_side: int = _DEFAULTS.max_side,
        max_bad_fraction: float = _DEFAULTS.max_bad_fraction,
        sha256: List[str] = _DEFAULTS.sha256,
        corrections: str = _DEFAULTS.corrections,
        accept_suggestions: float = _DEFAULTS.accept_suggestions,
        image_column: str = _DEFAULTS.image_column,
        label_column: str = _DEFAULTS.label_column,
        group_column: str = _DEFAULTS.group_column,
        group_from: str = _DEFAULTS.group_from,
        strict_groups: bool = _DEFAULTS.strict_groups,
        variants: List[Dict[str, Any]] = DEFAULT_VARIANTS,
        counts: List[int] = _DEFAULTS.counts,
        fractions: List[float] = _DEFAULTS.fractions,
        order: str = _DEFAULTS.order,
        class_counts: Dict[str, Any] = _DEFAULTS.class_counts,
        tiny_classes: str = _DEFAULTS.tiny_classes,
        folds: str = _DEFAULTS.folds,
        seed: int = _DEFAULTS.seed,
        checkpoint_uri: str = _DEFAULTS.checkpoint_uri,
        false_alarm: float = _DEFAULTS.false_alarm,
        command: str = "",
        data_image: str = profile.image_of(on_data.image),
        data_cpu: str = on_data.cpu,
        data_memory: str = on_data.memory,
        data_node_selector: Dict[str, str] = on_data.node_selector,
        data_tolerations: List[Dict[str, str]] = on_data.taints,
        network_image: str = profile.image_of(on_network.image),
        network_cpu: str = on_network.cpu,
        network_memory: str = on_network.memory,
        network_node_selector: Dict[str, str] = on_network.node_selector,
        network_tolerations: List[Dict[str, str]] = on_network.taints,
        accelerator_type: str = on_network.accelerator_type,
        accelerator_limit: str = on_network.accelerators,
    ) -> None:
        """Trains image classifiers in several ways, and compares them."""
        listing = list_data(
            data=data,
            corrections=corrections,
            variants=variants,
            checkpoint_uri=checkpoint_uri,
            image_column=image_column,
            label_column=label_column,
            group_column=group_column,
            false_alarm=false_alarm,
        ).set_caching_options(False)
        dataset = download_dataset(
            data=data,
            labels=labels,
            class_level=class_level,
            max_side=max_side,
            max_bad_fraction=max_bad_fraction,
            sha256=sha256,
            corrections=corrections,
            listing=listing.output,
            image_column=image_column,
            label_column=label_column,
            group_column=group_column,
            group_from=group_from,
            accept_suggestions=accept_suggestions,
        )
        splits = split_dataset(
            dataset=dataset.outputs["dataset"],
            counts=counts,
            fractions=fractions,
            order=order,
            seed=seed,
            class_counts=class_counts,
            tiny_classes=tiny_classes,
            strict_groups=strict_groups,
            cross_validation=folds,
        )
        train, validation = splits.outputs["train"], splits.outputs["validation"]
        with dsl.ParallelFor(variants, name="variants", parallelism=parallelism) as variant:
            trained = train_variant(
                train=train,
                validation=validation,
                variant=variant,
                seed=seed,
                checkpoint_uri=checkpoint_uri,
                accelerators=accelerator_limit_of("train_variant", profile, accelerator_limit),
            )
            evaluation = evaluate_model(
                model=trained.outputs["model"],
                test=splits.outputs["test"],
                validation=validation,
                command=command,
                false_alarm=false_alarm,
            )
        table = compare_variants(
            evaluations=dsl.Collected(evaluation.outputs["evaluation"]), variants=variants, command=command
        )

        tasks = {
            "list_data": listing,
            "download_dataset": dataset,
            "split_dataset": splits,
            "train_variant": trained,
            "evaluate_model": evaluation,
            "compare_variants": table,
        }
        requests = {
            "data_image": data_image,
            "data_cpu": data_cpu,
            "data_memory": data_memory,
            "data_node_selector": data_node_selector,
            "data_tolerations": data_tolerations,
            "network_image": network_image,
            "network_cpu": network_cpu,
            "network_memory": network_memory,
            "network_node_selector": network_node_selector,
            "network_tolerations": network_tolerations,
            "network_accelerator_type": accelerator_type,
            "network_accelerator_limit": accelerator_limit,
        }
        place_tasks(tasks, profile, requests)

    return compare_methods
