import dataclasses
import json
from pathlib import Path

import pytest
from support.rankings import assessed

from headstart.components.core.artifacts.backbone_assessment import (
    Assessment,
    MeasuredBackbone,
    Measurement,
    write_assessment,
    write_measurement,
)
from headstart.components.core.artifacts.backbone_ranking import Ranking
from headstart.components.core.util.errors import HeadstartError
from headstart.components.rank_backbones.step import build_ranking, rank_assessments
from headstart.pipelines.progress.events import BackboneRanked, RankingEnded, parse

MEASUREMENT = Measurement([MeasuredBackbone("large", 30, 9.0), MeasuredBackbone("small", 10, 8.0)], 500, 0.9, False)
COMMAND = "headstart submit --data 'gs://b/my pets' --wait"


def written(folder: Path, *assessments: Assessment) -> list[Path]:
    write_measurement(folder / "measurement", MEASUREMENT)
    for each in assessments:
        write_assessment(folder / each.name, each)
    return [folder / each.name for each in assessments]


def test_ranking_report_and_log_say_the_same(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    folders = written(tmp_path, assessed("large", 30, 10, 1), assessed("small", 10, 60, 2))
    ranking, report = tmp_path / "made" / "ranking", tmp_path / "made" / "report"
    assert rank_assessments(folders, tmp_path / "measurement", ranking, report, COMMAND) == "large"
    found = json.loads(ranking.read_text())
    assert [each["name"] for each in found["backbones"]] == ["large", "small"]
    assert (found["chosen"], found["images"], found["available"], found["kept"]) == ("large", 400, 500, False)
    text = report.read_text()
    assert text.startswith("# Backbone large\n") and "- shown to be worse: small\n" in text
    assert f"\n{COMMAND} --backbone large\n" in text
    lines = dict.fromkeys(logged.messages)
    events = [event for event in map(parse, lines) if isinstance(event, BackboneRanked | RankingEnded)]
    *backbones, end = events
    assert end == RankingEnded(400, 500, False, f"{COMMAND} --backbone large")
    shown = Ranking([each.backbone for each in backbones if isinstance(each, BackboneRanked)], 400, 500, False)
    assert shown.chosen == "large"
    for logged_backbone, stored in zip(shown.backbones, found["backbones"], strict=True):
        for name, value in dataclasses.asdict(logged_backbone).items():
            expected = stored[name]
            assert value == (expected if expected is None or name == "name" else pytest.approx(expected, 1e-5)), name


def test_assessments_on_other_images_are_refused() -> None:
    first, second = assessed("large", 30, 10, 1), assessed("small", 10, 60, 2)
    others = dataclasses.replace(second.predictions, ids=second.predictions.ids[::-1])
    with pytest.raises(HeadstartError, match="small was assessed on other images than large"):
        build_ranking([first, dataclasses.replace(second, predictions=others)], MEASUREMENT)
