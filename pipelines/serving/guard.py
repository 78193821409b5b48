"""What stands before the application: limits on the head and the body of a request, counts, and times."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headstart.pipelines.serving.limits import Limits, Refused
from headstart.pipelines.serving.metrics import REQUEST_SECONDS, REQUESTS

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

RETRY_AFTER = b"1"
"""Seconds after which a client may come again when the server is busy."""


class Guard:
    """ASGI application around another: reads bodies within the limits, and counts requests.

    Args:
        app: The application.
        limits: Limits of the server.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, held = time.perf_counter(), 500, [0]

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            body = await self._read(scope, receive, held)
            await self._app(scope, _replay(body, receive), watched)
        except Refused as refused:
            await send_refusal(watched, refused)
        finally:
            self._held -= held[0]
            endpoint = _name_endpoint(scope["path"])
            REQUESTS.labels(endpoint, str(status)).inc()
            REQUEST_SECONDS.labels(endpoint).observe(time.perf_counter() - started)

    async def _read(self, scope: Scope, receive: Receive, held: list[int]) -> bytes:
        """The body of a request.

        Args:
            scope: The request.
            receive: Function that receives its parts.
            held: One number, the bytes that are held for it; counted up.
        """
        limit = self._limits.body_bytes
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limit:
            raise Refused(413, f"the body has more than {limit:,} bytes; send fewer or smaller images at once")
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "the connection was closed")
                    part = message.get("body", b"")
                    parts.append(part)
                    held[0] += len(part)
                    self._held += len(part)
                    if held[0] > limit:
                        raise Refused(413, f"the body has more than {limit:,} bytes; send fewer images at once")
                    if self._held > self._limits.held_bytes:
                        raise Refused(503, "the server is busy; try again")
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Refused(408, f"the body did not come within {self._limits.read_seconds:g} s") from None
        return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A function that receives a body that was read already, and after that what comes."""
    pending: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> MutableMapping[str, Any]:
        return pending.pop() if pending else await receive()

    return replayed


async def send_refusal(send: Send, refused: Refused) -> None:
    """Answers a request by an error, and closes the connection, on which more of the body may come."""
    content = json.dumps({"error": refused.reason}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    headers.append((b"connection", b"close"))
    if refused.status == 503:
        headers.append((b"retry-after", RETRY_AFTER))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _name_endpoint(path: str) -> str:
    """Label of an endpoint in the metrics; clients cannot make new ones."""
    for ending in (":predict", ":explain", "/infer"):
        if path.endswith(ending):
            return ending[1:]
    return path.strip("/") if path in ("/", "/metrics", "/v2/health/live", "/v2/health/ready") else "other"


def bounded_protocol(seconds: float) -> type[HttpToolsProtocol]:
    """Uvicorn's HTTP protocol, which closes a connection whose request has no complete head in time.

    Args:
        seconds: Longest time from the connection, or the first byte of the next request, to the end of the head.
    """

    class BoundedProtocol(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def _watch(self) -> None:
            busy = self.cycle is not None and not self.cycle.response_complete
            if busy and self._timer:
                self._timer.cancel()
                self._timer = None
            elif not busy and self._timer is None:
                self._timer = self.loop.call_later(seconds, self._close_if_idle)

        def _close_if_idle(self) -> None:
            self._timer = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

        def connection_lost(self, error: Exception | None) -> None:
            if self._timer:
                self._timer.cancel()
            super().connection_lost(error)

    return BoundedProtocol
