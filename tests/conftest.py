"""Fixtures: drawn pictures and the artifacts made of them, once a session; photographs where they are at hand."""

import gc
import inspect
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.drawn_images import PER_CLASS

from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.storage.cache import CACHE
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.download_dataset.step import download_dataset
from headstart.components.evaluate_model.step import EvaluationInputs, evaluate_model
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.components.train_head.step import train_head
from headstart.pipelines.sample.folder import draw_sample

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write the compiled pipelines anew; see the diff")


def pytest_configure(config: pytest.Config) -> None:
    """Gives each process of several, and what it starts, one thread: there is one process for each core.

    Threads that wait for one another keep a core busy, those of OpenBLAS most of all. The variables are set in the
    process that starts the others, before these import NumPy.
    """
    if config.getoption("numprocesses", None):
        for name in ("OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(name, "1")


# Both need the image, which takes minutes to build: a process that has nothing else to do would wait for it.
_AFTER_OTHERS = ("tests/containers/test_image.py", "tests/containers/test_weights.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves files that would wait for another process behind all but the unit tests, which end a run evenly."""

    def place(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        return 1 if file in _AFTER_OTHERS else 2 * file.startswith("tests/unit/")

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Takes all that was imported out of garbage collection, which would scan it again and again."""
    gc.freeze()


def _stack_without_source(context: int = 1) -> list[inspect.FrameInfo]:
    """The callers, as `inspect.stack` has them, but for the lines of their source."""
    frames, frame = [], sys._getframe(1)
    while frame:
        code = frame.f_code
        frames.append(inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None))
        frame = frame.f_back  # type: ignore[assignment]
    return frames


# At each setting of a task's resources kfp takes the name of a method from the whole stack. For the lines of source,
# which it does not use, Python searches the thousands of modules of a test process: seconds of each compilation.
inspect.stack = _stack_without_source  # type: ignore[assignment]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests keep from run to run is theirs alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the package logs: its lines do not reach the root logger."""
    logger = logging.getLogger("headstart")
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.INFO)
    yield caplog
    logger.removeHandler(caplog.handler)


HEAD_RECIPE = load_recipe(
    settings={
        "backbone": "sketchnet",
        "head.epochs": 8,
        "head.learning_rate": 1e-2,
        "head.augmented_views": 1,
        "head.batch_size": 16,
    }
)
SPLIT_SETTINGS = SplitSettings(SplitSizes([40, 10, 10], []))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn cats and dogs with Kaggle's names, broken files among them."""
    folder = tmp_path_factory.mktemp("pictures")
    draw_sample(folder, PER_CLASS, seed=1)
    return folder


@pytest.fixture(scope="session")
def dataset(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset") / "dataset"
    download_dataset([str(pictures)], folder, folder.parent / "hygiene.html")
    return folder


@pytest.fixture(scope="session")
def splits(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("splits")
    folders = {name: root / name for name in ("train", "validation", "test")}
    split_dataset(dataset, **folders, settings=SPLIT_SETTINGS)
    return folders


@pytest.fixture(scope="session")
def head(splits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model artifact of a trained head."""
    folder = tmp_path_factory.mktemp("head") / "model"
    train_head(TrainingInputs(splits["train"], splits["validation"], HEAD_RECIPE, seed=0), folder)
    return folder


@pytest.fixture(scope="session")
def run_output(head: Path, splits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves of a model: itself, and its evaluation."""
    folder = tmp_path_factory.mktemp("run")
    inputs = EvaluationInputs(model=head, test=splits["test"], validation=splits["validation"])
    evaluate_model(inputs, folder / "evaluation", folder / "report.html")
    shutil.copytree(head, folder / "model")
    return folder


@pytest.fixture(scope="session")
def photos() -> Path:
    """The archive of 4,000 real cats and dogs."""
    return _from_environment("HEADSTART_TEST_PHOTOS", "an archive of Kaggle's cat.1..2000.jpg and dog.1..2000.jpg")


@pytest.fixture(scope="session")
def mobilenet_v2_weights() -> Path:
    """ImageNet weights of MobileNetV2 without top."""
    return _from_environment(
        "HEADSTART_TEST_MOBILENET_V2", "MobileNetV2's ImageNet weights without top, a .weights.h5"
    )


def _from_environment(name: str, what: str) -> Path:
    if name not in os.environ:
        pytest.skip(f"{name} is not set to {what}")
    return Path(os.environ[name])
