"""Measures whether training waits for the network or for its input, and what cached features save.

    python benchmarks/training_inputs.py PHOTOS.zip

PHOTOS.zip holds cat.1.jpg, dog.1.jpg and so on. Each part runs in a process of its own; --parts picks some:

- inputs: images/s of decoding, resizing and augmenting alone, of the network on pixels in memory, and of both, with
  the share of the time that the network waited; VGG16 at 150 px, MobileNetV2 at 160 px.
- recording: images/s of feature extraction with VGG16 at 150 px, and of a plain `predict` on arrays in memory in both
  precisions.
- transformer: the same two, alternating, with a transformer of KerasHub in the shape of ViT-Ti/16 (12 blocks, 192
  wide) at 224 px in float32, and the median of their ratios.
- epochs: seconds of an epoch of the head on cached features, and end to end (extrapolated from some of its steps).
- reuse: seconds until features are there, the first time, and the second time with another head.
- memory: peak memory of feature extraction and training with 4,000 and 40,000 images, the latter made by rotating
  the photos; and the part of it that is memory-mapped files, which the system can drop when it needs the memory.
- step: the same for the whole of `train_head`, with its probe of labels.

Weights are random, which changes no time. For the memory of the step, pass real ones with --weights: otherwise every
second label is doubtful and goes to its report. Figures of one run are in README.md.
"""

import argparse
import dataclasses
import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from headstart.components.core.artifacts.dataset import DatasetWriter, ImageRow
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.features.cache import compute_or_load_features
from headstart.components.core.features.compute import FeatureExtractor
from headstart.components.core.networks.classifier import (
    BACKBONE_END,
    ClassifierParts,
    build_backbone,
    build_classifier,
    cut_classifier,
)
from headstart.components.core.networks.hub_network import build_hub_network
from headstart.components.core.networks.image_batches import build_augmentation, read_image_batches
from headstart.components.core.networks.precision import BFLOAT16, FLOAT32, use_precision
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.storage.cache import CACHE
from headstart.components.core.training.end_to_end import cut_at_pixels
from headstart.components.core.training.fit import fit
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.train_head.step import train_head

_BATCH = 64
_ROTATION_DEGREES = 7


def read_photos(photos: Path, images: int) -> Iterator[tuple[str, bytes]]:
    """Yields JPEGs with their labels, cats and dogs in turn; once they run out, rotated copies."""
    with zipfile.ZipFile(photos) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        cats, dogs = ([name for name in names if Path(name).name.startswith(label)] for label in ("cat", "dog"))
        both = [name for pair in zip(cats, dogs, strict=True) for name in pair]
        for number in range(images):
            name, angle = both[number % len(both)], _ROTATION_DEGREES * (number // len(both))
            content = archive.read(name)
            if angle:
                file = io.BytesIO()
                Image.open(io.BytesIO(content)).rotate(angle).save(file, "jpeg", quality=90)
                content = file.getvalue()
            yield Path(name).name[:3], content


def write_dataset(photos: Path, images: int, folder: Path) -> Path:
    """Writes a dataset artifact of a number of images."""
    with DatasetWriter(folder, ["cat", "dog"], str(photos)) as writer:
        for label, content in read_photos(photos, images):
            digest = hashlib.sha256(content).hexdigest()[:32]
            writer.add(ImageRow(content, f"{digest}.jpg", int(label == "dog"), digest, digest, 200, 200))
    return folder


def build(name: str, size: int) -> tuple[keras.Model, ClassifierParts]:
    """Builds a classifier with random weights, cut above its frozen backbone."""
    backbone = get_backbone(name)
    base = build_backbone(backbone, size)
    model = build_classifier(base, backbone.preprocessing, backbone.head, 2, size)
    base.trainable = False
    return model, cut_classifier(model, name, BACKBONE_END)


def make_plan(**head: Any) -> Plan:
    """Makes a plan of the head, with one view unless the settings say otherwise."""
    settings = {f"head.{key}": value for key, value in ({"augmented_views": 1} | head).items()}
    return Plan.of(load_recipe(settings=settings), "head", 0)


def measure_rate(work: Callable[[Any], Any], batches: Any) -> tuple[float, float]:
    """Measures images/s from the second batch on, and the share of the time spent waiting for batches."""
    waited, images, began, asked = 0.0, 0, 0.0, 0.0
    for number, pixels in enumerate(batches):
        if number:
            waited += time.perf_counter() - asked
            images += len(pixels)
        work(pixels)
        asked = time.perf_counter()
        if not number:
            began = asked
    seconds = time.perf_counter() - began
    return images / seconds, waited / seconds


def inputs(data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Rates of the input alone, of the network alone, and of both."""
    found = {}
    for name, size in (("vgg16", 150), ("mobilenet_v2", 160)):
        _, parts = build(name, size)
        augment = build_augmentation(make_plan().augmentation, 0)
        run = tf.function(lambda pixels, front=parts.front: front(pixels, training=False), reduce_retracing=True)
        augmented = tf.function(lambda pixels, augment=augment: augment(pixels, training=True), reduce_retracing=True)
        batches = read_image_batches(data, size, _BATCH).take(args.batches)
        ready = next(iter(batches))
        found[name] = {
            "decode_resize": measure_rate(lambda pixels: pixels, batches.repeat(4))[0],
            "decode_resize_augment": measure_rate(
                lambda pixels, run=augmented: run(pixels).numpy(), batches.repeat(2)
            )[0],
            "network": measure_rate(
                lambda pixels, run=run: run(pixels).numpy(), itertools.repeat(ready, args.batches)
            )[0],
        }
        both = measure_rate(lambda pixels, run=run: run(pixels).numpy(), batches)
        found[name] |= {"both": both[0], "waited": both[1]}
    return found


def recording(data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Rates of feature extraction with VGG16, and of a plain `predict`."""
    _, parts = build("vgg16", 150)
    ready = np.concatenate([batch.numpy() for batch in read_image_batches(data, 150, _BATCH).take(args.batches)])
    found = {}
    for precision in (FLOAT32, BFLOAT16):
        with use_precision(parts.front, precision):
            parts.front.make_predict_function(force=True)
            parts.front.predict(ready[:_BATCH], batch_size=_BATCH, verbose=0)
            started = time.perf_counter()
            parts.front.predict(ready, batch_size=_BATCH, verbose=0)
            found[f"predict_{precision}"] = len(ready) / (time.perf_counter() - started)
    with tempfile.TemporaryDirectory() as folder:
        small = write_dataset(args.photos, len(ready), Path(folder, "small"))
        extractor = FeatureExtractor([parts.front], make_plan())
        # The first call includes tracing and the choice of precision.
        extractor.extract(small, 1, [Path(folder, "first.npy")])
        started = time.perf_counter()
        extractor.extract(small, 1, [Path(folder, "second.npy")])
        found["recording"] = len(ready) / (time.perf_counter() - started)
    return found | {"share": found["recording"] / max(found["predict_float32"], found["predict_bfloat16"])}


def transformer(data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Ratios of feature extraction to a plain `predict`, each of a pair of measurements, with a transformer."""
    import keras_hub

    size, rounds = 224, 3
    shape = {"num_layers": 12, "num_heads": 3, "hidden_dim": 192, "mlp_dim": 768}
    with tempfile.TemporaryDirectory() as folder:
        preset = Path(folder, "vit")
        keras_hub.models.ViTBackbone(image_shape=(size, size, 3), patch_size=16, **shape).save_to_preset(str(preset))
        keras_hub.layers.ViTImageConverter(image_size=(size, size), scale=1 / 127.5, offset=-1).save_to_preset(
            str(preset)
        )
        base = build_hub_network(preset, backbone := get_backbone(f"hub:{preset}"), size)
        front = cut_classifier(build_classifier(base, "none", backbone.head, 2, size), base.name, BACKBONE_END).front
        ready = np.concatenate([batch.numpy() for batch in read_image_batches(data, size, _BATCH).take(args.batches)])
        small = write_dataset(args.photos, len(ready), Path(folder, "small"))
        # A deterministic plan stays in float32, as `predict` does.
        extractor = FeatureExtractor([front], dataclasses.replace(make_plan(), deterministic=True))
        seconds: dict[str, list[float]] = {"recording": [], "predict": []}
        for number in range(rounds + 1):
            for name, taken in seconds.items():
                started = time.perf_counter()
                if name == "predict":
                    front.predict(ready, batch_size=_BATCH, verbose=0)
                else:
                    extractor.extract(small, 1, [Path(folder, f"{number}.npy")])
                taken.append(time.perf_counter() - started)
    # The first of each includes tracing.
    pairs = zip(seconds["predict"][1:], seconds["recording"][1:], strict=True)
    rates = {name: len(ready) / float(np.median(taken[1:])) for name, taken in seconds.items()}
    ratios = [predicted / recorded for predicted, recorded in pairs]
    return rates | {"ratios": ratios, "share": float(np.median(ratios))}


def epochs(data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of an epoch on cached features and end to end, MobileNetV2 at 160 px."""
    images, size = args.images, 160
    with tempfile.TemporaryDirectory() as folder:
        validation = write_dataset(args.photos, 32, Path(folder, "validation"))
        _, parts = build("mobilenet_v2", size)
        plan = make_plan(epochs=4)
        with compute_or_load_features(parts.front, data, validation, plan) as features:
            cached = [epoch.seconds for epoch in fit(parts.tail, *features, plan)]
        _, parts = build("mobilenet_v2", size)
        plan = make_plan(epochs=3, augmented_views=0, steps_per_epoch=args.batches)
        parts = cut_at_pixels(parts, plan)
        with compute_or_load_features(parts.front, data, validation, plan) as features:
            uncached = [epoch.seconds for epoch in fit(parts.tail, *features, plan)]
    # The first epoch of each includes tracing.
    record, end = min(cached[1:]), min(uncached[1:]) / args.batches * images / plan.training.batch_size
    return {"on_record": record, "end_to_end": end, "times": end / record}


def reuse(data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds until the features of MobileNetV2 at 160 px are there, the first and the second time."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        validation = write_dataset(args.photos, 32, Path(folder, "validation"))
        for which, head in (("first", {}), ("again", {"hidden_units": 64, "learning_rate": 0.01})):
            keras.utils.set_random_seed(0)
            _, parts = build("mobilenet_v2", 160)
            started = time.perf_counter()
            with compute_or_load_features(parts.front, data, validation, make_plan(**head)):
                found[which] = time.perf_counter() - started
    return found | {"times": found["first"] / found["again"]}


def memory(data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of feature extraction and training of a head, MobileNetV2 at 64 px."""
    before = _read_memory()
    _, parts = build("mobilenet_v2", 64)
    with tempfile.TemporaryDirectory() as folder:
        validation = write_dataset(args.photos, 500, Path(folder, "validation"))
        with compute_or_load_features(parts.front, data, validation, make_plan(epochs=2)) as features:
            fit(parts.tail, *features, make_plan(epochs=2))
            return {"libraries": before, "at_the_end": _read_memory()}


def step(data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of the whole step, with the same network."""
    recipe = load_recipe(settings={"backbone": "mobilenet_v2", "weights": args.weights, "image_size": 64})
    before = _read_memory()
    with tempfile.TemporaryDirectory() as folder:
        validation = write_dataset(args.photos, 500, Path(folder, "validation"))
        train_head(TrainingInputs(data, validation, recipe, 0), Path(folder, "model"))
        return {"libraries": before, "at_the_end": _read_memory()}


def _read_memory() -> dict[str, int]:
    """Peak memory, and memory-mapped files at present, in MiB."""
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    peak, mapped = (int(status[name].split()[0]) // 1024 for name in ("VmHWM", "RssFile"))
    return {"peak_mib": peak, "mapped_mib": mapped}


PARTS = {part.__name__: part for part in (inputs, recording, transformer, epochs, reuse, memory, step)}
_PARTS_OF_TWO_SIZES = (memory.__name__, step.__name__)


@dataclasses.dataclass(frozen=True)
class PartRun:
    """A part and the number of images that it runs on."""

    part: str
    images: int


def run(job: PartRun, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Runs a part in a process of its own."""
    data = work / f"data-{job.images}"
    if not data.is_dir():
        write_dataset(args.photos, job.images, data)
    command = [sys.executable, __file__, str(args.photos), "--child", job.part, "--data", str(data)]
    command += ["--images", str(job.images), "--batches", str(args.batches), "--weights", args.weights]
    environment = os.environ | {CACHE: str(work / f"cache-{job.part}-{job.images}")}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)  # noqa: S603 - this very script
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Parses the command line, measures and prints."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Measure what training waits for, and what cached features save.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--images", type=int, default=2_000, help="number of images in all parts but memory and step")
    parser.add_argument("--batches", type=int, default=16, help="number of batches that rates are measured over")
    parser.add_argument("--memory-images", type=int, nargs=2, default=[4_000, 40_000])
    parser.add_argument("--weights", default="none", help="weights of MobileNetV2, for the step; none: random ones")
    parser.add_argument("--child", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(PARTS[args.child](args.data, args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for part in args.parts:
            for images in args.memory_images if part in _PARTS_OF_TWO_SIZES else [args.images]:
                found = run(PartRun(part, images), args, Path(folder))
                print(f"{part}, {images:,} images: {json.dumps(found, indent=2)}", flush=True)


if __name__ == "__main__":
    main()
