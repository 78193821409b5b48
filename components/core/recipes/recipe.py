"""Recipes: every hyperparameter of training, read from YAML and checked.

A recipe is laid over `fast`, the default, which names every key; settings of single keys are laid over the recipe.
"""

import functools
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from headstart.components.core.backbones.table import Backbone, Head, get_backbone
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.user_files import parse_yaml_mapping, read_user_text, validate

DEFAULT_RECIPE = "fast"
AUTO = -1
END_TO_END = 0

_FOLDER = files("headstart.components.core.recipes")

# Each view costs a pass of every image through the frozen layers. On 2,000 photographs more views than one gained
# nothing that could be measured; for a few hundred images they cost seconds.
_VIEWS_IN_ALL = 3_000
_MOST_VIEWS = 6

_PHASES = ("head", "fine_tuning", "from_scratch")
_DROPPED_IN = "0.1.0"
_DROPPED_KEYS: dict[str, float] = {f"{phase}.ema": 0 for phase in _PHASES} | {
    "fine_tuning.layer_decay": 1,
    "fine_tuning.gradual": False,
    "fine_tuning.pull": 0,
}
"""Keys that only earlier versions knew, each with the value that turned it off."""

Share = Annotated[float, Field(ge=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, values: Any) -> Any:
        # Numbers of other types are fine: all of JSON's come as floats.
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, bool) and name in cls.model_fields and cls.model_fields[name].annotation is not bool:
                raise ValueError(f"{name} is {value}: it is no yes or no")
        return values


class Augmentation(_Strict):
    """Random views of training images: small changes of the camera, each drawn anew.

    Attributes:
        horizontal_flip: Whether half of them are mirrored.
        rotation: To both sides, in degrees.
        width_shift: To both sides, as a share of the width.
        height_shift: Likewise, of the height.
        shear: Greatest slope to both sides: pixels of horizontal shift per pixel of height.
        zoom: Least and greatest change of the side of what is seen; below 0 is nearer.
        keep_aspect: Whether width and height are zoomed alike.
        fill: Where new pixels come from, by Keras' names.
        rand_augment: Strength of RandAugment's two operations (E. Cubuk et al., arXiv:1909.13719) besides; 0: none.
    """

    horizontal_flip: bool
    rotation: Annotated[float, Field(ge=0, le=180)]
    width_shift: Share
    height_shift: Share
    shear: Share
    zoom: Annotated[list[Annotated[float, Field(gt=-1, le=1)]], Field(min_length=2, max_length=2)]
    keep_aspect: bool
    fill: Literal["nearest", "reflect", "wrap", "constant"]
    rand_augment: Annotated[float, Field(ge=0, le=1)]


class Training(_Strict):
    """How one stage is trained.

    Attributes:
        class_weights: ``balanced``: each class counts alike in the loss, however many images it has.
        augmented_views: Recorded views of each training image: one plain, the others augmented; -1: as many as make
            about 3,000 in all, 1 to 6, in fine-tuning no more than there is room for; 0: none is recorded, and
            training passes the whole network, augmented anew.
        epochs: Passes over the training images.
        steps_per_epoch: Batches a pass; 0: as many as show every image once.
        batch_size: Images a step.
        optimizer: By Keras' names.
        learning_rate: Peak of the schedule.
        schedule: ``cosine``: a linear warm-up over a tenth of the steps, then a cosine to 0; ``constant``.
        weight_decay: Decoupled, and scaled by the learning rate.
        label_smoothing: Share of each target that is spread over the classes.
        mixup: Alpha of MixUp (H. Zhang et al., arXiv:1710.09412), end to end only; 0: none.
        patience: Epochs without a lower validation loss after which training stops; 0: it never does.
        precision: Of training; ``auto``: bfloat16 where it is clearly quicker and hardly less exact, and never if
            deterministic. The weights stay float32, and so does what the saved model computes in. Recording chooses
            for itself, like ``auto``.
    """

    class_weights: Literal["none", "balanced"]
    augmented_views: Annotated[int, Field(ge=AUTO)]
    epochs: Annotated[int, Field(ge=1)]
    steps_per_epoch: Annotated[int, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=1)]
    optimizer: Literal["adamw", "adam", "rmsprop", "sgd"]
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    schedule: Literal["cosine", "constant"]
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    label_smoothing: Share
    mixup: Annotated[float, Field(ge=0, le=1)]
    patience: Annotated[int, Field(ge=0)]
    precision: Literal["float32", "bfloat16", "auto"]

    @model_validator(mode="after")
    def _check(self) -> "Training":
        if self.mixup and self.augmented_views != END_TO_END:
            raise ValueError("mixup mixes images, which a record has none of; set augmented_views to 0, end to end")
        return self

    def views(self, images: int) -> int:
        """How many views of each of so many training images to record; 0: train end to end."""
        if self.augmented_views == AUTO:
            return max(1, min(_MOST_VIEWS, _VIEWS_IN_ALL // images))
        return self.augmented_views


class HeadTraining(Training):
    """How the head is built and trained; what is None is the backbone's own.

    Attributes:
        pooling: See `Head`.
        hidden_units: See `Head`.
        dropout: See `Head`.
    """

    pooling: Literal["average", "flatten"] | None
    hidden_units: Annotated[int, Field(ge=0)] | None
    dropout: Share | None


class FineTuning(Training):
    """How the backbone's top layers are trained.

    Attributes:
        unfreeze_from: First layer or block that is trained; empty: the backbone's own choice.
    """

    unfreeze_from: str


class FromScratch(Training):
    """How the small convnet is built and trained.

    Attributes:
        scaling: Of its pixels: ``tf``, by Keras' name, to [-1, 1]; ``unit``: pixels / 255.
        padding: Of its convolutions.
        hidden_units: Width of the ReLU layer before the output.
        dropout: Share of the ReLU layer's inputs that is dropped, where the source has it.
    """

    scaling: Literal["tf", "unit"]
    padding: Literal["same", "valid"]
    hidden_units: Annotated[int, Field(ge=1)]
    dropout: Share


class Recipe(_Strict):
    """Every hyperparameter.

    Attributes:
        description: One line for the list of recipes.
        backbone: A name from the table of backbones.
        weights: Its pretrained weights: empty for its own, ``none``, a file, or an address.
        weights_sha256: What the file or what is at the address must have, in hexadecimal; empty: anything.
        image_size: Side in pixels; 0: the backbone's own.
        scaling: ``backbone``: the preprocessing that its weights were made with; ``unit``: pixels / 255.
        augmentation: Of training images, in every stage.
        head: The stage of the head.
        fine_tuning: The stage of fine-tuning.
        from_scratch: The convnet without transfer.
        deterministic: Whether the same recipe, data and seed give the same weights to the last bit on the same kind
            of machine, at the price of some speed.
    """

    description: str = ""
    backbone: str
    weights: str
    weights_sha256: Annotated[str, Field(pattern="^([0-9a-fA-F]{64})?$")]
    image_size: Annotated[int, Field(ge=0)]
    scaling: Literal["backbone", "unit"]
    augmentation: Augmentation
    head: HeadTraining
    fine_tuning: FineTuning
    from_scratch: FromScratch
    deterministic: bool

    def resolved(self) -> "Recipe":
        """The same with the backbone's own choices in the place of what is left to it.

        Raises:
            HeadstartError: There is no such backbone, or the image size is too small for it.
        """
        backbone = get_backbone(self.backbone)
        own: dict[str, Any] = {
            "image_size": backbone.resolve_image_size(self.image_size),
            "head": self.head.model_copy(update=_shape(self.head, backbone)),
        }
        if not self.fine_tuning.unfreeze_from:
            own["fine_tuning"] = self.fine_tuning.model_copy(update={"unfreeze_from": backbone.unfreeze_from})
        return self.model_copy(update=own)

    def head_shape(self) -> Head:
        """The shape of the classifier, of a recipe that is `resolved`."""
        head = self.head
        return Head(head.pooling or "average", head.hidden_units or 0, head.dropout or 0.0)

    def shown(self) -> dict[str, Any]:
        """Every key as it may be shown to anyone: the weights' address without secrets."""
        return self.model_dump() | {"weights": without_secrets(self.weights)}

    def changed(self, **values: object) -> "Recipe":
        """The same with other values of top-level keys, but for those that are empty or 0."""
        return self.model_copy(update={name: value for name, value in values.items() if value})


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))


def recipe_text(recipe: str) -> str:
    """The YAML of a recipe.

    Args:
        recipe: Name of one that comes with the package, a file that ends in .yaml, or the YAML itself.

    Raises:
        HeadstartError: There is no such name, or the file cannot be read.
    """
    if _is_yaml(recipe):
        return recipe
    if recipe.endswith((".yaml", ".yml")):
        return read_user_text(recipe, _named(recipe))
    if recipe not in recipe_names():
        hint = did_you_mean(recipe, recipe_names())
        raise HeadstartError(f"unknown recipe {recipe!r}; {hint} A file must end in .yaml")
    return (_FOLDER / f"{recipe}.yaml").read_text(encoding="utf-8")


def recipe_values(recipe: str) -> dict[str, Any]:
    """What a recipe says, unchecked, without what it leaves out.

    Args:
        recipe: What `recipe_text` takes.

    Raises:
        HeadstartError: There is no such recipe, or it is no mapping of keys to values.
    """
    return parse_yaml_mapping(recipe_text(recipe), _named(recipe), list(Recipe.model_fields))


def load_recipe(recipe: str = DEFAULT_RECIPE, settings: Mapping[str, Any] | None = None) -> Recipe:
    """Reads and checks a recipe.

    Args:
        recipe: What `recipe_text` takes.
        settings: Values of single keys, by their dotted names, such as ``head.epochs``.

    Raises:
        HeadstartError: There is no such recipe, or it or the settings have an unknown key or a wrong value; the
            message names the key and, of an unknown one, the nearest that there is.
    """
    values = _laid_over(_defaults(), recipe_values(recipe))
    for key, value in (settings or {}).items():
        values = _laid_over(values, functools.reduce(lambda inner, name: {name: inner}, key.split(".")[::-1], value))
    return validate(Recipe, _without_dropped_keys(values, _named(recipe)), _named(recipe), recipe_keys())


def dump_recipe(recipe: Recipe | Mapping[str, Any]) -> str:
    """A recipe as YAML, every key in it."""
    values = recipe.model_dump() if isinstance(recipe, Recipe) else dict(recipe)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def recipe_keys(model: type[BaseModel] = Recipe) -> list[str]:
    """The dotted names of all keys, and of the sections that hold them."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += [f"{name}.{inner}" for inner in recipe_keys(field.annotation)]
    return keys


def _is_yaml(recipe: str) -> bool:
    return "\n" in recipe or ": " in recipe


def _named(recipe: str) -> str:
    return "the recipe" if _is_yaml(recipe) else f"recipe {recipe!r}"


@functools.cache
def _defaults() -> dict[str, Any]:
    return recipe_values(DEFAULT_RECIPE) | {"description": ""}


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _laid_over(merged[name], value) if both else value
    return merged


def _without_dropped_keys(values: Mapping[str, Any], recipe: str) -> dict[str, Any]:
    """Removes keys that only earlier versions knew, if they have the value that turned them off.

    Args:
        values: Values of a recipe, unchecked.
        recipe: Name of the recipe in messages.

    Raises:
        HeadstartError: If one of these keys has another value.
    """
    kept = dict(values)
    for key, off in _DROPPED_KEYS.items():
        phase, setting = key.split(".")
        section = kept.get(phase)
        if not isinstance(section, Mapping) or setting not in section:
            continue
        if not _is_number(section[setting], off):
            raise HeadstartError(
                f"{recipe}: {key} is {section[setting]!r}, and version {_DROPPED_IN} dropped this key, since no "
                "benchmark showed a gain; remove it from the recipe or the settings"
            )
        kept[phase] = {name: value for name, value in section.items() if name != setting}
    return kept


def _is_number(value: Any, number: float) -> bool:
    try:
        return float(value) == number
    except (TypeError, ValueError):
        return False


def _shape(head: HeadTraining, backbone: Backbone) -> dict[str, Any]:
    return {
        name: getattr(backbone.head, name)
        for name in ("pooling", "hidden_units", "dropout")
        if getattr(head, name) is None
    }
