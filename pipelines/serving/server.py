"""The server: KServe's endpoints, metrics and the page on one port, and gRPC on another where it is wanted."""

import base64
import contextlib
import hashlib
import logging
import re
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from kserve import ModelRepository
from kserve.errors import InvalidInput, ModelNotFound
from kserve.protocol.rest.v1_endpoints import register_v1_endpoints
from kserve.protocol.rest.v2_endpoints import register_v2_endpoints
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from headstart.pipelines.serving.current_version import CurrentVersion
from headstart.pipelines.serving.grpc_port import open_grpc_port
from headstart.pipelines.serving.guard import RETRY_AFTER, Guard, bounded_protocol
from headstart.pipelines.serving.limits import Limits, Refused
from headstart.pipelines.serving.loaded_version import REPORT, RUN_PAGES
from headstart.pipelines.serving.protocol import ImageClassifier, ImageDataPlane

_KEEP_ALIVE_SECONDS = 65

_PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")


def _hash(page: str, tag: str) -> str:
    """Digests of a page's elements of a kind, by which browsers run them and no other."""
    texts = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(each).decode()}'" for each in digests) or "'none'"


_POLICY = (
    f"default-src 'none'; script-src {_hash(_PAGE, 'script')}; style-src {_hash(_PAGE, 'style')}; "
    "connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _make_page_policy(page: str) -> str:
    """Policy of a page of a run: its own scripts alone, no requests, and none of the rights of the server's page."""
    return (
        f"default-src 'none'; script-src {_hash(page, 'script')}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
    )


_LOGGER = logging.getLogger("headstart.serving")


def name_model(address: str) -> str:
    """Name of a model in the addresses of requests: the last part of its own address."""
    path = urlsplit(address).path if "://" in address else address
    return re.sub(r"[^A-Za-z0-9_.-]", "-", PurePosixPath(path).name) or "model"


def make_app(
    name: str, current: CurrentVersion, limits: Limits, page: bool = True, grpc_address: str = ""
) -> FastAPI:
    """Builds the application.

    Args:
        name: Name of the model in addresses.
        current: The version that answers.
        limits: Limits of the server.
        page: Whether there is a page for people at `/`.
        grpc_address: Host and port for gRPC, which is open while the application runs; empty: none.
    """
    models = ModelRepository()
    models.update(ImageClassifier(name, current, limits))
    plane = ImageDataPlane(model_registry=models)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stop = current.start_following()
        async with open_grpc_port(grpc_address, plane, limits) if grpc_address else contextlib.nullcontext():
            yield
        stop()

    app = FastAPI(title="headstart serve", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def ready() -> dict[str, Any]:
        version = current.served.version
        shown = page and REPORT in version.pages
        return {"ready": True, "model_version": version.name, "problem": current.failure, "report": shown}

    async def refuse() -> None:
        raise HTTPException(404)

    async def show_page() -> Response:
        return _respond_with_page(_PAGE, _POLICY)

    async def show_run_page(request: Request) -> Response:
        content = current.served.version.pages.get(request.url.path.strip("/"))
        if content is None:
            raise HTTPException(404)
        return _respond_with_page(content, _make_page_policy(content))

    async def show_card() -> Response:
        if not current.served.version.card:
            raise HTTPException(404)
        return PlainTextResponse(current.served.version.card)

    if page:
        app.add_api_route("/", show_page)
        app.add_api_route("/model_card", show_card)
        for each in RUN_PAGES:
            app.add_api_route(f"/{each}", show_run_page)
    # Clients do not decide what is loaded.
    app.add_api_route("/v2/repository/{rest:path}", refuse, methods=["GET", "POST"])
    app.add_api_route("/metrics", metrics)
    app.add_api_route("/v2/health/ready", ready)
    register_v1_endpoints(app, plane, None)
    register_v2_endpoints(app, plane, None)
    _add_error_handlers(app)
    return app


def _respond_with_page(content: str, policy: str) -> Response:
    return HTMLResponse(content, headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"})


def _add_error_handlers(app: FastAPI) -> None:
    def answer(kind: type[Exception], respond: Callable[[Any], tuple[int, str]]) -> None:
        async def handle(request: Request, error: Exception) -> Response:
            status, reason = respond(error)
            headers = {"Retry-After": RETRY_AFTER.decode()} if status == 503 else None
            return JSONResponse({"error": reason}, status, headers)

        app.add_exception_handler(kind, handle)

    answer(Refused, lambda error: (error.status, error.reason))
    answer(InvalidInput, lambda error: (400, "the body is not valid JSON of the protocol"))
    answer(ModelNotFound, lambda error: (404, "there is no model of this name; GET /v1/models lists it"))
    answer(NotImplementedError, lambda error: (404, "name no version: the server decides on it"))
    answer(RequestValidationError, lambda error: (400, _describe(error)))
    answer(
        HTTPException, lambda error: (error.status_code, _SENTENCES.get(error.status_code, "it cannot be answered"))
    )

    async def fail(request: Request, error: Exception) -> Response:
        # Only here, as the reason may name files of this machine.
        _LOGGER.error("a request failed", exc_info=error)
        return JSONResponse({"error": "the server failed; its log has the reason"}, 500)

    app.add_exception_handler(Exception, fail)


_SENTENCES = {
    400: "the body is not valid JSON",
    404: "there is nothing at this address; GET /v1/models lists the model",
    405: "this address takes another method",
}


def _describe(error: Any) -> str:
    """The first of what is wrong with a request of protocol v2."""
    places = [each.get("loc", ()) for each in error.errors()]
    named = next((place for place in places if "InferenceRequest" in place), ())
    field = ".".join(map(str, named[named.index("InferenceRequest") + 1 :])) if named else ""
    what = f"{field[:60]} is missing or of the wrong kind" if field else "it is not JSON of protocol v2"
    return f"the request cannot be read: {what}"


@contextlib.contextmanager
def open_server(
    current: CurrentVersion,
    name: str,
    host: str,
    port: int,
    limits: Limits | None = None,
    page: bool = True,
    grpc_port: int = 0,
) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """Opens the port of a server.

    Args:
        current: The version that answers.
        name: Name of the model in addresses.
        host: Address of this machine to listen at.
        port: Port to listen at; 0: any that is free.
        limits: Limits of the server; None: the usual ones.
        page: Whether there is a page for people at `/`.
        grpc_port: Port for gRPC at the same address; 0: none.

    Yields:
        The server's URL; the function that answers requests until the process gets SIGTERM or SIGINT, and then
        those that are under way; and one that ends it as such a signal does.

    Raises:
        OSError: If a port cannot be used.
    """
    limits = limits or Limits()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    shown = f"[{host}]" if ":" in host else host
    if grpc_port:
        # Opened with the event loop, too late for an error.
        socket.create_server((host, grpc_port), family=family).close()
    grpc_address = f"{shown}:{grpc_port}" if grpc_port else ""
    config = uvicorn.Config(
        Guard(make_app(name, current, limits, page, grpc_address), limits),
        host,
        port,
        http=bounded_protocol(limits.read_seconds),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(limits.drain_seconds),
    )
    server = uvicorn.Server(config)

    def run() -> None:
        if threading.current_thread() is threading.main_thread():
            # Uvicorn ends on these signals, and raises them again for whoever handled them before.
            for each in (signal.SIGTERM, signal.SIGINT):
                signal.signal(each, lambda *_: None)
        server.run([listening])

    def stop() -> None:
        server.should_exit = True

    with socket.create_server((host, port), family=family, backlog=config.backlog) as listening:
        yield f"http://{shown}:{listening.getsockname()[1]}", run, stop
