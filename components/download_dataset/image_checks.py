"""Reads files on threads, which wait, and checks them in worker processes, which compute: one for each core.

Decoders get input from outside: one that takes all the memory, or crashes, ends only its own process, and the step
reports it in one line. Threads would also wait for each other, since a third of the work holds the interpreter lock.
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
from headstart.components.download_dataset.check_results import encode_results
from headstart.components.download_dataset.check_worker import FILES_SCHEMA

_REMOTE_READERS = 32
# Few, since each file may be large.
_LOCAL_READERS = 2
_LOCAL_FILES_PER_READ = 4
_BATCH_FILES = 32
_BATCH_BYTES = 2**21
_SECONDS_TO_END = 10
_WORKER = "headstart.components.download_dataset.check_worker"
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclasses.dataclass(frozen=True, slots=True)
class FileToCheck:
    """A file to read and check.

    Attributes:
        path: Path in its source.
        label: Class name; empty: none.
        split: Ready-made split; empty: none.
        extra: Further columns of the source, as a JSON object of texts; empty: none.
        load: Reads its bytes.
        group: Group that the user puts it in; empty: none.
    """

    path: str
    label: str
    split: str
    extra: str
    load: Loader
    group: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedBatch:
    """Files that were checked together.

    Attributes:
        files: The files.
        contents: Bytes of each file; empty where it could not be read.
        results: Results of the check, one row per file, by `CHECK_RESULTS_SCHEMA`.
    """

    files: list[FileToCheck]
    contents: list[bytes]
    results: pa.RecordBatch


def check_files(
    files: Iterable[FileToCheck], remote: bool, max_side: int, processes: int = 0, ranges: Ranges | None = None
) -> Generator[CheckedBatch, None, None]:
    """Reads and checks files on all cores, in order, with a bounded number of them in memory.

    Args:
        files: Files to check.
        remote: True if reading a file waits for a network; more threads read then.
        max_side: Longest side to keep, in pixels.
        processes: Number of worker processes; 0: one for each core. The results do not depend on it.
        ranges: Black and white of images of more than 8 bits, by their form. None: such an image is only measured,
            unless it states its range, and must be checked again when the ranges are known.

    Yields:
        Files with their results, in batches.

    Raises:
        HeadstartError: If a worker process is killed or crashes.
    """
    processes = processes or available_cores()
    readers, per_read = (_REMOTE_READERS, 1) if remote else (_LOCAL_READERS, _LOCAL_FILES_PER_READ)
    with (
        _WorkerPool(max_side, ranges) as workers,
        ThreadPoolExecutor(processes) as checking,
        ThreadPoolExecutor(readers) as reading,
    ):
        parts = map_ordered(reading, _read_files, batched(files, per_read), 2 * readers)
        batches = _make_batches(itertools.chain.from_iterable(parts))
        yield from map_ordered(checking, workers.check, batches, 2 * processes)


_ReadFile = tuple[FileToCheck, bytes | RejectedImage]
"""A file with its bytes, or with the reason why it could not be read."""


def _read_files(files: list[FileToCheck]) -> list[_ReadFile]:
    return [(file, _read_file(file)) for file in files]


def _read_file(file: FileToCheck) -> bytes | RejectedImage:
    try:
        return file.load()
    except Unreadable as error:
        return RejectedImage(error.reason, error.detail)


def _make_batches(files: Iterator[_ReadFile]) -> Iterator[list[_ReadFile]]:
    """Yields lists of files to check together; large files make short lists."""
    batch: list[_ReadFile] = []
    size = 0
    for file, content in files:
        batch.append((file, content))
        size += len(content) if isinstance(content, bytes) else 0
        if len(batch) == _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _WorkerKilled(Exception):
    """A worker process was killed from outside, or crashed.

    Args:
        status: Exit status; the negative number of a signal.
    """

    def __init__(self, status: int) -> None:
        super().__init__(signal.Signals(-status).name if status < 0 else f"exit status {status}")


class _WorkerPool:
    """Worker processes; each starts when it is needed, and none outlives the `with` block."""

    def __init__(self, max_side: int, ranges: Ranges | None) -> None:
        self._max_side = max_side
        self._ranges = ranges
        self._all: list[_Worker] = []
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()

    def __enter__(self) -> "_WorkerPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._all:
            worker.end()

    def check(self, batch: list[_ReadFile]) -> CheckedBatch:
        """Checks files, on any thread; as many workers start as threads call at the same time."""
        files = [file for file, _ in batch]
        contents = [content if isinstance(content, bytes) else b"" for _, content in batch]
        unreadable = [(b"", content) for _, content in batch if isinstance(content, RejectedImage)]
        readable = [content for _, content in batch if isinstance(content, bytes)]
        parts = [encode_results(unreadable)] if unreadable else []
        if readable:
            worker = self._take()
            try:
                parts.insert(0, worker.check(readable))
            except _WorkerKilled as error:
                raise HeadstartError(
                    f"the process that checked the files from {files[0].path!r} to {files[-1].path!r} was killed "
                    f"({error}), most likely for lack of memory; give the step more memory, or remove large images"
                ) from None
            self._idle.put(worker)
        results = pa.concat_batches(parts)
        if unreadable:
            order = np.argsort(
                np.argsort([isinstance(content, RejectedImage) for _, content in batch], kind="stable")
            )
            results = results.take(pa.array(order))
        return CheckedBatch(files, contents, results)

    def _take(self) -> "_Worker":
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            worker = _Worker(self._max_side, self._ranges)
            self._all.append(worker)
            return worker


class _Worker:
    def __init__(self, max_side: int, ranges: Ranges | None) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            # With -P no file in the working folder can stand for a package.
            [sys.executable, "-P", "-m", _WORKER, str(max_side), json.dumps(ranges and dict(ranges))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_ENVIRONMENT | os.environ,
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101
        self._input, self._output = self._process.stdin, self._process.stdout
        self._files = pa.ipc.new_stream(self._input, FILES_SCHEMA)
        self._results: pa.ipc.RecordBatchStreamReader | None = None

    def check(self, contents: Sequence[bytes]) -> pa.RecordBatch:
        try:
            self._files.write_batch(pa.record_batch([pa.array(contents, pa.large_binary())], schema=FILES_SCHEMA))
            self._input.flush()
            if self._results is None:
                self._results = pa.ipc.open_stream(self._output)
            return self._results.read_next_batch()
        except (OSError, StopIteration, pa.ArrowInvalid):
            raise _WorkerKilled(self._wait_for_status()) from None

    def _wait_for_status(self) -> int:
        try:
            return self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def end(self) -> None:
        # Killed, not asked to end: it has nothing left to write.
        self._process.kill()
        self._process.wait()
        for pipe in (self._input, self._output):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
