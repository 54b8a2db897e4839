"""One viewer's websocket: what the page of the live viewer receives and asks for.

A viewer has a slot, not a queue, for pictures: a slow one sees fewer of them, never old ones, and slows nobody down.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from vidcam.errors import UsageError, VidcamError
from vidcam.io import json_text
from vidcam.live.journal import Entry
from vidcam.live.pipeline import LivePipeline
from vidcam.live.sources import PushedSource
from vidcam.live.state import Update
from vidcam.live.stream import KEEP_S
from vidcam.web import words
from vidcam.web.live import protocol
from vidcam.web.live.watch import set_region, set_rule

__all__ = ["MAX_MESSAGE_BYTES", "STATUS_S", "InvalidMessageError", "ViewerConnection", "ViewerSocket"]

MAX_IN_FLIGHT = 2  # pictures that are sent before the viewer has confirmed one
MAX_UPDATES = 16  # that wait to be sent; older ones are dropped
STATUS_S = 1.0
MAX_MESSAGE_BYTES = 2_000_000  # a picture from a browser is far smaller


class InvalidMessageError(Exception):
    """A message that no page of this server sends."""


class ViewerSocket(WebSocket):
    """A websocket that always reports a page that has gone as WebSocketDisconnect."""

    async def send(self, message: Message) -> None:
        """Send a message. WebSocketDisconnect if the page has gone."""
        try:
            await super().send(message)
        except (OSError, RuntimeError) as error:  # uvicorn raises the latter too, after a broken frame for instance
            raise WebSocketDisconnect(1006) from error

    async def report_error(self, error: Exception) -> None:
        """Tell the page about an error, if it is still there."""
        with contextlib.suppress(WebSocketDisconnect):
            if self.application_state is WebSocketState.CONNECTED:
                await self.send_text(json.dumps({"type": "error", "message": str(error)}))

    async def end(self, code: int) -> None:
        """Close the connection, if the page is still there."""
        with contextlib.suppress(WebSocketDisconnect):
            await self.close(code)


class ViewerConnection:
    """Sends a page the pictures, updates and status of a pipeline, and obeys its requests.

    Args:
        socket: The accepted websocket.
        pipeline: What the page looks at.
        camera: Where to put the pictures of the page's own camera; None if the page shows the server's pictures.
        is_tile: Whether the page shows the source small, beside others: it gets small pictures, no past evidence and no controls.
    """

    def __init__(
        self, socket: ViewerSocket, pipeline: LivePipeline, camera: PushedSource | None, *, is_tile: bool = False
    ) -> None:
        self._socket, self._pipeline, self._camera, self._is_tile = socket, pipeline, camera, is_tile
        self._pictures = pipeline.small_pictures if is_tile else pipeline.pictures
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._picture: bytes | None = None
        self._updates: deque[str] = deque(maxlen=MAX_UPDATES)
        self._events: deque[str] = deque()
        self._lock = threading.Lock()
        self._in_flight = 0
        self._engine = pipeline.stream.engine

    async def run(self) -> None:
        """Serve the page until it goes away.

        Raises:
            WebSocketDisconnect: The page has gone while something was sent.
            InvalidMessageError: It sent a message that no page of this server sends.
        """
        pipeline, stream = self._pipeline, self._pipeline.stream
        tasks: list[asyncio.Task[None]] = []
        pipeline.viewers += 1
        journal = pipeline.journal
        if journal is not None:
            journal.listeners.append(self._on_entry)
        stream.on_update.append(self._on_update)  # before the past is read, so that no update is missed in between
        try:
            if pipeline.models is not None:
                await run_in_threadpool(pipeline.models.refresh)
            await self._greet()
            tasks = [asyncio.create_task(part()) for part in (self._send, self._listen)]
            if self._camera is None:
                self._pictures.add(self._on_picture, stream.latest)
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            pipeline.viewers -= 1
            stream.on_update.remove(self._on_update)
            if journal is not None:
                journal.listeners.remove(self._on_entry)
            self._pictures.remove(self._on_picture)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _greet(self) -> None:
        """Tell the page what it must know first, when it comes and when the model has changed."""
        pipeline, stream = self._pipeline, self._pipeline.stream
        self._engine = stream.engine
        await self._socket.send_text(protocol.encode_hello(pipeline, browser=self._camera is not None, keep_s=KEEP_S))
        await self._socket.send_text(protocol.encode_history(() if self._is_tile else tuple(stream.past)))
        with self._lock:
            update = stream.update
            if update is not None and not self._updates:
                self._updates.append(protocol.encode_update(update, took_s=stream.took_s))
        for entry in () if pipeline.journal is None else pipeline.journal.entries:
            await self._socket.send_text(protocol.encode_event(entry))

    # --- called in the stream's threads

    def _on_update(self, update: Update) -> None:
        with self._lock:
            self._updates.append(protocol.encode_update(update, took_s=self._pipeline.stream.took_s))
        self._wake()

    def _on_entry(self, entry: Entry) -> None:
        with self._lock:
            self._events.append(protocol.encode_event(entry))
        self._wake()

    def _on_picture(self, jpeg: bytes, time: float) -> None:
        with self._lock:
            self._picture = protocol.pack_picture(jpeg, time)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the server's loop has ended
            self._loop.call_soon_threadsafe(self._changed.set)

    # --- in the server's loop

    async def _send(self) -> None:
        clock, stream = self._pipeline.clock, self._pipeline.stream
        last_status, size, told = clock.now() - STATUS_S, stream.size, {"watch": "", "models": ""}
        while True:
            self._changed.clear()
            if stream.engine is not self._engine:
                with self._lock:
                    self._updates.clear()  # of the model before
                await self._greet()
                last_status = clock.now() - STATUS_S
            if clock.now() - last_status >= STATUS_S or stream.size != size:  # evidence is placed in pictures of that size
                last_status, size = clock.now(), stream.size
                await self._socket.send_text(protocol.encode_status(self._pipeline))
            for kind, text in self._encode_controls().items():
                if told[kind] != text:
                    told[kind] = text
                    await self._socket.send_text(text)
            while self._events:
                await self._socket.send_text(self._events.popleft())
            while self._updates:
                await self._socket.send_text(self._updates.popleft())
            picture = None
            if self._in_flight < MAX_IN_FLIGHT:
                with self._lock:  # a newer picture may come at any moment
                    picture, self._picture = self._picture, None
            if picture is not None:
                self._in_flight += 1
                await self._socket.send_bytes(picture)
            await clock.wait_async(self._changed, last_status + STATUS_S - clock.now())

    def _encode_controls(self) -> dict[str, str]:
        """Return what a page with controls is told whenever it is different."""
        if self._is_tile:
            return {}
        models = self._pipeline.models
        watch = {"watch": protocol.encode_watch(self._pipeline)}
        return watch if models is None else {"models": protocol.encode_models(models), **watch}

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data, text = message.get("bytes"), message.get("text")
            if data is not None:
                self._take_picture(data)
            elif text is not None:
                await self._obey(text)

    def _take_picture(self, data: bytes) -> None:
        """Take a picture of the browser's camera; ignore one that is damaged or too large."""
        if self._camera is not None and len(data) <= MAX_MESSAGE_BYTES:
            with contextlib.suppress(ValueError):
                time, jpeg = protocol.unpack_picture(data)
                self._camera.put(jpeg, at=time)

    async def _obey(self, text: str) -> None:
        """Obey a request: ``got`` confirms a picture, ``choose`` changes the settings, ``retry`` opens a lost source again.

        ``model`` changes the model, ``region`` and ``rule`` what is watched for. Any other type is ignored.

        InvalidMessageError if it is not a JSON object, or contains something that no page writes.
        """
        try:
            request = json_text.parse_json(text, strict=True)
        except ValueError as error:
            raise InvalidMessageError from error
        if not isinstance(request, dict):
            raise InvalidMessageError
        if request.get("type") == "got":
            self._in_flight = max(0, self._in_flight - 1)
            self._changed.set()
        elif request.get("type") == "retry":
            self._pipeline.capture.retry()
        elif change := self._changes.get(str(request.get("type"))):
            try:
                await run_in_threadpool(change, request)
            except VidcamError as error:
                await self._socket.report_error(error)
            await self._socket.send_text(protocol.encode_status(self._pipeline))
            self._changed.set()  # the model, the regions and the rules are sent if they differ now

    @property
    def _changes(self) -> dict[str, Callable[[dict[str, Any]], None]]:
        """What changes something, by the type of the request."""
        return {"choose": self._choose, "model": self._choose_model, "region": self._set_region, "rule": self._set_rule}

    def _choose_model(self, request: dict[str, Any]) -> None:
        """Begin to load the model ``name``. UsageError if it is not one of those that may be chosen."""
        models, name = self._pipeline.models, request.get("name")
        if models is None:
            raise UsageError(words.Hub.NO_CHOICE)
        if not isinstance(name, str):
            raise UsageError(words.Hub.no_name(what="model", given=name))
        models.choose(name)

    def _set_region(self, request: dict[str, Any]) -> None:
        set_region(self._pipeline, request)

    def _set_rule(self, request: dict[str, Any]) -> None:
        set_rule(self._pipeline, request)

    def _choose(self, request: dict[str, Any]) -> None:
        """Explain with the settings of the request. UsageError if they are not valid or do not fit the model."""
        stream = self._pipeline.stream
        for key in ("method", "class", "versus"):
            if not isinstance(request.get(key), str | None):
                raise UsageError(words.Hub.no_name(what=key, given=request[key]))
        smooth_s = request.get("smooth_s", stream.settings.smooth_s)
        if isinstance(smooth_s, bool) or not isinstance(smooth_s, int | float) or not 0 <= smooth_s <= 5:
            raise UsageError(words.Hub.smoothing(given=smooth_s))
        label = request.get("class")
        stream.choose(
            replace(
                stream.settings,
                method=request.get("method"),
                classes=() if label is None else (label,),
                versus=request.get("versus"),
                smooth_s=float(smooth_s),
            )
        )
