"""Walking and running.

Each function returns an :class:`~vidcam.synthetic.motion.Action` of about ``length`` seconds; None chooses the length at random.
"""

from __future__ import annotations

import numpy as np

from vidcam.synthetic.arrays import Floats, Rng
from vidcam.synthetic.body import Pose
from vidcam.synthetic.motion import PI, SIGN, Action, Stance, bump, ease, release, to


def _gait(rng: Rng, st: Stance, length: float | None, *, run: bool) -> Action:
    """Walk or run, across the picture or on the spot."""
    d = length or rng.uniform(3, 5)
    rate = rng.uniform(1.15, 1.7) if run else rng.uniform(0.65, 1.15)
    stride = rng.uniform(0.14, 0.36) if run else rng.uniform(0.1, 0.24)
    lift, phase = rng.uniform(0.08, 0.24) if run else rng.uniform(0.025, 0.06), rng.uniform(0, 2 * PI)
    mode = rng.choice(["across", "spot"], p=[0.55, 0.45])
    if mode == "spot" and run:
        stride *= rng.uniform(0.1, 0.8)
    speed = 4 * stride * rate * rng.uniform(0.5, 1.0) * (mode == "across")  # small steps slip, so that more people stay in view
    elbow = rng.uniform(1.1, 1.9) if run else rng.uniform(0.1, 0.6)
    arm = rng.uniform(0.4, 0.9) if run else rng.uniform(0.2, 0.6)
    lean, heading = (rng.uniform(0.05, 0.22) if run else rng.uniform(-0.02, 0.08)), rng.uniform(-PI, PI)
    heading = heading if mode == "across" else rng.normal(0, 0.8)
    starts_still = mode == "across" and rng.random() < 0.3 and not run
    start = -99.0 if not starts_still else 0.0
    lazy = rng.random() < 0.15 and not run

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        e = ease(t, start, start + 0.6) if length is None else bump(t, 0, 0.5, d - 0.5, d)
        a = 2 * PI * rate * t + phase
        c, s_ = np.cos(heading), np.sin(heading)
        for s in (0, 1):
            b = a + PI * s
            swing = np.sin(b)  # ankle forwards and back; it is in the air while it goes forwards
            up = np.maximum(np.cos(b + (0.2 if run else 0.0)), 0) ** (1.0 if run else 1.3)
            p.ankle[:, s, 2] += stride * swing * e - (0.05 if run else 0.015) * up * e
            p.ankle[:, s, 1] += lift * up * e
            p.ankle[:, s, 0] *= 0.4
            p.toe[:, s] += (0.9 * up * (swing < 0.3) - 0.25 * np.maximum(swing, 0)) * e
            release(p, s, e * (not lazy))
            back = -swing * arm
            elev = np.abs(back) + 0.12
            p.azim[:, s] = to(p.azim[:, s], np.arctan2(back, 0.25), e)
            p.elev[:, s] = to(p.elev[:, s], elev, e)
            p.flex[:, s] = to(p.flex[:, s], elbow + 0.25 * back, e)
            p.grip[:, s] = to(p.grip[:, s], 0.85 if run else 0.4, e)
        p.root[:, 1] += (0.03 * np.abs(np.sin(a)) ** 1.5 - 0.028 if run else 0.012 * np.cos(2 * a) - 0.022) * e
        if run:
            p.ankle[:, :, 1] += (0.035 * np.maximum(np.cos(2 * a), 0) * e)[:, None]
            p.root[:, 1] += 0.03 * np.maximum(np.cos(2 * a), 0) * e
        p.root[:, 0] += 0.012 * np.cos(a) * e
        p.rot[:, 1] += 0.1 * np.sin(a) * e
        p.rot[:, 2] += 0.03 * np.cos(a) * e
        p.spine[:, 1] -= 0.2 * np.sin(a) * e
        p.rot[:, 0] += lean * e
        p.head[:, 0] -= lean * 0.6 * e
        # walk along the heading: turn everything and move on
        move = np.clip(t if length is None else np.clip(t, 0, d), start, None) * speed
        if length is None:
            move = move - speed * 0.5 * min(d, 4.0)
        for v in (p.root, p.ankle[:, 0], p.ankle[:, 1]):
            x, z = v[:, 0].copy(), v[:, 2] + move
            v[:, 0], v[:, 2] = x * c + z * s_, -x * s_ + z * c
        p.rot[:, 1] += heading
        # ankles are relative to the spread hips of yaw 0: undo that offset
        for s in (0, 1):
            p.ankle[:, s, 0] += 0.058 * SIGN[s] * (c - 1)
            p.ankle[:, s, 2] += -0.058 * SIGN[s] * s_
        return p

    a0 = 0.15 if starts_still else -99.0
    spans = ((a0, 99.0),) if length is None else ((0.1, d - 0.15),)
    need = ((max(a0, -99.0), 99.0, 0.85),) if length is None else ((0.1, d - 0.1, 0.85),)
    return Action("running" if run else "walking", d, pose, spans, need, frozenset({0, 1, 2, 3}), travels=mode == "across")


def walk(rng: Rng, st: Stance, length: float | None) -> Action:
    """Walk with counter-swinging arms, across the picture, towards the camera or on the spot."""
    return _gait(rng, st, length, run=False)


def run(rng: Rng, st: Stance, length: float | None) -> Action:
    """Run: quick steps with a flight phase, bent elbows and lifted heels or knees."""
    return _gait(rng, st, length, run=True)
