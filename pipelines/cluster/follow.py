"""Follows a run on a cluster to its end, as a local run is shown."""

import contextlib
import datetime
import enum
import time
from collections.abc import Mapping

from rich.console import Console

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.client import Cluster, Unreachable
from headstart.pipelines.cluster.outcome import Failure, failure, last_progress, results, told_of_data
from headstart.pipelines.cluster.patience import Patience
from headstart.pipelines.cluster.runs import Phase, Run, Stage, asked_for, pod_name, read_run, retries_of
from headstart.pipelines.progress.display import RunDisplay, in_words, show_metrics
from headstart.pipelines.progress.events import AttemptFailed, StageEnded, StageSkipped, StageStarted

_READING = "download-dataset"
_ENDED = (Phase.DONE, Phase.CACHED, Phase.FAILED, Phase.CANCELLED)
_UNDER_WAY = (Phase.STARTING, Phase.RUNNING)
_SECONDS_BETWEEN_LOOKS_AT_LOGS = 15.0
_SECONDS_UNTIL_LOG_IS_TOLD = 120.0
_SECONDS_FOR_LOG_TO_BE_STORED = 20.0
_CANCELLING_SECONDS = 120.0
_LOOKS_AFTER_THE_END = 5
# Where a KFP without users of its own runs its pods.
_SINGLE_USER_NAMESPACE = "kubeflow"


class End(enum.IntEnum):
    """How following a run ended: the exit status."""

    SUCCEEDED = 0
    FAILED = 1
    CANCELLED = 3
    NOT_STARTED = 4
    LOST = 5
    INTERRUPTED = 130


class _NotStarted(Exception):
    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


class _Lost(Exception):
    pass


def follow(
    cluster: Cluster,
    run_id: str,
    console: Console,
    patience: Patience,
    namespace: str = "",
    failures_before: Mapping[str, Stage] | None = None,
    may_end_it: bool = False,
) -> End:
    """Shows a run stage by stage until it ends, then its figures, or why there are none.

    Args:
        cluster: Where it runs.
        run_id: Its id.
        console: Where to write.
        patience: How long to wait for what.
        namespace: Where its pods are, for what is said of looking at them.
        failures_before: Of a run that is tried again, the stages that had failed.
        may_end_it: Whether to end the run where a stage failed by an error that its other attempts would meet again,
            and nothing else is under way.

    Raises:
        NotFound: There is no such run.
    """
    again = f"headstart follow {run_id}"
    try:
        run = _look(cluster, run_id, console, patience)
        with RunDisplay(console, stages=len(run.stages)) as display:
            watch = _Watch(cluster, console, display, patience, namespace, failures_before or {}, may_end_it)
            run = watch.to_the_end(run)
    except KeyboardInterrupt:
        _say(console, f"no longer following; the run goes on: {again}", _terminate(run_id))
        return End.INTERRUPTED
    except _NotStarted as error:
        _say(console, f"{error.stage} has not started; the run goes on: {again}", _terminate(run_id))
        return End.NOT_STARTED
    except _Lost as error:
        _say(console, f"lost the run out of sight: {error}", f"it goes on; follow it again with: {again}")
        return End.LOST
    if run.succeeded:
        _show_results(cluster, run, console)
        return End.SUCCEEDED
    if watch.hopeless:
        stage, why = watch.hopeless
        _show_why(console, stage, why)
        _say(
            console, f"the error would come again: the run was ended rather than tried again; {_way_on(why, run_id)}"
        )
        return End.FAILED
    if run.cancelled:
        _say(console, f"the run was cancelled; what failed or never ran runs with: {_resume(run_id)}")
        return End.CANCELLED
    _show_failure(cluster, run, console)
    return End.FAILED


def _look(cluster: Cluster, run_id: str, console: Console, patience: Patience) -> Run:
    """Looks at a run; a lost connection is sought for as long as it may take to come back."""
    since = time.monotonic()
    told = False
    while True:
        try:
            found = read_run(cluster.run(run_id))
        except Unreachable as error:
            if time.monotonic() - since > patience.connection_timeout:
                raise _Lost(str(error)) from None
            if not told:
                told = True
                _say(console, f"no connection ({error}); the run goes on, and so does looking for it")
            time.sleep(patience.interval)
        else:
            if told:
                _say(console, "connected again")
            return found


class _Watch:
    """Looks at a run again and again."""

    def __init__(
        self,
        cluster: Cluster,
        console: Console,
        display: RunDisplay,
        patience: Patience,
        namespace: str,
        failures_before: Mapping[str, Stage],
        may_end_it: bool,
    ) -> None:
        self._cluster = cluster
        self._console = console
        self._display = display
        self._patience = patience
        self._namespace = namespace
        self._failures_before = failures_before
        self._may_end_it = may_end_it
        self.hopeless: tuple[str, Failure] | None = None
        self._attempts_told: set[str] = {node for stage in failures_before.values() for node in stage.failed}
        self._failed_at: dict[str, float] = {}
        self._next_look_at_log: dict[str, float] = {}
        self._running: dict[str, float] = {}
        self._phases: dict[str, Phase] = {}
        self._starting: dict[str, float] = {}
        self._told: set[str] = set()
        self._cancelling = 0.0
        self._looks_after_the_end = 0

    def to_the_end(self, run: Run) -> Run:
        while True:
            for stage in run.stages.values():
                self._show(stage, run)
            if self._is_over(run):
                return run
            if not run.ended:
                self._look_for_stages_that_do_not_start(run)
                self._look_at_logs(run)
            time.sleep(self._patience.interval)
            run = self._look_again(run)

    def _look_again(self, run: Run) -> Run:
        try:
            return _look(self._cluster, run.run_id, self._console, self._patience)
        except HeadstartError as error:
            raise _Lost(str(error)) from None

    def _show(self, stage: Stage, run: Run) -> None:
        before = self._phases.get(stage.name, Phase.WAITING)
        known = self._failures_before.get(stage.name)
        stale = known and not run.ended and (stage.phase, stage.ended) == (Phase.FAILED, known.ended)
        if stage.phase is Phase.SKIPPED and before is Phase.WAITING and run.succeeded:
            self._display.show(StageSkipped(stage.name))
            self._phases[stage.name] = stage.phase
            return
        if stage.phase in (before, Phase.WAITING, Phase.SKIPPED) or before in (Phase.DONE, Phase.CACHED) or stale:
            return
        if before is Phase.WAITING:
            self._display.show(StageStarted(stage.name, _seconds_since(stage.started)))
        if stage.phase in _ENDED:
            cached = stage.phase is Phase.CACHED
            # What was ended because of its own error has failed.
            cancelled = stage.phase is Phase.CANCELLED and not (self.hopeless and self.hopeless[0] == stage.name)
            succeeded = stage.phase in (Phase.DONE, Phase.CACHED)
            self._display.show(StageEnded(stage.name, succeeded, stage.seconds, cached, cancelled))
            if stage.name == _READING and stage.phase is Phase.DONE:
                with contextlib.suppress(HeadstartError):
                    for event in told_of_data(self._cluster, run, stage):
                        self._display.show(event)
        self._phases[stage.name] = stage.phase

    def _look_at_logs(self, run: Run) -> None:
        """Tells of attempts that have failed, and how far the others are; a log that cannot be read is no matter."""
        for stage in run.stages.values():
            if stage.phase not in _UNDER_WAY:
                continue
            try:
                self._tell_failed_attempts(run, stage)
                if stage.phase is Phase.RUNNING:
                    self._tell_progress(run, stage)
            except HeadstartError:
                continue

    def _tell_failed_attempts(self, run: Run, stage: Stage) -> None:
        for number, node in enumerate(stage.failed, 1):
            if node in self._attempts_told:
                continue
            why = failure(self._cluster, run, stage, node)
            since = self._failed_at.setdefault(node, time.monotonic())
            if not why.reason and time.monotonic() - since < _SECONDS_FOR_LOG_TO_BE_STORED:
                # Right after its end an attempt's log may not lie in the store yet.
                continue
            self._attempts_told.add(node)
            reason = why.reason or "its log does not say why"
            self._display.show(AttemptFailed(stage.name, number, 1 + retries_of(run, stage.name), reason))
            if not why.is_final or self.hopeless:
                continue
            others = [each.name for each in run.stages.values() if each.phase in _UNDER_WAY and each is not stage]
            if self._may_end_it and not others:
                self._cluster.terminate(run.run_id)
                self.hopeless = (stage.name, why)
            else:
                _say(self._console, f"the same would come again; to end the run: headstart cancel {run.run_id}")

    def _tell_progress(self, run: Run, stage: Stage) -> None:
        now = time.monotonic()
        since = self._running.setdefault(stage.name, now)
        if now < self._next_look_at_log.get(stage.name, since + _SECONDS_BETWEEN_LOOKS_AT_LOGS):
            return
        progress = last_progress(self._cluster, run, stage)
        took = time.monotonic() - now
        self._next_look_at_log[stage.name] = now + max(_SECONDS_BETWEEN_LOOKS_AT_LOGS, 20 * took)
        if progress:
            self._display.show(progress)
        elif now - since > _SECONDS_UNTIL_LOG_IS_TOLD and stage.name not in self._told and stage.nodes:
            self._told.add(stage.name)
            pod = pod_name(run, stage.name, stage.nodes[0])
            where = f" -n {self._namespace or _SINGLE_USER_NAMESPACE}"
            _say(self._console, f"{stage.name} is at work; see its log with: kubectl{where} logs -f {pod} -c main")

    def _is_over(self, run: Run) -> bool:
        if run.ended and not run.cancelled and not run.settled:
            self._looks_after_the_end += 1
            return self._looks_after_the_end > _LOOKS_AFTER_THE_END
        return run.ended or self._is_cancelled(run)

    def _is_cancelled(self, run: Run) -> bool:
        """Whether a run is being cancelled and never says that it has ended, as with some versions of KFP."""
        if run.state != "CANCELING":
            return False
        self._cancelling = self._cancelling or time.monotonic()
        return time.monotonic() - self._cancelling > _CANCELLING_SECONDS

    def _look_for_stages_that_do_not_start(self, run: Run) -> None:
        now = time.monotonic()
        for stage in run.stages.values():
            if stage.phase is not Phase.STARTING:
                self._starting.pop(stage.name, None)
                continue
            waited = now - self._starting.setdefault(stage.name, now)
            if waited >= self._patience.start_notice and stage.name not in self._told:
                self._told.add(stage.name)
                self._tell_what_was_asked_for(run, stage.name, waited)
            if 0 < self._patience.start_timeout <= waited:
                if stage.name not in self._told:
                    self._tell_what_was_asked_for(run, stage.name, waited)
                raise _NotStarted(stage.name)

    def _tell_what_was_asked_for(self, run: Run, stage: str, waited: float) -> None:
        asked = [f"  {name:<14} {text}" for name, text in asked_for(run, stage).items()]
        where = f" -n {self._namespace or _SINGLE_USER_NAMESPACE}"
        _say(
            self._console,
            f"{stage} has not started for {waited:.0f} s; the cluster may have no room for it, or lack its image or "
            "a secret. It asks for:",
            *asked,
            f"look with: kubectl{where} get pods -l pipeline/runid={run.run_id}",
            f"and:       kubectl{where} describe pod <the one that is Pending>",
        )


def _show_results(cluster: Cluster, run: Run, console: Console) -> None:
    try:
        found = results(cluster, run)
    except HeadstartError as error:
        _say(console, f"the run succeeded; its figures cannot be read ({error})")
        return
    if not found.run:
        _say(
            console,
            "the evaluation came from the cache, and the run that made it cannot be found: it was deleted, or KFP's "
            "driver left no log; its figures and report are unknown here. --no-cache evaluates anew",
        )
    elif found.run.run_id != run.run_id:
        _say(console, f"the evaluation came from the cache; it was made by run {found.run.run_id} ({found.run.name})")
    if found.metrics:
        show_metrics(console, found.metrics)
    elif found.run:
        _say(console, "no log holds the figures any more; they are in the evaluation's metrics.json")
    if found.report:
        _say(console, f"report  {found.report}")
    if found.decided_by and found.decided_by.run_id != run.run_id:
        _say(console, f"the decision came from the cache; it was made by run {found.decided_by.run_id}")
    if found.undecided:
        _say(
            console,
            "the decision came from the cache, and the run that made it cannot be found; its verdict is unknown, "
            "except that publish-model runs where it is better",
        )
    _say(console, *map(in_words, found.outcome))


def _show_failure(cluster: Cluster, run: Run, console: Console) -> None:
    stage = run.failed_stage
    if not stage:
        _say(console, f"the run ended as {run.state}, and no stage says why; see {cluster.link(run.run_id)}")
        _say(console, f"what failed or never ran runs with: {_resume(run.run_id)}")
        return
    try:
        why = failure(cluster, run, stage)
    except HeadstartError as error:
        _say(console, f"{stage.name} failed; its log cannot be read ({error})")
        return
    _show_why(console, stage.name, why, cluster.link(run.run_id))
    _say(console, _way_on(why, run.run_id))


def _show_why(console: Console, stage: str, why: Failure, link: str = "") -> None:
    reason = f": {why.reason}" if why.reason else f"; see {link}" if link else ""
    _say(console, f"{stage} failed{reason}", *(f"  | {line}" for line in why.log))


def _way_on(why: Failure, run_id: str) -> str:
    """What to do next: a run that is resumed keeps parameters, images and limits; it helps with some errors."""
    if why.resumable:
        return f"once mended, what failed runs again with: {_resume(run_id)}"
    return "once mended, submit anew; what has finished comes from the cache"


def _resume(run_id: str) -> str:
    return f"headstart submit --resume {run_id} --wait"


def _terminate(run_id: str) -> str:
    return f"to end it: headstart cancel {run_id}"


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _seconds_since(moment: datetime.datetime | None) -> float:
    return max(0.0, (datetime.datetime.now(datetime.UTC) - moment).total_seconds()) if moment else 0.0
