"""Write sample clips and their ground truth, always the same for one version of `vidcam.synthetic`.

The clips in this folder were drawn before people and places got their present variety; drawn anew, they show other people in
other places. Run `python clips/make.py [NAME ...]`. NAME.json lies beside each NAME.mp4. It holds the segments with their labels,
and for each frame the boxes (x0, y0, x1, y1 in pixels) around the person and around the parts that make the action.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vidcam import synthetic

HERE = Path(__file__).resolve().parent
FPS = 25.0
TICKS = 90_000

CLIPS: dict[str, dict[str, Any]] = {
    "jumping_jack": {"script": [("jumping jack", 5.0)], "seed": 63, "size": (360, 640)},
    "waving_rotated": {
        "script": [("standing idle", 1.0), ("waving one hand", 3.0), ("standing idle", 1.0)],
        "seed": 61,
        "size": (480, 360),
        "rotated": True,
    },
    "walking": {"script": [("walking", 4.0)], "seed": 69, "sound": True},
    "falling": {"script": [("standing idle", 1.5), ("falling down", 2.0)], "seed": 35, "uneven": True},
    "three_actions": {
        "script": [("waving one hand", 3.0), ("squatting", 3.0), ("raising both arms sideways", 3.0)],
        "seed": 41,
    },
}


def box(mask: np.ndarray) -> list[int] | None:
    """Return the box (x0, y0, x1, y1) around a mask ``(H,W)``; None if it is empty."""
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def segments(frames: list[synthetic.SceneFrame]) -> list[dict[str, Any]]:
    """Return the stretches of time in which an action happens."""
    spans: list[dict[str, Any]] = []
    for frame in frames:
        if not frame.active:
            continue
        end = round(frame.time + 1 / FPS, 3)
        if spans and spans[-1]["label"] == frame.label and frame.time - spans[-1]["end_s"] < 0.5 / FPS:
            spans[-1]["end_s"] = end
        else:
            spans.append({"label": frame.label, "start_s": round(frame.time, 3), "end_s": end})
    return spans


def add_steps(out: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    """Add a sound track with a soft knock every half second: steps."""
    rate = 48_000
    t = np.arange(int(seconds * rate)) / rate
    knock = np.sin(2 * np.pi * 140 * t) * np.exp(-((t % 0.5) / 0.03)) * 0.4
    for start in range(0, len(t) - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(knock[None, start : start + 1024].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def make(
    name: str,
    script: list[tuple[str, float]],
    *,
    seed: int,
    size: tuple[int, int] = (360, 480),
    sound: bool = False,
    rotated: bool = False,
    uneven: bool = False,
) -> None:
    """Write one clip and its ground truth; ``uneven`` gives it a variable frame rate."""
    frames = list(synthetic.scene(script, seed=seed, fps=FPS, size=size))
    if uneven:  # a camera that drops frames when nothing moves
        frames = [f for i, f in enumerate(frames) if i % 3 == 0 or 1.4 < f.time < 3.0]
    with av.open(str(HERE / f"{name}.mp4"), "w", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=int(FPS), options={"crf": "23", "preset": "slow"})
        stored = [np.ascontiguousarray(np.rot90(f.image)) if rotated else f.image for f in frames]
        stream.height, stream.width = stored[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        if rotated:  # stored turned to the left by 90 degrees, shown turned to the right
            stream.set_display_matrix((0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30))
        audio = out.add_stream("aac", rate=48_000, layout="mono") if sound else None
        for picture, frame in zip(stored, frames, strict=True):
            coded = av.VideoFrame.from_ndarray(picture, format="rgb24")
            coded.pts, coded.time_base = round(frame.time * TICKS), Fraction(1, TICKS)
            out.mux(stream.encode(coded))
        out.mux(stream.encode(None))
        if isinstance(audio, av.AudioStream):
            add_steps(out, audio, frames[-1].time + 1 / FPS)
    truth = {
        "clip": f"{name}.mp4",
        "made_by": "vidcam.synthetic",
        "seed": seed,
        "segments": segments(frames),
        "frames": [
            {
                "time_s": round(f.time, 4),
                "label": f.label,
                "active": bool(f.active),
                "person": box(f.person),
                "parts": box(f.parts),
            }
            for f in frames
        ],
    }
    (HERE / f"{name}.json").write_text(json.dumps(truth) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:] or CLIPS:
        make(name, **CLIPS[name])
