"""Pipeline `transfer_learning`: splits, a head on a frozen backbone, fine-tuning, evaluation, gate, publication."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from headstart.components.combine_folds.component import combine_folds
from headstart.components.compare_models.component import compare_models
from headstart.components.core.metrics.comparison import BETTER
from headstart.components.core.recipes.variants import HEAD
from headstart.components.deploy_model.component import deploy_model
from headstart.components.download_dataset.component import download_dataset
from headstart.components.evaluate_model.component import evaluate_model
from headstart.components.find_champion.component import find_champion
from headstart.components.fine_tune.component import fine_tune
from headstart.components.list_data.component import list_data
from headstart.components.list_data.step import PUBLISH_ALWAYS, PUBLISH_NEVER, PUBLISH_WHERE_ASKED
from headstart.components.publish_model.component import publish_model
from headstart.components.split_dataset.component import split_dataset
from headstart.components.train_folds.component import train_folds
from headstart.components.train_from_scratch.component import train_from_scratch
from headstart.components.train_head.component import train_head
from headstart.pipelines.definitions.argument_docs import document_arguments
from headstart.pipelines.definitions.notification import notifies_at_end
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.placement import accelerator_limit_of, place_tasks
from headstart.pipelines.definitions.profile import Profile
from headstart.pipelines.definitions.tasks import ANY_USE, TRANSFER_LEARNING, Uses

_DEFAULTS = Parameters()
_PUBLISHES = {None: PUBLISH_WHERE_ASKED, True: PUBLISH_ALWAYS, False: PUBLISH_NEVER}


def build_pipeline(
    profile: Profile, from_scratch: bool = False, uses: Uses = ANY_USE, folds_in_task: int = 1
) -> BaseComponent:
    """Builds the pipeline; choices that KFP cannot take as parameters at run time are made here.

    Args:
        profile: Cluster profile; kfp's local runner reads only its retries.
        from_scratch: Whether to train a small convnet without transfer as well, and show it in the report.
        uses: Purposes of its runs; tasks that they do not need are left out, since each costs two pods.
        folds_in_task: Number of cross-validation folds that one task trains; 0: all.
    """
    on_data, on_network = profile.data, profile.network

    @dsl.pipeline(
        name=TRANSFER_LEARNING,
        description="Turns labelled images into an image classifier: a new head on a pretrained backbone, "
        "then fine-tuning of the backbone's top layers.",
    )
    @document_arguments
    @notifies_at_end(profile, TRANSFER_LEARNING)
    def transfer_learning(
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
        recipe: str = _DEFAULTS.recipe,
        settings: Dict[str, Any] = _DEFAULTS.settings,
        backbone: str = _DEFAULTS.backbone,
        weights: str = _DEFAULTS.weights,
        image_size: int = _DEFAULTS.image_size,
        counts: List[int] = _DEFAULTS.counts,
        fractions: List[float] = _DEFAULTS.fractions,
        order: str = _DEFAULTS.order,
        class_counts: Dict[str, Any] = _DEFAULTS.class_counts,
        tiny_classes: str = _DEFAULTS.tiny_classes,
        folds: str = _DEFAULTS.folds,
        seed: int = _DEFAULTS.seed,
        record_uri: str = _DEFAULTS.record_uri,
        deterministic: bool = _DEFAULTS.deterministic,
        checkpoint_uri: str = _DEFAULTS.checkpoint_uri,
        false_alarm: float = _DEFAULTS.false_alarm,
        champion: str = _DEFAULTS.champion,
        publish_uri: str = _DEFAULTS.publish_uri,
        level: float = _DEFAULTS.level,
        min_accuracy: float = _DEFAULTS.min_accuracy,
        min_recall: float = _DEFAULTS.min_recall,
        max_slice_drop: float = _DEFAULTS.max_slice_drop,
        exports: List[str] = _DEFAULTS.exports,
        registry_url: str = _DEFAULTS.registry_url,
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
        """Trains and evaluates an image classifier."""
        listing = list_data(
            data=data,
            corrections=corrections,
            publish_uri=publish_uri,
            champion=champion,
            exports=exports,
            level=level,
            min_accuracy=min_accuracy,
            min_recall=min_recall,
            max_slice_drop=max_slice_drop,
            record_uri=record_uri,
            checkpoint_uri=checkpoint_uri,
            recipe=recipe,
            settings=settings,
            backbone=backbone,
            weights=weights,
            image_size=image_size,
            publishes=_PUBLISHES[uses.publication],
            image_column=image_column,
            label_column=label_column,
            group_column=group_column,
            false_alarm=false_alarm,
            folds=folds,
            has_folds=uses.folds,
            registry_url=registry_url,
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
            folds_in_task=folds_in_task,
        )
        train, validation, test = (splits.outputs[name] for name in ("train", "validation", "test"))
        tasks = {"list_data": listing, "download_dataset": dataset, "split_dataset": splits}
        in_use = champion
        if uses.champion:
            found = tasks["find_champion"] = find_champion(test=test, publish_uri=publish_uri, champion=champion)
            in_use = found.set_caching_options(False).output
        chosen = {}
        if uses.folds:
            with dsl.ParallelFor(
                splits.outputs["Output"], name="folds", parallelism=profile.parallel_folds
            ) as numbers:
                of_folds = tasks["train_folds"] = train_folds(
                    train=train,
                    folds=numbers,
                    method=uses.method,
                    recipe=recipe,
                    settings=settings,
                    backbone=backbone,
                    weights=weights,
                    image_size=image_size,
                    seed=seed,
                    record_uri=record_uri,
                    deterministic=deterministic,
                    checkpoint_uri=checkpoint_uri,
                    accelerators=accelerator_limit_of("train_folds", profile, accelerator_limit),
                )
            combined = tasks["combine_folds"] = combine_folds(
                train=train, results=dsl.Collected(of_folds.outputs["results"])
            )
            chosen = {"folds": combined.outputs["combined"]}
        head = train_head(
            train=train,
            validation=validation,
            recipe=recipe,
            settings=settings,
            backbone=backbone,
            weights=weights,
            image_size=image_size,
            seed=seed,
            record_uri=record_uri,
            deterministic=deterministic,
            checkpoint_uri=checkpoint_uri,
            accelerators=accelerator_limit_of("train_head", profile, accelerator_limit),
            to_be_tuned=uses.method != HEAD,
            **chosen,
        )
        tasks["train_head"] = head
        models = {"model": head.outputs["model"]}
        if uses.method != HEAD:
            tuned = tasks["fine_tune"] = fine_tune(
                head=head.outputs["model"],
                train=train,
                validation=validation,
                recipe=recipe,
                settings=settings,
                seed=seed,
                record_uri=record_uri,
                deterministic=deterministic,
                checkpoint_uri=checkpoint_uri,
                accelerators=accelerator_limit_of("fine_tune", profile, accelerator_limit),
                **chosen,
            )
            models = {"model": tuned.outputs["model"], "head": head.outputs["model"]}
        first_trainings = [head]
        if from_scratch:
            scratch = train_from_scratch(
                train=train,
                validation=validation,
                recipe=recipe,
                settings=settings,
                backbone=backbone,
                image_size=image_size,
                seed=seed,
                deterministic=deterministic,
                checkpoint_uri=checkpoint_uri,
                accelerators=accelerator_limit_of("train_from_scratch", profile, accelerator_limit),
            )
            models["from_scratch"] = scratch.outputs["model"]
            tasks["train_from_scratch"] = scratch
            first_trainings.append(scratch)
        if uses.champion:
            # The local runner takes tasks that do not depend on one another in any order.
            for training in first_trainings:
                training.after(found)
        evaluation = tasks["evaluate_model"] = evaluate_model(
            test=test, validation=validation, champion=in_use, command=command, false_alarm=false_alarm, **models
        )

        def publish() -> None:
            decided = tasks["compare_models"] = compare_models(
                evaluation=evaluation.outputs["evaluation"],
                level=level,
                min_accuracy=min_accuracy,
                min_recall=min_recall,
                max_slice_drop=max_slice_drop,
            )
            with dsl.If(decided.outputs["Output"] == BETTER, name="if-it-is-better"):
                published = tasks["publish_model"] = publish_model(
                    model=models["model"],
                    evaluation=evaluation.outputs["evaluation"],
                    test=test,
                    train=train,
                    decision=decided.outputs["decision"],
                    publish_uri=publish_uri,
                    exports=exports,
                    run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                    registry_url=registry_url,
                ).set_caching_options(False)
                if uses.deployment:
                    asked = uses.deployment.inputs()
                    tasks["deploy_model"] = deploy_model(
                        publish_uri=publish_uri,
                        publication=published.outputs["Output"],
                        **asked | {"registry": asked["registry"] or profile.registry},
                    ).set_caching_options(False)

        if uses.publication:
            publish()
        elif uses.publication is None:
            with dsl.If(publish_uri != "", name="if-there-is-where"):
                publish()

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

    return transfer_learning
