"""Notification of the end of a run on this machine."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from headstart.components.core.artifacts.evaluation import FINAL
from headstart.components.core.metrics.comparison import BETTER
from headstart.components.core.notifications.notification import FAILED, PUBLISHED, REFUSED, SUCCEEDED, Notification
from headstart.components.core.notifications.webhook import NotSent, send
from headstart.components.core.registry.registry import OVERTAKEN
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.local.interruption import Interrupted
from headstart.pipelines.local.masking import find_secrets, mask_secrets
from headstart.pipelines.local.run import Display
from headstart.pipelines.progress.console import say
from headstart.pipelines.progress.events import Decided, Event, Published


class RunNotice(Display):
    """What a run leaves to be said at its end; it passes the events on to a display.

    Args:
        notification: Notification of a run that succeeds.
    """

    def __init__(self, notification: Notification) -> None:
        self.notification = notification
        self._display: Display | None = None

    def forward_to(self, display: Display) -> Display:
        """Takes the events of a run, and passes them on to its display."""
        self._display = display
        return self

    def show(self, event: Event) -> None:
        """Notes the verdict and the publication, and passes the event on."""
        match event:
            case Decided(verdict, why):
                self._update(verdict=verdict, reason=why, result=SUCCEEDED if verdict == BETTER else REFUSED)
            case Published(status, address, in_use) if status == OVERTAKEN:
                self._update(reason=f"{in_use} was published in the meantime; the new model is kept at {address}")
            case Published(_, address, _):
                self._update(result=PUBLISHED, model=address)
        if self._display:
            self._display.show(event)

    def add_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Adds the figures of the final model.

        Args:
            metrics: Content of `metrics.json`.
        """
        figures = metrics[FINAL]
        self._update(
            images=figures["images"],
            accuracy=figures["accuracy"],
            accuracy_interval=figures["accuracy_interval"],
        )

    def fail(self, reason: str) -> None:
        """Makes it the notification of a run that failed."""
        before = self.notification
        self.notification = Notification(FAILED, before.pipeline, before.run, reason=reason)

    def _update(self, **fields: Any) -> None:
        self.notification = dataclasses.replace(self.notification, **fields)


@contextlib.contextmanager
def notified(
    address: str, notification: Notification, values: Mapping[str, Any], console: Console
) -> Iterator[RunNotice]:
    """Notifies a webhook of the end of the block, unless the user interrupts it.

    Args:
        address: Address of the webhook; empty: nobody is notified.
        notification: Notification of a run that succeeds.
        values: Parameters of the run, whose secrets are masked.
        console: Console for the line that says that the webhook did not take it, which changes nothing else.
    """
    notice = RunNotice(notification)
    try:
        yield notice
    except Interrupted:
        raise
    except Exception as error:
        expected = isinstance(error, HeadstartError)
        notice.fail(mask_secrets(str(error), find_secrets(values)) if expected else type(error).__name__)
        _send(address, notice, console)
        raise
    _send(address, notice, console)


def _send(address: str, notice: RunNotice, console: Console) -> None:
    if not address:
        return
    try:
        send(address, notice.notification.body())
    except NotSent as error:
        say(f"warning: {error}", console=console)
