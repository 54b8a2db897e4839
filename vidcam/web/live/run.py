"""``vidcam live``: everything put together, and taken apart again whatever happens."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vidcam.errors import UsageError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.io.files import check_output
from vidcam.live import rules as rulebook
from vidcam.live import sources
from vidcam.live.actions import RunCommand, Webhook
from vidcam.live.events import DEFAULT, Action, JsonlSink
from vidcam.live.pipeline import MonitorConfig, Watch
from vidcam.live.recorder import Recorder
from vidcam.live.stream import DEFAULTS
from vidcam.live.window import show
from vidcam.pipeline import Settings
from vidcam.render.renderer import Look
from vidcam.web.live import PAGE
from vidcam.web.live.server import Hub, cameras, viewer
from vidcam.web.security import LOOPBACK, new_token, proxy_name
from vidcam.web.serving import listen, serving

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["PORT", "Plan", "run", "serve"]

PORT = 7870
LOOK_S = 0.5  # how often a program that waits looks whether it was interrupted


@dataclass(frozen=True)
class Plan:
    """What ``vidcam live`` was asked for. ``port`` None: the usual one, and none at all where there is no page.

    ``name`` is that of a proxy with https before the server. If ``real_time`` is false, a file is taken as fast as it can be
    explained, and every window of it is.
    """

    source: str
    settings: Settings = DEFAULTS
    look: Look = field(default_factory=Look)
    loop: bool = False
    cpu: float = 0.75
    host: str = "127.0.0.1"
    port: int | None = None
    name: str | None = None
    window: bool = False
    headless: bool = False
    record: Path | None = None
    events: Path | None = None
    rules: Sequence[str] = ()
    command: str | None = None
    post: str | None = None
    films: Path | None = None
    overwrite: bool = False
    say: Callable[[str], None] = field(default=lambda sentence: None)
    real_time: bool = True
    clock: Clock = SYSTEM


def run(plan: Plan, load: Callable[[], Engine]) -> None:
    """Watch the source until it ends, or for ever; ``load`` gives the engine once the source has proven to be there.

    UsageError for what does not go together, InputError for a source that cannot be read, VidcamError for the rest.
    """
    orders = _orders(plan)
    browser = plan.source == sources.BROWSER
    served = not (plan.window or plan.headless)
    if plan.window and plan.headless:
        raise UsageError("--window shows a window and --headless shows nothing: choose one")
    if browser and not served:
        raise UsageError("the camera of a browser needs the page: leave out --window and --headless")
    if browser and (plan.loop or plan.record is not None):
        raise UsageError("--loop is for files, and --record for sources that are read here; the page of `browser` records itself")
    if not plan.real_time and (not plan.headless or plan.loop):
        raise UsageError("--fast goes with --headless, and without --loop: what is shown or repeated is played in real time")
    if plan.name is not None:
        plan = replace(plan, name=proxy_name(plan.name))
        if not served and plan.port is None:
            raise UsageError("--name is for what is served: leave out --headless and --window, or add --port for the metrics")
    if plan.record is not None:
        check_output(plan.record, source=plan.source, overwrite=plan.overwrite)
        if plan.record.suffix.lower() != ".mp4":
            raise UsageError(f"a recording is an MP4 file, so its name must end in .mp4, got {plan.record}")
    with ExitStack() as stack:
        listening = None
        if served or plan.port is not None:
            listening = stack.enter_context(listen(plan.host, PORT if plan.port is None else plan.port))
        if browser:
            assert listening is not None  # it has the page, or was refused above
            room = cameras(load(), plan.settings, cpu=plan.cpu, orders=orders)
            stack.enter_context(serve(plan, room, listening))
            while True:
                plan.clock.sleep(LOOK_S)
        source = sources.choose(plan.source, loop=plan.loop, real_time=plan.real_time, clock=plan.clock)
        watch = Watch(source, real_time=plan.real_time, clock=plan.clock)
        stack.callback(watch.close)
        watch.start().capture.wait()  # what is not there is told before any weights are looked for
        stream = watch.explain(load(), plan.settings, cpu=plan.cpu, orders=orders)
        if plan.record is not None:
            stack.enter_context(Recorder(stream, plan.look, plan.record, overwrite=plan.overwrite, say=plan.say))
        watch.go()
        if listening is not None:
            stack.enter_context(serve(plan, Hub(watch), listening))

        def over() -> bool:
            if watch.error is not None:
                raise watch.error
            return watch.capture.over and not served

        if plan.window:
            show(watch, plan.look, over)
        else:
            while not watch.wait(over, LOOK_S):
                pass
        stream.finish()


def _orders(plan: Plan) -> MonitorConfig:
    """The rules and actions, all checked."""
    rules = [rulebook.parse(words) for words in plan.rules]
    actions: list[Action] = []
    if plan.command is not None:
        actions.append(RunCommand(plan.command))
    if plan.post is not None:
        actions.append(Webhook(plan.post))
    if (actions or plan.films is not None) and not rules:
        raise UsageError("--run, --post and --clips say what to do when a rule holds: add --on RULE")
    lines = JsonlSink(plan.events) if plan.events is not None or plan.headless else None
    if lines is not None:
        rules = rules or [DEFAULT]
    snapshots = None if plan.events is None else plan.events.with_suffix(".snapshots")
    return MonitorConfig(rules, actions, lines=lines, snapshots=snapshots, films=plan.films, say=plan.say)


@contextmanager
def serve(plan: Plan, room: Hub, listening: socket.socket) -> Iterator[None]:
    """The room's page, or its metrics where the plan wants no page, at an address that is said."""
    page = None if plan.window or plan.headless else PAGE
    token = new_token(plan.host, plan.name)
    app = viewer(room, page, hosts=LOOPBACK if plan.host in LOOPBACK else None, token=token, name=plan.name)
    port = listening.getsockname()[1]
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    what = "open" if page is not None else "metrics at"
    rest = f"/{'' if page is not None else 'metrics'}{f'?token={token}' if token else ''}"
    outside = f" or, through the proxy, https://{plan.name}{rest}" if plan.name else ""
    with serving(app, listening):
        plan.say(f"{what} http://{host}:{port}{rest}{outside}")
        yield
