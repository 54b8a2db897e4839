"""A command for many videos: the course of a run as messages, progress and exit codes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import typer

from vidcam.annotation import Outputs
from vidcam.batch.executors import Executor, open_executor
from vidcam.batch.inputs import identify
from vidcam.batch.plan import FAILED_CSV, RESULTS, Plan, fingerprint_of, make_plan, read_plan
from vidcam.batch.processes import suggest_jobs
from vidcam.batch.run import Status, begin_run, run_items
from vidcam.batch.storage import Place, path_in
from vidcam.batch.tables import write_tables
from vidcam.batch.tasks import Task
from vidcam.batch.worker import Outcome, Recipe
from vidcam.cli.answers import summary
from vidcam.cli.like import Recorded
from vidcam.cli.loading import engine_arguments, load_engine
from vidcam.cli.progress import ProgressBar, print_line
from vidcam.cli.signals import polite_interrupt
from vidcam.engine import Engine
from vidcam.errors import InputError, UsageError, VidcamError
from vidcam.io.clock import Stop
from vidcam.io.lock import locked

__all__ = ["BatchOptions", "run_batch"]


@dataclass(frozen=True)
class BatchOptions:
    """The options of a run over many videos, as they were typed; None stands for what was not."""

    jobs: int | None
    ray: str | None
    retry_failed: bool
    progress: Literal["bar", "json"]
    overwrite: bool
    quiet: bool
    like: Recorded | None = None

    def check(self, out_dir: Place | None) -> None:
        """Raise UsageError if options of such a run are given without the folder that it needs."""
        if out_dir is None and (asked := self._asked()):
            raise UsageError(f"{asked[0]} is for a run over many videos: name the folder of its outputs with --out-dir DIR")

    def is_meant(self, sources: Sequence[str], inputs: Sequence[str], out_dir: Place | None) -> bool:
        """Return whether the command is a run over many videos, and not one video (or several into the current folder).

        Raises:
            UsageError: As :meth:`check`.
        """
        self.check(out_dir)
        is_many = bool(self._asked()) or list(sources) != list(inputs) or len(sources) > 1
        return out_dir is not None and (is_many or isinstance(out_dir, str))

    def _asked(self) -> list[str]:
        given = {
            "--jobs": self.jobs is not None,
            "--ray": self.ray is not None,
            "--retry-failed": self.retry_failed,
            "--progress json": self.progress == "json",
        }
        return [word for word, is_given in given.items() if is_given]


def run_batch(
    sources: Sequence[str],
    folder: Place,
    patterns: Mapping[str, Path],
    openings: Sequence[Mapping[str, Any]],
    task: Task,
    options: BatchOptions,
    *,
    form: Outputs,
) -> None:
    """Work on many videos into a folder, or go on with that.

    Args:
        sources: The videos.
        folder: The folder of the run, which exists, or its address.
        patterns: The path of each output by its kind.
        openings: The arguments of :func:`vidcam.cli.loading.load_engine` for each model.
        task: What is done with each video.
        options: What was typed.
        form: Outputs without files, which say how files are written.

    Raises:
        VidcamError: Videos failed; the message says how many, and where to read why.
        typer.Exit: It was interrupted.
    """
    stop = Stop()
    with ProgressBar(quiet=options.quiet) as bar, locked(folder):
        engines = [load_engine(bar, **opening) for opening in openings]
        task.check(engines)
        if options.like is not None:
            options.like.check(engines[0], weights_named=openings[0].get("weights") is not None, say=bar.print_message)
        former = _read_former(folder, overwrite=options.overwrite)
        fingerprint = fingerprint_of(engines, task, patterns, form=form, folder=folder)
        plan = make_plan(sources, folder, fingerprint, patterns, former=former, overwrite=options.overwrite)
        remaining = begin_run(plan, retry_failed=options.retry_failed, anew=options.overwrite or former is None)
        arguments = [engine_arguments(engine, **opening) for engine, opening in zip(engines, openings, strict=True)]
        recipe = Recipe(folder.absolute() if isinstance(folder, Path) else folder, arguments, task, form)
        executor = _open(recipe, len(remaining.items), options, engines, bar)
        del engines  # the processes have their own
        reporter = _Reporter(stop, folder, {identify(source): source for source in sources}, task, options, bar)
        with polite_interrupt(reporter.end):
            status = run_items(plan, remaining, executor, report=reporter.report, stop=stop)
        for sentence in write_tables(plan, task.columns):
            bar.print_message(f"note: {sentence}")
        bar.clear()
        _conclude(plan, status, bar)


def _open(recipe: Recipe, videos: int, options: BatchOptions, engines: Sequence[Engine], bar: ProgressBar) -> Executor:
    """Return who works on a number of videos: the cluster that was named, or as many processes as were asked for or pay."""
    bar.start("this video")
    has_gpu = any(engine.device.startswith("cuda") for engine in engines)
    if options.ray is not None and videos:
        return open_executor("ray", recipe, address=options.ray, jobs=options.jobs, gpus=int(has_gpu))
    is_on_cpu = all(engine.device == "cpu" for engine in engines)
    jobs = min(videos, options.jobs or (suggest_jobs(videos) if is_on_cpu else 1))
    if jobs <= 1:
        return open_executor("inline", recipe, engines=engines, progress=None if options.progress == "json" else bar.update_stage)
    return open_executor("processes", recipe, jobs=jobs)


def _read_former(folder: Place, *, overwrite: bool) -> Plan | None:
    try:
        return read_plan(folder)
    except InputError:
        if overwrite:
            return None
        raise


def _conclude(plan: Plan, status: Status, bar: ProgressBar) -> None:
    """Print the last line, and raise what makes the exit code."""
    if status.done + status.failed < status.total:
        bar.print_message(f"stopped: {status.done} of {status.total} inputs are done; the same command continues", always=True)
        raise typer.Exit(130)
    if status.failed:
        raise VidcamError(
            f"{status.failed} of {status.total} inputs could not be explained: read {path_in(plan.folder, FAILED_CSV)}"
        )
    bar.print_message(f"all {status.total} inputs are done: read {path_in(plan.folder, RESULTS)}.csv")


class _Reporter:
    """Prints what becomes of each input, and how far the run is."""

    def __init__(
        self, stop: Stop, folder: Place, typed: Mapping[str, str], task: Task, options: BatchOptions, bar: ProgressBar
    ) -> None:
        self._stop, self._task = stop, task
        self._folder, self._typed, self._bar = folder, typed, bar
        self._is_json = options.progress == "json"

    def end(self) -> None:
        """Ask the run to end once the videos in work are finished, and say so."""
        self._stop.set()
        self._bar.print_message("finishing the videos in work; press Ctrl-C again to stop at once", always=True)

    def report(self, status: Status, outcome: Outcome | None) -> None:
        """Print the outcome and the status."""
        if outcome is not None:
            self._print(outcome)
        if self._is_json:
            print_line(json.dumps(_to_json(status)))
        else:
            self._bar.update_videos(status.done, status.failed, status.total, per_minute=status.per_minute, eta_s=status.eta_s)

    def _print(self, outcome: Outcome) -> None:
        name = self._typed.get(outcome.item.input, outcome.item.input)
        row = outcome.row
        if row is None:
            self._bar.print_message(f"error: {name}: {outcome.sentence}", always=True)
            return
        for warning in row["warnings"]:
            self._bar.print_message(f"warning: {name}: {warning}")
        self._bar.print_notes(f"{name}: {note}" for note in row["notes"])
        outputs = [path_in(self._folder, path) for path in row["outputs"].values()]
        self._bar.print_result(summary(name, self._task.in_words(row), outputs, row["playback"] or ""))


def _to_json(status: Status) -> dict[str, object]:
    pace, eta = status.per_minute, status.eta_s
    return {
        "done": status.done,
        "failed": status.failed,
        "total": status.total,
        "videos_per_min": None if pace is None else round(pace, 2),
        "eta_s": None if eta is None else round(eta, 1),
    }
