"""The pipeline: download and split, train a head on a frozen backbone, fine-tune it, evaluate, compare, publish."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from headstart.components.compare_models.component import compare_models
from headstart.components.core.metrics.comparison import BETTER
from headstart.components.download_dataset.component import download_dataset
from headstart.components.evaluate_model.component import evaluate_model
from headstart.components.find_champion.component import find_champion
from headstart.components.fine_tune.component import fine_tune
from headstart.components.list_data.component import list_data
from headstart.components.list_data.step import PUBLISH_ALWAYS, PUBLISH_NEVER, PUBLISH_WHERE_ASKED
from headstart.components.publish_model.component import publish_model
from headstart.components.split_dataset.component import split_dataset
from headstart.components.train_from_scratch.component import train_from_scratch
from headstart.components.train_head.component import train_head
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.placement import accelerators_of, place
from headstart.pipelines.definitions.profile import Profile
from headstart.pipelines.definitions.tasks import ANY_USE, TRANSFER_LEARNING, Uses

_DEFAULTS = Parameters()
_PUBLISHES = {None: PUBLISH_WHERE_ASKED, True: PUBLISH_ALWAYS, False: PUBLISH_NEVER}


def build_pipeline(profile: Profile, from_scratch: bool = False, uses: Uses = ANY_USE) -> BaseComponent:
    """Builds the pipeline; what KFP cannot take as a parameter at run time is decided here.

    Args:
        profile: What the stages ask of a cluster; kfp's local runner looks at its retries only.
        from_scratch: Whether to train a small convnet without transfer as well, and show it in the report.
        uses: What its runs are for; tasks that they have no use for are left out, since each costs two pods.
    """
    on_data, on_network = profile.data, profile.network

    @dsl.pipeline(
        name=TRANSFER_LEARNING,
        description="Turns labelled pictures into an image classifier: a new head on a pretrained backbone, "
        "then fine-tuning of the backbone's top layers.",
    )
    def transfer_learning(
        data: List[str],
        labels: str = _DEFAULTS.labels,
        class_level: int = _DEFAULTS.class_level,
        max_side: int = _DEFAULTS.max_side,
        max_bad_fraction: float = _DEFAULTS.max_bad_fraction,
        sha256: List[str] = _DEFAULTS.sha256,
        corrections: str = _DEFAULTS.corrections,
        image_column: str = _DEFAULTS.image_column,
        label_column: str = _DEFAULTS.label_column,
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
        seed: int = _DEFAULTS.seed,
        record_uri: str = _DEFAULTS.record_uri,
        deterministic: bool = _DEFAULTS.deterministic,
        checkpoint_uri: str = _DEFAULTS.checkpoint_uri,
        champion: str = _DEFAULTS.champion,
        publish_uri: str = _DEFAULTS.publish_uri,
        level: float = _DEFAULTS.level,
        min_accuracy: float = _DEFAULTS.min_accuracy,
        min_recall: float = _DEFAULTS.min_recall,
        max_slice_drop: float = _DEFAULTS.max_slice_drop,
        exports: List[str] = _DEFAULTS.exports,
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
        """Trains and evaluates an image classifier.

        Args:
            data: Sources of labelled pictures: folders or object prefixes, archives, manifests, Parquet; as paths
                that the pods see, or http(s)://, gs:// or s3:// addresses.
            labels: How classes are told: 'auto', 'given' (manifest, Parquet), 'folders', or 'names' (cat.1.jpg).
            class_level: Which folder of a file's path is its class, from 1, the topmost in the source; 0: the topmost
                that divides the pictures.
            max_side: Longest side of a picture that is kept, in pixels.
            max_bad_fraction: Share of the files that may be of no use before the run stops.
            sha256: The SHA-256 of each source that is a file, '' where unchecked; empty: none is checked.
            corrections: A CSV file of right classes of pictures, by id; empty: none.
            image_column: Column of manifests and Parquet that names or holds the picture; empty: by the usual names.
            label_column: Column of manifests and Parquet that has the class; empty: by the usual names.
            recipe: Name of a recipe, which has every hyperparameter, or its YAML.
            settings: Values of single keys of it, by their dotted names, as a JSON object: {"head.epochs": 5}.
            backbone: Name of a pretrained backbone; empty: the recipe's.
            weights: Its weights: empty for the recipe's or else its own, 'none', a file, or an http(s)://, gs:// or
                s3:// address.
            image_size: Side in pixels that images are resized to; 0: the recipe's, or else the backbone's own.
            counts: Images per class for train, validation and test; empty: go by fractions.
            fractions: Parts of each class for train, validation and test.
            order: 'hash' (by content), 'name' (natural order of file names) or 'given' (ready-made splits).
            class_counts: Images for train, validation and test by class, as a JSON object: {"cat": [100, 20, 20]};
                empty: the counts of all classes.
            tiny_classes: 'keep' puts a class of fewer than three pictures, or groups of near-duplicates, into train
                alone, 'leave_out' leaves it out.
            seed: Of everything drawn at random.
            record_uri: Where records of frozen features are kept for other runs: a gs:// or s3:// address, or a
                folder that the pods see; empty: nowhere.
            deterministic: Whether weights are the same to the last bit each time; false: as the recipe has it.
            checkpoint_uri: Where each epoch's state goes, and from where interrupted training goes on: a path that
                the pods see, or a gs:// or s3:// address; empty: nowhere.
            champion: The model in use, a model's folder, to compare with; empty: there is none, or a published one.
            publish_uri: Where models are published, to compare with the one in use there and to take its place; a
                path that the pods see, or a gs:// or s3:// address; empty: nowhere.
            level: Share of equal models that may be taken for better than the one in use, at most.
            min_accuracy: Accuracy that a model has to reach to be published. The first one also has to be shown
                better than always answering the most frequent class, unless this is 0; -1: not given.
            min_recall: Recall that it has to reach on each class.
            max_slice_drop: How much lower its accuracy may be than that of the one in use on any slice with 20 images
                that this one has not seen; 1: no matter.
            exports: Forms in which it is published: 'saved_model', 'litert', 'litert_int8', 'onnx'.
            command: What started the run, for the report.
            data_image: Container image of the stages that compute no network.
            data_cpu: CPU limit of each of their pods, as Kubernetes writes it; '0': no limit.
            data_memory: Memory limit, likewise.
            data_node_selector: Labels that a node for them must have, as a JSON object.
            data_tolerations: Taints that they put up with, as a JSON list.
            network_image: Container image of the stages that compute a network.
            network_cpu: CPU limit of each of their pods; '0': no limit.
            network_memory: Memory limit, likewise.
            network_node_selector: Labels that a node for them must have, as a JSON object.
            network_tolerations: Taints that they put up with, as a JSON list.
            accelerator_type: Resource name of the accelerator that they get.
            accelerator_limit: How many of them each pod gets, as text; '' or '0': none.
        """
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
        )
        splits = split_dataset(
            dataset=dataset.outputs["dataset"],
            counts=counts,
            fractions=fractions,
            order=order,
            seed=seed,
            class_counts=class_counts,
            tiny_classes=tiny_classes,
        )
        train, validation, test = (splits.outputs[name] for name in ("train", "validation", "test"))
        tasks = {"list_data": listing, "download_dataset": dataset, "split_dataset": splits}
        in_use = champion
        if uses.champion:
            found = tasks["find_champion"] = find_champion(test=test, publish_uri=publish_uri, champion=champion)
            in_use = found.set_caching_options(False).output
        # Stages that do not depend on one another the local runner takes in any order.
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
            accelerators=accelerators_of("train_head", profile, accelerator_limit),
        )
        tuned = fine_tune(
            head=head.outputs["model"],
            train=train,
            validation=validation,
            recipe=recipe,
            settings=settings,
            seed=seed,
            record_uri=record_uri,
            deterministic=deterministic,
            checkpoint_uri=checkpoint_uri,
            accelerators=accelerators_of("fine_tune", profile, accelerator_limit),
        )
        models = {"model": tuned.outputs["model"], "head": head.outputs["model"]}
        tasks |= {"train_head": head, "fine_tune": tuned}
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
                accelerators=accelerators_of("train_from_scratch", profile, accelerator_limit),
            )
            models["from_scratch"] = scratch.outputs["model"]
            tasks["train_from_scratch"] = scratch
        if uses.champion:
            for stage in ("train_head", "train_from_scratch"):
                if stage in tasks:
                    tasks[stage].after(found)
        evaluation = tasks["evaluate_model"] = evaluate_model(
            test=test, validation=validation, champion=in_use, command=command, **models
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
                tasks["publish_model"] = publish_model(
                    model=tuned.outputs["model"],
                    evaluation=evaluation.outputs["evaluation"],
                    test=test,
                    train=train,
                    decision=decided.outputs["decision"],
                    publish_uri=publish_uri,
                    exports=exports,
                    run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                ).set_caching_options(False)

        if uses.publication:
            publish()
        elif uses.publication is None:
            with dsl.If(publish_uri != "", name="if-there-is-where"):
                publish()

        asked = {
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
        for stage, task in tasks.items():
            place(task, stage, profile, asked)

    return transfer_learning
