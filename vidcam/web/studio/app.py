"""``vidcam app``: ask why an action model said what it said, in a browser."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio is imported, so that it reports nothing
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
from fastapi import FastAPI
from starlette.types import ASGIApp

from vidcam.errors import UsageError, VidcamError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.web import words
from vidcam.web.security import LOOPBACK, check_proxy_name, make_token
from vidcam.web.serving import listen, serve_app

from . import annotate, compare, jobs, live, menus, models, teach
from .components import EVENT, PAGE
from .root import own_folder
from .runs import RunShelf, state_folder
from .serve import STATIC, Gate, media
from .sessions import Limits, SessionManager
from .teach_models import model_shelf
from .uploads import examples

__all__ = ["Limits", "Options", "build", "run", "served"]

# The secret that the server gave this tab of the browser when it was loaded before. (A browser may forbid pages to store it.)
KEPT = '(_, runs) => { try { return [sessionStorage.getItem("vidcam") ?? "", runs]; } catch { return ["", runs]; } }'
OPENING_S = 600.0  # longer than a tab takes to open its session on the busiest machine


@dataclass(frozen=True)
class Options:
    """The options of ``vidcam app``: ``auth`` is ``user:password``, ``name`` the name of a proxy with https before the server.

    ``showcase`` says whether an empty page plays an explained example. ``begun`` receives the :class:`SessionManager` before
    anybody is served.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    model: str = "auto"
    device: str = "auto"
    name: str | None = None
    auth: str | None = None
    share: bool = False
    open: bool = False
    showcase: bool = True
    limits: Limits = field(default_factory=Limits)
    say: Callable[[str], None] = field(default=lambda words: None)
    begun: Callable[[SessionManager], None] = field(default=lambda desk: None)
    clock: Clock = SYSTEM


def run(options: Options) -> None:
    """Serve until interrupted. UsageError if options do not go together, VidcamError if the port is taken."""
    with served(options) as address:
        options.say(
            f"open {address}" + (f" or, through the proxy, https://{check_proxy_name(options.name)}/" if options.name else "")
        )
        if options.open:
            webbrowser.open(address)
        while True:
            options.clock.sleep(0.2)


@contextmanager
def served(options: Options) -> Iterator[str]:
    """Serve the app while the ``with`` block lasts, and give its address. All uploads and results are deleted at the end."""
    auth = _auth(options)
    name = None if options.name is None else check_proxy_name(options.name)
    model = menus.default_model(options.model)
    logging.basicConfig(format="%(message)s")
    with ExitStack() as stack:
        listening = stack.enter_context(listen(options.host, options.port))
        options.say("starting the app")  # which takes seconds
        root = stack.enter_context(own_folder())
        os.environ["GRADIO_TEMP_DIR"] = str(root / "gradio")
        desk = SessionManager(root, options.limits, clock=options.clock).start()
        options.begun(desk)
        engines = jobs.Engines(options.device)
        why = menus.choice_reason(options.model)
        page = build(desk, engines, state_folder(), model=model, because=why, showcase=options.showcase)
        app = application(page, desk, live.Viewer(model, options.device, live.own_models(desk, options.device)))
        here = options.host in LOOPBACK and not options.share
        token = None if auth else make_token(options.host)
        stack.enter_context(serve_app(Gate(app, here=here, auth=auth, token=token, name=name), listening, stopping=desk.shut))
        host, port = options.host, listening.getsockname()[1]
        if options.share:
            options.say(f"for everybody: {_tunnel(port)}")
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}/{f'?token={token}' if token else ''}"


def build(
    desk: SessionManager, engines: jobs.Engines, state: Path, *, model: str, because: str = "", showcase: bool = True
) -> gr.Blocks:
    """Make the page, with ``model`` chosen at first for the reason ``because``; what outlives the server is kept in ``state``."""
    shelf = RunShelf(state / "runs")
    videos = examples(clips())
    demo: gr.Blocks
    with gr.Blocks(title="vidcam", analytics_enabled=False, fill_width=True) as demo:
        gr.HTML((PAGE / "header.html").read_text(encoding="utf-8"), elem_id="header", apply_default_css=False)
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab(words.Tabs.ANNOTATE, id="annotate"):
                tab = annotate.AnnotateTab(
                    desk, engines, shelf, model=model, examples=videos, because=because, showcase=state if showcase else None
                )
            with gr.Tab(words.Tabs.COMPARE, id="compare"):
                compared = compare.CompareTab(desk, engines, model=model)
            with gr.Tab(words.Tabs.LIVE, id="live"):
                viewer = live.LiveTab(desk)
            with gr.Tab(words.Tabs.TEACH, id="teach"):
                taught = teach.TeachTab(desk, engines, model_shelf())
            with gr.Tab(words.Tabs.MODELS, id="models"):
                shown = models.ModelsTab(desk)
        secret = gr.Textbox(visible=False)  # carries what the browser's tab has kept since it was loaded before

        # The secret of the browser, to which its runs belong; it outlives the server, so its key must too.
        browser = gr.BrowserState("", storage_key="vidcam-runs", secret="vidcam")

        def enter(kept: str, known: object, request: gr.Request) -> str:
            session = desk.open(str(request.session_hash), kept)
            owner, session.runs = shelf.owner(known)
            return owner

        entered = demo.load(enter, [secret, browser], browser, js=KEPT, **EVENT)
        for one in (tab, compared, viewer, taught, shown):
            one.enter(entered)
        compared.follow_video(tab.stage.input)
        for changed in (*taught.changes, *shown.changes):
            tab.follow_models(changed)
            compared.follow_models(changed)
        used = tab.take_model(taught.use, taught.menu)
        used.then(lambda: gr.Tabs(selected="annotate"), None, tabs, **EVENT)

        async def stay(request: gr.Request) -> None:
            """Keep the tab's stream of answers open for as long as there is the tab.

            Gradio shuts the stream with the last answer that is due and opens another for the next question; the answer to a
            question that is asked in that very moment goes into the one that was shut.
            """
            name, never = str(request.session_hash), asyncio.Event()
            end = desk.clock.now() + OPENING_S
            while not desk.knows(name) and desk.clock.now() < end:  # its session is opened beside this
                await desk.clock.wait_async(never, 0.1)
            while desk.knows(name):
                await desk.clock.wait_async(never, 0.5)

        demo.load(stay, None, None, **EVENT)

        def gone(request: gr.Request) -> None:
            desk.leave(str(request.session_hash))

        demo.unload(gone)
    return demo


def application(demo: gr.Blocks, desk: SessionManager, viewer: ASGIApp) -> FastAPI:
    """Return the application of the page, the live viewer and the files."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, routes=[*media(desk)])
    app.mount("/live", viewer)
    system = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif"]
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.orange,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_lg,
        font=system,
        font_mono=["ui-monospace", "monospace"],
    )
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        demo.queue(default_concurrency_limit=None, api_open=False),
        path="/",
        theme=theme,
        css_paths=[STATIC / "player.css", PAGE / "style.css"],
        favicon_path=str(PAGE / "icon.svg"),
        footer_links=[],
        allowed_paths=[],
        max_file_size=1,  # nothing comes in that way
        show_error=False,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
    )
    return mounted


def clips() -> Path:
    """Return the folder of the example clips: beside the package in a checkout, beside this module once installed."""
    here = Path(__file__).resolve().parent
    return next((p for p in (here / "clips", here.parents[2] / "clips") if p.is_dir()), here / "clips")


def _auth(options: Options) -> tuple[str, str] | None:
    if options.auth is None:
        for option, given in (("--share", options.share), ("--name", options.name)):
            if given:
                raise UsageError(f"{option} puts the app where everybody can reach it: add --auth user:password")
        return None
    user, colon, password = options.auth.partition(":")
    if not (user and colon and password):
        raise UsageError("--auth is a user and a password with a colon between them, as in --auth anna:secret")
    return user, password


def _tunnel(port: int) -> str:
    from gradio.networking import setup_tunnel

    try:
        return setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except Exception as error:
        raise VidcamError(f"the public address of --share could not be had ({error}): try again, or leave --share out") from error
