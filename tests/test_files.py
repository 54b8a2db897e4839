"""Output files: complete or not at all."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.clock import NOON, ManualClock

from vidcam.errors import OutputError
from vidcam.io.files import atomic_write, check_output, remove_leftovers, remove_unfinished, scratch


def listing(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    with atomic_write(path) as temp:
        assert temp.parent == tmp_path
        assert temp.suffix == ".json"
        temp.write_text("{}")
        assert not path.exists()
    assert path.read_text() == "{}"
    assert listing(tmp_path) == ["out.json"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.txt"):
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("old", [None, "old"])
def test_an_error_leaves_nothing_and_keeps_the_old_file(tmp_path: Path, error: type[BaseException], old: str | None) -> None:
    path = tmp_path / "out.csv"
    if old:
        path.write_text(old)

    def break_off() -> None:
        with atomic_write(path, overwrite=True) as temp:
            temp.write_text("half")
            raise error

    with pytest.raises(error):
        break_off()
    assert listing(tmp_path) == (["out.csv"] if old else [])
    assert not old or path.read_text() == old


def test_an_existing_file_is_kept_unless_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"out\.txt exists already; use --overwrite"), atomic_write(path):
        raise AssertionError("not reached")
    assert path.read_text() == "old"
    with atomic_write(path, overwrite=True) as temp:
        temp.write_text("new")
    assert path.read_text() == "new"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with pytest.raises(OutputError, match="exists already"), atomic_write(path):
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"
    assert listing(tmp_path) == ["out.txt"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "there" / "real.txt")
    with atomic_write(tmp_path / "link.txt") as temp:
        temp.write_text("x")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "there" / "real.txt").read_text() == "x"


def test_an_unsuitable_output_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match=r"the folder .*nowhere does not exist"):
        check_output(tmp_path / "nowhere" / "a.mp4")
    with pytest.raises(OutputError, match="it is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="not a regular file"):
        check_output(os.devnull, overwrite=True)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")
    with pytest.raises(OutputError, match="it is the input itself"):
        check_output(tmp_path / "." / "clip.mp4", overwrite=True, source=clip)
    assert check_output(clip, overwrite=True, source="http://localhost/clip.mp4") == clip
    monkeypatch.setattr(os, "access", lambda *a, **k: False)  # root may write anywhere
    with pytest.raises(OutputError, match="no permission to write in the folder"):
        check_output(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOSPC, "the disk is full; free some"), (errno.EROFS, "the disk is read-only"), (errno.EACCES, "no permission")],
)
def test_errors_of_the_disk_become_sentences(tmp_path: Path, number: int, says: str) -> None:
    with pytest.raises(OutputError, match=says), atomic_write(tmp_path / "a.txt") as temp:
        raise OSError(number, os.strerror(number), str(temp))
    assert listing(tmp_path) == []


def test_errors_of_the_block_itself_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-input"), atomic_write(tmp_path / "a.txt"):
        (tmp_path / "no-such-input").read_bytes()
    assert listing(tmp_path) == []


def test_a_full_disk_raises_and_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a file system of 64 kB can only be mounted by root")
    try:
        with pytest.raises(OutputError, match="the disk is full"), atomic_write(disk / "a.bin") as temp:
            temp.write_bytes(bytes(1 << 20))
        assert listing(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


# --- what killed processes leave


@pytest.fixture
def own(tmp_path: Path) -> str:
    """Return the name of an unfinished output of this process; nothing is left of it."""
    (tmp_path / "own").mkdir()
    with atomic_write(tmp_path / "own" / "clip.mp4") as temp:
        remove_leftovers(temp.parent)
        assert temp.exists()
    return temp.name


@pytest.fixture
def dead() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say when a process was started")


def renamed(name: str, **parts: object) -> str:
    """Return the name with another machine, pid or start in it."""
    found = re.fullmatch(r"(?P<head>.*\.vidcam-)(?P<machine>\w+)-(?P<pid>\d+)-(?P<started>\d+)(?P<tail>-.*)", name)
    assert found
    return "{head}{machine}-{pid}-{started}{tail}".format(**{**found.groupdict(), **parts})


@linux
def test_unfinished_outputs_of_lost_workers_are_removed_but_not_of_living_ones(tmp_path: Path, own: str, dead: int) -> None:
    for name in (own, renamed(own, pid=dead), renamed(own, machine="0abc1234")):
        (tmp_path / name).touch()
    remove_unfinished([tmp_path / "clip.mp4", tmp_path / "other.mp4"])
    assert listing(tmp_path) == sorted([own, "own"])


@linux
def test_parts_of_dead_processes_are_removed(tmp_path: Path, own: str, dead: int) -> None:
    (tmp_path / renamed(own, pid=dead)).touch()
    (tmp_path / renamed(own, started=1)).touch()  # the number of a process that is no more, given to this one
    with atomic_write(tmp_path / "new.mp4"):
        pass
    assert listing(tmp_path) == ["new.mp4", "own"]


@linux
@pytest.mark.parametrize("is_folder", [False, True])
def test_scratch_goes_with_its_block_and_after_a_kill(
    is_folder: bool, dead: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch(".mp4", is_folder=is_folder) as mine:
        left = tmp_path / renamed(mine.name, pid=dead)
        if is_folder:
            left.mkdir()
        (left / "a.mp4" if is_folder else left).touch()
        remove_leftovers(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [mine.name]
        assert mine.is_dir() == is_folder
    assert list(tmp_path.iterdir()) == []


@linux
def test_parts_of_living_processes_are_kept_however_old(tmp_path: Path, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part = tmp_path / own
    part.touch()
    os.utime(part, (0, 0))
    remove_leftovers(tmp_path)
    assert part.exists()

    def another_users(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", another_users)
    remove_leftovers(tmp_path)
    assert part.exists()


def test_parts_of_another_machine_are_removed_after_a_day(tmp_path: Path, own: str) -> None:
    part = tmp_path / renamed(own, machine="00000abc", pid=1)
    part.touch()
    os.utime(part, (NOON.timestamp(), NOON.timestamp()))
    remove_leftovers(tmp_path, clock=ManualClock(86_000))
    assert part.exists()
    remove_leftovers(tmp_path, clock=ManualClock(87_000))
    assert not part.exists()


def test_files_with_other_names_are_never_removed(tmp_path: Path, own: str, dead: int) -> None:
    name = renamed(own, pid=dead)
    others = [
        name[1:],
        f"{name}.txt",
        name.replace(".part", ""),
        ".clip.part.mp4",
        ".clip.12345678.part.mp4",
        ".vidcam-1-2-3.part",
    ]
    for other in others:
        (tmp_path / other).touch()
        os.utime(tmp_path / other, (0, 0))
    (tmp_path / name).mkdir()
    remove_leftovers(tmp_path)
    assert listing(tmp_path) == sorted([*others, name, "own"])
