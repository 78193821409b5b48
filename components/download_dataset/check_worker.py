"""A process that checks pictures: batches of files' bytes come in by standard input, findings go out.

It ends when its input does, so it cannot outlive the process that started it.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator

import pyarrow as pa

from headstart.components.core.images.decoding import RejectedImage, UndecidedRange, find_undecided_range
from headstart.components.core.images.sample_ranges import Ranges
from headstart.components.download_dataset.checked_image import Picture, check
from headstart.components.download_dataset.findings import FINDINGS, findings

FILES = pa.schema([("content", pa.large_binary())])
"""Of what comes in."""


class _NoPandas:
    """Keeps Arrow from importing pandas to ask whether a list is a series: longer than all else takes to start."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def main() -> None:
    """Checks until the input ends.

    The arguments are the longest side that is kept, in pixels, and the ranges as JSON; null: deep pictures whose
    range is not stated are measured, and nothing else.
    """
    max_side, ranges = int(sys.argv[1]), json.loads(sys.argv[2])
    # Ctrl-C reaches the whole group of processes; the one that started this one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.meta_path.insert(0, _NoPandas())
    # Whatever a library may print must not come between the findings.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(BrokenPipeError), pa.ipc.new_stream(output, FINDINGS) as results:
        for contents in _batches():
            results.write_batch(findings([(content, _found(content, max_side, ranges)) for content in contents]))
            output.flush()


def _found(content: bytes, max_side: int, ranges: Ranges | None) -> Picture | RejectedImage | UndecidedRange:
    if ranges is None:
        return find_undecided_range(content) or check(content, max_side, {})
    return check(content, max_side, ranges)


def _batches() -> Iterator[list[bytes]]:
    # Where whoever sends them is gone, they end before their end.
    with contextlib.suppress(pa.ArrowInvalid, OSError):
        for batch in pa.ipc.open_stream(sys.stdin.buffer):
            yield batch.column("content").to_pylist()


if __name__ == "__main__":
    main()
