"""Every component alone under kfp's local runner, its inputs imported as artifacts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from kfp import dsl, local
from support.published import version_folder

from headstart.components.compare_models.component import compare_models
from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info
from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.registry import registry
from headstart.components.download_dataset.component import download_dataset
from headstart.components.evaluate_model.component import evaluate_model
from headstart.components.find_champion.component import find_champion
from headstart.components.fine_tune.component import fine_tune
from headstart.components.list_data.component import list_data
from headstart.components.list_data.step import list_data as digest_of
from headstart.components.predict_images.component import predict_images
from headstart.components.publish_model.component import publish_model
from headstart.components.split_dataset.component import split_dataset
from headstart.components.train_from_scratch.component import train_from_scratch
from headstart.components.train_head.component import train_head

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path), raise_on_error=True)
    return tmp_path


def run(component: Callable[..., Any], artifacts: dict[str, tuple[type, Path]], **parameters: Any) -> None:
    @dsl.pipeline
    def alone() -> None:
        imported = {
            name: dsl.importer(artifact_uri=str(path), artifact_class=kind).output
            for name, (kind, path) in artifacts.items()
        }
        component(**imported, **parameters)

    alone()


def output(root: Path, path: str) -> Path:
    (found,) = root.glob(f"*/{path}")
    return found


def is_told_to_tensorboard(root: Path, task: str, stage: str) -> bool:
    return len(list(output(root, f"{task}/tensorboard").glob(f"{stage}/*/*tfevents*"))) == 2


def as_data(splits: dict[str, Path], *names: str) -> dict[str, tuple[type, Path]]:
    return {name: (dsl.Dataset, splits[name]) for name in names}


def test_list_data(root: Path, pictures: Path) -> None:
    assert list_data(data=[str(pictures)]).output == digest_of([str(pictures)])


def test_find_champion(root: Path, splits: dict[str, Path], tmp_path: Path) -> None:
    uri = str(tmp_path / "published")
    outcome = registry.publish_folder(version_folder(tmp_path / "version"), uri)
    run(find_champion, as_data(splits, "test"), publish_uri=uri)
    made = json.loads(output(root, "find-champion/executor_output.json").read_text())
    assert made["parameterValues"] == {"Output": f"{outcome.address}/model"}


def test_download_dataset(root: Path, pictures: Path, dataset: Path) -> None:
    outputs = download_dataset(data=[str(pictures)]).outputs
    made = outputs["dataset"]
    assert read_dataset_info(Path(made.path)).digest == read_dataset_info(dataset).digest == made.metadata["digest"]
    assert Path(outputs["hygiene"].path).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_split_dataset(root: Path, dataset: Path) -> None:
    run(split_dataset, {"dataset": (dsl.Dataset, dataset)}, counts=[30, 10, 20], order="name", seed=3, folds=4)
    sizes = {
        name: read_dataset_info(output(root, f"split-dataset/{name}")).counts
        for name in ("train", "validation", "test")
    }
    assert sizes == {"train": [30, 30], "validation": [10, 10], "test": [20, 20]}
    folds = read_columns(output(root, "split-dataset/train"), ["fold"])["fold"].to_pylist()
    assert set(folds) == {0, 1, 2, 3}


def test_split_dataset_by_class(root: Path, dataset: Path) -> None:
    counts = {"dog": [20, 5, 5], "cat": [30, 10, 20]}
    run(split_dataset, {"dataset": (dsl.Dataset, dataset)}, class_counts=counts, tiny_classes="leave_out")
    sizes = [
        read_dataset_info(output(root, f"split-dataset/{name}")).counts for name in ("train", "validation", "test")
    ]
    assert sizes == [[30, 20], [10, 5], [20, 5]]


def test_train_head(root: Path, splits: dict[str, Path]) -> None:
    settings = {"head.epochs": 2}
    run(train_head, as_data(splits, "train", "validation"), backbone="sketchnet", settings=settings)
    assert read_model_info(output(root, "train-head/model")).stage == "head"
    assert is_told_to_tensorboard(root, "train-head", "head")


def test_fine_tune(root: Path, splits: dict[str, Path], head: Path) -> None:
    artifacts = {"head": (dsl.Model, head)} | as_data(splits, "train", "validation")
    run(fine_tune, artifacts, settings={"fine_tuning.epochs": 1})
    assert read_model_info(output(root, "fine-tune/model")).parent == read_model_info(head).sha256
    assert is_told_to_tensorboard(root, "fine-tune", "fine_tuning")


def test_train_from_scratch(root: Path, splits: dict[str, Path]) -> None:
    recipe = "image_size: 32\nfrom_scratch:\n  epochs: 1\n"
    run(train_from_scratch, as_data(splits, "train", "validation"), backbone="sketchnet", recipe=recipe)
    assert read_model_info(output(root, "train-from-scratch/model")).stage == "from_scratch"
    assert is_told_to_tensorboard(root, "train-from-scratch", "from_scratch")


def test_evaluate_model_with_and_without_the_optional_models(root: Path, splits: dict[str, Path], head: Path) -> None:
    model = {"model": (dsl.Model, head)}
    run(evaluate_model, model | as_data(splits, "test"))
    metrics = json.loads(output(root, "evaluate-model/evaluation/metrics.json").read_text())
    assert metrics["calibration"] is None and metrics["comparison"] is None and "head" not in metrics
    assert output(root, "evaluate-model/report").read_text().startswith("<!doctype html>")


@pytest.mark.slow
def test_evaluate_model_with_validation_and_champion_and_what_comes_after_it(
    root: Path, splits: dict[str, Path], head: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    uri = tmp_path_factory.mktemp("models") / "pets"

    @dsl.pipeline
    def evaluated(champion: str) -> None:
        def imported(kind: type, path: Path) -> Any:
            return dsl.importer(artifact_uri=str(path), artifact_class=kind).output

        evaluation = evaluate_model(
            model=imported(dsl.Model, head),
            test=imported(dsl.Dataset, splits["test"]),
            validation=imported(dsl.Dataset, splits["validation"]),
            head=imported(dsl.Model, head),
            champion=champion,
        )
        compare_models(evaluation=evaluation.outputs["evaluation"], min_images=10)
        publish_model(
            model=imported(dsl.Model, head),
            evaluation=evaluation.outputs["evaluation"],
            test=imported(dsl.Dataset, splits["test"]),
            publish_uri=str(uri),
            run="a test",
        )

    evaluated(champion=str(head))
    metrics = json.loads(output(root, "evaluate-model/evaluation/metrics.json").read_text())
    assert metrics["calibration"]["validation_images"] == 20
    assert metrics["doubtful_labels"] is not None
    decision = json.loads(output(root, "compare-models/decision").read_text())
    assert (decision["verdict"], decision["comparison"]["images"]) == ("cannot tell", 20)
    assert output(root, "compare-models/summary").read_text().startswith("# Cannot tell")
    in_use = registry.read_champion(str(uri))
    assert in_use is not None and in_use.history[-1].facts.run == "a test"
    assert output(root, "publish-model/card").read_text() == Path(in_use.address, "model_card.md").read_text()


def test_predict_images_with_a_model_and_from_an_address(
    root: Path, splits: dict[str, Path], head: Path, pictures: Path
) -> None:
    @dsl.pipeline
    def predicted() -> None:
        model = dsl.importer(artifact_uri=str(head), artifact_class=dsl.Model).output
        images = dsl.importer(artifact_uri=str(splits["test"]), artifact_class=dsl.Dataset).output
        predict_images(model=model, images=images, data=[str(pictures / "cat.61.jpg")])
        predict_images(model_uri=str(head), data=[f"{pictures}/dog.*.jpg"])

    predicted()
    both = pq.read_table(output(root, "predict-images/predictions"))
    assert both["label"].null_count == 1 and both["reason"].to_pylist()[-1] == "truncated" and len(both) == 21
    assert pq.read_metadata(output(root, "predict-images-2/predictions")).num_rows == 62


def test_missing_output_of_the_step_before_is_named(root: Path, tmp_path: Path, capfd: Any) -> None:
    with pytest.raises(RuntimeError):
        run(split_dataset, {"dataset": (dsl.Dataset, tmp_path / "nothing")})
    assert "nothing is not a complete dataset: dataset.json is missing" in capfd.readouterr().out
