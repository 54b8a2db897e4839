"""The benchmark compares like with like: the same encoder, the same windows, figures in turns. Nothing is timed here."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import runpy
import sys
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from support.command import exit_code
from support.media import write_clip

from benchmarks.speed import __main__ as speed
from benchmarks.speed import by_hand, commands, end_to_end, engines, inputs, methods, race, scaling
from benchmarks.speed.plan import Plan, have_grad_cam
from benchmarks.speed.race import Column, Race, rounds
from benchmarks.speed.transcode import transcode
from vidcam import sampling
from vidcam.io.source import open_source
from vidcam.io.writer import VideoWriter
from vidcam.models.table import get_spec

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def x264_options(path: Path) -> str:
    """Return what x264 writes into every stream about how it was set."""
    data = path.read_bytes()
    start = data.index(b"options: ")
    return data[start : data.index(b"\0", start)].rstrip(b"\x80").decode()


@pytest.mark.parametrize("fps", [10, Fraction(30000, 1001)])
def test_the_plain_transcode_is_encoded_as_the_writer_does(tmp_path, fps):
    clip = write_clip(tmp_path / "in.mp4", frames=12, size=(64, 96), fps=fps)
    transcode(clip, tmp_path / "plain.mp4")
    with open_source(clip) as source, VideoWriter(tmp_path / "ours.mp4", size=(64, 96), fps_hint=source.info.fps) as writer:
        for frame in source.frames():
            writer.write(frame.planes, time=frame.time, duration=frame.duration)
    assert x264_options(tmp_path / "plain.mp4") == x264_options(tmp_path / "ours.mp4")
    assert "crf=20.0" in x264_options(tmp_path / "plain.mp4")


def test_the_plain_transcode_keeps_frames_but_not_key_frames(tmp_path):
    clip = write_clip(tmp_path / "in.mp4", frames=30, size=(64, 96), fps=10, gop=5)
    transcode(clip, tmp_path / "plain.mp4")
    with av.open(str(clip)) as given, av.open(str(tmp_path / "plain.mp4")) as made:
        before, after = (list(video.decode(video=0)) for video in (given, made))
    assert [f.time for f in after] == pytest.approx([f.time for f in before])
    assert np.mean([np.abs(a.to_ndarray().astype(int) - b.to_ndarray()).mean() for a, b in zip(after, before, strict=True)]) < 4
    assert sum(f.key_frame for f in before) == 6
    assert sum(f.key_frame for f in after) == 2


@pytest.mark.parametrize("model", ["mini", "x3d_s"])
@pytest.mark.parametrize(("frames", "fps"), [(75, 25), (62, 12), (100, 30), (66, 25)])
def test_the_windows_of_the_script_are_those_of_vidcam(tmp_path, model, frames, fps):
    spec = get_spec(model)
    clip = write_clip(tmp_path / "in.mp4", frames=frames, size=(128, 192), fps=fps)
    theirs = list(by_hand.clips(clip, spec))
    sampler = sampling.Sampler(
        frames=spec.num_frames, seconds_between_frames=spec.seconds_between_frames, seconds_between_clip_starts=spec.clip_s / 2
    )
    ours = []
    with open_source(clip) as source:
        (view,) = sampling.spatial_crops((128, 192), resize=spec.resize, crop=spec.crop, cover=False)
        for frame in source.frames():
            picture = sampling.resize(frame.image, view)
            ours += sampler.push(picture, time=frame.time, duration=frame.duration)
    ours += sampler.close()
    assert len(theirs) == len(ours) > 1
    for (times, pictures), window in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(times, window.times, atol=1e-6)
        # Two ways from YUV to RGB, of different libraries.
        assert np.abs(pictures.astype(int) - view.cut(window.frames)).mean() < 3


def test_a_looped_clip_is_its_pictures_over_and_over(tmp_path):
    source = write_clip(tmp_path / "in.mp4", frames=7, size=(48, 64), fps=10)
    clip = inputs.made(source, tmp_path, height=54, seconds=1.2)
    assert clip.frames == 12
    longer = inputs.looped(clip, tmp_path, 3)
    with av.open(str(longer.path)) as video:
        pictures = [(f.time, f.to_ndarray(format="gray")) for f in video.decode(video=0)]
    assert [t for t, _ in pictures] == pytest.approx([i / 10 for i in range(36)], abs=1e-3)
    assert pictures[0][1].shape == (54, 96)
    for i in range(12):
        np.testing.assert_array_equal(pictures[i][1], pictures[i + 24][1])


def test_everybody_runs_in_turns_until_patience_ends(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(race, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    order = []

    def runs(name, seconds):
        def run():
            order.append(name)
            clock[0] += seconds
            return len(order)

        return run

    def fails():
        raise ValueError("not on this network\nand more")

    found, failed = rounds({"a": runs("a", 1), "b": runs("b", 5), "c": fails}, count=3, patience_s=6, tolerate=ValueError)
    assert sorted(order[:2]) == ["a", "b"]
    assert order[2:] == ["a", "a"]
    assert found == {"a": [order.index("a") + 1, 3, 4], "b": [order.index("b") + 1]}
    assert failed == {"c": "not on this network"}
    order.clear()
    found, _ = rounds({"a": runs("a", 4), "b": runs("b", 7)}, count=3, patience_s=6, warm=True)
    assert sorted(order[:2]) == ["a", "b"]
    assert order[2:] == ["a"]
    assert found == {"a": [3], "b": [order.index("b") + 1]}  # the warming up counts where it is all there is
    order.clear()
    rounds({name: runs(name, 1) for name in "abc"}, count=8, patience_s=99)
    assert all(sorted(order[i : i + 3]) == ["a", "b", "c"] for i in range(0, 24, 3))
    assert {b for a, b in itertools.pairwise(order) if a == "a"} >= {"b", "c"}  # nobody has always the same one before it
    with pytest.raises(ValueError, match="not on this network"):
        rounds({"c": fails}, count=1, patience_s=1)


def test_ratios_are_taken_round_by_round():
    samples = {"slow": [10.0, 40.0, 20.0], "fast": [5.0, 10.0, 10.0], "once": [40.0]}
    column = Column("speed", {"fast": "slow", "once": "fast", "slow": "absent"})
    assert column.ratios(samples) == {"fast": [2.0, 4.0, 2.0], "once": [0.125]}
    assert Column("cost", {"slow": "once"}, speed=False).ratios(samples) == {"slow": [0.25, 1.0, 0.5]}
    text = Race("x", "Title", "ms", samples, [column], "Note.", notes=["Aside."]).markdown("p.svg")
    assert "| fast | 10 | 5–10 | 3 | 2.00 (2.00–4.00) |" in text
    assert "| once | 40 |  | 1 | 0.12 |" in text
    assert text.endswith("- Aside.\n\n![Title](p.svg)\n")


HOLDS = """
import pathlib, threading
x = bytearray(150 << 20)
x[::4096] = b"x" * len(x[::4096])
pathlib.Path("holds").touch()
for _ in range(60_000):
    if pathlib.Path("seen").exists():
        break
    threading.Event().wait(0.01)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody watches the memory")
def test_a_command_tells_its_own_time_and_memory_and_its_errors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    looks = []

    def sleep(seconds):
        """Let the command end once somebody looked at it while it held all; who watches does this between two looks."""
        if looks:
            Path("seen").touch()
        if Path("holds").exists():
            looks.append(seconds)
        threading.Event().wait(0.01)

    clock = iter([3.0, 5.5])
    monkeypatch.setattr(commands, "time", SimpleNamespace(perf_counter=lambda: next(clock), sleep=sleep))
    _, seconds, held = commands.command(sys.executable, "-c", HOLDS)
    assert seconds == 2.5
    assert 150 < held < 400  # this process, which it was forked from, may hold more
    clock = itertools.count()
    with pytest.raises(RuntimeError, match="ended with 3: so it is"):
        commands.command(sys.executable, "-c", "import sys; sys.stderr.write('so it is'); sys.exit(3)")


@pytest.fixture
def plan(tmp_path) -> Plan:
    clip = write_clip(tmp_path / "in.mp4", frames=30, size=(90, 160), fps=10)
    return Plan(
        tmp_path, (clip,), models=("mini",), seconds=3, short_s=3, rounds=1, steps=1, step_patience_s=0.1, main_heights=(90,),
        engine_models=("mini",), method_models=("mini",), methods=("cam", "gradcam"), say=lambda line: None,
    )  # fmt: skip


WALL_S, PEAK_MB = 9.0, 123.0


@pytest.fixture
def in_process(monkeypatch):
    """Run the commands in this process, and say that they take ``WALL_S`` and ``PEAK_MB``; the script with grad-cam runs as ever,
    because what it imports warns."""
    alone = commands.command

    def command(*words, cache=None):
        said = io.StringIO()
        if words[: len(commands.VIDCAM)] == commands.VIDCAM:
            assert exit_code(*words[len(commands.VIDCAM) :]) == 0
        elif words[1].name == "by_hand.py":
            return alone(*words, cache=cache)
        else:
            with contextlib.redirect_stdout(said):
                monkeypatch.setattr("sys.argv", [str(word) for word in words[1:]])
                runpy.run_path(str(words[1]), run_name="__main__")
        return said.getvalue(), WALL_S, PEAK_MB

    monkeypatch.setattr(commands, "command", command)


@pytest.mark.usefixtures("in_process")
def test_end_to_end_runs_and_every_contestant_draws_every_frame(plan):
    steady, whole = end_to_end._beside(plan, 90)
    names = {"plain transcode", "vidcam, mini", "vidcam, mini, page"} | (
        {"script with grad-cam, mini"} if have_grad_cam() else set()
    )
    assert set(steady.samples) == set(whole.samples) == names
    for name in names:
        assert steady.samples[name][0] > 0
        assert name.startswith("script") or whole.samples[name] == [WALL_S]
    assert "vidcam, mini" in steady.columns[0].ratios(steady.samples)
    for video in ("transcode", "vidcam", *(["by_hand"] if have_grad_cam() else [])):
        with av.open(str(plan.folder / f"{video}.mp4")) as made:
            assert sum(1 for _ in made.decode(video=0)) == 30, video
    assert (">plain transcode<" in steady.svg()) == (steady.plot == "figures")


def test_of_several_clips_everybody_gets_each_once(plan, tmp_path, monkeypatch):
    slower = write_clip(tmp_path / "slower.mp4", frames=12, size=(90, 160), fps=4)
    seen = []

    def took(name, ms_a_frame):
        def run(clip, folder, **how):
            with av.open(str(clip)) as video:
                frames = sum(1 for _ in video.decode(video=0))
            seen.append((name, clip.stem.split("-")[0]))
            return commands.Took(9.0, frames * ms_a_frame[frames] / 1e3, 0.0)

        return run

    monkeypatch.setattr("benchmarks.speed.end_to_end.have_grad_cam", lambda: False)
    monkeypatch.setattr(commands, "transcode", took("plain", {30: 3.0, 12: 5.0}))
    monkeypatch.setattr(commands, "vidcam", took("vidcam", {30: 6.0, 12: 20.0}))
    steady, _ = end_to_end._beside(replace(plan, clips=(*plan.clips, slower), rounds=7, patience_s=1e-9), 90)
    assert [clip for _, clip in seen] == ["in"] * 3 + ["slower"] * 3
    assert (
        {name for name, clip in seen if clip == "in"} == {name for name, clip in seen if clip == "slower"} == {"plain", "vidcam"}
    )
    assert {name: pytest.approx(some) for name, some in steady.samples.items()} == {
        "plain transcode": [3.0, 5.0], "vidcam, mini": [6.0, 20.0], "vidcam, mini, page": [6.0, 20.0]
    }  # fmt: skip
    assert steady.columns[0].ratios(steady.samples)["vidcam, mini"] == pytest.approx([0.5, 0.25])
    assert steady.note.startswith("in (10 frames/s), slower (4 frames/s): each 3 s at 160×90, default settings")


def test_methods_and_engines_run(plan):
    (found,) = methods.run(plan)
    assert {"forward pass, torch", "cam", "gradcam", "gradcam, captum"} <= set(found.samples)
    assert ("gradcam, grad-cam" in found.samples) == have_grad_cam()
    assert list(found.columns[1].ratios(found.samples))[-1] == "gradcam, captum"
    (found,) = engines.run(plan)
    assert {"mini, torch as it is", "mini, vidcam's torch", "mini, vidcam's torch, with evidence"} <= set(found.samples)
    assert found.columns[1].ratios(found.samples).keys() >= {"mini, vidcam's torch, with evidence"}


@pytest.mark.usefixtures("in_process")
def test_scaling_names_what_it_ran(plan):
    times, memory = scaling._length(plan, 90, (2, 4))
    assert set(times.samples) == {"vidcam, 2 s", "vidcam, 4 s"}
    assert all(value > 0 for some in times.samples.values() for value in some)
    assert memory.samples == {"vidcam, 2 s": [PEAK_MB], "vidcam, 4 s": [PEAK_MB]}
    assert ">vidcam, 4 s<" in times.svg()


def test_what_others_took_of_the_processors_is_told():
    before = "cpu  100 1 20 5000 7 2 3 40 9 9\ncpu0 50 1 10 2500 3 1 1 20 4 4\n"
    after = "cpu  170 1 40 9000 9 2 3 50 99 99\ncpu0 85 1 20 4500 4 1 1 25 49 49\n"
    assert speed.ticks(before) == (126, 40)
    assert speed.lost(before, after).startswith("; 10% of the processors' time")  # 10 of 90 + 10
    assert speed.lost(before, before).startswith("; 0% ")
    assert speed.lost(None, after) == ""


def test_a_clip_that_is_not_there_is_named_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["speed", "--clip", str(PAGE), str(tmp_path / "gone.mp4"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        speed.main()
    assert f"--clip: there is no file {tmp_path / 'gone.mp4'}\n" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_page_has_a_place_for_every_part(tmp_path, monkeypatch, capsys):
    page = PAGE.read_text(encoding="utf-8")
    for part in speed.PARTS:
        page = speed.filled(page, part, f"figures of {part}\n")
    assert speed.filled(page, "gpu", "new\n").count("figures of") == len(speed.PARTS) - 1
    with pytest.raises(SystemExit, match="no line <!-- gpu -->"):
        speed.filled("nothing", "gpu", "")
    races = [Race("x", "Title", "ms", {"a": [1.0], "b": [2.0]}, plot="figures")]
    monkeypatch.setitem(speed.PARTS, "gpu", lambda plan: races)
    copy = tmp_path / "page.md"
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    words = ["--only", "gpu", "--out", tmp_path / "out", "--page", copy]
    monkeypatch.setattr("sys.argv", ["speed", *map(str, words)])
    monkeypatch.setattr("os.environ", dict(os.environ))  # where it is told to keep its own cache
    speed.main()
    assert "| b | 2 |" in capsys.readouterr().out
    assert "![Title](images/speed-x.svg)" in copy.read_text(encoding="utf-8")
    assert (tmp_path / "images" / "speed-x.svg").read_text().startswith("<svg")
    assert json.loads((tmp_path / "out" / "results.json").read_text())["gpu"][0]["samples"] == {"a": [1.0], "b": [2.0]}
