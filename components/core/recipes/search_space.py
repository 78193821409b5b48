"""Search spaces: the keys of a recipe that a search varies, and the values that each may take."""

import dataclasses
import functools
import importlib.util
import math
import re
import types
import typing
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import BaseModel

from headstart.components.core.recipes.recipe import Recipe, apply_settings, list_recipe_keys
from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError

_LOGARITHMIC_RATIO = 10
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")
_LARGER_IMAGES = 1.25
_MULTIPLE = 32
"""Images whose side is a multiple of this fill the feature maps of nearly all backbones."""


@dataclasses.dataclass(frozen=True)
class Dimension:
    """A key that varies.

    Attributes:
        key: Dotted name of the key.
        values: Values to choose from; empty: it has a range.
        low: Least value of a range.
        high: Greatest value of a range.
        integer: Whether a range has whole numbers only.
    """

    key: str
    values: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    integer: bool = False

    @property
    def logarithmic(self) -> bool:
        """Whether factors count in the range and not differences: if it spans a factor of ten or more above 0."""
        return self.low > 0 and self.high / self.low >= _LOGARITHMIC_RATIO

    def contains(self, value: Any) -> bool:
        """Whether a value is one of the dimension's."""
        if self.values:
            return value in self.values
        return isinstance(value, int | float) and self.low <= value <= self.high

    def describe(self) -> str:
        """The dimension as `parse_dimension` reads it."""
        if self.values:
            return f"{self.key}={','.join(map(_format, self.values))}"
        return f"{self.key}={_format(self.low)}..{_format(self.high)}"


def check_optuna() -> None:
    """Refuses to search without Optuna.

    Raises:
        HeadstartError: If it is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise HeadstartError("search needs optuna, not installed here: pip install 'headstart[search]'")


def parse_dimension(text: str) -> Dimension:
    """Reads ``KEY=LOW..HIGH`` or ``KEY=VALUE,VALUE``; whether the recipe takes the values is not checked.

    Args:
        text: The dimension, such as ``fine_tuning.learning_rate=1e-5..1e-3`` or ``image_size=160,224``.

    Raises:
        HeadstartError: If it has another form, or the key is none of a recipe.
    """
    key, equals, values = text.partition("=")
    if not equals or not values.strip():
        raise HeadstartError(
            f"--vary {text!r}: give KEY=LOW..HIGH or KEY=VALUE,VALUE, such as fine_tuning.learning_rate=1e-5..1e-3"
        )
    kind = _find_type(key)
    if kind is None:
        raise HeadstartError(f"--vary {text!r}: no such key; {did_you_mean(key, _list_single_keys())}")
    if found := _RANGE.fullmatch(values.strip()):
        return _make_range(text, key, kind, found[1], found[2])
    choices = [_parse_value(text, word) for word in values.split(",") if word.strip()]
    if len(choices) < 2 or any(each in choices[:at] for at, each in enumerate(choices)):
        raise HeadstartError(f"--vary {text!r}: give two or more values, each once, or a range LOW..HIGH")
    return Dimension(key, tuple(choices))


def larger_image_size(recipe: Recipe) -> int:
    """A side of images, in pixels, that is about a quarter larger than that of a recipe, which is resolved."""
    return _MULTIPLE * math.ceil(_LARGER_IMAGES * recipe.image_size / _MULTIPLE)


def default_space(recipe: Recipe, image_sizes: bool) -> list[Dimension]:
    """The keys that matter most in fine-tuning, around the values of a recipe.

    Args:
        recipe: The recipe, resolved.
        image_sizes: Whether the backbone takes images of `larger_image_size`, too.
    """
    tuning = recipe.fine_tuning
    cuts = dict.fromkeys((tuning.unfreeze_from, "top", "top_third"))
    smoothings = dict.fromkeys((tuning.label_smoothing, 0.05, 0.1))
    augmentations = dict.fromkeys((recipe.augmentation.rand_augment, 0.3))
    sizes = [Dimension("image_size", (recipe.image_size, larger_image_size(recipe)))] if image_sizes else []
    return [
        Dimension("fine_tuning.unfreeze_from", tuple(cuts)),
        Dimension("fine_tuning.learning_rate", low=tuning.learning_rate / 5, high=tuning.learning_rate * 5),
        Dimension("fine_tuning.epochs", low=max(1, tuning.epochs // 2), high=3 * tuning.epochs, integer=True),
        Dimension("fine_tuning.label_smoothing", tuple(smoothings)),
        Dimension("augmentation.rand_augment", tuple(augmentations)),
        *sizes,
    ]


def check_space(space: Sequence[Dimension], recipe: Recipe) -> None:
    """Refuses a space that names a key twice, or has a value that the recipe does not take.

    Raises:
        HeadstartError: If it does.
    """
    keys = [each.key for each in space]
    for dimension in space:
        if keys.count(dimension.key) > 1:
            raise HeadstartError(f"--vary {dimension.key}: given twice; give each key once, with all of its values")
        for value in dimension.values or (dimension.low, dimension.high):
            apply_settings(recipe, {dimension.key: value}).resolve()


def read_setting(recipe: Recipe, key: str) -> Any:
    """Reads the value of a key of a recipe by its dotted name."""
    return functools.reduce(getattr, key.split("."), recipe)


def _make_range(text: str, key: str, kind: type, low: str, high: str) -> Dimension:
    if kind not in (int, float):
        raise HeadstartError(f"--vary {text!r}: {key} is no number; give its values with commas between them")
    if kind is int and not all(re.fullmatch(r"[+-]?\d+", each) for each in (low, high)):
        raise HeadstartError(f"--vary {text!r}: {key} takes whole numbers; give a range of these")
    if not float(low) < float(high) < math.inf:
        raise HeadstartError(f"--vary {text!r}: {low} is not below {high}; give the least value first")
    return Dimension(key, low=float(low), high=float(high), integer=kind is int)


def _parse_value(text: str, word: str) -> Any:
    try:
        value = yaml.safe_load(word)
    except (yaml.YAMLError, ValueError):
        raise HeadstartError(f"--vary {text!r}: {word.strip()!r} is not valid YAML") from None
    # YAML 1.1 reads 1e-5 as text.
    return float(value) if isinstance(value, str) and re.fullmatch(_NUMBER, value) else value


def _find_type(key: str) -> type | None:
    """Type of the values of a key; None if there is no such key, or it is a section."""
    model: type[BaseModel] = Recipe
    *sections, name = key.split(".")
    for section in sections:
        annotation = model.model_fields[section].annotation if section in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return None
        model = annotation
    if name not in model.model_fields:
        return None
    kinds = _flatten(model.model_fields[name].annotation)
    if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
        return None
    return next((kind for kind in (float, int) if kind in kinds), str)


def _flatten(annotation: Any) -> list[Any]:
    """Types that an annotation is made of, without what `Annotated` adds."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _flatten(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [kind for each in typing.get_args(annotation) for kind in _flatten(each)]
    return [annotation]


def _list_single_keys() -> list[str]:
    return [key for key in list_recipe_keys() if _find_type(key) is not None]


def _format(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
