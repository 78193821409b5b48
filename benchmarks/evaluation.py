"""Measures time and peak memory of an evaluation, from predictions to the report; no network is run.

    python benchmarks/evaluation.py

On two cores of a machine that was busy with other things, one run each: seconds of processor time for two models, as
many validation images, and the report. Memory is the peak, and its increase over the predictions and the libraries:

===========  =======  =========  =======  =======
predictions  classes  processor  peak     above
===========  =======  =========  =======  =======
1,000              2      0.9 s  247 MiB   33 MiB
100,000            2     15.6 s  430 MiB  150 MiB
1,000             10      1.1 s  252 MiB   37 MiB
100,000           10     14.8 s  529 MiB  215 MiB
===========  =======  =========  =======  =======
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from headstart.components.core.artifacts.evaluation import CHAMPION, FINAL
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.evaluate_model.evaluation_folder import EvaluatedModel, EvaluationData, write_evaluation
from headstart.components.evaluate_model.report import render_report


def draw_predictions(images: int, classes: int, seed: int) -> Predictions:
    """Random predictions of a model with an accuracy of about 90 %."""
    random = np.random.default_rng(seed)
    labels = np.random.default_rng(0).integers(0, classes, images)
    logits = random.normal(size=(images, classes))
    logits[np.arange(images), labels] += 2 + np.log(classes)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ids = [f"{number:032x}" for number in range(images)]
    paths = [f"images/{number}.jpg" for number in range(images)]
    names = [f"class {number}" for number in range(classes)]
    return Predictions(names, ids, ids, paths, labels, probabilities, {}, np.zeros(images, bool))


def child(images: int, classes: int) -> None:
    """Evaluates a model and a champion, with as many validation images, and prints time and memory as JSON."""
    model = ModelInfo("head", [str(number) for number in range(classes)], 224, "none", {}, {}, {}, {}, 0)
    models = {
        name: EvaluatedModel(model, [], draw_predictions(images, classes, seed))
        for seed, name in enumerate((FINAL, CHAMPION))
    }
    data = EvaluationData(models, "", draw_predictions(images, classes, 2), "")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    processor = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        write_evaluation(data, Path(folder, "evaluation"))
        evaluated = time.perf_counter()
        report = render_report(Path(folder, "evaluation"))
        rendered = time.perf_counter()
    values = {
        "evaluation": evaluated - started,
        "report": rendered - evaluated,
        "processor": time.process_time() - processor,
        "before": before / 1024,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "bytes": len(report.encode()),
    }
    print(json.dumps(values))


def main() -> None:
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(description="Measure time and memory of an evaluation.")
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return
    for classes in args.classes:
        for images in args.images:
            done = subprocess.run(  # noqa: S603 - this very script
                [sys.executable, __file__, "--child", str(images), str(classes)],
                stdout=subprocess.PIPE,
                check=True,
            )
            values = json.loads(done.stdout)
            print(
                f"{images:7,} predictions, {classes:2} classes: figures of two models {values['evaluation']:.1f} s, "
                f"report {values['report']:.1f} s, of the processor {values['processor']:.1f} s; peak memory "
                f"{values['peak']:.0f} MiB ({values['before']:.0f} before), report of {values['bytes'] / 1e6:.2f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
