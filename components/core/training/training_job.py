"""A training job: a network, its data and settings, ready to fit."""

import dataclasses

import keras

from headstart.components.core.artifacts.dataset import DatasetInfo
from headstart.components.core.artifacts.history import Epoch
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.features.compute import Features
from headstart.components.core.networks.lora import LowRankCopy
from headstart.components.core.networks.saving import library_versions
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.checkpoint import Checkpoint
from headstart.components.core.training.fit import compile_classifier, fit
from headstart.components.core.training.fold_choice import FoldChoice
from headstart.components.core.training.training_inputs import TrainingInputs


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """One training phase, ready to fit.

    Attributes:
        inputs: Inputs of the step, the recipe resolved.
        train_info: Description of the training set.
        validation_info: Description of the validation set.
        plan: Hyperparameters and seed of this training phase.
        network: The whole classifier, which shares its weights with the tail.
        backbone: Name of the backbone, also of its layer in the network.
        tail: Model from the cached features to the classifier's output.
        train_features: Cached features of the training set.
        validation_features: Cached features of the validation set.
        checkpoint: Checkpoint of this job; None: there is none.
        held_out_features: Cached features of the images that the trained model predicts; None: there are none.
        choice: Choice of a cross-validation in place of validation images; None: validation images choose.
        low_rank: Copy of the tail with low-rank updates, which is trained in its place and merged into it; None: the
            tail itself is trained.
    """

    inputs: TrainingInputs
    train_info: DatasetInfo
    validation_info: DatasetInfo
    plan: Plan
    network: keras.Model
    backbone: str
    tail: keras.Model
    train_features: Features
    validation_features: Features
    checkpoint: Checkpoint | None = None
    held_out_features: Features | None = None
    choice: FoldChoice | None = None
    low_rank: LowRankCopy | None = None

    @property
    def trained(self) -> keras.Model:
        """The model whose variables training changes: the tail, or its copy with low-rank updates."""
        return self.low_rank.model if self.low_rank else self.tail

    def fit(self) -> list[Epoch]:
        """Trains the tail and leaves the weights of the best epoch; see `fit`.

        Raises:
            NoFiniteEpoch: If the loss is not finite in the first epoch.
        """
        sets = (self.train_features, self.validation_features)
        compile_classifier(self.tail)
        epochs = fit(self.trained, *sets, self.plan, self.checkpoint, self.choice)
        if self.low_rank:
            self.low_rank.merge()
        return epochs

    def describe(self, metrics: dict[str, float], seconds: float) -> ModelInfo:
        """The trained model's description, without what is known only once it is saved.

        Args:
            metrics: Figures on the validation set.
            seconds: Duration of the step in seconds; that of resumed epochs is added.
        """
        recipe = self.inputs.recipe
        return ModelInfo(
            stage=self.plan.phase,
            classes=self.train_info.classes,
            image_size=recipe.image_size,
            backbone=self.backbone,
            recipe=recipe.redact(),
            dataset={"train": self.train_info.digest, "validation": self.validation_info.digest},
            metrics=metrics,
            versions=library_versions(),
            seed=self.inputs.seed,
            seconds=seconds + (self.checkpoint.seconds if self.checkpoint else 0.0),
            max_side=self.train_info.max_side,
            ranges=self.train_info.ranges,
            class_counts={
                name: dict(zip(info.classes, info.counts, strict=True))
                for name, info in (("train", self.train_info), ("validation", self.validation_info))
            },
        )
