"""KFP interface of `deploy_model`."""

from kfp import dsl

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def deploy_model(
    publish_uri: str,
    publication: str = "",
    name: str = "",
    namespace: str = "",
    image: str = "headstart-serve",
    registry: str = "",
    replicas: int = 2,
    max_replicas: int = 0,
    precision: float = 0.0,
    cpu: str = "1",
    memory: str = "2Gi",
    service_account: str = "",
    secret: str = "",
    canary: int = 0,
    watch_seconds: float = 0.0,
    kserve: bool = True,
    timeout: float = 600.0,
) -> str:
    """Puts the champion behind an endpoint of the cluster, and checks that the endpoint predicts as it was published.

    A KServe InferenceService where the cluster has KServe, else a Deployment with a Service. If pods do not start, or
    the endpoint predicts otherwise than the published SavedModel, the former version is put back and the step fails.
    The service account of the step needs the rights of examples/serving/rbac.yaml. KFP's cache must never answer for
    it.

    Args:
        publish_uri: gs:// or s3:// address where models are published.
        publication: Output of `publish_model`, so that the step comes after it; 'overtaken': nothing is deployed,
            since the run that published the champion sees to it.
        name: Name of the endpoint, and of the model in addresses; empty: that of the folder of the models.
        namespace: Namespace of the endpoint; empty: that of the step.
        image: Container image of `headstart serve`; without a tag, that of this version.
        registry: Registry before an image without a slash; empty: none.
        replicas: Number of pods; with `max_replicas`, the least number.
        max_replicas: Most pods, under load; 0: always `replicas`.
        precision: Wanted share of right labels: the server gives none to images of which it is not sure enough; 0: a
            label for every image.
        cpu: Requested processors of a pod.
        memory: Requested memory of a pod, and its limit.
        service_account: Service account of the pods, with the right to read the models; empty: the namespace's own.
        secret: Secret whose keys become environment variables of the server, such as AWS_ACCESS_KEY_ID; empty: none.
        canary: Share in percent of the requests that the new version gets while it is checked, at most 50; 0: none.
        watch_seconds: Time for which the new version is checked again and again before it is promoted.
        kserve: Whether to use KServe where the cluster has it.
        timeout: Longest time in seconds until pods are ready, and until the endpoint answers by them.

    Returns:
        'deployed'; 'unchanged' if the endpoint was as wanted already; 'overtaken' if the publication was.
    """
    from headstart.components.core.registry.registry import OVERTAKEN
    from headstart.components.deploy_model.settings import DeployOptions, EndpointSpec, check_reachable
    from headstart.components.deploy_model.step import deploy_model

    if publication == OVERTAKEN:
        return publication
    check_reachable(publish_uri)
    endpoint = EndpointSpec(
        name=name, image=image, replicas=replicas, max_replicas=max_replicas, precision=precision, cpu=cpu,
        memory=memory, service_account=service_account, secret=secret,
    )  # fmt: skip
    options = DeployOptions(endpoint, namespace, registry, canary, watch_seconds, kserve, timeout)
    return deploy_model(publish_uri, options).status
