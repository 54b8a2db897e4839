"""``vidcam benchmark``: explanation methods scored against exact ground truth, drawn or outlined in real clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from vidcam.cli import options
from vidcam.errors import UsageError
from vidcam.io.extras import require_extra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidcam.cli.progress import ProgressBar
    from vidcam.engine import Engine
    from vidcam.reports.benchmark import Benchmark

__all__ = ["EXAMPLES", "benchmark"]

EXAMPLES = """
[bold]Examples[/bold]

  vidcam benchmark --model mini --method cam --method lrp --report scores.html

  vidcam benchmark --real clips/ --outlines benchmarks/outlines --method all     real clips whose actors are outlined

  vidcam benchmark --convert davis DAVIS/ outlines/                              outlines from the masks of a data set
"""


def benchmark(
    model: options.Model = "auto",
    weights: options.Weights = None,
    layer: options.Layer = None,
    fact: options.Fact = None,
    trust_code: options.TrustCode = False,
    plugin: options.Plugin = None,
    method: Annotated[
        list[str] | None,
        options.explanation_option(
            "--method",
            metavar="NAME",
            help=f"{options.METHOD_HELP}; all for every method (repeatable).",
            show_default="the model's",
        ),
    ] = None,
    clips: Annotated[int, options.explanation_option(min=1, help="Number of synthetic videos of each class.")] = 5,
    real: Annotated[
        Path | None,
        options.explanation_option(metavar="FOLDER", help="Score on the real clips of this folder that have outlines."),
    ] = None,
    outlines: Annotated[
        Path | None,
        options.explanation_option(
            metavar="FOLDER", help="With --real: the folder of the *.outlines.json files.", show_default="the folder of the clips"
        ),
    ] = None,
    windows: Annotated[
        int, options.explanation_option(min=1, help="With --real: the largest number of model inputs scored in each clip.")
    ] = 3,
    tolerance: Annotated[
        float,
        options.explanation_option(
            min=0.0, max=1.0, help="With --real: tolerance around the outline in the pointing game, as a share of the crop."
        ),
    ] = 0.05,
    baseline: Annotated[
        list[str] | None,
        options.explanation_option(
            metavar="NAME",
            help="Measure LeRF − MoRF, removed pixels replaced by blur, frozen, or inpaint; none for no test (repeatable).",
            show_default="frozen with --real, else none",
        ),
    ] = None,
    convert: Annotated[
        tuple[str, Path, Path] | None,
        options.output_option(
            metavar="FORMAT FROM TO",
            help="Only convert the outlines of a data set (davis, jhmdb, mot, ucf101-24, youtube-vos) to files in a new folder.",
        ),
    ] = None,
    html: options.Report = None,
    json: options.Json = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Score explanation methods on people of whom it is known where they act: drawn ones, or outlined ones in real clips.

    Without --method, the model's own choice is scored.
    """
    from vidcam.cli.loading import load_engine
    from vidcam.cli.progress import ProgressBar
    from vidcam.io.files import check_output

    if convert is not None:
        _convert(*convert, overwrite=overwrite, quiet=quiet)
        return
    if outlines is not None and real is None:
        raise UsageError("--outlines needs --real: name the folder of the clips")
    for path in (html, json):
        if path is not None:
            check_output(path, overwrite=overwrite)
    if html is not None:
        require_extra("charts", "the page of vidcam benchmark")
    chosen: dict[str, Any] = (
        {"seed": seed} if baseline is None else {"seed": seed, "imputers": [b for b in baseline if b != "none"]}
    )
    if real is not None:
        chosen |= {"folder": real, "outlines": outlines, "windows": windows, "tolerance": tolerance}
    else:
        chosen["clips"] = clips
    with ProgressBar(quiet=quiet) as bar:
        engine = load_engine(bar, model, fact, weights=weights, layer=layer, trust_code=trust_code, device=device)
        bar.start("benchmark")
        scores = _score(engine, method, chosen, bar)
        scores.write_files({"html": html, "json": json}, overwrite=overwrite)
        bar.print_notes(scores.notes)
        bar.print_result(scores.in_words())


def _score(engine: Engine, methods: Sequence[str] | None, chosen: dict[str, Any], bar: ProgressBar) -> Benchmark:
    from vidcam.evaluation import benchmark as scoring
    from vidcam.methods.lookup import choose_method

    names = methods or [choose_method(None, engine.spec).name]
    score = scoring.run_real if "folder" in chosen else scoring.run
    return score(engine, names, **chosen, progress=bar.update_frames)


def _convert(format: str, source: Path, target: Path, *, overwrite: bool, quiet: bool) -> None:
    from vidcam.cli.progress import ProgressBar
    from vidcam.io.outline_datasets import convert_outlines

    with ProgressBar(quiet=quiet) as bar:
        files = convert_outlines(format, source, target, overwrite=overwrite)
        bar.print_result("\n".join(map(str, files)))
