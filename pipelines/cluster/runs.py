"""What KFP's API says of a run, read as stages.

The API lists every node of the Argo workflow below the run, and of most of them the name alone. A task `train-head`
is a pod `train-head-driver`, a node `train-head`, and below that a node `executor`: the pod with the user's code or,
with retries, one node for all attempts, `executor(0)` and so on. A condition is such a task too, `condition-1`, and
the tasks inside it lie below its node. Nodes name their children by ids, and their own ids are not told, but follow
from their names.
"""

import dataclasses
import datetime
import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.definitions.tasks import ONLY_WHERE_ASKED, TRANSFER_LEARNING

_ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
_CACHED_SECONDS = 2.0
_FNV_OFFSET, _FNV_PRIME, _FNV_BITS = 2166136261, 16777619, 0xFFFFFFFF


class Phase(enum.Enum):
    """How far a stage is."""

    WAITING = "waiting for other stages"
    STARTING = "waiting for its pod to start"
    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: The task's name.
        phase: How far it is.
        started: When its driver began; None before.
        ended: When it ended; None before.
        nodes: Ids of the pods that ran its code, the last attempt first.
        driver: Id of the pod that prepared them.
        failed: Ids of the attempts that are known to have failed, the first one first.
    """

    name: str
    phase: Phase
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    nodes: tuple[str, ...] = ()
    driver: str = ""
    failed: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long it took, driver included."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None


@dataclasses.dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        run_id: Its id.
        name: Its name.
        experiment_id: What it belongs to.
        state: KFP's word for how far it is.
        cancelled: Whether somebody terminated it, or tried to.
        parameters: What the pipeline was given.
        pipeline_root: Where its artifacts are; empty: where the cluster puts them.
        pipeline: The compiled pipeline.
        platform: What it asks of Kubernetes in particular.
        stages: By name, in the order in which they can run.
    """

    run_id: str
    name: str
    experiment_id: str
    state: str
    cancelled: bool
    parameters: Mapping[str, Any]
    pipeline_root: str
    pipeline: Mapping[str, Any]
    platform: Mapping[str, Any]
    stages: Mapping[str, Stage]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in _ENDED

    @property
    def succeeded(self) -> bool:
        """Whether all of it went well."""
        return self.state == "SUCCEEDED"

    @property
    def settled(self) -> bool:
        """Whether the stages say the same as the run, whose state comes first."""
        phases = {stage.phase for stage in self.stages.values()}
        if self.succeeded:
            return phases <= {Phase.DONE, Phase.CACHED, Phase.SKIPPED}
        return bool(phases & {Phase.FAILED, Phase.CANCELLED}) and not phases & {Phase.STARTING, Phase.RUNNING}

    @property
    def failed_stage(self) -> Stage | None:
        """The first stage that failed."""
        failed = [stage for stage in self.stages.values() if stage.phase is Phase.FAILED]
        return min(failed, key=lambda stage: stage.ended or _LATEST) if failed else None


_EARLIEST = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_LATEST = datetime.datetime.max.replace(tzinfo=datetime.UTC)


def read_run(answer: Any) -> Run:
    """Reads a `V2beta1Run`.

    Raises:
        HeadstartError: It has no pipeline of KFP 2.
    """
    spec = answer.pipeline_spec or {}
    pipeline, platform = spec.get("pipeline_spec", spec), spec.get("platform_spec", {})
    tasks = pipeline.get("root", {}).get("dag", {}).get("tasks")
    if not tasks:
        raise HeadstartError(f"run {answer.run_id} has no pipeline of KFP 2; look at it in KFP's user interface")
    state = str(answer.state or "PENDING")
    history = answer.state_history or []
    config = answer.runtime_config
    details = answer.run_details.task_details or [] if answer.run_details else []
    nodes = _Nodes(details, ended=state == "SUCCEEDED", cancelled=_cancelled_at(history))
    return Run(
        run_id=str(answer.run_id),
        name=str(answer.display_name),
        experiment_id=str(answer.experiment_id),
        state=state,
        cancelled=state in ("CANCELING", "CANCELED") or _cancelled_at(history) is not None,
        parameters=(config.parameters if config else None) or {},
        pipeline_root=(config.pipeline_root if config else None) or "",
        pipeline=pipeline,
        platform=platform,
        stages={task.name: nodes.stage(task) for task in _tasks(pipeline)} | _left_out(pipeline),
    )


def _cancelled_at(history: Sequence[Any]) -> datetime.datetime | None:
    """When the last attempt was terminated; a run that is tried again has the states of all attempts."""
    since = None
    for status in reversed(history):
        if str(status.state) in ("CANCELING", "CANCELED"):
            since = status.update_time or _EARLIEST
        elif str(status.state) in ("RUNNING", "PENDING"):
            break
    return since


@dataclasses.dataclass(frozen=True)
class _Task:
    """A task of a compiled pipeline that runs code.

    Attributes:
        name: Its name.
        spec: What it is.
        around: The conditions that it is in, by name, the outermost first.
    """

    name: str
    spec: Mapping[str, Any]
    around: Mapping[str, Mapping[str, Any]]

    @property
    def path(self) -> str:
        """Where its node lies below the workflow's root."""
        return ".".join((*self.around, self.name))


def _tasks(pipeline: Mapping[str, Any]) -> list[_Task]:
    """The tasks that run code, also inside conditions, in the order in which they can run."""

    def below(part: Mapping[str, Any], around: Mapping[str, Mapping[str, Any]]) -> Iterator[_Task]:
        tasks = part["dag"]["tasks"]
        for name in _in_order(tasks):
            component = _below(pipeline, "components", tasks[name]["componentRef"]["name"])
            if "dag" in component:
                yield from below(component, {**around, name: tasks[name]})
            else:
                yield _Task(name, tasks[name], around)

    return list(below(pipeline["root"], {}))


def _left_out(pipeline: Mapping[str, Any]) -> dict[str, Stage]:
    """The stages that the pipeline was made without, for want of use: they are told of like those of a condition."""
    if pipeline.get("pipelineInfo", {}).get("name") != TRANSFER_LEARNING:
        return {}
    there = {task.name for task in _tasks(pipeline)}
    names = [name.replace("_", "-") for name in ONLY_WHERE_ASKED]
    return {name: Stage(name, Phase.SKIPPED) for name in names if name not in there}


def _in_order(tasks: Mapping[str, Any]) -> list[str]:
    ordered: list[str] = []
    waiting = sorted(tasks)
    while waiting:
        ready = [name for name in waiting if set(tasks[name].get("dependentTasks", [])) <= set(ordered)] or waiting
        ordered += ready
        waiting = [name for name in waiting if name not in ready]
    return ordered


class _Nodes:
    """The nodes of a run's workflow."""

    def __init__(self, details: list[Any], ended: bool, cancelled: datetime.datetime | None) -> None:
        self._ended = ended
        self._cancelled = cancelled
        # Without a state: what Argo left out because something before it failed.
        begun = [each for each in details if each.state not in (None, "RUNTIME_STATE_UNSPECIFIED")]
        # Not by `create_time`: of every node it is the run's.
        self._details = sorted(begun, key=lambda each: _time(each.start_time) or _LATEST)
        self._by_name = {str(each.display_name or ""): each for each in self._details}
        self._by_child = {child: each for each in self._details for child in _children(each)}
        self._workflow = next(iter(self._by_child), "").rpartition("-")[0]

    def stage(self, task: _Task) -> Stage:
        loops = [name for name, spec in task.around.items() if "parameterIterator" in spec]
        if loops:
            return self._in_loop(task, loops[-1])
        name = task.name
        driver, node = self._by_name.get(f"{name}-driver"), self._by_name.get(name)
        first, last = driver or node, node or driver
        started = _time(first.start_time) if first else None
        attempts = self._attempts(task.path, node) if node else ()
        phase = self._phase(driver, node, len(attempts))
        if phase is Phase.WAITING and task.around and self._left_out(task):
            phase = Phase.SKIPPED
        ended = _time(last.end_time) if last and phase not in (Phase.WAITING, Phase.STARTING, Phase.RUNNING) else None
        if ended and started and ended < started:
            ended = None
        failed = attempts if phase is Phase.FAILED or self._last_failed(node, len(attempts)) else attempts[:-1]
        if phase is Phase.FAILED and self._was_cut_off(last):
            phase = Phase.CANCELLED
        nodes = tuple(reversed(attempts))
        return Stage(name, phase, started, ended, nodes, self._id(f"{task.path}-driver"), tuple(failed))

    def _was_cut_off(self, node: Any) -> bool:
        """Whether a node failed because the run was terminated."""
        if self._cancelled is None:
            return False
        return (_time(node.end_time) or _LATEST) >= self._cancelled

    def _in_loop(self, task: _Task, loop: str) -> Stage:
        """All rounds of a task as one stage, which runs from the first one's start to the loop's end.

        Below the node of a loop lies one for each round, `iteration-iterations(0:0)`, and in it `iteration-item`,
        which holds the tasks. Which round a node belongs to tells only the id of its executor.
        """
        nodes = self._named(task.name)
        begun = [*self._named(f"{task.name}-driver"), *nodes]
        failed = [node for node in begun if node.state == "FAILED"]
        around = self._by_name.get(loop)
        over = self._ended or (around is not None and around.state == "SUCCEEDED")
        if failed:
            phase = Phase.CANCELLED if all(map(self._was_cut_off, failed)) else Phase.FAILED
        elif over and nodes and all(map(self._was_cached, nodes)):
            phase = Phase.CACHED
        elif over:
            phase = Phase.DONE if nodes else Phase.SKIPPED
        else:
            phase = Phase.RUNNING if begun else Phase.WAITING
        started = min((_time(node.start_time) or _LATEST for node in begun), default=None)
        ends = [_time(node.end_time) for node in failed or nodes]
        over = phase in (Phase.DONE, Phase.FAILED, Phase.CANCELLED)
        ended = max((end for end in ends if end), default=None) if over else None
        attempts = [each for node in failed for each in self._attempts_in_loop(task, loop, node)]
        others = [self._attempts_in_loop(task, loop, node)[:-1] for node in nodes if node not in failed]
        tried = [*attempts, *(each for round_ in others for each in round_)]
        return Stage(task.name, phase, started, ended, tuple(reversed(attempts)), failed=tuple(tried))

    def _attempts_in_loop(self, task: _Task, loop: str, node: Any) -> tuple[str, ...]:
        before, after = task.path.split(f"{loop}.", 1)
        for index in range(len(self._named(task.name))):
            path = f"{before}{loop}.iteration-iterations({index}:{index}).iteration-item.{after}"
            if self._id(f"{path}.executor") in _children(node):
                return self._attempts(path, node)
        return ()

    def _named(self, name: str) -> list[Any]:
        return [each for each in self._details if each.display_name == name]

    def _left_out(self, task: _Task) -> bool:
        """Whether a condition around a task did not hold."""
        around = [self._by_name[name] for name in task.around if name in self._by_name]
        return self._ended or any(str(node.state) == "SKIPPED" for node in around)

    def _phase(self, driver: Any, node: Any, attempts: int) -> Phase:
        state = str(node.state) if node else ""
        if (driver and driver.state == "FAILED") or state == "FAILED":
            return Phase.FAILED
        if state == "SUCCEEDED":
            return Phase.CACHED if self._was_cached(node) else Phase.DONE
        if state in ("SKIPPED", "CANCELED"):
            return Phase.SKIPPED
        if node and self._executes(node, attempts):
            return Phase.RUNNING
        return Phase.STARTING if driver or node else Phase.WAITING

    def _was_cached(self, node: Any) -> bool:
        """Whether the code never ran: the node ended as it began, and an executor was skipped at that moment."""
        start, end = _time(node.start_time), _time(node.end_time)
        if not start or not end or (end - start).total_seconds() > _CACHED_SECONDS:
            return False
        return any(
            each.display_name == "executor"
            and each.state == "SKIPPED"
            and abs(((_time(each.start_time) or _LATEST) - start).total_seconds()) <= _CACHED_SECONDS
            for each in self._details
        )

    def _executes(self, node: Any, attempts: int) -> bool:
        """Whether the user's code has a pod that runs; the attempt's node says PENDING until then."""
        start = _time(node.start_time) or _EARLIEST
        name = f"executor({attempts - 1})" if attempts > 1 or "executor(0)" in self._by_name else "executor"
        pods = [
            each
            for each in self._details
            if each.display_name == name and (_time(each.start_time) or _LATEST) >= start
        ]
        return bool(pods) and pods[0].state != "PENDING"

    def _last_failed(self, node: Any, attempts: int) -> bool:
        """Whether the latest of several attempts has failed, and the next one is waited for."""
        if not node or not attempts or str(node.state) != "RUNNING":
            return False
        start = _time(node.start_time) or _EARLIEST
        pods = [
            each
            for each in self._details
            if each.display_name == f"executor({attempts - 1})" and (_time(each.start_time) or _LATEST) >= start
        ]
        # Of a stage at the same time it may be as well: all say it, or it is not known.
        return bool(pods) and all(str(each.state) == "FAILED" for each in pods)

    def _attempts(self, path: str, node: Any) -> tuple[str, ...]:
        """Ids of the pods of a stage, in their order."""
        children = _children(node)
        if not children:
            return ()
        retried = self._by_child.get(self._id(f"{path}.executor(0)"))
        return tuple(_children(retried)) if retried else (children[0],)

    def _id(self, path: str) -> str:
        return f"{self._workflow}-{fnv32a(f'{self._workflow}.root.{path}')}"


def _children(node: Any) -> list[str]:
    return [str(child.pod_name) for child in node.child_tasks or [] if child.pod_name]


def fnv32a(text: str) -> int:
    """The hash that Argo makes ids of nodes with: FNV-1a, 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/)."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = (value ^ byte) * _FNV_PRIME & _FNV_BITS
    return value


def _time(moment: datetime.datetime | None) -> datetime.datetime | None:
    """A moment, or None for the API's ways to say that there is none: the years 1 and 1970."""
    return moment if moment and moment.year > 1970 else None


def pod_name(run: Run, stage: str, node: str) -> str:
    """The pod of an attempt, as Kubernetes and KFP's logs of what still runs know it.

    Argo puts the name of the workflow's template before the hash of a node's id, and KFP calls that template by what
    the task asks for.

    Args:
        run: The run.
        stage: The task's name.
        node: Id of the attempt.
    """
    task = next(task for task in _tasks(run.pipeline) if task.name == stage)
    label = run.pipeline["components"][task.spec["componentRef"]["name"]]["executorLabel"]
    metadata = _below(run.platform, "platforms", "kubernetes", "deploymentSpec", "executors", label, "podMetadata")
    template = "system-container-impl"
    if task.spec.get("retryPolicy"):
        template = f"retry-{template}"
    if metadata:
        template = f"metadata-{len(metadata.get('annotations') or {})}-{len(metadata.get('labels') or {})}-{template}"
    workflow, _, number = node.rpartition("-")
    return f"{workflow}-{template}-{number}"


def retries_of(run: Run, stage: str) -> int:
    """How often a stage is tried again after a failure."""
    task = next(task for task in _tasks(run.pipeline) if task.name == stage)
    return int(_below(task.spec, "retryPolicy").get("maxRetryCount") or 0)


def asked_for(run: Run, stage: str) -> dict[str, str]:
    """What a stage's pod asks of the cluster, with the run's parameters put in.

    Args:
        run: The run.
        stage: The task's name.

    Returns:
        Text by what it is: image, accelerator, cpu, memory, node selector, secrets, as far as it is asked for.
    """
    task = next(task for task in _tasks(run.pipeline) if task.name == stage)
    label = run.pipeline["components"][task.spec["componentRef"]["name"]]["executorLabel"]
    container = run.pipeline["deploymentSpec"]["executors"][label]["container"]
    resources = container.get("resources", {})
    accelerator = resources.get("accelerator", {})
    kubernetes = _below(run.platform, "platforms", "kubernetes", "deploymentSpec", "executors", label)

    def value(given: Any) -> str:
        return _resolve(run, [*task.around.values(), task.spec], given)

    count, kind = value(accelerator.get("resourceCount")), value(accelerator.get("resourceType"))
    secrets = [*kubernetes.get("secretAsEnv", []), *kubernetes.get("secretAsVolume", [])]
    selector = value(_below(kubernetes, "nodeSelector", "nodeSelectorJson"))
    asked = {
        "image": value(container["image"]),
        "accelerator": f"{count} x {kind}" if count not in ("", "0") else "",
        "cpu": value(resources.get("resourceCpuLimit")),
        "memory": value(resources.get("resourceMemoryLimit")),
        "node selector": "" if selector in ("", "{}") else selector,
        "secrets": ", ".join(dict.fromkeys(each["secretName"] for each in secrets if not each.get("optional"))),
    }
    return {name: text for name, text in asked.items() if text not in ("", "0")}


def _resolve(run: Run, tasks: Sequence[Mapping[str, Any]], given: Any) -> str:
    """A value as text.

    Args:
        run: The run.
        tasks: The task that has it, last, and the conditions around, the outermost first.
        given: As the compiled pipeline writes it.
    """
    if given is None or given == {}:
        return ""
    if isinstance(given, str):
        name = given.removeprefix("{{$.inputs.parameters['").removesuffix("']}}")
        if name == given:
            return given
        return _resolve(run, tasks, _below(tasks[-1], "inputs", "parameters", name))
    if "componentInputParameter" in given:
        name = given["componentInputParameter"]
        if len(tasks) > 1:
            return _resolve(run, tasks[:-1], _below(tasks[-2], "inputs", "parameters", name))
        definition = _below(run.pipeline, "root", "inputDefinitions", "parameters", name)
        return _text(run.parameters.get(name, definition.get("defaultValue", "")))
    constant = _below(given, "runtimeValue").get("constant", "")
    return _resolve(run, tasks, constant) if isinstance(constant, str) else _text(constant)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _below(tree: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        tree = tree.get(key) or {}
    return tree
