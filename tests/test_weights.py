"""Weight files: downloads from a local server that cuts, ignores, hangs and lies, and files that must not be trusted."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.waiting import HANG_S, ended

from vidcam.errors import DownloadError, UsageError, WeightsError
from vidcam.models import checkpoints
from vidcam.models import weights as w
from vidcam.models.spec import Weights

pytestmark = pytest.mark.usefixtures("empty_cache")

BODY = bytes(range(256)) * 4096  # 1 MiB
SUM = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``body`` at every path, in the ways that real servers go wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.etag = '"v1"'
        self.ranges = True
        self.honours_if_range = True
        self.cuts: list[int] = []  # after how many bytes each of the next answers is cut off
        self.status: int | None = None
        self.hang = threading.Event()
        self.hang.set()
        self.requests: list[dict[str, str]] = []

    def url(self, name: str = "net.pth") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that goes away is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.requests.append({key.lower(): value for key, value in self.headers.items()})
        server.hang.wait(HANG_S)
        if server.status:
            self.send_error(server.status)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        fresh = not server.honours_if_range or self.headers.get("If-Range") == server.etag
        start = int(asked[1]) if asked and server.ranges and fresh else 0
        if start >= len(server.body):
            self.send_error(416)
            return
        rest = server.body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        self.send_header("Content-Length", str(len(rest)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(rest[: server.cuts.pop(0)] if server.cuts else rest)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("VIDCAM_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(w, "TIMEOUT_S", HANG_S)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.hang.set()
        server.shutdown()
        ended(thread)


def official(server: Server, *, sha256: str | None = SUM[:8]) -> Weights:
    return Weights(server.url(), sha256=sha256, licence="", accuracy=0, protocol="")


def cached() -> set[str]:
    return {path.name for path in w.cache_dir().iterdir()}


def test_a_file_is_downloaded_once_with_progress(server: Server) -> None:
    seen: list[tuple[int, int | None]] = []
    weights = official(server)
    assert w.find(weights) is None
    path = w.fetch(weights, progress=lambda done, total: seen.append((done, total)))
    assert path == w.cache_dir() / "net.pth"
    assert path.read_bytes() == BODY
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))
    assert w.fetch(weights) == w.find(weights) == path
    assert len(server.requests) == 1
    assert cached() == {"net.pth"}
    assert w.verify(path, weights) == SUM


def test_a_cut_connection_is_resumed_where_it_was_cut(server: Server) -> None:
    server.cuts = [300_000, 200_000]
    path = w.fetch(official(server))
    assert path.read_bytes() == BODY
    assert [request.get("range") for request in server.requests] == [None, "bytes=300000-", "bytes=500000-"]
    assert server.requests[1]["if-range"] == '"v1"'
    assert cached() == {"net.pth"}


def test_an_interrupted_download_is_resumed_by_the_next_run(server: Server) -> None:
    server.cuts = [400_000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"cut after 400000 of 1048576 bytes; run it again to continue"):
        w.fetch(official(server))
    assert cached() == {"net.pth.part", "net.pth.part.version"}
    server.cuts.clear()
    assert w.fetch(official(server)).read_bytes() == BODY
    assert server.requests[-1]["range"] == "bytes=400000-"
    assert cached() == {"net.pth"}


@pytest.mark.parametrize("how", ["ignores ranges", "has a new version", "has a new version and ignores If-Range"])
def test_a_part_that_cannot_be_continued_is_started_anew(server: Server, how: str) -> None:
    server.cuts = [400_000, 0]
    with pytest.raises(DownloadError):
        w.fetch(official(server))
    server.cuts.clear()
    server.ranges = how != "ignores ranges"
    server.honours_if_range = how != "has a new version and ignores If-Range"
    if "new version" in how:
        server.body, server.etag = BODY[::-1], '"v2"'
    assert w.fetch(official(server, sha256=None)).read_bytes() == server.body
    assert cached() == {"net.pth", "pins.json"}


def test_a_part_as_long_as_the_file_is_no_dead_end(server: Server) -> None:
    w.cache_dir().mkdir(exist_ok=True)
    (w.cache_dir() / "net.pth.part").write_bytes(BODY)
    (w.cache_dir() / "net.pth.part.version").write_text('"v1"')
    assert w.fetch(official(server)).read_bytes() == BODY
    assert [request.get("range") for request in server.requests] == [f"bytes={len(BODY)}-", None]


def test_without_a_version_nothing_is_continued(server: Server) -> None:
    server.etag, server.cuts = "", [400_000]
    assert w.fetch(official(server)).read_bytes() == BODY
    assert [request.get("range") for request in server.requests] == [None, None]


def test_a_wrong_checksum_discards_the_download_only(server: Server) -> None:
    w.cache_dir().mkdir(exist_ok=True)
    (w.cache_dir() / "other.pth").write_bytes(b"kept")
    message = rf"not the published file \(sha256 {SUM[:8]}, published is 0badc0de\); the download was discarded"
    with pytest.raises(WeightsError, match=message):
        w.fetch(official(server, sha256="0badc0de"))
    assert cached() == {"other.pth"}


def test_an_unpublished_sum_is_pinned_at_the_first_download(server: Server) -> None:
    weights = official(server, sha256=None)
    path = w.fetch(weights)
    assert json.loads((path.parent / "pins.json").read_text()) == {"net.pth": SUM}
    assert w.verify(path, weights) == SUM
    path.write_bytes(b"something else")
    with pytest.raises(WeightsError, match=rf"at the first download it was {SUM[:12]}, noted in .*pins\.json\): delete it"):
        w.verify(path, weights)
    path.unlink()
    server.body = b"something else"
    with pytest.raises(WeightsError, match="not the published file"):
        w.fetch(weights)
    assert cached() == {"pins.json"}


def test_a_missing_file_says_what_to_do(server: Server) -> None:
    server.status = 404
    with pytest.raises(DownloadError) as caught:
        w.fetch(official(server))
    message = str(caught.value)
    assert "404" in message
    assert server.url() in message
    assert f"put it at {w.cache_dir() / 'net.pth'}" in message
    assert "VIDCAM_OFFLINE=1" in message
    assert len(server.requests) == 1


def test_a_server_that_hangs_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(w, "TIMEOUT_S", 0.2)
    server.hang.clear()
    with pytest.raises(DownloadError, match=r"no answer for 0\.2 s"):
        w.fetch(official(server))


def test_a_server_that_is_not_there_is_told(server: Server) -> None:
    weights = Weights("http://127.0.0.1:9/net.pth", sha256=None, licence="", accuracy=0, protocol="")
    with pytest.raises(DownloadError, match=r"cannot download http://127\.0\.0\.1:9/net\.pth: .*refused"):
        w.fetch(weights)


def test_offline_never_asks_the_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDCAM_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"VIDCAM_OFFLINE forbids downloading it: get http.* and put it at .*net\.pth"):
        w.fetch(official(server))
    assert server.requests == []


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("false", False), ("1", True), ("yes", True)])
def test_the_offline_switch_knows_yes_and_no(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("VIDCAM_OFFLINE", value)
    assert w.is_offline() is expected


def test_a_cache_that_cannot_be_written_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VIDCAM_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="File exists"):
        w.fetch(official(server))


def test_the_folder_of_weights_comes_before_the_cache(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = official(server)
    w.fetch(weights)
    monkeypatch.setenv("VIDCAM_WEIGHTS", str(tmp_path))
    assert w.find(weights) == w.cache_dir() / "net.pth"
    (tmp_path / "net.pth").write_bytes(BODY)
    assert w.find(weights) == tmp_path / "net.pth"
    (tmp_path / "net.pth").write_bytes(b"not it")
    with pytest.raises(WeightsError, match=r"is not the file that http"):
        w.verify(tmp_path / "net.pth", weights)
    monkeypatch.setenv("VIDCAM_WEIGHTS", str(tmp_path / "absent"))
    with pytest.raises(UsageError, match=r"VIDCAM_WEIGHTS names .*absent, which is not a folder"):
        w.find(weights)


def test_the_cache_is_the_users_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDCAM_CACHE")
    assert "vidcam" in w.cache_dir().parts


# What is in a file


def test_states_come_back_as_saved(tmp_path: Path) -> None:
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}
    torch.save(state, tmp_path / "s.pth")
    save_file(state, tmp_path / "s.safetensors")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("s.pth", "s.safetensors", "old.pth"):
        read = checkpoints.read_state(tmp_path / name)
        assert read.keys() == state.keys()
        assert all(torch.equal(read[key], state[key]) for key in state)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.mkdir, ("ran",)


@pytest.mark.parametrize("new", [True, False])
def test_a_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: bool) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Malicious()}, tmp_path / "bad.pth", _use_new_zipfile_serialization=new)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth", _use_new_zipfile_serialization=new)
    for name in ("bad.pth", "whole.pth"):
        with pytest.raises(WeightsError, match=r"would have to run Python code.*torch\.save\(model\.state_dict\(\), path\)"):
            checkpoints.read_state(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "pickle", "cut.safetensors"])
def test_a_damaged_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / (kind if "." in kind else f"{kind}.pth")
    state = {"a": torch.zeros(1000)}
    if kind == "cut.safetensors":
        save_file(state, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    else:
        torch.save(state, path)
    content = {"text": b"<!DOCTYPE html>", "empty": b"", "pickle": path.read_bytes()}.get(kind, path.read_bytes()[:900])
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot be read as .*fetch or save it again"):
        checkpoints.read_state(path)


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"holds a list, not a state dict"):
        checkpoints.read_state(tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="no weight file at"):
        checkpoints.read_state(tmp_path / "absent.pth")


@pytest.mark.parametrize("key", [None, "model_state", "state_dict", "model_state_dict", "model"])
def test_tensors_are_found_where_training_code_keeps_them(key: str | None) -> None:
    state = {"a": torch.ones(2)}
    checkpoint = {key: state, "epoch": 3} if key else {**state, "epoch": 3}
    assert checkpoints.tensors_of(checkpoint) == state


def test_a_checkpoint_without_tensors_is_refused() -> None:
    with pytest.raises(WeightsError, match="no tensors in the checkpoint, only epoch, lr"):
        checkpoints.tensors_of({"epoch": 3, "lr": 0.1})
