"""A model that says "none of these" has nothing to show: no heat, no verdict, but a sentence that says who may know more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import planted
from support.media import write_clip
from support.values import red_square

import vidcam
from vidcam.engine import rejection_sentence
from vidcam.errors import UsageError
from vidcam.evaluation import video
from vidcam.evidence.labels import shown_labels
from vidcam.live.stream import Stream
from vidcam.models.table import get_spec


@pytest.fixture(scope="module")
def engine():
    """The planted network, whose second label says that there is no red square."""
    made = vidcam.open_engine(f"{planted.__file__}:patches")
    made.spec = replace(made.spec, rejects=("nothing",))
    return made


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "grey.mp4", frames=40, size=(112, 112), picture=lambda i: np.full((112, 112, 3), 90, np.uint8))


@pytest.fixture
def half_red(tmp_path: Path) -> Path:
    def picture(i: int) -> np.ndarray:
        image = np.full((112, 112, 3), 90, np.uint8)
        if i < 60:
            image[24:64, 20:60] = 220, 20, 20
        return image

    return write_clip(tmp_path / "half.mp4", frames=110, size=(112, 112), picture=picture)


def test_mini_names_the_classes_that_reject() -> None:
    spec = get_spec("mini")
    assert spec.rejects == ("none of these", "no person")
    assert set(spec.rejects) < set(spec.labels())


def test_sentence_fits_what_is_rejected() -> None:
    spec = get_spec("mini")
    actions = len(spec.labels()) - 2
    for label, words in (
        ("none of these", f"this is none of the {actions} actions that mini knows"),
        ("no person", f"mini sees nobody here, so this is none of the {actions} actions that it knows"),
    ):
        sentence = rejection_sentence(spec, label)
        assert sentence.startswith(f"{words}; ")
        assert " classes) may know it" in sentence


def test_rejected_video_has_no_heat_no_verdict_but_a_sentence(engine, grey: Path) -> None:
    found = vidcam.explain(grey, engine=engine, settings=vidcam.Settings(verdict=True))
    assert found.labels == ("nothing",)
    assert found.verdict is None
    assert found.segments == ()
    assert not found.curves["nothing"].any()
    assert not any(track.maps.any() for track in found.drawn["nothing"])
    name = engine.spec.name
    assert f"this is none of the 1 actions that {name} knows; x3d_s (400 classes) may know it" in found.warnings[-1]


def test_rejected_part_of_a_video_is_not_shown_beside_its_answer(engine, half_red: Path) -> None:
    found = vidcam.explain(half_red, engine=engine)
    assert [w.top(1)[0][0] for w in found.windows].count("nothing") >= 0.1 * len(found.windows)
    assert found.labels == ("red square",)
    assert found.curves["red square"].max() > 0
    assert not [warning for warning in found.warnings if "this is none of" in warning]
    plain = replace(engine.spec, rejects=())
    assert shown_labels(found.windows, classes=(), versus=None, rejects=plain.rejects) == (
        "red square",
        "nothing",
    )


def test_rejection_that_was_asked_for_is_exported_but_not_drawn(engine, half_red: Path) -> None:
    found = vidcam.explain(half_red, engine=engine, settings=vidcam.Settings(classes=("nothing",)))
    assert any(track.maps.any() for track in found.tracks["nothing"])
    assert not any(track.maps.any() for track in found.drawn["nothing"])


def test_evaluate_refuses_to_test_evidence_for_nothing(engine, grey: Path) -> None:
    with pytest.raises(UsageError, match="there is no evidence for 'nothing' to test: this is none of the 1 actions"):
        video.evaluate(grey, engine=engine)


def test_live_stream_shows_no_heat_for_a_rejection(engine) -> None:
    stream = Stream(engine, vidcam.Settings(seconds_between_clip_starts=0.1))
    for frame in red_square(30):
        stream.push(replace(frame, picture=np.full_like(frame.image, 90)))
        stream.step()
    assert stream.update.label == "nothing"
    assert not any(track.maps.any() for track in stream.update.tracks["nothing"])
    for frame in red_square(30, start=1.5):
        stream.push(frame)
        stream.step()
    assert stream.update.label == "red square"
    assert stream.update.tracks["red square"][0].maps.max() > 0
