"""Reading any damaged file ends in pictures or in one sentence; the fuzzer finds no failure, but finds planted ones."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

import vidcam
from benchmarks import fuzz


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> list[Path]:
    return fuzz.make_seeds(tmp_path_factory.mktemp("seeds"))


def test_five_hundred_damaged_files_are_read_or_refused_in_a_sentence(tmp_path):
    found = fuzz.fuzz(500, 20, out=tmp_path)
    assert found.wrong == []
    assert found.counts["read"] >= 200  # otherwise the damage is too severe to reach the decoders
    assert found.counts["refused"] >= 50
    assert found.counts.total() == 500


def test_every_undamaged_seed_is_read(tmp_path, seeds):
    assert len(seeds) >= 21
    for path in seeds:
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        assert (path.name, fuzz.read(copy)) == (path.name, "read")
        with vidcam.open_source(path) as source:
            assert (path.name, len(list(source.frames()))) == (path.name, FRAMES.get(path.name, 1 if path.stem == "a" else 8))


FRAMES = {"joined.ts": 16, "moving.webp": 3, "moving.png": 3, "moving.gif": 3}


def test_a_seed_gives_the_same_files_each_time(seeds):
    some = [fuzz.damaged(seeds, number, 3) for number in range(40)]
    assert some == [fuzz.damaged(seeds, number, 3) for number in range(40)]
    assert some != [fuzz.damaged(seeds, number, 4) for number in range(40)]
    whole = {path.read_bytes() for path in seeds}
    assert sum(data not in whole for _, data in some) >= 35


PLANTED = """
import os, resource, signal, sys
from pathlib import Path
from benchmarks import fuzz
def read(path):
    number = int(path.name.split("-")[1])
    if number == 1:
        raise KeyError("planted")
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 4:
        resource.setrlimit(resource.RLIMIT_CPU, (1, resource.RLIM_INFINITY))
        while True:
            pass
    if number == 6:
        bytearray(fuzz.MEMORY)
    return "refused" if number % 2 else "read"
fuzz.read = read
sys.exit(fuzz.main())
"""


def test_the_fuzzer_finds_planted_failures(tmp_path, monkeypatch):
    run = fuzz.subprocess.run

    def planted(words: list[str], **settings: object) -> object:
        return run([sys.executable, "-c", PLANTED, *words[3:]], **settings)

    monkeypatch.setattr(fuzz.subprocess, "run", planted)
    found = fuzz.fuzz(9, 5, out=tmp_path)
    assert [(name.split("-")[1], outcome) for name, outcome, _ in found.wrong] == [
        ("1", "foreign"),
        ("3", "crash"),
        ("4", "hang"),
        ("6", "memory"),
    ]
    assert "KeyError: 'planted'" in found.wrong[0][2]
    assert str(-signal.SIGSEGV) in found.wrong[1][2]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(name for name, _, _ in found.wrong)
    assert str(found) == "9 files: 3 read, 2 refused; 1 foreign, 1 crash, 1 hang, 0 killed, 1 memory"
