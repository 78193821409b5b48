"""Following a run on a cluster to its end, as a local run is shown."""

import enum

from rich.console import Console

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.failures import Failure, find_failure
from headstart.pipelines.cluster.results import RANKING_TASK, RunResults, find_results
from headstart.pipelines.cluster.runs import ClusterRun
from headstart.pipelines.cluster.watch import ConnectionLost, FollowOptions, RunWatch, TaskNotStarted, look_at_run
from headstart.pipelines.progress.console import say
from headstart.pipelines.progress.display import RunDisplay, describe_outcome, show_metrics, show_ranking


class End(enum.IntEnum):
    """End of following a run: the exit status."""

    SUCCEEDED = 0
    FAILED = 1
    CANCELLED = 3
    NOT_STARTED = 4
    LOST = 5
    INTERRUPTED = 130


def follow(cluster: Cluster, run_id: str, console: Console, options: FollowOptions) -> End:
    """Shows a run task by task until it ends, then its figures, or the reason why there are none.

    Args:
        cluster: KFP server.
        run_id: Id of the run.
        console: Console to print to.
        options: Options for following the run.

    Raises:
        NotFound: If the run does not exist.
    """
    again = f"it goes on, follow it with: headstart follow {run_id}"
    terminate = f"to terminate it: headstart cancel {run_id}"
    try:
        run = look_at_run(cluster, run_id, console, options.timeouts)
        with RunDisplay(console, list(run.tasks)) as display:
            watch = RunWatch(cluster, console, display, options)
            run = watch.watch_to_the_end(run)
    except KeyboardInterrupt:
        say(f"no longer following run {run_id}; {again}", terminate, console=console)
        return End.INTERRUPTED
    except TaskNotStarted as error:
        say(f"{error.task} of run {run_id} has not started; {again}", terminate, console=console)
        return End.NOT_STARTED
    except ConnectionLost as error:
        say(f"lost connection to run {run_id}: {error}", again, console=console)
        return End.LOST
    return _show_end(cluster, run, console, watch.hopeless)


def _show_end(cluster: Cluster, run: ClusterRun, console: Console, hopeless: tuple[str, Failure] | None) -> End:
    if run.succeeded:
        _show_results(cluster, run, console)
        return End.SUCCEEDED
    if hopeless:
        task, failure = hopeless
        _show_failure(console, task, failure)
        say(
            f"another attempt would fail likewise, so the run was terminated; {_way_out(failure, run.run_id)}",
            console=console,
        )
        return End.FAILED
    if run.cancelled:
        say(f"the run was cancelled; run its failed and missing tasks with: {_resume(run.run_id)}", console=console)
        return End.CANCELLED
    _explain_failure(cluster, run, console)
    return End.FAILED


def _show_results(cluster: Cluster, run: ClusterRun, console: Console) -> None:
    try:
        found = find_results(cluster, run)
    except HeadstartError as error:
        say(f"the run succeeded; its figures cannot be read ({error})", console=console)
        return
    say(*_describe_evaluation(found, run), console=console)
    if found.metrics:
        show_metrics(console, found.metrics)
    if found.ranking:
        show_ranking(console, found.ranking, found.command)
    say(*_describe_report(found), *_describe_decision(found, run), console=console)
    say(*map(describe_outcome, found.outcome), console=console)


def _describe_evaluation(found: RunResults, run: ClusterRun) -> list[str]:
    what = "ranking" if RANKING_TASK in run.tasks else "evaluation"
    if not found.run:
        return [
            f"the {what} came from the cache, and the run that made it cannot be found: it was deleted, or KFP's "
            "driver left no log; its figures and report are unknown here. --no-cache computes them anew"
        ]
    if found.run.run_id != run.run_id:
        return [f"the {what} came from the cache; it was made by run {found.run.run_id} ({found.run.name})"]
    return []


def _describe_report(found: RunResults) -> list[str]:
    lines = []
    if found.run and not found.metrics and not found.ranking:
        file = "the artifact ranking" if RANKING_TASK in found.run.tasks else "the evaluation's metrics.json"
        lines.append(f"no log has the figures any more; they are in {file}")
    if found.unread:
        lines.append(f"KFP has no log of some tasks, and those in the run's folder cannot be read: {found.unread}")
    if found.report:
        lines.append(f"report  {found.report}")
    return lines


def _describe_decision(found: RunResults, run: ClusterRun) -> list[str]:
    if found.undecided:
        return [
            "the decision came from the cache, and the run that made it cannot be found; its verdict is unknown, "
            "except that publish-model runs where it is better"
        ]
    if found.decided_by and found.decided_by.run_id != run.run_id:
        return [f"the decision came from the cache; it was made by run {found.decided_by.run_id}"]
    return []


def _explain_failure(cluster: Cluster, run: ClusterRun, console: Console) -> None:
    task = run.failed_task
    if not task:
        say(
            f"the run ended as {run.state}, and no task says why; see {cluster.link(run.run_id)}",
            f"run its failed and missing tasks with: {_resume(run.run_id)}",
            console=console,
        )
        return
    try:
        failure = find_failure(cluster, run, task)
    except HeadstartError as error:
        say(f"{task.name} failed; its log cannot be read ({error})", console=console)
        return
    _show_failure(console, task.name, failure, cluster.link(run.run_id))
    say(_way_out(failure, run.run_id), console=console)


def _show_failure(console: Console, task: str, failure: Failure, link: str = "") -> None:
    reason = f": {failure.reason}" if failure.reason else f"; see {link}" if link else ""
    say(f"{task} failed{reason}", *(f"  | {line.expandtabs()}" for line in failure.log), console=console)


def _way_out(failure: Failure, run_id: str) -> str:
    """Next step after a failure: a resumed run keeps parameters, images and limits, which helps with some errors."""
    if failure.resumable:
        return f"after fixing the cause, run the failed tasks again with: {_resume(run_id)}"
    return "after fixing the cause, submit anew; finished tasks come from the cache"


def _resume(run_id: str) -> str:
    return f"headstart submit --resume {run_id} --wait"
