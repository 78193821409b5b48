"""The server on a real socket: KServe's protocols, limits, hostile requests, and a champion that changes under load.

The network is a function of two lines, so that nothing waits for TensorFlow; everything around it is the real one.
"""

import base64
import hashlib
import io
import json
import shutil
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from PIL import Image
from support.published import version_folder

from headstart.components.core.registry.registry import publish_folder

pytest.importorskip("kserve", reason="the extra `serve` is not installed")

from support.serving import picture, publish, serving

from headstart.pipelines.serving.limits import Limits


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    publish(folder, folder / "pets", 0)
    with serving(folder / "pets") as (url, _):
        yield url


def v1(*images: bytes) -> dict[str, Any]:
    return {"instances": [{"image_bytes": {"b64": base64.b64encode(each).decode()}} for each in images]}


def v2(*images: bytes, **more: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request with a binary tensor."""
    tensor = b"".join(struct.pack("<I", len(each)) + each for each in images)
    entry = {"name": "image_bytes", "datatype": "BYTES", "shape": [len(images)]}
    head = json.dumps({"inputs": [entry | {"parameters": {"binary_data_size": len(tensor)}}], **more}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return head + tensor, headers


def red_probabilities(answer: dict[str, Any]) -> list[float]:
    return [each["probabilities"][1] for each in answer["predictions"]]


def test_answers_come_in_the_order_of_the_images_and_name_their_version(url: str) -> None:
    answer = requests.post(f"{url}/v1/models/pets:predict", json=v1(*map(picture, (0, 255, 128)))).json()
    assert red_probabilities(answer) == pytest.approx([0, 255 / 512, 128 / 512])
    assert [each["label"] for each in answer["predictions"]] == ["cat"] * 3
    assert answer["classes"] == ["cat", "dog"]
    assert answer["model_version"] == requests.get(f"{url}/v2/health/ready").json()["model_version"]


def test_pages_of_a_run_are_served_where_they_are_at_hand(url: str, tmp_path: Path) -> None:
    assert requests.get(f"{url}/v2/health/ready").json()["report"] is False
    assert requests.get(f"{url}/report.html").status_code == 404
    (version_folder(tmp_path / "out") / "report.html").write_text("<script>one</script><script>two</script>")
    with serving(tmp_path / "out") as (of_run, _):
        assert requests.get(f"{of_run}/v2/health/ready").json()["report"] is True
        shown = requests.get(f"{of_run}/report.html")
        assert requests.get(f"{of_run}/data.html").status_code == 404
    assert shown.text == "<script>one</script><script>two</script>"
    digests = [base64.b64encode(hashlib.sha256(each).digest()).decode() for each in (b"one", b"two")]
    allowed = " ".join(f"'sha256-{each}'" for each in digests)
    assert f"default-src 'none'; script-src {allowed}; " in shown.headers["Content-Security-Policy"]
    with serving(tmp_path / "out", page=False) as (bare, _):
        assert requests.get(f"{bare}/report.html").status_code == 404
        assert requests.get(f"{bare}/v2/health/ready").json()["report"] is False


def test_protocol_v2_takes_binary_tensors_and_base64(url: str) -> None:
    images = picture(255), picture(0, form="JPEG")
    body, headers = v2(*images, id="mine")
    binary = requests.post(f"{url}/v2/models/pets/infer", body, headers=headers)
    text = [base64.b64encode(each).decode() for each in images]
    entry = {"name": "image_bytes", "datatype": "BYTES", "shape": [2], "data": text}
    plain = requests.post(f"{url}/v2/models/pets/infer", json={"id": "mine", "inputs": [entry]})
    assert binary.status_code == plain.status_code == 200, binary.text + plain.text
    assert binary.json() == plain.json()
    outputs = {each["name"]: each for each in plain.json()["outputs"]}
    assert plain.json()["id"] == "mine" and plain.json()["model_version"]
    assert outputs["label"]["data"] == ["cat", "cat"] and outputs["probabilities"]["shape"] == [2, 2]
    assert outputs["probabilities"]["data"] == pytest.approx([257 / 512, 255 / 512, 1, 0], abs=0.005)


def test_protocol_v2_answers_by_binary_tensors_where_asked(url: str) -> None:
    body, headers = v2(picture(255), outputs=[{"name": "probabilities", "parameters": {"binary_data": True}}])
    done = requests.post(f"{url}/v2/models/pets/infer", body, headers=headers)
    assert done.status_code == 200, done.text
    length = int(done.headers["Inference-Header-Content-Length"])
    assert [each["name"] for each in json.loads(done.content[:length])["outputs"]] == ["probabilities"]
    assert np.frombuffer(done.content[length:], np.float64) == pytest.approx([257 / 512, 255 / 512])


def test_health_metadata_and_metrics(url: str) -> None:
    requests.post(f"{url}/v1/models/pets:predict", json=v1(picture(9)))
    assert requests.get(f"{url}/v1/models").json() == {"models": ["pets"]}
    assert requests.get(f"{url}/v1/models/pets").json() == {"name": "pets", "ready": True}
    assert requests.get(f"{url}/v2/health/live").json() == {"live": True}
    assert requests.get(f"{url}/v2/models/pets/ready").json()["ready"] is True
    assert requests.get(f"{url}/v2/models/pets").json()["inputs"][0]["datatype"] == "BYTES"
    metrics = requests.get(f"{url}/metrics").text
    for name in ("headstart_requests_total", "headstart_batch_images_count", "headstart_model_info"):
        assert name in metrics
    assert 'request_predict_seconds_count{model_name="pets"}' in metrics
    assert 'headstart_phase_seconds_count{phase="decode"}' in metrics


def hostile() -> dict[str, tuple[str, bytes, dict[str, str]]]:
    """Address, body and headers of requests that must each be refused."""
    predict, infer = "/v1/models/pets:predict", "/v2/models/pets/infer"
    image, octets = picture(1), {"Content-Type": "application/octet-stream"}
    text = base64.b64encode(image).decode()
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [text]}
    found: dict[str, tuple[str, bytes, dict[str, str]]] = {}

    def add(name: str, path: str, body: Any, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        found[name] = path, content, headers if headers is not None else {"Content-Type": "application/json"}

    bodies = {
        "no body": b"",
        "no JSON": b"{",
        "no UTF-8": b'{"instances": "\xff"}',
        "a list": [],
        "a number": 1,
        "null": None,
        "deep": b"[" * 100_000,
        "deep object": b'{"instances":' * 20_000,
        "large number": b'{"instances": [1e999999]}',
        "NaN": b'{"instances": [NaN]}',
        "zeros": b"\0" * 1000,
        "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    }
    for name, body in bodies.items():
        add(f"v1: {name}", predict, body)
        add(f"v2: {name}", infer, body)
    for name, instances in {
        "text": "x",
        "none": [],
        "object": {},
        "number": [1],
        "null": [None],
        "list": [[]],
        "empty object": [{}],
        "path": ["/etc/passwd"],
        "file address": [{"image_bytes": "file:///etc/passwd"}],
        "b64 number": [{"image_bytes": {"b64": 1}}],
        "b64 list": [{"b64": [text]}],
        "not base64": [{"b64": "*"}],
        "line breaks": [{"b64": text[:8] + "\n" + text[8:]}],
        "too many": [{"b64": text}] * 5,
        "second wrong": [{"b64": text}, {"b64": ""}],
    }.items():
        add(f"instances: {name}", predict, {"instances": instances})
    for name, change in {
        "name": {"name": "pixels"},
        "datatype": {"datatype": "FP32"},
        "unknown datatype": {"datatype": "X" * 10_000},
        "shape": {"shape": [2]},
        "huge shape": {"shape": [10**18]},
        "negative shape": {"shape": [-1]},
        "no shape": {"shape": "1"},
        "numbers": {"data": [1]},
        "nested": {"data": [[text]]},
        "no data": {"data": None},
    }.items():
        add(f"tensor: {name}", infer, {"inputs": [tensor | change]})
    add("two inputs", infer, {"inputs": [tensor, tensor]})
    add("no input", infer, {"inputs": []})
    add("unknown output", infer, {"inputs": [tensor], "outputs": [{"name": "secret"}]})
    add("version", "/v2/models/pets/versions/1/infer", {"inputs": [tensor]})
    body, headers = v2(image)
    for name, length in {"no": "x", "negative": "-1", "large": "999999", "short": "1", "unicode": "²"}.items():
        add(
            f"binary: {name} length",
            infer,
            body,
            {**octets, "Inference-Header-Content-Length": length.encode("latin-1")},
        )
    add("binary: no length", infer, body, octets)
    add("binary: cut off", infer, body[:-1], headers)
    add("binary: more than it says", infer, body + b"x", headers)
    wrong = body.replace(struct.pack("<I", len(image)), struct.pack("<I", 2**32 - 1))
    add("binary: element too long", infer, wrong, headers)
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    for name, content in {
        "empty": b"",
        "text": b"hello",
        "truncated": picture(1, form="JPEG")[:200],
        "damaged": image[:60] + b"x" + image[61:],
        "bomb": bomb.getvalue(),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
        "PDF": b"%PDF-1.7",
        "one pixel": picture(1, size=1),
    }.items():
        add(f"image: {name}", predict, v1(content))
    add("too large", predict, b" " * 300_000)
    add("other model", "/v1/models/other:predict", v1(image))
    add("path", "/v1/models/..%2F..%2Fetc%2Fpasswd:predict", v1(image))
    add("load", "/v2/repository/models/pets/unload", {})
    add("method", "/v1/models/pets", {})
    event = {f"ce-{name}": "1" for name in ("id", "source", "type")} | {"ce-specversion": "9"}
    add("cloud event", predict, v1(image), event)
    return found


def test_hostile_requests_get_a_sentence_each(url: str) -> None:
    requests_ = hostile()
    assert len(requests_) >= 60
    wrong = []
    with requests.Session() as session:
        for name, (path, body, headers) in requests_.items():
            done = session.post(url + path, body, headers=headers)
            reason = str(done.json().get("error", "")) if done.text.startswith("{") else ""
            if not 400 <= done.status_code < 500 or " " not in reason or len(reason) > 300:
                wrong.append((name, done.status_code, done.text[:200]))
            if any(each in done.text for each in ("Traceback", "/tmp", "site-packages", "0x")):
                wrong.append((name, "leaks", done.text[:200]))
    assert wrong == []
    assert requests.post(f"{url}/v1/models/pets:predict", json=v1(picture(1))).status_code == 200


def test_slow_heads_and_bodies_are_cut_off(url: str) -> None:
    place = urlsplit(url)
    for start in (b"POST /v1/models/pets:predict HTTP/1.1\r\nHost: x\r\nX-", b""):
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=5) as slow:
            slow.sendall(start)
            assert slow.recv(100) == b""
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=5) as slow:
        slow.sendall(b"POST /v1/models/pets:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_full_queue_answers_503_with_retry_after(tmp_path: Path) -> None:
    publish(tmp_path, tmp_path / "pets", 0)
    with serving(tmp_path / "pets", Limits(waiting_images=1)) as (url, _):
        done = requests.post(f"{url}/v1/models/pets:predict", json=v1(picture(1), picture(2)))
    assert done.status_code == 503 and done.headers["Retry-After"] == "1"


def test_champion_changes_under_load_and_no_request_fails(tmp_path: Path) -> None:
    """Four switches, one champion that does not load: each answer is wholly of the version that it names."""
    uri = tmp_path / "pets"
    seeds = {publish(tmp_path, uri, 0): 0}
    stop, answers, failed = threading.Event(), [], []

    def ask(url: str) -> None:
        with requests.Session() as session:
            while not stop.is_set():
                done = session.post(f"{url}/v1/models/pets:predict", json=v1(picture(255), picture(0)), timeout=20)
                if done.status_code == 200:
                    answers.append(done.json())
                else:
                    failed.append(done.text)

    with serving(uri, Limits()) as (url, current):
        askers = [threading.Thread(target=ask, args=(url,)) for _ in range(4)]
        for each in askers:
            each.start()
        for seed in range(1, 5):
            seeds[publish(tmp_path, uri, seed)] = seed
            current.update()
            time.sleep(0.1)
        broken = tmp_path / "seed9"
        name = publish_folder(version_folder(broken, 9), str(uri)).version
        (uri / name / "broken").touch()
        current.update()
        problem = requests.get(f"{url}/v2/health/ready").json()
        metrics = requests.get(f"{url}/metrics").text
        time.sleep(0.1)
        stop.set()
        for each in askers:
            each.join()
    assert failed == []
    assert {each["model_version"] for each in answers} == set(seeds)
    for each in answers:
        seed = seeds[each["model_version"]]
        assert red_probabilities(each) == pytest.approx([255 / 512 + seed / 1000, seed / 1000])
    assert problem["ready"] and name in problem["problem"] and str(uri) not in problem["problem"]
    assert "headstart_model_load_failed 1.0" in metrics
    shutil.rmtree(uri)


def test_requests_under_way_are_answered_before_the_server_ends(tmp_path: Path) -> None:
    publish(tmp_path, tmp_path / "pets", 0)
    with ThreadPoolExecutor(4) as pool:
        with serving(tmp_path / "pets") as (url, _):
            asked = [
                pool.submit(requests.post, f"{url}/v1/models/pets:predict", json=v1(picture(5))) for _ in range(4)
            ]
            time.sleep(0.05)
        assert [each.result().status_code for each in asked] == [200] * 4
