"""What a run that has ended leaves to say: its figures, the place of its report, or the end of a log."""

import dataclasses
import re
import shlex
from collections.abc import Sequence
from typing import Any

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.client import Cluster, NotFound
from headstart.pipelines.cluster.runs import Phase, Run, Stage, asked_for, pod_name, read_run
from headstart.pipelines.definitions.tasks import GROUPS
from headstart.pipelines.progress.events import (
    ClassesFound,
    Decided,
    Measured,
    Published,
    Raised,
    StageProgress,
    Warned,
    parse,
)

_LISTING = "list-data"
# The stages that measure; of a comparison the one that lays all side by side.
_MEASURING = ("compare-variants", "evaluate-model")
_LAST = ("compare-models", "publish-model")
_LINES = 30
# KFP's launcher writes into the same log, such as `I1124 06:08:02.779068      16 main.go:67] …`.
_LAUNCHERS = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\.go:\d+\]")
_KFPS_OWN = re.compile(r"\[KFP Executor \d")
# The driver writes the execution that it makes in MLMD, as protobuf's text, in one line.
_FINGERPRINT = re.compile(r'"cache_fingerprint"\W+value:\W+string_value:\s*"([^"]+)"')
_CACHED_EXECUTION = re.compile(r'"cached_execution_id"\W+value:\W+string_value:\s*"([^"]+)"')
_EARLIER_RUNS = 200
# What a container's process leaves that was killed for memory, or by somebody else: 128 and SIGKILL.
_KILLED = re.compile(r"exit code 137|exit status 137|signal: killed|OOMKilled")
_GONE = re.compile(r"pod deleted|node (is )?(lost|shutdown|not ready)|imminent node shutdown", re.I)
_STOPPED = re.compile(r"exit code 143")
_TOO_LATE = re.compile(r"active on the node longer than the specified deadline|DeadlineExceeded")
# Errors about what lies elsewhere, which may be mended without another word in the run's own parameters.
_ELSEWHERE = re.compile(
    r"\bcannot (read|write|list|download|open|publish)\b|nothing is there|no such (bucket|object)"
)
_LATER = "try later"


@dataclasses.dataclass(frozen=True)
class Results:
    """What a run measured.

    Attributes:
        metrics: By model, as in `metrics.json`; empty where no log has them any more.
        run: The run that measured: another than the one asked for, if its evaluation came from the cache; None where
            that run cannot be found.
        outcome: What was decided and published.
        decided_by: The run that decided, if that came from the cache; None if it did not, or cannot be found.
        undecided: Whether the decision came from the cache and cannot be found.
    """

    metrics: dict[str, Any]
    run: Run | None
    outcome: Sequence[Decided | Published] = ()
    decided_by: Run | None = None
    undecided: bool = False

    @property
    def report(self) -> str:
        """Where the report lies; KFP chooses the folder in the middle. Empty where that cannot be found."""
        if not self.run:
            return ""
        root = self.run.pipeline_root.rstrip("/") or "<the cluster's pipeline root>"
        name = self.run.pipeline["pipelineInfo"]["name"]
        return f"{root}/{name}/{self.run.run_id}/{_measuring(self.run)}/*/report"


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a stage failed.

    Attributes:
        reason: In one line; empty if nothing says it.
        log: The end of its log.
        is_final: Whether another attempt would fail likewise: an error meant for the user, and not one that may pass.
        resumable: Whether the same run can succeed later as it is: what is to be mended lies elsewhere.
    """

    reason: str
    log: list[str]
    is_final: bool = False
    resumable: bool = False


def results(cluster: Cluster, run: Run) -> Results:
    """Finds the figures of a run that succeeded, in the log of the evaluation that it rests on.

    Where the evaluation came from the cache, that is the run that KFP's cache has it from, whatever its parameters
    were; where KFP does not tell, the latest earlier run of the same experiment which had the same parameters and
    data and did evaluate.
    """
    measuring = _measuring(run)
    source = _source(cluster, run, measuring)
    metrics = _metrics(cluster, source, source.stages[measuring]) if source and measuring in source.stages else {}
    decided, undecided = None, False
    lines: list[str] = []
    for name in _LAST:
        stage = run.stages.get(name)
        if not stage:
            continue
        by = _source(cluster, run, name)
        if stage.phase is Phase.CACHED:
            decided, undecided = by, not by
        lines += _lines(cluster, by, by.stages[name]) if by and name in by.stages else []
    outcome = [event for event in map(parse, lines) if isinstance(event, Decided | Published)]
    return Results(metrics, source, outcome, decided, undecided)


def _measuring(run: Run) -> str:
    return next((name for name in _MEASURING if name in run.stages), _MEASURING[-1])


def _source(cluster: Cluster, run: Run, name: str) -> Run | None:
    """The run in which a stage's code ran: the run itself, or the one that its cached result is from."""
    stage = run.stages.get(name)
    if not stage or stage.phase is not Phase.CACHED:
        return run
    run_id = _cached_from(cluster, run, stage)
    if not run_id:
        return _same_before(cluster, run, name)
    try:
        return read_run(cluster.run(run_id))
    except NotFound:
        # It was deleted; its objects may be there, but another run's would not be these.
        return None


def _cached_from(cluster: Cluster, run: Run, stage: Stage) -> str:
    """Id of the run that made what a stage took from the cache, by KFP's cache; empty where that does not tell."""
    log = cluster.log(run.run_id, stage.driver)
    fingerprint, execution = _FINGERPRINT.search(log), _CACHED_EXECUTION.search(log)
    if not fingerprint or not execution:
        return ""
    return next((run_id for run_id, made in cluster.made_by(fingerprint[1]) if made == execution[1]), "")


def _same_before(cluster: Cluster, run: Run, name: str) -> Run | None:
    """The latest earlier run with the same parameters and data in which a stage's code ran."""
    data = _data_digest(cluster, run)
    # Without an answer to this there is no table; the run has succeeded all the same.
    for count, answer in enumerate(cluster.runs(experiment_id=run.experiment_id, state="SUCCEEDED")):
        if count == _EARLIER_RUNS:
            break
        earlier = _read(answer)
        if not earlier or earlier.run_id == run.run_id or earlier.parameters != run.parameters:
            continue
        stage = earlier.stages.get(name)
        if stage and stage.phase is Phase.DONE and _data_digest(cluster, earlier) == data:
            return earlier
    return None


def failure(cluster: Cluster, run: Run, stage: Stage, attempt: str = "") -> Failure:
    """Reads why a stage failed: from its log, from its driver's if its code never got a pod, or from its pod's end.

    Args:
        cluster: Where it ran.
        run: The run.
        stage: The stage.
        attempt: Id of the attempt; empty: the last one.
    """
    if not stage.nodes and not attempt:
        lines = cluster.log(run.run_id, stage.driver).splitlines()
        return Failure(_fatal(lines), without_kfps_own(lines)[-_LINES:])
    text = attempt_log(cluster, run, stage, attempt) if attempt else stage_log(cluster, run, stage)
    lines = text.splitlines()
    raised: Raised | None = None
    for line in lines:
        event = parse(line)
        # A step's own message goes before whatever is raised because of it.
        if isinstance(event, Raised) and (event.expected or not (raised and raised.expected)):
            raised = event
    own = without_kfps_own(lines)[-_LINES:]
    if raised and raised.expected:
        may_pass = _LATER in raised.message
        elsewhere = may_pass or bool(_ELSEWHERE.search(raised.message))
        return Failure(raised.message, own, is_final=not may_pass, resumable=elsewhere)
    ended = _end_of_pod(cluster, run, attempt or stage.nodes[0])
    if _GONE.search(ended):
        return Failure(f"its pod vanished ({ended}): its node was lost, or somebody deleted it", own, resumable=True)
    if _STOPPED.search(ended):
        return Failure(f"it was stopped ({ended}): its pod was deleted, or its node taken away", own, resumable=True)
    if _TOO_LATE.search(ended):
        return Failure("it took longer than the profile's deadline_hours allow", own)
    if _KILLED.search(ended) or (not raised and _KILLED.search(_fatal(lines))):
        return Failure(_out_of_memory(run, stage, ended), own)
    return Failure(raised.message if raised else _fatal(lines) or ended, own)


def _end_of_pod(cluster: Cluster, run: Run, node: str) -> str:
    """What Kubernetes or Argo says of an attempt's end; empty where nobody says."""
    nodes = cluster.workflow(run.run_id).get("status", {}).get("nodes") or {}
    return str((nodes.get(node) or {}).get("message") or "")


def _out_of_memory(run: Run, stage: Stage, ended: str) -> str:
    limit = asked_for(run, stage.name).get("memory", "")
    name = stage.name.replace("-", "_")
    keys = f"stages.{name}.memory, or {GROUPS[name]}.memory" if name in GROUPS else "memory"
    why = f"it wanted more memory than its limit of {limit}; raise {keys} in the profile"
    if not limit:
        why = f"its node had no more memory; it has no limit of its own: give it one by {keys} in the profile"
    if "OOMKilled" in ended:
        return f"it was killed (exit code 137): {why}"
    return f"it was killed (exit code 137), most likely as {why}; else its pod was deleted, or its node taken away"


def _fatal(lines: list[str]) -> str:
    """The last words of KFP's own programs; empty if they had none."""
    fatal = [line.partition("] ")[2] for line in lines if line[:1] in ("E", "F") and _LAUNCHERS.match(line)]
    return fatal[-1] if fatal else ""


def without_kfps_own(lines: list[str]) -> list[str]:
    """A log without what KFP's launcher, driver and executor write, and the JSON that follows their lines.

    Returns:
        Those lines; all of them where nothing else is there.
    """
    own: list[str] = []
    depth, after_kfps = 0, False
    for line in lines:
        kfps = bool(_LAUNCHERS.match(line) or _KFPS_OWN.match(line))
        if kfps:
            depth = 0
        if kfps or depth > 0 or (after_kfps and line.startswith("{")):
            depth = max(0, depth + _opened(line))
            after_kfps = True
            continue
        after_kfps = after_kfps and not line.strip()
        if not after_kfps:
            own.append(line)
    return own or lines


def _opened(line: str) -> int:
    """How many more braces and brackets of JSON a line opens than it closes, whatever stands in quotes."""
    bare = re.sub(r'"(\\.|[^"\\])*"', "", line)
    bare = _LAUNCHERS.sub("", bare)
    return sum(bare.count(sign) for sign in "{[") - sum(bare.count(sign) for sign in "}]")


def attempt_log(cluster: Cluster, run: Run, stage: Stage, node: str) -> str:
    """The log of an attempt so far: of what still runs KFP reads it by the pod's name, later by the node's id."""
    return cluster.log(run.run_id, node) or cluster.log(run.run_id, pod_name(run, stage.name, node))


def last_progress(cluster: Cluster, run: Run, stage: Stage) -> StageProgress | None:
    """How far a stage's code is; None where no log says it."""
    if not stage.nodes:
        return None
    lines = cluster.log(run.run_id, pod_name(run, stage.name, stage.nodes[0])).splitlines()
    found = next((event for event in map(parse, reversed(lines)) if isinstance(event, StageProgress)), None)
    return dataclasses.replace(found, stage=stage.name) if found else None


def stage_log(cluster: Cluster, run: Run, stage: Stage) -> str:
    """The log of a stage's last attempt; empty where there is none."""
    for node in stage.nodes:
        if log := cluster.log(run.run_id, node):
            return log
    return ""


def told_of_data(cluster: Cluster, run: Run, stage: Stage) -> list[ClassesFound | Warned]:
    """What the stage that reads the pictures says of them: the classes with their counts, and what looks wrong."""
    return [event for event in map(parse, _lines(cluster, run, stage)) if isinstance(event, ClassesFound | Warned)]


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
