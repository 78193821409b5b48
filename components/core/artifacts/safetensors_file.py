"""Files of weights in the format safetensors, which can hold no code: checked before KerasHub reads them."""

from pathlib import Path

import numpy as np

from headstart.components.core.artifacts.hdf5_file import MAX_BYTES
from headstart.components.core.util.errors import HeadstartError, first_line


def check_safetensors(path: Path, what: str, way_out: str) -> None:
    """Checks that a file is safetensors, and that all its floats are finite.

    Args:
        path: The file.
        what: Name of the file in messages.
        way_out: End of the message.

    Raises:
        HeadstartError: If the package safetensors is not installed, or the file is larger than `MAX_BYTES`, damaged,
            in another format, or has NaN or infinite weights.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise HeadstartError(
            f"{what}: reading it needs the package safetensors; pip install 'headstart[hub]', or use another backbone"
        ) from None
    if path.stat().st_size > MAX_BYTES:
        raise HeadstartError(f"{what} has more than {MAX_BYTES / 2**30:.0f} GB; use a smaller network")
    try:
        with safe_open(path, framework="numpy") as store:
            for name in store.keys():  # noqa: SIM118
                value = store.get_tensor(name)
                if value.dtype.kind == "f" and not np.isfinite(value).all():
                    raise HeadstartError(f"{what}: weights {name!r} have NaN or infinite values")
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        # TypeError: values of a type that NumPy does not have, such as bfloat16.
        raise HeadstartError(f"{what} cannot be read ({first_line(error)}); {way_out}") from None
