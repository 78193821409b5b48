"""Notifications of the end of a run on this machine, to a real webhook on loopback."""

import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.webhooks import SECRET, listening
from typer.testing import CliRunner

import headstart
from headstart.components.core.notifications.notification import SUCCEEDED, Notification
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.main import app
from headstart.pipelines.local.interruption import Interrupted
from headstart.pipelines.local.notification import notified
from headstart.pipelines.progress.events import Decided, Event, Published

ENDED = Notification(SUCCEEDED, "transfer-learning", "/out", see="/out/report.html")
METRICS = {"test": {"images": 200, "accuracy": 0.9, "accuracy_interval": [0.85, 0.94]}}


class Shown:
    """Display that keeps what it is shown."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def show(self, event: Event) -> None:
        self.events.append(event)


def notify(*events: Event) -> dict[str, Any]:
    """What a webhook is told of a run with these events."""
    shown = Shown()
    with listening() as hook:
        with notified(hook.address, ENDED, {}, Console()) as notice:
            for event in events:
                notice.forward_to(shown).show(event)
            notice.add_metrics(METRICS)
        assert shown.events == list(events)
        (body,) = hook.received
    return dict(body["headstart"])


@pytest.mark.parametrize("verdict", ["worse", "cannot tell"])
def test_a_refusal_by_the_gate_comes_with_its_reason_and_the_figures(verdict: str) -> None:
    told = notify(Decided(verdict, "5 of 200 images more are wrong"))
    assert (told["result"], told["verdict"]) == ("refused", verdict)
    assert told["reason"] == "5 of 200 images more are wrong" and told["model"] == ""
    assert (told["images"], told["accuracy"], told["accuracy_interval"]) == (200, 0.9, [0.85, 0.94])


def test_a_publication_comes_with_the_address() -> None:
    told = notify(Decided("better", "fewer are wrong"), Published("published", "gs://bucket/pets/1a", "1a"))
    assert (told["result"], told["model"]) == ("published", "gs://bucket/pets/1a")


def test_a_model_that_was_overtaken_is_not_told_as_published() -> None:
    told = notify(Decided("better", "fewer are wrong"), Published("overtaken", "gs://bucket/pets/1a", "2b"))
    assert told["result"] == "succeeded" and told["reason"].startswith("2b was published in the meantime")


def test_a_run_without_a_gate_succeeds() -> None:
    told = notify()
    assert (told["result"], told["verdict"], told["see"]) == ("succeeded", "", "/out/report.html")


def test_a_failure_comes_with_the_error_without_secrets() -> None:
    data = "https://ann:hunter4hunter5@host/photos.zip"
    with listening() as hook:
        with (
            pytest.raises(HeadstartError),
            notified(hook.address, ENDED, {"data": [data]}, Console()) as notice,
        ):
            notice.add_metrics(METRICS)
            raise HeadstartError(f"{data} cannot be read")
        (body,) = hook.received
    assert body["headstart"]["result"] == "failed" and body["headstart"]["accuracy"] is None
    assert body["headstart"]["reason"] == "https://host/photos.zip cannot be read"


def test_an_interruption_is_told_to_nobody() -> None:
    with listening() as hook:
        with pytest.raises(Interrupted), notified(hook.address, ENDED, {}, Console()):
            raise Interrupted(signal.SIGINT)
        assert hook.received == []


def test_a_training_from_python_notifies_in_the_words_of_python(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    output.mkdir()
    (output / "comparison.json").write_text("{}")
    with listening() as hook:
        with pytest.raises(HeadstartError) as failed:
            headstart.train(photos, backbone="sketchnet", output=output, progress=False, notify=hook.address)
        (body,) = hook.received
    told = body["headstart"]
    assert (told["result"], told["pipeline"], told["run"]) == ("failed", "transfer-learning", str(output))
    assert told["reason"] == str(failed.value) and "output=" in told["reason"] and "--" not in told["reason"]


def test_a_comparison_notifies_as_well(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    output.mkdir()
    (output / "recipe.yaml").write_text("{}")
    given = ["--data", str(photos), "--backbone", "sketchnet", "--output", str(output)]
    with listening() as hook:
        done = CliRunner().invoke(app, ["compare", *given, "--notify", hook.address])
        (body,) = hook.received
    assert done.exit_code == 1 and SECRET not in done.output
    told = body["headstart"]
    assert (told["result"], told["pipeline"], told["run"]) == ("failed", "compare-methods", str(output))
    assert "holds the results of headstart run" in told["reason"]
