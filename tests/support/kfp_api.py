"""A loopback server with KFP's v2beta1 API, whose requests and answers are kfp-server-api's own models.

It keeps experiments, runs and schedules, and checks every body against the published models, so that a field of a
wrong name or type fails. Runs do not run: a test sets the state of each, look by look.
"""

import base64
import contextlib
import dataclasses
import datetime
import gzip
import http.server
import json
import re
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import kfp_server_api
from kfp_server_api import models

from headstart.pipelines.cluster.task_runs import fnv32a

START = datetime.datetime(2026, 11, 24, 3, 0, tzinfo=datetime.UTC)
_GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13, 503: 14}
_PLAIN = {"str": str, "int": int, "bool": bool, "object": dict, "datetime": str}


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault in the server's answers.

    Attributes:
        kind: A status code, with KFP's error as body; ``html``, a sign-in page; ``slow`` and ``slow-after``,
            which wait before or after the request takes effect; ``drop-before`` and ``drop-after``, which reset the
            connection then.
        path: Pattern of method and path of the requests that fail.
        times: Number of requests that fail.
        message: Message of the error.
        seconds: Time that the slow answers take.
    """

    kind: str
    path: str = ""
    times: int = 10**9
    message: str = "what the server says"
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Request:
    """A request to the server.

    Attributes:
        call: Method and path.
        headers: Headers by name.
        body: Body, read from JSON.
    """

    call: str
    headers: dict[str, str]
    body: Any


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class KfpApi:
    """The server's state.

    Attributes:
        address: Address of the server.
        requests: Requests in their order.
        experiments: Ids of experiments by name.
        runs: Runs by id; the latest last.
        schedules: Schedules by id; the latest last.
        logs: Logs by id of the node.
        health: Answer to a health check.
        looks: Results of the next looks at a run, by id; the last one stays.
        next_looks: The same for the next run that is created.
        messages: Argo's message on the end of a node, by id of the node.
        cached: Entries of KFP's cache: a fingerprint, and the ids of run and execution.
        cancelled_after: Seconds after a run's start in which it is cancelled.
        packed: Ids of runs whose workflows Argo packs: KFP's states of tasks stay as they are.
    """

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[Request] = []
        self.experiments = {"Default": str(uuid.uuid4()), "pets": str(uuid.uuid4())}
        self.runs: dict[str, Any] = {}
        self.schedules: dict[str, Any] = {}
        self.logs: dict[str, str] = {}
        self.health: dict[str, Any] = {"commit_sha": "c0ffee", "tag_name": "2.17.0", "multi_user": False}
        self.looks: dict[str, list[Sequence[Any]]] = {}
        self.next_looks: list[Sequence[Any]] = []
        self.messages: dict[str, str] = {}
        self.cached: list[tuple[str, str, str]] = []
        self.cancelled_after = 0
        self.packed: set[str] = set()
        self._workflows: dict[str, list[Any]] = {}
        self.terminated: list[str] = []
        self.retried: list[str] = []
        self.deleted: list[str] = []
        self._faults: list[list[Any]] = []
        self._lock = threading.Lock()
        self._clock = 0

    def spoil(self, kind: str, path: str = "", **more: Any) -> None:
        """Adds a fault to the answers from now on."""
        fault = Fault(kind, path, **more)
        self._faults.append([fault, fault.times])

    def fault_of(self, call: str) -> Fault | None:
        with self._lock:
            for entry in self._faults:
                if entry[1] > 0 and re.search(entry[0].path, call):
                    entry[1] -= 1
                    return entry[0]
        return None

    def calls(self, pattern: str) -> list[Request]:
        """The requests whose method and path match."""
        return [each for each in self.requests if re.search(pattern, each.call)]

    def see(self, run_id: str, *looks: Sequence[Any]) -> None:
        """Sets the results of the next looks at a run: its state, then pairs of a task and its state."""
        self.looks[run_id] = list(looks)

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        """Answer to a request: a model, JSON, or text."""
        with self._lock:
            for pattern, handler in _ROUTES:
                if match := re.fullmatch(pattern, f"{method} {path}"):
                    return handler(self, *map(unquote, match.groups()), query=query, body=body)
        raise _Refused(404, "Not Found")

    def _healthz(self, query: dict[str, str], body: Any) -> Any:
        return self.health

    def _list_experiments(self, query: dict[str, str], body: Any) -> Any:
        found = [
            models.V2beta1Experiment(experiment_id=number, display_name=name, created_at=START)
            for name, number in self.experiments.items()
        ]
        return _page(found, query, models.V2beta1ListExperimentsResponse, "experiments", {"display_name", "name"})

    def _create_run(self, query: dict[str, str], body: Any) -> Any:
        run = read(body, "V2beta1Run")
        if not run.display_name:
            raise _Refused(400, "The run name is empty. Please specify a valid name")
        if run.experiment_id not in self.experiments.values():
            raise _Refused(404, f"Experiment {run.experiment_id} not found")
        return self.add_run(run)

    def add_run(self, run: Any) -> Any:
        spec = run.pipeline_spec["pipeline_spec"]
        known = spec["root"]["inputDefinitions"]["parameters"]
        for name, value in (run.runtime_config.parameters or {}).items():
            if name not in known:
                raise _Refused(400, f"Invalid input error: parameter {name} is not an input of the pipeline")
            expected = {"STRING": str, "LIST": list, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": (int, float)}
            if not isinstance(value, expected.get(known[name]["parameterType"], object)):
                raise _Refused(400, f"Invalid input error: input parameter {name} has a wrong type")
        run.run_id = str(uuid.uuid4())
        run.service_account = run.service_account or "pipeline-runner"
        run.created_at = run.scheduled_at = self.now()
        run.state = "PENDING"
        run.storage_state = "AVAILABLE"
        self.runs[run.run_id] = run
        if self.next_looks:
            self.looks[run.run_id] = list(self.next_looks)
        return run

    def now(self) -> datetime.datetime:
        """Time of the server, which moves with every object that is created."""
        self._clock += 1
        return START + datetime.timedelta(seconds=self._clock)

    def _get_run(self, run_id: str, query: dict[str, str], body: Any) -> Any:
        run = self._run(run_id)
        looks = self.looks.get(run_id, [])
        if looks:
            state, *tasks = looks[0]
            if len(looks) > 1:
                looks.pop(0)
            self.set(run_id, state, *tasks)
        return run

    def set(self, run_id: str, state: str, *tasks: tuple[str, str]) -> None:
        """Sets the state of a run and its tasks."""
        run = self.runs[run_id]
        run.state = state
        history = [each.state for each in run.state_history or []]
        if state not in history[-1:]:
            history.append(state)
        begun = {"CANCELING": START + datetime.timedelta(seconds=self.cancelled_after)}
        run.state_history = [
            models.V2beta1RuntimeStatus(state=each, update_time=begun.get(each, START)) for each in history
        ]
        run.finished_at = (
            START if state in ("SUCCEEDED", "FAILED") else datetime.datetime.fromtimestamp(0, datetime.UTC)
        )
        self._workflows[run_id] = nodes(run, tasks)
        if run_id not in self.packed:
            run.run_details = models.V2beta1RunDetails(task_details=self._workflows[run_id])

    def _run(self, run_id: str) -> Any:
        if run_id not in self.runs:
            raise _Refused(404, f"Run {run_id} not found")
        return self.runs[run_id]

    def _list_runs(self, query: dict[str, str], body: Any) -> Any:
        found = [run for run in self.runs.values() if query.get("experiment_id") in (None, "", run.experiment_id)]
        known = {"display_name", "state", "experiment_id", "recurring_run_id", "storage_state"}
        return _page(found, query, models.V2beta1ListRunsResponse, "runs", known)

    def _terminate_run(self, run_id: str, query: dict[str, str], body: Any) -> Any:
        run = self._run(run_id)
        if run.state not in ("PENDING", "RUNNING", "PAUSED"):
            raise _Refused(400, f"Failed to terminate a run {run_id}. Row not found")
        self.terminated.append(run_id)
        # What is under way fails by it.
        tasks = [*self.looks.get(run_id, [()])[0][1:]]
        over = [(name, progress if progress in ("done", "cached") else "failed") for name, progress in tasks]
        self.looks[run_id] = [("CANCELING", *tasks), ("FAILED", *over)]
        self.set(run_id, "CANCELING")
        return {}

    def _retry_run(self, run_id: str, query: dict[str, str], body: Any) -> Any:
        run = self._run(run_id)
        if run.state != "FAILED":
            raise _Refused(500, f"Failed to retry run {run_id} as it does not allow retries")
        self.retried.append(run_id)
        run.state = "RUNNING"
        run.state_history.append(models.V2beta1RuntimeStatus(state="RUNNING", update_time=START))
        self.looks[run_id] = list(self.next_looks)
        return {}

    def _log(self, run_id: str, node: str, query: dict[str, str], body: Any) -> Any:
        self._run(run_id)
        if node in self.logs:
            return self.logs[node]
        return json.dumps({"error_message": f"Failed to read logs for run {run_id}", "error_details": "no such pod"})

    def _get_workflow(self, run_id: str, query: dict[str, str], body: Any) -> Any:
        self._run(run_id)
        if run_id in self.packed:
            nodes = {f"node-{number}": _argo(each) for number, each in enumerate(self._workflows[run_id])}
            packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
            return {"pipeline_runtime": {"workflow_manifest": json.dumps({"status": {"compressedNodes": packed}})}}
        nodes = {node: {"message": message} for node, message in self.messages.items()}
        return {"pipeline_runtime": {"workflow_manifest": json.dumps({"status": {"nodes": nodes}})}}

    def _list_tasks(self, query: dict[str, str], body: Any) -> Any:
        (predicate,) = json.loads(query["filter"])["predicates"]
        assert (predicate["op"], predicate["key"]) == ("EQUALS", "fingerprint")
        found = [each for each in self.cached if each[0] == predicate["string_value"]]
        return {"tasks": [{"runId": run, "mlmdExecutionID": execution} for _, run, execution in found]}

    def _create_schedule(self, query: dict[str, str], body: Any) -> Any:
        schedule = read(body, "V2beta1RecurringRun")
        if not 1 <= int(schedule.max_concurrency or 0) <= 10:
            raise _Refused(400, "Max concurrency of a recurring run must be at least 1 and at most 10.")
        if (
            len(schedule.trigger.cron_schedule.cron.split()) != 6
            and "@every" not in schedule.trigger.cron_schedule.cron
        ):
            raise _Refused(400, "this server's tests want the seconds in cron")
        schedule.recurring_run_id = str(uuid.uuid4())
        schedule.service_account = schedule.service_account or "pipeline-runner"
        schedule.created_at = schedule.updated_at = self.now()
        schedule.status = "ENABLED" if schedule.mode == "ENABLE" else "DISABLED"
        self.schedules[schedule.recurring_run_id] = schedule
        return schedule

    def _list_schedules(self, query: dict[str, str], body: Any) -> Any:
        found = list(self.schedules.values())
        known = {"display_name", "recurring_run_id"}
        return _page(found, query, models.V2beta1ListRecurringRunsResponse, "recurring_runs", known)

    def _switch_schedule(self, schedule_id: str, verb: str, query: dict[str, str], body: Any) -> Any:
        self._schedule(schedule_id).status = "ENABLED" if verb == "enable" else "DISABLED"
        return {}

    def _delete_schedule(self, schedule_id: str, query: dict[str, str], body: Any) -> Any:
        self._schedule(schedule_id)
        del self.schedules[schedule_id]
        self.deleted.append(schedule_id)
        return {}

    def _schedule(self, schedule_id: str) -> Any:
        if schedule_id not in self.schedules:
            raise _Refused(404, f"recurring run {schedule_id} not found")
        return self.schedules[schedule_id]


_ID = "([^/:]+)"
_ROUTES: list[tuple[str, Any]] = [
    ("GET /apis/v2beta1/healthz", KfpApi._healthz),
    ("GET /apis/v2beta1/experiments", KfpApi._list_experiments),
    ("POST /apis/v2beta1/runs", KfpApi._create_run),
    ("GET /apis/v2beta1/runs", KfpApi._list_runs),
    (f"GET /apis/v2beta1/runs/{_ID}", KfpApi._get_run),
    (f"POST /apis/v2beta1/runs/{_ID}:terminate", KfpApi._terminate_run),
    (f"POST /apis/v2beta1/runs/{_ID}:retry", KfpApi._retry_run),
    (f"GET /apis/v1beta1/runs/{_ID}", KfpApi._get_workflow),
    ("GET /apis/v1alpha1/tasks", KfpApi._list_tasks),
    (f"GET /apis/v1alpha1/runs/{_ID}/nodes/{_ID}/log", KfpApi._log),
    ("POST /apis/v2beta1/recurringruns", KfpApi._create_schedule),
    ("GET /apis/v2beta1/recurringruns", KfpApi._list_schedules),
    (f"POST /apis/v2beta1/recurringruns/{_ID}:(enable|disable)", KfpApi._switch_schedule),
    (f"DELETE /apis/v2beta1/recurringruns/{_ID}", KfpApi._delete_schedule),
]


def read(body: Any, kind: str, where: str = "") -> Any:
    """Makes a model from JSON; refuses unknown names and values of another type."""
    if kind.startswith("list["):
        return [read(item, kind[5:-1], f"{where}[]") for item in _typed(body, list, where)]
    if kind.startswith("dict("):
        inner = kind[5:-1].split(", ")[1]
        return {key: read(value, inner, f"{where}.{key}") for key, value in _typed(body, dict, where).items()}
    if kind in _PLAIN:
        # An `object` inside a dictionary is any value of protobuf's Struct.
        return body if kind == "object" else _typed(body, _PLAIN[kind], where)
    model = getattr(models, kind)
    if not model.openapi_types:
        if body not in model.allowable_values:
            raise _Refused(400, f"{where}: invalid value for enum {kind}: {body!r}")
        return body
    names = {json_name: name for name, json_name in model.attribute_map.items()}
    for key in _typed(body, dict, where):
        if key not in names:
            raise _Refused(400, f"unknown field {key!r} in {kind}")
    values = {
        names[key]: read(value, model.openapi_types[names[key]], f"{where}.{key}") for key, value in body.items()
    }
    return model(**values)


def _typed(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _Refused(400, f"{where or 'body'}: {value!r} is no {kind.__name__}")
    return value


def _page(found: list[Any], query: dict[str, str], model: Any, field: str, known: set[str]) -> Any:
    for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
        if predicate["key"] not in known:
            raise _Refused(400, f"no support for filtering on unrecognized field {predicate['key']!r}")
        assert predicate["operation"] in (1, "EQUALS")
        found = [each for each in found if getattr(each, predicate["key"], None) == predicate["stringValue"]]
    if query.get("sort_by") == "created_at desc":
        found = sorted(found, key=lambda each: each.created_at, reverse=True)
    start, size = int(query.get("page_token") or 0), int(query.get("page_size") or 20)
    more = str(start + size) if start + size < len(found) else ""
    return model(**{field: found[start : start + size], "total_size": len(found), "next_page_token": more})


def node_id(run: Any, path: str) -> str:
    """Id that Argo gives to a node of a run."""
    workflow = f"transfer-learning-{run.run_id[:5]}"
    return f"{workflow}-{fnv32a(f'{workflow}.{path}')}"


def nodes(run: Any, tasks: Sequence[tuple[str, str]]) -> list[Any]:
    """Nodes of a run whose tasks have the states driver, starting, running, done, cached, failed or driver-failed.

    With a first attempt that failed, a task is pausing before the next one, or retrying.

    What is in a loop is called by its path, such as `for-loop-1.iteration-iterations(0:0).iteration-item.train-head`.
    """
    made = [_node("root", "RUNNING", 0, 0), _node("root-driver", "SUCCEEDED", 0, 5, node_id(run, "root"))]
    for number, (path, progress) in enumerate(tasks):
        task = path.rpartition(".")[2]
        begin, ready, end = 10 + 60 * number, 15 + 60 * number, 57 + 60 * number
        if progress in ("driver", "driver-failed"):
            state = "FAILED" if progress == "driver-failed" else "RUNNING"
            made.append(_node(f"{task}-driver", state, begin, ready if state == "FAILED" else 0))
            continue
        executor = node_id(run, f"root.{path}.executor")
        attempts = [node_id(run, f"root.{path}.executor({attempt})") for attempt in range(2)]
        made.append(_node(f"{task}-driver", "SUCCEEDED", begin, ready, executor))
        if progress == "cached":
            made.append(_node(task, "SUCCEEDED", ready, ready, executor))
            made.append(_node("executor", "SKIPPED", ready, ready))
            continue
        state = {"done": "SUCCEEDED", "failed": "FAILED"}.get(progress, "RUNNING")
        inner = "PENDING" if progress == "starting" else state
        last = 0 if state == "RUNNING" else end
        tries = attempts if progress in ("failed", "retrying") else attempts[:1]
        made.append(_node(task, state, ready, last, executor))
        made.append(_node("executor", state, ready, last, *tries))
        ended = {"pausing": ["FAILED"], "retrying": ["FAILED", "RUNNING"]}.get(progress, [inner] * len(tries))
        made += [_node(f"executor({attempt})", each, ready, last) for attempt, each in enumerate(ended)]
    if any(progress.endswith("failed") for _, progress in tasks):
        # What Argo leaves out because of a failure is listed, without a state.
        left_out = set(run.pipeline_spec["pipeline_spec"]["root"]["dag"]["tasks"]) - {task for task, _ in tasks}
        made += [_node(name, None, 900, 900) for task in left_out for name in (f"{task}-driver", task)]
    return made


def _node(name: str, state: str | None, begin: int, end: int, *children: str) -> Any:
    never = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
    return models.V2beta1PipelineTaskDetail(
        task_id=str(uuid.uuid4()),
        display_name=name,
        state=state,
        # Of every node KFP 2.17 says that it was made with the run.
        create_time=START,
        start_time=START + datetime.timedelta(seconds=begin),
        end_time=START + datetime.timedelta(seconds=end) if end else never,
        child_tasks=[models.PipelineTaskDetailChildTask(pod_name=child) for child in children] or None,
    )


def _argo(node: Any) -> dict[str, Any]:
    """A node as Argo has it."""
    made = {
        "displayName": node.display_name,
        "phase": str(node.state or "Omitted").capitalize(),
        "startedAt": f"{node.start_time:%Y-%m-%dT%H:%M:%SZ}",
        "finishedAt": f"{node.end_time:%Y-%m-%dT%H:%M:%SZ}" if node.end_time.year > 1 else None,
    }
    return made | {"children": [each.pod_name for each in node.child_tasks] if node.child_tasks else None}


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


@contextlib.contextmanager
def kfp_serving() -> Iterator[KfpApi]:
    """Starts a server."""
    api = KfpApi()
    to_json = kfp_server_api.ApiClient().sanitize_for_serialization

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle_one_request()

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(sent) if sent else None
            call = f"{self.command} {parts.path}"
            api.requests.append(Request(call, dict(self.headers), body))
            fault = api.fault_of(call)
            kind = fault.kind if fault else ""
            if kind == "drop-before":
                self._drop()
                return
            if fault and kind.isdecimal():
                self._send(int(kind), _error(int(kind), fault.message))
                return
            if kind == "html":
                self._send(200, "<!doctype html><title>Sign in</title>", "text/html; charset=utf-8")
                return
            if fault and kind == "slow":
                time.sleep(fault.seconds)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            try:
                answer = api.answer(self.command, parts.path, query, body)
            except _Refused as refused:
                self._send(refused.status, _error(refused.status, str(refused)))
                return
            if fault and kind == "slow-after":
                time.sleep(fault.seconds)
            if kind == "drop-after":
                self._drop()
            elif isinstance(answer, str):
                self._send(200, answer, "text/plain")
            else:
                self._send(200, json.dumps(to_json(answer)))

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def _send(self, status: int, text: str, kind: str = "application/json") -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _drop(self) -> None:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    api.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


def _error(status: int, message: str) -> str:
    """An error as grpc-gateway writes it: the chain of errors, and in the details the message for users."""
    code = _GRPC_CODES.get(status, 2)
    detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": message}
    return json.dumps({"code": code, "message": f"Failed: {message}: chain: of: errors", "details": [detail]})
