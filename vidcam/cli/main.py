"""Words to calls, errors to exit codes. No logic: whatever thinks lives in the package.

Data goes to stdout, progress and messages to stderr. Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from vidcam.errors import Terminated, UsageError, VidcamError

if TYPE_CHECKING:
    from types import FrameType

    from vidcam.analysis import Analysis
    from vidcam.cli.progress import Bar
    from vidcam.engine import Engine

app = typer.Typer(
    name="vidcam",
    help="Why did the action model say that, where, and when?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="The models as a table; import and download weights.", rich_markup_mode="rich")
app.add_typer(models_app, name="models")


def _versions(asked: bool) -> None:
    if asked:
        from vidcam.analysis import versions

        found = versions()
        typer.echo(f"vidcam {found.pop('vidcam')} ({', '.join(f'{name} {number}' for name, number in found.items())})")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_versions, is_eager=True, help="Show the versions and exit.")
    ] = False,
) -> None: ...


class StyleName(StrEnum):
    heat = "heat"
    contour = "contour"
    spotlight = "spotlight"
    side_by_side = "side-by-side"


class CropsName(StrEnum):
    one = "center"
    cover = "cover"


class SmoothingName(StrEnum):
    gaussian = "gaussian"
    exponential = "exponential"
    flow = "flow"
    none = "none"


class TailName(StrEnum):
    shift = "shift"
    hold = "hold"
    drop = "drop"


Facts = Annotated[
    list[str] | None,
    typer.Option(
        "--fact",
        metavar="KEY=VALUE",
        help="How your own network wants its clips, such as mean=0.5,0.5,0.5 or frames=8; repeatable.",
    ),
]
TrustCode = Annotated[bool, typer.Option("--trust-code", help="Run the code that a trained folder names.")]


def opened(bar: Bar, model: str, facts: list[str] | None, **options: Any) -> Engine:
    """Open the model with what --fact says and the options of :func:`vidcam.open_engine`; show progress, then print its notes."""
    from vidcam.engine import open_engine
    from vidcam.models.custom import facts_of_words

    bar.begin("weights")
    loaded = open_engine(model, facts=facts_of_words(facts or ()), progress=bar.bytes, **options)
    bar.clear()
    for note in loaded.notes:
        bar.say(f"note: {note}")
    return loaded


EXAMPLES = """
[bold]Examples[/bold]

  vidcam annotate clip.mp4                                  writes clip.vidcam.mp4 here

  vidcam annotate clip.mp4 -o why.mp4 --report why.html     with a page to read

  vidcam annotate clip.mp4 --class "arm wrestling" --versus "shaking hands"

  vidcam annotate videos/ --out-dir explained --json "explained/{name}.json"

  vidcam annotate clip.mp4 --model my_net.py:build --weights net.safetensors --labels names.txt
"""


@app.command(epilog=EXAMPLES)
def annotate(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Video files, folders of videos, folders of numbered images, or http URLs."),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The explained video (one input).", show_default=False)
    ] = None,
    out_dir: Annotated[Path | None, typer.Option(help="Folder for the explained videos (any number of inputs).")] = None,
    model: Annotated[
        str, typer.Option(help="A name from `vidcam models`, a trained folder, package.module:factory, or file.py:factory.")
    ] = "auto",
    weights: Annotated[Path | None, typer.Option(help="Weights: safetensors, or a torch state dict.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Class names: one a line, or a JSON list.")] = None,
    layer: Annotated[str | None, typer.Option(help="Explain this module instead of the model's own choice.")] = None,
    fact: Facts = None,
    trust_code: TrustCode = False,
    method: Annotated[
        str | None,
        typer.Option(
            help="From `vidcam methods`; smoothgrad:NAME and vargrad:NAME go around another.",
            show_default="cam where exact, else gradcam",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="LABEL", help="Explain this class; repeatable.", show_default="the answers"),
    ] = None,
    versus: Annotated[str | None, typer.Option(metavar="LABEL", help="Why the class and not this one?")] = None,
    style: Annotated[StyleName, typer.Option(help="How evidence is drawn.")] = StyleName.heat,
    signed: Annotated[bool, typer.Option("--signed", help="Show evidence against the class too, in the second colour.")] = False,
    opacity: Annotated[float, typer.Option(min=0.05, max=1.0, help="Of the strongest evidence.")] = 0.62,
    hop: Annotated[float | None, typer.Option(metavar="S", help="Seconds between windows.", show_default="half a clip")] = None,
    smooth: Annotated[float, typer.Option(metavar="S", help="Smoothing over time in seconds; 0 is off.")] = 0.25,
    smoothing: Annotated[
        SmoothingName, typer.Option(help="Kind of smoothing; flow follows the motion.")
    ] = SmoothingName.gaussian,
    crops: Annotated[CropsName, typer.Option(help="The model's centre crop, or several that cover the frame.")] = CropsName.one,
    tail: Annotated[
        TailName, typer.Option(help="End of the video: shift the last window back, hold the last frame, or drop.")
    ] = TailName.shift,
    start: Annotated[float | None, typer.Option(metavar="S", help="Begin this many seconds into the video.")] = None,
    end: Annotated[float | None, typer.Option(metavar="S", help="Stop this many seconds into the video.")] = None,
    html: Annotated[Path | None, typer.Option("--report", metavar="OUT.html", help="One-file HTML report.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="OUT.json", help="Everything as numbers.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="OUT.csv", help="The timeline as a table.")] = None,
    vtt: Annotated[Path | None, typer.Option(metavar="OUT.vtt", help="Segments as subtitles.")] = None,
    maps: Annotated[Path | None, typer.Option(metavar="OUT.npz", help="Raw signed maps with times and geometry.")] = None,
    tubes: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Evidence as boxes and masks over time: .json, .csv or .coco.json.")
    ] = None,
    verdict: Annotated[
        bool, typer.Option("--verdict", help="Try whether the model needs what the map shows, and say so.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    engine: Annotated[str, typer.Option(help="auto, openvino, torch, or either with -bf16.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
) -> None:
    """Write an explained video: what the model says, and the evidence for it in space and time."""
    from vidcam import annotation, pipeline
    from vidcam.cli.outputs import plan
    from vidcam.cli.progress import Bar
    from vidcam.render import renderer

    jobs = plan(
        inputs,
        output=output,
        out_dir=out_dir,
        reports={"html": html, "json": json, "csv": csv, "vtt": vtt, "npz": maps, "tubes": tubes},
        overwrite=overwrite,
    )
    settings = pipeline.Settings(
        method=method,
        classes=tuple(classes or ()),
        versus=versus,
        seconds_between_clip_starts=hop,
        tail=tail.value,
        cover=crops is CropsName.cover,
        smoothing=smoothing.value,
        smooth_s=smooth,
        start_s=start,
        end_s=end,
        verdict=verdict,
        seed=seed,
    )
    if signed and style is StyleName.spotlight:
        raise UsageError("a spotlight shows only what speaks for the class: leave --signed out, or take --style heat or contour")
    look = renderer.Look(style=style.value, opacity=opacity, signed=signed)
    with Bar(quiet=quiet) as bar:
        loaded = opened(
            bar, model, fact, weights=weights, labels=labels, layer=layer, trust_code=trust_code, device=device, engine=engine
        )
        pipeline.Session(loaded, settings)  # what is wrong for every input is told once
        failed = 0
        for number, (source, outputs) in enumerate(jobs, 1):
            name = Path(source).name or source
            bar.begin(name if len(jobs) == 1 else f"{number}/{len(jobs)} {name}")
            warnings = _Warnings(bar, source)
            try:
                analysis = annotation.annotate(
                    source, outputs, engine=loaded, settings=settings, look=look, progress=bar.frames, say=warnings.say
                )
            except (VidcamError, OSError) as error:
                if len(jobs) == 1:
                    raise
                failed += 1
                bar.say(f"error: {source}: {error}", always=True)
                continue
            for warning in analysis.warnings[len(loaded.notes) :]:
                warnings.say(warning)
            bar.out(_summary(source, analysis))
    if failed:
        _fail(f"{failed} of {len(jobs)} inputs could not be explained", 1)


class _Warnings:
    """Says each warning about an input once."""

    def __init__(self, bar: Bar, source: str) -> None:
        self._bar, self._source = bar, source
        self._said: set[str] = set()

    def say(self, warning: str) -> None:
        if warning not in self._said:
            self._said.add(warning)
            self._bar.say(f"warning: {self._source}: {warning}")


EVALUATE_EXAMPLES = """
[bold]Examples[/bold]

  vidcam evaluate clip.mp4 --report true.html               does the model need what the map shows?

  vidcam evaluate clip.mp4 --method gradcam --layer layer3 --class "arm wrestling"

  vidcam evaluate clip.mp4 --splice other.mp4               two videos cut together: evidence in its own part?

  vidcam evaluate my_actions/ --report mistakes.html        a folder of class folders: worst mistakes, suspicious evidence

  vidcam evaluate benchmark --model mini --method cam --method lrp --report scores.html
"""


@app.command(epilog=EVALUATE_EXAMPLES)
def evaluate(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A video, a folder with one folder of videos for each class, or `benchmark`.")
    ],
    model: Annotated[str, typer.Option(help="A name from `vidcam models`, a trained folder, or a factory.")] = "auto",
    weights: Annotated[Path | None, typer.Option(help="Weights: safetensors, or a torch state dict.")] = None,
    layer: Annotated[str | None, typer.Option(help="Explain this module instead of the model's own choice.")] = None,
    fact: Facts = None,
    trust_code: TrustCode = False,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="From `vidcam methods`, also smoothgrad:NAME; repeatable for the benchmark.",
            show_default="cam where exact, else gradcam",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--class", metavar="LABEL", help="The class whose evidence is tested.", show_default="the answer"),
    ] = None,
    versus: Annotated[str | None, typer.Option(metavar="LABEL", help="Why the class and not this one?")] = None,
    windows: Annotated[int, typer.Option(min=1, help="Windows to test, those with the highest probability.")] = 4,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="What removed parts become: blur, frozen or inpaint; repeatable.", show_default="all three"),
    ] = None,
    splice: Annotated[
        str | None, typer.Option(metavar="OTHER", help="A second video, with another answer, to cut into this.")
    ] = None,
    hop: Annotated[float | None, typer.Option(metavar="S", help="Seconds between windows.", show_default="half a clip")] = None,
    smooth: Annotated[float, typer.Option(metavar="S", help="Smoothing over time in seconds; 0 is off.")] = 0.25,
    smoothing: Annotated[SmoothingName, typer.Option(help="Kind of smoothing.")] = SmoothingName.gaussian,
    html: Annotated[Path | None, typer.Option("--report", metavar="OUT.html", help="A page with plots.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="OUT.json", help="Everything as numbers.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="OUT.csv", help="A line for each video (class folders).")] = None,
    clips: Annotated[int, typer.Option(min=1, help="Drawn clips of each class (benchmark).")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
) -> None:
    """Test an explanation: what the model loses without the hot part, beside controls, and whether the map is about the class.

    A folder of class folders is looked through for mistakes and suspicious evidence; `benchmark` scores methods on drawn people.
    """
    from vidcam.cli.progress import Bar
    from vidcam.evaluation import benchmark, folder
    from vidcam.evaluation import video as judge
    from vidcam.io.files import check_output
    from vidcam.io.source import open_source
    from vidcam.methods import core
    from vidcam.pipeline import Settings

    scored = source == "benchmark"
    many = not scored and bool(folder.classes_in(source))
    if len(method or ()) > 1 and not scored:
        raise UsageError("one method is tested at a time, except in the benchmark; `vidcam compare` shows several side by side")
    unfit = {"--class": label, "--versus": versus, "--splice": splice} if many or scored else {}
    if named := [option for option, value in unfit.items() if value is not None]:
        raise UsageError(f"{named[0]} goes with a single video; {source} is explained for what is in its clips")
    for path in (html, json, csv):
        if path is not None:
            check_output(path, source=source, overwrite=overwrite)
    if not many and not scored:
        open_source(source).close()  # a bad input is told before any weights are fetched
    if csv is not None and not many:
        raise UsageError("--csv goes with a folder of class folders; otherwise use --json")
    settings = Settings(
        method=method[0] if method else None, classes=() if label is None else (label,), versus=versus,
        seconds_between_clip_starts=hop,
        smooth_s=smooth, smoothing=smoothing.value, seed=seed,
    )  # fmt: skip
    with Bar(quiet=quiet) as bar:
        loaded = opened(bar, model, fact, weights=weights, layer=layer, trust_code=trust_code, device=device)
        bar.begin(Path(source).name or source)
        if scored:
            wanted = method or [core.choose(None, loaded.spec).name]
            made = benchmark.run(loaded, wanted, clips=clips, seed=seed, progress=bar.frames)
            if html is not None:
                benchmark.write_html(made, html, overwrite=overwrite)
            if json is not None:
                benchmark.write_json(made, json, overwrite=overwrite)
            for note in made.notes:
                bar.say(f"note: {note}")
            bar.out(benchmark.table(made.rows))
            return
        if many:
            looked = folder.inspect(source, engine=loaded, settings=settings, progress=bar.frames)
            for write, target in ((folder.write_html, html), (folder.write_json, json), (folder.write_csv, csv)):
                if target is not None:
                    write(looked, target, overwrite=overwrite)
            bar.out(folder.in_words(looked))
            return
        chosen = tuple(baseline) if baseline else tuple(judge.BASELINES)
        found = judge.evaluate(
            source, engine=loaded, settings=settings, windows=windows, baselines=chosen, other=splice, progress=bar.frames
        )
        if html is not None:
            judge.write_html(found, html, overwrite=overwrite)
        if json is not None:
            judge.write_json(found, json, overwrite=overwrite)
        bar.out(judge.in_words(found))


LIVE_EXAMPLES = """
[bold]Examples[/bold]

  vidcam live                                               the first camera, explained on a page of this machine

  vidcam live browser                                       the camera of the browser that opens the page

  vidcam live rtsp://192.168.1.7/stream --headless --events seen.jsonl

  vidcam live 0 --on "falling down > 0.8 for 1s" --run "notify-send fall" --clips falls/

  vidcam live clip.mp4 --loop --model x3d_s --cpu 50%       a file as if it were a camera
"""


@app.command(epilog=LIVE_EXAMPLES)
def live(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A camera's number, an rtsp:// or http:// address, a file, or `browser`."),
    ] = "0",
    model: Annotated[str, typer.Option(help="A name from `vidcam models`, a trained folder, or a factory.")] = "auto",
    weights: Annotated[Path | None, typer.Option(help="Weights: safetensors, or a torch state dict.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Class names: one a line, or a JSON list.")] = None,
    layer: Annotated[str | None, typer.Option(help="Explain this module instead of the model's own choice.")] = None,
    fact: Facts = None,
    trust_code: TrustCode = False,
    method: Annotated[
        str | None,
        typer.Option(
            help="From `vidcam methods`; smoothgrad:NAME and vargrad:NAME go around another.",
            show_default="cam where exact, else gradcam",
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--class", metavar="LABEL", help="Explain this class.", show_default="the answer of the moment")
    ] = None,
    versus: Annotated[str | None, typer.Option(metavar="LABEL", help="Why the class and not this one?")] = None,
    style: Annotated[StyleName, typer.Option(help="How evidence is drawn (window, recording).")] = StyleName.heat,
    opacity: Annotated[float, typer.Option(min=0.05, max=1.0, help="Of the strongest evidence (window, recording).")] = 0.62,
    hop: Annotated[float, typer.Option(metavar="S", min=0.02, help="Seconds between windows, at least.")] = 0.1,
    smooth: Annotated[float, typer.Option(metavar="S", min=0.0, help="Smoothing, over the past only; 0 is off.")] = 0.15,
    crops: Annotated[CropsName, typer.Option(help="The model's centre crop, or several that cover the frame.")] = CropsName.one,
    cpu: Annotated[
        str, typer.Option(metavar="SHARE", help="Of this machine's processor, for all of it; the hop adapts.")
    ] = "75%",
    loop: Annotated[bool, typer.Option("--loop", help="Play a file over and over.")] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Explain every window of a file, as fast as the machine can (with --headless).")
    ] = False,
    window: Annotated[bool, typer.Option("--window", help="A window of the desktop instead of the page.")] = False,
    headless: Annotated[
        bool, typer.Option("--headless", help="No picture anywhere; events go to stdout, or where --events says.")
    ] = False,
    host: Annotated[str, typer.Option(help="The address to serve on; other machines need the printed token.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the page and the metrics; 0 is any free one.", show_default="7870")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="HOST", help="Of a proxy with https before it, such as cam.example.com.")
    ] = None,
    record: Annotated[Path | None, typer.Option(metavar="OUT.mp4", help="Write the annotated stream to a video.")] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="OUT.jsonl", help="A line when something begins and when it ends; snapshots beside it.")
    ] = None,
    rules: Annotated[
        list[str] | None,
        typer.Option(
            "--on", metavar="RULE", help="Such as 'falling down > 0.8 for 1s'; repeatable.", show_default="any > 0.6 for 0.5s"
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--run", metavar="COMMAND", help="Run when a rule begins to hold; facts in VIDCAM_... variables."),
    ] = None,
    post: Annotated[str | None, typer.Option(metavar="URL", help="Post each start and end as JSON.")] = None,
    clips: Annotated[Path | None, typer.Option(metavar="DIR", help="Save the video around each event.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    engine: Annotated[str, typer.Option(help="auto, openvino, torch, or either with -bf16.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a recording.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
) -> None:
    """Explain a camera while it runs: a page with the heat over the picture, events, and what to do about them."""
    from vidcam.cli.progress import Bar
    from vidcam.live import budget
    from vidcam.pipeline import Settings
    from vidcam.render.renderer import Look
    from vidcam.web.live import run

    with Bar(quiet=quiet) as bar:
        plan = run.Plan(
            source=source,
            settings=Settings(
                method=method, classes=() if label is None else (label,), versus=versus,
        seconds_between_clip_starts=hop, smooth_s=smooth,
                cover=crops is CropsName.cover,
            ),
            look=Look(style=style.value, opacity=opacity),
            cpu=budget.share_of(cpu), loop=loop, real_time=not fast, host=host, port=port, name=name, window=window,
            headless=headless,
            record=record, events=events, rules=tuple(rules or ()), command=command, post=post, films=clips, overwrite=overwrite,
            say=bar.say,
        )  # fmt: skip

        def load() -> Engine:
            return opened(
                bar, model, fact, weights=weights, labels=labels, layer=layer, trust_code=trust_code, device=device, engine=engine
            )

        run.run(plan, load)


APP_EXAMPLES = """
[bold]Examples[/bold]

  vidcam app --open                                         the app in your browser, for this machine only

  vidcam app --host 0.0.0.0 --auth anna:secret              for others in the network too
"""


@app.command("app", epilog=APP_EXAMPLES)
def gradio_app(
    model: Annotated[str, typer.Option(help="A name from `vidcam models`, chosen at first and used for live.")] = "auto",
    host: Annotated[
        str, typer.Option(help="The address to serve on; other machines need the printed token, or --auth.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = 7860,
    name: Annotated[
        str | None, typer.Option(metavar="HOST", help="Of a proxy with https before it, such as cam.example.com; needs --auth.")
    ] = None,
    auth: Annotated[str | None, typer.Option(metavar="USER:PASSWORD", help="Ask whoever comes for these.")] = None,
    share: Annotated[bool, typer.Option("--share", help="A public address, through Gradio's servers; needs --auth.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    max_size: Annotated[int, typer.Option(metavar="MB", min=1, help="Of a video that is brought.")] = 200,
    max_minutes: Annotated[float, typer.Option(metavar="MIN", min=0.1, help="Of a video that is brought.")] = 5.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
) -> None:
    """The app: bring a video, see what the model says, where and when, compare methods, look at your camera live."""
    from vidcam.cli.progress import Bar
    from vidcam.web.studio import app as page

    with Bar(quiet=quiet) as bar:
        page.run(
            page.Options(
                host=host, port=port, model=model, device=device, name=name, auth=auth, share=share, open=open_browser,
                limits=page.Limits(size=max_size * 1_000_000, seconds=60 * max_minutes), say=bar.say,
            )
        )  # fmt: skip


COMPARE_EXAMPLES = """
[bold]Examples[/bold]

  vidcam compare clip.mp4 --report compared.html            a method of each family, the two most probable classes

  vidcam compare clip.mp4 --method cam --method lrp --method rise --class clapping --class boxing

  vidcam compare clip.mp4 --layer layer3                    where gradient CAMs differ
"""


@app.command(epilog=COMPARE_EXAMPLES)
def compare(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="A video file, a folder of numbered images, or an http URL.")],
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME",
            help="From `vidcam methods`, also smoothgrad:NAME; repeatable.",
            show_default="one of each family",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="LABEL", help="Explain this class; repeatable.", show_default="the two most probable"),
    ] = None,
    versus: Annotated[str | None, typer.Option(metavar="LABEL", help="Why the class and not this one?")] = None,
    model: Annotated[str, typer.Option(help="A name from `vidcam models`, a trained folder, or a factory.")] = "auto",
    weights: Annotated[Path | None, typer.Option(help="Weights: safetensors, or a torch state dict.")] = None,
    layer: Annotated[str | None, typer.Option(help="Explain this module instead of the model's own choice.")] = None,
    fact: Facts = None,
    trust_code: TrustCode = False,
    hop: Annotated[float | None, typer.Option(metavar="S", help="Seconds between windows.", show_default="half a clip")] = None,
    smooth: Annotated[float, typer.Option(metavar="S", help="Smoothing over time in seconds; 0 is off.")] = 0.25,
    start: Annotated[float | None, typer.Option(metavar="S", help="Begin this many seconds into the video.")] = None,
    end: Annotated[float | None, typer.Option(metavar="S", help="Stop this many seconds into the video.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The grid video.", show_default="NAME.compare.mp4 here")
    ] = None,
    html: Annotated[Path | None, typer.Option("--report", metavar="OUT.html", help="A page with pictures and plots.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="OUT.json", help="Everything as numbers.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
) -> None:
    """Explanation methods side by side, for several classes: a grid video, what each costs, and how far they agree."""
    from vidcam.cli.outputs import outputs_for
    from vidcam.cli.progress import Bar
    from vidcam.evaluation import compare as side_by_side
    from vidcam.pipeline import Settings
    from vidcam.reports import comparison

    video, outputs = outputs_for(source, video=output, html=html, json=json, overwrite=overwrite)
    settings = Settings(
        classes=tuple(classes or ()),
        versus=versus,
        seconds_between_clip_starts=hop,
        smooth_s=smooth,
        start_s=start,
        end_s=end,
        seed=seed,
    )
    with Bar(quiet=quiet) as bar:
        loaded = opened(bar, model, fact, weights=weights, layer=layer, trust_code=trust_code, device=device)
        bar.begin(Path(video).name or video)
        found = side_by_side.compare(
            video, outputs, engine=loaded, settings=settings, methods=tuple(methods or ()), progress=bar.frames
        )
        for note in found.notes:
            bar.say(f"note: {note}")
        for warning in found.warnings[len(loaded.notes) :]:
            bar.say(f"warning: {video}: {warning}")
        bar.out(comparison.in_words(found))


TRAIN_EXAMPLES = """
[bold]Examples[/bold]

  vidcam train my_actions/ -o mine                          my_actions/ has one folder of videos for each class

  vidcam annotate clip.mp4 --model mine                     the result is a model

  vidcam train my_actions/ -o mine --model x3d_s --trunk frozen --holdout "*/person3_*"

  vidcam train people -o new_mini                           on drawn people, from random weights
"""


class TrunkName(StrEnum):
    all = "all"
    frozen = "frozen"


@app.command(epilog=TRAIN_EXAMPLES)
def train(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A folder of class folders of videos, or with a labels.csv; or `people`.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the trained model and its report.")],
    model: Annotated[
        str, typer.Option(help="Start from this name of `vidcam models`, a trained folder, or file.py:factory.")
    ] = "mini",
    weights: Annotated[Path | None, typer.Option(help="Weights to start from, instead of the model's own.")] = None,
    scratch: Annotated[
        bool | None, typer.Option("--scratch/--no-scratch", help="Start from random weights.", show_default="for people")
    ] = None,
    trunk: Annotated[TrunkName, typer.Option(help="Train all layers, or only the last one.")] = TrunkName.all,
    holdout: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Keep back the videos with such names.", show_default="a fifth, by group"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Times through the videos.", show_default="30; 48 of 4000 clips for people")
    ] = None,
    patience: Annotated[int, typer.Option(min=1, help="Stop after so many epochs without getting better (folders).")] = 8,
    batch: Annotated[int, typer.Option(min=1, help="Clips in a step.")] = 16,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.", show_default="by what is trained")] = None,
    evidence: Annotated[float, typer.Option(min=0, help="Weight of where the evidence lies (people).")] = 2.0,
    flip: Annotated[bool, typer.Option("--flip", help="Mirror at random: only where left and right mean the same.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    trust_code: TrustCode = False,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that prepare clips.", show_default="by machine")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a trained model.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
) -> None:
    """Teach a model your own actions, or train one on drawn people. The same command continues after a stop."""
    from vidcam.cli.progress import Bar
    from vidcam.training import TrainConfig
    from vidcam.training import train as learn

    recipe = TrainConfig(
        model=model, scratch=scratch, trunk=trunk.value, epochs=epochs, batch=batch, lr=lr, evidence=evidence, holdout=holdout,
        patience=patience, flip=flip, seed=seed, workers=workers, device=device,
    )  # fmt: skip
    with Bar(quiet=quiet) as bar:
        bar.begin(Path(data).name or data)
        result = learn(
            data,
            output,
            recipe=recipe,
            weights=weights,
            trust_code=trust_code,
            overwrite=overwrite,
            progress=bar.frames,
            downloaded=bar.bytes,
            say=bar.say,
        )
        for remark in result.remarks:
            bar.say(f"note: {remark}")
        quality = "" if result.accuracy is None else f": {result.accuracy:.1%} of {result.held_out} held-out clips right"
        bar.out(f"{result.folder}{quality}")


@app.command()
def methods(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """The explanation methods as a table."""
    from vidcam.methods import core

    rows = [
        {
            "name": m.name,
            "title": m.title,
            "family": m.family,
            "signed": m.signed,
            "complete": m.complete,
            "requires": sorted(m.requires),
            "cost": m.cost,
            "paper": m.paper,
        }
        for m in core.methods()
    ]
    _table(rows, as_json=as_json, hidden=("family", "requires", "paper"))


@models_app.callback(invoke_without_command=True)
def models(ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """The models as a table: facts, weights, and whether they are on this machine."""
    if ctx.invoked_subcommand is not None:
        return
    from vidcam.models import loading, registry

    rows = [
        {
            "name": s.name,
            "clip": f"{s.frames} x {s.seconds_between_frames:.3g} s",
            "crop": f"{s.crop[0]}x{s.crop[1]}",
            "time cells": s.time_cells_text,
            "cam": "exact" if s.head else "-",
            "top-1": None if s.weights is None else s.weights.accuracy,
            "protocol": None if s.weights is None else s.weights.protocol,
            "weights": "here" if loading.available(s) else "download",
            "licence": None if s.weights is None else s.weights.licence,
            "layer": s.layer,
            "url": None if s.weights is None else s.weights.url,
            "paper": s.paper,
        }
        for s in registry.specs()
    ]
    _table(rows, as_json=as_json, hidden=("layer", "protocol", "url", "paper", "licence"))


@models_app.command("import")
def models_import(
    name: Annotated[str, typer.Argument(help="The model that the file belongs to, such as movinet_a0.")],
    file: Annotated[Path, typer.Argument(help="The official weight file.")],
) -> None:
    """Check an official weight file, convert it where that is needed, and put it where vidcam finds it."""
    from vidcam.models import loading

    typer.echo(str(loading.import_weights(name, file)))


@models_app.command("download")
def models_download(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Models whose weights to fetch.")],
) -> None:
    """Fetch official weights into the cache, with their checksum verified."""
    from vidcam.cli.progress import Bar
    from vidcam.models import loading

    with Bar(quiet=False) as bar:
        for name in names:
            bar.begin(name)
            bar.out(str(loading.download(name, progress=bar.bytes)))


def _summary(source: str, analysis: Analysis) -> str:
    answers = ", ".join(f"{label} {prob:.1%}" for label, prob in analysis.top(3))
    return f"{source}: {answers} -> {', '.join(analysis.outputs.values())}"


def _table(rows: list[dict[str, Any]], *, as_json: bool, hidden: tuple[str, ...]) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    shown = [key for key in rows[0] if key not in hidden]
    for key in shown:
        table.add_column(key, overflow="fold", no_wrap=key == "name")
    for row in rows:
        table.add_row(
            *("-" if row[k] is None else "yes" if row[k] is True else "no" if row[k] is False else str(row[k]) for k in shown)
        )
    console = Console()
    console.print(table, width=None if console.is_terminal else 140)


def _stopped(signum: int, frame: FrameType | None) -> None:
    """Unwind the stack at a signal, so that half-written files are removed; an import in progress is finished first.

    A library that is being loaded runs Python from its C++ (torch does), and an exception there ends the process with abort().
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            # to the process, so that a main thread that waits meanwhile is woken; Windows wakes it either way, and kill() ends it
            send = signal.raise_signal if os.name == "nt" else functools.partial(os.kill, os.getpid())
            again = threading.Timer(0.05, send, (signum,))
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    if signum == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(128 + signum)


def main() -> None:
    """Run the command line: the entry point of the ``vidcam`` command."""
    signal.signal(signal.SIGTERM, _stopped)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where the shell has us ignore it
        signal.signal(signal.SIGINT, _stopped)
    try:
        app()
    except VidcamError as error:
        _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:  # between two commands of Python itself; the usual one becomes 130 inside Typer
        sys.exit(130)
    except ImportError as error:
        library = re.search(r"(lib[^\s/:]+\.so[\d.]*): cannot open shared object file", str(error))
        if library is None:
            raise
        # What OpenCV needs of a system that has no desktop.
        of_opencv = re.match(r"lib(GL|xcb|X11|gthread|glib)\b", library[1])
        fix = "apt-get install libgl1 libglib2.0-0 (Debian, Ubuntu)" if of_opencv else "install the package that it belongs to"
        _fail(f"the system library {library[1]} is missing: {fix}", 1)
    except OSError as error:
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1)


def _fail(message: str, code: int) -> NoReturn:
    from rich.console import Console

    from vidcam.cli.progress import plain

    Console(stderr=True).print(f"[bold red]error:[/] {plain(message)}", highlight=False, soft_wrap=True)
    sys.exit(code)
