import pytest

from headstart.components.core.util import logs
from headstart.pipelines.progress.events import TaskProgress, parse


def test_what_is_logged_as_progress_is_read_as_progress(logged: pytest.LogCaptureFixture) -> None:
    assert list(logs.track_progress("abc", 'a "quoted" what', 3)) == ["a", "b", "c"]
    assert parse(logged.messages[-1]) == TaskProgress("a 'quoted' what", 3, 3, "")
