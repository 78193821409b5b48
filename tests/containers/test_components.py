"""Every component runs in its container under kfp's DockerRunner, as the image's user and as anyone."""

import json
import pkgutil
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Dict, List

import pyarrow.parquet as pq
import pytest
from docker.errors import ContainerError
from docker.models.images import Image
from kfp import dsl, local
from kfp.dsl import Dataset, Input
from kfp.dsl.pipeline_task import PipelineTask
from support.containers import RESTRICTED
from support.hub_presets import save_preset
from support.own_networks import SIZE, save_usual
from support.published import version_folder

import headstart.components
from headstart.components.assess_backbone.component import assess_backbone
from headstart.components.choose_trial.component import choose_trial
from headstart.components.combine_folds.component import combine_folds
from headstart.components.compare_models.component import compare_models
from headstart.components.compare_variants.component import compare_variants
from headstart.components.core.artifacts.backbone_assessment import read_assessment, read_measurement
from headstart.components.core.artifacts.cross_validation import read_fold_results
from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.artifacts.model import read_model_info, write_seen
from headstart.components.core.artifacts.search_trials import read_search
from headstart.components.core.notifications.notification import NOTIFICATION_FORMAT
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.registry.export_formats import EXPORT_FORMATS
from headstart.components.core.registry.registry import PUBLISHED, read_champion
from headstart.components.core.storage.stores import open_tree
from headstart.components.download_dataset.component import download_dataset
from headstart.components.evaluate_model.component import evaluate_model
from headstart.components.find_champion.component import find_champion
from headstart.components.fine_tune.component import fine_tune
from headstart.components.list_data import step
from headstart.components.list_data.component import list_data
from headstart.components.measure_backbones.component import measure_backbones
from headstart.components.notify_result.component import notify_result
from headstart.components.notify_result.step import NO_ADDRESS
from headstart.components.predict_images.component import predict_images
from headstart.components.propose_trials.component import propose_trials
from headstart.components.publish_model.component import publish_model
from headstart.components.rank_backbones.component import rank_backbones
from headstart.components.run_trial.component import run_trial
from headstart.components.select_test_images.component import select_test_images
from headstart.components.split_dataset.component import split_dataset
from headstart.components.train_folds.component import train_folds
from headstart.components.train_from_scratch.component import train_from_scratch
from headstart.components.train_head.component import train_head
from headstart.components.train_variant.component import train_variant

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::RuntimeWarning")]

VARIANTS = [
    {"name": name, "method": "head", "backbone": "sketchnet", "settings": {"head.epochs": epochs}}
    for name, epochs in (("short", 1), ("long", 2))
]
OWN = "own.keras"
"""Network of the user's own, beside the pictures."""

PRESET = "vit"
"""Folder of a preset of KerasHub, beside the pictures."""

SITE = "/opt/headstart/lib/python3.11/site-packages"
IMAGE_USER, ANYONE = 1000, 1000650000
"""Users of containers: the image's own, and the one of the restrictions."""


def data_steps(data: Path) -> PipelineTask:
    """Adds the steps that compute no network to a pipeline, and returns the one that splits."""
    listing = list_data(data=[str(data)])
    dataset = download_dataset(data=[str(data)], listing=listing.output)
    return split_dataset(dataset=dataset.outputs["dataset"], counts=[40, 10, 10])


def first_model(data: Path) -> tuple[PipelineTask, PipelineTask]:
    """Adds the steps from images to a model, and returns the one that splits and the one that trains."""
    split = data_steps(data)
    both = {name: split.outputs[name] for name in ("train", "validation")}
    return split, train_head(**both, backbone="sketchnet", settings={"head.epochs": 2})


def every_step(data: Path) -> None:
    split, trained = first_model(data)
    splits, head = split.outputs, trained.outputs["model"]
    both = {"train": splits["train"], "validation": splits["validation"]}
    tuned = fine_tune(**both, head=head, settings={"fine_tuning.epochs": 1}).outputs["model"]
    briefly = {"from_scratch.epochs": 1}
    scratch = train_from_scratch(**both, backbone="sketchnet", image_size=32, settings=briefly).outputs["model"]
    models = {"model": tuned, "head": head, "from_scratch": scratch}
    evaluation = evaluate_model(**models, test=splits["test"], validation=splits["validation"])
    decision = compare_models(evaluation=evaluation.outputs["evaluation"])
    publish_model(
        model=tuned,
        evaluation=evaluation.outputs["evaluation"],
        test=splits["test"],
        train=splits["train"],
        decision=decision.outputs["decision"],
        publish_uri=str(data.parent / "models"),
        exports=list(EXPORT_FORMATS),
    )
    predict_images(model=tuned, evaluation=evaluation.outputs["evaluation"], images=splits["test"])
    published, before = data.parent / "published", data.parent / "before" / "model"
    find_champion(test=splits["test"], publish_uri=str(published), champion=str(before))
    end = notify_result(pipeline="contained", run=dsl.PIPELINE_JOB_ID_PLACEHOLDER, publish_uri=str(published))
    # kfp's local runner hands no outputs of other tasks into the handler.
    with dsl.ExitHandler(end):
        list_data(data=[str(data)])
    select_test_images(dataset=splits["test"], model_uri=str(before))
    compared(**both, test=splits["test"], variants=VARIANTS)
    folds = split_dataset(dataset=splits["train"], cross_validation="2").outputs
    with dsl.ParallelFor(folds["Output"], parallelism=1) as fold:
        options = {"method": "head", "backbone": "sketchnet", "settings": {"head.epochs": 1}}
        results = train_folds(train=folds["train"], folds=fold, **options).outputs["results"]
    combine_folds(train=folds["train"], results=dsl.Collected(results))
    backbones = ["sketchnet", str(data.parent / OWN), f"hub:{data.parent / PRESET}"]
    chosen(train=splits["train"], validation=splits["validation"], backbones=backbones)
    # kfp's local runner hands a pipeline no artifacts unless it has a parameter, too.
    vary = ["fine_tuning.label_smoothing=0,0.1"]
    searched(train=splits["train"], validation=splits["validation"], vary=vary)


@dsl.pipeline
def compared(
    train: Input[Dataset], validation: Input[Dataset], test: Input[Dataset], variants: List[Dict[str, Any]]
) -> None:
    with dsl.ParallelFor(variants, parallelism=1) as variant:
        model = train_variant(train=train, validation=validation, variant=variant).outputs["model"]
        evaluation = evaluate_model(model=model, test=test, validation=validation)
    compare_variants(evaluations=dsl.Collected(evaluation.outputs["evaluation"]), variants=variants)


@dsl.pipeline
def chosen(train: Input[Dataset], validation: Input[Dataset], backbones: List[str]) -> None:
    both = {"train": train, "validation": validation, "image_size": SIZE}
    measured = measure_backbones(**both, backbones=backbones).outputs["measurement"]
    with dsl.ParallelFor(backbones, parallelism=1) as backbone:
        assessed = assess_backbone(**both, measurement=measured, backbone=backbone).outputs["assessment"]
    rank_backbones(assessments=dsl.Collected(assessed), measurement=measured)


@dsl.pipeline
def searched(train: Input[Dataset], validation: Input[Dataset], vary: List[str]) -> None:
    settings = {"backbone": "sketchnet", "image_size": SIZE, "head.epochs": 1, "fine_tuning.epochs": 1}
    both = {"train": train, "validation": validation, "settings": settings}
    proposed = propose_trials(**both, vary=vary, trials_per_round=2).outputs
    with dsl.ParallelFor(proposed["Output"], parallelism=1) as trial:
        results = run_trial(**both, trial=trial).output
    choose_trial(validation=validation, before=proposed["trials"], results=dsl.Collected(results), settings=settings)


def is_listing(outputs: Path) -> None:
    pictures = outputs.parents[1] / "pictures"
    made = json.loads((outputs / "executor_output.json").read_text())
    assert made["parameterValues"] == {"Output": step.list_data([str(pictures)])}


def is_dataset(outputs: Path) -> None:
    assert read_dataset_info(outputs / "dataset").counts == [60, 60]
    assert (outputs / "hygiene").read_text(encoding="utf-8").startswith("<!doctype html>")


def are_splits(outputs: Path) -> None:
    counts = {name: read_dataset_info(outputs / name).counts for name in ("train", "validation", "test")}
    assert counts == {"train": [40, 40], "validation": [10, 10], "test": [10, 10]}


def is_model(stage: str) -> Callable[[Path], None]:
    def check(outputs: Path) -> None:
        info = read_model_info(outputs / "model")
        assert info.stage == stage
        assert info.versions["tensorflow"]
        assert len(list(outputs.glob(f"tensorboard/{stage}/*/*tfevents*"))) == 2

    return check


def is_evaluation(outputs: Path) -> None:
    metrics = json.loads((outputs / "evaluation" / "metrics.json").read_text())
    assert {"test", "head", "from_scratch"} <= set(metrics)
    assert pq.read_metadata(outputs / "evaluation" / "predictions.parquet").num_rows == 20
    assert (outputs / "report").read_text(encoding="utf-8").startswith("<!doctype html>")


def is_decision(outputs: Path) -> None:
    assert json.loads((outputs / "decision").read_text())["verdict"] == "better"
    assert (outputs / "summary").read_text(encoding="utf-8").startswith("# Better")


def are_predictions(outputs: Path) -> None:
    assert pq.read_table(outputs / "predictions")["label"].null_count == 0


def is_champion(outputs: Path) -> None:
    made = json.loads((outputs / "executor_output.json").read_text())
    assert made["parameterValues"] == {"Output": str(outputs.parents[1] / "before" / "model")}


def is_not_notified(outputs: Path) -> None:
    made = json.loads((outputs / "executor_output.json").read_text())
    assert made["parameterValues"] == {"Output": NO_ADDRESS}
    said = json.loads((outputs / "notification").read_text())["headstart"]
    assert (said["format"], said["pipeline"]) == (NOTIFICATION_FORMAT, "contained")


def are_test_images(outputs: Path) -> None:
    assert read_dataset_info(outputs / "test").classes == read_model_info(outputs / "model").classes
    assert json.loads((outputs / "calibration").read_text())["calibration"] is None


def is_comparison(outputs: Path) -> None:
    table = json.loads((outputs / "comparison").read_text())
    assert [row["name"] for row in table["rows"]] == ["short", "long"]
    assert (outputs / "report").read_text(encoding="utf-8").startswith("<!doctype html>")


def are_folds(name: str, folds: list[int]) -> Callable[[Path], None]:
    def check(outputs: Path) -> None:
        found = read_fold_results(outputs / name)
        assert [each.fold for each in found] == folds
        assert sum(each.images for each in found) == 40 * len(folds)

    return check


def is_measurement(outputs: Path) -> None:
    found = read_measurement(outputs / "measurement")
    assert [Path(each.name).name for each in found.backbones] == ["sketchnet", OWN, PRESET]
    assert (found.images, found.share, found.as_run) == (100, 1.0, False)


def is_assessment(outputs: Path) -> None:
    found = read_assessment(outputs / "assessment")
    assert Path(found.name).name in ("sketchnet", OWN, PRESET) and len(found.predictions.ids) == 100


def is_ranking(outputs: Path) -> None:
    found = json.loads((outputs / "ranking").read_text())
    assert {Path(each["name"]).name for each in found["backbones"]} == {"sketchnet", OWN, PRESET}
    assert (outputs / "report").read_text(encoding="utf-8").startswith(f"# Backbone {found['chosen']}\n")


def are_proposals(outputs: Path) -> None:
    made = json.loads((outputs / "executor_output.json").read_text())["parameterValues"]["Output"]
    assert made == [
        {"number": 0, "settings": {}},
        {"number": 1, "settings": {"fine_tuning.label_smoothing": 0.1}},
    ]
    assert read_search(open_tree(str(outputs / "trials")))[1] == []


def is_trial(outputs: Path) -> None:
    made = json.loads((outputs / "executor_output.json").read_text())["parameterValues"]["Output"]
    assert made["state"] == "complete" and made["loss"] <= made["head_loss"], made


def is_chosen(outputs: Path) -> None:
    assert [trial.state for trial in read_search(open_tree(str(outputs / "trials")))[1]] == ["complete"] * 2
    made = json.loads((outputs / "executor_output.json").read_text())["parameterValues"]["Output"]
    assert load_recipe(made) == load_recipe((outputs / "found").read_text())
    assert (outputs / "report").read_text().startswith("# Trial ")


def is_published(outputs: Path) -> None:
    made = json.loads((outputs / "executor_output.json").read_text())
    assert made["parameterValues"] == {"Output": PUBLISHED}
    in_use = read_champion(str(outputs.parents[1] / "models"))
    assert in_use is not None
    assert {"saved_model", "litert", "onnx"} <= {path.name for path in Path(in_use.address).iterdir()}
    card = (outputs / "card").read_text(encoding="utf-8")
    assert card == Path(in_use.address, "model_card.md").read_text(encoding="utf-8")


CHECKS = {
    "list_data": is_listing,
    "download_dataset": is_dataset,
    "split_dataset": are_splits,
    "train_head": is_model("head"),
    "fine_tune": is_model("fine_tuning"),
    "train_from_scratch": is_model("from_scratch"),
    "evaluate_model": is_evaluation,
    "compare_models": is_decision,
    "train_folds": are_folds("results", [0]),
    "combine_folds": are_folds("combined", [0, 1]),
    "train_variant": is_model("head"),
    "compare_variants": is_comparison,
    "measure_backbones": is_measurement,
    "assess_backbone": is_assessment,
    "rank_backbones": is_ranking,
    "propose_trials": are_proposals,
    "run_trial": is_trial,
    "choose_trial": is_chosen,
    "predict_images": are_predictions,
    "find_champion": is_champion,
    "select_test_images": are_test_images,
    "publish_model": is_published,
    "notify_result": is_not_notified,
}


def run(steps: Callable[[Path], Any], pictures: Path, root: Path, **options: Any) -> Path:
    """Runs a pipeline of these steps in containers and returns the folder of its tasks' outputs."""

    @dsl.pipeline
    def contained() -> None:
        steps(root / "pictures")

    # The containers see nothing but the root, and their user is not ours.
    shutil.copytree(pictures, root / "pictures").chmod(0o755)
    root.chmod(0o777)
    local.init(local.DockerRunner(**options), pipeline_root=str(root), raise_on_error=True)
    contained()
    (tasks,) = root.glob("contained-*")
    return tasks


@pytest.fixture(scope="module")
def every(image: Image, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of every component, by task, each in a container that is restricted as much as clusters do it."""
    root = tmp_path_factory.mktemp("root")
    version_folder(root / "before")
    write_seen(root / "before" / "model", [])
    save_usual(root / OWN)
    save_preset("vit", root / PRESET)
    return run(every_step, pictures, root, **RESTRICTED)


@pytest.mark.parametrize("component", CHECKS)
def test_component_leaves_its_outputs(every: Path, component: str) -> None:
    name = component.replace("_", "-")
    # What runs in a loop lies a folder deeper.
    outputs = min(every.rglob(name), key=lambda path: len(path.parts))
    CHECKS[component](outputs)
    assert owners(outputs) == {ANYONE}


def test_steps_run_as_the_user_of_the_image(image: Image, pictures: Path, tmp_path: Path) -> None:
    """Restrictions take more away than this user has; what it adds is its home."""
    tasks = run(first_model, pictures, tmp_path)
    for component in ("list_data", "download_dataset", "split_dataset", "train_head"):
        outputs = tasks / component.replace("_", "-")
        CHECKS[component](outputs)
        assert owners(outputs) == {IMAGE_USER}


def owners(outputs: Path) -> set[int]:
    return {path.stat().st_uid for path in outputs.rglob("*")}


def test_every_component_of_the_package_is_among_them() -> None:
    folders = [module.name for module in pkgutil.iter_modules(headstart.components.__path__) if module.ispkg]
    (home,) = headstart.components.__path__
    # deploy_model takes a cluster: the next test looks for one in vain, and tests/cluster has one.
    every = set(CHECKS) | {"deploy_model"}
    assert every == {name for name in folders if (Path(home) / name / "component.py").is_file()}


def test_image_has_what_deploying_takes_except_a_cluster(inside: Callable[..., str]) -> None:
    code = "from headstart.components.deploy_model.cluster import Cluster; Cluster()"
    with pytest.raises(ContainerError) as caught:
        inside("python3", "-c", code, **RESTRICTED)
    assert b"HeadstartError: no cluster is known" in caught.value.stderr.splitlines()[-1]


def test_data_steps_run_where_tensorflow_and_keras_cannot_be_imported(
    image: Image, pictures: Path, tmp_path: Path
) -> None:
    hidden = {f"{SITE}/{package}": "" for package in ("tensorflow", "keras")}
    are_splits(run(data_steps, pictures, tmp_path, tmpfs=hidden) / "split-dataset")
