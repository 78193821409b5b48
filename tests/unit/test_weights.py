import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from support.servers import serving

from headstart.components.core.backbones import get_backbone
from headstart.components.core.errors import HeadstartError
from headstart.components.core.network.classifier import build_backbone
from headstart.components.core.network.weights import (
    WEIGHTS_FOLDER,
    load_weights,
    pretrained_backbone,
    weights_digest,
)

SIZE = 64


@pytest.fixture(scope="module")
def source() -> keras.Model:
    return build_backbone(get_backbone("mobilenet_v2"), SIZE)


@pytest.fixture(scope="module")
def file(source: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    source.save_weights(path)
    return path


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the package logs: its lines do not reach the root logger."""
    logger = logging.getLogger("headstart")
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.INFO)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_own_weights_are_in_the_package_and_small() -> None:
    backbone = get_backbone("sketchnet")
    one, other = (pretrained_backbone(backbone, SIZE, weights) for weights in ("", "drawings"))
    assert weights_digest(one) == weights_digest(other) != weights_digest(build_backbone(backbone, SIZE))
    assert 100_000 < one.count_params() < 500_000


def test_file_and_address_give_the_weights_that_were_saved(source: keras.Model, file: Path) -> None:
    backbone = get_backbone("mobilenet_v2")
    from_file = pretrained_backbone(backbone, 96, str(file))
    with serving(file.parent, failures=["503"]) as address:
        from_web = pretrained_backbone(backbone, 96, f"{address}/{file.name}")
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
    assert weights_digest(pretrained_backbone(backbone, SIZE, "")) == weights_digest(source)
    assert f"event=weights backbone=mobilenet_v2 file={kept}" in logged.messages
    assert weights_digest(pretrained_backbone(backbone, SIZE, "none")) != weights_digest(source)
    kept.write_bytes(b"not HDF5")
    with pytest.raises(HeadstartError, match=r"mobilenet_v2\.weights\.h5' is no HDF5 file"):
        pretrained_backbone(backbone, SIZE, "")


@pytest.mark.parametrize("folder", ["", "{empty}"])
def test_without_a_file_in_the_named_folder_the_own_weights_are_taken(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEIGHTS_FOLDER, folder.format(empty=tmp_path))
    backbone = get_backbone("sketchnet")
    one, other = (pretrained_backbone(backbone, SIZE, weights) for weights in ("", "drawings"))
    assert weights_digest(one) == weights_digest(other)


def test_named_folder_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path / "nothing"))
    with pytest.raises(HeadstartError, match=r"HEADSTART_WEIGHTS is '.*nothing', which is no folder"):
        pretrained_backbone(get_backbone("sketchnet"), SIZE, "")


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


def test_weights_that_do_not_fit_name_the_layer_and_both_shapes(file: Path) -> None:
    with pytest.raises(HeadstartError) as caught:
        pretrained_backbone(get_backbone("vgg16"), SIZE, str(file))
    message = str(caught.value)
    assert "do not fit backbone vgg16: layer 'block1_conv1' needs 3x3x3x64 and 64, the file has 3x3x3x32" in message


def test_file_that_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(HeadstartError, match=r"weights\.h5' is no HDF5 file"):
        pretrained_backbone(get_backbone("vgg16"), SIZE, str(tmp_path / "weights.h5"))


def test_address_without_weights_says_what_else_to_pass(tmp_path: Path) -> None:
    with serving(tmp_path) as address, pytest.raises(HeadstartError, match=r"404.*pass weights as a file or an http"):
        pretrained_backbone(get_backbone("vgg16"), SIZE, f"{address}/none.h5")


def test_imagenet_without_network_says_what_else_to_pass(tmp_path: Path) -> None:
    code = (
        "from headstart.components.core.backbones import get_backbone\n"
        "from headstart.components.core.network.weights import pretrained_backbone\n"
        "pretrained_backbone(get_backbone('vgg16'), 64, 'imagenet')\n"
    )
    # No cache to find them in, and a proxy that nobody answers.
    closed = {"KERAS_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | closed, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "HeadstartError: cannot download the imagenet weights of vgg16" in last
    assert "pass weights as a file or an http(s)://, gs:// or s3:// address" in last
