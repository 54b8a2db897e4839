"""``vidcam train``: a model for your own actions, or for synthetic people."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

from vidcam.cli import options
from vidcam.errors import UsageError

if TYPE_CHECKING:
    from vidcam.training import Result

__all__ = ["EXAMPLES", "train"]

EXAMPLES = """
[bold]Examples[/bold]

  vidcam train my_actions/ -o mine                          my_actions/ has one folder of videos for each class

  vidcam annotate clip.mp4 --model mine                     use the trained model

  vidcam train my_actions/ -o mine --model x3d_s --trunk frozen --holdout "*/person3_*"

  vidcam train --synthetic -o new_mini                      train on synthetic people, from random weights
"""

SYNTHETIC = "people"
"""What :func:`vidcam.training.train` takes for synthetic people, and the DATA that meant ``--synthetic`` before it was an option.
A folder of this name is an ordinary one."""


def train(
    output: Annotated[
        Path,
        options.output_option("-o", "--output", metavar="DIR", help="Folder for the trained model and its report."),
    ],
    data: Annotated[
        str | None,
        Argument(metavar="DATA", help="A folder with one folder of videos for each class, or with videos and a labels.csv."),
    ] = None,
    synthetic: Annotated[bool, Option("--synthetic", help="Train on synthetic people instead of DATA.")] = False,
    model: Annotated[
        str,
        options.model_option(help="Model to start from: a name from `vidcam models`, a trained folder, or file.py:factory."),
    ] = "mini",
    weights: Annotated[
        Path | None,
        options.model_option(metavar="FILE", help="Weight file to start from.", show_default="the model's own weights"),
    ] = None,
    scratch: Annotated[
        bool | None,
        options.model_option("--scratch/--no-scratch", help="Start from random weights.", show_default="with --synthetic"),
    ] = None,
    trunk: Annotated[Literal["all", "frozen"], Option(help="Train all layers, or only the last one (frozen).")] = "all",
    holdout: Annotated[
        str | None,
        Option(
            metavar="PATTERN",
            help="Hold out the videos whose names match this pattern.",
            show_default="a fifth of the videos, by group",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        Option(min=1, help="Number of epochs.", show_default="30; with --synthetic 48 of 4000 clips"),
    ] = None,
    patience: Annotated[int, Option(min=1, help="Epochs without improvement after which training stops (for DATA).")] = 8,
    batch: Annotated[int, Option(min=1, help="Batch size in clips.")] = 16,
    lr: Annotated[float | None, Option(help="Maximum learning rate.", show_default="by what is trained")] = None,
    evidence: Annotated[float, Option(min=0, help="Weight of the loss on where the evidence lies (with --synthetic).")] = 2.0,
    flip: Annotated[bool, Option("--flip", help="Mirror clips at random; only right if left and right mean the same.")] = False,
    photos: Annotated[
        Path | None,
        Option(metavar="FOLDER", help="Pictures without people, parts of which become places (with --synthetic)."),
    ] = None,
    seed: options.Seed = 0,
    trust_code: options.TrustCode = False,
    plugin: options.Plugin = None,
    workers: Annotated[
        int | None, Option(min=0, help="Number of processes that prepare clips.", show_default="by machine")
    ] = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Teach a model your own actions, or train one on synthetic people. The same command continues after an interruption."""
    from vidcam import training
    from vidcam.cli.progress import ProgressBar

    data = _data(data, synthetic=synthetic, quiet=quiet)
    config = training.TrainConfig(
        model=model, scratch=scratch, freeze_backbone=trunk == "frozen", epochs=epochs, batch=batch, lr=lr, evidence=evidence,
        holdout=holdout, patience=patience, flip=flip, seed=seed, workers=workers, device=device,
        photos=None if photos is None else str(photos),
    )  # fmt: skip
    with ProgressBar(quiet=quiet) as bar:
        bar.start(Path(data).name or data)
        result = training.train(
            data, output, config=config, weights=weights, trust_code=trust_code, overwrite=overwrite, progress=bar.update_frames,
            downloaded=bar.update_bytes, say=bar.print_message,
        )  # fmt: skip
        bar.print_notes(result.remarks)
        bar.print_result(_summary(result))


def _data(data: str | None, *, synthetic: bool, quiet: bool) -> str:
    """Return what :func:`vidcam.training.train` takes as data. UsageError unless one of DATA and --synthetic is given."""
    from vidcam.cli.progress import print_renamed

    if synthetic and data is not None:
        raise UsageError(f"--synthetic needs no videos: leave out {data}, or --synthetic")
    if synthetic:
        return SYNTHETIC
    if data is None:
        raise UsageError("there is nothing to train on: name a folder of videos, or use --synthetic for synthetic people")
    if data != SYNTHETIC:
        return data
    if os.path.exists(data):
        return os.path.join(os.curdir, data)
    print_renamed("vidcam train people", "vidcam train --synthetic", quiet=quiet)
    return SYNTHETIC


def _summary(result: Result) -> str:
    if result.accuracy is None:
        return str(result.folder)
    return f"{result.folder}: {result.accuracy:.1%} of {result.held_out} held-out clips right"
