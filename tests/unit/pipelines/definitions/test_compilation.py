"""The compiled pipelines: what must hold of every one, and that none changes unseen."""

import ast
import dataclasses
import difflib
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT
from typer.testing import CliRunner

from headstart.components.core.recipes.variants import DEFAULT_VARIANTS, HEAD
from headstart.pipelines.cli.main import app
from headstart.pipelines.definitions.backbone_options import BackboneChoice, choice_parameters
from headstart.pipelines.definitions.compilation import pipeline_spec
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.profile import load_profile, profile_names
from headstart.pipelines.definitions.search_options import MOST_ROUNDS, RecipeSearch, search_parameters
from headstart.pipelines.definitions.tasks import (
    ANY_USE,
    CHOOSE_BACKBONE,
    COMPARE_METHODS,
    GROUPS,
    READING_TASKS,
    SEARCH_RECIPE,
    Uses,
    choice_task_names,
    comparison_task_names,
    search_task_names,
    task_names,
)
from headstart.pipelines.definitions.variant_options import VARIANT_PARAMETERS, comparison_parameters

GOLDEN = ROOT / "tests" / "golden"
COMPARISON = ["--pipeline", COMPARE_METHODS]
EVERYTHING = """
registry: registry.example/team
data: {cpu: 500m, node_selector: {disk: ssd}, tolerations: [{key: data, operator: Exists}]}
network: {accelerator_type: amd.com/gpu, accelerator_limit: 4, ephemeral_storage: 20Gi}
stages:
  fine_tune: {accelerator_limit: 2}
  evaluate_model: {accelerator_limit: 1, memory: 3Gi, tolerations: [], image: other/evaluator}
  split_dataset: {cpu: '1', node_selector: {}}
retries: {count: 5, pause_seconds: 10, factor: 3, deadline_days: 30}
deadline_hours: 2.5
secrets:
  - {name: gcs-key, volume: /var/secrets/gcs}
  - {name: kaggle, env: {KAGGLE_KEY: key}, stages: [download_dataset], optional: true}
volumes: [{claim: pictures, path: /data}]
env: {GOOGLE_APPLICATION_CREDENTIALS: /var/secrets/gcs/key.json}
pod_labels: {team: pets}
image_pull_policy: Always
image_pull_secrets: [registry-key]
run_as_user: null
"""


class Compiled:
    """A compiled pipeline: its bytes, its specification, and what it asks of Kubernetes."""

    def __init__(self, path: Path) -> None:
        self.bytes = path.read_bytes()
        # A tenth of the time that the loader in Python takes.
        self.spec, *platforms = yaml.load_all(self.bytes, yaml.CSafeLoader)
        self._platform: dict[str, Any] = platforms[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        self.parameters: dict[str, Any] = self.spec["root"]["inputDefinitions"]["parameters"]
        self.executors: dict[str, Any] = self.spec["deploymentSpec"]["executors"]

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]]:
        """Each task's name, task, container, and wishes of Kubernetes."""
        for name, task in self.tasks.items():
            if f"exec-{name}" in self.executors:
                container = self.executors[f"exec-{name}"]["container"]
                yield name.replace("-", "_"), task, container, self._platform[f"exec-{name}"]

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Every task, also those inside conditions, and the conditions themselves."""
        parts = (self.spec["root"], *self.spec["components"].values())
        return {name: task for part in parts for name, task in part.get("dag", {}).get("tasks", {}).items()}

    def default(self, parameter: str) -> Any:
        return self.parameters[parameter]["defaultValue"]


def compiled(folder: Path, *options: str) -> Compiled:
    path = folder / "pipeline.yaml"
    result = CliRunner().invoke(app, ["compile", "--output", str(path), *options], catch_exceptions=False)
    assert result.exit_code == 0
    return Compiled(path)


@pytest.fixture(scope="module", params=[*profile_names(), "everything"])
def profile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Each profile that comes with the package, and one that asks for everything there is."""
    if request.param != "everything":
        return str(request.param)
    path = tmp_path_factory.mktemp("profile") / "everything.yaml"
    path.write_text(EVERYTHING)
    return str(path)


PIPELINES: dict[str, tuple[list[str], list[str]]] = {
    "transfer": ([], task_names(from_scratch=False)),
    "with from scratch": (["--from-scratch"], task_names(from_scratch=True)),
    "head": (["--method", "head"], task_names(False, Uses(method=HEAD))),
    "comparison": (COMPARISON, comparison_task_names()),
    "choice": (["--pipeline", CHOOSE_BACKBONE], choice_task_names()),
    "search": (["--pipeline", SEARCH_RECIPE, "--rounds", "2"], search_task_names(rounds=2)),
}
"""Options and tasks of each pipeline."""

WHOLE = ("transfer", "comparison", "choice", "search")
"""Pipelines that are on file as a whole."""


@pytest.fixture(scope="module", params=PIPELINES)
def pipeline(request: pytest.FixtureRequest, profile: str, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    options, expected = PIPELINES[request.param]
    folder = tmp_path_factory.mktemp("compiled")
    made = compiled(folder, "--profile", profile, *options)
    assert [path.name for path in folder.iterdir()] == ["pipeline.yaml"]
    assert sorted(name for name, *_ in made) == sorted(name.replace("-", "_") for name in expected)
    return made


def unnumbered(task: str) -> str:
    """Name of a task in profiles: without the number that KFP adds in later rounds of a search."""
    return re.sub(r"_\d+$", "", task)


of_one_model = pytest.mark.parametrize("pipeline", ["transfer", "with from scratch", "head"], indirect=True)


def test_one_accelerator_for_each_task_that_computes_a_network_and_for_no_other(pipeline: Compiled) -> None:
    for task, _, container, wishes in pipeline:
        accelerator = container["resources"].get("accelerator")
        memory = [mount for mount in wishes.get("emptyDirMounts", []) if mount["mountPath"] == "/dev/shm"]
        if GROUPS[unnumbered(task)] == "network":
            assert all(isinstance(accelerator[key], str) for key in ("resourceType", "resourceCount"))
            assert [mount["medium"] for mount in memory] == ["Memory"]
        else:
            assert (accelerator, memory) == (None, [])


def test_what_may_change_at_run_time_is_text(pipeline: Compiled) -> None:
    # A number would compile, and the pod would get no accelerator.
    asked = set(pipeline.parameters) - set(Parameters.model_fields) - {"variants", "backbones", "budget"}
    asked -= {"vary", "trials_per_round"}
    assert {"accelerator_type", "accelerator_limit", "data_cpu", "network_memory", "network_image"} <= asked
    # As text, these two would fail in the driver.
    kinds = {"node_selector": "STRUCT", "tolerations": "LIST"}
    for name in asked:
        kind = kinds.get(name.partition("_")[2], "STRING")
        assert pipeline.parameters[name]["parameterType"] == kind, name
    # Empty ones would fail there too.
    assert all(pipeline.default(f"{group}_{name}") for group in ("data", "network") for name in ("cpu", "memory"))


def test_every_task_has_cpu_memory_image_and_a_place_on_the_cluster(pipeline: Compiled) -> None:
    for _, _, container, wishes in pipeline:
        assert {"resourceCpuLimit", "resourceMemoryLimit"} <= set(container["resources"])
        assert container["image"]
        assert "nodeSelector" in wishes


def test_every_image_is_of_this_version_and_installs_nothing(pipeline: Compiled) -> None:
    static = [container["image"] for _, _, container, _ in pipeline if "{{" not in container["image"]]
    for image in (pipeline.default("data_image"), pipeline.default("network_image"), *static):
        assert image.endswith(f":{version('headstart')}")
    for _, _, container, _ in pipeline:
        assert "pip install" not in " ".join(container["command"])


def test_every_task_is_tried_again_for_days_and_ends_some_day(pipeline: Compiled) -> None:
    for _, task, _, wishes in pipeline:
        policy = task["retryPolicy"]
        assert policy["maxRetryCount"] >= 2
        assert policy["backoffDuration"] != "0s"
        # KFP means a deadline over all attempts, where it says the longest pause.
        assert int(policy["backoffMaxDuration"].removesuffix("s")) >= 2 * 86_400
        assert int(wishes["activeDeadlineSeconds"]) > 0


def test_every_pod_passes_the_restricted_standard(pipeline: Compiled) -> None:
    for _, _, _, wishes in pipeline:
        assert wishes["securityContext"]["runAsNonRoot"] is True
        assert wishes["securityContext"].get("runAsUser") != "0"
        assert not {"hostPath", "privileged"} & set(re.findall(r"\w+", json.dumps(wishes)))


@of_one_model
def test_what_looks_outside_is_never_cached_and_what_follows_depends_on_it(pipeline: Compiled) -> None:
    cached = {name: task["cachingOptions"].get("enableCache", False) for name, task, _, _ in pipeline}
    assert {name for name, kept in cached.items() if not kept} == {"list_data", "find_champion", "publish_model"}
    for task, parameter, source in (
        ("download-dataset", "listing", "list-data"),
        ("evaluate-model", "champion", "find-champion"),
    ):
        given = pipeline.tasks[task]["inputs"]["parameters"][parameter]
        assert given["taskOutputParameter"]["producerTask"] == source


@of_one_model
def test_nothing_is_trained_before_the_model_in_use_is_known_to_fit(pipeline: Compiled) -> None:
    for task in {"train-head", "train-from-scratch"} & set(pipeline.tasks):
        assert "find-champion" in pipeline.tasks[task]["dependentTasks"]


def test_credentials_are_names_of_secrets_and_only_tasks_that_read_see_them(pipeline: Compiled) -> None:
    for task, _, _, wishes in pipeline:
        secrets = wishes.get("secretAsEnv", []) + wishes.get("secretAsVolume", [])
        assert not secrets or unnumbered(task) in READING_TASKS
        assert all(secret["secretName"] for secret in secrets)


@of_one_model
def test_no_loop_no_other_task_and_two_conditions(pipeline: Compiled) -> None:
    # Each costs a pod of its own.
    others = [task for name, task in pipeline.tasks.items() if f"exec-{name}" not in pipeline.executors]
    assert [task["triggerPolicy"]["condition"] for task in others] == [
        "inputs.parameter_values['pipelinechannel--publish_uri'] != ''",
        "inputs.parameter_values['pipelinechannel--compare-models-Output'] == 'better'",
    ]


@pytest.mark.parametrize(
    ("asked", "left_out", "conditions", "publishes"),
    [
        ({}, {"find-champion", "compare-models", "publish-model"}, [], "never"),
        ({"champion": "gs://b/model"}, {"compare-models", "publish-model"}, [], "never"),
        ({"publish_uri": "gs://b/models"}, set(), ["if-it-is-better"], "always"),
    ],
)
def test_a_run_has_no_task_that_it_has_no_use_for(
    asked: dict[str, str], left_out: set[str], conditions: list[str], publishes: str
) -> None:
    parameters = Parameters(data=["gs://b/pictures"], **asked).model_dump()
    spec = pipeline_spec(load_profile("cpu"), from_scratch=True, uses=Uses.of(parameters))["pipeline_spec"]
    parts = (spec["root"], *spec["components"].values())
    tasks = {name: task for part in parts for name, task in part.get("dag", {}).get("tasks", {}).items()}
    code = {name for name in tasks if f"exec-{name}" in spec["deploymentSpec"]["executors"]}
    assert code == set(task_names(from_scratch=True)) - left_out
    assert [task["taskInfo"]["name"] for name, task in tasks.items() if name not in code] == conditions
    # A copy of such a run with other parameters, made on KFP's own pages, is refused by its first task.
    given = tasks["list-data"]["inputs"]["parameters"]
    assert given["publishes"]["runtimeValue"]["constant"] == publishes
    assert set(spec["root"]["inputDefinitions"]["parameters"]) >= set(Parameters.model_fields)


def test_the_first_task_is_told_of_all_that_the_last_ones_take(pipeline: Compiled) -> None:
    first = set(pipeline.tasks["list-data"]["inputs"]["parameters"])
    last = {"compare-models", "publish-model", "find-champion"} & set(pipeline.tasks)
    taken = {name for task in last for name in pipeline.tasks[task]["inputs"]["parameters"]} - {"run"}
    taken |= {name for name in pipeline.parameters if name.endswith("_uri")}
    assert taken <= first
    by_recipe = {"recipe", "settings", "image_size"}
    assert {"variants"} <= first or by_recipe | {"backbone", "weights"} <= first or by_recipe | {"backbones"} <= first


def test_what_tasks_in_a_condition_take_is_passed_on_to_it(pipeline: Compiled) -> None:
    for component in pipeline.spec["components"].values():
        for task in component.get("dag", {}).get("tasks", {}).values():
            given = task["inputs"]["parameters"]
            taken = {each["componentInputParameter"] for each in given.values() if "componentInputParameter" in each}
            assert taken
            assert taken <= set(component["inputDefinitions"]["parameters"])
            assert set(re.findall(r"inputs\.parameters\['+([\w-]+)'+\]", json.dumps(given))) <= set(given)


def test_every_parameter_is_typed_and_documented(pipeline: Compiled) -> None:
    for name, definition in pipeline.parameters.items():
        assert definition["description"], name
        assert definition["parameterType"], name
    required = {name for name, definition in pipeline.parameters.items() if "defaultValue" not in definition}
    assert required == {"data"} | ({"backbones"} & set(pipeline.parameters))


@pytest.mark.parametrize("name", sorted(file.parent.name for file in (ROOT / "components").glob("*/component.py")))
def test_every_input_of_a_component_is_documented(name: str) -> None:
    component = getattr(importlib.import_module(f"headstart.components.{name}.component"), name)
    for item, definition in component.component_spec.inputs.items():
        # KFP sets the status itself.
        assert definition.description or item == "status", item


def test_a_workflow_has_no_docs_of_components(pipeline: Compiled) -> None:
    for name, component in pipeline.spec["components"].items():
        for kind in component.get("inputDefinitions", {}).values():
            assert not any("description" in definition for definition in kind.values()), name
    for name, executor in pipeline.spec["deploymentSpec"]["executors"].items():
        (function,) = (each for each in ast.parse(executor["container"]["command"][-1]).body if hasattr(each, "args"))
        assert function.body and ast.get_docstring(function) is None, name


@of_one_model
def test_defaults_are_those_of_the_command_line_and_of_the_components(pipeline: Compiled) -> None:
    defaults = Parameters().model_dump(exclude={"data"})
    assert {name: pipeline.default(name) for name in defaults} == defaults
    # A task alone asks for no accelerator; in the pipeline it must see what its pod was given.
    defaults["accelerators"] = "0"
    defaults["head_to_be_tuned"] = True
    task_prefix = {"comp-train-head": "head_", "comp-fine-tune": "fine_tune_"}
    for component, prefix in task_prefix.items():
        if component not in pipeline.spec["components"]:
            continue
        for name, definition in pipeline.spec["components"][component]["inputDefinitions"]["parameters"].items():
            whole = name if name in defaults else f"{prefix}{name}"
            assert definition["defaultValue"] == defaults[whole], (component, name)


@pytest.mark.parametrize("pipeline", ["comparison"], indirect=True)
def test_comparison_has_one_loop_over_training_and_evaluation(pipeline: Compiled) -> None:
    uncached = [name for name, task, _, _ in pipeline if not task["cachingOptions"].get("enableCache", False)]
    assert uncached == ["list_data"]
    (loop,) = [task for task in pipeline.tasks.values() if "parameterIterator" in task]
    inside = pipeline.spec["components"][loop["componentRef"]["name"]]["dag"]["tasks"]
    assert set(inside) == {"train-variant", "evaluate-model"}
    # Each further task, and each further loop, would cost a pod.
    assert len(pipeline.tasks) == len(comparison_task_names()) + 1
    # The component's defaults must not stand for what the pipeline was asked.
    assert "seed" in inside["train-variant"]["inputs"]["parameters"]


@pytest.mark.parametrize("pipeline", ["comparison"], indirect=True)
def test_comparison_has_the_defaults_of_the_command_line(pipeline: Compiled) -> None:
    defaults = comparison_parameters([], Parameters()) | {"variants": DEFAULT_VARIANTS, "command": ""}
    assert {name: pipeline.default(name) for name in defaults if name != "data"} == {
        name: value for name, value in defaults.items() if name != "data"
    }


@pytest.mark.parametrize("pipeline", ["choice"], indirect=True)
def test_choice_has_one_loop_over_the_backbones(pipeline: Compiled) -> None:
    uncached = [name for name, task, _, _ in pipeline if not task["cachingOptions"].get("enableCache", False)]
    assert uncached == ["list_data"]
    (loop,) = [task for task in pipeline.tasks.values() if "parameterIterator" in task]
    inside = pipeline.spec["components"][loop["componentRef"]["name"]]["dag"]["tasks"]
    assert set(inside) == {"assess-backbone"}
    assert len(pipeline.tasks) == len(choice_task_names()) + 1
    # The component's defaults must not stand for what the pipeline was asked.
    given = set(inside["assess-backbone"]["inputs"]["parameters"])
    assert given >= {"backbone", "recipe", "settings", "image_size", "seed", "record_uri"}


@pytest.mark.parametrize("pipeline", ["choice"], indirect=True)
def test_choice_has_the_defaults_of_the_command_line(pipeline: Compiled) -> None:
    defaults = choice_parameters(BackboneChoice(()), Parameters())
    required = ("data", "backbones")
    assert {name: pipeline.default(name) for name in defaults if name not in required} == {
        name: value for name, value in defaults.items() if name not in required
    }


@pytest.mark.parametrize("pipeline", ["search"], indirect=True)
def test_a_search_has_a_loop_for_each_round_that_knows_the_round_before(pipeline: Compiled) -> None:
    uncached = {name for name, task, _, _ in pipeline if not task["cachingOptions"].get("enableCache", False)}
    assert uncached == {"list_data", "propose_trials", "propose_trials_2", "choose_trial"}
    loops = {name: task for name, task in pipeline.tasks.items() if "parameterIterator" in task}
    assert len(pipeline.tasks) == len(search_task_names(2)) + 2
    for number, (name, loop) in enumerate(sorted(loops.items()), start=1):
        proposing, running = (task if number == 1 else f"{task}-2" for task in ("propose-trials", "run-trial"))
        inside = pipeline.spec["components"][loop["componentRef"]["name"]]["dag"]["tasks"]
        assert set(inside) == {running}
        assert loop["dependentTasks"] == [proposing, "split-dataset"]
        # The component's defaults must not stand for what the pipeline was asked.
        assert set(inside[running]["inputs"]["parameters"]) >= {"trial", *VARIANT_PARAMETERS, "seed", "record_uri"}
        after = "propose-trials-2" if number == 1 else "choose-trial"
        assert {name, proposing} <= set(pipeline.tasks[after]["dependentTasks"])
        before = pipeline.tasks[after]["inputs"]["artifacts"]["before"]["taskOutputArtifact"]
        assert before == {"outputArtifactKey": "trials", "producerTask": proposing}
    # The test set is for the last task alone.
    for task in pipeline.tasks.values():
        given = [each.get("taskOutputArtifact") for each in task["inputs"].get("artifacts", {}).values()]
        used = {"outputArtifactKey": "test", "producerTask": "split-dataset"} in given
        assert used == (task["taskInfo"]["name"] == "evaluate-model")
    for task in ("train-head", "fine-tune"):
        given = pipeline.tasks[task]["inputs"]["parameters"]
        assert given["recipe"] == {
            "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "choose-trial"}
        }
        assert not {"settings", "backbone", "weights", "image_size"} & set(given)


@pytest.mark.parametrize("pipeline", ["search"], indirect=True)
def test_a_search_has_the_defaults_of_the_command_line(pipeline: Compiled) -> None:
    defaults = search_parameters(RecipeSearch(), Parameters())
    assert {name: pipeline.default(name) for name in defaults if name != "data"} == {
        name: value for name, value in defaults.items() if name != "data"
    }


def test_the_longest_search_is_a_pipeline_that_kfp_takes(tmp_path: Path) -> None:
    made = compiled(tmp_path, "--pipeline", SEARCH_RECIPE, "--rounds", str(MOST_ROUNDS))
    assert len(made.bytes) < 500_000
    command = ["compile", "--output", str(tmp_path / "more.yaml"), "--pipeline", SEARCH_RECIPE, "--rounds"]
    for rounds in (0, MOST_ROUNDS + 1):
        result = CliRunner().invoke(app, [*command, str(rounds)])
        assert f"--rounds {rounds}: give 1 to {MOST_ROUNDS}" in str(result.exception)


@pytest.fixture(scope="module")
def of_cpu(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("cpu")
    return {kind: comparable(compiled(folder, "--profile", "cpu", *PIPELINES[kind][0]).bytes) for kind in WHOLE}


def test_compiled_pipeline_is_the_one_on_file(
    pipeline: Compiled, of_cpu: dict[str, str], request: pytest.FixtureRequest
) -> None:
    """These pipelines are on file for the profile `cpu`; of others, how they differ from the one of their kind."""
    profile, kind = request.node.callspec.params["profile"], request.node.callspec.params["pipeline"]
    whole = kind if kind in WHOLE else "transfer"
    made = comparable(pipeline.bytes)
    golden = GOLDEN / f"{kind.replace(' ', '-')}-{profile}.yaml"
    if (profile, kind) != ("cpu", whole):
        golden = golden.with_suffix(".diff")
        made = difference(of_cpu[whole], made)
    if request.config.getoption("--write-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(made)
    assert made == golden.read_text(), "see the difference, and run make golden if it is meant"


def comparable(pipeline: bytes) -> str:
    """What SDK made it may change with every installation, the version with every release."""
    text = re.sub(r"^sdkVersion: .*$", "sdkVersion: any", pipeline.decode(), flags=re.MULTILINE)
    return text.replace(f":{version('headstart')}", ":VERSION")


def difference(base: str, made: str) -> str:
    """Lines that differ, with one of context; no line numbers, as every change would move them."""
    lines = difflib.unified_diff(base.splitlines(), made.splitlines(), n=1, lineterm="")
    return "".join(f"{'@@' if line.startswith('@@') else line}\n" for line in list(lines)[2:])


def test_a_deployment_is_compiled_in_for_runs_that_publish(tmp_path: Path) -> None:
    plain = compiled(tmp_path)
    deploying = compiled(tmp_path, "--deploy", "--endpoint", "replicas=3", "--endpoint", "namespace=pets")
    assert set(deploying.tasks) - set(plain.tasks) == {"deploy-model"}
    assert deploying.parameters == plain.parameters
    given = deploying.tasks["deploy-model"]["inputs"]["parameters"]
    assert given["replicas"]["runtimeValue"]["constant"] == 3
    assert given["namespace"]["runtimeValue"]["constant"] == "pets"
    assert given["name"]["runtimeValue"]["constant"] == ""
    assert "componentInputParameter" in given["publish_uri"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--deploy", "--endpoint", "replicas=0"), "0 to 0 replicas make no sense"),
        (("--endpoint", "replicas=2"), "has no use without --deploy"),
        ((*COMPARISON, "--deploy"), "compare-methods publishes no model"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused(tmp_path: Path, options: tuple[str, ...], reason: str) -> None:
    result = CliRunner().invoke(app, ["compile", "--output", str(tmp_path / "pipeline.yaml"), *options])
    assert result.exit_code and reason in str(result.exception)


def test_images_without_a_registry_are_warned_of(tmp_path: Path) -> None:
    def warnings(*options: str) -> list[str]:
        path = tmp_path / "pipeline.yaml"
        result = CliRunner().invoke(app, ["compile", "--output", str(path), *options], catch_exceptions=False)
        assert result.exit_code == 0
        assert result.stdout.split() == [str(path)]
        return result.stderr.splitlines()

    (line,) = warnings()
    number = version("headstart")
    assert line.startswith(
        f"warning: no registry is named before headstart:{number} and headstart-gpu:{number}: a node without"
    )
    assert line.endswith("name your registry with --registry")
    (line,) = warnings("--profile", "cpu")
    assert f"before headstart:{number}: " in line
    assert warnings("--registry", "registry.example/team") == []
    assert warnings("--image", "registry.example/team/mine:1") == []
    (line,) = warnings("--image", "mine:1")
    assert "before mine:1: " in line


def test_a_profile_reaches_the_pods(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(EVERYTHING)
    made = compiled(tmp_path, "--profile", str(tmp_path / "mine.yaml"))
    tasks = {name: (task, container, wishes) for name, task, container, wishes in made}
    assert made.default("data_image") == f"registry.example/team/headstart:{version('headstart')}"
    assert made.default("data_tolerations") == [{"key": "data", "operator": "Exists"}]
    assert (made.default("accelerator_type"), made.default("accelerator_limit")) == ("amd.com/gpu", "4")
    _, evaluate, wishes = tasks["evaluate_model"]
    assert evaluate["resources"]["accelerator"]["resourceCount"] == "1"
    assert evaluate["resources"]["resourceMemoryLimit"] == "3Gi"
    assert evaluate["image"] == f"other/evaluator:{version('headstart')}"
    assert "tolerations" not in wishes
    assert {mount["mountPath"]: mount["sizeLimit"] for mount in wishes["emptyDirMounts"]} == {
        "/dev/shm": "2Gi",
        "/tmp": "20Gi",
    }
    task, download, wishes = tasks["download_dataset"]
    assert task["retryPolicy"] == {
        "maxRetryCount": 5,
        "backoffDuration": "10s",
        "backoffFactor": 3.0,
        "backoffMaxDuration": "2592000s",
    }
    assert wishes["activeDeadlineSeconds"] == "9000"
    assert [(each["secretName"], each["mountPath"]) for each in wishes["secretAsVolume"]] == [
        ("gcs-key", "/var/secrets/gcs")
    ]
    assert wishes["secretAsEnv"][0]["keyToEnv"] == [{"envVar": "KAGGLE_KEY", "secretKey": "key"}]
    assert wishes["secretAsEnv"][0]["optional"] is True
    assert wishes["pvcMount"][0]["mountPath"] == "/data"
    assert wishes["podMetadata"]["labels"] == {"team": "pets"}
    assert wishes["imagePullPolicy"] == "Always"
    assert [each["secretName"] for each in wishes["imagePullSecret"]] == ["registry-key"]
    assert download["env"] == [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/var/secrets/gcs/key.json"}]
    assert "runAsUser" not in wishes["securityContext"]
    assert tasks["split_dataset"][1]["resources"]["resourceCpuLimit"] == "1"
    needed = {task: tasks[task][0]["inputs"]["parameters"]["accelerators"] for task in ("train_head", "fine_tune")}
    assert needed["train_head"] == {"componentInputParameter": "accelerator_limit"}
    assert needed["fine_tune"] == {"runtimeValue": {"constant": "2"}}
    assert "pvcMount" not in tasks["split_dataset"][2]
    assert tasks["fine_tune"][2]["pvcMount"][0]["mountPath"] == "/data", "its checkpoints may be there"


def test_one_image_for_all_and_another_registry(tmp_path: Path) -> None:
    made = compiled(tmp_path, "--image", "registry.example/own:9")
    assert {made.default("data_image"), made.default("network_image")} == {"registry.example/own:9"}
    made = compiled(tmp_path, "--registry", "registry.example/team/")
    assert made.default("network_image") == f"registry.example/team/headstart-gpu:{version('headstart')}"


def test_compiling_twice_gives_identical_bytes(tmp_path: Path) -> None:
    first = compiled(tmp_path).bytes
    output = str(tmp_path / "pipeline.yaml")
    code = f"from headstart.pipelines.cli.main import app; app(['compile', '--output', {output!r}])"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/", capture_output=True)
    assert (tmp_path / "pipeline.yaml").read_bytes() == first


def test_a_file_that_kfp_would_refuse_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compile", "--output", str(tmp_path / "pipeline.txt")])
    assert "must end in .yaml" in str(result.exception)


@pytest.mark.parametrize(
    "module",
    [
        "list_data",
        "find_champion",
        "download_dataset",
        "split_dataset",
        "compare_models",
        "propose_trials",
        "choose_trial",
    ],
)
def test_data_steps_start_without_tensorflow_and_steps_without_kfp(module: str) -> None:
    unwanted = "{'tensorflow', 'keras', 'kfp'}"
    code = f"import sys, headstart.components.{module}.step; assert not {unwanted} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "module", ["train_head", "fine_tune", "train_from_scratch", "train_variant", "evaluate_model", "run_trial"]
)
def test_network_steps_never_import_kfp(module: str) -> None:
    code = f"import sys, headstart.components.{module}.step; assert 'kfp' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("parallel", [0, 3])
def test_folds_are_a_loop_over_what_the_split_says(tmp_path: Path, parallel: int) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(f"parallel_folds: {parallel}\n")
    made = compiled(tmp_path, "--profile", str(profile), "--folds")
    uses = dataclasses.replace(ANY_USE, folds=True)
    assert {name for name, *_ in made} == {name.replace("-", "_") for name in task_names(False, uses)}
    (loop,) = [task for task in made.tasks.values() if "parameterIterator" in task]
    assert set(made.spec["components"][loop["componentRef"]["name"]]["dag"]["tasks"]) == {"train-folds"}
    assert loop["inputs"]["parameters"][loop["parameterIterator"]["items"]["inputParameter"]] == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "split-dataset"}
    }
    assert loop.get("iteratorPolicy", {}).get("parallelismLimit", 0) == parallel
    for task in ("train-head", "fine-tune"):
        given = made.tasks[task]["inputs"]["artifacts"]["folds"]["taskOutputArtifact"]
        assert given == {"outputArtifactKey": "combined", "producerTask": "combine-folds"}
