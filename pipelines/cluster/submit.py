"""Puts the pipeline and its parameters together for KFP, and refuses what no pod could do."""

import dataclasses
from importlib.metadata import version
from typing import Any

import kfp_server_api

from headstart.components.core.recipes.variants import Variant
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.runs import Run, read_run
from headstart.pipelines.cluster.settings import Settings
from headstart.pipelines.definitions.compilation import pipeline_spec
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.profile import load_profile
from headstart.pipelines.definitions.tasks import COMPARE_METHODS, Uses
from headstart.pipelines.definitions.variant_options import check_for_pods, comparison_parameters


@dataclasses.dataclass(frozen=True)
class Order:
    """What to run, and as whom.

    Attributes:
        pipeline: As KFP's API takes it.
        parameters: Of the pipeline.
        pipeline_root: Where artifacts go; empty: where the cluster puts them.
        service_account: Of the pods; empty: the cluster's own.
    """

    pipeline: dict[str, Any]
    parameters: dict[str, Any]
    pipeline_root: str
    service_account: str

    def fields(self) -> dict[str, Any]:
        """What runs and schedules have in common in KFP's API."""
        return {
            "description": f"Made by headstart {version('headstart')}.",
            "pipeline_spec": self.pipeline,
            "runtime_config": kfp_server_api.V2beta1RuntimeConfig(
                parameters=self.parameters, pipeline_root=self.pipeline_root or None
            ),
            "service_account": self.service_account or None,
        }


def prepare(
    settings: Settings,
    parameters: Parameters,
    from_scratch: bool,
    cache: bool,
    variants: list[Variant] | None = None,
) -> Order:
    """Compiles the pipeline for a cluster.

    Args:
        settings: The settings in force.
        parameters: Of the pipeline, checked.
        from_scratch: Whether to train without transfer as well.
        cache: Whether stages may take the results of earlier runs.
        variants: What a comparison compares; None: one model is trained.

    Raises:
        HeadstartError: A source is missing or a path of this machine, or the pipeline root is none that pods reach.
    """
    if not parameters.data:
        raise HeadstartError("no data: name a source with --data gs://bucket/pictures")
    settings.check_pipeline_root()
    profile = load_profile(settings.profile)
    parameters.check_for_pods(profile.mounted())
    asked = profile.with_images(settings.registry, settings.image)
    if variants is None:
        values = parameters.model_dump()
        pipeline = pipeline_spec(asked, from_scratch, cache, uses=Uses.of(values))
    else:
        check_for_pods(variants, parameters, profile.mounted())
        pipeline = pipeline_spec(asked, from_scratch, cache, COMPARE_METHODS)
        values = comparison_parameters(variants, parameters)
    return Order(pipeline, values, settings.pipeline_root, settings.service_account)


def submit(cluster: Cluster, order: Order, name: str) -> str:
    """Starts a run and returns its id."""
    experiment = cluster.experiment_id()
    return cluster.submit(kfp_server_api.V2beta1Run(display_name=name, experiment_id=experiment, **order.fields()))


def resume(cluster: Cluster, run_id: str) -> Run:
    """Runs again what failed in a run that has ended, and returns the run as it was.

    Raises:
        HeadstartError: It is under way, or nothing failed.
    """
    run = read_run(cluster.run(run_id))
    if not run.ended:
        raise HeadstartError(f"run {run_id} is under way ({run.state}); follow it with: headstart follow {run_id}")
    if run.succeeded:
        raise HeadstartError(f"run {run_id} succeeded: there is nothing to run again")
    cluster.retry(run_id)
    return run
