"""`--wait` and `headstart follow`: every way in which a run can end, and what is said of it."""

import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import Started
from support.kfp_api import KfpApi, node_id
from support.stores import make_bucket, start_minio

Command = Callable[..., tuple[int, str]]
Tasks = tuple[tuple[str, str], ...]

DATA = ("--data", "gs://bucket/pictures")
ROOT = ("--pipeline-root", "s3://bucket/runs")
TASKS = (
    "list-data", "download-dataset", "split-dataset", "train-head", "fine-tune", "evaluate-model"
)  # fmt: skip
ALL = 9
"""With what the run has no use for."""

METRICS = """starting
event=metrics model=test accuracy=0.95 low=0.9 high=0.98 log_loss=0.12 images=168
event=metrics model=head accuracy=0.9 low=0.84 high=0.94 log_loss=0.21 images=168
"""
LAUNCHERS = "I1124 06:08:02.779068      16 main.go:67] Setting log level to: '1'\n"
RAISED = """Traceback (most recent call last):
  File "step.py", line 1, in <module>
headstart.components.core.util.errors.HeadstartError: class 'cat' has no image; add some
Traceback (most recent call last):
RuntimeError: the step failed
"""


def done(*names: str, state: str = "done") -> Tasks:
    return tuple((name, state) for name in names)


def log(api: KfpApi, run_id: str, task: str, text: str, attempt: int = 0) -> None:
    api.logs[node_id(api.runs[run_id], f"root.{task}.executor({attempt})")] = text


@pytest.fixture
def submitted(on_cluster: Command, api: KfpApi) -> str:
    """A run that is there; a test says how far it is."""
    assert on_cluster("submit", *DATA, *ROOT)[0] == 0
    return next(iter(api.runs))


def test_a_run_is_shown_task_by_task_and_ends_with_its_figures(on_cluster: Command, api: KfpApi) -> None:
    api.next_looks = [
        ("PENDING",),
        ("RUNNING", ("list-data", "driver")),
        ("RUNNING", ("list-data", "running")),
        ("RUNNING", *done(*TASKS[:1]), ("download-dataset", "running")),
        ("RUNNING", *done(*TASKS[:4]), ("fine-tune", "running")),
        # At the very end a task may still say that it is running.
        ("SUCCEEDED", *done(*TASKS[:5]), ("evaluate-model", "running")),
        ("SUCCEEDED", *done(*TASKS)),
    ]
    every_log = threading.Thread(target=lambda: write_metrics(api), daemon=True)
    every_log.start()
    status, shown = on_cluster("submit", *DATA, *ROOT, "--wait")
    assert status == 0, shown
    (run_id,) = api.runs
    assert f"[{ALL - 1}/{ALL}] compare-models skipped" in shown
    assert f"[{ALL}/{ALL}] publish-model skipped" in shown
    assert re.findall(rf"\[(\d)/{ALL}\] ([a-z-]+) \.\.\.", shown) == [
        (str(n), name) for n, name in enumerate(TASKS, 1)
    ]
    assert re.findall(rf"\[\d/{ALL}\] ([a-z-]+) done in \d+\.\d s", shown) == list(TASKS)
    assert re.search(r"fine-tuned +0.950 +0.900 to 0.980 +0.120", shown)
    assert re.search(r"head alone +0.900 +0.840 to 0.940 +0.210", shown)
    assert f"report  s3://bucket/runs/transfer-learning/{run_id}/evaluate-model/*/report" in shown


def test_figures_of_the_head_alone_are_titled_so(on_cluster: Command, api: KfpApi) -> None:
    assert on_cluster("submit", *DATA, *ROOT, "--method", "head")[0] == 0
    (run_id,) = api.runs
    log(api, run_id, "evaluate-model", METRICS.splitlines()[1].replace("model=test", "model=test stage=head") + "\n")
    api.see(run_id, ("SUCCEEDED", *done(*(name for name in TASKS if name != "fine-tune"))))
    status, shown = on_cluster("follow", run_id)
    assert status == 0, shown
    assert re.search(r"head alone +0.950 +0.900 to 0.980 +0.120", shown)
    assert "fine-tune" not in shown


def test_figures_say_what_images_they_are_of(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    log(api, submitted, "evaluate-model", METRICS.replace("=168", "=168 groups=12 unit=patient folds=5"))
    api.see(submitted, ("SUCCEEDED", *done(*TASKS)))
    status, shown = on_cluster("follow", submitted)
    assert status == 0, shown
    assert "On 168 images of 12 patients, each predicted out of fold\n" in shown
    assert len(re.findall(r" to 0\.\d+ ", shown)) == 2


def write_metrics(api: KfpApi) -> None:
    while not api.runs:
        time.sleep(0.005)
    log(api, next(iter(api.runs)), "evaluate-model", METRICS)


def test_a_run_in_an_exit_handler_is_followed_like_any_other(on_cluster: Command, api: KfpApi) -> None:
    assert on_cluster("submit", *DATA, *ROOT, "--notify", "hook")[0] == 0
    (run,) = api.runs
    inside = [f"exit-handler-1.{name}" for name in TASKS]
    end = "exit-handler-1.onExit.notify-result"
    api.see(run, ("RUNNING", *done(*inside[:3])), ("SUCCEEDED", *done(*inside, end)))
    log(api, run, inside[-1], METRICS)
    status, shown = on_cluster("follow", run)
    assert status == 0, shown
    assert "notify-result done" in shown
    assert re.search(r"fine-tuned +0\.950", shown), shown
    api.see(run, ("FAILED", *done(*inside[:3]), (inside[3], "failed"), (end, "done")))
    log(api, run, inside[3], RAISED)
    status, shown = on_cluster("follow", run)
    assert status == 1, shown
    assert "train-head failed: class 'cat' has no image; add some" in shown


def test_a_deployment_is_shown_with_its_address_or_what_failed(on_cluster: Command, api: KfpApi) -> None:
    publish = ("--publish", "gs://bucket/models/pets", "--deploy")
    assert on_cluster("submit", *DATA, *ROOT, *publish)[0] == 0
    (run,) = api.runs
    before = ("find-champion", *TASKS, "compare-models", "condition-1.publish-model")
    last = "condition-1.deploy-model"
    address = "http://pets.kubeflow.svc/v1/models/pets:predict"
    log(api, run, "evaluate-model", METRICS)
    log(api, run, last, f"event=deployment status=deployed version=a1 replaced=b2 address={address}\n")
    api.see(run, ("SUCCEEDED", *done(*before, last)))
    status, shown = on_cluster("follow", run)
    assert status == 0, shown
    assert "deploy-model done" in shown
    assert f"answers {address} by version a1\n" in shown
    why = "version a1 was taken back: its pods do not start: ImagePullBackOff; b2 goes on"
    log(api, run, last, f"headstart.components.core.util.errors.HeadstartError: {why}\n")
    api.see(run, ("FAILED", *done(*before), (last, "failed")))
    status, shown = on_cluster("follow", run)
    assert status == 1, shown
    assert f"deploy-model failed: {why}" in shown


def test_times_are_the_servers(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    api.see(submitted, ("SUCCEEDED", *done(*TASKS)))
    _, shown = on_cluster("follow", submitted)
    assert f"[1/{ALL}] list-data done in 47.0 s" in shown


def test_cached_tasks_are_said_to_be_cached_and_figures_are_those_of_the_run_that_measured(
    on_cluster: Command, api: KfpApi, submitted: str
) -> None:
    for _ in range(3):
        assert on_cluster("submit", *DATA, *ROOT)[0] == 0
    measured, other_data, repeated = list(api.runs)[1:]
    for run_id, digest in ((measured, "a1"), (other_data, "b2"), (repeated, "a1"), (submitted, "a1")):
        log(api, run_id, "list-data", f"event=listed sources=1 digest={digest}\n")
    for run_id in (measured, other_data):
        log(api, run_id, "evaluate-model", METRICS.replace("0.95", "0.77" if run_id == other_data else "0.95"))
        api.set(run_id, "SUCCEEDED", *done(*TASKS))
    never = ("list-data",)
    others = [name for name in TASKS if name not in never]
    cached = ("SUCCEEDED", *done(*never), *done(*others, state="cached"))
    api.see(repeated, cached)
    status, shown = on_cluster("follow", repeated)
    assert status == 0, shown
    assert re.findall(rf"\[\d/{ALL}\] ([a-z-]+) cached", shown) == others
    assert "list-data done in" in shown
    assert f"the evaluation came from the cache; it was made by run {measured}" in shown
    assert re.search(r"fine-tuned +0.950", shown)
    assert f"transfer-learning/{measured}/evaluate-model" in shown


def test_no_log_with_the_figures(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    api.see(submitted, ("SUCCEEDED", *done(*TASKS)))
    status, shown = on_cluster("follow", submitted)
    assert status == 0
    assert "no log has the figures any more; they are in the evaluation's metrics.json\n" in shown
    folder = f"s3://bucket/runs/transfer-learning/{submitted}"
    assert f"and those in the run's folder cannot be read: cannot read {folder}/evaluate-model/: " in shown


def test_a_failure_of_which_the_server_has_no_log_is_explained_by_the_one_in_the_folder_of_the_run(
    on_cluster: Command, api: KfpApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with start_minio(tmp_path / "minio") as server, make_bucket(server, monkeypatch) as store:
        assert on_cluster("submit", *DATA, "--pipeline-root", store.uri("runs"))[0] == 0
        (run_id,) = api.runs
        store.upload(f"runs/transfer-learning/{run_id}/train-head/3f/executor-logs-1", RAISED.encode())
        api.see(run_id, ("FAILED", *done(*TASKS[:3]), ("train-head", "failed")))
        status, shown = on_cluster("follow", run_id)
    assert status == 1
    assert "train-head failed: class 'cat' has no image; add some" in shown


def test_a_failed_task_is_named_with_its_own_words_first_and_the_end_of_its_log(
    on_cluster: Command, api: KfpApi, submitted: str
) -> None:
    log(api, submitted, "split-dataset", "the first attempt's\n")
    log(api, submitted, "split-dataset", LAUNCHERS + "line\n" * 100 + RAISED + LAUNCHERS, attempt=1)
    api.see(submitted, ("RUNNING", *done(*TASKS[:2]), ("split-dataset", "running")))
    # The run's state comes first.
    api.looks[submitted].append(("FAILED", *done(*TASKS[:2]), ("split-dataset", "running")))
    api.looks[submitted].append(("FAILED", *done(*TASKS[:2]), ("split-dataset", "failed")))
    status, shown = on_cluster("follow", submitted)
    assert status == 1
    assert f"[3/{ALL}] split-dataset failed in 47.0 s" in shown
    assert "train-head" not in shown
    lines = shown.splitlines()
    (first,) = [number for number, line in enumerate(lines) if line.startswith("split-dataset failed: ")]
    assert lines[first] == "split-dataset failed: class 'cat' has no image; add some"
    assert lines[first + 1 : first + 31] == [f"  | {line}" for line in ("line\n" * 100 + RAISED).splitlines()[-30:]]
    assert "submit anew; finished tasks come from the cache" in lines[-1]
    assert "first attempt" not in shown


def test_a_task_that_never_got_a_pod_fails_too(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    api.logs[node_id(api.runs[submitted], "root.list-data-driver")] = (
        LAUNCHERS + "more\nF1124 06:12:07.243919      16 main.go:127] KFP driver: cpu '' is no quantity\n"
    )
    api.see(submitted, ("FAILED", ("list-data", "driver-failed")))
    status, shown = on_cluster("follow", submitted)
    assert status == 1
    assert "list-data failed: KFP driver: cpu '' is no quantity" in shown
    assert "  | more" in shown


def test_a_failure_without_a_log(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    api.see(submitted, ("FAILED", ("list-data", "failed")))
    status, shown = on_cluster("follow", submitted)
    assert status == 1
    assert f"list-data failed; see {api.address}/#/runs/details/{submitted}" in shown


def test_a_run_that_fails_without_a_task(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    api.see(submitted, ("FAILED",))
    status, shown = on_cluster("follow", submitted)
    assert status == 1
    assert "the run ended as FAILED, and no task says why" in shown


HOPELESS = "headstart.components.core.util.errors.HeadstartError: class 'cat' has no image; add some\n"
MAY_PASS = (
    "headstart.components.core.util.errors.Unavailable: cannot read s3://b/c: 503, again and again; try later\n"
)


@pytest.mark.parametrize("state", ["pausing", "retrying"])
def test_a_failed_attempt_is_told_with_its_reason_while_the_next_one_is_waited_for(
    on_cluster: Command, api: KfpApi, submitted: str, state: str
) -> None:
    log(api, submitted, "split-dataset", MAY_PASS)
    running = ("RUNNING", *done(*TASKS[:2]), ("split-dataset", state))
    api.see(submitted, running, running, ("SUCCEEDED", *done(*TASKS)))
    status, shown = on_cluster("follow", submitted)
    assert status == 0, shown
    told = f"[3/{ALL}] split-dataset attempt 1 of 3 failed: cannot read s3://b/c: 503, again and again; try later"
    assert shown.count(told) == 1, shown
    assert "to terminate the run" not in shown


def test_an_error_that_would_come_again_ends_what_was_submitted_to_be_waited_for(
    on_cluster: Command, api: KfpApi
) -> None:
    api.next_looks = [("RUNNING", *done(*TASKS[:2]), ("split-dataset", "pausing"))]
    writing = threading.Thread(target=lambda: write_log(api, "split-dataset", HOPELESS), daemon=True)
    writing.start()
    status, shown = on_cluster("submit", *DATA, *ROOT, "--wait", "--interval", "0.2")
    (run_id,) = api.runs
    assert status == 1, shown
    assert api.terminated == [run_id]
    assert f"[3/{ALL}] split-dataset attempt 1 of 3 failed: class 'cat' has no image; add some" in shown
    assert f"[3/{ALL}] split-dataset failed in" in shown
    assert "split-dataset failed: class 'cat' has no image; add some" in shown
    assert "submit anew; finished tasks come from the cache" in shown.splitlines()[-1]


def test_an_error_that_would_come_again_does_not_end_other_work(on_cluster: Command, api: KfpApi) -> None:
    # With another task at work, which attempt has failed is known once the next one has begun.
    both = ("RUNNING", *done(*TASKS[:4]), ("train-head", "retrying"), ("train-from-scratch", "running"))
    api.next_looks = [both, both, both, both, ("SUCCEEDED", *done(*TASKS), ("train-from-scratch", "done"))]
    threading.Thread(target=lambda: write_log(api, "train-head", HOPELESS), daemon=True).start()
    status, shown = on_cluster("submit", *DATA, *ROOT, "--from-scratch", "--wait", "--interval", "0.2")
    assert status == 0, shown
    assert "train-head attempt 1 of 3 failed: class 'cat' has no image; add some" in shown
    assert "another attempt would fail likewise; to terminate the run: headstart cancel" in shown
    assert not api.terminated


def write_log(api: KfpApi, task: str, text: str) -> None:
    while not api.runs:
        time.sleep(0.005)
    log(api, next(iter(api.runs)), task, text)


def test_following_ends_no_run(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    log(api, submitted, "split-dataset", HOPELESS)
    running = ("RUNNING", *done(*TASKS[:2]), ("split-dataset", "pausing"))
    api.see(submitted, running, running, ("FAILED", *done(*TASKS[:2]), ("split-dataset", "failed")))
    status, shown = on_cluster("follow", submitted)
    assert status == 1
    assert f"another attempt would fail likewise; to terminate the run: headstart cancel {submitted}" in shown
    assert not api.terminated


KILLED = (
    "E1124 06:08:02.779068      16 launcher_v2.go:449] Component failed to execute successfully: signal: killed\n"
)
NOT_THERE = (
    "headstart.components.core.storage.stores.transfer.NotFound: cannot read gs://b/w.h5: no such object; check\n"
)
LIMIT = "it needed more memory than its limit of 24Gi; raise stages.train_head.memory, or network.memory in the"
LATE = "Pod was active on the node longer than the specified deadline"


@pytest.mark.parametrize(
    ("message", "log_text", "reason", "way_on"),
    [
        ("main: OOMKilled (exit code 137)", "", LIMIT, "submit anew"),
        ("", KILLED, "exit code 137", "submit anew"),
        ("main: Error (exit code 137)", "", "most likely as it needed more memory than its limit", "submit anew"),
        ("main: Error (exit code 143)", "", "its pod was deleted, or its node taken away", "submit --resume"),
        ("pod deleted", "", "its pod vanished (pod deleted)", "submit --resume"),
        (LATE, "", "it took longer than the profile's deadline_hours allow", "submit anew"),
        ("main: Error (exit code 1)", "ValueError: shapes differ\n", "ValueError: shapes differ", "submit anew"),
        ("", NOT_THERE, "train-head failed: cannot read gs://b/w.h5: no such object", "submit --resume"),
    ],
)
def test_a_failure_names_its_cause_and_the_way_on_that_helps(
    on_cluster: Command, api: KfpApi, message: str, log_text: str, reason: str, way_on: str
) -> None:
    assert on_cluster("submit", *DATA, *ROOT, "--profile", "gke-gpu")[0] == 0
    (run_id,) = api.runs
    if log_text:
        log(api, run_id, "train-head", log_text, attempt=1)
    api.messages[node_id(api.runs[run_id], "root.train-head.executor(1)")] = message
    api.see(run_id, ("FAILED", *done(*TASKS[:4]), ("train-head", "failed")))
    status, shown = on_cluster("follow", run_id)
    assert status == 1
    assert reason in shown, shown
    assert way_on in shown.splitlines()[-1]
    assert ("--resume" in shown) is (way_on == "submit --resume")


def test_what_kfp_writes_for_itself_is_not_shown(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    theirs = (
        LAUNCHERS + "I1124 06:08:02.779068      16 launcher_v2.go:1230] ExecutorOutput: {\n"
        '  "artifacts": {\n    "model }": {}\n  }\n}\n'
        "[KFP Executor 2026-11-29 13:00:00,123 INFO]: Got executor_input:\n{\n"
        '    "inputs": {"parameterValues": {"text": "}{"}}\n}\n'
    )
    log(api, submitted, "list-data", theirs + "event=listed sources=1\n{own: json}\n" + RAISED, attempt=1)
    api.see(submitted, ("FAILED", ("list-data", "failed")))
    _, shown = on_cluster("follow", submitted)
    quoted = [line.removeprefix("  | ") for line in shown.splitlines() if line.startswith("  | ")]
    assert quoted == ["event=listed sources=1", "{own: json}", *RAISED.splitlines()]


def test_a_running_task_tells_how_far_it_is(
    on_cluster: Command, api: KfpApi, submitted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("cluster.watch._SECONDS_BETWEEN_LOOKS_AT_LOGS", "progress.display._SECONDS_BETWEEN_LINES"):
        monkeypatch.setattr(f"headstart.pipelines.{place}", 0.0)
    run = api.runs[submitted]
    workflow, _, number = node_id(run, "root.train-head.executor(0)").rpartition("-")
    # Of what still runs the server has the log under the pod's name alone.
    pod = f"{workflow}-metadata-0-1-retry-system-container-impl-{number}"
    api.logs[pod] = "event=progress what=epoch unit=epochs done=3 total=10 loss=0.21\nanything\n"
    running = ("RUNNING", *done(*TASKS[:4]), ("train-head", "running"))
    api.see(submitted, running, running, running, ("SUCCEEDED", *done(*TASKS)))
    status, shown = on_cluster("follow", submitted)
    assert status == 0
    assert f"[4/{ALL}] train-head: epoch 4 of 10, loss 0.210" in shown, shown


def test_a_log_that_cannot_be_read_is_told_how_to_read(
    on_cluster: Command, api: KfpApi, submitted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_SECONDS_BETWEEN_LOOKS_AT_LOGS", "_SECONDS_UNTIL_LOG_IS_NAMED"):
        monkeypatch.setattr(f"headstart.pipelines.cluster.watch.{name}", 0.0)
    running = ("RUNNING", *done(*TASKS[:4]), ("train-head", "running"))
    # After a look at a log, twenty times as long as that took passes until the next.
    api.see(submitted, *[running] * 60, ("SUCCEEDED", *done(*TASKS)))
    _, shown = on_cluster("follow", submitted)
    assert len(re.findall(r"kubectl -n kubeflow logs -f \S+-retry-system-container-impl-\d+ -c main", shown)) == 1


CREATED = (
    'I1124 06:08:02.779068 1 container.go:205] Created execution: id:7 custom_properties:{{key:"cache_fingerprint" '
    'value:{{string_value:"{0}"}}}} custom_properties:{{key:"cached_execution_id"  value:{{string_value:"{1}"}}}}\n'
)


def test_the_classes_are_told_once_the_pictures_are_read(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    said = 'event=classes number=2 classes="2 classes: cat (3), dog (4)" told="the folders of gs://b/pets" data=gs://b/pets'
    log(api, submitted, "download-dataset", f'{said}\nevent=warning text="3 of 7 are dark"\n')
    api.see(submitted, ("SUCCEEDED", *done(*TASKS)))
    _, shown = on_cluster("follow", submitted)
    told = "2 classes: cat (3), dog (4); from the folders of gs://b/pets\nnote: 3 of 7 are dark\n"
    assert f"[2/{ALL}] download-dataset done in 47.0 s\n{told}[3/{ALL}]" in shown, shown


def test_what_came_from_the_cache_is_found_under_other_parameters(
    on_cluster: Command, api: KfpApi, submitted: str
) -> None:
    published = ("--publish", "s3://bucket/models")
    for option in (published, (*published, "--level", "0.1")):
        assert on_cluster("submit", *DATA, *ROOT, *option)[0] == 0
    measured, repeated = list(api.runs)[1:]
    log(api, measured, "evaluate-model", METRICS)
    gate = "compare-models"
    log(api, measured, gate, 'event=decision verdict=worse why="0.90 is less than 0.95"\n')
    api.set(measured, "SUCCEEDED", *done(*TASKS), (gate, "done"))
    for task, fingerprint in (("evaluate-model", "f1"), (gate, "f2")):
        api.logs[node_id(api.runs[repeated], f"root.{task}-driver")] = CREATED.format(fingerprint, "42")
        # Another one made the same later.
        api.cached += [(fingerprint, submitted, "43"), (fingerprint, measured, "42")]
    api.see(repeated, ("SUCCEEDED", *done("list-data"), *done("evaluate-model", gate, state="cached")))
    status, shown = on_cluster("follow", repeated)
    assert status == 0, shown
    assert f"the evaluation came from the cache; it was made by run {measured}" in shown
    assert f"report  s3://bucket/runs/transfer-learning/{measured}/evaluate-model/*/report" in shown
    assert re.search(r"fine-tuned +0.950", shown)
    assert f"the decision came from the cache; it was made by run {measured}" in shown
    assert "verdict worse: 0.90 is less than 0.95" in shown


def test_what_came_from_the_cache_and_cannot_be_found_is_said_to_be_unknown(on_cluster: Command, api: KfpApi) -> None:
    assert on_cluster("submit", *DATA, *ROOT, "--publish", "s3://bucket/models")[0] == 0
    (repeated,) = api.runs
    cached = done("evaluate-model", "compare-models", state="cached")
    api.logs[node_id(api.runs[repeated], "root.evaluate-model-driver")] = CREATED.format("f1", "42")
    api.cached = [("f1", "deleted", "42")]
    api.see(repeated, ("SUCCEEDED", *done("list-data"), *cached))
    status, shown = on_cluster("follow", repeated)
    assert status == 0, shown
    assert "the evaluation came from the cache, and the run that made it cannot be found" in shown
    assert "the decision came from the cache, and the run that made it cannot be found" in shown
    assert "report  " not in shown and "metrics.json" not in shown


def test_a_task_that_was_cancelled_did_not_fail(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    api.cancelled_after = 150
    before = done(*TASKS[:2])
    api.see(submitted, ("CANCELING", *before, ("split-dataset", "running")))
    api.looks[submitted].append(("FAILED", *before, ("split-dataset", "failed")))
    status, shown = on_cluster("follow", submitted)
    assert status == 3
    assert f"[3/{ALL}] split-dataset cancelled after 47.0 s" in shown
    assert "split-dataset failed" not in shown


def test_a_task_that_failed_before_it_was_cancelled_failed(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    api.cancelled_after = 150
    api.see(submitted, ("CANCELING", ("list-data", "failed")), ("FAILED", ("list-data", "failed")))
    status, shown = on_cluster("follow", submitted)
    assert status == 3
    assert f"[1/{ALL}] list-data failed in 47.0 s" in shown


@pytest.mark.parametrize("last", ["FAILED", "CANCELED"])
def test_a_cancelled_run(on_cluster: Command, api: KfpApi, submitted: str, last: str) -> None:
    api.see(submitted, ("RUNNING", ("list-data", "running")), ("CANCELING", ("list-data", "running")))
    api.looks[submitted].append((last, ("list-data", "failed")))
    status, shown = on_cluster("follow", submitted)
    assert status == 3
    assert "the run was cancelled" in shown


def test_cancel_ends_a_run(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    status, shown = on_cluster("cancel", submitted)
    assert status == 0
    assert api.terminated == [submitted]
    assert on_cluster("follow", submitted)[0] == 3
    status, shown = on_cluster("cancel", submitted)
    assert status == 1
    assert "has ended already (FAILED)" in shown


def test_resume_runs_what_failed(
    on_cluster: Command, api: KfpApi, submitted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What holds for new runs is no matter to this one.
    monkeypatch.setenv("HEADSTART_PROFILE", "cpu")
    failed = (*done(*TASKS[:3]), ("train-head", "failed"))
    api.see(submitted, ("FAILED", *failed))
    log(api, submitted, "evaluate-model", METRICS)
    # The failure of before is not shown again while the workflow takes up its work.
    api.next_looks = [("RUNNING", *failed), ("RUNNING", *done(*TASKS[:3]), ("train-head", "running"))]
    api.next_looks.append(("SUCCEEDED", *done(*TASKS)))
    status, shown = on_cluster("submit", "--resume", submitted, "--wait")
    assert status == 0, shown
    assert api.retried == [submitted]
    assert len(api.runs) == 1
    assert "failed" not in shown
    assert "train-head done" in shown


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "503"])
def test_resume_is_asked_for_once(on_cluster: Command, api: KfpApi, submitted: str, kind: str) -> None:
    api.see(submitted, ("FAILED", ("list-data", "failed")))
    api.next_looks = [("RUNNING", ("list-data", "running"))]
    api.spoil(kind, "retry", times=1)
    status, shown = on_cluster("submit", "--resume", submitted)
    assert status == 0, shown
    assert api.retried == [submitted]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("SUCCEEDED", "succeeded: there is nothing to run again"),
        ("RUNNING", "is in progress (RUNNING); follow it with"),
    ],
)
def test_resume_of_what_did_not_fail(
    on_cluster: Command, api: KfpApi, submitted: str, state: str, message: str
) -> None:
    api.see(submitted, (state,))
    status, shown = on_cluster("submit", "--resume", submitted)
    assert status == 1
    assert message in shown
    assert not api.retried


def test_a_task_that_does_not_start(on_cluster: Command, api: KfpApi) -> None:
    api.next_looks = [("RUNNING", *done(*TASKS[:3]), ("train-head", "starting"))]
    status, shown = on_cluster(
        "submit", *DATA, "--wait", "--namespace", "pets", "--start-notice", "0.05", "--start-timeout", "0.3"
    )
    (run_id,) = api.runs
    assert status == 4, shown
    assert re.search(r"train-head has not started for \d+ s", shown)
    assert re.search(r"^  image +headstart-gpu:", shown, re.M)
    assert re.search(r"^  accelerator +1 x nvidia.com/gpu$", shown, re.M)
    assert re.search(r"^  memory +24Gi$", shown, re.M)
    assert re.search(r"^  node selector +{\"cloud.google.com/gke-accelerator\": \"nvidia-l4\"}$", shown, re.M)
    assert f"kubectl -n pets get pods -l pipeline/runid={run_id}" in shown
    assert shown.count("has not started for") == 1
    assert f"it goes on, follow it with: headstart follow {run_id}" in shown


def test_secrets_are_among_what_a_task_asks_for(on_cluster: Command, api: KfpApi, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "secrets:\n  - {name: gcs-key, volume: /var/secrets}\n  - {name: s3, env: {A: b}, optional: true}\n"
    )
    api.next_looks = [("RUNNING", ("list-data", "starting"))]
    status, shown = on_cluster("submit", *DATA, "--wait", "--profile", "mine.yaml", "--start-timeout", "0.1")
    assert status == 4
    assert re.search(r"^  secrets +gcs-key$", shown, re.M)
    assert "accelerator" not in shown


def test_a_task_that_starts_late_is_waited_for(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    api.see(submitted, *[("RUNNING", ("list-data", "starting"))] * 20, ("SUCCEEDED", *done(*TASKS)))
    status, shown = on_cluster("follow", submitted, "--start-notice", "0.1", "--start-timeout", "0")
    assert status == 0
    assert "list-data has not started for" in shown


@pytest.mark.parametrize("kind", ["drop-before", "503"])
def test_a_dropped_connection_is_survived(on_cluster: Command, api: KfpApi, submitted: str, kind: str) -> None:
    api.see(submitted, ("RUNNING", ("list-data", "running")), ("SUCCEEDED", *done(*TASKS)))
    api.spoil("none", f"runs/{submitted}", times=1)
    api.spoil(kind, f"runs/{submitted}", times=5)
    status, shown = on_cluster("follow", submitted)
    assert status == 0, shown
    assert "no connection (" in shown
    assert "connected again" in shown


def test_a_connection_that_is_lost_for_good(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    api.see(submitted, ("RUNNING", ("list-data", "running")))
    api.spoil("none", f"runs/{submitted}", times=1)
    api.spoil("drop-before", f"runs/{submitted}")
    status, shown = on_cluster("follow", submitted, "--connection-timeout", "1")
    assert status == 5, shown
    assert f"it goes on, follow it with: headstart follow {submitted}" in shown


def test_the_first_look_has_the_same_patience(on_cluster: Command, api: KfpApi) -> None:
    api.next_looks = [("SUCCEEDED", *done(*TASKS))]
    api.spoil("503", "GET /apis/v2beta1/runs/", times=5)
    status, shown = on_cluster("submit", *DATA, *ROOT, "--wait")
    assert status == 0, shown
    assert shown.index("no connection (") < shown.index("connected again") < shown.index("list-data ...")
    api.spoil("drop-before", "GET /apis/v2beta1/runs/")
    status, shown = on_cluster("submit", *DATA, *ROOT, "--wait", "--connection-timeout", "1")
    assert status == 5, shown
    assert f"it goes on, follow it with: headstart follow {list(api.runs)[-1]}" in shown


def test_a_token_that_ends_while_one_waits(on_cluster: Command, api: KfpApi, submitted: str) -> None:
    api.see(submitted, ("RUNNING", ("list-data", "running")))
    api.spoil("none", f"runs/{submitted}", times=1)
    api.spoil("401", f"runs/{submitted}")
    status, shown = on_cluster("follow", submitted)
    assert status == 5
    assert "(401)" in shown
    assert "follow it with" in shown


def test_ctrl_c_leaves_the_run_alone(api: KfpApi, submitted: str) -> None:
    api.see(submitted, ("RUNNING", ("list-data", "running")))
    process = Started("follow", submitted, "--host", api.address, "--interval", "0.1")
    process.wait_for_line("] list-data ...")
    process.process.send_signal(signal.SIGINT)
    assert process.process.stdout is not None
    shown = process.process.stdout.read()
    assert process.process.wait(20) == 130
    assert f"it goes on, follow it with: headstart follow {submitted}" in shown
    assert f"to terminate it: headstart cancel {submitted}" in shown
    assert "Traceback" not in shown
    assert not api.terminated


def test_a_run_that_is_not_there(on_cluster: Command, api: KfpApi) -> None:
    status, shown = on_cluster("follow", "none")
    assert status == 1
    assert "has no such object (404): Run none not found" in shown
