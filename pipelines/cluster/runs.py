"""Runs, as KFP's API reports them."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.compiled_tasks import list_tasks
from headstart.pipelines.cluster.task_runs import EARLIEST, LATEST, TaskRun, TaskState, WorkflowNodes
from headstart.pipelines.definitions.tasks import OPTIONAL_TASKS, TRANSFER_LEARNING

_ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


@dataclasses.dataclass(frozen=True)
class ClusterRun:
    """A run.

    Attributes:
        run_id: Id of the run.
        name: Name of the run.
        experiment_id: Id of its experiment.
        state: State of the run, in KFP's words.
        cancelled: Whether somebody terminated it, or tried to.
        parameters: Parameters that the pipeline was given.
        pipeline_root: Address of its artifacts; empty: the cluster's own.
        pipeline: Compiled pipeline.
        platform: Settings for Kubernetes of the compiled pipeline.
        tasks: Tasks by name, in the order in which they can run.
    """

    run_id: str
    name: str
    experiment_id: str
    state: str
    cancelled: bool
    parameters: Mapping[str, Any]
    pipeline_root: str
    pipeline: Mapping[str, Any]
    platform: Mapping[str, Any]
    tasks: Mapping[str, TaskRun]

    @property
    def folder(self) -> str:
        """Address of the folder of its artifacts; empty: not known, it is below the cluster's own root."""
        # KFP's launcher reads region and endpoint of a store from a query.
        root = self.pipeline_root.partition("?")[0].rstrip("/")
        return f"{root}/{self.pipeline['pipelineInfo']['name']}/{self.run_id}" if root else ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in _ENDED

    @property
    def succeeded(self) -> bool:
        """Whether all of it went well."""
        return self.state == "SUCCEEDED"

    @property
    def settled(self) -> bool:
        """Whether the states of the tasks agree with the state of the run, which comes first."""
        states = {task.state for task in self.tasks.values()}
        if self.succeeded:
            return states <= {TaskState.DONE, TaskState.CACHED, TaskState.SKIPPED}
        has_failed = bool(states & {TaskState.FAILED, TaskState.CANCELLED})
        return has_failed and not states & {TaskState.STARTING, TaskState.RUNNING}

    @property
    def failed_task(self) -> TaskRun | None:
        """The first task that failed."""
        failed = [task for task in self.tasks.values() if task.state is TaskState.FAILED]
        return min(failed, key=lambda task: task.ended or LATEST) if failed else None


def read_run(answer: Any) -> ClusterRun:
    """Reads a `V2beta1Run`.

    Args:
        answer: A `V2beta1Run`.

    Raises:
        HeadstartError: If the run has no pipeline of KFP 2.
    """
    spec = answer.pipeline_spec or {}
    pipeline, platform = spec.get("pipeline_spec", spec), spec.get("platform_spec", {})
    if not pipeline.get("root", {}).get("dag", {}).get("tasks"):
        raise HeadstartError(f"run {answer.run_id} has no pipeline of KFP 2; look at it in KFP's user interface")
    state = str(answer.state or "PENDING")
    cancelled = _cancelled_at(answer.state_history or [])
    config = answer.runtime_config
    details = answer.run_details.task_details or [] if answer.run_details else []
    nodes = WorkflowNodes(details, succeeded=state == "SUCCEEDED", cancelled=cancelled)
    return ClusterRun(
        run_id=str(answer.run_id),
        name=str(answer.display_name),
        experiment_id=str(answer.experiment_id),
        state=state,
        cancelled=state in ("CANCELING", "CANCELED") or cancelled is not None,
        parameters=(config.parameters if config else None) or {},
        pipeline_root=(config.pipeline_root if config else None) or "",
        pipeline=pipeline,
        platform=platform,
        tasks={task.name: nodes.read_task(task) for task in list_tasks(pipeline)} | _left_out(pipeline),
    )


def _cancelled_at(history: Sequence[Any]) -> datetime.datetime | None:
    """Time at which the last attempt was terminated; a run that is tried again has the states of all attempts."""
    since = None
    for status in reversed(history):
        if str(status.state) in ("CANCELING", "CANCELED"):
            since = status.update_time or EARLIEST
        elif str(status.state) in ("RUNNING", "PENDING"):
            break
    return since


def _left_out(pipeline: Mapping[str, Any]) -> dict[str, TaskRun]:
    """Tasks that were not compiled because this run has no use for them; they are shown as skipped."""
    if pipeline.get("pipelineInfo", {}).get("name") != TRANSFER_LEARNING:
        return {}
    compiled = {task.name for task in list_tasks(pipeline)}
    names = [name.replace("_", "-") for name in OPTIONAL_TASKS]
    return {name: TaskRun(name, TaskState.SKIPPED) for name in names if name not in compiled}
