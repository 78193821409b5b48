"""Watching a run: its tasks on the display, from look to look, until it ends."""

import contextlib
import dataclasses
import datetime
import time
from collections.abc import Mapping

from rich.console import Console

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.failures import Failure, find_failure
from headstart.pipelines.cluster.logs import read_data_events, read_progress
from headstart.pipelines.cluster.pods import get_requests, max_retries, pod_name
from headstart.pipelines.cluster.runs import ClusterRun, read_run
from headstart.pipelines.cluster.task_runs import TaskRun, TaskState
from headstart.pipelines.cluster.timeouts import Timeouts
from headstart.pipelines.cluster.transport import Unreachable
from headstart.pipelines.progress.console import say
from headstart.pipelines.progress.display import RunDisplay
from headstart.pipelines.progress.events import AttemptFailed, TaskEnded, TaskSkipped, TaskStarted

_READING = "download-dataset"
_ENDED = (TaskState.DONE, TaskState.CACHED, TaskState.FAILED, TaskState.CANCELLED)
_SUCCEEDED = (TaskState.DONE, TaskState.CACHED)
_IN_PROGRESS = (TaskState.STARTING, TaskState.RUNNING)
_SECONDS_BETWEEN_LOOKS_AT_LOGS = 15.0
_SECONDS_UNTIL_LOG_IS_NAMED = 120.0
_SECONDS_FOR_LOG_TO_BE_STORED = 20.0
_CANCELLING_SECONDS = 120.0
_LOOKS_AFTER_THE_END = 5
# Where a KFP without users of its own runs its pods.
_SINGLE_USER_NAMESPACE = "kubeflow"


class TaskNotStarted(Exception):
    """A task did not start in time."""

    def __init__(self, task: str) -> None:
        super().__init__(task)
        self.task = task


class ConnectionLost(Exception):
    """The connection to the server was lost for too long."""


@dataclasses.dataclass(frozen=True)
class FollowOptions:
    """Options for following a run.

    Attributes:
        timeouts: Times to wait.
        namespace: Namespace of the pods, for the kubectl commands that are suggested.
        failures_before: Tasks that had failed by name, of a run that is tried again.
        may_terminate: Whether to terminate the run where a task failed by an error that further attempts would meet
            again, and nothing else is in progress.
    """

    timeouts: Timeouts
    namespace: str = ""
    failures_before: Mapping[str, TaskRun] = dataclasses.field(default_factory=dict)
    may_terminate: bool = False


def look_at_run(cluster: Cluster, run_id: str, console: Console, timeouts: Timeouts) -> ClusterRun:
    """Reads a run; waits for a lost connection to come back.

    Args:
        cluster: KFP server.
        run_id: Id of the run.
        console: Console to print to.
        timeouts: Times to wait.

    Raises:
        NotFound: If the run does not exist.
        ConnectionLost: If the connection does not come back in time.
    """
    since = time.monotonic()
    lost = False
    while True:
        try:
            found = read_run(cluster.get_run(run_id))
        except Unreachable as error:
            if time.monotonic() - since > timeouts.connection_timeout:
                raise ConnectionLost(str(error)) from None
            if not lost:
                lost = True
                say(f"no connection ({error}); the run goes on, trying to reconnect", console=console)
            time.sleep(timeouts.interval)
        else:
            if lost:
                say("connected again", console=console)
            return found


class RunWatch:
    """Looks at a run again and again, and shows what has changed.

    Args:
        cluster: KFP server.
        console: Console to print to.
        display: Display of the tasks.
        options: Options for following the run.

    Attributes:
        hopeless: Task because of which the run was terminated, and the reason; None if it was not.
    """

    def __init__(self, cluster: Cluster, console: Console, display: RunDisplay, options: FollowOptions) -> None:
        self._cluster = cluster
        self._console = console
        self._display = display
        self._options = options
        self._timeouts = options.timeouts
        self.hopeless: tuple[str, Failure] | None = None
        self._reported_attempts = {node for task in options.failures_before.values() for node in task.failed}
        self._failed_at: dict[str, float] = {}
        self._next_look_at_log: dict[str, float] = {}
        self._running: dict[str, float] = {}
        self._states: dict[str, TaskState] = {}
        self._starting: dict[str, float] = {}
        self._explained: set[str] = set()
        self._cancelling = 0.0
        self._looks_after_the_end = 0

    def watch_to_the_end(self, run: ClusterRun) -> ClusterRun:
        """Shows the run until it ends, and returns it as it is then.

        Args:
            run: The run as it is now.

        Raises:
            TaskNotStarted: If a task does not start in time.
            ConnectionLost: If the connection is lost for too long.
        """
        while True:
            for task in run.tasks.values():
                self._show(task, run)
            if self._is_over(run):
                return run
            if not run.ended:
                self._check_starts(run)
                self._look_at_logs(run)
            time.sleep(self._timeouts.interval)
            run = self._look_again(run)

    def _look_again(self, run: ClusterRun) -> ClusterRun:
        try:
            return look_at_run(self._cluster, run.run_id, self._console, self._timeouts)
        except HeadstartError as error:
            raise ConnectionLost(str(error)) from None

    def _show(self, task: TaskRun, run: ClusterRun) -> None:
        before = self._states.get(task.name, TaskState.WAITING)
        if task.state is TaskState.SKIPPED and before is TaskState.WAITING and run.succeeded:
            self._display.show(TaskSkipped(task.name))
            self._states[task.name] = task.state
            return
        if task.state in (before, TaskState.WAITING, TaskState.SKIPPED) or before in _SUCCEEDED:
            return
        if self._has_old_failure(task, run):
            return
        if before is TaskState.WAITING:
            self._display.show(TaskStarted(task.name, _seconds_since(task.started)))
        if task.state in _ENDED:
            self._show_end(task, run)
        self._states[task.name] = task.state

    def _has_old_failure(self, task: TaskRun, run: ClusterRun) -> bool:
        """Whether a task still shows the failure before the run was tried again."""
        known = self._options.failures_before.get(task.name)
        return known is not None and not run.ended and (task.state, task.ended) == (TaskState.FAILED, known.ended)

    def _show_end(self, task: TaskRun, run: ClusterRun) -> None:
        # A task whose own error ended the run has failed.
        cancelled = task.state is TaskState.CANCELLED and not (self.hopeless and self.hopeless[0] == task.name)
        cached = task.state is TaskState.CACHED
        self._display.show(TaskEnded(task.name, task.state in _SUCCEEDED, task.seconds, cached, cancelled))
        if task.name == _READING and task.state is TaskState.DONE:
            with contextlib.suppress(HeadstartError):
                for event in read_data_events(self._cluster, run, task):
                    self._display.show(event)

    def _look_at_logs(self, run: ClusterRun) -> None:
        """Reports attempts that have failed, and the progress of the others; a log that cannot be read is skipped."""
        for task in run.tasks.values():
            if task.state not in _IN_PROGRESS:
                continue
            try:
                self._report_failed_attempts(run, task)
                if task.state is TaskState.RUNNING:
                    self._report_progress(run, task)
            except HeadstartError:
                continue

    def _report_failed_attempts(self, run: ClusterRun, task: TaskRun) -> None:
        for number, node in enumerate(task.failed, 1):
            if node in self._reported_attempts:
                continue
            why = find_failure(self._cluster, run, task, node)
            since = self._failed_at.setdefault(node, time.monotonic())
            if not why.reason and time.monotonic() - since < _SECONDS_FOR_LOG_TO_BE_STORED:
                # Right after its end an attempt's log may not lie in the store yet.
                continue
            self._reported_attempts.add(node)
            reason = why.reason or "its log does not say why"
            self._display.show(AttemptFailed(task.name, number, 1 + max_retries(run, task.name), reason))
            if why.is_final and not self.hopeless:
                self._terminate_or_advise(run, task, why)

    def _terminate_or_advise(self, run: ClusterRun, task: TaskRun, why: Failure) -> None:
        others = [each for each in run.tasks.values() if each.state in _IN_PROGRESS and each is not task]
        if self._options.may_terminate and not others:
            self._cluster.terminate_run(run.run_id)
            self.hopeless = (task.name, why)
        else:
            self._say(f"another attempt would fail likewise; to terminate the run: headstart cancel {run.run_id}")

    def _report_progress(self, run: ClusterRun, task: TaskRun) -> None:
        now = time.monotonic()
        since = self._running.setdefault(task.name, now)
        if now < self._next_look_at_log.get(task.name, since + _SECONDS_BETWEEN_LOOKS_AT_LOGS):
            return
        progress = read_progress(self._cluster, run, task)
        took = time.monotonic() - now
        self._next_look_at_log[task.name] = now + max(_SECONDS_BETWEEN_LOOKS_AT_LOGS, 20 * took)
        if progress:
            self._display.show(progress)
        elif now - since > _SECONDS_UNTIL_LOG_IS_NAMED and task.name not in self._explained and task.nodes:
            self._explained.add(task.name)
            pod = pod_name(run, task.name, task.nodes[0])
            self._say(f"{task.name} is running; see its log with: {self._kubectl} logs -f {pod} -c main")

    def _is_over(self, run: ClusterRun) -> bool:
        if run.ended and not run.cancelled and not run.settled:
            self._looks_after_the_end += 1
            return self._looks_after_the_end > _LOOKS_AFTER_THE_END
        return run.ended or self._is_cancelled(run)

    def _is_cancelled(self, run: ClusterRun) -> bool:
        """Whether a run is being cancelled and never says that it has ended, as with some versions of KFP."""
        if run.state != "CANCELING":
            return False
        self._cancelling = self._cancelling or time.monotonic()
        return time.monotonic() - self._cancelling > _CANCELLING_SECONDS

    def _check_starts(self, run: ClusterRun) -> None:
        """Explains tasks that do not start, and gives up on them in the end."""
        now = time.monotonic()
        for task in run.tasks.values():
            if task.state is not TaskState.STARTING:
                self._starting.pop(task.name, None)
                continue
            waited = now - self._starting.setdefault(task.name, now)
            too_late = 0 < self._timeouts.start_timeout <= waited
            if (too_late or waited >= self._timeouts.start_notice) and task.name not in self._explained:
                self._explained.add(task.name)
                self._show_requests(run, task.name, waited)
            if too_late:
                raise TaskNotStarted(task.name)

    def _show_requests(self, run: ClusterRun, task: str, waited: float) -> None:
        self._say(
            f"{task} has not started for {waited:.0f} s; the cluster may have no room for it, or lack its image or "
            "a secret. It requests:",
            *(f"  {name:<14} {text}" for name, text in get_requests(run, task).items()),
            f"look with: {self._kubectl} get pods -l pipeline/runid={run.run_id}",
            f"and:       {self._kubectl} describe pod <the one that is Pending>",
        )

    @property
    def _kubectl(self) -> str:
        return f"kubectl -n {self._options.namespace or _SINGLE_USER_NAMESPACE}"

    def _say(self, *lines: str) -> None:
        say(*lines, console=self._console)


def _seconds_since(moment: datetime.datetime | None) -> float:
    return max(0.0, (datetime.datetime.now(datetime.UTC) - moment).total_seconds()) if moment else 0.0
