import pytest

from headstart.components.core.util import logs
from headstart.pipelines.progress.events import TaskProgress, parse


def test_what_is_logged_as_progress_is_read_as_progress(logged: pytest.LogCaptureFixture) -> None:
    assert list(logs.track_progress("abc", 'a "quoted" what', 3)) == ["a", "b", "c"]
    assert [parse(line) for line in (logged.messages[0], logged.messages[-1])] == [
        TaskProgress("a 'quoted' what", done, 3, "images") for done in (0, 3)
    ]


def test_the_end_of_work_of_unknown_size_is_logged(logged: pytest.LogCaptureFixture) -> None:
    assert list(logs.track_progress("ab", "listing", 0, unit="files")) == ["a", "b"]
    assert parse(logged.messages[-1]) == TaskProgress("listing", 2, 0, "files")
