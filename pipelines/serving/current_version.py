"""The version that answers, and the thread that replaces it when another becomes the champion."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.pipelines.serving.batcher import Batcher
from headstart.pipelines.serving.loaded_version import FoundVersion, LoadedVersion, find_version, load_version
from headstart.pipelines.serving.metrics import LOAD_FAILED, LOADS, MODEL

LoadVersion = Callable[[FoundVersion, float, ThreadPoolExecutor], LoadedVersion]

_RETRY_SECONDS = 60.0
"""Time after which a version that could not be loaded is tried again."""


class ServedVersion:
    """A loaded version and the batcher of its images; a request uses one of them from beginning to end."""

    def __init__(self, version: LoadedVersion, network_thread: ThreadPoolExecutor) -> None:
        self.version = version
        self.batcher = Batcher(version.predict, network_thread)


class CurrentVersion:
    """The version that answers.

    Args:
        address: Address of the model, see `find_version`; the champion of a place of publication is followed.
        precision: Wanted share of right labels; 0: a label for every image.
        poll_seconds: Time between two looks at the champion.
        load: Function that loads a version, see `load_version`.

    Attributes:
        served: The version that answers; a request takes it once.
        failure: Reason why the champion does not answer; empty: it does.
        network_thread: Executor with one thread, on which every network of the process runs.

    Raises:
        HeadstartError: If the model cannot be loaded.
    """

    def __init__(
        self, address: str, precision: float = 0.0, poll_seconds: float = 5.0, load: LoadVersion = load_version
    ) -> None:
        self._address = address
        self._precision = precision
        self._poll_seconds = poll_seconds
        self._load_version = load
        self._stop = threading.Event()
        self._failed = ""
        self._retry_at = 0.0
        self.failure = ""
        self.network_thread = ThreadPoolExecutor(1, "network")
        found = find_version(address)
        self.followed = found.followed
        self.served = self._load(found)

    def start_following(self) -> Callable[[], None]:
        """Starts the thread that follows the champion; returns the function that ends it.

        Without a place of publication nothing is followed.
        """
        thread = threading.Thread(target=self._follow, name="follow", daemon=True)
        if self.followed:
            thread.start()
        return self._stop.set

    def _load(self, found: FoundVersion) -> ServedVersion:
        loaded = self._load_version(found, self._precision, self.network_thread)
        LOADS.labels("loaded").inc()
        MODEL.info({"version": loaded.name, "sha256": loaded.model.info.sha256})
        event("serving", version=loaded.name)
        return ServedVersion(loaded, self.network_thread)

    def _follow(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            self.update()

    def update(self) -> None:
        """Replaces the version that answers if another is the champion now; what fails is logged, and tried again."""
        champion = ""
        try:
            found = find_version(self._address)
            champion = found.name
            if champion == self.served.version.name:
                self._set_failure("", "")
                return
            if champion == self._failed and time.monotonic() < self._retry_at:
                return
            event("champion_changed", version=champion)
            self.served = self._load(found)
            self._set_failure("", "")
        except HeadstartError as error:
            self._report(champion, str(error))
        except Exception as error:
            # Whatever is wrong with a new model, the old one goes on.
            self._report(champion, f"{type(error).__name__}: {error}")

    def _report(self, champion: str, reason: str) -> None:
        LOADS.labels("failed").inc()
        event("load_failed", version=champion or "unknown", serving=self.served.version.name, reason=reason)
        what = f"version {champion} could not be loaded" if champion else "the champion could not be read"
        self._set_failure(champion, f"{what}; {self.served.version.name} answers")
        self._retry_at = time.monotonic() + _RETRY_SECONDS

    def _set_failure(self, champion: str, failure: str) -> None:
        self._failed, self.failure = champion, failure
        LOAD_FAILED.set(1 if failure else 0)
