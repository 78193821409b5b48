"""Complete transfers: interrupted reads resume, and bytes of two versions are never mixed."""

import contextlib
import contextvars
import dataclasses
import hashlib
import io
import time
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeVar

from headstart.components.core.util.errors import HeadstartError, Unavailable
from headstart.components.core.util.logs import event, log_progress

if TYPE_CHECKING:
    import tenacity

T = TypeVar("T")

_MEGABYTE = 10**6
_LARGE_BYTES = 32 * _MEGABYTE
"""Objects of this size and more have their progress logged."""

_SECONDS_BETWEEN_PROGRESS_LINES = 1.0

PATIENCE_SECONDS = 60.0
"""Time for which an address is retried without a new byte."""

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 20.0
"""Longest pause between two attempts, even if the server asks for more."""

STARTS = 3
"""Number of times that a transfer starts at the first byte, if the checksum is wrong or the object changes."""

SLOW_START_SECONDS = 120.0
LEAST_BYTES_PER_SECOND = 2**15
"""An object must arrive within this time, plus the time that its bytes take at this rate."""

CHUNK_BYTES = 64 * 2**10
PART_BYTES = 8 * 2**20
"""Size of the parts in which larger objects are written."""

CONNECTIONS = 32
PASSING = {408, 429, 500, 502, 503, 504}
"""HTTP statuses of temporary failures."""


_patience_seconds: contextvars.ContextVar[float | None] = contextvars.ContextVar("patience_seconds", default=None)


class NotFound(HeadstartError):
    """There is no such object or bucket."""


class TooLarge(HeadstartError):
    """The object is larger than the limit."""


class TransferInterrupted(Exception):
    """A temporary failure.

    Args:
        reason: Description of the failure, without any address.
        pause: Pause in seconds that the server asks for; 0 if it does not.
    """

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class Changed(Exception):
    """The object is there in another version."""


class DamagedTransfer(Exception):
    """The bytes that arrived are not those that were stored."""


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """Answer of a server: the bytes of an object from some byte to the end.

    Attributes:
        start: Number of the first byte, from 0.
        size: Size of the whole object in bytes; -1 if the server does not state it.
        version: Version of the object; empty if the server does not state it.
        digest: Name and value of a checksum of the whole object; None if the answer has none, or starts later.
        chunks: Bytes; raises `TransferInterrupted` if they break off.
        close: Function that drops the bytes that have not been read.
    """

    start: int
    size: int
    version: str
    digest: tuple[str, bytes] | None
    chunks: Iterator[bytes]
    close: Callable[[], object]


def transfer(
    name: str,
    open_part: Callable[[int, str], Part],
    file: io.BufferedIOBase,
    version: str = "",
    max_bytes: int | None = None,
) -> str:
    """Downloads a whole object into a file.

    Args:
        name: Name of the object in messages.
        open_part: Function that requests the bytes from a number on, of a version.
        file: Empty file, writable and seekable.
        version: Version to accept; empty: any.
        max_bytes: Size limit in bytes; None: no limit.

    Returns:
        Version of the object; empty if the server does not state it.

    Raises:
        TooLarge: If the object has more than `max_bytes`.
        HeadstartError: If it cannot be read, or is there in another version.
        OSError: If the file cannot be written.
    """
    for _ in range(STARTS):
        try:
            return _Transfer(name, open_part, file, version, max_bytes).run()
        except Changed:
            if version:
                raise HeadstartError(f"{name} changed while it was read; start again") from None
            reason, way_out = "it changed while it was read", "start again when nothing writes to it"
        except DamagedTransfer as error:
            reason, way_out = str(error), "check the network, or store the object anew"
        event("read_again", address=name, reason=reason)
    raise HeadstartError(f"cannot read {name}: {reason}, {STARTS} times in a row; {way_out}")


@contextlib.contextmanager
def limit_patience(seconds: float) -> Iterator[None]:
    """Limits the retries of this thread in a `with` block.

    Args:
        seconds: Time without a new byte, in place of `PATIENCE_SECONDS`; 0: everything is tried once.
    """
    token = _patience_seconds.set(seconds)
    try:
        yield
    finally:
        _patience_seconds.reset(token)


def call_with_retries(name: str, call: Callable[[], T], doing: str = "read") -> T:
    """Calls a function until it is not interrupted, with growing pauses, for `PATIENCE_SECONDS` by default.

    Args:
        name: Name of what is read or written, for the message.
        call: One attempt, which raises `TransferInterrupted` if another may succeed.
        doing: ``read`` or ``write``, for the message.

    Raises:
        Unavailable: If the last attempt was interrupted, too.
    """
    # With asyncio it takes a tenth of the start of a command that transfers nothing.
    import tenacity

    seconds = _patience_seconds.get()
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransferInterrupted),
        stop=tenacity.stop_before_delay(PATIENCE_SECONDS if seconds is None else seconds),
        wait=_pause,
        before_sleep=lambda state: event(
            "retry", address=name, reason=_outcome(state), attempt=state.attempt_number, pause=state.upcoming_sleep
        ),
        reraise=True,
    )
    try:
        return attempts(call)
    except TransferInterrupted as error:
        again = "" if seconds == 0 else ", again and again"
        raise Unavailable(
            f"cannot {doing} {name}: {error}{again}; check the address and the network, or try later"
        ) from None


def _outcome(state: "tenacity.RetryCallState") -> TransferInterrupted:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TransferInterrupted)  # noqa: S101
    return error


def _pause(state: "tenacity.RetryCallState") -> float:
    import tenacity

    growing = tenacity.wait_random_exponential(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)(state)
    return max(growing, min(_outcome(state).pause, LONGEST_PAUSE_SECONDS))


class _Transfer:
    """One transfer from the first byte to the last."""

    def __init__(
        self,
        name: str,
        open_part: Callable[[int, str], Part],
        file: io.BufferedIOBase,
        version: str,
        max_bytes: int | None,
    ) -> None:
        self._name = name
        self._open_part = open_part
        self._file = file
        self._version = version
        self._max_bytes = max_bytes
        self._furthest = 0
        self._started = self._reported = time.monotonic()
        self._rewind()

    def run(self) -> str:
        while not call_with_retries(self._name, self._advance):
            pass
        if self._hash and self._hash.digest() != self._digest:
            raise DamagedTransfer("its checksum is wrong")
        return self._version

    def _rewind(self) -> None:
        if self._file.tell():
            self._file.seek(0)
            self._file.truncate()
        self._position = 0
        self._size = -1
        self._digest = b""
        self._hash: _Hash | None = None

    def _advance(self) -> bool:
        """Reads one answer; returns whether the object is complete.

        Raises:
            TransferInterrupted: If no new byte arrived.
        """
        furthest = self._furthest
        try:
            # An object without a version cannot be resumed: it may be another one by now.
            start = self._position if self._version else 0
            with contextlib.closing(self._open_part(start, self._version)) as part:
                self._begin(part)
                for chunk in part.chunks:
                    self._write(chunk)
            if self._position < self._size:
                raise TransferInterrupted("the connection ended early")
        except TransferInterrupted as error:
            if self._furthest == furthest:
                raise
            event("interrupted", address=self._name, reason=error, bytes=self._position, of=self._size)
            return False
        return True

    def _begin(self, part: Part) -> None:
        if self._version and part.version and part.version != self._version:
            raise Changed
        if part.start == 0:
            self._rewind()
            self._size = part.size
            self._version = part.version or self._version
            if part.digest:
                algorithm, self._digest = part.digest
                self._hash = _new_hash(algorithm)
        elif (part.start, part.size) != (self._position, self._size):
            raise DamagedTransfer("the server sent other bytes than it was asked for")
        self._check_size(self._size)

    def _write(self, chunk: bytes) -> None:
        self._position += len(chunk)
        self._check_size(self._position)
        self._check_pace()
        if 0 <= self._size < self._position:
            raise DamagedTransfer("more bytes came than were announced")
        self._file.write(chunk)
        self._log_progress()
        if self._hash:
            self._hash.update(chunk)
        self._furthest = max(self._furthest, self._position)

    def _log_progress(self) -> None:
        """Logs the progress of a large object about once a second."""
        now = time.monotonic()
        if self._size >= _LARGE_BYTES and now - self._reported >= _SECONDS_BETWEEN_PROGRESS_LINES:
            self._reported = now
            log_progress("downloading", self._position // _MEGABYTE, self._size // _MEGABYTE, unit="MB")

    def _check_size(self, size: int) -> None:
        if self._max_bytes is not None and size > self._max_bytes:
            raise TooLarge(f"{self._name} has {size} bytes or more, over the limit of {self._max_bytes}")

    def _check_pace(self) -> None:
        """Gives up an object that arrives too slowly, which may be intended."""
        seconds = time.monotonic() - self._started
        if seconds > SLOW_START_SECONDS + max(self._size, self._position) / LEAST_BYTES_PER_SECOND:
            raise Unavailable(
                f"cannot read {self._name}: after {seconds:.0f} s only {self._position:,} bytes have come; check the "
                "server and the network"
            )


class _Hash(Protocol):
    def update(self, data: bytes, /) -> object: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _new_hash(algorithm: str) -> _Hash:
    if algorithm == "crc32":
        return _Crc32()
    if algorithm == "crc32c":
        import google_crc32c

        return google_crc32c.Checksum()  # type: ignore[no-any-return]
    return hashlib.new(algorithm, usedforsecurity=False)
