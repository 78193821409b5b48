import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
{before}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**23)
before = faults()
for _ in range(8):
    np.ones(2**23)
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is one of glibc")
def test_memory_of_activations_is_used_again() -> None:
    """Else every page of 64 MiB is asked for anew each time: 16,384 of them."""
    code = FAULTS.format(
        before="from headstart.components.core.networks.start import start_tensorflow as start; start()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 1000
