"""Notifies a webhook of the end of a run on a cluster; nothing that goes wrong here fails the run."""

import dataclasses
from pathlib import Path
from typing import Any

from headstart.components.core.metrics.comparison import BETTER
from headstart.components.core.notifications.notification import FAILED, PUBLISHED, REFUSED, SUCCEEDED, Notification
from headstart.components.core.notifications.webhook import NOTIFY_VARIABLE, find_webhook, send
from headstart.components.core.registry import registry
from headstart.components.core.storage.atomic import write_json
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import event, start_logging
from headstart.components.notify_result.run_artifacts import RunFindings, read_findings

SENT, NOT_SENT, NO_ADDRESS = "sent", "not sent", "no address"

_FAILED_STATE = "FAILED"
"""KFP's state of what has failed; where a condition did not hold, what succeeded says `RUNNING`."""


_NOTHING = RunFindings()


def notify_result(
    state: str,
    pipeline: str,
    run: str,
    name: str = "",
    publish_uri: str = "",
    notification: Path | None = None,
    uri: str = "",
) -> str:
    """Sends the notification of a run's end to the webhook that the environment names.

    Args:
        state: State of the run, as KFP writes it.
        pipeline: Name of the pipeline.
        run: Id of the run.
        name: Name of the run.
        publish_uri: Folder or address where the run publishes; empty: it does not.
        notification: JSON file to write, with the body that is sent to the webhook; None: none.
        uri: Address of that file among the run's artifacts, which tells where those of other tasks are; empty: their
            verdict and figures are left out.

    Returns:
        `SENT`, `NOT_SENT` or `NO_ADDRESS`.
    """
    start_logging()
    try:
        findings = _NOTHING if state == _FAILED_STATE else read_findings(uri, run)
        body = describe_end(state, pipeline, run, name, publish_uri, findings).body()
        _write(notification, body)
        address = find_webhook()
        if not address:
            event("warning", text=f"no notification: the Secret gives no {NOTIFY_VARIABLE}")
            return NO_ADDRESS
        send(address, body)
    except HeadstartError as error:
        event("warning", text=error)
        return NOT_SENT
    except Exception as error:
        # An exit task that fails would fail a run that has succeeded. The text may have the address.
        event("warning", text=f"the notification could not be sent: {type(error).__name__}")
        return NOT_SENT
    event("notification", status=SENT)
    return SENT


def describe_end(
    state: str, pipeline: str, run: str, name: str = "", publish_uri: str = "", findings: RunFindings = _NOTHING
) -> Notification:
    """Describes the end of a run; the published models tell whether its model is among them.

    Args:
        state: State of the run, as KFP writes it.
        pipeline: Name of the pipeline.
        run: Id of the run.
        name: Name of the run.
        publish_uri: Folder or address where the run publishes; empty: it does not.
        findings: Verdict of the gate and figures of the model.
    """
    see = f"headstart follow {run}"
    if state == _FAILED_STATE:
        return Notification(FAILED, pipeline, run, name, see=see)
    ended = Notification(
        SUCCEEDED,
        pipeline,
        run,
        name,
        findings.why,
        findings.verdict,
        findings.images,
        findings.accuracy,
        findings.accuracy_interval,
        see=see,
    )
    if findings.verdict not in ("", BETTER):
        ended = dataclasses.replace(ended, result=REFUSED, reason=f"the gate refused it: {findings.why}")
    if not publish_uri:
        return ended
    try:
        return _describe_publication(ended, publish_uri)
    except HeadstartError as error:
        if ended.result == REFUSED:
            return ended
        reason = f"whether its model was published cannot be read: {first_line(error)}"
        return dataclasses.replace(ended, reason=reason)


def _describe_publication(ended: Notification, publish_uri: str) -> Notification:
    champion = registry.read_champion(publish_uri)
    kept = f"; {champion.version.version} stays in use" if champion else ""
    if ended.result == REFUSED:
        return dataclasses.replace(ended, reason=f"{ended.reason}{kept}")
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
    if ended.verdict == BETTER:
        # A model that equals an earlier version is not written again, and that version keeps its run.
        return dataclasses.replace(ended, reason="its model equals a version that was published before")
    return dataclasses.replace(ended, result=REFUSED, reason=f"the gate refused it{kept}")


def _write(notification: Path | None, body: dict[str, Any]) -> None:
    if not notification:
        return
    try:
        notification.parent.mkdir(parents=True, exist_ok=True)
        write_json(notification, body)
    except OSError as error:
        event("warning", text=f"the notification cannot be written as an artifact: {error.strerror}")
