"""The app without a browser: who may come in, what may be brought, whose turn it is, and what the command says."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient
from support.clock import ManualClock
from support.media import write_clip
from support.waiting import HANG_S, happened, run_async, until

from vidcam import Settings, engine, explain, open_engine
from vidcam.analysis import Answers
from vidcam.cli import main
from vidcam.errors import InputError, UsageError, VidcamError
from vidcam.metrics.faithfulness import Interval
from vidcam.metrics.verdict import Verdict
from vidcam.models import loading
from vidcam.models.table import get_spec
from vidcam.web.studio import app, course, jobs, menus, models, results, root, serve, sessions, uploads, view_models
from vidcam.web.studio.session import Session

CLIPS = Path(__file__).parent.parent / "clips"


LIMITS = sessions.Limits(size=300_000, seconds=4.0)


@pytest.fixture
def office(tmp_path: Path):
    """A desk whose jobs run when the test says so, in its own thread."""
    made = sessions.SessionManager(tmp_path / "root", LIMITS, clock=ManualClock())
    yield made
    made.shut()
    assert list((tmp_path / "root").iterdir()) == []  # whatever happened, nothing is left


# --- whose turn it is


def test_jobs_run_one_at_a_time_in_the_order_they_came(office) -> None:
    gates = {name: threading.Event() for name in "abc"}
    begun = {name: threading.Event() for name in "abc"}
    running, most, order = [], [], []

    def work(name: str):
        def run(job: Any) -> str:
            running.append(name)
            most.append(len(running))
            order.append(name)
            begun[name].set()
            happened(gates[name])
            running.remove(name)
            return name

        return run

    jobs = [office.submit(office.open(name), work(name)) for name in "abc"]
    office.start()
    happened(begun["a"])
    assert order == ["a"]
    assert [office.before(job) for job in jobs] == [0, 1, 2]
    assert [job.to_dict(before=office.before(job))["state"] for job in jobs] == ["running", "waiting", "waiting"]
    with pytest.raises(UsageError, match="last request is still being worked on"):
        office.submit(jobs[0].session, work("again"))
    for name, job in zip("abc", jobs, strict=True):
        happened(begun[name])
        gates[name].set()
        job.ended.result(HANG_S)
    assert order == ["a", "b", "c"]
    assert max(most) == 1
    assert [job.result for job in jobs] == ["a", "b", "c"]


def test_a_job_that_is_stopped_or_fails_leaves_nothing(office, caplog) -> None:
    session = office.open("a")

    def stopped(job: Any) -> None:
        (job.folder / "half.mp4").write_bytes(b"half")
        job.cancel()
        assert job.to_dict(before=0)["stopping"]
        job.progress("draw", 1, 10)
        raise AssertionError("it goes on")

    def broken(job: Any) -> None:
        (job.folder / "half.mp4").write_bytes(b"half")
        raise ZeroDivisionError("secret detail")

    def refused(job: Any) -> None:
        raise InputError(f"{session.folder}/input-1/clip.mp4 is damaged")

    job = office.submit(session, stopped)
    office.step()
    assert (job.state, job.active) == ("cancelled", False)
    assert not job.folder.exists()
    job = office.submit(session, broken)
    office.step()
    assert job.state == "failed"
    assert not job.folder.exists()
    number = re.fullmatch(r"Something went wrong inside vidcam \((\w{4})\): the details are in the terminal .*", job.message)
    assert number
    assert "secret detail" not in job.message
    assert f"[{number[1]}] secret detail" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    job = office.submit(session, refused)
    office.step()
    assert job.state == "failed"
    assert job.message == "input-1/clip.mp4 is damaged"  # nobody is told where the server keeps things
    job = office.submit(session, lambda job: 42)
    office.step()
    assert (job.state, job.result) == ("done", 42)
    assert not office.step()  # nothing waits


def test_a_job_is_stopped_from_another_thread_while_it_runs(office) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(job: Any) -> None:
        begun.set()
        happened(go_on)
        job.progress("draw", 1, 10)

    office.start()
    job = office.submit(office.open("a"), work)
    happened(begun)
    assert job.folder.is_dir()
    told = []
    job.ended.add_done_callback(lambda _: told.append((job.state, job.folder.exists())))
    job.cancel()
    go_on.set()
    job.ended.result(HANG_S)
    until(lambda: told)
    assert told == [("cancelled", False)]


def test_a_job_that_is_stopped_while_it_waits_is_never_begun(office) -> None:
    job = office.submit(office.open("a"), lambda job: "done")
    job.cancel()
    assert office.step()
    assert (job.state, job.result) == ("cancelled", None)


def test_a_tab_that_is_loaded_again_finds_its_session_and_no_other(office) -> None:
    mine, other = office.open("a"), office.open("b")
    work_done = office.submit(mine, lambda job: "done", key="annotate")
    office.leave("a")
    assert office.step()
    assert (work_done.state, mine.closed) == ("done", False)  # the job goes on without its tab
    with pytest.raises(UsageError, match="has expired: reload it"):
        office.of("a")
    assert office.open("again", mine.secret) is mine
    assert office.of("again") is mine
    assert office.open("copy", mine.secret) is mine  # a duplicated tab
    office.leave("again")
    assert mine.tabs == {"copy"}
    secrets = [mine.secret, other.secret, mine.token, other.token]
    assert len(set(secrets)) == 4
    assert min(map(len, secrets)) >= 24
    for wrong in ("", "guess", mine.token, "copy", None, 3, [mine.secret], {"secret": mine.secret}):
        stranger = office.open("stranger", wrong)
        assert stranger not in (mine, other)
        assert stranger.folder not in (mine.folder, other.folder)


def test_a_tab_that_shows_another_session_leaves_the_one_before(office) -> None:
    first = office.open("a")
    second = office.open("a")
    assert (first.tabs, second.tabs) == (set(), {"a"})


@pytest.mark.parametrize("limits", [sessions.Limits(kept=2), sessions.Limits(kept_size=250_000)])
def test_sessions_without_a_tab_are_bounded_oldest_first(tmp_path: Path, limits: Any) -> None:
    office = sessions.SessionManager(tmp_path / "root", limits, clock=ManualClock())
    opened = {}
    for name in ("working", "open", "oldest", "old", "new"):
        opened[name] = office.open(name)
        (opened[name].folder / "video.mp4").write_bytes(bytes(100_000))
    job = office.submit(opened["working"], lambda job: None)
    for name in ("oldest", "old", "new"):
        office.clock.advance(1)
        office.leave(name)
    assert [s.closed for s in opened.values()] == [False, False, True, False, False]
    assert not opened["oldest"].folder.exists()
    assert office.open("late", opened["oldest"].secret) is not opened["oldest"]
    office.clock.advance(1)
    office.leave("working")  # it is worked on: it stays, and counts
    assert [s.closed for s in opened.values()] == [False, False, True, True, False]
    office.clock.advance(1)
    assert office.open("back", opened["new"].secret) is opened["new"]
    office.leave("back")  # the last one that was left is the last one to go
    assert not opened["new"].closed
    assert office.step()
    assert job.state == "done"
    office.shut()
    assert list((tmp_path / "root").iterdir()) == []


def test_a_session_that_grew_is_bounded_when_its_job_ends(tmp_path: Path) -> None:
    office = sessions.SessionManager(tmp_path / "root", sessions.Limits(kept_size=1000), clock=ManualClock())
    session = office.open("a")
    office.submit(session, lambda job: (job.folder / "large.mp4").write_bytes(bytes(2000)))
    office.leave("a")
    assert not session.closed
    office.step()
    assert session.closed
    assert not session.folder.exists()


def test_a_tab_that_said_nothing_for_twelve_hours_is_gone(office) -> None:
    old, kept = office.open("a"), office.open("b")
    office.clock.advance(sessions.IDLE_S)
    office.of("b")
    office.open("c")
    assert office.knows("a")
    office.clock.advance(1)
    office.open("d")
    assert [office.knows(name) for name in "abcd"] == [False, True, True, True]
    assert (old.closed, kept.closed) == (True, False)
    assert not old.folder.exists()


def test_what_came_of_a_job_is_the_sessions_before_anybody_is_told(office) -> None:
    session, told = office.open("a"), []

    def work(job: Any) -> Any:
        return SimpleNamespace(folder=job.folder)

    first = office.submit(session, work, key="annotate", keep=True)
    first.ended.add_done_callback(lambda _: told.append(session.results["annotate"] is first.result))
    office.step()
    assert told == [True]
    address = session.serve(first.folder / "x.mp4")
    second = office.submit(session, work, key="annotate", keep=True)
    office.step()
    assert session.results["annotate"] is second.result
    assert not first.folder.exists()
    assert second.folder.exists()
    assert address.split("/")[-1] not in session.files


def test_results_of_one_job_stay_until_another_job_replaces_them(office) -> None:
    session = office.open("a")
    first, second, other = (session.folder / name for name in ("job-1/0", "job-1/1", "job-2"))
    for folder in (first, second, other):
        folder.mkdir(parents=True)
    address = session.serve(first).split("/")[2]
    session.keep("annotate", SimpleNamespace(folder=first))
    session.keep("annotate", SimpleNamespace(folder=second))  # the next of several videos: the page may still fetch the first
    assert first.is_dir()
    assert address in session.files
    session.keep("annotate", SimpleNamespace(folder=other))
    assert not first.parent.exists()
    assert address not in session.files
    session.keep("annotate", SimpleNamespace(folder=Path(__file__).parent))  # a run that is kept elsewhere
    session.forget(Path(__file__).parent)
    assert Path(__file__).is_file()


# --- the files of servers that were killed

KILLED = """
import sys
from vidcam.web.studio import root
with root.own_folder() as root:
    (root / "video.mp4").write_bytes(b"video")
    print(root, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_files_of_a_killed_server_are_removed_and_no_others(tmp_path: Path, monkeypatch) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def server() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    with server()[0] as alive, server()[0] as dead:
        folders = {path.name for path in tmp_path.iterdir()}
        assert len(folders) == 2
        dead.kill()
        dead.wait(HANG_S)
        foreign = tmp_path / "vidcam-app-mine"  # named like ours, but not marked
        foreign.mkdir()
        (foreign / "diary.txt").write_text("dear diary")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / root.LOCK).write_bytes(b"")
        (tmp_path / "vidcam-app-link").symlink_to(elsewhere)
        (tmp_path / "vidcam-app-file").write_text("a file")
        fooled = tmp_path / "vidcam-app-fooled"
        fooled.mkdir()
        (fooled / root.LOCK).symlink_to(elsewhere / root.LOCK)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with root.own_folder() as own:
            left = {path.name for path in tmp_path.iterdir()}
            assert left - folders == {foreign.name, "elsewhere", "vidcam-app-link", "vidcam-app-file", fooled.name, own.name}
            assert len(left & folders) == 1  # the one of the server that lives
            [living] = left & folders
            assert (tmp_path / living / "video.mp4").is_file()
            assert (elsewhere / root.LOCK).is_file()
        assert not own.exists()
        alive.communicate("", HANG_S)
        assert not (tmp_path / living).exists()


# --- one costly thing at a time


def test_uploads_are_looked_at_one_by_one_after_what_runs_and_before_what_waits(office) -> None:
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []
    running: list[str] = []

    def costly(name: str) -> str:
        running.append(name)
        assert running == [name]  # nothing else runs
        order.append(name)
        if name == "job":
            begun.set()
            happened(go_on)
        running.remove(name)
        return name

    async def upload() -> list[str]:
        looks = [office.errand(lambda n=n: costly(n)) for n in ("first", "second")]
        gone = office.errand(lambda: costly("gone"))
        assert len(office._queue) == 5
        assert not any(look.done() for look in looks)  # they wait, and this loop is free
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        handed_on = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(handed_on.set_result, None)  # after what the cancelling has scheduled
        await handed_on
        go_on.set()
        return await asyncio.gather(*looks)

    office.submit(office.open("a"), lambda job: costly("job"))
    waiting = office.submit(office.open("b"), lambda job: costly("waiting"))
    office.start()
    happened(begun)
    assert run_async(upload()) == ["first", "second"]
    waiting.ended.result(HANG_S)
    assert order == ["job", "first", "second", "waiting"]


def test_an_upload_is_refused_if_too_many_wait_and_fails_with_its_own_error(office) -> None:
    session = office.open("a")
    client = TestClient(Starlette(routes=serve.media(office)))
    office.submit(office.open("b"), lambda job: None)

    async def fill() -> list[None]:
        looks = [office.errand(lambda: None) for _ in range(sessions.MAX_WAITING)]
        busy = client.post(f"/media/{session.token}?name=a.mp4", content=(CLIPS / "falling.mp4").read_bytes())
        assert busy.status_code == 400
        assert busy.json()["error"] == f"{sessions.MAX_WAITING} others are waiting already: try again in a few minutes."
        assert list(session.folder.iterdir()) == []
        while office.step():
            pass
        return list(await asyncio.gather(*looks))

    assert run_async(fill()) == [None] * sessions.MAX_WAITING

    async def fails() -> None:
        look = office.errand(lambda: 1 // 0)
        office.step()
        with pytest.raises(ZeroDivisionError):
            await look

    run_async(fails())


def test_the_line_has_an_end(office) -> None:
    for n in range(sessions.MAX_WAITING + 1):  # one would be worked on
        office.submit(office.open(str(n)), lambda job: None)
    with pytest.raises(UsageError, match=f"{sessions.MAX_WAITING} others are waiting already"):
        office.submit(office.open("late"), lambda job: None)


# --- how long it takes


def course_of(clock: ManualClock, **shares: float) -> Any:
    made = course.JobProgress(clock)
    made.plan(shares)
    return made


def test_the_time_left_is_that_of_all_stages_and_runs_down_while_nothing_moves() -> None:
    clock = ManualClock()
    job = course_of(clock, explain=50.0, judge=25.0, draw=25.0)
    job.step("explain", 0, 10)
    clock.advance(3)
    job.step("explain", 1, 10)
    assert job.to_dict()["left_s"] is None  # one step says little
    clock.advance(3)
    job.step("explain", 2, 10)
    told = job.to_dict()
    assert told["left_s"] == 8 * 3 + 2 * 15  # what is left of this stage, and as long as all of it for the others
    assert told["share"] == pytest.approx(0.1)
    assert told["spent_s"] == 6
    for left in range(53, 0, -1):
        clock.advance(1)
        assert job.to_dict()["left_s"] == left
    clock.advance(1)
    assert job.to_dict()["left_s"] is None  # it was wrong: better no number than a stale one
    job.step("judge", 1, 6)
    assert job.to_dict()["left_s"] is None
    assert job.to_dict()["share"] == pytest.approx(0.5 + 0.25 / 6, abs=1e-3)


def test_frames_that_are_read_in_a_burst_are_no_steps() -> None:
    clock = ManualClock()
    job = course_of(clock, explain=1.0)
    done = 0
    shown = []
    for _ in range(4):
        for _ in range(20):
            done += 1
            clock.advance(0.03)
            job.step("explain", done, 100)
            shown.append(job.to_dict()["left_s"])
        clock.advance(10)
    assert shown[:21] == [None] * 20 + [None]  # what is only read promises nothing
    assert next(s for s in shown if s is not None) == pytest.approx(21.2 / 40 * 60, abs=1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["load", "explain", "fill in", "judge", "draw", "write"]),
            st.lists(st.tuples(st.floats(0, 30), st.integers(1, 3)), max_size=12),
            st.integers(0, 30),
        ),
        max_size=6,
    )
)
def test_the_seconds_left_never_grow_and_the_bar_never_goes_back(stages: list[Any]) -> None:
    clock = ManualClock()
    job = course_of(clock, load=5.0, explain=50.0, judge=25.0, draw=20.0, write=2.0)
    shown, bars = [], []
    for stage, steps, total in stages:
        done = 0
        job.step(stage, 0, total or None)
        for seconds, more in steps:
            for _ in range(2):  # a look in between too
                clock.advance(seconds / 2)
                told = job.to_dict()
                shown.append(told["left_s"])
                bars.append(told["share"])
            done += more
            job.step(stage, min(done, total), total or None)
    numbers = [n for n in shown if n is not None]
    assert numbers == sorted(numbers, reverse=True)
    assert all(n >= 1 for n in numbers)
    assert bars == sorted(bars)
    assert all(0 <= b <= 1 for b in bars)


def test_a_job_tells_of_all_its_stages(office) -> None:
    told: list[dict[str, Any]] = []

    def work(job: Any) -> None:
        job.plan({"explain": 3.0, "draw": 1.0})
        for stage in ("explain", "draw"):
            for done in range(1, 5):
                office.clock.advance(2)
                job.progress(stage, done, 4)
                told.append(job.to_dict(before=0))

    office.submit(office.open("a"), work)
    office.step()
    assert [t["share"] for t in told] == pytest.approx([0.188, 0.375, 0.562, 0.75, 0.812, 0.875, 0.938, 1.0], abs=1e-3)
    numbers = [t["left_s"] for t in told]
    assert numbers[:3] == [None, None, pytest.approx(2 + 8 / 3, abs=1)]
    assert [t["spent_s"] for t in told] == list(range(2, 17, 2))


# --- what may come in


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("clip.mp4", "clip.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\anna\\my clip (1).mov", "my clip (1).mov"),
        ("Straße ü.webm", "Straße ü.webm"),
        ("<script>.mp4", "_script_.mp4"),
        ("....mp4", "video.mp4"),
        ("", "video"),
        ("a" * 300 + ".mp4", "a" * 80 + ".mp4"),
        ("x.m/p4\n", "p4_"),
    ],
)
def test_names_become_harmless(given: str, kept: str) -> None:
    assert uploads.clean_name(given) == kept


def test_only_real_videos_come_in_that_are_not_too_long(tmp_path: Path) -> None:
    video = uploads.look_at(CLIPS / "falling.mp4", "falling.mp4", sessions.Limits())
    assert video.facts == "3.5\xa0s · 480 × 360"
    assert video.poster.startswith("data:image/jpeg;base64,")
    assert not video.sound
    with pytest.raises(InputError, match=r"falling.mp4 is longer than the 3 seconds that are allowed here: cut it"):
        uploads.look_at(CLIPS / "falling.mp4", "falling.mp4", sessions.Limits(seconds=3))
    lists = {
        "list.mp4": f"ffconcat version 1.0\nfile '{CLIPS / 'falling.mp4'}'\n",
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{CLIPS / 'falling.mp4'}\n#EXT-X-ENDLIST\n",
        "text.mp4": "hello",
        "empty.mp4": "",
    }
    for name, text in lists.items():  # a playlist would have other files of this machine read
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=f"^{name} is not a supported video format"):
            uploads.look_at(tmp_path / name, name, sessions.Limits())
    (tmp_path / "cut.mp4").write_bytes((CLIPS / "falling.mp4").read_bytes()[:2000])
    with pytest.raises(InputError, match=r"^my\.mp4 ") as told:
        uploads.look_at(tmp_path / "cut.mp4", "my.mp4", sessions.Limits())
    assert str(tmp_path) not in str(told.value)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "mov", "ts", "webm"])
def test_the_usual_containers_come_in(tmp_path: Path, suffix: str) -> None:
    codec = {"webm": "libvpx", "avi": "mpeg4"}.get(suffix, "libx264")
    path = write_clip(tmp_path / f"clip.{suffix}", frames=10, size=(48, 64), codec=codec)
    assert uploads.look_at(path, path.name, sessions.Limits()).facts.endswith("64 × 48")


def test_a_video_is_checked_and_fetched_by_its_owner_only(office) -> None:
    mine, other = office.open("a"), office.open("b")
    office.start()
    client = TestClient(Starlette(routes=serve.media(office)))
    content = (CLIPS / "falling.mp4").read_bytes()
    assert client.post(f"/media/{mine.token}?name=my%20clip.mp4", content=content).json() == {}
    assert mine.video.name == "my clip.mp4"
    address = f"/{view_models.of_video(mine, mine.video)['url']}"
    got = client.get(address)
    assert got.content == content
    part = client.get(address, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content[100:200])  # seeking needs it
    assert client.get(address.replace(mine.token, other.token)).status_code == 404
    for wrong in (f"/media/{mine.token}/..%2F..%2Fpasswd", f"/media/{mine.token}/video.mp4", "/media/x/y"):
        assert client.get(wrong).status_code == 404
    assert client.post("/media/nobody?name=a.mp4", content=content).status_code == 404
    bad = client.post(f"/media/{mine.token}?name=bad.mp4", content=b"no video")
    assert (bad.status_code, bad.json()["error"].partition(":")[0]) == (
        400, "bad.mp4 is not a supported video format",
    )  # fmt: skip
    assert mine.video.name == "my clip.mp4"  # what was there stays
    large = client.post(f"/media/{mine.token}?name=large.mp4", content=content + bytes(300_000))
    assert large.status_code == 413
    assert large.json()["error"].startswith("large.mp4 is larger than the 0.3 MB that are allowed here")
    unsaid = client.post(f"/media/{mine.token}?name=large.mp4", content=(bytes(50_000) for _ in range(9)))  # of no stated length
    assert (unsaid.status_code, unsaid.json()["error"].startswith("large.mp4 is larger")) == (413, True)
    assert len(list(mine.folder.iterdir())) == 1
    client.post(f"/media/{mine.token}?name=second.mp4", content=content)
    assert client.get(address).status_code == 404  # the first one is gone, from the disk too
    assert [p.name for p in mine.folder.glob("*/*")] == ["video.mp4"]
    client.post(f"/media/{mine.token}?name=page.html", content=content)  # no browser may take it for a page
    assert client.get(f"/{view_models.of_video(mine, mine.video)['url']}").headers["content-type"] == "video/mp4"


def test_a_folder_is_fetched_file_by_file_and_nothing_beside_it(office) -> None:
    mine, other = office.open("a"), office.open("b")
    folder = mine.folder / "job-1"
    (folder / "deeper").mkdir(parents=True)
    (folder / "part-maps-0").write_bytes(b"maps")
    (folder / "deeper" / "x").write_bytes(b"deep")
    (mine.folder / "secret").write_bytes(b"secret")
    client = TestClient(Starlette(routes=serve.media(office)))
    base = mine.serve(folder)
    assert base == mine.serve(folder)  # it stays the same while the page is open
    assert client.get(f"/{base}part-maps-0").content == b"maps"
    for wrong in ("..%2Fsecret", "%2E%2E/secret", "deeper/x", "deeper", "", "..%2F..%2Fsecret", "%2Fetc%2Fpasswd"):
        assert client.get(f"/{base}{wrong}").status_code == 404, wrong
    assert client.get(f"/{base.replace(mine.token, other.token)}part-maps-0").status_code == 404
    mine.forget(folder)
    assert client.get(f"/{base}part-maps-0").status_code == 404
    assert client.get("/player/player.js").text.startswith("// The player")
    assert client.get("/player/player.css").status_code == 404


def test_what_a_job_has_shown_stays_if_it_is_stopped_afterwards(office) -> None:
    session = office.open("a")

    def work(job: Any) -> None:
        (job.folder / "maps").write_bytes(b"maps")
        job.show(SimpleNamespace(folder=job.folder))
        job.cancel()
        job.progress("judge", 1, 6)

    job = office.submit(session, work, key="annotate", keep=True)
    office.step()
    assert (job.state, job.to_dict(before=0)["shown"]) == ("cancelled", 1)
    assert session.results["annotate"].folder == job.folder
    assert (job.folder / "maps").is_file()


@pytest.mark.parametrize(("seconds", "words"), [(3, "3 seconds"), (60, "1 minute"), (90, "1.5 minutes"), (300, "5 minutes")])
def test_limits_are_told_in_words(seconds: float, words: str) -> None:
    assert uploads.minutes(seconds) == words


def test_weights_are_fetched_with_progress_and_can_be_stopped(office, monkeypatch) -> None:
    told: list[tuple[str, int, int]] = []

    def download(name: str, *, progress: Any) -> Path:
        for done in range(0, 101, 10):
            if done == 60:
                job.cancel()
            progress(done * 10**6, 100 * 10**6)
            now = job.to_dict(before=0)
            told.append((now["stage"], now["done"] // 10**6, now["total"] // 10**6))
            office.clock.advance(0.4 * jobs.PROGRESS_S)
        return Path(name)

    monkeypatch.setattr(jobs.loading, "download", download)
    job = office.submit(office.open("a"), jobs.install("x3d_s"))
    office.step()
    assert job.state == "cancelled"
    assert told == [("weights", done, 100) for done in (0, 0, 0, 30, 30, 30)]  # not oftener than people can read it


# --- who may come in


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 200),
        ("GET", "/", {"host": "evil.example"}, 403),  # a name that somebody else points here
        ("POST", "/x", {"origin": "http://127.0.0.1"}, 200),
        ("POST", "/x", {"origin": "http://evil.example"}, 403),
        ("POST", "/x", {"origin": "null"}, 403),
        ("POST", "/gradio_api/upload", {}, 403),
        ("GET", "/gradio_api/proxy=http://evil.example", {}, 403),
    ],
)
def test_the_gate_lets_in_pages_of_this_server(method: str, path: str, headers: dict[str, str], status: int) -> None:
    client = TestClient(serve.Gate(nothing, here=True, auth=None), base_url="http://127.0.0.1")
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == status
    if status == 200:
        assert "http" not in answer.headers["content-security-policy"]  # nothing from, or to, anybody else


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "cam.example.com", "origin": "https://cam.example.com"}, 200),
        ({"host": "127.0.0.1", "origin": "https://cam.example.com"}, 200),  # a proxy that keeps the name to itself
        ({"host": "127.0.0.1", "origin": "https://evil.example"}, 403),
        ({"host": "evil.example", "origin": "https://cam.example.com"}, 403),
    ],
)
def test_the_gate_lets_in_pages_that_came_through_the_proxy(headers: dict[str, str], status: int) -> None:
    gate = serve.Gate(nothing, here=True, auth=("anna", "secret"), name="cam.example.com")
    client = TestClient(gate, base_url="http://127.0.0.1")
    assert client.post("/x", headers=headers).status_code == (401 if status == 200 else 403)
    assert client.post("/x", headers=headers, auth=("anna", "secret")).status_code == status


def test_a_password_is_asked_for_once() -> None:
    gate = serve.Gate(nothing, here=False, auth=("anna", "se:cret"))
    assert TestClient(gate).get("/").status_code == 401
    for wrong in (("anna", "secret"), ("anna", ""), ("bert", "se:cret")):
        assert TestClient(gate).get("/", auth=wrong).status_code == 401
    client = TestClient(gate, base_url="https://machine.example")
    assert client.get("/", auth=("anna", "se:cret")).status_code == 200
    assert client.get("/").status_code == 200  # by the cookie, which websockets send too
    assert TestClient(gate).get("/", headers={"cookie": "vidcam_app=guess"}).status_code == 401
    assert (
        TestClient(gate).get("/", headers={"authorization": "Bearer " + base64.b64encode(b"anna:se:cret").decode()}).status_code
        == 401
    )


# --- menus and facts


@pytest.mark.parametrize(
    ("cache", "shown"),
    [("home/anna/.cache/vidcam", "~/.cache/vidcam"), ("srv/vidcam", "srv/vidcam"), ("home/annabel", "home/annabel")],
)
def test_the_folder_of_the_weights_is_shown_without_the_home_folder(cache, shown, tmp_path, monkeypatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home" / "anna"))
    monkeypatch.setenv("VIDCAM_CACHE", str(tmp_path / cache))
    expected = str(Path(shown) if shown.startswith("~") else tmp_path / shown)
    assert models._tables()["folder"] == expected


def test_menus_offer_what_works_and_say_what_is_left_out(monkeypatch) -> None:
    names = [name for _, name in menus.method_choices("mini")]
    assert "attention-rollout" not in names
    assert names[-1] == "best"
    assert "best" not in [name for _, name in menus.method_choices("mini", several=True)]
    choice = "cam-spread · what adds up to the score · recommended"
    assert (choice, "cam-spread") in menus.method_choices("mini")
    reason = "method 'attention-rollout' needs attention, which model 'mini' does not have"
    assert menus.refusal("attention-rollout", "mini") == reason
    assert menus.refusal("attention-rollout", "mvit_v2_s") is None
    out = len([m for m in menus.all_methods() if menus.refusal(m.name, "mini")])
    assert menus.method_note("mini") == f"{out} methods are not available for mini."
    assert menus.reach("mini") == "Knows 17 everyday movements; looks at 2.4 s at a time."
    assert "x3d_s" not in [name for _, name in menus.model_choices()]  # it cannot be had offline
    assert menus.availability(get_spec("x3d_s")) == (
        False,
        "its weights are not on this machine, and the app was started without downloads",
    )
    monkeypatch.delenv("VIDCAM_OFFLINE")
    words = {name: words for words, name in menus.model_choices()}
    assert words["x3d_s"] == "x3d_s · X3D-S, 400 actions, downloads its weights"  # nobody has published the size of that file
    assert words["r3d_18"] == "r3d_18 · ResNet3D-18, 400 actions, downloads 134 MB"
    assert words["mini"] == "mini · Mini, trained on drawn people, 17 actions"
    assert next(iter(words)) == "mini"  # what is here comes first
    assert menus.default_model("auto") == "mini"
    why = "This model was chosen because no larger one is on this machine; the tab Models downloads some."
    assert menus.choice_reason("auto") == why
    assert menus.choice_reason("mini") == ""
    here = {"mini", "movinet_a0"}
    with monkeypatch.context() as patch:
        patch.setattr(loading, "is_available", lambda spec: spec.name in here)
        assert menus.default_model("auto") == "movinet_a0"  # it knows real videos
        assert menus.choice_reason("auto") == "This model was chosen because it is the best one on this machine."
    for name in ("evil.py:make", "os:system", None, ["mini"]):  # a page must not have code of its choice loaded
        with pytest.raises(UsageError, match="not one of the models in the table"):
            menus.check_model(name)


def analysed(**settings: Any) -> Any:
    """Three actions, one after the other, as mini sees them."""
    return explain(CLIPS / "three_actions.mp4", engine=open_engine("mini", device="cpu"), settings=Settings(**settings))


def test_the_headline_is_the_sequence_and_the_video_opens_at_its_peak() -> None:
    analysis = analysed()
    actions = re.findall(r"(?:^| → )([a-z ]+) \((\d\.\d)–(\d\.\d) s\)", view_models.headline(analysis))
    assert view_models.headline(analysis) == " → ".join(f"{label} ({start}–{end} s)" for label, start, end in actions)
    assert (actions[0][0], actions[-1][0]) == ("waving one hand", "raising both arms sideways")
    times = [float(second) for _, *span in actions for second in span]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (0.0, pytest.approx(analysis.duration_s, abs=0.1))
    assert view_models.headline(analysed(classes=("waving one hand",))).startswith("raising both arms sideways, ")
    times, label = analysis.times_s, analysis.top(1)[0][0]
    curve = analysis.curves[label]
    assert len(analysis.curves) > 1
    assert results._peak(analysis) == pytest.approx(float(times[np.nanargmax(curve)]), abs=1e-6)
    [segment] = [s for s in analysis.segments if s.label == label]
    assert segment.start_s <= results._peak(analysis) <= segment.end_s
    assert Answers(analysis).at(results._peak(analysis))[1] == label  # the player opens with the evidence for it


def test_an_answer_that_rejects_is_no_evidence_and_offers_another_model(office, monkeypatch) -> None:
    session = office.open("a")
    analysis = analysed(classes=("none of these", "waving one hand"))
    video = uploads.look_at(CLIPS / "three_actions.mp4", "three_actions.mp4", sessions.Limits())
    result = results.Result("1", video, analysis, None, session.folder)
    for module in (engine, view_models):
        monkeypatch.setattr(module, "choose_default_model", lambda: ("movinet_a0", ""))
    monkeypatch.setattr(loading, "is_available", lambda spec: True)
    shown, words = view_models.shown(session, result), view_models.answered(result, session)
    assert shown["sentence"].startswith(
        "mini recognises no action in most of this video. For moments, it recognises waving one hand (0"
    )
    assert shown["sentence"].endswith(" s).")
    assert len(shown["players"]) == 1  # what the model says at each moment can be looked at
    quiet = replace(
        analysis,
        windows=tuple(replace(w, probs=np.eye(len(w.labels))[w.labels.index("none of these")]) for w in analysis.windows),
    )
    assert view_models.sentence_of(replace(result, analysis=quiet)) == "mini recognises none of its 17 actions in this video."
    assert (words["shown"], words["verdict"], words["warnings"]) == ([], None, [])
    assert (words["rejected"]["model"], words["rejected"]["try"]) == ("movinet_a0", "Explain with movinet_a0 (600 actions)")
    # if it cannot be had, it is not offered
    monkeypatch.setattr(loading, "is_available", lambda spec: spec.name == "mini")
    assert view_models.answered(result, session)["rejected"]["model"] is None
    # nor if the model knows what is asked about
    known = replace(result, analysis=analysed(classes=("waving one hand",)))
    [player] = view_models.shown(session, known)["players"]
    assert player["base"].startswith(f"media/{session.token}/")


def test_an_answer_tells_what_was_not_seen_and_which_class_was_checked(office) -> None:
    session = office.open("a")
    analysis = replace(analysed(classes=("waving one hand", "standing up")), unseen_fraction=0.248)
    verdict = Verdict("weak", 0.2, 0.1, 0.5, 0.4, Interval(0.1, 0.05, 0.2), 2, 0.9)
    video = uploads.look_at(CLIPS / "three_actions.mp4", "three_actions.mp4", sessions.Limits())

    def answered(**changes: Any) -> Any:
        return view_models.answered(
            results.Result("1", video, replace(analysis, verdict=verdict, **changes), None, session.folder), session
        )

    said = answered()
    unseen = "The model did not see 24.8\xa0% of the video (hatched)."
    assert said["unseen"] == {"words": unseen, "cover": "Cover the whole picture"}
    assert not any("did not see" in fact for fact in said["facts"])
    assert answered(settings=replace(analysis.settings, cover=True))["unseen"] == {"words": unseen, "cover": ""}
    assert answered(unseen_fraction=0.004)["unseen"] is None
    assert said["verdict"]["only"] == "Only “waving one hand”, the first class, was checked."
    analysis = analysed(classes=("waving one hand",))
    assert answered()["verdict"]["only"] == ""


# --- the command


@pytest.fixture
def vidcam(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def words(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        monkeypatch.setattr(sys, "argv", ["vidcam", "app", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main.main()
        return int(stop.value.code or 0), " ".join(capsys.readouterr().err.split())

    return words


def test_bad_requests_end_in_one_sentence(vidcam) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert vidcam("--port", port) == (
            1,
            f"error: port {port} on 127.0.0.1 is in use by another program; name another with --port, or 0 for any that is free",
        )  # fmt: skip
    assert vidcam("--auth", "anna") == (
        2, "error: --auth is a user and a password with a colon between them, as in --auth anna:secret",
    )  # fmt: skip
    for words in (("--share",), ("--name", "cam.example.com")):
        assert vidcam(*words) == (2, f"error: {words[0]} puts the app where everybody can reach it: add --auth user:password")
    code, sentence = vidcam("--name", "https://cam.example.com/", "--auth", "anna:secret")
    assert (code, "--name is the name at which a proxy with https is reached" in sentence) == (2, True)
    code, sentence = vidcam("--model", "x3d_z")
    assert (code, sentence.startswith("error: unknown model 'x3d_z': did you mean 'x3d_")) == (2, True)


def test_share_that_fails_is_one_sentence(monkeypatch) -> None:
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("no server")))
    with pytest.raises(VidcamError, match=r"the public address of --share could not be had \(no server\)"):
        app._tunnel(1)


def test_it_ends_at_once_when_interrupted_and_leaves_nothing(tmp_path: Path) -> None:
    """By Ctrl-C; the tests of who is let in end their server by SIGTERM. Until a model is asked, torch is not loaded."""
    environment = {**os.environ, "VIDCAM_OFFLINE": "1", "TMPDIR": str(tmp_path)}
    code = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules)); from vidcam.cli.main import main; main()"
    command = [sys.executable, "-c", code, "app", "--port", "0", "--model", "mini"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == "starting the app\n"
            said = process.stderr.readline()
            assert re.match(r"open http://127\.0\.0\.1:\d+/", said)
            process.send_signal(signal.SIGINT)
            assert process.wait(HANG_S) == 130
        finally:
            process.kill()  # one that does not end must not hold the tests
        assert process.stderr.read().strip() == ""
        assert process.stdout.read() == "False\n"
    assert list(tmp_path.glob("vidcam-app-*")) == []


def test_choices_that_arrive_late_do_not_replace_newer_ones(tmp_path: Path) -> None:
    session = Session("token", "secret", tmp_path)
    session.choose("annotate", ["cam", True], sent=1.0)
    session.choose("annotate", ["cam", False], sent=3.0)
    session.choose("annotate", ["gradcam", True], sent=2.0)
    assert session.chosen == {"annotate": ["cam", False]}
    session.choose("annotate", ["gradcam", False], sent=4.0)
    assert session.chosen == {"annotate": ["gradcam", False]}
