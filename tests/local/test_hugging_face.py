"""Backbones by their handle at Hugging Face, from a server on this machine that answers as the hub does."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.timm_checkpoints import save_timm

NAME = "timm/mobilenetv3_small_050.lamb_in1k"
BRIEFLY = ("--method", "head", "--counts", "40,10,10", "--set", "head.epochs=1", "--set", "head.augmented_views=1")


@contextlib.contextmanager
def hub(folder: Path) -> Iterator[str]:
    """Serves one repository: each file at OWNER/NAME/resolve/REVISION/FILE, with its digest and the commit."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self.wfile.write(self._answer())

        def _answer(self) -> bytes:
            start, _, name = self.path.partition("/resolve/main/")
            file = folder / name
            if start != f"/{NAME}" or not file.is_file():
                body = b"{}"
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
            else:
                body = file.read_bytes()
                self.send_response(200)
                self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", "a" * 40)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return body

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.slow
def test_a_network_of_timm_is_downloaded_and_trained_on(pictures: Path, tmp_path: Path) -> None:
    save_timm(tmp_path / "repository")
    with hub(tmp_path / "repository") as address:
        environment = os.environ | {
            "HF_ENDPOINT": address,
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
        }

        def headstart(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
            command = [Path(sys.executable).parent / "headstart", *map(str, arguments)]
            return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)

        listed = headstart("backbones", f"hf://{NAME}")
        assert listed.returncode == 0, listed.stdout + listed.stderr
        assert "apache-2.0" in listed.stdout and " 64 " in listed.stdout
        options = ("--data", pictures, "--backbone", f"hf://{NAME}", *BRIEFLY, "--output", tmp_path / "out")
        done = headstart("run", *options, "--publish", tmp_path / "models", "--min-accuracy", "0")
        assert done.returncode == 0, done.stdout + done.stderr
        unknown = headstart("backbones", "hf://timm/gone")
        assert unknown.returncode == 2
        assert "cannot download backbone 'hub:hf://timm/gone'" in unknown.stderr
    (model,) = (tmp_path / "models").rglob("model.json")
    assert json.loads(model.read_text())["weights_licence"] == "apache-2.0"
