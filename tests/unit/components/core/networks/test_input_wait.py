import logging
import re
import time
from collections.abc import Iterator

import pytest

from headstart.components.core.networks.input_wait import time_input_wait


def share(caplog: pytest.LogCaptureFixture, of: str) -> float:
    found = re.findall(r"event=waiting (.*)", caplog.text)
    assert len(found) == 1, caplog.text
    assert of in found[0]
    return float(re.search(r"waited=(\S+)", found[0])[1])


@pytest.mark.parametrize(("making", "taking", "least", "most"), [(0.05, 0.0, 0.9, 1.0), (0.0, 0.05, 0.0, 0.1)])
def test_wait_for_batches_is_logged(
    making: float, taking: float, least: float, most: float, caplog: pytest.LogCaptureFixture
) -> None:
    def made() -> Iterator[int]:
        for number in range(4):
            time.sleep(making)
            yield number

    with caplog.at_level(logging.INFO, "headstart"):
        for _ in time_input_wait(made(), "record", "decoded images", 40):
            time.sleep(taking)
    assert least <= share(caplog, 'waited_for="decoded images"') <= most
    assert 20 < float(re.search(r"images_per_second=(\S+)", caplog.text)[1]) < 201
