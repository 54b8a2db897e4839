"""The viewer as a web application (ASGI): the page, a websocket for every viewer, and the metrics.

Every viewer has slots, not queues, for pictures: a slow one sees fewer of them, never old ones, and slows nobody down.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from vidcam.errors import UsageError, VidcamError
from vidcam.io import json_text
from vidcam.io.clock import SYSTEM, Clock
from vidcam.live import metrics
from vidcam.live.pipeline import MonitorConfig, Watch
from vidcam.live.sources import Pushed
from vidcam.live.state import Update
from vidcam.live.stream import DEFAULTS, KEEP_S
from vidcam.pipeline import Settings
from vidcam.web.live import protocol
from vidcam.web.security import LOOPBACK, Guard

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["MESSAGE", "Hub", "cameras", "viewer"]

IN_FLIGHT = 2  # pictures on their way to a viewer before it has said that one has arrived
STATUS_S = 1.0
CAMERAS = 4  # browsers whose cameras are explained at the same time
MESSAGE = 2_000_000  # bytes; a picture from a browser is far smaller


class Hub:
    """What the viewers look at: one source that all share, or, with ``make``, for each viewer the camera of its own browser.

    ``make`` takes the source that a browser's pictures come from, and returns the started watch; ``most`` is how many cameras are
    explained at the same time. ``watches`` are those that run.
    """

    def __init__(
        self, shared: Watch | None = None, *, make: Callable[[Pushed], Watch] | None = None, most: int = CAMERAS
    ) -> None:
        if (shared is None) == (make is None):
            raise UsageError("a viewer shows either one shared source or the cameras of its browsers")
        self.shared, self.most, self._make = shared, most, make
        self._lock = threading.Lock()
        self._own: dict[int, Watch] = {}
        self._count = 0

    @property
    def watches(self) -> list[Watch]:
        return [self.shared] if self.shared is not None else list(self._own.values())

    @contextmanager
    def enter(self) -> Iterator[tuple[Watch, Pushed | None]]:
        """The watch for a new viewer, and where to put its pictures. UsageError where too many are there. Blocks."""
        if self.shared is not None:
            yield self.shared, None
            return
        assert self._make is not None
        with self._lock:
            if len(self._own) >= self.most:
                raise UsageError(f"{self.most} cameras are being explained already; try again when one of them has gone")
            self._count += 1
            source = Pushed(f"browser {self._count}")
            watch = self._own[number := self._count] = self._make(source)
        try:
            yield watch, source
        finally:
            with self._lock:
                del self._own[number]
            source.close()
            watch.close()


def cameras(
    engine: Engine,
    settings: Settings = DEFAULTS,
    *,
    cpu: float = 0.75,
    orders: MonitorConfig | None = None,
    most: int = CAMERAS,
    clock: Clock = SYSTEM,
) -> Hub:
    """A room in which every viewer has the camera of its own browser explained, one engine for all, for ``most`` viewers.

    UsageError where the settings or the rules do not fit the model.
    """
    turn = threading.Lock()

    def make(source: Pushed) -> Watch:
        watch = Watch(source, clock=clock)
        watch.explain(engine, settings, cpu=cpu, orders=orders, turn=turn)
        return watch.go().start()

    make(source := Pushed()).close()  # what does not fit is told now, not to the first viewer
    source.close()
    return Hub(make=make, most=most)


def viewer(
    room: Hub,
    page: Path | None,
    *,
    hosts: Collection[str] | None = LOOPBACK,
    token: str | None = None,
    name: str | None = None,
) -> ASGIApp:
    """The application: ``/`` the page in the folder ``page`` (None: no page), ``/ws`` its websocket, ``/metrics``.

    It can be mounted in another application, under any path that ends in a slash. ``hosts`` are the names by which it may be
    called (None: any), ``token`` a word that is asked for, ``name`` that of a proxy with https before it.
    """

    async def socket(connection: WebSocket) -> None:
        websocket = _Socket(connection.scope, connection.receive, connection.send)
        stack = contextlib.ExitStack()
        try:
            await websocket.accept()
            watch, camera = await run_in_threadpool(lambda: stack.enter_context(room.enter()))
            await _Viewer(websocket, watch, camera).run()
        except WebSocketDisconnect:
            pass  # a page may go away at any moment
        except _Nonsense:
            await _close(websocket, 1007)
        except VidcamError as error:
            await _tell(websocket, {"type": "error", "message": str(error)})
            await _close(websocket, 4000)
        finally:
            await run_in_threadpool(stack.close)

    async def measured(request: Request) -> Response:
        return Response(metrics.text(room.watches), media_type=metrics.CONTENT_TYPE)

    routes: list[BaseRoute] = [Route("/metrics", measured)]
    if page is not None:
        routes += [WebSocketRoute("/ws", socket), Mount("/", StaticFiles(directory=page, html=True))]
    return Guard(Starlette(routes=routes), hosts=hosts, token=token, name=name)


class _Socket(WebSocket):
    """A websocket that says in one way that the page has gone, whenever that is: by WebSocketDisconnect."""

    async def send(self, message: Message) -> None:
        try:
            await super().send(message)
        except (OSError, RuntimeError) as error:  # uvicorn raises the latter too, after a broken frame for instance
            raise WebSocketDisconnect(1006) from error


async def _tell(websocket: WebSocket, message: dict[str, Any]) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        if websocket.application_state is WebSocketState.CONNECTED:
            await websocket.send_text(json.dumps(message))


async def _close(websocket: WebSocket, code: int) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        await websocket.close(code)


class _Nonsense(Exception):
    """A message that no page of this server sends."""


class _Viewer:
    """One page that looks on."""

    def __init__(self, websocket: WebSocket, watch: Watch, camera: Pushed | None) -> None:
        self._socket, self._watch, self._camera = websocket, watch, camera
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._picture: bytes | None = None
        self._updates: deque[str] = deque(maxlen=16)
        self._lock = threading.Lock()
        self._in_flight = 0

    async def run(self) -> None:
        """Until the page goes away."""
        watch, stream = self._watch, self._watch.stream
        tasks: list[asyncio.Task[None]] = []
        watch.viewers += 1
        stream.on_update.append(self._on_update)  # before the past is read: nothing may fall between the two
        try:
            await self._socket.send_text(protocol.hello(watch, browser=self._camera is not None, keep_s=KEEP_S))
            await self._socket.send_text(protocol.history(tuple(stream.past)))
            with self._lock:
                if stream.update is not None and not self._updates:
                    self._updates.append(protocol.update(stream.update, took_s=stream.took_s))
            tasks = [asyncio.create_task(part()) for part in (self._send, self._listen)]
            if self._camera is None:
                watch.pictures.add(self._on_picture)
                if stream.latest is not None:
                    watch.pictures.push(stream.latest)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            watch.viewers -= 1
            stream.on_update.remove(self._on_update)
            watch.pictures.remove(self._on_picture)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- called in the stream's threads

    def _on_update(self, update: Update) -> None:
        with self._lock:
            self._updates.append(protocol.update(update, took_s=self._watch.stream.took_s))
        self._wake()

    def _on_picture(self, jpeg: bytes, time: float) -> None:
        self._picture = protocol.picture(jpeg, time)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the server's loop has ended
            self._loop.call_soon_threadsafe(self._news.set)

    # --- in the server's loop

    async def _send(self) -> None:
        clock, stream = self._watch.clock, self._watch.stream
        told, size = clock.now() - STATUS_S, stream.size
        while True:
            self._news.clear()
            if clock.now() - told >= STATUS_S or stream.size != size:  # the evidence lies on a picture of that size
                told, size = clock.now(), stream.size
                await self._socket.send_text(protocol.status(self._watch))
            while self._updates:
                await self._socket.send_text(self._updates.popleft())
            if self._picture is not None and self._in_flight < IN_FLIGHT:
                picture, self._picture = self._picture, None
                self._in_flight += 1
                await self._socket.send_bytes(picture)
            await clock.wait_async(self._news, told + STATUS_S - clock.now())

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data, words = message.get("bytes"), message.get("text")
            if data is not None:
                self._take(data)
            elif words is not None:
                await self._obey(words)

    def _take(self, data: bytes) -> None:
        """A picture of the browser's camera."""
        if self._camera is not None and len(data) <= MESSAGE:
            with contextlib.suppress(ValueError):
                time, jpeg = protocol.taken(data)
                self._camera.put(jpeg, at=time)

    async def _obey(self, words: str) -> None:
        """``got``: a picture has arrived. ``choose``: explain in another way. Any other type is not for us.

        _Nonsense if it is no JSON object, or has something in it that no page writes.
        """
        try:
            wish = json_text.parse(words, strict=True)
        except ValueError as error:
            raise _Nonsense from error
        if not isinstance(wish, dict):
            raise _Nonsense
        if wish.get("type") == "got":
            self._in_flight = max(0, self._in_flight - 1)
            self._news.set()
        elif wish.get("type") == "choose":
            try:
                await run_in_threadpool(self._choose, wish)
            except VidcamError as error:
                await _tell(self._socket, {"type": "error", "message": str(error)})
            await self._socket.send_text(protocol.status(self._watch))

    def _choose(self, wish: dict[str, Any]) -> None:
        stream = self._watch.stream
        for key in ("method", "class", "versus"):
            if not isinstance(wish.get(key), str | None):
                raise UsageError(f"the {key} must be a name, got {wish[key]!r}")
        smooth_s = wish.get("smooth_s", stream.settings.smooth_s)
        if isinstance(smooth_s, bool) or not isinstance(smooth_s, int | float) or not 0 <= smooth_s <= 5:
            raise UsageError(f"smoothing must be 0 to 5 seconds, got {smooth_s!r}")
        label, versus = wish.get("class"), wish.get("versus")
        stream.choose(
            replace(
                stream.settings,
                method=wish.get("method"),
                classes=() if label is None else (label,),
                versus=versus,
                smooth_s=float(smooth_s),
            )
        )
