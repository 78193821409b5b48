"""KFP's API as the commands use it: kfp's own ways to sign in, every request bounded in time, errors in one line."""

import json
import os
import re
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import kfp
import kfp_server_api
import tenacity
import urllib3

from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home
from headstart.pipelines.cluster.settings import Settings

OLDEST_SERVER = (2, 17)
"""Older servers drop, without a word, most of what pods are asked for at run time."""

_ATTEMPTS = 4
_FIRST_ATTEMPTS = 2
_FIRST_PAUSE_SECONDS = 0.5
_CONNECT_SECONDS = 10.0
_GATEWAY_TIMEOUT = 504
_PAGE = 100
_LONGEST_MESSAGE = 500
_EQUALS = 1
_MARK = "headstart-request"
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

T = TypeVar("T")


class Unreachable(HeadstartError):
    """No answer, or none to build on: the network, or a server that is down.

    Attributes:
        under_way: Whether the server may still be at it.
    """

    def __init__(self, message: str, under_way: bool = False) -> None:
        super().__init__(message)
        self.under_way = under_way


class NotFound(HeadstartError):
    """What was asked for is not there."""


class Cluster:
    """A KFP server.

    Args:
        settings: Where it is, and who asks.

    Attributes:
        where: Its address.

    Raises:
        HeadstartError: There is none, it lets nobody in, or it is too old.
    """

    def __init__(self, settings: Settings) -> None:
        settings.check_host()
        if not settings.host and not _kfp_finds_a_host():
            raise HeadstartError("no host: name KFP's address with --host or HEADSTART_KFP_HOST")
        self._settings = settings
        self._seconds = (min(_CONNECT_SECONDS, settings.seconds), settings.seconds)
        self.where = settings.host
        self._api: Any = None
        self._kfp = self._call(lambda **_: _sign_in(settings))
        self._namespace = settings.namespace or self._kfp.get_user_namespace()
        self._api = self._kfp.runs.api_client
        self.where = str(self._api.configuration.host)
        # Pauses of our own lie between attempts; urllib3's attempts have none, and each has the whole timeout.
        self._api.rest_client.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(
            connect=0, read=0, status=0, redirect=5
        )
        self._check_version()

    def link(self, run_id: str) -> str:
        """The page of a run in KFP's user interface."""
        return f"{self.where.rstrip('/')}/#/runs/details/{run_id}"

    def experiment_id(self) -> str:
        """The experiment that the settings name.

        Raises:
            HeadstartError: There is no such one; the message names the nearest, and how to make it.
        """
        name = self._settings.experiment
        call = self._kfp.experiments.experiment_service_list_experiments
        found = self._read(call, namespace=self._namespace, filter=_equals("display_name", name)).experiments or []
        if found:
            return str(found[0].experiment_id)
        there = self._read(call, namespace=self._namespace, page_size=_PAGE).experiments or []
        names = [str(each.display_name) for each in there]
        hint = did_you_mean(name, names) if names else "there is none yet"
        raise HeadstartError(
            f"unknown experiment {name!r} (from {self._settings.sources['experiment']}); {hint}; "
            f"`kfp experiment create {name!r}` makes it"
        )

    def run(self, run_id: str) -> Any:
        """One run, with the state of its tasks: a `V2beta1Run`.

        Raises:
            NotFound: There is none of that id.
        """
        return self._read(self._kfp.runs.run_service_get_run, run_id)

    def runs(self, **conditions: str) -> Iterator[Any]:
        """Runs whose fields have certain values, the latest first, as `V2beta1Run`.

        Args:
            conditions: Values by the API's names of fields; `experiment_id` narrows the search on the server.
        """
        call = self._kfp.runs.run_service_list_runs
        where: dict[str, str] = {}
        if "experiment_id" in conditions:
            where["experiment_id"] = conditions.pop("experiment_id")
        elif self._namespace:
            where["namespace"] = self._namespace
        yield from self._pages(call, "runs", sort_by="created_at desc", filter=_equals(**conditions), **where)

    def log(self, run_id: str, node: str) -> str:
        """What a pod wrote; empty where there is no log (yet).

        The server answers 200 whatever happens: where there is no log, its error follows as JSON.
        """
        path = {"run_id": run_id, "node_id": node}
        answer = self._read(
            self._api.call_api,
            "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log",
            "GET",
            path_params=path,
            response_type="bytes",
            auth_settings=["Bearer"],
            _return_http_data_only=True,
            _preload_content=False,
        )
        text = str(answer.data.decode("utf-8", "replace"))
        start = text.rfind('{"error_message":')
        return text if start < 0 else text[:start]

    def workflow(self, run_id: str) -> dict[str, Any]:
        """The Argo workflow of a run, whose nodes have messages that nothing else in the API has.

        Returns:
            As Kubernetes has it; empty where the server does not tell.
        """
        answer = self._json("/apis/v1beta1/runs/{run_id}", run_id=run_id)
        try:
            return dict(json.loads(answer["pipeline_runtime"]["workflow_manifest"]))
        except (KeyError, TypeError, ValueError):
            return {}

    def made_by(self, fingerprint: str) -> Iterator[tuple[str, str]]:
        """Who made what KFP's cache has under a fingerprint, the latest first.

        Yields:
            Ids of run and execution.
        """
        token = ""
        while True:
            query = {"filter": _same_fingerprint(fingerprint), "sort_by": "created_at desc", "page_token": token}
            answer = self._json("/apis/v1alpha1/tasks", query)
            for task in answer.get("tasks") or []:
                yield str(task.get("runId", "")), str(task.get("mlmdExecutionID", ""))
            token = str(answer.get("next_page_token") or "")
            if not token:
                return

    def _json(self, path: str, query: dict[str, str] | None = None, **path_params: str) -> dict[str, Any]:
        """What kfp's own client has no call for; empty where the server has no such thing."""
        try:
            answer = self._read(
                self._api.call_api,
                path,
                "GET",
                path_params=path_params,
                query_params=[(name, value) for name, value in (query or {}).items() if value],
                response_type="bytes",
                auth_settings=["Bearer"],
                _return_http_data_only=True,
                _preload_content=False,
            )
            found = json.loads(answer.data)
        except (NotFound, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def submit(self, run: Any) -> str:
        """Creates a run, once: after a dropped connection it looks whether the run arrived.

        Args:
            run: A `V2beta1Run` with an experiment.

        Returns:
            The run's id.
        """
        run.description, mark = _marked(run.description)
        return self._create(
            lambda: str(self._call(self._kfp.runs.run_service_create_run, run).run_id),
            lambda: (
                each.run_id
                for each in self.runs(experiment_id=run.experiment_id, display_name=run.display_name)
                if mark in (each.description or "")
            ),
        )

    def retry(self, run_id: str) -> None:
        """Runs again what failed in a run."""
        before = self.run(run_id)
        self._create(
            lambda: self._call(self._kfp.runs.run_service_retry_run, run_id) or run_id,
            lambda: (each for each in [run_id] if self.run(run_id).state != before.state),
        )

    def terminate(self, run_id: str) -> None:
        """Ends a run that is under way."""
        self._repeat(self._kfp.runs.run_service_terminate_run, run_id)

    def schedules(self, name: str = "") -> list[Any]:
        """Schedules, all or those of a name, the latest first, as `V2beta1RecurringRun`."""
        call = self._kfp.recurring_runs.recurring_run_service_list_recurring_runs
        where = {"namespace": self._namespace} if self._namespace else {}
        if name:
            where["filter"] = _equals("display_name", name)
        return list(self._pages(call, "recurring_runs", sort_by="created_at desc", **where))

    def schedule(self, schedule: Any) -> str:
        """Creates a schedule, once, as `submit` does.

        Args:
            schedule: A `V2beta1RecurringRun`.

        Returns:
            Its id.
        """
        schedule.description, mark = _marked(schedule.description)
        return self._create(
            lambda: (
                self._call(
                    self._kfp.recurring_runs.recurring_run_service_create_recurring_run, schedule
                ).recurring_run_id
            ),
            lambda: (
                each.recurring_run_id
                for each in self.schedules(schedule.display_name)
                if mark in (each.description or "")
            ),
        )

    def enable_schedule(self, schedule_id: str) -> None:
        """Lets a schedule start runs."""
        self._repeat(self._kfp.recurring_runs.recurring_run_service_enable_recurring_run, schedule_id)

    def disable_schedule(self, schedule_id: str) -> None:
        """Keeps a schedule from starting runs; one under way goes on."""
        self._repeat(self._kfp.recurring_runs.recurring_run_service_disable_recurring_run, schedule_id)

    def delete_schedule(self, schedule_id: str) -> None:
        """Deletes a schedule, and its workflow if there is one under way: see that none is."""
        try:
            self._repeat(self._kfp.recurring_runs.recurring_run_service_delete_recurring_run, schedule_id)
        except NotFound:
            return

    def _check_version(self) -> None:
        try:
            health = self._repeat(self._kfp.healthzs.healthz_service_get_healthz, attempts=_FIRST_ATTEMPTS)
        except NotFound:
            raise HeadstartError(
                f"{self._named} has no v2beta1 API: it is older than KFP 2, or another address is the API's "
                "(often that of the user interface, …/pipeline)"
            ) from None
        tag = json.loads(self._api.last_response.data).get("tag_name") or ""
        if health.multi_user and not self._namespace and _POD_NAMESPACE.exists():
            self._namespace = _POD_NAMESPACE.read_text().strip()
        if health.multi_user and not self._namespace:
            raise HeadstartError(
                f"{self._named} has several users; name your namespace with --namespace or HEADSTART_NAMESPACE"
            )
        found = re.match(r"v?(\d+)\.(\d+)", tag)
        if not found:
            return
        server = (int(found[1]), int(found[2]))
        if server < OLDEST_SERVER or server[0] > OLDEST_SERVER[0]:
            oldest = ".".join(map(str, OLDEST_SERVER))
            raise HeadstartError(
                f"{self._named} is KFP {tag}, and this pipeline is compiled by kfp {version('kfp')} for KFP {oldest} "
                "or a later 2.x; upgrade the older of the two"
            )

    @property
    def _named(self) -> str:
        return f"the server at {self.where}"

    def _pages(self, call: Callable[..., Any], field: str, **arguments: Any) -> Iterator[Any]:
        token = ""
        while True:
            page = self._read(call, page_size=_PAGE, page_token=token, **arguments)
            yield from getattr(page, field) or []
            token = page.next_page_token or ""
            if not token:
                return

    def _read(self, call: Callable[..., Any], *positional: Any, **arguments: Any) -> Any:
        """A request that changes nothing, tried again after pauses."""
        return self._repeat(call, *positional, **arguments)

    def _repeat(self, call: Callable[..., Any], *positional: Any, attempts: int = _ATTEMPTS, **arguments: Any) -> Any:
        """A request that may come twice, tried again after pauses."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unreachable),
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential(multiplier=_FIRST_PAUSE_SECONDS),
            reraise=True,
        )
        return retrying(self._call, call, *positional, **arguments)

    def _create(self, create: Callable[[], str], arrived: Callable[[], Iterator[str]]) -> str:
        """A request that must come once: before it is tried again, looks whether the last one arrived.

        One that the server is still at may arrive late, and one that cannot be looked for may be there; neither is
        tried again.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return create()
            except Unreachable as error:
                may_arrive = error.under_way
                try:
                    if found := self._wait_for(arrived, self._settings.seconds if may_arrive else 0.0):
                        return found
                except HeadstartError:
                    may_arrive = True
                if may_arrive:
                    raise Unreachable(f"{error}; it may arrive all the same: look before you try again") from None
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _wait_for(self, arrived: Callable[[], Iterator[str]], seconds: float) -> str:
        end = time.monotonic() + max(seconds, _FIRST_PAUSE_SECONDS)
        while True:
            if found := next(iter(arrived()), ""):
                return found
            if time.monotonic() >= end:
                return ""
            time.sleep(_FIRST_PAUSE_SECONDS)

    def _call(self, call: Callable[..., T], *positional: Any, **arguments: Any) -> T:
        try:
            answer = call(*positional, _request_timeout=self._seconds, **arguments)
        except kfp_server_api.ApiException as error:
            raise self._refusal(error) from None
        except (urllib3.exceptions.LocationParseError, urllib3.exceptions.InvalidHeader) as error:
            raise HeadstartError(f"{self._named}: {error}") from None
        except (urllib3.exceptions.HTTPError, OSError, UnicodeDecodeError) as error:
            cause = _innermost(error)
            slow = isinstance(cause, urllib3.exceptions.ReadTimeoutError)
            reason = f"no answer in {self._settings.seconds:g} s" if slow else _words(cause)
            raise Unreachable(f"{self._named} cannot be reached: {reason}", under_way=slow) from None
        self._check_kind()
        return answer

    def _check_kind(self) -> None:
        last = getattr(self._api, "last_response", None)
        headers = getattr(last, "urllib3_response", last).headers if last else {}
        if headers.get("content-type", "").startswith("text/html"):
            raise HeadstartError(
                f"{self._named} answers with a page, not as KFP's API: sign in first (a token by HEADSTART_TOKEN), "
                "or name the API's address, often that of the user interface, …/pipeline"
            )

    def _refusal(self, error: Any) -> HeadstartError:
        said = self._message(error)
        match error.status:
            case 401:
                return HeadstartError(
                    f"{self._named} wants to know who you are (401): pass a token that is still good by "
                    f"HEADSTART_TOKEN{said}"
                )
            case 403:
                where = f"in namespace {self._namespace!r}" if self._namespace else "without --namespace"
                return HeadstartError(
                    f"{self._named} forbids this {where} (403): name a namespace of yours with --namespace, or ask "
                    f"for its role kubeflow-edit{said}"
                )
            case 404:
                return NotFound(f"{self._named} has no such thing (404){said}")
            case 0 | None:
                return HeadstartError(f"{self._named} cannot be reached: {' '.join(str(error.reason).split())}")
            case status if status >= 500 or status == 429:
                return Unreachable(f"{self._named} fails ({status}){said}", under_way=status == _GATEWAY_TIMEOUT)
            case status:
                return HeadstartError(f"{self._named} refuses this ({status}){said}")

    def _message(self, error: Any) -> str:
        """What the server says, without what it must not say again."""
        try:
            body = json.loads(error.body or "")
            # The details have what is meant for users; the message, the whole chain of errors.
            said = [*(detail.get("message") for detail in body.get("details") or []), body.get("message")]
        except (ValueError, AttributeError):
            return ""
        text = next((str(each) for each in said if each), "")
        if self._settings.token:
            text = text.replace(self._settings.token, "***")
        text = " ".join(text.split())
        return f": {text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + '…'}" if text else ""


def _kfp_finds_a_host() -> bool:
    """Whether kfp has something to go by: its own variable, the cluster that this is a pod of, kubectl's files."""
    if os.environ.get("KF_PIPELINES_ENDPOINT") or os.environ.get("KUBERNETES_SERVICE_HOST"):
        return True
    files = os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)
    return any(expand_home(file).is_file() for file in files if file)


def _sign_in(settings: Settings) -> Any:
    class Client(kfp.Client):
        # kfp's constructor asks five times in 25 seconds, whatever the answer, and prints tracebacks; we ask later.
        def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
            return kfp_server_api.V2beta1GetHealthzResponse(multi_user=False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return Client(
            host=settings.host or None,
            namespace=settings.namespace or "kubeflow",
            existing_token=settings.token or None,
        )


def _equals(*pair: str, **conditions: str) -> str:
    """KFP's filter for fields that have certain values."""
    if pair:
        conditions[pair[0]] = pair[1]
    predicates = [{"operation": _EQUALS, "key": key, "stringValue": value} for key, value in conditions.items()]
    return json.dumps({"predicates": predicates}) if predicates else ""


def _same_fingerprint(fingerprint: str) -> str:
    """The same filter as the API before v2 has it."""
    return json.dumps({"predicates": [{"op": "EQUALS", "key": "fingerprint", "string_value": fingerprint}]})


def _marked(description: str | None) -> tuple[str, str]:
    mark = f"[{_MARK} {uuid.uuid4().hex}]"
    return f"{description or ''} {mark}".strip(), mark


def _innermost(error: BaseException) -> BaseException:
    reason = getattr(error, "reason", None)
    return _innermost(reason) if isinstance(reason, BaseException) else error


def _words(error: BaseException) -> str:
    """What an exception says, without the names of objects in it."""
    return re.sub(r"<[^>]*>:? ?|^\w+\(.*?\): ", "", str(error)) or type(error).__name__
