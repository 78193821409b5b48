"""Values of a network's variables, read and set."""

from collections.abc import Sequence
from typing import Any

import keras
from numpy.typing import NDArray

Arrays = Sequence[NDArray[Any]]


def get_values(variables: list[keras.Variable]) -> Arrays:
    """Copies the present values of variables."""
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def set_values(variables: list[keras.Variable], values: Arrays) -> None:
    """Assigns values to variables, in their order."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def get_changing_variables(model: keras.Model) -> list[keras.Variable]:
    """Variables of a network that training changes: trainable weights, and states of random generators.

    Statistics of BatchNormalization are left out: these layers are frozen in training.
    """
    weights = {id(variable) for variable in model.weights}
    return [*model.trainable_variables, *(each for each in model.variables if id(each) not in weights)]
