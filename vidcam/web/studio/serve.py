"""Uploads and downloads beside Gradio's page, and the guard of the app."""

from __future__ import annotations

import secrets
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidcam.errors import UsageError
from vidcam.io.json_text import parse_json, to_utf8_text
from vidcam.web import words
from vidcam.web.security import LOOPBACK, Guard

from .session import Session
from .sessions import SessionManager
from .teach_clips import lesson_of
from .uploads import clean_name, look_at, megabytes, video_suffix
from .work import sentence

__all__ = ["Gate", "media"]

COOKIE = "vidcam_app"
STATIC = Path(__file__).parents[1] / "static"
MAX_QUEUE = 20  # videos that come together
MAX_BODY_BYTES = 20_000_000  # of a request; far more than a page sends
CLOSED = ("/gradio_api/upload", "/gradio_api/proxy", "/gradio_api/component_server", "/gradio_api/deep_link")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob: mediastream:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)
"""Nothing is loaded from, or sent to, another server."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def media(desk: SessionManager) -> list[Route]:
    """Return the routes of uploads (``/media/TOKEN``), of a session's files (``/media/TOKEN/KEY``) and of its folders' files.

    Gradio's own routes know no session: all pages may fetch what one has uploaded.
    """

    async def put(request: Request) -> Response:
        session = desk.by_token(request.path_params["token"])
        if session is None:
            return JSONResponse({"error": words.Common.EXPIRED}, 404)
        folder = session.folder / f"input-{secrets.token_hex(4)}"
        try:
            await _take_in(request, desk, session, folder)
        except Exception as error:
            session.forget(folder)
            if isinstance(error, ClientDisconnect):
                return Response(status_code=400)
            return JSONResponse({"error": sentence(error)}, 413 if isinstance(error, TooLargeError) else 400)
        return JSONResponse({})

    async def get(request: Request) -> Response:
        session = desk.by_token(request.path_params["token"])
        served = session and session.files.get(request.path_params["key"])
        path = served and served / request.path_params.get("name", "")
        if not path or not path.is_file() or (path != served and path.parent != served):
            return PlainTextResponse("there is no such file, or no longer\n", 404)
        return FileResponse(path, headers={"cache-control": "no-store"})

    return [
        Route("/player/{name}", player, methods=["GET", "HEAD"]),
        Route("/media/{token}", put, methods=["POST"]),
        Route("/media/{token}/{key}", get, methods=["GET", "HEAD"]),
        Route("/media/{token}/{key}/{name}", get, methods=["GET", "HEAD"]),
    ]


class TooLargeError(UsageError):
    """Says that an upload is larger than allowed."""


async def _take_in(request: Request, desk: SessionManager, session: Session, folder: Path) -> None:
    """Receive a video into ``folder``: as the session's video, one of several to explain in turn, or a clip of an action."""
    name, most, several = (
        clean_name(request.query_params.get("name", "video")),
        desk.limits.size,
        "several" in request.query_params,
    )
    too_large = TooLargeError(words.Uploads.too_large(name=name, most=megabytes(most)))
    if int(request.headers.get("content-length") or 0) > most:
        raise too_large
    if several and len(session.queue) >= MAX_QUEUE:
        raise UsageError(words.Uploads.too_many(most=MAX_QUEUE))
    action = request.query_params.get("action")
    if action is not None:
        lesson_of(session).check_room(action)
    path, size = folder / f"video{video_suffix(name)}", 0
    folder.mkdir()
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise too_large
            file.write(chunk)
    video = await desk.errand(lambda: look_at(path, name, desk.limits))
    if action is not None:
        lesson_of(session).add(action, video)
    elif several:
        session.queue.append(video)
    else:
        session.take(video)


async def player(request: Request) -> Response:
    """Return the player's script, which is one file for the pages, the app and notebooks."""
    if request.path_params["name"] != "player.js":
        return PlainTextResponse("there is no such file\n", 404)
    return FileResponse(STATIC / "player.js", headers={"cache-control": "no-cache"})


class Bodies:
    """Refuses requests whose body is neither empty, nor a video, nor valid JSON, because Gradio fails on them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD") or scope["path"].startswith("/media/"):
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
            if len(body) > MAX_BODY_BYTES:
                await PlainTextResponse("this is too much\n", 413)(scope, receive, send)
                return
        if body:
            try:
                parse_json(body, strict=True)
            except ValueError as error:
                await PlainTextResponse(f"this is no JSON that can be read: {to_utf8_text(error)}\n", 400)(scope, receive, send)
                return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, again, send)


class Streams:
    """Ends a stream of answers properly if its page has gone and Gradio knows it no more.

    Gradio raises a 404 in the middle of the stream then: a traceback in the terminal, and a broken response in the browser.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except RuntimeError as error:  # what Starlette makes of an HTTPException after the start of a response
            if not isinstance(error.__cause__, HTTPException):
                raise
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class Gate(Guard):
    """The guard of the app. It requires ``auth`` (a user and a password) or ``token``, unless only this machine reaches the app.

    ``here`` says that only this machine does; ``auth`` is required even then. ``name`` is the name of a proxy with https.
    """

    def __init__(
        self, app: ASGIApp, *, here: bool, auth: tuple[str, str] | None, token: str | None = None, name: str | None = None
    ) -> None:
        if not here and auth is None and token is None:
            raise UsageError("what others can reach needs a token or a password")
        hosts = LOOPBACK if here else None
        super().__init__(
            Bodies(Streams(app)),
            hosts=hosts,
            token=token,
            password=auth,
            name=name,
            cookie=COOKIE,
            headers=HEADERS,
            closed=CLOSED,
        )
