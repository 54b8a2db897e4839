"""Everything around the people: rooms, landscapes, textures, things that move, and the motion of the camera."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.synthetic.body import Colour, Floats, colour, rgb
from vidcam.synthetic.draw import Shape, patch
from vidcam.synthetic.motion import wander

Picture = npt.NDArray[np.uint8]
Rng = np.random.Generator


def to_picture(values: npt.ArrayLike) -> Picture:
    """Any numbers as pixels, clipped to 0..255."""
    out: Picture = np.clip(np.asarray(values), 0, 255).astype(np.uint8)
    return out


def octaves(rng: Rng, h: int, w: int, *, roughness: float, first: int = 2) -> npt.NDArray[np.float32]:
    """``(h,w) float32`` about -1..1: noise summed over octaves, each ``roughness`` times as strong as the coarser one."""
    out = np.zeros((h, w), np.float32)
    k, a = first, 1.0
    while k < min(h, w) and a > 0.04:
        grid = rng.standard_normal((k + 1, k + 1), dtype=np.float32)
        out += np.float32(a) * cv2.resize(grid, (w, h), interpolation=cv2.INTER_CUBIC)
        k, a = k * 2, a * roughness
    return out / np.float32(max(float(np.abs(out).max()), 1e-6))


def _calm(rng: Rng) -> Colour:
    """A colour that a wall might have: mostly nearer to grey than those of clothes."""
    c = np.array(colour(rng))
    return rgb(c.mean() + (c - c.mean()) * (rng.uniform(0.1, 0.6) if rng.random() < 0.8 else 1.0) + rng.uniform(-10, 60))


def _gradient(rng: Rng, h: int, w: int) -> Picture:
    corners = np.array([[_calm(rng), _calm(rng)], [_calm(rng), _calm(rng)]], np.float32)
    if rng.random() < 0.6:
        corners = corners.mean((0, 1)) + (corners - corners.mean((0, 1))) * 0.25
    return np.clip(cv2.resize(corners, (w, h), interpolation=cv2.INTER_LINEAR), 0, 255).astype(np.uint8)


def _noise(rng: Rng, h: int, w: int) -> Picture:
    a, b = np.array(colour(rng), np.float32), np.array(colour(rng), np.float32)
    m = octaves(rng, h, w, roughness=rng.uniform(0.4, 0.95), first=int(rng.integers(2, 8)))[..., None] * 0.5 + 0.5
    out = a * m + b * (1 - m)
    if rng.random() < 0.5:
        out = out + np.float32(rng.uniform(10, 40)) * octaves(rng, h, w, roughness=0.8)[..., None] * np.array(
            rng.normal(1, 0.4, 3), np.float32
        )
    return to_picture(out)


def _rect(img: Picture, x0: float, y0: float, x1: float, y1: float, c: Colour, fill: int = -1) -> None:
    cv2.rectangle(img, (round(x0), round(y0)), (round(x1), round(y1)), c, fill, cv2.LINE_AA if fill > 0 else cv2.LINE_8)


def _leaves(rng: Rng, h: int, w: int, n: int | None = None, base: Picture | None = None) -> Picture:
    """Dead leaves: patches of all sizes that cover each other, whose edges are spread like those of photographs."""
    img = base if base is not None else _gradient(rng, h, w)
    n = n or int(rng.integers(25, 120))
    palette = [colour(rng) for _ in range(int(rng.integers(3, 9)))]
    size = np.sort(np.minimum((rng.pareto(1.3, n) + 0.25) * 0.045 * w, 0.45 * w))[::-1]
    at, angle, kind = rng.uniform(-0.1, 1.1, (n, 2)) * (w, h), rng.uniform(0, 180, n), rng.random(n)
    for i in range(n):
        c = rgb(np.array(palette[int(rng.integers(len(palette)))]) * rng.uniform(0.6, 1.25))
        x, y, s = float(at[i, 0]), float(at[i, 1]), float(size[i])
        if kind[i] < 0.4:
            cv2.ellipse(img, ((x, y), (s * 2, s * float(rng.uniform(0.6, 2))), float(angle[i])), c, -1, cv2.LINE_AA)
        elif kind[i] < 0.75:
            box = cv2.boxPoints(((x, y), (s * 2, s * float(rng.uniform(0.3, 2.5))), float(angle[i] if kind[i] < 0.5 else 0)))
            cv2.fillConvexPoly(img, box.astype(np.int32), c, cv2.LINE_AA)
        elif kind[i] < 0.9:
            pts = np.array([x, y]) + rng.normal(0, s, (3, 2))
            cv2.fillConvexPoly(img, pts.astype(np.int32), c, cv2.LINE_AA)
        else:
            d = rng.normal(0, 0.5 * w, 2)
            cv2.line(img, (int(x), int(y)), (int(x + d[0]), int(y + d[1])), c, int(rng.integers(1, 4)), cv2.LINE_AA)
    return img


def _room(rng: Rng, h: int, w: int, floor: float | None) -> Picture:
    wall = np.array(_calm(rng) if rng.random() < 0.5 else rgb(rng.uniform(150, 245) + rng.normal(0, 12, 3)), np.float32)
    light = (
        np.linspace(rng.uniform(0.75, 1.15), rng.uniform(0.75, 1.15), w, dtype=np.float32)[None, :, None]
        * np.linspace(rng.uniform(0.85, 1.1), rng.uniform(0.85, 1.1), h, dtype=np.float32)[:, None, None]
    )
    img = np.clip(wall * light, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:  # a wainscot or a partition
        y = rng.uniform(0.35, 0.8) * h
        _rect(img, 0, y, w, h, rgb(wall * rng.uniform(0.35, 0.9)))
    if rng.random() < 0.25:
        _bars(rng, img, 0, 0, w, h, rgb(wall * rng.uniform(0.85, 0.97)))
    if rng.random() < 0.2:  # corner of the room
        x = rng.uniform(0.1, 0.9) * w
        img[:, : int(x)] = (img[:, : int(x)] * rng.uniform(0.75, 0.95)).astype(np.uint8)
    things: list[Callable[[Rng, Picture], None]] = [
        _window,
        _door,
        _shelf,
        _poster,
        _poster,
        _monitor,
        _lamp,
        _plant,
        _furniture,
        _furniture,
    ]
    for i in rng.permutation(len(things))[: int(rng.integers(0, 11))]:
        things[i](rng, img)
    if floor is not None and floor < h:
        y = int(np.clip(floor, 0, h - 1))
        ground = np.array(colour(rng), np.float32) * 0.5 + np.array([90, 75, 60], np.float32)
        img[y:] = np.clip(
            ground * np.linspace(rng.uniform(0.6, 1), rng.uniform(0.8, 1.2), h - y, dtype=np.float32)[:, None, None], 0, 255
        ).astype(np.uint8)
        if rng.random() < 0.5:
            _rect(img, 0, y - 2, w, y, rgb(wall * rng.uniform(0.5, 1.2)))
        if rng.random() < 0.4:  # boards
            cx = rng.uniform(0.2, 0.8) * w
            for k in np.linspace(-3, 4, int(rng.integers(8, 24))):
                cv2.line(
                    img, (int(cx + (k * w - cx) * 0.5), y), (int(cx + (k * w - cx) * 1.6), h), rgb(ground * 0.8), 1, cv2.LINE_AA
                )
        for _ in range(int(rng.integers(0, 3))):
            _furniture(rng, img)
    return img


def _bars(rng: Rng, img: Picture, x0: float, y0: float, x1: float, y1: float, c: Colour) -> None:
    n, width = int(rng.integers(4, 20)), int(rng.integers(1, 3))
    for k in range(1, n):
        if n % 2:
            x = int(x0 + (x1 - x0) * k / n)
            cv2.line(img, (x, int(y0)), (x, int(y1)), c, width)
        else:
            y = int(y0 + (y1 - y0) * k / n)
            cv2.line(img, (int(x0), y), (int(x1), y), c, width)


def _box(
    rng: Rng, img: Picture, ws: tuple[float, float], hs: tuple[float, float], ys: tuple[float, float]
) -> tuple[float, float, float, float]:
    h, w = img.shape[:2]
    bw, bh = rng.uniform(*ws) * w, rng.uniform(*hs) * h
    x, y = rng.uniform(-0.15, 1.0) * w, rng.uniform(*ys) * h
    return x, y, x + bw, y + bh


def _window(rng: Rng, img: Picture) -> None:
    x0, y0, x1, y1 = _box(rng, img, (0.15, 0.45), (0.2, 0.5), (0.0, 0.3))
    frame = rgb(rng.uniform(150, 255) + np.zeros(3))
    _rect(img, x0, y0, x1, y1, rgb(np.array([210, 230, 250]) * rng.uniform(0.5, 1.1)))
    if rng.random() < 0.5:
        _rect(img, x0, (y0 + y1) / 2, x1, y1, rgb(np.array([110, 150, 90]) * rng.uniform(0.5, 1.3)))
    if rng.random() < 0.35:
        _bars(rng, img, x0, y0, x1, y1, frame)
    _rect(img, x0, y0, x1, y1, frame, 2)
    cv2.line(img, (int((x0 + x1) / 2), int(y0)), (int((x0 + x1) / 2), int(y1)), frame, 2)


def _door(rng: Rng, img: Picture) -> None:
    x0, y0, x1, _ = _box(rng, img, (0.15, 0.3), (0.5, 0.5), (0.0, 0.3))
    c = np.array(colour(rng))
    _rect(img, x0, y0, x1, img.shape[0], rgb(c))
    _rect(img, x0, y0, x1, img.shape[0], rgb(c * 0.7), 2)


def _shelf(rng: Rng, img: Picture) -> None:
    x0, y0, x1, y1 = _box(rng, img, (0.2, 0.5), (0.3, 0.7), (0.0, 0.4))
    _rect(img, x0, y0, x1, y1, rgb(np.array([120, 85, 55]) * rng.uniform(0.4, 1.6)))
    rows = int(rng.integers(2, 6))
    for r in range(rows):
        top, low = y0 + (y1 - y0) * (r + 0.15) / rows, y0 + (y1 - y0) * (r + 0.9) / rows
        x = x0 + 2
        while x < x1 - 3:
            bw = rng.uniform(1.5, 6)
            _rect(img, x, low - (low - top) * rng.uniform(0.5, 1), min(x + bw, x1 - 2), low, colour(rng))
            x += bw + rng.uniform(0, 2)


def _poster(rng: Rng, img: Picture) -> None:
    x0, y0, x1, y1 = _box(rng, img, (0.06, 0.25), (0.08, 0.3), (0.02, 0.5))
    _rect(img, x0, y0, x1, y1, colour(rng))
    for _ in range(int(rng.integers(0, 5))):
        a, b = rng.uniform(0, 1, 2), rng.uniform(0, 1, 2)
        _rect(
            img, x0 + (x1 - x0) * min(a), y0 + (y1 - y0) * min(b), x0 + (x1 - x0) * max(a), y0 + (y1 - y0) * max(b), colour(rng)
        )
    _rect(img, x0, y0, x1, y1, colour(rng), 1)


def _monitor(rng: Rng, img: Picture) -> None:
    x0, y0, x1, y1 = _box(rng, img, (0.12, 0.3), (0.1, 0.22), (0.3, 0.75))
    _rect(img, (x0 + x1) / 2 - 2, y1, (x0 + x1) / 2 + 2, y1 + 8, (30, 30, 30))
    _rect(img, x0, y0, x1, y1, (25, 25, 28))
    _rect(img, x0 + 2, y0 + 2, x1 - 2, y1 - 2, colour(rng))


def _lamp(rng: Rng, img: Picture) -> None:
    h, w = img.shape[:2]
    if rng.random() < 0.5:
        x, y, s = rng.uniform(0, 1) * w, rng.uniform(0, 0.2) * h, rng.uniform(0.1, 0.5) * w
        _rect(img, x, y, x + s, y + rng.uniform(2, 8), (255, 255, 250))
    else:
        cv2.circle(
            img,
            (int(rng.uniform(0, w)), int(rng.uniform(0, 0.5) * h)),
            int(rng.integers(3, 14)),
            (255, 248, 225),
            -1,
            cv2.LINE_AA,
        )


def _plant(rng: Rng, img: Picture) -> None:
    h, w = img.shape[:2]
    x, y, s = rng.uniform(0, w), rng.uniform(0.3, 1.0) * h, rng.uniform(0.05, 0.2) * w
    for _ in range(int(rng.integers(6, 22))):
        p = (float(x + rng.normal(0, s)), float(y - abs(rng.normal(0, s * 1.4))))
        cv2.ellipse(
            img,
            (p, (s * 0.8, s * 0.25), float(rng.uniform(0, 180))),
            rgb(np.array([60, 120, 50]) * rng.uniform(0.4, 1.5)),
            -1,
            cv2.LINE_AA,
        )


def _furniture(rng: Rng, img: Picture) -> None:
    h = img.shape[0]
    x0, y0, x1, y1 = _box(rng, img, (0.15, 0.6), (0.1, 0.35), (0.5, 0.9))
    c = np.array(colour(rng))
    _rect(img, x0, y0, x1, y1, rgb(c))
    _rect(img, x0, y0, x1, y0 + (y1 - y0) * rng.uniform(0.1, 0.5), rgb(c * rng.uniform(1.1, 1.4)))
    if rng.random() < 0.5:
        _rect(img, x0 + 2, y1, x0 + 4, h, rgb(c * 0.5))
        _rect(img, x1 - 4, y1, x1 - 2, h, rgb(c * 0.5))


def _outdoor(rng: Rng, h: int, w: int, floor: float | None) -> Picture:
    y = int(np.clip(floor if floor is not None else rng.uniform(0.4, 0.9) * h, 0.15 * h, h - 2))
    top, low = np.array([90, 150, 220]) * rng.uniform(0.5, 1.2), np.array([200, 220, 240]) * rng.uniform(0.6, 1.1)
    if rng.random() < 0.35:
        top, low = low * 0.9, low
    ramp = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    img = np.clip((top * (1 - ramp) + low * ramp) * np.ones((1, w, 1)), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        cloud = np.clip(octaves(rng, h, w, roughness=0.6, first=3), 0, 1)[..., None]
        img = np.clip(img + cloud * 70, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 5))):  # houses
        x, bw, bh = rng.uniform(-0.2, 1) * w, rng.uniform(0.15, 0.5) * w, rng.uniform(0.1, 0.6) * h
        c = np.array(colour(rng))
        _rect(img, x, y - bh, x + bw, y, rgb(c))
        if rng.random() < 0.7:
            for wx in np.arange(x + 3, x + bw - 4, rng.uniform(6, 12)):
                for wy in np.arange(y - bh + 3, y - 4, rng.uniform(7, 13)):
                    _rect(img, wx, wy, wx + 3, wy + 4, rgb(c * 0.5))
    for _ in range(int(rng.integers(0, 9))):  # trees and bushes
        x, s = rng.uniform(0, w), rng.uniform(0.05, 0.25) * w
        green = np.array([70, 110, 45]) * rng.uniform(0.4, 1.4)
        cv2.line(img, (int(x), int(y)), (int(x), int(y - s)), (70, 50, 35), max(1, int(s / 8)))
        for _ in range(9):
            p = (float(x + rng.normal(0, s * 0.4)), float(y - s * 1.2 + rng.normal(0, s * 0.4)))
            cv2.circle(
                img, (int(p[0]), int(p[1])), int(s * rng.uniform(0.2, 0.45)), rgb(green * rng.uniform(0.7, 1.3)), -1, cv2.LINE_AA
            )
    ground = np.array(
        [(95, 130, 60), (120, 115, 110), (190, 170, 130), (235, 235, 240)][int(rng.choice(4, p=[0.45, 0.3, 0.15, 0.1]))]
    ) * rng.uniform(0.6, 1.15)
    tex = octaves(rng, h - y, w, roughness=0.8, first=4)[..., None] * rng.uniform(5, 30) if h - y > 8 else 0.0
    img[y:] = np.clip(ground * np.linspace(0.85, 1.1, h - y)[:, None, None] + tex, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _bars(rng, img, 0, y - 12, w, y, rgb(ground * 0.6))
    return img


def background(rng: Rng, h: int, w: int, *, floor: float | None = None) -> Picture:
    """A random place ``(h,w,3)``; ``floor`` is the row where the floor meets the wall, None where it cannot be seen."""
    kind = rng.choice(["room", "outdoor", "leaves", "photo", "noise", "gradient"], p=[0.45, 0.14, 0.1, 0.14, 0.07, 0.1])
    if kind == "room":
        img = _room(rng, h, w, floor)
    elif kind == "outdoor":
        img = _outdoor(rng, h, w, floor)
    elif kind == "leaves":
        img = _leaves(rng, h, w)
    elif kind == "noise":
        img = _noise(rng, h, w)
    elif kind == "gradient":
        img = _gradient(rng, h, w)
    else:
        img = _leaves(rng, h, w, int(rng.integers(15, 60)), _noise(rng, h, w) if rng.random() < 0.6 else _room(rng, h, w, floor))
        img = to_picture(cv2.GaussianBlur(img, (0, 0), float(np.exp(rng.uniform(-1.0, 1.4)))))  # out of focus
        for _ in range(int(rng.integers(0, 14)) * (rng.random() < 0.3)):  # lights become discs
            x, y, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(2, 9)
            over = img.copy()
            cv2.circle(over, (int(x), int(y)), int(r), colour(rng), -1, cv2.LINE_AA)
            img = to_picture(cv2.addWeighted(img, 0.5, over, 0.5, 0))
    if rng.random() < 0.65:
        k = rng.uniform(4, 28)
        img = np.clip(
            img + octaves(rng, h, w, roughness=rng.uniform(0.6, 1.0), first=3)[..., None] * np.float32(k), 0, 255
        ).astype(np.uint8)
    if rng.random() < 0.25 and kind != "photo":
        img = to_picture(cv2.GaussianBlur(img, (0, 0), rng.uniform(0.3, 1.4)))
    if rng.random() < 0.3:  # light falls off
        yy, xx = np.mgrid[0:h, 0:w].astype(np.float32) / max(h, w)
        cx, cy = rng.uniform(0, 1, 2)
        fall = 1.15 - rng.uniform(0.2, 0.8) * np.sqrt((xx - cx) ** 2 + (yy - cy) ** 2)
        img = np.clip(img * fall[..., None].astype(np.float32), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(img)


def shake(rng: Rng, t: Floats, h: int, w: int, *, strength: float) -> Floats:
    """``(n,2,3)`` maps of the picture at the seconds ``t``; strength 0 is still, 1 trembles, from 2 on it pans and zooms."""
    n = len(t)
    out = np.zeros((n, 2, 3))
    out[:, 0, 0] = out[:, 1, 1] = 1
    if strength <= 0:
        return out
    size = 0.004 * strength * max(h, w)
    dx, dy = wander(rng, t, size, 1.2), wander(rng, t, size, 1.2)
    angle, zoom = wander(rng, t, 0.004 * strength, 0.7), 1 + wander(rng, t, 0.004 * strength, 0.6)
    if strength > 1.5:
        v = rng.normal(0, 0.012 * strength, 2) * (h, w)
        u = t - t.mean()
        dy, dx = dy + v[0] * u, dx + v[1] * u
        zoom = zoom * np.exp(rng.normal(0, 0.02 * strength) * u)
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    out[:, 0, 0], out[:, 0, 1], out[:, 1, 0], out[:, 1, 1] = c, -s, s, c
    cx, cy = w / 2, h / 2
    out[:, 0, 2] = cx - c * cx + s * cy + dx
    out[:, 1, 2] = cy - s * cx - c * cy + dy
    return out


def moving_things(
    rng: Rng, t: Floats, h: int, w: int, maps: Floats, *, count: int, near: bool = False, fast: float = 1.0
) -> list[Shape]:
    """Balls, cars, boxes and flickering screens that move through the picture behind (or ``near``: before) the people."""
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
    """Things in front: a desk edge, a laptop, a pillar, a plant, the back of a chair."""

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
