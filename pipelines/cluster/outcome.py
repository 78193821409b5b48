"""What a run that has ended leaves to say: its figures, the place of its report, or the end of a log."""

import dataclasses
import re
import shlex
from collections.abc import Sequence
from typing import Any

from headstart.components.core.errors import HeadstartError
from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.runs import Phase, Run, Stage, read_run
from headstart.pipelines.events import Decided, Measured, Published, Raised, parse

_LISTING = "list-data"
# The stages that measure; of a comparison the one that lays all side by side.
_MEASURING = ("compare-variants", "evaluate-model")
_LAST = ("compare-models", "publish-model")
_LINES = 30
# KFP's launcher writes into the same log, such as `I1124 06:08:02.779068      16 main.go:67] …`.
_LAUNCHERS = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\.go:\d+\]")
_EARLIER_RUNS = 200


@dataclasses.dataclass(frozen=True)
class Results:
    """What a run measured.

    Attributes:
        metrics: By model, as in `metrics.json`; empty where no log has them any more.
        run: The run that measured: another than the one asked for, if its evaluation came from the cache.
        outcome: What was decided and published.
    """

    metrics: dict[str, Any]
    run: Run
    outcome: Sequence[Decided | Published] = ()

    @property
    def report(self) -> str:
        """Where the report lies; KFP chooses the folder in the middle."""
        root = self.run.pipeline_root.rstrip("/") or "<the cluster's pipeline root>"
        name = self.run.pipeline["pipelineInfo"]["name"]
        return f"{root}/{name}/{self.run.run_id}/{_measuring(self.run)}/*/report"


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a stage failed.

    Attributes:
        reason: In one line; empty if its log has none.
        log: The end of its log.
    """

    reason: str
    log: list[str]


def results(cluster: Cluster, run: Run) -> Results:
    """Finds the figures of a run that succeeded, in the log of the evaluation that it rests on.

    Where the evaluation came from the cache, that is the latest earlier run of the same experiment which had the same
    parameters and data and did evaluate.
    """
    return dataclasses.replace(_measured(cluster, run), outcome=_outcome(cluster, run))


def _measuring(run: Run) -> str:
    return next((name for name in _MEASURING if name in run.stages), _MEASURING[-1])


def _outcome(cluster: Cluster, run: Run) -> list[Decided | Published]:
    lines = [line for name in _LAST if name in run.stages for line in _lines(cluster, run, run.stages[name])]
    return [event for event in map(parse, lines) if isinstance(event, Decided | Published)]


def _measured(cluster: Cluster, run: Run) -> Results:
    name = _measuring(run)
    stage = run.stages.get(name)
    if not stage:
        return Results({}, run)
    if stage.phase is not Phase.CACHED:
        return Results(_metrics(cluster, run, stage), run)
    data = _data_digest(cluster, run)
    # Without an answer to this there is no table; the run has succeeded all the same.
    for count, answer in enumerate(cluster.runs(experiment_id=run.experiment_id, state="SUCCEEDED")):
        if count == _EARLIER_RUNS:
            break
        earlier = _read(answer)
        if not earlier or earlier.run_id == run.run_id or earlier.parameters != run.parameters:
            continue
        evaluation = earlier.stages.get(name)
        if evaluation and evaluation.phase is Phase.DONE and _data_digest(cluster, earlier) == data:
            return Results(_metrics(cluster, earlier, evaluation), earlier)
    return Results({}, run)


def failure(cluster: Cluster, run: Run, stage: Stage) -> Failure:
    """Reads why a stage failed from its log; from its driver's, if its code never got a pod."""
    if not stage.nodes:
        lines = cluster.log(run.run_id, stage.driver).splitlines()
        return Failure(_fatal(lines), lines[-_LINES:])
    lines = stage_log(cluster, run, stage).splitlines()
    raised: Raised | None = None
    for line in lines:
        event = parse(line)
        # A step's own message goes before whatever is raised because of it.
        if isinstance(event, Raised) and not (raised and raised.expected):
            raised = event
    own = [line for line in lines if not _LAUNCHERS.match(line)]
    return Failure(raised.message if raised else _fatal(lines), (own or lines)[-_LINES:])


def _fatal(lines: list[str]) -> str:
    """The last words of KFP's own programs; empty if they had none."""
    fatal = [line.partition("] ")[2] for line in lines if line.startswith("F") and _LAUNCHERS.match(line)]
    return fatal[-1] if fatal else ""


def stage_log(cluster: Cluster, run: Run, stage: Stage) -> str:
    """The log of a stage's last attempt; empty where there is none."""
    for node in stage.nodes:
        if log := cluster.log(run.run_id, node):
            return log
    return ""


def _metrics(cluster: Cluster, run: Run, stage: Stage) -> dict[str, Any]:
    events = map(parse, _lines(cluster, run, stage))
    return {event.model: event.figures for event in events if isinstance(event, Measured)}


def _lines(cluster: Cluster, run: Run, stage: Stage) -> list[str]:
    return stage_log(cluster, run, stage).splitlines()


def _data_digest(cluster: Cluster, run: Run) -> str:
    stage = run.stages.get(_LISTING)
    for line in stage_log(cluster, run, stage).splitlines() if stage else []:
        if line.strip().startswith("event=listed "):
            return dict(word.split("=", 1) for word in shlex.split(line)).get("digest", "")
    return ""


def _read(answer: Any) -> Run | None:
    try:
        return read_run(answer)
    except HeadstartError:
        return None
