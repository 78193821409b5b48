import subprocess
import sys

import pytest

STARTED = """
import gc, sys
from headstart.components.core.networks.start import start_tensorflow
start_tensorflow()
print(sorted({"tensorflow", "keras", "sklearn"} & set(sys.modules)), gc.isenabled())
"""
WHOLE = """
import sys
from headstart.components.core.networks.start import start_tensorflow
start_tensorflow()
import keras, matplotlib.pyplot, pandas, tensorflow
from sklearn.base import BaseEstimator
assert issubclass(keras.wrappers.SKLearnClassifier, BaseEstimator)
assert issubclass(tensorflow.keras.wrappers.SKLearnClassifier, BaseEstimator)
keras.wrappers.SKLearnClassifier(keras.Sequential([keras.layers.Dense(1)]))
assert keras.visualization.plot_image_gallery and matplotlib.pyplot.figure and pandas.DataFrame({"a": [1]}).size
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_what_training_does_not_use_is_not_imported() -> None:
    assert run(STARTED) == "['keras', 'tensorflow'] True"


def test_keras_stays_whole() -> None:
    run(WHOLE)


@pytest.mark.parametrize("module", ["step", "component"])
def test_importing_a_step_starts_nothing(module: str) -> None:
    code = f"import sys, headstart.components.train_head.{module}; print('tensorflow' in sys.modules)"
    assert run(code) == "False"
