"""A pipeline with the gate, each branch of which leaves another trace."""

import numpy as np
from kfp import dsl
from kfp.dsl import Artifact, Input, Output
from kfp.dsl.base_component import BaseComponent

from headstart.components.compare_models.component import compare_models
from headstart.components.core.artifacts.predictions import Predictions


@dsl.component(base_image="python:3.11", packages_to_install=[], install_kfp_package=False)
def leave(word: str, decision: Input[Artifact], trace: Output[Artifact]) -> None:
    from pathlib import Path

    Path(trace.path).write_text(f"{word} {'verdict' in Path(decision.path).read_text()}")


def gated(image: str) -> BaseComponent:
    """Builds the pipeline; every task runs in one image."""

    @dsl.pipeline(name="gated")
    def pipeline(folder: str, min_accuracy: float = 0.0) -> None:
        evaluation = dsl.importer(artifact_uri=folder, artifact_class=Artifact)
        gate = compare_models(evaluation=evaluation.output, min_accuracy=min_accuracy)
        gate.set_caching_options(False).set_container_image(image)
        with dsl.If(gate.outputs["Output"] == "better"):
            leave(word="published", decision=gate.outputs["decision"]).set_container_image(image)
        with dsl.Elif(gate.outputs["Output"] == "worse"):
            leave(word="refused", decision=gate.outputs["decision"]).set_container_image(image)
        with dsl.Else():
            leave(word="kept", decision=gate.outputs["decision"]).set_container_image(image)

    return pipeline


def predictions(wrong: int) -> Predictions:
    labels = np.arange(300) % 2
    chosen = np.where(np.arange(300) < wrong, 1 - labels, labels)
    ids = [f"{number:032x}" for number in range(300)]
    return Predictions(["cat", "dog"], ids, ids, ids, labels, np.eye(2)[chosen] * 0.8 + 0.1, {}, np.zeros(300, bool))
