import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from support.servers import serve_folder

from headstart.components.core.backbones.table import Head, get_backbone
from headstart.components.core.networks.classifier import build_backbone, build_classifier
from headstart.components.core.networks.pretrained_weights import (
    WEIGHTS_FOLDER,
    build_pretrained_backbone,
    build_with_weights_file,
    load_weights,
    weights_digest,
)
from headstart.components.core.storage.cache import CACHE
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.util.errors import HeadstartError

SIZE = 64


@pytest.fixture(scope="module")
def source() -> keras.Model:
    return build_backbone(get_backbone("mobilenet_v2"), SIZE)


@pytest.fixture(scope="module")
def file(source: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    source.save_weights(path)
    return path


def test_own_weights_are_in_the_package_and_small() -> None:
    backbone = get_backbone("sketchnet")
    one, other = (build_pretrained_backbone(backbone, SIZE, weights) for weights in ("", "drawings"))
    assert weights_digest(one) == weights_digest(other) != weights_digest(build_backbone(backbone, SIZE))
    assert 100_000 < one.count_params() < 500_000


def test_file_and_address_give_the_weights_that_were_saved(source: keras.Model, file: Path) -> None:
    backbone = get_backbone("mobilenet_v2")
    from_file = build_pretrained_backbone(backbone, 96, str(file))
    with serve_folder(file.parent, failures=["503"]) as address:
        from_web = build_pretrained_backbone(backbone, 96, f"{address}/{file.name}")
    for loaded in (from_file, from_web):
        for ours, theirs in zip(loaded.weights, source.weights, strict=True):
            assert np.array_equal(ours.numpy(), theirs.numpy())


def test_file_in_the_named_folder_stands_for_the_own_weights(
    source: keras.Model,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    kept = tmp_path / "mobilenet_v2.weights.h5"
    shutil.copy(file, kept)
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    backbone = get_backbone("mobilenet_v2")
    assert weights_digest(build_pretrained_backbone(backbone, SIZE, "")) == weights_digest(source)
    assert f"event=weights backbone=mobilenet_v2 file={kept}" in logged.messages
    assert weights_digest(build_pretrained_backbone(backbone, SIZE, "none")) != weights_digest(source)
    kept.write_bytes(b"not HDF5")
    with pytest.raises(HeadstartError, match=r"mobilenet_v2\.weights\.h5' is not an HDF5 file"):
        build_pretrained_backbone(backbone, SIZE, "")


@pytest.mark.parametrize("folder", ["", "{empty}"])
def test_without_a_file_in_the_named_folder_the_own_weights_are_taken(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEIGHTS_FOLDER, folder.format(empty=tmp_path))
    backbone = get_backbone("sketchnet")
    one, other = (build_pretrained_backbone(backbone, SIZE, weights) for weights in ("", "drawings"))
    assert weights_digest(one) == weights_digest(other)


def test_named_folder_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path / "nothing"))
    with pytest.raises(HeadstartError, match=r"HEADSTART_WEIGHTS is '.*nothing', which is not a folder"):
        build_pretrained_backbone(get_backbone("sketchnet"), SIZE, "")


def test_file_in_the_older_layout_is_read_under_any_name(source: keras.Model, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(tmp_path / "weights", "w") as store:
        legacy_h5_format.save_weights_to_hdf5_group(store, source)
    loaded = build_backbone(get_backbone("mobilenet_v2"), SIZE)
    load_weights(loaded, tmp_path / "weights", "mobilenet_v2")
    for ours, theirs in zip(loaded.weights, source.weights, strict=True):
        assert np.array_equal(ours.numpy(), theirs.numpy())
    with pytest.raises(HeadstartError, match="layer 'block1_conv1' needs 3x3x3x64 and 64, the file has 3x3x3x32"):
        load_weights(build_backbone(get_backbone("vgg16"), SIZE), tmp_path / "weights", "vgg16")


@pytest.mark.parametrize("file", ["top.weights.h5", "top.keras", "notop.keras", "top.h5", "classifier.keras"])
def test_whole_models_and_tops_are_read_and_the_top_is_left_out(file: str, tmp_path: Path) -> None:
    """ConvNeXt has models for layers, whose weights lie a level deeper."""
    keras.utils.set_random_seed(1)
    arguments = {
        "depths": [1] * 4,
        "projection_dims": [8, 8, 16, 16],
        "weights": None,
        "include_preprocessing": False,
    }
    build = importlib.import_module("keras.src.applications.convnext").ConvNeXt
    with_top = build(**arguments, input_shape=(SIZE, SIZE, 3), name="tiny", weights_name="")
    theirs = keras.Model(with_top.input, with_top.layers[-3].input)
    base = keras.models.clone_model(theirs)
    assert weights_digest(base) != weights_digest(theirs)
    match file:
        case "classifier.keras":
            build_classifier(theirs, "torch", Head("average"), 3, SIZE).save(tmp_path / file)
        case "notop.keras":
            theirs.save(tmp_path / file)
        case "top.weights.h5":
            with_top.save_weights(tmp_path / file)
        case _:
            with_top.save(tmp_path / file)
    load_weights(base, tmp_path / file, "tiny")
    assert weights_digest(base) == weights_digest(theirs)


def test_weights_that_do_not_fit_name_the_layer_and_both_shapes(file: Path) -> None:
    with pytest.raises(HeadstartError) as caught:
        build_pretrained_backbone(get_backbone("vgg16"), SIZE, str(file))
    message = str(caught.value)
    assert "do not fit backbone vgg16: layer 'block1_conv1' needs 3x3x3x64 and 64, the file has 3x3x3x32" in message


def test_file_that_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(HeadstartError, match=r"weights\.h5' is not an HDF5 file"):
        build_pretrained_backbone(get_backbone("vgg16"), SIZE, str(tmp_path / "weights.h5"))


def test_error_at_an_address_without_weights_names_the_way_out(tmp_path: Path) -> None:
    with (
        serve_folder(tmp_path) as address,
        pytest.raises(HeadstartError, match=r"404.*pass weights as a file or an http"),
    ):
        build_pretrained_backbone(get_backbone("vgg16"), SIZE, f"{address}/none.h5")


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, str]:
    """Weights of sketchnet to be served, and their SHA-256."""
    file = tmp_path / "served" / "sketchnet.weights.h5"
    file.parent.mkdir()
    build_backbone(get_backbone("sketchnet"), SIZE).save_weights(file)
    return file, sha256_of_file(file)


def test_what_was_downloaded_is_kept_until_it_changes(
    small: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    file, _ = small
    backbone, cache = get_backbone("sketchnet"), tmp_path / "cache"
    monkeypatch.setenv(CACHE, str(cache))

    def digest(address: str, says: str) -> tuple[str, bool]:
        logged.clear()
        got = weights_digest(build_pretrained_backbone(backbone, SIZE, f"{address}/{file.name}"))
        assert says == "kept" or not [line for line in logged.messages if "weights_from_cache" in line]
        return got, any("event=weights_from_cache" in line for line in logged.messages)

    with serve_folder(file.parent) as address:
        first, kept = digest(address, "new")
        assert not kept
        assert digest(address, "kept") == (first, True)
        (entry,) = (cache / "weights").iterdir()
        entry.write_bytes(entry.read_bytes()[:-1] + b"?")
        assert digest(address, "new") == (first, False)
        build_backbone(backbone, SIZE).save_weights(file)
        changed, kept = digest(address, "new")
        assert changed != first
        assert not kept
    with serve_folder(file.parent, says="") as address:
        # A server without versions gets a request each time.
        for _ in range(2):
            assert digest(address, "new") == (changed, False)


def test_with_a_digest_the_copy_needs_no_server_and_nothing_else_passes(
    small: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, sha256 = small
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    backbone = get_backbone("sketchnet")
    with serve_folder(file.parent) as address:
        uri = f"{address}/{file.name}"
        with pytest.raises(HeadstartError, match=f"have sha256 {sha256}, not {'0' * 64}; check the file"):
            build_pretrained_backbone(backbone, SIZE, uri, "0" * 64)
        loaded = weights_digest(build_pretrained_backbone(backbone, SIZE, uri, sha256.upper()))
    assert weights_digest(build_pretrained_backbone(backbone, SIZE, uri, sha256)) == loaded
    assert weights_digest(build_pretrained_backbone(backbone, SIZE, str(file), sha256)) == loaded
    with pytest.raises(HeadstartError, match=r"sketchnet\.weights\.h5' have sha256"):
        build_pretrained_backbone(backbone, SIZE, str(file), "0" * 64)
    with pytest.raises(HeadstartError, match="a sha256 of weights 'none' cannot be checked"):
        build_pretrained_backbone(backbone, SIZE, "none", sha256)
    assert build_with_weights_file(backbone, SIZE, str(file))[1] == sha256
    assert build_with_weights_file(backbone, SIZE, uri, sha256)[1] == sha256
    assert build_with_weights_file(backbone, SIZE, "")[1] == build_with_weights_file(backbone, SIZE, "none")[1] == ""


def test_cache_that_cannot_be_written_is_done_without(
    small: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE, str(tmp_path / "file"))
    with serve_folder(small[0].parent) as address:
        build_pretrained_backbone(get_backbone("sketchnet"), SIZE, f"{address}/{small[0].name}", small[1])
    assert [line for line in logged.messages if "event=cache_not_used" in line]


def test_error_of_imagenet_without_a_connection_names_the_way_out(tmp_path: Path) -> None:
    code = (
        "from headstart.components.core.backbones.table import get_backbone\n"
        "from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone\n"
        "build_pretrained_backbone(get_backbone('vgg16'), 64, 'imagenet')\n"
    )
    # No cache, and a proxy that does not respond.
    closed = {"KERAS_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | closed, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "errors.Unavailable: cannot download the imagenet weights of vgg16" in last
    assert "pass weights as a file or an http(s)://, gs:// or s3:// address" in last
