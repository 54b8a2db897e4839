"""Runs whose inputs or outputs lie at addresses of fsspec: memory:// here, and file:// as a storage without whole uploads."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
import tempfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from support import planted
from support.command import Run
from support.media import write_clip

from vidcam.batch import storage
from vidcam.batch.failures import kind_of
from vidcam.batch.inputs import expand_inputs
from vidcam.batch.plan import make_plan
from vidcam.errors import DownloadError, InputError, UsageError
from vidcam.io.remote import local_copy, local_path, open_remote
from vidcam.io.source import open_source

MODEL = ("--model", f"{planted.__file__}:patches", "--engine", "torch")


@pytest.fixture
def memory() -> Iterator[Any]:
    """The file system of this process, empty."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=9, size=(96, 128))


@pytest.fixture
def vidcam(vidcam: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in this process, with a folder of its own for temporary files: (exit code, stdout, stderr)."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return vidcam


def fill(files: Any, clip: Path) -> None:
    for name in ("a.mp4", "deep/b.mp4", ".hidden/c.mp4", "notes.md"):
        files.pipe_file(f"/in/{name}", clip.read_bytes())


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


# Inputs


def test_address_of_a_folder_pattern_or_file_stands_for_its_videos(memory: Any, clip: Path) -> None:
    fill(memory, clip)
    names = [f"memory://in/{name}" for name in ("a.mp4", "deep/b.mp4")]
    found = {word: expand_inputs([word]) for word in ("memory://in", "memory://in/**/*.mp4", "memory://in/a.mp4")}
    assert [name.replace(":///", "://") for name in found["memory://in"]] == names[:1]
    assert [name.replace(":///", "://") for name in expand_inputs(["memory://in"], recursive=True)] == names
    assert len(found["memory://in/**/*.mp4"]) == 3  # what a pattern names is not hidden
    assert found["memory://in/a.mp4"] == names[:1]
    with pytest.raises(InputError, match="stands for no video"):
        expand_inputs(["memory://in/*.webm"])


def test_video_at_an_address_is_read_like_its_file_and_leaves_nothing(
    memory: Any, clip: Path, vidcam: Run, tmp_path: Path
) -> None:
    memory.pipe_file("/in/a.mp4", clip.read_bytes())
    with open_source("memory://in/a.mp4") as source, open_source(clip) as expected:
        assert source.info.path == "memory://in/a.mp4"
        assert len(list((tmp_path / "temporary").iterdir())) == 1
        for mine, other in zip(source.frames(), expected.frames(), strict=True):
            assert mine.time == other.time
            assert (mine.image == other.image).all()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert local_path("memory://in/a.mp4") == "memory://in/a.mp4"


def test_blocks_within_a_local_copy_share_it(memory: Any, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe_file("/in/a.mp4", clip.read_bytes())
    fetched: list[str] = []
    get_file = type(memory).get_file
    monkeypatch.setattr(type(memory), "get_file", lambda self, name, *rest: (fetched.append(name), get_file(self, name, *rest)))
    with local_copy("memory://in/a.mp4"):
        with open_source("memory://in/a.mp4"), open_source("memory://in/a.mp4"):
            assert Path(local_path("memory://in/a.mp4")).read_bytes() == clip.read_bytes()
        assert Path(local_path("memory://in/a.mp4")).is_file()
    assert fetched == ["/in/a.mp4"]


def test_kind_of_a_failed_download_tells_whether_it_may_pass(memory: Any, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe_file("/in/a.mp4", clip.read_bytes())

    def failure(error: Exception | None) -> tuple[str, str]:
        def get_file(self: object, name: str, path: str) -> None:
            Path(path).write_bytes(clip.read_bytes()[:100])
            if error is not None:
                raise error

        monkeypatch.setattr(type(memory), "get_file", get_file)
        with pytest.raises((InputError, DownloadError)) as caught, local_copy("memory://in/a.mp4"):
            pass
        return kind_of(caught.value).name, str(caught.value)

    assert failure(None)[0] == "network"
    assert f"broke off after 100 of {clip.stat().st_size} bytes" in failure(None)[1]
    assert (
        failure(ConnectionResetError(104, "reset"))[0]
        == failure(OSError("gateway"))[0]
        == failure(RuntimeError("s3"))[0]
        == "network"
    )
    assert failure(PermissionError("denied"))[0] == failure(FileNotFoundError("none"))[0] == "input"
    assert failure(OSError(28, "full"))[0] == "disk"
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10))
    kind, sentence = failure(None)
    assert (kind, "set TMPDIR" in sentence) == ("disk", True)


def test_missing_packages_are_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UsageError, match=r"s3://bucket/a\.mp4 needs a further package .*: pip install s3fs"):
        open_remote("s3://bucket/a.mp4")
    with pytest.raises(InputError, match=r"nothing://a cannot be read: .*name a file, or an address that fsspec knows"):
        open_remote("nothing://a")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=r"needs the package fsspec: pip install 'vidcam\[cloud\]'"):
        open_remote("s3://bucket/a.mp4")


# Outputs


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_run_at_an_address_is_that_of_a_folder(scheme: str, memory: Any, clip: Path, vidcam: Run, tmp_path: Path) -> None:
    root = "memory://run" if scheme == "memory" else f"file://{tmp_path}/run"
    files, path = open_remote(root)
    fill(memory, clip)
    memory.pipe_file("/in/bad.mp4", b"this is no video")
    words = ("annotate", "memory://in", "--recursive", *MODEL)
    reports = ("--json", "{root}/reports/{{name}}.json", "--maps", "{root}/{{name}}.npz")
    remote, local = ([*words, "--out-dir", at, *(word.format(root=at) for word in reports)] for at in (root, "local"))
    (tmp_path / "local" / "reports").mkdir(parents=True)
    code, out, err = vidcam(*remote)
    assert (code, len(out.splitlines())) == (1, 2), err
    assert err.splitlines()[-1].endswith(f"1 of 3 inputs could not be explained: read {root}/failed.csv")
    assert vidcam(*local)[0] == 1
    assert list((tmp_path / "temporary").iterdir()) == []
    written = {name.removeprefix(path).lstrip("/") for name in files.find(path)}
    assert written == {file.relative_to(tmp_path / "local").as_posix() for file in (tmp_path / "local").rglob("*.*")}
    for name in ("a", "b"):
        assert files.cat_file(f"{path}/{name}.vidcam.mp4") == (tmp_path / "local" / f"{name}.vidcam.mp4").read_bytes()
    report = json.loads(files.cat_file(f"{path}/reports/a.json"))
    assert report["outputs"]["video"] == f"{root}/a.vidcam.mp4"
    assert report["input"]["path"].endswith("/in/a.mp4")
    mine, other = rows(files.cat_file(f"{path}/results.csv")), rows((tmp_path / "local" / "results.csv").read_bytes())
    assert [row | {"seconds": ""} for row in mine] == [row | {"seconds": ""} for row in other]
    before = files.modified(f"{path}/a.vidcam.mp4")
    files.rm_file(f"{path}/vidcam-marks/b.done.json")  # as if it had been killed before the mark
    code, out, err = vidcam(*remote)
    assert (code, len(out.splitlines())) == (1, 1), err
    assert files.modified(f"{path}/a.vidcam.mp4") == before
    code, _, err = vidcam(*remote, "--opacity", 0.5)
    assert "look.opacity was 0.62 and is now 0.5" in err


def test_broken_upload_leaves_no_mark_and_is_tried_again(
    memory: Any, clip: Path, vidcam: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, put_file = ["a.vidcam.mp4"], type(memory).put_file

    def put(self: Any, local: str, name: str, *rest: Any) -> None:
        if broken and name.endswith(broken[0]):
            assert not self.exists("/run/vidcam-marks/a.done.json")
            raise ConnectionResetError(104, f"reset, number {len(broken)}", broken.pop())
        put_file(self, local, name, *rest)

    monkeypatch.setattr(type(memory), "put_file", put)
    monkeypatch.setattr("vidcam.batch.run.pause_before", lambda attempt: 0.0)
    shutil.copy(clip, "a.mp4")
    code, _, err = vidcam("annotate", "a.mp4", *MODEL, "--out-dir", "memory://run")
    assert code == 0, err
    assert not broken
    assert sorted(name for name in memory.find("/run") if "a." in name) == ["/run/a.vidcam.mp4", "/run/vidcam-marks/a.done.json"]


def test_outputs_elsewhere_than_at_the_address_are_refused(memory: Any, clip: Path, vidcam: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"with --out-dir memory://run, all outputs lie in it: \.\."):
        make_plan(["a.mp4"], "memory://run", {}, {"json": tmp_path / "{name}.json"})
    memory.pipe_file("/run/a.json", b"precious")
    with pytest.raises(OSError, match=r"memory://run/a\.json exists already"):
        make_plan(["a.mp4"], "memory://run", {}, {"json": Path("memory://run") / "{name}.json"})
    code, _, err = vidcam("compare", clip, *MODEL[:2], "--out-dir", "memory://run")
    assert (code, "add --embed" in err) == (2, True)


def test_output_address_is_left_out_of_a_listing(memory: Any, clip: Path) -> None:
    fill(memory, clip)
    memory.pipe_file("/in/out/a.vidcam.mp4", b"")
    words = {"recursive": True, "without": "memory://in/out"}
    assert not any("/out/" in name for name in expand_inputs(["memory://in"], **words))


def test_storage_knows_which_protocols_write_whole_files() -> None:
    files, _ = open_remote("memory://x")
    assert files.protocol in storage.WHOLE_AT_ONCE


def test_only_what_lies_in_the_locked_folder_is_discarded(tmp_path: Path) -> None:
    run, part = tmp_path / "run", ".a.vidcam-0abc1234-1-1-00000000.part.json"
    for folder in (run, tmp_path / "reports"):
        folder.mkdir()
        (folder / part).touch()
    storage.open_storage(run).discard(["a.json", "../reports/a.json", str(tmp_path / "reports" / "a.json")])
    assert not (run / part).exists()
    assert (tmp_path / "reports" / part).exists()


def test_half_uploaded_files_of_lost_workers_are_discarded(tmp_path: Path) -> None:
    for name in (".a.mp4.part", ".b.mp4.part", "a.mp4"):
        (tmp_path / name).touch()
    storage.open_storage(f"file://{tmp_path}").discard(["a.mp4", "c.mp4"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.mp4.part", "a.mp4"]
