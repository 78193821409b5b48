"""Results of a training and of an evaluation, read from their output folder."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.evaluation import FINAL, read_metrics
from headstart.components.core.artifacts.history import Epoch, average_steps, read_history
from headstart.components.core.artifacts.hygiene import Finding, read_hygiene
from headstart.components.core.artifacts.predictions import PREDICTIONS, read_predictions
from headstart.components.core.artifacts.probe import LABEL_ERRORS, LabelError, read_label_errors
from headstart.components.core.sources.quarantine import QUARANTINE, QuarantinedFile, read_quarantine
from headstart.components.core.util.printable import describe_groups
from headstart.pipelines.local.output_folder import LOG, RECIPE
from headstart.pipelines.progress.display import PHASE_TITLES, describe_outcome
from headstart.pipelines.progress.events import Decided, Published
from headstart.pipelines.python_api.html import Page, link, table, text
from headstart.pipelines.python_api.model import Model, load
from headstart.pipelines.python_api.paths import show_path, show_paths

_CURVE_POINTS = 60
_ROWS = 10
_BLUE = "0 114 178"
"""Blue of the charts, which pages set themselves."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % confidence interval.

    `float(estimate)` is the figure, and a format applies to all three numbers: `f"{accuracy:.1%}"`.

    Attributes:
        value: The figure.
        low: Lower end of the interval; None: there is no interval.
        high: Upper end of the interval; None: there is no interval.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def __float__(self) -> float:
        return self.value

    def __format__(self, spec: str) -> str:
        spec = spec or ".3f"
        if self.low is None or self.high is None:
            return format(self.value, spec)
        return f"{self.value:{spec}} ({self.low:{spec}} to {self.high:{spec}})"

    def __str__(self) -> str:
        return format(self)

    def __repr__(self) -> str:
        return format(self)


@dataclasses.dataclass(frozen=True)
class Figures:
    """Figures of one model on the test images.

    Attributes:
        model: Name of the model: ``from scratch``, ``head alone``, ``fine-tuned`` or ``champion``.
        images: Number of test images.
        accuracy: Share of images whose class is predicted.
        balanced_accuracy: Mean recall of the classes.
        log_loss: Mean cross-entropy, in nats.
    """

    model: str
    images: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    log_loss: Estimate


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """Figures of one class on the test images.

    Attributes:
        name: Name of the class.
        images: Number of its test images.
        recall: Share of its images that are recognised.
        precision: Share of the images predicted as it that are of it.
    """

    name: str
    images: int
    recall: Estimate | None
    precision: Estimate | None


@dataclasses.dataclass(frozen=True)
class TestedImage:
    """A test image with its prediction.

    Attributes:
        path: Path in its source.
        label: Its class in the data.
        predicted: Most probable class.
        probability: Probability of that class, not calibrated, 0 to 1.
        id: Hash of its pixels.
    """

    path: str
    label: str
    predicted: str
    probability: float
    id: str

    @property
    def correct(self) -> bool:
        """Whether the predicted class is that of the data."""
        return self.label == self.predicted


class EvaluationResult:
    """Results of an evaluation: figures with their intervals, predictions, report.

    A notebook shows its table. Functions that take the path of an output folder take the result, too.

    Args:
        output: Output folder of `headstart.evaluate`, `headstart.train`, `headstart evaluate` or `headstart run`.

    Raises:
        HeadstartError: If the folder has no results of these.
    """

    def __init__(self, output: str | os.PathLike[str]) -> None:
        self.output = Path(output).absolute()
        self.metrics: dict[str, Any] = read_metrics(self.output / "evaluation")

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of the model's probabilities."""
        return list(self.metrics["classes"])

    @property
    def images(self) -> int:
        """Number of test images."""
        return int(self.metrics[FINAL]["images"])

    @property
    def accuracy(self) -> Estimate:
        """Share of test images whose class is predicted."""
        return _estimate(self.metrics[FINAL], "accuracy")

    @property
    def balanced_accuracy(self) -> Estimate:
        """Mean recall of the classes."""
        return _estimate(self.metrics[FINAL], "balanced_accuracy")

    @property
    def log_loss(self) -> Estimate:
        """Mean cross-entropy on the test images, in nats."""
        return _estimate(self.metrics[FINAL], "log_loss")

    @property
    def confusion_matrix(self) -> list[list[int]]:
        """Number of test images by class (rows) and predicted class (columns), in the order of `classes`."""
        return [list(row) for row in self.metrics[FINAL]["confusion_matrix"]]

    @property
    def per_class(self) -> list[ClassFigures]:
        """Figures of each class."""
        figures = self.metrics[FINAL]["per_class"]
        return [
            ClassFigures(
                name, each["images"], _estimate_or_none(each, "recall"), _estimate_or_none(each, "precision")
            )
            for name, each in figures.items()
        ]

    @property
    def models(self) -> list[Figures]:
        """Figures of each model that was evaluated on the same images, the final one last."""
        last = PHASE_TITLES.get(self.metrics.get("stage", ""), "fine-tuned")
        titles = PHASE_TITLES | {"champion": "champion", FINAL: last}
        return [
            Figures(
                title,
                self.metrics[key]["images"],
                *(_estimate(self.metrics[key], name) for name in ("accuracy", "balanced_accuracy", "log_loss")),
            )
            for key, title in titles.items()
            if key in self.metrics
        ]

    @functools.cached_property
    def predictions(self) -> Sequence[TestedImage]:
        """The test images with their predictions."""
        found = read_predictions(self.output / "evaluation" / PREDICTIONS)
        return [
            TestedImage(path, found.classes[label], found.classes[predicted], float(row[predicted]), image)
            for path, label, predicted, row, image in zip(
                found.paths, found.labels, found.predicted, found.probabilities, found.ids, strict=True
            )
        ]

    @property
    def mistakes(self) -> list[TestedImage]:
        """The test images whose prediction is wrong, the most confident first."""
        return sorted((each for each in self.predictions if not each.correct), key=lambda each: -each.probability)

    @property
    def findings(self) -> list[Finding]:
        """Problems that were found in the data."""
        summary = read_hygiene(self.output / "evaluation")
        return list(summary.findings) if summary else []

    @property
    def rejected(self) -> list[QuarantinedFile]:
        """Files and images that were left out, with reasons."""
        return read_quarantine(self.output / QUARANTINE)

    @property
    def report(self) -> Page:
        """The evaluation report."""
        return Page(self.output / "report.html")

    @property
    def data_page(self) -> Page:
        """The page about the data."""
        return Page(self.output / "data.html")

    @property
    def log(self) -> Path:
        """File with the output of every step."""
        return self.output / LOG

    def __fspath__(self) -> str:
        return os.fspath(self.output)

    def __repr__(self) -> str:
        return "\n".join(
            [
                f"{type(self).__name__} in {show_path(self.output)}, on {self._counted_images()}",
                *(f"  {each.model:<13} accuracy {each.accuracy}, log loss {each.log_loss}" for each in self.models),
                *(f"  {line}" for line in self._further_lines()),
                f"  report        {self.report}",
            ]
        )

    def _repr_html_(self) -> str:
        rows = [(each.model, each.accuracy, each.balanced_accuracy, each.log_loss) for each in self.models]
        parts = [
            f"<p>On {text(self._counted_images())}, with 95 % intervals:</p>",
            table(("model", "accuracy", "balanced accuracy", "log loss"), rows),
            *self._confusions(),
            *self._curves(),
            *(f"<p>{text(line)}</p>" for line in self._further_lines()),
            f"<p>{link(self.report.path, 'Report')} · {link(self.data_page.path, 'Data')}</p>",
        ]
        return "".join(parts)

    def _counted_images(self) -> str:
        """Number of test images in words, and of how many groups they are where the user named groups."""
        of_groups = describe_groups(self.metrics[FINAL].get("groups"), self.metrics.get("grouping", ""))
        return f"{self.images:,} test images{of_groups}"

    def _further_lines(self) -> list[str]:
        return [f"left out      {len(left_out):,} files: quarantine.csv"] if (left_out := self.rejected) else []

    def _confusions(self) -> Iterator[str]:
        confusions = self.metrics[FINAL]["confusions"][:_ROWS]
        if confusions:
            yield "<p>Most frequent confusions:</p>"
            yield table(
                ("class", "predicted as", "images"),
                [(each["label"], each["predicted"], each["images"]) for each in confusions],
            )

    def _curves(self) -> Iterator[str]:
        """Training curves, where there are any."""
        yield from ()


class TrainingResult(EvaluationResult):
    """Results of a training: figures with their intervals, model, label errors, training curves, reports.

    Args:
        output: Output folder of `headstart.train` or `headstart run`.
        outcome: The gate's verdict and the publication; empty: there were none, or they are not known.

    Raises:
        HeadstartError: If the folder has no results of these.
    """

    def __init__(self, output: str | os.PathLike[str], outcome: Sequence[Decided | Published] = ()) -> None:
        super().__init__(output)
        self._outcome = outcome

    @functools.cached_property
    def model(self) -> Model:
        """The trained model."""
        return load(self.output)

    @functools.cached_property
    def history(self) -> list[Epoch]:
        """Training history of the model, an epoch each, all phases in order."""
        return read_history(self.output / "model")

    @property
    def label_errors(self) -> list[LabelError]:
        """Training and validation images with doubtful labels, the most doubtful first."""
        return read_label_errors(self.output / LABEL_ERRORS)

    @property
    def recipe(self) -> Path:
        """File with every hyperparameter of the run, which `recipe=` takes."""
        return self.output / RECIPE

    @property
    def decision(self) -> Decided | None:
        """Verdict of the gate with its reason; None: there was no gate, or the run was read from a folder."""
        return next((each for each in self._outcome if isinstance(each, Decided)), None)

    @property
    def published(self) -> Published | None:
        """Publication of the model; None: it was not published, or the run was read from a folder."""
        return next((each for each in self._outcome if isinstance(each, Published)), None)

    def _further_lines(self) -> list[str]:
        suspected = sum(each.suspected for each in self.label_errors)
        doubts = [f"labels        {suspected:,} suspected errors: label_errors.csv"] if suspected else []
        return [*super()._further_lines(), *doubts, *(show_paths(describe_outcome(each)) for each in self._outcome)]

    def _curves(self) -> Iterator[str]:
        from headstart.components.core.reports.training_curves import draw_training_curves

        epochs = average_steps(self.history, _CURVE_POINTS)
        for phase in dict.fromkeys(each.stage for each in epochs):
            charts = draw_training_curves([each for each in epochs if each.stage == phase], PHASE_TITLES[phase])
            yield f'<div style="--blue:{_BLUE}">{"".join(chart.drawing for chart in charts)}</div>'


def _estimate(figures: dict[str, Any], name: str) -> Estimate:
    return Estimate(figures[name], *(figures.get(f"{name}_interval") or ()))


def _estimate_or_none(figures: dict[str, Any], name: str) -> Estimate | None:
    return None if figures[name] is None else _estimate(figures, name)
