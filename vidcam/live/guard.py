"""Who may look: a page of this very server, and nobody whom another web site sent.

A web site that is open in the same browser can make requests to addresses on this machine. It is kept out twice: a request must
name this server by a name that belongs to it (else a site could point its own name here), and a websocket must come from a page
of this server (browsers say so in ``Origin``, and pages cannot change it). Where the server can be reached from other machines,
names are not known, and a token is asked for instead. So it is where a proxy with https stands before it: what comes through that
looks as if it came from this machine, under the proxy's name or not, from pages of the proxy's address.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from vidcam.errors import UsageError

__all__ = ["LOOPBACK", "Guard", "allowed", "own_page", "proxy_name"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
COOKIE = "vidcam_token"
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)


def proxy_name(name: str) -> str:
    """The name of a proxy, perhaps with a port, as browsers write it in an origin; UsageError where it is none."""
    if not re.fullmatch(r"(?!-)[a-z0-9.-]+(:\d{1,5})?", name.lower()):
        raise UsageError(f"--name is the name at which a proxy with https is reached, such as cam.example.com, got {name!r}")
    return name.lower().removesuffix(":443")


def own_page(origin: str, host: str, name: str | None) -> bool:
    """Whether a page of ``origin`` is one of this server, which was called ``host``; ``name`` as for :func:`allowed`."""
    return urlsplit(origin).netloc == host or (name is not None and origin == f"https://{name}")


def allowed(scope: Scope, *, hosts: Collection[str] | None, token: str | None, name: str | None = None) -> str | None:
    """None where the request is welcome, else the reason why it is not.

    ``hosts``: the names of this server, None for any. ``token``: what must come as ``?token=``, as a cookie or as a bearer.
    ``name``: the :func:`proxy_name` of a proxy with https, by which the server may be called too, and whose pages are its own.
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
    if origin is not None and scope["type"] == "websocket" and not own_page(origin, host, name):
        return "pages of other sites may not look"
    if token is not None and not any(hmac.compare_digest(t.encode(), token.encode()) for t in _tokens(scope, headers)):
        return "this server wants the token that it printed: open the address with ?token=... at its end"
    return None


def _tokens(scope: Scope, headers: Headers) -> list[str]:
    found = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
    bearer = headers.get("authorization", "")
    if bearer.startswith("Bearer "):
        found = [*found, bearer.removeprefix("Bearer ")]
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    return [*found, *([cookie.value] if cookie else [])]


class Guard:
    """Lets only :func:`allowed` requests through, and tells browsers to keep everything to this server."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None, token: str | None, name: str | None = None) -> None:
        self._app, self._hosts, self._token, self._name = app, hosts, token, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = allowed(scope, hosts=self._hosts, token=self._token, name=self._name)
        if reason is not None:
            refusal = WebSocketClose(4403, reason) if scope["type"] == "websocket" else PlainTextResponse(f"{reason}\n", 403)
            await refusal(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = {
                    "content-security-policy": POLICY,
                    "x-content-type-options": "nosniff",
                    "referrer-policy": "no-referrer",
                    "cache-control": "no-cache",
                }
                if self._token is not None:
                    extra["set-cookie"] = f"{COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path=/"
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in extra.items())]
            await send(message)

        await self._app(scope, receive, with_headers)
