"""A static web server of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


@contextmanager
def served(folder: Path, *, seen: list[str] | None = None) -> Iterator[str]:
    """The address of a static server of ``folder``; ``seen`` gets the paths that are asked for."""

    class Quiet(SimpleHTTPRequestHandler):
        extensions_map = {  # noqa: RUF012
            **SimpleHTTPRequestHandler.extensions_map,
            ".mjs": "text/javascript",
            ".wasm": "application/wasm",
        }

        def send_head(self) -> Any:
            """Send the file as it is now: two versions within one second have the same time to a server."""
            del self.headers["If-Modified-Since"]
            return super().send_head()

        def log_message(self, *_: object) -> None:
            return

        def log_request(self, *_: object) -> None:
            if seen is not None:
                seen.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
