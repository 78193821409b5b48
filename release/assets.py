"""Writes the files of a release that are compiled: every pipeline, and every component for `load_component_from_url`.

    python release/assets.py --registry ghcr.io/example build/release

Afterwards the folder has SHA256SUMS of all its files, those too that were put there before: wheels and SBOMs.
"""

import argparse
import hashlib
import importlib
from pathlib import Path

from check import ROOT, read_owner
from kfp import compiler

from headstart.components import use_image
from headstart.pipelines.definitions.compilation import write_package
from headstart.pipelines.definitions.profile import load_profile, profile_names
from headstart.pipelines.definitions.tasks import PIPELINES

CHECKSUMS = "SHA256SUMS"
TEMPLATE_PROFILE = "own"
"""The profile that shows every key; it is written to be copied, not to be run."""


def write_pipelines(folder: Path, registry: str) -> None:
    """Writes ``pipeline-NAME-PROFILE.yaml`` for every pipeline and every profile that is meant to be run.

    Args:
        folder: Folder to write to.
        registry: Registry of the released images.
    """
    for profile in profile_names():
        if profile == TEMPLATE_PROFILE:
            continue
        for name in PIPELINES:
            placed = load_profile(profile).with_images(registry)
            write_package(placed, False, folder / f"pipeline-{name}-{profile}.yaml", name)


def write_components(folder: Path, registry: str) -> None:
    """Writes ``component-NAME.yaml`` for every component.

    Args:
        folder: Folder to write to.
        registry: Registry of the released images; the components run in the one without CUDA.
    """
    use_image(registry=registry)
    for path in sorted((ROOT / "components").glob("*/component.py")):
        name = path.parent.name
        component = getattr(importlib.import_module(f"headstart.components.{name}.component"), name)
        compiler.Compiler().compile(component, str(folder / f"component-{name.replace('_', '-')}.yaml"))


def write_checksums(folder: Path) -> None:
    """Writes SHA256SUMS, which ``sha256sum --check`` reads.

    Args:
        folder: Folder whose files are listed.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / CHECKSUMS).write_text("".join(lines))


def main() -> None:
    """Reads the command line and writes the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to write to")
    parser.add_argument("--registry", help="registry of the released images; default: ghcr.io and the account")
    options = parser.parse_args()
    registry = options.registry or f"ghcr.io/{read_owner().lower()}"
    options.folder.mkdir(parents=True, exist_ok=True)
    write_pipelines(options.folder, registry)
    write_components(options.folder, registry)
    write_checksums(options.folder)
    print(options.folder)


if __name__ == "__main__":
    main()
