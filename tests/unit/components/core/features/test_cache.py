import contextlib
import dataclasses
import math
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.features import cache
from headstart.components.core.features.cache import (
    IntermediateFeatures,
    compute_or_load_features,
    limit_views_to_room,
)
from headstart.components.core.features.compute import FeatureExtractor, Features
from headstart.components.core.networks.classifier import (
    BACKBONE_END,
    build_backbone,
    build_classifier,
    cut_backbone,
    cut_classifier,
)
from headstart.components.core.networks.identity import model_digest
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.storage.cache import CACHE
from headstart.components.core.util.errors import HeadstartError


def planned(views: int, seed: int = 0, **augmentation: object) -> Plan:
    settings = {f"augmentation.{key}": value for key, value in augmentation.items()}
    return Plan.of(load_recipe(settings=settings | {"head.augmented_views": views}), "head", seed)


PLAN = planned(2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "records"


def front_of(size: int = 32, factor: float = 1.0) -> keras.Model:
    pixels = keras.Input((size, size, 3))
    layer = keras.layers.Conv2D(2, 4, strides=4, kernel_initializer=keras.initializers.Constant(factor / 255))
    return keras.Model(pixels, layer(pixels))


@dataclasses.dataclass
class Made:
    """What a call gave: the values, and which splits were found in the cache."""

    values: list[NDArray[np.float16]]
    reused: list[str]


def run(
    splits: dict[str, Path],
    logged: pytest.LogCaptureFixture,
    plan: Plan = PLAN,
    front: keras.Model | None = None,
    uri: str = "",
) -> Made:
    logged.clear()
    with compute_or_load_features(front or front_of(), splits["train"], splits["validation"], plan, uri) as features:
        values = [np.array(each.activations) for each in features]
        assert [each.images for each in features] == [80, 20]
    lines = [line for line in logged.messages if line.startswith("event=record_reused")]
    return Made(values, [line.split("split=")[1].split()[0] for line in lines])


def test_the_same_features_are_not_computed_again_whatever_the_head(
    splits: dict[str, Path], folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    first = run(splits, logged)
    assert first.reused == []
    assert not [entry for entry in folder.iterdir() if entry.name.startswith(".")]
    others = {"fine_tuning.augmented_views": 2, "fine_tuning.learning_rate": 1.0, "fine_tuning.optimizer": "sgd"}
    other_head = Plan.of(load_recipe(settings=others), "fine_tuning", seed=0)
    again = run(splits, logged, other_head)
    assert again.reused == ["train", "validation"]
    assert all(np.array_equal(*pair) for pair in zip(first.values, again.values, strict=True))
    assert "progress" not in " ".join(logged.messages)


@pytest.mark.parametrize(
    ("plan", "front", "reused"),
    [
        (planned(2, seed=1), {}, ["validation"]),
        (planned(2, shear=0.1), {}, ["validation"]),
        (planned(3), {}, ["validation"]),
        (PLAN, {"size": 40}, []),
        (PLAN, {"factor": 1.001}, []),
    ],
)
def test_whatever_changes_the_features_makes_another_entry(
    plan: Plan,
    front: dict[str, float],
    reused: list[str],
    splits: dict[str, Path],
    folder: Path,
    logged: pytest.LogCaptureFixture,
) -> None:
    run(splits, logged)
    assert run(splits, logged, plan, front_of(**front)).reused == reused


def test_other_images_make_another_entry(
    splits: dict[str, Path], folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    run(splits, logged)
    with compute_or_load_features(front_of(), splits["test"], splits["validation"], PLAN):
        pass
    assert "event=recorded split=train images=20 views=2" in " ".join(logged.messages)


def test_a_front_is_known_again_among_other_layers(
    splits: dict[str, Path], folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    backbone, plan = get_backbone("sketchnet"), planned(1)
    weights = build_backbone(backbone, 32).get_weights()
    reused = []
    for classes in (2, 5):
        base = build_backbone(backbone, 32)
        base.set_weights(weights)
        base.trainable = classes == 2
        model = build_classifier(base, "tf", backbone.head, classes, 32)
        reused.append(run(splits, logged, plan, cut_classifier(model, base.name, BACKBONE_END).front).reused)
    assert reused == [[], ["train", "validation"]]
    assert run(splits, logged, plan, cut_classifier(model, base.name, "block2").front).reused == []


def test_a_front_is_known_again_whatever_its_layers_are_called() -> None:
    def nested(outer: str, inner: str) -> keras.Model:
        inside = keras.Input((8, 8, 3), name=inner)
        base = keras.Model(inside, keras.layers.Conv2D(2, 3, kernel_initializer="ones", name="conv")(inside))
        pixels = keras.Input((8, 8, 3), name=outer)
        return keras.Model(pixels, base(keras.layers.Rescaling(2.0)(pixels)))

    assert model_digest(nested("pixels", "inside")) == model_digest(nested("input", "input"))


def classifier() -> keras.Model:
    keras.utils.set_random_seed(0)
    backbone = get_backbone("sketchnet")
    return build_classifier(build_backbone(backbone, 32), "tf", backbone.head, 2, 32)


def features_of_block_2(model: keras.Model, views: int = 2) -> IntermediateFeatures:
    return IntermediateFeatures(*cut_backbone(model, "sketchnet", "block2"), views)


def cache_intermediate(
    splits: dict[str, Path], intermediate: IntermediateFeatures | None, uri: str = ""
) -> NDArray[np.float16]:
    front = cut_classifier(classifier(), "sketchnet", BACKBONE_END).front
    with compute_or_load_features(front, splits["train"], splits["validation"], PLAN, uri, intermediate) as features:
        return np.array(features[0].activations)


def test_what_a_later_phase_needs_is_cached_in_the_same_pass(
    splits: dict[str, Path], folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    cache_intermediate(splits, features_of_block_2(classifier(), views=3))
    assert len(list(folder.iterdir())) == 2, "of other views, nothing is"
    shutil.rmtree(folder)
    passed = cache_intermediate(splits, features_of_block_2(classifier()))
    assert len(list(folder.iterdir())) == 4
    lower = cut_classifier(classifier(), "sketchnet", "block2").front
    later = run(splits, logged, front=lower)
    assert later.reused == ["train", "validation"]
    shutil.rmtree(folder)
    np.testing.assert_allclose(cache_intermediate(splits, None), passed, rtol=2e-3, atol=1e-4)
    alone = run(splits, logged, front=lower)
    assert alone.reused == []
    for one, other in zip(alone.values, later.values, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-4)


def test_intermediate_features_are_shared_too(
    splits: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE, str(tmp_path / "file"))
    shared = str(tmp_path / "shared")
    cache_intermediate(splits, features_of_block_2(classifier()), shared)
    lower = cut_classifier(classifier(), "sketchnet", "block2").front
    assert run(splits, logged, front=lower, uri=shared).reused == ["train", "validation"]


def test_intermediate_features_are_left_out_without_room(
    splits: dict[str, Path], folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    model = classifier()
    sizes = [math.prod(part.output.shape[1:]) for part in cut_backbone(model, "sketchnet", "block2")]
    assert sizes[1] < sizes[0]
    with files_of_at_most(2 * 2 * 80 * sizes[1] + 1000):
        cache_intermediate(splits, features_of_block_2(model))
    assert "event=not_recorded_in_passing split=train" in " ".join(logged.messages)
    assert "event=cache_not_used" not in " ".join(logged.messages)
    assert len([entry for entry in folder.iterdir() if not entry.name.startswith(".")]) in (2, 3)


@pytest.mark.parametrize("spoil", ["cut", "byte", "manifest", "empty"])
def test_damaged_features_are_never_used(
    spoil: str, splits: dict[str, Path], folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    first = run(splits, logged)
    for entry in folder.iterdir():
        file = entry / "activations.npy"
        content = file.read_bytes()
        match spoil:
            case "cut":
                file.write_bytes(content[:-2])
            case "byte":
                file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            case "manifest":
                (entry / "record.json").write_text("{")
            case "empty":
                file.unlink()
    again = run(splits, logged)
    assert again.reused == []
    assert "event=record_discarded split=train" in " ".join(logged.messages)
    assert all(np.array_equal(*pair) for pair in zip(first.values, again.values, strict=True))
    assert run(splits, logged).reused == ["train", "validation"]


def test_without_a_cache_features_are_deleted_afterwards(
    splits: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE, str(tmp_path / "file"))
    with compute_or_load_features(front_of(), splits["train"], splits["validation"], PLAN) as features:
        paths = [Path(each.activations.filename) for each in features]
        assert all(path.exists() for path in paths)
    assert not any(path.exists() for path in paths)
    assert "event=cache_not_used" in " ".join(logged.messages)


def test_machines_share_features_at_an_address(
    splits: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    shared = tmp_path / "shared"

    def on(machine: str) -> Made:
        monkeypatch.setenv(CACHE, str(tmp_path / machine))
        return run(splits, logged, uri=str(shared))

    first = on("one")
    assert first.reused == []
    assert len(list(shared.glob("*/activations.npy"))) == len(list(shared.glob("*/record.json"))) == 2
    second = on("other")
    assert second.reused == ["train", "validation"]
    assert "progress" not in " ".join(logged.messages)
    assert all(np.array_equal(*pair) for pair in zip(first.values, second.values, strict=True))
    for file in shared.glob("*/activations.npy"):
        file.write_bytes(file.read_bytes()[:-2])
    assert on("third").reused == []
    assert "event=record_not_fetched split=train" in " ".join(logged.messages)
    for file in shared.rglob("*.*"):
        file.unlink()
    assert on("one").reused == ["train", "validation"]
    assert len(list(shared.glob("*/record.json"))) == 2
    shared.rename(tmp_path / "moved")
    shared.touch()
    assert on("fourth").reused == []
    assert "event=record_not_shared" in " ".join(logged.messages)


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Every file that grows beyond so many bytes fails as on a full disk."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_no_room_anywhere_is_a_one_line_error_and_leaves_nothing(
    splits: dict[str, Path], folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    front = front_of()
    with (
        files_of_at_most(10_000),
        pytest.raises(
            HeadstartError, match=r"no room for the features of train \(2 views\): .*HEADSTART_CACHE and TMPDIR"
        ),
    ):
        run(splits, logged, front=front)
    assert "event=cache_not_used" in " ".join(logged.messages)
    assert not list(folder.iterdir())


def test_a_cache_without_room_is_done_without(
    splits: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    extract = FeatureExtractor.extract

    def full(self: FeatureExtractor, dataset: Path, views: int, paths: list[Path], what: str) -> list[Features]:
        with files_of_at_most(10_000) if paths[0].is_relative_to(folder) else contextlib.nullcontext():
            return extract(self, dataset, views, paths, what)

    monkeypatch.setattr(FeatureExtractor, "extract", full)
    assert run(splits, logged).reused == []
    assert "event=cache_not_used" in " ".join(logged.messages)
    assert len(list(folder.iterdir())) == 1


def enlarged(factor: int) -> keras.Model:
    pixels = keras.Input((32, 32, 3))
    return keras.Model(pixels, keras.layers.UpSampling2D(factor)(pixels))


def test_views_are_as_many_as_there_is_room_for(
    splits: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    data = splits["train"], splits["validation"]
    small, huge = front_of(), enlarged(2**13)
    open_plan = planned(-1)
    assert limit_views_to_room(small, *data, open_plan) == open_plan
    assert limit_views_to_room(huge, *data, PLAN) == PLAN, "who asks for so many gets them, or an error"
    assert not logged.messages
    none = limit_views_to_room(huge, *data, open_plan)
    assert none.training.count_views(80) == 0
    assert "event=too_little_room stage=head views=0 instead_of=6" in logged.messages[-1]
    # Of activations, 128 numbers an image, 80 in training and 20 in validation: three views and a half.
    monkeypatch.setattr(cache, "available_memory", lambda: 2 * 2 * 128 * (280 + 20))
    assert limit_views_to_room(small, *data, open_plan).training.count_views(80) == 3
    with compute_or_load_features(small, *data, open_plan):
        pass
    assert limit_views_to_room(small, *data, open_plan) == open_plan, "all six are there already"
    full = shutil.disk_usage(folder)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    assert limit_views_to_room(front_of(40), *data, open_plan).training.count_views(80) == 1, "pixels would be more"
