"""The pipeline compiled to YAML."""

from pathlib import Path

from kfp import compiler

from headstart.components.core.errors import HeadstartError
from headstart.pipelines.profile import Profile
from headstart.pipelines.transfer_learning import build_pipeline


def write_package(profile: Profile, from_scratch: bool, path: Path) -> None:
    """Compiles the pipeline; the file is there whole or not at all.

    Args:
        profile: What the stages ask of the cluster.
        from_scratch: Whether to train without transfer as well.
        path: The YAML file to write.

    Raises:
        HeadstartError: It cannot be written.
    """
    partial = path.with_name(f".{path.stem}.partial.yaml")
    try:
        compiler.Compiler().compile(build_pipeline(profile, from_scratch), str(partial))
        partial.replace(path)
    except OSError as error:
        raise HeadstartError(f"output {str(path)!r} cannot be written ({error.strerror})") from None
