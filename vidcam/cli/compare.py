"""``vidcam compare``: explanation methods side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from vidcam.cli import options
from vidcam.settings import Encoding, Settings

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = """
[bold]Examples[/bold]

  vidcam compare clip.mp4 -o compared.html                  a page: one method of each family, the two most probable classes

  vidcam compare clip.mp4 -o compared.mp4                   the same as a grid video, which takes longer

  vidcam compare clip.mp4 --method cam --method lrp --method rise --class clapping --class boxing

  vidcam compare clip.mp4 --layer layer3                    a layer at which gradient CAMs differ
"""


def compare(
    source: Annotated[str, Argument(metavar="INPUT", help="A video file, a folder of numbered images, or an http URL.")],
    method: options.Methods = None,
    classes: options.Classes = None,
    versus: options.Versus = None,
    model: options.Model = "auto",
    weights: options.Weights = None,
    layer: options.Layer = None,
    fact: options.Fact = None,
    frame_interval: options.FrameInterval = None,
    trust_code: options.TrustCode = False,
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

    Without --method, one method of each family; without --class, the two most probable classes.
    """
    from vidcam.annotation import Outputs
    from vidcam.cli.loading import load_engine
    from vidcam.cli.outputs import plan_comparison
    from vidcam.cli.progress import ProgressBar
    from vidcam.evaluation.compare import compare as compare_methods

    video, outputs = plan_comparison(
        source,
        output=output,
        html=html,
        json=json,
        form=Outputs(overwrite=overwrite, embed=embed, encoding=Encoding(encoder, crf=crf, preset=preset)),
    )
    settings = Settings(
        classes=tuple(classes or ()), versus=versus, seconds_between_clip_starts=hop, smooth_s=smooth, start_s=start, end_s=end,
        seed=seed,
    )  # fmt: skip
    with ProgressBar(quiet=quiet) as bar:
        engine = load_engine(
            bar,
            model,
            fact,
            frame_interval=frame_interval,
            weights=weights,
            layer=layer,
            trust_code=trust_code,
            phrases=[*(classes or ()), versus or ""],
            device=device,
        )
        bar.start(Path(video).name or video)
        comparison = compare_methods(
            video, outputs, engine=engine, settings=settings, methods=tuple(method or ()), progress=bar.update_frames
        )
        bar.print_notes(comparison.notes)
        for warning in comparison.warnings[len(engine.notes) :]:
            bar.print_message(f"warning: {video}: {warning}")
        bar.print_result(comparison.in_words())
