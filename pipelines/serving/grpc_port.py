"""The Open Inference Protocol over gRPC, on a port of its own: the same model, batches and limits as over HTTP."""

import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from kserve import InferInput, InferRequest
from kserve.errors import InvalidInput, ModelNotFound
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.infer_type import RequestedOutput

from headstart.pipelines.serving.limits import Limits, Refused
from headstart.pipelines.serving.metrics import REQUEST_SECONDS, REQUESTS
from headstart.pipelines.serving.protocol import split_tensor

_LOGGER = logging.getLogger("headstart.serving")

_ENDPOINT = "grpc"
"""Label of the endpoint in the metrics."""

_STATUSES = {413: grpc.StatusCode.RESOURCE_EXHAUSTED, 503: grpc.StatusCode.UNAVAILABLE}
"""Status of a refusal by that over HTTP; of others it is INVALID_ARGUMENT."""


class _Servicer(InferenceServicer):
    """KServe's servicer, which takes images as bytes, and lets no client decide what is loaded."""

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answers an inference request."""
        started, status = time.perf_counter(), grpc.StatusCode.OK
        try:
            return await self._infer(request)
        except Exception as error:
            status = _describe(error)[0]
            raise
        finally:
            REQUESTS.labels(_ENDPOINT, status.name).inc()
            REQUEST_SECONDS.labels(_ENDPOINT).observe(time.perf_counter() - started)

    async def _infer(self, request: Any) -> Any:
        self.validate_grpc_request(request)
        if request.model_version:
            raise NotImplementedError
        raw = request.raw_input_contents
        inputs = [
            InferInput(
                each.name,
                list(each.shape),
                each.datatype,
                list(split_tensor(raw[number]) if raw else each.contents.bytes_contents),
            )
            for number, each in enumerate(request.inputs)
        ]
        outputs = [RequestedOutput(each.name) for each in request.outputs]
        read = InferRequest(
            request.model_name, inputs, request.id or None, from_grpc=True, request_outputs=outputs or None
        )
        answer, _ = await self._data_plane.infer(request.model_name, read)
        return answer.to_grpc()

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuses to load a model."""
        raise NotImplementedError

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuses to unload a model."""
        raise NotImplementedError


def _describe(error: Exception) -> tuple[grpc.StatusCode, str]:
    """Status and sentence of an error."""
    match error:
        case Refused():
            return _STATUSES.get(error.status, grpc.StatusCode.INVALID_ARGUMENT), error.reason
        case InvalidInput():
            return grpc.StatusCode.INVALID_ARGUMENT, "the request is not one of the protocol"
        case ModelNotFound():
            return grpc.StatusCode.NOT_FOUND, "there is no model of this name"
        case NotImplementedError():
            return grpc.StatusCode.UNIMPLEMENTED, "the server decides on the model and its version; name none"
    return grpc.StatusCode.INTERNAL, "the server failed; its log has the reason"


class _Errors(ExceptionToStatusInterceptor):
    async def handle_exception(self, ex: Exception, request_or_iterator: Any, context: Any, method_name: str) -> None:
        """Ends a call by the status and the sentence of an error."""
        status, reason = _describe(ex)
        if status == grpc.StatusCode.INTERNAL:
            # Only here, as the reason may name files of this machine.
            _LOGGER.error("a request failed", exc_info=ex)
        await context.abort(status, reason)


@contextlib.asynccontextmanager
async def open_grpc_port(address: str, plane: DataPlane, limits: Limits) -> AsyncIterator[None]:
    """Answers calls over gRPC during the block, in the running event loop.

    Args:
        address: Host and port, such as ``127.0.0.1:8081``.
        plane: KServe's hand-over of requests to the model, the one of the HTTP port.
        limits: Limits of the server. All messages that calls under way may have are within `held_bytes`.

    Raises:
        RuntimeError: If the port cannot be used.
    """
    options = [
        ("grpc.max_receive_message_length", limits.held_bytes // limits.grpc_calls),
        # Else a second server would share the port in silence.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(interceptors=[_Errors()], options=options, maximum_concurrent_rpcs=limits.grpc_calls)
    add_GRPCInferenceServiceServicer_to_server(_Servicer(plane, None), server)
    server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(limits.drain_seconds)
