"""Weights from elsewhere: nothing is read but the file itself, and whatever is odd about it is one line."""

import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from support import foreign

from headstart.components.core.backbones.table import Head, get_backbone
from headstart.components.core.networks.classifier import build_backbone, build_classifier
from headstart.components.core.networks.pretrained_weights import (
    build_pretrained_backbone,
    load_weights,
    weights_digest,
)
from headstart.components.core.util.errors import HeadstartError

SIZE = 32
KINDS = ("weights.h5", "h5", "keras")


@pytest.fixture(scope="module")
def theirs() -> keras.Model:
    keras.utils.set_random_seed(7)
    return build_backbone(get_backbone("sketchnet"), SIZE)


@pytest.fixture(scope="module")
def honest(theirs: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the three kinds of files that are read."""
    folder = tmp_path_factory.mktemp("honest")
    theirs.save_weights(folder / "it.weights.h5")
    theirs.save(folder / "it.h5")
    build_classifier(theirs, "unit", Head("average"), 3, SIZE).save(folder / "it.keras")
    return folder


def copied(honest: Path, kind: str, folder: Path) -> Path:
    file = Path(shutil.copy(honest / f"it.{kind}", folder))
    foreign.write_secret_beside(file)
    return file


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attack", foreign.REACHING_OUTSIDE)
def test_what_reaches_outside_of_the_file_is_refused(attack: str, kind: str, honest: Path, tmp_path: Path) -> None:
    file = foreign.alter_weights(copied(honest, kind, tmp_path), foreign.REACHING_OUTSIDE[attack])
    with pytest.raises(HeadstartError, match=r"reaches outside of itself: '/.*; pass weights as a file") as caught:
        build_pretrained_backbone(get_backbone("sketchnet"), SIZE, str(file))
    assert "root:x" not in str(caught.value)


@pytest.mark.parametrize("attack", ["external storage", "external link", "external link behind a soft one"])
def test_h5py_itself_would_follow(attack: str, honest: Path, tmp_path: Path) -> None:
    file = copied(honest, "weights.h5", tmp_path)
    with h5py.File(file) as store:
        at = foreign.find_first_kernel(store)
    foreign.alter_weights(file, foreign.REACHING_OUTSIDE[attack], at)
    with h5py.File(file) as store:
        assert store[at][()].tobytes()[:4] == foreign.SECRET[:4]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("oddity", foreign.ODD)
def test_odd_values_are_one_line_and_leave_the_network_as_it_was(
    oddity: str, kind: str, honest: Path, tmp_path: Path
) -> None:
    change, says = foreign.ODD[oddity]
    file = foreign.alter_weights(copied(honest, kind, tmp_path), change)
    base = build_backbone(get_backbone("sketchnet"), SIZE)
    before = weights_digest(base)
    with pytest.raises(HeadstartError) as caught:
        load_weights(base, file, "sketchnet")
    assert says in str(caught.value)
    assert str(file) in str(caught.value)
    assert weights_digest(base) == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_stays_in_the_file_is_read(kind: str, honest: Path, theirs: keras.Model, tmp_path: Path) -> None:
    """Compressed, in half or double precision, by a soft link, with a reference: none of it leads out."""
    file = copied(honest, kind, tmp_path)
    foreign.alter_weights(
        file, foreign.replace_values(lambda values: values.astype("f8"), compression="gzip", shuffle=True)
    )

    def linked(store: h5py.File, at: str) -> None:
        store.move(at, "moved")
        store[at] = h5py.SoftLink("/moved")
        store["reference"] = store["moved"].ref
        store["moved/loop" if isinstance(store["moved"], h5py.Group) else "loop"] = store["/"]

    foreign.alter_weights(file, linked)
    base = build_backbone(get_backbone("sketchnet"), SIZE)
    load_weights(base, file, "sketchnet")
    assert weights_digest(base) == weights_digest(theirs)


@pytest.mark.parametrize("cut", [0.01, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_cut_files_are_one_line(kind: str, cut: float, honest: Path, tmp_path: Path) -> None:
    file = copied(honest, kind, tmp_path)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * cut)])
    with pytest.raises(HeadstartError, match=r"; pass weights as a file or an http"):
        build_pretrained_backbone(get_backbone("sketchnet"), SIZE, str(file))


def test_attributes_of_another_kind_are_one_line(honest: Path, tmp_path: Path) -> None:
    for number, value in enumerate((3, np.zeros((2, 2)), ["no_such_layer"], b"\xff\xfe")):
        file = Path(shutil.copy(honest / "it.h5", tmp_path / f"{number}.h5"))
        with h5py.File(file, "r+") as store:
            store["model_weights"].attrs["layer_names"] = value
        with pytest.raises(HeadstartError):
            build_pretrained_backbone(get_backbone("sketchnet"), SIZE, str(file))


def test_encrypted_or_doubled_members_are_one_line(honest: Path, tmp_path: Path) -> None:
    import zipfile

    file = copied(honest, "keras", tmp_path)
    whole = file.read_bytes()
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("model.weights.h5", b"second")
    with pytest.raises(HeadstartError, match=r"it has 2 model\.weights\.h5; pass weights"):
        build_pretrained_backbone(get_backbone("sketchnet"), SIZE, str(file))
    # The flag of encryption, in the directory at the end.
    at = whole.rindex(b"PK\x01\x02")
    file.write_bytes(whole[: at + 8] + bytes([whole[at + 8] | 1]) + whole[at + 9 :])
    with pytest.raises(HeadstartError, match="is encrypted"):
        build_pretrained_backbone(get_backbone("sketchnet"), SIZE, str(file))
    foreign.replace_member(copied(honest, "keras", tmp_path), "model.weights.h5", bytes(2**28), zipfile.ZIP_DEFLATED)
    with pytest.raises(HeadstartError, match="has more than 67,108,864 bytes"):
        build_pretrained_backbone(get_backbone("sketchnet"), SIZE, str(file))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "weights.h5")
    with pytest.raises(HeadstartError, match="no such file"):
        build_pretrained_backbone(get_backbone("sketchnet"), SIZE, str(tmp_path / "weights.h5"))
