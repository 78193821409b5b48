"""gRPC on a real socket: the answers of HTTP, the same batches, and a status with a sentence for what is refused."""

import base64
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import requests
from support.commands import eventually

pytest.importorskip("kserve", reason="the extra `serve` is not installed")

import grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from support.serving import LIMITS, picture, publish, serving

BATCHES = "headstart_batch_images_count"
MESSAGE_BYTES = LIMITS.held_bytes // LIMITS.grpc_calls


class Server:
    """A server with both ports.

    Attributes:
        url: Its address over HTTP.
        stub: Its client over gRPC.
    """

    def __init__(self, url: str, stub: Any) -> None:
        self.url, self.stub = url, stub

    def infer(self, *images: bytes, **more: Any) -> Any:
        """Sends images as contents of a tensor."""
        return self.stub.ModelInfer(ask(*images, **more), timeout=20)

    def read_metric(self, name: str) -> float:
        """Value of a metric."""
        lines = requests.get(f"{self.url}/metrics").text.splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def ask(*images: bytes, name: str = "image_bytes", datatype: str = "BYTES", **more: Any) -> Any:
    contents = pb.InferTensorContents(bytes_contents=images)
    tensor = pb.ModelInferRequest.InferInputTensor(
        name=name, datatype=datatype, shape=[len(images)], contents=contents
    )
    return pb.ModelInferRequest(**{"model_name": "pets", "inputs": [tensor], **more})


def ask_raw(tensor: bytes) -> Any:
    request = ask(picture(1), raw_input_contents=[tensor])
    request.inputs[0].ClearField("contents")
    return request


def outputs_of(answer: Any) -> dict[str, bytes]:
    return {each.name: raw for each, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    publish(folder, folder / "pets", 0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        serving(folder / "pets", grpc_port=port) as (url, _),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        grpc.channel_ready_future(channel).result(timeout=20)
        yield Server(url, GRPCInferenceServiceStub(channel))


def test_answers_are_those_of_http(server: Server) -> None:
    images = picture(255), picture(0)
    text = [base64.b64encode(each).decode() for each in images]
    entry = {"name": "image_bytes", "datatype": "BYTES", "shape": [2], "data": text}
    over_http = requests.post(f"{server.url}/v2/models/pets/infer", json={"id": "mine", "inputs": [entry]}).json()
    raw = b"".join(struct.pack("<I", len(each)) + each for each in images)
    request = ask_raw(raw)
    request.inputs[0].shape[:] = [2]
    for answer in (server.infer(*images, id="mine"), server.stub.ModelInfer(request, timeout=20)):
        found = outputs_of(answer)
        expected = {each["name"]: each for each in over_http["outputs"]}
        assert list(found) == list(expected)
        assert [each.datatype for each in answer.outputs] == [each["datatype"] for each in expected.values()]
        assert np.frombuffer(found["probabilities"], np.float64).tolist() == expected["probabilities"]["data"]
        assert found["label"] == 2 * (struct.pack("<I", 3) + b"cat")
        assert answer.model_version == over_http["model_version"]
        assert answer.parameters["classes"].string_param == '["cat", "dog"]'
    assert server.infer(*images, id="mine").id == "mine"


def test_one_output_is_given_where_one_is_asked_for(server: Server) -> None:
    wanted = pb.ModelInferRequest.InferRequestedOutputTensor(name="label")
    assert list(outputs_of(server.infer(picture(1), outputs=[wanted]))) == ["label"]


def test_images_of_calls_and_of_http_requests_are_predicted_together(server: Server) -> None:
    before = server.read_metric(BATCHES)
    body = {"instances": [{"image_bytes": {"b64": base64.b64encode(picture(7)).decode()}}]}

    def send(number: int) -> None:
        if number % 2:
            server.infer(picture(7))
        else:
            assert requests.post(f"{server.url}/v1/models/pets:predict", json=body).status_code == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(40)))
    assert server.read_metric(BATCHES) - before < 40
    assert server.read_metric('headstart_requests_total{endpoint="grpc",status="OK"}') >= 20


def test_health_and_metadata(server: Server) -> None:
    stub = server.stub
    assert stub.ServerLive(pb.ServerLiveRequest()).live and stub.ServerReady(pb.ServerReadyRequest()).ready
    assert stub.ModelReady(pb.ModelReadyRequest(name="pets")).ready
    described = stub.ModelMetadata(pb.ModelMetadataRequest(name="pets"))
    assert [(each.name, each.datatype) for each in described.inputs] == [("image_bytes", "BYTES")]
    assert [each.name for each in described.outputs][:2] == ["label", "probabilities"]


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no image": (lambda stub: stub.ModelInfer(ask(b"hello")), "INVALID_ARGUMENT"),
    "no images": (lambda stub: stub.ModelInfer(ask()), "INVALID_ARGUMENT"),
    "too many": (lambda stub: stub.ModelInfer(ask(*[picture(1)] * 5)), "RESOURCE_EXHAUSTED"),
    "too large": (
        lambda stub: stub.ModelInfer(ask(b"x" * MESSAGE_BYTES)),
        "RESOURCE_EXHAUSTED",
    ),
    "other input": (lambda stub: stub.ModelInfer(ask(picture(1), name="pixels")), "INVALID_ARGUMENT"),
    "other type": (lambda stub: stub.ModelInfer(ask(picture(1), datatype="FP32")), "INVALID_ARGUMENT"),
    "other shape": (lambda stub: stub.ModelInfer(ask_raw(b"")), "INVALID_ARGUMENT"),
    "cut off": (lambda stub: stub.ModelInfer(ask_raw(b"\xff\xff\xff\xff1")), "INVALID_ARGUMENT"),
    "no input": (lambda stub: stub.ModelInfer(pb.ModelInferRequest(model_name="pets")), "INVALID_ARGUMENT"),
    "raw and not": (lambda stub: stub.ModelInfer(ask(b"x", raw_input_contents=[b"x"])), "INVALID_ARGUMENT"),
    "other model": (lambda stub: stub.ModelInfer(ask(picture(1), model_name="other")), "NOT_FOUND"),
    "version": (lambda stub: stub.ModelInfer(ask(picture(1), model_version="1")), "UNIMPLEMENTED"),
    "metadata": (lambda stub: stub.ModelMetadata(pb.ModelMetadataRequest(name="other")), "NOT_FOUND"),
    "load": (lambda stub: stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="x")), "UNIMPLEMENTED"),
    "unload": (
        lambda stub: stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="pets")),
        "UNIMPLEMENTED",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_gets_a_status_and_a_sentence(server: Server, name: str) -> None:
    call, status = REFUSED[name]
    with pytest.raises(grpc.RpcError) as refused:
        call(server.stub)
    error: Any = refused.value
    assert error.code().name == status
    assert " " in error.details() and not any(each in error.details() for each in ("Traceback", "/tmp", "0x"))
    assert eventually(lambda: bool(server.infer(picture(1)).model_version), 5)
