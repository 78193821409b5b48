"""Compares starts of the head: ridge regression alone, training from random weights, and training from ridge.

    python benchmarks/head_start.py DATASET --weights WEIGHTS --image-size 160 --splits 6
    python benchmarks/head_start.py DATASET --weights WEIGHTS --image-size 160 --views 1 2 4 8

DATASET is a dataset artifact of `download_dataset`. Its features are computed once, in as many views as the largest
of --views. Each split assigns half of the images to training, a quarter to validation and a quarter to test, at
random by its number. All variants train on the same split with the recipe `fast`, and validation chooses the epoch.
Seconds are those of training, without computing the features.

Results on the 4,000 photographs of Dogs vs. Cats, MobileNetV2 at 160 px, one view, six splits, the first of them the
tutorial's: means of validation loss, test loss and test accuracy. But for the last line, the regression was on all
1,280 features.

    ridge regression             0.0782   0.0793   0.9665
    from random weights          0.0829   0.0825   0.9662
    from ridge regression        0.0764   0.0782   0.9683   lower validation loss than from random weights in 6 of 6
    on 256 principal components  0.0784   0.0813   0.9662   ridge regression alone, as in `train_head`
"""

import argparse
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.artifacts.history import best_epoch
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.features.compute import FeatureExtractor, Features
from headstart.components.core.metrics.statistics import cross_entropies
from headstart.components.core.networks.classifier import BACKBONE_END, build_classifier, cut_classifier
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.fit import fit
from headstart.components.train_head.probe import LabelledFeatures, predict_out_of_fold
from headstart.components.train_head.ridge import LinearHead, fit_linear_head, reduce_features


def extract_features(dataset: Path, weights: str, image_size: int, views: int, path: Path) -> Features:
    """Computes the pooled features of a whole dataset."""
    recipe = load_recipe(settings={"weights": weights, "image_size": image_size}).resolve()
    backbone = get_backbone(recipe.backbone)
    base = build_pretrained_backbone(backbone, recipe.image_size, weights)
    network = build_classifier(base, backbone.preprocessing, recipe.head_shape(), 2, recipe.image_size)
    front = cut_classifier(network, base.name, BACKBONE_END).front
    return FeatureExtractor([front], Plan.of(recipe, "head", 0)).extract(dataset, views, [path])[0]


def fit_ridge_head(train: Features, validation: Features) -> LinearHead:
    """Fits ridge regression as `train_head` does."""
    plain = [each.activations[0] for each in (train, validation)]
    labels = np.concatenate([train.labels, validation.labels])
    data = reduce_features(plain, plain[0].shape[-1])
    alone = [str(number) for number in range(len(labels))]
    _, settings = predict_out_of_fold(LabelledFeatures(data.features, labels, alone, 2), 0)
    return fit_linear_head(data, labels, train.images, 2, settings)


def train(
    train_set: Features, validation_set: Features, initial: LinearHead | None
) -> tuple[list[NDArray[np.float32]], float]:
    """Trains the recipe's head and returns its weights and validation loss; `initial` None: from random weights."""
    plan = Plan.of(load_recipe(settings={"head.augmented_views": train_set.views}), "head", 0)
    keras.utils.set_random_seed(0)
    features = keras.Input(train_set.activations.shape[2:])
    dropped = keras.layers.Dropout(get_backbone("mobilenet_v2").head.dropout)(features)
    head = keras.Model(features, keras.layers.Dense(1, activation="sigmoid")(dropped))
    if initial:
        head.set_weights([initial.kernel, initial.bias])
    epochs = fit(head, train_set, validation_set, plan)
    return head.get_weights(), best_epoch(epochs).validation_loss


def evaluate(kernel: NDArray[np.floating], bias: NDArray[np.floating], test: Features) -> tuple[float, float]:
    """Computes mean cross-entropy and accuracy on plain test images."""
    logits = (test.activations[0].astype(np.float64) @ kernel + bias)[:, 0]
    dog = 1 / (1 + np.exp(-logits))
    loss = cross_entropies(test.labels, np.stack([1 - dog, dog], axis=1)).mean()
    return float(loss), float(((dog > 0.5) == test.labels).mean())


def main() -> None:
    """Prints a line for each variant, the mean over the splits."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Compare starts of the head's training.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", default="", help="weights of MobileNetV2; left out: ImageNet's, downloaded")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--views", type=int, nargs="+", default=[1])
    parser.add_argument("--splits", type=int, default=6)
    args = parser.parse_args()
    results: dict[str, list[tuple[float, ...]]] = {}

    def record_result(
        variant: str, loss: float, started: float, kernel: NDArray, bias: NDArray, test: Features
    ) -> None:
        results.setdefault(variant, []).append((loss, *evaluate(kernel, bias, test), time.monotonic() - started))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.npy"
        whole = extract_features(args.dataset, args.weights, args.image_size, max(args.views), path)
        images = read_dataset_info(args.dataset).images
        for number in range(args.splits):
            order = np.random.default_rng(number).permutation(images)
            rows = np.split(order, [images // 2, images * 3 // 4])
            for views in args.views:
                train_set, validation_set, test = (
                    Features(whole.activations[:views, each], whole.labels[each]) for each in rows
                )
                started = time.monotonic()
                ridge = fit_ridge_head(train_set, validation_set)
                record_result("ridge regression", ridge.loss, started, ridge.kernel, ridge.bias, test)
                for name, initial in (("random weights", None), ("ridge regression", ridge)):
                    started = time.monotonic()
                    weights, loss = train(train_set, validation_set, initial)
                    record_result(f"{views} views, from {name}", loss, started, *weights, test)
    print(f"{'':<34}validation loss  test loss  test accuracy  seconds")
    for variant, figures in results.items():
        loss, test_loss, accuracy, seconds = np.mean(figures, axis=0)
        print(f"{variant:<34}{loss:15.4f}{test_loss:11.4f}{accuracy:15.4f}{seconds:9.1f}")


if __name__ == "__main__":
    main()
