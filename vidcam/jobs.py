"""What a user typed, as work to do: each input with the files that will be written for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vidcam.errors import InputError, OutputError, UsageError
from vidcam.files import check_output
from vidcam.reader import IMAGE_SUFFIXES, find_videos, open_source

__all__ = ["Outputs", "plan"]

LONGEST = 200
"""Bytes of a file name that is made from an input's: file systems take 255, and a suffix comes behind it."""

KINDS = ("video", "html", "json", "csv", "vtt", "npz", "tubes")


@dataclass(frozen=True)
class Outputs:
    """The files to write for one input; None writes nothing. Existing files are kept unless ``overwrite``."""

    video: Path | None = None
    html: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    vtt: Path | None = None
    npz: Path | None = None
    tubes: Path | None = None
    overwrite: bool = False

    def paths(self) -> dict[str, Path]:
        """The files by kind, in the order in which they are written."""
        return {kind: path for kind in KINDS if (path := getattr(self, kind)) is not None}

    def check(self, source: str) -> None:
        """Refuse, before any work, what cannot be written: OutputError, or UsageError where two outputs are one file."""
        taken: dict[Path, str] = {}
        if self.video is not None and self.video.suffix.lower() != ".mp4":
            raise OutputError(f"cannot write {self.video}: the video is an MP4 file, so its name must end in .mp4")
        if self.tubes is not None and self.tubes.suffix.lower() not in (".json", ".csv"):
            raise OutputError(f"cannot write {self.tubes}: tubes are written as .csv, .json or .coco.json")
        for kind, path in self.paths().items():
            target = check_output(path, source=source, overwrite=self.overwrite)
            if target in taken:
                raise UsageError(f"{path} is named for two outputs, {taken[target]} and {kind}: give each its own file")
            taken[target] = kind


def plan(
    inputs: Sequence[str],
    *,
    output: Path | None,
    out_dir: Path | None,
    reports: Mapping[str, Path | None],
    overwrite: bool,
) -> list[tuple[str, Outputs]]:
    """Each input with its outputs, in order; a folder of videos stands for the videos in it.

    Without ``output`` and ``out_dir`` a video is written to the current folder as ``NAME.vidcam.mp4``. With several inputs a
    report's path must contain ``{name}``. Inputs of the same name get a number. Raises UsageError and InputError.
    """
    sources = [source for given in inputs for source in _expand(given)]
    wanted = {kind: path for kind, path in reports.items() if path is not None}
    if output is not None and out_dir is not None:
        raise UsageError("give -o for one video or --out-dir for a folder, not both")
    if output is not None and output.is_dir():
        raise UsageError(f"{output} is a folder: use --out-dir {output}")
    if len(sources) > 1:
        if output is not None:
            raise UsageError(f"-o names one file, but there are {len(sources)} inputs: use --out-dir")
        for path in wanted.values():
            if "{name}" not in str(path):
                better = f"{path.stem}-{{name}}{path.suffix}"
                raise UsageError(f"{path} is one file, but there are {len(sources)} inputs: put {{name}} into it, as in {better}")
    if out_dir is not None:
        if out_dir.exists() and not out_dir.is_dir():
            raise UsageError(f"--out-dir {out_dir} is a file: name a folder")
        out_dir.mkdir(parents=True, exist_ok=True)
    if len(sources) == 1:
        open_source(sources[0]).close()  # a bad input is told before any weights are fetched
    jobs, taken = [], set[str]()
    for source in sources:
        name = _unique(_name(source), taken)
        video = output or (out_dir or Path()) / f"{name}.vidcam.mp4"
        jobs.append(
            (source, Outputs(video, overwrite=overwrite, **{k: Path(str(p).replace("{name}", name)) for k, p in wanted.items()}))
        )
    return jobs


def _expand(given: str) -> list[str]:
    path = Path(given)
    try:
        folder = path.is_dir()
    except (OSError, ValueError):  # a name that no file can have: told where it is read
        folder = False
    if not folder:
        return [given]
    try:
        return [str(p) for p in find_videos(path)]
    except InputError:
        if any(p.suffix.lower() in IMAGE_SUFFIXES for p in path.iterdir()):
            return [given]  # a folder of numbered images is one video
        raise


def _name(source: str) -> str:
    """A file name for what is made from ``source``, harmless whatever a URL contains."""
    path = unquote(urlsplit(source).path) if re.match(r"https?://", source, re.IGNORECASE) else source
    stem = Path(path.rstrip("/")).resolve().stem if path == source else Path(path.rstrip("/")).stem
    name = re.sub(r"[^\w\-. ()\[\]]", "_", stem).strip(". ") or "video"
    return name.encode()[:LONGEST].decode(errors="ignore")


def _unique(name: str, taken: set[str]) -> str:
    found, number = name, 2
    while found.casefold() in taken:
        found, number = f"{name}-{number}", number + 1
    taken.add(found.casefold())
    return found
