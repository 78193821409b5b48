import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.main import app
from headstart.pipelines.definitions.compilation import pipeline_spec
from headstart.pipelines.definitions.profile import Profile, load_profile, profile_names, profile_text
from headstart.pipelines.definitions.tasks import GROUPS


def own(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return load_profile(str(path))


def test_profiles_are_listed_and_shown_to_be_copied(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["profiles"]).stdout
    assert all(name in listed for name in profile_names())
    shown = CliRunner().invoke(app, ["profiles", "own"]).stdout
    assert shown == profile_text("own")
    assert own(tmp_path, shown) == load_profile("own")


def test_the_documented_profile_names_every_key_and_task() -> None:
    text = profile_text("own")
    for model in (Profile, *(Profile.model_fields[name].annotation for name in ("data", "network", "retries"))):
        for name in model.model_fields:  # type: ignore[union-attr]
            assert f"{name}:" in text, name
    data, network = text.split("# Tasks that ")[1:]
    for task, group in GROUPS.items():
        assert re.search(rf"\b{task}[,.]", data if group == "data" else network), task


def test_publishing_needs_no_accelerator_and_may_be_granted_one(tmp_path: Path) -> None:
    def asked(text: str) -> tuple[Any, Any, list[str]]:
        spec = pipeline_spec(own(tmp_path, text), from_scratch=False)
        executor = spec["pipeline_spec"]["deploymentSpec"]["executors"]["exec-publish-model"]["container"]
        wishes = spec["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-publish-model"]
        mounted = [mount["mountPath"] for mount in wishes.get("emptyDirMounts", [])]
        return executor["resources"].get("accelerator"), executor["image"], mounted

    accelerator, image, mounted = asked("")
    assert (accelerator, mounted) == (None, [])
    assert "data_image" in image
    for none in ("{accelerator_limit: 0}", "{memory: 4Gi}", "{accelerator_limit: 0, accelerator_type: amd.com/gpu}"):
        assert asked(f"stages: {{publish_model: {none}}}")[0] is None
    accelerator, image, mounted = asked("stages: {publish_model: {accelerator_limit: 1}}")
    assert accelerator["resourceCount"] == "1"
    assert "accelerator_type" in accelerator["resourceType"]
    assert "network_image" in image
    assert mounted == ["/dev/shm"]
    accelerator, _, _ = asked("stages: {publish_model: {accelerator_type: amd.com/gpu}}")
    assert accelerator["resourceType"] == "amd.com/gpu"
    assert "accelerator_limit" in accelerator["resourceCount"]
    assert asked("stages: {publish_model: {shared_memory: 1Gi}}")[2] == ["/dev/shm"]


def test_an_empty_profile_is_the_default_one(tmp_path: Path) -> None:
    assert own(tmp_path, "") == Profile()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("networks: {}", "unknown key 'networks'; did you mean 'network'?"),
        ("network: {acelerator_limit: 1}", "'network.acelerator_limit'; did you mean 'accelerator_limit'?"),
        ("data: {accelerator_limit: 1}", "unknown key 'data.accelerator_limit'"),
        ("stages: {fine_tuning: {}}", "unknown task 'fine_tuning'; did you mean 'fine_tune'?"),
        ("stages: {fine_tune: {memry: 1Gi}}", "'stages.fine_tune.memry'; did you mean 'memory'?"),
        ("stages: {split_dataset: {accelerator_limit: 1}}", "split_dataset computes no network"),
        ("network: {memory: plenty}", "network.memory is 'plenty'"),
        ("network: {cpu: ''}", "network.cpu is ''"),
        ("network: {cpu: 4Gi}", "network.cpu is '4Gi'"),
        ("network: {memory: 500m}", "network.memory is '500m'"),
        ("stages: {train_head: {memory: 1.5Gi}}", "stages.train_head.memory is '1.5Gi'"),
        ("stages: {train_head: {memory: 500m}}", "stages.train_head.memory is '500m'"),
        ("stages: {train_head: {memory: 1K}}", "stages.train_head.memory is '1K'"),
        ("network: {shared_memory: half}", "network.shared_memory is 'half'"),
        ("network: {accelerator_limit: -1}", "network.accelerator_limit is -1"),
        ("data: {tolerations: [{key: a, op: b}]}", "unknown key 'data.tolerations.0.op'"),
        ("network: {image: 'headstart:latest'}", "may be another image tomorrow"),
        ("env: {AWS_SECRET_ACCESS_KEY: abc}", "put it into a Secret"),
        ("env: {AWS_SECRET_ACCESS_KEY: /abc}", "put it into a Secret"),
        ("env: {KAGGLE_KEY: abc}", "put it into a Secret"),
        ("env: {GOOGLE_APPLICATION_CREDENTIALS: '{}'}", "put it into a Secret"),
        ("secrets: [{name: s3}]", "secret s3 has neither env nor volume"),
        ("secrets: [{name: s3, volume: here}]", "secrets.0.volume"),
        ("run_as_user: 0", "run_as_user"),
        (
            "network: {tolerations: [{key: cloud.google.com/gke-spot}]}\nretries: {count: 0}",
            "nodes that can be taken away",
        ),
        (
            "network: {node_selector: {cloud.google.com/gke-spot: 'true'}}\nretries: {count: 0}",
            "nodes that can be taken away",
        ),
        (
            "stages: {fine_tune: {node_selector: {eks.amazonaws.com/capacityType: SPOT}}}\nretries: {count: 0}",
            "nodes that can be taken away",
        ),
        ("data: [", "is not valid YAML, line"),
        ("- a\n- b", "profile"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        own(tmp_path, text)
    assert message in str(caught.value)
    assert "own.yaml" in str(caught.value)


@pytest.mark.parametrize(
    "resources",
    ["cpu: 4", "cpu: 0.5", "cpu: .5", "cpu: 250m", "memory: 8Gi", "memory: 1024", "memory: 512Mi", "memory: 10G"],
)
def test_what_kfp_and_kubernetes_take(tmp_path: Path, resources: str) -> None:
    profile = own(tmp_path, f"stages: {{train_head: {{{resources}}}}}")
    assert pipeline_spec(profile, from_scratch=False)


def test_paths_to_mounted_secrets_are_none(tmp_path: Path) -> None:
    env = {"GOOGLE_APPLICATION_CREDENTIALS": "/var/gcs/key.json", "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/aws/token"}
    assert own(tmp_path, f"env: {env}").env == env


def test_an_image_for_all_tasks_has_a_version() -> None:
    with pytest.raises(HeadstartError, match="image: foo/bar:latest may be another image tomorrow"):
        Profile().with_images(image="foo/bar:latest")


def test_a_secret_value_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError) as caught:
        own(tmp_path, "env: {MY_PASSWORD: hunter2}")
    assert "hunter2" not in str(caught.value)


def test_an_unknown_profile_lists_those_there_are() -> None:
    with pytest.raises(HeadstartError, match="unknown profile 'gke'; known: cpu, gke-gpu, gke-spot"):
        load_profile("gke")
    with pytest.raises(HeadstartError, match=r"nowhere\.yaml' cannot be read"):
        load_profile("nowhere.yaml")


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("headstart", "registry.example:5000/a/headstart:{version}"),
        ("headstart:9", "registry.example:5000/a/headstart:9"),
        ("other:5000/headstart", "other:5000/headstart:{version}"),
        ("other/headstart@sha256:abc", "other/headstart@sha256:abc"),
    ],
)
def test_images_get_registry_and_version_where_they_have_none(image: str, full: str) -> None:
    from importlib.metadata import version

    assert Profile(registry="registry.example:5000/a/").image_of(image) == full.format(version=version("headstart"))
