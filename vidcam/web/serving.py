"""A web server in a thread of its own, at an address that is known to be free before anything slow begins."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from vidcam.errors import UsageError, VidcamError
from vidcam.io.clock import SYSTEM
from vidcam.web.live.connection import MAX_MESSAGE_BYTES

__all__ = ["listen", "serve_app"]

SHUTDOWN_S = 4
CLIENT_ERRORS = (
    "Invalid UTF-8 sequence",
    "Invalid HTTP request",
    "Unsupported upgrade request",
    "socket.send() raised exception",
)
LOGGERS = ("uvicorn.error", "asyncio")


def _is_about_server(record: logging.LogRecord) -> bool:
    """Return whether a message of uvicorn or asyncio tells of an error of this server.

    Those about bad requests do not, as they are answered; nor those about viewers that have vanished, or about pages that were
    still open when the server was stopped.
    """
    was_stopped = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not was_stopped and not str(record.msg).startswith((*CLIENT_ERRORS, "Cancel %s running task(s)"))


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Open a socket at an address; port 0 is any free port.

    Raises:
        VidcamError: The port is taken.
        UsageError: The address does not belong to this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise UsageError(f"{host!r} is no address of this machine: {error.strerror or error}") from error
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            why = "is in use by another program" if "in use" in str(error).lower() else f"cannot be opened ({error.strerror})"
            raise VidcamError(f"port {port} on {host} {why}; name another with --port, or 0 for any that is free") from error
        yield listening


@contextmanager
def serve_app(app: ASGIApp, listening: socket.socket, *, stopping: Callable[[], Any] = lambda: None) -> Iterator[None]:
    """Serve the application while the ``with`` block lasts; call ``stopping`` before the server shuts down."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_is_about_server)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="vidcam-server", daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        SYSTEM.sleep(0.01)
    if not thread.is_alive():
        raise VidcamError("the server could not be started")
    try:
        yield
    finally:
        stopping()
        server.should_exit = True
        thread.join(SHUTDOWN_S)
        server.force_exit = True
        thread.join(SHUTDOWN_S)
