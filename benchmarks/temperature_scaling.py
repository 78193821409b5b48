"""Test log loss with temperature scaling, against none, on drawn and on real predictions, over 50 splits.

    python benchmarks/temperature_scaling.py
    python benchmarks/temperature_scaling.py --photos dogs-vs-cats.zip --weights mobilenet_v2.weights.h5

Rules compared, each fitted on the same validation images:

- `fitted`: the maximum-likelihood temperature, always used;
- `smoothed`: the same with labels smoothed as J. C. Platt does, always used: the rule of earlier versions;
- `tested`: the maximum-likelihood temperature where the likelihood-ratio test rejects 1 at the 5 % level;
- `shrunk`: the temperature shrunk towards 1, always used;
- `here`: shrunk, and used only where the test rejects 1: `core.metrics.calibration.estimate_temperature`.

Figures are the mean change of test log loss in thousandths of a nat, with its standard error: above 0 is worse than
no scaling. `none` is the log loss without scaling.

Drawn predictions are those of a model with Gaussian features whose posterior is known, so that its best temperature
is known too: T. Real ones are of scikit-learn's handwritten digits (1,797 images of ten classes) and, with --photos,
of photographs (256 principal components of MobileNetV2's features at 160 px). Each split draws 600 training images,
the validation images, and the rest for the test. The validation images choose the regularisation of a logistic
regression, as they choose the epoch in training. `digits, sure` are digits of a network of 200 hidden units, trained
until it is right on all training images.

The spread of the prior was chosen on drawn predictions with other seeds (5,000 and up).
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.metrics import calibration
from headstart.components.core.metrics.calibration import (
    PRIOR_SPREAD,
    apply_temperature,
    estimate_temperature,
    fit_temperature,
    to_logits,
)
from headstart.components.core.metrics.statistics import cross_entropies
from headstart.components.train_head.ridge import reduce_features

Labelled = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Class indices (n,) and probabilities (n, classes)."""

Split = Callable[[int, int], tuple[Labelled, Labelled]]
"""Function of a seed and a number of validation images that gives validation and test images."""

SIZES = (100, 300, 1_000)
RULES = ("fitted", "smoothed", "tested", "shrunk", "here")
_TRAIN = 600
_TEST = 4_000
_STRENGTHS = np.logspace(-4, 2, 7)


def temperatures(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, float]:
    """Temperature of each rule.

    Args:
        labels: Class indices of the validation images, (n,).
        probabilities: Their probabilities, (n, classes).
    """
    logits = to_logits(probabilities)
    found = estimate_temperature(labels, logits)
    return {
        "fitted": found.fitted,
        "smoothed": fit_temperature(labels, logits),
        "tested": found.fitted if found.supported else 1.0,
        "shrunk": calibration.shrink_temperature(labels, logits),
        "here": found.temperature,
    }


def change(validation: Labelled, test: Labelled) -> dict[str, float]:
    """Change of the test log loss by each rule; under `none` the log loss without scaling."""
    labels, probabilities = test

    def loss(temperature: float) -> float:
        return float(cross_entropies(labels, apply_temperature(probabilities, temperature)).mean())

    none = loss(1.0)
    return {"none": none} | {rule: loss(each) - none for rule, each in temperatures(*validation).items()}


def draw_predictions(
    images: int, classes: int, separation: float, temperature: float, random: np.random.Generator
) -> Labelled:
    """Predictions of a model whose best temperature is known.

    Args:
        images: Number of images.
        classes: Number of classes, equally frequent.
        separation: Distance of the classes' means from the others', in standard deviations.
        temperature: Best temperature: the posterior's logits are multiplied by it.
        random: Random generator.
    """
    labels = random.integers(0, classes, images)
    features = random.normal(size=(images, classes))
    features[np.arange(images), labels] += separation
    return labels, calibration.softmax(separation * temperature * features)


def drawn_splits(classes: int, separation: float, temperature: float) -> Split:
    """Function of a seed and a number of validation images that draws validation and test images."""

    def split(seed: int, size: int) -> tuple[Labelled, Labelled]:
        random = np.random.default_rng((seed, classes, int(100 * separation), int(100 * temperature), size))
        shape = classes, separation, temperature, random
        return draw_predictions(size, *shape), draw_predictions(_TEST, *shape)

    return split


def real_splits(features: NDArray[np.float32], labels: NDArray[np.int64], sure: bool = False) -> Split:
    """Function of a seed and a number of validation images that trains a classifier and predicts.

    Args:
        features: Features of all images, (n, features).
        labels: Their labels, (n,).
        sure: True to train a network of one hidden layer without regularisation, False for a logistic regression
            whose regularisation the validation images choose.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    def split(seed: int, size: int) -> tuple[Labelled, Labelled]:
        order = np.random.default_rng((seed, size)).permutation(len(labels))
        train, validation, test = np.split(order, [_TRAIN, _TRAIN + size])
        scaler = StandardScaler().fit(features[train])
        inputs = {name: scaler.transform(features[rows]) for name, rows in (("train", train), ("all", order))}
        if sure:
            models = [MLPClassifier((200,), alpha=0, max_iter=300, random_state=seed)]
        else:
            models = [LogisticRegression(C=strength, max_iter=300) for strength in _STRENGTHS]
        predicted = [model.fit(inputs["train"], labels[train]).predict_proba(inputs["all"]) for model in models]
        rows = slice(_TRAIN, _TRAIN + size)
        losses = [cross_entropies(labels[validation], each[rows].astype(np.float64)).mean() for each in predicted]
        best = predicted[int(np.argmin(losses))]
        return (labels[validation], best[rows]), (labels[test], best[_TRAIN + size :])

    return split


def extract_features(photos: Path, weights: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """MobileNetV2 features of photographs at 160 px, and their labels.

    Args:
        photos: Archive of photographs of cats and dogs, named `…/cat.1.jpg`.
        weights: Weights of MobileNetV2 without its top.
    """
    import io
    import zipfile

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    from PIL import Image

    network = keras.applications.MobileNetV2((160, 160, 3), include_top=False, weights=None, pooling="avg")
    network.load_weights(weights)
    features = []
    with zipfile.ZipFile(photos) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        for start in range(0, len(names), 64):
            files = (io.BytesIO(archive.read(name)) for name in names[start : start + 64])
            images = [Image.open(file).convert("RGB").resize((160, 160), Image.Resampling.BILINEAR) for file in files]
            pixels = np.stack([np.asarray(image, np.float32) for image in images])
            features.append(np.asarray(network(pixels / 127.5 - 1, training=False)))
    labels = np.array([int("dog" in name.rpartition("/")[2]) for name in names])
    values = np.concatenate(features)
    return reduce_features([values.astype(np.float16)], values.shape[1]).features, labels


def report(name: str, split: Split, splits: int, seed: int) -> None:
    """Prints a line for each number of validation images."""
    for size in SIZES:
        found = [change(*split(seed + number, size)) for number in range(splits)]
        cells = []
        for rule in RULES:
            values = 1e3 * np.array([each[rule] for each in found])
            cells.append(f"{values.mean():+7.2f} ({values.std(ddof=1) / np.sqrt(splits):.2f})")
        none = np.mean([each["none"] for each in found])
        print(f"{name:26} {size:6,} {none:7.4f}  " + "  ".join(cells), flush=True)


def main() -> None:
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(description="Test log loss with temperature scaling, against none.")
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photos", type=Path, help="archive of photographs of cats and dogs")
    parser.add_argument("--weights", type=Path, help="weights of MobileNetV2 without its top")
    parser.add_argument("--only", default="", help="only predictions whose name begins so")
    args = parser.parse_args()

    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = digits.data.astype(np.float32)
    sources = {
        f"{classes} classes, {accuracy} %, T {temperature}": drawn_splits(classes, separation, temperature)
        for classes, separation, accuracy in ((2, 1.2, 80), (2, 2.3, 95), (2, 3.2, 99), (10, 3.0, 90))
        for temperature in (1.0, 1.2, 2.0)
    }
    sources["digits"] = real_splits(pixels, digits.target)
    sources["digits, sure"] = real_splits(pixels, digits.target, sure=True)
    if args.photos:
        sources["photographs"] = real_splits(*extract_features(args.photos, args.weights))
    print(f"{args.splits} splits, seed {args.seed}, spread of the prior {PRIOR_SPREAD}; standard errors in brackets")
    print(f"{'predictions':26} images    none  " + "  ".join(f"{rule:>14}" for rule in RULES))
    for name, split in sources.items():
        if name.startswith(args.only):
            report(name, split, args.splits, args.seed)


if __name__ == "__main__":
    main()
