"""All actions by name, and the motions that are none of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vidcam.synthetic.arms import box, circles, clap, idle, jack, raise_front, raise_sideways, wave
from vidcam.synthetic.body import Floats, Pose
from vidcam.synthetic.legs import bend, fall, jump, kick, rise, run, sit, squat, walk
from vidcam.synthetic.motion import SIGN, Action, Rng, Stance, bump, ease, point, wander

MOTIONS: dict[str, Callable[[Rng, Stance, float | None], Action]] = {
    "standing idle": idle, "waving one hand": wave, "raising both arms sideways": raise_sideways,
    "raising both arms in front": raise_front, "clapping": clap, "boxing": box, "arm circles": circles, "jumping jack": jack,
    "squatting": squat, "bending over": bend, "kicking": kick, "walking": walk, "running": run, "jumping": jump,
    "sitting down": sit, "standing up": rise, "falling down": fall,
}  # fmt: skip


def other(rng: Rng, st: Stance, length: float | None) -> Action:
    """Something that is none of the named actions: dancing, drinking, pointing, working, drumming, gliding past on wheels.

    Looking around and typing are not among them: who does no more than that stands or sits idle.
    """
    d = length or 4.0
    kind = str(rng.choice(["dance", "drink", "scratch", "point", "work", "throw", "stretch", "lean", "floor", "drum", "glide"]))
    side = int(rng.integers(2))
    seed = int(rng.integers(2**31))
    rate, big = rng.uniform(0.5, 2.0), rng.uniform(0.3, 1.2)
    begin = rng.uniform(0, 0.5)

    def pose(t: Floats) -> Pose:
        g = np.random.default_rng(seed)
        p = st.pose(t)
        n = len(t)
        on = bump(t, begin - 0.4, begin + 0.3, d - 0.3, d + 0.4)
        if kind == "floor":  # yoga, push-ups, lying, crawling
            p.rot += np.stack(
                [g.uniform(-1.7, 1.9) + wander(g, t, 0.15, 0.5), wander(g, t, 0.2, 0.3), g.normal(0, 0.5) + 0 * t], -1
            )
            p.root[:, 1] += -g.uniform(0.2, 0.42) + wander(g, t, 0.04, rate * 0.5)
            p.spine[:, 0] += g.normal(0, 0.4) + wander(g, t, 0.15, 0.5)
            p.ankle[:, :, 2] -= np.sin(p.rot[:, :1]) * g.uniform(0.2, 0.45)
            p.elev += g.uniform(0.3, 2.6) + wander(g, t, 0.3, rate)[:, None]
            p.azim[:] = g.uniform(0.5, 1.7)
            p.reach[:] = 0
            return p
        if kind == "drum":  # both hands before the body, up and down in turns
            p.spine[:, 0] += 0.1 * on
            for s in (0, 1):
                beat = np.maximum(np.sin(2 * np.pi * (1.0 + 1.5 * rate) * t + s * g.choice([0.0, np.pi], p=[0.2, 0.8])), -0.2)
                x, y = g.uniform(-0.35, 0.3), g.uniform(-0.55, -0.25)
                goal = np.stack([x + wander(g, t, 0.15, 0.5), y + 0.3 * big * beat, np.full(n, 0.55)], -1)
                point(p, s, goal, on)
            return p
        if kind == "glide":  # a skateboard, a bicycle, an escalator: the whole body travels, the legs do not step
            way = g.choice([-1.0, 1.0])
            along = way * g.uniform(0.15, 0.9) * (t - 0.3 * d)
            p.root[:, 0] += along
            p.ankle[:, :, 0] += along[:, None]
            p.root[:, 1] -= g.uniform(0.0, 0.12)
            p.rot[:, 1] += way * g.uniform(0.2, 1.6)
            p.spine += np.stack([g.uniform(0, 0.5) + wander(g, t, 0.06, 0.6), wander(g, t, 0.1, 0.5), wander(g, t, 0.1, 0.5)], -1)
            for s in (0, 1):
                goal = g.uniform(-0.5, 0.6, 3) + np.stack([wander(g, t, 0.12, 0.7) for _ in range(3)], -1)
                point(p, s, goal, on)
            return p
        if kind == "dance":
            p.root += (
                np.stack([wander(g, t, 0.05 * big, rate), wander(g, t, 0.025 * big, rate) - 0.04, wander(g, t, 0.04, rate)], -1)
                * on[:, None]
            )
            p.rot += np.stack([wander(g, t, s * big, rate) for s in (0.08, 0.35, 0.1)], -1) * on[:, None]
            p.spine += np.stack([wander(g, t, s * big, rate) for s in (0.15, 0.3, 0.18)], -1) * on[:, None]
            for s in (0, 1):
                goal = np.stack([wander(g, t, 0.35, rate), wander(g, t, 0.45, rate) - 0.25, 0.4 + wander(g, t, 0.25, rate)], -1)
                point(p, s, goal, on)
                p.ankle[:, s, 1] += np.maximum(wander(g, t, 0.05, rate), 0) * on
                p.ankle[:, s, 0] += wander(g, t, 0.04, rate * 0.5) * on
            return p
        goals = {
            "drink": (-0.42, 0.12, 0.35), "scratch": (-0.35, 0.38, 0.12), "point": (0.2, 0.05, 0.97),
            "work": (-0.1, -0.3, 0.6), "throw": (0.1, 0.5, -0.2), "stretch": (0.5, 0.75, 0.0), "lean": (0.3, -0.4, 0.4),
        }  # fmt: skip
        goal = np.tile(np.array(goals[kind]), (n, 1)) + g.normal(0, 0.06, 3)
        use = on
        if kind == "drink":
            use = bump(t, begin, begin + 0.8, begin + 2.0, begin + 2.8)
            p.head[:, 0] -= 0.25 * use
        if kind == "point":
            goal = goal + np.array([g.uniform(-0.6, 0.7), g.uniform(-0.3, 0.4), -g.uniform(0, 0.5)])
            use = bump(t, begin, begin + 0.5, begin + 1.4, begin + 2.0)
        if kind in ("work", "lean"):
            amp = 0.22 if kind == "work" else 0.05
            for s in (0, 1):
                point(p, s, goal + np.stack([wander(g, t, amp, rate * 2) for _ in range(3)], -1), on)
            p.spine[:, 0] += 0.25 * on
            p.spine[:, 1] += wander(g, t, 0.2 * (kind == "lean"), 0.4)
            p.head[:, 0] += 0.25 * on
            return p
        if kind == "throw":
            k = ease(t, begin + 0.7, begin + 0.95)[:, None]
            goal = goal * (1 - k) + np.array([-0.3, 0.0, 0.9]) * k
            p.spine[:, 1] += SIGN[side] * (-0.5 * bump(t, begin, begin + 0.5, begin + 0.6, begin + 0.9) + 0.5 * k[:, 0] * on)
            p.ankle[:, 1 - side, 2] += 0.15 * ease(t, begin + 0.3, begin + 0.7)
            use = bump(t, begin, begin + 0.5, begin + 1.3, begin + 2)
        if kind == "scratch":
            goal = goal + np.stack([wander(g, t, 0.03, 4), wander(g, t, 0.04, 4), wander(g, t, 0.02, 4)], -1)
            p.head[:, 2] += 0.15 * use
        if kind == "stretch":
            point(p, 1 - side, goal * np.array([-0.4, 0.6, 1.0]), use * 0.9)
            p.spine[:, 2] += 0.3 * SIGN[side] * bump(t, begin, begin + 1, begin + 1.8, begin + 2.6)
        point(p, side, goal, use)
        return p

    once = {"drink": 2.0, "point": 1.4, "throw": 1.3}.get(kind)  # before and after, nothing but rest is to be seen
    key = (0, d, 1.0) if once is None else (begin + 0.1, begin + once, 0.7 * once)
    return Action("none of these", d, pose, (), (key,), frozenset())
