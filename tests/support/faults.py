"""A reverse proxy on loopback that spoils what passes through it, and remembers what was asked."""

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
    """How one answer is spoiled.

    Attributes:
        kind: A status code to answer with instead; ``reset`` or ``truncate``, which end the body with a TCP reset or
            quietly; ``corrupt``, which flips a bit; ``slow``, which halts. Of what is sent, ``garble`` flips a bit
            in the body, and ``cut`` passes half of it and no more; ``drop`` loses the request, ``lose`` the answer.
        after: How many bytes of the body pass before that.
        seconds: How long ``slow`` halts.
        headers: To add to an answer that is only a status code.
        then: What happens later to the same answer, 16 KiB on at the earliest.
    """

    kind: str
    after: int = 0
    seconds: float = 0.0
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    then: "Fault | None" = None


@dataclasses.dataclass
class Request:
    """A request that came by."""

    method: str
    path: str
    headers: Message
    sent: int = 0
    """Bytes of the answer's body that were passed on."""

    @property
    def range(self) -> str | None:
        return self.headers["Range"]

    @property
    def reads_object(self) -> bool:
        """Whether it asks for an object's bytes, not for a listing or for what is known of an object."""
        return self.method == "GET" and "list-type=" not in self.path and not self.path.startswith("/storage/v1/")


Faults = Sequence[Fault | None] | Callable[[Request], Fault | None]


class Proxy:
    """A running proxy.

    Attributes:
        address: Where to find it, ``http://HOST:PORT``.
        requests: What was asked so far, in order.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self.spoil([])

    def spoil(self, faults: Faults, only: Callable[[Request], bool] = lambda request: request.reads_object) -> None:
        """Spoils requests of a kind from now on: one after the other by a list, or each as a function says."""
        self._faults = faults if callable(faults) else iter(faults)
        self._only = only

    @property
    def reads(self) -> list[Request]:
        """The requests for objects' bytes."""
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
def proxying(upstream: str) -> Iterator[Proxy]:
    """Starts a proxy in front of `upstream`, an ``http://HOST:PORT``; it keeps the Host header that clients send."""
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
                # What is under way would be lost as well.
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
