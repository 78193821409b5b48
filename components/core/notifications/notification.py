"""A notification of the end of a run, as JSON that Slack's incoming webhooks take."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from headstart import __version__
from headstart.components.core.util.printable import escape_unprintable

NOTIFICATION_FORMAT = "headstart-notification/1"

SUCCEEDED, PUBLISHED, REFUSED, FAILED = "succeeded", "published", "refused", "failed"
"""Results of a run: it succeeded; its model is in use now; the gate refused it; it failed."""

_LONGEST_TEXT = 1500
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Characters that Slack would read as links and mentions, such as `<!channel>`."""

_TITLES = {
    SUCCEEDED: "succeeded",
    PUBLISHED: "succeeded, and its model is in use now",
    REFUSED: "succeeded, but its model was not published",
    FAILED: "failed",
}


@dataclasses.dataclass(frozen=True)
class Notification:
    """What is said about the end of a run.

    Attributes:
        result: `SUCCEEDED`, `PUBLISHED`, `REFUSED` or `FAILED`.
        pipeline: Name of the pipeline.
        run: Id of the run on a cluster, or its output folder.
        name: Name of the run; empty: none.
        reason: Reason for the result in words, without secrets; empty: none.
        verdict: Verdict of the gate; empty: there was none, or it is not known.
        images: Number of test images; 0: not known.
        accuracy: Accuracy on the test images; None: not known.
        accuracy_interval: 95 % confidence interval of the accuracy; empty: not known.
        model: Address of the model that is in use now; empty: none was published.
        see: Report or command that tells more; empty: none.
    """

    result: str
    pipeline: str
    run: str
    name: str = ""
    reason: str = ""
    verdict: str = ""
    images: int = 0
    accuracy: float | None = None
    accuracy_interval: Sequence[float] = ()
    model: str = ""
    see: str = ""

    def body(self) -> dict[str, Any]:
        """The JSON object that is sent: `text` for people, `headstart` for programs."""
        fields = dataclasses.asdict(self) | {"accuracy_interval": list(self.accuracy_interval) or None}
        return {
            "text": self.text(),
            "headstart": {"format": NOTIFICATION_FORMAT, **fields, "version": __version__},
        }

    def text(self) -> str:
        """The notification in a few lines."""
        run = f"{self.name} ({self.run})" if self.name else self.run
        lines = [f"Headstart {self.pipeline} {run} {_TITLES[self.result]}"]
        if self.accuracy is not None and self.accuracy_interval:
            low, high = self.accuracy_interval
            lines.append(
                f"accuracy {self.accuracy:.3f} ({low:.3f} to {high:.3f}, 95 % interval) on {self.images:,} images"
            )
        lines += [line for line in (self.reason, self.model and f"in use {self.model}") if line]
        if self.see:
            lines.append(f"see {self.see}")
        text = "\n".join(escape_unprintable(line) for line in lines)
        if len(text) > _LONGEST_TEXT:
            text = f"{text[: _LONGEST_TEXT - 1]}…"
        return text.translate(_MARKUP)
