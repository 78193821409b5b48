"""The exit handler of a pipeline whose runs notify a webhook of their end."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from kfp import dsl, kubernetes

from headstart.components.core.notifications.webhook import NOTIFY_VARIABLE
from headstart.components.notify_result.component import notify_result
from headstart.pipelines.definitions.placement import place_tasks
from headstart.pipelines.definitions.profile import NOTIFICATION_KEY, Profile
from headstart.pipelines.definitions.tasks import NOTIFYING_TASK

Function = TypeVar("Function", bound=Callable[..., Any])


def notifies_at_end(profile: Profile, name: str) -> Callable[[Function], Function]:
    """Puts an exit handler around the tasks of a pipeline, if the profile names a Secret with a webhook's address.

    It costs three pods a run: the driver of the group around the tasks, and the notification with its own driver.

    Args:
        profile: Cluster profile; without `notify` the pipeline stays as it is.
        name: Name of the pipeline.
    """
    if not profile.notify:
        return lambda pipeline: pipeline

    def decorate(pipeline: Function) -> Function:
        @functools.wraps(pipeline)
        def in_handler(*args: Any, **kwargs: Any) -> Any:
            given = inspect.signature(pipeline).bind(*args, **kwargs).arguments
            publishes = {"publish_uri": given["publish_uri"]} if "publish_uri" in given else {}
            notification = notify_result(
                pipeline=name,
                run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
                **publishes,
            ).set_caching_options(False)
            place_tasks({NOTIFYING_TASK: notification}, profile, given)
            secret, _, key = profile.notify.partition("/")
            # A pod that waits for a Secret would keep the run from ending.
            kubernetes.use_secret_as_env(
                notification, secret, {key or NOTIFICATION_KEY: NOTIFY_VARIABLE}, optional=True
            )
            with dsl.ExitHandler(notification, name="run"):
                return pipeline(*args, **kwargs)

        return in_handler  # type: ignore[return-value]

    return decorate
