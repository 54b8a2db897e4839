"""``vidcam live``: cameras, streams and files explained while they run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from vidcam.cli import options
from vidcam.errors import UsageError
from vidcam.io.extras import require_extra
from vidcam.live.actions.table import ACTIONS
from vidcam.settings import Look, Settings

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["EXAMPLES", "live"]

ACTION_NAMES = ", ".join(f"{row.name}={row.value}" for row in ACTIONS)

EXAMPLES = """
[bold]Examples[/bold]

  vidcam live                                               the first camera, explained on a page of this machine

  vidcam live --browser                                     the camera of the browser that opens the page

  vidcam live rtsp://192.168.1.7/stream --headless --events events.jsonl

  vidcam live door=rtsp://192.168.1.7/stream yard=rtsp://192.168.1.8/stream 0      several at once, on one page

  vidcam live 0 --model mini --on "falling down > 0.8 for 1s" --run "notify-send fall" --clips falls/

  vidcam live clip.mp4 --loop --model x3d_s --cpu 50%       a file as if it were a camera
"""

event_option = partial(Option, rich_help_panel="Events")

OLD_BROWSER = "browser"
"""The source that meant ``--browser`` before it was an option. A file or folder of this name is an ordinary source."""


def live(
    sources: Annotated[
        list[str] | None,
        Argument(
            metavar="[NAME=]SOURCE...",
            help="Cameras' numbers, rtsp:// or http:// addresses, or files, all watched at once; NAME= gives one a name.",
            show_default="0, the first camera",
        ),
    ] = None,
    browser: Annotated[bool, Option("--browser", help="Explain the camera of the browser that opens the page.")] = False,
    model: options.Model = "auto",
    weights: options.Weights = None,
    labels: options.Labels = None,
    layer: options.Layer = None,
    fact: options.Fact = None,
    frame_interval: options.FrameInterval = None,
    trust_code: options.TrustCode = False,
    plugin: options.Plugin = None,
    method: options.OneMethod = None,
    label: options.Class = None,
    versus: options.Versus = None,
    style: options.Style = "heat",
    opacity: options.Opacity = 0.62,
    hop: Annotated[
        float,
        options.explanation_option(
            metavar="S", min=0.02, help="Minimum number of seconds from the start of one clip to the next."
        ),
    ] = 0.1,
    smooth: Annotated[
        float,
        options.explanation_option(metavar="S", min=0.0, help="Smoothing over time in seconds, over the past only (0: off)."),
    ] = 0.15,
    crops: options.Crops = "center",
    cpu: Annotated[
        str, Option(metavar="SHARE", help="Share of this machine's processor to use; the time between clips adapts to it.")
    ] = "75%",
    loop: Annotated[bool, Option("--loop", help="Play a file over and over.")] = False,
    fast: Annotated[
        bool, Option("--fast", help="Explain every clip of a file, as fast as the machine can (with --headless).")
    ] = False,
    window: Annotated[bool, options.output_option("--window", help="Show a desktop window instead of the page.")] = False,
    headless: Annotated[
        bool,
        options.output_option("--headless", help="Show no picture; events go to stdout, or to the file of --events."),
    ] = False,
    host: options.Host = "127.0.0.1",
    port: Annotated[int | None, options.server_option(min=0, max=65535, help=options.PORT_HELP, show_default="7870")] = None,
    name: options.Name = None,
    record: Annotated[
        Path | None, options.output_option(metavar="OUT.mp4", help="Write the annotated stream to a video.")
    ] = None,
    events: Annotated[
        Path | None,
        event_option(
            metavar="OUT.jsonl",
            help="Write a line of JSON when an event starts and when it ends, with snapshots beside the file.",
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        event_option(
            "--on",
            metavar="RULE",
            help="Rule that makes an event, such as 'falling down > 0.8 for 1s' (repeatable).",
            show_default="any > 0.6 for 0.5s",
        ),
    ] = None,
    regions: Annotated[
        list[str] | None,
        event_option(
            "--region",
            metavar="NAME=X0,Y0,X1,Y1",
            help="Region that rules may ask for, as in 'falling down > 0.8 in door', in shares of the picture (repeatable).",
        ),
    ] = None,
    command: Annotated[
        str | None,
        event_option(
            "--run", metavar="COMMAND", help="Command to run when an event starts; VIDCAM_... variables describe the event."
        ),
    ] = None,
    post: Annotated[str | None, event_option(metavar="URL", help="Post each start and end of an event as JSON.")] = None,
    clips: Annotated[Path | None, event_option(metavar="DIR", help="Save the video around each event.")] = None,
    actions: Annotated[
        list[str] | None,
        event_option(
            "--do", metavar="NAME=VALUE", help=f"Action on events: {ACTION_NAMES}, or one of an installed package (repeatable)."
        ),
    ] = None,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Explain a camera while it runs: a page with heat over the picture, events, and actions on events.

    --style and --opacity are for --window and --record; the page has its own controls.
    """
    require_extra("live", "vidcam live")
    from vidcam.cli.loading import load_engine
    from vidcam.cli.progress import ProgressBar
    from vidcam.live.budget import parse_share
    from vidcam.live.rules import labels_of
    from vidcam.web.live.run import Plan, run

    named = {"run": command, "post": post, "clips": clips, "jsonl": events}
    with ProgressBar(quiet=quiet) as bar:
        plan = Plan(
            sources=_sources(sources or (), browser=browser, quiet=quiet),
            settings=Settings(
                method=method, classes=() if label is None else (label,), versus=versus, seconds_between_clip_starts=hop,
                smooth_s=smooth, cover=crops == "cover",
            ),
            look=Look(style=style, opacity=opacity),
            cpu=parse_share(cpu), loop=loop, real_time=not fast, host=host, port=port, name=name, window=window,
            headless=headless, record=record, rules=tuple(rule or ()), regions=tuple(regions or ()),
            overwrite=overwrite, say=bar.print_message,
            actions=(*(f"{key}={value}" for key, value in named.items() if value is not None), *(actions or ())),
        )  # fmt: skip

        def load() -> Engine:
            return load_engine(
                bar,
                model,
                fact,
                frame_interval=frame_interval,
                weights=weights,
                labels=labels,
                layer=layer,
                trust_code=trust_code,
                phrases=[label or "", versus or "", *labels_of(rule or ())],
                device=device,
                engine=engine,
            )

        run(plan, load)


def _sources(sources: Sequence[str], *, browser: bool, quiet: bool) -> tuple[str, ...]:
    """Return what ``Plan.sources`` takes. UsageError if sources and --browser are given."""
    from vidcam.cli.progress import print_renamed
    from vidcam.live.sources import BROWSER

    if browser and sources:
        raise UsageError(f"--browser is a source of its own: leave out {' '.join(sources)}, or --browser")
    if browser:
        return (BROWSER,)
    if tuple(sources) == (OLD_BROWSER,) and not os.path.exists(OLD_BROWSER):
        print_renamed("vidcam live browser", "vidcam live --browser", quiet=quiet)
        return (BROWSER,)
    return tuple(os.path.join(os.curdir, word) if word == OLD_BROWSER else word for word in sources or ("0",))
