"""Runs over many videos: the plan, the marks, what is tried again, the tables, and what is left after a kill."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
from support import planted
from support.clock import ManualClock
from support.command import Run
from support.media import write_clip
from support.schemas import strict, validate
from support.waiting import until

from vidcam.batch import tasks
from vidcam.batch.failures import KINDS, kind_of
from vidcam.batch.inputs import expand_inputs
from vidcam.batch.marks import Marks
from vidcam.batch.naming import Names
from vidcam.batch.plan import Item, Plan, make_plan, read_plan
from vidcam.batch.processes import Processes
from vidcam.batch.run import NO_PLACE_S, Status, begin_run, run_items
from vidcam.batch.tables import write_tables
from vidcam.batch.tasks import Annotate
from vidcam.batch.worker import Outcome, Recipe
from vidcam.cli.loading import engine_arguments
from vidcam.errors import DownloadError, InputError, OutputError, UsageError
from vidcam.io.clock import Stop
from vidcam.io.lock import locked
from vidcam.settings import Settings

ROOT = Path(__file__).parent.parent
RESULT_COLUMNS = Annotate.columns
OWN = ("--model", f"{planted.__file__}:patches", "--engine", "torch")


def write_clips(folder: Path, *names: str, frames: int = 9) -> Path:
    """Write small clips, each longer than the one before.

    x264 (164) codes pictures whose width is no multiple of 128 now one way and now another, by a few bytes: its macroblock tree
    reads past the end of rows. Those of this width always come out the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        write_clip(folder / name, frames=frames + 2 * number, size=(96, 128))
    return folder


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def times_written(folder: Path) -> dict[str, int]:
    """Return when each output was written, which shows whether it was written again."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.mp4")}


# Which videos the words stand for


def test_folder_pattern_and_list_stand_for_the_same_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.mp4", "in/deep/b.mkv", "in/.hidden/c.mp4", "in/out/a.vidcam.mp4", "in/notes.md"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")
    Path("in/list.txt").write_text("# the videos\n\na.mp4\ndeep/b.mkv\na.mp4\nhttps://example.org/x.mp4\n")
    assert expand_inputs(["in"]) == ["in/a.mp4"]
    assert expand_inputs(["in"], recursive=True, without=Path("in/out")) == ["in/a.mp4", "in/deep/b.mkv"]
    assert expand_inputs(["in/**/*.m[pk][4v]"]) == ["in/a.mp4", "in/deep/b.mkv", "in/out/a.vidcam.mp4"]
    assert expand_inputs(["in/list.txt", "in"]) == ["in/a.mp4", "in/deep/b.mkv", "https://example.org/x.mp4"]


def test_links_to_folders_are_followed_and_a_folder_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("in/sub", "elsewhere"):
        Path(folder).mkdir(parents=True)
    Path("in/sub/a.mp4").touch()
    Path("elsewhere/b.mp4").touch()
    Path("in/linked").symlink_to(tmp_path / "elsewhere")
    Path("in/sub/up").symlink_to(tmp_path / "in")  # a circle
    assert expand_inputs(["in"], recursive=True) == ["in/linked/b.mp4", "in/sub/a.mp4"]


def test_pattern_in_a_list_that_lies_in_a_folder_with_brackets(tmp_path: Path) -> None:
    folder = tmp_path / "clips [2020]"
    folder.mkdir()
    for name in ("a.mp4", "b [x].mp4"):
        (folder / name).touch()
    (folder / "list.txt").write_text("*.mp4\nb [x].mp4\n")
    assert expand_inputs([str(folder / "list.txt")]) == [str(folder / "a.mp4"), str(folder / "b [x].mp4")]


def test_empty_list_and_pattern_say_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello there\nand more\n")
    with pytest.raises(InputError, match=r"notes\.txt is read as a list .* but none of them exists; the first is 'hello there'"):
        expand_inputs([str(tmp_path / "notes.txt")])
    (tmp_path / "list.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match=r"list\.txt is empty: write one file"):
        expand_inputs([str(tmp_path / "list.txt")])
    with pytest.raises(InputError, match=r"no file fits .*\*\.mp4"):
        expand_inputs([str(tmp_path / "*.mp4")])
    (tmp_path / "deep").mkdir()
    with pytest.raises(InputError, match="and the folders in it hold no video"):
        expand_inputs([str(tmp_path)], recursive=True)


def test_workers_open_the_model_that_the_command_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("mini", "mine"):  # mini is the name of a model too, which goes first
        (tmp_path / folder).mkdir()
    opened = SimpleNamespace(spec=SimpleNamespace(name="mini"))
    models = [engine_arguments(opened, model, None)["model"] for model in ("mini", "auto", "mine", "./mini")]  # type: ignore[arg-type]
    assert models == ["mini", "mini", str(tmp_path / "mine"), str(tmp_path / "mini")]


# The plan


def test_names_that_would_collide_get_numbers(tmp_path: Path) -> None:
    patterns = {"csv": tmp_path / "{name}.csv", "json": tmp_path / "{name}.json", "tubes": tmp_path / "{name}.coco.json"}
    names = Names(patterns, taken=[tmp_path / "results.csv"])
    given = [names.give(source)[0] for source in ("a/x.mp4", "b/X.mkv", "x.avi", "x-2.mp4", "results.mp4", "y.mp4", "y.coco.mp4")]
    assert given == ["x", "X-2", "x-3", "x-2-2", "results-2", "y", "y.coco-2"]  # y.coco.json would be y's table of tubes
    one = Names({"json": tmp_path / "one.json"})
    with pytest.raises(UsageError, match=r"one\.json is one file.*one-{name}\.json"):
        [one.give("a.mp4"), one.give("b.mp4")]


def test_outputs_are_called_as_the_input_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("blobs", "clips", "run.1", "run.2"):
        (tmp_path / folder).mkdir()
    (tmp_path / "blobs" / "3fa2bc").touch()
    (tmp_path / "clips" / "walk.mp4").symlink_to(tmp_path / "blobs" / "3fa2bc")  # as caches of data sets store files
    names = Names({"json": Path("{name}.json")})
    sources = ("clips/walk.mp4", "run.1", "run.2", "run.1/../clips", "run.2/%04d.png", "https://example.org/a/talk.webm?t=3")
    assert [names.give(source)[0] for source in sources] == ["walk", "run.1", "run.2", "clips", "run.2-2", "talk"]


def make(folder: Path, sources: Sequence[str], *, model: str = "mini", **options: object) -> Plan:
    patterns = {"video": folder / "{name}.vidcam.mp4"}
    return make_plan(sources, folder, {"model": model, "settings.seed": 0}, patterns, former=read_plan(folder), **options)


def test_plan_is_read_back_and_new_inputs_keep_old_names(tmp_path: Path) -> None:
    odd = os.fsdecode(b"/in/b\xff.mp4")  # a name that is not UTF-8
    plan = make(tmp_path, ["/in/x.mp4", odd])
    plan.save()
    assert read_plan(tmp_path) == plan
    validate(strict((tmp_path / "vidcam-run.json").read_text()), "batch")
    longer = make(tmp_path, ["/in/a/x.mp4", odd, str(tmp_path / "x.vidcam.mp4")])
    assert [(item.input, item.name) for item in longer.items] == [("/in/x.mp4", "x"), (odd, "b_"), ("/in/a/x.mp4", "x-2")]
    assert longer.items[2].outputs == {"video": "x-2.vidcam.mp4"}


def test_other_fingerprint_is_refused_and_named(tmp_path: Path) -> None:
    make(tmp_path, ["/in/x.mp4"]).save()
    with pytest.raises(UsageError, match=r"another run: model was mini and is now x3d_s\. Give .*--overwrite"):
        make(tmp_path, ["/in/x.mp4"], model="x3d_s")
    assert make(tmp_path, ["/in/y.mp4"], model="x3d_s", overwrite=True).items[0].name == "y"


def test_existing_file_of_no_run_is_kept(tmp_path: Path) -> None:
    (tmp_path / "x.vidcam.mp4").write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"x\.vidcam\.mp4 exists already.*--overwrite"):
        make(tmp_path, ["/in/x.mp4"])


@pytest.mark.parametrize("name", ["results.csv", "results.parquet", "failed.csv"])
def test_table_of_no_run_is_kept(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(OutputError, match=rf"{name} exists already.*--overwrite"):
        make(tmp_path, ["/in/x.mp4"])
    assert make(tmp_path, ["/in/x.mp4"], overwrite=True).items[0].name == "x"


def test_damaged_plan_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "vidcam-run.json").write_text('{"inputs": [')
    with pytest.raises(InputError, match=r"vidcam-run\.json is no plan .*--overwrite"):
        read_plan(tmp_path)


def test_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(UsageError, match="another run is at work"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


# The course of a run, with workers that do what a test says


class Scripted:
    """Takes ``slots`` inputs at once and answers as ``script`` says for each name: kinds of failures, then success."""

    def __init__(self, folder: Path, script: dict[str, list[str]], *, slots: int = 1) -> None:
        self.slots, self.script, self.order = slots, script, []
        self._marks, self._items, self.is_closed = Marks(folder), [], False

    def submit(self, item: Item) -> None:
        assert len(self._items) < self.slots
        self._items.append(item)
        self.order.append(item.name)

    def wait(self, timeout_s: float | None) -> list[Outcome]:
        item = self._items.pop(0)
        failures = self.script.get(item.name, [])
        if failures:
            return [Outcome(item, None, KINDS[failures.pop(0)], "it broke", 2.0)]
        row = {"input": item.input, "name": item.name, "top": [["clapping", 0.75]], "segments": [], "warnings": [], "outputs": {}}
        self._marks.write(item.name, "done", row)
        return [Outcome(item, row, seconds=2.0)]

    def close(self) -> None:
        self.is_closed = True


def run(folder: Path, executor: Scripted, clock: ManualClock, **options: bool) -> tuple[Status, list[Status]]:
    plan = read_plan(folder)
    assert plan is not None
    told: list[Status] = []
    status = run_items(
        plan, begin_run(plan, **options), executor, report=lambda s, _: told.append(s), stop=Stop(clock), clock=clock
    )
    write_tables(plan, RESULT_COLUMNS)
    assert executor.is_closed
    return status, told


def test_passing_failures_are_tried_three_times_with_pauses(tmp_path: Path) -> None:
    make(tmp_path, ["/in/bad.mp4", "/in/lost.mp4", "/in/net.mp4", "/in/ok.mp4"]).save()
    clock = ManualClock(jumps=True)
    executor = Scripted(tmp_path, {"bad": ["input"], "lost": ["worker", "disk", "worker"], "net": ["network"]})
    status, _ = run(tmp_path, executor, clock)
    assert executor.order == ["bad", "lost", "net", "ok", "lost", "net", "lost"]  # others have their turn in a pause
    assert clock.waits == [5.0, 30.0]  # before the second attempt of lost and net, and before the third of lost
    assert (status.done, status.failed, status.total, status.finished) == (2, 2, 4, 4)
    rows = read_csv(tmp_path / "failed.csv")
    assert [(row["input"], row["kind"], row["attempts"], row["seconds"]) for row in rows] == [
        ("/in/bad.mp4", "input", "1", "2.0"),
        ("/in/lost.mp4", "worker", "3", "6.0"),
    ]
    assert [row["input"] for row in read_csv(tmp_path / "results.csv")] == ["/in/net.mp4", "/in/ok.mp4"]


class Lost(Scripted):
    """Leaves half-written files of each lost video, and one of somebody else, as a machine that vanishes from a network drive."""

    def wait(self, timeout_s: float | None) -> list[Outcome]:
        [outcome] = super().wait(timeout_s)
        if outcome.kind is not None:
            leave_parts(outcome.item.name)
        return [outcome]


def leave_parts(name: str) -> None:
    """Leave what another machine has just begun to write."""
    for path in (f"{name}.vidcam.mp4", f"vidcam-marks/{name}.done.json", "else.mp4"):
        file = Path(path)
        file.with_name(f".{file.stem}.vidcam-0badcafe-1-1-00000000.part{file.suffix}").touch()


def parts() -> list[str]:
    return sorted(path.name.partition(".vidcam-0bad")[0] for path in Path().rglob(".*.part*"))


def test_what_lost_workers_left_half_written_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, ["/in/lost.mp4", "/in/ok.mp4"]).save()
    status, _ = run(tmp_path, Lost(tmp_path, {"lost": ["worker"]}), ManualClock(jumps=True))
    assert (status.done, status.failed) == (2, 0)
    assert parts() == [".else"]  # it belongs to somebody else


def test_what_a_lost_run_left_half_written_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make(tmp_path, ["/in/lost.mp4"])
    begin_run(plan)
    leave_parts("lost")
    assert len(parts()) == 3
    begin_run(plan)
    assert parts() == [".else"]


def test_failures_stay_until_they_are_retried(tmp_path: Path) -> None:
    make(tmp_path, ["/in/bad.mp4", "/in/ok.mp4"]).save()
    run(tmp_path, Scripted(tmp_path, {"bad": ["input"]}), ManualClock())
    again = Scripted(tmp_path, {})
    assert run(tmp_path, again, ManualClock())[0].failed == 1
    assert again.order == []
    status, _ = run(tmp_path, again, ManualClock(), retry_failed=True)
    assert (again.order, status.done, status.failed) == (["bad"], 2, 0)
    assert read_csv(tmp_path / "failed.csv") == []
    anew = Scripted(tmp_path, {})
    assert run(tmp_path, anew, ManualClock(), anew=True)[0].done == 2
    assert anew.order == ["bad", "ok"]


def test_longest_videos_go_first_and_never_more_than_slots(tmp_path: Path) -> None:
    sizes = {"a": 10, "b": 3000, "c": 200, "d": 40}
    for name, size in sizes.items():
        (tmp_path / f"{name}.mp4").write_bytes(bytes(size))
    make(tmp_path, [str(tmp_path / f"{name}.mp4") for name in sizes]).save()
    executor = Scripted(tmp_path, {}, slots=3)
    run(tmp_path, executor, ManualClock())
    assert executor.order == sorted(sizes, key=lambda name: -sizes[name])


def test_stop_finishes_what_is_in_work_and_begins_nothing(tmp_path: Path) -> None:
    make(tmp_path, [f"/in/{name}.mp4" for name in "abcd"]).save()
    plan, stop, executor = read_plan(tmp_path), Stop(), Scripted(tmp_path, {}, slots=2)
    assert plan is not None

    def report(status: Status, outcome: Outcome | None) -> None:
        if outcome is not None:
            stop.set()

    status = run_items(plan, begin_run(plan), executor, report=report, stop=stop)
    assert (executor.order, status.done) == (["a", "b"], 2)
    assert [item.name for item in begin_run(plan).items] == ["c", "d"]


def test_run_waits_for_a_place_if_all_workers_are_lost(tmp_path: Path) -> None:
    class Shrunk(Scripted):
        slots = property(lambda self: 0 if len(clock.waits) < 3 else 1, lambda self, count: None)

    make(tmp_path, ["/in/a.mp4"]).save()
    clock = ManualClock(jumps=True)
    assert run(tmp_path, Shrunk(tmp_path, {}), clock)[0].done == 1
    assert clock.waits == [NO_PLACE_S] * 3


def test_status_gives_pace_and_time_left() -> None:
    status = Status(done=30, failed=2, total=100, finished=12, seconds=120.0)
    assert status.per_minute == 6.0
    assert status.eta_s == pytest.approx((100 - 32) / 6.0 * 60.0)
    assert replace(status, finished=0).eta_s is None


def test_causes_of_errors_decide_their_kind() -> None:
    def caused(error: Exception, cause: Exception) -> Exception:
        error.__cause__ = cause
        return error

    kinds = {
        "input": InputError("no video"),
        "output": OutputError("a folder"),
        "disk": caused(OutputError("full"), OSError(28, "No space left on device")),
        "network": caused(InputError("gone"), ConnectionResetError(104, "reset")),
        "memory": MemoryError(),
        "unexpected": ZeroDivisionError("division by zero"),
    }
    assert {kind_of(error).name: name for name, error in kinds.items()} == {name: name for name in kinds}
    busy = type("HTTPServerError", (OSError,), {})(1, "503")
    assert kind_of(caused(InputError("no answer"), busy)).name == "network"
    assert kind_of(DownloadError("no answer")).name == "network"
    assert [kind.name for kind in KINDS.values() if kind.is_passing] == ["disk", "network", "memory", "worker"]


# The command


def test_same_command_again_does_only_what_is_left(vidcam: Run, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", "a.mp4", "b.mkv")
    write_clips(tmp_path / "in" / "deep", "a.mp4")
    (tmp_path / "in" / "bad.mp4").write_text("this is no video")
    (tmp_path / "in" / "zero.mp4").write_bytes(b"")
    command = ("annotate", "in", "--recursive", *OWN, "--out-dir", "in/out", "--json", "in/out/{name}.json")
    code, out, err = vidcam(*command)
    assert code == 1
    assert len(out.splitlines()) == 3
    assert err.splitlines()[-1].endswith(f"2 of 5 inputs could not be explained: read {Path('in/out/failed.csv')}")
    folder = tmp_path / "in" / "out"
    rows = read_csv(folder / "results.csv")
    assert [row["name"] for row in rows] == ["a", "b", "a-2"]
    assert json.loads(rows[0]["outputs"]) == {"video": "a.vidcam.mp4", "json": "a.json"}
    report = json.loads((folder / "a-2.json").read_text())
    best = max(report["summary"]["top"], key=lambda answer: answer["prob"])
    assert (rows[2]["label_1"], float(rows[2]["prob_1"])) == (best["label"], pytest.approx(best["prob"], abs=1e-6))
    assert float(rows[2]["duration_s"]) == pytest.approx(9 / 30)
    failed = read_csv(folder / "failed.csv")
    assert [(Path(row["input"]).name, row["kind"], row["attempts"]) for row in failed] == [
        ("bad.mp4", "input", "1"), ("zero.mp4", "input", "1"),
    ]  # fmt: skip
    before = times_written(folder)
    write_clips(tmp_path / "in", "new.mp4")
    code, out, err = vidcam(*command)
    assert (code, len(out.splitlines())) == (1, 1)
    after = times_written(folder)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"new.vidcam.mp4"}
    code, _, err = vidcam(*command, "--opacity", "0.5")
    assert code == 2
    assert "look.opacity was 0.62 and is now 0.5" in err
    write_clips(tmp_path / "in", "bad.mp4", "zero.mp4")
    code, out, err = vidcam(*command, "--retry-failed", "--progress", "json")
    assert code == 0, err
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [(line["done"], line["failed"], line["total"]) for line in lines] == [(4, 0, 6), (5, 0, 6), (6, 0, 6)]


def test_marks_left_without_their_plan_do_not_count(vidcam: Run, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", "a.mp4", "b.mp4")
    assert vidcam("annotate", "in", *OWN, "--out-dir", "out")[0] == 0
    for path in Path("out").iterdir():
        if path.is_file():  # as `rm out/*` does: it leaves the folder of the marks
            path.unlink()
    code, out, _ = vidcam("annotate", "in", *OWN, "--out-dir", "out")
    assert (code, len(out.splitlines())) == (0, 2)
    assert {path.name for path in Path("out").glob("*.mp4")} == {"a.vidcam.mp4", "b.vidcam.mp4"}


def test_options_of_a_run_need_the_folder(vidcam: Run) -> None:
    code, _, err = vidcam("annotate", "a.mp4", "--jobs", "2")
    assert code == 2
    assert "--jobs is for a run over many videos: name the folder of its outputs with --out-dir" in err


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_finishes_the_video_and_twice_stops(
    times: int, vidcam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clips(tmp_path / "in", "a.mp4", "b.mp4", "c.mp4")
    annotate = tasks.annotation.annotate

    def interrupted(*args: object, **options: object) -> object:
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        return annotate(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tasks.annotation, "annotate", interrupted)
    code, out, err = vidcam("annotate", "in", *OWN, "--out-dir", "out")
    assert code == 130
    assert "press Ctrl-C again to stop at once" in err
    assert len(out.splitlines()) == len(list(Path("out").glob("*.mp4"))) == (1 if times == 1 else 0)
    if times == 1:
        assert "stopped: 1 of 3 inputs are done; the same command continues" in err
        assert len(read_csv(Path("out/results.csv"))) == 1
    monkeypatch.setattr(tasks.annotation, "annotate", annotate)
    code, out, err = vidcam("annotate", "in", *OWN, "--out-dir", "out")
    assert (code, len(out.splitlines())) == (0, 2 if times == 1 else 3)
    assert err.splitlines()[-1] == f"all 3 inputs are done: read {Path('out/results.csv')}"


def test_address_that_cannot_be_written_is_refused(vidcam: Run) -> None:
    code, _, err = vidcam("annotate", "a.mp4", "b.mp4", "--out-dir", "https://host/out")
    assert code == 2
    assert "https://host/out cannot be written to: name a folder" in err
    assert not Path("https:").exists()


def in_group(folder: Path, *words: object) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own."""
    command = [sys.executable, "-m", "vidcam", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.mark.skipif(os.name == "nt", reason="needs process groups")
def test_killed_runs_lose_nothing_and_repeat_nothing(vidcam: Run, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", *(f"{number}.mp4" for number in range(5)), frames=24)
    (tmp_path / "in" / "bad.mp4").write_text("this is no video")
    words = ("annotate", "in", *OWN, "--maps", "{}/{{name}}.npz", "--out-dir", "{}")
    calm, killed = ([str(word).format(folder) for word in words] for folder in ("calm", "killed"))
    assert vidcam(*calm)[0] == 1
    folder = tmp_path / "killed"
    moments = (
        lambda: any(folder.glob(".*.part*")),  # a file is half-written
        lambda: len(list(folder.glob("vidcam-marks/[!.]*.done.json"))) >= 2,  # some are finished
    )
    finished: dict[str, int] = {}
    for is_moment in moments:
        process = in_group(tmp_path, *killed)
        until(lambda: is_moment() or process.poll() is not None)  # noqa: B023
        with suppress(ProcessLookupError):  # it has ended before
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        marked = {path.name.removesuffix(".done.json") for path in folder.glob("vidcam-marks/[!.]*.done.json")}
        written = times_written(folder)
        assert all(written[f"{name}.vidcam.mp4"] == moment for name, moment in finished.items())
        finished = {name: written[f"{name}.vidcam.mp4"] for name in marked}
    assert len(finished) >= 2
    assert vidcam(*killed)[0] == 1
    written = times_written(folder)
    assert all(written[f"{name}.vidcam.mp4"] == moment for name, moment in finished.items())
    assert not list(folder.rglob(".*.part*"))
    outputs = {path.name for path in (tmp_path / "calm").iterdir()}
    assert {path.name for path in folder.iterdir()} == outputs
    for path in (tmp_path / "calm").glob("*.mp4"):
        assert (folder / path.name).read_bytes() == path.read_bytes()
    for path in (tmp_path / "calm").glob("*.npz"):
        with np.load(path) as one, np.load(folder / path.name) as other:
            for key in one.files:
                np.testing.assert_array_equal(one[key], other[key])
    rows, others = read_csv(tmp_path / "calm" / "results.csv"), read_csv(folder / "results.csv")
    assert [row | {"seconds": ""} for row in others] == [row | {"seconds": ""} for row in rows]
    assert len(read_csv(folder / "failed.csv")) == 1


DEADLY = """
import os, pathlib, signal
flag = pathlib.Path(__file__).with_name("flag")
if flag.exists():
    flag.unlink()
    os.kill(os.getpid(), signal.SIGKILL)
from support.planted import patches
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_worker_that_dies_is_replaced_and_its_video_repeated(tmp_path: Path) -> None:
    videos = write_clips(tmp_path / "in", "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "flag").touch()
    (tmp_path / "out").mkdir()
    plan = make(tmp_path / "out", [str(path) for path in sorted(videos.iterdir())])
    recipe = Recipe(tmp_path / "out", [{"model": f"{tmp_path}/deadly.py:patches", "engine": "torch"}], Annotate(Settings()))
    clock = ManualClock(jumps=True)
    outcomes: list[Outcome] = []
    status = run_items(
        plan, begin_run(plan), Processes(recipe, jobs=2), report=lambda _, o: outcomes.append(o) if o else None, stop=Stop(clock),
        clock=clock,
    )  # fmt: skip
    assert [outcome.sentence for outcome in outcomes] == ["", "", ""]
    assert (status.done, status.failed) == (3, 0)
    assert clock.waits == [5.0]  # the lost video was repeated after a pause
    assert not (tmp_path / "flag").exists()
    assert len(list((tmp_path / "out").glob("*.vidcam.mp4"))) == 3


# The tables


def filled(folder: Path) -> Plan:
    plan = make(folder, ["/in/a,b.mp4", "/in/ü.mp4", "/in/late.mp4"])
    plan.save()
    run(folder, Scripted(folder, {"late": ["input"]}), ManualClock())
    return plan


def test_results_are_read_by_pandas(tmp_path: Path) -> None:
    filled(tmp_path)
    table = pandas.read_csv(tmp_path / "results.csv")
    assert list(table.columns) == list(RESULT_COLUMNS)
    assert table["input"].tolist() == ["/in/a,b.mp4", "/in/ü.mp4"]
    assert table["prob_1"].tolist() == [0.75, 0.75]
    assert table["label_2"].isna().all()


def test_text_in_tables_is_no_formula_for_a_spreadsheet(tmp_path: Path) -> None:
    plan = make(tmp_path, ["/in/a.mp4"])
    begin_run(plan)
    row = {"name": "-a", "top": [["=1+1", 0.5], ["walking", 0.25]], "duration_s": -1.5}
    Marks(tmp_path).write("a", "done", row)
    write_tables(plan, RESULT_COLUMNS)
    [found] = read_csv(tmp_path / "results.csv")
    assert [found[key] for key in ("name", "label_1", "label_2", "duration_s")] == ["'-a", "'=1+1", "walking", "-1.5"]


def test_parquet_holds_the_same_rows_as_csv(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, an extra")
    filled(tmp_path)
    table = parquet.read_table(tmp_path / "results.parquet")
    assert table.schema.names == list(RESULT_COLUMNS)
    rows = read_csv(tmp_path / "results.csv")
    assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in table.to_pylist()] == rows


def test_both_tables_are_read_by_duckdb(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb")
    filled(tmp_path)
    for path in tmp_path.glob("results.*"):
        answer = duckdb.sql(f"select label_1, count(*), avg(prob_1) from '{path}' group by label_1").fetchall()
        assert answer == [("clapping", 2, 0.75)]


def test_missing_pyarrow_is_told_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = filled(tmp_path)
    (tmp_path / "results.parquet").write_bytes(b"of an earlier run")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    [sentence] = write_tables(plan, RESULT_COLUMNS)
    assert sentence.endswith("results.parquet needs the package pyarrow: pip install 'vidcam[parquet]'")
    assert not (tmp_path / "results.parquet").exists()


def test_page_lists_every_kind_of_failure_and_column() -> None:
    page = (ROOT / "docs" / "batches.md").read_text(encoding="utf-8")
    for kind in KINDS.values():
        assert f"| `{kind.name}` | {kind.title} | {3 if kind.is_passing else 1} |" in page
    for column in RESULT_COLUMNS:
        assert f"`{column}`" in page or column[-1].isdigit(), column
