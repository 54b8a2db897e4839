"""Who may look: a page of this very server, and nobody whom another web site sent.

A web site that is open in the same browser can make requests to addresses on this machine. It is kept out twice: a request must
name this server by a name that belongs to it (else a site could point its own name here), and whatever does more than read must
come from a page of this server (browsers say so in ``Origin``, and pages cannot change it). Where the server can be reached from
other machines, names are not known, and a token or a password is asked for instead. So it is where a proxy with https stands
before it: what comes through that looks as if it came from this machine, under the proxy's name or not, from pages of the proxy's
address.

``vidcam live`` and ``vidcam app`` have the same guard.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from vidcam.errors import UsageError

__all__ = ["LOOPBACK", "Guard", "allowed", "new_token", "proxy_name"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
COOKIE = "vidcam_token"
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
PASSWORD = "a user and a password are asked for"


def new_token(host: str, name: str | None = None) -> str | None:
    """What others must know to be let in by a server at ``host``; None where only this machine reaches it.

    ``name`` is that of a proxy with https before it.
    """
    return None if host in LOOPBACK and name is None else secrets.token_urlsafe(18)


def proxy_name(name: str) -> str:
    """The name of a proxy, perhaps with a port, as browsers write it in an origin; UsageError where it is none."""
    if not re.fullmatch(r"(?!-)[a-z0-9.-]+(:\d{1,5})?", name.lower()):
        raise UsageError(f"--name is the name at which a proxy with https is reached, such as cam.example.com, got {name!r}")
    return name.lower().removesuffix(":443")


def own_page(origin: str, host: str, name: str | None) -> bool:
    """Whether a page of ``origin`` is one of this server, which was called ``host``; ``name`` as for :func:`allowed`."""
    try:
        return urlsplit(origin).netloc == host or (name is not None and origin == f"https://{name}")
    except ValueError:  # no origin that a browser writes
        return False


def allowed(
    scope: Scope,
    *,
    hosts: Collection[str] | None,
    token: str | None,
    password: tuple[str, str] | None = None,
    name: str | None = None,
    cookie: str = COOKIE,
) -> str | None:
    """None where the request is welcome, else the reason why it is not.

    ``hosts``: the names of this server, None for any. ``token``: what must come as ``?token=``, as ``cookie`` or as a bearer.
    ``password``: a user and a password that do instead of the token. ``name``: the :func:`proxy_name` of a proxy with https, by
    which the server may be called too, and whose pages are its own.
    """
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    try:
        called = urlsplit(f"//{host}").hostname
    except ValueError:
        called = None
    if hosts is not None and called not in hosts and (name is None or called != name.partition(":")[0]):
        return f"this server is not called {called}"
    origin = headers.get("origin")
    looks = scope["type"] == "http" and scope.get("method", "GET") in ("GET", "HEAD")
    if origin is not None and not looks and not own_page(origin, host, name):
        return "pages of other sites may not look"
    if token is None and password is None:
        return None
    if token is not None and any(hmac.compare_digest(t.encode(), token.encode()) for t in _tokens(scope, headers, cookie)):
        return None
    if password is None:
        return "this server wants the token that it printed: open the address with ?token=... at its end"
    return None if _is_password(headers, password) else PASSWORD


def _tokens(scope: Scope, headers: Headers, cookie: str) -> list[str]:
    found = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
    bearer = headers.get("authorization", "")
    if bearer.startswith("Bearer "):
        found = [*found, bearer.removeprefix("Bearer ")]
    try:
        kept = SimpleCookie(headers.get("cookie", "")).get(cookie)
    except CookieError:
        kept = None
    return [*found, *([kept.value] if kept else [])]


def _is_password(headers: Headers, password: tuple[str, str]) -> bool:
    kind, _, given = headers.get("authorization", "").partition(" ")
    return kind.lower() == "basic" and hmac.compare_digest(given.strip().encode(), base64.b64encode(":".join(password).encode()))


class Guard:
    """Lets only :func:`allowed` requests through, and tells browsers to keep everything to this server.

    Whoever has shown the token or the password is known by a cookie from then on. ``headers`` are those of every answer, and what
    an answer has of its own is kept; ``closed`` are beginnings of paths to which nobody comes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str] | None,
        token: str | None,
        password: tuple[str, str] | None = None,
        name: str | None = None,
        cookie: str = COOKIE,
        headers: Mapping[str, str] = HEADERS,
        closed: tuple[str, ...] = (),
    ) -> None:
        if password is not None:
            token = secrets.token_urlsafe(18)  # for the cookie: some browsers send no password with websockets
        self._app, self._hosts, self._token, self._password, self._name = app, hosts, token, password, name
        self._cookie, self._headers, self._closed = cookie, headers, closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = allowed(
            scope, hosts=self._hosts, token=self._token, password=self._password, name=self._name, cookie=self._cookie
        )
        if reason is None and scope["path"].startswith(self._closed):
            reason = "this way in is closed"
        if reason is not None:
            await _refusal(scope, reason)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {key for key, _ in message["headers"]}
                extra = [(k.encode(), v.encode()) for k, v in self._headers.items()]
                extra = [(k, v) for k, v in extra if k not in there]
                if self._token is not None:
                    extra.append((b"set-cookie", f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/".encode()))
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        await self._app(scope, receive, with_headers)


def _refusal(scope: Scope, reason: str) -> ASGIApp:
    if scope["type"] == "websocket":
        return WebSocketClose(4403, reason)
    if reason == PASSWORD:
        return PlainTextResponse(f"{reason}\n", 401, {"www-authenticate": 'Basic realm="vidcam"'})
    return PlainTextResponse(f"{reason}\n", 403)
