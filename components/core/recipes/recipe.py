"""Recipes: every hyperparameter of training, read from YAML and checked.

The default recipe, `fast`, has every key. Another recipe overrides some of them, and settings of single keys override
the recipe.
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
AUTO_VIEWS = -1
END_TO_END = 0

LORA_WAY_OUT = "set fine_tuning.method=full, or use a transformer, such as --backbone hub:dinov2_small"

_FOLDER = files("headstart.components.core.recipes")

# Each view costs a pass of every image through the frozen layers. On 2,000 photographs, further views gained nothing
# measurable; for a few hundred images they cost only seconds.
_TOTAL_VIEWS = 3_000
_MAX_VIEWS = 6

_PHASES = ("head", "fine_tuning", "from_scratch")
_DROPPED_IN = "0.1.0"
_DROPPED_KEYS: Mapping[str, float] = {f"{phase}.ema": 0 for phase in _PHASES} | {
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
    def _refuse_booleans_for_numbers(cls, values: Any) -> Any:
        # Numbers of other types are fine: JSON has floats only.
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, bool) and name in cls.model_fields and cls.model_fields[name].annotation is not bool:
                raise ValueError(f"{name} is {value}: expected a value other than true or false")
        return values


class Augmentation(_Strict):
    """Random augmentation of training images: small changes of the camera, drawn for each view.

    Attributes:
        horizontal_flip: Whether half of the views are mirrored.
        rotation: Greatest rotation to both sides, in degrees.
        width_shift: Greatest horizontal shift to both sides, as a share of the width.
        height_shift: Greatest vertical shift to both sides, as a share of the height.
        shear: Greatest slope to both sides: pixels of horizontal shift per pixel of height.
        zoom: Least and greatest relative change of the visible side; below 0 is nearer.
        keep_aspect: Whether width and height are zoomed by the same factor.
        fill: Fill mode of new pixels, by Keras' names.
        rand_augment: Strength of two additional RandAugment operations (E. Cubuk et al., arXiv:1909.13719); 0: none.
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


class TrainingSettings(_Strict):
    """Settings of one training phase.

    Attributes:
        class_weights: ``balanced``: each class counts alike in the loss, however many images it has; ``none``.
        augmented_views: Cached views of each training image, one plain and the others augmented. -1: as many as make
            about 3,000 in all, 1 to 6, in fine-tuning no more than there is room for. 0: no views are cached, and
            training runs end to end through the whole network, augmented anew in each epoch.
        epochs: Passes over the training images.
        steps_per_epoch: Batches per pass; 0: as many as show every image once.
        batch_size: Images per step.
        optimizer: Optimizer, by Keras' names.
        learning_rate: Peak of the schedule.
        schedule: ``cosine``: a linear warm-up over a tenth of the steps, then a cosine decay to 0; ``constant``.
        weight_decay: Decoupled weight decay, scaled by the learning rate.
        label_smoothing: Share of each target that is spread over the classes.
        mixup: Alpha of MixUp (H. Zhang et al., arXiv:1710.09412), end to end only; 0: none.
        patience: Epochs without a lower validation loss after which training stops; 0: it never does.
        precision: Precision of training. ``auto``: bfloat16 if it is clearly faster and hardly less exact, and never
            if deterministic. Weights stay float32, and the saved model computes in float32. Feature extraction
            always chooses like ``auto``.
    """

    class_weights: Literal["none", "balanced"]
    augmented_views: Annotated[int, Field(ge=AUTO_VIEWS)]
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
    def _check_mixup(self) -> "TrainingSettings":
        if self.mixup and self.augmented_views != END_TO_END:
            raise ValueError("mixup needs images, not cached features; set augmented_views to 0, end to end")
        return self

    def count_views(self, images: int) -> int:
        """Number of views to cache of each of `images` training images; 0: train end to end."""
        if self.augmented_views == AUTO_VIEWS:
            return max(1, min(_MAX_VIEWS, _TOTAL_VIEWS // images))
        return self.augmented_views


class HeadTraining(TrainingSettings):
    """Shape and training of the head; None stands for the backbone's own value.

    Attributes:
        pooling: Pooling of the feature map, see `Head`.
        hidden_units: Width of a hidden layer, see `Head`.
        dropout: Dropout before the output layer, see `Head`.
    """

    pooling: Literal["average", "flatten"] | None
    hidden_units: Annotated[int, Field(ge=0)] | None
    dropout: Share | None


class FineTuning(TrainingSettings):
    """Training of the backbone's top layers.

    Attributes:
        method: ``full``: all weights are trained, those of BatchNormalization aside. ``lora``: low-rank updates of
            the attention's queries and values, merged into the weights afterwards (E. Hu et al., arXiv:2106.09685),
            for transformers.
        lora_rank: Rank of these updates. The default is the authors' for RoBERTa.
        unfreeze_from: First layer or block that is trained; empty: the backbone's own choice.
    """

    method: Literal["full", "lora"]
    lora_rank: Annotated[int, Field(ge=1)]
    unfreeze_from: str


class FromScratch(TrainingSettings):
    """Shape and training of the small convnet.

    Attributes:
        scaling: Scaling of its pixels: ``tf``, by Keras' name, to [-1, 1]; ``unit``: pixels / 255.
        padding: Padding of its convolutions.
        hidden_units: Width of the ReLU layer before the output.
        dropout: Share of the ReLU layer's inputs that is dropped, where the source has it.
    """

    scaling: Literal["tf", "unit"]
    padding: Literal["same", "valid"]
    hidden_units: Annotated[int, Field(ge=1)]
    dropout: Share


class Recipe(_Strict):
    """All hyperparameters.

    Attributes:
        description: Description in one line, for the list of recipes.
        backbone: Name of the backbone, from the table of backbones, or the path or address of a `.keras` file.
        weights: Pretrained weights: empty for the backbone's own, ``none``, a file, or an address.
        weights_sha256: SHA-256 that these weights, or the `.keras` file, must have, in hexadecimal; empty: unchecked.
        image_size: Side of the input in pixels; 0: the backbone's own.
        scaling: Scaling of pixels 0-255. ``backbone``: the one that the weights were trained with. ``none``: pixels
            as they are. ``unit``: pixels / 255. ``tf128``: pixels / 128 - 1. By Keras' names, ``tf``: to [-1, 1];
            ``caffe``: BGR minus ImageNet's mean; ``torch``: minus ImageNet's mean, divided by its standard deviation.
            A network of the user's own needs one of the others where it does not scale pixels itself.
        augmentation: Augmentation of training images, in every phase.
        head: Settings of the head's training.
        fine_tuning: Settings of fine-tuning.
        from_scratch: Settings of the convnet without transfer.
        deterministic: Whether the same recipe, data and seed give the same weights to the last bit on the same kind
            of machine, which costs some speed.
    """

    description: str = ""
    backbone: str
    weights: str
    weights_sha256: Annotated[str, Field(pattern="^([0-9a-fA-F]{64})?$")]
    image_size: Annotated[int, Field(ge=0)]
    scaling: Literal["backbone", "none", "tf", "tf128", "caffe", "torch", "unit"]
    augmentation: Augmentation
    head: HeadTraining
    fine_tuning: FineTuning
    from_scratch: FromScratch
    deterministic: bool

    def resolve(self) -> "Recipe":
        """Replaces empty values, which stand for the backbone's own, by the backbone's.

        No file is read: the image size of a network of the user's own stays 0, see `core.recipes.own_network`.

        Raises:
            HeadstartError: If there is no such backbone, the image size is too small for it, or LoRA is asked of one
                of the table, which are convolutional networks.
        """
        backbone = get_backbone(self.backbone)
        if not backbone.is_own:
            self.check_method(f"backbone {backbone.name}", has_attention=False)
        own: dict[str, Any] = {
            "image_size": backbone.resolve_image_size(self.image_size),
            "head": self.head.model_copy(update=_backbone_head(self.head, backbone)),
        }
        if not self.fine_tuning.unfreeze_from:
            own["fine_tuning"] = self.fine_tuning.model_copy(update={"unfreeze_from": backbone.unfreeze_from})
        return self.model_copy(update=own)

    def check_method(self, backbone: str, has_attention: bool) -> None:
        """Refuses LoRA for a backbone without attention.

        Args:
            backbone: The backbone in messages.
            has_attention: Whether it is a transformer.

        Raises:
            HeadstartError: If the method is ``lora``, and it is none.
        """
        if self.fine_tuning.method == "lora" and not has_attention:
            raise HeadstartError(
                f"fine_tuning.method lora: {backbone} has no attention layers, whose projections LoRA adapts; "
                f"{LORA_WAY_OUT}"
            )

    def head_shape(self) -> Head:
        """Shape of the classifier; the recipe has to be resolved."""
        head = self.head
        return Head(head.pooling or "average", head.hidden_units or 0, head.dropout or 0.0)

    def redact(self) -> dict[str, Any]:
        """All values, the addresses of weights and backbone without their secrets."""
        return self.model_dump() | {name: without_secrets(getattr(self, name)) for name in ("weights", "backbone")}

    def override(self, **values: object) -> "Recipe":
        """Replaces values of top-level keys; an empty value or 0 keeps the recipe's."""
        return self.model_copy(update={name: value for name, value in values.items() if value})


def list_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))


def read_recipe_text(recipe: str) -> str:
    """Reads the YAML text of a recipe.

    Args:
        recipe: Name of a recipe that comes with the package, a file that ends in .yaml, or the YAML itself.

    Raises:
        HeadstartError: If there is no such recipe, or the file cannot be read.
    """
    if _is_yaml(recipe):
        return recipe
    if recipe.endswith((".yaml", ".yml")):
        return read_user_text(recipe, _named(recipe))
    if recipe not in list_recipes():
        hint = did_you_mean(recipe, list_recipes())
        raise HeadstartError(f"unknown recipe {recipe!r}; {hint} A file must end in .yaml")
    return (_FOLDER / f"{recipe}.yaml").read_text(encoding="utf-8")


def read_recipe_values(recipe: str) -> dict[str, Any]:
    """Reads the values that a recipe names, unchecked.

    Args:
        recipe: Name, file or YAML, see `read_recipe_text`.

    Raises:
        HeadstartError: If there is no such recipe, or it is not a mapping of keys to values.
    """
    return parse_yaml_mapping(read_recipe_text(recipe), _named(recipe), list(Recipe.model_fields))


def load_recipe(recipe: str = DEFAULT_RECIPE, settings: Mapping[str, Any] | None = None) -> Recipe:
    """Reads and checks a recipe.

    Args:
        recipe: Name, file or YAML, see `read_recipe_text`.
        settings: Values of single keys by their dotted names, such as ``head.epochs``.

    Raises:
        HeadstartError: If there is no such recipe, or a key is unknown or has a wrong value. The message names the
            key, and for an unknown one the nearest known key.
    """
    values = _overlay_settings(_overlay(_defaults(), read_recipe_values(recipe)), settings or {})
    return validate(Recipe, _without_dropped_keys(values, _named(recipe)), _named(recipe), list_recipe_keys())


def apply_settings(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """Replaces values of single keys of a recipe.

    Args:
        recipe: The recipe.
        settings: Values by the dotted names of their keys, such as ``head.epochs``.

    Raises:
        HeadstartError: If a key is unknown or has a wrong value.
    """
    return validate(Recipe, _overlay_settings(recipe.model_dump(), settings), "the recipe", list_recipe_keys())


def dump_recipe(recipe: Recipe | Mapping[str, Any]) -> str:
    """Formats a recipe as YAML."""
    values = recipe.model_dump() if isinstance(recipe, Recipe) else dict(recipe)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def list_recipe_keys(model: type[BaseModel] = Recipe) -> list[str]:
    """Dotted names of all keys, and of the sections that hold them."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += [f"{name}.{inner}" for inner in list_recipe_keys(field.annotation)]
    return keys


def _is_yaml(recipe: str) -> bool:
    return "\n" in recipe or ": " in recipe


def _named(recipe: str) -> str:
    return "the recipe" if _is_yaml(recipe) else f"recipe {recipe!r}"


@functools.cache
def _defaults() -> dict[str, Any]:
    return read_recipe_values(DEFAULT_RECIPE) | {"description": ""}


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _overlay(merged[name], value) if both else value
    return merged


def _overlay_settings(values: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Values with those of single keys, given by their dotted names, in their place."""
    for key, value in settings.items():
        values = _overlay(values, functools.reduce(lambda inner, name: {name: inner}, key.split(".")[::-1], value))
    return dict(values)


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


def _backbone_head(head: HeadTraining, backbone: Backbone) -> dict[str, Any]:
    """The backbone's values for what the recipe leaves open of the head."""
    return {
        name: getattr(backbone.head, name)
        for name in ("pooling", "hidden_units", "dropout")
        if getattr(head, name) is None
    }
