import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.options import takes_parameters
from headstart.pipelines.cli.run import command_line
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.local.masking import find_secrets, mask_secrets


def test_local_paths_become_absolute_and_addresses_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.weights.h5").write_bytes(b"")
    here = Parameters(data=["pets", "gs://bucket/pets"], weights="own.weights.h5").resolve_local_paths()
    assert here.data == [str(tmp_path / "pets"), "gs://bucket/pets"]
    assert here.weights == str(tmp_path / "own.weights.h5")
    for backbone, resolved in {
        "own.keras": str(tmp_path / "own.keras"),
        "gs://b/own.keras": "gs://b/own.keras",
    }.items():
        assert Parameters(settings={"backbone": backbone}).resolve_local_paths().read_recipe().backbone == resolved


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": ["./pets"]}, "data './pets' is a path of this machine"),
        (
            {"data": ["gs://bucket/pets"], "weights": "/here/own.h5"},
            "weights '/here/own.h5' is a path of this machine",
        ),
        (
            {"data": ["gs://bucket/pets"], "backbone": "/here/own.keras"},
            "backbone '/here/own.keras' is a path of this machine",
        ),
        ({"data": ["gs://bucket/pets"], "champion": "out/model"}, "champion 'out/model' is a path"),
        ({"data": ["gs://bucket/pets"], "publish_uri": "models"}, "publish_uri 'models' is a path of this machine"),
        ({"data": ["gs://bucket/pets"], "record_uri": "records"}, "record_uri 'records' is a path"),
        ({"data": ["gs://bucket/pets"], "checkpoint_uri": "ckpt"}, "checkpoint_uri 'ckpt' is a path of this machine"),
        ({"data": ["https://me:hunter2@host/pets.zip"]}, "data 'https://host/pets.zip' comes with a password"),
        ({"weights": "https://host/w.h5?sig=hunter2"}, "weights 'https://host/w.h5' comes with a password or a sig"),
        ({"settings": {"weights": "https://host/w.h5?token=hunter2"}}, "weights 'https://host/w.h5' comes with a pa"),
    ],
)
def test_what_pods_do_not_see_or_all_would_see_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        Parameters(**given).check_for_pods([])
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_paths_on_mounted_volumes_and_named_weights_are_accepted() -> None:
    Parameters(data=["/data/pets", "s3://bucket/pets"], weights="none").check_for_pods(["/data"])
    Parameters(data=["https://host/pets.zip?download=true"]).check_for_pods([])
    with pytest.raises(HeadstartError, match="a path below /data"):
        Parameters(data=["/database/pets"]).check_for_pods(["/data"])


SECRET, SHOWN = 'https://me:hunter2@host/w.h5?signature="hunter3"', "https://host/w.h5"


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        ("--data={}", {"data": [SECRET]}),
        ("--weights {}", {"weights": SECRET}),
        ("--set weights={}", {"settings": {"weights": SECRET}}),
        ("--recipe {}", {"recipe": f"weights: {SECRET}\n"}),
        ("--variants {}", {"variants": [{"name": "a", "weights": SECRET}]}),
    ],
)
def test_secrets_are_neither_in_the_command_of_a_run_nor_in_its_log(
    given: str, parameters: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["headstart", "run", *given.format(SECRET).split()])
    assert command_line(parameters) == f"headstart run {given.format(SHOWN)}"
    logged = mask_secrets(json.dumps({"inputs": parameters}), find_secrets(parameters))
    assert "hunter" not in logged
    assert logged.count(SHOWN) == 1 and json.loads(logged)


@pytest.mark.parametrize("address", ["https://host/w.h5?code=hunter2", "https://me:hunter2@host/w.h5?v=1"])
def test_parts_of_an_address_are_masked_by_themselves(address: str) -> None:
    """As libraries put them into their own messages."""
    secrets = find_secrets({"data": [address], "recipe": "tutorial"})
    for said in (address, "GET /w.h5?code=hunter2", "code=hunter2", "Basic me:hunter2", f"of {address}, 404"):
        if "hunter2" in said and ("code" in said) == ("code" in address):
            assert "hunter2" not in mask_secrets(said, secrets)
    assert mask_secrets("v=1 of 3", secrets) == "v=1 of 3"


def test_addresses_without_secrets_and_what_is_no_address_stay() -> None:
    parameters = Parameters(data=["https://host/a.zip", "pets?key=1"], settings={"head.epochs": 3}).model_dump()
    assert find_secrets(parameters) == {}
    assert mask_secrets(parameters, {}) == parameters


def test_a_champion_on_this_machine_is_the_folder_of_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "out" / "model"
    model.mkdir(parents=True)
    (model / "model.json").touch()
    for given in ("out", "out/model", str(model)):
        assert Parameters(champion=given).resolve_local_paths().champion == str(model)
    assert Parameters(champion="gs://bucket/model").resolve_local_paths().champion == "gs://bucket/model"
    for given in ("nowhere", "."):
        with pytest.raises(HeadstartError, match=f"champion '{given}': there is no model.json, no model/model.json"):
            Parameters(champion=given).resolve_local_paths()


def test_exports_whose_packages_are_missing_are_told_before_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    Parameters(publish_uri="models").resolve_local_paths()
    with pytest.raises(HeadstartError, match=r"'litert' needs ai_edge_litert.*pip install 'headstart\[export\]'"):
        Parameters(publish_uri="models", exports=["litert"]).resolve_local_paths()


def test_what_is_written_to_must_be_a_place_to_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = Parameters(publish_uri="models", checkpoint_uri="states").resolve_local_paths()
    assert (here.publish_uri, here.checkpoint_uri) == (str(tmp_path / "models"), str(tmp_path / "states"))
    for address in ("https://example.org/models", "ftp://host/models", "hdfs://models"):
        for name in ("publish_uri", "checkpoint_uri"):
            with pytest.raises(HeadstartError, match="cannot be written to; give a folder, a gs:// or"):
                Parameters(**{name: address}).check()
    with pytest.raises(HeadstartError, match="KFP's conditions cannot hold quotes"):
        Parameters(publish_uri="it's").check()
    with pytest.raises(HeadstartError, match=r"min_recall 2\.0: give a share from 0 to 1"):
        Parameters(min_recall=2.0).check()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": [""]}, "data '' names no source"),
        (
            {"data": ["gs:/bucket/pets"]},
            "data 'gs:/bucket/pets' would be read as a path; did you mean 'gs://bucket/pets'",
        ),
        ({"data": ["http://[::1/x.zip"]}, "data 'http://…' is not a valid address"),
        ({"weights": "https:/host/w.h5"}, "weights 'https:/host/w.h5' would be read as a path"),
        ({"settings": {"weights": "s3:w.h5"}}, "weights 's3:w.h5' would be read as a path"),
        ({"corrections": "gs:c.csv"}, "corrections 'gs:c.csv' would be read as a path"),
        ({"champion": "s3:/bucket/model"}, "champion 's3:/bucket/model' would be read as a path"),
        ({"publish_uri": "gs:/bucket/models"}, "publish_uri 'gs:/bucket/models' would be read as a path"),
        ({"record_uri": "gs:/bucket"}, "record_uri 'gs:/bucket' would be read as a path"),
        ({"checkpoint_uri": "s3:bucket"}, "checkpoint_uri 's3:bucket' would be read as a path"),
        ({"seed": -1}, "seed -1: give a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "seed 4294967296: give"),
        ({"data": ["a.zip", "b.zip"], "sha256": [""]}, "sha256 has 1 values for 2 sources"),
        ({"level": 0.1, "exports": ["onnx"]}, "without --publish there is no use for level, exports; say where"),
    ],
)
def test_what_no_data_could_make_right_is_refused_at_once(given: dict[str, object], message: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        Parameters(**given).check()
    assert message in str(caught.value)


def test_what_says_how_to_publish_is_accepted_where_it_is_said_where() -> None:
    Parameters(publish_uri="models", min_accuracy=0.9, level=0.01, exports=["onnx"], seed=2**32 - 1).check()


@pytest.fixture
def given() -> Callable[..., Parameters]:
    """The parameters that a command makes of its options."""

    def parse(*options: str) -> Parameters:
        found: list[Parameters] = []

        @takes_parameters
        def command(*, parameters: Parameters) -> None:
            found.append(parameters)

        app = typer.Typer()
        app.command()(command)
        result = CliRunner().invoke(app, ["--data", "pets", *options])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return found[0]

    return parse


def test_counts_are_for_all_classes_or_by_class(given: Callable[..., Parameters], tmp_path: Path) -> None:
    assert given("--counts", "10,5,5").counts == [10, 5, 5]
    by_class = {"cat": [100, 20, 20], "a, b": [3, 1, 1], "1": [2, 0, 0]}
    for text in ("{cat: [100,20,20], 'a, b': [3,1,1], '1': [2,0,0]}", json.dumps(by_class)):
        assert (given("--counts", text).counts, given("--counts", text).class_counts) == ([], by_class)
    file = tmp_path / "counts.yaml"
    file.write_text("cat: [100, 20, 20]\n'a, b': [3, 1, 1]\n'1': [2, 0, 0]\n")
    assert given("--counts", str(file)).class_counts == by_class
    assert given().class_counts == {}


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("{cat: [1, 2]}", r"counts \[1, 2\] of class 'cat': give three whole numbers"),
        ("{cat: [1.5, 2, 3]}", r"counts \[1.5, 2, 3\] of class 'cat': give three whole numbers"),
        ("{cat: 10}", "counts 10 of class 'cat': give three whole numbers"),
        ("{cat: [true, 1, 1]}", "of class 'cat': give three whole numbers"),
        ("{cat: [0, 1, 1]}", "the first of them at least 1"),
        ("{cat: [.nan, 1, 1]}", "of class 'cat': give three whole numbers"),
        ("{1: [5, 1, 1]}", "is no mapping from classes to numbers; write {cat: "),
        ("{cat: [1, 1", "the value of --counts is not valid YAML"),
        ("none.yaml", "--counts 'none.yaml' cannot be read"),
        ("ten,5,5", "counts 'ten,5,5': give three numbers with commas"),
    ],
)
def test_counts_that_make_no_sense_are_refused(given: Callable[..., Parameters], counts: str, message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        given("--counts", counts)
