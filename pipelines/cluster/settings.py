"""Settings of the cluster: from a file, the environment and options."""

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headstart.components.container_image import IMAGE_VARIABLE, REGISTRY_VARIABLE
from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home
from headstart.components.core.util.user_files import parse_yaml_mapping, read_user_text
from headstart.pipelines.definitions.profile import DEFAULT_PROFILE, profile_names

FILE = "headstart.yaml"


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        meaning: Text for help and listings.
        variable: Environment variable that sets it.
        default: Value when nothing sets it.
        secret: Whether its value must never be shown.
    """

    meaning: str
    variable: str
    default: str = ""
    secret: bool = False


SETTINGS = {
    "host": Setting(
        "Address of KFP, https://…; if left out, kfp finds it in the cluster or by kubectl's configuration.",
        "HEADSTART_KFP_HOST",
    ),
    "namespace": Setting("Namespace of the runs, on a KFP of several users.", "HEADSTART_NAMESPACE"),
    "experiment": Setting("Experiment that the runs belong to.", "HEADSTART_EXPERIMENT", "Default"),
    "token": Setting("Bearer token for KFP, if kfp cannot sign in by itself.", "HEADSTART_TOKEN", secret=True),
    "pipeline_root": Setting(
        "Address for artifacts: gs://, s3:// or minio://; if left out, the cluster's own.",
        "HEADSTART_PIPELINE_ROOT",
    ),
    "service_account": Setting(
        "Kubernetes service account of the pods; if left out, the cluster's own.", "HEADSTART_SERVICE_ACCOUNT"
    ),
    "profile": Setting(
        f"Cluster profile with the requests of pods: {', '.join(profile_names())}, or a file.",
        "HEADSTART_PROFILE",
        DEFAULT_PROFILE,
    ),
    "registry": Setting("Registry before the names of images, such as registry.example/team.", REGISTRY_VARIABLE),
    "image": Setting("Container image of every task, in place of the profile's.", IMAGE_VARIABLE),
    "timeout": Setting("Seconds that KFP may take to answer one request.", "HEADSTART_TIMEOUT", "60"),
}
"""Every setting by its name in the file; the flag is the same with dashes."""


@dataclasses.dataclass(frozen=True)
class ClusterSettings:
    """Settings in force; an empty text stands for a setting that is left out.

    Attributes:
        host: Address of KFP.
        namespace: Namespace of the runs.
        experiment: Name of an experiment.
        token: Bearer token.
        pipeline_root: Address for artifacts.
        service_account: Service account of the pods.
        profile: Name or file of a cluster profile.
        registry: Registry before the names of images.
        image: Container image of every task.
        timeout: Time for one request, in seconds.
        sources: Sources of the values, by name of the setting.
    """

    host: str
    namespace: str
    experiment: str
    token: str = dataclasses.field(repr=False)
    pipeline_root: str
    service_account: str
    profile: str
    registry: str
    image: str
    timeout: str
    sources: Mapping[str, str]

    @property
    def seconds(self) -> float:
        """Time that a request may take, in seconds.

        Raises:
            HeadstartError: If the setting is not a number above 0.
        """
        try:
            seconds = float(self.timeout)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < math.inf:
            raise HeadstartError(
                f"timeout {self.timeout!r} (from {self.sources['timeout']}): give seconds, more than 0"
            )
        return seconds

    def check_pipeline_root(self) -> None:
        """Refuses an address for artifacts that pods cannot reach.

        Raises:
            HeadstartError: If it is a path of this machine, or has a scheme to which KFP does not write.
        """
        root = self.pipeline_root
        if not root:
            return
        scheme, _, rest = root.partition("://")
        named = f"pipeline_root {root!r} (from {self.sources['pipeline_root']})"
        if not rest or scheme == "file":
            raise HeadstartError(
                f"{named} is a path of this machine, which pods do not see; pass gs://, s3:// or minio://"
            )
        if scheme in ("http", "https"):
            raise HeadstartError(f"{named}: KFP cannot write there; pass gs://, s3:// or minio://")
        if scheme not in ("gs", "s3", "minio"):
            raise HeadstartError(f"{named}: unknown scheme {scheme!r}; KFP writes to gs://, s3:// and minio://")
        if not rest.split("/")[0]:
            raise HeadstartError(f"{named} names no bucket")

    def check_connection(self) -> None:
        """Refuses settings with which no server can be asked.

        Raises:
            HeadstartError: If the host is not an http(s) address or has a password in it, or if the timeout is not a
                number above 0.
        """
        self.check_host()
        # Reading it checks it.
        _ = self.seconds

    def check_host(self) -> None:
        """Refuses a host that is not an address.

        Raises:
            HeadstartError: If it is not an http(s) address, or has a password in it.
        """
        if not self.host:
            return
        if "@" in self.host:
            raise HeadstartError("host has a password in it, which logs would show; pass a token by HEADSTART_TOKEN")
        named = f"host {self.host!r} (from {self.sources['host']})"
        try:
            parts = urlsplit(self.host)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            valid = False
        if not valid or any(character.isspace() for character in self.host):
            raise HeadstartError(f"{named} is not an address; pass one such as https://kfp.example.com/pipeline")


def load_settings(flags: Mapping[str, str | None], config: str = "") -> ClusterSettings:
    """Merges the settings: defaults, then the file, the environment, and options; the later wins.

    Args:
        flags: Values of options by name; None or absent where an option is not given.
        config: File to read in place of `headstart.yaml` in the working folder.

    Raises:
        HeadstartError: If the file cannot be read, has an unknown key, or a value that is not text.
    """
    values = {name: (setting.default, "default") for name, setting in SETTINGS.items()}
    path = expand_home(config or FILE)
    if config or path.exists():
        values |= {name: (value, str(path)) for name, value in _read(path).items()}
    for name, setting in SETTINGS.items():
        if (value := os.environ.get(setting.variable)) is not None:
            values[name] = (value, setting.variable)
        if (flag := flags.get(name)) is not None:
            values[name] = (flag, f"--{name.replace('_', '-')}")
    return ClusterSettings(
        **{name: value for name, (value, _) in values.items()},
        sources={name: source for name, (_, source) in values.items()},
    )


def _read(path: Path) -> dict[str, str]:
    what = f"settings {str(path)!r}"
    # The parser's own words quote the line, which may be the token's.
    content = parse_yaml_mapping(read_user_text(path, what, pipes=True), what, list(SETTINGS), secret=True)
    return {_known(path, name): _text(path, name, value) for name, value in content.items()}


def _known(path: Path, name: Any) -> str:
    if name not in SETTINGS:
        raise HeadstartError(f"{str(path)!r}: unknown key {name!r}; {did_you_mean(str(name), list(SETTINGS))}")
    return str(name)


def _text(path: Path, name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise HeadstartError(f"{str(path)!r}: {name} must be a text, not {type(value).__name__}")
    return str(value)
