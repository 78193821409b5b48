"""Worker process that checks images: batches of files' bytes come in by standard input, results go out.

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
from headstart.components.download_dataset.check_results import CHECK_RESULTS_SCHEMA, encode_results
from headstart.components.download_dataset.checked_image import CheckedImage, check_image

FILES_SCHEMA = pa.schema([("content", pa.large_binary())])
"""Schema of the input: bytes of one file per row."""


class _NoPandas:
    """Keeps Arrow from importing pandas to ask whether a list is a series: the slowest import of all."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def main() -> None:
    """Checks batches of files until the input ends.

    The command-line arguments are the longest side to keep, in pixels, and the ranges as JSON. With null, images of
    more than 8 bits that state no range are only measured.
    """
    max_side, ranges = int(sys.argv[1]), json.loads(sys.argv[2])
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.meta_path.insert(0, _NoPandas())
    # Libraries that print must not write between the results.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(BrokenPipeError), pa.ipc.new_stream(output, CHECK_RESULTS_SCHEMA) as results:
        for contents in _read_batches():
            checked = [(content, _check(content, max_side, ranges)) for content in contents]
            results.write_batch(encode_results(checked))
            output.flush()


def _check(content: bytes, max_side: int, ranges: Ranges | None) -> CheckedImage | RejectedImage | UndecidedRange:
    if ranges is None:
        return find_undecided_range(content) or check_image(content, max_side, {})
    return check_image(content, max_side, ranges)


def _read_batches() -> Iterator[list[bytes]]:
    # If the parent is gone, the stream ends in the middle.
    with contextlib.suppress(pa.ArrowInvalid, OSError):
        for batch in pa.ipc.open_stream(sys.stdin.buffer):
            yield batch.column("content").to_pylist()


if __name__ == "__main__":
    main()
