"""The stages together: what is explained by default, several crops, versus, part of a video, and pushing against pulling."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support import planted
from support.media import write_clip
from support.waiting import vidcam_threads
from torch import nn

from vidcam import annotation, pipeline
from vidcam.annotation import Outputs, first_pass
from vidcam.engine import TorchEngine, open_engine
from vidcam.errors import UnknownNameError, UsageError
from vidcam.evidence import joiner, timeline
from vidcam.evidence.labels import in_the_running, index_of, shown_labels
from vidcam.evidence.segments import covered_share
from vidcam.io.source import open_source
from vidcam.io.writer import VideoWriter
from vidcam.render import draw_pass
from vidcam.reports.json_report import to_json
from vidcam.settings import Look, Settings
from vidcam.values import Prediction
from vidcam.yuv import Planes

CLASSES = 12


class Colours(nn.Module):
    """Class 0 likes red; class 1 likes blue, and classes 2 to 11 like it a little less."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.AvgPool3d((1, 16, 16))
        self.head = nn.Linear(3, CLASSES)
        with torch.no_grad():
            weight = torch.zeros(CLASSES, 3)
            weight[0, 0] = 9.0
            weight[1:, 2] = torch.tensor([8.0, *np.linspace(7, 6, CLASSES - 2)])
            self.head.weight.copy_(weight)
            self.head.bias.copy_(torch.linspace(-0.5, 0.5, CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cells(x).mean(dim=(2, 3, 4)))


def colours() -> nn.Module:
    net = Colours()
    labels = tuple(f"c{i}" for i in range(CLASSES))
    net.vidcam = {**planted.FACTS, "resize": 112, "labels": labels, "layer": "cells"}  # type: ignore[assignment]
    return net


@pytest.fixture
def engine() -> TorchEngine:
    return open_engine(f"{__file__}:colours")


@pytest.fixture
def red_then_blue(tmp_path: Path) -> Path:
    def picture(i: int) -> np.ndarray:
        return np.full((112, 224, 3), (220, 10, 10) if i < 60 else (10, 10, 220), np.uint8)

    return write_clip(tmp_path / "red_then_blue.mp4", frames=120, size=(112, 224), picture=picture)


PLAIN = {"smooth_s": 0.0, "seconds_between_clip_starts": 0.4}


@pytest.mark.parametrize("method", ["cam", "hirescam"])
def test_the_answers_of_all_parts_are_explained_everywhere(
    engine: TorchEngine, red_then_blue: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(first_pass, "CHEAP_CANDIDATES", 3)
    told: list[tuple[str, int, int | None]] = []
    settings = Settings(method=method, **PLAIN)
    analysis = annotation.explain(red_then_blue, engine=engine, settings=settings, progress=lambda *news: told.append(news))
    assert set(analysis.labels) == {"c0", "c1"}
    red, blue = analysis.curves["c0"], analysis.curves["c1"]
    # Neither class is among the most probable where the other one wins. What won before is explained from then on; class 1 came
    # up late: the red windows had to be explained for it in another pass.
    in_red = [w for w in analysis.windows if w.span[1] <= 2.0]
    in_blue = [w for w in analysis.windows if w.span[0] >= 2.0]
    assert in_red
    assert in_blue
    assert all("c1" not in dict(w.top(pipeline.MAX_CANDIDATES)) for w in in_red)
    assert all("c0" not in dict(w.top(pipeline.MAX_CANDIDATES)) for w in in_blue)
    assert [news for news in told if news[0] == "fill in"] == [("fill in", n, 120) for n in range(1, 121)]
    assert np.isfinite(red).all()
    assert np.isfinite(blue).all()
    early, late = analysis.times_s < 1.2, analysis.times_s > 2.8
    assert red[early].min() > 10 * abs(red[late]).max()
    assert blue[late].min() > 10 * abs(blue[early]).max()

    asked = annotation.explain(red_then_blue, engine=engine, settings=replace(settings, classes=("c0", "c1")))
    for label in ("c0", "c1"):
        np.testing.assert_allclose(analysis.curves[label], asked.curves[label], rtol=1e-5, atol=1e-6)


def test_classes_that_came_up_late_share_one_second_look(
    engine: TorchEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[tuple[str, tuple[float, float]]] = []
    add = timeline.Timeline.add
    monkeypatch.setattr(timeline.Timeline, "add", lambda self, e: (added.append((e.label, e.span)), add(self, e))[1])

    def picture(i: int) -> np.ndarray:
        return np.full((112, 224, 3), ((220, 10, 10), (10, 60, 220), (10, 220, 10))[i // 60], np.uint8)

    with torch.no_grad():
        engine.model.module.head.weight[11] = torch.tensor([0.0, 9.0, 0.0])
    clip = write_clip(tmp_path / "three.mp4", frames=180, size=(112, 224), picture=picture)
    stages = []
    settings = Settings(method="hirescam", **PLAIN)
    found = annotation.explain(clip, engine=engine, settings=settings, progress=lambda stage, *_: stages.append(stage))
    assert set(found.labels) == {"c0", "c1", "c11"}  # c1 is no candidate in the red windows, c11 none in the blue ones
    assert stages == ["explain"] * 180 + ["fill in"] * 180
    assert len(set(added)) == len(added)  # a window that counted twice would outweigh its neighbours
    asked = annotation.explain(clip, engine=engine, settings=replace(settings, classes=found.labels))
    for label in found.labels:
        np.testing.assert_allclose(found.curves[label], asked.curves[label], rtol=1e-5, atol=1e-6)


def test_a_method_that_gives_all_classes_at_once_looks_once(engine: TorchEngine, red_then_blue: Path) -> None:
    stages = []
    settings = Settings(method="cam", **PLAIN)
    found = annotation.explain(red_then_blue, engine=engine, settings=settings, progress=lambda stage, *_: stages.append(stage))
    assert set(found.labels) == {"c0", "c1"}
    assert stages == ["explain"] * 120


def test_evidence_of_all_crops_sums_to_the_logit_less_its_bias(engine: TorchEngine, red_then_blue: Path) -> None:
    session = pipeline.Session(engine, Settings(classes=("c0", "c3"), cover=True, **PLAIN))
    found = []
    with open_source(red_then_blue) as source:
        for frame in source.frames():
            found += session.push(frame)
    found += session.close()
    assert len(session.views) >= 2
    bias = engine.model.module.head.bias.detach()
    for explanation in found:
        for i, label in ((0, "c0"), (3, "c3")):
            parts = [e for e in explanation.evidence if e.label == label]
            assert len(parts) == len(session.views)
            total = sum(float(e.values.sum(dtype=np.float64)) for e in parts)
            logit = explanation.prediction.logits[explanation.prediction.labels.index(label)]
            assert total == pytest.approx(logit - float(bias[i]), abs=1e-4)


@pytest.mark.parametrize(
    ("at_once", "cover", "method"), [(4, False, None), (3, False, "gradient"), (8, True, None), (2, True, None)]
)
def test_windows_computed_at_once_give_what_each_gives_alone(
    engine: TorchEngine, red_then_blue: Path, at_once: int, cover: bool, method: str | None
) -> None:
    seen: list[int] = []
    inner = engine.model.forward

    def forward(clips: np.ndarray) -> object:
        seen.append(len(clips))
        return inner(clips)

    settings = Settings(method=method, cover=cover, **PLAIN)
    alone = annotation.explain(red_then_blue, engine=engine, settings=settings)
    engine.preferred_batch, engine.chunk = at_once, max(4, at_once)
    engine.model.forward = forward  # type: ignore[method-assign]
    together = annotation.explain(red_then_blue, engine=engine, settings=settings)
    if method != "gradient":
        assert max(seen) == {4: 4, 8: 6, 2: 3}[at_once]  # whole windows, of three crops under cover
    assert [w.span for w in together.windows] == [w.span for w in alone.windows]
    assert together.labels == alone.labels
    for a, b in zip(together.windows, alone.windows, strict=True):
        np.testing.assert_allclose(a.logits, b.logits, rtol=1e-5, atol=1e-6)
    for label in alone.labels:
        for ours, theirs in zip(together.tracks[label], alone.tracks[label], strict=True):
            np.testing.assert_allclose(ours.maps, theirs.maps, atol=1e-5 * alone.scale)


def test_versus_is_the_difference_of_two_explanations(engine: TorchEngine, red_then_blue: Path) -> None:
    def curves(*classes: str, versus: str | None = None) -> dict[str, np.ndarray]:
        settings = Settings(classes=classes, versus=versus, **PLAIN)
        return dict(annotation.explain(red_then_blue, engine=engine, settings=settings).curves)

    alone, against = curves("c0", "c1"), curves("c0", versus="c1")
    np.testing.assert_allclose(against["c0"], alone["c0"] - alone["c1"], rtol=1e-4, atol=1e-4)
    # Nobody asked for a class: the answer other than the one it is compared with.
    free = annotation.explain(red_then_blue, engine=engine, settings=Settings(versus="c1", **PLAIN))
    assert "c1" not in free.labels
    assert free.labels[0] == "c0"


def test_the_integral_of_the_curve_is_the_logit_less_its_bias(engine: TorchEngine, tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "red.mp4", frames=48, size=(112, 112), picture=lambda i: np.full((112, 112, 3), (220, 10, 10), np.uint8)
    )
    settings = Settings(classes=("c0",), smooth_s=0.0, seconds_between_clip_starts=0.8)
    analysis = annotation.explain(clip, engine=engine, settings=settings)
    first = analysis.windows[0]
    inside = (analysis.times_s >= first.span[0] - 1e-9) & (analysis.times_s < first.span[1] - 1e-9)
    integral = float(analysis.curves["c0"][inside].sum() * 0.1)  # logits per second times the grid's step
    logit = first.logits[first.labels.index("c0")]
    assert integral == pytest.approx(logit - float(engine.model.module.head.bias.detach()[0]), rel=1e-3)


def test_one_scale_for_the_whole_video_and_all_labels(engine: TorchEngine, red_then_blue: Path) -> None:
    analysis = annotation.explain(red_then_blue, engine=engine, settings=Settings(**PLAIN))
    peaks = [float(np.nanmax(t.maps)) for parts in analysis.drawn.values() for t in parts]
    assert 0.5 * max(peaks) <= analysis.scale <= 1.01 * max(peaks)


def test_a_part_of_the_video_begins_at_zero(engine: TorchEngine, red_then_blue: Path, tmp_path: Path) -> None:
    outputs = Outputs(video=tmp_path / "part.mp4", reports={"json": tmp_path / "part.json"})
    settings = Settings(classes=("c0",), start_s=1.0, end_s=3.0, **PLAIN)
    analysis = annotation.annotate(red_then_blue, outputs, engine=engine, settings=settings)
    with open_source(outputs.video) as written:
        times = [f.time for f in written.frames()]
    assert (len(times), times[0]) == (60, pytest.approx(0.0, abs=1e-3))
    assert analysis.video_offset_s == pytest.approx(1.0, abs=1e-3)
    assert analysis.times_s[0] == pytest.approx(1.0, abs=1e-3)
    assert json.loads(outputs.reports["json"].read_text())["input"]["frames"] == 60


def test_nothing_is_left_behind_when_a_report_cannot_be_written(engine: TorchEngine, red_then_blue: Path, tmp_path: Path) -> None:
    outputs = Outputs(video=tmp_path / "same.mp4", reports={"npz": tmp_path / "same.mp4"})
    with pytest.raises(UsageError, match="two outputs"):
        annotation.annotate(red_then_blue, outputs, engine=engine)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["red_then_blue.mp4"]


def test_labels_are_found_whatever_their_case() -> None:
    labels = ("Playing Drums", "arm_wrestling", "yoga")
    assert [index_of(labels, given) for given in ("playing drums", "ARM  wrestling", "yoga")] == [0, 1, 2]
    with pytest.raises(UnknownNameError, match="did you mean 'yoga'"):
        index_of(labels, "yogha")
    assert index_of(("Yoga", "yoga"), "yoga") == 1
    assert [index_of(labels, typed) for typed in ("0", "2")] == [0, 2]  # an index from the command line
    assert index_of(("two", "one", "0"), "0") == 2
    with pytest.raises(UsageError, match="there is no output 12"):
        index_of(labels, "12")
    with pytest.raises(UsageError, match="2 outputs are called 'YOGA': name one of them, 'Yoga' or 'yoga'"):
        index_of(("Yoga", "yoga"), "YOGA")


def prediction(start: float, *logits: float) -> Prediction:
    z = np.array(logits, dtype=np.float32)
    return Prediction(z, np.exp(z) / np.exp(z).sum(), tuple("abcdef"[: len(z)]), (start, start + 1))


def test_shown_are_the_answer_and_what_wins_a_good_part() -> None:
    windows = [prediction(i, 5.0, 1.0, 0.0) for i in range(7)] + [prediction(7 + i, 0.0, 1.0, 5.0) for i in range(3)]
    assert shown_labels(windows, classes=(), versus=None) == ("a", "c")
    assert shown_labels(windows, classes=("B",), versus=None) == ("b",)
    assert shown_labels(windows, classes=(), versus="a") == ("c", "b")
    assert shown_labels([prediction(0, 1.0, 2.0)] * 3, classes=(), versus=None) == ("b",)


def test_the_best_and_occasional_winners_are_in_the_running() -> None:
    windows = [prediction(i, 9.0, 5.0, 4.0, 3.0, 2.0, 0.0) for i in range(18)] + [prediction(18, 0, 0, 0, 0, 0, 1.0)]
    assert in_the_running(windows) == {"a", "b", "c", "d", "f"}  # f: 1 of 19 windows, just above the half of a tenth
    assert in_the_running([*windows, windows[0], windows[0]]) == {"a", "b", "c", "d"}


@pytest.mark.parametrize("tidy", [1, 8])
def test_forgotten_candidates_change_nothing(
    engine: TorchEngine, red_then_blue: Path, monkeypatch: pytest.MonkeyPatch, tidy: int
) -> None:
    added: list[str] = []
    dropped: list[str] = []
    add, drop = timeline.Timeline.add, timeline.Timeline.drop
    monkeypatch.setattr(timeline.Timeline, "add", lambda self, e: (added.append(e.label), add(self, e))[1])
    monkeypatch.setattr(timeline.Timeline, "drop", lambda self, label: (dropped.append(label), drop(self, label))[1])
    settings = Settings(smooth_s=0.0, seconds_between_clip_starts=0.05)  # 80 windows
    monkeypatch.setattr(joiner, "PRUNE_EVERY", 10**9)
    kept = annotation.explain(red_then_blue, engine=engine, settings=settings)
    assert set(added) == set(kept.labels)  # of what waited to the end the others were never joined
    assert set(dropped) == set(kept.labels)  # once they were read
    dropped.clear()
    monkeypatch.setattr(joiner, "PRUNE_EVERY", tidy)
    found = annotation.explain(red_then_blue, engine=engine, settings=settings)
    assert set(dropped) > set(kept.labels)
    assert found.labels == kept.labels
    np.testing.assert_array_equal(found.times_s, kept.times_s)
    for label in kept.labels:
        np.testing.assert_allclose(found.curves[label], kept.curves[label], rtol=1e-4, atol=1e-6)


def test_time_counts_from_the_first_window_whatever_it_shows(
    engine: TorchEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_pass, "CHEAP_CANDIDATES", 1)
    monkeypatch.setattr(joiner, "PRUNE_EVERY", 10**9)
    with torch.no_grad():
        engine.model.module.head.weight[11] = torch.tensor([0.0, 9.0, 0.0])

    def picture(i: int) -> np.ndarray:
        return np.full((112, 224, 3), (10, 220, 10) if i < 12 else (220, 10, 10), np.uint8)

    clip = write_clip(tmp_path / "green_at_first.mp4", frames=120, size=(112, 224), picture=picture)
    found = annotation.explain(clip, engine=engine, settings=Settings(smooth_s=0.0, seconds_between_clip_starts=0.07))
    assert found.windows[0].top(1)[0][0] == "c11"
    assert found.labels == ("c0",)
    assert found.times_s[0] == found.windows[0].span[0]
    assert np.isfinite(found.curves["c0"]).all()


def test_the_covered_share_counts_overlaps_once() -> None:
    assert covered_share([(0, 2), (1, 3), (5, 6)], 0.0, 8.0) == pytest.approx(4 / 8)
    assert covered_share([(-1, 20)], 0.0, 8.0) == 1.0


def one_after_the_other(items, *_, **__):
    yield from items


def every(tmp_path: Path, name: str) -> Outputs:
    made = {kind: tmp_path / f"{name}.{kind}" for kind in ("html", "json", "csv", "vtt", "npz")}
    return Outputs(video=tmp_path / f"{name}.mp4", reports=made)


@pytest.mark.parametrize("style", ["heat", "contour", "side-by-side"])
def test_parallel_stages_write_what_stages_in_a_row_write(
    engine: TorchEngine, tmp_path: Path, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 112, 224, 3), dtype=np.uint8)
    source = write_clip(tmp_path / "in.mp4", frames=30, size=(112, 224), picture=lambda i: noise[i])
    settings, look = Settings(**PLAIN), Look(style=style)  # type: ignore[arg-type]
    beside, in_a_row = every(tmp_path, "beside"), every(tmp_path, "row")
    written: list[list[tuple[bytes, float, float]]] = []
    write = VideoWriter.write

    def spy(self: VideoWriter, picture: Planes, *, time: float, duration: float) -> None:
        # Compared here: x264 itself does not make the same bytes of the same pictures twice.
        planes = picture.y.tobytes() + picture.u.tobytes() + picture.v.tobytes()
        written[-1].append((hashlib.sha256(planes).digest(), time, duration))
        assert cv2.getNumThreads() == 1
        write(self, picture, time=time, duration=duration)

    monkeypatch.setattr(VideoWriter, "write", spy)
    cv2.setNumThreads(2)
    for outputs in (beside, in_a_row):
        written.append([])
        annotation.annotate(source, outputs, engine=engine, settings=settings, look=look)
        monkeypatch.setattr(pipeline, "prefetch", one_after_the_other)
        monkeypatch.setattr(draw_pass, "prefetch", one_after_the_other)
    assert cv2.getNumThreads() == 2
    cv2.setNumThreads(-1)
    assert len(written[0]) == 30
    assert written[0] == written[1]
    for kind in ("csv", "vtt", "npz"):
        assert beside.paths()[kind].read_bytes() == in_a_row.paths()[kind].read_bytes(), kind
    facts = [json.loads(Path(o.paths()["json"]).read_text()) for o in (beside, in_a_row)]
    for fact in facts:
        del fact["outputs"], fact["timings_s"]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("stage", ["explain", "draw"])
def test_an_interrupt_ends_every_stage_and_leaves_nothing(
    engine: TorchEngine, red_then_blue: Path, tmp_path: Path, stage: str
) -> None:
    def interrupt(now: str, done: int, _all: int | None) -> None:
        if now == stage and done == 20:
            raise KeyboardInterrupt

    outputs = every(tmp_path / "out", "x")
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        annotation.annotate(red_then_blue, outputs, engine=engine, settings=Settings(**PLAIN), progress=interrupt)
    assert vidcam_threads() == []
    assert list((tmp_path / "out").iterdir()) == []


def test_an_analysis_is_drawn_again_without_the_model(engine: TorchEngine, red_then_blue: Path, tmp_path: Path) -> None:
    settings = Settings(start_s=1.5, end_s=2.5, **PLAIN)
    once = annotation.annotate(red_then_blue, Outputs(video=tmp_path / "once.mp4"), engine=engine, settings=settings)
    explained = annotation.explain(red_then_blue, engine=engine, settings=settings)
    again = annotation.draw(
        red_then_blue, explained, Outputs(video=tmp_path / "again.mp4", reports={"json": tmp_path / "again.json"})
    )
    assert set(again.timings_s) == {"draw", "total"}
    assert json.loads((tmp_path / "again.json").read_text())["summary"] == to_json(once)["summary"]
    faint = Look(opacity=0.1)
    annotation.draw(red_then_blue, explained, Outputs(video=tmp_path / "faint.mp4"), look=faint)
    videos = {name: np.stack(list(frames(tmp_path / f"{name}.mp4"))) for name in ("once", "again", "faint")}
    assert np.abs(videos["once"] - videos["again"]).mean() < 0.5  # the encoder's own differences
    assert np.abs(videos["once"] - videos["faint"]).mean() > 5


def frames(path: Path) -> Iterator[np.ndarray]:
    with open_source(path) as source:
        for frame in source.frames():
            yield frame.image[:112].astype(int)
