"""Real HTTP servers on loopback."""

import base64
import contextlib
import email.utils
import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def serve_folder(
    folder: Path, failures: list[str] | None = None, says: str = "etag modified ranges digest"
) -> Iterator[str]:
    """Serves a folder.

    Args:
        folder: Folder to serve.
        failures: Failures of the first requests: status codes, or ``truncate``.
        says: Headers and abilities of the server, in words: ``etag``, or ``weak`` for a weak one; ``modified``; a
            checksum as ``digest``, ``instance`` or ``md5``, or wrongly as ``hex``; ``ranges``; ``unsized``: without
            Content-Length; ``gets``: only GET requests are answered.

    Yields:
        Address of the server.
    """
    pending = list(failures or [])
    known = set(says.split())

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            failure = pending.pop(0) if pending else ""
            path = Path(self.translate_path(self.path))
            if failure.isdecimal():
                self.send_error(int(failure))
            elif path.is_file():
                self._send(path, truncate=failure == "truncate")
            else:
                super().do_GET()

        def do_HEAD(self) -> None:
            if "gets" in known:
                self.send_error(405)
            elif (path := Path(self.translate_path(self.path))).is_file():
                self._send(path)
            else:
                super().do_HEAD()

        def _send(self, path: Path, truncate: bool = False) -> None:
            body = path.read_bytes()
            changed = email.utils.formatdate(path.stat().st_mtime, usegmt=True)
            tag = ("W/" if "weak" in known else "") + f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
            wanted, condition = self.headers["Range"], self.headers["If-Range"]
            start = 0
            if "ranges" in known and wanted and condition in (None, tag, changed):
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            headers = {
                "ETag": tag if "etag" in known or "weak" in known else "",
                "Last-Modified": changed if "modified" in known else "",
                "Repr-Digest": f"sha-256=:{digest}:" if "digest" in known else "",
                "Digest": f"crc32c=AAAAAA==,SHA-256={digest}" if "instance" in known else "",
                "Content-MD5": md5 if "md5" in known else hashlib.md5(body).hexdigest() if "hex" in known else "",
                "Content-Length": str(len(body) - start) if "unsized" not in known else "",
                "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}" if start else "",
            }
            self.send_response(206 if start else 200)
            for name, value in headers.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[start : len(body) // 2 if truncate else None])

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
