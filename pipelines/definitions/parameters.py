"""The pipeline's parameters that say what is learned from what: their names, defaults and meaning, in one place."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from headstart.components.core.backbones.table import BACKBONES, NO_WEIGHTS, get_backbone
from headstart.components.core.metrics.gate import Floors, Gate
from headstart.components.core.recipes.recipe import (
    DEFAULT_RECIPE,
    Recipe,
    dump_recipe,
    list_recipes,
    load_recipe,
    read_recipe_values,
)
from headstart.components.core.registry.export_formats import (
    EXPORT_FORMATS,
    SAVED_MODEL_ALONE,
    check_formats,
    check_packages,
)
from headstart.components.core.registry.model_files import download_model
from headstart.components.core.storage.stores import (
    WRITABLE_SCHEMES,
    check_address,
    has_credentials,
    is_remote,
    scheme_of,
    without_secrets,
)
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home
from headstart.components.download_dataset.step import DownloadSettings
from headstart.components.split_dataset.step import SplitSettings, SplitSizes

_WRITTEN = ("publish_uri", "record_uri", "checkpoint_uri")
_PLACES = ("corrections", "champion", *_WRITTEN)
_OF_PUBLICATION = ("level", "min_accuracy", "min_recall", "max_slice_drop", "exports")
_SEEDS = 2**32


class Parameters(BaseModel):
    """What a run learns, and from what; the fields are the pipeline's parameters of the same names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: list[str] = Field(
        [],
        description="Folder of class folders, zip or tar archive, CSV or JSON-lines manifest (image, label), or "
        "image Parquet: a path, or an http(s)://, gs:// or s3:// address. Give it several times for several sources.",
    )
    labels: str = Field(
        "auto",
        description="How classes are told: 'auto', 'given' (by manifest or Parquet), 'folders', or 'names' "
        "(cat.1.jpg).",
    )
    class_level: int = Field(
        0,
        description="Which folder of a file's path is its class: 1 is the topmost folder in the source, 2 the one in "
        "it; 0: the topmost that divides the pictures.",
    )
    max_side: int = Field(
        512, description="Longest side of a picture that is kept, in pixels; larger ones are reduced."
    )
    max_bad_fraction: float = Field(0.1, description="Share of the files that may be of no use before the run stops.")
    sha256: list[str] = Field(
        [], description="SHA-256 that a source has to have; one for each --data, '' where unchecked."
    )
    corrections: str = Field(
        "",
        description="CSV file with the columns id and label, such as the label_errors.csv of a run: right classes of "
        "pictures; a path or an address.",
    )
    image_column: str = Field(
        "",
        description="Column of manifests and Parquet that names or holds the picture; 'image' and other usual names "
        "are known.",
    )
    label_column: str = Field(
        "", description="Column of manifests and Parquet that has the class; 'label' and other usual names are known."
    )
    recipe: str = Field(
        DEFAULT_RECIPE,
        description=f"Every hyperparameter: {', '.join(list_recipes())}, or a file; see headstart recipes.",
    )
    settings: dict[str, Any] = Field(
        {}, description="KEY=VALUE, one key of the recipe, such as head.epochs=5. Give it several times for several."
    )
    backbone: str = Field("", description=f"Pretrained backbone: {', '.join(BACKBONES)}; the recipe's if left out.")
    weights: str = Field(
        "",
        description="The backbone's weights: a file, an http(s)://, gs:// or s3:// address, or 'none'; the recipe's, "
        "or else its own, if left out.",
    )
    image_size: int = Field(
        0, description="Side in pixels that images are resized to; 0: the recipe's, or else the backbone's own."
    )
    counts: list[int] = Field(
        [],
        description="Images per class for train, validation and test, such as 1000,500,500; or for each class its "
        "own, as {cat: [100,20,20], dog: [300,50,50]} or the name of a YAML file with that.",
    )
    fractions: list[float] = Field(
        [0.7, 0.15, 0.15], description="Parts of each class for train, validation and test, unless --counts is given."
    )
    order: str = Field(
        "hash",
        description="How images are dealt out: 'hash' (by content), 'name' (in natural order of their names) or "
        "'given' (the source's train, validation and test folders).",
    )
    class_counts: dict[str, list[int]] = Field(
        {}, description="Images for train, validation and test by class; what --counts by class becomes."
    )
    tiny_classes: str = Field(
        SplitSettings.tiny_classes,
        description="What becomes of a class of fewer than three pictures, or groups of near-duplicates: 'keep' (in "
        "training, where nothing evaluates it) or 'leave_out'.",
    )
    seed: int = Field(0, description="Of everything drawn at random.")
    record_uri: str = Field(
        "",
        description="Where what the frozen layers say of images is kept for other runs: a folder, or a gs:// or "
        "s3:// address; in a cache of this machine alone if left out.",
    )
    deterministic: bool = Field(
        False,
        description="Weights that are the same to the last bit each time, somewhat slower; the recipe's if left out.",
    )
    checkpoint_uri: str = Field(
        "",
        description="Where each epoch's state goes, so that training that was interrupted goes on from there when it "
        "is run again: a folder, or a gs:// or s3:// address.",
    )
    champion: str = Field(
        "",
        description="The model in use, to compare with on the same test images: a model's folder, as a path or an "
        "address; as a path also the output folder of a run. Where models are published, only as long as none is.",
    )
    publish_uri: str = Field(
        "",
        description="Where models are published: a folder, or a gs:// or s3:// address. The new model is compared "
        "with the one in use there, and takes its place if it is better.",
    )
    level: float = Field(
        Gate.level, description="Share of equal models that may be taken for better than the one in use, at most."
    )
    min_accuracy: float = Field(
        Floors.min_accuracy,
        description="Accuracy on test images that a model has to reach to be published. The first one also has to be "
        "shown better than always answering the most frequent class, unless 0 is given; -1: not given.",
    )
    min_recall: float = Field(
        Floors.min_recall, description="Recall on test images that it has to reach on each class."
    )
    max_slice_drop: float = Field(
        Floors.max_slice_drop,
        description="How much lower its accuracy may be than that of the model in use on any slice with 20 images "
        "that it has not seen; 1: no matter.",
    )
    exports: list[str] = Field(
        [SAVED_MODEL_ALONE],
        description=f"Form in which the model is published: {', '.join(EXPORT_FORMATS)}; the first there is always. "
        "Give it several times for several.",
    )

    def check(self) -> None:
        """Refuses at once, by the steps' own checks, what a step would refuse after some work.

        Raises:
            HeadstartError: A value is none that any data could make right.
        """
        self._check_places(self.training().resolve().weights)
        settings = DownloadSettings(
            self.labels, self.max_side, self.max_bad_fraction, self.sha256, class_level=self.class_level
        )
        if self.data:
            settings.digests(self.data)
        if not 0 <= self.seed < _SEEDS:
            raise HeadstartError(f"seed {self.seed}: give a whole number from 0 to {_SEEDS - 1}")
        sizes = SplitSizes(self.counts, self.fractions, self.class_counts)
        SplitSettings(sizes, self.order, tiny_classes=self.tiny_classes)
        Gate(self.level, floors=Floors(self.min_accuracy, self.min_recall, self.max_slice_drop))
        check_formats(self.exports)
        defaults = Parameters()
        unread = [name for name in _OF_PUBLICATION if getattr(self, name) != getattr(defaults, name)]
        if unread and not self.publish_uri:
            raise HeadstartError(
                f"without --publish there is no use for {', '.join(unread)}; say where models are published, or "
                "leave that out"
            )
        texts = [(name, value) for name, value in self.model_dump().items() if isinstance(value, str)]
        texts += [("data", each) for each in self.data]
        texts += [(key, value) for key, value in self.settings.items() if isinstance(value, str)]
        for name, value in texts:
            if "{{" in value or "$(" in value:
                value = without_secrets(value)
                raise HeadstartError(f"{name} {value!r}: KFP substitutes '{{{{' and '$(' in parameters; rename it")

    def _check_places(self, weights: str) -> None:
        if "" in self.data:
            raise HeadstartError("data '' names no source; pass a folder, an archive, or an address")
        read = [*(("data", each) for each in self.data), ("weights", weights)]
        for name, value in read + [(name, getattr(self, name)) for name in _PLACES]:
            check_address(value, name)
        for name in _WRITTEN:
            if scheme_of(value := getattr(self, name)) not in WRITABLE_SCHEMES:
                raise HeadstartError(
                    f"{name} {without_secrets(value)!r} is no place to write to; give a folder, a gs:// or an s3:// "
                    "address"
                )
        if "'" in self.publish_uri or '"' in self.publish_uri:
            raise HeadstartError(f"publish {self.publish_uri!r}: KFP's conditions stumble over quotes; rename it")

    def training(self) -> Recipe:
        """The recipe that is trained by.

        Raises:
            HeadstartError: There is no such recipe, or something is wrong with it or the settings.
        """
        recipe = load_recipe(self.recipe, self.settings)
        return recipe.override(
            backbone=self.backbone,
            weights=self.weights,
            image_size=self.image_size,
            deterministic=self.deterministic,
        )

    def with_recipe_inside(self) -> "Parameters":
        """The same with the content of a recipe's file in the place of the file, which no pod would find."""
        if self.recipe in list_recipes():
            return self
        return self.model_copy(update={"recipe": dump_recipe(read_recipe_values(self.recipe))})

    def on_this_machine(self) -> "Parameters":
        """The same with local paths made absolute, for steps that run in folders of their own.

        Raises:
            HeadstartError: Weights, corrections or champion are not there, or packages that an export needs.
        """
        check_packages(self.exports)
        training = self.training()
        get_backbone(training.backbone).check_weights(training.weights)
        data = [each if "://" in each else str(expand_home(each).absolute()) for each in self.data]
        file = expand_home(training.weights)
        weights = str(file.absolute()) if file.is_file() else self.weights
        here: dict[str, Any] = {"data": data, "weights": weights}
        if self.corrections and not is_remote(self.corrections):
            here["corrections"] = str(expand_home(self.corrections).absolute())
            if not Path(here["corrections"]).exists():
                raise HeadstartError(f"corrections {self.corrections!r} does not exist; pass a path or an address")
        if self.champion and not is_remote(self.champion):
            with download_model(self.champion, "champion") as files:
                here["champion"] = str(files.model.absolute())
        for name in _WRITTEN:
            if (value := getattr(self, name)) and not is_remote(value):
                here[name] = str(expand_home(value).absolute())
        return self.model_copy(update=here)

    def check_for_pods(self, mounted: Sequence[str]) -> None:
        """Refuses paths of this machine, where pods read.

        Args:
            mounted: Folders on volumes that the pods mount, as absolute paths.

        Raises:
            HeadstartError: A source, the weights, corrections, the champion or what is to be written to are a
                path elsewhere, or an address with a password or a signature in it.
        """
        training = self.training()
        named = ("", NO_WEIGHTS, get_backbone(training.backbone).pretrained)
        paths = [("weights", training.weights)] if training.weights not in named else []
        paths += [(name, value) for name in _PLACES if (value := getattr(self, name))]
        for name, value in [*(("data", each) for each in self.data), *paths]:
            if is_remote(value) and has_credentials(value):
                raise HeadstartError(
                    f"{name} {without_secrets(value)!r} comes with a password or a signature, which would stand in "
                    "the run's parameters for all to read; name a Secret in the profile, or pass an address that "
                    "needs none"
                )
            if is_remote(value) or any(PurePosixPath(value).is_relative_to(folder) for folder in mounted):
                continue
            where = f"below {' or '.join(mounted)}" if mounted else "on a volume that the profile mounts"
            raise HeadstartError(
                f"{name} {value!r} is a path of this machine, which pods do not see; pass a gs://, s3:// or "
                f"http(s):// address, or a path {where}"
            )
