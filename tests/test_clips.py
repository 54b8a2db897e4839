"""The sample clips agree with their ground truth."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidcam import synthetic
from vidcam.io.source import open_source

pytestmark = pytest.mark.portable

FOLDER = Path(__file__).resolve().parent.parent / "clips"
CLIPS = sorted(FOLDER.glob("*.mp4"))


@pytest.mark.parametrize("clip", CLIPS, ids=lambda p: p.stem)
def test_frames_agree_with_the_ground_truth(clip: Path) -> None:
    truth = json.loads(clip.with_suffix(".json").read_text())
    with open_source(clip) as source:
        frames = list(source.frames())
        height, width = source.info.height, source.info.width
    assert [f.time for f in frames] == pytest.approx([f["time_s"] for f in truth["frames"]], abs=1e-3)
    assert {s["label"] for s in truth["segments"]} <= set(synthetic.CLASSES)
    assert truth["segments"]
    for frame in truth["frames"]:
        x0, y0, x1, y1 = frame["person"]
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        if frame["parts"]:
            assert x0 <= frame["parts"][0] < frame["parts"][2] <= x1
        inside = [s for s in truth["segments"] if s["start_s"] - 1e-3 <= frame["time_s"] < s["end_s"] - 1e-3]
        assert bool(inside) == frame["active"]
    # Most of the change between frames of an action lies in the box of the acting parts.
    moved = np.zeros(2)
    for before, after, known in zip(frames, frames[1:], truth["frames"], strict=False):
        if known["active"] and known["parts"]:
            x0, y0, x1, y1 = known["parts"]
            change = cv2.absdiff(after.image, before.image).sum(axis=2, dtype=int)
            moved += change[y0:y1, x0:x1].sum(), change.sum()
    assert moved[0] > 0.6 * moved[1]


def test_clips_cover_the_difficulties_of_readers() -> None:
    infos, gaps = {}, {}
    for clip in CLIPS:
        with open_source(clip) as source:
            infos[clip.stem] = source.info
            gaps[clip.stem] = np.diff([f.time for f in source.frames()])
    assert any(i.rotation for i in infos.values())
    assert any(i.audio for i in infos.values())
    assert any(g.max() > 2.5 * g.min() for g in gaps.values())
    assert sum(c.stat().st_size for c in CLIPS) < 1_000_000
