"""A network camera: a real RTSP server, killed and started again, silent, or not there."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import planted
from support.media import number, numbered
from support.waiting import until

from vidcam.engine import open_engine
from vidcam.errors import InputError
from vidcam.live import capture as capturing
from vidcam.live import run, sources
from vidcam.live.capture import Capture
from vidcam.live.pictures import encode
from vidcam.live.watch import Watch
from vidcam.pipeline import Settings
from vidcam.types import Frame

CLIPS = Path(__file__).parent.parent / "clips"
SYSTEM_PYTHON = "/usr/bin/python3"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """The RTSP server in a process of its own."""

    def __init__(self, port: int, *words: object) -> None:
        self.port = port
        script = Path(__file__).parent / "support" / "rtsp_server.py"
        self.process = subprocess.Popen(
            [SYSTEM_PYTHON, str(script), str(port), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def server() -> Iterator:
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("needs Debian's gir1.2-gst-rtsp-server-1.0 and python3-gi")
    started = []

    def start(port: int, *words: object) -> Server:
        started.append(Server(port, *words))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def test_a_stream_goes_on_after_its_server_was_killed_and_started_again(server, monkeypatch) -> None:
    monkeypatch.setattr(capturing, "FIRST_S", 0.1)
    port = free_port()
    first = server(port)
    watch = Watch(sources.choose(f"rtsp://127.0.0.1:{port}/ball")).start()
    try:
        watch.capture.wait()
        stream = watch.explain(open_engine(f"{planted.__file__}:patches"), Settings(hop_s=0.2))
        watch.go()
        spans: list[tuple[float, float]] = []
        stream.on_update.append(lambda update: spans.append((update.prediction.span[0], update.time)))
        times: list[float] = []
        stream.on_frame.append(lambda frame: times.append(frame.time))
        until(lambda: stream.explained >= 5)
        assert stream.size == (240, 320)
        first.kill()
        killed = time.monotonic()
        until(lambda: watch.state == "waiting")
        waiting = time.monotonic()
        assert watch.reason.startswith(f"rtsp://127.0.0.1:{port}/ball")
        before = stream.explained
        server(port)
        until(lambda: stream.explained >= before + 5)
        assert watch.state == "running"
        assert watch.reason == ""
        assert watch.capture.reconnects >= 1
        gap = int(np.searchsorted(times, waiting)) - 1
        assert times[gap] < killed + 0.2 < times[gap + 1]
        assert not [s for s in spans if s[0] <= times[gap] and s[1] >= times[gap + 1]]  # no window over the gap
        until(lambda: np.median(np.diff(times[-100:])) == pytest.approx(0.04, abs=0.005))  # once the machine has caught up
        assert (np.diff(times) > 0).all()
        assert times[-1] < time.monotonic() + 0.002 * len(times)  # a burst is moved on by a thousandth for each picture
        until(lambda: stream.age_s < 1.5)
    finally:
        watch.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("vidcam-")]


def test_a_fall_is_seen_over_rtsp(server, tmp_path) -> None:
    port = free_port()
    server(port, CLIPS / "falling.mp4")
    watch = Watch(sources.choose(f"rtsp://127.0.0.1:{port}/clip")).start()
    try:
        watch.capture.wait()
        stream = watch.explain(open_engine("mini", device="cpu"), Settings(hop_s=0.2))
        watch.go()
        until(lambda: stream.update is not None and stream.update.top[0][0] == "falling down")
    finally:
        watch.close()


def test_motion_jpeg_over_http_is_watched_as_it_comes() -> None:
    """What cheap network cameras send: one JPEG after the other in an answer that never ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(4096)
                client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n")
                for i in range(400):
                    jpeg = encode(Frame(numbered(i, (96, 128)), 0.0, 0.0))
                    try:
                        client.sendall(
                            b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(jpeg), jpeg)
                        )
                    except OSError:
                        return
                    time.sleep(0.02)

        thread = threading.Thread(target=serve)
        thread.start()
        found: list[tuple[float, int]] = []
        capture = Capture(sources.choose(f"http://127.0.0.1:{port}/"), lambda f: found.append((f.time, number(f.image)))).start()
        capture.wait()
        until(lambda: len(found) >= 30)
        capture.close()
        thread.join()
    numbers = [n for _, n in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert (np.diff([t for t, _ in found]) > 0).all()


def test_a_server_that_never_sends_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(sources, "OPEN_S", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"rtsp://127.0.0.1:{listening.getsockname()[1]}/x"
        capture = Capture(sources.choose(address), lambda frame: None).start()
        began = time.monotonic()
        with pytest.raises(InputError, match=rf"^{address} cannot be read: .*; check the address and the connection$"):
            capture.wait()
        assert time.monotonic() - began < 5
        capture.close()


def test_an_address_that_nobody_listens_at_is_told() -> None:
    for scheme in ("rtsp", "http"):
        capture = Capture(sources.choose(f"{scheme}://127.0.0.1:{free_port()}/x"), lambda frame: None).start()
        with pytest.raises(InputError, match="Connection refused; check the address and the connection"):
            capture.wait()
        capture.close()


def test_a_camera_that_is_not_there_is_told_in_one_sentence(capfd) -> None:
    capture = Capture(sources.choose("117"), lambda frame: None).start()
    with pytest.raises(
        InputError, match="camera 117 cannot be opened: it is not there, or another program uses it; name another"
    ):
        capture.wait()
    capture.close()
    assert capfd.readouterr().err == ""


class Plugged:
    """OpenCV's camera, pulled out after some pictures."""

    def __init__(self, pictures: int) -> None:
        self.left, self.released = pictures, False

    def isOpened(self) -> bool:
        return self.left > 0

    def set(self, *_: object) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        time.sleep(0.005)
        bgr = np.zeros((48, 64, 3), np.uint8)
        bgr[..., 2] = 200  # red, as OpenCV gives it
        return (True, bgr) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def test_a_camera_that_is_pulled_out_is_waited_for_and_its_red_is_red(monkeypatch) -> None:
    monkeypatch.setattr(capturing, "FIRST_S", 0.02)
    monkeypatch.setattr(capturing, "LONGEST_S", 0.02)
    cameras = [Plugged(5), Plugged(0), Plugged(0), Plugged(7)]
    opened: list[Plugged] = []

    def open_camera(index: int) -> Plugged:
        opened.append(cameras[min(len(opened), 3)] if len(opened) < 4 else Plugged(0))
        return opened[-1]

    monkeypatch.setattr(sources, "_open_camera", open_camera)
    frames: list[Frame] = []
    capture = Capture(sources.Camera(0), frames.append).start()
    until(lambda: len(frames) == 12 and len(opened) > 4)
    capture.close()
    assert capture.reason.startswith("camera 0 ")
    assert frames[0].image[0, 0].tolist() == [200, 0, 0]
    assert (np.diff([f.time for f in frames]) > 0).all()
    assert all(camera.released for camera in opened)


def test_the_command_ends_with_the_source_that_cannot_be_read(tmp_path) -> None:
    plan = run.Plan(source=f"rtsp://127.0.0.1:{free_port()}/x", headless=True, events=tmp_path / "seen.jsonl")
    with pytest.raises(InputError, match="Connection refused"):
        run.run(plan, lambda: pytest.fail("no model is needed for that"))
    assert not [t.name for t in threading.enumerate() if t.name.startswith("vidcam-")]
