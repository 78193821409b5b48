"""Limits of a server: what a request may hold, how many may wait, and how long things may take."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of a server. Sides and pixels of an image have those of `headstart predict`.

    Attributes:
        body_bytes: Most bytes of a request's body.
        held_bytes: Most bytes of all bodies that are being read or answered.
        images: Most images of a request.
        waiting_images: Most images that are being decoded or predicted; a request beyond is told to come later.
        grpc_calls: Most calls over gRPC at once; each may have a message of an equal part of `held_bytes`.
        read_seconds: Longest time for the head of a request, and for its body.
        answer_seconds: Longest time for decoding and predicting.
        drain_seconds: Longest time for requests that are under way when the server is told to stop.
    """

    body_bytes: int = 32 * 2**20
    held_bytes: int = 256 * 2**20
    images: int = 64
    waiting_images: int = 512
    grpc_calls: int = 64
    read_seconds: float = 20.0
    answer_seconds: float = 60.0
    drain_seconds: float = 30.0


class Refused(Exception):
    """A request that is answered by an error.

    Args:
        status: HTTP status.
        reason: What is wrong, in a sentence for the client; it names no path of this machine.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
