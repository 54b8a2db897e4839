"""``vidcam compare``: explanation methods, or models, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from vidcam.cli import options
from vidcam.errors import UsageError
from vidcam.extras import require_extra
from vidcam.settings import Encoding, Settings

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = """
[bold]Examples[/bold]

  vidcam compare clip.mp4 -o compared.html                  a page: one method of each family, the two most probable classes

  vidcam compare clip.mp4 -o compared.mp4                   the same as a grid video, which takes longer

  vidcam compare clip.mp4 --method cam --method lrp --method rise --class clapping --class boxing

  vidcam compare clip.mp4 --model x3d_s --model my_run/     one method on two models, such as before and after training

  vidcam compare clip.mp4 --layer layer3                    a layer at which gradient CAMs differ
"""


def compare(
    source: Annotated[str, Argument(metavar="INPUT", help="A video file, a folder of numbered images, or an http URL.")],
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
    html: options.Report = None,
    json: options.Json = None,
    embed: options.Embed = False,
    encoder: options.Encoder = "auto",
    crf: options.Crf = 20,
    preset: options.Preset = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare explanation methods for several classes: their evidence side by side, their cost, and how far they agree.

    Without --method, one method of each family; without --class, the two most probable classes. With several --model, one method
    on each of them: their answers, and where their maps differ.
    """
    from vidcam.annotation import Outputs
    from vidcam.cli.loading import load_engine
    from vidcam.cli.outputs import plan_comparison
    from vidcam.cli.progress import ProgressBar
    from vidcam.evaluation.compare import compare as compare_methods
    from vidcam.evaluation.compare_models import compare_models

    models = list(model or ("auto",))
    _check_models(models, method, weights=weights, layer=layer)
    video, outputs = plan_comparison(
        source,
        output=output,
        html=html,
        json=json,
        form=Outputs(overwrite=overwrite, embed=embed, encoding=Encoding(encoder, crf=crf, preset=preset)),
    )
    if "html" in outputs.reports:
        require_extra("charts", "the page of vidcam compare")
    settings = Settings(
        classes=tuple(classes or ()), versus=versus, seconds_between_clip_starts=hop, smooth_s=smooth, start_s=start, end_s=end,
        seed=seed,
    )  # fmt: skip
    with ProgressBar(quiet=quiet) as bar:
        engines = [
            load_engine(
                bar,
                name,
                fact,
                frame_interval=frame_interval,
                weights=weights,
                layer=layer,
                trust_code=trust_code,
                phrases=[*(classes or ()), versus or ""],
                device=device,
            )
            for name in models
        ]
        bar.start(Path(video).name or video)
        if len(engines) > 1:
            only = method[0] if method else None
            comparison = compare_models(
                video, outputs, engines=engines, settings=settings, method=only, progress=bar.update_frames
            )
        else:
            comparison = compare_methods(
                video, outputs, engine=engines[0], settings=settings, methods=tuple(method or ()), progress=bar.update_frames
            )
        bar.print_notes(comparison.notes)
        printed = {note for engine in engines for note in engine.notes}
        for warning in (w for w in comparison.warnings if w not in printed):
            bar.print_message(f"warning: {video}: {warning}")
        bar.print_result(comparison.in_words())


def _check_models(models: list[str], method: list[str] | None, *, weights: Path | None, layer: str | None) -> None:
    """Raise UsageError for options that several models do not allow."""
    if len(models) < 2:
        return
    if len(method or ()) > 1:
        raise UsageError(f"several models are compared by one method, got {', '.join(method or ())}: name one")
    if weights is not None or layer is not None:
        raise UsageError("--weights and --layer are for one model: leave them out, or name one --model")
