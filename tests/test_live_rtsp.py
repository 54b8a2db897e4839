"""A network camera: a real RTSP server, killed and started again, silent, or not there."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import planted
from support.clock import ManualClock
from support.media import number, numbered
from support.waiting import HANG_S, until, vidcam_threads

from vidcam.engine import open_engine
from vidcam.errors import InputError
from vidcam.io.clock import SYSTEM
from vidcam.io.stream import OPEN_S, READ_S, NetworkStream
from vidcam.live import sources
from vidcam.live.capture import Capture
from vidcam.live.pictures import encode_picture
from vidcam.live.pipeline import LivePipeline
from vidcam.live.stream import GAP_S
from vidcam.settings import Settings
from vidcam.values import Frame
from vidcam.web.live import run

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


def network(path: str, *, port: int) -> NetworkStream:
    """A camera of the server that is given all the time that a busy machine needs."""
    return NetworkStream(f"rtsp://127.0.0.1:{port}/{path}", open_s=HANG_S, read_s=HANG_S)


@pytest.mark.realtime
def test_rtsp_stream_goes_on_after_its_server_was_restarted(server) -> None:
    port = free_port()
    first = server(port)
    pipeline = LivePipeline(network("ball", port=port)).start()
    try:
        pipeline.capture.wait()
        stream = pipeline.explain(open_engine(f"{planted.__file__}:patches"), Settings(seconds_between_clip_starts=0.2))
        pipeline.release_frames()
        spans: list[tuple[float, float]] = []
        stream.on_update.append(lambda update: spans.append((update.prediction.span[0], update.time)))
        times: list[float] = []
        stream.on_frame.append(lambda frame: times.append(frame.time))
        until(lambda: stream.explained >= 5)
        assert stream.size == (240, 320)
        first.kill()
        until(lambda: pipeline.state == "waiting")
        assert pipeline.reason.startswith(f"rtsp://127.0.0.1:{port}/ball")
        explained, gap = stream.explained, len(times)
        until(lambda: SYSTEM.now() > times[-1] + 2 * GAP_S)  # else it would be no gap
        server(port)
        until(lambda: stream.explained >= explained + 5)
        assert pipeline.reason == ""
        assert pipeline.capture.reconnects >= 1
        assert times[gap] > times[gap - 1] + GAP_S
        assert not [s for s in spans if s[0] <= times[gap - 1] and s[1] >= times[gap]]  # no window over the gap
        assert (np.diff(times) > 0).all()
    finally:
        pipeline.close()
    assert not vidcam_threads()


@pytest.mark.realtime
def test_fall_is_seen_over_rtsp(server) -> None:
    port = free_port()
    server(port, CLIPS / "falling.mp4")
    pipeline = LivePipeline(network("clip", port=port)).start()
    try:
        pipeline.capture.wait()
        stream = pipeline.explain(open_engine("mini", device="cpu"), Settings(seconds_between_clip_starts=0.2))
        pipeline.release_frames()
        until(lambda: stream.update is not None and stream.update.top[0][0] == "falling down")
    finally:
        pipeline.close()


def test_motion_jpeg_over_http_is_read_in_order() -> None:
    """What cheap network cameras send: one JPEG after the other in an answer that never ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(4096)
                client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n")
                for i in range(400):
                    jpeg = encode_picture(Frame(numbered(i, (96, 128)), 0.0, 0.0))
                    try:
                        client.sendall(
                            b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(jpeg), jpeg)
                        )
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        found: list[tuple[float, int]] = []
        source = NetworkStream(f"http://127.0.0.1:{port}/", open_s=HANG_S, read_s=HANG_S)
        capture = Capture(source, lambda f: found.append((f.time, number(f.image)))).start()
        capture.wait()
        until(lambda: len(found) >= 30)
        capture.close()
        thread.join()
    numbers = [n for _, n in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert (np.diff([t for t, _ in found]) > 0).all()


def test_rtsp_server_that_never_sends_is_given_up() -> None:
    assert (OPEN_S, READ_S) == (8.0, 5.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"rtsp://127.0.0.1:{listening.getsockname()[1]}/x"
        capture = Capture(NetworkStream(address, open_s=0.6), lambda frame: None)
        assert capture.step() is None
        with pytest.raises(InputError, match=rf"^{address} cannot be read: .*; check the address and the connection$"):
            capture.wait()


def test_address_where_nobody_listens_is_told() -> None:
    for scheme in ("rtsp", "http"):
        capture = Capture(sources.choose_source(f"{scheme}://127.0.0.1:{free_port()}/x"), lambda frame: None).start()
        with pytest.raises(InputError, match="Connection refused; check the address and the connection"):
            capture.wait()
        capture.close()


def test_missing_camera_is_told_in_one_sentence(capfd) -> None:
    capture = Capture(sources.choose_source("117"), lambda frame: None).start()
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
        bgr = np.zeros((48, 64, 3), np.uint8)
        bgr[..., 2] = 200  # red, as OpenCV gives it
        return (True, bgr) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def test_unplugged_camera_is_waited_for_and_its_red_is_red(monkeypatch) -> None:
    cameras = [Plugged(5), Plugged(0), Plugged(0), Plugged(7)]
    opened: list[Plugged] = []

    def open_camera(index: int) -> Plugged:
        opened.append(cameras[len(opened)])
        return opened[-1]

    monkeypatch.setattr(sources, "_open_camera", open_camera)
    frames: list[Frame] = []
    clock = ManualClock()
    capture = Capture(sources.Camera(0, clock=clock), frames.append, clock=clock)
    pauses = []
    while len(pauses) < 4:
        if pause := capture.step():
            pauses.append(pause)
            clock.advance(pause)
    assert pauses == [0.5, 1.0, 2.0, 0.5]
    assert len(frames) == 12
    assert capture.reason == "camera 0 gives no pictures any more; was it pulled out?"
    assert frames[0].image[0, 0].tolist() == [200, 0, 0]
    times = [f.time for f in frames]
    assert times[:5] == pytest.approx(0.001 * np.arange(5))  # a picture that comes at the same moment is a tick later
    assert times[5:] == pytest.approx(3.5 + 0.001 * np.arange(7))
    assert all(camera.released for camera in opened)


def test_command_ends_if_the_source_cannot_be_read(tmp_path) -> None:
    plan = run.Plan(sources=(f"rtsp://127.0.0.1:{free_port()}/x",), headless=True, actions=(f"jsonl={tmp_path / 'seen.jsonl'}",))
    with pytest.raises(InputError, match="Connection refused"):
        run.run(plan, lambda: pytest.fail("no model is needed for that"))
    assert not vidcam_threads()
