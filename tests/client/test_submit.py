"""`headstart submit`: what reaches KFP, and what is refused before or by it."""

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from support.kfp_api import KfpApi

Command = Callable[..., tuple[int, str]]
DATA = ("--data", "gs://bucket/pictures")
PUBLISH = ("--publish", "gs://bucket/models/pets")
DEPLOY = (*PUBLISH, "--deploy")
CREATE = r"POST /apis/v2beta1/runs$"


def one_line(shown: str) -> str:
    lines = shown.strip().splitlines()
    assert len(lines) == 1, shown
    assert lines[0].startswith("error: ")
    return lines[0]


def test_a_run_reaches_the_server_with_all_that_was_asked(on_cluster: Command, api: KfpApi) -> None:
    status, shown = on_cluster(
        "submit", *DATA, "--seed", "7", "--counts", "10,5,5", "--name", "pets again", "--experiment", "pets",
        "--pipeline-root", "s3://bucket/runs", "--service-account", "trainer", "--profile", "cpu",
        "--registry", "r.io/t",
    )  # fmt: skip
    assert status == 0, shown
    (run,) = api.runs.values()
    assert (run.display_name, run.experiment_id, run.service_account) == (
        "pets again",
        api.experiments["pets"],
        "trainer",
    )
    assert run.runtime_config.pipeline_root == "s3://bucket/runs"
    assert run.runtime_config.parameters["data"] == ["gs://bucket/pictures"]
    assert (run.runtime_config.parameters["seed"], run.runtime_config.parameters["counts"]) == (7, [10, 5, 5])
    parameters = run.pipeline_spec["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    assert parameters["data_image"]["defaultValue"] == f"r.io/t/headstart:{version('headstart')}"
    assert parameters["accelerator_limit"].get("defaultValue", "") == ""
    assert "kubernetes" in run.pipeline_spec["platform_spec"]["platforms"]
    assert re.search(rf"^run +{run.run_id}$", shown, re.M)
    assert f"{api.address}/#/runs/details/{run.run_id}" in shown
    assert f"headstart follow {run.run_id}" in shown


@pytest.mark.parametrize("options", [(), ("--no-cache",)])
def test_what_looks_outside_is_never_cached(on_cluster: Command, api: KfpApi, options: tuple[str, ...]) -> None:
    assert on_cluster("submit", *DATA, *options)[0] == 0
    (run,) = api.runs.values()
    spec = run.pipeline_spec["pipeline_spec"]
    parts = (spec["root"], *spec["components"].values())
    tasks = {name: task for part in parts for name, task in part.get("dag", {}).get("tasks", {}).items()}
    code = {name for name in tasks if f"exec-{name}" in spec["deploymentSpec"]["executors"]}
    cached = {name for name in code if tasks[name]["cachingOptions"].get("enableCache")}
    assert cached == (set() if options else code - {"list-data", "find-champion", "publish-model"})


def test_from_scratch_adds_its_task(on_cluster: Command, api: KfpApi) -> None:
    assert on_cluster("submit", *DATA, "--from-scratch")[0] == 0
    (run,) = api.runs.values()
    assert "train-from-scratch" in run.pipeline_spec["pipeline_spec"]["root"]["dag"]["tasks"]


def test_the_head_alone_is_submitted_without_a_task_that_fine_tunes(on_cluster: Command, api: KfpApi) -> None:
    assert on_cluster("submit", *DATA)[0] == 0
    assert on_cluster("submit", *DATA, "--method", "head")[0] == 0
    whole, head = (run.pipeline_spec["pipeline_spec"] for run in api.runs.values())
    assert set(whole["root"]["dag"]["tasks"]) - set(head["root"]["dag"]["tasks"]) == {"fine-tune"}
    assert head["root"]["inputDefinitions"] == whole["root"]["inputDefinitions"]
    given = head["root"]["dag"]["tasks"]["train-head"]["inputs"]["parameters"]["to_be_tuned"]
    assert given["runtimeValue"]["constant"] is False


def test_only_a_run_that_publishes_has_the_tasks_for_it(on_cluster: Command, api: KfpApi) -> None:
    assert on_cluster("submit", *DATA)[0] == 0
    assert on_cluster("submit", *DATA, "--publish", "gs://bucket/models")[0] == 0
    without, publishing = (run.pipeline_spec["pipeline_spec"] for run in api.runs.values())
    more = {"find-champion", "compare-models", "condition-1"}
    assert set(publishing["root"]["dag"]["tasks"]) == set(without["root"]["dag"]["tasks"]) | more
    assert publishing["root"]["inputDefinitions"] == without["root"]["inputDefinitions"]


def test_a_new_champion_is_deployed_by_the_run_that_published_it(on_cluster: Command, api: KfpApi) -> None:
    given = ("name=pets", "replicas=3", "kserve=false", "watch=60", "service-account=pets-reader", "cpu=500m")
    endpoint = [word for each in given for word in ("--endpoint", each)]
    asked = (*DATA, *PUBLISH, "--registry", "r.io/t", "--profile", "cpu")
    for options in ((), ("--deploy", *endpoint)):
        status, shown = on_cluster("submit", *asked, *options)
        assert status == 0, shown
    publishing, deploying = (run.pipeline_spec for run in api.runs.values())
    before, spec = publishing["pipeline_spec"], deploying["pipeline_spec"]
    assert spec["root"]["dag"]["tasks"].keys() == before["root"]["dag"]["tasks"].keys()
    inside = spec["components"]["comp-condition-1"]["dag"]["tasks"]
    assert set(inside) == {"publish-model", "deploy-model"}
    task = inside["deploy-model"]
    assert task["cachingOptions"] == {}
    inputs = task["inputs"]["parameters"]
    assert inputs["publication"]["taskOutputParameter"]["producerTask"] == "publish-model"
    assert inputs["publish_uri"] == {"componentInputParameter": "pipelinechannel--publish_uri"}
    constants = {name: each["runtimeValue"]["constant"] for name, each in inputs.items() if "runtimeValue" in each}
    wanted = {"name": "pets", "replicas": 3, "kserve": False, "watch_seconds": 60, "cpu": "500m"}
    wanted |= {"service_account": "pets-reader", "registry": "r.io/t", "image": "headstart-serve", "namespace": ""}
    assert {name: constants[name] for name in wanted} == wanted
    # It has the place on the cluster, the retries and the Secrets of the task that publishes.
    assert task["retryPolicy"] == inside["publish-model"]["retryPolicy"]
    executors = deploying["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-deploy-model"] == executors["exec-publish-model"]


def test_inputs_of_plugins_reach_the_server(on_cluster: Command, api: KfpApi) -> None:
    given = ("mlflow.experiment_name=pets: new", "mlflow.experiment_id=7", "mlflow.disabled=false", "own.depth=3")
    options = [word for each in given for word in ("--plugin-input", each)]
    status, shown = on_cluster("submit", *DATA, *options)
    assert status == 0, shown
    (run,) = api.runs.values()
    mlflow = {"experiment_name": "pets: new", "experiment_id": "7", "disabled": False}
    assert run.plugins_input == {"mlflow": mlflow, "own": {"depth": 3}}


@pytest.mark.parametrize("pipeline", ["transfer-learning", "compare-methods"])
@pytest.mark.parametrize(
    ("secret", "name", "key"), [("hook", "hook", "url"), ("ops.hooks/slack", "ops.hooks", "slack")]
)
def test_who_is_notified_is_the_name_of_a_secret(
    on_cluster: Command,
    api: KfpApi,
    monkeypatch: pytest.MonkeyPatch,
    pipeline: str,
    secret: str,
    name: str,
    key: str,
) -> None:
    # The address of runs on this machine is not sent.
    monkeypatch.setenv("HEADSTART_NOTIFY_URL", "https://host/s3cr3t")
    status, shown = on_cluster("submit", *DATA, "--pipeline", pipeline, "--notify", secret, "--profile", "cpu")
    assert status == 0, shown
    assert on_cluster("submit", *DATA, "--pipeline", pipeline, "--profile", "cpu")[0] == 0
    notifying, quiet = (run.pipeline_spec for run in api.runs.values())
    spec = notifying["pipeline_spec"]
    assert set(spec["root"]["dag"]["tasks"]) == {"exit-handler-1", "notify-result"}
    inside = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    # Loops and conditions have the numbers of groups, of which the handler is the first.
    tasks = set(quiet["pipeline_spec"]["root"]["dag"]["tasks"])
    assert {name.replace("-2", "-1") for name in inside} == tasks
    assert spec["root"]["inputDefinitions"] == quiet["pipeline_spec"]["root"]["inputDefinitions"]
    end = spec["root"]["dag"]["tasks"]["notify-result"]
    assert end["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert end["cachingOptions"] == {}
    asked = notifying["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-notify-result"]
    (given,) = asked["secretAsEnv"]
    # A pod that waits for a Secret would keep the run from ending.
    assert (given["secretName"], given["optional"]) == (name, True)
    assert given["keyToEnv"] == [{"secretKey": key, "envVar": "HEADSTART_NOTIFY_URL"}]
    assert not any("s3cr3t" in str(request) for request in api.requests)


def test_the_token_is_sent_and_not_shown(on_cluster: Command, api: KfpApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_TOKEN", "s3cret")
    status, shown = on_cluster("submit", *DATA)
    assert status == 0
    assert {each.headers["authorization"] for each in api.requests} == {"Bearer s3cret"}
    api.spoil("403", message="user s3cret may not")
    status, refused = on_cluster("submit", *DATA)
    assert status == 1
    assert "user *** may not" in refused
    assert "s3cret" not in shown + refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "/home/me/pictures"), "data '/home/me/pictures' is a path of this machine, which pods do"),
        ((*DATA, "--weights", "./mine.h5"), "weights './mine.h5' is a path of this machine"),
        ((*DATA, "--pipeline-root", "/tmp/out"), "pipeline_root '/tmp/out' (from --pipeline-root) is a path of this"),
        ((*DATA, "--pipeline-root", "file:///tmp"), "is a path of this machine"),
        ((*DATA, "--pipeline-root", "https://x/y"), "KFP cannot write there; pass gs://, s3:// or minio://"),
        ((*DATA, "--pipeline-root", "hdfs://x/y"), "unknown scheme 'hdfs'; KFP writes to gs://, s3:// and minio://"),
        ((*DATA, "--pipeline-root", "gs:///x"), "names no bucket"),
        ((*DATA, "--profile", "gke"), "unknown profile 'gke'"),
        ((*DATA, "--backbone", "vgg61"), "unknown backbone 'vgg61'"),
        ((*DATA, "--timeout", "soon"), "timeout 'soon' (from --timeout): give seconds"),
        ((), "no data: name a source with --data"),
        (("--resume", "x", "--seed", "3"), "--resume runs with the run's own parameters; leave --seed out"),
        (("--resume", "x", "--backbones", "vgg16", "--variants", "v.yaml"), "leave --backbones, --variants out, or"),
        (("--resume", "x", "--pipeline", "compare-methods"), "leave --pipeline out, or submit a new run"),
        ((*DATA, "--plugin-input", "mlflow"), "give PLUGIN.KEY=VALUE, such as mlflow.experiment_name=pets"),
        ((*DATA, "--plugin-input", "mlflow.experiment=a"), "unknown key 'experiment'; did you mean 'experiment_"),
        ((*DATA, "--plugin-input", "mlflow.disabled=soon"), "disabled must be true or false"),
        (("--resume", "x", "--plugin-input", "mlflow.disabled=true"), "leave --plugin-input out, or submit a new"),
        (("--resume", "x", "--deploy", "--endpoint", "a=b"), "leave --deploy, --endpoint out, or submit a new run"),
        ((*DATA, "--deploy"), "--deploy takes a published model; say where with --publish gs://bucket/models/pets"),
        ((*DATA, *PUBLISH, "--endpoint", "name=a"), "--endpoint 'name=a' has no use without --deploy; add it"),
        ((*DATA, *DEPLOY, "--endpoint", "pets"), "--endpoint 'pets': give KEY=VALUE, such as replicas=3"),
        ((*DATA, *DEPLOY, "--endpoint", "replica=2"), "unknown key 'replica'; did you mean 'replicas'?"),
        ((*DATA, *DEPLOY, "--endpoint", "replicas=many"), "'replicas=many': it is 'many': input should be a valid"),
        ((*DATA, *DEPLOY, "--endpoint", "replicas=0"), "0 to 0 replicas make no sense; give 1 or more"),
        ((*DATA, *DEPLOY, "--endpoint", "memory=2 GB"), "memory '2 GB' is not a quantity of Kubernetes; give 500m"),
        ((*DATA, *DEPLOY, "--endpoint", "image=serve:latest"), "image: serve:latest may be another image tomorrow"),
        ((*DATA, *DEPLOY, "--endpoint", "secret={{x}}"), "KFP substitutes '{{' and '$(' in parameters; rename it"),
        (("--pipeline", "compare-methods", *DATA, "--deploy"), "learning; compare-methods publishes no model"),
        (("--resume", "x", "--notify", "hook"), "leave --notify out, or submit a new run"),
        ((*DATA, "--notify", "https://h/x"), "notify: this is an address, which everybody could read in the run;"),
        ((*DATA, "--notify", "My_Hook"), "notify: this is 'My_Hook', no Secret's name; on a cluster, name"),
        (("--resume", "x", "--method", "head"), "leave --method out, or submit a new run"),
        ((*DATA, "--method", "haed"), "unknown method 'haed'; known: head, fine_tuned"),
        ((*DATA, "--method", "head", "--set", "fine_tuning.epochs=2"), "no use for --set fine_tuning.epochs"),
        (("--pipeline", "compare-methods", *DATA, "--method", "head"), "takes several with --methods"),
        (("--resume", "x", "--profile", "cpu", "--registry", "r.io/t"), "leave --profile, --registry out"),
        (("--resume", "x", "--image", "a:1", "--pipeline-root", "gs://b"), "leave --pipeline-root, --image out"),
        (("--resume", "x", "--experiment", "pets", "--service-account", "a"), "--experiment, --service-account out"),
    ],
)  # fmt: skip
def test_refused_before_anything_is_made(
    on_cluster: Command, api: KfpApi, options: tuple[str, ...], message: str
) -> None:
    status, shown = on_cluster("submit", *options)
    assert status == 2
    assert message in one_line(shown)
    assert not api.calls("POST")


@pytest.mark.parametrize("root", ["gs://bucket/x", "s3://bucket", "minio://bucket/x/y"])
def test_roots_that_pods_reach(on_cluster: Command, api: KfpApi, root: str) -> None:
    assert on_cluster("submit", *DATA, "--pipeline-root", root)[0] == 0


def test_a_profiles_unknown_key_is_named(on_cluster: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("network:\n  acelerator_limit: 2\n")
    status, shown = on_cluster("submit", *DATA, "--profile", "mine.yaml")
    assert status == 2
    assert "unknown key 'network.acelerator_limit'; did you mean 'accelerator_limit'?" in one_line(shown)


def test_paths_on_a_volume_of_the_profile_are_taken(on_cluster: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("volumes:\n  - {claim: pictures, path: /data}\n")
    assert on_cluster("submit", "--data", "/data/pets", "--profile", "mine.yaml")[0] == 0


@pytest.mark.parametrize("host", ["kfp.example.com", "http://", "http://x:port", "ftp://x", "http://a b"])
def test_a_host_that_is_no_address(headstart: Command, host: str) -> None:
    status, shown = headstart("submit", *DATA, "--host", host)
    assert status == 2
    assert f"host {host!r} (from --host) is not an address" in one_line(shown)


def test_an_unreachable_host(headstart: Command) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        status, shown = headstart("submit", *DATA, "--host", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert status == 1
    assert re.search(r"cannot be reached: .*Connection refused", one_line(shown))


def test_a_host_without_a_name(headstart: Command) -> None:
    status, shown = headstart("submit", *DATA, "--host", "http://kfp.invalid")
    assert status == 1
    assert "cannot be reached" in one_line(shown)


def test_no_host_at_all(headstart: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    status, shown = headstart("submit", *DATA)
    assert status == 1
    assert "no host: name KFP's address with --host or HEADSTART_KFP_HOST" in one_line(shown)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "401",
            "does not accept your credentials (401): pass a valid token by HEADSTART_TOKEN: what the server",
        ),
        ("403", "forbids this without --namespace (403): name a namespace of yours with --namespace"),
        ("404", "has no v2beta1 API: it is older than KFP 2"),
        ("400", "refuses this (400): what the server says"),
        ("500", "fails (500): what the server says"),
        ("503", "fails (503)"),
        ("html", "answers with a page, not as KFP's API: sign in first"),
        ("drop-before", "cannot be reached"),
    ],
)
def test_servers_that_do_not_let_one_in(on_cluster: Command, api: KfpApi, kind: str, message: str) -> None:
    api.spoil(kind)
    status, shown = on_cluster("submit", *DATA)
    assert status == 1
    assert message in one_line(shown)


def test_a_namespace_that_is_not_ones_own_is_named(on_cluster: Command, api: KfpApi) -> None:
    api.spoil("403", "experiments")
    _, shown = on_cluster("submit", *DATA, "--namespace", "theirs")
    assert "forbids this in namespace 'theirs' (403)" in one_line(shown)


def test_a_server_of_many_users_wants_a_namespace(on_cluster: Command, api: KfpApi) -> None:
    api.health["multi_user"] = True
    assert "has several users; name your namespace with --namespace" in one_line(on_cluster("submit", *DATA)[1])
    assert on_cluster("submit", *DATA, "--namespace", "mine")[0] == 0


@pytest.mark.parametrize("tag", ["2.5.0", "v2.16.1", "3.0.0"])
def test_a_server_of_another_version(on_cluster: Command, api: KfpApi, tag: str) -> None:
    api.health["tag_name"] = tag
    status, shown = on_cluster("submit", *DATA)
    assert status == 1
    assert f"is KFP {tag}, and this pipeline is compiled by kfp {version('kfp')} for KFP 2.17 or a later 2.x" in shown


@pytest.mark.parametrize("tag", ["2.17.0", "2.18.0-rc.1", "", "unknown"])
def test_servers_that_do(on_cluster: Command, api: KfpApi, tag: str) -> None:
    api.health["tag_name"] = tag
    assert on_cluster("submit", *DATA)[0] == 0


def test_an_unknown_experiment(on_cluster: Command, api: KfpApi) -> None:
    status, shown = on_cluster("submit", *DATA, "--experiment", "pet")
    assert status == 1
    assert "unknown experiment 'pet' (from --experiment); did you mean 'pets'?" in one_line(shown)


def test_what_the_server_finds_wrong_is_told_in_its_words(on_cluster: Command, api: KfpApi) -> None:
    api.spoil("400", CREATE, message="Invalid input error: parameter seed is missing")
    status, shown = on_cluster("submit", *DATA)
    assert status == 1
    assert "refuses this (400): Invalid input error: parameter seed is missing" in one_line(shown)


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "500", "503"])
def test_a_run_is_made_once_whatever_happens_to_the_answer(on_cluster: Command, api: KfpApi, kind: str) -> None:
    api.spoil(kind, CREATE, times=1)
    status, shown = on_cluster("submit", *DATA, "--name", "same name")
    assert status == 0, shown
    assert len(api.runs) == 1
    assert next(iter(api.runs)) in shown
    # A run of the same name that somebody else made is not taken for it.
    api.spoil("drop-before", CREATE, times=1)
    assert on_cluster("submit", *DATA, "--name", "same name")[0] == 0
    assert len(api.runs) == 2


def test_a_slow_answer_is_not_waited_for_and_the_run_is_made_once(on_cluster: Command, api: KfpApi) -> None:
    api.spoil("slow", CREATE, times=1, seconds=1)
    status, shown = on_cluster("submit", *DATA, "--timeout", "0.8")
    assert status == 0, shown
    assert len(api.calls(CREATE)) == len(api.runs) == 1
    api.spoil("slow", CREATE, times=1, seconds=5)
    status, shown = on_cluster("submit", *DATA, "--timeout", "0.8")
    assert status == 1
    assert "no answer in 0.8 s; the request may still arrive: look before you try again" in one_line(shown)
    assert len(api.calls(CREATE)) == 2


@pytest.mark.parametrize(("kind", "message"), [("slow", "no answer in 0.8 s"), ("drop-after", "cannot be reached: ")])
def test_a_run_that_cannot_be_looked_for_may_have_arrived(
    on_cluster: Command, api: KfpApi, kind: str, message: str
) -> None:
    api.spoil(kind, CREATE, seconds=1.5)
    api.spoil("503", "GET /apis/v2beta1/runs$")
    status, shown = on_cluster("submit", *DATA, "--timeout", "0.8")
    assert status == 1
    assert message in one_line(shown)
    assert "the request may still arrive: look before you try again" in shown
    assert len(api.calls(CREATE)) == 1


def test_reads_are_tried_again(on_cluster: Command, api: KfpApi) -> None:
    api.spoil("drop-before", "GET", times=1)
    api.spoil("503", "experiments", times=2)
    assert on_cluster("submit", *DATA)[0] == 0


def test_the_commands_that_need_no_cluster_do_not_load_kfps_client() -> None:
    code = (
        "import sys, headstart.pipelines.cli.main\n"
        "assert not {'kfp', 'kfp_server_api', 'kubernetes'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
