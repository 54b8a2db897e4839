"""The benchmark on real clips with outlines: figures against slow loops, which class is explained, files and the command."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.command import exit_code
from support.schemas import strict, validate
from test_benchmark import engine, planted  # noqa: F401, the fixture

from vidcam.engine import TorchEngine
from vidcam.errors import InputError, UsageError
from vidcam.evaluation import benchmark
from vidcam.evaluation.known_clips import KnownClip, load_clip
from vidcam.io.json_text import to_json_text
from vidcam.io.outline_files import find_outlined, write_outlines
from vidcam.io.outline_shapes import ABSENT, BoxShape, Shape
from vidcam.io.outlines import Actor, ClipOutlines, Keyframe
from vidcam.methods import core
from vidcam.methods.lookup import get_method
from vidcam.methods.receptive_field import layer_geometry
from vidcam.metrics import localisation
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.imputers import pixels_of

FRAMES, FPS, SIZE = 24, 10.0, (48, 64)


def write_clip(
    folder: Path, name: str, *, label: str = "clapping", step: int = 1, gone: range = range(0), left: int = 10
) -> None:
    """Write a clip of a bright box that moves over dim noise, and its outlines; in the frames ``gone`` it is absent."""
    (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(len(label) + step)
    shapes: list[Shape] = []
    for n in range(FRAMES):
        picture = rng.integers(0, 90, (*SIZE, 3), np.uint8)
        shapes.append(ABSENT if n in gone else BoxShape(left + step * n, 8 + n // 2, 12, 16))
        picture[shapes[n].mask(SIZE)] = (250, 200, 120)
        Image.fromarray(picture).save(folder / name / f"{n:02}.png")
    actor = Actor("box", "frame", "none", tuple(Keyframe(n, shape) for n, shape in enumerate(shapes)))
    write_outlines(ClipOutlines(name, SIZE, (label,), (actor,), fps=FPS), folder / f"{name}.outlines.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three clips: two with a box at all times, one in which it comes late."""
    write_clip(tmp_path, "a")
    write_clip(tmp_path, "b", step=0, left=30, label="Clapping")
    write_clip(tmp_path, "c", gone=range(14), label="juggling")
    return tmp_path


def loaded(engine: TorchEngine, folder: Path) -> list[KnownClip]:  # noqa: F811
    return [load_clip(engine, clip, tolerance=benchmark.TOLERANCE) for clip in find_outlined(folder)[0]]


def test_truth_scores_one_and_controls_less(engine, folder, monkeypatch) -> None:  # noqa: F811
    (where,) = layer_geometry(engine.model)
    truths = [clip.covered_cells(where)[0].reshape(len(clip.windows), *where.grid) for clip in loaded(engine, folder)]
    queue = list(truths)
    planted(monkeypatch, lambda: queue.pop(0))
    found = benchmark.run_real(engine, ["planted"], folder, imputers=())
    truth, *controls = found.rows
    assert (truth.method, truth.clips, truth.cells) == ("planted", 3, (6, 6, 6))
    assert {key: i.mean for key, i in truth.scores.items() if key != "pointing"} == dict.fromkeys(
        ("relevance_mass", "spatial", "temporal", "space_time"), 1.0
    )
    assert [row.method for row in controls] == list(BASELINES)
    for row in controls:
        assert row.scores["space_time"].mean < 0.8
        assert row.scores["relevance_mass"].mean < 0.8


def test_temporal_iou_counts_clips_with_rests_alone(engine, folder, monkeypatch) -> None:  # noqa: F811
    """A map that is hot at all times knows nothing of when: it has the share of the time in which the box is there."""
    (where,) = layer_geometry(engine.model)
    clips = loaded(engine, folder)
    sizes = [len(clip.windows) for clip in clips]
    planted(monkeypatch, lambda: np.ones((sizes.pop(0), *where.grid)))
    always = benchmark.run_real(engine, ["planted"], folder, imputers=()).rows[0]
    assert [clip.rests for clip in clips] == [False, False, True]
    acting = clips[2].covered_cells(where)[0].any(axis=(1, 2))
    assert always.scores["temporal"].mean == pytest.approx(acting.mean())
    assert 0.2 < acting.mean() < 0.8
    (folder / "c.outlines.json").unlink()
    sizes[:] = [len(clip.windows) for clip in clips[:2]]
    found = benchmark.run_real(engine, ["planted"], folder, imputers=())
    assert found.rows[0].scores["temporal"] is None
    assert "temporal" not in found.in_words()
    assert found.in_words().startswith(
        "| map | cells | pointing game | energy inside | spatial IoU | space-time IoU | insertion |"
    )
    validate(strict(to_json_text(found.to_json())), "benchmark")


def difference(engine: TorchEngine, frames: np.ndarray, values: np.ndarray, index: int) -> float:  # noqa: F811
    """Return the area between removing the least and the most relevant cells first, one removal after the other."""
    (where,) = layer_geometry(engine.model)
    order = np.argsort(-values.ravel(), kind="stable")
    curves = []
    for ranked in (order[::-1], order):
        points = []
        for k in range(13):
            removed = np.zeros(values.size, bool)
            removed[ranked[: round(values.size * k / 12)]] = True
            gone = pixels_of(removed.reshape(values.shape), where, frames.shape[:3])
            clip = np.where(gone[..., None], frames[:1], frames)
            points.append(float(engine.probabilities(engine.predict(clip[None]))[0, index]))
        curves.append(sum((a + b) / 2 for a, b in itertools.pairwise(points)) / 12)
    return curves[0] - curves[1]


def test_figures_are_those_of_each_clip_alone(engine, folder) -> None:  # noqa: F811
    found = benchmark.run_real(engine, ["cam"], folder, imputers=("frozen",))
    (where,) = layer_geometry(engine.model)
    pairs, hits, differences = [], [], []
    for clip in loaded(engine, folder):
        index = 0 if clip.labels[0].casefold() == "clapping" else int(engine.predict(clip.windows).mean(axis=0).argmax())
        maps = [core.explain(engine, w[None], [core.Target(index)], get_method("cam")).maps[0][0, 0] for w in clip.windows]
        cells, near = clip.covered_cells(where)
        pairs.append((np.concatenate(maps), cells))
        hits.append(near)
        busy = int(clip.truth.sum(axis=(1, 2, 3)).argmax())
        differences.append(difference(engine, clip.windows[busy], maps[busy], index))
    scores = []
    for i, (values, cells) in enumerate(pairs):
        others = [pair for j, pair in enumerate(pairs) if j != i]
        means = [
            np.mean([localisation.score_map(v, c, threshold=at).space_time for v, c in others]) for at in localisation.THRESHOLDS
        ]
        threshold = localisation.THRESHOLDS[int(np.argmax(means))]
        scores.append(localisation.score_map(values, cells, threshold=threshold, near=hits[i]))
    cam = found.rows[0]
    for key in ("pointing", "relevance_mass", "spatial", "space_time"):
        assert cam.scores[key].mean == pytest.approx(np.mean([getattr(s, key) for s in scores])), key
    assert cam.scores["temporal"].mean == pytest.approx(scores[2].temporal)
    assert cam.lerf_minus_morf["frozen"].mean == pytest.approx(np.mean(differences), abs=1e-5)
    assert cam.insertion is None  # it needs the blur


def test_explained_class_is_label_or_the_models_answer(engine, folder) -> None:  # noqa: F811
    found = benchmark.run_real(engine, ["cam"], folder, imputers=())
    assert [(e.clip, e.explained, e.by) for e in found.explained[:2]] == [("a", "clapping", "label"), ("b", "clapping", "label")]
    last = found.explained[2]
    assert (last.labels, last.by) == (("juggling",), "answer")
    engine.spec = replace(engine.spec, rejects=(last.explained,))
    again = benchmark.run_real(engine, ["cam"], folder, imputers=()).explained[2]
    assert {last.explained, again.explained} == {"clapping", "other"}  # a rejection is never explained
    assert last.probability + again.probability == pytest.approx(1.0, abs=1e-5)


def test_pointing_uses_the_stated_tolerance(engine, folder) -> None:  # noqa: F811
    def hits(tolerance: float) -> dict[str, float]:
        rows = benchmark.run_real(engine, ["cam"], folder, tolerance=tolerance, imputers=()).rows
        return {row.method: row.scores["pointing"].mean for row in rows}

    wide, narrow = hits(1.0), hits(0.0)
    assert wide["random"] == wide["centre of the picture"] == 1.0  # no cell is further away than the crop is long
    assert narrow["random"] < 0.5
    assert all(narrow[name] <= wide[name] for name in wide)


def test_clip_that_cannot_be_scored_is_noted(engine, folder) -> None:  # noqa: F811
    write_clip(folder, "d", step=0, left=-11)  # one column at the left edge, outside the centre crop
    found = benchmark.run_real(engine, ["cam", "attention-rollout"], folder, imputers=())
    assert found.rows[0].clips == 3
    assert "d is left out: nobody who acts is in the model's crop" in found.notes
    for name in "abc":
        (folder / f"{name}.outlines.json").unlink()
    with pytest.raises(InputError, match="no clip can be scored: d is left out"):
        benchmark.run_real(engine, ["cam"], folder, imputers=())


def test_wrong_choices_are_refused(engine, folder) -> None:  # noqa: F811
    with pytest.raises(UsageError, match="at least 1 window and a tolerance from 0 to 1 are needed, got 0 and 2"):
        benchmark.run_real(engine, ["cam"], folder, windows=0, tolerance=2)
    with pytest.raises(UsageError, match="unknown baseline 'black': known are blur, frozen, inpaint"):
        benchmark.run_real(engine, ["cam"], folder, imputers=("black",))


def test_command_scores_a_folder_of_clips(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text(
        "from test_benchmark import Brightness\n\ndef build():\n    net = Brightness()\n"
        "    net.vidcam = dict(frames=4, interval_s=0.2, resize=48, crop=(48, 48), mean=(0.0,) * 3, std=(1.0,) * 3, "
        "labels=('clapping', 'other'), layer='cells', head='fc')\n    return net\n"
    )
    page, data = tmp_path / "o.html", tmp_path / "o.json"
    words = ("benchmark", "--model", f"{tmp_path / 'net.py'}:build", "--real", folder, "--method", "cam", "--method", "gradcam")
    assert exit_code(*words, "--baseline", "frozen", "--baseline", "blur", "--report", page, "--json", data) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("| map | cells | pointing game | energy inside | spatial IoU | temporal IoU | space-time IoU |")
    assert "| LeRF − MoRF, frozen | LeRF − MoRF, blur | insertion | ms |" in printed
    values = strict(data.read_text())
    validate(values, "benchmark")
    assert values["pointing_tolerance"] == 0.05
    assert [e["by"] for e in values["explained"]] == ["label", "label", "answer"]
    assert values["classes"] == ["Clapping", "clapping", "juggling"]
    assert set(values["rows"][0]["lerf_minus_morf"]) == {"frozen", "blur"}
    text = page.read_text()
    assert text.count("<svg") == 8
    assert "juggling" in text
    assert exit_code("benchmark", "--outlines", folder) == 2
    assert "--outlines needs --real" in capsys.readouterr().err


def test_thresholds_of_others_leave_one_out() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.random((2, 3, 3)) ** n, rng.random((2, 3, 3)) < 0.4) for n in (1, 2, 4, 8)]
    expected = [localisation.best_threshold(pairs[:i] + pairs[i + 1 :]) for i in range(4)]
    assert localisation.thresholds_of_others(pairs) == expected
    assert len(set(expected)) > 1
    assert localisation.thresholds_of_others(pairs[:1]) == [0.5]
