"""``vidcam evaluate``: whether an explanation is true, for one video, for each of many, or for a labelled folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from vidcam.cli import options
from vidcam.cli.benchmark import benchmark
from vidcam.errors import UsageError, VidcamError
from vidcam.io.extras import require_extra
from vidcam.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidcam.batch.storage import Place
    from vidcam.cli.batch import BatchOptions
    from vidcam.cli.progress import ProgressBar
    from vidcam.engine import Engine

__all__ = ["EXAMPLES", "evaluate"]

EXAMPLES = """
[bold]Examples[/bold]

  vidcam evaluate clip.mp4 --report true.html               does the model need what the map shows?

  vidcam evaluate clip.mp4 --budget none                    every test in full, however long it takes

  vidcam evaluate clip.mp4 --method gradcam --layer layer3 --class "arm wrestling"

  vidcam evaluate clip.mp4 --splice other.mp4               two videos in one: does each class have its evidence in its own part?

  vidcam evaluate my_actions/ --report mistakes.html        a folder of class folders: worst mistakes, suspicious evidence

  vidcam evaluate videos/ --out-dir tested --recursive      each video tested for itself: one row of figures for each
"""

OLD_BENCHMARK = "benchmark"
"""The input that meant ``vidcam benchmark`` before it was a command. A file or folder of this name is an ordinary input."""


def evaluate(
    inputs: Annotated[
        list[str],
        Argument(
            metavar="INPUT",
            help="A video, or a folder with one folder of videos for each class; with --out-dir any videos, as for annotate.",
        ),
    ],
    model: options.Model = "auto",
    weights: options.Weights = None,
    layer: options.Layer = None,
    fact: options.Fact = None,
    frame_interval: options.FrameInterval = None,
    trust_code: options.TrustCode = False,
    plugin: options.Plugin = None,
    # A list for the old words `evaluate benchmark` alone.
    method: Annotated[
        list[str] | None,
        options.explanation_option(
            metavar="NAME", help=f"{options.METHOD_HELP}{options.BEST_HELP}.", show_default=options.METHOD_DEFAULT
        ),
    ] = None,
    label: options.Class = None,
    versus: options.Versus = None,
    windows: Annotated[
        int,
        options.explanation_option(min=1, help="Number of clips to test: those with the highest probability."),
    ] = 4,
    baseline: Annotated[
        list[str] | None,
        options.explanation_option(
            help="Replacement for hidden regions: blur, frozen, or inpaint (repeatable).", show_default="all three"
        ),
    ] = None,
    splice: Annotated[
        str | None,
        options.explanation_option(metavar="OTHER", help="Second video, with another predicted class, to splice into the first."),
    ] = None,
    budget: Annotated[
        str,
        options.explanation_option(
            metavar="TIME",
            help="Time for the tests of a single video, once it is explained: 30s, 2m, or none for every test in full.",
        ),
    ] = "30s",
    hop: options.Hop = None,
    smooth: options.Smooth = 0.25,
    smoothing: options.Smoothing = "gaussian",
    out_dir: options.OutDir = None,
    html: options.Report = None,
    json: options.Json = None,
    csv: Annotated[
        Path | None, options.output_option(metavar="OUT.csv", help="One line for each video (for a folder of class folders).")
    ] = None,
    recursive: options.Recursive = False,
    jobs: options.Jobs = None,
    ray: options.Ray = None,
    retry_failed: options.RetryFailed = False,
    progress: options.ProgressKind = "bar",
    clips: Annotated[int, Option(min=1, hidden=True)] = 5,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Test an explanation: what the model loses without the highlighted regions, beside controls that know nothing of it.

    In a folder of class folders, find the worst mistakes and suspicious evidence. With --out-dir, test every video for itself
    instead, whatever its class.
    """
    if list(inputs) == [OLD_BENCHMARK] and not Path(OLD_BENCHMARK).exists():
        from vidcam.cli.progress import print_renamed

        _check_single_video(OLD_BENCHMARK, label, versus, splice)
        if csv is not None:
            raise UsageError("--csv is for a folder of class folders: use --json instead")
        print_renamed("vidcam evaluate benchmark", "vidcam benchmark", quiet=quiet)
        benchmark(
            model=model, weights=weights, layer=layer, fact=fact, trust_code=trust_code, method=method, clips=clips, html=html,
            json=json, seed=seed, device=device, overwrite=overwrite, quiet=quiet,
        )  # fmt: skip
        return
    from vidcam.cli.batch import BatchOptions
    from vidcam.cli.outputs import parse_place
    from vidcam.evaluation.budget import parse_budget
    from vidcam.metrics.imputers import IMPUTERS

    if len(method or ()) > 1:
        raise UsageError("one method is tested at a time; `vidcam compare` shows several side by side")
    batch = BatchOptions(jobs, ray, retry_failed=retry_failed, progress=progress, overwrite=overwrite, quiet=quiet)
    place = parse_place(out_dir)
    batch.check(place)
    chosen = {"windows": windows, "imputers": tuple(baseline or IMPUTERS), "budget_s": parse_budget(budget)}
    settings = Settings(
        method=method[0] if method else None, classes=() if label is None else (label,), versus=versus,
        seconds_between_clip_starts=hop, smooth_s=smooth, smoothing=smoothing, seed=seed,
    )  # fmt: skip
    opening = {
        "model": model, "facts": fact, "frame_interval": frame_interval, "weights": weights, "layer": layer,
        "trust_code": trust_code, "phrases": [label or "", versus or ""], "device": device,
    }  # fmt: skip
    paths = {"html": html, "json": json, "csv": csv}
    if place is None:
        _evaluate_one(_only_input(inputs), opening, settings, chosen | {"other": splice}, paths, overwrite=overwrite, quiet=quiet)
    else:
        if splice is not None:
            raise UsageError("--splice is for a single video: leave out --splice or --out-dir")
        _evaluate_many(inputs, place, opening, settings, chosen, paths, batch, recursive=recursive)


def _require_charts() -> None:
    """Raise MissingExtraError if the page cannot be drawn here."""
    require_extra("charts", "the page of vidcam evaluate")


def _only_input(inputs: Sequence[str]) -> str:
    """Return the one input of a command without --out-dir; UsageError if there are several, or a folder of videos."""
    from vidcam.batch.inputs import expand_inputs
    from vidcam.io.class_folders import is_labelled

    if len(inputs) == 1 and (is_labelled(inputs[0]) or expand_inputs(inputs) == list(inputs)):
        return inputs[0]
    videos = expand_inputs(inputs)
    if len(videos) == 1:
        return videos[0]
    raise UsageError(f"there are {len(videos)} videos: name the folder for what is found with --out-dir DIR, or name one video")


def _evaluate_many(
    inputs: Sequence[str],
    out_dir: Place,
    opening: Mapping[str, Any],
    settings: Settings,
    chosen: Mapping[str, Any],
    paths: Mapping[str, Path | None],
    batch: BatchOptions,
    *,
    recursive: bool,
) -> None:
    """Test every video for itself, in a run that can be continued."""
    from vidcam.annotation import Outputs
    from vidcam.batch.inputs import expand_inputs
    from vidcam.batch.storage import path_in
    from vidcam.batch.testing import Evaluate
    from vidcam.cli.batch import run_batch
    from vidcam.cli.outputs import plan_results

    if paths["csv"] is not None:
        raise UsageError(f"with --out-dir, the table of all videos is {path_in(out_dir, 'results.csv')}: leave --csv out")
    sources = expand_inputs(inputs, recursive=recursive, without=out_dir)
    reports = {kind: path for kind, path in paths.items() if path is not None} or {"json": Path(out_dir) / "{name}.evaluate.json"}
    if "html" in reports:
        _require_charts()
    patterns = plan_results(reports, out_dir=out_dir, count=len(sources))
    run_batch(sources, out_dir, patterns, [opening], Evaluate(settings, **chosen), batch, form=Outputs())


def _evaluate_one(
    source: str,
    opening: Mapping[str, Any],
    settings: Settings,
    chosen: Mapping[str, Any],
    paths: Mapping[str, Path | None],
    *,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Test one video, or look at a labelled folder as a whole."""
    from vidcam.cli.loading import load_engine
    from vidcam.cli.progress import ProgressBar
    from vidcam.io.class_folders import is_labelled

    is_folder = is_labelled(source)
    if is_folder:
        _check_single_video(source, str(settings.classes[0]) if settings.classes else None, settings.versus, chosen["other"])
    _check_files(source, paths, is_folder=is_folder, overwrite=overwrite, other=chosen["other"])
    if paths["html"] is not None and not is_folder:
        _require_charts()
    with ProgressBar(quiet=quiet) as bar:
        engine = load_engine(bar, **opening)
        bar.start(Path(source).name or source)
        if is_folder:
            _evaluate_folder(source, engine, settings, paths, overwrite, bar)
        else:
            _evaluate_video(source, engine, settings, chosen, paths, overwrite, bar)


def _check_single_video(source: str, label: str | None, versus: str | None, splice: str | None) -> None:
    """Raise UsageError if an option is given that is for a single video."""
    for option, value in (("--class", label), ("--versus", versus), ("--splice", splice)):
        if value is not None:
            raise UsageError(f"{option} is for a single video; {source} is explained for what is in its clips")


def _check_files(source: str, paths: Mapping[str, Path | None], *, is_folder: bool, overwrite: bool, other: str | None) -> None:
    """Check, before any weights are fetched, that the source and the other video can be read and the outputs can be written."""
    from vidcam.io.files import check_output
    from vidcam.io.source import open_source

    for path in paths.values():
        if path is not None:
            check_output(path, source=source, overwrite=overwrite)
    if not is_folder:
        for video in filter(None, (source, other)):
            open_source(video).close()
        if paths["csv"] is not None:
            raise UsageError("--csv is for a folder of class folders: use --json instead")


def _evaluate_folder(
    source: str, engine: Engine, settings: Settings, paths: Mapping[str, Path | None], overwrite: bool, bar: ProgressBar
) -> None:
    from vidcam.evaluation.folder import inspect

    inspection = inspect(source, engine=engine, settings=settings, progress=bar.update_frames)
    inspection.write_files(paths, overwrite=overwrite)
    bar.print_result(inspection.in_words())
    if broken := len(inspection.cases) - len(inspection.known):
        raise VidcamError(f"{broken} of {len(inspection.cases)} videos could not be read")


def _evaluate_video(
    source: str,
    engine: Engine,
    settings: Settings,
    chosen: Mapping[str, Any],
    paths: Mapping[str, Path | None],
    overwrite: bool,
    bar: ProgressBar,
) -> None:
    from vidcam.evaluation import video

    evaluation = video.evaluate(source, engine=engine, settings=settings, progress=bar.update_stage, **chosen)
    evaluation.write_files({"html": paths["html"], "json": paths["json"]}, overwrite=overwrite)
    for warning in evaluation.analysis.warnings[len(engine.notes) :]:
        bar.print_message(f"warning: {warning}")
    bar.print_result(evaluation.in_words())
