"""A real Kubeflow Pipelines, used through the command line and inspected through kfp and kubectl."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import pytest
from kfp.dsl.base_component import BaseComponent

from headstart.pipelines.cluster.client import Cluster as KfpServer
from headstart.pipelines.cluster.kept_logs import read_kept_log
from headstart.pipelines.cluster.logs import find_events, read_events
from headstart.pipelines.cluster.runs import read_run
from headstart.pipelines.cluster.settings import load_settings
from headstart.pipelines.progress.events import Event
from support.commands import headstart
from support.objects import Objects

# Little to compute: the path of the work through the cluster is tested.
QUICK_HEAD = ("--backbone", "sketchnet", "--counts", "40,10,10", "--set", "head.epochs=3")
QUICK = (*QUICK_HEAD, "--set", "fine_tuning.epochs=1")
ENDED = ("SUCCEEDED", "FAILED", "CANCELED")
TRAINING = (
    "list-data", "download-dataset", "split-dataset", "train-head", "train-from-scratch", "fine-tune",
    "evaluate-model",
)  # fmt: skip
"""Tasks of every run with `--from-scratch`; some runs also look up a champion, or publish."""
NEVER_CACHED = {"list-data", "find-champion"}


def needed(name: str) -> str:
    """A variable of the environment; the test skips without it."""
    if not os.environ.get(name):
        pytest.skip(f"{name} is not set: no cluster to test against; tests/cluster/conftest.py says what to set")
    return os.environ[name]


@dataclasses.dataclass(frozen=True)
class Submitted:
    """Result of a command on a run.

    Attributes:
        run_id: Id of the run.
        status: Exit status of the command.
        shown: Output and error output of the command.
        seconds: Duration of the command.
    """

    run_id: str
    status: int
    shown: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run that was followed to its end, on an archive of its own."""

    run: Submitted
    data: str


class Cluster:
    """The cluster that a `headstart.yaml` names.

    Args:
        folder: Folder of that file, in which commands run.
        objects: A place in the cluster's store.
        host: Address of KFP's API.
        namespace: Namespace of the pods.
        experiment: Name of the experiment of the runs.
        root: Pipeline root.
    """

    def __init__(self, folder: Path, objects: Objects, host: str, namespace: str, experiment: str, root: str) -> None:
        self.folder, self.objects = folder, objects
        self._namespace, self.root = namespace, root
        self.image = needed("HEADSTART_IMAGE")
        self._client = kfp.Client(host=host)
        self.experiment_id = self._client.create_experiment(experiment).experiment_id
        self._schedules: set[str] = set()

    def run(self, *arguments: str) -> Submitted:
        """Runs a `headstart` command to its end."""
        start = time.monotonic()
        done = headstart(*arguments, cwd=self.folder)
        shown = done.stdout + done.stderr
        found = re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", shown)
        return Submitted(found[0] if found else "", done.returncode, shown, time.monotonic() - start)

    def submit(self, *arguments: str, data: str = "") -> Submitted:
        """Submits a quick run, or whatever the arguments say."""
        return self.run("submit", *QUICK, *(("--data", data) if data else ()), *arguments)

    def start(self, pipeline: BaseComponent, arguments: dict[str, Any]) -> str:
        """Starts a run of another pipeline than ours, and returns its id."""
        started = self._client.create_run_from_pipeline_func(
            pipeline, arguments, experiment_id=self.experiment_id, pipeline_root=self.root, enable_caching=False
        )
        return str(started.run_id)

    def schedule(self, name: str, *arguments: str) -> Submitted:
        """A `headstart schedule` command."""
        self._schedules.add(name)
        return self.run("schedule", name, *arguments)

    def schedules(self, name: str) -> list[Any]:
        """Schedules of a name, as KFP has them."""
        found = self._client.list_recurring_runs(experiment_id=self.experiment_id, page_size=100).recurring_runs
        return [each for each in found or [] if each.display_name == name]

    def runs(self) -> list[Any]:
        """All runs of the tests, the latest first, as KFP has them."""
        found = self._client.list_runs(
            experiment_id=self.experiment_id, page_size=100, sort_by="created_at desc"
        ).runs
        return list(found or [])

    def state(self, run_id: str) -> str:
        return str(self._client.get_run(run_id).state)

    def wait_for(self, what: str, condition: Any, seconds: float = 600) -> None:
        """Waits until a condition comes true; fails when it does not in time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
            time.sleep(2)

    def output(self, run_id: str, task: str) -> str:
        """The address below which a task's outputs lie."""
        return f"{self.root.rstrip('/')}/transfer-learning/{run_id}/{task}"

    def artifact(self, run_id: str, task: str, name: str) -> dict[str, bytes]:
        """The objects of an artifact, by their names below it; under an empty name where it is a single object."""
        found = {}
        for key, data in self.objects.below(self.output(run_id, task)).items():
            _, output, *rest = key.split("/", 2)
            if output == name:
                found[rest[0] if rest else ""] = data
        return found

    def kept_and_logged(self, run_id: str, task: str) -> tuple[list[Event], list[Event]]:
        """Events in a task's log as it is kept in the run's folder, and as the server has it."""
        server = KfpServer(load_settings({}, str(self.folder / "headstart.yaml")))
        run = read_run(server.get_run(run_id))
        return find_events(read_kept_log(run, task)), read_events(server, run, run.tasks[task])

    def pods(self, run_id: str) -> list[dict[str, Any]]:
        """The pods of a run, by kubectl; the test skips where there is none."""
        listed = self.kubectl("get", "pods", "-l", f"pipeline/runid={run_id}", "-o", "json")
        return list(json.loads(listed)["items"])

    def pod_of(self, run_id: str, task: str) -> dict[str, Any] | None:
        """The pod in which a task's code runs now."""
        for pod in self.pods(run_id):
            node = pod["metadata"]["annotations"].get("workflows.argoproj.io/node-name", "")
            if f".{task}.executor" in node and pod["status"]["phase"] == "Running":
                return pod
        return None

    def kubectl(self, *arguments: str) -> str:
        if not shutil.which("kubectl") or not os.environ.get("KUBECONFIG"):
            pytest.skip("pods are looked at with kubectl, and there is none, or KUBECONFIG is not set")
        command = ["kubectl", "-n", self._namespace, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

    def clean_up(self) -> None:
        """Ends what is under way and deletes schedules."""
        for name in self._schedules:
            headstart("schedule", name, "--delete", cwd=self.folder)
        for run in self.runs():
            if run.state not in ENDED:
                with contextlib.suppress(kfp_server_api.ApiException):
                    self._client.terminate_run(run.run_id)


@contextlib.contextmanager
def cleaning(cluster: Cluster) -> Iterator[Cluster]:
    """Cleans up after the tests, whatever came of them."""
    try:
        yield cluster
    finally:
        cluster.clean_up()
