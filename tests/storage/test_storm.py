"""Publications that are killed and disturbed at random; benchmarks/publication_faults.py does more of it."""

from pathlib import Path

import pytest
from support.published import version_folder
from support.stores import Stored
from support.storm import publish_in_a_storm

pytestmark = pytest.mark.slow

KILLS = 4


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [version_folder(tmp_path / f"version{seed}", seed, size=300_000) for seed in range(4)]


@pytest.mark.parametrize("place", ["disk", "gcs", "minio"])
def test_no_publication_leaves_anything_half_done(
    place: str, models: list[Path], request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "answers").mkdir()
    if place == "disk":
        tally = publish_in_a_storm(
            str(tmp_path / "published"), models, tmp_path / "answers", KILLS, 1, publishers=(4, 6)
        )
    else:
        stored: Stored = request.getfixturevalue(place)
        direct = stored.server.environment(stored.server.address)
        for name, value in direct.items():
            monkeypatch.setenv(name, value)
        settings = stored.server.environment(stored.proxy.address)
        uri = stored.uri("models")
        tally = publish_in_a_storm(
            uri, models, tmp_path / "answers", KILLS, 1, stored.proxy, settings, publishers=(4, 6)
        )
        assert tally.faults
    assert tally.broken == []
    assert tally.kills >= KILLS
    assert tally.reads
    assert tally.changes
