"""The second pipeline: several ways to train on one split, side by side."""

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
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.placement import accelerators_of, place
from headstart.pipelines.definitions.profile import Profile
from headstart.pipelines.definitions.tasks import COMPARE_METHODS

_DEFAULTS = Parameters()


def build_comparison(profile: Profile, parallelism: int = 0) -> BaseComponent:
    """Builds the pipeline; what KFP cannot take as a parameter at run time is decided here.

    Args:
        profile: What the stages ask of a cluster; kfp's local runner looks at its retries only.
        parallelism: How many variants may be under way at once; 0: as many as there is room for.
    """
    on_data, on_network = profile.data, profile.network

    @dsl.pipeline(
        name=COMPARE_METHODS,
        description="Trains image classifiers in several ways on one split of labelled pictures, and lays them side "
        "by side: validation pictures choose, test pictures compare.",
    )
    def compare_methods(
        data: List[str],
        labels: str = _DEFAULTS.labels,
        class_level: int = _DEFAULTS.class_level,
        max_side: int = _DEFAULTS.max_side,
        max_bad_fraction: float = _DEFAULTS.max_bad_fraction,
        sha256: List[str] = _DEFAULTS.sha256,
        corrections: str = _DEFAULTS.corrections,
        image_column: str = _DEFAULTS.image_column,
        label_column: str = _DEFAULTS.label_column,
        variants: List[Dict[str, Any]] = DEFAULT_VARIANTS,
        counts: List[int] = _DEFAULTS.counts,
        fractions: List[float] = _DEFAULTS.fractions,
        order: str = _DEFAULTS.order,
        class_counts: Dict[str, Any] = _DEFAULTS.class_counts,
        tiny_classes: str = _DEFAULTS.tiny_classes,
        seed: int = _DEFAULTS.seed,
        checkpoint_uri: str = _DEFAULTS.checkpoint_uri,
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
        """Trains image classifiers in several ways, and compares them.

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
            variants: What is trained, two at least, as a JSON list of objects: name; method, which is 'from_scratch',
                'head' or 'fine_tuned'; and, where they differ from the default, recipe, settings, backbone, weights
                and image_size.
            counts: Images per class for train, validation and test; empty: go by fractions.
            fractions: Parts of each class for train, validation and test.
            order: 'hash' (by content), 'name' (natural order of file names) or 'given' (ready-made splits).
            class_counts: Images for train, validation and test by class, as a JSON object: {"cat": [100, 20, 20]};
                empty: the counts of all classes.
            tiny_classes: 'keep' puts a class of fewer than three pictures, or groups of near-duplicates, into train
                alone, 'leave_out' leaves it out.
            seed: Of everything drawn at random.
            checkpoint_uri: Where each epoch's state goes, and from where interrupted training goes on: a path that
                the pods see, or a gs:// or s3:// address; empty: nowhere.
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
            variants=variants,
            checkpoint_uri=checkpoint_uri,
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
        train, validation = splits.outputs["train"], splits.outputs["validation"]
        with dsl.ParallelFor(variants, name="variants", parallelism=parallelism) as variant:
            trained = train_variant(
                train=train,
                validation=validation,
                variant=variant,
                seed=seed,
                checkpoint_uri=checkpoint_uri,
                accelerators=accelerators_of("train_variant", profile, accelerator_limit),
            )
            evaluation = evaluate_model(
                model=trained.outputs["model"], test=splits.outputs["test"], validation=validation, command=command
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

    return compare_methods
