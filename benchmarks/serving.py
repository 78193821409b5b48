"""Measures `headstart serve`: throughput beside the bare SavedModel, and champions that change under load.

    python benchmarks/serving.py throughput MODELS [--requests 2000] [--connections 1 8 64]
    python benchmarks/serving.py switches MODELS [--requests 10000] [--switches 20] [--kills 5]

MODELS is a folder where at least two versions are published; `switches` works on a copy. Every request sends one
drawn photograph as JPEG in protocol v1. Clients are threads of another process on the same machine, so
they take processor time from the server.

`throughput` gives images/s, the median and the 99th percentile of the time of a request, and the memory of the server
afterwards. Beside it stands the published SavedModel in this process, which gets the same files in batches of 32.

`switches` puts another version in use again and again while requests come. Some loads are killed: the process in
which the version's SavedModel answers gets SIGKILL. It counts requests that failed, and answers whose probabilities
are not those of the version that they name.
"""

import argparse
import base64
import collections
import contextlib
import dataclasses
import http.client
import itertools
import json
import multiprocessing
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from headstart.components.core.images.decoding import DecodedImage, decode_image
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.registry.export_formats import SAVED_MODEL
from headstart.components.core.registry.registry import list_versions, read_champion, roll_back
from headstart.pipelines.sample.folder import draw_sample

_PICTURES = 32
_BATCH = 32
_MAX_SIDE = 1024
_CLOSE = 1e-4


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


def memory() -> float:
    """Resident memory of this process in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def measure_throughput(models: Path, requests: int, connections: list[int], files: list[bytes]) -> None:
    """Prints the table of throughput."""
    start_tensorflow()
    import tensorflow as tf

    champion = read_champion(str(models))
    if champion is None:
        raise SystemExit(f"nothing is published at {models}")
    bare = tf.saved_model.load(f"{champion.address}/{SAVED_MODEL}").signatures["serving_default"]
    batch = tf.constant((files * _BATCH)[:_BATCH])
    bare(image_bytes=batch)
    rounds, started = max(1, requests // _BATCH), time.perf_counter()
    for _ in range(rounds):
        bare(image_bytes=batch)
    rate = rounds * _BATCH / (time.perf_counter() - started)
    print(f"{'bare SavedModel, batches of 32':<32}{rate:8.1f} images/s")
    with serving(models) as (url, _):
        bodies = encode(files)
        ask_elsewhere(url, bodies, 64, 8)
        for each in connections:
            answers, seconds = ask_elsewhere(url, bodies, requests, each)
            times = np.array([answer.seconds for answer in answers]) * 1000
            failed = sum(answer.status != 200 for answer in answers)
            own = len(answers) / seconds
            print(
                f"{f'serve, {each} connections':<32}{own:8.1f} images/s  {own / rate:5.2f} of bare  "
                f"p50 {np.percentile(times, 50):.1f} ms  p99 {np.percentile(times, 99):.1f} ms  "
                f"{failed} failed  {memory():.0f} MB"
            )


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


def measure_switches(models: Path, requests: int, switches: int, kills: int, files: list[bytes]) -> None:
    """Prints what failed while champions changed."""
    names = [each.version for each in list_versions(str(models)).versions]
    if len(names) < 2:
        raise SystemExit(f"fewer than two versions are published at {models}")
    with serving(models) as (url, current):
        bodies = encode(files)

        def change() -> None:
            killed = done = 0
            while done < switches:
                in_use = current.served.version.name
                other = next(each for each in names if each != in_use)
                roll_back(str(models), other)
                while current.served.version.name != other:
                    if killed < kills and kill_load():
                        killed += 1
                        # A version that failed is tried again after a minute, or when another was in use meanwhile.
                        roll_back(str(models), in_use)
                        time.sleep(3)
                        roll_back(str(models), other)
                    time.sleep(0.05)
                done += 1
            print(f"{done} switches, {killed} loads killed")

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
    print(f"{len(answers)} requests, {failed} failed, {halves} with other probabilities than those of their version")
    print(f"answers by version: {dict(counted)}; slowest {max(each.seconds for each in answers):.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["throughput", "switches"])
    parser.add_argument("models", type=Path)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--switches", type=int, default=20)
    parser.add_argument("--kills", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headstart-") as work:
        drawn = draw_files(Path(work) / "pictures")
        if given.what == "throughput":
            measure_throughput(given.models, given.requests, given.connections, drawn)
        else:
            copy = shutil.copytree(given.models, Path(work) / "models")
            measure_switches(copy, given.requests, given.switches, given.kills, drawn)
