"""Training: it learns, continues exactly after a stop, keeps groups together, and leaves a model."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import subprocess
import sys
import typing
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.media import write_clip
from support.waiting import HANG_S
from torch import nn

from vidcam import synthetic
from vidcam.cli import main
from vidcam.cli.train import train as train_command
from vidcam.engine import TorchEngine, open_engine
from vidcam.engine.base import probabilities
from vidcam.errors import InputError, OutputError, UsageError, VidcamError, WeightsError
from vidcam.io.class_folders import LabelledVideo
from vidcam.io.source import open_source
from vidcam.methods import core
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry, covered
from vidcam.methods.lookup import choose_method
from vidcam.models import trained
from vidcam.models.loading import load
from vidcam.models.mini_net import Mini
from vidcam.models.spec import Head, ModelSpec
from vidcam.models.table import get_spec
from vidcam.pipeline import Session
from vidcam.sampling import Sampler, frames_shown, resize, spatial_crops
from vidcam.settings import Settings
from vidcam.training import TrainConfig, losses, run, train
from vidcam.training.calibration import expected_calibration_error, fit_temperature, nll
from vidcam.training.config import EPOCHS, SYNTHETIC_EPOCHS
from vidcam.training.data import SyntheticDataset, VideoDataset
from vidcam.training.optimizers import MUON_LR_FACTOR, MuonConv, make_optimizers, one_cycle
from vidcam.training.report import Answers, TrainingReport
from vidcam.training.run import _find_mistakes
from vidcam.training.splitting import name_prefix, read_training_folder, split
from vidcam.training.trainer import Trainer
from vidcam.values import PADDING

FACTORY = """
from vidcam.models.mini_net import Mini

def build():
    net = Mini(3, stem=8, widths=((8, 2),))
    net.vidcam = {"frames": 4, "interval_s": 0.1, "resize": 32, "crop": (32, 32), "layer": "blocks", "head": "fc"}
    return net
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("nets") / "small.py"
    file.write_text(FACTORY)
    return f"{file}:build"


def square(at: tuple[int, int], colour: tuple[int, int, int]) -> np.ndarray:
    picture = np.full((40, 48, 3), 90, np.uint8)
    picture[at[0] : at[0] + 12, at[1] : at[1] + 12] = colour
    return picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two classes, a moving red and blue square, with four clips of two people each."""
    root = tmp_path_factory.mktemp("data")
    for name, colour in (("blue", (20, 30, 230)), ("red", (230, 30, 20))):
        (root / name).mkdir()
        for person in (1, 2):
            for trial in (1, 2):
                y = 6 * person + 3 * trial
                write_clip(
                    root / name / f"person{person}_trial{trial}.mp4", frames=12, size=(40, 48), fps=20,
                    picture=lambda i, y=y, colour=colour: square((y, 2 * i), colour),
                )  # fmt: skip
    return root


def config(net: str, **changes: object) -> TrainConfig:
    facts = {"model": net, "scratch": True, "epochs": 8, "batch": 4, "lr": 0.02, "device": "cpu", "precision": "float32"}
    return TrainConfig(**(facts | changes))


def test_training_learns_two_classes_and_leaves_a_model(net, folder, tmp_path, monkeypatch):
    calls: list[tuple[str, int, int | None]] = []
    calibrated, ece = [], Answers.ece
    monkeypatch.setattr(Answers, "ece", lambda self, temperature: calibrated.append(temperature) or ece(self, temperature))
    result = train(folder, tmp_path / "mine", config=config(net, holdout="person2_*"), progress=lambda *a: calls.append(a))
    assert (result.labels, result.held_out, result.accuracy) == (("blue", "red"), 4, 1.0)
    report = json.loads((tmp_path / "mine" / "report.json").read_text())
    curve = [row["loss"] for row in report["history"]]
    assert curve[-1] < 0.6 * curve[0]
    assert report["confusion"] == [[2, 0], [0, 2]]
    assert report["ece"] == result.ece
    assert np.shape(calibrated[0]) == (4, 1)  # each clip by the others
    assert "the epoch and the temperature were chosen on these held-out clips" in report["remarks"][-1]
    page = (tmp_path / "mine" / "report.html").read_text()
    assert "Training report" in page
    assert f"differs by {100 * result.ece:.1f} percentage points from the share of right answers" in page
    assert "the figures are somewhat too good" in page
    assert "100.0 % of 4 held-out clips right" in page
    assert "mistakes below" not in page
    assert "Mistakes, most confident first" not in page
    assert page.count('<td class="hit" style="--share:1.00">2</td><td></td>') == 1
    assert '<td class="soft num">2 of 2</td>' in page
    assert calls[-1][0] == "test"
    assert ("train", 32, 32) in calls
    assert {p.name for p in (tmp_path / "mine").iterdir()} == {"model.json", "model.safetensors", "report.json", "report.html"}

    loaded = load(str(tmp_path / "mine"), trust_code=True)
    assert loaded.labels == ("blue", "red")
    assert loaded.spec.architecture  # its cells are where those of the architecture are
    assert loaded.spec.temperature == result.temperature
    engine = TorchEngine(loaded, "cpu")
    logits = engine.predict(np.stack([np.stack([square((14, 18), (230, 30, 20))[4:36, 8:40]] * 4)]))
    assert logits.argmax() == 1
    z = logits[0].astype(float) / result.temperature
    np.testing.assert_allclose(engine.probabilities(logits)[0], np.exp(z) / np.exp(z).sum(), rtol=1e-5)


def test_interrupted_training_ends_with_the_same_bytes(net, folder, tmp_path):
    train(folder, tmp_path / "whole", config=config(net, epochs=4))

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "train" and done == 10:  # in the middle of the third epoch of 4 steps
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "cut", config=config(net, epochs=4), progress=stop)
    steps: list[int] = []
    messages: list[str] = []
    train(
        folder, tmp_path / "cut", config=config(net, epochs=4), say=messages.append,
        progress=lambda stage, done, total: steps.append(done) if stage == "train" else None,
    )  # fmt: skip
    per_epoch = steps[-1] // 4
    assert steps[0] == (10 // per_epoch) * per_epoch + 1
    assert messages[0].startswith("continuing after")
    assert (tmp_path / "cut/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    assert (tmp_path / "cut/report.json").read_text() == (tmp_path / "whole/report.json").read_text()


def test_killed_training_continues(net, folder, tmp_path):
    code = """
import os, signal, sys
from pathlib import Path
from vidcam.training import TrainConfig, train

def progress(stage, done, total):
    if (Path(sys.argv[2]) / "checkpoint.pt").exists():
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

config = TrainConfig(model=sys.argv[3], scratch=True, epochs=3, batch=4, patience=999, device="cpu")
train(sys.argv[1], sys.argv[2], config=config, progress=progress)
"""
    words = [sys.executable, "-c", code, str(folder), str(tmp_path / "out"), net]
    assert subprocess.run(words, stderr=subprocess.DEVNULL, check=False, timeout=HANG_S).returncode not in (0, 1)
    before = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    messages: list[str] = []
    train(
        folder, tmp_path / "out", say=messages.append,
        config=TrainConfig(model=net, scratch=True, epochs=3, batch=4, patience=1, device="cpu"),
    )  # fmt: skip
    assert before["step"] > 0
    assert messages[0].startswith(f"continuing after {before['step']} of {3 * before['step']} ")


def test_other_options_do_not_continue_a_training(net, folder, tmp_path):
    def stop(stage: str, done: int, total: int | None) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "out", config=config(net), progress=stop)
    with pytest.raises(UsageError, match="unfinished training with other options"):
        train(folder, tmp_path / "out", config=config(net, lr=0.01))


@pytest.mark.parametrize(("broken", "held"), [("loss", 0.2), ("loss", 0.0), ("weights", 0.0), ("answers", 0.2)])
def test_diverging_training_raises_and_keeps_the_epoch_before(net, folder, tmp_path, monkeypatch, broken, held):
    """In the second epoch the loss is nan, or the weights are nan after its last step, or the answers are infinite."""
    average, loss, calls, per_epoch = Trainer._average, losses.classes_loss, itertools.count(1), 4 if held else 8

    def spoil(self: Trainer) -> None:
        average(self)
        if self.step == 2 * per_epoch - 1:
            self.averaged.get_submodule("fc").weight.data.fill_(math.nan if broken == "weights" else 3e38)

    if broken == "loss":
        monkeypatch.setattr(losses, "classes_loss", lambda *a, **k: loss(*a, **k) * (math.nan if next(calls) > per_epoch else 1))
    else:
        monkeypatch.setattr(Trainer, "_average", spoil)
    with pytest.raises(VidcamError, match=r"training diverged in epoch 2 \(loss .*\): use a lower --lr than 0\.02"):
        train(folder, tmp_path / "out", config=config(net, val_fraction=held))
    assert torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["step"] == per_epoch
    assert not (tmp_path / "out" / "model.json").exists()


def test_training_that_diverges_in_its_first_epoch_raises(net, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "classes_loss", lambda logits, *_, **__: logits.sum() * math.nan)
    with pytest.raises(VidcamError, match=r"training diverged in epoch 1 \(loss nan\): use a lower --lr than 0\.02"):
        train(folder, tmp_path / "out", config=config(net))


def test_diverging_synthetic_training_leaves_no_model(net, tmp_path, monkeypatch):
    init = SyntheticDataset.__init__
    monkeypatch.setattr(SyntheticDataset, "__init__", lambda self, *a, **k: init(self, *a, **(k | {"epoch_steps": 2, "held": 4})))
    monkeypatch.setattr(losses, "evidence_loss", lambda features, *_: features.sum() * math.nan)
    with pytest.raises(VidcamError, match="training diverged in epoch 1"):
        train("people", tmp_path / "out", config=config(net, batch=2, epochs=1, workers=0))
    assert not list((tmp_path / "out").iterdir())


def read(folder: Path) -> tuple[tuple[str, ...], tuple[LabelledVideo, ...]]:
    data = read_training_folder(folder)
    return data.labels, data.videos


def test_batches_depend_on_their_number_only(folder, tmp_path):
    labels, items = read(folder)
    datasets = [
        VideoDataset(SPEC, labels, items, items, multi_label=False, batch=3, seed=4, cache=tmp_path / str(i)) for i in range(2)
    ]
    for _ in range(3):
        datasets[0][2]
    for a, b in zip(datasets[0][5], datasets[1][5], strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(datasets[0][5].clips, datasets[0][6].clips)
    sources = [int(s) for step in range(datasets[0].epoch_steps) for s in datasets[0][step].source]
    assert set(sources) == set(range(8))
    drawn = SyntheticDataset(SPEC, WHERE, batch=2, seed=0, epochs=1)
    assert torch.equal(drawn[3].clips, SyntheticDataset(SPEC, WHERE, batch=2, seed=0, epochs=1)[3].clips)
    assert drawn[3].clips.shape == (2, 4, 32, 32, 3)


def test_long_held_out_video_is_split_into_batches(folder, tmp_path, monkeypatch):
    labels, items = read(folder)
    options = {"multi_label": False, "seed": 0, "cache": tmp_path}
    clips = {batch: VideoDataset(SPEC, labels, items, items[:2], batch=batch, **options) for batch in (3, 999)}
    for dataset in clips.values():
        monkeypatch.setattr(dataset, "_interval", 0.03)  # many windows in a short clip
    whole = list(clips[999].held_out(final=False))
    parts = list(clips[3].held_out(final=False))
    assert [len(batch.clips) for batch in whole] == [9, 9]
    assert [len(batch.clips) for batch in parts] == [3] * 6
    for field in ("clips", "targets", "source"):
        assert torch.equal(*(torch.cat([getattr(batch, field) for batch in batches]) for batches in (whole, parts)))


VARIABLE_RATE = Path(__file__).resolve().parent.parent / "clips" / "falling.mp4"


def test_held_out_clips_are_those_that_explaining_cuts(tmp_path):
    session = Session(open_engine("mini", device="cpu"), Settings())
    with open_source(VARIABLE_RATE) as source:
        cut = [clip for frame in source.frames() for clip in session.sample(frame)] + session.rest()
    assert len({round(b - a, 3) for clip in cut for a, b in itertools.pairwise(clip.times)}) > 2
    video = LabelledVideo(VARIABLE_RATE, "falling.mp4", (0,))
    data = VideoDataset(session.spec, ("a", "b"), [video], [video], multi_label=False, batch=2, seed=0, cache=tmp_path)
    held = torch.cat([batch.clips for batch in data.held_out(final=False)]).numpy()
    np.testing.assert_array_equal(held, np.stack([session.views[0].cut(clip.frames) for clip in cut]))


def test_mistakes_are_the_wrong_held_out_videos_with_pictures(tmp_path):
    spec = open_engine("mini", device="cpu").spec
    videos = [LabelledVideo(VARIABLE_RATE, f"{n}.mp4", (label,)) for n, label in enumerate((0, 1, 1))]
    data = VideoDataset(spec, ("a", "b"), videos[:1], videos, multi_label=False, batch=2, seed=0, cache=tmp_path)
    logits = np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    answers = Answers.of(logits, np.array([0, 1, 1]), np.arange(3), labels=("a", "b"), inside={})
    found = _find_mistakes(answers, data, 2.0)
    assert [(m.name, m.label, m.predicted) for m in found] == [("2.mp4", "b", "a"), ("1.mp4", "b", "a")]
    assert [m.prob for m in found] == pytest.approx([1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(-0.5))])
    with open_source(VARIABLE_RATE) as source:
        frames = list(source.frames())
    view = spatial_crops(frames[0].size, resize=spec.resize, crop=spec.crop, cover=False)[0]
    wanted = view.cut(resize(frames[len(frames) // 2].picture, view)[None])[0]
    np.testing.assert_array_equal(found[0].picture, wanted)

    history = [{"epoch": n, "loss": 1 / n, "held_out_loss": 2 / n, "accuracy": 0.3} for n in (1, 2)]
    page = TrainingReport(("a", "b"), answers, 2.0, 0.1, history, (), {}, tuple(found)).to_html(beside=tmp_path / "report.html")
    assert "33.3 % of 3 held-out clips right" in page
    assert 'aria-label="Loss: training clips from 1 to 0.5, held-out clips from 2 to 1"' in page
    assert 'aria-label="Right answers: held-out clips from 30 to 30"' in page
    assert "always answering “b” would be right for 66.7 % of them" in page
    for axis in ("loss (lower is better)", "held-out clips right (%)", "epoch (one pass over the training clips)"):
        assert axis in page
    assert "Look at the mistakes below" in page
    assert page.index("2.mp4") < page.index("1.mp4")
    assert page.count("data:image/jpeg") == 2
    assert "more." not in page


@pytest.mark.parametrize("interval", [0.04, 0.1, 0.131])
def test_random_clips_show_the_frames_that_the_sampler_shows(interval):
    with open_source(VARIABLE_RATE) as source:
        frames = list(source.frames())
    times = np.array([frame.time for frame in frames])
    for first in range(0, len(frames), 3):
        sampler, clips = Sampler(frames=6, seconds_between_frames=interval, seconds_between_clip_starts=99.0), []
        for i, frame in enumerate(frames[first:], first):
            clips += sampler.push(np.full((1, 1, 3), i, np.uint8), time=frame.time, duration=frame.duration)
        clips += sampler.close()
        shown = frames_shown(times, times[first] + np.arange(6) * interval)
        assert shown.tolist() == clips[0].frames[:, 0, 0, 0].tolist()


SPEC = ModelSpec(
    name="small", title="", family="tests", build=lambda: Mini(2, stem=4, widths=((4, 2),)), labels=lambda: ("blue", "red"),
    num_frames=4, seconds_between_frames=0.1, resize=32, crop=(32, 32), mean=(0.4,) * 3, std=(0.2,) * 3, target_layer="blocks",
    head=Head(("fc",)), time_cells=(4,), paper="",
)  # fmt: skip
WHERE = CellGeometry(AxisGeometry(0.0, 1.0, 4), AxisGeometry(3.5, 8.0, 4), AxisGeometry(3.5, 8.0, 4))


# Splitting ---------------------------------------------------------------------------------------------------------------------


def items_of(names: list[str]) -> tuple[list[LabelledVideo], list[str]]:
    labels = sorted({name.split("/")[0] for name in names})
    return [LabelledVideo(Path(name), name, (labels.index(name.split("/")[0]),)) for name in names], labels


def test_split_keeps_groups_together():
    names = [f"{c}/person{p}_trial{t}.avi" for c in ("a", "b") for p in range(1, 6) for t in (1, 2, 3)]
    items, labels = items_of(names)
    for seed in range(5):
        train_on, held_out, remarks = split(items, labels, holdout=None, val_fraction=0.2, seed=seed)
        assert remarks == ["videos were grouped by how their names begin, such as person1: 5 groups"]
        assert len(held_out) == 6
        assert {name_prefix(i, 1) for i in train_on}.isdisjoint({name_prefix(i, 1) for i in held_out})
        assert sorted(i.name for i in (*train_on, *held_out)) == sorted(names)


def test_split_of_one_group_is_by_file_with_a_remark():
    items, labels = items_of([f"{c}/person1_trial{t}.avi" for c in "ab" for t in (1, 2, 3)])
    train_on, held_out, (remark,) = split(items, labels, holdout=None, val_fraction=0.2, seed=0)
    assert {i.labels for i in held_out} == {i.labels for i in train_on} == {(0,), (1,)}
    assert "too good" in remark


KTH = [
    f"{a}/person{p:02}_{a}_d{d}_uncomp.avi" for a in ("boxing", "walking", "waving") for p in range(1, 26) for d in range(1, 5)
]
UCF = [f"{a}/v_{a}_g{g:02}_c{c:02}.avi" for a in ("ApplyEyeMakeup", "YoYo") for g in range(1, 11) for c in range(1, 5)]
WEBCAM = [f"{a}/p{p}_{a}_{t}.mp4" for a in ("clap", "wave") for p in (1, 2, 3) for t in (1, 2, 3)]
NUMBERED = [f"{a}/{a}_{n:03}.mp4" for a in ("clap", "wave") for n in range(1, 21)]
MIXED = [*NUMBERED[20:], *(f"box/b{n}.mp4" for n in range(10))]


@pytest.mark.parametrize(
    ("names", "group", "groups", "count"),
    [
        (KTH, r"person\d+", 25, 60),
        (UCF, r"v_.*_g\d+", 20, 16),
        (WEBCAM, r"p\d", 3, 6),
        (NUMBERED, None, 40, 8),
        (MIXED, None, 30, 6),
    ],
)
def test_split_finds_groups_by_the_names_of_files(names, group, groups, count):
    items, labels = items_of(names)
    for seed in range(20):
        train_on, held_out, (remark,) = split(items, labels, holdout=None, val_fraction=0.2, seed=seed)
        assert len(held_out) == count
        assert {i.labels for i in held_out} == {i.labels for i in train_on} == {(n,) for n in range(len(labels))}
        if group is None:
            assert "each video was treated on its own" in remark
            continue
        here, there = ({re.match(group, i.path.stem)[0] for i in side} for side in (train_on, held_out))
        assert here.isdisjoint(there)
        assert re.search(rf"such as {group}: {groups} groups$", remark)


def test_split_holds_out_of_every_class_with_enough_videos():
    items, labels = items_of([f"{a}/clip{a}{n}.mp4" for a in "abcdefghij" for n in range(5)] + ["k/only.mp4"])
    for seed in range(50):
        train_on, held_out, remarks = split(items, labels, holdout=None, val_fraction=0.2, seed=seed)
        assert sorted(Counter(i.labels for i in held_out)) == [(n,) for n in range(10)]
        assert max(Counter(i.labels for i in held_out).values()) <= 2
        assert {i.labels for i in train_on} == {(n,) for n in range(11)}
        assert remarks[1:] == ["no video was held out of k: the figures say nothing about these classes"]
    items, labels = items_of([f"{a}/clip{a}{n}.mp4" for a in "abcdefghij" for n in range(2)])
    assert [i.labels for i in split(items, labels, holdout=None, val_fraction=0.2, seed=0)[1]] == [(n,) for n in range(10)]


def test_split_holds_out_at_most_half_of_a_class():
    items, labels = items_of([*(f"{a}/{a}_{n}.mp4" for a in "ab" for n in range(20)), "a/odd_1.mp4", "b/odd_2.mp4"])
    for seed in range(20):
        held_out = split(items, labels, holdout=None, val_fraction=0.2, seed=seed)[1]
        assert {name_prefix(i, 1) for i in held_out} == {"odd"}


def test_split_trains_on_the_only_group_of_a_class_and_names_it():
    items, labels = items_of(
        [f"{a}/p{p}_{a}_{t}.mp4" for a, people in (("a", 5), ("b", 5), ("c", 1)) for p in range(people) for t in (1, 2)]
    )
    for seed in range(20):
        train_on, held_out, remarks = split(items, labels, holdout=None, val_fraction=0.2, seed=seed)
        assert {name_prefix(i, 1) for i in train_on}.isdisjoint({name_prefix(i, 1) for i in held_out})
        assert {i.labels for i in held_out} == {(0,), (1,)}
        assert remarks[1:] == ["no video was held out of c: the figures say nothing about these classes"]


def test_split_trains_on_the_only_video_of_each_class():
    items, labels = items_of(["a/x.avi", "b/y.avi"])
    assert split(items, labels, holdout=None, val_fraction=0.2, seed=0)[1:] == (
        [], ["each video is the only one of a class, so none was held out and the quality of the model is unknown"],
    )  # fmt: skip


def test_split_with_fraction_zero_holds_out_nothing():
    items, labels = items_of([f"{c}/p{p}_1.avi" for c in "ab" for p in range(10)])
    assert split(items, labels, holdout=None, val_fraction=0.0, seed=0) == (
        items, [], ["no video was held out, as requested, so the quality of the model is unknown"],
    )  # fmt: skip


def test_split_by_pattern_holds_out_matching_videos():
    items, labels = items_of([f"{c}/person{p}_x.avi" for c in "ab" for p in (1, 2)])
    assert [i.name for i in split(items, labels, holdout="*/person2_*", val_fraction=0.2, seed=0)[1]] == [
        "a/person2_x.avi",
        "b/person2_x.avi",
    ]
    with pytest.raises(UsageError, match=r"fits none of the 4 videos, such as a/person1_x\.avi"):
        split(items, labels, holdout="nobody*", val_fraction=0.2, seed=0)
    with pytest.raises(UsageError, match="leaves a class without a video"):
        split(items, labels, holdout="a/*", val_fraction=0.2, seed=0)


def test_folders_with_nothing_to_train_on_are_refused(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        read_training_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no class folders with videos: make one folder"):
        read_training_folder(tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.mp4").touch()
    with pytest.raises(UsageError, match="one class only"):
        read_training_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("one/a.mp4,x;y\none/b.mp4,x\n")
    with pytest.raises(InputError, match=r"line 2 of .*: no file"):
        read_training_folder(tmp_path)
    (tmp_path / "labels.csv").write_bytes("one/a.mp4,Tür öffnen\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"labels\.csv is not UTF-8 text: save it as 'CSV UTF-8'"):
        read_training_folder(tmp_path)
    (tmp_path / "labels.csv").write_text(f"one/a.mp4,{'x' * 200_000}\n")  # more than csv takes in one field
    with pytest.raises(InputError, match=r"labels\.csv cannot be read as CSV \(field larger"):
        read_training_folder(tmp_path)


# Losses ------------------------------------------------------------------------------------------------------------------------


def test_evidence_loss_equals_a_loop_over_the_cells():
    g = torch.Generator().manual_seed(0)
    features = 9 * torch.randn(3, 5, 2, 3, 9, generator=g)
    weight = torch.randn(6, 5, generator=g)
    targets = torch.tensor([4, 0, 2])
    where = torch.randint(0, 3, (3, 2, 3, 9), generator=g)
    where[..., 3:][where[..., 3:] == losses.ACTING] = losses.ELSEWHERE  # so that some cells are far from all that acts
    where[1][where[1] == losses.ACTING] = losses.UNKNOWN  # nothing acts: it has a say about elsewhere only
    inside: dict[int, list[float]] = {0: [], 2: []}
    outside: dict[bool, list[float]] = {True: [], False: []}
    cells = list(itertools.product(range(2), range(3), range(9)))
    for b, (t, y, x) in itertools.product(range(3), cells):
        local = [losses.CELL_SCALE * sum(float(weight[k, c] * features[b, c, t, y, x]) for c in range(5)) for k in range(6)]
        log_sum = math.log(sum(math.exp(z) for z in [*local, losses.NOTHING_LOGIT]))
        if where[b, t, y, x] == losses.ACTING:
            inside[b].append(log_sum - local[targets[b]])
        elif where[b, t, y, x] == losses.ELSEWHERE:
            acting = [c for c in cells if where[b][c] == losses.ACTING]
            near = any(max(abs(t - c[0]), abs(y - c[1]), abs(x - c[2])) <= losses.NEAR for c in acting)
            outside[near].append(log_sum - losses.NOTHING_LOGIT)
    assert min(map(len, outside.values())) > 10
    expected = sum(sum(v) / len(v) for v in inside.values()) / 2 + sum(sum(v) / len(v) for v in outside.values()) / 2
    assert float(losses.evidence_loss(features, weight, targets, where)) == pytest.approx(expected, rel=1e-5)
    unknown = torch.full_like(where, losses.UNKNOWN)
    assert float(losses.evidence_loss(features, weight, targets, unknown)) == 0.0


def test_evidence_loss_ignores_unknown_cells():
    torch.manual_seed(0)
    features = nn.Parameter(torch.rand(1, 2, 1, 4, 6))
    where = torch.full((1, 1, 4, 6), losses.UNKNOWN)
    where[..., :2], where[..., 2:4] = losses.ACTING, losses.ELSEWHERE
    losses.evidence_loss(features, torch.ones(1, 2), torch.tensor([0]), where).backward()
    assert (features.grad[..., :2] < 0).all()
    assert (features.grad[..., 2:4] > 0).all()
    assert (features.grad[..., 4:] == 0).all()


def test_evidence_offset_solves_least_squares_and_keeps_softmax():
    g = torch.Generator().manual_seed(1)
    features, weight = torch.rand(3, 5, 2, 3, 9, generator=g), 9 * torch.randn(6, 5, generator=g)
    targets = torch.tensor([4, 0, 2])
    where = torch.full((3, 2, 3, 9), losses.ELSEWHERE)
    where[0, 1, 0, 2] = where[2, 0, 1, 1] = where[2, 1] = losses.ACTING  # in clip 1 nothing acts: it has no say
    where[0, 0, 2] = losses.UNKNOWN
    zero = losses.EvidenceOffset(5)
    for i in range(3):
        zero.add(features[[i]], weight, targets[[i]], where[[i]])
    groups: dict[tuple[int, str], list[tuple[int, int, int]]] = {}
    cells = list(itertools.product(range(2), range(3), range(9)))
    for b, cell in itertools.product((0, 2), cells):
        acting = [c for c in cells if where[b][c] == losses.ACTING]
        near = any(max(abs(i - j) for i, j in zip(cell, c, strict=True)) <= losses.NEAR for c in acting)
        if where[b][cell] != losses.UNKNOWN:
            groups.setdefault((b, "acting" if cell in acting else "near" if near else "far"), []).append(cell)
    assert {kind for _, kind in groups} == {"acting", "near", "far"}
    rows, goals = [], []
    for (b, kind), members in groups.items():
        for t, y, x in members:
            weigh = math.sqrt((1 if kind == "acting" else 0.5) / len(members))
            a = losses.CELL_SCALE * features[b, :, t, y, x]
            rows.append(weigh * a)
            goals.append(0.0 if kind == "acting" else weigh * (-losses.EvidenceOffset.MARGIN - float(weight[targets[b]] @ a)))
    matrix, right = torch.stack(rows).double(), torch.tensor(goals).double()
    ridge = math.sqrt(losses.EvidenceOffset.RIDGE * float((matrix**2).sum()) / 5)
    matrix, right = torch.cat([matrix, ridge * torch.eye(5)]), torch.cat([right, torch.zeros(5)])
    expected = torch.linalg.lstsq(matrix, right[:, None]).solution[:, 0]
    assert expected.abs().max() > 1
    torch.testing.assert_close(zero.row().double(), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(losses.EvidenceOffset(5).row(), torch.zeros(5))
    before, after = ((features.mean((2, 3, 4)) @ w.T).softmax(1) for w in (weight, weight + zero.row()))
    torch.testing.assert_close(after, before)


def test_covered_cells_are_those_within_half_a_cell_of_a_pixel():
    rng = np.random.default_rng(0)
    mask = rng.random((4, 32, 32)) < 0.01
    where = CellGeometry(AxisGeometry(0.5, 2.0, 2), AxisGeometry(3.0, 8.0, 4), AxisGeometry(0.0, 8.0, 4))
    expected = np.zeros((2, 4, 4), bool)
    for t in range(2):
        for y in range(4):
            for x in range(4):
                for f, r, c in np.argwhere(mask):
                    near = abs(f - (0.5 + 2 * t)) <= 1 and abs(r - (3 + 8 * y)) <= 4 and abs(c - 8 * x) <= 4
                    expected[t, y, x] |= near
    assert expected.any()
    assert not expected.all()
    np.testing.assert_array_equal(covered(mask, where), expected)


def test_classes_loss_with_smoothing():
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    log_p = logits.log_softmax(1)[0]
    target = [0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3]
    assert float(losses.classes_loss(logits, torch.tensor([1]), smoothing=0.1)) == pytest.approx(
        -sum(w * float(p) for w, p in zip(target, log_p, strict=True)), rel=1e-5
    )
    several = losses.classes_loss(logits, torch.tensor([[1.0, 0.0, 1.0]]), smoothing=0.0)
    by_hand = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1)), math.log(1 + math.exp(-0.5))]
    assert float(several) == pytest.approx(sum(by_hand) / 3, rel=1e-5)


@pytest.mark.parametrize("several", [False, True])
def test_calibration_finds_the_temperature_and_lowers_the_nll(several):
    rng = np.random.default_rng(1)
    true = rng.normal(0, 1.5, (4000, 5))
    if several:
        targets = (rng.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.float32)
    else:
        p = np.exp(true) / np.exp(true).sum(1, keepdims=True)
        targets = np.array([rng.choice(5, p=row) for row in p])
    logits = 3.0 * true  # three times too sure
    temperature = fit_temperature(logits, targets)
    assert temperature == pytest.approx(3.0, rel=0.1)
    assert nll(logits, targets, temperature=temperature) < nll(logits, targets) - 0.1
    grid = [nll(logits, targets, temperature=t) for t in np.linspace(0.5, 8, 200)]
    assert nll(logits, targets, temperature=temperature) <= min(grid) + 1e-4  # it is softened by 1 in 4002


def test_temperature_of_few_correct_clips_bounds_the_confidence():
    logits = np.eye(3) * 4.0
    temperature = fit_temperature(logits, np.arange(3))
    confident = probabilities(logits, temperature=temperature).max()
    assert confident == pytest.approx(1 - 1 / 5 * 2 / 3, abs=0.01)  # Platt's target for three clips, of three classes


def test_ece_of_bins_by_hand():
    confidence = np.array([0.95, 0.95, 0.92, 0.55, 0.55])
    right = np.array([True, True, False, True, False])
    gaps = [3 / 5 * abs(np.mean(confidence[:3]) - 2 / 3), 2 / 5 * abs(0.55 - 0.5)]
    assert expected_calibration_error(confidence, right, bins=10) == pytest.approx(sum(gaps))


def test_windows_are_joined_to_clips():
    logits = np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    answers = Answers.of(logits, np.array([0, 0, 1]), np.array([7, 7, 9]), labels=("a", "b"), inside={})
    np.testing.assert_array_equal(answers.logits, [[1.5, 0.5], [0.0, 2.0]])
    assert answers.accuracy == 1.0
    np.testing.assert_array_equal(answers.confusion(), [[1, 0], [0, 1]])


@pytest.mark.parametrize("clips", [1, 2, 23])
def test_each_clip_is_calibrated_by_others(clips):
    rng = np.random.default_rng(0)
    sources = rng.permutation(np.repeat(np.arange(clips) + 5, 3))
    truth = rng.integers(0, 4, clips)
    logits = rng.normal(0, 2, (len(sources), 4)) + 3 * np.eye(4)[truth[sources - 5]]
    answers = Answers.of(logits, truth[sources - 5], sources, labels=tuple("abcd"), inside={})
    expected = []
    for clip in range(clips):
        known = np.array([clips == 1 or (source - 5) % 10 != clip % 10 for source in sources])
        expected.append([fit_temperature(logits[known], truth[sources - 5][known])])
    np.testing.assert_allclose(answers.temperatures(), expected)
    probs = [probabilities(z, temperature=t).max() for z, (t,) in zip(answers.logits, expected, strict=True)]
    assert answers.ece(answers.temperatures()) == pytest.approx(expected_calibration_error(np.array(probs), answers.right))


def test_one_cycle_rises_and_falls():
    curve = [one_cycle(i / 1000) for i in range(1001)]
    assert max(curve) == pytest.approx(1.0)
    assert np.argmax(curve) == 150
    assert curve[-1] < 2e-4


def test_muon_moves_kernels_by_orthogonal_steps():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(4, 12, (1, 3, 3), bias=False), nn.Conv3d(12, 3, (2, 1, 1)), nn.Conv3d(3, 3, 1, groups=3))
    start = [p.detach().clone() for p in net.parameters()]
    adam, muon = make_optimizers(net, lr=1e-3, weight_decay=0.0, muon=True)
    assert isinstance(muon, MuonConv)
    assert sum(len(g["params"]) for g in muon.param_groups) == 2  # the kernels of dense convolutions
    assert sum(len(g["params"]) for g in adam.param_groups) == 3  # the biases, and the kernel that has one channel each
    grads = []
    for p in net.parameters():
        p.grad = torch.randn(p.shape)
        grads.append(p.grad.clone())
    muon.step()
    for p, before, grad in zip(net.parameters(), start, grads, strict=True):
        if p.ndim < 5 or p.shape[1] == 1:
            assert torch.equal(p, before)
            continue
        moved = (before - p).detach().flatten(1).double()
        u, _, v = torch.linalg.svd(grad.flatten(1).double(), full_matrices=False)
        size = MUON_LR_FACTOR * 1e-3 * max(1.0, moved.shape[0] / moved.shape[1]) ** 0.5
        # the momentum of the first step points along the gradient; its singular values all become about one
        assert float((moved / size * (u @ v)).sum() / (moved / size).norm() / (u @ v).norm()) > 0.95
        assert 0.6 < float(torch.linalg.matrix_norm(moved / size, 2)) < 1.4


def test_synthetic_clips_are_easy_at_first_and_hard_at_the_end():
    people = SyntheticDataset(SPEC, WHERE, batch=2, seed=0, epochs=10, epoch_steps=10)
    assert [people.hard(step) for step in (0, 6, 40, 100)] == pytest.approx([0.0, 0.0, 1.0, 1.0])
    assert people.hard(23) == pytest.approx(0.5)
    learned = SyntheticDataset(SPEC, WHERE, batch=2, seed=0, epochs=10, epoch_steps=10, easy_first=False)
    assert {learned.hard(step) for step in (0, 6, 40, 100)} == {1.0}


def test_synthetic_clips_have_the_shapes_in_which_pictures_fit():
    spec = replace(SPEC, resize="fit")
    people = SyntheticDataset(spec, WHERE, batch=16, seed=0, epochs=1)
    shapes = set()
    for clip in people[0].clips.numpy():
        beside = (clip == PADDING).all((0, 3))  # as a fitted video has it: whole rows or whole columns
        rows, columns = beside.all(1).sum(), beside.all(0).sum()
        assert not (rows and columns)
        assert beside.sum() - 32 * (rows + columns) < 32  # nothing else in the picture is that grey throughout
        shapes.add((32 - int(rows), 32 - int(columns)))
    sizes = {(180, 320), (270, 320), (320, 180), (240, 240), (213, 320), (320, 213), (150, 320), (240, 320)}
    fitted = {spatial_crops(size, resize="fit", crop=(32, 32), cover=False)[0].resized for size in sizes}
    assert {(32, 32), (24, 32), (32, 24)} <= shapes
    for shape in shapes:
        assert min(abs(shape[0] - h) + abs(shape[1] - w) for h, w in fitted) <= 2, shape


def test_a_fitted_video_stays_in_grey_when_a_clip_is_cut(folder, tmp_path):
    labels, items = read(folder)
    data = VideoDataset(
        replace(SPEC, resize="fit"), labels, items, [], multi_label=False, batch=8, seed=0, cache=tmp_path
    )  # fmt: skip
    wide = write_clip(
        tmp_path / "wide.mp4", frames=12, fps=10, size=(24, 96), picture=lambda i: np.full((24, 96, 3), 240, np.uint8)
    )
    clip = data._random_clip(LabelledVideo(wide, "wide", (0,)), np.random.default_rng(1))
    bright = (clip > 180).all((0, 3))
    assert 0.25 < bright.mean() < 0.45  # a third, as the whole picture has a quarter of the square's height, stretched by a third
    edge = np.abs(clip[:, 0].astype(int) - PADDING).max()  # moved and brightened with the picture, but no mirror image of it
    assert edge < 45


def test_photos_become_places_and_bad_folders_are_refused(net, tmp_path):
    photo = np.zeros((60, 120, 3), np.uint8)
    photo[..., 0] = 250  # red in RGB
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/a.png"), photo[..., ::-1])
    [read_back] = run._read_photos(str(tmp_path / "photos"))
    np.testing.assert_array_equal(read_back, photo)
    facts = {"label": "no person", "frames": 1, "size": 48}
    with_photo = [synthetic.sample(seed, **facts, photos=[photo]).frames[0].astype(int) for seed in range(40)]
    without = [synthetic.sample(seed, **facts).frames[0].astype(int) for seed in range(40)]

    def red(picture: np.ndarray) -> bool:
        return bool(((picture[..., 0] > 90) & (picture[..., 1:] < 60).all(-1)).mean() > 0.5)

    assert 4 <= sum(map(red, with_photo)) - sum(map(red, without)) <= 20  # 0.3 of 1.22
    (tmp_path / "photos/b.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"cannot read the picture .*b\.jpg"):
        train("people", tmp_path / "x", config=config(net, photos=str(tmp_path / "photos")))
    with pytest.raises(InputError, match="holds no pictures"):
        train("people", tmp_path / "x", config=config(net, photos=str(tmp_path)))


def test_help_states_the_default_epochs():
    epochs = typing.get_type_hints(train_command, include_extras=True)["epochs"]
    default = next(m.show_default for m in epochs.__metadata__ if hasattr(m, "show_default"))
    assert default == f"{EPOCHS}; with --synthetic {SYNTHETIC_EPOCHS} of 4000 clips"


# The network and what is left of a training -------------------------------------------------------------------------------------


def test_several_labels_train_as_sigmoids_and_are_explained(net, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    rows = []
    for n in range(12):
        red, blue = n % 2 == 0, n % 3 == 0

        def picture(i: int, red: bool = red, blue: bool = blue, n: int = n) -> np.ndarray:
            image = square((4, 2 * i), (230, 30, 20) if red else (90, 90, 90))
            if blue:
                image[24:36, n : n + 12] = (20, 30, 230)
            return image

        write_clip(root / f"clip{n}.mp4", frames=10, size=(40, 48), fps=20, picture=picture)
        rows.append(f"clip{n}.mp4,{';'.join(['red'] * red + ['blue'] * blue)}")
    (root / "labels.csv").write_text("\n".join(rows))
    result = train(root, tmp_path / "out", config=config(net, epochs=25, lr=0.03, patience=100, holdout="clip[01].mp4"))
    assert result.labels == ("blue", "red")
    assert result.accuracy == 1.0

    engine = open_engine(str(tmp_path / "out"), device="cpu", trust_code=True)
    both = np.stack([square((4, 18), (230, 30, 20))[4:36, 8:40]] * 4)
    both[:, 20:32, 4:16] = (20, 30, 230)
    logits = engine.predict(both[None])
    probs = engine.probabilities(logits)[0]
    np.testing.assert_allclose(probs, 1 / (1 + np.exp(-logits[0] / result.temperature)), rtol=1e-5)
    assert (probs > 0.5).all()
    out = core.explain(engine, both[None], [core.Target(0), core.Target(1)], choose_method(None, engine.spec))
    bias = engine.model.module.fc.bias.detach().numpy()
    np.testing.assert_allclose(out.maps[0].sum((2, 3, 4))[0], logits[0] - bias, rtol=1e-4, atol=1e-5)
    blue_map, red_map = out.maps[0][0].sum(1)
    assert np.unravel_index(blue_map.argmax(), (4, 4))[0] >= 2 > np.unravel_index(red_map.argmax(), (4, 4))[0]


def test_frozen_backbone_stays_the_same(net, folder, tmp_path):
    train(folder, tmp_path / "a", config=config(net, epochs=1, freeze_backbone=True))
    train(folder, tmp_path / "b", config=config(net, epochs=3, freeze_backbone=True))
    a, b = (load(str(tmp_path / name), trust_code=True).module.state_dict() for name in "ab")
    for name in a:
        assert torch.equal(a[name], b[name]) == (not name.startswith("fc.")), name


def test_weights_to_start_from_are_used(net, folder, tmp_path):
    spec = trained.base_spec(net)
    torch.manual_seed(5)
    start = spec.build()
    torch.save(start.state_dict(), tmp_path / "start.pt")
    train(
        folder, tmp_path / "out", config=config(net, scratch=False, epochs=1, freeze_backbone=True), weights=tmp_path / "start.pt"
    )
    after = load(str(tmp_path / "out"), trust_code=True).module.state_dict()
    for name, value in start.state_dict().items():
        if not name.startswith("fc.") and value.is_floating_point():
            assert torch.equal(after[name], value.half().float()), name
    with pytest.raises(UsageError, match="exclude each other"):
        train(folder, tmp_path / "other", config=config(net), weights=tmp_path / "start.pt")


def test_trained_model_can_be_trained_further(net, folder, tmp_path):
    train(folder, tmp_path / "mine", config=config(net, epochs=2))
    first = load(str(tmp_path / "mine"), trust_code=True).module.state_dict()
    other = tmp_path / "other"
    for name, label in (("blue", "cold"), ("red", "warm")):
        shutil.copytree(folder / name, other / label)
    again = config(str(tmp_path / "mine"), scratch=None, epochs=1, freeze_backbone=True, lr=1e-8)
    train(folder, tmp_path / "same", config=again, trust_code=True)
    train(other, tmp_path / "new", config=again, trust_code=True)
    with pytest.raises(UsageError, match="start from scratch exclude each other"):
        train(folder, tmp_path / "x", config=config(str(tmp_path / "mine")), trust_code=True)
    with pytest.raises(UsageError, match="is what the training starts from: name another folder"):
        train(folder, tmp_path / "mine", config=again, overwrite=True, trust_code=True)
    shutil.rmtree(tmp_path / "mine")  # it is not needed any more
    same, new = (load(str(tmp_path / name), trust_code=True) for name in ("same", "new"))
    assert (same.labels, new.labels) == (("blue", "red"), ("cold", "warm"))
    for name, value in first.items():
        if value.is_floating_point():
            assert torch.allclose(same.module.state_dict()[name], value, atol=1e-3), name
            head = name.startswith("fc.")
            assert torch.equal(new.module.state_dict()[name], value) == (not head), name


def test_synthetic_training_is_the_same_with_any_number_of_workers(net, tmp_path, monkeypatch):
    init = SyntheticDataset.__init__
    monkeypatch.setattr(SyntheticDataset, "__init__", lambda self, *a, **k: init(self, *a, **(k | {"epoch_steps": 2, "held": 4})))
    outs = {}
    for workers in (0, 1):
        facts = config(net, epochs=2, batch=3, workers=workers, evidence=1.0)
        outs[workers] = train("people", tmp_path / str(workers), config=facts)
    assert outs[0].labels == SyntheticDataset.names()
    assert outs[0].held_out == 20
    assert (tmp_path / "0/model.safetensors").read_bytes() == (tmp_path / "1/model.safetensors").read_bytes()
    without = train("people", tmp_path / "twin", config=config(net, epochs=2, batch=3, workers=0, evidence=0.0))
    assert without.labels == outs[0].labels
    assert (tmp_path / "twin/model.safetensors").read_bytes() != (tmp_path / "0/model.safetensors").read_bytes()
    assert {"inside", "pointing"} <= set(json.loads((tmp_path / "0/report.json").read_text()))


def test_network_without_a_bias_for_the_same_labels_can_be_opened_again(folder, tmp_path):
    file = tmp_path / "unbiased.py"
    changes = ["net.fc = nn.Linear(net.fc.in_features, 2, bias=False)", 'net.vidcam["labels"] = ["blue", "red"]', "return net"]
    file.write_text("from torch import nn\n" + FACTORY.replace("return net", "\n    ".join(changes)))
    train(folder, tmp_path / "mine", config=config(f"{file}:build", epochs=1))
    assert load(str(tmp_path / "mine"), trust_code=True).labels == ("blue", "red")


def test_a_folder_in_use_is_not_overwritten(net, folder, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"holds other things, such as notes\.txt"):
        train(folder, tmp_path, config=config(net))
    with pytest.raises(OutputError, match="is a file"):
        train(folder, tmp_path / "notes.txt", config=config(net))
    with pytest.raises(UsageError, match="mini is the name of a model, and --model mini would mean that one"):
        train(folder, "mini", config=config(net))
    train(folder, tmp_path / "out", config=config(net, epochs=1))
    with pytest.raises(OutputError, match="holds a trained model already: use --overwrite"):
        train(folder, tmp_path / "out", config=config(net, epochs=1))
    assert train(folder, tmp_path / "out", config=config(net, epochs=1), overwrite=True).epochs == 1


def test_a_second_training_in_a_folder_is_refused(net, folder, tmp_path):
    second = []

    def begin_another(stage: str, done: int, total: int | None) -> None:
        if not second:
            with pytest.raises(UsageError, match=r"another run is at work in .*: wait for it, or name another folder") as raised:
                train(folder, tmp_path / "out", config=config(net, epochs=1))
            second.append(raised.value)

    assert train(folder, tmp_path / "out", config=config(net, epochs=1), progress=begin_another).epochs == 1
    assert len(second) == 1


def test_former_model_stays_until_the_new_one_is_done(net, folder, tmp_path):
    out = tmp_path / "out"
    train(folder, out, config=config(net, epochs=1))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (folder / "red" / "person9_trial1.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match="person9_trial1"):
        train(folder, out, config=config(net, epochs=2), overwrite=True)
    assert {name: (out / name).read_bytes() for name in before} == before
    (folder / "red" / "person9_trial1.mp4").unlink()
    assert train(folder, out, config=config(net, epochs=2), overwrite=True).epochs == 2


def run_cli(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["vidcam", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main.main()
    return int(stop.value.code or 0)


def test_command_trains_a_model_that_annotates(net, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [
        "train",
        folder,
        "-o",
        "mine",
        "--model",
        net,
        "--scratch",
        "--lr",
        0.02,
        "--epochs",
        8,
        "--batch",
        4,
        "--device",
        "cpu",
    ]
    assert run_cli(monkeypatch, *words) == 0
    printed = capsys.readouterr()
    assert re.fullmatch(r"mine: 100\.0% of \d held-out clips right\n", printed.out)
    assert "epoch 8 of 8, " in printed.err
    clip = folder / "red" / "person1_trial1.mp4"
    assert (
        run_cli(
            monkeypatch, "annotate", clip, "--model", "mine", "--trust-code", "-o", "why.mp4", "--json", "why.json", "--quiet"
        )
        == 0
    )
    assert json.loads(Path("why.json").read_text())["summary"]["top"][0]["label"] == "red"
    assert run_cli(monkeypatch, *words) == 1
    assert "mine holds a trained model already: use --overwrite" in " ".join(capsys.readouterr().err.split())


def test_command_explains_its_errors(net, folder, tmp_path, monkeypatch, capsys):
    for words, code, message in (
        (["train", tmp_path / "nowhere", "-o", tmp_path / "x"], 1, "name a folder with one folder of videos for each class"),
        (["train", folder, "-o", tmp_path / "x", "--model", "x3d_z"], 2, "did you mean 'x3d_s'"),
        (["train", folder, "-o", tmp_path / "x", "--model", net, "--holdout", "zzz"], 2, "fits none of the 8 videos"),
        (["train", folder, "-o", tmp_path / "x", "--lr", 100], 2, "lr must lie between"),
    ):
        assert run_cli(monkeypatch, *words) == code
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()


def test_damaged_model_folder_is_refused(tmp_path):
    (tmp_path / "model.json").write_text('{"architecture": "mini"}')
    with pytest.raises(WeightsError, match="train it again"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "name"), [({"batch": 0}, "batch"), ({"lr": -1.0}, "lr"), ({"val_fraction": 0.6}, "val_fraction")]
)
def test_options_out_of_range_are_refused(change, name):
    with pytest.raises(UsageError, match=name):
        TrainConfig(**change)


def test_stem_of_mini_starts_as_picture_and_change():
    net = Mini(4, stem=4, widths=((4, 2),)).eval()
    outputs = []
    net.stem[1].register_forward_hook(lambda module, inputs, output: outputs.append(output))
    still = torch.randn(1, 3, 1, 32, 32).expand(-1, -1, 6, -1, -1)
    net(still)
    assert outputs[0][:, 1::2, 1:-1].abs().max() < 1e-5  # nothing moves
    assert outputs[0][:, 0::2].abs().max() > 0.1


def test_labels_of_mini_are_the_synthetic_classes():
    assert get_spec("mini").labels() == SyntheticDataset.names()


@pytest.mark.parametrize("name", ["x3d_s", "r2plus1d_18", "mvit_v2_s", "swin3d_t", "slowfast_r50", "movinet_a0"])
def test_last_layer_of_registered_models_can_be_replaced(name):
    spec = get_spec(name)
    with torch.device("meta"):
        module = trained.replace_head(spec.build(), trained.classifier_name(spec), 7)
        new = module.get_submodule(trained.classifier_name(spec))
    assert (new.out_features if isinstance(new, nn.Linear) else new.out_channels) == 7
