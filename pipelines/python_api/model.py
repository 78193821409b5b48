"""A trained model that predicts, from an output folder, a model's folder, or where models are published."""

import contextlib
import dataclasses
import functools
import os
import warnings
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa
from PIL import Image

from headstart.components.core.artifacts.model import ModelInfo, read_model_info
from headstart.components.core.artifacts.predictions import PROBABILITY
from headstart.components.core.registry.model_files import download_model
from headstart.components.core.storage.stores import is_remote, without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home
from headstart.components.predict_images.step import check_paths, load_network, open_model, predict_given
from headstart.pipelines.local.tensorflow_import import hold_back_library_output, import_tensorflow
from headstart.pipelines.progress.command_progress import show_command
from headstart.pipelines.progress.notebook import NotebookConsole, in_notebook
from headstart.pipelines.python_api.html import table, text
from headstart.pipelines.python_api.options import PathLike, python_words
from headstart.pipelines.python_api.paths import show_path

if TYPE_CHECKING:
    from headstart.components.core.networks.inference import Predict

_ROWS_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Prediction for one image.

    Attributes:
        file: Path or address of the image; ``image 1``, ``image 2``, … for images given as values.
        label: Most probable class; None: the image is unreadable, or the model abstains.
        abstained: Whether the model abstains, as it is not sure enough for the wanted precision or the image is
            unfamiliar.
        probabilities: Probability of each class, calibrated where the model's evaluation allows it; empty: the image
            is unreadable.
        reason: Reason why the image is unreadable; empty: it was read.
        detail: The reason in full.
        unfamiliarity: Distance of the image's features from those of the training images, 0 to 2; None: the image is
            unreadable, or an earlier version trained the model.
        unfamiliar: Whether the unfamiliarity is above the threshold of the model's evaluation; None: there is none.
        abstention: Reason for abstaining: ``uncertain`` or ``unfamiliar``; empty: the model does not abstain.
    """

    file: str
    label: str | None
    abstained: bool
    probabilities: dict[str, float]
    reason: str = ""
    detail: str = ""
    unfamiliarity: float | None = None
    unfamiliar: bool | None = None
    abstention: str = ""

    @property
    def probability(self) -> float | None:
        """Probability of the most probable class; None: the image is unreadable."""
        return max(self.probabilities.values(), default=None)

    def __repr__(self) -> str:
        if self.reason:
            return f"{self.file}: {self.reason}: {self.detail}"
        return f"{self.file}: {self.label or '?'} ({self.probability:.3f}){', unfamiliar' if self.unfamiliar else ''}"


class Predictions(Sequence[Prediction]):
    """Predictions in the order of the images: a sequence of records, or rows, or columns.

    Args:
        columns: Table with the columns of `headstart predict --format parquet`.
        passed_over: Files that are no images, in words; empty: there were none.
    """

    def __init__(self, columns: pa.Table, passed_over: str = "") -> None:
        self._columns = columns
        self.passed_over = passed_over

    def __len__(self) -> int:
        return int(self._columns.num_rows)

    @overload
    def __getitem__(self, place: int) -> Prediction: ...

    @overload
    def __getitem__(self, place: slice) -> "Predictions": ...

    def __getitem__(self, place: int | slice) -> "Prediction | Predictions":
        rows = range(len(self))[place]
        if isinstance(rows, range):
            return Predictions(self._columns.take(list(rows)))
        (row,) = self._columns.slice(rows, 1).to_pylist()
        return _to_prediction(row)

    def __iter__(self) -> Iterator[Prediction]:
        return map(_to_prediction, self.rows())

    @property
    def labels(self) -> list[str | None]:
        """Most probable class of each image; None: unreadable, or the model abstains."""
        return list(self._columns["label"].to_pylist())

    @property
    def unreadable(self) -> list[Prediction]:
        """The images that could not be read, with reasons."""
        return [each for each in self if each.reason]

    def rows(self) -> list[dict[str, Any]]:
        """A dictionary for each image, as `headstart predict --format jsonl` writes them; pandas takes the list."""
        return list(self._columns.to_pylist())

    def to_arrow(self) -> pa.Table:
        """The columns, as `headstart predict --format parquet` writes them."""
        return self._columns

    def __repr__(self) -> str:
        lines = [f"{len(self):,} predictions", *(f"  {each!r}" for each in self[:_ROWS_SHOWN])]
        return "\n".join([*lines, *([f"  … {len(self) - _ROWS_SHOWN:,} more"] if len(self) > _ROWS_SHOWN else [])])

    def _repr_html_(self) -> str:
        rows = [
            (
                each.file,
                each.reason or each.label or "?",
                "" if each.probability is None else _Number(each.probability),
            )
            for each in self[:_ROWS_SHOWN]
        ]
        more = f"<p>… {len(self) - _ROWS_SHOWN:,} more</p>" if len(self) > _ROWS_SHOWN else ""
        notes = f"<p>{text(self.passed_over)}</p>" if self.passed_over else ""
        return table(("file", "label", "probability"), rows) + more + notes


class _Number(float):
    """A number that is shown with three decimals."""

    def __str__(self) -> str:
        return f"{float(self):.3f}"


class Model:
    """A trained model. Use it in a `with` block, or call `close`, to remove a downloaded copy before Python ends.

    Args:
        address: Output folder of a run, folder of a model, published version, or place where models are published: a
            path, or an `http(s)://`, `gs://` or `s3://` address.

    Attributes:
        address: The address.
        info: Content of the model's `model.json`: classes, image size, backbone, recipe, versions and more.

    Raises:
        HeadstartError: If there is no model at the address, or it cannot be read.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        copies = contextlib.ExitStack()
        self._files = copies.enter_context(download_model(address))
        self._close = weakref.finalize(self, copies.close)
        self.info: ModelInfo = read_model_info(self._files.model)
        self._networks: dict[bool, Predict] = {}

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of the probabilities."""
        return list(self.info.classes)

    def predict(
        self, images: object, *, precision: float = 0.0, image_column: str = "", progress: bool = True
    ) -> Predictions:
        """Predicts the classes of images with their probabilities, as `headstart predict` does.

        The first call starts TensorFlow and loads the network. An unreadable image does not stop the others.

        Args:
            images: An image or several: paths of files, folders, archives, manifests or Parquet, patterns such as
                ``new/**/*.jpg``, addresses; bytes of image files; Pillow images; arrays of uint8 pixels 0-255, as
                (height, width), (height, width, 3) or (images, height, width, 3).
            precision: Wanted share of right labels: 0.95 or 0.99; images of which the model is less sure, and
                unfamiliar ones, get no label. 0: a label for every image.
            image_column: Column of manifests and Parquet that names or holds the image; empty: by the usual names.
            progress: Whether to show the progress of what takes longer than a moment.

        Raises:
            HeadstartError: If an image is of a kind that cannot be read, the model has no threshold for the
                precision, or its network cannot be loaded.
        """
        if not self._close.alive:
            raise HeadstartError("the model was closed; load it again with headstart.load")
        given = _list_images(images)
        with python_words(), contextlib.ExitStack() as stack:
            model = open_model(self._files, precision)
            console = stack.enter_context(hold_back_library_output())
            if progress:
                stack.enter_context(show_command("predict", NotebookConsole() if in_notebook() else console))
            import_tensorflow()
            warn = functools.partial(warnings.warn, stacklevel=2)
            columns, counts = predict_given(model, given, image_column, warn, self._load_network)
        return Predictions(columns, counts.passed_over_in_words())

    def close(self) -> None:
        """Removes the copy of a model that was downloaded, and forgets the network."""
        self._networks = {}
        self._close()

    def _load_network(self, folder: Path, traced: bool) -> "Predict":
        if traced not in self._networks:
            self._networks[traced] = load_network(folder, traced)
        return self._networks[traced]

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __fspath__(self) -> str:
        return self.address

    def __repr__(self) -> str:
        place = without_secrets(self.address) if is_remote(self.address) else show_path(Path(self.address).absolute())
        return f"Model({place!r}): {self._describe()}"

    def _describe(self) -> str:
        info = self.info
        names = ", ".join(info.classes[:5]) + (", …" if len(info.classes) > 5 else "")
        return f"{info.backbone} at {info.image_size} px, {len(info.classes)} classes: {names}"

    def _repr_html_(self) -> str:
        return f"<p>{text(repr(self))}</p>"


def load(model: PathLike) -> Model:
    """Loads a trained model for predictions.

    Args:
        model: Output folder of a run or its result, folder of a model, published version, or place where models are
            published, of which the champion is taken: a path, or an `http(s)://`, `gs://` or `s3://` address.

    Returns:
        The model. Its network is loaded by the first prediction.

    Raises:
        HeadstartError: If there is no model at the address, or it cannot be read.

    Example:
        >>> headstart.load("out").predict("photos/1.jpg")[0].label  # doctest: +SKIP
        'cat'
    """
    with python_words():
        address = os.fspath(model)
        return Model(address if is_remote(address) else str(expand_home(address)))


def _list_images(images: object) -> list[object]:
    """A list of the given images, paths as text."""
    if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview | Image.Image) or hasattr(
        images, "__array__"
    ):
        images = [images]
    if not isinstance(images, Iterable):
        raise HeadstartError(
            f"images {images!r}: give paths, addresses, bytes of image files, Pillow images or arrays"
        )
    listed = [os.fspath(each) if isinstance(each, os.PathLike) else each for each in images]
    check_paths([each for each in listed if isinstance(each, str)])
    if not listed:
        raise HeadstartError("images is empty; give at least one path or image")
    return listed


def _to_prediction(row: dict[str, Any]) -> Prediction:
    probabilities = {
        name.removeprefix(PROBABILITY): value
        for name, value in row.items()
        if name.startswith(PROBABILITY) and value is not None
    }
    return Prediction(
        row["file"],
        row["label"],
        row["abstained"],
        probabilities,
        row["reason"] or "",
        row["detail"] or "",
        row["unfamiliarity"],
        row["unfamiliar"],
        row["abstention"] or "",
    )
