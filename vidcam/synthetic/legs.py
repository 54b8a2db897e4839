"""Actions of the legs, the trunk and the whole body.

Each function returns an :class:`~vidcam.synthetic.motion.Action` of about ``length`` seconds; None chooses the length at random.
"""

from __future__ import annotations

import numpy as np

from vidcam.synthetic.arrays import Floats, Rng
from vidcam.synthetic.body import EVERYTHING, HEAD, LEG_L, LEG_R, TORSO, Pose
from vidcam.synthetic.motion import PI, SIGN, Action, Stance, bump, ease, point, release, repeats, settle, to


def squat(rng: Rng, st: Stance, length: float | None) -> Action:
    """Lower the hips down and back between bent knees, and come up again."""
    down, hold, up = rng.uniform(0.4, 1.1), rng.uniform(0, 0.35), rng.uniform(0.4, 1.0)
    if rng.random() < 0.35:  # slowly
        down, hold, up = rng.uniform(0.8, 1.7), rng.uniform(0, 0.8), rng.uniform(0.7, 1.4)
    one = down + hold + up
    n = repeats(rng, length, one + 0.1, 4)
    d = length or n * (one + 0.1)
    k = d / (n * (one + 0.1))
    down, hold, up = down * k, hold * k, up * k
    depth, lean, apart = rng.uniform(0.1, 0.31), rng.uniform(0.15, 0.85), rng.uniform(0.01, 0.13)
    style = str(rng.choice(["front", "hips", "chest", "hang", "head", "weight"], p=[0.32, 0.12, 0.2, 0.14, 0.1, 0.12]))
    starts = [i * (one + 0.1) * k for i in range(n)]
    hands = {"chest": (-0.28, -0.2, 0.42), "hips": (-0.02, -0.78, 0.05), "head": (0.0, 0.34, 0.02), "weight": (-0.4, -0.15, 0.35)}

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        e = np.zeros_like(t)
        for a in starts:
            e += bump(t, a, a + down, a + down + hold, a + down + hold + up)
        on = bump(t, -0.5, 0.1, d - 0.2, d + 0.2)
        p.root[:, 1] -= depth * e
        p.root[:, 2] -= depth * 0.42 * e
        p.rot[:, 0] += lean * 0.75 * e
        p.spine[:, 0] += lean * 0.25 * e
        p.head[:, 0] -= lean * 0.7 * e
        for s in (0, 1):
            p.ankle[:, s, 0] += SIGN[s] * apart * on
            if style == "front":
                release(p, s, np.clip(3 * e, 0, 1))
                p.elev[:, s] = to(p.elev[:, s], 1.45 + lean * 0.6, e)
                p.azim[:, s] = to(p.azim[:, s], PI / 2 * 0.95, np.clip(3 * e, 0, 1))
            elif style != "hang":
                point(p, s, np.tile(np.array(hands[style]), (len(t), 1)), on)
        return p

    spans = tuple((a + 0.08 * down, a + down + hold + 0.92 * up) for a in starts)
    key = tuple((a + 0.3 * down, a + down + hold + 0.7 * up, 0.85 * (0.7 * down + hold + 0.7 * up)) for a in starts)
    return Action("squatting", d, pose, spans, key, frozenset({LEG_L, LEG_R, TORSO}))


def bend(rng: Rng, st: Stance, length: float | None) -> Action:
    """Fold the trunk forwards at the hips, reach for the feet or the floor, and come up again."""
    down, hold, up = rng.uniform(0.5, 1.2), rng.choice([rng.uniform(0, 0.3), rng.uniform(0.3, 1.2)]), rng.uniform(0.5, 1.2)
    one = down + hold + up
    n = repeats(rng, length, one + 0.2, 1 if length is None else 99)
    d = length or one
    k = d / (n * one)
    down, hold, up = down * k, hold * k, up * k
    angle, knees, side = rng.uniform(1.3, 2.05), rng.uniform(0.0, 0.06), rng.normal(0, 0.12)
    style = rng.choice(["reach", "hang", "pick"], p=[0.6, 0.2, 0.2])
    starts = [i * one * k for i in range(n)]

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        e = np.zeros_like(t)
        for a in starts:
            e += bump(t, a, a + down, a + down + hold, a + down + hold + up)
        p.rot[:, 0] += 0.6 * angle * e
        p.spine[:, 0] += 0.4 * angle * e
        p.spine[:, 1] += side * e
        p.head[:, 0] += 0.1 * e
        p.root[:, 2] -= 0.075 * angle / 1.6 * e
        p.root[:, 1] -= knees * e
        for s in (0, 1):
            far = 1.0 if style != "pick" or s == 0 else 0.35
            release(p, s, np.clip(2 * e, 0, 1) * far)
            reach = {"reach": angle * 0.95, "hang": angle * 0.8, "pick": angle}[style]
            p.elev[:, s] = to(p.elev[:, s], min(reach, 1.9), e * far)
            p.azim[:, s] = to(p.azim[:, s], 1.45, np.clip(3 * e, 0, 1) * far)
            p.flex[:, s] = to(p.flex[:, s], 0.1, e * far)
        return p

    spans = tuple((a + 0.1 * down, a + down + hold + 0.9 * up) for a in starts)
    key: tuple[tuple[float, float, float], ...] = ()
    for a in starts:
        key += ((a, a + down, 0.75 * down), (a + down + hold, a + down + hold + up, 0.75 * up))
    return Action("bending over", d, pose, spans, key, frozenset({0, 1, TORSO, HEAD}))


def kick(rng: Rng, st: Stance, length: float | None) -> Action:
    """Swing a leg up fast, to the front or the side, and back, while the trunk leans against it."""
    stays = rng.random() < 0.3  # some leave the leg up for long
    reach = rng.uniform(0.26, 0.46) if rng.random() < 0.4 else 0.46  # some keep the knee bent
    one = rng.uniform(1.4, 2.4) if stays else rng.uniform(0.6, 1.9)
    n = repeats(rng, length, one + 0.3, 2 if stays else 3)
    d = length or n * (one + rng.uniform(0.05, 0.5))
    gap = d / n
    one = min(one, gap)
    side, turn = int(rng.integers(2)), rng.random() < 0.35
    sides = [(side + i * turn) % 2 for i in range(n)]
    high, azim, style = rng.uniform(0.14, 0.6), rng.choice([0.0, rng.uniform(0, 1.5)], p=[0.5, 0.5]), rng.uniform(0, 1)
    guard = rng.random() < 0.35
    back, knee = rng.uniform(0, 0.12), rng.uniform(0, 0.2) * (rng.random() < 0.4)  # some lift the knee first
    hold = rng.uniform(0.5, 1) if stays else rng.uniform(0, 1) * (rng.random() < 0.3)

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        on = bump(t, -0.2, 0.15, d - 0.15, d + 0.3)
        for i, s in enumerate(sides):
            a = i * gap
            wind = bump(t, a, a + 0.25 * one, a + 0.27 * one, a + 0.5 * one)
            k = bump(t, a + 0.22 * one, a + (0.5 - 0.15 * hold) * one, a + (0.55 + 0.28 * hold) * one, a + 0.97 * one)
            out = reach * np.cos(style * 0.3)
            x, z = np.sin(azim) * out, np.cos(azim) * out
            p.ankle[:, s, 0] += SIGN[s] * x * k
            p.ankle[:, s, 2] += z * k - back * wind
            p.ankle[:, s, 1] += high * k**1.5 + 0.05 * wind + knee * (wind + k * (1 - k))
            p.toe[:, s] += 0.7 * k - 0.9 * k * (high > 0.25)
            p.rot[:, 0] -= 0.22 * k * np.cos(azim) - 0.08 * wind
            p.rot[:, 2] -= SIGN[s] * 0.3 * k * np.sin(azim)
            p.rot[:, 1] += SIGN[s] * (0.2 * wind - 0.15 * k)
            p.root[:, 0] -= SIGN[s] * 0.035 * (wind + k)
            p.root[:, 1] -= 0.012 * (wind + k)
            for q in (0, 1):
                release(p, q, np.clip(wind + k, 0, 1))
                p.elev[:, q] += (0.7 if q != s else 0.35) * k
                p.azim[:, q] = to(p.azim[:, q], 0.5 if q != s else -0.4, k)
        if guard:
            for q in (0, 1):
                point(p, q, np.tile(np.array([-0.2, 0.0, 0.42]), (len(t), 1)), on)
        return p

    spans = tuple((i * gap + 0.08 * one, i * gap + 0.92 * one) for i in range(n))
    key = tuple((i * gap + 0.15 * one, i * gap + 0.9 * one, 0.6 * one) for i in range(n))
    return Action("kicking", d, pose, spans, key, frozenset({LEG_L + s for s in sides}))


def jump(rng: Rng, st: Stance, length: float | None) -> Action:
    """Crouch, take off, fly on a parabola and land softly; once high or many times low."""
    small = rng.random() < 0.4
    fly = rng.uniform(0.18, 0.3) if small else rng.uniform(0.32, 0.55)
    crouch, land = (rng.uniform(0.1, 0.2), rng.uniform(0.08, 0.18)) if small else (rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.5))
    one = crouch + fly + land
    n = repeats(rng, length, one, 8 if small else 2)
    if small:
        n = max(n, 4)
    d = length or n * one
    k = d / (n * one)
    crouch, land = crouch + (k - 1) * one / 2, land + (k - 1) * one / 2
    one = d / n
    height = 9.81 * fly**2 / 8 / 1.7
    deep = rng.uniform(0.015, 0.04) if small else rng.uniform(0.07, 0.17)
    arms, tuck = (rng.uniform(0, 0.5) if small else rng.uniform(0.2, 2.6)), rng.uniform(0, 0.12 if small else 0.22)
    drift = rng.normal(0, 0.03, 2)
    if not small and rng.random() < 0.4:  # a broad jump
        drift = np.array([rng.choice([-1.0, 1.0]) * rng.uniform(0.15, 0.6), rng.normal(0, 0.1)])

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        for i in range(n):
            a = i * one
            off, on = a + crouch, a + crouch + fly
            low = bump(t, a, a + 0.65 * crouch, a + 0.7 * crouch, off) + 0.8 * bump(
                t, on - 0.02, on + 0.35 * land, on + 0.4 * land, on + land
            )
            s = np.clip((t - off) / fly, 0, 1)
            air = 4 * s * (1 - s) * height
            p.root[:, 1] += air - deep * low
            p.ankle[:, :, 1] += (air + tuck * 4 * s * (1 - s))[:, None] * (s > 0)[:, None]
            p.toe += (0.7 * np.sin(PI * s))[:, None]
            p.rot[:, 0] += 0.35 * low * (deep / 0.15)
            for q in (0, 1):
                up = bump(t, a + 0.6 * crouch, off + 0.3 * fly, on - 0.3 * fly, on + 0.5 * land)
                release(p, q, np.clip(low + up, 0, 1))
                p.elev[:, q] += arms * up + 0.5 * low * (deep / 0.15)
                p.azim[:, q] = to(p.azim[:, q], 1.0 if arms > 1 else 0.3, up)
                p.azim[:, q] = to(p.azim[:, q], -PI / 2, low * min(1.0, deep / 0.1))
                p.flex[:, q] += 0.5 * up
            p.root[:, 0] += drift[0] * ease(t, off, on)
            p.root[:, 2] += drift[1] * ease(t, off, on)
            p.ankle[:, :, 0] += (drift[0] * ease(t, off, on))[:, None]
            p.ankle[:, :, 2] += (drift[1] * ease(t, off, on))[:, None]
        return p

    spans = tuple((i * one + 0.1 * crouch, (i + 1) * one - 0.1 * land) for i in range(n))
    key = (
        ((0.0, d, min(0.9, d)),)
        if small
        else tuple((i * one, i * one + crouch + fly + 0.5 * land, 0.85 * (crouch + fly + 0.4 * land)) for i in range(n))
    )
    return Action("jumping", d, pose, spans, key, EVERYTHING)


def _seat(rng: Rng, st: Stance, length: float | None, *, rise: bool) -> Action:
    """Sit down on a seat, or rise from it."""
    d = length or float(rng.choice([rng.uniform(0.8, 1.7), rng.uniform(1.5, 2.4)], p=[0.7, 0.3]))
    lean, arms = rng.uniform(0.35, 0.85), rng.choice(["knees", "hang", "front"], p=[0.6, 0.2, 0.2])
    seat, back = -rng.uniform(0.2, 0.27), rng.uniform(0.17, 0.23)
    slump = rng.normal(-0.05, 0.08)

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        q = d - t if rise else t  # standing up is sitting down in reverse, a little faster at its start
        down = ease(q, 0.12 * d, d)
        fold = bump(q, 0, 0.5 * d, 0.6 * d, 1.05 * d)
        p.root[:, 1] += seat * down - 0.01 * settle(t, d, 1.0) * (not rise)
        p.root[:, 2] -= back * ease(q, 0, 0.8 * d)
        p.rot[:, 0] += 0.7 * lean * fold + slump * down
        p.spine[:, 0] += 0.3 * lean * fold
        p.head[:, 0] -= 0.5 * lean * fold
        for s in (0, 1):
            if arms == "knees":
                point(p, s, np.tile(np.array([-0.05, -0.72, 0.5]), (len(t), 1)), ease(q, 0.2 * d, 0.9 * d))
            elif arms == "front":
                release(p, s, fold)
                p.elev[:, s] = to(p.elev[:, s], 1.2, fold)
                p.azim[:, s] = to(p.azim[:, s], 1.4, np.clip(2 * fold, 0, 1))
            p.ankle[:, s, 2] += 0.02
        return p

    name = "standing up" if rise else "sitting down"
    return Action(
        name, d, pose, ((0.08 * d, 0.95 * d),), ((0.05 * d, 0.95 * d, 0.68 * d),), EVERYTHING, seat=(0.525 + seat, -back)
    )


def sit(rng: Rng, st: Stance, length: float | None) -> Action:
    """Sit down: the trunk folds forwards, the hips go back and down, the trunk comes upright."""
    return _seat(rng, st, length, rise=False)


def rise(rng: Rng, st: Stance, length: float | None) -> Action:
    """Rise from a seat to standing."""
    return _seat(rng, st, length, rise=True)


def fall(rng: Rng, st: Stance, length: float | None) -> Action:
    """Lose balance or collapse, in any direction, and stay on the floor."""
    d = min(length or 99.0, float(rng.choice([rng.uniform(0.5, 1.15), rng.uniform(1.0, 1.9)], p=[0.75, 0.25])))
    slide = (
        rng.choice([-1.0, 1.0]) * rng.uniform(0, 0.9) * (rng.random() < 0.35)
    )  # body heights a second before and while it falls
    way = rng.choice(["front", "back", "left", "right"], p=[0.25, 0.25, 0.25, 0.25])
    buckle, flail, twist = rng.uniform(0, 1), rng.uniform(0.2, 1.6), rng.normal(0, 0.5)
    stumble = rng.uniform(0, 0.25)
    end = rng.uniform(1.3, 1.55)

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        s = np.clip(t / d, 0, 1)
        drop = np.where(s < 1, s**2.3, 1.0)  # a falling body gets faster all the way to the floor
        bounce = settle(t, d, 0.05, 2.5)
        a = end * drop - np.maximum(bounce, 0)
        k = {"front": (1.0, 0.0), "back": (-1.0, 0.0), "left": (0.0, -1.0), "right": (0.0, 1.0)}[way]
        p.rot[:, 0] += k[0] * a
        p.rot[:, 2] += k[1] * a
        # the hips swing down around the feet, but closer to them than a rigid body would, since the knees bend
        h = 0.525 * (1 - 0.25 * buckle * np.sin(PI * np.clip(s * 1.1, 0, 1)))
        r = h * np.sin(a) * (1 - 0.35 * buckle)
        y = np.maximum(h * np.cos(a) * (1 - 0.5 * buckle * drop), 0.065) - 0.525
        p.root[:, 1] += y
        p.root[:, 2] += k[0] * r
        p.root[:, 0] += -k[1] * r
        p.rot[:, 1] += twist * drop * 0.5
        for q in (0, 1):
            lift = np.maximum(np.sin(PI * np.clip(s, 0, 1)), 0)
            release(p, q, ease(t, 0, 0.3 * d))
            p.elev[:, q] += flail * lift + 0.6 * drop
            p.azim[:, q] = to(p.azim[:, q], 1.2 if way == "front" else 0.3, ease(t, 0, 0.5 * d))
            p.flex[:, q] += 0.6 * lift + 0.3 * drop
            p.ankle[:, q, 1] += 0.03 * drop + 0.05 * lift * (q == 0)
            p.ankle[:, q, 2] += stumble * 0.4 * k[0] * ease(t, 0, 0.4 * d) * (q == 0)
        p.head[:, 0] -= 0.4 * k[0] * drop
        way_along = slide * (np.minimum(t, d) - 0.5 * d)
        p.root[:, 0] += way_along
        p.ankle[:, :, 0] += way_along[:, None]
        return p

    return Action("falling down", d, pose, ((0.06 * d, d + 0.08),), ((0.15 * d, d, 0.72 * d),), EVERYTHING)
