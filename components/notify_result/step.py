"""Notifies a webhook of the end of a run on a cluster; nothing that goes wrong here fails the run."""

import dataclasses

from headstart.components.core.notifications.notification import FAILED, PUBLISHED, REFUSED, SUCCEEDED, Notification
from headstart.components.core.notifications.webhook import NOTIFY_VARIABLE, find_webhook, send
from headstart.components.core.registry import registry
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import event, start_logging

SENT, NOT_SENT, NO_ADDRESS = "sent", "not sent", "no address"

_FAILED_STATE = "FAILED"
"""KFP's state of what has failed; where a condition did not hold, what succeeded says `RUNNING`."""


def notify_result(state: str, pipeline: str, run: str, name: str = "", publish_uri: str = "") -> str:
    """Sends the notification of a run's end to the webhook that the environment names.

    Args:
        state: State of the run, as KFP writes it.
        pipeline: Name of the pipeline.
        run: Id of the run.
        name: Name of the run.
        publish_uri: Folder or address where the run publishes; empty: it does not.

    Returns:
        `SENT`, `NOT_SENT` or `NO_ADDRESS`.
    """
    start_logging()
    try:
        address = find_webhook()
        if not address:
            event("warning", text=f"no notification: the Secret gives no {NOTIFY_VARIABLE}")
            return NO_ADDRESS
        send(address, describe_end(state, pipeline, run, name, publish_uri).body())
    except HeadstartError as error:
        event("warning", text=error)
        return NOT_SENT
    except Exception as error:
        # An exit task that fails would fail a run that has succeeded. The text may have the address.
        event("warning", text=f"the notification could not be sent: {type(error).__name__}")
        return NOT_SENT
    event("notification", status=SENT)
    return SENT


def describe_end(state: str, pipeline: str, run: str, name: str = "", publish_uri: str = "") -> Notification:
    """Describes the end of a run; the published models tell whether its model is among them.

    Args:
        state: State of the run, as KFP writes it.
        pipeline: Name of the pipeline.
        run: Id of the run.
        name: Name of the run.
        publish_uri: Folder or address where the run publishes; empty: it does not.
    """
    see = f"headstart follow {run}"
    ended = Notification(SUCCEEDED, pipeline, run, name, see=see)
    if state == _FAILED_STATE:
        return dataclasses.replace(ended, result=FAILED)
    if not publish_uri:
        return ended
    try:
        return _describe_publication(ended, publish_uri)
    except HeadstartError as error:
        reason = f"whether its model was published cannot be read: {first_line(error)}"
        return dataclasses.replace(ended, reason=reason)


def _describe_publication(ended: Notification, publish_uri: str) -> Notification:
    champion = registry.read_champion(publish_uri)
    if champion and champion.version.facts.run == ended.run:
        facts = champion.version.facts
        return dataclasses.replace(
            ended,
            result=PUBLISHED,
            images=facts.images,
            accuracy=facts.accuracy,
            accuracy_interval=facts.accuracy_interval,
            model=champion.address,
        )
    for version in registry.list_versions(publish_uri).versions:
        if version.facts.run == ended.run:
            reason = f"its model is kept as {version.version}; another one came into use in the meantime"
            return dataclasses.replace(ended, reason=reason)
    kept = f"; {champion.version.version} stays in use" if champion else ""
    return dataclasses.replace(ended, result=REFUSED, reason=f"the gate refused it{kept}")
