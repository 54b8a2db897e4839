"""Make what the docs site shows of runs: the tutorials, the method chooser, the first page's picture and the list of commands.

Run `python docs/tools/make_pages.py`, with `--only NAME` for a single part or tutorial. Everything lands in build/docs, which
`mkdocs build` and `mkdocs serve` take in. If a tutorial raises an error, so does this script.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import chooser
import commands
import landing
import torch
import tutorials

from vidcam.io.clock import SYSTEM

ROOT = Path(__file__).resolve().parents[2]
MADE = ROOT / "build" / "docs"
AT_ONCE = 2
"""How many parts are made at the same time, each with one thread: alone, a part leaves the second core idle half of the time."""


def main() -> None:
    """Make all parts, or the one that the command line names."""
    parts: dict[str, Callable[[Path], None]] = {
        "chooser": chooser.make,  # takes longest
        **{source.stem: tutorials.Tutorial(source, ROOT / "clips").make for source in tutorials.list_sources(ROOT / "docs")},
        "landing": landing.make,
        "commands": commands.make,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=tuple(parts), help="make this part only")
    only = parser.parse_args().only
    torch.set_num_threads(1)  # here, and in the kernels of the tutorials
    os.environ["OMP_NUM_THREADS"] = "1"
    if only is None:
        shutil.rmtree(MADE, ignore_errors=True)
    chosen = parts if only is None else {only: parts[only]}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for line in pool.map(_timed, chosen, chosen.values()):
            sys.stdout.write(f"{line}\n")


def _timed(name: str, make: Callable[[Path], None]) -> str:
    began = SYSTEM.now()
    make(MADE)
    return f"{name}: {SYSTEM.now() - began:.1f} s"


if __name__ == "__main__":
    main()
