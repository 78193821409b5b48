"""`headstart serve`."""

import importlib.util
import warnings
from typing import Annotated

import typer

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.options import PrecisionOption
from headstart.pipelines.progress.console import say

EXIT_STATUSES = (
    "Exit status: 0 stopped by SIGTERM or Ctrl-C, after the requests under way; 1 the model cannot be loaded, or the "
    "port cannot be used; 2 wrong options."
)


def serve(
    model: Annotated[
        str,
        typer.Argument(
            help="Output folder of a run, folder of a model, published version, or place where models are published, "
            "whose champion is served and followed: a path, or an http(s)://, gs:// or s3:// address.",
            show_default=False,
        ),
    ],
    host: Annotated[
        str,
        typer.Option(
            help="Address of this machine to listen at; 0.0.0.0: all, for others to reach it.", metavar="HOST"
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0: any that is free.", min=0, max=65535)] = 8080,
    grpc_port: Annotated[
        int,
        typer.Option(
            help="Port for the Open Inference Protocol over gRPC; 0: none, HTTP alone.",
            min=0,
            max=65535,
            metavar="PORT",
        ),
    ] = 0,
    name: Annotated[
        str,
        typer.Option(
            help="Name of the model in addresses; if left out, the last part of its own address.",
            show_default=False,
            metavar="NAME",
        ),
    ] = "",
    precision: PrecisionOption = 0.0,
    page: Annotated[
        bool, typer.Option(help="Show a page at / on which people try the model with images of their own.")
    ] = True,
) -> None:
    """Serves a model to other programs by KServe's protocols, and follows the champion where models are published."""
    if importlib.util.find_spec("kserve") is None:
        raise HeadstartError("serve needs kserve, not installed here: pip install 'headstart[serve]'")
    from headstart.components.core.util.logs import start_logging
    from headstart.pipelines.local.tensorflow_import import hold_back_library_output, import_tensorflow

    # Before the log begins, which is written to standard error, too.
    with hold_back_library_output():
        import_tensorflow()
    from headstart.pipelines.serving.current_version import CurrentVersion
    from headstart.pipelines.serving.server import name_model, open_server

    start_logging()
    # Of KServe's own code, at the first request; users cannot change it.
    warnings.filterwarnings("ignore", "ORJSONResponse is deprecated")
    current = CurrentVersion(model, precision)
    name = name or name_model(model)
    try:
        with open_server(current, name, host, port, page=page, grpc_port=grpc_port) as (url, run, _):
            say(f"version {current.served.version.name} answers at {url}/v1/models/{name}:predict")
            if grpc_port:
                say(f"gRPC: port {grpc_port}, model {name}")
            if page:
                say(f"page to try it: {url}")
            run()
    except OSError as error:
        ports, options = (f"{port} or {grpc_port}", "--port or --grpc-port") if grpc_port else (port, "--port")
        raise HeadstartError(
            f"{host}:{ports} cannot be used ({error.strerror}); choose another with {options}"
        ) from None
