"""Submitting runs: the pipeline compiled with its parameters, paths that pods cannot see refused."""

import dataclasses
from types import MappingProxyType
from typing import Any

import kfp_server_api

from headstart import __version__
from headstart.components.core.recipes.variants import FINE_TUNED, Method, Variant
from headstart.components.core.util.errors import HeadstartError
from headstart.components.deploy_model.settings import DeployOptions
from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.plugin_inputs import PluginInputs
from headstart.pipelines.cluster.runs import ClusterRun, read_run
from headstart.pipelines.cluster.settings import ClusterSettings
from headstart.pipelines.definitions.backbone_options import BackboneChoice, choice_parameters
from headstart.pipelines.definitions.compilation import pipeline_spec
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.profile import load_profile
from headstart.pipelines.definitions.search_options import RecipeSearch, search_parameters
from headstart.pipelines.definitions.tasks import CHOOSE_BACKBONE, COMPARE_METHODS, SEARCH_RECIPE, Uses
from headstart.pipelines.definitions.variant_options import check_variants_for_pods, comparison_parameters


@dataclasses.dataclass(frozen=True)
class PipelineShape:
    """Choices that are made when the pipeline is compiled.

    Attributes:
        from_scratch: Whether to train without transfer as well.
        method: Method that trains the model.
        cache: Whether tasks may take the results of earlier runs.
        notify: Secret with the address of a webhook, see `Profile.with_notification`; empty: the profile's.
        deployment: Options of the endpoint that a published model is deployed to; None: it is not deployed.
    """

    from_scratch: bool = False
    method: Method = FINE_TUNED
    cache: bool = True
    notify: str = ""
    deployment: DeployOptions | None = None


@dataclasses.dataclass(frozen=True)
class Submission:
    """A pipeline with its parameters, ready to be submitted.

    Attributes:
        pipeline: Compiled pipeline, as KFP's API takes it.
        parameters: Parameters of the pipeline.
        pipeline_root: Address for artifacts; empty: the cluster's own.
        service_account: Service account of the pods; empty: the cluster's own.
        plugins: Inputs for plugins of KFP's API server.
    """

    pipeline: dict[str, Any]
    parameters: dict[str, Any]
    pipeline_root: str
    service_account: str
    plugins: PluginInputs = dataclasses.field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Fields that runs and schedules have in common in KFP's API."""
        return {
            "description": f"Made by headstart {__version__}.",
            "pipeline_spec": self.pipeline,
            "runtime_config": kfp_server_api.V2beta1RuntimeConfig(
                parameters=self.parameters, pipeline_root=self.pipeline_root or None
            ),
            "service_account": self.service_account or None,
            "plugins_input": self.plugins or None,
        }


def prepare_submission(
    settings: ClusterSettings,
    parameters: Parameters,
    shape: PipelineShape,
    compared: list[Variant] | BackboneChoice | RecipeSearch | None = None,
    plugins: PluginInputs = MappingProxyType({}),
) -> Submission:
    """Compiles the pipeline for a cluster.

    Args:
        settings: Settings in force.
        parameters: Parameters of the pipeline, checked.
        shape: Choices that are made when the pipeline is compiled; where something is compared, only `cache` and
            `notify` count.
        compared: Variants of a comparison, backbones to choose from, or a search for a recipe; None: one model is
            trained.
        plugins: Inputs for plugins of KFP's API server.

    Raises:
        HeadstartError: If there is no source of data, a path is of this machine, or KFP cannot write to the pipeline
            root.
    """
    if not parameters.data:
        raise HeadstartError("no data: name a source with --data gs://bucket/images")
    settings.check_pipeline_root()
    profile = load_profile(settings.profile)
    parameters.check_for_pods(profile.mounted())
    placed = profile.with_images(settings.registry, settings.image).with_notification(shape.notify)
    if compared is None:
        values = parameters.model_dump()
        uses = Uses.of(values, shape.method, shape.deployment)
        pipeline = pipeline_spec(placed, shape.from_scratch, shape.cache, uses=uses)
    elif isinstance(compared, BackboneChoice):
        for name in compared.backbones:
            parameters.model_copy(update={"backbone": name}).check_for_pods(profile.mounted())
        pipeline = pipeline_spec(placed, shape.from_scratch, shape.cache, CHOOSE_BACKBONE)
        values = choice_parameters(compared, parameters)
    elif isinstance(compared, RecipeSearch):
        compared.check_for_pods(profile.mounted())
        uses = Uses(rounds=compared.rounds)
        pipeline = pipeline_spec(placed, shape.from_scratch, shape.cache, SEARCH_RECIPE, uses)
        values = search_parameters(compared, parameters)
    else:
        check_variants_for_pods(compared, parameters, profile.mounted())
        pipeline = pipeline_spec(placed, shape.from_scratch, shape.cache, COMPARE_METHODS)
        values = comparison_parameters(compared, parameters)
    return Submission(pipeline, values, settings.pipeline_root, settings.service_account, dict(plugins))


def submit(cluster: Cluster, submission: Submission, name: str) -> str:
    """Starts a run.

    Args:
        cluster: KFP server.
        submission: Pipeline and parameters.
        name: Name of the run.

    Returns:
        Id of the run.
    """
    experiment = cluster.get_experiment_id()
    run = kfp_server_api.V2beta1Run(display_name=name, experiment_id=experiment, **submission.fields())
    return cluster.create_run(run)


def resume(cluster: Cluster, run_id: str) -> ClusterRun:
    """Runs the failed tasks of a run again.

    Args:
        cluster: KFP server.
        run_id: Id of a run that has ended.

    Returns:
        The run as it was before.

    Raises:
        HeadstartError: If the run is in progress, or has succeeded.
    """
    run = read_run(cluster.get_run(run_id))
    if not run.ended:
        raise HeadstartError(f"run {run_id} is in progress ({run.state}); follow it with: headstart follow {run_id}")
    if run.succeeded:
        raise HeadstartError(f"run {run_id} succeeded: there is nothing to run again")
    cluster.retry_run(run_id)
    return run
