"""Tasks of a run, read from the nodes of its Argo workflow.

KFP's API lists every node of the workflow below the run, and of most of them the name alone. A task `train-head` is a
pod `train-head-driver`, a node `train-head`, and below that a node `executor`: the pod with the user's code or, with
retries, one node for all attempts, `executor(0)` and so on. A condition is such a task too, `condition-1`, and the
tasks inside it lie below its node. Nodes name their children by ids. The API does not give a node's own id, but it
follows from the node's name.
"""

import dataclasses
import datetime
import enum
from typing import Any

from headstart.pipelines.cluster.compiled_tasks import CompiledTask

_CACHED_SECONDS = 2.0
_FNV_OFFSET, _FNV_PRIME, _FNV_BITS = 2166136261, 16777619, 0xFFFFFFFF

EARLIEST = datetime.datetime.min.replace(tzinfo=datetime.UTC)
LATEST = datetime.datetime.max.replace(tzinfo=datetime.UTC)


class TaskState(enum.Enum):
    """State of a task in a run."""

    WAITING = "waiting for other tasks"
    STARTING = "waiting for its pod to start"
    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


_NOT_ENDED = (TaskState.WAITING, TaskState.STARTING, TaskState.RUNNING)


@dataclasses.dataclass(frozen=True)
class TaskRun:
    """One task of a run.

    Attributes:
        name: Name of the task.
        state: State of the task.
        started: Time at which its driver began; None before.
        ended: Time at which it ended; None before.
        nodes: Ids of the pods that ran its code, the last attempt first.
        driver: Id of the pod that prepared them.
        failed: Ids of the attempts that are known to have failed, the first one first.
    """

    name: str
    state: TaskState
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    nodes: tuple[str, ...] = ()
    driver: str = ""
    failed: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Duration in seconds, driver included; None until the task has ended."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None


class WorkflowNodes:
    """Nodes of a run's workflow.

    Args:
        details: Task details of a `V2beta1Run`.
        succeeded: Whether the run has succeeded.
        cancelled: Time at which the run was terminated; None if it was not.
    """

    def __init__(self, details: list[Any], succeeded: bool, cancelled: datetime.datetime | None) -> None:
        self._succeeded = succeeded
        self._cancelled = cancelled
        # Without a state: what Argo left out because something before it failed.
        begun = [each for each in details if each.state not in (None, "RUNTIME_STATE_UNSPECIFIED")]
        # Not by `create_time`: of every node it is the run's.
        self._details = sorted(begun, key=lambda each: _time(each.start_time) or LATEST)
        self._by_name = {str(each.display_name or ""): each for each in self._details}
        self._by_child = {child: each for each in self._details for child in _children(each)}
        self._workflow = next(iter(self._by_child), "").rpartition("-")[0]

    def read_task(self, task: CompiledTask) -> TaskRun:
        """Reads the state, times and attempts of a task."""
        if task.loop:
            return self._read_loop_task(task, task.loop)
        driver, node = self._by_name.get(f"{task.name}-driver"), self._by_name.get(task.name)
        first, last = driver or node, node or driver
        attempts = self._attempts(task.path, node) if node else ()
        state = self._state(task, driver, node, len(attempts))
        failed = attempts if state is TaskState.FAILED or self._last_failed(node, len(attempts)) else attempts[:-1]
        if state is TaskState.FAILED and self._was_cut_off(last):
            state = TaskState.CANCELLED
        started = _time(first.start_time) if first else None
        ended = _time(last.end_time) if last and state not in _NOT_ENDED else None
        if ended and started and ended < started:
            ended = None
        nodes = tuple(reversed(attempts))
        return TaskRun(task.name, state, started, ended, nodes, self._id(f"{task.path}-driver"), tuple(failed))

    def _was_cut_off(self, node: Any) -> bool:
        """Whether a node failed because the run was terminated."""
        if self._cancelled is None:
            return False
        return (_time(node.end_time) or LATEST) >= self._cancelled

    def _read_loop_task(self, task: CompiledTask, loop: str) -> TaskRun:
        """Reads all iterations of a task as one, which runs from the start of the first to the end of the loop.

        Below the node of a loop lies one for each iteration, `iteration-iterations(0:0)`, and in it `iteration-item`,
        which holds the tasks. Only the id of a node's executor tells its iteration.
        """
        nodes = self._named(task.name)
        begun = [*self._named(f"{task.name}-driver"), *nodes]
        failed = [node for node in begun if node.state == "FAILED"]
        state = self._loop_state(loop, begun, nodes, failed)
        started = min((_time(node.start_time) or LATEST for node in begun), default=None)
        ends = [_time(node.end_time) for node in failed or nodes]
        over = state in (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)
        ended = max((end for end in ends if end), default=None) if over else None
        attempts = [each for node in failed for each in self._attempts_in_loop(task, loop, node)]
        others = [self._attempts_in_loop(task, loop, node)[:-1] for node in nodes if node not in failed]
        tried = [*attempts, *(each for iteration in others for each in iteration)]
        return TaskRun(task.name, state, started, ended, tuple(reversed(attempts)), failed=tuple(tried))

    def _loop_state(self, loop: str, begun: list[Any], nodes: list[Any], failed: list[Any]) -> TaskState:
        if failed:
            return TaskState.CANCELLED if all(map(self._was_cut_off, failed)) else TaskState.FAILED
        around = self._by_name.get(loop)
        if not self._succeeded and (around is None or around.state != "SUCCEEDED"):
            return TaskState.RUNNING if begun else TaskState.WAITING
        if not nodes:
            return TaskState.SKIPPED
        return TaskState.CACHED if all(map(self._was_cached, nodes)) else TaskState.DONE

    def _attempts_in_loop(self, task: CompiledTask, loop: str, node: Any) -> tuple[str, ...]:
        before, after = task.path.split(f"{loop}.", 1)
        for index in range(len(self._named(task.name))):
            path = f"{before}{loop}.iteration-iterations({index}:{index}).iteration-item.{after}"
            if self._id(f"{path}.executor") in _children(node):
                return self._attempts(path, node)
        return ()

    def _named(self, name: str) -> list[Any]:
        return [each for each in self._details if each.display_name == name]

    def _state(self, task: CompiledTask, driver: Any, node: Any, attempts: int) -> TaskState:
        state = str(node.state) if node else ""
        if (driver and driver.state == "FAILED") or state == "FAILED":
            return TaskState.FAILED
        if state == "SUCCEEDED":
            return TaskState.CACHED if self._was_cached(node) else TaskState.DONE
        if state in ("SKIPPED", "CANCELED"):
            return TaskState.SKIPPED
        if node and self._executes(node, attempts):
            return TaskState.RUNNING
        if driver or node:
            return TaskState.STARTING
        return TaskState.SKIPPED if task.parents and self._is_left_out(task) else TaskState.WAITING

    def _is_left_out(self, task: CompiledTask) -> bool:
        """Whether a condition around a task did not hold."""
        parents = [self._by_name[name] for name in task.parents if name in self._by_name]
        return self._succeeded or any(str(node.state) == "SKIPPED" for node in parents)

    def _was_cached(self, node: Any) -> bool:
        """Whether the code never ran: the node ended as it began, and an executor was skipped at that moment."""
        start, end = _time(node.start_time), _time(node.end_time)
        if not start or not end or (end - start).total_seconds() > _CACHED_SECONDS:
            return False
        return any(
            each.display_name == "executor"
            and each.state == "SKIPPED"
            and abs(((_time(each.start_time) or LATEST) - start).total_seconds()) <= _CACHED_SECONDS
            for each in self._details
        )

    def _executes(self, node: Any, attempts: int) -> bool:
        """Whether the user's code has a pod that runs; the attempt's node says PENDING until then."""
        name = f"executor({attempts - 1})" if attempts > 1 or "executor(0)" in self._by_name else "executor"
        pods = self._started_since(node, name)
        return bool(pods) and pods[0].state != "PENDING"

    def _last_failed(self, node: Any, attempts: int) -> bool:
        """Whether the latest of several attempts has failed, and the next one is waited for."""
        if not node or not attempts or str(node.state) != "RUNNING":
            return False
        # Of the same name are the executors of tasks at the same time: unless all have failed, it is not known.
        pods = self._started_since(node, f"executor({attempts - 1})")
        return bool(pods) and all(str(each.state) == "FAILED" for each in pods)

    def _started_since(self, node: Any, name: str) -> list[Any]:
        start = _time(node.start_time) or EARLIEST
        return [each for each in self._named(name) if (_time(each.start_time) or LATEST) >= start]

    def _attempts(self, path: str, node: Any) -> tuple[str, ...]:
        """Ids of the pods of a task, in their order."""
        children = _children(node)
        if not children:
            return ()
        retried = self._by_child.get(self._id(f"{path}.executor(0)"))
        return tuple(_children(retried)) if retried else (children[0],)

    def _id(self, path: str) -> str:
        return f"{self._workflow}-{fnv32a(f'{self._workflow}.root.{path}')}"


def fnv32a(text: str) -> int:
    """The hash from which Argo makes ids of nodes: FNV-1a, 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/)."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = (value ^ byte) * _FNV_PRIME & _FNV_BITS
    return value


def _children(node: Any) -> list[str]:
    return [str(child.pod_name) for child in node.child_tasks or [] if child.pod_name]


def _time(moment: datetime.datetime | None) -> datetime.datetime | None:
    """A moment, or None where the API writes the years 1 or 1970 for none."""
    return moment if moment and moment.year > 1970 else None
