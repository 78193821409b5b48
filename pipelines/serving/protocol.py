"""The model as KServe sees it: requests of its protocols v1 and v2 to images, and predictions to answers."""

import asyncio
import base64
import binascii
import dataclasses
import json
import struct
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model
from kserve.errors import InvalidInput, ModelNotFound
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.infer_type import RequestedOutput

from headstart.components.core.images.decoding import RejectedImage
from headstart.components.core.util.resources import available_cores
from headstart.pipelines.serving.current_version import CurrentVersion, ServedVersion
from headstart.pipelines.serving.limits import Limits, Refused
from headstart.pipelines.serving.loaded_version import Pixels
from headstart.pipelines.serving.metrics import (
    ABSTENTIONS,
    IMAGES,
    PHASE_SECONDS,
    UNFAMILIAR,
    UNREADABLE,
    WAITING_IMAGES,
)

INPUT = "image_bytes"
"""Name of the input, that of the published SavedModel."""

_RETRY = "the server is busy; try again"


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """Images of a request, decoded for the version that will predict them.

    Attributes:
        served: The version.
        pixels: The images.
        request: Request of protocol v2; None: of v1.
        predictions: Their predictions; empty before `predict`.
    """

    served: ServedVersion
    pixels: list[Pixels]
    request: Any = None
    predictions: list[dict[str, Any]] = dataclasses.field(default_factory=list)


class ImageClassifier(Model):
    """Predicts image files that clients send.

    KServe calls `preprocess`, `predict` and `postprocess`, and measures the time of each.

    Args:
        name: Name of the model in addresses.
        current: The version that answers.
        limits: Limits of the server.
    """

    def __init__(self, name: str, current: CurrentVersion, limits: Limits) -> None:
        super().__init__(name)
        self.ready = True
        self._current = current
        self._limits = limits
        self._decoders = ThreadPoolExecutor(available_cores(), "decode")
        self._held = 0

    def get_input_types(self) -> list[dict[str, Any]]:
        """Inputs for the metadata of protocol v2."""
        return [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Outputs for the metadata of protocol v2."""
        classes = len(self._current.served.version.model.info.classes)
        return [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, classes]},
            {"name": "abstained", "datatype": "BOOL", "shape": [-1]},
            {"name": "unfamiliarity", "datatype": "FP64", "shape": [-1]},
            {"name": "unfamiliar", "datatype": "BOOL", "shape": [-1]},
        ]

    async def __call__(self, body: Any, headers: dict[str, str] | None = None, verb: Any = None) -> Any:
        """Answers one request within the limits."""
        images = list(_list_v2(body) if isinstance(body, InferRequest) else _list_v1(body))
        if not images:
            raise Refused(400, "the request has no images; send one at least")
        if len(images) > self._limits.images:
            raise Refused(413, f"the request has {len(images)} images; send {self._limits.images} at most")
        if self._held + len(images) > self._limits.waiting_images:
            raise Refused(503, _RETRY)
        self._hold(len(images))
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                more = {} if verb is None else {"verb": verb}
                return await super().__call__((images, body), headers, **more)
        except TimeoutError:
            raise Refused(503, "the images took too long; send fewer, or try again") from None
        finally:
            self._hold(-len(images))

    def _hold(self, images: int) -> None:
        self._held += images
        WAITING_IMAGES.set(self._held)

    async def preprocess(self, payload: tuple[list["_Encoded"], Any], headers: Any = None) -> _Decoded:
        """Decodes the images on all cores."""
        images, body = payload
        served = self._current.served
        loop = asyncio.get_running_loop()
        decoding = [loop.run_in_executor(self._decoders, _decode, served, each) for each in images]
        pixels = await asyncio.gather(*decoding)
        read: list[Pixels] = []
        for image, each in zip(images, pixels, strict=True):
            if isinstance(each, RejectedImage):
                UNREADABLE.labels(each.reason).inc()
                raise Refused(400, f"{image.name} cannot be read: {each.reason}: {each.detail}")
            read.append(each)
        return _Decoded(served, read, body if isinstance(body, InferRequest) else None)

    async def predict(self, payload: _Decoded, headers: Any = None) -> _Decoded:
        """Predicts the images, together with those of other requests."""
        rows = await payload.served.batcher.predict(payload.pixels)
        IMAGES.labels(payload.served.version.name).inc(len(rows))
        for row in rows:
            if row["abstention"]:
                ABSTENTIONS.labels(row["abstention"]).inc()
            if row["unfamiliar"]:
                UNFAMILIAR.inc()
        return dataclasses.replace(payload, predictions=rows)

    async def postprocess(self, result: Any, headers: Any = None) -> Any:
        """Answers in the protocol of the request."""
        if not isinstance(result, _Decoded):
            return result
        version = result.served.version
        if result.request is not None:
            return _to_v2(self.name, version.name, version.model.info.classes, result)
        return {
            "predictions": result.predictions,
            "classes": version.model.info.classes,
            "model_version": version.name,
        }

    async def explain(self, payload: _Decoded, headers: Any = None) -> dict[str, Any]:
        """Heat maps of the likeliest class of each image."""
        if payload.request is not None:
            raise Refused(400, "explanations are given by protocol v1 alone")
        rows = await payload.served.batcher.predict(payload.pixels)
        version = payload.served.version
        labels = [int(np.argmax(row["probabilities"])) for row in rows]
        loop = asyncio.get_running_loop()
        heat = await loop.run_in_executor(self._current.network_thread, version.explain, payload.pixels, labels)
        classes = version.model.info.classes
        explained = [{"label": classes[label], "heatmap": each} for label, each in zip(labels, heat, strict=True)]
        return {"explanations": explained, "model_version": version.name}


@dataclasses.dataclass(frozen=True)
class _Encoded:
    """An image of a request: where it stands there, and its bytes, or base64 text that is still to be decoded."""

    name: str
    content: bytes | str


def _decode(served: ServedVersion, image: _Encoded) -> Pixels | RejectedImage:
    started = time.perf_counter()
    content = image.content
    if isinstance(content, str):
        try:
            content = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            return RejectedImage("not base64", "encode the bytes of the file as base64 without line breaks")
    pixels = served.version.decode(content, image.name)
    PHASE_SECONDS.labels("decode").observe(time.perf_counter() - started)
    return pixels


def _list_v1(body: Any) -> Iterable[_Encoded]:
    """Images of a request of protocol v1."""
    if not isinstance(body, dict) or not isinstance(body.get("instances"), list):
        raise Refused(
            400, 'the body must be application/json of the form {"instances": [{"image_bytes": {"b64": "…"}}]}'
        )
    for number, instance in enumerate(body["instances"]):
        value = instance.get(INPUT, instance) if isinstance(instance, dict) else None
        text = value.get("b64") if isinstance(value, dict) else None
        if not isinstance(text, str):
            raise Refused(400, f'instances[{number}] must be {{"image_bytes": {{"b64": "…"}}}}')
        yield _Encoded(f"instances[{number}]", text)


def _list_v2(request: Any) -> Iterable[_Encoded]:
    """Images of a request of protocol v2: bytes of a binary tensor, or base64 text in JSON."""
    if len(request.inputs) != 1 or request.inputs[0].name != INPUT:
        raise Refused(400, f"the request must have one input, {INPUT}")
    tensor = request.inputs[0]
    if tensor.datatype != "BYTES":
        raise Refused(400, f"{INPUT} must be of datatype BYTES: the bytes of image files")
    values = tensor.data if isinstance(tensor.data, list) else []
    if tensor.shape not in ([len(values)], [len(values), 1]):
        raise Refused(400, f"{INPUT} must have the shape [{len(values)}], the number of its images")
    for number, value in enumerate(values):
        if not isinstance(value, str | bytes):
            raise Refused(400, f"{INPUT}[{number}] must be text: the bytes of an image file as base64")
        yield _Encoded(f"{INPUT}[{number}]", value)


def _to_v2(name: str, version: str, classes: list[str], result: _Decoded) -> Any:
    """Answer of protocol v2."""
    rows = result.predictions
    labels = np.array([row["label"] or "" for row in rows], object)
    unfamiliarity = [np.nan if row["unfamiliarity"] is None else row["unfamiliarity"] for row in rows]
    columns: dict[str, tuple[str, np.ndarray[Any, Any]]] = {
        "label": ("BYTES", labels),
        "probabilities": ("FP64", np.array([row["probabilities"] for row in rows], np.float64)),
        "abstained": ("BOOL", np.array([row["abstained"] for row in rows], bool)),
        "unfamiliar": ("BOOL", np.array([bool(row["unfamiliar"]) for row in rows], bool)),
    }
    if not np.isnan(unfamiliarity).any():
        columns["unfamiliarity"] = ("FP64", np.array(unfamiliarity, np.float64))
    wanted = {each.name for each in result.request.request_outputs or []}
    if unknown := wanted - set(columns):
        raise Refused(400, f"there is no output {sorted(unknown)[0]!r}; there are {', '.join(columns)}")
    outputs = []
    for each, (kind, values) in columns.items():
        if not wanted or each in wanted:
            output = InferOutput(each, list(values.shape), kind)
            output.data = values
            outputs.append(output)
    return InferResponse(
        result.request.id or str(uuid.uuid4()),
        name,
        outputs,
        model_version=version,
        parameters={"classes": json.dumps(classes, ensure_ascii=False)},
        # Over gRPC tensors are always binary.
        requested_outputs=None if result.request.from_grpc else result.request.request_outputs,
    )


class ImageDataPlane(DataPlane):
    """KServe's data plane, which takes images as binary tensors too, and answers malformed requests by a sentence."""

    async def get_model(self, name: str) -> Any:
        """The model of a name."""
        model = self.get_model_from_registry(name)
        if model is None:
            raise ModelNotFound(name)
        return model

    def decode(self, body: Any, headers: Any, protocol_version: str = "v1", model_name: str | None = None) -> Any:
        """Reads a request."""
        try:
            return super().decode(body, headers, protocol_version, model_name)
        except (Refused, InvalidInput):
            raise
        except Exception as error:
            raise Refused(400, "the request cannot be read; see the protocol's documentation") from error

    def decode_inference_request(self, body: Any, headers: Any, model_name: str) -> Any:
        """Reads a request of protocol v2; KServe's own reader takes binary tensors of UTF-8 text alone."""
        if not isinstance(body, bytes):
            return super().decode_inference_request(body, headers, model_name)
        length = headers.get("inference-header-content-length", "")
        if not length.isascii() or not length.isdecimal() or int(length) > len(body):
            raise Refused(400, "Inference-Header-Content-Length must be the number of bytes of the JSON in the body")
        try:
            head = json.loads(body[: int(length)])
            inputs, at = [], int(length)
            for each in head["inputs"]:
                size = (each.get("parameters") or {}).get("binary_data_size")
                data = each.get("data")
                if size is not None:
                    data = list(split_tensor(body[at : at + int(size)], int(size)))
                    at += int(size)
                inputs.append(InferInput(each["name"], each["shape"], each["datatype"], data))
            outputs = [RequestedOutput(each["name"], each.get("parameters")) for each in head.get("outputs") or []]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise Refused(400, "the JSON before the tensors is not that of an inference request") from None
        if at != len(body):
            raise Refused(400, f"the tensors take {at:,} bytes by their sizes; the body has {len(body):,}")
        return InferRequest(model_name, inputs, head.get("id"), request_outputs=outputs or None)


def split_tensor(tensor: bytes, size: int | None = None) -> Iterable[bytes]:
    """Elements of a binary tensor of bytes: each after its length in four bytes, the lowest first.

    Args:
        tensor: The tensor.
        size: Number of its bytes, as the request has it; None: all that there are.

    Raises:
        Refused: If it does not have that many bytes, or ends within an element.
    """
    size = len(tensor) if size is None else size
    if size < 0 or len(tensor) != size:
        raise Refused(400, f"the tensor should have {size:,} bytes; the body holds {len(tensor):,} of them")
    at = 0
    while at < size:
        if at + 4 > size:
            raise Refused(400, "the tensor ends within the length of an element")
        (length,) = struct.unpack_from("<I", tensor, at)
        at += 4
        if at + length > size:
            raise Refused(400, f"an element of the tensor should have {length:,} bytes; {size - at:,} are left")
        yield tensor[at : at + length]
        at += length
