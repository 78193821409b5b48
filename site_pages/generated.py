"""The generated parts and files of the site."""

from collections.abc import Callable, Mapping

import headstart
from site_pages.artifact_schemas import artifact_schemas
from site_pages.command_line import command_line, exit_statuses
from site_pages.component_pages import component_files, component_overview, pipeline_files, pipeline_parameters
from site_pages.error_messages import error_messages
from site_pages.log_events import log_events
from site_pages.recipe_keys import recipe_keys


def python_api() -> str:
    """Names of the Python API, which mkdocstrings documents: functions first, then types."""
    names = sorted(headstart.__all__, key=lambda name: (name[0].isupper(), name))
    return "\n\n".join(f"::: headstart.{name}" for name in names) + "\n"


PARTS: Mapping[str, Callable[[], str]] = {
    "artifact_schemas": artifact_schemas,
    "command_line": command_line,
    "components": component_overview,
    "error_messages": error_messages,
    "exit_statuses": exit_statuses,
    "log_events": log_events,
    "pipeline_parameters": pipeline_parameters,
    "python_api": python_api,
    "recipe_keys": recipe_keys,
}
"""Functions that make the generated parts of pages, by the names in their comments `<!-- generated: NAME -->`."""


def generated_files() -> dict[str, str]:
    """Generated files by their paths below docs/."""
    return component_files() | pipeline_files()
