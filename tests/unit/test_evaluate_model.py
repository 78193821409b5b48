import json
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headstart.components.core.dataset import read_rows
from headstart.components.core.errors import HeadstartError
from headstart.components.core.network.artifact import load_model
from headstart.components.evaluate_model.step import Evaluation, Inputs, evaluate_model


@pytest.fixture(scope="module")
def out(head: Path, splits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    inputs = Inputs(head, splits["test"], splits["validation"], [head], str(head))
    result = evaluate_model(inputs, folder / "evaluation", folder / "report.html")
    assert isinstance(result, Evaluation)
    return folder


def test_predictions_are_what_the_saved_model_says_of_the_images(
    out: Path, head: Path, splits: dict[str, Path]
) -> None:
    table = pq.read_table(out / "evaluation" / "predictions.parquet").to_pylist()
    rows = list(read_rows(splits["test"]))
    assert [each["id"] for each in table] == [row.id for row in rows]
    assert [each["label"] for each in table] == [row.label for row in rows]
    model = load_model(head)
    for each, row in list(zip(table, rows, strict=True))[:6]:
        image = np.asarray(Image.open(BytesIO(row.image)), np.float32)[None]
        dog = float(model.predict(image, verbose=0)[0, 0])
        assert each["probability_dog"] == pytest.approx(dog, abs=1e-5)
        assert each["probability_cat"] == pytest.approx(1 - dog, abs=1e-5)
        assert each["predicted"] == ("dog" if dog > 0.5 else "cat")


def test_metrics_agree_with_the_predictions(out: Path) -> None:
    metrics = json.loads((out / "evaluation" / "metrics.json").read_text())
    table = pq.read_table(out / "evaluation" / "predictions.parquet").to_pylist()
    right = sum(each["predicted"] == each["label_name"] for each in table)
    assert metrics["test"]["correct"] == right
    assert metrics["test"]["accuracy"] == right / len(table)
    low, high = metrics["test"]["accuracy_interval"]
    assert low < metrics["test"]["accuracy"] < high
    assert metrics["head"] == metrics["test"]
    assert metrics["classes"] == ["cat", "dog"]


def test_report_needs_nothing_from_outside(out: Path) -> None:
    text = (out / "report.html").read_text()

    class Links(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []
            self.tags: list[str] = []

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)
            self.found += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href")]

    parser = Links()
    parser.feed(text)
    assert all(link.startswith(("data:", "#")) for link in parser.found)
    assert parser.tags.count("script") == 1 and "link" not in parser.tags
    assert "url(http" not in text and "@import" not in text


def test_models_and_images_of_different_classes_are_refused(
    head: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    from headstart.components.core.dataset import DatasetWriter

    with DatasetWriter(tmp_path / "other", ["cat", "wolf"], "here") as writer:
        for row in read_rows(splits["test"]):
            writer.add(row)
    with pytest.raises(HeadstartError, match=r"has classes .'cat', 'dog'., the test images .'cat', 'wolf'."):
        evaluate_model(Inputs(head, tmp_path / "other"), tmp_path / "evaluation", tmp_path / "report.html")
