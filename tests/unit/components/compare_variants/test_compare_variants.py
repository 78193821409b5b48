import json
import math
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from sklearn.metrics import log_loss
from statsmodels.stats.contingency_tables import mcnemar
from support import ROOT
from support.comparisons import VARIANTS, drawn_comparison, drawn_evaluation

from headstart.components.compare_variants.comparison_page import duration
from headstart.components.compare_variants.step import compare_variants
from headstart.components.core.artifacts.hygiene import HygieneSummary, write_hygiene
from headstart.components.core.artifacts.predictions import PREDICTIONS, VALIDATION, read_predictions
from headstart.components.core.recipes.variants import DEFAULT_VARIANTS, read_variants
from headstart.components.core.util.errors import HeadstartError

SCHEMA = ROOT / "docs" / "reference" / "schemas" / "comparison.schema.json"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return drawn_comparison(tmp_path_factory.mktemp("comparison") / "drawn")


@pytest.fixture(scope="module")
def table(drawn: tuple[Path, Path]) -> dict[str, Any]:
    return dict(json.loads(drawn[0].read_text()))


def row(table: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(next(each for each in table["rows"] if each["name"] == name))


def compared(folder: Path, strengths: list[float], **options: Any) -> dict[str, Any]:
    evaluations = [
        drawn_evaluation(folder / str(at), strength, at, **options) for at, strength in enumerate(strengths)
    ]
    variants = [{"name": f"v{at}"} for at in range(len(strengths))]
    compare_variants(evaluations, variants, folder / "comparison.json", folder / "comparison.html")
    return dict(json.loads((folder / "comparison.json").read_text()))


def test_validation_images_choose(drawn: tuple[Path, Path], table: dict[str, Any]) -> None:
    for each in table["rows"]:
        answers = read_predictions(drawn[0].parent / each["name"] / VALIDATION)
        assert each["validation_log_loss"] == pytest.approx(log_loss(answers.labels, answers.probabilities[:, 1]))
        assert each["validation_accuracy"] == answers.right.mean()
    assert table["chosen"] == min(table["rows"], key=lambda each: each["validation_log_loss"])["name"]


def test_the_better_on_test_images_is_not_chosen_for_that(tmp_path: Path) -> None:
    evaluations = [
        drawn_evaluation(tmp_path / name, strength, 0, on_validation=on_validation)
        for name, strength, on_validation in (("a", 3.0, 2.0), ("b", 2.0, 3.0))
    ]
    paths = tmp_path / "comparison.json", tmp_path / "comparison.html"
    assert compare_variants(evaluations, [{"name": "a"}, {"name": "b"}], *paths) == "b"
    assert row(json.loads(paths[0].read_text()), "a")["difference"]["verdict"] == "better"
    assert "a is better than it" in paths[1].read_text()


def test_disagreement_of_validation_and_test_images_is_said(tmp_path: Path) -> None:
    evaluations = [
        drawn_evaluation(tmp_path / name, strength, 0, on_validation=on_validation)
        for name, strength, on_validation in (("a", 3.0, 2.0), ("b", 2.0, 3.0))
    ]
    paths = tmp_path / "comparison.json", tmp_path / "comparison.html"
    compare_variants(evaluations, [{"name": "a"}, {"name": "b"}], *paths)
    table = json.loads(paths[0].read_text())
    jsonschema.validate(table, json.loads(SCHEMA.read_text()))
    found, difference = table["test_disagreement"], row(table, "a")["difference"]
    assert (table["chosen"], found["variant"]) == ("b", "a")
    assert found["log_loss"] == difference["log_loss"] < 0
    assert found["log_loss_interval"] == difference["log_loss_interval"]
    assert "on the test images a has the lowest," in found["text"]
    assert "excludes 0" in found["text"] and found["text"] in paths[1].read_text()
    agreed = compared(tmp_path / "agreed", [4.0, 2.0])
    assert agreed["test_disagreement"] is None
    assert "disagree" not in (tmp_path / "agreed" / "comparison.html").read_text()


def test_differences_are_paired_and_tested_at_a_shared_level(drawn: tuple[Path, Path], table: dict[str, Any]) -> None:
    best = read_predictions(drawn[0].parent / table["chosen"] / PREDICTIONS)
    others = [each for each in table["rows"] if each["name"] != table["chosen"]]
    assert [each["name"] for each in others] == [each["name"] for each in table["rows"] if each["difference"]]
    for each in others:
        answers, difference = read_predictions(drawn[0].parent / each["name"] / PREDICTIONS), each["difference"]
        only = int((answers.right & ~best.right).sum()), int((~answers.right & best.right).sum())
        assert (difference["only_this"], difference["only_chosen"]) == only
        assert difference["accuracy"] == pytest.approx(answers.right.mean() - best.right.mean())
        assert difference["log_loss"] == pytest.approx(each["log_loss"] - row(table, table["chosen"])["log_loss"])
        # Twice the one-sided level 0.025 / 2 is what the two-sided test has to reach.
        two_sided = mcnemar([[0, only[0]], [only[1], 0]], exact=True).pvalue
        assert (difference["verdict"] == "worse") == (two_sided <= 0.05 / 2 and only[0] < only[1])
    assert row(table, "from_scratch")["difference"]["verdict"] == "worse"
    assert row(table, "head")["difference"]["verdict"] == "cannot tell"


def test_intervals_widen_with_the_number_of_variants(tmp_path: Path) -> None:
    two = compared(tmp_path / "two", [4.0, 2.0])["rows"][1]["difference"]
    four = compared(tmp_path / "four", [4.0, 2.0, 2.0, 2.0])["rows"][1]["difference"]
    assert two["accuracy"] == four["accuracy"]
    assert np.ptp(four["accuracy_interval"]) > np.ptp(two["accuracy_interval"])


def test_equal_answers_cannot_be_told_apart(tmp_path: Path) -> None:
    evaluation = drawn_evaluation(tmp_path / "one", 3.0, 0)
    variants = [{"name": "a"}, {"name": "b"}]
    paths = tmp_path / "comparison.json", tmp_path / "comparison.html"
    assert compare_variants([evaluation, evaluation], variants, *paths) == "a"
    difference = json.loads(paths[0].read_text())["rows"][1]["difference"]
    assert (difference["verdict"], difference["accuracy_interval"]) == ("cannot tell", [0, 0])


def test_cost_is_seconds_times_accelerators(table: dict[str, Any]) -> None:
    found = [(each["seconds"], each["accelerator_seconds"], each["parameters"]) for each in table["rows"]]
    assert found == [(12.0, 12.0, 10**5), (52.0, 52.0, 10**6), (92.0, 92.0, 10**7)]


def test_no_accelerator_costs_no_accelerator_time(tmp_path: Path) -> None:
    table = compared(tmp_path, [2.0, 3.0], seconds=5.0, accelerators=0)
    assert {each["accelerator_seconds"] for each in table["rows"]} == {0}
    assert "No accelerator was used." in (tmp_path / "comparison.html").read_text()


def test_json_is_as_documented(table: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(table, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(table | {"more": 1}, schema)


def test_page_says_what_the_table_says(drawn: tuple[Path, Path], table: dict[str, Any]) -> None:
    text = drawn[1].read_text(encoding="utf-8")
    chosen = row(table, table["chosen"])
    assert f"{table['chosen']} is chosen: test accuracy {100 * chosen['accuracy']:.1f} % on 400 images" in text
    assert "it is better than from_scratch; whether head is better or worse cannot be told." in text
    assert "Of those not shown to be worse, head trained fastest: 52 s against 1.5 min." in text
    assert "headstart compare --data pets.zip" in text
    assert not re.search(r"""(src|href)=["']?(http|/)""", text) and text.count("<script") == 1


def test_page_has_the_interval_of_every_log_loss(drawn: tuple[Path, Path], table: dict[str, Any]) -> None:
    text = drawn[1].read_text(encoding="utf-8")
    for each in table["rows"]:
        low, high = each["log_loss_interval"]
        assert f'{each["log_loss"]:.3f} <span class="soft">({low:.3f} to {high:.3f})</span>' in text
        if each["difference"]:
            low, high = each["difference"]["log_loss_interval"]
            assert f'{each["difference"]["log_loss"]:+.3f} <span class="soft">({low:+.3f} to {high:+.3f})' in text


def test_accuracy_is_drawn_over_each_cost(drawn: tuple[Path, Path]) -> None:
    text = drawn[1].read_text(encoding="utf-8")
    described = re.findall('<figure role="img" aria-label="([^"]+)"><svg', text)
    assert [each.partition(",")[0] for each in described] == [
        "Accuracy over training time",
        "Accuracy over parameters",
    ]
    assert "from_scratch 12 s and" in described[0] and "fine_tuned 10 M and" in described[1]
    assert re.search(">fine_tuned</text>", text)


def test_evaluations_of_different_images_are_refused(tmp_path: Path) -> None:
    one, two = (drawn_evaluation(tmp_path / name, 3.0, 0) for name in "ab")
    metrics = two / "metrics.json"
    metrics.write_text(metrics.read_text().replace("ab" * 32, "ff" * 32))
    with pytest.raises(HeadstartError, match=r"'a' and 'b' were evaluated on different images .*give all the same"):
        compare_variants([one, two], [{"name": "a"}, {"name": "b"}], tmp_path / "c.json", tmp_path / "c.html")


def test_evaluation_without_validation_images_is_refused(tmp_path: Path) -> None:
    folder = drawn_evaluation(tmp_path / "one", 3.0, 0)
    (folder / VALIDATION).unlink()
    with pytest.raises(HeadstartError, match="variant 'a' has no validation images, which choose"):
        compare_variants([folder] * 2, [{"name": "a"}, {"name": "b"}], tmp_path / "c.json", tmp_path / "c.html")
    with pytest.raises(HeadstartError, match="1 evaluations of 2 variants"):
        compare_variants([folder], [{"name": "a"}, {"name": "b"}], tmp_path / "c.json", tmp_path / "c.html")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (9.96, "10 s"), (59.4, "59 s"), (90, "1.5 min"), (3600, "1.0 h")]
)
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "there are none; comparing takes two"),
        ([{"name": "a"}], "there is 1; comparing takes two"),
        ([{"name": "a"}, {"name": "A"}], "two are called 'A'"),
        ([{"name": "a/b"}, {"name": "c"}], "the name 'a/b' is not made of"),
        ([{"name": "a"}, {"name": "."}], "the name '.' is not made of"),
        ([{"name": "a"}, {"name": "b", "methd": "head"}], "number 2 \\(b\\): unknown key 'methd'.*method"),
        ([{"name": "a"}, {"name": "b", "method": "tail"}], "number 2 \\(b\\): method is 'tail'"),
        ([{"name": "a"}, {"method": "head"}], "number 2: name"),
        ({"name": "a"}, "must be a list"),
        (["head"], "must be a list"),
    ],
)
def test_wrong_variants_are_refused_in_one_line(values: Any, message: str) -> None:
    with pytest.raises(HeadstartError, match=f"variants.*{message}"):
        read_variants(values)


def test_variants_that_came_through_json_have_whole_numbers() -> None:
    variant = read_variants([{"name": "a", "image_size": 64.0}, {"name": "b"}])[0]
    assert variant.image_size == 64 and isinstance(variant.image_size, int)
    assert not math.isnan(variant.load_recipe().head.learning_rate)
    assert [each.method for each in read_variants(DEFAULT_VARIANTS)] == ["from_scratch", "head", "fine_tuned"]
    assert VARIANTS == DEFAULT_VARIANTS


def test_page_begins_with_the_classes_where_the_data_are_known(tmp_path: Path) -> None:
    evaluations = [drawn_evaluation(tmp_path / str(at), 1.0 + at, at) for at in range(2)]
    summary = HygieneSummary(400, 400, {}, 0, [], "2 classes: <cat> (200), dog (200)", "the folders of pets")
    write_hygiene(evaluations[0], summary)
    page = tmp_path / "comparison.html"
    compare_variants(evaluations, [{"name": "a"}, {"name": "b"}], tmp_path / "comparison.json", page)
    header = page.read_text(encoding="utf-8").partition("<main")[0]
    assert "<dd>2 classes: &lt;cat&gt; (200), dog (200); from the folders of pets</dd>" in header
