"""Simulates the gate: how often it calls an equal model better, and how often it detects a better one.

    python benchmarks/gate_simulation.py

A pair of models is defined by the shares of images that only one of them gets right: `differ` in all, the larger part
for the better one. Typical values of `differ` are 4 % for a model that is trained again and 10 % for another model; a
gain of 5 points needs 5 %. Equal models are compared on 4,000 random test sets, for which 5 % is accurate to 0.7
points either way, others on 500. Share of test sets on which the candidate is called better, at the 5 % level:

======  ======  =====  =========  =========  =========
differ  images  equal  +1 point   +2 points  +5 points
======  ======  =====  =========  =========  =========
4 %        500  0.036      0.238      0.644      1.000
4 %      1,000  0.036      0.422      0.928      1.000
4 %      5,000  0.042      0.950      1.000      1.000
10 %       500  0.037      0.160      0.358      0.974
10 %     1,000  0.036      0.246      0.612      1.000
10 %     5,000  0.045      0.718      0.996      1.000
======  ======  =====  =========  =========  =========

A first publication, without a champion, is compared with chance, the share of the most frequent class. Share of
20,000 test sets of two equally frequent classes on which a model of that true accuracy is published; 0.5 is a coin
flip, which was always published before the gate had this test:

======  =====  =====  =====  =====  =====
images    0.5    0.6    0.7    0.8    0.9
======  =====  =====  =====  =====  =====
     9  0.020  0.071  0.196  0.439  0.776
    20  0.021  0.129  0.420  0.810  0.988
    50  0.032  0.331  0.858  0.998  1.000
   200  0.037  0.861  1.000  1.000  1.000
 1,000  0.045  1.000  1.000  1.000  1.000
======  =====  =====  =====  =====  =====
"""

import argparse
from collections.abc import Sequence

import numpy as np

from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.metrics.comparison import (
    BETTER,
    compare_predictions,
    compare_with_chance,
)
from headstart.components.core.metrics.gate import SIGNIFICANCE_LEVEL
from headstart.components.core.metrics.statistics import mcnemar

_ACCURACY = 0.95
_IMAGES = (500, 1_000, 5_000)
_GAINS = (0.0, 0.01, 0.02, 0.05)
_DIFFER = (0.04, 0.10)
_FIRST_IMAGES = (9, 20, 50, 200, 1_000)
_FIRST_ACCURACIES = (0.5, 0.6, 0.7, 0.8, 0.9)


def share_better(images: int, gain: float, differ: float, draws: int, seed: int) -> float:
    """Share of test sets on which the gate calls the candidate better.

    Args:
        images: Number of images in each test set.
        gain: True accuracy of the candidate minus that of the champion.
        differ: Share of images that exactly one of them gets right, at least `gain`.
        draws: Number of test sets.
        seed: Random seed of the test sets.
    """
    random = np.random.default_rng(seed)
    only_candidate, only_champion = (differ + gain) / 2, (differ - gain) / 2
    both = _ACCURACY - only_candidate
    kinds = np.array([[True, True], [True, False], [False, True], [False, False]])
    shares = [both, only_candidate, only_champion, 1 - both - only_candidate - only_champion]
    labels = np.zeros(images, np.int64)
    ids = [str(number) for number in range(images)]

    def predictions(right: np.ndarray) -> Predictions:
        # Both models have the same distribution of confidence.
        sure = 0.5 + 0.5 * random.beta(8, 1.5, images)
        own = np.where(right, sure, 1 - sure)
        probabilities = np.stack([own, 1 - own], axis=1)
        return Predictions(["a", "b"], ids, ids, ids, labels, probabilities, {}, np.zeros(images, bool))

    better = 0
    for _ in range(draws):
        candidate, champion = kinds[random.choice(4, size=images, p=shares)].T
        # Without significance in McNemar's test the verdict cannot be better: no need for the bootstrap.
        p_better, _ = mcnemar(int((candidate & ~champion).sum()), int((~candidate & champion).sum()))
        if p_better <= SIGNIFICANCE_LEVEL:
            better += compare_predictions(predictions(candidate), predictions(champion)).verdict == BETTER
    return better / draws


def shares_published(images: int, accuracies: Sequence[float], draws: int, seed: int) -> list[float]:
    """Shares of test sets of two classes on which a first model is published, by its true accuracy.

    Args:
        images: Number of images in each test set.
        accuracies: True accuracies; 0.5 is a coin flip.
        draws: Number of test sets.
        seed: Random seed of the draws.
    """
    random = np.random.default_rng(seed)
    per_class = {"a": images - images // 2, "b": images // 2}
    return [
        sum(compare_with_chance(int(correct), per_class).excluded for correct in random.binomial(images, each, draws))
        / draws
        for each in accuracies
    ]


def main() -> None:
    """Parses the command line, simulates and prints."""
    parser = argparse.ArgumentParser(description="Simulate false replacements and power of compare_models.")
    parser.add_argument("--equal-draws", type=int, default=4_000)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--first-draws", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draws = f"{args.equal_draws} draws of equal models, {args.draws} of others, seed {args.seed}"
    print(f"level {SIGNIFICANCE_LEVEL}, candidate's accuracy {_ACCURACY}, {draws}")
    print("differ  images  " + "  ".join(f"{100 * gain:+.0f} points" if gain else "equal  " for gain in _GAINS))
    for differ in _DIFFER:
        for images in _IMAGES:
            rates = [
                share_better(images, gain, max(differ, gain), args.draws if gain else args.equal_draws, args.seed)
                for gain in _GAINS
            ]
            print(f"{differ:6.2f}  {images:6,}  " + "  ".join(f"{rate:8.3f}" for rate in rates), flush=True)
    print(f"first publications, {args.first_draws} draws")
    print("images  " + "  ".join(f"{accuracy:5g}" for accuracy in _FIRST_ACCURACIES))
    for images in _FIRST_IMAGES:
        published = shares_published(images, _FIRST_ACCURACIES, args.first_draws, args.seed)
        print(f"{images:6,}  " + "  ".join(f"{rate:5.3f}" for rate in published), flush=True)


if __name__ == "__main__":
    main()
