"""Reasons for which a task failed."""

import contextlib
import dataclasses
import re

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.kept_logs import read_kept_log
from headstart.pipelines.cluster.logs import drop_kfp_lines, find_fatal_message, read_attempt_log, read_task_log
from headstart.pipelines.cluster.pods import get_requests
from headstart.pipelines.cluster.runs import ClusterRun
from headstart.pipelines.cluster.task_runs import TaskRun
from headstart.pipelines.definitions.tasks import GROUPS
from headstart.pipelines.progress.events import Raised, parse

_LINES = 30
# Left by the process of a container that was killed for memory, or by somebody else: 128 and SIGKILL.
_KILLED = re.compile(r"exit code 137|exit status 137|signal: killed|OOMKilled")
_GONE = re.compile(r"pod deleted|node (is )?(lost|shutdown|not ready)|imminent node shutdown", re.I)
_STOPPED = re.compile(r"exit code 143")
_TOO_LATE = re.compile(r"active on the node longer than the specified deadline|DeadlineExceeded")
# Errors about something elsewhere, which may be fixed without a change of the run's own parameters.
_ELSEWHERE = re.compile(
    r"\bcannot (read|write|list|download|open|publish)\b|nothing is there|no such (bucket|object)"
)
_LATER = "try later"


@dataclasses.dataclass(frozen=True)
class Failure:
    """Reason for which a task failed.

    Attributes:
        reason: Reason in one line; empty if none is known.
        log: Last lines of the task's log.
        is_final: Whether another attempt would fail likewise: an error meant for the user, and not one that may pass.
        resumable: Whether the same run can succeed later as it is: what has to be fixed lies elsewhere.
    """

    reason: str
    log: list[str]
    is_final: bool = False
    resumable: bool = False


def find_failure(cluster: Cluster, run: ClusterRun, task: TaskRun, attempt: str = "") -> Failure:
    """Finds the reason in the task's log, in its driver's log if its code never got a pod, or in its pod's end.

    Args:
        cluster: KFP server.
        run: The run.
        task: The failed task.
        attempt: Id of the attempt; empty: the last one.
    """
    if not task.nodes and not attempt:
        lines = cluster.get_log(run.run_id, task.driver).splitlines()
        return Failure(find_fatal_message(lines), drop_kfp_lines(lines)[-_LINES:])
    lines = read_attempt_log(cluster, run, task, attempt) if attempt else read_task_log(cluster, run, task)
    if not lines and not attempt:
        with contextlib.suppress(HeadstartError):
            lines = read_kept_log(run, task.name)
    raised = find_error(lines)
    own = drop_kfp_lines(lines)[-_LINES:]
    if raised and raised.expected:
        may_pass = _LATER in raised.message
        elsewhere = may_pass or bool(_ELSEWHERE.search(raised.message))
        return Failure(raised.message, own, is_final=not may_pass, resumable=elsewhere)
    ended = _end_of_pod(cluster, run, attempt or task.nodes[0])
    if _GONE.search(ended):
        return Failure(f"its pod vanished ({ended}): its node was lost, or somebody deleted it", own, resumable=True)
    if _STOPPED.search(ended):
        return Failure(f"it was stopped ({ended}): its pod was deleted, or its node taken away", own, resumable=True)
    if _TOO_LATE.search(ended):
        return Failure("it took longer than the profile's deadline_hours allow", own)
    if _KILLED.search(ended) or (not raised and _KILLED.search(find_fatal_message(lines))):
        return Failure(_out_of_memory(run, task, ended), own)
    return Failure(raised.message if raised else find_fatal_message(lines) or ended, own)


def find_error(lines: list[str]) -> Raised | None:
    """Last error in a log; one that is meant for the user goes before errors raised because of it."""
    found: Raised | None = None
    for line in lines:
        event = parse(line)
        if isinstance(event, Raised) and (event.expected or not (found and found.expected)):
            found = event
    return found


def _end_of_pod(cluster: Cluster, run: ClusterRun, node: str) -> str:
    """Message of Kubernetes or Argo on an attempt's end; empty where there is none."""
    nodes = cluster.get_workflow(run.run_id).get("status", {}).get("nodes") or {}
    return str((nodes.get(node) or {}).get("message") or "")


def _out_of_memory(run: ClusterRun, task: TaskRun, ended: str) -> str:
    limit = get_requests(run, task.name).get("memory", "")
    name = task.name.replace("-", "_")
    keys = f"stages.{name}.memory, or {GROUPS[name]}.memory" if name in GROUPS else "memory"
    why = f"it needed more memory than its limit of {limit}; raise {keys} in the profile"
    if not limit:
        why = f"its node had no more memory; it has no limit of its own: give it one by {keys} in the profile"
    if "OOMKilled" in ended:
        return f"it was killed (exit code 137): {why}"
    return f"it was killed (exit code 137), most likely as {why}; else its pod was deleted, or its node taken away"
