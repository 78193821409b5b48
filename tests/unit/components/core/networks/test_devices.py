"""Several devices train as one does; each number of them needs a process of its own."""

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from support.devices import IMAGES, trained
from support.forked import FORKED


@pytest.mark.slow
def test_two_devices_have_the_losses_of_one() -> None:
    """Also with validation images that they cannot share out evenly."""
    found, steps = {}, {}
    for devices in (1, 2):
        with ProcessPoolExecutor(1, mp_context=FORKED) as process:
            replicas, steps[devices], found[devices] = process.submit(trained, devices).result(300)
        assert replicas == devices
    assert np.array(steps[2]) == pytest.approx(np.array(steps[1]), rel=1e-4)
    for one, two in zip(found[1], found[2], strict=True):
        assert two[:2] == pytest.approx(one[:2], rel=1e-4)
        assert two[2] == pytest.approx(one[2], abs=1 / IMAGES), "one image counts twice"
