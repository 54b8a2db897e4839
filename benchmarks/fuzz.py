"""Does anything that a file may hold make the reader fail in another way than by a sentence? Small videos, damaged at random.

    python -m benchmarks.fuzz --files 10000 --seed 1          # what went wrong lies in build/fuzz
    python -m benchmarks.fuzz --again build/fuzz/1-4711-a.mp4 # one file once more, with the traceback

Each file is one of some twenty that are made on the spot, with flipped bits, blocks of noise, wild numbers in its header, a
piece of another file, or its end cut off. It is opened and read with ``vidcam.open_source`` in a process that has a limit of
memory and of processor seconds for each file, and its sound is taken along with ``vidcam.io.writer``. Reported is each exception
that is not vidcam's own, each crash, each hang, and each overrun of the memory. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
OUT = ROOT / "build" / "fuzz"
SIZE = (48, 64)
FRAMES = 8
CPU_S = 20  # for one file, which takes a hundredth of a second; what takes longer has hung
MEMORY = 3 << 30  # of addresses, of which threads take much without using it
PIXELS = 2_000_000  # at most in a picture, so that a picture within the limit is none for the memory
MOST_FRAMES = 100  # that are read of a file
SIGNALS = {signal.SIGXCPU: "hang", signal.SIGALRM: "hang", signal.SIGKILL: "killed"}


# The files ----------------------------------------------------------------------------------------------------------------------


def make_seeds(folder: Path) -> list[Path]:
    """Write the undamaged files, one of each kind, in the order of their names."""
    from tests.support.media import at_decoding_times, joined, write_animation, write_clip, write_images

    def clip(name: str, **settings: Any) -> Path:
        return write_clip(folder / name, **{"frames": FRAMES, "size": SIZE, "title": "Caffee", **settings})

    clip("h264.mp4", b_frames=2, gop=4)
    clip("mpeg4.mp4", codec="mpeg4")
    clip("mjpeg.mov", codec="mjpeg", rotation=90)
    clip("sound.mp4", audio="aac")
    clip("variable.mp4", times=[0.0, 0.1, 0.15, 0.5, 0.6, 1.1, 1.2, 2.0])
    clip("fragments.mp4", fragmented=True, audio="aac")
    clip("pixels.mkv", audio="libopus", b_frames=2, gop=4)
    clip("ffv1.mkv", codec="ffv1")
    clip("vp9.webm")
    clip("mpeg4.avi", b_frames=2)
    clip("mjpeg.avi", codec="mjpeg", audio="libmp3lame")
    clip("h264.ts", audio="ac3")
    clip("mpeg2.mpg", codec="mpeg2video", fps=25, audio="ac3")
    clip("flash.flv", audio="aac")
    clip("vp8.ogv", codec="libvpx")
    clip("windows.wmv", codec="wmv2", fps=25)
    clip("palette.gif", fps=10)
    joined(folder / "joined.ts", folder / "h264.ts", clip("other.ts", size=(64, 48)))
    at_decoding_times(folder / "h264.mp4", folder / "decoding.mkv")
    write_images(folder, names=["a.png", "a.jpg", "a.bmp", "a.webp", "a.tiff"], size=SIZE)
    for name in ("moving.webp", "moving.png", "moving.gif"):
        write_animation(folder / name, delays_ms=[40, 80, 40], size=SIZE)
    return sorted(folder.iterdir())


WILD = (0, 1, 2, 3, 0x7F, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 16000, 30000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _flip(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    for _ in range(rng.choice((1, 4, 30))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _noise(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at, size = rng.randrange(len(data)), rng.choice((1, 8, 100, 1000))
    data[at : at + size] = rng.choice((rng.randbytes(size), bytes(size), b"\xff" * size))


def _cut(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    del data[rng.randrange(1, len(data) + 1) :]


def _drop(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data))
    if len(data) > 200:
        del data[at : at + rng.choice((1, 4, 100))]


def _double(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.choice((4, 100, 3000))]


def _splice(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(others)
    begin = rng.randrange(len(other))
    piece = other[begin : begin + rng.choice((16, 200, 5000))]
    at = rng.randrange(len(data))
    data[at : at + rng.choice((0, len(piece)))] = piece


def _number(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    """Wild numbers in the header, or in the index at the end."""
    near = min(len(data), rng.choice((64, 600, 3000)))
    for _ in range(rng.choice((1, 3))):
        at = rng.randrange(near) if rng.random() < 0.7 else len(data) - 1 - rng.randrange(near)
        kind = rng.choice(("<H", ">H", "<I", ">I"))
        number = struct.pack(kind, rng.choice(WILD) & (0xFFFF if kind[1] == "H" else 0xFFFFFFFF))
        data[at : at + len(number)] = number


def _size(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    """Another width or height, wherever it stands."""
    given = rng.choice(SIZE)
    kind = rng.choice(("<H", ">H", "<I", ">I"))
    other = struct.pack(kind, rng.choice((0, 1, 2, 1000, 16000, 65535, given + 1, given * 2)))
    data[:] = data.replace(struct.pack(kind, given), other, rng.choice((1, 2, -1)))


def _name(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    """A title, or the name of a handler, in another encoding than UTF-8."""
    for word in (b"Caffee", b"VideoHandler", b"SoundHandler", b"Lavf", b"Lavc", b"ENCODER", b"und", b"libx264"):
        if rng.random() < 0.7:
            data[:] = data.replace(word, bytes([*word[:-1], rng.randrange(0x80, 0x100)]))


MUTATIONS = (_flip, _noise, _cut, _drop, _double, _splice, _number, _number, _size, _name)


def damaged(seeds: Sequence[Path], number: int, seed: int) -> tuple[str, bytes]:
    """Return the name and the content of file ``number``: seldom under the name of another kind, which is no matter for most."""
    rng = random.Random(f"{seed}/{number}")
    chosen = rng.choice(seeds)
    others = [p.read_bytes() for p in rng.sample(seeds, 2)]
    data = bytearray(chosen.read_bytes())
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(MUTATIONS)(data, others, rng)
        if not data:
            break
    suffix = rng.choice(seeds).suffix if rng.random() < 0.1 else chosen.suffix
    return f"{seed}-{number}-{chosen.stem}{suffix}", bytes(data)


# Reading one of them ------------------------------------------------------------------------------------------------------------


def read(path: Path) -> str:
    """Open and read a file; returns ``"refused"`` or ``"read"``, and raises what nobody should see."""
    import vidcam
    from vidcam.io.writer import VideoWriter

    try:
        with vidcam.open_source(path) as source:
            frames = list(islice(source.frames(), MOST_FRAMES))
            wrong = [(a.time, b.time) for a, b in pairwise(frames) if not a.time < b.time]
            assert not wrong, f"times that do not increase: {wrong}"
            shapes = {f.image.shape for f in frames}
            assert shapes == {(source.info.height, source.info.width, 3)}, f"pictures of {shapes} in {source.info}"
            half = frames[len(frames) // 2].time - source.info.start_s
            if half > 0:
                next(source.frames(start=half), None)
            if source.info.audio:
                target = path.with_name("out.mp4")
                with VideoWriter(target, size=(16, 16), source=path, end_s=frames[-1].end, overwrite=True) as writer:
                    writer.write(np.zeros((16, 16, 3), np.uint8), time=frames[0].time, duration=frames[0].duration)
    except vidcam.VidcamError as error:
        if "\n" in str(error):
            raise AssertionError("a sentence of several lines") from error
        return "refused"
    return "read"


def work(seeds: Sequence[Path], numbers: range, seed: int, folder: Path, report: Callable[[dict[str, Any]], None]) -> None:
    """Read these files, one after the other, and report before and after each."""
    os.environ["VIDCAM_MAX_PIXELS"] = str(PIXELS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    for number in numbers:
        name, data = damaged(seeds, number, seed)
        path = folder / name
        path.write_bytes(data)
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S, resource.RLIM_INFINITY))
        signal.alarm(600)  # for a file that waits without computing
        report({"number": number, "begins": True})
        try:
            outcome, words = read(path), ""
        except MemoryError:
            outcome, words = "memory", traceback.format_exc()
        except Exception:
            outcome, words = "foreign", traceback.format_exc()
        report({"number": number, "outcome": outcome, "words": words})
        path.unlink()


# All of them --------------------------------------------------------------------------------------------------------------------


@dataclass
class Found:
    """How many files ended how, and for those that went wrong the name, what it was and what was said."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, name: str, outcome: str, words: str) -> None:
        self.counts[outcome] += 1
        if outcome not in ("read", "refused"):
            self.wrong.append((name, outcome, words))

    def __str__(self) -> str:
        count = self.counts
        kinds = ("foreign", "crash", "hang", "killed", "memory")
        rest = ", ".join(f"{count[k]} {k}" for k in kinds)
        return f"{count.total()} files: {count['read']} read, {count['refused']} refused; {rest}"


def fuzz(files: int, seed: int, *, jobs: int = 1, out: Path = OUT) -> Found:
    """Read so many damaged files; those that went wrong are put into ``out``."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        (folder := Path(name) / "seeds").mkdir()
        make_seeds(folder)
        share = -(-files // jobs)
        parts = [range(n, min(n + share, files)) for n in range(0, files, share)]
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda part: _share(folder, part, seed, found, out), parts))
    return found


def _share(seeds: Path, numbers: range, seed: int, found: Found, out: Path) -> None:
    """Have a child read these files, and another one what is left when it has died."""
    while numbers:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            words = [sys.executable, "-m", "benchmarks.fuzz", "--child", str(seeds), folder, str(seed)]
            words += [str(numbers.start), str(numbers.stop)]
            child = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        at = None
        for line in child.stdout.splitlines():
            item = json.loads(line)
            at = item["number"]
            if "outcome" in item:
                _keep(seeds, at, seed, item["outcome"], item["words"], found, out)
                numbers = range(at + 1, numbers.stop)
                at = None
        if child.returncode and at is None:
            raise RuntimeError(f"the fuzzer itself failed: {child.stderr}")
        if at is not None:
            _keep(
                seeds,
                at,
                seed,
                SIGNALS.get(-child.returncode, "crash"),
                f"{child.returncode}\n{child.stderr[-2000:]}",
                found,
                out,
            )
            numbers = range(at + 1, numbers.stop)


def _keep(seeds: Path, number: int, seed: int, outcome: str, words: str, found: Found, out: Path) -> None:
    name, data = damaged(sorted(seeds.iterdir()), number, seed)
    found.add(name, outcome, words)
    if outcome not in ("read", "refused"):
        out.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--again", type=Path, help="read this file only")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        seeds, folder, *numbers = given.child
        seed, first, stop = map(int, numbers)
        work(
            sorted(Path(seeds).iterdir()),
            range(first, stop),
            seed,
            Path(folder),
            lambda item: print(json.dumps(item), flush=True),  # noqa: T201
        )
        return 0
    if given.again:
        os.environ["VIDCAM_MAX_PIXELS"] = str(PIXELS)
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            print(read(Path(shutil.copy(given.again, folder))))  # noqa: T201
        return 0
    found = fuzz(given.files, given.seed, jobs=given.jobs)
    for name, outcome, words in found.wrong:
        print(f"{OUT / name}: {outcome}\n{words}")  # noqa: T201
    print(found)  # noqa: T201
    return bool(found.wrong)


if __name__ == "__main__":
    sys.exit(main())
