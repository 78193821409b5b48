"""Times `predict`, from JPEG files to predictions, against Keras' bare `predict` on arrays in memory.

    python benchmarks/predict_throughput.py ARCHIVE

ARCHIVE is a zip archive of JPEGs. The bare loop gets decoded and resized pixels and a network without resizing. Ours
reads files, decodes, resizes and writes predictions into columns. Networks have random weights.

MobileNetV2 at 160 px, 384 photographs of Kaggle's cats and dogs, two cores, three rounds, on a machine with other
work. Compared with the faster bare loop, in batches of 16, `predict` passes 1.03 times the images/s. Only one network
runs at a time now, since two crashed the process for some networks. By batch size and networks at once:

========================  ========  ====================  ================  =================
work                      images/s  ms of CPU per image   to "bare, 16"     to it, by CPU
========================  ========  ====================  ================  =================
bare, 32                      36.5  17.56                 0.51              0.82
bare, 16                      71.2  14.48                 1.00              1.00
predict, 16, 2 at once        75.0  14.95                 1.05              0.97
predict, 16, 1 at once        73.0  15.20                 1.03              0.95
predict, 8, 2 at once        101.4  13.43                 1.42              1.08
predict, 32, 2 at once        72.5  18.74                 1.02              0.77
========================  ========  ====================  ================  =================

With its variables turned into constants, the graph took 14.8 ms in batches of 16, as before, but 10.7 ms in batches
of 8; that needs a private interface of TensorFlow. Resizing an image of 200 x 200 pixels to 160 took 2.1 ms of CPU
with TensorFlow's ScaleAndTranslate called for each image, and 2.5 ms as two matrix products. Pillow's filter for
floating-point pixels, which is in use, took 0.87 ms. The one for bytes took 0.44 ms; its results differ by up to one
level of 255.
"""

import argparse
import functools
import resource
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from headstart.components.core.artifacts.model import ModelInfo, write_seen
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.classifier import build_backbone, build_classifier, remove_resizing
from headstart.components.core.networks.image_batches import decode_and_resize
from headstart.components.core.networks.inference import load_classifier
from headstart.components.core.networks.saving import library_versions, load_model, save_model
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.registry.model_files import ModelFiles
from headstart.components.core.util.resources import available_cores
from headstart.components.predict_images import predict as prediction
from headstart.components.predict_images.named_images import find_images
from headstart.components.predict_images.step import open_model

_CLASSES = ["cat", "dog"]


def make_model(folder: Path, backbone_name: str, size: int) -> Path:
    """Writes a model artifact with random weights, on which the time does not depend."""
    backbone = get_backbone(backbone_name)
    base = build_backbone(backbone, size)
    model = build_classifier(base, backbone.preprocessing, backbone.head, len(_CLASSES), size)
    info = ModelInfo("head", _CLASSES, size, backbone_name, {}, {}, {}, library_versions(), 0, max_side=512)
    folder.mkdir(parents=True)
    write_seen(folder, [])
    save_model(folder, model, info, [])
    return folder


def predict_files(model: Path, files: list[Path], batch: int) -> None:
    """Does what the command does, without its output, in batches of so many images."""
    opened = open_model(ModelFiles(model), 0)
    with mock.patch.object(prediction, "_BATCH", batch):
        for _ in prediction.predict(opened, find_images(map(str, files))):
            pass


def build_work(model: Path, size: int, files: list[Path]) -> dict[str, Callable[[], object]]:
    """Functions to time by name; the others are compared with the first."""
    network = remove_resizing(load_model(model))
    arrays = np.stack([decode_and_resize(file.read_bytes(), size).numpy() for file in files])
    bare = {f"bare, {n}": functools.partial(network.predict, arrays, batch_size=n, verbose=0) for n in (32, 16)}
    ours = {f"predict, {batch}": functools.partial(predict_files, model, files, batch) for batch in (16, 8, 32)}
    return bare | ours


def measure(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Measures seconds and CPU seconds of each function in rounds, after one round that traces the graphs."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, each in work.items():
            started, cpu = time.perf_counter(), time.process_time()
            each()
            if turn:
                spent[name].append((time.perf_counter() - started, time.process_time() - cpu))
    return spent


def report(size: int, images: int, spent: dict[str, list[tuple[float, float]]]) -> None:
    """Prints medians over the rounds."""
    base = spent[next(iter(spent))]
    for name, times in spent.items():
        wall, cpu = (statistics.median(each) for each in zip(*times, strict=True))
        ratios = [
            statistics.median(own[kind] / other[kind] for own, other in zip(base, times, strict=True))
            for kind in (0, 1)
        ]
        print(
            f"{size} px  {name:24s} {images / wall:6.1f} images/s, {1000 * cpu / images:5.2f} ms of CPU per image; "
            f"to the first {ratios[0]:.2f} by time, {ratios[1]:.2f} by CPU",
            flush=True,
        )


def main() -> None:
    """Parses the command line, makes models, times and prints."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Time predict against Keras' bare predict.")
    parser.add_argument("archive", type=Path, help="a zip archive of JPEGs")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[160, 224], help="image sizes in pixels")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="predict-") as folder:
        root = Path(folder)
        with zipfile.ZipFile(args.archive) as archive:
            archive.extractall(root / "photos")
        files = sorted((root / "photos").rglob("*.jpg"))[: args.images]
        print(f"{len(files)} JPEGs, {available_cores()} cores")
        # Each network is loaded and traced once, so that the steady rate of long runs is measured.
        cached = functools.cache(load_classifier)
        with mock.patch("headstart.components.core.networks.inference.load_classifier", cached):
            for size in args.sizes:
                model = make_model(root / f"model-{size}", "mobilenet_v2", size)
                report(size, len(files), measure(build_work(model, size, files), args.rounds))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"peak memory, including the arrays of the bare loop: {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
