"""Logs of a run's tasks, and the events in them."""

import dataclasses
import re
import shlex
from collections.abc import Iterable

from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.pods import pod_name
from headstart.pipelines.cluster.runs import ClusterRun
from headstart.pipelines.cluster.task_runs import TaskRun
from headstart.pipelines.progress.events import ClassesFound, Event, TaskProgress, Warned, parse

_LISTING = "list-data"
# KFP's launcher writes into the same log, such as `I1124 06:08:02.779068      16 main.go:67] …`.
_LAUNCHER = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\.go:\d+\]")
_KFP_EXECUTOR = re.compile(r"\[KFP Executor \d")


def read_task_log(cluster: Cluster, run: ClusterRun, task: TaskRun) -> list[str]:
    """Lines of the log of a task's last attempt; none where there is no log."""
    return next(filter(None, (read_attempt_log(cluster, run, task, node) for node in task.nodes)), [])


def read_attempt_log(cluster: Cluster, run: ClusterRun, task: TaskRun, node: str) -> list[str]:
    """Lines of the log of an attempt so far: KFP has it by the pod's name while it runs, later by the node's id.

    Of a workflow whose nodes are packed it knows no ids, see `Cluster.get_run`.
    """
    log = cluster.get_log(run.run_id, node) or cluster.get_log(run.run_id, pod_name(run, task.name, node))
    return log.splitlines()


def read_events(cluster: Cluster, run: ClusterRun, task: TaskRun) -> list[Event]:
    """Events in the log of a task's last attempt."""
    return find_events(read_task_log(cluster, run, task))


def find_events(lines: Iterable[str]) -> list[Event]:
    """Events in the lines of a log."""
    return [event for line in lines if (event := parse(line))]


def read_data_events(cluster: Cluster, run: ClusterRun, task: TaskRun) -> list[Event]:
    """Events of the task that reads the images: the classes with their counts, and warnings."""
    return [event for event in read_events(cluster, run, task) if isinstance(event, ClassesFound | Warned)]


def read_progress(cluster: Cluster, run: ClusterRun, task: TaskRun) -> TaskProgress | None:
    """Latest progress of a running task; None where no log has any."""
    if not task.nodes:
        return None
    lines = cluster.get_log(run.run_id, pod_name(run, task.name, task.nodes[0])).splitlines()
    found = next((event for event in map(parse, reversed(lines)) if isinstance(event, TaskProgress)), None)
    return dataclasses.replace(found, task=task.name) if found else None


def read_data_digest(cluster: Cluster, run: ClusterRun) -> str:
    """Digest of the listing of a run's data; empty where no log has it."""
    task = run.tasks.get(_LISTING)
    for line in read_task_log(cluster, run, task) if task else []:
        if line.strip().startswith("event=listed "):
            return dict(word.split("=", 1) for word in shlex.split(line)).get("digest", "")
    return ""


def find_fatal_message(lines: list[str]) -> str:
    """Last error of KFP's own programs in a log; empty if there is none."""
    fatal = [line.partition("] ")[2] for line in lines if line[:1] in ("E", "F") and _LAUNCHER.match(line)]
    return fatal[-1] if fatal else ""


def drop_kfp_lines(lines: list[str]) -> list[str]:
    """A log without the lines of KFP's launcher, driver and executor, and the JSON that follows them.

    Returns:
        The remaining lines; all of them where nothing else is there.
    """
    own: list[str] = []
    depth, after_kfp = 0, False
    for line in lines:
        by_kfp = bool(_LAUNCHER.match(line) or _KFP_EXECUTOR.match(line))
        if by_kfp:
            depth = 0
        if by_kfp or depth > 0 or (after_kfp and line.startswith("{")):
            depth = max(0, depth + _opened_brackets(line))
            after_kfp = True
            continue
        after_kfp = after_kfp and not line.strip()
        if not after_kfp:
            own.append(line)
    return own or lines


def _opened_brackets(line: str) -> int:
    """Number of braces and brackets that a line of JSON opens and does not close, those in strings aside."""
    bare = re.sub(r'"(\\.|[^"\\])*"', "", line)
    bare = _LAUNCHER.sub("", bare)
    return sum(bare.count(sign) for sign in "{[") - sum(bare.count(sign) for sign in "}]")
