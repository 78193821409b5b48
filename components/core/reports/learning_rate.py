"""What a learning-rate range test tells: a rate to start from, a table and a plot."""

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
from headstart.components.core.reports.charts import BLUE, INK, ORANGE, STYLE, Chart, svg
from headstart.components.core.reports.page import render
from headstart.components.core.storage.atomic import open_atomic

TABLE, PAGE = "learning_rate.csv", "learning_rate.html"

_SHARE = 1 / 3
# Standard deviation of the smoothing, in decades of the rate.
_SMOOTHING = 0.2
_CLEAR = 3.0
_WORTH = 0.01
_RISEN = 0.1
# A plot that goes up to where all is lost shows nothing of what comes before.
_SHOWN = 1.5


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """A range test, judged.

    Attributes:
        rates: (n,), ascending.
        losses: (n,), of each batch before its step.
        level: Mean loss of the batches before any step.
        changes: (n,), by how much the loss of each batch is other than before any step.
        smoothed: (n,), `level` and the changes smoothed by a Gaussian over the logarithm of the rate.
        least: The largest rate whose smoothed loss cannot be told from the least.
        steepest: The rate at which it falls fastest; None where it does not fall clearly.
        suggested: A third of `least`, one digit.
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
        """What it tells, in a sentence."""
        if self.steepest is None:
            return (
                f"The loss hardly changes up to a learning rate of {self.least:.2g}, as the weights are near their "
                f"best or so few steps teach them nothing, and rises beyond; a third of that is {self.suggested:g}."
            )
        return (
            f"The loss falls fastest at a learning rate of {self.steepest:.2g} and is least at {self.least:.2g}; a "
            f"third of that is {self.suggested:g}."
        )


@dataclasses.dataclass(frozen=True)
class About:
    """What a range test was made of, for its page.

    Attributes:
        stage: That would be trained.
        images: In the training set.
        batch_size: Images a step.
        seed: Of everything drawn at random.
    """

    stage: str
    images: int
    batch_size: int
    seed: int

    def setting(self, test: RangeTest) -> str:
        """What the recipe is to have, as `--set` takes it."""
        return f"{self.stage}.learning_rate={test.suggested:g}"


def judged(steps: Sequence[tuple[Step, Step]]) -> RangeTest:
    """Judges a range test.

    The largest rate at which the loss still falls bounds the peak of a schedule; L. Smith, in section 3.3 of the
    paper that `range_test` names, takes a third or a quarter of it to begin with. Where training starts near its end,
    the loss lies level before it rises, and where it is least hangs on noise: so what counts is the last rate at
    which noise could have made the difference to the least. Beyond the first rise above the start, nothing counts.

    Args:
        steps: Each at a rate of 0, and as it was; in order, with ascending rates; two at least.
    """
    start = np.array([step.loss for step, _ in steps])
    rates, losses = (np.array([getattr(step, name) for _, step in steps]) for name in ("learning_rate", "loss"))
    level, changes = float(start.mean()), losses - start
    width = _SMOOTHING / np.diff(np.log10(rates)).mean()
    smoothed = level + gaussian_filter1d(changes, width, mode="nearest")
    # Of a mean with Gaussian weights, from the median deviation, which a few wild steps do not move.
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


def write_range_test(folder: Path, test: RangeTest, about: About) -> None:
    """Writes the table and the page of a range test, each whole or not at all.

    Raises:
        OSError: The folder cannot be written.
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
        setting=about.setting(test),
        words=test.in_words(),
        about=about,
        steps=len(test.rates),
        chart=_chart(test, about.stage),
    )
    for name, text in ((TABLE, table.getvalue()), (PAGE, page)):
        with open_atomic(folder / name) as file:
            file.write(text.encode())


def _chart(test: RangeTest, stage: str) -> Chart:
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
        axes.set(xlabel="learning rate", ylabel="loss (nats)", title=stage)
        axes.set_ylim(max(0.0, lowest - 0.05 * (highest - lowest)), lowest + _SHOWN * (highest - lowest))
        axes.legend(frameon=False, loc="upper left")
        words = f"Loss of {stage} over the learning rate, from {test.rates[0]:.1g} to {test.rates[-1]:.1g}. "
        return Chart(svg(figure, f"learning rate of {stage}"), words + test.in_words())
