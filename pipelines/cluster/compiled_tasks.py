"""Tasks of a compiled pipeline."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class CompiledTask:
    """A task of a compiled pipeline that runs code.

    Attributes:
        name: Name of the task.
        spec: Specification of the task, as compiled.
        parents: Specifications of the conditions and loops around the task by name, the outermost first.
    """

    name: str
    spec: Json
    parents: Mapping[str, Json]

    @property
    def path(self) -> str:
        """Path of the task's node below the root of the workflow."""
        exit_of = [f"{self.spec['dependentTasks'][0]}.onExit"] if _is_exit_task(self.spec) else []
        return ".".join((*self.parents, *exit_of, self.name))

    @property
    def loop(self) -> str:
        """Name of the innermost loop around the task; empty outside loops."""
        loops = [name for name, spec in self.parents.items() if "parameterIterator" in spec]
        return loops[-1] if loops else ""


def list_tasks(pipeline: Json) -> list[CompiledTask]:
    """Tasks that run code, those inside conditions and loops included, in the order in which they can run."""

    def walk(part: Json, parents: Mapping[str, Json]) -> Iterator[CompiledTask]:
        tasks = part["dag"]["tasks"]
        for name in _order_by_dependencies(tasks):
            component = get_nested(pipeline, "components", tasks[name]["componentRef"]["name"])
            if "dag" in component:
                yield from walk(component, {**parents, name: tasks[name]})
            else:
                yield CompiledTask(name, tasks[name], parents)

    return list(walk(pipeline["root"], {}))


def find_task(pipeline: Json, name: str) -> CompiledTask:
    """The task of a name."""
    return next(task for task in list_tasks(pipeline) if task.name == name)


def get_nested(tree: Json, *keys: str) -> Json:
    """The object below several keys; empty where one of them is absent."""
    for key in keys:
        tree = tree.get(key) or {}
    return tree


def _is_exit_task(spec: Json) -> bool:
    """Whether a task runs at the end of others, whatever that is; its node lies in a hook of theirs."""
    return get_nested(spec, "triggerPolicy").get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"


def _order_by_dependencies(tasks: Json) -> list[str]:
    ordered: list[str] = []
    waiting = sorted(tasks)
    while waiting:
        ready = [name for name in waiting if set(tasks[name].get("dependentTasks", [])) <= set(ordered)] or waiting
        ordered += ready
        waiting = [name for name in waiting if name not in ready]
    return ordered
