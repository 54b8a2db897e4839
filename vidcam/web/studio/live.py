"""The Live tab: the camera of whoever looks, in the same viewer as ``vidcam live --browser``."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from vidcam.errors import UsageError, VidcamError
from vidcam.live.models import ModelChoice
from vidcam.models.table import list_models
from vidcam.web import words
from vidcam.web.live import PAGE
from vidcam.web.live.hub import make_camera_hub
from vidcam.web.live.server import make_viewer

from .components import EVENT, part
from .session import Session
from .sessions import SessionManager
from .teach_models import TaughtModel, model_shelf, open_engine

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["LiveTab", "Viewer", "address_of", "own_models"]


class LiveTab:
    """The tab, made inside the app's page: a frame that contains the viewer while the tab is open."""

    def __init__(self, desk: SessionManager) -> None:
        self._desk = desk
        self._viewer = part("live", {"src": ""}, elem_id="live")

    def enter(self, loaded: Any) -> None:
        """Give the frame its address after the event by which a page is loaded."""
        loaded.then(self._address, None, self._viewer, **EVENT)

    def _address(self, request: gr.Request) -> dict[str, Any]:
        """Return the address of the viewer; an empty one if there is no session, of which the first tab tells."""
        tab = str(request.session_hash)
        return {"src": address_of(self._desk.of(tab)) if self._desk.knows(tab) else ""}


def address_of(session: Session, model: TaughtModel | None = None) -> str:
    """Return the viewer's address, at which the models of the session's browser are offered too; ``model`` is one to begin with.

    UsageError if that model was taught in another browser.
    """
    query = {"key": session.token}
    if model is not None:
        names = [name for name, known in live_names(taught_models(session)).items() if known.name == model.name]
        if not names:
            raise UsageError(words.Teach.SEE_ELSEWHERE)
        query["model"] = names[0]
    return f"live/?{urlencode(query)}"


def taught_models(session: Session | None) -> list[TaughtModel]:
    """Return the models that were taught in the session's browser, the newest first."""
    return [] if session is None else model_shelf().list(session.runs.name)


def own_models(desk: SessionManager, device: str) -> Callable[[str], Sequence[ModelChoice]]:
    """Return a function that lists the models that were taught in the browser of a session, given its token."""

    def list_own(token: str) -> list[ModelChoice]:
        taught = taught_models(desk.by_token(token))
        return [ModelChoice(name, model.title, partial(_open, model, name, device)) for name, model in live_names(taught).items()]

    return list_own


def live_names(models: Sequence[TaughtModel]) -> dict[str, TaughtModel]:
    """Return the models, the newest first, by names that one can type: their short ones, which newer ones have with a number."""
    taken = Counter(list_models())
    named: list[tuple[str, TaughtModel]] = []
    for model in reversed(models):
        taken[model.short_name] += 1
        count = taken[model.short_name]
        named.append((model.short_name if count == 1 else f"{model.short_name} {count}", model))
    return dict(reversed(named))


def _open(model: TaughtModel, name: str, device: str) -> Engine:
    engine = open_engine(model.name, device=device)
    engine.spec = replace(engine.spec, name=name)
    return engine


class Viewer:
    """The viewer as an application that loads its model when it is first used.

    Each viewer's camera has a model of its own: a change is for one viewer only. ``own`` lists the models of a viewer.
    """

    def __init__(self, model: str, device: str, own: Callable[[str], Sequence[ModelChoice]]) -> None:
        self._model, self._device, self._own = model, device, own
        self._app: ASGIApp | None = None
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._lock:
                if self._app is None:
                    self._app = await run_in_threadpool(self._load)
        except VidcamError as error:
            await _refusal(scope, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _load(self) -> ASGIApp:
        engine = open_engine(self._model, device=self._device)
        return make_viewer(make_camera_hub(engine, cpu=0.5, own_models=self._own), PAGE, hosts=None)


def _refusal(scope: Scope, error: VidcamError) -> ASGIApp:
    """Return what answers a request, or closes a connection, that cannot be served because of the error."""
    return WebSocketClose(4000) if scope["type"] == "websocket" else PlainTextResponse(f"{error}\n", 503)
