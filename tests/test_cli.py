"""The command line for a user: the files and messages it writes, and what it leaves behind when something fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path

import av
import numpy as np
import pytest
from support import planted
from support.command import Run, exit_code
from support.media import numbered, truncate, write_clip, write_images, write_sound
from support.waiting import HANG_S, vidcam_threads

from vidcam.cli import main, signals
from vidcam.io.source import Source, open_source
from vidcam.io.writer import VideoWriter

OWN = ("--model", f"{planted.__file__}:patches", "--engine", "torch")  # no note that it is not in OpenVINO


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=45, size=(96, 128))


def one_line(err: str) -> str:
    """Return the error line; there must be exactly one and no traceback."""
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.portable
def test_annotate_writes_all_requested_files(vidcam: Run, clip: Path) -> None:
    code, out, err = vidcam(
        "annotate", clip, *OWN, "-o", "why.mp4", "--report", "why.html", "--json", "why.json", "--csv", "why.csv",
        "--vtt", "why.vtt", "--maps", "why.npz", "--signed", "--style", "side-by-side",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"{re.escape(str(clip))}: (red square|nothing) .*why\.mp4.*\n", out)
    report = json.loads(Path("why.json").read_text())
    assert report["schema_version"] == 1
    assert report["input"]["frames"] == 45
    assert report["model"]["time_cells"] == [8]
    assert report["completeness_error"] < 1e-4
    assert set(report["outputs"]) == {"video", "html", "json", "csv", "vtt", "npz"}
    with open_source("why.mp4") as written, open_source(clip) as source:
        assert [f.time for f in written.frames()] == pytest.approx([f.time for f in source.frames()], abs=1e-3)


def test_verdict_is_printed_below_the_answer(vidcam: Run, clip: Path) -> None:
    code, out, _ = vidcam("annotate", clip, *OWN, "-o", "why.mp4", "--json", "why.json", "--verdict")
    answer, verdict = out.splitlines()
    report = json.loads(Path("why.json").read_text())
    word, label = report["verdict"]["word"], report["summary"]["top"][0]["label"]
    assert (code, answer.startswith(f"{clip}: {label}")) == (0, True)
    assert verdict.startswith(f"{clip}: evidence for {label}: {word}. ")
    assert "blurring the hottest 15\xa0% lowers the score" in verdict


def test_default_output_is_in_current_folder_named_after_input(vidcam: Run, clip: Path, tmp_path: Path) -> None:
    code, out, _ = vidcam("annotate", clip, *OWN, "--quiet")
    assert (code, out) == (0, "")
    assert (tmp_path / "clip.vidcam.mp4").is_file()


def test_several_inputs_and_folders_are_written_by_name(vidcam: Run, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.mp4", "b.mkv", "deep/a.mp4"):
        write_clip(tmp_path / "in" / name, frames=12, size=(64, 64))
    (tmp_path / "in" / "notes.txt").write_text("no video")
    code, out, err = vidcam("annotate", "in", *OWN, "--out-dir", "out", "--json", "out/{name}.json")
    assert code == 0, err
    written = sorted(p.name for p in Path("out").iterdir() if p.name[0] in "ab")
    assert written == ["a.json", "a.vidcam.mp4", "b.json", "b.vidcam.mp4"]  # the folder itself, not the folders in it
    assert len(out.splitlines()) == 2
    code, _, err = vidcam("annotate", "in/a.mp4", "in/deep/a.mp4", *OWN, "--out-dir", "same", "--quiet")
    assert code == 0, err
    assert sorted(p.name for p in Path("same").glob("*.mp4")) == ["a-2.vidcam.mp4", "a.vidcam.mp4"]


def test_outputs_of_the_same_command_are_not_taken_as_inputs(vidcam: Run, clip: Path, tmp_path: Path) -> None:
    assert vidcam("annotate", clip, *OWN, "--quiet")[0] == 0
    written = tmp_path / "clip.vidcam.mp4"
    code, out, err = vidcam("annotate", clip, written, *OWN, "--overwrite")
    assert code == 0, err
    assert f"{written} is left out: this command writes it, from another input" in err
    assert len(out.splitlines()) == 1
    assert not list(tmp_path.glob("*vidcam.vidcam*"))
    assert vidcam("annotate", written, *OWN, "--quiet")[0] == 0  # by itself it is an input like any other
    assert (tmp_path / "clip.vidcam.vidcam.mp4").is_file()


def test_one_bad_input_among_several_does_not_stop_the_others(vidcam: Run, clip: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("this is no video")
    code, out, err = vidcam("annotate", bad, clip, *OWN, "--out-dir", tmp_path)
    assert code == 1
    assert "bad.mp4" in err
    assert "1 of 2 inputs could not be explained" in err
    assert (tmp_path / "clip.vidcam.mp4").is_file()
    assert str(clip) in out


def test_impossible_file_name_does_not_stop_the_others(vidcam: Run, clip: Path, tmp_path: Path) -> None:
    long = clip.with_name("é" * 124 + ".mp4")  # 252 bytes, to which a suffix comes
    clip.rename(long)
    code, out, err = vidcam("annotate", "x" * 300 + ".mp4", "nul\x1b.mp4", long, *OWN, "--out-dir", "out")
    assert code == 1
    assert len(list((tmp_path / "out").glob("*.mp4"))) == 1
    assert len(out.splitlines()) == 1
    assert "error: nul\\x1b.mp4: " in err
    assert "2 of 3 inputs could not be explained" in err


def test_start_and_end_limit_the_written_frames(vidcam: Run, clip: Path) -> None:
    code, _, err = vidcam("annotate", clip, *OWN, "--start", 0.5, "--end", 1.0, "-o", "part.mp4")
    assert code == 0, err
    with open_source("part.mp4") as written:
        assert len(list(written.frames())) == 15


def test_folder_of_numbered_images_is_one_video(vidcam: Run, tmp_path: Path) -> None:
    write_images(tmp_path / "shots", names=[f"{i}.png" for i in range(20)])
    code, _, err = vidcam("annotate", tmp_path / "shots", *OWN)
    assert code == 0, err
    with open_source("shots.vidcam.mp4") as written:
        assert len(list(written.frames())) == 20


BAD = {
    "missing file": (["gone.mp4"], 1, "gone.mp4"),
    "folder without videos": (["empty"], 1, "empty"),
    "text renamed to mp4": (["text.mp4"], 1, "text.mp4"),
    "audio only": (["sound.m4a"], 1, "sound.m4a"),
    "no bytes": (["zero.mp4"], 1, "zero.mp4"),
    "signed spotlight": (["clip.mp4", "--signed", "--style", "spotlight"], 2, "leave --signed out, or take --style heat"),
    "unknown model": (["clip.mp4", "--model", "r3d_81"], 2, "did you mean 'r3d_18'"),
    "unknown method": (["clip.mp4", "--method", "gradcamm"], 2, "did you mean 'gradcam'"),
    "unknown class": (["clip.mp4", "--class", "red sqare"], 2, "did you mean 'red square'"),
    "unknown layer": (["clip.mp4", "--layer", "trunc"], 2, "trunk"),
    "class against itself": (["clip.mp4", "--class", "nothing", "--versus", "nothing"], 2, "itself"),
    "no such factory": (["clip.mp4", "--model", "nowhere.py:build"], 2, "nowhere.py"),
    "wrong weights": (["clip.mp4", "--weights", "text.mp4"], 1, "text.mp4"),
    "wrong labels": (["clip.mp4", "--labels", "three.txt"], 2, "three.txt"),
    "output folder missing": (["clip.mp4", "-o", "no/where.mp4"], 1, "does not exist"),
    "output exists": (["clip.mp4", "-o", "old.mp4"], 1, "--overwrite"),
    "output is the input": (["clip.mp4", "-o", "clip.mp4", "--overwrite"], 1, "input itself"),
    "output is no mp4": (["clip.mp4", "-o", "out.avi"], 1, ".mp4"),
    "report exists": (["clip.mp4", "--json", "old.json"], 1, "--overwrite"),
    "two outputs in one file": (["clip.mp4", "--json", "same", "--csv", "same"], 2, "same"),
    "video named as the copy of the page": (["clip.mp4", "-o", "a.video.mp4", "--report", "a.html"], 2, "that a.html may play"),
    "-o with several inputs": (["clip.mp4", "other.mp4", "-o", "x.mp4"], 2, "--out-dir"),
    "one report for several inputs": (["clip.mp4", "other.mp4", "--json", "x.json"], 2, "{name}"),
    "negative hop": (["clip.mp4", "--hop", "-1"], 2, "hop"),
    "end before start": (["clip.mp4", "--start", "1", "--end", "0.5"], 2, "end"),
    "start after the end": (["clip.mp4", "--start", "100"], 1, "100"),
    "unknown device": (["clip.mp4", "--device", "gpu"], 2, "cuda"),
    "unknown engine": (["clip.mp4", "--engine", "tensorrt"], 2, "torch"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_prints_one_error_and_writes_nothing(case: str, vidcam: Run, clip: Path, tmp_path: Path) -> None:
    words, expected, says = BAD[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "three.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "old.mp4").write_bytes(b"the old video")
    (tmp_path / "old.json").write_text("the old numbers")
    write_sound(tmp_path / "sound.m4a")
    write_clip(tmp_path / "other.mp4", frames=5, size=(64, 64))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    code, out, err = vidcam("annotate", *([] if "--model" in words else [*OWN]), *words)

    assert says in one_line(err)
    assert (code, out) == (expected, "")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_bad_input_is_reported_before_weights_are_fetched(vidcam: Run) -> None:
    code, _, err = vidcam("annotate", "gone.mp4")  # the default model has no weights here
    assert code == 1
    assert "gone.mp4" in one_line(err)


def test_overwrite_replaces_existing_file(vidcam: Run, clip: Path) -> None:
    Path("old.mp4").write_bytes(b"the old video")
    code, _, err = vidcam("annotate", clip, *OWN, "-o", "old.mp4", "--overwrite")
    assert code == 0, err
    assert Path("old.mp4").stat().st_size > 1000


def test_truncated_file_is_explained_as_far_as_it_goes(vidcam: Run, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "cut.mp4", frames=120, size=(96, 128), picture=lambda i: numbered(i, (96, 128)))
    truncate(whole, keep=0.6)
    code, _, err = vidcam("annotate", whole, *OWN, "--json", "cut.json")
    assert code == 0, err
    assert "warning" in err
    report = json.loads(Path("cut.json").read_text())
    assert 30 < report["input"]["frames"] < 110
    assert report["warnings"]
    with open_source("cut.vidcam.mp4") as written:
        assert len(list(written.frames())) == report["input"]["frames"]


MISSING = {
    "libGL.so.1: cannot open shared object file: No such file or directory": "libGL.so.1 is missing: apt-get install libgl1 ",
    "libxcb.so.1: cannot open shared object file: No such file or directory": "libxcb.so.1 is missing: apt-get install libgl1 ",
    "libva.so.2: cannot open shared object file: No such file or directory": "libva.so.2 is missing: install the package",
}


@pytest.mark.parametrize("message", MISSING)
def test_missing_system_library_is_reported_with_the_fix(message: str, vidcam: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks() -> None:
        raise ImportError(message)

    monkeypatch.setattr(main, "app", lacks)
    code, _, err = vidcam("annotate", "clip.mp4")
    assert code == 1
    assert MISSING[message] in one_line(err)


@pytest.mark.parametrize("message", [next(iter(MISSING)), "cannot import name 'imread'"])
def test_failing_opencv_import_is_reported(message: str, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(f"raise ImportError({message!r})\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom vidcam.cli.main import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code, "annotate", str(clip)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    if message in MISSING:
        assert MISSING[message] in one_line(done.stderr)
    else:  # a defect, not a machine that lacks something
        assert done.stderr.endswith(f"ImportError: {message}\n")


@pytest.mark.portable
def test_python_m_vidcam_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "vidcam", "--version"], capture_output=True, text=True, check=False)
    assert re.fullmatch(
        rf"vidcam {version('vidcam')} \(python [\d.]+, openvino .*, torch {re.escape(version('torch'))}, .*\)\n", done.stdout
    )
    assert done.returncode == 0
    done = subprocess.run([sys.executable, "-m", "vidcam", "annotate", "none.mp4"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: there is no file none.mp4\n")


@pytest.mark.portable
def test_models_and_methods_print_tables(vidcam: Run) -> None:
    code, out, _ = vidcam("models", "--json")
    assert code == 0
    assert {"r3d_18", "x3d_s", "slowfast_r50", "movinet_a0"} <= {row["name"] for row in json.loads(out)}
    code, out, _ = vidcam("methods")
    assert code == 0
    assert "gradcam-slice" in out


def test_help_has_examples(vidcam: Run) -> None:
    code, out, _ = vidcam("annotate", "--help")
    assert code == 0
    assert "Examples" in out


# Signals ------------------------------------------------------------------------------------------------------------------------

KINDS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]

NETWORK = """
import signal, threading
from support.planted import patches

def interrupts():
    signal.raise_signal({kind})
    return patches()

def waits():
    print("here", flush=True)
    threading.Event().wait()
"""
"""Networks during whose construction the process gets a signal: from itself, or from the test when it prints ``here``."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a video and an older output of its name."""
    write_clip(tmp_path / "clip.mp4", frames=20, size=(96, 128))
    (tmp_path / "clip.vidcam.mp4").write_bytes(b"the old video")
    return tmp_path


def words(model: str) -> list[str]:
    return ["annotate", "clip.mp4", "--model", model, "--engine", "torch", "--overwrite", "--json", "clip.json"]


def as_before(folder: Path) -> None:
    """Check that nothing was written, and that what was there before is still there."""
    assert (folder / "clip.vidcam.mp4").read_bytes() == b"the old video"
    made_by_python = {"__pycache__", "net.py"}
    assert sorted({p.name for p in folder.iterdir()} - made_by_python) == ["clip.mp4", "clip.vidcam.mp4"]


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_signal_while_model_is_built_keeps_the_old_file(
    kind: int, code: int, vidcam: Run, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    network = tmp_path_factory.mktemp("network") / "net.py"
    network.write_text(NETWORK.format(kind=int(kind)))
    status, out, _ = vidcam(*words(f"{network}:interrupts"))
    assert (status, out.strip()) == (code, "")
    as_before(folder)


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_signal_while_frames_are_written_keeps_the_old_file(
    kind: int, code: int, vidcam: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[Path] = []
    write = VideoWriter.write

    def write_and_interrupt(self: VideoWriter, *picture: object, **times: float) -> None:
        write(self, *picture, **times)
        parts.extend(folder.glob(".*.part*"))
        signal.raise_signal(kind)

    monkeypatch.setattr(VideoWriter, "write", write_and_interrupt)
    status, out, _ = vidcam(*words(OWN[1]))
    assert (status, out.strip()) == (code, "")
    assert len(parts) == 1  # the first picture was in it
    as_before(folder)
    assert vidcam_threads() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_handlers_are_restored_when_main_returns(number: int, vidcam: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    during: list[object] = []
    before = signal.getsignal(number)
    monkeypatch.setattr(main, "app", lambda: during.append(signal.getsignal(number)) or sys.exit(0))
    assert vidcam()[0] == 0
    assert during == [signals._unwind]
    assert signal.getsignal(number) is before


def test_ignored_interrupt_stays_ignored(vidcam: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    during: list[object] = []
    monkeypatch.setattr(main, "app", lambda: during.append(signal.getsignal(signal.SIGINT)) or sys.exit(0))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        vidcam()
        assert (during, signal.getsignal(signal.SIGINT)) == ([signal.SIG_IGN], signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGINT, before)


def waiting(code: str, *words: str, folder: Path) -> subprocess.Popen[str]:
    """Start ``code``; return once it has printed that it is ``here``."""
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(main.__file__).parents[2])])
    child = subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=folder, env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    guard = threading.Timer(HANG_S, child.kill)
    guard.start()
    first = child.stdout.readline()
    guard.cancel()
    if first != "here\n":
        child.kill()
        raise AssertionError(child.communicate()[1])
    return child


def interrupted(code: str, *words: str, kind: int, folder: Path) -> tuple[int, str]:
    """Run ``code``, send it the signal once it is there: (exit code, stderr)."""
    child = waiting(code, *words, folder=folder)
    child.send_signal(kind)
    _, err = child.communicate(timeout=HANG_S)
    return child.returncode, err


def test_sigterm_during_startup_exits_with_143(folder: Path) -> None:
    (folder / "net.py").write_text(NETWORK.format(kind=0))
    status, err = interrupted(
        "from vidcam.cli.main import main; main()", *words("net.py:waits"), kind=signal.SIGTERM, folder=folder
    )
    assert (status, err) == (143, "")
    as_before(folder)


WRITES_AND_WAITS = """
import threading
from pathlib import Path
from vidcam.cli.main import main
from vidcam.io.writer import VideoWriter

write = VideoWriter.write

def waits(self, *picture, **times):
    write(self, *picture, **times)
    assert list(Path().glob(".*.part*"))
    print("here", flush=True)
    threading.Event().wait()

VideoWriter.write = waits
main()
"""


def test_sigint_during_writing_exits_with_130(folder: Path) -> None:
    status, err = interrupted(WRITES_AND_WAITS, *words(OWN[1]), kind=signal.SIGINT, folder=folder)
    assert status == 130, err
    assert "Traceback" not in err
    as_before(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say when a process was started")
def test_partial_files_of_killed_processes_go_and_of_living_ones_stay(vidcam: Run, folder: Path) -> None:
    def parts() -> list[str]:
        return [path.name for path in folder.glob(".*")]

    killed = waiting(WRITES_AND_WAITS, *words(OWN[1]), folder=folder)
    (left,) = parts()
    killed.kill()
    killed.communicate()
    assert parts() == [left]
    living = waiting(WRITES_AND_WAITS, *words(OWN[1]), folder=folder)
    try:
        (part,) = parts()
        assert part != left
        code, _, err = vidcam(*words(OWN[1]), "-o", "other.mp4")
        assert (code, parts()) == (0, [part]), err
    finally:
        living.kill()
        living.communicate()


def test_annotate_opens_its_file_four_times_and_decodes_it_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for both looking and explaining, once for the times of the pictures, once for drawing, once for the sound."""
    clip = write_clip(tmp_path / "a.mp4", frames=30, audio="aac")
    opened: list[str] = []
    decoded: list[str] = []
    open_file, frames = av.open, Source.frames

    def count_opening(file: object, mode: str = "r", **words: object) -> object:
        if mode == "r":
            opened.append(str(file))
        return open_file(file, mode, **words)

    def count_decoding(self: Source, **part: float | None) -> object:
        decoded.append(self.info.path)
        return frames(self, **part)

    monkeypatch.setattr(av, "open", count_opening)
    monkeypatch.setattr(Source, "frames", count_decoding)
    assert exit_code("annotate", clip, "-o", tmp_path / "b.mp4", "--json", tmp_path / "b.json", *OWN, "-q") == 0
    assert opened == [f"file:{clip}"] * 4
    assert decoded == [str(clip)] * 2


# torch runs Python from its C++ while it is imported: an exception there is an abort(), with no clean-up at all.
# The module that is imported here sends its process the signal, and continues until it was sent again, twice.
LOADED = """
import signal
import threading
from vidcam.cli.signals import received
signal.raise_signal({kind})
while len(received) < 3:
    threading.Event().wait(0.01)
print("loaded", flush=True)
"""

LOADS = """
import signal, sys, threading
from vidcam.cli import main, signals

signals.received, unwind = [], signals._unwind

def count(*signal_and_frame):
    signals.received.append(1)
    unwind(*signal_and_frame)

signals._unwind = count
sys.path.insert(0, {folder!r})

@main.app.command()
def load():
    import loaded
    threading.Event().wait({seconds})
    print("not stopped")

sys.argv = ["vidcam", "load"]
main.main()
"""


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_signal_during_an_import_waits_until_it_has_ended(kind: int, code: int, tmp_path: Path) -> None:
    (tmp_path / "loaded.py").write_text(LOADED.format(kind=int(kind)))
    script = LOADS.format(folder=str(tmp_path), seconds=HANG_S)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=2 * HANG_S, check=False)
    assert (done.returncode, done.stdout) == (code, "loaded\n"), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to mount a small disk")
def test_full_disk_is_reported_in_one_sentence(vidcam: Run, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False, capture_output=True
    ).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        (disk / "old.mp4").write_bytes(b"the old video")
        noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
        clip = write_clip(tmp_path / "clip.mp4", frames=60, size=(96, 128), picture=lambda i: np.roll(noise, i, 0))
        code, _, err = vidcam("annotate", clip, *OWN, "-o", disk / "old.mp4", "--overwrite")
        assert code == 1
        assert "disk is full" in one_line(err)
        assert [(p.name, p.read_bytes()) for p in disk.iterdir()] == [("old.mp4", b"the old video")]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
