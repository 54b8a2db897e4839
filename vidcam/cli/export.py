"""``vidcam export``: a model as an ONNX or OpenVINO file whose outputs include the evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from vidcam.cli import options

__all__ = ["EXAMPLES", "export"]

EXAMPLES = """
[bold]Examples[/bold]

  vidcam export mini -o mini.onnx                           logits, saliency_map, feature_vector and bias in one file

  vidcam export auto -o net.xml                             the model that annotate takes by itself; net.xml and net.bin

  vidcam export movinet_a0 -o movinet.xml --model-api       for OpenVINO, and for the actions of its Model API

  vidcam export my_model/ -o mine.onnx --class-index        the evidence for one class, which an input names

  vidcam annotate clip.mp4 --model mine.onnx                the file is a model too

Only models with exact evidence can be exported: `vidcam models` says "exact" in its column cam.
"""


def export(
    model: Annotated[str, Argument(metavar="MODEL", help="Model, as for annotate; auto too.")],
    output: Annotated[
        Path, Option("-o", "--output", metavar="OUT", help="File to write: NAME.onnx, or NAME.xml for OpenVINO (with NAME.bin).")
    ],
    class_index: Annotated[
        bool,
        options.explanation_option("--class-index", help="Compute the evidence of one class, named by the input class_index."),
    ] = False,
    model_api: Annotated[
        bool,
        options.output_option("--model-api", help="Write what OpenVINO's Model API for actions reads: six axes, and facts."),
    ] = False,
    weights: options.Weights = None,
    labels: options.Labels = None,
    layer: options.Layer = None,
    fact: options.Fact = None,
    frame_interval: options.FrameInterval = None,
    trust_code: options.TrustCode = False,
    plugin: options.Plugin = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a model as an ONNX or OpenVINO file that computes its answer and the exact evidence for it, without vidcam."""
    from vidcam.cli.loading import stated_facts
    from vidcam.cli.progress import ProgressBar
    from vidcam.exporting import export as write

    with ProgressBar(quiet=quiet) as bar:
        bar.start("weights")
        path = write(
            model,
            output,
            class_index=class_index,
            model_api=model_api,
            weights=weights,
            labels=labels,
            layer=layer,
            facts=stated_facts(fact, frame_interval),
            trust_code=trust_code,
            overwrite=overwrite,
            progress=bar.update_bytes,
            notify=lambda note: bar.print_notes([note]),
        )
        bar.clear()
        bar.print_result(str(path))
