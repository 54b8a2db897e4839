"""Run ``vidcam live``: check the options, open the source, and start and stop everything that belongs to it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vidcam.errors import UsageError, VidcamError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.io.files import check_output
from vidcam.live.actions.jsonl import STDOUT, JsonlSink
from vidcam.live.actions.table import list_actions, parse_action
from vidcam.live.events import DEFAULT_RULE
from vidcam.live.explainer import Explainer
from vidcam.live.models import ModelSwitch
from vidcam.live.pipeline import LivePipeline, MonitorConfig
from vidcam.live.recorder import Recorder
from vidcam.live.regions import parse_region
from vidcam.live.rules import parse_rule
from vidcam.live.sources import BROWSER, choose_sources
from vidcam.live.stream import DEFAULTS, HOP_S
from vidcam.live.window import show_window
from vidcam.settings import Look, Settings
from vidcam.web.live import PAGE
from vidcam.web.live.hub import Hub, make_camera_hub
from vidcam.web.live.server import make_viewer
from vidcam.web.live.summary import summarize
from vidcam.web.security import LOOPBACK, check_proxy_name, make_token
from vidcam.web.serving import listen, serve_app

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["PORT", "Plan", "run", "serve"]

PORT = 7870
POLL_S = 0.5  # how often a waiting program looks whether it was interrupted


@dataclass(frozen=True)
class Plan:
    """The options of ``vidcam live``.

    Attributes:
        sources: Cameras' numbers, addresses and files, each perhaps as ``NAME=SOURCE``; or only ``browser``.
        settings: How the source is explained.
        look: How evidence is drawn in a window or a recording.
        loop: Play a file over and over.
        cpu: The share of the machine's processor, 0 to 1, that the whole program may use.
        host: The address to serve on.
        port: The port to serve on; None is 7870 for a page, and no server without one.
        name: The name of a proxy with https before the server.
        window: Show a window of the desktop instead of the page.
        headless: Show nothing.
        record: An MP4 file for the annotated stream.
        rules: Rules, as the user writes them.
        regions: Regions of the picture as ``NAME=LEFT,TOP,RIGHT,BOTTOM``, which rules may ask for.
        actions: Actions as ``NAME=VALUE``, see :mod:`vidcam.live.actions.table`.
        overwrite: Replace an existing recording.
        say: Receives sentences for the user.
        real_time: If false, a file is read as fast as it can be explained, and every clip of it is explained.
        clock: The clock of everything that waits.
    """

    sources: Sequence[str]
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
    rules: Sequence[str] = ()
    regions: Sequence[str] = ()
    actions: Sequence[str] = ()
    overwrite: bool = False
    say: Callable[[str], None] = field(default=lambda sentence: None)
    real_time: bool = True
    clock: Clock = SYSTEM

    @property
    def is_browser(self) -> bool:
        """Whether the source is the camera of the browser that opens the page."""
        return tuple(self.sources) == (BROWSER,)

    @property
    def has_page(self) -> bool:
        """Whether the viewer's page is served."""
        return not (self.window or self.headless)


def run(plan: Plan, load: Callable[[], Engine]) -> None:
    """Watch the sources until they end, or until the program is interrupted.

    Args:
        plan: The options.
        load: Gives the engine; called once each source has given its first frame.

    Raises:
        UsageError: Options do not go together.
        InputError: A source cannot be read.
        VidcamError: Anything else that ends the stream.
    """
    config = _monitor_config(plan)
    _check_several(plan)
    _check(plan)
    if plan.name is not None:
        plan = replace(plan, name=check_proxy_name(plan.name))
    with ExitStack() as stack:
        listening = None
        if plan.has_page or plan.port is not None:
            listening = stack.enter_context(listen(plan.host, PORT if plan.port is None else plan.port))
        if plan.is_browser:
            assert listening is not None  # _check refuses a browser without a page
            hub = make_camera_hub(load(), plan.settings, cpu=plan.cpu, config=config)
            stack.enter_context(serve(plan, hub, listening))
            while True:
                plan.clock.sleep(POLL_S)
        _watch(plan, load, config, listening, stack)


def _watch(
    plan: Plan, load: Callable[[], Engine], config: MonitorConfig, listening: socket.socket | None, stack: ExitStack
) -> None:
    """Explain the sources that are read here, until all are over."""
    sources = choose_sources(plan.sources, loop=plan.loop, real_time=plan.real_time, clock=plan.clock)
    config = replace(config, sources=tuple(source.name for source in sources))
    for source in sources:
        config.rules_for(source.name)  # refuses a rule before anything is opened
    recorder: Recorder | None = None
    explained: list[LivePipeline] = []
    if plan.headless:  # said last, when all outputs are complete
        stack.callback(lambda: plan.say(summarize(explained, config.actions, recorder)) if explained else None)
    pipelines = [LivePipeline(source, real_time=plan.real_time, clock=plan.clock) for source in sources]
    for pipeline in pipelines:
        stack.callback(pipeline.close)
        pipeline.start()
    for pipeline in pipelines:
        pipeline.capture.wait()  # report a missing source before any weights are loaded
    engine = load()
    least_s = plan.settings.seconds_between_clip_starts or HOP_S
    explainer = Explainer(cpu=plan.cpu, least_s=least_s, real_time=plan.real_time, clock=plan.clock)
    models = ModelSwitch(engine) if plan.has_page else None
    for pipeline in pipelines:
        pipeline.explain(engine, plan.settings, config=config, explainer=explainer, models=models)
    if plan.record is not None:
        stream = pipelines[0].stream
        recorder = stack.enter_context(Recorder(stream, plan.look, plan.record, overwrite=plan.overwrite, say=plan.say))
    for pipeline in pipelines:
        pipeline.release_frames()
    explained += pipelines
    if listening is not None:
        stack.enter_context(serve(plan, Hub(*pipelines), listening))
    if plan.window:
        show_window(pipelines[0], plan.look, partial(_is_over, pipelines[0], plan))
        pipelines[0].stream.finish()
    else:
        _wait(plan, pipelines)


def _wait(plan: Plan, pipelines: Sequence[LivePipeline]) -> None:
    """Wait until all sources are over. One that fails does not end the others, but the first error is raised in the end."""
    running, errors = list(pipelines), []
    while running:
        pipeline = running.pop(0)
        try:
            if not pipeline.wait(partial(_is_over, pipeline, plan), POLL_S):
                running.append(pipeline)
                continue
            pipeline.stream.finish()
        except VidcamError as error:
            errors.append(error)
            if running:
                plan.say(f"{pipeline.source.name} is watched no longer: {error}")
        if running:
            pipeline.close()  # its events and files are complete, however long the others go on
    if errors:
        raise errors[0]


def _is_over(pipeline: LivePipeline, plan: Plan) -> bool:
    """Return whether nothing will come any more, also for the page. Raise the error that ended the pipeline, if there is one."""
    if pipeline.error is not None:
        raise pipeline.error
    return pipeline.capture.over and not plan.has_page


def _check_several(plan: Plan) -> None:
    """Refuse options that are for a single source, by a UsageError."""
    if len(plan.sources) > 1 and plan.window:
        raise UsageError("--window shows one source; leave it out to see all of them on the page")
    if len(plan.sources) > 1 and plan.record is not None:
        raise UsageError("--record writes one source; --clips saves the video around the events of all of them")


def _check(plan: Plan) -> None:
    """Refuse options that do not go together, by a UsageError, and a recording that cannot be written, by an OutputError."""
    if plan.window and plan.headless:
        raise UsageError("--window shows a window and --headless shows nothing: choose one")
    if plan.is_browser and not plan.has_page:
        raise UsageError("the camera of a browser needs the page: leave out --window and --headless")
    if plan.is_browser and (plan.loop or plan.record is not None):
        raise UsageError("--loop is for files, and --record for sources that are read here; the page of --browser records itself")
    if not plan.real_time and (not plan.headless or plan.loop):
        raise UsageError("--fast goes with --headless, and without --loop: what is shown or repeated is played in real time")
    if plan.name is not None:
        check_proxy_name(plan.name)
        if not plan.has_page and plan.port is None:
            raise UsageError("--name is for what is served: leave out --headless and --window, or add --port for the metrics")
    if plan.record is not None:
        check_output(plan.record, source=plan.sources[0], overwrite=plan.overwrite)
        if plan.record.suffix.lower() != ".mp4":
            raise UsageError(f"a recording is an MP4 file, so its name must end in .mp4, got {plan.record}")


def _monitor_config(plan: Plan) -> MonitorConfig:
    """Check the rules and make the actions. Without a page, events go to stdout unless a file gets them."""
    rules = [parse_rule(words) for words in plan.rules]
    requests = [parse_action(words) for words in plan.actions]
    if not rules and any(spec.needs_rule for spec, _ in requests):
        options = ", ".join(spec.option for spec in list_actions().values() if spec.needs_rule and spec.option)
        raise UsageError(f"{options} and --do say what to do when a rule holds: add --on RULE")
    actions = [spec.build(value) for spec, value in requests]
    if plan.headless and not any(isinstance(action, JsonlSink) for action in actions):
        actions.append(JsonlSink(STDOUT))
    return MonitorConfig(
        tuple(rules or ([DEFAULT_RULE] if actions else [])),
        tuple(actions),
        plan.say,
        regions=tuple(parse_region(words) for words in plan.regions),
        has_page=plan.has_page,
    )


@contextmanager
def serve(plan: Plan, hub: Hub, listening: socket.socket) -> Iterator[None]:
    """Serve the page, or only the metrics if the plan has no page, and say the address."""
    token = make_token(plan.host, plan.name)
    hosts = LOOPBACK if plan.host in LOOPBACK else None
    app = make_viewer(hub, PAGE if plan.has_page else None, hosts=hosts, token=token, name=plan.name)
    port = listening.getsockname()[1]
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    label, path = ("open", "/") if plan.has_page else ("metrics at", "/metrics")
    path += f"?token={token}" if token else ""
    through_proxy = f" or, through the proxy, https://{plan.name}{path}" if plan.name else ""
    with serve_app(app, listening):
        plan.say(f"{label} http://{host}:{port}{path}{through_proxy}")
        yield
