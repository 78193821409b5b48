import logging

import pytest
from support.screens import open_terminal

from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, log_progress, start_logging
from headstart.pipelines.progress.command_progress import show_command


def test_what_steps_log_is_shown_and_not_printed(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests of this process may have started logging.
    monkeypatch.setattr(logging.getLogger("headstart"), "handlers", [])
    with open_terminal(80) as terminal:
        with show_command("publish", terminal.console) as display:
            start_logging()
            log_phase("exporting SavedModel")
            display._live.refresh()
            assert "publish  exporting SavedModel" in terminal.read()[0]
            event("warning", text="3 of 5 images are dark")
            log_progress("checking SavedModel", 20, 40, unit="images")
            display._live.refresh()
            lines = terminal.read()
        assert lines[0] == "note: 3 of 5 images are dark"
        assert "publish  checking SavedModel 20/40" in lines[1]
    assert capfd.readouterr() == ("", "")
    assert not logging.getLogger("headstart").handlers


def test_a_failed_command_leaves_no_line_after_a_moment() -> None:
    with open_terminal(80) as terminal:
        with pytest.raises(HeadstartError), show_command("models list", terminal.console):
            raise HeadstartError("cannot be read")
        assert terminal.read() == []
