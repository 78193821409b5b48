r"""AUROC and detection of images that are none of the classes, by seven scores and on drawn and real images.

    pip install scikit-image
    python benchmarks/unfamiliarity.py draw images
    headstart run --data photos.zip --counts 1000,500,500 --weights mobilenet_v2.weights.h5 --image-size 160 \
        --order name --output fine-tuned
    headstart run --data photos.zip --counts 1000,500,500 --weights mobilenet_v2.weights.h5 --image-size 160 \
        --order name --method head --output head
    headstart run --data images/known --counts 50,25,25 --weights mobilenet_v2.weights.h5 --image-size 160 \
        --method head --output drawn
    headstart run --data images/known --counts 50,25,25 --backbone sketchnet --method head \
        --output sketchnet
    python benchmarks/unfamiliarity.py measure head images/far
    python benchmarks/unfamiliarity.py measure fine-tuned images/far
    python benchmarks/unfamiliarity.py measure drawn images/near
    python benchmarks/unfamiliarity.py measure sketchnet images/near

`draw` needs scikit-image, which only this script uses, for the photographs and textures that it ships; nothing is
downloaded. Far sets are of another kind than photographs of cats and dogs. Near sets are drawings of ten classes,
every third of the thirty in `drawings/`, where the model has learned the other twenty.

`measure` compares these scores, all from the same features (what the output layer gets) and logits:

- `here`: cosine distance to the fifth nearest of the model's reference images, `core.metrics.unfamiliarity`;
- `nearest 1` and `nearest 10`: the same with another rank;
- `Mahalanobis`: distance to the nearest class mean, with one covariance, shrunk as O. Ledoit and M. Wolf do (K. Lee
  et al., NeurIPS 2018, arXiv:1807.03888);
- `ViM`: H. Wang et al., CVPR 2022, arXiv:2203.10807;
- `energy`: W. Liu et al., NeurIPS 2020, arXiv:2010.03759; for one sigmoid unit of logit z with the logits -z/2 and
  z/2, so that its order is that of the probability;
- `probability`: one minus the largest (D. Hendrycks and K. Gimpel, ICLR 2017, arXiv:1610.02136).

The threshold of every score is chosen on the validation images by the rule of the product, for 1 % and for 5 % false
alarms with 95 % confidence. AUROC compares a set with the test images; its interval is E. DeLong's (Biometrics 44,
1988) and vanishes at 1. Shares have Wilson's interval. Features are kept in --work, by model and set.
"""

import argparse
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import matplotlib
import numpy as np
import tensorflow as tf
from drawings.animals import ANIMALS
from drawings.things import CLASSES
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.special import logsumexp, softmax

from headstart.components.core.artifacts.dataset import read_columns
from headstart.components.core.artifacts.keras_file import OUTPUT
from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.artifacts.reference import ReferenceFeatures, read_reference
from headstart.components.core.metrics.statistics import Interval, wilson_interval
from headstart.components.core.metrics.unfamiliarity import NEIGHBOURS, choose_threshold, compute_unfamiliarity
from headstart.components.core.networks.classifier import RESIZE, add_features_output, remove_resizing
from headstart.components.core.networks.image_batches import decode_and_resize, read_image_batches
from headstart.components.core.networks.saving import load_model
from headstart.components.core.networks.start import start_tensorflow
from headstart.pipelines.sample.scene import draw_scene, encode_jpeg

FALSE_ALARMS = (0.01, 0.05)
PER_SET = 60
PER_KNOWN_CLASS = 100
PER_NEAR_CLASS = 50
_BATCH = 64
_STREAM = 7_003
"""Makes these drawings different from those that sketchnet is pretrained on."""

_SYLLABLES = (
    *("ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "xo", "zu"),
    *("an", "en", "ir", "os", "ul"),
)

# Images that scikit-image, scikit-learn and matplotlib ship, but for the cat.
PHOTOGRAPHS = (
    *("astronaut", "camera", "cell", "clock", "coffee", "coins", "colorwheel", "horse", "hubble_deep_field"),
    *("immunohistochemistry", "logo", "microaneurysms", "moon", "page", "retina", "rocket", "text"),
)
TEXTURES = ("brick", "grass", "gravel")


def draw(folder: Path) -> None:
    """Writes `far/SET/*.png`, `near/CLASS/*.jpg` and `known/CLASS/*.jpg`; the same files every time."""
    sets: dict[str, Callable[[np.random.Generator], Image.Image]] = {
        "text": draw_text,
        "diagrams": draw_diagram,
        "screens": draw_screen,
        "patterns": draw_pattern,
        "noise": draw_noise,
        "drawn things": lambda rng: _draw_one([name for name in CLASSES if name not in ANIMALS], rng),
        "drawn animals": lambda rng: _draw_one(list(ANIMALS), rng),
    }
    for at, (name, make) in enumerate(sets.items()):
        _save(folder / "far" / name, (make(np.random.default_rng([_STREAM, at, each])) for each in range(PER_SET)))
    _save(folder / "far" / "photographs", read_photographs())
    _save(folder / "far" / "textures", cut_textures())
    for at, (name, figure) in enumerate(CLASSES.items()):
        kind, images = ("near", PER_NEAR_CLASS) if at % 3 == 2 else ("known", PER_KNOWN_CLASS)
        (folder / kind / name).mkdir(parents=True, exist_ok=True)
        for number in range(images):
            rng = np.random.default_rng([_STREAM, 100 + at, number])
            (folder / kind / name / f"{number}.jpg").write_bytes(encode_jpeg(draw_scene(figure, rng), rng))


def _save(folder: Path, images: Iterator[Image.Image]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        image.convert("RGB").save(folder / f"{number}.png")


def _draw_one(names: list[str], rng: np.random.Generator) -> Image.Image:
    return draw_scene(CLASSES[names[rng.integers(len(names))]], rng)


def read_photographs() -> Iterator[Image.Image]:
    """Whole images of scikit-image, scikit-learn and matplotlib that need no download."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    for name in PHOTOGRAPHS:
        pixels = np.asarray(getattr(data, name)())
        yield Image.fromarray(np.where(pixels, 255, 0).astype(np.uint8) if pixels.dtype == bool else pixels)
    yield from map(Image.fromarray, load_sample_images().images)
    yield Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")


def cut_textures() -> Iterator[Image.Image]:
    """Nine squares of each texture of scikit-image; those of one texture resemble each other."""
    from skimage import data

    for name in TEXTURES:
        pixels = getattr(data, name)()
        side = len(pixels) // 3
        for top in range(3):
            for left in range(3):
                yield Image.fromarray(pixels[top * side : (top + 1) * side, left * side : (left + 1) * side])


def pick(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    """Picks a colour at random."""
    red, green, blue = rng.integers(low, high, 3).tolist()
    return red, green, blue


def words(rng: np.random.Generator, count: int) -> str:
    """Meaningless words."""
    return " ".join("".join(rng.choice(_SYLLABLES, rng.integers(1, 5))) for _ in range(count))


def font(rng: np.random.Generator, size: int) -> ImageFont.FreeTypeFont:
    """A font that matplotlib brings, of `size` pixels."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    files = sorted(path for path in folder.glob("*.ttf") if path.name.startswith(("DejaVu", "STIXGeneral")))
    return ImageFont.truetype(files[rng.integers(len(files))], size)


def draw_text(rng: np.random.Generator) -> Image.Image:
    """Draws a page of text, dark on light or the other way round."""
    light, dark = pick(rng, 200), pick(rng, 0, 90)
    paper, ink = (light, dark) if rng.random() < 0.8 else (dark, light)
    size = int(rng.integers(10, 40))
    image = Image.new("RGB", (int(rng.integers(240, 480)), int(rng.integers(240, 480))), paper)
    pen, face = ImageDraw.Draw(image), font(rng, size)
    for top in range(10, image.height, int(1.4 * size)):
        pen.text((10, top), words(rng, int(rng.integers(3, 12))), ink, face)
    return image


def draw_diagram(rng: np.random.Generator) -> Image.Image:
    """Draws a diagram with matplotlib: bars, lines, points, a pie, a map of values or a histogram."""
    figure = Figure(figsize=rng.uniform(3, 6, 2).tolist(), dpi=80)
    axes, colors = figure.add_subplot(), [tuple(np.array(pick(rng)) / 255) for _ in range(4)]
    kind = rng.integers(6)
    if kind == 0:
        axes.bar(range(5), rng.random(5), color=colors)
    elif kind == 1:
        for color in colors[: rng.integers(1, 5)]:
            axes.plot(rng.normal(size=30).cumsum(), color=color)
    elif kind == 2:
        axes.scatter(*rng.normal(size=(2, 60)), color=colors[0])
    elif kind == 3:
        axes.pie(rng.random(4) + 0.1, labels=words(rng, 4).split(), colors=colors)
    elif kind == 4:
        axes.imshow(rng.random((8, 8)), cmap=str(rng.choice(["viridis", "gray", "magma", "coolwarm"])))
    else:
        axes.hist(rng.normal(size=200), bins=20, color=colors[0])
    axes.set_title(words(rng, 3))
    axes.set_xlabel(words(rng, 1))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def draw_screen(rng: np.random.Generator) -> Image.Image:
    """Draws a window of a program: a bar, a menu, lines of text or a table, buttons."""
    back, accent, ink = pick(rng, 190), pick(rng, 30, 200), pick(rng, 0, 90)
    image = Image.new("RGB", (int(rng.integers(320, 640)), int(rng.integers(240, 480))), back)
    pen, face, wide = ImageDraw.Draw(image), font(rng, int(rng.integers(11, 18))), image.width
    pen.rectangle((0, 0, wide, 28), accent)
    pen.text((8, 6), words(rng, 3), back, face)
    side = int(rng.integers(0, wide // 3))
    pen.rectangle((0, 28, side, image.height), pick(rng, 150))
    for top in range(40, image.height - 40, int(rng.integers(18, 36))):
        if side > 60:
            pen.text((8, top), words(rng, 1), ink, face)
        pen.text((side + 12, top), words(rng, int(rng.integers(1, 6))), ink, face)
        if rng.random() < 0.4:
            pen.line((side, top - 3, wide, top - 3), accent)
    for at in range(int(rng.integers(1, 4))):
        left = wide - 100 * (at + 1)
        pen.rounded_rectangle((left, image.height - 36, left + 88, image.height - 8), 6, accent)
        pen.text((left + 10, image.height - 30), words(rng, 1), back, face)
    return image


def draw_pattern(rng: np.random.Generator) -> Image.Image:
    """Draws a pattern as of a wallpaper: stripes, checks, dots, waves or bricks in two colours."""
    side = int(rng.integers(200, 400))
    y, x = np.mgrid[:side, :side] / side * rng.uniform(4, 16)
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    wave = np.sin(2 * np.pi * along)
    share = {
        "stripes": wave > rng.uniform(-0.5, 0.5),
        "checks": (np.floor(along) + np.floor(across)) % 2,
        "dots": np.hypot(along % 1 - 0.5, across % 1 - 0.5) < rng.uniform(0.15, 0.45),
        "waves": 0.5 + 0.5 * np.sin(2 * np.pi * (along + rng.uniform(0.1, 0.6) * np.sin(across))),
        "bricks": (across % 1 < 0.08) | ((along + 0.5 * (np.floor(across) % 2)) % 1 < 0.05),
    }
    chosen = np.asarray(share[str(rng.choice(list(share)))], np.float64)[..., None]
    first, second = np.array(pick(rng)), np.array(pick(rng))
    return Image.fromarray((first + (second - first) * chosen).astype(np.uint8))


def draw_noise(rng: np.random.Generator) -> Image.Image:
    """Draws uniform noise, Gaussian noise about a colour, noise as clouds, a blend of colours, or one colour."""
    side = int(rng.integers(160, 320))
    kind = rng.integers(5)
    if kind == 0:
        pixels = rng.uniform(0, 255, (side, side, 3))
    elif kind == 1:
        pixels = np.array(pick(rng)) + rng.normal(0, rng.uniform(10, 60), (side, side, 3))
    elif kind == 2:
        steps = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)) + 1 / side
        spectrum = np.fft.rfft2(rng.normal(size=(3, side, side))) / steps ** rng.uniform(0.8, 2)
        clouds = np.moveaxis(np.fft.irfft2(spectrum, (side, side)), 0, 2)
        pixels = 128 + 50 * clouds / clouds.std()
    elif kind == 3:
        corners = Image.fromarray(rng.integers(0, 256, (2, 2, 3)).astype(np.uint8))
        pixels = np.asarray(corners.resize((side, side), Image.Resampling.BILINEAR), np.float64)
    else:
        pixels = np.broadcast_to(np.array(pick(rng), np.float64), (side, side, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What a network computes for n images.

    Attributes:
        features: Activations that the output layer gets, (n, features).
        logits: Input of the softmax, (n, classes).
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float64]


Score = Callable[[Outputs], NDArray[np.floating]]
"""Function from n images to n numbers, larger for images that are less familiar."""


class Network:
    """A trained model that computes features of datasets and of folders of images, and keeps them.

    Args:
        run: Output folder of a run.
        work: Folder to keep features in.
    """

    def __init__(self, run: Path, work: Path) -> None:
        self.run, self.info = run, read_model_info(run / "model")
        self._work = work / self.info.sha256[:16]
        self._work.mkdir(parents=True, exist_ok=True)
        model = load_model(run / "model")
        self._size = model.get_layer(RESIZE).height
        kernel, bias = model.get_layer(OUTPUT).get_weights()
        if kernel.shape[1] == 1:
            kernel, bias = (np.concatenate([-each / 2, each / 2], axis=-1) for each in (kernel, bias))
        self.kernel, self.bias = kernel.astype(np.float64), bias.astype(np.float64)
        network: keras.Model = add_features_output(remove_resizing(model))
        self._compute = tf.function(lambda pixels: network(pixels, training=False)[1], reduce_retracing=True)

    def predict_split(self, name: str) -> Outputs:
        """Outputs for a split of the run: `train`, `validation` or `test`."""
        return self._predict(name, lambda: read_image_batches(self.run / "splits" / name, self._size, _BATCH))

    def predict_folder(self, folder: Path) -> Outputs:
        """Outputs for the JPEG and PNG files of a folder."""

        def batches() -> Iterator[tf.Tensor]:
            files = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
            for start in range(0, len(files), _BATCH):
                part = [decode_and_resize(path.read_bytes(), self._size) for path in files[start : start + _BATCH]]
                yield tf.stack(part)

        return self._predict(f"{folder.parent.name}-{folder.name}", batches)

    def _predict(self, name: str, batches: Callable[[], Iterator[tf.Tensor]]) -> Outputs:
        kept = self._work / f"{name}.npy"
        if not kept.exists():
            np.save(kept, np.concatenate([self._compute(pixels).numpy() for pixels in batches()]))
        features = np.load(kept)
        return Outputs(features, features @ self.kernel + self.bias)


def fit_scores(network: Network, train: Outputs, reference: ReferenceFeatures) -> dict[str, Score]:
    """Fits every score on the training images.

    Args:
        network: Trained model.
        train: Its outputs for the training images.
        reference: Its reference features.
    """
    labels = np.array(read_columns(network.run / "splits" / "train", ["label"])["label"])
    return {
        "here": lambda images: compute_unfamiliarity(images.features, reference),
        **{
            f"nearest {rank}": lambda images, rank=rank: compute_unfamiliarity(
                images.features, ReferenceFeatures(reference.features, rank)
            )
            for rank in (1, 10)
        },
        "Mahalanobis": fit_mahalanobis(train.features.astype(np.float64), labels),
        "ViM": fit_vim(train, network.kernel, network.bias),
        "energy": lambda images: -logsumexp(images.logits, axis=1),
        "probability": lambda images: 1 - softmax(images.logits, axis=1).max(axis=1),
    }


def fit_mahalanobis(features: NDArray[np.float64], labels: NDArray[np.int64]) -> Score:
    """Distance to the nearest class mean, with one covariance of all classes."""
    from sklearn.covariance import LedoitWolf

    classes = np.unique(labels)
    means = np.stack([features[labels == each].mean(axis=0) for each in classes])
    precision = LedoitWolf(assume_centered=True).fit(features - means[np.searchsorted(classes, labels)]).precision_

    def score(images: Outputs) -> NDArray[np.floating]:
        off = images.features[:, None, :] - means
        return np.asarray(np.einsum("ncf,fg,ncg->nc", off, precision, off, optimize=True).min(axis=1))

    return score


def fit_vim(train: Outputs, kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> Score:
    """Length of the features outside their principal subspace, as the logit of one more class."""
    origin = -np.linalg.pinv(kernel.T) @ bias
    centred = train.features - origin
    width = centred.shape[1]
    # The paper's choice for 768 features and more; half of them for fewer.
    kept = 512 if width >= 768 else width // 2
    residual = np.linalg.eigh(centred.T @ centred)[1][:, : width - kept]
    factor = train.logits.max(axis=1).mean() / np.linalg.norm(centred @ residual, axis=1).mean()

    def score(images: Outputs) -> NDArray[np.floating]:
        outside = np.linalg.norm((images.features - origin) @ residual, axis=1)
        return np.asarray(factor * outside - logsumexp(images.logits, axis=1))

    return score


def compute_auroc(familiar: NDArray[np.floating], others: NDArray[np.floating]) -> tuple[float, Interval]:
    """Probability that an image of a set is less familiar than a test image, and its interval."""
    above = (others[:, None] > familiar) + 0.5 * (others[:, None] == familiar)
    spread = above.mean(axis=1).var(ddof=1) / len(others) + above.mean(axis=0).var(ddof=1) / len(familiar)
    area, half = float(above.mean()), 1.96 * float(np.sqrt(spread))
    return area, (max(0.0, area - half), min(1.0, area + half))


def show_share(flags: NDArray[np.bool_]) -> str:
    """A share and its interval in percent."""
    low, high = wilson_interval(int(flags.sum()), len(flags))
    return f"{100 * flags.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})"


def measure(run: Path, sets: Path, work: Path) -> None:
    """Prints a row for each set by the score of the product, and a row for each score on all sets.

    Args:
        run: Output folder of a run.
        sets: Folder of folders of images.
        work: Folder to keep features in.
    """
    network = Network(run, work)
    reference = read_reference(run / "model", network.info)
    if reference is None or reference.neighbours != NEIGHBOURS:
        raise SystemExit(f"{run} was trained by an earlier version; run it again")
    train, validation, test = map(network.predict_split, ("train", "validation", "test"))
    others = {folder.name: network.predict_folder(folder) for folder in sorted(sets.iterdir())}
    print(f"{run}: {network.info.backbone}, {network.info.stage}, {len(validation.logits)} validation images")
    print("| score | images of | number | AUROC | caught at 1 %, % | at 5 %, % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, score in fit_scores(network, train, reference).items():
        known, chosen = score(test), score(validation)
        thresholds = [choose_threshold(chosen, rate).threshold for rate in FALSE_ALARMS]
        alarms = [show_share(known > threshold) for threshold in thresholds]
        print(f"| {name} | test images: false alarms | {len(known)} | | {alarms[0]} | {alarms[1]} |")
        found = {each: score(outputs) for each, outputs in others.items()}
        rows = {**(found if name == "here" else {}), "all sets": np.concatenate(list(found.values()))}
        for each, scores in rows.items():
            area, (low, high) = compute_auroc(known, scores)
            caught = [show_share(scores > threshold) for threshold in thresholds]
            print(
                f"| {name} | {each} | {len(scores)} | {area:.3f} ({low:.3f} to {high:.3f}) | "
                f"{caught[0]} | {caught[1]} |",
                flush=True,
            )


def main() -> None:
    """Parses the command line, draws or measures."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Measure how well images that are none of the classes are found.")
    parser.add_argument("--work", type=Path, default=Path("unfamiliarity-features"), help="folder of kept features")
    what = parser.add_subparsers(dest="what", required=True)
    drawing = what.add_parser("draw", help="write the images")
    drawing.add_argument("folder", type=Path)
    measuring = what.add_parser("measure", help="compare the scores of a run's model")
    measuring.add_argument("run", type=Path, help="output folder of a run")
    measuring.add_argument("sets", type=Path, help="folder of folders of images")
    args = parser.parse_args()
    if args.what == "draw":
        draw(args.folder)
    else:
        measure(args.run, args.sets, args.work)


if __name__ == "__main__":
    main()
