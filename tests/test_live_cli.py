"""``vidcam live`` as a user meets it: what it says about bad input, how it ends, what it records and shows."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from support import planted
from support.media import write_clip
from support.waiting import HANG_S, ended, until, vidcam_threads

from vidcam.cli import main
from vidcam.engine import open_engine
from vidcam.errors import OutputError, VidcamError
from vidcam.io.letterbox import resize_onto_black
from vidcam.io.source import open_source
from vidcam.io.writer import VideoWriter
from vidcam.live import recorder, window
from vidcam.live.pipeline import LivePipeline
from vidcam.settings import Look, Settings
from vidcam.web.live import run

MODEL = f"{planted.__file__}:patches"
OWN = ("--model", MODEL, "--engine", "torch")  # no note that it is not in OpenVINO
CLIPS = Path(__file__).parent.parent / "clips"


@pytest.fixture
def vidcam(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable:
    """Run the command in this process, in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def words(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vidcam", "live", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main.main()
        out, err = capsys.readouterr()
        assert not vidcam_threads()
        return int(stop.value.code or 0), out, err

    return words


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=45, size=(120, 160))


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["99"], 1, "camera 99 cannot be opened"),
        (["nowhere.mp4"], 1, "there is no file nowhere.mp4; a source is a camera's number"),
        (["rtsp://127.0.0.1:9/x", "--headless"], 1, "rtsp://127.0.0.1:9/x cannot be read: Connection refused; check the address"),
        (["clip.mp4", "--on", "falling"], 2, "the rule 'falling' cannot be understood"),
        (["clip.mp4", "--headless", "--on", "flying > 0.5"], 2, "unknown class 'flying'"),
        (["clip.mp4", "--cpu", "lots"], 2, "--cpu is the share of this machine's processor to use, such as 50%"),
        (["clip.mp4", "--run", "echo hi"], 2, "add --on RULE"),
        (["clip.mp4", "--on", "any > 0.5", "--run", "no-such-program"], 2, "there is no program 'no-such-program'"),
        (["clip.mp4", "--on", "any > 0.5", "--post", "example"], 2, "posted to an http:// or https:// address"),
        (["clip.mp4", "--events", "no/folder.jsonl"], 1, "does not exist; make it or name another"),
        (["clip.mp4", "--record", "out.webm"], 2, "its name must end in .mp4"),
        (["clip.mp4", "--record", "clip.mp4"], 1, "it is the input itself"),
        (["clip.mp4", "--window", "--headless"], 2, "choose one"),
        (["clip.mp4", "--class", "flying", "--headless"], 2, "unknown class 'flying'"),
        (["clip.mp4", "--method", "attention-rollout", "--headless"], 2, "needs attention"),
        (["clip.mp4", "--host", "256.0.0.1"], 2, "'256.0.0.1' is no address of this machine"),
        (["0", "--loop"], 2, "--loop is for files"),
        (["0", "--headless", "--fast"], 2, "--fast is for files"),
        (["clip.mp4", "--on", "any > 0.5", "--region", "door"], 2, "a region is NAME=LEFT,TOP,RIGHT,BOTTOM"),
        (["clip.mp4", "--headless", "--on", "any > 0.5 in door"], 2, "asks for a region that there is not; there are none"),
        (["clip.mp4", "0", "--window"], 2, "--window shows one source"),
        (["clip.mp4", "0", "--record", "out.mp4"], 2, "--record writes one source"),
        (["door=clip.mp4", "door=0"], 2, "two sources are called door"),
        (["clip.mp4", "door=nowhere.mp4"], 1, "there is no file nowhere.mp4"),
        (["clip.mp4", "--fast"], 2, "--fast goes with --headless"),
        (["clip.mp4", "--fast", "--headless", "--loop"], 2, "--fast goes with --headless, and without --loop"),
        (["--browser", "--headless"], 2, "the camera of a browser needs the page"),
        (["--browser", "--record", "a.mp4"], 2, "--record for sources that are read here"),
        (["clip.mp4", "--name", "https://cam.example.com/"], 2, "--name is the name at which a proxy with https is reached"),
        (["clip.mp4", "--name", "cam.example.com", "--headless"], 2, "--name is for what is served"),
    ],
)
def test_bad_input_gives_one_sentence_and_the_exit_code(vidcam, clip, words, code, sentence) -> None:
    got, out, err = vidcam(*words, *OWN)
    lines = [line for line in err.splitlines() if line.strip()]
    assert (got, len(lines), out) == (code, 1, ""), err
    assert lines[0].startswith("error: ")
    assert sentence in lines[0]


def test_port_in_use_is_told_before_anything_is_loaded(vidcam, clip) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = vidcam(clip, *OWN, "--port", port)
    assert code == 1
    assert f"port {port} on 127.0.0.1 is in use by another program; name another with --port, or 0 for any that is free" in err


def test_headless_prints_events_and_ends_with_the_file(vidcam) -> None:
    code, out, err = vidcam(
        CLIPS / "falling.mp4", "--model", "mini", "--hop", "0.2", "--headless", "--fast", "--on", "falling down > 0.7"
    )
    assert code == 0
    with open_source(CLIPS / "falling.mp4") as source:
        frames = sum(1 for _ in source.frames())
    assert re.fullmatch(rf"{frames} frames read, \d+ clips explained, 1 event\n", err)
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["start", "end"]


def test_headless_ends_with_counts_and_the_files_written(vidcam, clip) -> None:
    words = (clip, *OWN, "--headless", "--fast", "--hop", "0.1", "--on", "any > 0.01", "--events", "seen.jsonl")
    code, out, err = vidcam(*words, "--record", "out.mp4")
    starts = sum(json.loads(line)["event"] == "start" for line in Path("seen.jsonl").read_text().splitlines())
    found = re.fullmatch(r"45 frames read, (\d+) clips explained, (\d+) events?; (.*)\n", err)
    assert (code, out) == (0, "")
    assert found is not None, err
    assert int(found[1]) > 0
    assert int(found[2]) == starts > 0
    assert found[3] == "events in seen.jsonl, snapshots in seen.snapshots, recording in out.mp4"


def test_headless_says_nothing_of_its_end_if_quiet(vidcam, clip) -> None:
    code, _, err = vidcam(clip, *OWN, "--headless", "--fast", "--quiet", "--on", "any > 0.99")
    assert (code, err) == (0, "")


@pytest.fixture
def process(clip: Path) -> Iterator:
    """Starts the command in a process of its own, and waits for its address."""
    running = []

    def start(*words: object, source: tuple[object, ...] = (clip, "--loop")) -> tuple[subprocess.Popen[str], str]:
        one = subprocess.Popen(
            [sys.executable, "-c", "from vidcam.cli.main import main; main()", "live", *map(str, source), *OWN,
             *map(str, words)],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        running.append(one)
        assert select.select([one.stderr], [], [], HANG_S)[0]
        return one, one.stderr.readline()

    yield start
    for one in running:
        if one.poll() is None:
            one.kill()
        one.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_server_leaves_a_whole_recording(process, tmp_path, sent, code) -> None:
    record = tmp_path / "seen.mp4"
    one, line = process("--port", 0, "--record", record)
    address = re.fullmatch(r"open (http://127\.0\.0\.1:\d+/)\n", line)[1]
    with urllib.request.urlopen(address) as page:
        assert b"vidcam live" in page.read()

    def metric(name: str) -> float:
        with urllib.request.urlopen(address + "metrics") as answer:
            return float(re.search(rf'^{name}{{source="clip.mp4"}} (\S+)$', answer.read().decode(), re.MULTILINE)[1])

    until(lambda: metric("vidcam_windows_explained_total") > 3)
    assert not record.exists()  # appears complete or not at all
    one.send_signal(sent)
    out, err = one.communicate(timeout=HANG_S)
    assert (one.returncode, out) == (code, "")
    assert "Traceback" not in err
    with open_source(record) as source:
        frames = list(source.frames())
    assert frames[0].time == 0
    steps = 30 * np.diff([f.time for f in frames])
    assert steps == pytest.approx(np.maximum(1, np.round(steps)), abs=0.06)  # a slow machine leaves frames out, and says so
    assert len(frames) > 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say when a process was started")
def test_recording_of_a_killed_server_is_removed_by_the_next_one(process, vidcam, clip, tmp_path) -> None:
    one, _ = process("--port", 0, "--record", tmp_path / "first.mp4")
    until(lambda: list(tmp_path.glob(".*.part.mp4")))
    one.kill()
    one.wait(HANG_S)
    assert list(tmp_path.glob(".*"))
    code, _, err = vidcam(clip, *OWN, "--headless", "--fast", "--record", "seen.mp4", "--events", "e.jsonl")
    assert (code, len(err.splitlines())) == (0, 1), err
    assert not list(tmp_path.glob(".*"))


def vanish(port: int, way: int) -> None:
    """Be a viewer that goes away in one of :data:`WAYS` ways."""
    request = (
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    message = [b"", b"", b"", b"", b"", masked(8, b"\3\xe9"), masked(1, b'{"type":"choose"}'), masked(1, b"[" * 100_000),
               masked(1, b"\xff\xfe"), masked(2, bytes(range(256))), bytes(range(255, 0, -1)),
               masked(2, bytes(2_500_000))]  # fmt: skip
    with socket.create_connection(("127.0.0.1", port), timeout=HANG_S) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # soon full: the server is in the middle of sending
        if way % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no orderly end
        with suppress(OSError):  # the server may end it first
            if way < 2:
                client.sendall(request[:40])
                return
            client.sendall(request)
            if way < 4:
                return
            client.recv(1000)
            client.sendall(message[way // 2 % len(message)])
            if way % 4 > 1:
                client.recv(1000)


WAYS = 24


def masked(kind: int, data: bytes) -> bytes:
    """Return a frame of a websocket, with a mask that changes nothing."""
    return bytes([0x80 | kind, 0x80 | 127]) + struct.pack("!Q", len(data)) + bytes(4) + data


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("browser", [False, True])
def test_viewers_that_vanish_leave_nothing_in_the_terminal(process, clip, browser: bool) -> None:
    one, line = process("--port", 0, source=("--browser",) if browser else (clip, "--loop"))
    port = int(re.search(r":(\d+)/", line)[1])
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(one.stderr))
    reader.start()
    crowd = [threading.Thread(target=lambda n=n: [vanish(port, way) for way in range(WAYS) for _ in range(3)]) for n in range(3)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        ended(thread)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=HANG_S) as page:  # it goes on for the others
        assert b"vidcam live" in page.read()
    one.send_signal(signal.SIGINT)
    assert one.wait(HANG_S) == 130
    ended(reader)
    assert "".join(said) == ""


def test_recording_has_the_words_and_the_heat_in_it(vidcam, tmp_path) -> None:
    code, _, err = vidcam(
        CLIPS / "falling.mp4", "--model", "mini", "--headless", "--fast", "--record", "seen.mp4", "--events", "e.jsonl"
    )
    assert (code, len(err.splitlines())) == (0, 1), err
    with open_source("seen.mp4") as source, open_source(CLIPS / "falling.mp4") as plain:
        drawn, raw = list(source.frames()), list(plain.frames())
        height, width = plain.info.height, plain.info.width
    assert len(drawn) == len(raw)
    assert drawn[0].size[0] > height  # the panel below
    truth = json.loads((CLIPS / "falling.json").read_text())["frames"]
    hottest = 0
    for shown, was, known in zip(drawn, raw, truth, strict=True):
        assert shown.time == pytest.approx(was.time, abs=1e-3)
        difference = np.abs(shown.image[:height, :width].astype(int) - was.image).sum(axis=2)
        x0, y0, x1, y1 = known["person"]
        if 2.2 <= was.time <= 2.8:  # the evidence of the fall, some tenths of a second late as all that is live
            hottest = max(hottest, difference[y0:y1, x0:x1].max())
        if was.time < 1.4:  # nothing is known yet, so all of the picture is marked as unseen
            assert (difference > 30).mean() > 0.9
    assert hottest > 150


def test_recording_whose_name_is_taken_gets_another_one(vidcam, clip, monkeypatch) -> None:
    taken = [Path("seen.mp4"), Path("seen-2.mp4")]

    def begin(*words, **more) -> VideoWriter:
        for path in taken:
            path.write_bytes(b"somebody else's")
        return VideoWriter(*words, **more)

    monkeypatch.setattr(recorder, "VideoWriter", begin)
    code, _, err = vidcam(clip, *OWN, "--headless", "--fast", "--record", "seen.mp4", "--events", "e.jsonl")
    renamed, summary = err.splitlines()
    assert (code, renamed) == (0, "seen.mp4 cannot be written any more, so the recording is in seen-3.mp4")
    assert summary.endswith("recording in seen-3.mp4")
    assert [path.read_bytes() for path in taken] == [b"somebody else's"] * 2
    with open_source("seen-3.mp4") as source:
        assert len(list(source.frames())) == 45
    assert not list(Path().glob(".*"))


def test_recording_that_cannot_go_on_is_told_and_fails(vidcam, clip, monkeypatch) -> None:
    class Full(VideoWriter):
        def write(self, picture, *, time: float, duration: float) -> None:
            if time > 0.5:
                raise OutputError(f"cannot write {self.path}: the disk is full")
            super().write(picture, time=time, duration=duration)

    monkeypatch.setattr(recorder, "VideoWriter", Full)
    code, _, err = vidcam(clip, *OWN, "--headless", "--fast", "--record", "seen.mp4", "--events", "e.jsonl")
    reason = "cannot write seen.mp4: the disk is full"
    lines = err.splitlines()
    assert (code, lines[0], lines[-1]) == (1, f"the recording has ended: {reason}", f"error: {reason}")
    assert "recording in" not in lines[1]  # the line that counts frames
    assert sorted(path.name for path in Path().glob("*.mp4")) == ["clip.mp4"]
    assert not list(Path().glob(".*"))


def test_recording_that_cannot_be_renamed_is_kept(vidcam, clip, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(recorder, "os", SimpleNamespace(replace=fail))
    code, _, err = vidcam(clip, *OWN, "--headless", "--fast", "--record", "seen.mp4", "--events", "e.jsonl")
    (whole,) = Path().glob(".*.mp4")
    assert (code, err.splitlines()[-1]) == (1, f"error: cannot write seen.mp4: not permitted; the recording is in {whole}")
    with open_source(whole) as source:
        assert len(list(source.frames())) == 45


def test_first_failure_is_the_one_that_ends_the_command(vidcam, clip, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OutputError("no room")

    monkeypatch.setattr(recorder, "VideoWriter", fail)
    burns = property(lambda self: VidcamError("the camera burns") if self.capture.frames > 25 else None)
    monkeypatch.setattr(LivePipeline, "error", burns)
    code, _, err = vidcam(clip, *OWN, "--headless", "--fast", "--record", "seen.mp4", "--events", "e.jsonl")
    lines = err.splitlines()
    assert (code, lines[0], lines[-1]) == (1, "the recording has ended: no room", "error: the camera burns")


class Desktop:
    """OpenCV's windows, as far as they are used."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, keys: list[int]) -> None:
        self.shown: list[np.ndarray] = []
        self.keys = keys
        monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
        monkeypatch.setattr(cv2, "imshow", lambda _, picture: self.shown.append(picture))
        monkeypatch.setattr(cv2, "waitKey", self.wait)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
        monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)

    def wait(self, _: int) -> int:
        threading.Event().wait(0.01)
        return self.keys.pop(0) if self.keys and len(self.shown) > 5 else -1


def test_window_shows_the_annotated_picture_and_obeys_keys(monkeypatch, tmp_path, clip) -> None:
    monkeypatch.chdir(tmp_path)
    desktop = Desktop(monkeypatch, [ord("s"), ord("q")])
    plan = run.Plan(
        sources=(str(clip),),
        window=True,
        loop=True,
        settings=Settings(seconds_between_clip_starts=0.2),
        look=Look(style="contour"),
    )
    run.run(plan, lambda: open_engine(MODEL, engine="torch"))
    assert desktop.shown[0].shape[1] == 160
    (saved,) = tmp_path.glob("vidcam-*.png")
    assert cv2.imread(str(saved)).shape == desktop.shown[0].shape
    assert not [t.name for t in threading.enumerate() if t.name.startswith("vidcam-")]


def test_window_without_a_desktop_says_what_to_do(vidcam, clip, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(window.cv2, "namedWindow", fail)
    code, _, err = vidcam(clip, *OWN, "--window")
    assert code == 1
    assert "no window can be opened here" in err
    assert "leave out --window to use the page in a web browser" in err


def test_fit_keeps_the_shape_of_a_picture() -> None:
    image = np.full((60, 80, 3), 200, np.uint8)
    out = resize_onto_black(image, (100, 200))
    assert out.shape == (100, 200, 3)
    rows, columns = np.nonzero(out[..., 0])
    assert (rows.min(), rows.max()) == (0, 99)
    assert columns.max() - columns.min() + 1 == pytest.approx(100 * 80 / 60, abs=1)
    assert abs(int(columns.min()) - (199 - int(columns.max()))) <= 1
