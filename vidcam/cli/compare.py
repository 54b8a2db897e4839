"""``vidcam compare``: explanation methods, or models, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from vidcam.cli import options
from vidcam.errors import UsageError
from vidcam.io.extras import require_extra
from vidcam.settings import Encoding, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidcam.annotation import Outputs
    from vidcam.batch.storage import Place
    from vidcam.cli.batch import BatchOptions

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = """
[bold]Examples[/bold]

  vidcam compare clip.mp4 -o compared.html                  a page: one method of each family, the two most probable classes

  vidcam compare clip.mp4 -o compared.mp4                   the same as a grid video, which takes longer

  vidcam compare clip.mp4 --method cam --method lrp --method rise --class clapping --class boxing

  vidcam compare clip.mp4 --model x3d_s --model my_run/     one method on two models, such as before and after training

  vidcam compare clip.mp4 --layer layer3                    a layer at which gradient CAMs differ

  vidcam compare videos/ --out-dir compared --recursive     a page for each video, and a table: how far the methods agree
"""


def compare(
    inputs: Annotated[
        list[str],
        Argument(
            metavar="INPUT",
            help="A video file, a folder of numbered images, or an http URL; with --out-dir any number, as for annotate.",
        ),
    ],
    method: options.Methods = None,
    classes: options.Classes = None,
    versus: options.Versus = None,
    model: options.Models = None,
    weights: options.Weights = None,
    layer: options.Layer = None,
    fact: options.Fact = None,
    frame_interval: options.FrameInterval = None,
    trust_code: options.TrustCode = False,
    plugin: options.Plugin = None,
    hop: options.Hop = None,
    smooth: options.Smooth = 0.25,
    start: options.Start = None,
    end: options.End = None,
    output: Annotated[
        Path | None,
        options.output_option(
            "-o",
            "--output",
            metavar="OUT.html|OUT.mp4",
            help="Page that plays the video with the evidence of all methods, or a grid video.",
            show_default="NAME.compare.html in this folder",
        ),
    ] = None,
    out_dir: options.OutDir = None,
    html: options.Report = None,
    json: options.Json = None,
    embed: options.Embed = False,
    encoder: options.Encoder = "auto",
    crf: options.Crf = 20,
    preset: options.Preset = None,
    recursive: options.Recursive = False,
    jobs: options.Jobs = None,
    ray: options.Ray = None,
    retry_failed: options.RetryFailed = False,
    progress: options.ProgressKind = "bar",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare explanation methods for several classes: their evidence side by side, their cost, and how far they agree.

    Without --method, one method of each family; without --class, the two most probable classes. With several --model, one method
    on each of them: their answers, and where their maps differ. With --out-dir, this is done for each of many videos.
    """
    from vidcam.annotation import Outputs
    from vidcam.cli.batch import BatchOptions
    from vidcam.cli.outputs import check_pages, parse_place

    models = list(model or ("auto",))
    _check_models(models, method, weights=weights, layer=layer)
    batch = BatchOptions(jobs, ray, retry_failed=retry_failed, progress=progress, overwrite=overwrite, quiet=quiet)
    place = parse_place(out_dir)
    batch.check(place)
    form = Outputs(overwrite=overwrite, embed=embed, encoding=Encoding(encoder, crf=crf, preset=preset))
    settings = Settings(
        classes=tuple(classes or ()), versus=versus, seconds_between_clip_starts=hop, smooth_s=smooth, start_s=start, end_s=end,
        seed=seed,
    )  # fmt: skip
    openings: list[dict[str, Any]] = [
        {
            "model": name, "facts": fact, "frame_interval": frame_interval, "weights": weights, "layer": layer,
            "trust_code": trust_code, "phrases": [*(classes or ()), versus or ""], "device": device,
        }
        for name in models
    ]  # fmt: skip
    if place is None:
        _compare_one(inputs, output, html, json, openings, settings, tuple(method or ()), form, quiet=quiet)
        return
    if output is not None:
        raise UsageError("give -o for one video or --out-dir for a folder, not both")
    reports = {"html": html or Path(place) / "{name}.compare.html"} | ({} if json is None else {"json": json})
    check_pages(place, reports, embed=embed)
    _compare_many(inputs, place, reports, openings, settings, tuple(method or ()), form, batch, recursive=recursive)


def _compare_one(
    inputs: Sequence[str],
    output: Path | None,
    html: Path | None,
    json: Path | None,
    openings: Sequence[Mapping[str, Any]],
    settings: Settings,
    methods: tuple[str, ...],
    form: Outputs,
    *,
    quiet: bool,
) -> None:
    """Compare on one video, and print what was found."""
    from vidcam.cli.loading import load_engine
    from vidcam.cli.outputs import plan_comparison
    from vidcam.cli.progress import ProgressBar
    from vidcam.evaluation.compare import compare as compare_methods
    from vidcam.evaluation.compare_models import compare_models

    video, outputs = plan_comparison(inputs, output=output, html=html, json=json, form=form)
    if "html" in outputs.reports:
        require_extra("charts", "the page of vidcam compare")
    with ProgressBar(quiet=quiet) as bar:
        engines = [load_engine(bar, **opening) for opening in openings]
        bar.start(Path(video).name or video)
        if len(engines) > 1:
            only = methods[0] if methods else None
            comparison = compare_models(
                video, outputs, engines=engines, settings=settings, method=only, progress=bar.update_frames
            )
        else:
            comparison = compare_methods(
                video, outputs, engine=engines[0], settings=settings, methods=methods, progress=bar.update_frames
            )
        bar.print_notes(comparison.notes)
        printed = {note for engine in engines for note in engine.notes}
        for warning in (w for w in comparison.warnings if w not in printed):
            bar.print_message(f"warning: {video}: {warning}")
        bar.print_result(comparison.in_words())


def _compare_many(
    inputs: Sequence[str],
    out_dir: Place,
    reports: Mapping[str, Path],
    openings: Sequence[Mapping[str, Any]],
    settings: Settings,
    methods: tuple[str, ...],
    form: Outputs,
    batch: BatchOptions,
    *,
    recursive: bool,
) -> None:
    """Compare on each of many videos, in a run that can be continued."""
    from vidcam.batch.inputs import expand_inputs
    from vidcam.batch.testing import Compare
    from vidcam.cli.batch import run_batch
    from vidcam.cli.outputs import plan_results

    require_extra("charts", "the page of vidcam compare")
    sources = expand_inputs(inputs, recursive=recursive, without=out_dir)
    patterns = plan_results(reports, out_dir=out_dir, count=len(sources))
    run_batch(sources, out_dir, patterns, openings, Compare(settings, methods), batch, form=form)


def _check_models(models: list[str], method: list[str] | None, *, weights: Path | None, layer: str | None) -> None:
    """Raise UsageError for options that several models do not allow."""
    if len(models) < 2:
        return
    if len(method or ()) > 1:
        raise UsageError(f"several models are compared by one method, got {', '.join(method or ())}: name one")
    if weights is not None or layer is not None:
        raise UsageError("--weights and --layer are for one model: leave them out, or name one --model")
