"""The live viewer as a web application (ASGI): the page, a websocket for every viewer, and the metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from vidcam.errors import VidcamError
from vidcam.live.metrics import CONTENT_TYPE, render_metrics
from vidcam.web.live import SHARED
from vidcam.web.live.connection import InvalidMessageError, ViewerConnection, ViewerSocket
from vidcam.web.live.hub import Hub, Visit
from vidcam.web.security import LOOPBACK, Guard

__all__ = ["make_viewer"]

INVALID_MESSAGE, REFUSED = 1007, 4000  # codes that close a websocket


def make_viewer(
    hub: Hub,
    page: Path | None,
    *,
    hosts: Collection[str] | None = LOOPBACK,
    token: str | None = None,
    name: str | None = None,
) -> ASGIApp:
    """Make the application: the page at ``/``, its websocket at ``/ws``, the sources' names at ``/sources``, and ``/metrics``.

    If there are several sources, ``/`` shows all of them, and ``/?source=NAME`` one. For the browser's own camera,
    ``/?model=NAME`` names the model to begin with, and ``/?key=KEY`` the viewer, to whom models of their own are offered.

    It can be mounted in another application, under any path that ends in a slash.

    Args:
        hub: What the viewers look at.
        page: The folder of the page's files; None for no page, only metrics.
        hosts: The names by which the server may be called; None for any.
        token: What a request must contain; None for nothing.
        name: The name of a proxy with https before the server.

    Returns:
        The application.
    """

    async def connect(connection: WebSocket) -> None:
        socket = ViewerSocket(connection.scope, connection.receive, connection.send)
        stack = contextlib.ExitStack()
        try:
            await socket.accept()
            asked = socket.query_params
            visit = Visit(asked.get("source"), asked.get("key", ""), asked.get("model"), "tile" in asked)
            pipeline, camera = await run_in_threadpool(lambda: stack.enter_context(hub.enter(visit)))
            await ViewerConnection(socket, pipeline, camera, is_tile=visit.is_tile).run()
        except WebSocketDisconnect:
            pass  # a page may go away at any moment
        except InvalidMessageError:
            await socket.end(INVALID_MESSAGE)
        except VidcamError as error:
            await socket.report_error(error)
            await socket.end(REFUSED)
        finally:
            await run_in_threadpool(stack.close)

    async def get_metrics(request: Request) -> Response:
        return Response(render_metrics(hub.pipelines), media_type=CONTENT_TYPE)

    async def get_page(request: Request) -> Response:
        shows_all = len(hub.names) > 1 and "source" not in request.query_params
        return FileResponse(cast("Path", page) / ("grid.html" if shows_all else "index.html"))

    async def get_sources(request: Request) -> Response:
        return JSONResponse({"sources": hub.names})

    async def get_shared(request: Request) -> Response:
        return FileResponse(SHARED[request.url.path.rpartition("/")[2]])

    routes: list[BaseRoute] = [Route("/metrics", get_metrics)]
    if page is not None:
        files = StaticFiles(directory=page, html=True)
        routes += [WebSocketRoute("/ws", connect), Route("/", get_page), Route("/sources", get_sources)]
        routes += [*(Route(f"/{name}", get_shared) for name in SHARED), Mount("/", files)]
    return Guard(Starlette(routes=routes), hosts=hosts, token=token, name=name)
