"""Progress of a task's present phase: its name, count, rate and time left."""

import dataclasses

from headstart.pipelines.progress.events import TaskProgress

_SAMPLES = 12
"""Number of the latest reports that the rate is measured over."""

EPOCHS = "epochs"
"""Unit of the progress of a training."""

_TRAINING_PHASES = {"head": "head", "fine_tuning": "fine-tuning", "from_scratch": "from-scratch"}
_SEVERAL_TRAININGS = ("train-variant",)
"""Tasks that may train twice, so that an epoch is not known by its number alone."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """Present phase of a task.

    Attributes:
        name: Name for the user, such as ``features`` or ``epoch``.
        progress: Latest report; a phase whose count went down is another one.
        samples: Times in seconds and numbers of units done of the latest reports, the oldest first.
    """

    name: str
    progress: TaskProgress
    samples: tuple[tuple[float, float], ...]

    @classmethod
    def begin(cls, task: str, progress: TaskProgress, now: float) -> "Phase":
        """A phase at its first report.

        Args:
            task: Name of the task.
            progress: First report.
            now: Time of the report in seconds.
        """
        return cls(name_phase(task, progress), progress, ((now, progress.done),))

    def advance(self, task: str, progress: TaskProgress, now: float) -> "Phase":
        """The phase after a further report: this one, or the next where the report is of another.

        Args:
            task: Name of the task.
            progress: The report.
            now: Time of the report in seconds.
        """
        before = self.progress
        if (progress.what, progress.total) != (before.what, before.total) or progress.done < before.done:
            return Phase.begin(task, progress, now)
        samples = self.samples
        if progress.done > before.done:
            # Up to the first unit a phase prepares, so that its start would make the rate too low.
            measured = [each for each in samples if each[1] > 0]
            samples = (*(measured or samples)[-_SAMPLES + 1 :], (now, progress.done))
        return dataclasses.replace(self, progress=progress, samples=samples)

    @property
    def count(self) -> str:
        """Count of the phase: ``1,200/2,000``, or ``1,200`` where the total is unknown; empty: none."""
        done, total = self.progress.done, self.progress.total
        if self.progress.unit == EPOCHS:
            # The epoch that is under way.
            return f"{min(int(done) + 1, total)}/{total}"
        if not total:
            return f"{done:,.0f}" if done else ""
        return f"{done:,.0f}/{total:,}"

    @property
    def share(self) -> float | None:
        """Finished share, 0 to 1; None: unknown."""
        return min(1.0, self.progress.done / self.progress.total) if self.progress.total else None

    @property
    def rate(self) -> float:
        """Units a second; 0: not known yet."""
        (began, first), (ended, last) = self.samples[0], self.samples[-1]
        return (last - first) / (ended - began) if ended > began else 0.0

    @property
    def rate_in_words(self) -> str:
        """Rate for the user, such as ``84/s``; empty where it is unknown, or says less than the time left."""
        if self.progress.unit == EPOCHS or not self.rate:
            return ""
        unit = " MB" if self.progress.unit == "MB" else ""
        return f"{self.rate:,.0f}{unit}/s" if self.rate >= 10 else f"{self.rate:.1f}{unit}/s"

    def seconds_left(self, now: float) -> float | None:
        """Seconds up to the end of the phase; None: unknown.

        Args:
            now: Present time in seconds.
        """
        if not self.rate or not self.progress.total:
            return None
        left = (self.progress.total - self.progress.done) / self.rate - (now - self.samples[-1][0])
        # Later than expected: nobody knows.
        return left if left >= 0 else None


def name_phase(task: str, progress: TaskProgress) -> str:
    """Name of a phase for the user.

    Args:
        task: Name of the task.
        progress: A report of the phase.
    """
    if progress.unit != EPOCHS:
        return progress.what
    phase = _TRAINING_PHASES.get(progress.what, "")
    return f"{phase} epoch".strip() if task.startswith(_SEVERAL_TRAININGS) else "epoch"


def summarize(progress: TaskProgress) -> str:
    """What a finished phase did, such as ``20 epochs`` or ``2,000 images``; empty for one without a unit.

    Args:
        progress: Last report of the phase.
    """
    done = int(progress.done)
    if not (done and progress.unit):
        return ""
    return f"{done:,} {progress.unit.removesuffix('s') if done == 1 else progress.unit}"
