"""Requirements of a run's last tasks are checked in its first one, before any of its data."""

import functools
import http.server
import sys
import threading
from pathlib import Path

import keras
import pytest
from support.own_networks import save_usual
from support.published import version_folder
from support.servers import serve_folder

from headstart.components.core.artifacts.model import MODEL, read_model_info, write_model_info
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.recipes.recipe import Recipe, load_recipe
from headstart.components.core.registry import registry
from headstart.components.core.registry.export_formats import LITERT, ONNX
from headstart.components.core.storage.stores import open_tree
from headstart.components.core.util.errors import HeadstartError
from headstart.components.list_data import preflight
from headstart.components.list_data.component import list_data
from headstart.components.list_data.preflight import (
    PUBLISH_ALWAYS,
    PUBLISH_NEVER,
    RunRequirements,
    check_requirements,
    check_weights,
)

NOWHERE = ["/no/such/pictures"]


def trained_with(weights: str, backbone: str = "sketchnet") -> Recipe:
    return load_recipe().override(backbone=backbone, weights=weights)


@pytest.fixture
def in_use(tmp_path: Path) -> Path:
    """A version's folder."""
    return version_folder(tmp_path / "in use")


def test_a_run_that_can_end_passes_and_leaves_nothing_behind(tmp_path: Path, in_use: Path) -> None:
    weights = tmp_path / "mine.weights.h5"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save_weights(weights)
    before = sorted(tmp_path.rglob("*"))
    check_requirements(
        RunRequirements(
            trainings=[trained_with(str(weights)), trained_with("none"), trained_with("")],
            publish_uri=str(tmp_path / "models" / "pets"),
            champion=str(in_use / "model"),
            exports=["saved_model", LITERT, ONNX],
            written={"record_uri": str(tmp_path / "records"), "checkpoint_uri": ""},
        )
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_published_there_is_loaded(tmp_path: Path, in_use: Path) -> None:
    uri = str(tmp_path / "models")
    registry.publish_folder(in_use, uri)
    files = open_tree(uri).names()
    check_requirements(RunRequirements(publish_uri=uri))
    assert open_tree(uri).names() == files
    assert not [path for path in Path(uri).rglob("*") if "probe" in path.name]


def test_a_model_in_use_that_no_longer_loads_is_found(tmp_path: Path, in_use: Path) -> None:
    # Its manifest is in order; that it is no network shows only where it is looked into.
    garbage = version_folder(tmp_path / "garbage") / "model"
    info = read_model_info(garbage)
    (garbage / MODEL).write_bytes(b"no network")
    write_model_info(garbage, info)
    for folder, message in ((garbage, "^the model in use, .*garbage/model: "), (tmp_path / "none", "none")):
        with pytest.raises(HeadstartError, match=message):
            check_requirements(RunRequirements(champion=str(folder)))
    uri = str(tmp_path / "models")
    version = registry.publish_folder(in_use, uri).version
    (Path(uri) / version / "model" / MODEL).write_bytes(b"other")
    with pytest.raises(HeadstartError, match=f"{version}/model/{MODEL} is not the file that "):
        check_requirements(RunRequirements(publish_uri=uri))


def test_forms_that_this_image_cannot_make_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    requirements = RunRequirements(publish_uri=str(tmp_path / "models"), exports=[ONNX])
    with pytest.raises(HeadstartError, match="export 'onnx' needs onnxruntime, not installed here"):
        check_requirements(requirements)
    # Where nothing is published, nothing is exported.
    check_requirements(RunRequirements(exports=[ONNX]))


@pytest.mark.parametrize("name", ["publish_uri", "record_uri", "checkpoint_uri"])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_an_address_that_cannot_be_written_is_named(name: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    uri = str(tmp_path / place)
    requirements = RunRequirements(publish_uri=uri) if name == "publish_uri" else RunRequirements(written={name: uri})
    with pytest.raises(HeadstartError, match=rf"^{name}: cannot (write|read) {uri}"):
        check_requirements(requirements)


def test_weights_that_are_none_are_refused_wherever_they_are(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "login.h5").write_text("<!doctype html><title>Sign in</title>")
    (pages / "empty.h5").touch()
    with serve_folder(pages) as address:
        for weights in (str(pages / "login.h5"), str(pages / "empty.h5"), f"{address}/login.h5"):
            with pytest.raises(HeadstartError, match=r"^weights '.*' of backbone sketchnet: this is no HDF5 file"):
                check_requirements(RunRequirements(trainings=[trained_with(weights)]))
        with pytest.raises(HeadstartError, match=r"^cannot download weights: cannot read .*: 404"):
            check_requirements(RunRequirements(trainings=[trained_with(f"{address}/none.h5")]))


def test_only_the_beginning_of_weights_is_transferred(tmp_path: Path) -> None:
    with (tmp_path / "large.h5").open("wb") as file:
        file.write(b"\x89HDF\r\n\x1a\n")
        file.truncate(10**12)
    # Python's own handler sends a file piece by piece, as long as somebody reads.
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        weights = f"http://127.0.0.1:{server.server_port}/large.h5"
        check_requirements(RunRequirements(trainings=[trained_with(weights)]))
        server.shutdown()


def test_imagenet_weights_are_at_hand_or_can_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HEADSTART_WEIGHTS", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(preflight, "_WEIGHTS_HOST", "http://127.0.0.1:1/")
    requirements = RunRequirements(trainings=[trained_with("", "mobilenet_v2")])
    with pytest.raises(HeadstartError, match=r"^cannot download the imagenet weights of mobilenet_v2 "):
        check_requirements(requirements)
    (tmp_path / "models").mkdir()
    kept = tmp_path / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    kept.touch()
    check_requirements(requirements)
    kept.unlink()
    # The image of the training tasks may have what this one lacks.
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path))
    check_requirements(requirements)
    monkeypatch.delenv("HEADSTART_WEIGHTS")
    with serve_folder(tmp_path) as address:
        monkeypatch.setattr(preflight, "_WEIGHTS_HOST", f"{address}/keras/")
        # The host answers, as a proxy does that lets nobody through.
        with pytest.raises(HeadstartError, match=r"weights of mobilenet_v2 \(HTTP Error 404"):
            check_requirements(requirements)
        offered = tmp_path / "keras" / get_backbone("mobilenet_v2").keras_file
        offered.parent.mkdir(parents=True)
        offered.touch()
        check_requirements(requirements)


def test_weights_of_a_sibling_do_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HEADSTART_WEIGHTS", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(preflight, "_WEIGHTS_HOST", "http://127.0.0.1:1/")
    (tmp_path / "models").mkdir()
    for name in ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5", "mobilenet_1_0_224_tf.h5"):
        (tmp_path / "models" / name).touch()
    with pytest.raises(HeadstartError, match="imagenet weights of mobilenet "):
        check_weights(trained_with("", "mobilenet"))
    check_weights(trained_with("", "mobilenet_v2"))


def test_on_this_machine_the_folder_of_weights_must_have_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(preflight, "_WEIGHTS_HOST", "http://127.0.0.1:1/")
    with pytest.raises(HeadstartError, match=r"cannot download the imagenet weights of vgg16 .*HEADSTART_WEIGHTS"):
        check_weights(trained_with("", "vgg16"))
    (tmp_path / "vgg16.weights.h5").touch()
    check_weights(trained_with("", "vgg16"))


def test_the_image_of_the_training_tasks_may_have_a_preset_that_this_one_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path))
    check_requirements(RunRequirements(trainings=[trained_with("", "hub:dinov2_small")]))
    with pytest.raises(HeadstartError, match="knows no preset of this name"):
        check_requirements(RunRequirements(trainings=[trained_with("", "hub:dinov2_smal")]))
    (tmp_path / "dinov2_small").mkdir()
    (tmp_path / "dinov2_small" / "config.json").write_text("{}")
    with pytest.raises(HeadstartError, match="is not in KerasHub's format"):
        check_requirements(RunRequirements(trainings=[trained_with("", "hub:dinov2_small")]))


def test_a_network_of_the_users_own_is_looked_at_whatever_weights_the_image_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path))
    file = save_usual(tmp_path / "own.keras")
    check_requirements(RunRequirements(trainings=[trained_with("", str(file))]))
    (tmp_path / "text.keras").write_text("none")
    with serve_folder(tmp_path) as address:
        check_requirements(RunRequirements(trainings=[trained_with("", f"{address}/own.keras")]))
        for place in (str(tmp_path / "text.keras"), f"{address}/text.keras"):
            with pytest.raises(
                HeadstartError, match=r"backbone '.*text\.keras'.* (is not a Keras file|no \.keras file)"
            ):
                check_requirements(RunRequirements(trainings=[trained_with("", place)]))


def test_a_pipeline_without_the_tasks_for_it_says_so() -> None:
    with pytest.raises(HeadstartError, match="publish_uri 'gs://b/m': this pipeline was made for runs"):
        check_requirements(RunRequirements(publish_uri="gs://b/m", publishes=PUBLISH_NEVER))
    with pytest.raises(HeadstartError, match="publish_uri is empty, and this pipeline was made for"):
        check_requirements(RunRequirements(publishes=PUBLISH_ALWAYS))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"publish_uri": "{tmp}/models", "min_accuracy": 7.0}, "min_accuracy 7.0: give a share"),
        ({"publish_uri": "{tmp}/models", "level": 0.9}, "level 0.9: give a share"),
        ({"publish_uri": "{tmp}/models", "exports": ["coreml"]}, "unknown export 'coreml'"),
        ({"record_uri": "http://example.com/records"}, "record_uri: cannot write to 'http://example.com/records'"),
        ({"recipe": "fasst"}, "unknown recipe 'fasst'"),
        ({"recipe": "fast", "settings": {"head.epoch": 3}}, "head.epoch"),
        ({"recipe": "fast", "backbone": "sketchnet", "weights": "{tmp}/none.h5"}, "weights .*: no such file"),
        (
            {"variants": [{"name": "a", "method": "head", "weights": "{tmp}/none.h5"}, {"name": "b"}]},
            "weights .*: no such file",
        ),
    ],
)
def test_the_component_refuses_before_it_looks_at_the_data(
    given: dict[str, object], message: str, tmp_path: Path
) -> None:
    def filled(value: object) -> object:
        if isinstance(value, str):
            return value.replace("{tmp}", str(tmp_path))
        if isinstance(value, list):
            return [filled(each) for each in value]
        return {key: filled(each) for key, each in value.items()} if isinstance(value, dict) else value

    with pytest.raises(HeadstartError, match=message):
        list_data.python_func(NOWHERE, **filled(given))


def test_without_requirements_only_the_data_are_looked_at() -> None:
    with pytest.raises(HeadstartError, match="/no/such/pictures"):
        list_data.python_func(NOWHERE)
