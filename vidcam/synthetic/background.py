"""Places: rooms, landscapes and textures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from vidcam.synthetic.arrays import Colour, Picture, Rng, to_picture
from vidcam.synthetic.body import colour, rgb
from vidcam.synthetic.open_places import ground, photo, studio
from vidcam.synthetic.textures import calm, gradient, noise, octaves

PHOTO_ODDS = 0.7
"""How often a place is part of a photograph, if there are any; the odds of the others add up to about 1."""


def background(rng: Rng, h: int, w: int, *, floor: float | None = None, photos: Sequence[Picture] = ()) -> Picture:
    """Return a random place ``(h,w,3)``.

    ``floor`` is the row where the floor meets the wall; None if it is not in the picture. Some places are parts of ``photos``, if
    there are any.
    """
    odds = np.array([odds for odds, _ in _PLACES.values()] + [PHOTO_ODDS * bool(photos)])
    kind = str(rng.choice([*_PLACES, "photo"], p=odds / odds.sum()))
    if kind == "photo":
        return photo(rng, h, w, floor, photos)
    img = _PLACES[kind][1](rng, h, w, floor)
    if rng.random() < 0.65:
        k = rng.uniform(4, 28)
        img = np.clip(
            img + octaves(rng, h, w, roughness=rng.uniform(0.6, 1.0), first=3)[..., None] * np.float32(k), 0, 255
        ).astype(np.uint8)
    if rng.random() < 0.25 and kind != "out of focus":
        img = to_picture(cv2.GaussianBlur(img, (0, 0), rng.uniform(0.3, 1.4)))
    if rng.random() < 0.3:  # light falls off
        yy, xx = np.mgrid[0:h, 0:w].astype(np.float32) / max(h, w)
        cx, cy = rng.uniform(0, 1, 2)
        fall = 1.15 - rng.uniform(0.2, 0.8) * np.sqrt((xx - cx) ** 2 + (yy - cy) ** 2)
        img = np.clip(img * fall[..., None].astype(np.float32), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(img)


def _out_of_focus(rng: Rng, h: int, w: int, floor: float | None) -> Picture:
    """Return a blurred place, sometimes with lights that have become discs."""
    base = noise(rng, h, w) if rng.random() < 0.6 else _room(rng, h, w, floor)
    img = _leaves(rng, h, w, int(rng.integers(15, 60)), base)
    img = to_picture(cv2.GaussianBlur(img, (0, 0), float(np.exp(rng.uniform(-1.0, 1.4)))))
    for _ in range(int(rng.integers(0, 14)) * (rng.random() < 0.3)):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(2, 9)
        over = img.copy()
        cv2.circle(over, (int(x), int(y)), int(r), colour(rng), -1, cv2.LINE_AA)
        img = to_picture(cv2.addWeighted(img, 0.5, over, 0.5, 0))
    return img


def _rect(img: Picture, x0: float, y0: float, x1: float, y1: float, c: Colour, fill: int = -1) -> None:
    cv2.rectangle(img, (round(x0), round(y0)), (round(x1), round(y1)), c, fill, cv2.LINE_AA if fill > 0 else cv2.LINE_8)


def _leaves(rng: Rng, h: int, w: int, n: int | None = None, base: Picture | None = None) -> Picture:
    """Return dead leaves: patches of all sizes that cover each other, with edges as in photographs."""
    img = base if base is not None else gradient(rng, h, w)
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
    wall = np.array(calm(rng) if rng.random() < 0.5 else rgb(rng.uniform(150, 245) + rng.normal(0, 12, 3)), np.float32)
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


_PLACES: dict[str, tuple[float, Callable[[Rng, int, int, float | None], Picture]]] = {
    "room": (0.34, _room), "outdoor": (0.12, _outdoor), "leaves": (0.07, lambda rng, h, w, floor: _leaves(rng, h, w)),
    "out of focus": (0.1, _out_of_focus), "noise": (0.04, lambda rng, h, w, floor: noise(rng, h, w)),
    "gradient": (0.05, lambda rng, h, w, floor: gradient(rng, h, w)), "studio": (0.1, studio), "ground": (0.1, ground),
}  # fmt: skip
"""How often each kind of place is drawn, and what draws it at the row of the floor."""
