"""``vidcam annotate``: explained videos and their reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from vidcam.cli import options
from vidcam.cli.answers import summary
from vidcam.cli.like import Like, read_recorded
from vidcam.errors import UsageError, VidcamError
from vidcam.settings import Encoding, Look, Settings, Tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidcam.analysis import Analysis
    from vidcam.annotation import Outputs
    from vidcam.cli.progress import ProgressBar
    from vidcam.engine import Engine
    from vidcam.io.source import Source

__all__ = ["EXAMPLES", "annotate"]

EXAMPLES = """
[bold]Examples[/bold]

  vidcam annotate clip.mp4                                  write clip.vidcam.mp4 to this folder

  vidcam annotate clip.mp4 -o why.html                      a page that plays the video with its evidence, quickly

  vidcam annotate clip.mp4 -o why.html --embed              the same, with the video inside

  vidcam annotate clip.mp4 -o why.mp4 --report why.html     the explained video, and the page

  vidcam annotate clip.mp4 --class "arm wrestling" --versus "shaking hands"

  vidcam annotate videos/ --out-dir explained --json "explained/{name}.json"

  vidcam annotate other.mp4 --like why.json                 with the settings of an earlier run

  vidcam annotate clip.mp4 --model my_net.py:build --weights net.safetensors --labels names.txt
"""


def annotate(
    inputs: Annotated[
        list[str],
        Argument(
            metavar="INPUT",
            help="Video files, folders of videos or numbered images, addresses (http, s3…), patterns in quotes, or lists (.txt).",
        ),
    ],
    output: Annotated[
        Path | None,
        options.output_option(
            "-o",
            "--output",
            metavar="OUT.mp4|OUT.html",
            help="Explained video, or a page that plays the video with its evidence.",
        ),
    ] = None,
    out_dir: Annotated[
        str | None,
        options.output_option(metavar="DIR", help="Folder for the explained videos (for any number of inputs), or s3://…"),
    ] = None,
    like: Like = None,
    model: options.Model = "auto",
    weights: options.Weights = None,
    labels: options.Labels = None,
    layer: options.Layer = None,
    fact: options.Fact = None,
    frame_interval: options.FrameInterval = None,
    trust_code: options.TrustCode = False,
    plugin: options.Plugin = None,
    method: options.Method = None,
    classes: options.Classes = None,
    versus: options.Versus = None,
    style: options.Style = "heat",
    signed: Annotated[
        bool,
        options.explanation_option("--signed", help="Also show evidence against the class, in a second colour."),
    ] = False,
    opacity: options.Opacity = 0.62,
    threshold: options.Threshold = 0.0,
    panel: options.Panel = "below",
    hop: options.Hop = None,
    smooth: options.Smooth = 0.25,
    smoothing: options.Smoothing = "gaussian",
    crops: options.Crops = "center",
    tail: Annotated[
        Tail,
        options.explanation_option(
            help="End of the video: shift the last clip back, repeat (hold) the last frame, or drop the rest."
        ),
    ] = "shift",
    start: options.Start = None,
    end: options.End = None,
    html: options.Report = None,
    embed: options.Embed = False,
    json: options.Json = None,
    csv: Annotated[
        Path | None,
        options.output_option(metavar="OUT.csv", help="Evidence and probabilities over time as a table."),
    ] = None,
    vtt: Annotated[Path | None, options.output_option(metavar="OUT.vtt", help="Segments as WebVTT subtitles.")] = None,
    maps: Annotated[
        Path | None,
        options.output_option(metavar="OUT.npz", help="Raw signed evidence maps with times and geometry."),
    ] = None,
    tubes: Annotated[
        Path | None,
        options.output_option(metavar="OUT", help="Evidence as boxes and masks over time: .json, .csv, or .coco.json."),
    ] = None,
    formats: Annotated[
        list[str] | None,
        options.output_option(
            "--format", metavar="NAME=PATH", help="File for another tool, such as rerun=OUT.rrd or cvat=OUT.xml; repeatable."
        ),
    ] = None,
    verdict: Annotated[
        bool,
        options.explanation_option("--verdict", help="Test whether hiding the highlighted regions changes the prediction."),
    ] = False,
    recursive: options.Recursive = False,
    jobs: options.Jobs = None,
    ray: options.Ray = None,
    retry_failed: options.RetryFailed = False,
    progress: options.ProgressKind = "bar",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    encoder: options.Encoder = "auto",
    crf: options.Crf = 20,
    preset: options.Preset = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Write an explained video: what the model says, and the evidence for it in space and time."""
    from vidcam.annotation import Outputs
    from vidcam.batch.inputs import expand_inputs
    from vidcam.batch.tasks import Annotate
    from vidcam.cli.batch import BatchOptions, run_batch
    from vidcam.cli.loading import load_engine
    from vidcam.cli.outputs import parse_formats, parse_place, plan_outputs, plan_patterns
    from vidcam.cli.progress import ProgressBar
    from vidcam.io.source import open_source

    place = parse_place(out_dir)
    sources = expand_inputs(inputs, recursive=recursive, without=place)
    named = {"html": html, "json": json, "csv": csv, "vtt": vtt, "npz": maps, "tubes": tubes}
    reports = parse_formats(formats or (), others=named)
    settings = Settings(
        method=method, classes=tuple(classes or ()), versus=versus, seconds_between_clip_starts=hop, tail=tail,
        cover=crops == "cover", smoothing=smoothing, smooth_s=smooth, start_s=start, end_s=end, verdict=verdict, seed=seed,
    )  # fmt: skip
    if signed and style == "spotlight":
        raise UsageError("a spotlight shows only evidence for the class: leave --signed out, or take --style heat or contour")
    look = Look(style=style, opacity=opacity, signed=signed, panel=panel, threshold=threshold)
    form = Outputs(overwrite=overwrite, embed=embed, encoding=Encoding(encoder, crf=crf, preset=preset))
    opening: dict[str, Any] = {
        "model": model, "facts": fact, "frame_interval": frame_interval, "weights": weights, "labels": labels, "layer": layer,
        "trust_code": trust_code, "phrases": [*(classes or ()), versus or ""], "device": device, "engine": engine,
    }  # fmt: skip
    recorded = None if like is None else read_recorded(like)
    batch = BatchOptions(jobs, ray, retry_failed=retry_failed, progress=progress, overwrite=overwrite, quiet=quiet, like=recorded)
    task = Annotate(settings, look)
    if batch.is_meant(sources, inputs, place) and place is not None:
        patterns = plan_patterns(output=output, out_dir=place, reports=reports, embed=embed, count=len(sources))
        run_batch(sources, place, patterns, [opening], task, batch, form=form)
        return
    works = plan_outputs(sources, output=output, out_dir=place, reports=reports, form=form)
    # A bad input is reported before any weights are fetched.
    single = open_source(works[0][0]) if len(works) == 1 else None
    with ProgressBar(quiet=quiet) as bar:
        for source in sorted(set(sources) - {source for source, _ in works}):
            bar.print_message(f"{source} is left out: this command writes it, from another input")
        loaded = load_engine(bar, **opening)
        task.check([loaded])
        if recorded is not None:
            recorded.check(loaded, weights_named=weights is not None, say=bar.print_message)
        failed = _annotate_all(works, single, loaded, settings, look, bar)
    if failed:
        raise VidcamError(f"{failed} of {len(works)} inputs could not be explained")


def _annotate_all(
    jobs: Sequence[tuple[str, Outputs]],
    single: Source | None,
    engine: Engine,
    settings: Settings,
    look: Look,
    bar: ProgressBar,
) -> int:
    """Annotate every input and print a line for each; return how many failed. A single input raises its error instead."""
    failed = 0
    for number, (source, outputs) in enumerate(jobs, 1):
        name = Path(source).name or source
        bar.start(name if len(jobs) == 1 else f"{number}/{len(jobs)} {name}")
        try:
            _annotate_one(source, single or source, outputs, engine, settings, look, bar)
        except (VidcamError, OSError) as error:
            if len(jobs) == 1:
                raise
            failed += 1
            bar.print_message(f"error: {source}: {error}", always=True)
    return failed


def _annotate_one(
    name: str,
    source: Source | str,
    outputs: Outputs,
    engine: Engine,
    settings: Settings,
    look: Look,
    bar: ProgressBar,
) -> None:
    """Annotate one input; print each warning once, those of the reader as soon as they come up, and then the answers."""
    from vidcam import annotation
    from vidcam.reports.trust import describe_verdict

    printed: set[str] = set()

    def warn(warning: str) -> None:
        if warning not in printed:
            printed.add(warning)
            bar.print_message(f"warning: {name}: {warning}")

    analysis = annotation.annotate(
        source, outputs, engine=engine, settings=settings, look=look, progress=bar.update_frames, say=warn
    )
    for warning in analysis.warnings[len(engine.notes) :]:
        warn(warning)
    if analysis.method_choice is not None and analysis.method_choice.beats_controls:
        bar.print_notes([f"{name}: {analysis.method_choice.sentence}"])
    bar.print_result(_summary(name, analysis))
    if (verdict := describe_verdict(analysis)) is not None:
        bar.print_result(summary(name, verdict.sentence, (), ""))


def _summary(source: str, analysis: Analysis) -> str:
    from vidcam.batch.tasks import answers_in_words

    how = "" if analysis.playback is None else analysis.playback.how
    return summary(source, answers_in_words(analysis.top(3)), analysis.outputs.values(), how)
