"""The guard of ``vidcam live`` and ``vidcam app``: only pages of this very server may use it.

A web site that is open in the same browser can send requests to addresses on this machine. Two checks keep it out: a request must
carry a Host header with a name of this server, which stops DNS rebinding (a site that points its own name here); and a request
that does more than read must come from a page of this server (browsers say so in ``Origin``, which pages cannot change). If the
server can be reached from other machines, its names are not known, so a token or a password is required instead. Behind a proxy
with https, requests appear to come from this machine, so a token is required there too; the proxy's name and pages of its address
are accepted.
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

__all__ = ["LOOPBACK", "Guard", "check_proxy_name", "find_refusal", "make_token"]

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
PASSWORD_REQUIRED = "a user and a password are asked for"


def make_token(host: str, name: str | None = None) -> str | None:
    """Make the token that a server at ``host`` requires; None if only this machine reaches it.

    ``name`` is the name of a proxy with https before the server.
    """
    return None if host in LOOPBACK and name is None else secrets.token_urlsafe(18)


def check_proxy_name(name: str) -> str:
    """Return the name of a proxy, perhaps with a port, as browsers write it in an origin. UsageError if it is not valid."""
    if not re.fullmatch(r"(?!-)[a-z0-9.-]+(:\d{1,5})?", name.lower()):
        raise UsageError(f"--name is the name at which a proxy with https is reached, such as cam.example.com, got {name!r}")
    return name.lower().removesuffix(":443")


def _is_own_page(origin: str, host: str, name: str | None) -> bool:
    """Return whether a page of ``origin`` belongs to this server, which was called ``host`` and is behind the proxy ``name``."""
    try:
        return urlsplit(origin).netloc == host or (name is not None and origin == f"https://{name}")
    except ValueError:  # no browser writes such an origin
        return False


def find_refusal(
    scope: Scope,
    *,
    hosts: Collection[str] | None,
    token: str | None,
    password: tuple[str, str] | None = None,
    name: str | None = None,
    cookie: str = COOKIE,
) -> str | None:
    """Return the reason why a request is refused; None if it is allowed.

    Args:
        scope: The ASGI scope of the request.
        hosts: The names of this server; None for any.
        token: What must come as ``?token=``, as the cookie or as a bearer; None if nothing must.
        password: A user and a password that are accepted instead of the token.
        name: The :func:`check_proxy_name` of a proxy with https, by which the server may be called too, and whose pages are its
            own.
        cookie: The name of the cookie.
    """
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    try:
        hostname = urlsplit(f"//{host}").hostname
    except ValueError:
        hostname = None
    if hosts is not None and hostname not in hosts and (name is None or hostname != name.partition(":")[0]):
        return f"this server is not called {hostname}"
    origin = headers.get("origin")
    only_reads = scope["type"] == "http" and scope.get("method", "GET") in ("GET", "HEAD")
    if origin is not None and not only_reads and not _is_own_page(origin, host, name):
        return "pages of other sites may not look"
    return _find_missing_secret(_tokens(scope, headers, cookie), headers, token, password)


def _find_missing_secret(tokens: list[str], headers: Headers, token: str | None, password: tuple[str, str] | None) -> str | None:
    """Return what is missing if the request has neither the token nor the password; None if it needs none, or has one."""
    if token is None and password is None:
        return None
    if token is not None and any(hmac.compare_digest(t.encode(), token.encode()) for t in tokens):
        return None
    if password is None:
        return "this server wants the token that it printed: open the address with ?token=... at its end"
    return None if _has_password(headers, password) else PASSWORD_REQUIRED


def _tokens(scope: Scope, headers: Headers, cookie: str) -> list[str]:
    """Return all tokens of a request: of its query, its bearer and its cookie."""
    tokens = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
    bearer = headers.get("authorization", "")
    if bearer.startswith("Bearer "):
        tokens = [*tokens, bearer.removeprefix("Bearer ")]
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(cookie)
    except CookieError:
        morsel = None
    return [*tokens, *([morsel.value] if morsel else [])]


def _has_password(headers: Headers, password: tuple[str, str]) -> bool:
    kind, _, given = headers.get("authorization", "").partition(" ")
    return kind.lower() == "basic" and hmac.compare_digest(given.strip().encode(), base64.b64encode(":".join(password).encode()))


class Guard:
    """Refuses requests with a wrong Host, Origin, token or password, and adds security headers to every answer.

    A browser that has sent the token or the password gets a cookie, which is enough from then on.

    Args:
        app: The application behind the guard.
        hosts: As for :func:`find_refusal`; so are ``token``, ``password``, ``name`` and ``cookie``.
        headers: Headers of every answer; those that an answer has already are kept.
        closed: Prefixes of paths that are closed to everybody.
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
        """Answer a request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = find_refusal(
            scope, hosts=self._hosts, token=self._token, password=self._password, name=self._name, cookie=self._cookie
        )
        if reason is None and scope["path"].startswith(self._closed):
            reason = "this way in is closed"
        if reason is not None:
            await _refuse(scope, reason)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {key for key, _ in message["headers"]}
                extra = [(k.encode(), v.encode()) for k, v in self._headers.items()]
                extra = [(k, v) for k, v in extra if k not in present]
                if self._token is not None:
                    extra.append((b"set-cookie", f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/".encode()))
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _refuse(scope: Scope, reason: str) -> ASGIApp:
    """Return the answer to a request that is refused."""
    if scope["type"] == "websocket":
        return WebSocketClose(4403, reason)
    if reason == PASSWORD_REQUIRED:
        return PlainTextResponse(f"{reason}\n", 401, {"www-authenticate": 'Basic realm="vidcam"'})
    return PlainTextResponse(f"{reason}\n", 403)
