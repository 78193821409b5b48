import io

import pytest
from rich.console import Console

from headstart.pipelines.progress.display import RunDisplay
from headstart.pipelines.progress.events import (
    ClassNoted,
    Event,
    Measured,
    Raised,
    TaskEnded,
    TaskProgress,
    TaskStarted,
    VariantStarted,
    Warned,
    parse,
)


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("21:00:00.123 - INFO - Executing task \x1b[96m'train-head'\x1b[0m\n", TaskStarted("train-head")),
        (
            "21:00:00.123 - INFO - Task \x1b[96m'train-head'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m",
            TaskEnded("train-head", True),
        ),
        (
            "21:00:00.123 - INFO - Task \x1b[96m'split'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m",
            TaskEnded("split", False),
        ),
        (
            '    event=progress what="reading weights" done=0 total=0',
            TaskProgress("reading weights", 0, 0),
        ),
        (
            "event=progress what=head done=3 total=10 unit=epochs step=5 steps=20 loss=0.5 validation_loss=0.25",
            TaskProgress("head", 3.25, 10, "epochs", "val loss 0.250"),
        ),
        (
            "event=progress what=head done=1 total=10 unit=epochs loss=123456.7",
            TaskProgress("head", 1, 10, "epochs", "loss 1e+05"),
        ),
        (
            "    headstart.components.core.util.errors.HeadstartError: class 'cat' is: small",
            Raised("class 'cat' is: small", True),
        ),
        (
            "    OSError: [Errno 28] No space left on device",
            Raised("OSError: [Errno 28] No space left on device", False),
        ),
        (
            "event=metrics model=head accuracy=0.95 low=0.9 high=0.975 log_loss=0.125 images=168",
            Measured("head", {"images": 168, "accuracy": 0.95, "accuracy_interval": [0.9, 0.975], "log_loss": 0.125}),
        ),
        ("    event=variant variant=small method=head", VariantStarted("small")),
        (
            """event=class_not_evaluated label=emu missing="validation and test" why="emu has 2 pictures\"""",
            ClassNoted("emu", False, "emu has 2 pictures"),
        ),
        (
            """event=class_left_out label="a b" why="a b has 1 picture\"""",
            ClassNoted("a b", True, "a b has 1 picture"),
        ),
        ("    event=network parameters=3", None),
        ('event=warning text="3 of 5 are dark"', Warned("3 of 5 are dark")),
        ("anything else", None),
    ],
)
def test_line_is_read(line: str, event: Event | None) -> None:
    assert parse(line) == event


def test_warnings_reach_the_terminal() -> None:
    output = io.StringIO()
    with RunDisplay(Console(file=output), ["list-data"]) as display:
        display.show(Warned("3 of 5 pictures [all] have hardly any contrast"))
    assert output.getvalue() == "note: 3 of 5 pictures [all] have hardly any contrast\n"
