"""Predictions: Parquet with `id`, `label` and one probability per class, from which all metrics are computed."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import find_known_groups, read_columns, read_dataset_info
from headstart.components.core.artifacts.left_out import read_left_out
from headstart.components.core.util.errors import HeadstartError

PREDICTIONS = "predictions.parquet"
VALIDATION = "validation.parquet"
CHAMPION_PREDICTIONS = "champion.parquet"
FINAL_MODEL_PREDICTIONS = "final_model.parquet"
"""Predictions of a cross-validated model itself, which was trained on these images; `PREDICTIONS` are out of fold."""

PROBABILITY = "probability_"
"""Prefix of the columns of probabilities, before the name of the class."""

UNFAMILIARITY = "unfamiliarity"
"""Column of the distances from the training images' features, see `core.metrics.unfamiliarity`."""

_SLICE = "slice_"
_GROUPING = b"grouping"
"""Key of the file's metadata with what a group is that the user names; absent where none are named."""

_ROUNDING = 1e-5

FURTHEST = 2.0
"""Largest unfamiliarity: features in the opposite direction."""


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predictions of a model for n images.

    Attributes:
        classes: Class names.
        ids: Hashes of the pixels, (n,).
        groups: Names that near-duplicates share, and images of a group that the user names, (n,).
        paths: Paths of the images in their source, (n,).
        labels: Indices into `classes`, (n,).
        probabilities: Class probabilities, (n, classes); each row adds up to 1.
        slices: Extra columns of the dataset, (n,) each, as text.
        seen: Whether the model was trained or tuned on the image or a near-duplicate of it, (n,).
        unfamiliarity: Unfamiliarities, (n,); None: they were not computed.
        grouping: Word for a group that the user names, such as ``patient``; empty: the user names none, or
            an earlier version wrote the predictions.
    """

    classes: list[str]
    ids: list[str]
    groups: list[str]
    paths: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    slices: dict[str, list[str]]
    seen: NDArray[np.bool_]
    unfamiliarity: NDArray[np.float64] | None = None
    grouping: str = ""

    @property
    def clusters(self) -> NDArray[np.int64] | None:
        """Number of the group of each image, (n,), where the user names groups; None: images count as independent."""
        return np.unique(np.array(self.groups, str), return_inverse=True)[1] if self.grouping else None

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Index of the most probable class of each image, (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the most probable class is the right one, (n,)."""
        return np.asarray(self.predicted == self.labels)


def build_predictions(
    dataset: Path,
    probabilities: NDArray[np.float64],
    seen: frozenset[str] = frozenset(),
    unfamiliarity: NDArray[np.float64] | None = None,
) -> Predictions:
    """Combines the class probabilities of a model with the images of a dataset.

    Args:
        dataset: Dataset artifact.
        probabilities: Class probabilities, (images, classes), in the order of the dataset.
        seen: Ids of the images that the model was trained or tuned on.
        unfamiliarity: Unfamiliarities, (images,); None: they were not computed.
    """
    info = read_dataset_info(dataset)
    extra = list(info.extra)
    rows = read_columns(dataset, ["id", "group", "image.path", "label", *extra])
    ids, groups = rows["id"].to_pylist(), rows["group"].to_pylist()
    # If one member of a group was seen, none of the others counts as unseen.
    known = seen | find_known_groups(dataset, seen)
    known |= {group for image, group in read_left_out(dataset).items() if image in seen}
    return Predictions(
        classes=info.classes,
        ids=ids,
        groups=groups,
        paths=rows["image.path"].to_pylist(),
        labels=rows["label"].to_numpy(),
        probabilities=probabilities,
        slices={name: ["" if value is None else str(value) for value in rows[name].to_pylist()] for name in extra},
        seen=np.array([image in known or group in known for image, group in zip(ids, groups, strict=True)], bool),
        unfamiliarity=unfamiliarity,
        grouping=info.grouping,
    )


def concatenate_predictions(parts: list[Predictions]) -> Predictions:
    """Concatenates predictions for datasets of the same classes, without their slices and unfamiliarities."""
    return Predictions(
        classes=parts[0].classes,
        ids=[each for part in parts for each in part.ids],
        groups=[each for part in parts for each in part.groups],
        paths=[each for part in parts for each in part.paths],
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        slices={},
        seen=np.concatenate([part.seen for part in parts]),
        grouping=parts[0].grouping,
    )


def probability_columns(classes: list[str], probabilities: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Splits probabilities (n, classes) into columns `probability_NAME`, (n,) each."""
    return {f"{PROBABILITY}{name}": probabilities[:, at] for at, name in enumerate(classes)}


def read_probabilities(table: pa.Table, classes: list[str]) -> NDArray[np.float64]:
    """Reads probabilities (n, classes) from the columns of a table, in the order of `classes`.

    Raises:
        KeyError: If a class has no column, or two.
        ValueError: If a value is missing, NaN, not a number or outside [0, 1].
    """
    columns = np.array([table[f"{PROBABILITY}{name}"].to_numpy() for name in classes], np.float64)
    if not ((columns >= 0) & (columns <= 1 + _ROUNDING)).all():
        raise ValueError("a probability is missing, NaN or outside 0 to 1")
    return columns.T.reshape(len(table), len(classes))


def read_unfamiliarity(table: pa.Table) -> NDArray[np.float64] | None:
    """Reads unfamiliarities, (n,), from a table; None if it has no such column.

    Raises:
        ValueError: If a value is missing, NaN or outside [0, 2].
    """
    if UNFAMILIARITY not in table.column_names:
        return None
    values = np.asarray(table[UNFAMILIARITY].to_numpy(), np.float64)
    if not ((values >= 0) & (values <= FURTHEST)).all():
        raise ValueError("an unfamiliarity is missing, NaN or outside 0 to 2")
    return values


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Writes one row for each image.

    Columns: `id`, `group`, `path`, `label` (index of its class), `label_name`, `predicted` (name of the most probable
    class), `seen`, `probability_NAME` (float64) for each class, `unfamiliarity` (float64) if it was computed, and
    `slice_NAME` for each extra column. Where the user names groups, the schema's metadata have `grouping`.
    """
    names = predictions.classes
    columns = {
        "id": pa.array(predictions.ids, pa.string()),
        "group": pa.array(predictions.groups, pa.string()),
        "path": pa.array(predictions.paths, pa.string()),
        "label": pa.array(predictions.labels, pa.int64()),
        "label_name": pa.array([names[label] for label in predictions.labels], pa.string()),
        "predicted": pa.array([names[label] for label in predictions.predicted], pa.string()),
        "seen": pa.array(predictions.seen, pa.bool_()),
        **probability_columns(names, predictions.probabilities),
        **({} if predictions.unfamiliarity is None else {UNFAMILIARITY: predictions.unfamiliarity}),
        **{f"{_SLICE}{name}": pa.array(values, pa.string()) for name, values in predictions.slices.items()},
    }
    metadata = {_GROUPING: predictions.grouping} if predictions.grouping else None
    pq.write_table(pa.table(columns, metadata=metadata), path)


def read_predictions(path: Path) -> Predictions:
    """Reads the file of `write_predictions`.

    Raises:
        HeadstartError: If the file is missing or damaged, or holds no predictions.
    """
    try:
        table = pq.read_table(path)
        classes = [name.removeprefix(PROBABILITY) for name in table.column_names if name.startswith(PROBABILITY)]
        labels = np.asarray(table["label"].to_numpy(), np.int64)
        if not ((labels >= 0) & (labels < len(classes))).all():
            raise ValueError("a label is not one of its classes")
        return Predictions(
            classes=classes,
            ids=table["id"].to_pylist(),
            groups=table["group"].to_pylist(),
            paths=table["path"].to_pylist(),
            labels=labels,
            probabilities=read_probabilities(table, classes),
            slices={
                name.removeprefix(_SLICE): table[name].to_pylist()
                for name in table.column_names
                if name.startswith(_SLICE)
            },
            seen=table["seen"].to_numpy(),
            unfamiliarity=read_unfamiliarity(table),
            grouping=(table.schema.metadata or {}).get(_GROUPING, b"").decode(),
        )
    except FileNotFoundError:
        raise HeadstartError(f"{path} does not exist; evaluate the model again") from None
    except (KeyError, OSError, TypeError, ValueError, pa.ArrowException) as error:
        raise HeadstartError(f"{path} holds no predictions ({error}); evaluate the model again") from None
