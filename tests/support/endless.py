"""A server that sends the same file over and over, until who reads it closes the connection."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator

from support.waiting import HANG_S, ended


class Endless:
    """What is sent (``data``; ``once`` where that shall end), who asked for it, and the address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.data = b""
        self.once = False
        self.asked: list[str] = []
        self._ended = threading.Semaphore(0)

    def send(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        self.asked.append(handler.path)
        handler.send_response(200)
        if self.once:
            handler.send_header("Content-Length", str(len(self.data)))
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(self.data)
            while not self.once:
                handler.wfile.write(self.data)
        self._ended.release()

    def check_left(self) -> None:
        """Check that the other side has closed each connection."""
        for _ in self.asked:
            assert self._ended.acquire(timeout=HANG_S), "a connection is still open"


@contextlib.contextmanager
def endless() -> Iterator[Endless]:
    """Serve at an address of this machine while the ``with`` lasts."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.send(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served = Endless(f"http://127.0.0.1:{server.server_port}/a")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield served
        server.shutdown()
        ended(thread)
