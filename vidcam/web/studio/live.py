"""The Live tab: the camera of whoever looks, in the same viewer as ``vidcam live --browser``."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from vidcam.errors import VidcamError
from vidcam.web.live import PAGE
from vidcam.web.live.hub import make_camera_hub
from vidcam.web.live.server import make_viewer

from .components import part
from .teach_models import model_shelf, open_engine

__all__ = ["TaughtViewers", "Viewer", "build"]

MAX_TAUGHT = 2  # models in memory


def build() -> None:
    """Make the tab: a frame that contains the viewer while the tab is open."""
    part("live", None, elem_id="live")


class Viewer:
    """The viewer as an application that loads its model when it is first used."""

    def __init__(self, model: str, device: str) -> None:
        self._model, self._device = model, device
        self._app: ASGIApp | None = None
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._lock:
                if self._app is None:
                    self._app = await run_in_threadpool(self._open)
        except VidcamError as error:
            await _refusal(scope, error, status=503)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _open(self) -> ASGIApp:
        engine = open_engine(self._model, device=self._device)
        return make_viewer(make_camera_hub(engine, cpu=0.5), PAGE, hosts=None)


class TaughtViewers:
    """The viewers of the models that were taught here, mounted at a path with the ``model`` in it; the last few are kept."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._kept: OrderedDict[str, Viewer] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            name = model_shelf().find(scope["path_params"]["model"]).name
        except VidcamError as error:
            await _refusal(scope, error, status=404)(scope, receive, send)
            return
        viewer = self._kept.setdefault(name, Viewer(name, self._device))
        self._kept.move_to_end(name)
        while len(self._kept) > MAX_TAUGHT:
            self._kept.popitem(last=False)
        await viewer(scope, receive, send)


def _refusal(scope: Scope, error: VidcamError, *, status: int) -> ASGIApp:
    """Return what answers a request, or closes a connection, that cannot be served because of the error."""
    return WebSocketClose(4000) if scope["type"] == "websocket" else PlainTextResponse(f"{error}\n", status)
