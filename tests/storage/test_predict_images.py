"""Models and images in real stores."""

from pathlib import Path

from support.servers import serve_folder
from support.stores import Stored

from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.registry.model_files import ModelFiles, download_model
from headstart.components.core.registry.registry import publish_folder
from headstart.components.core.storage.stores.folder import download_folder
from headstart.components.predict_images.named_images import find_images
from headstart.components.predict_images.predict import predict
from headstart.components.predict_images.step import open_model


def test_the_champion_predicts_objects_and_prefixes(listed: Stored, run_output: Path, pictures: Path) -> None:
    publish_folder(run_output, listed.uri("models/pets"))
    for number in (1, 2, 3):
        listed.upload(f"new/{number}/cat #{number}.jpg", (pictures / f"cat.{number}.jpg").read_bytes())
    # Files beside images are not images.
    listed.upload("new/readme.txt", b"hello")
    with download_model(listed.uri("models/pets")) as found:
        assert read_model_info(found.model) == read_model_info(run_output / "model")
        model = open_model(found, 0)
        assert model.calibration.calibrated
        asked = [listed.uri("new/2/cat #2.jpg"), listed.uri("gone"), listed.uri("new"), "gs://no-such-bucket-here/x"]
        rows = [row for batch in predict(model, find_images(asked)) for row in batch.to_pylist()]
    uri = listed.uri("new")
    assert [(row["file"], row["reason"]) for row in rows[:-1]] == [
        (f"{uri}/2/cat #2.jpg", None),
        (listed.uri("gone"), "missing"),
        *((f"{uri}/{number}/cat #{number}.jpg", None) for number in (1, 2, 3)),
    ]
    assert rows[0] | {"file": ""} == rows[3] | {"file": ""}
    assert rows[-1]["reason"] == "unreadable"


def test_folders_of_a_downloaded_folder_are_made(listed: Stored) -> None:
    listed.upload("version/saved_model/1/variables/index", b"content")
    with download_folder(listed.uri("version/saved_model/1"), ["variables/index"]) as folder:
        assert (folder / "variables" / "index").read_bytes() == b"content"


def test_a_web_address_that_is_refused_does_not_stop_the_others(head: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(head)
    (tmp_path / "cat.jpg").write_bytes((pictures / "cat.1.jpg").read_bytes())
    with serve_folder(tmp_path) as address, download_model(f"{address}/") as found:
        model = open_model(found, 0)
        assert found == ModelFiles(found.model)
        with serve_folder(tmp_path, ["403"]) as refusing:
            asked = [f"{refusing}/cat.jpg", f"{address}/none.jpg", f"{address}/cat.jpg?signature=secret"]
            ((batch),) = predict(model, find_images(asked))
    refused, missing, read = batch.to_pylist()
    assert (refused["reason"], missing["reason"], read["reason"]) == ("unreadable", "missing", None)
    assert "403" in refused["detail"]
    assert read["file"] == f"{address}/cat.jpg"
