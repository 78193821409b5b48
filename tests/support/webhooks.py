"""A real webhook on loopback, which keeps what it is sent."""

import contextlib
import dataclasses
import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

SECRET = "T0/B1/s3cr3t"


@dataclasses.dataclass
class Webhook:
    """A webhook.

    Attributes:
        address: Its address, the path of which is secret.
        received: Bodies of the requests, also of those that it refused.
        paths: Paths of the requests.
    """

    address: str
    received: list[Any]
    paths: list[str]


@contextlib.contextmanager
def listening(statuses: Sequence[int] = (), seconds: float = 0.0) -> Iterator[Webhook]:
    """Listens on loopback.

    Args:
        statuses: Statuses of the first answers; the others are 200.
        seconds: Time that each answer takes.
    """
    pending = list(statuses)
    over = threading.Event()
    made = Webhook("", [], [])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.paths.append(self.path)
            made.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            over.wait(seconds)
            status = pending.pop(0) if pending else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{made.address}/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.address = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield made
    finally:
        over.set()
        server.shutdown()
        server.server_close()
