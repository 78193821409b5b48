"""Cluster profiles: what the pods of each stage ask of the cluster, read from YAML and checked."""

import re
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.user_files import parse_yaml_mapping, read_user_text, validate
from headstart.pipelines.definitions.tasks import GROUPS, MAY_HAVE_ACCELERATOR, READING_STAGES

DEFAULT_PROFILE = "gke-gpu"

_FOLDER = files("headstart.pipelines.definitions") / "profiles"
_SECRET_WORD = re.compile(r"SECRET|PASSWORD|TOKEN|CREDENTIAL|(ACCESS|API|KAGGLE|PRIVATE)_KEY")
_NAME_OF_A_PATH = re.compile(r"^GOOGLE_APPLICATION_CREDENTIALS$|_(FILE|PATH|DIR)$")
_SPOT = ("spot", "preemptible")
# What Kubernetes takes; of the memory of a single stage, which is compiled, kfp takes whole numbers alone.
_CPU = r"^([0-9]*\.)?[0-9]+m?$"
_MEMORY = r"^[0-9]+(\.[0-9]+)?(k|Ki|[MGTPE]i?)?$"
_MEMORY_OF_A_STAGE = r"^[0-9]+(Ki|[MGTPE]i?)?$"
_DAY_SECONDS = 86_400


def _no_latest(image: str) -> str:
    if image.endswith(":latest"):
        raise ValueError(
            f"{image} may be another image tomorrow; name a version, or leave the tag out for this one's"
        )
    return image


def _no_secret(variables: dict[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        # A path to a mounted secret is no secret, but a secret may begin as a path does.
        is_path = _NAME_OF_A_PATH.search(name) and value.startswith("/")
        if _SECRET_WORD.search(name) and not is_path:
            raise ValueError(
                f"{name} would stand in the pipeline for all to read; put it into a Secret, under secrets"
            )
    return variables


Cpu = Annotated[str, Field(pattern=_CPU, coerce_numbers_to_str=True)]
Memory = Annotated[str, Field(pattern=_MEMORY, coerce_numbers_to_str=True)]
MemoryOfAStage = Annotated[str, Field(pattern=_MEMORY_OF_A_STAGE, coerce_numbers_to_str=True)]
Image = Annotated[str, Field(min_length=1), AfterValidator(_no_latest)]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\s]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Toleration(_Strict):
    """A taint that pods put up with; the fields are Kubernetes' own."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute", ""] = ""

    def spec(self) -> dict[str, str]:
        """As Kubernetes writes it, without what is empty."""
        return {name: value for name, value in self.model_dump().items() if value}


class Data(_Strict):
    """What pods of the stages ask for that need no accelerator.

    Attributes:
        image: Container image; without a tag, the one of this version.
        cpu: CPU limit as Kubernetes writes it, which is the request too; '0': none.
        memory: Memory limit, likewise.
        ephemeral_storage: The most that may lie in /tmp, on the node's disk; empty: no limit. KFP 2.17 cannot request
            ephemeral storage for a pod; a LimitRange in the namespace can.
        node_selector: Labels that a node must have.
        tolerations: Taints that pods put up with.
    """

    image: Image = "headstart"
    cpu: Cpu = "0"
    memory: Memory = "0"
    ephemeral_storage: Memory | Literal[""] = ""
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []

    @property
    def taints(self) -> list[dict[str, str]]:
        """The tolerations as Kubernetes writes them."""
        return [toleration.spec() for toleration in self.tolerations]


class Network(Data):
    """What pods of the stages ask for that compute a network.

    Attributes:
        accelerator_type: Resource name of the accelerator.
        accelerator_limit: How many of them each pod gets; 0: none.
        shared_memory: Size of /dev/shm, which counts as memory.
    """

    image: Image = "headstart-gpu"
    accelerator_type: str = "nvidia.com/gpu"
    accelerator_limit: Annotated[int, Field(ge=0)] = 1
    shared_memory: Memory = "2Gi"

    @property
    def accelerators(self) -> str:
        """How many accelerators each pod gets, as KFP takes it: '0' would stand in the pod, and '' does not."""
        return str(self.accelerator_limit or "")


class Stage(_Strict):
    """What one stage asks for other than its group does; what is left out is the group's."""

    image: Image | None = None
    cpu: Cpu | None = None
    memory: MemoryOfAStage | None = None
    ephemeral_storage: Memory | None = None
    node_selector: dict[str, str] | None = None
    tolerations: list[Toleration] | None = None
    accelerator_type: str | None = None
    accelerator_limit: Annotated[int, Field(ge=0)] | None = None
    shared_memory: Memory | None = None


class Retries(_Strict):
    """How failed stages are tried again.

    Attributes:
        count: How often.
        pause_seconds: Before the first new attempt.
        factor: How much longer each pause is than the one before.
        deadline_days: How long after a stage's first start it may still be tried again.
    """

    count: Annotated[int, Field(ge=0, le=20)] = 2
    pause_seconds: Annotated[int, Field(ge=1)] = 30
    factor: Annotated[float, Field(ge=1)] = 2.0
    deadline_days: Annotated[float, Field(gt=0)] = 7


class Secret(_Strict):
    """A Kubernetes Secret that stages see.

    Attributes:
        name: Its name in the namespace of the run.
        env: Environment variables, each with the Secret's key that holds its value.
        volume: The folder in which each key appears as a file; empty: no folder.
        stages: Which stages see it.
        optional: Whether pods start without it when it is absent.
    """

    name: Annotated[str, Field(min_length=1)]
    env: dict[str, str] = {}
    volume: AbsolutePath | Literal[""] = ""
    stages: list[str] = list(READING_STAGES)
    optional: bool = False

    @model_validator(mode="after")
    def _check(self) -> "Secret":
        if not self.env and not self.volume:
            raise ValueError(f"secret {self.name} has neither env nor volume: no stage would see it")
        _check_stages(self.stages)
        return self


class Volume(_Strict):
    """A PersistentVolumeClaim that the stages that read data mount."""

    claim: Annotated[str, Field(min_length=1)]
    path: AbsolutePath


class Profile(_Strict):
    """A cluster profile.

    Attributes:
        description: One line for the list of profiles.
        registry: What stands before image names without a slash.
        data: For the stages that need no accelerator.
        network: For the stages that train or evaluate a network.
        stages: For single stages, what differs from their group.
        retries: How failed stages are tried again.
        deadline_hours: How long one attempt of a stage may take; 0: for ever.
        secrets: Secrets that stages see; workload identity, a service account's, needs none.
        volumes: Claims that the stages that read data mount.
        env: Environment variables of every stage.
        pod_labels: Labels of every pod.
        image_pull_policy: Kubernetes' own.
        image_pull_secrets: Names of Secrets for the registry.
        run_as_user: Number of the user that pods run as, never 0; none: whichever the image or the cluster says.
    """

    description: str = ""
    registry: str = ""
    data: Data = Data()
    network: Network = Network()
    stages: dict[str, Stage] = {}
    retries: Retries = Retries()
    deadline_hours: Annotated[float, Field(ge=0)] = 24
    secrets: list[Secret] = []
    volumes: list[Volume] = []
    env: Annotated[dict[str, str], AfterValidator(_no_secret)] = {}
    pod_labels: dict[str, str] = {"app.kubernetes.io/part-of": "headstart"}
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    image_pull_secrets: list[str] = []
    run_as_user: Annotated[int, Field(gt=0)] | None = 1000

    @model_validator(mode="after")
    def _check(self) -> "Profile":
        _check_stages(self.stages)
        for name, stage in self.stages.items():
            lost = {"accelerator_type", "accelerator_limit", "shared_memory"} & set(stage.model_fields_set)
            if GROUPS[name] == "data" and name not in MAY_HAVE_ACCELERATOR and lost:
                raise ValueError(f"stage {name} computes no network; an accelerator or shared memory is lost on it")
        groups: list[Data | Stage] = [self.data, self.network, *self.stages.values()]
        nodes = [f"{each.key}={each.value}" for group in groups for each in group.tolerations or []]
        nodes += [f"{key}={value}" for group in groups for key, value in (group.node_selector or {}).items()]
        if any(word in node.lower() for node in nodes for word in _SPOT) and not self.retries.count:
            raise ValueError(
                "pods may run on nodes that can be taken away, and retries.count is 0; try at least once"
            )
        return self

    def group_of(self, stage: str) -> str:
        """The group whose wishes a stage has where it has none of its own.

        Args:
            stage: Name of the stage.

        Returns:
            `network` for a stage of the group `data` as well, where this profile grants it an accelerator.
        """
        own = self.stages.get(stage, Stage())
        granted = own.accelerator_limit or (own.accelerator_type and own.accelerator_limit is None)
        return "network" if stage in MAY_HAVE_ACCELERATOR and granted else GROUPS[stage]

    def image_of(self, name: str) -> str:
        """The full name of an image: with the registry, and with this version where there is no tag."""
        if "/" not in name and self.registry:
            name = f"{self.registry.rstrip('/')}/{name}"
        return name if re.search(r"[:@][^/]*$", name) else f"{name}:{version('headstart')}"

    def with_images(self, registry: str = "", image: str = "") -> "Profile":
        """The same with another registry, or with one image for every stage; empty: as it is.

        Raises:
            HeadstartError: The image may be another tomorrow.
        """
        asked = self.model_copy(update={"registry": registry}) if registry else self
        if not image:
            return asked
        try:
            _no_latest(image)
        except ValueError as error:
            raise HeadstartError(f"image: {error}") from None
        stages = {name: stage.model_copy(update={"image": None}) for name, stage in self.stages.items()}
        data, network = (group.model_copy(update={"image": image}) for group in (self.data, self.network))
        return asked.model_copy(update={"data": data, "network": network, "stages": stages})

    def images(self) -> list[str]:
        """The full names of all images, each once, in order."""
        named = [self.data.image, self.network.image, *(stage.image for stage in self.stages.values() if stage.image)]
        return list(dict.fromkeys(map(self.image_of, named)))

    def retry_deadline(self) -> str:
        """What KFP takes for the longest pause and means as the time for all attempts."""
        return f"{round(self.retries.deadline_days * _DAY_SECONDS)}s"

    def mounted(self) -> list[str]:
        """The folders on volumes that the stages that read data see."""
        return [volume.path for volume in self.volumes]


def profile_names() -> list[str]:
    """The profiles that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))


def profile_text(name: str) -> str:
    """The YAML of a profile that comes with the package, or of a file.

    Raises:
        HeadstartError: There is neither.
    """
    if name.endswith((".yaml", ".yml")):
        return read_user_text(name, f"profile {name!r}")
    if name not in profile_names():
        raise_unknown_name("profile", name, [*profile_names(), "or a file that ends in .yaml"])
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def load_profile(name: str) -> Profile:
    """Reads and checks a profile.

    Args:
        name: Of one that comes with the package, or a file that ends in .yaml.

    Raises:
        HeadstartError: There is none, or it has an unknown key or a wrong value; the message names the key and, of an
            unknown one, the nearest that there is.
    """
    what = f"profile {name!r}"
    return validate(Profile, parse_yaml_mapping(profile_text(name), what, list(Profile.model_fields)), what)


def _check_stages(names: Any) -> None:
    for name in names:
        if name not in GROUPS:
            raise ValueError(f"unknown stage {name!r}; {did_you_mean(name, list(GROUPS))}")
