"""Files are read by threads, which wait, and checked by processes, which work: one for each core.

Decoders are fed with what comes from outside: one that takes all the memory, or crashes, ends its own process, and
the step says so in a line. Threads would also wait for each other, since a third of the work holds the interpreter.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import numpy as np
import pyarrow as pa

from headstart.components.core.images.decoding import RejectedImage
from headstart.components.core.images.sample_ranges import Ranges
from headstart.components.core.sources import Loader, Unreadable
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.resources import available_cores
from headstart.components.core.util.thread_map import batched, map_ordered
from headstart.components.download_dataset.check_worker import FILES
from headstart.components.download_dataset.findings import findings

_REMOTE_READERS = 32
# Few, since each may be large.
_LOCAL_READERS = 2
_FILES_READ_AT_ONCE = 4
_FILES_AT_ONCE = 32
_BYTES_AT_ONCE = 2**21
_SECONDS_TO_END = 10
_WORKER = "headstart.components.download_dataset.check_worker"
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """A file with its class (empty: none), its ready-made split, what else is said of it, and a way to read it."""

    path: str
    label: str
    split: str
    extra: str
    load: Loader


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """Files that were checked together.

    Attributes:
        files: The files.
        contents: Their bytes; empty where they could not be read.
        findings: What came of each, by `FINDINGS`.
    """

    files: list[File]
    contents: list[bytes]
    findings: pa.RecordBatch


def check_all(
    files: Iterable[File], remote: bool, max_side: int, processes: int = 0, ranges: Ranges | None = None
) -> Generator[Checked, None, None]:
    """Reads and checks files on all cores, in order, with a bounded number of them in memory.

    Args:
        files: What to check.
        remote: Whether reading waits for a network, so that many threads should.
        max_side: Longest side that is kept, in pixels.
        processes: How many check at once; 0: one for each core. The results are the same with any number.
        ranges: Black and white of deep pictures by their forms; None: such a picture is only measured, unless it
            states its range, and is to be checked once more when the ranges are known.

    Raises:
        HeadstartError: A process was ended from outside, or crashed.
    """
    processes = processes or available_cores()
    readers, at_once = (_REMOTE_READERS, 1) if remote else (_LOCAL_READERS, _FILES_READ_AT_ONCE)
    with (
        _Checkers(max_side, ranges) as checkers,
        ThreadPoolExecutor(processes) as checking,
        ThreadPoolExecutor(readers) as reading,
    ):
        read = map_ordered(reading, _read, batched(files, at_once), 2 * readers)
        yield from map_ordered(checking, checkers.check, _batches(itertools.chain.from_iterable(read)), 2 * processes)


_Read = tuple[File, bytes | RejectedImage]


def _read(files: list[File]) -> list[_Read]:
    return [(file, _content(file)) for file in files]


def _content(file: File) -> bytes | RejectedImage:
    try:
        return file.load()
    except Unreadable as error:
        return RejectedImage(error.reason, error.detail)


def _batches(read: Iterator[_Read]) -> Iterator[list[_Read]]:
    """What is checked together: some files, fewer where they are large."""
    batch: list[_Read] = []
    size = 0
    for file, content in read:
        batch.append((file, content))
        size += len(content) if isinstance(content, bytes) else 0
        if len(batch) == _FILES_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Killed(Exception):
    """A process that checks pictures was ended from outside, or crashed."""

    def __init__(self, status: int) -> None:
        super().__init__(signal.Signals(-status).name if status < 0 else f"exit status {status}")


class _Checkers:
    """Processes that check pictures; each starts when it is needed, and none outlives the `with` block."""

    def __init__(self, max_side: int, ranges: Ranges | None) -> None:
        self._max_side = max_side
        self._ranges = ranges
        self._all: list[_Checker] = []
        self._idle: queue.LifoQueue[_Checker] = queue.LifoQueue()

    def __enter__(self) -> "_Checkers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for checker in self._all:
            checker.end()

    def check(self, read: list[_Read]) -> Checked:
        """Checks files, on any thread: as many processes are started as there are threads that call at once."""
        files = [file for file, _ in read]
        contents = [content if isinstance(content, bytes) else b"" for _, content in read]
        unreadable = [(b"", content) for _, content in read if isinstance(content, RejectedImage)]
        readable = [content for _, content in read if isinstance(content, bytes)]
        found = [findings(unreadable)] if unreadable else []
        if readable:
            checker = self._take()
            try:
                found.insert(0, checker.check(readable))
            except _Killed as error:
                raise HeadstartError(
                    f"the process that checked the files from {files[0].path!r} to {files[-1].path!r} was ended "
                    f"({error}), most likely for want of memory; give the step more of it, or take large pictures out"
                ) from None
            self._idle.put(checker)
        both = pa.concat_batches(found)
        if unreadable:
            order = np.argsort(np.argsort([isinstance(content, RejectedImage) for _, content in read], kind="stable"))
            both = both.take(pa.array(order))
        return Checked(files, contents, both)

    def _take(self) -> "_Checker":
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            checker = _Checker(self._max_side, self._ranges)
            self._all.append(checker)
            return checker


class _Checker:
    def __init__(self, max_side: int, ranges: Ranges | None) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            # What lies in the working folder must not stand for a package.
            [sys.executable, "-P", "-m", _WORKER, str(max_side), json.dumps(ranges and dict(ranges))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_ENVIRONMENT | os.environ,
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101
        self._input, self._output = self._process.stdin, self._process.stdout
        self._files = pa.ipc.new_stream(self._input, FILES)
        self._findings: pa.ipc.RecordBatchStreamReader | None = None

    def check(self, contents: Sequence[bytes]) -> pa.RecordBatch:
        try:
            self._files.write_batch(pa.record_batch([pa.array(contents, pa.large_binary())], schema=FILES))
            self._input.flush()
            if self._findings is None:
                self._findings = pa.ipc.open_stream(self._output)
            return self._findings.read_next_batch()
        except (OSError, StopIteration, pa.ArrowInvalid):
            raise _Killed(self._status()) from None

    def _status(self) -> int:
        try:
            return self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def end(self) -> None:
        # It has nothing left to write, whatever the reason.
        self._process.kill()
        self._process.wait()
        for pipe in (self._input, self._output):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
