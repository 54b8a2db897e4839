"""``vidcam models``: the models as a table, and their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidcam.cli import options
from vidcam.cli.table import AsJson, print_table

__all__ = ["app"]

app = typer.Typer(rich_markup_mode="rich")


@app.callback(invoke_without_command=True)
def models(context: typer.Context, plugin: options.Plugin = None, as_json: AsJson = False) -> None:
    """List the models: facts, weights, and whether these are on this machine. Import and download weights."""
    if context.invoked_subcommand is not None:
        return
    from vidcam.methods.lookup import default_name
    from vidcam.models.loading import is_available
    from vidcam.models.table import list_specs

    rows = [
        {
            "name": spec.name,
            "clip": f"{spec.num_frames} x {spec.seconds_between_frames:.3g} s",
            "crop": f"{spec.crop[0]}x{spec.crop[1]}",
            "time cells": spec.time_cells_text,
            "cam": "exact" if spec.head else "-",
            "method": default_name(spec),
            "top-1": None if spec.weights is None else spec.weights.accuracy,
            "protocol": None if spec.weights is None else spec.weights.protocol,
            "weights": "here" if is_available(spec) else "download",
            "licence": None if spec.weights is None else spec.weights.licence,
            "layer": spec.target_layer,
            "url": None if spec.weights is None else spec.weights.url,
            "paper": spec.paper,
        }
        for spec in list_specs()
    ]
    print_table(rows, as_json=as_json, json_only=("layer", "protocol", "url", "paper", "licence"))


@app.command("import")
def import_file(
    name: Annotated[str, typer.Argument(help="Model that the file belongs to, such as movinet_a0.")],
    file: Annotated[Path, typer.Argument(help="Official weight file.")],
) -> None:
    """Check an official weight file, convert it if necessary, and store it where vidcam finds it."""
    from vidcam.models.loading import import_weights

    typer.echo(str(import_weights(name, file)))


@app.command("download")
def download(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Models whose weights to download.")],
) -> None:
    """Download official weights into the cache and verify their checksums."""
    from vidcam.cli.progress import ProgressBar
    from vidcam.models import loading

    with ProgressBar(quiet=False) as bar:
        for name in names:
            bar.start(name)
            bar.print_result(str(loading.download(name, progress=bar.update_bytes)))
