"""Many publications at once, killed and disturbed at random, and the checks that must hold nevertheless."""

import contextlib
import dataclasses
import json
import logging
import multiprocessing
import os
import random
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.registry import registry
from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.stores import transfer
from headstart.components.core.util.errors import HeadstartError
from support.faults import Fault, Proxy
from support.published import check_version

_KILLED = 0.6
"""Fraction of the publishers that are killed."""

_COMPARED = 0.5
"""Fraction of the publishers that replace only the champion of the time they began."""

_FULL_DISK = 0.2
_SPOILT = 0.1
"""Fraction of the requests through a proxy that fail."""

_FAULTS = ("429", "500", "503", "drop", "lose", "garble", "reset", "truncate", "corrupt")
_SMALL_DISK_BYTES = 200_000
_TOGETHER_SECONDS = 0.5
"""Delay after which all publishers of a round begin at the same moment."""

_LONGEST_SECONDS = 60.0


@dataclasses.dataclass
class Tally:
    """Counts of what happened.

    Attributes:
        rounds: Number of rounds in which publishers were started together.
        publishers: Number of publishers.
        kills: Number of publishers that were killed by SIGKILL.
        faults: Number of requests with a fault.
        outcomes: Number of outcomes of the others, by status; ``error``: gave up with an error of one line.
        reads: Number of times that a reader checked all bytes of the champion meanwhile.
        versions: Number of complete versions in the end.
        changes: Number of changes of the champion.
        broken: Violations of what must hold, in words.
    """

    rounds: int = 0
    publishers: int = 0
    kills: int = 0
    faults: int = 0
    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    reads: int = 0
    versions: int = 0
    changes: int = 0
    broken: list[str] = dataclasses.field(default_factory=list)


def publish_in_a_storm(
    uri: str,
    models: Sequence[Path],
    answers: Path,
    kills: int,
    seed: int,
    proxy: Proxy | None = None,
    settings: Mapping[str, str] | None = None,
    publishers: tuple[int, int] = (2, 8),
) -> Tally:
    """Publishes until `kills` publishers have been killed, and checks all that is published after each round.

    Args:
        uri: Address to publish to, which this process reaches without the proxy.
        models: Folders of versions to publish.
        answers: Empty folder for the outcomes.
        kills: Number of publishers to kill.
        seed: Random seed.
        proxy: Proxy through which publishers reach the store; None: they publish to a folder.
        settings: Environment variables of the publishers.
        publishers: Smallest and largest number of publishers at once.
    """
    rng, tally = random.Random(seed), Tally()
    if proxy:
        proxy.spoil(lambda request: _fault(random.Random(rng.random()), tally), only=lambda request: True)
    context = multiprocessing.get_context("forkserver")
    clients = [f"headstart.components.core.storage.stores.{name}" for name in ("gcs", "s3")]
    context.set_forkserver_preload(["__main__", "support.storm", *clients])
    known: list[registry.Change] = []
    longest = 1.0
    with _reading(uri, tally):
        while tally.kills < kills:
            in_use = known[-1].version if known else ""
            tally.rounds += 1
            killed = {}
            started = {}
            begin = time.monotonic() + _TOGETHER_SECONDS
            for number in range(rng.randint(*publishers)):
                answer = answers / f"{tally.rounds}-{number}.json"
                order = {
                    "uri": uri,
                    "folder": str(rng.choice(models)),
                    "instead_of": in_use if rng.random() < _COMPARED else None,
                    "answer": str(answer),
                    "begin": begin,
                    "full_disk": proxy is None and rng.random() < _FULL_DISK,
                    "settings": dict(settings or {}),
                }
                process = context.Process(target=_publish, args=(order,))
                process.start()
                started[process] = answer
                # The first ones live, and show how long it takes.
                if tally.rounds > 1 and rng.random() < _KILLED:
                    killed[process] = begin + rng.uniform(0, longest)
            for process, moment in sorted(killed.items(), key=lambda item: item[1]):
                process.join(max(0.0, moment - time.monotonic()))
                if process.is_alive():
                    os.kill(process.pid or 0, signal.SIGKILL)
            said = []
            for process, answer in started.items():
                process.join(_LONGEST_SECONDS)
                if process.exitcode == -signal.SIGKILL:
                    tally.kills += 1
                elif process.exitcode != 0:
                    tally.broken.append(f"a publisher ended with {process.exitcode}")
                else:
                    longest = 0.8 * longest + 0.2 * (time.monotonic() - begin)
                if answer.exists():
                    said.append(json.loads(answer.read_text()))
            tally.publishers += len(started)
            tally.outcomes.update(each["status"] for each in said)
            known = _check(uri, known, said, tally)
    if proxy:
        proxy.spoil([])
    tally.versions, tally.changes = len(registry.list_versions(uri).versions), len(known)
    return tally


def _fault(rng: random.Random, tally: Tally) -> Fault | None:
    if rng.random() >= _SPOILT:
        return None
    tally.faults += 1
    return Fault(rng.choice(_FAULTS), after=rng.choice((0, 100, 50_000)))


def _publish(order: dict[str, Any]) -> None:
    """One publisher, in a process of its own."""
    os.environ.update(order["settings"])
    time.sleep(max(0.0, order["begin"] - time.monotonic()))
    logging.disable()
    transfer.PATIENCE_SECONDS, transfer.FIRST_PAUSE_SECONDS, transfer.LONGEST_PAUSE_SECONDS = 20.0, 0.01, 0.1
    if order["full_disk"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_SMALL_DISK_BYTES, resource.RLIM_INFINITY))
    try:
        outcome = registry.publish_folder(Path(order["folder"]), order["uri"], instead_of=order["instead_of"])
        said = {"status": outcome.status, "version": outcome.version}
    except HeadstartError as error:
        said = {"status": "error", "error": str(error)}
    write_json(Path(order["answer"]), said)


def _check(uri: str, known: list[registry.Change], said: list[dict[str, str]], tally: Tally) -> list[registry.Change]:
    """Checks all that is published, and returns the history."""
    versions = {version.version: version for version in registry.list_versions(uri).versions}
    for version in versions.values():
        _must_hold(lambda version=version: check_version(uri, version), tally)  # type: ignore[misc]
    found = registry.read_champion(uri)
    history = found.history if found else []
    if history[: len(known)] != known:
        tally.broken.append("a change is no longer in the history")
    for before, after in zip([None, *history], history, strict=False):
        if after.replaced != (before.version if before else ""):
            tally.broken.append(f"{after.version} did not replace the one before it")
    new = {change.version for change in history[len(known) :]}
    for each in said:
        if each["status"] != "error" and each["version"] not in versions:
            tally.broken.append(f"version {each['version']} is lost")
        if each["status"] == registry.PUBLISHED and each["version"] not in new:
            tally.broken.append(f"{each['version']} was said to be in use, and never was")
        if "\n" in each.get("error", ""):
            tally.broken.append(f"an error of several lines: {each['error']}")
    return history


def _must_hold(attempt: Any, tally: Tally) -> None:
    try:
        attempt()
    except HeadstartError as error:
        tally.broken.append(str(error))


@contextlib.contextmanager
def _reading(uri: str, tally: Tally) -> Iterator[None]:
    """Reads the champion again and again, like a server of it."""
    done = threading.Event()

    def look() -> None:
        found = registry.read_champion(uri)
        if found:
            check_version(uri, found.version)
            tally.reads += 1

    def read() -> None:
        while not done.wait(0.2):
            _must_hold(look, tally)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        done.set()
        reader.join()
