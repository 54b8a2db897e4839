"""What comes in and goes out beside Gradio's page, and who is let in."""

from __future__ import annotations

import base64
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from vidcam.errors import UsageError
from vidcam.live.guard import LOOPBACK, allowed, own_page

from .annotate import take
from .desk import Desk, sentence
from .intake import clean_name, look_at, megabytes

__all__ = ["Gate", "media"]

COOKIE = "vidcam_app"
REFUSED = ("/gradio_api/upload", "/gradio_api/proxy", "/gradio_api/component_server", "/gradio_api/deep_link")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob: mediastream:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)
"""Nothing is loaded from, or told to, anybody else."""


def media(desk: Desk) -> list[Route]:
    """``/media/TOKEN`` takes a video for the session of that token, ``/media/TOKEN/KEY`` gives one of its files."""

    async def put(request: Request) -> Response:
        session = desk.by_token(request.path_params["token"])
        if session is None:
            return JSONResponse({"error": "This page was away for too long: load it again."}, 404)
        name = clean_name(request.query_params.get("name", "video"))
        most = desk.limits.size
        too_large = (
            f"{name} is larger than the {megabytes(most)} that are allowed here: cut it, "
            "or start the app with a larger --max-size."
        )
        if int(request.headers.get("content-length") or 0) > most:
            return JSONResponse({"error": too_large}, 413)
        folder = session.folder / f"input-{secrets.token_hex(4)}"
        path, size = folder / f"video{Path(name).suffix}", 0
        try:
            folder.mkdir()
            with path.open("wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > most:
                        raise UsageError(too_large)
                    file.write(chunk)
            take(session, await run_in_threadpool(look_at, path, name, desk.limits))
        except Exception as error:
            session.forget(folder)
            if isinstance(error, ClientDisconnect):
                return Response(status_code=400)
            return JSONResponse({"error": sentence(error)}, 400)
        return JSONResponse({})

    async def get(request: Request) -> Response:
        session = desk.by_token(request.path_params["token"])
        served = session and session.files.get(request.path_params["key"])
        if not served or not served.path.is_file():
            return PlainTextResponse("there is no such file, or no longer\n", 404)
        how = "inline" if served.inline else "attachment"
        return FileResponse(served.path, filename=served.name, content_disposition_type=how)

    return [
        Route("/media/{token}", put, methods=["POST"]),
        Route("/media/{token}/{key}", get, methods=["GET", "HEAD"]),
    ]


class Gate:
    """Lets in whoever may come: by a name of this server, from a page of it, with the password where there is one.

    ``name`` is that of a proxy with https before it.
    """

    def __init__(self, app: ASGIApp, *, here: bool, auth: tuple[str, str] | None, name: str | None = None) -> None:
        self._app, self._hosts, self._name = app, LOOPBACK if here else None, name
        self._auth = None if auth is None else base64.b64encode(":".join(auth).encode()).decode()
        self._pass = secrets.token_urlsafe(18)  # for websockets, to which some browsers send no password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await (WebSocketClose(4403) if scope["type"] == "websocket" else refusal)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {key for key, _ in message["headers"]}
                extra = {
                    "x-content-type-options": "nosniff",
                    "referrer-policy": "same-origin",
                    "cross-origin-resource-policy": "same-origin",
                }
                if b"content-security-policy" not in there:
                    extra["content-security-policy"] = POLICY
                if self._auth is not None:
                    extra["set-cookie"] = f"{COOKIE}={self._pass}; HttpOnly; SameSite=Strict; Path=/"
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in extra.items())]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        reason = allowed(scope, hosts=self._hosts, token=None, name=self._name)
        origin = headers.get("origin")
        if reason is None and scope.get("method", "GET") not in ("GET", "HEAD") and origin is not None:
            welcome = own_page(origin, headers.get("host", ""), self._name)
            reason = None if welcome else "pages of other sites may not ask"
        if reason is None and scope["path"].startswith(REFUSED):
            reason = "this way in is closed"
        if reason is not None:
            return PlainTextResponse(f"{reason}\n", 403)
        if self._auth is None or self._known(headers, self._auth):
            return None
        return PlainTextResponse("a user and a password are asked for\n", 401, {"www-authenticate": 'Basic realm="vidcam"'})

    def _known(self, headers: Headers, auth: str) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic" and hmac.compare_digest(given.strip().encode(), auth.encode()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self._pass.encode())
