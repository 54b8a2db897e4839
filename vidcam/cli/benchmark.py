"""``vidcam benchmark``: explanation methods scored against exact ground truth."""

from __future__ import annotations

from typing import Annotated

from vidcam.cli import options

__all__ = ["EXAMPLES", "benchmark"]

EXAMPLES = """
[bold]Examples[/bold]

  vidcam benchmark --model mini --method cam --method lrp --report scores.html
"""


def benchmark(
    model: options.Model = "auto",
    weights: options.Weights = None,
    layer: options.Layer = None,
    fact: options.Fact = None,
    trust_code: options.TrustCode = False,
    method: options.Methods = None,
    clips: Annotated[int, options.explanation_option(min=1, help="Number of synthetic videos of each class.")] = 5,
    html: options.Report = None,
    json: options.Json = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Score explanation methods on synthetic people, whose moving body parts are known exactly.

    Without --method, the model's own choice is scored.
    """
    from vidcam.cli.loading import load_engine
    from vidcam.cli.progress import ProgressBar
    from vidcam.evaluation.benchmark import run
    from vidcam.io.files import check_output
    from vidcam.methods.lookup import choose_method

    for path in (html, json):
        if path is not None:
            check_output(path, overwrite=overwrite)
    with ProgressBar(quiet=quiet) as bar:
        engine = load_engine(bar, model, fact, weights=weights, layer=layer, trust_code=trust_code, device=device)
        bar.start("benchmark")
        methods = method or [choose_method(None, engine.spec).name]
        scores = run(engine, methods, clips=clips, seed=seed, progress=bar.update_frames)
        scores.write_files({"html": html, "json": json}, overwrite=overwrite)
        bar.print_notes(scores.notes)
        bar.print_result(scores.in_words())
