"""Listings of real stores: they show every change, and no image is transferred for them."""

from pathlib import Path

import pytest
from support.published import version_folder
from support.stores import Stored

from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.registry import registry
from headstart.components.core.storage.stores import open_tree
from headstart.components.core.util.errors import HeadstartError
from headstart.components.list_data.preflight import RunRequirements, check_requirements
from headstart.components.list_data.step import list_data


def test_unchanged_objects_give_the_same_digest_and_every_change_another(listed: Stored) -> None:
    for number in range(3):
        listed.upload(f"pets/cats/{number}.jpg", b"cat %d" % number)
    source = listed.uri("pets")
    before = list_data([source])
    assert list_data([source]) == before
    listed.upload("pets/.DS_Store", b"junk")
    listed.upload("other/cats/0.jpg", b"elsewhere")
    assert list_data([source]) == before
    listed.upload("pets/cats/1.jpg", b"cat 9")
    overwritten = list_data([source])
    listed.upload("pets/dogs/0.jpg", b"dog")
    assert len({before, overwritten, list_data([source])}) == 3
    assert not any(request.reads_object for request in listed.proxy.requests)


def test_an_archive_changes_with_its_version(bucket: Stored) -> None:
    source = bucket.upload("pets.zip", b"first")
    before = list_data([source])
    assert list_data([source]) == before
    bucket.upload("pets.zip", b"other")
    assert list_data([source]) != before
    assert {request.method for request in bucket.proxy.requests} <= {"GET", "HEAD"}
    assert not any(request.reads_object for request in bucket.proxy.requests if request.method == "GET")


def test_a_manifest_is_read_and_the_images_it_names_are_looked_up(bucket: Stored) -> None:
    image = bucket.upload("pictures/1.jpg", b"cat")
    source = bucket.upload("pets.csv", f"image,label\npictures/1.jpg,cat\n{image},cat\ngone.jpg,dog\n".encode())
    before = list_data([source])
    assert list_data([source]) == before
    read = [request for request in bucket.proxy.requests if request.method == "GET" and request.reads_object]
    assert {request.path.rpartition("/")[2].split("?")[0] for request in read} == {"pets.csv"}
    bucket.upload("pictures/1.jpg", b"other cat")
    assert list_data([source]) != before


def test_a_prefix_with_nothing_below_it_is_refused(listed: Stored) -> None:
    with pytest.raises(HeadstartError, match="nothing is there; check the address"):
        list_data([listed.uri("nothing")])


def test_what_a_run_needs_is_looked_for_in_every_store(bucket: Stored, tmp_path: Path) -> None:
    recipe = load_recipe()
    bucket.upload("mine.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(20_000_000))
    bucket.upload("page.h5", b"<!doctype html>")
    check_requirements(RunRequirements(trainings=[recipe.override(weights=bucket.uri("mine.weights.h5"))]))
    with pytest.raises(HeadstartError, match="this is no HDF5 file"):
        check_requirements(RunRequirements(trainings=[recipe.override(weights=bucket.uri("page.h5"))]))
    with pytest.raises(HeadstartError, match=r"^cannot download weights: cannot read .*none\.h5"):
        check_requirements(RunRequirements(trainings=[recipe.override(weights=bucket.uri("none.h5"))]))


def test_what_is_published_is_looked_into_wherever_it_is(folder: str, tmp_path: Path) -> None:
    registry.publish_folder(version_folder(tmp_path / "version"), folder)
    before = open_tree(folder).names()
    check_requirements(RunRequirements(publish_uri=folder, written={"checkpoint_uri": folder}))
    assert open_tree(folder).names() == before
    open_tree(folder).write(next(name for name in before if name.endswith("model.keras")), b"another")
    with pytest.raises(HeadstartError, match="is not the file that"):
        check_requirements(RunRequirements(publish_uri=folder))
