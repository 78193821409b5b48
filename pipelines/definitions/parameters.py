"""Parameters of the pipelines: the one place with their names, types, defaults and documentation.

The documentation of the pipelines' arguments, the options of the commands with their help, and the tables in the docs
are made from it.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from headstart.components.core.backbones.table import (
    BACKBONES,
    HUB_HANDLES,
    HUB_PREFIX,
    NO_WEIGHTS,
    get_backbone,
    is_own_network,
)
from headstart.components.core.backbones.weights_files import find_preset_in_weights_folder
from headstart.components.core.metrics.false_alarms import FALSE_ALARM, check_false_alarm
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
from headstart.components.core.registry.model_registry import check_registry_url
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
from headstart.components.download_dataset.settings import DownloadSettings
from headstart.components.split_dataset.settings import SplitSettings, SplitSizes

_WRITTEN = ("publish_uri", "record_uri", "checkpoint_uri")
_PLACES = ("corrections", "champion", *_WRITTEN)
_OF_PUBLICATION = ("level", "min_accuracy", "min_recall", "max_slice_drop", "exports", "registry_url")
_SEEDS = 2**32


@dataclasses.dataclass(frozen=True)
class ParameterDoc:
    """Documentation of a parameter.

    Attributes:
        group: Group of the parameter: ``data``, ``training`` or ``publishing``.
        meaning: Meaning, for the pipeline and the command line alike.
        on_command_line: Sentences that only the command line needs.
        in_pipeline: Sentences that only the pipeline needs.
        option: Name of the option without dashes; empty: the parameter's own.
    """

    group: str
    meaning: str
    on_command_line: str = ""
    in_pipeline: str = ""
    option: str = ""

    @property
    def option_help(self) -> str:
        """Help of the option."""
        return f"{self.meaning} {self.on_command_line}".strip()

    @property
    def argument_help(self) -> str:
        """Documentation of the pipeline's argument."""
        return f"{self.meaning} {self.in_pipeline}".strip()


DATA, TRAINING, PUBLISHING = PARAMETER_GROUPS = ("data", "training", "publishing")
"""Groups of parameters; the docs have a table of each."""


class Parameters(BaseModel):
    """Parameters of a run; the fields are the pipeline's parameters of the same names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Annotated[
        list[str],
        ParameterDoc(
            DATA,
            "Labelled images: a folder of class folders, a zip or tar archive, a CSV or JSON-lines manifest (image, "
            "label), or image Parquet; a path, or an http(s)://, gs:// or s3:// address.",
            "Repeat it for several sources.",
            "Paths must be visible to the pods.",
        ),
    ] = []
    labels: Annotated[
        str,
        ParameterDoc(
            DATA,
            "Source of the classes: 'auto', 'given' (by manifest or Parquet), 'folders', or 'names' (cat.1.jpg).",
        ),
    ] = "auto"
    class_level: Annotated[
        int,
        ParameterDoc(
            DATA,
            "Folder of a file's path that is its class: 1 is the topmost folder in the source, 2 the one inside it; "
            "0: the topmost that divides the images.",
        ),
    ] = 0
    max_side: Annotated[
        int, ParameterDoc(DATA, "Longest side of an image that is kept, in pixels; larger images are reduced.")
    ] = 512
    max_bad_fraction: Annotated[
        float,
        ParameterDoc(
            DATA,
            "Largest share of unusable files; with more of them the run stops. Copies, and images that the "
            "corrections leave out, do not count.",
        ),
    ] = 0.1
    sha256: Annotated[
        list[str],
        ParameterDoc(
            DATA,
            "Expected SHA-256 of each source that is a file, '' where unchecked.",
            "Give it once for each --data.",
            "Empty: no source is checked.",
        ),
    ] = []
    corrections: Annotated[
        str,
        ParameterDoc(
            DATA,
            "CSV file of right classes with the columns id and label, such as label_errors.csv of a run; a path or "
            "an address.",
            in_pipeline="Empty: none.",
        ),
    ] = ""
    accept_suggestions: Annotated[
        float,
        ParameterDoc(
            DATA,
            "Least confidence from which classes that the corrections suggest are taken unread, such as 0.9; the run "
            "says how many, and how many of them are expected to be wrong. -1: none is taken.",
        ),
    ] = DownloadSettings.accept_suggestions
    image_column: Annotated[
        str,
        ParameterDoc(
            DATA,
            "Column of manifests and Parquet that names or holds the image; if left out, 'image' and other usual "
            "names are tried.",
        ),
    ] = ""
    label_column: Annotated[
        str,
        ParameterDoc(
            DATA,
            "Column of manifests and Parquet that has the class; if left out, 'label' and other usual names are "
            "tried.",
        ),
    ] = ""
    group_column: Annotated[
        str,
        ParameterDoc(
            DATA,
            "Column of manifests and Parquet that names the group of an image, such as its patient; a group is never "
            "divided between training and test. If left out, a column 'group', if there is one.",
        ),
    ] = ""
    group_from: Annotated[
        str,
        ParameterDoc(
            DATA,
            "Regular expression whose first pair of parentheses takes the group out of an image's path, such as "
            "'(patient\\d+)', or 'parent': the folder below the class.",
            in_pipeline="Empty: none.",
        ),
    ] = ""
    strict_groups: Annotated[
        bool,
        ParameterDoc(DATA, "Whether a ready-made split that divides groups is refused; otherwise the run says so."),
    ] = SplitSettings.strict_groups
    recipe: Annotated[
        str,
        ParameterDoc(
            TRAINING,
            "Recipe with every hyperparameter.",
            f"One of {', '.join(list_recipes())}, or a file; see headstart recipes.",
            "The name of one that comes with Headstart, or YAML.",
        ),
    ] = DEFAULT_RECIPE
    settings: Annotated[
        dict[str, Any],
        ParameterDoc(
            TRAINING,
            "Values of single keys of the recipe, by their dotted names.",
            "Give KEY=VALUE, such as head.epochs=5; repeat it for several keys.",
            'A JSON object, such as {"head.epochs": 5}.',
            option="set",
        ),
    ] = {}
    backbone: Annotated[
        str,
        ParameterDoc(
            TRAINING,
            "Pretrained backbone; if left out, the recipe's.",
            f"One of {', '.join(BACKBONES)}; a preset of KerasHub: hub:NAME, or hub: and a folder or the address of "
            "one; or a network of your own: a .keras file, or the http(s)://, gs:// or s3:// address of one.",
            "Also a preset of KerasHub, hub: and its name or address, or a network of the user's own, by the address "
            "of a .keras file.",
        ),
    ] = ""
    weights: Annotated[
        str,
        ParameterDoc(
            TRAINING,
            "Weights of the backbone: a file, an http(s)://, gs:// or s3:// address, or 'none'; if left out, the "
            "recipe's, or else the backbone's own.",
        ),
    ] = ""
    image_size: Annotated[
        int,
        ParameterDoc(
            TRAINING,
            "Side in pixels to which images are resized; 0: the recipe's, or else the backbone's own.",
        ),
    ] = 0
    counts: Annotated[
        list[int],
        ParameterDoc(
            DATA,
            "Images per class for train, validation and test.",
            "For example 1000,500,500; {cat: [100,20,20], dog: [300,50,50]}, or a YAML file of that, gives each "
            "class its own.",
            "Empty: by fractions.",
        ),
    ] = []
    fractions: Annotated[
        list[float],
        ParameterDoc(DATA, "Parts of each class for train, validation and test, unless counts are given."),
    ] = [0.7, 0.15, 0.15]
    order: Annotated[
        str,
        ParameterDoc(
            DATA,
            "Order in which images are dealt to the splits: 'hash' (by content), 'name' (in natural order of file "
            "names) or 'given' (the source's own train, validation and test folders).",
        ),
    ] = "hash"
    class_counts: Annotated[
        dict[str, list[int]],
        ParameterDoc(
            DATA,
            "Images for train, validation and test by class.",
            in_pipeline='A JSON object, such as {"cat": [100, 20, 20]}; empty: the counts of all classes.',
        ),
    ] = {}
    tiny_classes: Annotated[
        str,
        ParameterDoc(
            DATA,
            "Treatment of a class of fewer than three images, or groups of near-duplicates: 'keep' (in training, "
            "where nothing evaluates it) or 'leave_out'.",
        ),
    ] = SplitSettings.tiny_classes
    folds: Annotated[
        str,
        ParameterDoc(
            DATA,
            "Number of cross-validation folds over all images, in place of a test set: each image is predicted once, "
            "by a model that has seen neither it nor its group, and the final model is trained on all. 'auto': 5 "
            "where the test set would have fewer than 200 images, or 20 of a class. 0: none.",
        ),
        BeforeValidator(lambda given: str(given) if type(given) is int else given),
    ] = SplitSettings.cross_validation
    seed: Annotated[int, ParameterDoc(TRAINING, "Random seed for splitting, augmentation and initialisation.")] = 0
    record_uri: Annotated[
        str,
        ParameterDoc(
            TRAINING,
            "Feature cache that runs share: a folder, or a gs:// or s3:// address.",
            "If left out, a cache on this machine.",
            "The folder must be visible to the pods; empty: none.",
        ),
    ] = ""
    deterministic: Annotated[
        bool,
        ParameterDoc(
            TRAINING,
            "Whether weights are identical to the last bit each time, which is somewhat slower.",
            "If left out, the recipe's choice.",
            "False: as the recipe says.",
        ),
    ] = False
    checkpoint_uri: Annotated[
        str,
        ParameterDoc(
            TRAINING,
            "Place for the state of each epoch, from which interrupted training resumes: a folder, or a gs:// or "
            "s3:// address.",
            in_pipeline="The folder must be visible to the pods; empty: none.",
        ),
    ] = ""
    false_alarm: Annotated[
        float,
        ParameterDoc(
            TRAINING,
            "Largest share of new images like the validation images that may be flagged as unfamiliar; 0.01 takes "
            "299 validation images, and with fewer the share may be larger.",
        ),
    ] = FALSE_ALARM
    champion: Annotated[
        str,
        ParameterDoc(
            PUBLISHING,
            "Model in use, to compare with on the same test images: a model's folder, as a path or an address. Where "
            "models are published, it counts only until one is.",
            "The output folder of a run will do as well.",
            "Empty: none, or the published one.",
        ),
    ] = ""
    publish_uri: Annotated[
        str,
        ParameterDoc(
            PUBLISHING,
            "Place where models are published: a folder, or a gs:// or s3:// address. The new model is compared with "
            "the champion there, and replaces it if it is better.",
            in_pipeline="The folder must be visible to the pods; empty: none.",
            option="publish",
        ),
    ] = ""
    level: Annotated[
        float,
        ParameterDoc(PUBLISHING, "Largest share of equally good models that the gate may call better."),
    ] = Gate.level
    min_accuracy: Annotated[
        float,
        ParameterDoc(
            PUBLISHING,
            "Least accuracy on test images for a publication; -1: not given. The first model must also be shown "
            "better than always predicting the most frequent class, unless this is 0.",
        ),
    ] = Floors.min_accuracy
    min_recall: Annotated[
        float, ParameterDoc(PUBLISHING, "Least recall of each class on test images for a publication.")
    ] = Floors.min_recall
    max_slice_drop: Annotated[
        float,
        ParameterDoc(
            PUBLISHING,
            "Largest loss of accuracy against the champion on any slice with 20 images that the champion has not "
            "seen; 1: no limit.",
        ),
    ] = Floors.max_slice_drop
    exports: Annotated[
        list[str],
        ParameterDoc(
            PUBLISHING,
            f"Forms in which the model is published: {', '.join(EXPORT_FORMATS)}; the first is always made.",
            "Repeat it for several.",
            option="export",
        ),
    ] = [SAVED_MODEL_ALONE]
    registry_url: Annotated[
        str,
        ParameterDoc(
            PUBLISHING,
            "Kubeflow Model Registry in which published versions are registered: its http(s):// address, without a "
            "token.",
            in_pipeline="Empty: none.",
        ),
    ] = ""

    def check(self) -> None:
        """Refuses at once, by the steps' own checks, values that a step would refuse after some work.

        Raises:
            HeadstartError: If a value is wrong whatever the data are.
        """
        self._check_places(self.read_recipe().resolve())
        settings = DownloadSettings(
            *(self.labels, self.max_side, self.max_bad_fraction, self.sha256, self.corrections, self.class_level),
            accept_suggestions=self.accept_suggestions,
            group_column=self.group_column,
            group_from=self.group_from,
        )
        if self.data:
            settings.digests(self.data)
        if not 0 <= self.seed < _SEEDS:
            raise HeadstartError(f"seed {self.seed}: give a whole number from 0 to {_SEEDS - 1}")
        sizes = SplitSizes(self.counts, self.fractions, self.class_counts)
        SplitSettings(sizes, self.order, tiny_classes=self.tiny_classes, cross_validation=self.folds)
        check_false_alarm(self.false_alarm)
        Gate(self.level, floors=Floors(self.min_accuracy, self.min_recall, self.max_slice_drop))
        check_formats(self.exports)
        check_registry_url(self.registry_url)
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
        refuse_substitutions(texts)

    def _check_places(self, recipe: Recipe) -> None:
        if "" in self.data:
            raise HeadstartError("data '' names no source; pass a folder, an archive, or an address")
        read = [*(("data", each) for each in self.data), ("weights", recipe.weights), ("backbone", recipe.backbone)]
        for name, value in read + [(name, getattr(self, name)) for name in _PLACES]:
            check_address(value, name)
        for name in _WRITTEN:
            if scheme_of(value := getattr(self, name)) not in WRITABLE_SCHEMES:
                raise HeadstartError(
                    f"{name} {without_secrets(value)!r} cannot be written to; give a folder, a gs:// or s3:// address"
                )
        if "'" in self.publish_uri or '"' in self.publish_uri:
            raise HeadstartError(f"publish {self.publish_uri!r}: KFP's conditions cannot hold quotes; rename it")

    def read_recipe(self) -> Recipe:
        """Reads the recipe, with the values of single keys that these parameters change.

        Raises:
            HeadstartError: If the recipe does not exist, or it or a setting is wrong.
        """
        recipe = load_recipe(self.recipe, self.settings)
        return recipe.override(
            backbone=self.backbone,
            weights=self.weights,
            image_size=self.image_size,
            deterministic=self.deterministic,
        )

    def embed_recipe(self) -> "Parameters":
        """A copy with the content of a recipe's file in the place of its path, which no pod would find."""
        if self.recipe in list_recipes():
            return self
        return self.model_copy(update={"recipe": dump_recipe(read_recipe_values(self.recipe))})

    def resolve_local_paths(self) -> "Parameters":
        """A copy with absolute local paths, for steps that run in folders of their own.

        Raises:
            HeadstartError: If weights, corrections or champion do not exist, or an export needs a missing package.
        """
        check_packages(self.exports)
        training = self.read_recipe()
        get_backbone(training.backbone).check_weights(training.weights)
        file = expand_home(training.weights)
        weights = str(file.absolute()) if file.is_file() else self.weights
        here: dict[str, Any] = {"weights": weights}
        if is_own_network(training.backbone) and not is_remote(training.backbone):
            here["backbone"] = str(expand_home(training.backbone).absolute())
        elif (preset := get_backbone(training.backbone).preset) and not find_preset_in_weights_folder(preset):
            folder = expand_home(preset)
            here["backbone"] = f"{HUB_PREFIX}{folder.absolute()}" if folder.is_dir() else training.backbone
        if self.champion and not is_remote(self.champion):
            from headstart.components.core.registry.model_files import download_model

            with download_model(self.champion, "champion") as files:
                here["champion"] = str(files.model.absolute())
        for name in _WRITTEN:
            if (value := getattr(self, name)) and not is_remote(value):
                here[name] = str(expand_home(value).absolute())
        return self.resolve_data_paths().model_copy(update=here)

    def resolve_data_paths(self) -> "Parameters":
        """A copy with absolute local paths of the data and the corrections alone.

        Raises:
            HeadstartError: If the corrections do not exist.
        """
        data = [each if "://" in each else str(expand_home(each).absolute()) for each in self.data]
        here: dict[str, Any] = {"data": data}
        if self.corrections and not is_remote(self.corrections):
            here["corrections"] = str(expand_home(self.corrections).absolute())
            if not Path(here["corrections"]).exists():
                raise HeadstartError(f"corrections {self.corrections!r} does not exist; pass a path or an address")
        return self.model_copy(update=here)

    def check_for_pods(self, mounted: Sequence[str]) -> None:
        """Refuses paths of this machine, which pods cannot read.

        Args:
            mounted: Folders on volumes that the pods mount, as absolute paths.

        Raises:
            HeadstartError: If a source, the weights, a network of the user's own, the corrections, the champion or a
                place to write to is a path elsewhere, or an address with a password or a signature.
        """
        training = self.read_recipe()
        backbone = get_backbone(training.backbone)
        named = ("", NO_WEIGHTS, backbone.pretrained)
        paths = [("weights", training.weights)] if training.weights not in named else []
        # Pods download a preset by its name, as this machine does.
        named_preset = backbone.preset.startswith(HUB_HANDLES) or "/" not in backbone.preset
        place = backbone.file or ("" if named_preset else backbone.preset)
        paths += [("backbone", place)] if place else []
        paths += [(name, value) for name in _PLACES if (value := getattr(self, name))]
        for name, value in [*(("data", each) for each in self.data), *paths]:
            check_place_for_pods(name, value, mounted)


def refuse_substitutions(texts: Iterable[tuple[str, str]]) -> None:
    """Refuses texts that KFP would change on their way into a pod.

    Args:
        texts: Names and values of parameters.

    Raises:
        HeadstartError: If there is such a text.
    """
    for name, value in texts:
        if "{{" in value or "$(" in value:
            value = without_secrets(value)
            raise HeadstartError(f"{name} {value!r}: KFP substitutes '{{{{' and '$(' in parameters; rename it")


def check_place_for_pods(name: str, value: str, mounted: Sequence[str]) -> None:
    """Refuses a path of this machine, which pods cannot read.

    Args:
        name: Name of the parameter.
        value: Path or address.
        mounted: Folders on volumes that the pods mount, as absolute paths.

    Raises:
        HeadstartError: If it is a path elsewhere, or an address with a password or a signature.
    """
    if is_remote(value) and has_credentials(value):
        raise HeadstartError(
            f"{name} {without_secrets(value)!r} comes with a password or a signature, which everybody "
            "could read in the run's parameters; name a Secret in the profile, or pass an address that "
            "needs none"
        )
    if is_remote(value) or any(PurePosixPath(value).is_relative_to(folder) for folder in mounted):
        return
    where = f"below {' or '.join(mounted)}" if mounted else "on a volume that the profile mounts"
    raise HeadstartError(
        f"{name} {value!r} is a path of this machine, which pods do not see; pass a gs://, s3:// or "
        f"http(s):// address, or a path {where}"
    )


def parameter_docs() -> dict[str, ParameterDoc]:
    """Documentation of each parameter, by name."""
    return {name: field.metadata[0] for name, field in Parameters.model_fields.items()}


OPTION_NAMES = {name: (doc.option or name).replace("_", "-") for name, doc in parameter_docs().items()}
"""Name of each parameter's option, without dashes in front."""
