"""A published version: what it holds, what it answers without us, and what keeps it from being published."""

import dataclasses
import importlib.util
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import yaml
from PIL import Image
from support.commands import eventually
from support.forms import forms
from support.fuzzed import draw_image, mutate_files
from support.published import check_version, version_folder
from support.served import ServedModel
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from headstart.components.core.artifacts.dataset import read_rows
from headstart.components.core.artifacts.evaluation import METRICS, read_metrics, temperature_of
from headstart.components.core.artifacts.model import MODEL, ModelInfo
from headstart.components.core.artifacts.predictions import PREDICTIONS, read_predictions
from headstart.components.core.images.decoding import MAX_PIXELS
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.networks import saved_model_process
from headstart.components.core.registry import registry
from headstart.components.core.registry.export_formats import SAVED_MODEL
from headstart.components.core.registry.model_files import download_model
from headstart.components.core.registry.registry import PUBLISHED, UNCHANGED, Outcome, read_champion
from headstart.components.core.util.errors import HeadstartError
from headstart.components.evaluate_model.step import EvaluationInputs, evaluate_model
from headstart.components.predict_images.named_images import find_images
from headstart.components.predict_images.predict import predict
from headstart.components.predict_images.step import open_model
from headstart.components.publish_model.card import CardContent, _limits
from headstart.components.publish_model.exports import _write_onnx, check_exports, export_formats, load_onnx
from headstart.components.publish_model.parity import (
    Parity,
    Sample,
    ServedPredictions,
    check_parity,
    draw_sample,
    run_saved_model,
)
from headstart.components.publish_model.step import TOLERANCE, PublicationInputs, build_version, publish_model

# ONNX first, since the other formats leave the network as it needs it.
EXPORTS = ("onnx", "litert", "litert_int8")


@pytest.fixture(scope="module")
def inputs(head: Path, splits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> PublicationInputs:
    evaluation = tmp_path_factory.mktemp("evaluated") / "evaluation"
    evaluate_model(
        EvaluationInputs(head, splits["test"], splits["validation"]), evaluation, evaluation.with_name("report.html")
    )
    # So few validation images seldom support a temperature, and every form has to apply one.
    metrics = json.loads((evaluation / METRICS).read_text())
    metrics["calibration"] |= {"temperature": 1.7, "applied": True}
    (evaluation / METRICS).write_text(json.dumps(metrics))
    return PublicationInputs(head, evaluation, splits["test"], splits["train"], exports=EXPORTS)


@pytest.fixture(scope="module")
def version(inputs: PublicationInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "0123abcd"
    build_version(inputs, folder)
    return folder


@pytest.fixture(scope="module")
def card(version: Path) -> dict:
    return json.loads((version / "model_card.json").read_text())


def test_layout_is_the_one_that_servers_take(version: Path) -> None:
    files = {path.relative_to(version).as_posix() for path in version.rglob("*") if path.is_file()}
    saved = {name for name in files if name.startswith("saved_model/")}
    assert {"saved_model/1/saved_model.pb", "saved_model/1/variables/variables.index"} <= saved
    assert {"saved_model/1/assets.extra/labels.txt", "saved_model/1/assets.extra/tf_serving_warmup_requests"} <= saved
    assert {
        "model/model.keras", "model/model.json", "model/history.csv", "model/seen.parquet", "model/reference.parquet",
        "evaluation/metrics.json", "evaluation/predictions.parquet",
        "litert/model.tflite", "litert/model_int8.tflite", "litert/labels.txt",
        "onnx/model.onnx", "onnx/labels.txt", "model_card.md", "model_card.json",
    } <= files  # fmt: skip
    assert not any("probe" in name or "pictures" in name for name in files), "no pictures of the user"
    assert (version / "onnx" / "labels.txt").read_text() == "cat\ndog\n"


CLIENT = """
import json, sys
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
files = [open(path, "rb").read() for path in sys.argv[2:]]
pixels = np.stack([tf.io.decode_image(content, expand_animations=False) for content in files[:2]])
answers = {"serving_default": model.signatures["serving_default"](image_bytes=tf.constant(files))}
answers["pixels"] = model.signatures["pixels"](pixels=tf.constant(pixels, tf.float32))
answers["pixels_uint8"] = model.signatures["pixels_uint8"](pixels=tf.constant(pixels))
print(json.dumps({
    name: [[each.decode() for each in said["label"].numpy()], said["probabilities"].numpy().tolist()]
    for name, said in answers.items()
}))
"""


def test_both_signatures_answer_in_a_process_of_plain_tensorflow(
    version: Path, inputs: PublicationInputs, tmp_path: Path
) -> None:
    rows = list(read_rows(inputs.test))[:2]
    files = []
    for number, row in enumerate(rows):
        Image.fromarray(tf.io.decode_image(row.image).numpy()).resize((120, 90)).save(tmp_path / f"{number}.png")
        files.append(tmp_path / f"{number}.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, version / "saved_model" / "1", *files, tmp_path / "broken.jpg"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    labels, probabilities = said["serving_default"]
    assert labels[2] == "" and probabilities[2] == [0, 0], "what is no picture does not stop the others"
    for name in ("pixels", "pixels_uint8"):
        assert said[name][0] == labels[:2]
        np.testing.assert_allclose(said[name][1], probabilities[:2], atol=1e-5)
    np.testing.assert_allclose(np.sum(probabilities[:2], axis=1), 1, atol=1e-6)


DAMAGED_FILES = 320


@pytest.fixture(scope="module")
def server(version: Path) -> Iterator[ServedModel]:
    """The SavedModel in a process that all of these tests ask, as a server is asked by many."""
    with ServedModel(version / SAVED_MODEL) as server:
        yield server


@pytest.mark.slow
def test_damaged_files_neither_end_the_process_nor_fill_its_memory(server: ServedModel) -> None:
    files = [content for _, content in mutate_files(draw_image(), DAMAGED_FILES, seed=1)]
    labels, held = [], []
    for at in range(0, len(files), 32):
        answered = server.predict(files[at : at + 32])
        assert answered is not None, f"one of {[file[:200] for file in files[at : at + 32]]} ended the process"
        labels += answered.labels
        held.append(answered.bytes_held)
    assert 0 < sum(label != b"" for label in labels) < DAMAGED_FILES
    assert held[-1] - held[len(held) // 4] < 100e6


def test_the_largest_pictures_are_decoded_one_at_a_time(server: ServedModel) -> None:
    """A picture just within the limit holds 1.7 GB while it is decoded in this form; two would hold it twice."""
    side = int(MAX_PIXELS**0.5)
    buffer = io.BytesIO()
    Image.new("LA", (side, side)).save(buffer, "PNG", compress_level=1)
    before = server.predict([buffer.getvalue()[:100]])
    answered = server.predict([buffer.getvalue()] * 2)
    assert before is not None and answered is not None and b"" not in answered.labels
    assert answered.most_bytes_held - before.bytes_held < 2.5e9


ONLY_PREDICTIONS_READ = {"JPEG arithmetic", "BMP 8, run lengths"}


def test_each_form_gets_the_answer_of_predict(
    version: Path, server: ServedModel, inputs: PublicationInputs, tmp_path: Path
) -> None:
    photo = Image.open(io.BytesIO(next(iter(read_rows(inputs.test))).image)).convert("RGB")
    files = {name: encode(photo) for name, encode in forms().items()}
    answered = server.predict(list(files.values()))
    assert answered is not None
    for number, content in enumerate(files.values()):
        (tmp_path / f"{number:03d}").write_bytes(content)
    paths = [str(tmp_path / f"{number:03d}") for number in range(len(files))]
    with download_model(str(version)) as found:
        model = open_model(found, 0)
        table = pa.Table.from_batches(predict(model, find_images(paths)))
    # Those of files that cannot be read are missing.
    wanted = np.column_stack([table[f"probability_{name}"].to_numpy() for name in model.info.classes])
    for name, label, said, right in zip(files, answered.labels, answered.probabilities, wanted, strict=True):
        if name in ONLY_PREDICTIONS_READ or np.isnan(right).all():
            assert label == b"" and not said.any(), name
        else:
            assert label.decode() == model.info.classes[right.argmax()], name
            np.testing.assert_allclose(said, right, atol=0.01, err_msg=name)


def test_warm_up_requests_are_what_serving_reads_and_the_model_takes(version: Path) -> None:
    folder = version / "saved_model" / "1"
    signatures = tf.saved_model.load(str(folder)).signatures
    asked = []
    for record in tf.data.TFRecordDataset(str(folder / "assets.extra" / "tf_serving_warmup_requests")):
        log = PredictionLog.FromString(record.numpy())
        assert log.SerializeToString(deterministic=True) == record.numpy(), "no field is unknown"
        request = log.predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        said = signatures[request.model_spec.signature_name](**inputs)
        assert set(said["label"].numpy()) <= {b"cat", b"dog"}
        asked.append((request.model_spec.signature_name, len(said["label"])))
    assert sorted(asked) == [(name, n) for name in ("pixels", "pixels_uint8", "serving_default") for n in (1, 8)]


def test_saved_model_gives_the_calibrated_probabilities_of_the_evaluation(
    inputs: PublicationInputs, card: dict
) -> None:
    temperature = temperature_of(read_metrics(inputs.evaluation))
    assert temperature != 1
    saved_model = card["parity"]["saved_model"]
    assert (saved_model["images"], saved_model["same_label"]) == (20, 20)
    assert saved_model["largest_difference"] < 1e-5
    evaluated = read_predictions(inputs.evaluation / PREDICTIONS).probabilities
    assert np.abs(apply_temperature(evaluated, temperature) - evaluated).max() > 0.01, (
        "the temperature makes a difference"
    )


def test_other_forms_say_the_same(card: dict, version: Path, inputs: PublicationInputs) -> None:
    """In 8 bits only pictures of which the model is unsure may get another label."""
    evaluated = read_predictions(inputs.evaluation / PREDICTIONS).probabilities
    said = apply_temperature(evaluated, temperature_of(read_metrics(inputs.evaluation)))
    sure = (np.abs(said[:, 0] - 0.5) > 0.1).sum()
    assert set(card["exports"]) == set(EXPORTS)
    for name, each in card["exports"].items():
        assert each["size"] == (version / each["file"]).stat().st_size
        assert each["agreement"]["largest_difference"] < (0.2 if name == "litert_int8" else 1e-4)
        assert each["agreement"]["same_label"] >= (sure if name == "litert_int8" else 20)
    assert card["exports"]["litert_int8"]["size"] < card["exports"]["litert"]["size"] / 2


def test_card_says_what_was_measured(card: dict, version: Path, inputs: PublicationInputs) -> None:
    metrics = read_metrics(inputs.evaluation)
    assert card["evaluation"] == metrics["test"] and card["calibration"] == metrics["calibration"]
    assert card["data"]["test"] == {"digest": metrics["test_data"], "images": 20, "per_class": {"cat": 10, "dog": 10}}
    text = (version / "model_card.md").read_text()
    low, high = metrics["test"]["accuracy_interval"]
    assert f"{low:.4f} to {high:.4f}" in text and metrics["test_data"] in text
    assert "published by hand" in text and "Many unusable files" in text
    assert "Fewer than 30 test images each of cat, dog" in text
    assert "{{" not in text and "None" not in text


def run_where_the_gate_asks(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where the gate asks a model."""
    path = [each for each in sys.path if Path(each).is_dir()]
    lines = (
        "import importlib.util, sys",
        f"spec = importlib.util.spec_from_file_location('served', {saved_model_process.__file__!r})",
        "served = importlib.util.module_from_spec(spec)",
        "spec.loader.exec_module(served)",
        "sys.meta_path.insert(0, served.HiddenPackage('headstart'))",
        f"sys.path.extend({path!r})",
        code,
    )
    return subprocess.run([sys.executable, "-I", "-S", "-c", "\n".join(lines)], capture_output=True, text=True)


@pytest.mark.parametrize("module", ["headstart", "headstart.components.core.artifacts.dataset"])
def test_our_package_is_not_there_where_the_gate_asks(module: str, tmp_path: Path) -> None:
    assert run_where_the_gate_asks("import numpy, pyarrow").returncode == 0
    failed = run_where_the_gate_asks(f"import {module}")
    assert failed.returncode == 1
    assert f"ModuleNotFoundError: No module named {module.partition('.')[0]!r}" in failed.stderr


@pytest.fixture(scope="module")
def sample(inputs: PublicationInputs) -> Sample:
    """Seven of the twenty test images."""
    metrics = read_metrics(inputs.evaluation)
    return draw_sample(inputs.test, read_predictions(inputs.evaluation / PREDICTIONS), temperature_of(metrics), 7)


@pytest.fixture(scope="module")
def answers(version: Path, sample: Sample) -> ServedPredictions:
    return run_saved_model(version / SAVED_MODEL, sample)[0]


def test_large_test_sets_are_sampled(sample: Sample, answers: ServedPredictions) -> None:
    assert len(set(sample.rows)) == 7 and sample.of == 20
    parity = check_parity(sample, answers, TOLERANCE)
    assert (parity.saved_model.images, parity.test_images, parity.on_the_boundary) == (7, 20, 0)
    assert parity.saved_model.largest_difference < 1e-5


def test_worst_image_is_named_where_a_probability_is_off(sample: Sample, answers: ServedPredictions) -> None:
    evaluated = sample.probabilities.copy()
    evaluated[2] += [0.012, -0.012]
    evaluated[5] += [-0.03, 0.03]
    with pytest.raises(HeadstartError) as raised:
        check_parity(dataclasses.replace(sample, probabilities=evaluated), answers, TOLERANCE)
    assert "disagrees with the evaluated one on 2 of 7 test images" in str(raised.value)
    assert f"most on {sample.paths[5]}: label" in str(raised.value)
    assert "tolerance 0.01" in str(raised.value)


def two_classes(sample: Sample, evaluated: float, said: float) -> tuple[Sample, ServedPredictions]:
    """The same images as if all had these probabilities of the first class."""
    probabilities = np.tile([evaluated, 1 - evaluated], (7, 1))
    served = np.tile([said, 1 - said], (7, 1))
    labels = np.array([sample.classes[int(each)] for each in served.argmax(axis=1)], object)
    asked = dataclasses.replace(sample, probabilities=probabilities, predicted=probabilities.argmax(axis=1))
    return asked, ServedPredictions(labels, served)


def test_another_label_passes_on_the_boundary_alone(sample: Sample) -> None:
    parity = check_parity(*two_classes(sample, 0.503, 0.498), tolerance=0.01)
    assert (parity.on_the_boundary, parity.saved_model.same_label) == (7, 0)
    asked, said = two_classes(sample, 0.52, 0.515)
    with pytest.raises(HeadstartError, match="on 7 of 7"):
        check_parity(asked, dataclasses.replace(said, labels=np.full(7, sample.classes[1], object)), 0.01)


def test_what_is_no_number_is_not_published(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"on 7 of 7 test images, .* probability nan"):
        check_parity(*two_classes(sample, 0.9, np.nan), tolerance=0.01)
    pixels = keras.Input((8, 8, 3))
    said = keras.layers.Dense(2, "softmax", bias_initializer=keras.initializers.Constant(np.nan))
    network = keras.Model(pixels, said(keras.layers.Flatten()(pixels)))
    with pytest.raises(HeadstartError, match="export 'litert' is off by nan in a probability"):
        export_formats(["litert"], tmp_path, network, sample, None, TOLERANCE)


def test_gelu_and_convolutions_in_groups_are_the_same_in_onnx(sample: Sample, tmp_path: Path) -> None:
    """TensorFlow computes the one by an operation, and Keras the other in a function, that tf2onnx does not know."""
    pixels = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 10, -12)(pixels)
    x = keras.layers.Conv2D(6, 3, groups=3, activation="gelu")(x)
    network = keras.Model(pixels, keras.layers.Dense(2, "softmax")(keras.layers.Flatten()(x)))
    export_formats(["onnx"], tmp_path, network, sample, None, 1)
    extremes = np.concatenate([np.full((1, 8, 8, 3), each, np.float32) for each in (0, 120, 255)])
    drawn = np.random.default_rng(0).uniform(0, 255, (9, 8, 8, 3)).astype(np.float32)
    for images in (extremes, drawn, drawn[:1]):
        said = load_onnx(tmp_path / "onnx" / "model.onnx")(images)
        assert np.abs(said - network(images).numpy()).max() < 1e-5
    # The activation alone, over all that float32 holds.
    numbers = np.concatenate([np.linspace(-20, 20, 2_001), [-3e38, -1e30, 1e30, 3e38]]).astype(np.float32)[:, None]
    number = keras.Input((1,))
    activation = keras.Model(number, keras.activations.gelu(number))
    _write_onnx(activation, tmp_path / "gelu.onnx", None)
    said, expected = load_onnx(tmp_path / "gelu.onnx")(numbers), activation(numbers).numpy()
    assert np.allclose(said, expected, rtol=1e-6, atol=1e-6)
    assert not tf.config.functions_run_eagerly()


def test_image_that_the_served_model_cannot_read_is_named(sample: Sample, answers: ServedPredictions) -> None:
    labels, probabilities = answers.labels.copy(), answers.probabilities.copy()
    labels[3], probabilities[3] = "", 0
    with pytest.raises(HeadstartError, match=f"on 1 of 7 test images, most on {sample.paths[3]}: label 'none'"):
        check_parity(sample, ServedPredictions(labels, probabilities), TOLERANCE)


def test_saved_model_that_does_not_load_is_one_line(version: Path, sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="nothing is published: the exported model does not answer") as raised:
        run_saved_model(tmp_path, sample)
    assert "\n" not in str(raised.value)


def test_parts_of_different_runs_are_refused(
    inputs: PublicationInputs, splits: dict[str, Path], tmp_path: Path
) -> None:
    for change, reason in (
        ({"test": splits["validation"]}, "is not the test set of the evaluation"),
        ({"train": splits["validation"]}, "is not the training set of"),
        ({"exports": ("tflite",)}, "unknown export 'tflite'; known: saved_model, litert, litert_int8, onnx"),
        ({"exports": ("litert_int8",), "train": None}, "needs training images"),
        ({"model": tmp_path / "none"}, "is not a complete model: model.json is missing"),
        ({"evaluation": tmp_path / "none"}, "is not a complete evaluation: metrics.json is missing"),
    ):
        with pytest.raises(HeadstartError, match=reason):
            build_version(dataclasses.replace(inputs, **change), tmp_path / "version")
        assert not (tmp_path / "version").exists()


def change(values: Any, key: str, value: object) -> None:
    """Changes the value at a dotted key; `GONE` removes the key."""
    *above, last = key.split(".")
    for part in above:
        values = values[int(part)] if isinstance(values, list) else values[part]
    if value is GONE:
        del values[last]
    else:
        values[last] = value


GONE = object()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("test.balanced_accuracy", "high", "test.balanced_accuracy is 'high': input should be a valid number"),
        ("test.log_loss_interval", [0.1], "test.log_loss_interval.1 is missing"),
        ("test.per_class", {}, "the classes have 0 images together, images is 20"),
        ("test.per_class.cat.recall", GONE, "test.per_class.cat.recall is missing"),
        ("test.per_class.dog.images", 10.5, "test.per_class.dog.images is 10.5"),
        ("suspected_label_errors", "many", "suspected_label_errors is 'many'"),
        ("calibration.after.ece", None, "calibration.after.ece is None: input should be a valid number"),
        ("abstention.0.answered", GONE, "abstention.0.answered is missing"),
        ("slices", {"site": 1}, "slices is {'site': 1}: input should be a valid array"),
        ("validation_data", 7, "validation_data is 7: input should be a valid string"),
    ],
)
def test_metrics_that_no_card_could_show_are_one_line_before_anything_is_exported(
    key: str, value: object, message: str, inputs: PublicationInputs, tmp_path: Path
) -> None:
    evaluation = shutil.copytree(inputs.evaluation, tmp_path / "evaluation")
    file = evaluation / "metrics.json"
    metrics = json.loads(file.read_text())
    change(metrics, key, value)
    file.write_text(json.dumps(metrics))
    with pytest.raises(HeadstartError) as raised:
        build_version(dataclasses.replace(inputs, evaluation=evaluation), tmp_path / "version")
    assert str(raised.value).startswith(f"{file} is damaged (") and message in str(raised.value)
    assert str(raised.value).endswith("make the evaluation again") and "\n" not in str(raised.value)
    assert not (tmp_path / "version").exists()


def test_altered_model_is_refused(inputs: PublicationInputs, tmp_path: Path) -> None:
    shutil.copytree(inputs.model, tmp_path / "model")
    with (tmp_path / "model" / MODEL).open("ab") as file:
        file.write(b"more")
    with pytest.raises(HeadstartError, match=r"model\.keras is not the file that model\.json describes"):
        build_version(dataclasses.replace(inputs, model=tmp_path / "model"), tmp_path / "version")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HeadstartError, match=r"export 'onnx' needs onnxruntime, tf2onnx.*'headstart\[export\]'"):
        check_exports(["onnx"], None)


@pytest.fixture(scope="module")
def published(inputs: PublicationInputs, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    uri = tmp_path_factory.mktemp("models") / "Pets & co"
    return uri, publish_model(dataclasses.replace(inputs, exports=()), str(uri), uri.with_name("card.md"), "by hand")


def test_published_version_is_whole_and_in_use(published: tuple[Path, Outcome]) -> None:
    uri, outcome = published
    in_use = read_champion(str(uri))
    assert in_use is not None and outcome.status == PUBLISHED and in_use.version.version == outcome.version
    check_version(str(uri), in_use.version)
    version = uri / outcome.version
    assert (uri.with_name("card.md")).read_text() == (version / "model_card.md").read_text()
    service = yaml.safe_load((version / "inference_service.yaml").read_text())
    assert service["apiVersion"] == "serving.kserve.io/v1beta1" and service["metadata"]["name"] == "pets-co"
    served_by = service["spec"]["predictor"]["model"]
    assert tf.__version__.startswith(served_by["runtimeVersion"].removesuffix("0"))
    address = served_by["storageUri"]
    assert Path(url2pathname(urlsplit(address).path)) == version / "saved_model"


@pytest.mark.slow
def test_publishing_the_same_model_again_changes_nothing(
    published: tuple[Path, Outcome], inputs: PublicationInputs
) -> None:
    uri, outcome = published
    before = (uri / "champion.json").read_bytes()
    again = publish_model(dataclasses.replace(inputs, exports=()), str(uri))
    assert (again.status, again.version) == (UNCHANGED, outcome.version)
    assert (uri / "champion.json").read_bytes() == before


def test_model_of_other_classes_than_the_one_in_use_is_refused_before_all_else(
    inputs: PublicationInputs, tmp_path: Path
) -> None:
    registry.publish_folder(version_folder(tmp_path / "version", classes=("cat", "wolf")), str(tmp_path / "models"))
    with pytest.raises(HeadstartError, match=r"classes \['cat', 'dog'\], the one in use at .* has \['cat', 'wolf'\]"):
        publish_model(dataclasses.replace(inputs, evaluation=tmp_path / "none"), str(tmp_path / "models"))


def decision(path: Path, verdict: str) -> Path:
    path.write_text(json.dumps({"verdict": verdict, "reasons": ["because"]}))
    return path


def test_decision_against_a_model_keeps_it_from_being_published(inputs: PublicationInputs, tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"the verdict in .*decision\.json is 'worse'; leave it out"):
        publish_model(
            dataclasses.replace(inputs, decision=decision(tmp_path / "decision.json", "worse")), str(tmp_path / "uri")
        )
    assert not (tmp_path / "uri").exists()


def hanging(folder: Path, code: str) -> str:
    """An order for `served`, whose first import writes the process' id into a file and then never ends."""
    (folder / "pyarrow.py").write_text(
        f"import os; open({str(folder / 'pid')!r}, 'w').write(str(os.getpid()))\n{code}\n"
    )
    return json.dumps({"path": [str(folder)], "package": "headstart", "saved_model": "", "predictions": ""})


def is_running(folder: Path) -> bool:
    """Whether the process is there, and not just waiting for its parent to take note of its end."""
    pid = (folder / "pid").read_text() if (folder / "pid").exists() else ""
    status = Path(f"/proc/{pid}/stat")
    return bool(pid) and status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


# A match that takes years and lets no other thread run meanwhile, as TensorFlow does where it loads a model.
@pytest.mark.parametrize("code", ["import time; time.sleep(600)", "import re; re.match('(a+)+$', 'a' * 60 + 'b')"])
def test_process_that_serves_does_not_outlive_the_one_that_asks(code: str, tmp_path: Path) -> None:
    order = hanging(tmp_path, code)
    parent = (
        "import json, sys; from pathlib import Path; from headstart.components.publish_model import parity\n"
        "parity._run_server_process(json.loads(sys.argv[1]), Path(sys.argv[2]))"
    )
    with subprocess.Popen([sys.executable, "-c", parent, order, str(tmp_path / "stderr")]) as process:
        assert eventually(lambda: is_running(tmp_path), 60)
        process.kill()
    assert eventually(lambda: not is_running(tmp_path), 2)


def test_process_that_serves_ends_when_its_standard_input_closes(tmp_path: Path) -> None:
    order = hanging(tmp_path, "import time; time.sleep(600)")
    with subprocess.Popen(
        [sys.executable, "-I", "-S", saved_model_process.__file__], stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(order.encode() + b"\n")
        process.stdin.flush()
        assert eventually(lambda: is_running(tmp_path))
        process.stdin.close()
        assert process.wait(10) == 1


def test_the_served_unfamiliarity_is_the_evaluated_one(inputs: PublicationInputs, version: Path, card: dict) -> None:
    evaluated = read_predictions(inputs.evaluation / PREDICTIONS)
    threshold = read_metrics(inputs.evaluation)["unfamiliarity"]["threshold"]
    sample = draw_sample(inputs.test, evaluated, 1.7, threshold=threshold)
    served, _ = run_saved_model(version / SAVED_MODEL, sample)
    assert served.unfamiliarity == pytest.approx(evaluated.unfamiliarity, abs=1e-5)
    assert served.unfamiliar is not None and served.unfamiliarity is not None
    assert card["parity"]["unfamiliarity_difference"] < 1e-5
    assert card["unfamiliarity"]["threshold"] == threshold
    assert "litert_int8, onnx" not in " ".join(card["limits"]) and "do not compute the unfamiliarity" in str(card)
    check_parity(sample, served, TOLERANCE)
    off = dataclasses.replace(served, unfamiliarity=served.unfamiliarity + 0.02)
    with pytest.raises(HeadstartError, match="disagrees with the evaluated one on the unfamiliarity of 20 of 20"):
        check_parity(sample, off, TOLERANCE)
    furthest = int(np.abs(served.unfamiliarity - threshold).argmax())
    flags = served.unfamiliar.copy()
    flags[furthest] ^= True
    with pytest.raises(HeadstartError, match="on the unfamiliarity of 1 of 20"):
        check_parity(sample, dataclasses.replace(served, unfamiliar=flags), 1e-4)
    with pytest.raises(HeadstartError, match="computes no unfamiliarity"):
        check_parity(sample, dataclasses.replace(served, unfamiliarity=None), TOLERANCE)
    # One copy, in the variables, and none in the graph.
    assert b"reference" in (version / SAVED_MODEL / "variables" / "variables.index").read_bytes()


def test_limits_name_what_the_test_images_do_not_show() -> None:
    per_class = {"cat": {"images": 60}, "dog": {"images": 40}, "fox": {"images": 0}}
    metrics = {"calibration": None, "abstention": []}
    model = ModelInfo("head", [*per_class], 64, "sketchnet", {}, {}, {}, {}, 0)
    nothing: Any = None
    parity = Parity(nothing, 0.01, 0, 100, 0)
    found = {}
    for accuracy in (0.6, 0.9):
        measured = metrics | {"test": {"images": 100, "per_class": per_class, "accuracy": accuracy}}
        found[accuracy] = _limits(CardContent(model, measured, nothing, None, None, None, parity, {}))
    chance = (
        "It is not shown to be better than always predicting cat, which is correct for 60.0 % of the test images."
    )
    assert chance in found[0.6] and chance not in found[0.9]
    assert "There are no test images of fox: nothing is known about the model there." in found[0.9]
    assert not [limit for limit in found[0.9] if "Fewer than" in limit]


def test_an_address_that_cannot_be_written_is_found_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    # Nothing of the run is there, and nothing of it is looked for.
    inputs = PublicationInputs(tmp_path / "model", tmp_path / "evaluation", tmp_path / "test")
    with pytest.raises(HeadstartError, match=r"^cannot write"):
        publish_model(inputs, str(tmp_path / "file" / "models"))
