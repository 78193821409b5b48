"""Listings of real stores: they tell every change, and no picture is transferred for them."""

import pytest
from support.stores import Stored

from headstart.components.core.errors import HeadstartError
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


def test_a_manifest_is_read_and_the_pictures_it_names_are_looked_up(bucket: Stored) -> None:
    picture = bucket.upload("pictures/1.jpg", b"cat")
    source = bucket.upload("pets.csv", f"image,label\npictures/1.jpg,cat\n{picture},cat\ngone.jpg,dog\n".encode())
    before = list_data([source])
    assert list_data([source]) == before
    read = [request for request in bucket.proxy.requests if request.method == "GET" and request.reads_object]
    assert {request.path.rpartition("/")[2].split("?")[0] for request in read} == {"pets.csv"}
    bucket.upload("pictures/1.jpg", b"other cat")
    assert list_data([source]) != before


def test_a_prefix_with_nothing_below_it_is_told(listed: Stored) -> None:
    with pytest.raises(HeadstartError, match="nothing is there; check the address"):
        list_data([listed.uri("nothing")])
