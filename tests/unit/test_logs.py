import pytest

from headstart.components.core import logs
from headstart.pipelines.events import StageProgress, parse


def test_what_is_logged_as_progress_is_read_as_progress(caplog: pytest.LogCaptureFixture) -> None:
    logger = logs._LOGGER
    logger.addHandler(caplog.handler)
    logger.setLevel("INFO")
    try:
        assert list(logs.tracked("abc", 'a "quoted" what', 3)) == ["a", "b", "c"]
    finally:
        logger.removeHandler(caplog.handler)
    assert parse(caplog.messages[-1]) == StageProgress("a 'quoted' what", 3, 3, "")
