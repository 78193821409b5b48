"""The pipeline: download and split, train a head on a frozen backbone, fine-tune its top layers, evaluate."""

from typing import List

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from headstart.components.download_dataset.component import download_dataset
from headstart.components.evaluate_model.component import evaluate_model
from headstart.components.fine_tune.component import fine_tune
from headstart.components.image import IMAGE
from headstart.components.split_dataset.component import split_dataset
from headstart.components.train_from_scratch.component import train_from_scratch
from headstart.components.train_head.component import train_head

RETRIES = 2

# KFP calls it the longest pause, and takes it for a deadline over all attempts.
_RETRY_DEADLINE = "604800s"


def build_pipeline(image: str = IMAGE, from_scratch: bool = False, retries: int = RETRIES) -> BaseComponent:
    """Builds the pipeline; what KFP cannot take as a parameter at run time is decided here.

    Args:
        image: Container image of every step.
        from_scratch: Whether to train a small convnet without transfer as well, and show it in the report.
        retries: How often a failed step is tried again.
    """

    @dsl.pipeline(
        name="transfer-learning",
        description="Turns labelled pictures into an image classifier: a new head on a pretrained backbone, "
        "then fine-tuning of the backbone's top layers.",
    )
    def transfer_learning(
        data: List[str],
        labels: str = "auto",
        max_side: int = 512,
        max_bad_fraction: float = 0.1,
        sha256: List[str] = [],  # noqa: B006 - KFP reads the default and never changes it
        backbone: str = "mobilenet_v2",
        weights: str = "",
        image_size: int = 0,
        counts: List[int] = [],  # noqa: B006
        fractions: List[float] = [0.7, 0.15, 0.15],  # noqa: B006
        order: str = "hash",
        head_epochs: int = 20,
        head_learning_rate: float = 0.001,
        unfreeze_from: str = "",
        fine_tune_epochs: int = 4,
        fine_tune_learning_rate: float = 0.0001,
        augmented_views: int = -1,
        batch_size: int = 32,
        seed: int = 0,
        accelerator_type: str = "nvidia.com/gpu",
        accelerator_limit: str = "1",
        cpu: str = "0",
        memory: str = "0",
    ) -> None:
        """Trains and evaluates an image classifier.

        Args:
            data: Sources of labelled pictures: folders or object prefixes, archives, manifests, Parquet; as paths
                that the pods see, or http(s)://, gs:// or s3:// addresses.
            labels: How classes are told: 'auto', 'given' (manifest, Parquet), 'folders', or 'names' (cat.1.jpg).
            max_side: Longest side of a picture that is kept, in pixels.
            max_bad_fraction: Share of the files that may be left out before the run stops.
            sha256: The SHA-256 of each source that is a file, '' where unchecked; empty: none is checked.
            backbone: Name of a pretrained backbone.
            weights: Its weights: empty for its own, 'none', a file, or an http(s)://, gs:// or s3:// address.
            image_size: Side in pixels that images are resized to; 0: the backbone's own.
            counts: Images per class for train, validation and test; empty: go by fractions.
            fractions: Parts of each class for train, validation and test.
            order: 'hash' (by content), 'name' (natural order of file names) or 'given' (ready-made splits).
            head_epochs: Passes over the training images while the head is trained.
            head_learning_rate: Peak of its schedule.
            unfreeze_from: First layer or block that is fine-tuned; empty: the backbone's own choice.
            fine_tune_epochs: Passes over the training images in fine-tuning.
            fine_tune_learning_rate: Peak of its schedule.
            augmented_views: Recorded views of each training image, one plain, the others augmented; -1: as many as
                pay.
            batch_size: Images a step of training.
            seed: Of everything drawn at random.
            accelerator_type: Resource name of the accelerator for the steps that compute a network.
            accelerator_limit: How many of them each such step gets, as text; '0': none.
            cpu: CPU limit of each step, as Kubernetes writes it; '0': no limit.
            memory: Memory limit of each step, likewise.
        """
        dataset = download_dataset(
            data=data, labels=labels, max_side=max_side, max_bad_fraction=max_bad_fraction, sha256=sha256
        )
        splits = split_dataset(
            dataset=dataset.outputs["dataset"], counts=counts, fractions=fractions, order=order, seed=seed
        )
        train, validation = splits.outputs["train"], splits.outputs["validation"]
        head = train_head(
            train=train,
            validation=validation,
            backbone=backbone,
            weights=weights,
            image_size=image_size,
            epochs=head_epochs,
            learning_rate=head_learning_rate,
            augmented_views=augmented_views,
            batch_size=batch_size,
            seed=seed,
        )
        tuned = fine_tune(
            head=head.outputs["model"],
            train=train,
            validation=validation,
            unfreeze_from=unfreeze_from,
            epochs=fine_tune_epochs,
            learning_rate=fine_tune_learning_rate,
            augmented_views=augmented_views,
            batch_size=batch_size,
            seed=seed,
        )
        models = {"model": tuned.outputs["model"], "head": head.outputs["model"]}
        networks = [head, tuned]
        if from_scratch:
            scratch = train_from_scratch(
                train=train,
                validation=validation,
                backbone=backbone,
                image_size=image_size,
                batch_size=batch_size,
                seed=seed,
            )
            models["from_scratch"] = scratch.outputs["model"]
            networks.append(scratch)
        evaluation = evaluate_model(test=splits.outputs["test"], **models)
        networks.append(evaluation)

        for task in networks:
            task.set_accelerator_type(accelerator_type).set_accelerator_limit(accelerator_limit)
        for task in (dataset, splits, *networks):
            task.set_container_image(image)
            task.set_cpu_limit(cpu).set_memory_limit(memory)
            if retries:
                task.set_retry(
                    retries,
                    backoff_duration="30s",
                    backoff_factor=2.0,
                    backoff_max_duration=_RETRY_DEADLINE,
                )

    return transfer_learning
