"""Cluster profiles: the requests of each task's pod, read from YAML and checked."""

import re
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headstart.components.container_image import name_image, refuse_latest
from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.user_files import parse_yaml_mapping, read_user_text, validate
from headstart.pipelines.definitions.tasks import GROUPS, MAY_HAVE_ACCELERATOR, READING_TASKS

DEFAULT_PROFILE = "gke-gpu"

_FOLDER = files("headstart.pipelines.definitions") / "profiles"
_SECRET_WORD = re.compile(r"SECRET|PASSWORD|TOKEN|CREDENTIAL|(ACCESS|API|KAGGLE|PRIVATE)_KEY")
_NAME_OF_A_PATH = re.compile(r"^GOOGLE_APPLICATION_CREDENTIALS$|_(FILE|PATH|DIR)$")
_SPOT = ("spot", "preemptible")
# Quantities of Kubernetes. The memory of a single task is compiled, and there kfp takes whole numbers alone.
_CPU = r"^([0-9]*\.)?[0-9]+m?$"
_MEMORY = r"^[0-9]+(\.[0-9]+)?(k|Ki|[MGTPE]i?)?$"
_TASK_MEMORY = r"^[0-9]+(Ki|[MGTPE]i?)?$"
_DAY_SECONDS = 86_400
_NAME_AND_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[-._a-zA-Z0-9]+)?)?$"
NOTIFICATION_KEY = "url"
"""Key of the Secret with the webhook's address, where none is named."""


def _no_secret(variables: dict[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        # A path to a mounted secret is no secret, but a secret may begin as a path does.
        is_path = _NAME_OF_A_PATH.search(name) and value.startswith("/")
        if _SECRET_WORD.search(name) and not is_path:
            raise ValueError(f"everybody could read {name} in the pipeline; put it into a Secret, under secrets")
    return variables


def _name_and_key(text: str) -> str:
    if not re.fullmatch(_NAME_AND_KEY, text):
        given = (
            "an address, which everybody could read in the run" if "://" in text else f"{text!r}, no Secret's name"
        )
        raise ValueError(
            f"this is {given}; on a cluster, name the Secret with the webhook's address; kubectl create secret "
            f"generic headstart-notify --from-literal={NOTIFICATION_KEY}=https://… makes one for --notify "
            "headstart-notify"
        )
    return text


Cpu = Annotated[str, Field(pattern=_CPU, coerce_numbers_to_str=True)]
Memory = Annotated[str, Field(pattern=_MEMORY, coerce_numbers_to_str=True)]
TaskMemory = Annotated[str, Field(pattern=_TASK_MEMORY, coerce_numbers_to_str=True)]
Image = Annotated[str, Field(min_length=1), AfterValidator(refuse_latest)]
SecretKey = Annotated[str, AfterValidator(_name_and_key)]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\s]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Toleration(_Strict):
    """A toleration of pods for a taint of nodes; the fields are those of Kubernetes."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute", ""] = ""

    def spec(self) -> dict[str, str]:
        """The toleration as Kubernetes writes it, without empty fields."""
        return {name: value for name, value in self.model_dump().items() if value}


class DataResources(_Strict):
    """Requests of the tasks that need no accelerator.

    Attributes:
        image: Container image; without a tag, the one of this version.
        cpu: CPU limit and request as Kubernetes writes it; '0': none.
        memory: Memory limit and request as Kubernetes writes it; '0': none.
        ephemeral_storage: Size limit of /tmp on the node's disk; empty: none. KFP 2.17 cannot request ephemeral
            storage for a pod; a LimitRange in the namespace can.
        node_selector: Labels that a node must have.
        tolerations: Tolerations of the pods.
    """

    image: Image = "headstart"
    cpu: Cpu = "0"
    memory: Memory = "0"
    ephemeral_storage: Memory | Literal[""] = ""
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []

    @property
    def taints(self) -> list[dict[str, str]]:
        """Tolerations as Kubernetes writes them."""
        return [toleration.spec() for toleration in self.tolerations]


class NetworkResources(DataResources):
    """Requests of the tasks that compute a network.

    Attributes:
        accelerator_type: Resource name of the accelerator.
        accelerator_limit: Number of accelerators of each pod; 0: none.
        shared_memory: Size of /dev/shm, which counts as memory.
    """

    image: Image = "headstart-gpu"
    accelerator_type: str = "nvidia.com/gpu"
    accelerator_limit: Annotated[int, Field(ge=0)] = 1
    shared_memory: Memory = "2Gi"

    @property
    def accelerators(self) -> str:
        """Number of accelerators of each pod, as KFP takes it: '0' would be set on the pod, and '' is not."""
        return str(self.accelerator_limit or "")


class TaskResources(_Strict):
    """Requests of a single task; a field that is left out is that of its group."""

    image: Image | None = None
    cpu: Cpu | None = None
    memory: TaskMemory | None = None
    ephemeral_storage: Memory | None = None
    node_selector: dict[str, str] | None = None
    tolerations: list[Toleration] | None = None
    accelerator_type: str | None = None
    accelerator_limit: Annotated[int, Field(ge=0)] | None = None
    shared_memory: Memory | None = None


class Retries(_Strict):
    """Retries of failed tasks.

    Attributes:
        count: Largest number of retries.
        pause_seconds: Pause before the first retry, in seconds.
        factor: Factor by which each pause is longer than the one before.
        deadline_days: Time since the first start of a task in which it is retried, in days.
    """

    count: Annotated[int, Field(ge=0, le=20)] = 2
    pause_seconds: Annotated[int, Field(ge=1)] = 30
    factor: Annotated[float, Field(ge=1)] = 2.0
    deadline_days: Annotated[float, Field(gt=0)] = 7


class Secret(_Strict):
    """A Kubernetes Secret for tasks.

    Attributes:
        name: Name of the Secret in the namespace of the run.
        env: Keys of the Secret by the environment variable that gets the value.
        volume: Folder in which each key is a file; empty: none.
        stages: Names of the tasks that see it.
        optional: Whether pods start without the Secret.
    """

    name: Annotated[str, Field(min_length=1)]
    env: dict[str, str] = {}
    volume: AbsolutePath | Literal[""] = ""
    stages: list[str] = list(READING_TASKS)
    optional: bool = False

    @model_validator(mode="after")
    def _check(self) -> "Secret":
        if not self.env and not self.volume:
            raise ValueError(f"secret {self.name} has neither env nor volume: no task would see it")
        _check_tasks(self.stages)
        return self


class Volume(_Strict):
    """A PersistentVolumeClaim that all tasks which read data mount."""

    claim: Annotated[str, Field(min_length=1)]
    path: AbsolutePath


class Profile(_Strict):
    """A cluster profile.

    Attributes:
        description: One line for the list of profiles.
        registry: Registry before image names without a slash.
        data: Requests of the tasks that need no accelerator.
        network: Requests of the tasks that train or evaluate a network.
        stages: Requests of single tasks that differ from their group, by name.
        retries: Retries of failed tasks.
        deadline_hours: Time limit of one attempt of a task, in hours; 0: none.
        parallel_folds: Largest number of cross-validation folds that are trained at the same time; 0: all.
        secrets: Secrets for tasks; workload identity needs none.
        volumes: Claims that the tasks which read data mount.
        env: Environment variables of every task.
        pod_labels: Labels of every pod.
        image_pull_policy: Image pull policy of Kubernetes.
        image_pull_secrets: Names of Secrets for the registry.
        notify: Secret with the address of a webhook, to which the end of each run is notified, and after a slash its
            key if that is not `url`; empty: none.
        run_as_user: Number of the pods' user, never 0; none: the choice of the image or the cluster.
    """

    description: str = ""
    registry: str = ""
    data: DataResources = DataResources()
    network: NetworkResources = NetworkResources()
    stages: dict[str, TaskResources] = {}
    retries: Retries = Retries()
    deadline_hours: Annotated[float, Field(ge=0)] = 24
    parallel_folds: Annotated[int, Field(ge=0)] = 0
    secrets: list[Secret] = []
    volumes: list[Volume] = []
    env: Annotated[dict[str, str], AfterValidator(_no_secret)] = {}
    pod_labels: dict[str, str] = {"app.kubernetes.io/part-of": "headstart"}
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    image_pull_secrets: list[str] = []
    notify: SecretKey = ""
    run_as_user: Annotated[int, Field(gt=0)] | None = 1000

    @model_validator(mode="after")
    def _check(self) -> "Profile":
        _check_tasks(self.stages)
        for name, task in self.stages.items():
            lost = {"accelerator_type", "accelerator_limit", "shared_memory"} & set(task.model_fields_set)
            if GROUPS[name] == "data" and name not in MAY_HAVE_ACCELERATOR and lost:
                raise ValueError(f"task {name} computes no network; it cannot use an accelerator or shared memory")
        groups: list[DataResources | TaskResources] = [self.data, self.network, *self.stages.values()]
        nodes = [f"{each.key}={each.value}" for group in groups for each in group.tolerations or []]
        nodes += [f"{key}={value}" for group in groups for key, value in (group.node_selector or {}).items()]
        if any(word in node.lower() for node in nodes for word in _SPOT) and not self.retries.count:
            raise ValueError(
                "pods may run on nodes that can be taken away, and retries.count is 0; try at least once"
            )
        return self

    def group_of(self, task: str) -> str:
        """Group whose requests a task has where it has none of its own.

        Args:
            task: Name of the task.

        Returns:
            `network` also for a task of the group `data` to which this profile grants an accelerator.
        """
        own = self.stages.get(task, TaskResources())
        granted = own.accelerator_limit or (own.accelerator_type and own.accelerator_limit is None)
        return "network" if task in MAY_HAVE_ACCELERATOR and granted else GROUPS[task]

    def image_of(self, name: str) -> str:
        """Full name of an image: with the registry, and with this version where there is no tag."""
        return name_image(name, self.registry)

    def with_images(self, registry: str = "", image: str = "") -> "Profile":
        """A copy with another registry, or with one image for every task.

        Args:
            registry: Registry; empty: unchanged.
            image: Image; empty: unchanged.

        Raises:
            HeadstartError: If the image has the tag `latest`.
        """
        copy = self.model_copy(update={"registry": registry}) if registry else self
        if not image:
            return copy
        try:
            refuse_latest(image)
        except ValueError as error:
            raise HeadstartError(f"image: {error}") from None
        stages = {name: task.model_copy(update={"image": None}) for name, task in self.stages.items()}
        data, network = (group.model_copy(update={"image": image}) for group in (self.data, self.network))
        return copy.model_copy(update={"data": data, "network": network, "stages": stages})

    def with_notification(self, secret: str) -> "Profile":
        """A copy that notifies a webhook of the end of each run.

        Args:
            secret: Secret with its address, and after a slash the key if that is not `url`; empty: unchanged.

        Raises:
            HeadstartError: If it is no name of a Secret. An address is not shown.
        """
        if not secret:
            return self
        try:
            _name_and_key(secret)
        except ValueError as error:
            raise HeadstartError(f"notify: {error}") from None
        return self.model_copy(update={"notify": secret})

    def images(self) -> list[str]:
        """Full names of all images, each once, in order."""
        named = [self.data.image, self.network.image, *(task.image for task in self.stages.values() if task.image)]
        return list(dict.fromkeys(map(self.image_of, named)))

    def retry_deadline(self) -> str:
        """Time for all attempts, which KFP takes as the longest pause."""
        return f"{round(self.retries.deadline_days * _DAY_SECONDS)}s"

    def mounted(self) -> list[str]:
        """Folders of the mounted volumes."""
        return [volume.path for volume in self.volumes]


def profile_names() -> list[str]:
    """Names of the profiles that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))


def profile_text(name: str) -> str:
    """YAML of a profile that comes with the package, or of a file.

    Args:
        name: Name of a profile, or path of a file that ends in .yaml.

    Raises:
        HeadstartError: If there is no such profile, or the file cannot be read.
    """
    if name.endswith((".yaml", ".yml")):
        return read_user_text(name, f"profile {name!r}")
    if name not in profile_names():
        raise_unknown_name("profile", name, [*profile_names(), "or a file that ends in .yaml"])
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def load_profile(name: str) -> Profile:
    """Reads and checks a profile.

    Args:
        name: Name of a profile that comes with the package, or path of a file that ends in .yaml.

    Raises:
        HeadstartError: If the profile does not exist, or has an unknown key or a wrong value; the message names the
            key and, for an unknown one, the nearest known key.
    """
    what = f"profile {name!r}"
    return validate(Profile, parse_yaml_mapping(profile_text(name), what, list(Profile.model_fields)), what)


def _check_tasks(names: Any) -> None:
    for name in names:
        if name not in GROUPS:
            raise ValueError(f"unknown task {name!r}; {did_you_mean(name, list(GROUPS))}")
