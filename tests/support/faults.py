"""A reverse proxy on loopback that injects faults and records requests."""

import contextlib
import dataclasses
import http.client
import http.server
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.message import Message
from urllib.parse import urlsplit

_CHUNK_BYTES = 16 * 2**10
_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "expect"}


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault of one request or response.

    Attributes:
        kind: Kind of fault. Of the response: a status code to answer with instead; ``reset`` or ``truncate`` ends the
            body with a TCP reset or silently; ``corrupt`` flips a bit; ``slow`` pauses. Of the request: ``garble``
            flips a bit in the body; ``cut`` passes half of the body; ``drop`` loses it; ``lose`` loses the response.
        after: Bytes of the body that pass before the fault.
        seconds: Pause of ``slow``, in seconds.
        headers: Headers of a response that is only a status code.
        then: Later fault of the same response, at least 16 KiB further on; None: there is none.
    """

    kind: str
    after: int = 0
    seconds: float = 0.0
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    then: "Fault | None" = None


@dataclasses.dataclass
class Request:
    """A request that the proxy received."""

    method: str
    path: str
    headers: Message
    sent: int = 0
    """Bytes of the response body that were passed on."""

    @property
    def range(self) -> str | None:
        return self.headers["Range"]

    @property
    def reads_object(self) -> bool:
        """Whether it reads the bytes of an object, and not a listing or metadata."""
        return self.method == "GET" and "list-type=" not in self.path and not self.path.startswith("/storage/v1/")


Faults = Sequence[Fault | None] | Callable[[Request], Fault | None]


class Proxy:
    """A running proxy.

    Attributes:
        address: Address of the proxy, ``http://HOST:PORT``.
        requests: Requests so far, in order.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self.spoil([])

    def spoil(self, faults: Faults, only: Callable[[Request], bool] = lambda request: request.reads_object) -> None:
        """Injects faults into requests of a kind from now on: one each from a list, or as a function returns them."""
        self._faults = faults if callable(faults) else iter(faults)
        self._only = only

    @property
    def reads(self) -> list[Request]:
        """Requests that read the bytes of objects."""
        return [request for request in self.requests if request.reads_object]

    def passes(self, request: Request) -> Fault | None:
        with self._lock:
            self.requests.append(request)
            if not self._only(request):
                return None
            return self._faults(request) if callable(self._faults) else next(self._faults, None)


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


@contextlib.contextmanager
def start_proxy(upstream: str) -> Iterator[Proxy]:
    """Starts a proxy in front of `upstream`, an ``http://HOST:PORT``; it passes on the Host header of clients."""
    target = urlsplit(upstream).netloc

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle_one_request()

        def _pass(self) -> None:
            request = Request(self.command, self.path, self.headers)
            fault = proxy.passes(request)
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if fault and fault.kind.isdecimal():
                self.send_response(int(fault.kind))
                for name, value in ({"Content-Length": "0"} | dict(fault.headers)).items():
                    self.send_header(name, value)
                self.end_headers()
                return
            if fault and fault.kind == "drop":
                self._reset()
                return
            if fault and fault.kind == "garble" and sent:
                middle = len(sent) // 2
                sent = sent[:middle] + bytes([sent[middle] ^ 1]) + sent[middle + 1 :]
            if fault and fault.kind == "cut":
                sent = sent[: len(sent) // 2]
            with contextlib.closing(http.client.HTTPConnection(target)) as connection:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in _OF_ONE_CONNECTION:
                        connection.putheader(name, value)
                connection.endheaders(sent)
                if fault and fault.kind == "cut":
                    self._reset()
                    return
                answer = connection.getresponse()
                if fault and fault.kind == "lose":
                    answer.read()
                    self._reset()
                    return
                self._answer(request, answer, fault if fault and fault.kind != "garble" else None)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _pass  # noqa: N815

        def _answer(self, request: Request, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in _OF_ONE_CONNECTION:
                    self.send_header(name, value)
            if answer.length is None:
                self.send_header("Connection", "close")
            self.end_headers()
            while chunk := answer.read(_CHUNK_BYTES):
                if fault and request.sent + len(chunk) > fault.after:
                    chunk = self._spoil(chunk, fault.after - request.sent, fault, request)
                    fault = fault.then
                    if self.close_connection:
                        return
                self.wfile.write(chunk)
                request.sent += len(chunk)

        def _spoil(self, chunk: bytes, at: int, fault: Fault, request: Request) -> bytes:
            if fault.kind == "corrupt":
                return chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1 :]
            self.wfile.write(chunk[:at])
            request.sent += at
            if fault.kind == "slow":
                time.sleep(fault.seconds)
                return chunk[at:]
            self.close_connection = True
            if fault.kind == "reset":
                # A reset would also lose the bytes that are under way.
                time.sleep(0.05)
                self._reset()
            return b""

        def _reset(self) -> None:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
