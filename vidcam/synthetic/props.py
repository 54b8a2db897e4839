"""Things around the people: chairs, held objects, things in front, and things that move past."""

from __future__ import annotations

import numpy as np

from vidcam.synthetic.arrays import Colour, Floats, Rng, unit
from vidcam.synthetic.body import HEAD, Body, Skeleton, colour, rgb
from vidcam.synthetic.camera import Camera
from vidcam.synthetic.draw import Light, Limbs, Shape, hull, patch


def chair(camera: Camera, light: Light, *, seat: float, z: float, size: float, colour: Colour, n: int) -> list[Shape]:
    """Return a chair whose seat is ``seat`` metres high and ``z`` metres in front of the origin."""
    corners = np.array([[x, y, w] for x in (-1, 1) for y in (-1, 1) for w in (-1, 1)], float)
    top = corners * (0.125 * size, 0.012 * size, 0.12 * size) + (0, seat - 0.012 * size, z)
    back = corners * (0.12 * size, 0.13 * size, 0.01 * size) + (0, seat + 0.16 * size, z - 0.125 * size)
    out = []
    for points, k in ((top, 1.0), (back, 0.85)):
        p = np.broadcast_to(points, (n, *points.shape))
        out.append(hull(camera, p, camera.project(p.mean(1, keepdims=True))[1][:, 0] + 0.06, rgb(np.array(colour) * k), 0))
    limbs = Limbs()
    for x in (-1, 1):
        for w in (-1, 1):
            foot = np.array([x * 0.11 * size, 0.0, z + w * 0.1 * size])
            up = foot + np.array([0.0, seat, 0.0])
            limbs.add(
                np.tile(foot, (n, 1)),
                np.tile(up, (n, 1)),
                0.012 * size,
                0.012 * size,
                rgb(np.array(colour) * 0.7),
                HEAD,
                front=-0.07,
            )
    out += limbs.shapes(camera, light, [0] * 6)
    return out


def held(rng: Rng, body: Body, s: Skeleton, camera: Camera, light: Light) -> list[Shape]:
    """Return something in a person's hands: a stick or a tool, a ball, a bar with weights, an instrument."""
    limbs = Limbs()
    h, c, i = body.height, rgb(rng.uniform(0, 255, 3)), int(rng.integers(2))
    grip = s.wrist + (s.finger - s.wrist) * 0.5
    kind = rng.choice(["stick", "ball", "bar", "instrument"])
    if kind == "stick":
        along = unit(
            s.palm[:, i] * rng.normal(0, 0.6) + (s.finger - s.wrist)[:, i] / (body.hand * h) * rng.normal(0.6, 0.5) + 1e-6
        )
        length = rng.uniform(0.08, 0.7) * h
        limbs.add(
            grip[:, i] - along * length * 0.2,
            grip[:, i] + along * length,
            0.01 * h,
            rng.uniform(0.008, 0.06) * h,
            c,
            HEAD,
            lit=True,
        )
    elif kind == "ball":
        r = rng.uniform(0.03, 0.1) * h
        p = s.finger[:, i] if rng.random() < 0.5 else s.finger.mean(1)
        limbs.add(p, p, r, r, c, HEAD, lit=True, front=0.02)
    elif kind == "bar":
        d = unit(grip[:, 0] - grip[:, 1]) * rng.uniform(0.15, 0.5) * h
        limbs.add(grip[:, 0] + d, grip[:, 1] - d, 0.012 * h, 0.012 * h, (120.0, 120.0, 125.0), HEAD, front=0.01)
        r = rng.uniform(0.02, 0.13) * h
        for q, e in ((0, d), (1, -d)):
            limbs.add(grip[:, q] + e * 0.9, grip[:, q] + e, r, r, c, HEAD, front=0.02)
    else:
        low = s.pelvis + s.pelvis_frame[:, :, 2] * 0.1 * h + s.pelvis_frame[:, :, 0] * (0.1 * h * (1 - 2 * i))
        limbs.add(low, grip[:, 1 - i], rng.uniform(0.05, 0.14) * h, 0.02 * h, c, HEAD, front=0.06, lit=True)
        limbs.add(low, low, 0.05 * h, 0.05 * h, rgb(np.array(c) * 0.4), HEAD, front=0.08)
    return list(limbs.shapes(camera, light, [0] * 6))


def moving_things(
    rng: Rng, t: Floats, h: int, w: int, maps: Floats, *, count: int, near: bool = False, fast: float = 1.0
) -> list[Shape]:
    """Return balls, cars, boxes and screens that move behind the people, or before them if ``near``."""
    out: list[Shape] = []
    n = len(t)
    for _ in range(count):
        kind = rng.choice(["ball", "car", "box", "screen", "blob"])
        s = rng.lognormal(-2.6, 0.6) * w * (1.6 if near else 1)
        p0, v = rng.uniform(0, 1, 2) * (w, h), rng.normal(0, 0.28 * fast, 2) * (w, h)
        if kind == "screen":
            v = v * 0
        u = (t - t.mean())[:, None]
        p = p0 + v * u
        if kind == "ball":  # bounces
            p[:, 1] = p0[1] - np.abs(np.sin(t * rng.uniform(2, 5) + rng.uniform(0, 3))) * rng.uniform(0, 0.35) * h
        if kind == "car":
            p[:, 1] = p0[1]
        p = np.einsum("nij,nj->ni", maps[:, :, :2], p) + maps[:, :, 2]
        depth = np.full(n, 0.3 + 0.01 * rng.random() if near else 90 + rng.random())
        c = colour(rng)
        parts: list[tuple[Floats, Colour]] = []
        k = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        disc = np.stack([np.cos(k), np.sin(k)], -1)
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1.0]])
        if kind == "ball":
            parts = [(disc * s * 0.6, c), (disc * s * 0.3 - s * 0.15, rgb(np.array(c) * 1.25 + 15))]
        elif kind == "car":
            parts = [(square * (s * 1.8, s * 0.5), c), (square * (s, s * 0.4) - (0, s * 0.8), rgb(np.array(c) * 0.6))]
            parts += [(disc * s * 0.36 + (q * s, s * 0.55), (20.0, 20.0, 20.0)) for q in (-1, 1)]
        elif kind == "blob":
            parts = [
                (disc * (s * rng.uniform(0.5, 1.5), s) * rng.uniform(0.7, 1.2, (14, 1)), rgb(np.array(c) * f)) for f in (1.0,)
            ]
        else:
            parts = [(square * (s, s * rng.uniform(0.5, 1.5)), c)]
        for j, (xy, col) in enumerate(parts):
            shape = patch(p[:, None] + xy, depth - 1e-4 * j, col)
            if kind == "screen":
                f = np.clip(1 + rng.normal(0, 0.35, (n, 1)), 0.2, 2.5) * np.array(col) + rng.normal(0, 25, (n, 3))
                shape.colours = [(*rgb(x), 0) for x in f]
            out.append(shape)
    return out


def occluders(rng: Rng, n: int, h: int, w: int) -> list[Shape]:
    """Return something in front: the edge of a desk, a laptop, a pillar, a plant, the back of a chair."""

    def still(points: Floats, c: Colour, d: float) -> Shape:
        return patch(np.broadcast_to(points, (n, *points.shape)), np.full(n, d), c)

    c = np.array(colour(rng))
    kind = rng.choice(["desk", "laptop", "pillar", "plant", "chair"], p=[0.4, 0.15, 0.12, 0.18, 0.15])
    if kind == "desk":
        y, tilt = rng.uniform(0.78, 0.97) * h, rng.normal(0, 0.03) * h
        out = [still(np.array([[-5, y - tilt], [w + 5, y + tilt], [w + 5, h + 9], [-5, h + 9.0]]), rgb(c), 0.3)]
        out.append(
            still(np.array([[-5, y - tilt], [w + 5, y + tilt], [w + 5, y + tilt + 2], [-5, y - tilt + 2.0]]), rgb(c * 1.3), 0.29)
        )
        return out
    if kind == "laptop":
        x, s = rng.uniform(0.1, 0.8) * w, rng.uniform(0.15, 0.35) * w
        return [
            still(
                np.array([[x, h - s * 0.6], [x + s, h - s * 0.6], [x + s * 1.05, h + 5], [x - s * 0.05, h + 5]]),
                rgb(c * 0.5),
                0.3,
            )
        ]
    if kind == "pillar":
        x, s = float(rng.choice([rng.uniform(-0.1, 0.12), rng.uniform(0.85, 1.0)])) * w, rng.uniform(0.05, 0.2) * w
        return [still(np.array([[x, -5], [x + s, -5], [x + s, h + 5], [x, h + 5.0]]), rgb(c), 0.3)]
    if kind == "plant":
        x, s, out = float(rng.choice([0.0, 1.0])) * w, rng.uniform(0.08, 0.2) * w, []
        for j in range(int(rng.integers(4, 10))):
            a, q = rng.uniform(0, np.pi), np.array([x + rng.normal(0, s), h - abs(rng.normal(0, s * 1.5))])
            d, e = np.array([np.cos(a), np.sin(a)]) * s * 0.6, np.array([-np.sin(a), np.cos(a)]) * s * 0.15
            out.append(
                still(
                    np.array([q - d, q + e, q + d, q - e]), rgb(np.array([60, 115, 50]) * rng.uniform(0.4, 1.4)), 0.3 - 1e-3 * j
                )
            )
        return out
    x, s = rng.uniform(0, 0.8) * w, rng.uniform(0.15, 0.3) * w
    return [still(np.array([[x, h - s], [x + s, h - s], [x + s, h + 5], [x, h + 5.0]]), rgb(c), 0.3)]
