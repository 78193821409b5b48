"""Requests to KFP's API: signed in as kfp does it, each with a time limit, failures explained in one line."""

import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import kfp
import kfp_server_api
import tenacity
import urllib3

from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home
from headstart.pipelines.cluster.settings import ClusterSettings

OLDEST_SERVER = (2, 17)
"""Older servers silently drop most of what pods request at run time."""

_ATTEMPTS = 4
_FIRST_ATTEMPTS = 2
_FIRST_PAUSE_SECONDS = 0.5
_CONNECT_SECONDS = 10.0
_GATEWAY_TIMEOUT = 504
PAGE_SIZE = 100
_LONGEST_MESSAGE = 500
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

T = TypeVar("T")


class Unreachable(HeadstartError):
    """No answer, or none that can be used: the network or the server is down.

    Attributes:
        may_arrive: Whether the server may still be working on the request.
    """

    def __init__(self, message: str, may_arrive: bool = False) -> None:
        super().__init__(message)
        self.may_arrive = may_arrive


class NotFound(HeadstartError):
    """The requested object does not exist."""


class Transport:
    """Connection to a KFP server.

    Args:
        settings: Address of the server, and credentials.

    Attributes:
        kfp: kfp's own client, whose services `call` and its siblings take.
        address: Address of the server.
        namespace: Namespace of the runs; empty on a KFP without users.

    Raises:
        HeadstartError: If no server is named, it denies access, or it is too old.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        settings.check_host()
        if not settings.host and not _kfp_finds_a_host():
            raise HeadstartError("no host: name KFP's address with --host or HEADSTART_KFP_HOST")
        self._token = settings.token
        self._seconds = settings.seconds
        self.address = settings.host
        self.namespace = settings.namespace
        self._api: Any = None
        self.kfp = self.call(lambda **_: _sign_in(settings))
        self.namespace = settings.namespace or self.kfp.get_user_namespace()
        self._api = self.kfp.runs.api_client
        self.address = str(self._api.configuration.host)
        # Pauses of our own lie between attempts; urllib3's attempts have none, and each has the whole timeout.
        self._api.rest_client.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(
            connect=0, read=0, status=0, redirect=5
        )
        self._check_version()

    def call(self, call: Callable[..., T], *positional: Any, **arguments: Any) -> T:
        """Sends a request once.

        Args:
            call: Method of one of kfp's services.
            positional: Positional arguments of the method.
            arguments: Keyword arguments of the method.

        Raises:
            NotFound: If the server has no such object.
            Unreachable: If the server does not answer, or fails.
            HeadstartError: If the server refuses the request.
        """
        try:
            timeout = (min(_CONNECT_SECONDS, self._seconds), self._seconds)
            answer = call(*positional, _request_timeout=timeout, **arguments)
        except kfp_server_api.ApiException as error:
            raise self._explain(error) from None
        except (urllib3.exceptions.LocationParseError, urllib3.exceptions.InvalidHeader) as error:
            raise HeadstartError(f"{self._server}: {error}") from None
        except (urllib3.exceptions.HTTPError, OSError, UnicodeDecodeError) as error:
            cause = _innermost(error)
            slow = isinstance(cause, urllib3.exceptions.ReadTimeoutError)
            reason = f"no answer in {self._seconds:g} s" if slow else _message_of(cause)
            raise Unreachable(f"{self._server} cannot be reached: {reason}", may_arrive=slow) from None
        self._check_content_type()
        return answer

    def repeat(self, call: Callable[..., Any], *positional: Any, attempts: int = _ATTEMPTS, **arguments: Any) -> Any:
        """Sends a request that may arrive twice; repeats it after pauses while the server is unreachable.

        Args:
            call: Method of one of kfp's services.
            positional: Positional arguments of the method.
            attempts: Largest number of attempts.
            arguments: Keyword arguments of the method.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unreachable),
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential(multiplier=_FIRST_PAUSE_SECONDS),
            reraise=True,
        )
        return retrying(self.call, call, *positional, **arguments)

    def create_once(self, create: Callable[[], str], find_created: Callable[[], Iterator[str]]) -> str:
        """Sends a request that must arrive once: before it is repeated, looks whether the last one arrived.

        It is not repeated where the server may still be working on it, or where looking for it fails.

        Args:
            create: Sends the request, and returns the id of the new object.
            find_created: Ids of the objects that the request may have made.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return create()
            except Unreachable as error:
                may_arrive = error.may_arrive
                try:
                    if found := _wait_for(find_created, self._seconds if may_arrive else 0.0):
                        return found
                except HeadstartError:
                    may_arrive = True
                if may_arrive:
                    raise Unreachable(f"{error}; the request may still arrive: look before you try again") from None
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def read_pages(self, call: Callable[..., Any], field: str, **arguments: Any) -> Iterator[Any]:
        """Objects of a listing, page after page.

        Args:
            call: Method of one of kfp's services.
            field: Field of the answer that has the objects.
            arguments: Keyword arguments of the method.
        """
        token = ""
        while True:
            page = self.repeat(call, page_size=PAGE_SIZE, page_token=token, **arguments)
            yield from getattr(page, field) or []
            token = page.next_page_token or ""
            if not token:
                return

    def read_bytes(self, path: str, query: dict[str, str] | None = None, **path_params: str) -> bytes:
        """Content at a path of the API for which kfp's client has no method.

        Args:
            path: Path with names of parameters in braces.
            query: Parameters of the query; empty ones are left out.
            path_params: Values of the path's parameters.
        """
        answer = self.repeat(
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
        return bytes(answer.data)

    def read_json(self, path: str, query: dict[str, str] | None = None, **path_params: str) -> dict[str, Any]:
        """Object at a path of the API, as `read_bytes` takes it; empty where the server has none."""
        try:
            found = json.loads(self.read_bytes(path, query, **path_params))
        except (NotFound, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _check_version(self) -> None:
        try:
            health = self.repeat(self.kfp.healthzs.healthz_service_get_healthz, attempts=_FIRST_ATTEMPTS)
        except NotFound:
            raise HeadstartError(
                f"{self._server} has no v2beta1 API: it is older than KFP 2, or another address is the API's "
                "(often that of the user interface, …/pipeline)"
            ) from None
        tag = json.loads(self._api.last_response.data).get("tag_name") or ""
        if health.multi_user and not self.namespace and _POD_NAMESPACE.exists():
            self.namespace = _POD_NAMESPACE.read_text().strip()
        if health.multi_user and not self.namespace:
            raise HeadstartError(
                f"{self._server} has several users; name your namespace with --namespace or HEADSTART_NAMESPACE"
            )
        found = re.match(r"v?(\d+)\.(\d+)", tag)
        if not found:
            return
        server = (int(found[1]), int(found[2]))
        if server < OLDEST_SERVER or server[0] > OLDEST_SERVER[0]:
            oldest = ".".join(map(str, OLDEST_SERVER))
            raise HeadstartError(
                f"{self._server} is KFP {tag}, and this pipeline is compiled by kfp {version('kfp')} for KFP "
                f"{oldest} or a later 2.x; upgrade the older of the two"
            )

    @property
    def _server(self) -> str:
        return f"the server at {self.address}"

    def _check_content_type(self) -> None:
        last = getattr(self._api, "last_response", None)
        headers = getattr(last, "urllib3_response", last).headers if last else {}
        if headers.get("content-type", "").startswith("text/html"):
            raise HeadstartError(
                f"{self._server} answers with a page, not as KFP's API: sign in first (a token by HEADSTART_TOKEN), "
                "or name the API's address, often that of the user interface, …/pipeline"
            )

    def _explain(self, error: Any) -> HeadstartError:
        details = self._details(error)
        match error.status:
            case 401:
                return HeadstartError(
                    f"{self._server} does not accept your credentials (401): pass a valid token by "
                    f"HEADSTART_TOKEN{details}"
                )
            case 403:
                where = f"in namespace {self.namespace!r}" if self.namespace else "without --namespace"
                return HeadstartError(
                    f"{self._server} forbids this {where} (403): name a namespace of yours with --namespace, or ask "
                    f"for its role kubeflow-edit{details}"
                )
            case 404:
                return NotFound(f"{self._server} has no such object (404){details}")
            case 0 | None:
                return HeadstartError(f"{self._server} cannot be reached: {' '.join(str(error.reason).split())}")
            case status if status >= 500 or status == 429:
                return Unreachable(f"{self._server} fails ({status}){details}", may_arrive=status == _GATEWAY_TIMEOUT)
            case status:
                return HeadstartError(f"{self._server} refuses this ({status}){details}")

    def _details(self, error: Any) -> str:
        """The server's own message, without the token."""
        try:
            body = json.loads(error.body or "")
            # The details have the message meant for users; the message, the whole chain of errors.
            messages = [*(detail.get("message") for detail in body.get("details") or []), body.get("message")]
        except (ValueError, AttributeError):
            return ""
        text = next((str(each) for each in messages if each), "")
        if self._token:
            text = text.replace(self._token, "***")
        text = " ".join(text.split())
        return f": {text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + '…'}" if text else ""


def _kfp_finds_a_host() -> bool:
    """Whether kfp can find a server by its own variable, the cluster that this is a pod of, or kubectl's files."""
    if os.environ.get("KF_PIPELINES_ENDPOINT") or os.environ.get("KUBERNETES_SERVICE_HOST"):
        return True
    files = os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)
    return any(expand_home(file).is_file() for file in files if file)


def _sign_in(settings: ClusterSettings) -> Any:
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


def _wait_for(find: Callable[[], Iterator[str]], seconds: float) -> str:
    end = time.monotonic() + max(seconds, _FIRST_PAUSE_SECONDS)
    while True:
        if found := next(iter(find()), ""):
            return found
        if time.monotonic() >= end:
            return ""
        time.sleep(_FIRST_PAUSE_SECONDS)


def _innermost(error: BaseException) -> BaseException:
    reason = getattr(error, "reason", None)
    return _innermost(reason) if isinstance(reason, BaseException) else error


def _message_of(error: BaseException) -> str:
    """Message of an exception, without the names of objects in it."""
    return re.sub(r"<[^>]*>:? ?|^\w+\(.*?\): ", "", str(error)) or type(error).__name__
