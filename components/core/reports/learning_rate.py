"""Result of a learning-rate range test: a suggested rate, a table and a plot."""

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from headstart.components.core.artifacts.history import Step
from headstart.components.core.reports.charts import BLUE, INK, ORANGE, STYLE, Chart, to_svg
from headstart.components.core.reports.page import PageHeader, render
from headstart.components.core.storage.atomic import open_atomic

TABLE, PAGE = "learning_rate.csv", "learning_rate.html"
KIND = "Learning-rate range test"

_SHARE = 1 / 3
# Standard deviation of the smoothing, in decades of the rate.
_SMOOTHING = 0.2
_CLEAR = 3.0
_WORTH = 0.01
_RISEN = 0.1
# Upper end of the plot: with the diverging losses in it, nothing else could be seen.
_SHOWN = 1.5


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """Result of a learning-rate range test.

    Attributes:
        rates: Learning rates, (n,), ascending.
        losses: Loss of each batch before its step, (n,).
        level: Mean loss of the batches with the initial weights.
        changes: Loss of each batch before its step minus its loss with the initial weights, (n,).
        smoothed: `level` plus the changes smoothed by a Gaussian over the logarithm of the rate, (n,).
        least: Largest rate whose smoothed loss cannot be told from the least one.
        steepest: Rate at which the loss falls fastest; None if it does not fall clearly.
        suggested: A third of `least`, rounded to one digit.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    level: float
    changes: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    least: float
    steepest: float | None
    suggested: float

    def in_words(self) -> str:
        """The result in a sentence."""
        if self.steepest is None:
            return (
                f"The loss hardly changes up to a learning rate of {self.least:.2g} and rises beyond: the weights "
                f"are near their optimum, or these steps are too few. A third of that rate is {self.suggested:g}."
            )
        return (
            f"The loss falls fastest at a learning rate of {self.steepest:.2g} and is least at {self.least:.2g}; a "
            f"third of that is {self.suggested:g}."
        )


@dataclasses.dataclass(frozen=True)
class RangeTestSettings:
    """Settings of a range test, for its page.

    Attributes:
        phase: Training phase that was tested: ``head``, ``fine_tuning`` or ``from_scratch``.
        images: Number of training images.
        batch_size: Number of images per step.
        seed: Random seed of the training.
    """

    phase: str
    images: int
    batch_size: int
    seed: int

    def recipe_option(self, test: RangeTest) -> str:
        """The suggested rate as a value of `--set`."""
        return f"{self.phase}.learning_rate={test.suggested:g}"


def analyse_range_test(steps: Sequence[tuple[Step, Step]]) -> RangeTest:
    """Analyses the steps of a range test.

    The largest rate at which the loss still falls bounds the peak of a schedule; L. Smith, in section 3.3 of the
    paper that `range_test` names, starts with a third or a quarter of it. If training starts near the optimum, the
    loss is flat before it rises, and noise decides where it is least. Therefore the last rate counts whose loss
    differs from the least by no more than noise. Rates beyond the first rise above the initial loss do not count.

    Args:
        steps: Pairs of each step at a rate of 0 and at its own rate, with ascending rates; two at least.
    """
    start = np.array([step.loss for step, _ in steps])
    rates, losses = (np.array([getattr(step, name) for _, step in steps]) for name in ("learning_rate", "loss"))
    level, changes = float(start.mean()), losses - start
    width = _SMOOTHING / np.diff(np.log10(rates)).mean()
    smoothed = level + gaussian_filter1d(changes, width, mode="nearest")
    # Standard error of a mean with Gaussian weights; the median deviation is robust against a few wild steps.
    deviation = 1.4826 * float(np.median(np.abs(level + changes - smoothed)))
    error = deviation / math.sqrt(2 * math.sqrt(math.pi) * max(1.0, width))
    risen = np.flatnonzero(smoothed > level + max(_CLEAR * error, _RISEN * level))
    sound = smoothed[: max(1, risen[0])] if len(risen) else smoothed
    least = int(np.flatnonzero(sound <= sound.min() + error)[-1])
    before = sound[: least + 1]
    falls = len(before) > 1 and level - sound.min() > max(_CLEAR * error, _WORTH * level)
    steepest = float(rates[np.argmin(np.gradient(before))]) if falls else None
    suggested = float(f"{_SHARE * rates[least]:.1g}")
    return RangeTest(rates, losses, level, changes, smoothed, float(rates[least]), steepest, suggested)


def write_range_test(
    folder: Path, test: RangeTest, settings: RangeTestSettings, header: PageHeader | None = None
) -> None:
    """Writes the table and the page of a range test, each atomically.

    Args:
        folder: Folder to write to.
        test: Result of the range test.
        settings: Settings of the range test.
        header: Facts in the header of the page; None: only its kind.

    Raises:
        OSError: If the folder cannot be written.
    """
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    columns = {
        "learning_rate": test.rates,
        "loss": test.losses,
        "change": test.changes,
        "smoothed_loss": test.smoothed,
    }
    rows.writerow(columns)
    rows.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    page = render(
        __package__,
        "learning_rate.html.j2",
        header or PageHeader(KIND),
        option=settings.recipe_option(test),
        words=test.in_words(),
        settings=settings,
        steps=len(test.rates),
        chart=_chart(test, settings.phase),
    )
    for name, text in ((TABLE, table.getvalue()), (PAGE, page)):
        with open_atomic(folder / name) as file:
            file.write(text.encode())


def _chart(test: RangeTest, phase: str) -> Chart:
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.subplots()
        losses = test.level + test.changes
        axes.plot(test.rates, losses, "o", color=ORANGE, markersize=3, alpha=0.6, markeredgewidth=0)
        axes.plot(test.rates, test.smoothed, "-", color=BLUE, linewidth=2)
        marks = [("least", test.least, ":"), ("a third", test.suggested, "-")]
        if test.steepest is not None:
            marks.append(("steepest", test.steepest, "--"))
        for name, rate, line in marks:
            axes.axvline(rate, color=INK, linewidth=1, linestyle=line, label=f"{name}: {rate:.2g}")
        seen = losses[test.rates <= test.least]
        lowest, highest = seen.min(), max(seen.max(), 1.05 * test.level)
        axes.set(xscale="log")
        axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel="learning rate", ylabel="loss (nats)", title=phase)
        axes.set_ylim(max(0.0, lowest - 0.05 * (highest - lowest)), lowest + _SHOWN * (highest - lowest))
        axes.legend(frameon=False, loc="upper left")
        description = f"Loss of {phase} over the learning rate, from {test.rates[0]:.1g} to {test.rates[-1]:.1g}. "
        return Chart(to_svg(figure, f"learning rate of {phase}"), description + test.in_words())
