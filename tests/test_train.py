"""Training: it learns, stops and continues exactly, keeps groups apart, and what it leaves is a model."""

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
from pathlib import Path

import numpy as np
import pytest
import torch
from support.media import write_clip
from support.waiting import HANG_S
from torch import nn

from vidcam.cli import main
from vidcam.engine import TorchEngine, open_engine
from vidcam.errors import InputError, OutputError, UsageError, VidcamError, WeightsError
from vidcam.methods import core
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry, covered
from vidcam.models import registry, trained
from vidcam.models.loading import load
from vidcam.models.mini_net import Mini
from vidcam.training import TrainConfig, losses, train
from vidcam.training.config import EPOCHS, PEOPLE_EPOCHS
from vidcam.training.data import Clips, Item, People, read_folder, split
from vidcam.training.report import Answers
from vidcam.training.trainer import KERNELS, MuonConv, Trainer, one_cycle, optimizers

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
    """Two classes, a red and a blue square that move, four clips of two people each."""
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


def recipe(net: str, **changes: object) -> TrainConfig:
    facts = {"model": net, "scratch": True, "epochs": 8, "batch": 4, "lr": 0.02, "device": "cpu", "precision": "float32"}
    return TrainConfig(**(facts | changes))


def test_two_classes_are_learned_and_the_result_is_a_model(net, folder, tmp_path, monkeypatch):
    told: list[tuple[str, int, int | None]] = []
    calibrated, ece = [], Answers.ece
    monkeypatch.setattr(Answers, "ece", lambda self, temperature: calibrated.append(temperature) or ece(self, temperature))
    result = train(folder, tmp_path / "mine", recipe=recipe(net, holdout="person2_*"), progress=lambda *a: told.append(a))
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
    assert f"calibration error {result.ece:.3f} at temperature" in page
    assert "the figures are somewhat too good" in page
    assert told[-1][0] == "test"
    assert ("train", 32, 32) in told
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


def test_interrupted_training_ends_bit_for_bit_like_a_whole_one(net, folder, tmp_path):
    train(folder, tmp_path / "whole", recipe=recipe(net, epochs=4))

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "train" and done == 10:  # in the middle of the third epoch of 4 steps
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "cut", recipe=recipe(net, epochs=4), progress=stop)
    steps: list[int] = []
    said: list[str] = []
    train(
        folder, tmp_path / "cut", recipe=recipe(net, epochs=4), say=said.append,
        progress=lambda stage, done, total: steps.append(done) if stage == "train" else None,
    )  # fmt: skip
    per_epoch = steps[-1] // 4
    assert steps[0] == (10 // per_epoch) * per_epoch + 1
    assert said[0].startswith("continuing after")
    assert (tmp_path / "cut/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    assert (tmp_path / "cut/report.json").read_text() == (tmp_path / "whole/report.json").read_text()


def test_killed_training_continues(net, folder, tmp_path):
    code = """
import os, signal, sys
from pathlib import Path
from vidcam.training import Recipe, train

def progress(stage, done, total):
    if (Path(sys.argv[2]) / "checkpoint.pt").exists():
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

recipe = Recipe(model=sys.argv[3], scratch=True, epochs=3, batch=4, patience=999, device="cpu")
train(sys.argv[1], sys.argv[2], recipe=recipe, progress=progress)
"""
    words = [sys.executable, "-c", code, str(folder), str(tmp_path / "out"), net]
    assert subprocess.run(words, stderr=subprocess.DEVNULL, check=False, timeout=HANG_S).returncode not in (0, 1)
    before = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    said: list[str] = []
    train(
        folder, tmp_path / "out", say=said.append,
        recipe=TrainConfig(model=net, scratch=True, epochs=3, batch=4, patience=1, device="cpu"),
    )  # fmt: skip
    assert before["step"] > 0
    assert said[0].startswith(f"continuing after {before['step']} of {3 * before['step']} ")


def test_another_recipe_does_not_continue_a_training(net, folder, tmp_path):
    def stop(stage: str, done: int, total: int | None) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "out", recipe=recipe(net), progress=stop)
    with pytest.raises(UsageError, match="unfinished training with other options"):
        train(folder, tmp_path / "out", recipe=recipe(net, lr=0.01))


@pytest.mark.parametrize(("broken", "keep"), [("loss", 0.2), ("loss", 0.0), ("weights", 0.0), ("answers", 0.2)])
def test_diverging_training_says_so_and_leaves_the_epoch_before(net, folder, tmp_path, monkeypatch, broken, keep):
    """From the second epoch on the loss is nan; or the weights are after its last step; or so large that the answers are inf."""
    average, loss, calls, per_epoch = Trainer._average, losses.classes_loss, itertools.count(1), 4 if keep else 8

    def spoil(self: Trainer) -> None:
        average(self)
        if self.step == 2 * per_epoch - 1:
            self.averaged.get_submodule("fc").weight.data.fill_(math.nan if broken == "weights" else 3e38)

    if broken == "loss":
        monkeypatch.setattr(losses, "classes_loss", lambda *a, **k: loss(*a, **k) * (math.nan if next(calls) > per_epoch else 1))
    else:
        monkeypatch.setattr(Trainer, "_average", spoil)
    with pytest.raises(VidcamError, match=r"training diverged in epoch 2 \(loss .*\): use a lower --lr than 0\.02"):
        train(folder, tmp_path / "out", recipe=recipe(net, keep=keep))
    assert torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["step"] == per_epoch
    assert not (tmp_path / "out" / "model.json").exists()


def test_a_training_that_diverges_at_once_says_so(net, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "classes_loss", lambda logits, *_, **__: logits.sum() * math.nan)
    with pytest.raises(VidcamError, match=r"training diverged in epoch 1 \(loss nan\): use a lower --lr than 0\.02"):
        train(folder, tmp_path / "out", recipe=recipe(net))


def test_people_that_diverge_leave_no_model(net, tmp_path, monkeypatch):
    init = People.__init__
    monkeypatch.setattr(People, "__init__", lambda self, *a, **k: init(self, *a, **(k | {"epoch_steps": 2, "held": 4})))
    monkeypatch.setattr(losses, "evidence_loss", lambda features, *_: features.sum() * math.nan)
    with pytest.raises(VidcamError, match="training diverged in epoch 1"):
        train("people", tmp_path / "out", recipe=recipe(net, batch=2, epochs=1, workers=0))
    assert not list((tmp_path / "out").iterdir())


def test_batches_are_a_function_of_their_number(folder, tmp_path):
    labels, items, _ = read_folder(folder)
    made = [Clips(SPEC, labels, items, items, multi_label=False, batch=3, seed=4, cache=tmp_path / str(i)) for i in range(2)]
    for _ in range(3):
        made[0][2]
    for a, b in zip(made[0][5], made[1][5], strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(made[0][5].clips, made[0][6].clips)
    seen = [int(s) for step in range(made[0].epoch_steps) for s in made[0][step].source]
    assert set(seen) == set(range(8))
    drawn = People(SPEC, WHERE, batch=2, seed=0, epochs=1)
    assert torch.equal(drawn[3].clips, People(SPEC, WHERE, batch=2, seed=0, epochs=1)[3].clips)
    assert drawn[3].clips.shape == (2, 4, 32, 32, 3)


def test_a_long_held_out_video_comes_in_batches(folder, tmp_path, monkeypatch):
    labels, items, _ = read_folder(folder)
    clips = {
        batch: Clips(SPEC, labels, items, items[:2], multi_label=False, batch=batch, seed=0, cache=tmp_path) for batch in (3, 999)
    }
    for made in clips.values():
        monkeypatch.setattr(made, "_interval", 0.03)  # many windows in a short clip
    whole = list(clips[999].held_out(final=False))
    parts = list(clips[3].held_out(final=False))
    assert [len(batch.clips) for batch in whole] == [9, 9]
    assert [len(batch.clips) for batch in parts] == [3] * 6
    for field in ("clips", "targets", "source"):
        assert torch.equal(*(torch.cat([getattr(batch, field) for batch in found]) for found in (whole, parts)))


SPEC = registry.ModelSpec(
    name="small", title="", family="tests", build=lambda: Mini(2, stem=4, widths=((4, 2),)), labels=lambda: ("blue", "red"),
    frames=4, seconds_between_frames=0.1, resize=32, crop=(32, 32), mean=(0.4,) * 3, std=(0.2,) * 3, layer="blocks",
    head=registry.Head(("fc",)), time_cells=(4,), paper="",
)  # fmt: skip
WHERE = CellGeometry(AxisGeometry(0.0, 1.0, 4), AxisGeometry(3.5, 8.0, 4), AxisGeometry(3.5, 8.0, 4))


# Splitting ---------------------------------------------------------------------------------------------------------------------


def items_of(names: list[str]) -> tuple[list[Item], list[str]]:
    labels = sorted({name.split("/")[0] for name in names})
    return [Item(Path(name), name, (labels.index(name.split("/")[0]),)) for name in names], labels


def test_groups_stay_on_one_side():
    names = [f"{c}/person{p}_trial{t}.avi" for c in ("a", "b") for p in range(1, 6) for t in (1, 2, 3)]
    items, labels = items_of(names)
    for seed in range(5):
        train_on, kept, remarks = split(items, labels, holdout=None, share=0.2, seed=seed)
        assert remarks == ["videos were grouped by how their names begin, such as person1: 5 groups"]
        assert len(kept) == 6
        assert {i.beginning(1) for i in train_on}.isdisjoint({i.beginning(1) for i in kept})
        assert sorted(i.name for i in (*train_on, *kept)) == sorted(names)


def test_one_group_is_split_by_file_and_says_so():
    items, labels = items_of([f"{c}/person1_trial{t}.avi" for c in "ab" for t in (1, 2, 3)])
    train_on, kept, (remark,) = split(items, labels, holdout=None, share=0.2, seed=0)
    assert {i.labels for i in kept} == {i.labels for i in train_on} == {(0,), (1,)}
    assert "too good" in remark


KTH = [
    f"{a}/person{p:02}_{a}_d{d}_uncomp.avi" for a in ("boxing", "walking", "waving") for p in range(1, 26) for d in range(1, 5)
]
UCF = [f"{a}/v_{a}_g{g:02}_c{c:02}.avi" for a in ("ApplyEyeMakeup", "YoYo") for g in range(1, 11) for c in range(1, 5)]
WEBCAM = [f"{a}/p{p}_{a}_{t}.mp4" for a in ("clap", "wave") for p in (1, 2, 3) for t in (1, 2, 3)]
NUMBERED = [f"{a}/{a}_{n:03}.mp4" for a in ("clap", "wave") for n in range(1, 21)]
MIXED = [*NUMBERED[20:], *(f"box/b{n}.mp4" for n in range(10))]


@pytest.mark.parametrize(
    ("names", "group", "groups", "held"),
    [
        (KTH, r"person\d+", 25, 60),
        (UCF, r"v_.*_g\d+", 20, 16),
        (WEBCAM, r"p\d", 3, 6),
        (NUMBERED, None, 40, 8),
        (MIXED, None, 30, 6),
    ],
)
def test_groups_are_told_by_the_names(names, group, groups, held):
    items, labels = items_of(names)
    for seed in range(20):
        train_on, kept, (remark,) = split(items, labels, holdout=None, share=0.2, seed=seed)
        assert len(kept) == held
        assert {i.labels for i in kept} == {i.labels for i in train_on} == {(n,) for n in range(len(labels))}
        if group is None:
            assert "each video was taken by itself" in remark
            continue
        here, there = ({re.match(group, i.path.stem)[0] for i in side} for side in (train_on, kept))
        assert here.isdisjoint(there)
        assert re.search(rf"such as {group}: {groups} groups$", remark)


def test_every_class_that_can_spare_a_video_has_one_held_out():
    items, labels = items_of([f"{a}/clip{a}{n}.mp4" for a in "abcdefghij" for n in range(5)] + ["k/only.mp4"])
    for seed in range(50):
        train_on, kept, remarks = split(items, labels, holdout=None, share=0.2, seed=seed)
        assert sorted(Counter(i.labels for i in kept)) == [(n,) for n in range(10)]
        assert max(Counter(i.labels for i in kept).values()) <= 2
        assert {i.labels for i in train_on} == {(n,) for n in range(11)}
        assert remarks[1:] == ["no video was held out of k: the figures say nothing of these classes"]
    items, labels = items_of([f"{a}/clip{a}{n}.mp4" for a in "abcdefghij" for n in range(2)])
    assert [i.labels for i in split(items, labels, holdout=None, share=0.2, seed=0)[1]] == [(n,) for n in range(10)]


def test_no_class_loses_more_than_half_of_its_videos():
    items, labels = items_of([*(f"{a}/{a}_{n}.mp4" for a in "ab" for n in range(20)), "a/odd_1.mp4", "b/odd_2.mp4"])
    for seed in range(20):
        kept = split(items, labels, holdout=None, share=0.2, seed=seed)[1]
        assert {i.beginning(1) for i in kept} == {"odd"}


def test_a_class_of_one_group_keeps_it_for_training_and_is_named():
    items, labels = items_of(
        [f"{a}/p{p}_{a}_{t}.mp4" for a, people in (("a", 5), ("b", 5), ("c", 1)) for p in range(people) for t in (1, 2)]
    )
    for seed in range(20):
        train_on, kept, remarks = split(items, labels, holdout=None, share=0.2, seed=seed)
        assert {i.beginning(1) for i in train_on}.isdisjoint({i.beginning(1) for i in kept})
        assert {i.labels for i in kept} == {(0,), (1,)}
        assert remarks[1:] == ["no video was held out of c: the figures say nothing of these classes"]


def test_a_single_video_of_each_class_is_not_kept_back():
    items, labels = items_of(["a/x.avi", "b/y.avi"])
    assert split(items, labels, holdout=None, share=0.2, seed=0)[1:] == (
        [], ["each video is the only one of a class, so none was kept back and nothing is known of the quality"],
    )  # fmt: skip


def test_nothing_is_kept_back_where_that_was_asked_for():
    items, labels = items_of([f"{c}/p{p}_1.avi" for c in "ab" for p in range(10)])
    assert split(items, labels, holdout=None, share=0.0, seed=0) == (
        items, [], ["none was kept back, as asked, so nothing is known of the quality"],
    )  # fmt: skip


def test_a_pattern_keeps_back_what_it_names():
    items, labels = items_of([f"{c}/person{p}_x.avi" for c in "ab" for p in (1, 2)])
    assert [i.name for i in split(items, labels, holdout="*/person2_*", share=0.2, seed=0)[1]] == [
        "a/person2_x.avi",
        "b/person2_x.avi",
    ]
    with pytest.raises(UsageError, match=r"fits none of the 4 videos, such as a/person1_x\.avi"):
        split(items, labels, holdout="nobody*", share=0.2, seed=0)
    with pytest.raises(UsageError, match="leaves a class without a video"):
        split(items, labels, holdout="a/*", share=0.2, seed=0)


def test_folders_that_hold_nothing_to_learn_are_refused(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="nothing to learn from"):
        read_folder(tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.mp4").touch()
    with pytest.raises(UsageError, match="one class only"):
        read_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("one/a.mp4,x;y\none/b.mp4,x\n")
    with pytest.raises(InputError, match=r"line 2 of .*: no file"):
        read_folder(tmp_path)
    (tmp_path / "labels.csv").write_bytes("one/a.mp4,Tür öffnen\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"labels\.csv is not UTF-8 text: save it as 'CSV UTF-8'"):
        read_folder(tmp_path)
    (tmp_path / "labels.csv").write_text(f"one/a.mp4,{'x' * 200_000}\n")  # more than csv takes in one field
    with pytest.raises(InputError, match=r"labels\.csv cannot be read as CSV \(field larger"):
        read_folder(tmp_path)


# Losses ------------------------------------------------------------------------------------------------------------------------


def test_the_evidence_loss_is_what_a_loop_over_the_cells_gives():
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
        local = [losses.LOCAL * sum(float(weight[k, c] * features[b, c, t, y, x]) for c in range(5)) for k in range(6)]
        log_sum = math.log(sum(math.exp(z) for z in [*local, losses.NOTHING]))
        if where[b, t, y, x] == losses.ACTING:
            inside[b].append(log_sum - local[targets[b]])
        elif where[b, t, y, x] == losses.ELSEWHERE:
            acting = [c for c in cells if where[b][c] == losses.ACTING]
            near = any(max(abs(t - c[0]), abs(y - c[1]), abs(x - c[2])) <= losses.NEAR for c in acting)
            outside[near].append(log_sum - losses.NOTHING)
    assert min(map(len, outside.values())) > 10
    expected = sum(sum(v) / len(v) for v in inside.values()) / 2 + sum(sum(v) / len(v) for v in outside.values()) / 2
    assert float(losses.evidence_loss(features, weight, targets, where)) == pytest.approx(expected, rel=1e-5)
    unknown = torch.full_like(where, losses.UNKNOWN)
    assert float(losses.evidence_loss(features, weight, targets, unknown)) == 0.0


def test_evidence_loss_moves_evidence_inside_not_unknown_cells():
    torch.manual_seed(0)
    features = nn.Parameter(torch.rand(1, 2, 1, 4, 6))
    where = torch.full((1, 1, 4, 6), losses.UNKNOWN)
    where[..., :2], where[..., 2:4] = losses.ACTING, losses.ELSEWHERE
    losses.evidence_loss(features, torch.ones(1, 2), torch.tensor([0]), where).backward()
    assert (features.grad[..., :2] < 0).all()
    assert (features.grad[..., 2:4] > 0).all()
    assert (features.grad[..., 4:] == 0).all()


def test_zero_row_is_the_least_squares_one_and_keeps_softmax():
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
    rows, wanted = [], []
    for (b, kind), members in groups.items():
        for t, y, x in members:
            weigh = math.sqrt((1 if kind == "acting" else 0.5) / len(members))
            a = losses.LOCAL * features[b, :, t, y, x]
            rows.append(weigh * a)
            wanted.append(0.0 if kind == "acting" else weigh * (-losses.EvidenceOffset.MARGIN - float(weight[targets[b]] @ a)))
    matrix, right = torch.stack(rows).double(), torch.tensor(wanted).double()
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
    wanted = [0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3]
    assert float(losses.classes_loss(logits, torch.tensor([1]), smoothing=0.1)) == pytest.approx(
        -sum(w * float(p) for w, p in zip(wanted, log_p, strict=True)), rel=1e-5
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
    temperature = losses.fit_temperature(logits, targets)
    assert temperature == pytest.approx(3.0, rel=0.1)
    assert losses.nll(logits, targets, temperature=temperature) < losses.nll(logits, targets) - 0.1
    grid = [losses.nll(logits, targets, temperature=t) for t in np.linspace(0.5, 8, 200)]
    assert losses.nll(logits, targets, temperature=temperature) <= min(grid) + 1e-4  # it is softened by 1 in 4002


def test_few_clips_that_are_all_right_give_a_bounded_certainty():
    logits = np.eye(3) * 4.0
    temperature = losses.fit_temperature(logits, np.arange(3))
    confident = losses.probabilities(logits, temperature=temperature).max()
    assert confident == pytest.approx(1 - 1 / 5 * 2 / 3, abs=0.01)  # Platt's target for three clips, of three classes


def test_ece_of_bins_by_hand():
    confidence = np.array([0.95, 0.95, 0.92, 0.55, 0.55])
    right = np.array([True, True, False, True, False])
    gaps = [3 / 5 * abs(np.mean(confidence[:3]) - 2 / 3), 2 / 5 * abs(0.55 - 0.5)]
    assert losses.ece(confidence, right, bins=10) == pytest.approx(sum(gaps))


def test_windows_are_joined_to_clips():
    logits = np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    found = Answers.of(logits, np.array([0, 0, 1]), np.array([7, 7, 9]), labels=("a", "b"), inside={})
    np.testing.assert_array_equal(found.logits, [[1.5, 0.5], [0.0, 2.0]])
    assert found.accuracy == 1.0
    np.testing.assert_array_equal(found.confusion(), [[1, 0], [0, 1]])


@pytest.mark.parametrize("clips", [1, 2, 23])
def test_each_clip_is_calibrated_by_others(clips):
    rng = np.random.default_rng(0)
    sources = rng.permutation(np.repeat(np.arange(clips) + 5, 3))
    truth = rng.integers(0, 4, clips)
    logits = rng.normal(0, 2, (len(sources), 4)) + 3 * np.eye(4)[truth[sources - 5]]
    found = Answers.of(logits, truth[sources - 5], sources, labels=tuple("abcd"), inside={})
    expected = []
    for clip in range(clips):
        known = np.array([clips == 1 or (source - 5) % 10 != clip % 10 for source in sources])
        expected.append([losses.fit_temperature(logits[known], truth[sources - 5][known])])
    np.testing.assert_allclose(found.temperatures(), expected)
    probs = [losses.probabilities(z, temperature=t).max() for z, (t,) in zip(found.logits, expected, strict=True)]
    assert found.ece(found.temperatures()) == pytest.approx(losses.ece(np.array(probs), found.right))


def test_the_cycle_goes_up_and_down():
    curve = [one_cycle(i / 1000) for i in range(1001)]
    assert max(curve) == pytest.approx(1.0)
    assert np.argmax(curve) == 150
    assert curve[-1] < 2e-4


def test_kernels_move_by_orthogonal_steps():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(4, 12, (1, 3, 3), bias=False), nn.Conv3d(12, 3, (2, 1, 1)), nn.Conv3d(3, 3, 1, groups=3))
    start = [p.detach().clone() for p in net.parameters()]
    adam, muon = optimizers(net, lr=1e-3, weight_decay=0.0, kernels=True)
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
        size = KERNELS * 1e-3 * max(1.0, moved.shape[0] / moved.shape[1]) ** 0.5
        # the momentum of the first step points along the gradient; its singular values all become about one
        assert float((moved / size * (u @ v)).sum() / (moved / size).norm() / (u @ v).norm()) > 0.95
        assert 0.6 < float(torch.linalg.matrix_norm(moved / size, 2)) < 1.4


def test_drawn_clips_are_plain_at_first_and_hard_in_the_end():
    people = People(SPEC, WHERE, batch=2, seed=0, epochs=10, epoch_steps=10)
    assert [people.hard(step) for step in (0, 6, 40, 100)] == pytest.approx([0.0, 0.0, 1.0, 1.0])
    assert people.hard(23) == pytest.approx(0.5)


def test_the_help_says_how_long_training_takes_by_default():
    epochs = typing.get_type_hints(main.train, include_extras=True)["epochs"]
    said = next(m.show_default for m in epochs.__metadata__ if hasattr(m, "show_default"))
    assert said == f"{EPOCHS}; {PEOPLE_EPOCHS} of 4000 clips for people"


# The network and what is left of a training -------------------------------------------------------------------------------------


def test_several_labels_train_as_sigmoids_and_are_explained_each(net, tmp_path):
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
    result = train(root, tmp_path / "out", recipe=recipe(net, epochs=25, lr=0.03, patience=100, holdout="clip[01].mp4"))
    assert result.labels == ("blue", "red")
    assert result.accuracy == 1.0

    engine = open_engine(str(tmp_path / "out"), device="cpu", trust_code=True)
    both = np.stack([square((4, 18), (230, 30, 20))[4:36, 8:40]] * 4)
    both[:, 20:32, 4:16] = (20, 30, 230)
    logits = engine.predict(both[None])
    probs = engine.probabilities(logits)[0]
    np.testing.assert_allclose(probs, 1 / (1 + np.exp(-logits[0] / result.temperature)), rtol=1e-5)
    assert (probs > 0.5).all()
    out = core.explain(engine, both[None], [core.Target(0), core.Target(1)], core.choose(None, engine.spec))
    bias = engine.explained.module.fc.bias.detach().numpy()
    np.testing.assert_allclose(out.maps[0].sum((2, 3, 4))[0], logits[0] - bias, rtol=1e-4, atol=1e-5)
    blue_map, red_map = out.maps[0][0].sum(1)
    assert np.unravel_index(blue_map.argmax(), (4, 4))[0] >= 2 > np.unravel_index(red_map.argmax(), (4, 4))[0]


def test_a_frozen_trunk_stays_as_it_was(net, folder, tmp_path):
    train(folder, tmp_path / "a", recipe=recipe(net, epochs=1, trunk="frozen"))
    train(folder, tmp_path / "b", recipe=recipe(net, epochs=3, trunk="frozen"))
    a, b = (load(str(tmp_path / name), trust_code=True).module.state_dict() for name in "ab")
    for name in a:
        assert torch.equal(a[name], b[name]) == (not name.startswith("fc.")), name


def test_weights_to_start_from_are_used(net, folder, tmp_path):
    spec = trained.base_of(net)
    torch.manual_seed(5)
    start = spec.build()
    torch.save(start.state_dict(), tmp_path / "start.pt")
    train(folder, tmp_path / "out", recipe=recipe(net, scratch=False, epochs=1, trunk="frozen"), weights=tmp_path / "start.pt")
    after = load(str(tmp_path / "out"), trust_code=True).module.state_dict()
    for name, value in start.state_dict().items():
        if not name.startswith("fc.") and value.is_floating_point():
            assert torch.equal(after[name], value.half().float()), name
    with pytest.raises(UsageError, match="exclude each other"):
        train(folder, tmp_path / "other", recipe=recipe(net), weights=tmp_path / "start.pt")


def test_a_trained_model_learns_on(net, folder, tmp_path):
    train(folder, tmp_path / "mine", recipe=recipe(net, epochs=2))
    first = load(str(tmp_path / "mine"), trust_code=True).module.state_dict()
    other = tmp_path / "other"
    for name, label in (("blue", "cold"), ("red", "warm")):
        shutil.copytree(folder / name, other / label)
    again = recipe(str(tmp_path / "mine"), scratch=None, epochs=1, trunk="frozen", lr=1e-8)
    train(folder, tmp_path / "same", recipe=again, trust_code=True)
    train(other, tmp_path / "new", recipe=again, trust_code=True)
    with pytest.raises(UsageError, match="start from scratch exclude each other"):
        train(folder, tmp_path / "x", recipe=recipe(str(tmp_path / "mine")), trust_code=True)
    with pytest.raises(UsageError, match="is what the training starts from: name another folder"):
        train(folder, tmp_path / "mine", recipe=again, overwrite=True, trust_code=True)
    shutil.rmtree(tmp_path / "mine")  # it is not needed any more
    same, new = (load(str(tmp_path / name), trust_code=True) for name in ("same", "new"))
    assert (same.labels, new.labels) == (("blue", "red"), ("cold", "warm"))
    for name, value in first.items():
        if value.is_floating_point():
            assert torch.allclose(same.module.state_dict()[name], value, atol=1e-3), name
            head = name.startswith("fc.")
            assert torch.equal(new.module.state_dict()[name], value) == (not head), name


def test_people_train_alike_with_any_number_of_workers(net, tmp_path, monkeypatch):
    init = People.__init__
    monkeypatch.setattr(People, "__init__", lambda self, *a, **k: init(self, *a, **(k | {"epoch_steps": 2, "held": 4})))
    outs = {}
    for workers in (0, 1):
        facts = recipe(net, epochs=2, batch=3, workers=workers, evidence=1.0)
        outs[workers] = train("people", tmp_path / str(workers), recipe=facts)
    assert outs[0].labels == People.names()
    assert outs[0].held_out == 20
    assert (tmp_path / "0/model.safetensors").read_bytes() == (tmp_path / "1/model.safetensors").read_bytes()
    without = train("people", tmp_path / "twin", recipe=recipe(net, epochs=2, batch=3, workers=0, evidence=0.0))
    assert without.labels == outs[0].labels
    assert (tmp_path / "twin/model.safetensors").read_bytes() != (tmp_path / "0/model.safetensors").read_bytes()
    assert {"inside", "pointing"} <= set(json.loads((tmp_path / "0/report.json").read_text()))


def test_a_folder_in_use_is_not_overwritten(net, folder, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"holds other things, such as notes\.txt"):
        train(folder, tmp_path, recipe=recipe(net))
    with pytest.raises(OutputError, match="is a file"):
        train(folder, tmp_path / "notes.txt", recipe=recipe(net))
    train(folder, tmp_path / "out", recipe=recipe(net, epochs=1))
    with pytest.raises(OutputError, match="holds a trained model already: use --overwrite"):
        train(folder, tmp_path / "out", recipe=recipe(net, epochs=1))
    assert train(folder, tmp_path / "out", recipe=recipe(net, epochs=1), overwrite=True).epochs == 1


def run_cli(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["vidcam", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main.main()
    return int(stop.value.code or 0)


def test_the_command_trains_and_the_result_annotates(net, folder, tmp_path, monkeypatch, capsys):
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
    told = capsys.readouterr()
    assert re.fullmatch(r"mine: 100\.0% of \d held-out clips right\n", told.out)
    assert "epoch 8, " in told.err
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


def test_the_command_says_what_is_wrong(net, folder, tmp_path, monkeypatch, capsys):
    for words, code, told in (
        (["train", tmp_path / "nowhere", "-o", tmp_path / "x"], 1, "name a folder with one folder of videos for each class"),
        (["train", folder, "-o", tmp_path / "x", "--model", "x3d_z"], 2, "did you mean 'x3d_s'"),
        (["train", folder, "-o", tmp_path / "x", "--model", net, "--holdout", "zzz"], 2, "fits none of the 8 videos"),
        (["train", folder, "-o", tmp_path / "x", "--lr", 100], 2, "lr must lie between"),
    ):
        assert run_cli(monkeypatch, *words) == code
        assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()


def test_a_damaged_result_says_so(tmp_path):
    (tmp_path / "model.json").write_text('{"architecture": "mini"}')
    with pytest.raises(WeightsError, match="train it again"):
        load(str(tmp_path))


@pytest.mark.parametrize(("change", "told"), [({"batch": 0}, "batch"), ({"lr": -1.0}, "lr"), ({"trunk": "none"}, "trunk")])
def test_recipes_that_make_no_sense_are_refused(change, told):
    with pytest.raises(UsageError, match=told):
        TrainConfig(**change)


def test_mini_begins_with_what_is_there_and_what_changes():
    net = Mini(4, stem=4, widths=((4, 2),)).eval()
    seen = []
    net.stem[1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    still = torch.randn(1, 3, 1, 32, 32).expand(-1, -1, 6, -1, -1)
    net(still)
    assert seen[0][:, 1::2, 1:-1].abs().max() < 1e-5  # nothing moves
    assert seen[0][:, 0::2].abs().max() > 0.1


def test_the_labels_of_mini_are_what_is_drawn():
    assert registry.get("mini").labels() == People.names()


@pytest.mark.parametrize("name", ["x3d_s", "r2plus1d_18", "mvit_v2_s", "swin3d_t", "slowfast_r50", "movinet_a0"])
def test_the_last_layer_of_registered_models_can_be_replaced(name):
    spec = registry.get(name)
    with torch.device("meta"):
        module = trained.rehead(spec.build(), trained.head_name(spec), 7)
        new = module.get_submodule(trained.head_name(spec))
    assert (new.out_features if isinstance(new, nn.Linear) else new.out_channels) == 7
