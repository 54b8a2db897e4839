"""Drawing: shapes before a camera, painted from back to front.

Pictures have four channels while they are painted: red, green, blue and *whose* (0 background, ``PERSON`` the acting person,
``PART`` the parts that make the action). So the masks take account of everything that stands in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.synthetic.arrays import Bools, Colour, Floats, unit
from vidcam.synthetic.camera import Camera

PERSON, PART = 120, 255
_SHIFT = 4
_CAP = np.linspace(-np.pi / 2, np.pi / 2, 6)
_ROUND = np.stack([np.cos(_CAP), np.sin(_CAP)], -1)


@dataclass
class Shape:
    """One convex patch over time.

    Polygons of fixed point numbers, depth ``(n,)`` in metres, colours ``(n,4)``, and the moments ``(n,)`` when it is visible.
    """

    polys: Sequence[npt.NDArray[np.int32]]
    depth: Floats
    colours: list[tuple[float, ...]]
    visible: Bools | None = None


@dataclass
class Light:
    """The direction of the light (a unit vector in the world) and the strength of the shading."""

    direction: Floats
    contrast: float


def fixed(xy: Floats) -> npt.NDArray[np.int32]:
    """Return pixels as fixed point numbers within the range that OpenCV can draw."""
    return np.clip(np.rint(xy * (1 << _SHIFT)), -200_000, 200_000).astype(np.int32)


def patch(xy: Floats, depth: Floats, colour: Colour, whose: int = 0, visible: Bools | None = None) -> Shape:
    """Return a shape of polygons ``xy (n,P,2)`` px in one colour."""
    return Shape(list(fixed(xy)), depth, [(*colour, whose)] * len(xy), visible)


def paint(canvas: npt.NDArray[np.uint8], shapes: Sequence[Shape], moment: int, order: npt.NDArray[np.intp]) -> None:
    """Paint the shapes of one moment onto ``canvas (H,W,4)`` in ``order``."""
    for i in order:
        s = shapes[i]
        if s.visible is None or s.visible[moment]:
            cv2.fillConvexPoly(canvas, s.polys[moment], s.colours[moment], cv2.LINE_AA, _SHIFT)


def orders(shapes: Sequence[Shape]) -> npt.NDArray[np.intp]:
    """Return the painting orders ``(n, shapes)``, the farthest shape first."""
    return np.argsort(-np.stack([s.depth for s in shapes]), axis=0, kind="stable").T


@dataclass
class Limbs:
    """Tapered limbs with round ends, collected and then turned into polygons all at once."""

    a: list[Floats] = field(default_factory=list)
    b: list[Floats] = field(default_factory=list)
    facts: list[tuple[float, float, Colour, int, float, bool]] = field(default_factory=list)

    def add(
        self, a: Floats, b: Floats, ra: float, rb: float, colour: Colour, group: int, *, front: float = 0.0, lit: bool = False
    ) -> None:
        """Add a limb from ``a`` to ``b`` with radii in metres.

        ``front`` moves it nearer by so many metres; ``lit`` adds a bright side.
        """
        self.a.append(a)
        self.b.append(b)
        self.facts.append((ra, rb, colour, group, front, lit))

    def shapes(self, camera: Camera, light: Light, whose: Sequence[int]) -> Iterable[Shape]:
        """Yield the limbs as shapes; ``whose`` gives the fourth channel of each body group."""
        a, b = np.stack(self.a, 1), np.stack(self.b, 1)
        ra, rb, front = (np.array([f[i] for f in self.facts]) for i in (0, 1, 4))
        cols = np.array([f[2] for f in self.facts])
        groups = [whose[f[3]] for f in self.facts]
        axis = unit(b - a)
        facing = np.sqrt(np.maximum(1 - (axis @ light.direction) ** 2, 0))
        bright = 1 + 0.7 * light.contrast * (facing - 0.85)
        pa, za, sa = camera.project(a)
        pb, zb, sb = camera.project(b)
        depth = (za + zb) / 2 - front
        glow = (camera.frame @ light.direction)[:2] * 0.3
        lit = np.flatnonzero([f[5] for f in self.facts])
        rad_a, rad_b = np.maximum(ra * sa, 0.35), np.maximum(rb * sb, 0.35)
        dark = np.array([0.88 if f[5] else 1.0 for f in self.facts])
        yield from _capsules(pa, pb, rad_a, rad_b, depth, cols * bright[..., None] * dark[:, None], groups)
        if len(lit) and light.contrast > 0.15:
            la, lb = rad_a[:, lit], rad_b[:, lit]
            yield from _capsules(
                pa[:, lit] + glow * la[..., None], pb[:, lit] + glow * lb[..., None], la * 0.6, lb * 0.6,
                depth[:, lit] - 0.002, cols[lit] * bright[:, lit, None] * (1 + 0.14 * light.contrast), [groups[i] for i in lit],
            )  # fmt: skip


def _capsules(
    pa: Floats, pb: Floats, ra: Floats, rb: Floats, depth: Floats, cols: Floats, groups: Sequence[int]
) -> Iterable[Shape]:
    """Yield the shapes of limbs from ``pa`` to ``pb (n,limbs,2)`` with radii ``ra`` and ``rb``, in pixels."""
    d = pb - pa
    length = np.sqrt((d * d).sum(-1, keepdims=True))
    u = np.where(length > 1e-6, d / np.maximum(length, 1e-6), np.array([0.0, 1.0]))
    v = np.stack([-u[..., 1], u[..., 0]], -1)
    cap = u[..., None, :] * _ROUND[:, :1] + v[..., None, :] * _ROUND[:, 1:]
    xy = np.concatenate([pb[..., None, :] + cap * rb[..., None, None], pa[..., None, :] - cap * ra[..., None, None]], -2)
    px = fixed(xy)
    c4 = np.concatenate([np.clip(cols, 0, 255), np.broadcast_to(np.array(groups, float)[:, None], (*cols.shape[:2], 1))], -1)
    for i in range(px.shape[1]):
        yield Shape(list(px[:, i]), depth[:, i], [tuple(c) for c in c4[:, i].tolist()])


def hull(camera: Camera, points: Floats, depth: Floats, colour: Colour, whose: int) -> Shape:
    """Return the convex hull of points ``(n,P,3)`` as a shape."""
    xy = camera.project(points)[0].astype(np.float32)
    polys = [fixed(cv2.convexHull(p)[:, 0].astype(float)) for p in xy]
    return Shape(polys, depth, [(*colour, whose)] * len(polys))
