"""KFP interface of `notify_result`."""

from kfp import dsl
from kfp.dsl import Artifact, Output, PipelineTaskFinalStatus

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def notify_result(
    status: PipelineTaskFinalStatus,
    pipeline: str,
    run: str,
    notification: Output[Artifact],
    name: str = "",
    publish_uri: str = "",
) -> str:
    """Notifies a webhook of the end of a run; as the exit task of a `dsl.ExitHandler`, also where the run failed.

    The address of the webhook comes from the environment variable HEADSTART_NOTIFY_URL, which a Kubernetes Secret
    sets: it is no parameter, and no log has it. This task never fails a run: where the webhook does not take the
    message, a warning in its log says so. KFP's cache must never answer for it.

    The gate's reasons and the figures of the model come from the artifacts of `compare_models` and `evaluate_model`
    in the folder of the run, with the credentials that this task has. Where they cannot be read, or are in KFP's
    cache, the message is sent without them.

    Args:
        status: Status of what the handler is around, which KFP sets.
        pipeline: Name of the pipeline.
        run: Id of the run.
        notification: JSON artifact to write, with the body that is sent to the webhook.
        name: Name of the run.
        publish_uri: Folder, or gs:// or s3:// address, where the run publishes, which tells whether its model is in
            use now; empty: it does not publish.

    Returns:
        'sent', 'not sent', or 'no address'.
    """
    from pathlib import Path

    from headstart.components.notify_result import step

    return step.notify_result(
        status.state, pipeline, run, name, publish_uri, Path(notification.path), notification.uri
    )
