"""Coverage of the interval of the gain from twice as many training images.

    python benchmarks/learning_curve.py

Each row is a population of Gaussian classes. The true gain is that of the same ridge regression, averaged over many
training sets of the present and of twice the size, on 20,000 test images. Data sets are drawn from the population, a
fifth of each for validation, and the probe's learning curve is fitted to each. Columns: accuracy at the present size,
true gain with its standard error, mean estimate, mean width of the interval, share of intervals that contain the true
gain, and share of data sets whose gain is a headline of the report (interval above 0).
"""

import argparse
import dataclasses

import numpy as np
from numpy.typing import NDArray

from headstart.components.train_head.probe import LabelledFeatures, fit_learning_curve
from headstart.components.train_head.ridge import Sums, fit_ridge

_FEATURES = 40
_PENALTY = 10.0
_TEST = 20_000
_TRAINED = 60


@dataclasses.dataclass(frozen=True)
class Population:
    """Gaussian classes around random means.

    Attributes:
        classes: Number of classes.
        separation: Distance of a mean from the origin in each feature, in standard deviations.
        images: Images of a data set, a fifth of them for validation.
    """

    classes: int
    separation: float
    images: int

    def draw(self, images: int, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Draws features (images, features) and labels."""
        means = self.separation * np.random.default_rng(7).normal(size=(self.classes, _FEATURES))
        labels = random.integers(0, self.classes, images)
        return (means[labels] + random.normal(size=(images, _FEATURES))).astype(np.float32), labels

    def accuracies(self, images: int, seed: int) -> NDArray[np.float64]:
        """Accuracy of ridge regression on each of several training sets; a seed has one test set for all sizes."""
        random = np.random.default_rng(seed)
        features, labels = self.draw(_TEST, random)
        found = []
        for _ in range(_TRAINED):
            sums = Sums.of(*self.draw(images, random), self.classes)
            found.append((fit_ridge(sums, _PENALTY).scores(features).argmax(axis=1) == labels).mean())
        return np.array(found)


POPULATIONS = (
    Population(2, 0.28, 400),
    Population(4, 0.35, 400),
    Population(2, 0.45, 1_000),
    Population(2, 0.0, 400),
)


def measure(population: Population, data_sets: int, seed: int) -> str:
    """One row of the table.

    Args:
        population: Population to draw from.
        data_sets: Number of data sets.
        seed: Random seed of the first data set.
    """
    images = population.images * 4 // 5
    now, twice = (population.accuracies(size, seed) for size in (images, 2 * images))
    # Without a difference between the classes nothing can be gained.
    gain = twice.mean() - now.mean() if population.separation else 0.0
    error = np.hypot(*(each.std(ddof=1) for each in (now, twice))) / np.sqrt(_TRAINED)
    curves = []
    for number in range(data_sets):
        features, labels = population.draw(population.images, np.random.default_rng((seed, number)))
        names = [str(image) for image in range(population.images)]
        data = LabelledFeatures(features, labels, names, population.classes)
        curves.append(fit_learning_curve(data, _PENALTY, images, seed + number))
    intervals = np.array([curve.gain_interval for curve in curves])
    covered = ((intervals[:, 0] <= gain) & (gain <= intervals[:, 1])).mean()
    sure = np.mean([curve.is_gain_sure for curve in curves])
    return (
        f"{population.classes:7} {population.images:6,} {now.mean():8.3f} {100 * gain:+6.2f} ({100 * error:.2f}) "
        f"{100 * np.mean([curve.gain for curve in curves]):+8.2f} {100 * np.ptp(intervals, axis=1).mean():5.2f} "
        f"{covered:8.3f} {sure:8.3f}"
    )


def main() -> None:
    """Parses the command line, simulates and prints."""
    parser = argparse.ArgumentParser(description="Coverage of the interval of the gain from twice the images.")
    parser.add_argument("--data-sets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(f"{args.data_sets} data sets, seed {args.seed}; gains and widths in points of accuracy")
    print("classes images accuracy   true gain estimate width coverage headline")
    for population in POPULATIONS:
        print(measure(population, args.data_sets, args.seed), flush=True)


if __name__ == "__main__":
    main()
