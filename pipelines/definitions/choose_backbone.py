"""Pipeline `choose_backbone`: backbones ranked on labelled images, without training a network."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from headstart.components.assess_backbone.component import assess_backbone
from headstart.components.download_dataset.component import download_dataset
from headstart.components.list_data.component import list_data
from headstart.components.measure_backbones.component import measure_backbones
from headstart.components.rank_backbones.component import rank_backbones
from headstart.components.split_dataset.component import split_dataset
from headstart.pipelines.definitions.argument_docs import document_arguments
from headstart.pipelines.definitions.notification import notifies_at_end
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.placement import accelerator_limit_of, place_tasks
from headstart.pipelines.definitions.profile import Profile
from headstart.pipelines.definitions.tasks import CHOOSE_BACKBONE

_DEFAULTS = Parameters()


def build_choice(profile: Profile, parallelism: int = 0) -> BaseComponent:
    """Builds the pipeline; choices that KFP cannot take as parameters at run time are made here.

    Args:
        profile: Cluster profile; kfp's local runner reads only its retries.
        parallelism: Largest number of backbones at the same time; 0: no limit.
    """
    on_data, on_network = profile.data, profile.network

    @dsl.pipeline(
        name=CHOOSE_BACKBONE,
        description="Ranks pretrained backbones on labelled images, without training a network: features once for "
        "each, and ridge regression out of fold. Test images are not used.",
    )
    @document_arguments
    @notifies_at_end(profile, CHOOSE_BACKBONE)
    def choose_backbone(
        data: List[str],
        backbones: List[str],
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
        budget: float = 0.0,
        recipe: str = _DEFAULTS.recipe,
        settings: Dict[str, Any] = _DEFAULTS.settings,
        image_size: int = _DEFAULTS.image_size,
        counts: List[int] = _DEFAULTS.counts,
        fractions: List[float] = _DEFAULTS.fractions,
        order: str = _DEFAULTS.order,
        class_counts: Dict[str, Any] = _DEFAULTS.class_counts,
        tiny_classes: str = _DEFAULTS.tiny_classes,
        seed: int = _DEFAULTS.seed,
        record_uri: str = _DEFAULTS.record_uri,
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
        """Ranks pretrained backbones on labelled images, without training a network."""
        listing = list_data(
            data=data,
            corrections=corrections,
            record_uri=record_uri,
            recipe=recipe,
            settings=settings,
            image_size=image_size,
            backbones=backbones,
            image_column=image_column,
            label_column=label_column,
            group_column=group_column,
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
        )
        train, validation = splits.outputs["train"], splits.outputs["validation"]
        measured = measure_backbones(
            train=train,
            validation=validation,
            backbones=backbones,
            recipe=recipe,
            settings=settings,
            image_size=image_size,
            budget=budget,
            record_uri=record_uri,
            accelerators=accelerator_limit_of("measure_backbones", profile, accelerator_limit),
        )
        measurement = measured.outputs["measurement"]
        with dsl.ParallelFor(backbones, name="backbones", parallelism=parallelism) as backbone:
            assessed = assess_backbone(
                train=train,
                validation=validation,
                measurement=measurement,
                backbone=backbone,
                recipe=recipe,
                settings=settings,
                image_size=image_size,
                seed=seed,
                record_uri=record_uri,
                accelerators=accelerator_limit_of("assess_backbone", profile, accelerator_limit),
            )
        ranking = rank_backbones(
            assessments=dsl.Collected(assessed.outputs["assessment"]), measurement=measurement, command=command
        )

        tasks = {
            "list_data": listing,
            "download_dataset": dataset,
            "split_dataset": splits,
            "measure_backbones": measured,
            "assess_backbone": assessed,
            "rank_backbones": ranking,
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

    return choose_backbone
