"""KFP interface of `notify_result`."""

from kfp import dsl
from kfp.dsl import PipelineTaskFinalStatus

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def notify_result(
    status: PipelineTaskFinalStatus, pipeline: str, run: str, name: str = "", publish_uri: str = ""
) -> str:
    """Notifies a webhook of the end of a run; as the exit task of a `dsl.ExitHandler`, also where the run failed.

    The address of the webhook comes from the environment variable HEADSTART_NOTIFY_URL, which a Kubernetes Secret
    sets: it is no parameter, and no log has it. This task never fails a run: where the webhook does not take the
    message, a warning in its log says so. KFP's cache must never answer for it.

    Args:
        status: Status of what the handler is around, which KFP sets.
        pipeline: Name of the pipeline.
        run: Id of the run.
        name: Name of the run.
        publish_uri: Folder, or gs:// or s3:// address, where the run publishes, which tells whether its model is in
            use now; empty: it does not publish.

    Returns:
        'sent', 'not sent', or 'no address'.
    """
    from headstart.components.notify_result import step

    return step.notify_result(status.state, pipeline, run, name, publish_uri)
