"""The public names: their documentation, their examples, pictures in memory and batches of clips."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.media import write_clip

import vidcam
from vidcam.engine import open_engine
from vidcam.errors import UnknownNameError, UsageError
from vidcam.metrics import verdict

ROOT = Path(__file__).parent.parent
FUNCTIONS = [name for name in vidcam.__all__ if inspect.isfunction(getattr(vidcam, name))]


@pytest.fixture(scope="module")
def mini():
    return open_engine("mini", device="cpu")


@pytest.mark.parametrize("name", vidcam.__all__)
def test_public_name_has_a_docstring_with_a_sentence(name: str) -> None:
    first = (inspect.getdoc(getattr(vidcam, name)) or "").splitlines()[0]
    assert first.endswith((".", ":")), first
    assert len(first) <= 130


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_function_documents_arguments_results_and_example(name: str) -> None:
    function = getattr(vidcam, name)
    text = inspect.getdoc(function) or ""
    for section in ("Returns:", "Raises:", "Example:"):
        if section != "Raises:" or not name.startswith("list_"):
            assert f"\n{section}\n" in text, section
    for parameter in inspect.signature(function).parameters:
        assert f"    {parameter}: " in text.partition("Args:")[2], parameter


@pytest.mark.parametrize("name", vidcam.__all__)
def test_example_in_a_docstring_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clips").symlink_to(ROOT / "clips")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verdict, "TUBES", 6)  # a tenth of the passes
    examples = doctest.DocTestFinder(recurse=False).find(getattr(vidcam, name), name, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for example in examples:
        runner.run(example)
    assert runner.summarize().failed == 0
    assert sum(len(e.examples) for e in examples) >= 1


def read_clip(path: Path) -> tuple[np.ndarray, list[float]]:
    with vidcam.open_source(path) as source:
        frames = list(source.frames())
    return np.stack([f.image for f in frames]), [f.time for f in frames]


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_pictures_in_memory_are_explained_like_their_file(mini, tmp_path: Path, convert: Callable[[Any], Any]) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=40, size=(96, 64))
    pictures, times = read_clip(path)
    file, memory = vidcam.explain(path, engine=mini), vidcam.explain(convert(pictures), times=times, engine=mini)
    assert memory.labels == file.labels
    assert memory.duration_s == pytest.approx(file.duration_s)
    np.testing.assert_allclose(memory.probs, file.probs, atol=5e-3)  # the file is resized in YUV, the pictures in RGB
    for label in file.labels:
        np.testing.assert_allclose(memory.curves[label], file.curves[label], atol=0.02 * np.abs(file.curves[label]).max() + 1e-3)


@pytest.mark.parametrize(
    ("pictures", "options", "sentence"),
    [
        (np.zeros((4, 3, 8, 8), np.uint8), {"fps": 5}, "uint8 RGB of shape"),
        (np.zeros((4, 8, 8, 3), np.float32), {"fps": 5}, "scale numbers in"),
        (np.zeros((4, 8, 8, 3), np.uint8), {}, "need either times"),
        (np.zeros((4, 8, 8, 3), np.uint8), {"fps": 5, "times": [0, 1, 2, 3]}, "need either times"),
        (np.zeros((4, 8, 8, 3), np.uint8), {"times": [0, 1, 1, 2]}, "strictly increasing"),
        (np.zeros((4, 8, 8, 3), np.uint8), {"fps": 0.0}, "positive"),
    ],
)
def test_pictures_in_memory_of_another_form_are_refused(mini, pictures: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        vidcam.explain(pictures, engine=mini, **options)


def test_batch_of_normalised_clips_has_the_evidence_of_its_frames(mini) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 112, 112, 3), np.uint8)
    mean, std = (np.array(v, np.float32) for v in (mini.spec.mean, mini.spec.std))
    normalised = ((frames / np.float32(255) - mean) / std).transpose(0, 4, 1, 2, 3)
    raw = vidcam.explain_clips(
        frames, engine=mini, classes=("walking", "running in place") if "running in place" in mini.labels else ("walking",)
    )
    ready = vidcam.explain_clips(torch.from_numpy(normalised), engine=mini, classes=raw.labels)
    np.testing.assert_allclose(ready.logits, raw.logits, atol=1e-4)
    np.testing.assert_allclose(ready.maps, raw.maps, atol=1e-5)
    assert ready.totals is not None
    np.testing.assert_allclose(ready.maps.sum(axis=(2, 3, 4)), ready.totals, rtol=1e-3, atol=1e-3)
    assert (len(ready.times), len(ready.ys), len(ready.xs)) == ready.maps.shape[2:]
    assert 0 <= ready.times[0] < ready.times[-1] <= mini.spec.clip_s


def test_clips_versus_their_answer_explain_the_next_label(mini) -> None:
    clips = np.zeros((1, 16, 112, 112, 3), np.uint8)
    logits = vidcam.explain_clips(clips, engine=mini).logits[0]
    answer, second = (mini.labels[i] for i in np.argsort(-logits)[:2])
    assert vidcam.explain_clips(clips, engine=mini, versus=answer).labels == (second,)
    with pytest.raises(UsageError, match=f"cannot be explained against itself: '{answer}'"):
        vidcam.explain_clips(clips, engine=mini, classes=(second, answer), versus=answer)


def test_batch_of_another_form_is_refused(mini) -> None:
    with pytest.raises(UsageError, match="5 axes"):
        vidcam.explain_clips(np.zeros((3, 16, 112, 112), np.float32), engine=mini)
    with pytest.raises(UsageError, match="or normalised ones of float32"):
        vidcam.explain_clips(np.zeros((1, 3, 8, 112, 112), np.float32), engine=mini)


@pytest.fixture(scope="module")
def analysis(mini):
    return vidcam.explain(ROOT / "clips" / "three_actions.mp4", engine=mini)


def test_heatmap_is_the_heat_that_is_drawn_in_source_pixels(analysis) -> None:
    time = float(analysis.times_s[int(np.nanargmax(analysis.curves[analysis.labels[0]]))])
    heat = analysis.heatmap(time)
    assert heat.shape == (analysis.source.height, analysis.source.width)
    assert 0 < heat.max() <= 1
    signed = analysis.heatmap(time, analysis.labels[0], signed=True)
    np.testing.assert_array_equal(signed.clip(0), heat)
    with pytest.raises(UnknownNameError):
        analysis.heatmap(time, "no such label")


def test_data_frame_holds_the_curves_by_second(analysis) -> None:
    frame = analysis.to_dataframe()
    assert list(frame.columns) == list(analysis.labels)
    np.testing.assert_array_equal(frame.index, analysis.times_s)
    np.testing.assert_array_equal(frame[analysis.labels[0]], analysis.curves[analysis.labels[0]])


def test_plot_draws_a_line_for_each_label(analysis) -> None:
    axes = analysis.plot()
    drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    for label in analysis.labels:
        np.testing.assert_array_equal(drawn[label], analysis.curves[label])


def test_notebook_shows_answer_and_player(analysis) -> None:
    shown = analysis._repr_html_()
    assert shown.startswith(f"<p><strong>{analysis.top(1)[0][0]} ")
    assert '<iframe sandbox="allow-scripts" ' in shown
