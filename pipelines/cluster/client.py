"""Runs and schedules of a KFP server."""

import base64
import contextlib
import datetime
import gzip
import json
import uuid
from collections.abc import Iterator
from typing import Any

import kfp_server_api

from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.settings import ClusterSettings
from headstart.pipelines.cluster.transport import PAGE_SIZE, NotFound, Transport

_EQUALS = 1
_MARK = "headstart-request"
_LATEST_FIRST = "created_at desc"

_MANY_NODES = 40
"""Fewest nodes of a workflow that Argo may have packed: a node takes 10 KB, and a task has four."""

_PHASES = ("PENDING", "RUNNING", "SUCCEEDED", "SKIPPED", "FAILED")
"""Phases of a node that KFP has a state for."""


class Cluster:
    """Runs and schedules of a KFP server.

    Args:
        settings: Address of the server, credentials, and names of namespace and experiment.

    Raises:
        HeadstartError: If no server is named, it denies access, or it is too old.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._transport = Transport(settings)
        self._kfp = self._transport.kfp

    def link(self, run_id: str) -> str:
        """Page of a run in KFP's user interface."""
        return f"{self._transport.address.rstrip('/')}/#/runs/details/{run_id}"

    def get_experiment_id(self) -> str:
        """Id of the experiment that the settings name.

        Raises:
            HeadstartError: If the experiment does not exist.
        """
        name, namespace = self._settings.experiment, self._transport.namespace
        call = self._kfp.experiments.experiment_service_list_experiments
        by_name = _equal(display_name=name)
        found = self._transport.repeat(call, namespace=namespace, filter=by_name).experiments or []
        if found:
            return str(found[0].experiment_id)
        others = self._transport.repeat(call, namespace=namespace, page_size=PAGE_SIZE).experiments or []
        names = [str(each.display_name) for each in others]
        hint = did_you_mean(name, names) if names else "there is none yet"
        raise HeadstartError(
            f"unknown experiment {name!r} (from {self._settings.sources['experiment']}); {hint}; "
            f"`kfp experiment create {name!r}` makes it"
        )

    def get_run(self, run_id: str) -> Any:
        """A run with the states of its tasks, as `V2beta1Run`.

        Argo packs the nodes of a workflow of more than 1 MB, and KFP, which cannot read them so, keeps to the states
        before. Those of a large run that has not ended by them are read from the workflow.

        Raises:
            NotFound: If the run does not exist.
        """
        run = self._transport.repeat(self._kfp.runs.run_service_get_run, run_id)
        details = (run.run_details.task_details if run.run_details else None) or []
        if len(details) >= _MANY_NODES and any(each.state in ("PENDING", "RUNNING") for each in details):
            with contextlib.suppress(NotFound):
                nodes = self.get_workflow(run_id).get("status", {}).get("nodes") or {}
                run.run_details.task_details = [_read_node(each) for each in nodes.values()] or details
        return run

    def list_runs(self, **conditions: str) -> Iterator[Any]:
        """Runs whose fields have certain values, the latest first, as `V2beta1Run`.

        Args:
            conditions: Values by the API's names of fields; `experiment_id` narrows the search on the server.
        """
        call = self._kfp.runs.run_service_list_runs
        where: dict[str, str] = {}
        if "experiment_id" in conditions:
            where["experiment_id"] = conditions.pop("experiment_id")
        elif self._transport.namespace:
            where["namespace"] = self._transport.namespace
        yield from self._transport.read_pages(
            call, "runs", sort_by=_LATEST_FIRST, filter=_equal(**conditions), **where
        )

    def get_log(self, run_id: str, node: str) -> str:
        """Output of a pod; empty where there is no log (yet).

        The server answers 200 whatever happens: where there is no log, its error follows as JSON.

        Args:
            run_id: Id of the run.
            node: Id of the workflow's node, or name of the pod.
        """
        content = self._transport.read_bytes(
            "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log", run_id=run_id, node_id=node
        )
        text = content.decode("utf-8", "replace")
        start = text.rfind('{"error_message":')
        return text if start < 0 else text[:start]

    def get_workflow(self, run_id: str) -> dict[str, Any]:
        """Argo workflow of a run, whose nodes have messages that the rest of the API lacks.

        Returns:
            The workflow as Kubernetes stores it, its nodes unpacked; empty where the server has none.
        """
        answer = self._transport.read_json("/apis/v1beta1/runs/{run_id}", run_id=run_id)
        try:
            workflow = dict(json.loads(answer["pipeline_runtime"]["workflow_manifest"]))
            status = workflow.get("status", {})
            if packed := status.get("compressedNodes"):
                status["nodes"] = json.loads(gzip.decompress(base64.b64decode(packed)))
            return workflow
        except (KeyError, TypeError, ValueError, OSError, EOFError):
            return {}

    def list_cache_entries(self, fingerprint: str) -> Iterator[tuple[str, str]]:
        """Entries of KFP's cache with a fingerprint, the latest first.

        Yields:
            Ids of the run and of the execution that made the entry.
        """
        token = ""
        while True:
            query = {"filter": _same_fingerprint(fingerprint), "sort_by": _LATEST_FIRST, "page_token": token}
            answer = self._transport.read_json("/apis/v1alpha1/tasks", query)
            for task in answer.get("tasks") or []:
                yield str(task.get("runId", "")), str(task.get("mlmdExecutionID", ""))
            token = str(answer.get("next_page_token") or "")
            if not token:
                return

    def create_run(self, run: Any) -> str:
        """Creates a run, once: after a lost connection, looks whether the request arrived.

        Args:
            run: A `V2beta1Run` with an experiment.

        Returns:
            Id of the run.
        """
        run.description, mark = _mark(run.description)
        return self._transport.create_once(
            lambda: str(self._transport.call(self._kfp.runs.run_service_create_run, run).run_id),
            lambda: (
                each.run_id
                for each in self.list_runs(experiment_id=run.experiment_id, display_name=run.display_name)
                if mark in (each.description or "")
            ),
        )

    def retry_run(self, run_id: str) -> None:
        """Runs the failed tasks of a run again."""
        before = self.get_run(run_id)
        self._transport.create_once(
            lambda: self._transport.call(self._kfp.runs.run_service_retry_run, run_id) or run_id,
            lambda: (each for each in [run_id] if self.get_run(run_id).state != before.state),
        )

    def terminate_run(self, run_id: str) -> None:
        """Terminates a run that is in progress."""
        self._transport.repeat(self._kfp.runs.run_service_terminate_run, run_id)

    def list_schedules(self, name: str = "") -> list[Any]:
        """Schedules, the latest first, as `V2beta1RecurringRun`.

        Args:
            name: Name of the schedules; empty: all.
        """
        call = self._kfp.recurring_runs.recurring_run_service_list_recurring_runs
        where = {"namespace": self._transport.namespace} if self._transport.namespace else {}
        if name:
            where["filter"] = _equal(display_name=name)
        return list(self._transport.read_pages(call, "recurring_runs", sort_by=_LATEST_FIRST, **where))

    def create_schedule(self, schedule: Any) -> str:
        """Creates a schedule, once, as `create_run` does.

        Args:
            schedule: A `V2beta1RecurringRun`.

        Returns:
            Id of the schedule.
        """
        schedule.description, mark = _mark(schedule.description)
        call = self._kfp.recurring_runs.recurring_run_service_create_recurring_run
        return self._transport.create_once(
            lambda: str(self._transport.call(call, schedule).recurring_run_id),
            lambda: (
                each.recurring_run_id
                for each in self.list_schedules(schedule.display_name)
                if mark in (each.description or "")
            ),
        )

    def enable_schedule(self, schedule_id: str) -> None:
        """Lets a schedule start runs."""
        self._transport.repeat(self._kfp.recurring_runs.recurring_run_service_enable_recurring_run, schedule_id)

    def disable_schedule(self, schedule_id: str) -> None:
        """Keeps a schedule from starting runs; a run in progress continues."""
        self._transport.repeat(self._kfp.recurring_runs.recurring_run_service_disable_recurring_run, schedule_id)

    def delete_schedule(self, schedule_id: str) -> None:
        """Deletes a schedule, with the workflow of a run in progress: make sure that there is none."""
        try:
            self._transport.repeat(self._kfp.recurring_runs.recurring_run_service_delete_recurring_run, schedule_id)
        except NotFound:
            return


def _read_node(node: dict[str, Any]) -> Any:
    """A node of an Argo workflow as KFP reports it."""
    phase = str(node.get("phase") or "").upper().replace("ERROR", "FAILED")
    started, ended = (node.get(name) for name in ("startedAt", "finishedAt"))
    return kfp_server_api.V2beta1PipelineTaskDetail(
        display_name=node.get("displayName"),
        state=phase if phase in _PHASES else None,
        start_time=datetime.datetime.fromisoformat(started) if started else None,
        end_time=datetime.datetime.fromisoformat(ended) if ended else None,
        child_tasks=[
            kfp_server_api.PipelineTaskDetailChildTask(pod_name=each) for each in node.get("children") or []
        ],
    )


def _equal(**conditions: str) -> str:
    """KFP's filter for fields that have certain values."""
    predicates = [{"operation": _EQUALS, "key": key, "stringValue": value} for key, value in conditions.items()]
    return json.dumps({"predicates": predicates}) if predicates else ""


def _same_fingerprint(fingerprint: str) -> str:
    """The same filter in the form of the API before v2."""
    return json.dumps({"predicates": [{"op": "EQUALS", "key": "fingerprint", "string_value": fingerprint}]})


def _mark(description: str | None) -> tuple[str, str]:
    """Adds a mark to a description by which an object can be recognised."""
    mark = f"[{_MARK} {uuid.uuid4().hex}]"
    return f"{description or ''} {mark}".strip(), mark
