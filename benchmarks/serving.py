"""Measures `headstart serve`: throughput beside bare prediction, memory over many requests, changes of the champion.

    headstart sample pictures --per-class 60
    headstart run --data pictures --weights mobilenet_v2.weights.h5 --image-size 160 --method head --publish MODELS
    python benchmarks/serving.py MODELS [--only throughput memory switches] [--requests 2000] [--write FILE]

MODELS is a folder where models are published; `switches` works on a copy, and needs two versions. Every request sends
one drawn photograph as JPEG in protocol v1. Clients are threads of another process on the same machine, so they take
processor time from the server. `--requests` is the number for each number of connections; the other parts take a
multiple of it. With 2,000, on two cores, it takes about 40 minutes, of which `memory` takes 25.

`throughput` measures in turns, within one process: the published SavedModel in batches of 32 files; Keras' `predict`
of the same files by way of tf.data; the server, at 1, 8 and 64 connections; and a FastAPI handler that calls Keras'
`predict` on the one image of each request. Rates are medians of the turns. Processor time is that of the process
without its clients.

`memory` starts `headstart serve` by itself, and reads its resident memory ten times over 50 times as many requests at
64 connections.

`switches` puts another version in use again and again while requests come, once for each hundred of `--requests`. A
quarter of the loads is killed: the process in which the version's SavedModel answers gets SIGKILL. It counts requests
that failed, and answers whose probabilities are not those of the version that they name.

`--write` writes the tables into a page, such as benchmarks/README.md: between the lines `<!-- serving -->` and
`<!-- /serving -->`, or at its end.
"""

import argparse
import base64
import collections
import contextlib
import dataclasses
import http.client
import io
import itertools
import json
import multiprocessing
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.images.decoding import DecodedImage, decode_image
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.registry.export_formats import SAVED_MODEL
from headstart.components.core.registry.model_files import download_model
from headstart.components.core.registry.registry import list_versions, read_champion, roll_back
from headstart.pipelines.sample.folder import draw_sample

_PICTURES = 32
_BATCH = 32
_MAX_SIDE = 1024
_CLOSE = 1e-4
_CONNECTIONS = (1, 8, 64)
_TURNS = 3
_LOOKS = 10
_MARK = "<!-- serving -->"
_INTRODUCTION = (
    "`serving.py`: one drawn JPEG a request, clients on the same two cores. Rates are medians of three turns within "
    "one\nprocess."
)
_SLOWER = 10
"""Factor by which the plain handler gets fewer requests."""

_TITLES = {
    "memory": "Resident memory over 64 connections, by the share of the requests",
    "throughput": "Throughput",
    "switches": "Champions that change",
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """Answer to a request: the seconds it took, its status, and if that is 200 its version and probabilities."""

    seconds: float
    status: int
    picture: int
    version: str = ""
    probabilities: tuple[float, ...] = ()


def ask(url: str, bodies: list[bytes], requests: int, connections: int, finished: Any, answers: Any) -> None:
    """Sends requests over connections that are kept open, and puts the answers into a queue as one list.

    Args:
        url: Address of predictions.
        bodies: Bodies of requests, sent in turn.
        requests: Least number of requests.
        connections: Number of connections.
        finished: Event before which it goes on.
        answers: Queue for the list.
    """
    place = urlsplit(url)
    found: list[Answer] = []
    numbers = itertools.count()
    lock = threading.Lock()

    def send() -> None:
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
        while True:
            with lock:
                number = next(numbers)
            if number >= requests and finished.is_set():
                return
            picture, started = number % len(bodies), time.perf_counter()
            try:
                connection.request("POST", place.path, bodies[picture], {"Content-Type": "application/json"})
                response = connection.getresponse()
                content = response.read()
            except OSError:
                connection.close()
                found.append(Answer(time.perf_counter() - started, 0, picture))
                continue
            seconds = time.perf_counter() - started
            if response.status != 200:
                found.append(Answer(seconds, response.status, picture))
                continue
            answer = json.loads(content)
            values = tuple(answer["predictions"][0]["probabilities"])
            found.append(Answer(seconds, 200, picture, answer["model_version"], values))

    threads = [threading.Thread(target=send) for _ in range(connections)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    answers.put(found)


def ask_elsewhere(
    url: str, bodies: list[bytes], requests: int, connections: int, meanwhile: Callable[[], None] = lambda: None
) -> tuple[list[Answer], float]:
    """Answers to requests from another process, and the mean of the seconds that its connections were busy."""
    context = multiprocessing.get_context("spawn")
    answers, finished = context.Queue(), context.Event()
    process = context.Process(target=ask, args=(url, bodies, requests, connections, finished, answers))
    process.start()
    meanwhile()
    finished.set()
    found = answers.get()
    process.join()
    return found, sum(each.seconds for each in found) / connections


def draw_files(folder: Path) -> list[bytes]:
    """JPEG files of drawn cats and dogs; the sample has broken ones on purpose, which are left out."""
    draw_sample(folder, per_class=_PICTURES, seed=0)
    every = (path.read_bytes() for path in sorted(folder.glob("*.jpg")))
    return [each for each in every if isinstance(decode_image(each, _MAX_SIDE), DecodedImage)][:_PICTURES]


def encode(files: list[bytes]) -> list[bytes]:
    """Bodies of requests with one file each."""
    texts = [base64.b64encode(each).decode() for each in files]
    return [json.dumps({"instances": [{"image_bytes": {"b64": text}}]}).encode() for text in texts]


@contextlib.contextmanager
def serving(models: Path) -> Iterator[tuple[str, Any]]:
    """A server of published models in this process; yields the URL of its predictions, and what answers."""
    from headstart.pipelines.serving.current_version import CurrentVersion
    from headstart.pipelines.serving.server import open_server

    current = CurrentVersion(str(models), poll_seconds=1)
    with open_server(current, "model", "127.0.0.1", 0) as (url, run, stop):
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"{url}/v1/models/model:predict", current
        finally:
            stop()
            thread.join()


@dataclasses.dataclass
class Measured:
    """Figures of one way to predict, one entry for each turn."""

    rates: list[float] = dataclasses.field(default_factory=list)
    to_bare: list[float] = dataclasses.field(default_factory=list)
    cpu_ms: list[float] = dataclasses.field(default_factory=list)
    seconds: list[float] = dataclasses.field(default_factory=list)
    failed: int = 0


Turn = Callable[[int], tuple[int, float, list[Answer]]]
"""Predicts about so many images: their exact number, the seconds, and answers, where there were requests."""


def predict_bare(address: str, files: list[bytes]) -> Turn:
    """The published SavedModel, which gets files in batches."""
    import tensorflow as tf

    loaded = tf.saved_model.load(f"{address}/{SAVED_MODEL}")
    batch = tf.constant((files * _BATCH)[:_BATCH])
    loaded.signatures["serving_default"](image_bytes=batch)

    def turn(images: int) -> tuple[int, float, list[Answer]]:
        rounds, started = -(-images // _BATCH), time.perf_counter()
        for _ in range(rounds):
            loaded.signatures["serving_default"](image_bytes=batch)
        return rounds * _BATCH, time.perf_counter() - started, []

    return turn


def predict_by_keras(model: Any, size: int, files: list[bytes]) -> Turn:
    """Keras' `predict` in batches, fed by tf.data, which decodes and resizes on all cores."""
    import tensorflow as tf

    def decode(content: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(tf.io.decode_jpeg(content, 3), (size, size))

    def turn(images: int) -> tuple[int, float, list[Answer]]:
        data = tf.data.Dataset.from_tensor_slices(list(itertools.islice(itertools.cycle(files), images)))
        data = data.map(decode, tf.data.AUTOTUNE).batch(_BATCH).prefetch(tf.data.AUTOTUNE)
        started = time.perf_counter()
        model.predict(data, verbose=0)
        return images, time.perf_counter() - started, []

    turn(_BATCH)
    return turn


@contextlib.contextmanager
def plain_handler(model: Any, size: int) -> Iterator[str]:
    """A handler as people write it, on a port of its own; yields its URL."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/predict")
    def predict(body: dict[str, Any]) -> dict[str, Any]:
        content = base64.b64decode(body["instances"][0]["image_bytes"]["b64"])
        image = Image.open(io.BytesIO(content)).convert("RGB").resize((size, size))
        (row,) = model.predict(np.array(image)[np.newaxis], verbose=0).tolist()
        return {"predictions": [{"probabilities": row}], "model_version": "plain"}

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/predict"
    finally:
        server.should_exit = True
        thread.join()


def measure_throughput(models: Path, requests: int, files: list[bytes]) -> list[str]:
    """Table of throughput."""
    start_tensorflow()
    import keras

    champion = read_champion(str(models))
    if champion is None:
        raise SystemExit(f"nothing is published at {models}")
    bodies = encode(files)

    def ask_at(url: str, connections: int, share: int = 1) -> Turn:
        def turn(images: int) -> tuple[int, float, list[Answer]]:
            answers, seconds = ask_elsewhere(url, bodies, max(connections, images // share), connections)
            return len(answers), seconds, answers

        turn(connections * 2)
        return turn

    with contextlib.ExitStack() as stack:
        files_of_model = stack.enter_context(download_model(champion.address))
        model = keras.models.load_model(files_of_model.model / "model.keras")
        size = read_model_info(files_of_model.model).image_size
        url, _ = stack.enter_context(serving(models))
        plain = stack.enter_context(plain_handler(model, size))
        ways = {"SavedModel, batches of 32 files": predict_bare(champion.address, files)}
        ways["Keras' `predict`, tf.data, batches of 32"] = predict_by_keras(model, size, files)
        for each in _CONNECTIONS:
            ways[f"`headstart serve`, {each} connections"] = ask_at(url, each)
        for each in _CONNECTIONS:
            ways[f"FastAPI and Keras, {each} connections"] = ask_at(plain, each, _SLOWER)
        found = collections.defaultdict(Measured)
        for _ in range(_TURNS):
            bare = 0.0
            for name, turn in ways.items():
                cpu = time.process_time()
                images, seconds, answers = turn(requests // _TURNS)
                bare = bare or images / seconds
                measured = found[name]
                measured.rates.append(images / seconds)
                measured.to_bare.append(images / seconds / bare)
                measured.cpu_ms.append(1000 * (time.process_time() - cpu) / images)
                measured.seconds += [each.seconds for each in answers]
                measured.failed += sum(each.status != 200 for each in answers)
    lines = [
        "| way | images/s | to SavedModel | ms of CPU per image | p50 | p99 | failed |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, each in found.items():
        cells = [f"{statistics.median(each.rates):.1f}", f"{statistics.median(each.to_bare):.2f}"]
        cells.append(f"{statistics.median(each.cpu_ms):.1f}")
        if each.seconds:
            cells += [f"{1000 * np.percentile(each.seconds, part):.0f} ms" for part in (50, 99)] + [str(each.failed)]
        else:
            cells += [""] * 3
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def read_memory(process: int) -> float:
    """Resident memory of a process in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def measure_memory(models: Path, requests: int, files: list[bytes]) -> list[str]:
    """Table of the memory of a server by itself."""
    command = [sys.executable, "-m", "headstart", "serve", str(models), "--port", "0", "--no-page"]
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            said = server.stdout.readline() if server.stdout else ""
            url = said.rpartition(" ")[2].strip()
            if not url:
                raise SystemExit(f"headstart serve {models} ended with {server.wait()}")
            seen, failed, held = 0, 0, [read_memory(server.pid)]
            for _ in range(_LOOKS):
                answers, _ = ask_elsewhere(url, encode(files), requests // _LOOKS, _CONNECTIONS[-1])
                seen, failed = seen + len(answers), failed + sum(each.status != 200 for each in answers)
                held.append(read_memory(server.pid))
        finally:
            server.terminate()
    parts = range(0, 101, 100 // _LOOKS)
    return [
        f"| {' | '.join(f'{part} %' for part in parts)} |",
        f"|{' --- |' * len(parts)}",
        f"| {' | '.join(f'{each:.0f} MB' for each in held)} |",
        "",
        f"{seen:,} requests, {failed} failed.",
    ]


def kill_load() -> bool:
    """Kills the process that a load has started; False if there is none."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            command = (entry / "cmdline").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if b"saved_model_process" in command and parent == os.getpid():
                os.kill(int(entry.name), signal.SIGKILL)
                return True
    return False


def measure_switches(models: Path, requests: int, switches: int, kills: int, files: list[bytes]) -> list[str]:
    """What failed while champions changed, in lines."""
    names = [each.version for each in list_versions(str(models)).versions]
    if len(names) < 2:
        raise SystemExit("fewer than two versions are published; publish another, or leave switches out with --only")
    done = [0, 0]
    with serving(models) as (url, current):
        bodies = encode(files)

        def change() -> None:
            while done[0] < switches:
                in_use = current.served.version.name
                other = next(each for each in names if each != in_use)
                roll_back(str(models), other)
                while current.served.version.name != other:
                    if done[1] < kills and kill_load():
                        done[1] += 1
                        # A version that failed is tried again after a minute, or when another was in use meanwhile.
                        roll_back(str(models), in_use)
                        time.sleep(3)
                        roll_back(str(models), other)
                    time.sleep(0.05)
                done[0] += 1

        answers, _ = ask_elsewhere(url, bodies, requests, 8, change)
    by_version: dict[tuple[str, int], collections.Counter[tuple[float, ...]]] = collections.defaultdict(
        collections.Counter
    )
    for each in answers:
        if each.status == 200:
            by_version[each.version, each.picture][each.probabilities] += 1
    halves = 0
    for counts in by_version.values():
        usual = np.array(counts.most_common(1)[0][0])
        halves += sum(n for values, n in counts.items() if np.abs(np.array(values) - usual).max() > _CLOSE)
    failed = sum(each.status != 200 for each in answers)
    counted = collections.Counter(each.version for each in answers)
    by_name = " and ".join(f"{number:,}" for number in counted.values())
    return [
        f"{done[0]} switches, {done[1]} loads killed. {len(answers):,} requests, {failed} failed, {halves} with "
        f"other probabilities than those of their version; the versions gave {by_name} answers, the slowest within "
        f"{max(each.seconds for each in answers):.2f} s."
    ]


def write_tables(page: Path, lines: list[str]) -> None:
    """Writes the tables into a page, between its marks, or at its end where it has none."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    if _MARK not in text:
        text += f"\n## Serving\n\n{_INTRODUCTION}\n\n{_MARK}\n{_MARK.replace('serving', '/serving')}\n"
    before, _, rest = text.partition(_MARK)
    _, end, after = rest.partition(_MARK.replace("serving", "/serving"))
    page.write_text("\n".join([before + _MARK, "", *lines, "", end + after]), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--only", choices=["throughput", "memory", "switches"], nargs="+")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    written: list[str] = []
    with tempfile.TemporaryDirectory(prefix="headstart-") as work:
        drawn = draw_files(Path(work) / "pictures")
        # Memory first: nothing of the other parts takes it away.
        for part in given.only or ("memory", "throughput", "switches"):
            if part == "memory":
                shown = measure_memory(given.models, 50 * given.requests, drawn)
            elif part == "throughput":
                shown = measure_throughput(given.models, given.requests, drawn)
            else:
                switches = max(1, given.requests // 100)
                copy = shutil.copytree(given.models, Path(work) / "models")
                shown = measure_switches(copy, 5 * given.requests, switches, switches // 4, drawn)
            print(*shown, "", sep="\n", flush=True)
            written += [*([""] if written else []), f"### {_TITLES[part]}", "", *shown]
    if given.write:
        write_tables(given.write, written)
