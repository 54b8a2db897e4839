"""Who is let into the app: one guard before every page, asset, route and websocket, as before the live page."""

from __future__ import annotations

import asyncio.selector_events
import inspect
import logging
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Send
from starlette.websockets import WebSocketDisconnect
from support.waiting import HANG_MS, HANG_S, run_async
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from vidcam.errors import UsageError
from vidcam.web.security import Guard
from vidcam.web.serving import listen, serve_app
from vidcam.web.studio import serve

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Response

pytestmark = pytest.mark.xdist_group("access")  # one server for all


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request with its body, accept a websocket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()  # until it is over
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def test_the_app_has_the_guard_of_the_live_page() -> None:
    assert issubclass(serve.Gate, Guard)
    with pytest.raises(UsageError, match="needs a token or a password"):
        serve.Gate(echo, here=False, auth=None)


SOCKET = "ws://machine.example/live/ws"


def test_the_token_is_shown_once_and_kept_as_a_cookie() -> None:
    client = TestClient(serve.Gate(echo, here=False, auth=None, token="abc"), base_url="http://machine.example")
    for path in ("/", "/?token=", "/?token=abd", "/media/x/y", "/live/"):
        refused = client.get(path)
        assert (refused.status_code, refused.text) == (
            403, "this server wants the token that it printed: open the address with ?token=... at its end\n",
        )  # fmt: skip
    assert client.post("/media/x").status_code == 403
    with pytest.raises(WebSocketDisconnect) as ended, client.websocket_connect(SOCKET):
        pass
    assert ended.value.code == 4403
    assert "HttpOnly; SameSite=Strict" in client.get("/?token=abc").headers["set-cookie"]
    assert client.get("/").status_code == client.post("/media/x").status_code == 200
    assert client.post("/media/x", headers={"origin": "http://evil.example"}).status_code == 403
    with client.websocket_connect(SOCKET):
        pass
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers={"origin": "http://[broken"}):
        pass


def test_on_this_machine_only_its_own_names_are_answered() -> None:
    client = TestClient(serve.Gate(echo, here=True, auth=None), base_url="http://127.0.0.1:7860")
    assert client.get("/").status_code == 200
    assert client.get("/", headers={"host": "evil.example:7860"}).text == "this server is not called evil.example\n"


# --- a server that others can reach


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that the app prints when it listens on all of the machine's addresses, as it is called from here."""
    folder = tmp_path_factory.mktemp("access")
    command = [sys.executable, "-c", "from vidcam.cli.main import main; main()", "app", "--host", "0.0.0.0", "--port", "0"]
    surroundings = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen([*command, "--model", "mini"], stderr=subprocess.PIPE, text=True, env=surroundings) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == "starting the app\n"
            printed = re.fullmatch(r"open (http://0\.0\.0\.0:\d+/\?token=\S+)\n", process.stderr.readline())
            assert printed
            yield printed[1].replace("0.0.0.0", "127.0.0.1")
        finally:
            process.terminate()
            said = process.stderr.read()
    assert said.strip() == ""  # nothing that anybody asked for is told in the terminal
    assert process.returncode == 143
    assert list(folder.glob("vidcam-app-*")) == []


def ask(address: str, *, method: str = "GET", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(address, b"{}" if method == "POST" else None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=HANG_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


WAYS_IN = [
    ("GET", ""), ("GET", "config"), ("GET", "theme.css"), ("GET", "gradio_api/info"), ("GET", "gradio_api/startup-events"),
    ("GET", "gradio_api/queue/data?session_hash=a"), ("POST", "gradio_api/queue/join"), ("POST", "gradio_api/upload"),
    ("GET", "gradio_api/file=x"), ("GET", "media/x/y"), ("POST", "media/x"), ("GET", "live/"), ("GET", "live/app.js"),
    ("GET", "live/metrics"), ("GET", "no/such/page"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), WAYS_IN)
def test_without_the_token_every_way_in_is_closed(address: str, method: str, path: str) -> None:
    bare = address.partition("?")[0]
    for cookie in ("", "vidcam_app=guess", "vidcam_token=guess"):
        status, said = ask(bare + path, method=method, Cookie=cookie)
        assert (status, said.startswith("this server wants the token that it printed")) == (403, True)


def test_the_printed_address_has_a_token_that_opens_page_and_websocket(address: str) -> None:
    bare, token = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)\?token=([\w-]{24})", address).groups()
    assert ask(address)[0] == 200
    cookie = f"vidcam_app={token}"
    assert ask(f"{bare}config", Cookie=cookie)[0] == ask(f"{bare}live/", Cookie=cookie)[0] == 200
    socket = f"ws://{urlsplit(bare).netloc}/live/ws"
    with pytest.raises(InvalidStatus, match="403"):
        connect(socket, open_timeout=HANG_S)
    with connect(socket, additional_headers={"Cookie": cookie}, open_timeout=HANG_S) as opened:
        assert '"type":"hello"' in opened.recv(HANG_S)


def test_a_browser_goes_in_by_the_printed_address(browser: Browser, address: str) -> None:
    page = browser.new_page()
    refused: list[str] = []

    def look(answer: Response) -> None:
        if answer.status in (401, 403):
            refused.append(answer.url)

    page.on("response", look)
    page.goto(address, timeout=HANG_MS)
    page.get_by_role("tab", name="Live").click(timeout=HANG_MS)
    page.frame_locator("#live iframe").locator("body").wait_for(timeout=HANG_MS)
    page.close()
    assert refused == []


# --- what comes in


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b"[" * 200 + b"]" * 200, b"9" * 5000, b"[1e999]", b"[NaN]", b'["\\ud800"]', b"\xff\xfe", bytes(range(256))],
    ids=["broken and deep", "deep", "5000 digits", "infinite", "no number", "half a letter", "no text", "bytes"],
)
def test_nonsense_is_refused_in_a_sentence(body: bytes) -> None:
    client = TestClient(serve.Gate(echo, here=True, auth=None), base_url="http://127.0.0.1")
    answer = client.post("/gradio_api/queue/join", content=body)
    assert (answer.status_code, answer.text.partition(":")[0]) == (400, "this is no JSON that can be read")
    assert client.post("/media/token", content=body).content == body  # videos are looked at where they are read


def test_what_pages_say_arrives_as_it_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    client = TestClient(serve.Gate(echo, here=True, auth=None), base_url="http://127.0.0.1")
    for body in (b"", b'{"data": [1.5, null, "\xc3\xa4"]}'):
        assert client.post("/x", content=body).content == body
    monkeypatch.setattr(serve, "MAX_BODY_BYTES", 10)
    assert client.post("/x", content=b"[0,0,0,0,0,0]").status_code == 413


def test_stream_for_a_page_that_is_gone_ends_without_a_traceback() -> None:
    """Gradio raises a 404 in the middle of the response; Starlette makes a RuntimeError of it."""

    async def run(app: ASGIApp) -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        await serve.Streams(app)({"type": "http", "method": "GET", "path": "/"}, receive, send)
        return sent

    async def stream(scope: object, receive: object, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: {}", "more_body": True})
        raise RuntimeError("Caught handled exception, but response already started.") from HTTPException(404)

    async def other(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("a bug")

    sent = run_async(run(stream))
    assert [(m["type"], m.get("more_body")) for m in sent] == [
        ("http.response.start", None), ("http.response.body", True), ("http.response.body", False)
    ]  # fmt: skip
    with pytest.raises(RuntimeError, match="a bug"):
        run_async(run(other))


def test_writing_to_a_viewer_that_has_vanished_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    words = "socket.send() raised exception."
    assert f"logger.warning('{words}')" in inspect.getsource(asyncio.selector_events)
    log = logging.getLogger("asyncio")
    with listen("127.0.0.1", 0) as listening, serve_app(echo, listening):
        log.warning(words)
        log.warning("another thing")
    assert "another thing" in caplog.text
    assert words not in caplog.text
