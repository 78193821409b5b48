"""Limits on the time spent waiting for hosts, when many addresses are read and some hosts may be down."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from headstart.components.core.storage.stores import transfer
from headstart.components.core.storage.stores.addresses import scheme_of, without_secrets
from headstart.components.core.storage.stores.transfer import NotFound, TooLarge
from headstart.components.core.util.errors import HeadstartError, Unavailable

ADDRESS_SECONDS = 20.0
"""Time for which one address is retried without a new byte."""

HOST_SECONDS = 60.0
"""Time that failing addresses of one host may take together, before each is tried only once."""

GIVEN_UP_SECONDS = 120.0
"""The same, before the host is given up; a host that has never answered is given up after `HOST_SECONDS`."""


@dataclasses.dataclass
class _Host:
    waited: float = 0.0
    until: float = 0.0
    answered: bool = False


class HostPatience:
    """Limits the time spent waiting for each host. Several threads can share it.

    Time in which several addresses fail at once counts once.
    """

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def bounded(self, address: str) -> Iterator[None]:
        """Limits retries in a `with` block, which reads one address, to the time that is left for its host.

        Raises:
            HeadstartError: If the host has been given up.
        """
        with self._lock:
            host = self._hosts.setdefault(_host_of(address), _Host())
        if host.waited >= (GIVEN_UP_SECONDS if host.answered else HOST_SECONDS):
            raise Unavailable(
                f"cannot read {without_secrets(address)}: addresses of that host failed for {host.waited:.0f} s, so "
                "it was not asked again; check the host and the network"
            )
        started = time.monotonic()
        try:
            with transfer.limit_patience(max(0.0, min(ADDRESS_SECONDS, HOST_SECONDS - host.waited))):
                yield
        except (NotFound, TooLarge):
            host.answered = True
            raise
        except HeadstartError:
            with self._lock:
                now = time.monotonic()
                host.waited += now - max(started, host.until)
                host.until = now
            raise
        host.answered = True


def _host_of(address: str) -> str:
    """Scheme and host, or bucket, of an address; empty if it is not a valid one."""
    try:
        return f"{scheme_of(address)}://{urlsplit(address).netloc.rpartition('@')[2].lower()}"
    except ValueError:
        return ""
