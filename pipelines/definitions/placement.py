"""Puts a profile's wishes on the pipeline's tasks.

What KFP takes as a parameter at run time are the pipeline's parameters. A number as limit would be dropped without a
word, and text for tolerations would fail in the driver: each must have the type that it has there. What one stage has
of its own, and what KFP takes only when the pipeline is compiled, is written in.
"""

from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask

from headstart.pipelines.definitions.profile import Profile, Stage
from headstart.pipelines.definitions.tasks import READING_STAGES

_ROOT_GROUP = 0


def place(task: PipelineTask, stage: str, profile: Profile, asked: dict[str, Any]) -> None:
    """Sets what the pod of a task asks for, how long it may take, and how often it is tried.

    Args:
        task: The task.
        stage: Its name in the profile.
        profile: The profile.
        asked: Pipeline parameters, by group and field: `data_cpu`.
    """
    group = profile.group_of(stage)
    own = profile.stages.get(stage, Stage())

    def ask(field: str) -> Any:
        value = getattr(own, field)
        if value is not None:
            return value
        # kfp forgets that a limit is a parameter, and a condition around the task would not pass it on.
        task.register_pipeline_channels([asked[f"{group}_{field}"]])
        return asked[f"{group}_{field}"]

    task.set_container_image(ask("image") if own.image is None else profile.image_of(own.image))
    task.set_cpu_limit(ask("cpu")).set_memory_limit(ask("memory"))
    kubernetes.add_node_selector_json(task, ask("node_selector"))
    if own.tolerations is None:
        kubernetes.add_toleration_json(task, asked[f"{group}_tolerations"])
    else:
        kubernetes.add_toleration_json(task, [each.spec() for each in own.tolerations])
    if group == "network" and own.accelerator_limit != 0:
        task.set_accelerator_type(ask("accelerator_type")).set_accelerator_limit(_text(ask("accelerator_limit")))
        size = own.shared_memory or profile.network.shared_memory
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=size)  # noqa: S108
    elif own.shared_memory:
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=own.shared_memory)  # noqa: S108
    if disk := own.ephemeral_storage or getattr(profile, group).ephemeral_storage:
        kubernetes.empty_dir_mount(task, "scratch", "/tmp", size_limit=disk)  # noqa: S108
    if stage in READING_STAGES:
        for volume in profile.volumes:
            kubernetes.mount_pvc(task, volume.claim, volume.path)
    for secret in profile.secrets:
        if stage in secret.stages and secret.env:
            in_secret = {key: variable for variable, key in secret.env.items()}
            kubernetes.use_secret_as_env(task, secret.name, in_secret, secret.optional)
        if stage in secret.stages and secret.volume:
            kubernetes.use_secret_as_volume(task, secret.name, secret.volume, secret.optional)
    for name, value in profile.env.items():
        task.set_env_variable(name, value)
    _set_policies(task, profile)


def accelerators_of(stage: str, profile: Profile, limit: Any) -> Any:
    """How many accelerators a stage's pod gets, as text: the stage's own number, or else the pipeline's parameter."""
    own = profile.stages.get(stage, Stage()).accelerator_limit
    return limit if own is None else str(own)


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
