"""Parity gate of an endpoint: it must predict what the SavedModel of the published version predicts."""

import base64
import dataclasses
import time
from collections.abc import Callable
from typing import Any

from headstart.components.core.networks.saved_model_parity import TOLERANCE, DrawnPredictions
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase
from headstart.components.deploy_model.cluster import ServiceError

Ask = Callable[[dict[str, Any]], Any]
"""Sends a request of protocol v1 to the endpoint, and returns the answer."""


@dataclasses.dataclass(frozen=True)
class LiveAgreement:
    """Agreement of an endpoint with the SavedModel of the version that answers.

    Attributes:
        images: Number of drawn images compared.
        same_label: Number of images with the same label; an endpoint that abstains gives some images none.
        largest_difference: Largest difference of a probability.
    """

    images: int
    same_label: int
    largest_difference: float


_PAUSE_SECONDS = 0.5
_ATTEMPTS = 5


def check_endpoint(
    ask: Ask, drawn: DrawnPredictions, classes: list[str], version: str, wait_seconds: float, alone: bool
) -> LiveAgreement:
    """Sends images to an endpoint, and compares the predictions of one version.

    Args:
        ask: Function that sends a request.
        drawn: Images, and the probabilities that the SavedModel of the version has for them.
        classes: Class names in the order of the probabilities.
        version: The version.
        wait_seconds: Longest time until it has answered every image.
        alone: Whether no other version may answer in the end, until when is waited too.

    Returns:
        The agreement of the endpoint with the SavedModel.

    Raises:
        HeadstartError: If a label or a probability differs, the version does not answer in time, or the endpoint
            fails.
    """
    log_phase("checking the endpoint")
    end = time.monotonic() + wait_seconds
    rows: list[dict[str, Any]] = []
    others: set[str] = set()
    while len(rows) < len(drawn.files):
        answer = _ask_patiently(ask, drawn.files[len(rows)])
        answered = str(answer.get("model_version", "no version"))
        if answered == version:
            if answer.get("classes") != classes:
                raise HeadstartError(f"the endpoint has the classes {answer.get('classes')}, the version {classes}")
            rows.append(answer["predictions"][0])
            continue
        others.add(answered)
        if alone:
            # All images again: the other one may have answered between two of ours.
            rows.clear()
        if time.monotonic() > end:
            raise HeadstartError(
                f"the endpoint answers by {' and '.join(sorted(others))}, and not by {version}, after "
                f"{wait_seconds:.0f} s"
            )
        time.sleep(_PAUSE_SECONDS)
    drawn.compare(rows)
    for number, (row, expected) in enumerate(zip(rows, drawn.probabilities, strict=True)):
        _check_label(number, row, expected, classes)
    likeliest = [classes[each.index(max(each))] for each in drawn.probabilities]
    same = sum(row["label"] == name for row, name in zip(rows, likeliest, strict=True))
    agreement = LiveAgreement(len(rows), same, drawn.largest_difference(rows))
    event("live_parity", version=version, **dataclasses.asdict(agreement))
    return agreement


def _check_label(number: int, row: dict[str, Any], expected: list[float], classes: list[str]) -> None:
    """Compares a label, unless the server abstains, or two classes are closer than the tolerance."""
    best = max(expected)
    likely = [name for name, each in zip(classes, expected, strict=True) if best - each <= 2 * TOLERANCE]
    if row["label"] is not None and row["label"] not in likely:
        raise HeadstartError(
            f"the endpoint calls drawn image {number} {row['label']!r}, its SavedModel {likely[0]!r}"
        )


def _ask_patiently(ask: Ask, content: bytes) -> Any:
    """Asks for one image; an endpoint that is being changed may fail for a moment."""
    request = {"instances": [{"image_bytes": {"b64": base64.b64encode(content).decode()}}]}
    for attempt in range(_ATTEMPTS):
        try:
            answer = ask(request)
            if isinstance(answer, dict):
                return answer
            raise ServiceError("the endpoint does not answer in protocol v1")
        except ServiceError:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE_SECONDS * 2**attempt)
    raise AssertionError
