"""The options that several commands share, each described once; a command adds the defaults and its own options."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from vidcam.settings import EncoderName
from vidcam.settings import Panel as PanelPlace
from vidcam.settings import Smoothing as SmoothingKind
from vidcam.settings import Style as StyleName

__all__ = [
    "PORT_HELP",
    "Class",
    "Classes",
    "Crf",
    "Crops",
    "Device",
    "Embed",
    "Encoder",
    "End",
    "Engine",
    "Fact",
    "FrameInterval",
    "Hop",
    "Host",
    "Jobs",
    "Json",
    "Labels",
    "Layer",
    "Method",
    "Methods",
    "Model",
    "Name",
    "OneMethod",
    "Opacity",
    "OutDir",
    "Overwrite",
    "Panel",
    "Plugin",
    "Preset",
    "ProgressKind",
    "Quiet",
    "Ray",
    "Recursive",
    "Report",
    "RetryFailed",
    "Seed",
    "Smooth",
    "Smoothing",
    "Start",
    "Style",
    "TrustCode",
    "Versus",
    "Weights",
    "batch_option",
    "explanation_option",
    "model_option",
    "output_option",
    "server_option",
]

model_option = partial(Option, rich_help_panel="Model")
explanation_option = partial(Option, rich_help_panel="Explanation")
output_option = partial(Option, rich_help_panel="Output")
batch_option = partial(Option, rich_help_panel="Many videos (with --out-dir)")
server_option = partial(Option, rich_help_panel="Server")

METHOD_HELP = "Explanation method: a name from `vidcam methods`, or smoothgrad:NAME or vargrad:NAME to average over noisy inputs"
METHOD_DEFAULT = "the model's own, see `vidcam models`"
BEST_HELP = "; best tests several on the video and takes the one that explains it best"
PORT_HELP = "Port to listen on (0: any free port)."


def _add_plugins(files: list[Path] | None) -> list[Path] | None:
    from vidcam.io.plugins import add_file

    for file in files or ():
        add_file(file)
    return files


Plugin = Annotated[
    list[Path] | None,
    Option(
        "--plugin",
        metavar="FILE.py",
        callback=_add_plugins,
        help="Python file of your own that adds methods, models, formats or actions (repeatable); it is run.",
    ),
]
"""It takes effect before the command begins, so that commands ignore its value."""

# The model
Model = Annotated[
    str,
    model_option(
        help="Model: a name from `vidcam models`, a trained folder, package.module:factory, file.py:factory, an .onnx or "
        ".xml file, or hf:REPOSITORY or hf:FOLDER of Hugging Face."
    ),
]
Models = Annotated[
    list[str] | None,
    model_option("--model", metavar="NAME", help="Model, as for annotate (repeatable: compare models).", show_default="auto"),
]
Weights = Annotated[Path | None, model_option(metavar="FILE", help="Weight file: safetensors, or a torch state dict.")]
Labels = Annotated[Path | None, model_option(metavar="FILE", help="Class names: one per line, or a JSON list.")]
Layer = Annotated[str | None, model_option(metavar="MODULE", help="Module to explain.", show_default="the model's own choice")]
Fact = Annotated[
    list[str] | None,
    model_option(
        metavar="KEY=VALUE", help="Input format of your own network, such as mean=0.5,0.5,0.5 or frames=8 (repeatable)."
    ),
]
FrameInterval = Annotated[
    float | None,
    model_option(metavar="S", help="Seconds between the frames of a clip, for a model that does not say it (your own or hf:)."),
]
TrustCode = Annotated[
    bool,
    model_option(
        "--trust-code",
        "--trust-remote-code",
        help="Allow a trained folder or a repository to run the Python code that it brings.",
    ),
]
Device = Annotated[str, model_option(help="Device: auto, cpu, cuda, cuda:N, or mps.")]
Engine = Annotated[str, model_option(help="Inference engine: auto, openvino, torch, openvino-bf16, or torch-bf16.")]

# The explanation
Method = Annotated[str | None, explanation_option(metavar="NAME", help=f"{METHOD_HELP}{BEST_HELP}.", show_default=METHOD_DEFAULT)]
OneMethod = Annotated[str | None, explanation_option(metavar="NAME", help=f"{METHOD_HELP}.", show_default=METHOD_DEFAULT)]
Methods = Annotated[list[str] | None, explanation_option("--method", metavar="NAME", help=f"{METHOD_HELP} (repeatable).")]
Class = Annotated[
    str | None,
    explanation_option("--class", metavar="LABEL", help="Class to explain.", show_default="the most probable one"),
]
Classes = Annotated[
    list[str] | None,
    explanation_option("--class", metavar="LABEL", help="Class to explain (repeatable).", show_default="the most probable ones"),
]
Versus = Annotated[
    str | None,
    explanation_option(metavar="LABEL", help="Class to compare with: explain why the answer is not this one."),
]
Hop = Annotated[
    float | None,
    explanation_option(metavar="S", help="Seconds from the start of one clip to the next.", show_default="half a clip"),
]
Smooth = Annotated[float, explanation_option(metavar="S", help="Smoothing over time in seconds (0: off).")]
Start = Annotated[
    float | None,
    explanation_option(metavar="S", help="Start of the part to explain, in seconds.", show_default="the start of the video"),
]
End = Annotated[
    float | None,
    explanation_option(metavar="S", help="End of the part to explain, in seconds.", show_default="the end of the video"),
]
Smoothing = Annotated[SmoothingKind, explanation_option(help="Kind of smoothing; flow follows the motion in the video.")]
Crops = Annotated[
    Literal["center", "cover"],
    explanation_option(help="What the model sees: its centre crop, or several crops that cover the whole frame."),
]
Style = Annotated[StyleName, explanation_option(help="How evidence is drawn.")]
Opacity = Annotated[float, explanation_option(min=0.05, max=1.0, help="Overlay opacity at maximum attribution.")]
Threshold = Annotated[
    float, explanation_option(min=0.0, max=0.95, help="Hide evidence below this share of the strongest, 0 to 0.95.")
]
Panel = Annotated[PanelPlace, explanation_option(help="Where words and the evidence over time stand in the video.")]
Seed = Annotated[int, Option(min=0, help="Random seed.")]

# What is written and printed
Report = Annotated[Path | None, output_option("--report", metavar="OUT.html", help="HTML report in one file.")]
Json = Annotated[Path | None, output_option("--json", metavar="OUT.json", help="All results as JSON.")]
Embed = Annotated[bool, output_option("--embed", help="Put the video into the HTML page, instead of a link to it (up to 64 MB).")]
Encoder = Annotated[
    EncoderName,
    output_option(help="What encodes the video: auto takes the first that works here, x264 replaces one that does not."),
]
Crf = Annotated[int, output_option(min=1, max=51, help="Quality of the video, 1 (best) to 51.")]
Preset = Annotated[
    str | None, output_option(metavar="NAME", help="The encoder's preset, such as medium of x264.", show_default="a quick one")
]
OutDir = Annotated[
    str | None,
    output_option(
        "--out-dir", metavar="DIR", help="Folder for the results of many videos, one row for each; see docs/batches.md."
    ),
]
# Folders of many videos
Recursive = Annotated[bool, batch_option("--recursive", help="Also the videos in the folders within a folder.")]
Jobs = Annotated[
    int | None,
    batch_option(
        min=1,
        metavar="N",
        help="Processes that work on the videos, each with its own model.",
        show_default="what this machine bears",
    ),
]
Ray = Annotated[
    str | None,
    batch_option("--ray", metavar="ADDRESS", help="Work on this Ray cluster instead (auto: the one of this machine)."),
]
RetryFailed = Annotated[bool, batch_option("--retry-failed", help="Also try the videos again that failed before.")]
ProgressKind = Annotated[
    Literal["bar", "json"],
    batch_option("--progress", help="Progress for people, or a line of JSON on stderr after each video for other programs."),
]
Overwrite = Annotated[bool, output_option("--overwrite", help="Replace existing output.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Only print errors.")]

# The server
Host = Annotated[str, server_option(help="Address to listen on; other machines need the printed token.")]
Name = Annotated[
    str | None,
    server_option(metavar="HOST", help="Public host name of an https proxy in front of the server, such as cam.example.com."),
]
