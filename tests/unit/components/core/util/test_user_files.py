import os
import threading
from pathlib import Path

import pytest

from headstart.components.core.util import user_files
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.user_files import parse_yaml, parse_yaml_mapping, read_user_file, read_user_text


def test_text_may_have_a_byte_order_mark_and_a_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file.yaml").write_bytes("\ufeffäpfel: 1\r\n".encode())
    text = read_user_text("~/file.yaml", "counts")
    assert parse_yaml_mapping(text, "counts", []) == {"äpfel": 1}


def test_what_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latin.yaml").write_bytes("äpfel: 1".encode("latin-1"))
    with pytest.raises(HeadstartError, match=r"^counts is not UTF-8 text; save it as such$"):
        read_user_text(tmp_path / "latin.yaml", "counts")
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(HeadstartError, match=rf"^counts cannot be read \({reason}\); check the path$"):
            read_user_file(path, "counts")
    monkeypatch.setattr(user_files, "MAX_BYTES", 7)
    with pytest.raises(HeadstartError, match=r"^counts has more than 7 bytes; pass a smaller file$"):
        read_user_file(tmp_path / "latin.yaml", "counts")


def test_a_pipe_is_read_only_where_it_may_be_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(HeadstartError, match=r"^counts is a pipe, a socket or a device; pass a file$"):
        read_user_file(pipe, "counts")
    writer = threading.Thread(target=pipe.write_text, args=("cat: 1",))
    writer.start()
    assert read_user_text(pipe, "counts", pipes=True) == "cat: 1"
    writer.join()


def test_what_is_not_yaml_is_named_and_a_secret_not_shown() -> None:
    assert parse_yaml_mapping("", "settings", []) == {}
    with pytest.raises(HeadstartError, match=r"^settings must have lines of `key: value`; known: host, token$"):
        parse_yaml_mapping("[1]", "settings", ["host", "token"])
    with pytest.raises(HeadstartError, match=r"^settings is not valid YAML, line 1: .*s3cret"):
        parse_yaml("token: *s3cret", "settings")
    with pytest.raises(HeadstartError, match=r"^settings is not valid YAML, line 1$"):
        parse_yaml("token: *s3cret", "settings", secret=True)
