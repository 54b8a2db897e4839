"""Which files a command writes for each input that was typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vidcam.annotation import Outputs
from vidcam.batch.inputs import expand_inputs, identify
from vidcam.batch.naming import Names
from vidcam.batch.storage import Place
from vidcam.errors import UsageError
from vidcam.io.remote import is_address, is_remote, open_remote
from vidcam.io.source import open_source
from vidcam.reports.formats import get_format, list_formats

__all__ = ["check_pages", "parse_formats", "parse_place", "plan_comparison", "plan_outputs", "plan_patterns", "plan_results"]


def plan_outputs(
    inputs: Sequence[str],
    *,
    output: Path | None,
    out_dir: Place | None,
    reports: Mapping[str, Path | None],
    form: Outputs,
) -> list[tuple[str, Outputs]]:
    """Return each source with its outputs, in order; makes ``out_dir``.

    A source that is itself the video of another one, as in the second ``vidcam annotate *.mp4``, is left out.

    Args:
        inputs: What was typed, as for :func:`vidcam.batch.inputs.expand_inputs`.
        output: As for :func:`plan_patterns`, like ``out_dir`` and ``reports``.
        out_dir: The folder for the videos.
        reports: The path of each report by the name of its format.
        form: Outputs without files, which say how files are written.

    Raises:
        UsageError: The options do not go together.
        InputError: A folder holds no video.
    """
    sources = expand_inputs(inputs)
    patterns = plan_patterns(output=output, out_dir=out_dir, reports=reports, embed=form.embed, count=len(sources))
    names = Names(patterns)
    jobs = []
    for source in sources:
        _, paths = names.give(source)
        jobs.append((source, replace(form, video=paths.pop("video", None), reports=paths)))
    written = {identify(str(outputs.video)) for _, outputs in jobs if outputs.video is not None and len(jobs) > 1}
    return [(source, outputs) for source, outputs in jobs if identify(source) not in written]


def plan_patterns(
    *, output: Path | None, out_dir: Place | None, reports: Mapping[str, Path | None], embed: bool, count: int
) -> dict[str, Path]:
    """Return the path of each output by its kind, in which ``{name}`` stands for the name of the input; makes ``out_dir``.

    Args:
        output: The video to write for a single source, or in its place the HTML page, if the name ends in ``.html``.
        out_dir: The folder for the videos, or its address. Without ``output`` and ``out_dir``, a video is written to the current
            folder. Its name is ``NAME.vidcam.mp4``; equal names get a number.
        reports: The path of each report by the name of its format (:mod:`vidcam.reports.formats`). It must contain ``{name}`` if
            there are several sources.
        embed: Whether the HTML page contains its video.
        count: The number of sources.

    Raises:
        UsageError: The options do not go together.
    """
    requested = {kind: path for kind, path in reports.items() if path is not None}
    _check_video(output, out_dir)
    is_page = output is not None and _is_page(output)
    if output is not None and is_page:
        requested, output = _with_page(output, requested), None
    if embed and "html" not in requested:
        raise UsageError("--embed puts the video into the HTML page: name a page with -o OUT.html or --report OUT.html")
    if count > 1:
        _check_names(output, list(requested.values()), count=count)
    if out_dir is not None:
        check_pages(out_dir, requested, embed=embed)
        _make_folder(out_dir)
    return requested if is_page else {"video": output or Path(out_dir or "") / "{name}.vidcam.mp4", **requested}


def plan_results(reports: Mapping[str, Path], *, out_dir: Place, count: int) -> dict[str, Path]:
    """Return the path of each report of a run that writes no videos, by its format; makes ``out_dir``.

    Raises:
        UsageError: A path names one file for ``count`` sources, or ``out_dir`` is no folder.
    """
    if count > 1:
        _check_names(None, list(reports.values()), count=count)
    _make_folder(out_dir)
    return dict(reports)


def parse_formats(words: Sequence[str], *, others: Mapping[str, Path | None]) -> dict[str, Path | None]:
    """Return the paths by format that ``--format NAME=PATH`` gives, with those that ``others``, options of their own, give.

    Raises:
        UsageError: A word has another form, there is no such format, or a format has two paths.
    """
    paths = dict(others)
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or not path:
            raise UsageError(f"--format takes NAME=PATH, got {word!r}")
        if paths.get(get_format(name).name) is not None:
            raise UsageError(f"{name} is written to one file, got {paths[name]} and {path}: name one of them")
        paths[name] = Path(path)
    return paths


def plan_comparison(
    inputs: Sequence[str],
    *,
    output: Path | None,
    html: Path | None,
    json: Path | None,
    form: Outputs,
) -> tuple[str, Outputs]:
    """Return the one video that ``inputs`` name with the files to write for it, all checked.

    ``output`` is the page or the grid video. Without it and ``html``, the page ``NAME.compare.html`` is written.

    Raises:
        UsageError: There are several videos, or the options do not go together.
        InputError: It cannot be read.
        OutputError: A file cannot be written.
    """
    if output is None and html is None:
        output = Path("{name}.compare.html")
    videos = expand_inputs(inputs)
    if len(videos) > 1:
        raise UsageError(
            f"there are {len(videos)} videos: name the folder for their comparisons with --out-dir DIR, or name one video"
        )
    jobs = plan_outputs(
        videos,
        output=output,
        out_dir=None,
        reports={"html": html, "json": json},
        form=form,
    )
    [(source, outputs)] = jobs
    open_source(source).close()  # a bad input is reported before any weights are fetched
    if output is None:
        outputs = replace(outputs, video=None)
    outputs.check(source)
    return source, outputs


def parse_place(word: str | None) -> Place | None:
    """Return what --out-dir names: a path, or an address as text."""
    return Path(word) if word is not None and not is_address(word) else word


def check_pages(out_dir: Place, reports: Mapping[str, Path], *, embed: bool) -> None:
    """Raise UsageError if a page at an address would have to play a video that lies elsewhere."""
    if isinstance(out_dir, str) and not embed and any(get_format(kind).plays_video for kind in reports):
        raise UsageError(f"a page in {out_dir} cannot play a video that lies elsewhere: add --embed, which puts it into the page")


def _make_folder(out_dir: Place) -> None:
    """Make the folder of a run; UsageError if it is a file, or an address to which nothing can be written."""
    if isinstance(out_dir, str):
        if not is_remote(out_dir):
            raise UsageError(f"--out-dir {out_dir} cannot be written to: name a folder, or storage such as s3://BUCKET/DIR")
        open_remote(out_dir)
        return
    if out_dir.exists() and not out_dir.is_dir():
        raise UsageError(f"--out-dir {out_dir} is a file: name a folder")
    out_dir.mkdir(parents=True, exist_ok=True)


def _check_video(output: Path | None, out_dir: Place | None) -> None:
    """Raise UsageError if -o and --out-dir do not go together, or -o names a folder."""
    if output is not None and out_dir is not None:
        raise UsageError("give -o for one video or --out-dir for a folder, not both")
    if output is not None and output.is_dir():
        raise UsageError(f"{output} is a folder: use --out-dir {output}")


def _is_page(output: Path) -> bool:
    """Return whether the name that -o gives is that of a report that plays the video."""
    return any(output.suffix.lower() == row.suffix for row in list_formats() if row.plays_video)


def _with_page(output: Path, reports: Mapping[str, Path]) -> dict[str, Path]:
    """Return the reports with the page that -o names; UsageError if another one is named."""
    if "html" in reports:
        raise UsageError(f"-o {output} and --report {reports['html']} are both HTML pages: name one of them")
    return {"html": output, **reports}


def _check_names(output: Path | None, reports: Sequence[Path], *, count: int) -> None:
    """Raise UsageError if a path names one file for ``count`` sources."""
    if output is not None:
        raise UsageError(f"-o names one file, but there are {count} inputs: use --out-dir")
    for path in reports:
        if "{name}" not in str(path):
            example = f"{path.stem}-{{name}}{path.suffix}"
            raise UsageError(f"{path} is one file, but there are {count} inputs: put {{name}} into it, as in {example}")
