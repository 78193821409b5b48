"""Results of a run that has succeeded: its figures, and the place of its report."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from headstart.components.core.artifacts.backbone_ranking import Ranking
from headstart.components.core.artifacts.evaluation import FINAL
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.kept_logs import read_kept_log
from headstart.pipelines.cluster.logs import find_events, read_data_digest, read_events
from headstart.pipelines.cluster.runs import ClusterRun, read_run
from headstart.pipelines.cluster.task_runs import TaskRun, TaskState
from headstart.pipelines.cluster.transport import NotFound
from headstart.pipelines.progress.events import (
    BackboneRanked,
    Decided,
    EndpointDeployed,
    Event,
    Measured,
    Published,
    RankingEnded,
    SearchEnded,
)

RANKING_TASK = "rank-backbones"
"""Task that ranks backbones."""

# Tasks that measure; of a comparison the one that compares all variants.
_MEASURING = (RANKING_TASK, "compare-variants", "evaluate-model")
_LAST = ("choose-trial", "compare-models", "publish-model", "deploy-model")
_Outcome = SearchEnded | Decided | Published | EndpointDeployed
_EARLIER_RUNS = 200
# The driver writes the execution that it makes in MLMD, as protobuf's text, in one line.
_FINGERPRINT = re.compile(r'"cache_fingerprint"\W+value:\W+string_value:\s*"([^"]+)"')
_CACHED_EXECUTION = re.compile(r'"cached_execution_id"\W+value:\W+string_value:\s*"([^"]+)"')


@dataclasses.dataclass(frozen=True)
class RunResults:
    """Results of a run.

    Attributes:
        metrics: Metrics by model, `stage` of the final one, `grouping` and `cross_validation`, as in `metrics.json`;
            empty where they are not found.
        run: Run that measured: another than the given one, if its evaluation came from the cache; None where that
            run cannot be found.
        outcome: End of a search for a recipe, verdict of the gate, publication, and deployment.
        decided_by: Run that decided, if the verdict came from the cache; None if it did not, or cannot be found.
        undecided: Whether the verdict came from the cache and cannot be found.
        ranking: Ranking of backbones; None where the run made none, or it is not found.
        command: Command that trains with the chosen backbone; empty: none.
        unread: Reason for which a log among the run's artifacts cannot be read; empty: none.
    """

    metrics: dict[str, Any]
    run: ClusterRun | None
    outcome: Sequence[_Outcome] = ()
    decided_by: ClusterRun | None = None
    undecided: bool = False
    ranking: Ranking | None = None
    command: str = ""
    unread: str = ""

    @property
    def report(self) -> str:
        """Address of the report, with * for a folder that KFP chooses; empty where it cannot be found."""
        if not self.run:
            return ""
        name = self.run.pipeline["pipelineInfo"]["name"]
        folder = self.run.folder or f"<the cluster's pipeline root>/{name}/{self.run.run_id}"
        return f"{folder}/{_measuring_task(self.run)}/*/report"


def find_results(cluster: Cluster, run: ClusterRun) -> RunResults:
    """Finds the figures of a run that has succeeded, in the log of the evaluation on which it rests.

    Where the evaluation came from the cache, that is the run from which KFP's cache has it, whatever its parameters
    were. Where KFP does not tell, it is the latest earlier run of the same experiment that had the same parameters
    and data and did evaluate.

    Args:
        cluster: KFP server.
        run: The run.
    """
    measuring = _measuring_task(run)
    source = _find_source(cluster, run, measuring)
    unread: list[str] = []
    events = _find_events(cluster, source, measuring, unread)
    if measuring == RANKING_TASK:
        ranking, command = _read_ranking(events)
        return RunResults({}, source, ranking=ranking, command=command, unread="; ".join(unread))
    measured = [event for event in events if isinstance(event, Measured)]
    decided, undecided = None, False
    outcome: list[_Outcome] = []
    for name in _LAST:
        task = run.tasks.get(name)
        if not task:
            continue
        by = _find_source(cluster, run, name)
        if task.state is TaskState.CACHED:
            decided, undecided = by, not by
        outcome += [event for event in _find_events(cluster, by, name, unread) if isinstance(event, _Outcome)]
    metrics: dict[str, Any] = {event.model: event.figures for event in measured}
    for event in measured:
        metrics |= {"grouping": event.unit, "cross_validation": {"folds": event.folds} if event.folds else None}
        if event.model == FINAL and event.stage:
            metrics["stage"] = event.stage
    return RunResults(metrics, source, outcome, decided, undecided, unread="; ".join(unread))


def _read_ranking(events: Sequence[Event]) -> tuple[Ranking | None, str]:
    """The ranking of backbones in a log, and the command that trains with the chosen one."""
    backbones = [event.backbone for event in events if isinstance(event, BackboneRanked)]
    end = next((event for event in events if isinstance(event, RankingEnded)), None)
    if not backbones or not end:
        return None, ""
    return Ranking(backbones, end.images, end.available, end.kept), end.command


def _find_events(cluster: Cluster, run: ClusterRun | None, name: str, unread: list[str]) -> list[Event]:
    """Events in a task's log, or else in the one that is kept; adds to `unread` why that cannot be read."""
    if not run or name not in run.tasks:
        return []
    found = read_events(cluster, run, run.tasks[name])
    # A store that could not be read for one task is not waited for again.
    if found or unread or run.tasks[name].state is TaskState.SKIPPED:
        return found
    try:
        return find_events(read_kept_log(run, name))
    except HeadstartError as error:
        unread.append(str(error))
        return []


def _measuring_task(run: ClusterRun) -> str:
    return next((name for name in _MEASURING if name in run.tasks), _MEASURING[-1])


def _find_source(cluster: Cluster, run: ClusterRun, name: str) -> ClusterRun | None:
    """The run in which a task's code ran: the given run, or the one that made the cached result."""
    task = run.tasks.get(name)
    if not task or task.state is not TaskState.CACHED:
        return run
    run_id = _find_cached_run(cluster, run, task)
    if not run_id:
        return _find_same_run(cluster, run, name)
    try:
        return read_run(cluster.get_run(run_id))
    except NotFound:
        # It was deleted; its objects may be there, but another run's would not be these.
        return None


def _find_cached_run(cluster: Cluster, run: ClusterRun, task: TaskRun) -> str:
    """Id of the run that made a task's cached result, by KFP's cache; empty where that does not tell."""
    log = cluster.get_log(run.run_id, task.driver)
    fingerprint, execution = _FINGERPRINT.search(log), _CACHED_EXECUTION.search(log)
    if not fingerprint or not execution:
        return ""
    entries = cluster.list_cache_entries(fingerprint[1])
    return next((run_id for run_id, made in entries if made == execution[1]), "")


def _find_same_run(cluster: Cluster, run: ClusterRun, name: str) -> ClusterRun | None:
    """The latest earlier run with the same parameters and data in which a task's code ran."""
    data = read_data_digest(cluster, run)
    for count, answer in enumerate(cluster.list_runs(experiment_id=run.experiment_id, state="SUCCEEDED")):
        if count == _EARLIER_RUNS:
            break
        earlier = _read_run_or_none(answer)
        if not earlier or earlier.run_id == run.run_id or earlier.parameters != run.parameters:
            continue
        task = earlier.tasks.get(name)
        if task and task.state is TaskState.DONE and read_data_digest(cluster, earlier) == data:
            return earlier
    return None


def _read_run_or_none(answer: Any) -> ClusterRun | None:
    try:
        return read_run(answer)
    except HeadstartError:
        return None
