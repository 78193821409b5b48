"""Placement: a profile's requests put on the pipeline's tasks.

Requests that KFP takes at run time are parameters of the pipeline. KFP would silently drop a number as limit, and its
driver would fail on text for tolerations: each value must have the type that it has there. Requests of a single task,
and those that KFP takes only when the pipeline is compiled, are compiled in.
"""

from collections.abc import Mapping
from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask

from headstart.pipelines.definitions.profile import Profile, TaskResources
from headstart.pipelines.definitions.tasks import READING_TASKS

_ROOT_GROUP = 0


def place_tasks(tasks: Mapping[str, PipelineTask], profile: Profile, requests: Mapping[str, Any]) -> None:
    """Sets the requests of the tasks' pods, their time limits and retries.

    Args:
        tasks: Tasks of the pipeline by their name in the profile.
        profile: Cluster profile.
        requests: Parameters of the pipeline by group and field, such as `data_cpu`.
    """
    for name, task in tasks.items():
        _set_resources(task, name, profile, requests)
        _mount_folders(task, name, profile)
        _set_secrets(task, name, profile)
        for variable, value in profile.env.items():
            task.set_env_variable(variable, value)
        _set_policies(task, profile)


def accelerator_limit_of(task: str, profile: Profile, limit: Any) -> Any:
    """Number of accelerators of a task's pod, as text.

    Args:
        task: Name of the task in the profile.
        profile: Cluster profile, which may have a number for the task.
        limit: Parameter of the pipeline, for the other tasks.
    """
    own = profile.stages.get(task, TaskResources()).accelerator_limit
    return limit if own is None else str(own)


def _set_resources(task: PipelineTask, name: str, profile: Profile, requests: Mapping[str, Any]) -> None:
    group = profile.group_of(name)
    own = profile.stages.get(name, TaskResources())

    def request(field: str) -> Any:
        value = getattr(own, field)
        if value is not None:
            return value
        # kfp forgets that a limit is a parameter, and a condition around the task would not pass it on.
        task.register_pipeline_channels([requests[f"{group}_{field}"]])
        return requests[f"{group}_{field}"]

    task.set_container_image(request("image") if own.image is None else profile.image_of(own.image))
    task.set_cpu_limit(request("cpu")).set_memory_limit(request("memory"))
    kubernetes.add_node_selector_json(task, request("node_selector"))
    if own.tolerations is None:
        kubernetes.add_toleration_json(task, requests[f"{group}_tolerations"])
    else:
        kubernetes.add_toleration_json(task, [each.spec() for each in own.tolerations])
    if _may_have_accelerator(name, profile):
        task.set_accelerator_type(request("accelerator_type"))
        task.set_accelerator_limit(_text(request("accelerator_limit")))


def _may_have_accelerator(name: str, profile: Profile) -> bool:
    own = profile.stages.get(name, TaskResources())
    return profile.group_of(name) == "network" and own.accelerator_limit != 0


def _mount_folders(task: PipelineTask, name: str, profile: Profile) -> None:
    own = profile.stages.get(name, TaskResources())
    group = getattr(profile, profile.group_of(name))
    shared_memory = own.shared_memory or (_may_have_accelerator(name, profile) and profile.network.shared_memory)
    if shared_memory:
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=shared_memory)  # noqa: S108
    if disk := own.ephemeral_storage or group.ephemeral_storage:
        kubernetes.empty_dir_mount(task, "scratch", "/tmp", size_limit=disk)  # noqa: S108
    if name in READING_TASKS:
        for volume in profile.volumes:
            kubernetes.mount_pvc(task, volume.claim, volume.path)


def _set_secrets(task: PipelineTask, name: str, profile: Profile) -> None:
    for secret in profile.secrets:
        if name not in secret.stages:
            continue
        if secret.env:
            in_secret = {key: variable for variable, key in secret.env.items()}
            kubernetes.use_secret_as_env(task, secret.name, in_secret, secret.optional)
        if secret.volume:
            kubernetes.use_secret_as_volume(task, secret.name, secret.volume, secret.optional)


def _set_policies(task: PipelineTask, profile: Profile) -> None:
    for label, value in profile.pod_labels.items():
        kubernetes.add_pod_label(task, label, value)
    if profile.image_pull_policy:
        kubernetes.set_image_pull_policy(task, profile.image_pull_policy)
    if profile.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, profile.image_pull_secrets)
    kubernetes.set_security_context(
        task,
        run_as_user=profile.run_as_user,
        run_as_group=None if profile.run_as_user is None else _ROOT_GROUP,
        run_as_non_root=True,
    )
    if profile.deadline_hours:
        kubernetes.set_timeout(task, round(profile.deadline_hours * 3600))
    if profile.retries.count:
        task.set_retry(
            profile.retries.count,
            backoff_duration=f"{profile.retries.pause_seconds}s",
            backoff_factor=profile.retries.factor,
            backoff_max_duration=profile.retry_deadline(),
        )


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value
