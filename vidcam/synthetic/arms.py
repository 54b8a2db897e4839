"""Actions of the arms, and standing idle.

Each function returns an :class:`~vidcam.synthetic.motion.Action` of about ``length`` seconds; None chooses the length at random.
"""

from __future__ import annotations

import numpy as np

from vidcam.synthetic.arrays import Floats, Rng
from vidcam.synthetic.body import ARM_L, Pose
from vidcam.synthetic.motion import PI, SIGN, Action, Stance, bump, ease, point, release, repeats, settle, to

BOTH_ARMS = frozenset({0, 1})


def idle(rng: Rng, st: Stance, length: float | None) -> Action:
    """Rest: breathe, shift the weight, look around."""
    d = length or 8.0
    turn, t0 = rng.normal(0, 0.35) * (rng.random() < 0.35), rng.uniform(0, d * 0.4)

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        p.head[:, 1] += turn * bump(t, t0, t0 + 0.7, t0 + 2, t0 + 2.8)
        return p

    return Action("standing idle", d, pose, ((0, d),), ((0, d, 1.0),), frozenset())


def wave(rng: Rng, st: Stance, length: float | None) -> Action:
    """Raise one forearm beside the head by the side or the front, swing it some times, and lower it again."""
    side = int(rng.integers(2))
    up, down = rng.uniform(0.4, 0.85), rng.uniform(0.45, 0.9)
    d = length or up + down + rng.uniform(0.9, 3.2)
    b, c = min(up, d * 0.3), d - min(down, d * 0.3)
    kind = rng.choice(["beside", "high", "low", "front"], p=[0.64, 0.12, 0.14, 0.1])
    elev = {
        "beside": rng.uniform(0.75, 1.75),
        "high": rng.uniform(2.0, 2.7),
        "low": rng.uniform(0.15, 0.6),
        "front": rng.uniform(0.7, 1.5),
    }[kind]
    azim = {
        "beside": rng.uniform(-0.1, 0.6),
        "high": rng.uniform(-0.1, 0.5),
        "low": rng.uniform(0.1, 0.9),
        "front": rng.uniform(0.7, 1.25),
    }[kind]
    rate, size = rng.uniform(1.3, 3.2), rng.uniform(0.2, 0.65)
    size *= min(1.0, 2.0 / rate)
    lean = rng.normal(-0.08, 0.16)
    wristy, shoulder, phase = rng.uniform(0, 0.9), rng.uniform(0, 0.25) * (kind != "low"), rng.uniform(0, 2 * PI)
    outward = rng.uniform(0, 0.8) * (rng.random() < 0.6)  # the hand comes up in an arc by the side
    late = rng.uniform(0.05, 0.4)
    sway = rng.normal(0, 0.02)

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        e = bump(t, 0, b, c, d)
        fe = bump(t, late * b, b, c, d - late * (d - c))
        swing = np.sin(2 * PI * rate * (t - 0.85 * b) + phase) * bump(t, 0.75 * b, 1.1 * b, c - 0.1, c + 0.15)
        release(p, side, e)
        p.elev[:, side] = to(p.elev[:, side], elev, e) + shoulder * size * swing + settle(t, b, 0.05)
        p.azim[:, side] = to(p.azim[:, side], azim, e)
        straight = np.clip(PI - p.elev[:, side], 0.15, 2.5)
        a = size * swing + lean * fe
        p.flex[:, side] = np.clip(to(p.flex[:, side], straight, fe) + a * np.cos(azim), 0.05, 2.6)
        h = np.stack([np.sin(-a * np.sin(azim)) + 0.2 * outward * (1 - fe), np.cos(a * np.sin(azim)), 0.18 * np.ones_like(a)], -1)
        mixing = ease(e, 0.0, 0.5)[:, None]
        side_arc = np.stack([outward * e, 0 * e, np.maximum(1 - 1.2 * outward * e, 0.1)], -1)
        p.hinge[:, side] = (p.hinge[:, side] * (1 - e[:, None]) + side_arc * e[:, None]) * (1 - mixing) + h * mixing
        p.tilt[:, side] += -wristy * size * np.sin(2 * PI * rate * (t - 0.85 * b) + phase - 0.7) * bump(t, b, 1.2 * b, c, d)
        p.grip[:, side] = to(p.grip[:, side], 0.0, e)
        p.spine[:, 2] += sway * e + 0.015 * SIGN[side] * swing
        p.head[:, 2] += rng_tilt * e
        return p

    rng_tilt = rng.normal(0, 0.06)
    need = min(0.62 * (c - b), 0.75)
    return Action(
        "waving one hand", d, pose, ((0.15 * b, d - 0.2 * (d - c)),), ((b * 0.8, c + 0.1, need),), frozenset({ARM_L + side})
    )


def _raise(rng: Rng, st: Stance, length: float | None, *, front: bool) -> Action:
    """Raise both arms once or several times, in front or by the sides."""
    up, down, hold = rng.uniform(0.55, 1.5), rng.uniform(0.5, 1.4), rng.choice([rng.uniform(0, 0.3), rng.uniform(0.3, 1.6)])
    gap = 0.25
    if beats := bool(rng.random() < 0.45):  # up and down again and again, without a rest
        up, down = rng.uniform(0.3, 1.0), rng.uniform(0.3, 1.0)
        hold, gap = rng.choice([rng.uniform(0, 0.1), rng.uniform(0.1, 0.5)]), rng.uniform(0, 0.25)
    one = up + hold + down
    once = length is None and not beats and rng.random() < 0.75
    times = 1 if once else repeats(rng, length, one + gap + 0.05, 6 if beats else 2)
    if beats:
        times = max(times, 2)
    d = length or times * (one + gap)
    stretch = d / (times * (one + gap))
    up, down, hold, gap = up * stretch, down * stretch, hold * stretch, gap * stretch
    top = rng.choice([rng.uniform(1.35, 1.75), rng.uniform(1.75, 2.5), rng.uniform(2.5, 3.3)], p=[0.34, 0.16, 0.5])
    azim = rng.normal(PI / 2, 0.1, 2) if front else rng.normal(0.0, 0.09, 2) + rng.uniform(-0.05, 0.2)
    bent = rng.choice([rng.uniform(0.02, 0.25), rng.uniform(0.3, 0.9)], p=[0.6, 0.4])
    on_the_way = rng.uniform(0, 1.1) if rng.random() < 0.5 and front else rng.uniform(0, 0.3)
    lag, uneven = rng.normal(0, 0.05, 2), rng.normal(0, 0.06, 2)
    arch, palm = rng.uniform(0, 0.1), rng.normal(0, 0.2)
    starts = [i * (up + hold + down + gap) for i in range(times)]

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        for s in (0, 1):
            e, way = np.zeros_like(t), np.zeros_like(t)
            for a in starts:
                a = a + lag[s]
                e += bump(t, a, a + up, a + up + hold, a + up + hold + down)
                way += bump(t, a, a + 0.45 * up, a + 0.5 * up, a + up)
                way += bump(t, a + up + hold, a + up + hold + 0.45 * down, a + up + hold + 0.5 * down, a + up + hold + down)
            release(p, s, np.clip(e * 3, 0, 1))
            p.elev[:, s] = to(p.elev[:, s], top + uneven[s], e) + sum(settle(t, a + up * 0.97, 0.05) for a in starts) * e
            p.azim[:, s] = to(p.azim[:, s], azim[s], np.clip(e * 5, 0, 1))
            p.flex[:, s] = to(p.flex[:, s], bent, e) + on_the_way * way
            inward = np.array([-0.75, 0.3, 0.25]) if not front else np.array([-0.25, 0.9, 0.1])
            p.hinge[:, s] = p.hinge[:, s] * (1 - e[:, None]) + inward * e[:, None]
            p.tilt[:, s] += palm * e
            p.grip[:, s] = to(p.grip[:, s], 0.05, e)
        p.spine[:, 0] -= arch * e
        p.root[:, 2] -= 0.01 * e * front
        return p

    w = 0.1
    spans = tuple((a + w * up, a + up + hold + (1 - w) * down) for a in starts)
    rises = tuple((a, a + up, 0.72 * up) for a in starts)
    falls = tuple((a + up + hold, a + up + hold + down, 0.72 * down) for a in starts)
    name = "raising both arms in front" if front else "raising both arms sideways"
    return Action(name, d, pose, spans, rises + falls, BOTH_ARMS)


def raise_sideways(rng: Rng, st: Stance, length: float | None) -> Action:
    """Raise both arms by the sides in the plane of the body, and lower them."""
    return _raise(rng, st, length, front=False)


def raise_front(rng: Rng, st: Stance, length: float | None) -> Action:
    """Raise both arms in front of the body to shoulder height or overhead, and lower them."""
    return _raise(rng, st, length, front=True)


def clap(rng: Rng, st: Stance, length: float | None) -> Action:
    """Clap the hands again and again in front of the chest, the belly or the face."""
    up, down = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7)
    d = length or up + down + rng.uniform(1.0, 4.0)
    rate, gap, sharp = rng.uniform(1.0, 4.0), rng.uniform(0.12, 0.55), rng.uniform(0.7, 1.8)
    loop = 0.0
    lift, retreat = 0.1, 0.04  # how much higher and further back the hands are when they are apart
    y, z, phase = rng.uniform(-0.65, 0.1), rng.uniform(0.42, 0.7), rng.uniform(0, 2 * PI)
    if rng.random() < 0.45:  # wide claps, often out to the sides, some from before the hips
        rate, gap, lift = rng.uniform(0.55, 1.8), rng.uniform(0.6, 1.25), rng.uniform(-0.3, 0.5)
        retreat = rng.uniform(0, 0.5)
        if rng.random() < 0.4:
            y, z, lift = rng.uniform(-0.95, -0.6), rng.uniform(0.25, 0.55), rng.uniform(0.2, 0.7)
        if rng.random() < 0.5:  # the hands come from above and part below
            loop = rng.uniform(0.1, 0.6)
    gap *= min(1.0, 2.6 / rate)
    bob, one_sided = rng.uniform(0, 0.05), rng.uniform(0.3, 1) if rng.random() < 0.3 else 1.0

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        e = bump(t, 0, up, d - down, d)
        on = bump(t, 0.7 * up, up, d - down, d - 0.7 * down)
        turn = 2 * PI * rate * t + phase
        opened, above = (0.5 + 0.5 * np.cos(turn)) ** sharp, loop * np.sin(turn)
        for s in (0, 1):
            x = -0.34 + gap * opened * on * (one_sided if s else 1.0) + 0.12 * (1 - on)
            point(p, s, np.stack([x, y + (lift + bob) * opened * on + above * on, z - retreat * opened], -1), e)
            p.grip[:, s] = to(p.grip[:, s], 0.0, e)
            p.tilt[:, s] += 0.35 * e
        p.root[:, 1] += 0.006 * opened * on
        p.head[:, 0] += 0.04 * opened * on
        return p

    return Action("clapping", d, pose, ((0.5 * up, d - 0.4 * down),), ((0.8 * up, d - 0.8 * down, min(0.7, 0.5 * d)),), BOTH_ARMS)


def box(rng: Rng, st: Stance, length: float | None) -> Action:
    """Punch out of a guard before the chin, mostly straight, with turning shoulders and light feet."""
    up, down = rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.6)
    d = length or up + down + rng.uniform(1.4, 4.0)
    blow = float(rng.choice([rng.uniform(0.26, 0.5), rng.uniform(0.4, 0.85)], p=[0.65, 0.35]))
    moves = float(rng.choice([0.0, rng.uniform(0.03, 0.12)]))  # steps to and fro
    n = int((d - up - down) / blow) + 1
    sides = [int(i % 2) if rng.random() < 0.85 else int(rng.integers(2)) for i in range(n)]
    kinds = rng.choice(["jab", "hook", "upper"], p=[0.78, 0.12, 0.1], size=n)
    at = up + blow * (np.arange(n) + rng.uniform(-0.08, 0.08, n))
    guard_y, guard_z = rng.uniform(-0.12, 0.22), rng.uniform(0.36, 0.5)
    high, bounce, bounce_rate, twist = rng.normal(0.05, 0.12), rng.uniform(0, 0.018), rng.uniform(1.5, 3), rng.uniform(0.1, 0.45)
    lead, crouch, phase = rng.choice([-1.0, 1.0]) * rng.uniform(0, 0.5), rng.uniform(0, 0.05), rng.uniform(0, 2 * PI)

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        e = bump(t, 0, up, d - down, d)
        guard = np.array([-0.2, guard_y, guard_z])
        goal = {"jab": (-0.3, high, 0.99), "hook": (-0.45, high, 0.75), "upper": (-0.28, 0.35, 0.72)}
        for s in (0, 1):
            g = np.tile(guard, (len(t), 1))
            for i in range(n):
                if sides[i] == s:
                    k = bump(t, at[i], at[i] + 0.42 * blow, at[i] + 0.5 * blow, at[i] + 1.05 * blow)[:, None]
                    arc = 0.0
                    if kinds[i] != "jab":
                        arc = np.sin(np.clip((t - at[i]) / blow, 0, 1) * PI)[:, None] * np.array([0.45, -0.2, 0.0])
                    g = g * (1 - k) + np.array(goal[kinds[i]]) * k + arc * (1 - k)
                    p.spine[:, 1] -= SIGN[s] * twist * k[:, 0] * e
            point(p, s, g, e)
            p.grip[:, s] = to(p.grip[:, s], 1.0, e)
        hop = np.abs(np.sin(PI * bounce_rate * t))
        p.root[:, 1] += (bounce * hop - crouch) * e
        p.ankle[:, :, 1] += (np.maximum(bounce * (hop - 0.5), 0) * e)[:, None]
        p.rot[:, 1] += lead * e
        p.ankle[:, 0, 2] -= 0.06 * np.sign(lead) * e
        p.ankle[:, 1, 2] += 0.06 * np.sign(lead) * e
        p.head[:, 1] -= lead * 0.8 * e
        step = moves * np.sin(2 * PI * 0.5 * t + phase) * e
        p.root[:, 0] += step
        p.ankle[:, :, 0] += step[:, None]
        return p

    return Action("boxing", d, pose, ((0.6 * up, d - 0.5 * down),), ((up, d - down, min(0.8, 0.55 * d)),), BOTH_ARMS)


def circles(rng: Rng, st: Stance, length: float | None) -> Action:
    """Circle straight arms: big circles beside the body, or small ones with the arms held sideways."""
    big = rng.random() < 0.55
    rate = rng.uniform(0.6, 1.3) if big else rng.uniform(0.9, 2.2)
    up, down = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7)
    d = length or up + down + rng.uniform(1.6, 4.0)
    way, phase, opposed = rng.choice([-1.0, 1.0]), rng.uniform(0, 2 * PI), rng.random() < 0.15
    size, flare, bent = rng.uniform(0.25, 0.65), rng.uniform(0.15, 0.45), rng.uniform(0.02, 0.35)
    if big:
        turns = max(1, round((d - 0.2) * rate))
        rate, phase = turns / d, 0.0

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        e = bump(t, 0, up, d - down, d) if not big else bump(t, 0, 0.25 * up, d - 0.25 * down, d)
        for s in (0, 1):
            a = way * (-1 if opposed and s else 1) * 2 * PI * rate * np.clip(t, 0, d) + phase
            if big:  # round the left-right axis, tilted outwards: down, front, up, back
                v = np.stack([np.full_like(a, flare), -np.cos(a), np.sin(a)], -1)
            else:
                v = np.stack([np.ones_like(a), size * np.cos(a), size * np.sin(a)], -1)
            v /= np.sqrt((v * v).sum(-1, keepdims=True))
            release(p, s, e)
            hang = np.stack([np.full_like(a, 0.15), -np.ones_like(a), np.full_like(a, 0.05)], -1)
            v = v * e[:, None] + hang * (1 - e[:, None])
            v /= np.sqrt((v * v).sum(-1, keepdims=True))
            p.elev[:, s] = np.arccos(np.clip(-v[:, 1], -1, 1))
            p.azim[:, s] = np.arctan2(v[:, 2], v[:, 0])
            p.flex[:, s] = to(p.flex[:, s], bent, e)
            p.hinge[:, s] = np.array([-0.1, 0.4, 1.0])
        p.root[:, 1] += 0.006 * np.sin(2 * PI * rate * t) * e
        return p

    return Action("arm circles", d, pose, ((0.15, d - 0.2),), ((0.15, d - 0.15, min(1.1, 0.8 * d)),), BOTH_ARMS)


def jack(rng: Rng, st: Stance, length: float | None) -> Action:
    """Hop so that the legs open while the arms go up by the sides, and close again."""
    steps = bool(rng.random() < 0.3)  # one leg after the other steps aside, nobody hops
    period = rng.uniform(0.9, 2.0) if steps else rng.uniform(0.6, 1.6)
    pause = 0.02  # the share of the way at whose ends the body holds
    if rng.random() < 0.4:
        pause = float(rng.uniform(0.1, 0.35))
        period *= 1 + 4 * pause
    n = max(1, round((length or rng.uniform(2, 5)) / period))
    d = length or n * period
    period = d / n
    width, top, hop = rng.uniform(0.1, 0.19), rng.uniform(2.0, 3.0), rng.uniform(0.015, 0.05)
    bent, front = rng.uniform(0.05, 0.5), rng.normal(0.1, 0.08)
    sink = 0.03  # how far the hips go down while the legs are apart
    if rng.random() < 0.3:
        sink, hop = rng.uniform(0.03, 0.1), rng.uniform(0.03, 0.09) * (not steps)
    if rng.random() < 0.15:  # half jacks: the arms go to shoulder height
        top = rng.uniform(1.5, 1.8)
    elif rng.random() < 0.35:  # the elbows bend over the head
        bent = rng.uniform(0.6, 1.7)
    hop *= not steps
    early = rng.uniform(0.3, 0.8) if rng.random() < 0.3 else 1.0  # the legs are open before the arms are up, and stay so

    def pose(t: Floats) -> Pose:
        p = st.pose(t)
        q = np.clip(t, 0, d) / period
        way = 0.5 - 0.5 * np.cos(2 * PI * q)
        o, apart = ease(way, pause, 1 - pause), ease(way, pause * early, (1 - pause) * early)
        e = bump(t, 0, 0.1, d - 0.1, d)
        air = np.abs(np.sin(2 * PI * q)) * hop * e
        for s in (0, 1):
            release(p, s, e)
            p.elev[:, s] = to(p.elev[:, s], top, o)
            p.azim[:, s] = to(p.azim[:, s], front, e)
            p.flex[:, s] = to(p.flex[:, s], bent, o)
            p.hinge[:, s] = np.array([-0.6, 0.4, 0.3])
            turn = (np.floor(q) % 2 == s) if steps else 1.0
            p.ankle[:, s, 0] += SIGN[s] * width * (1.4 if steps else 1.0) * apart * turn
            p.ankle[:, s, 1] += np.maximum(air - 0.006, 0) + steps * 0.03 * np.abs(np.sin(2 * PI * q)) * e * turn
        p.root[:, 1] += air - sink * apart - 0.012 * e * (1 - np.abs(np.sin(2 * PI * q)))
        return p

    return Action("jumping jack", d, pose, ((0.05, d - 0.05),), ((0, d, min(0.8 * d, 1.0)),), frozenset({0, 1, 2, 3}))
