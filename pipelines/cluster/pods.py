"""Pods of a run's tasks: their names, and the resources that they request."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from headstart.pipelines.cluster.compiled_tasks import CompiledTask, find_task, get_nested
from headstart.pipelines.cluster.runs import ClusterRun


def pod_name(run: ClusterRun, task: str, node: str) -> str:
    """Name of an attempt's pod, for Kubernetes, and for KFP's logs while it runs.

    Argo puts the name of the workflow's template before the hash of a node's id. KFP names that template after the
    requests of the task.

    Args:
        run: The run.
        task: Name of the task.
        node: Id of the attempt.
    """
    compiled = find_task(run.pipeline, task)
    metadata = _kubernetes_settings(run, compiled).get("podMetadata")
    template = "system-container-impl"
    if compiled.spec.get("retryPolicy"):
        template = f"retry-{template}"
    if metadata:
        template = f"metadata-{len(metadata.get('annotations') or {})}-{len(metadata.get('labels') or {})}-{template}"
    workflow, _, number = node.rpartition("-")
    return f"{workflow}-{template}-{number}"


def max_retries(run: ClusterRun, task: str) -> int:
    """Largest number of further attempts of a task after a failure."""
    return int(get_nested(find_task(run.pipeline, task).spec, "retryPolicy").get("maxRetryCount") or 0)


def get_requests(run: ClusterRun, task: str) -> dict[str, str]:
    """Requests of a task's pod, with the run's parameters filled in.

    Args:
        run: The run.
        task: Name of the task.

    Returns:
        Text by kind: image, accelerator, cpu, memory, node selector, secrets; without those that are not requested.
    """
    compiled = find_task(run.pipeline, task)
    executors = run.pipeline["deploymentSpec"]["executors"]
    container = executors[_executor_label(run, compiled)]["container"]
    resources = container.get("resources", {})
    accelerator = resources.get("accelerator", {})
    kubernetes = _kubernetes_settings(run, compiled)

    def value(given: Any) -> str:
        return _resolve(run, [*compiled.parents.values(), compiled.spec], given)

    count, kind = value(accelerator.get("resourceCount")), value(accelerator.get("resourceType"))
    secrets = [*kubernetes.get("secretAsEnv", []), *kubernetes.get("secretAsVolume", [])]
    selector = value(get_nested(kubernetes, "nodeSelector", "nodeSelectorJson"))
    requests = {
        "image": value(container["image"]),
        "accelerator": f"{count} x {kind}" if count not in ("", "0") else "",
        "cpu": value(resources.get("resourceCpuLimit")),
        "memory": value(resources.get("resourceMemoryLimit")),
        "node selector": "" if selector in ("", "{}") else selector,
        "secrets": ", ".join(dict.fromkeys(each["secretName"] for each in secrets if not each.get("optional"))),
    }
    return {name: text for name, text in requests.items() if text not in ("", "0")}


def _executor_label(run: ClusterRun, task: CompiledTask) -> str:
    return str(run.pipeline["components"][task.spec["componentRef"]["name"]]["executorLabel"])


def _kubernetes_settings(run: ClusterRun, task: CompiledTask) -> Mapping[str, Any]:
    label = _executor_label(run, task)
    return get_nested(run.platform, "platforms", "kubernetes", "deploymentSpec", "executors", label)


def _resolve(run: ClusterRun, tasks: Sequence[Mapping[str, Any]], given: Any) -> str:
    """A value as text.

    Args:
        run: The run.
        tasks: Specifications of the task that has the value, last, and of the conditions around it, outermost first.
        given: Value or reference, as the compiled pipeline writes it.
    """
    if given is None or given == {}:
        return ""
    if isinstance(given, str):
        name = given.removeprefix("{{$.inputs.parameters['").removesuffix("']}}")
        if name == given:
            return given
        return _resolve(run, tasks, get_nested(tasks[-1], "inputs", "parameters", name))
    if "componentInputParameter" in given:
        name = given["componentInputParameter"]
        if len(tasks) > 1:
            return _resolve(run, tasks[:-1], get_nested(tasks[-2], "inputs", "parameters", name))
        definition = get_nested(run.pipeline, "root", "inputDefinitions", "parameters", name)
        return _text(run.parameters.get(name, definition.get("defaultValue", "")))
    constant = get_nested(given, "runtimeValue").get("constant", "")
    return _resolve(run, tasks, constant) if isinstance(constant, str) else _text(constant)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
