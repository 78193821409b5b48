"""Real HTTP servers on loopback."""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def serving(folder: Path, failures: list[str] | None = None) -> Iterator[str]:
    """Serves a folder; each of `failures` spoils one request: a status code, or ``truncate``.

    Yields:
        The server's address.
    """
    pending = list(failures or [])

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            failure = pending.pop(0) if pending else ""
            if failure.isdecimal():
                self.send_error(int(failure))
            elif failure == "truncate":
                body = Path(self.translate_path(self.path)).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
            else:
                super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
