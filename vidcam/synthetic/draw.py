"""Shapes: a skeleton becomes limbs, clothes, a face and hands, seen by a camera and painted from back to front.

Pictures have four channels while they are painted: red, green, blue and *whose* (0 background, ``PERSON`` the acting person,
``PART`` the parts that make the action), so the masks know about everything that stands in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.synthetic.body import ARM_L, HEAD, LEG_L, SIDE, TORSO, Body, Colour, Floats, Skeleton, rgb, unit

PERSON, PART = 120, 255
_SHIFT = 4
_CAP = np.linspace(-np.pi / 2, np.pi / 2, 6)
_ROUND = np.stack([np.cos(_CAP), np.sin(_CAP)], -1)
_RING = np.linspace(0, 2 * np.pi, 8, endpoint=False)


@dataclass(frozen=True)
class Camera:
    """A pinhole at ``eye`` with the axes ``frame`` (rows: right, down, forward), ``focal`` px, and 2-D motion ``shake``."""

    eye: Floats  # (3,)
    frame: Floats  # (3,3)
    focal: tuple[float, float]  # x, y: they differ where the picture was squeezed
    centre: tuple[float, float]
    shake: Floats  # (n,2,3) affine maps of the picture: hand-held motion, pan and zoom

    def project(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Pixels ``(n,...,2)``, depth (m) and pixels per metre ``(n,...)`` of points ``(n,...,3)``."""
        p = (points - self.eye) @ self.frame.T
        z = np.maximum(p[..., 2], 0.15)
        xy = np.stack([p[..., 0] / z * self.focal[0] + self.centre[0], p[..., 1] / z * self.focal[1] + self.centre[1]], -1)
        lead = (len(self.shake),) + (1,) * (xy.ndim - 2)
        a = self.shake
        m = [a[:, i, j].reshape(lead) for i in range(2) for j in range(3)]
        out = np.stack([m[0] * xy[..., 0] + m[1] * xy[..., 1] + m[2], m[3] * xy[..., 0] + m[4] * xy[..., 1] + m[5]], -1)
        zoom = np.sqrt(np.abs(a[:, 0, 0] * a[:, 1, 1])).reshape(lead)
        return out, z, np.sqrt(self.focal[0] * self.focal[1]) / z * zoom


def look_at(
    target: Floats, *, azimuth: float, elevation: float, distance: float, roll: float, focal: tuple[float, float],
    centre: tuple[float, float], shake: Floats,
) -> Camera:  # fmt: skip
    """A camera ``distance`` metres from ``target``; azimuth 0 looks a person at yaw 0 in the face; radians."""
    back = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    forward = -back
    right = unit(np.cross(forward, [0.0, 1.0, 0.0]))
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    frame = np.stack([c * right + s * down, -s * right + c * down, forward])
    return Camera(target + back * distance, frame, focal, centre, shake)


@dataclass
class Shape:
    """One convex patch over time: polygons (fixed point), depth ``(n,)``, colours ``(n,4)`` or one, where it is visible."""

    polys: Sequence[npt.NDArray[np.int32]]
    depth: Floats
    colours: list[tuple[float, ...]]
    visible: npt.NDArray[np.bool_] | None = None


@dataclass
class Light:
    """Where the light comes from (unit vector, world), and how strong the shading is."""

    direction: Floats
    contrast: float


def fixed(xy: Floats) -> npt.NDArray[np.int32]:
    """Pixels as fixed point numbers, kept inside what OpenCV can draw."""
    return np.clip(np.rint(xy * (1 << _SHIFT)), -200_000, 200_000).astype(np.int32)


def patch(xy: Floats, depth: Floats, colour: Colour, whose: int = 0, visible: npt.NDArray[np.bool_] | None = None) -> Shape:
    """A shape of polygons ``xy (n,P,2)`` px in one colour."""
    return Shape(list(fixed(xy)), depth, [(*colour, whose)] * len(xy), visible)


def paint(canvas: npt.NDArray[np.uint8], shapes: Sequence[Shape], moment: int, order: npt.NDArray[np.intp]) -> None:
    """Paint the shapes of one moment onto ``canvas (H,W,4)`` in ``order``."""
    for i in order:
        s = shapes[i]
        if s.visible is None or s.visible[moment]:
            cv2.fillConvexPoly(canvas, s.polys[moment], s.colours[moment], cv2.LINE_AA, _SHIFT)


def orders(shapes: Sequence[Shape]) -> npt.NDArray[np.intp]:
    """``(n, shapes)`` painting orders, the farthest first."""
    return np.argsort(-np.stack([s.depth for s in shapes]), axis=0, kind="stable").T


@dataclass
class _Limbs:
    """Tapered round-ended limbs, collected and then turned into polygons all at once."""

    a: list[Floats] = field(default_factory=list)
    b: list[Floats] = field(default_factory=list)
    facts: list[tuple[float, float, Colour, int, float, bool]] = field(default_factory=list)

    def add(
        self, a: Floats, b: Floats, ra: float, rb: float, colour: Colour, group: int, *, front: float = 0.0, lit: bool = False
    ) -> None:
        """A limb from ``a`` to ``b`` with radii in metres; ``front`` brings it nearer (m); ``lit`` adds a bright side."""
        self.a.append(a)
        self.b.append(b)
        self.facts.append((ra, rb, colour, group, front, lit))

    def shapes(self, camera: Camera, light: Light, whose: Sequence[int]) -> Iterable[Shape]:
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


_WAIST_V = np.array([0.0, 0.4, 0.72, 0.92, 1.0])


def _surface(body: Body, s: Skeleton, v: Floats, angle: Floats) -> Floats:
    """Points ``(n,P,3)`` on the shirt at heights ``v`` (0 waist .. 1 neck) and angles (0 front, pi/2 left), both (n,P)."""
    h = body.height
    sw, g = body.shoulder, body.girth * body.loose**0.4
    w = np.interp(v, _WAIST_V, np.array([0.075 * g, 0.088 * g, sw * 0.93, sw * 0.9, sw * 0.42])) * h
    d = np.interp(v, _WAIST_V, np.array([0.055, 0.064, 0.06, 0.042, 0.034])) * g * h
    x, y, z = s.chest_frame[:, None, :, 0], s.chest_frame[:, None, :, 1], s.chest_frame[:, None, :, 2]
    up = v * 0.65 * body.torso * h * 1.02
    across, ahead = (w * np.sin(angle))[..., None], (d * np.cos(angle))[..., None]
    out: Floats = s.waist[:, None] + y * up[..., None] + x * across + z * ahead
    return out


def _hull(camera: Camera, points: Floats, depth: Floats, colour: Colour, whose: int) -> Shape:
    xy = camera.project(points)[0].astype(np.float32)
    polys = [fixed(cv2.convexHull(p)[:, 0].astype(float)) for p in xy]
    return Shape(polys, depth, [(*colour, whose)] * len(polys))


def figure(body: Body, s: Skeleton, camera: Camera, light: Light, *, whose: Sequence[int], grip: Floats) -> list[Shape]:
    """The shapes of one person; ``whose`` gives each body group's value in the fourth channel, ``grip (n,2)`` the fists."""
    h, g = body.height, np.sqrt(body.girth)
    n = len(s.pelvis)
    limbs = _Limbs()
    arm_r = np.array([0.031, 0.024, 0.017]) * h * g
    leg_r = np.array([0.052, 0.034, 0.02]) * h * g
    cloth = body.loose
    hand_colour = body.gloves or body.skin
    finger_px = float(np.median(camera.project(s.palm * 0 + s.wrist)[2])) * body.hand * h
    for i in (0, 1):
        arm, leg = ARM_L + i, LEG_L + i
        sh, el, wr, fi = s.shoulder[:, i], s.elbow[:, i], s.wrist[:, i], s.finger[:, i]
        limbs.add(sh, el, arm_r[0], arm_r[1], body.skin, arm, lit=body.sleeve < 1)
        limbs.add(el, wr, arm_r[1] * 1.02, arm_r[2], body.skin, arm, lit=body.sleeve < 1.9, front=0.002)
        if body.sleeve > 0:
            k = min(body.sleeve, 1.0)
            r = arm_r[0] + (arm_r[1] - arm_r[0]) * k
            limbs.add(sh, sh + (el - sh) * k, arm_r[0] * cloth, r * cloth * 1.04, body.shirt, arm, front=0.004, lit=True)
        if body.sleeve > 1:
            k = min(body.sleeve - 1, 1.0) * 0.96
            r = arm_r[1] + (arm_r[2] - arm_r[1]) * k
            limbs.add(el, el + (wr - el) * k, arm_r[1] * cloth, r * cloth * 1.05, body.shirt, arm, front=0.005, lit=True)
        _hand(limbs, body, wr, fi, s.palm[:, i], arm, hand_colour, finger_px, grip[:, i], arm_r[2])
        hp, kn, an, to = s.hip[:, i], s.knee[:, i], s.ankle[:, i], s.toes[:, i]
        bare = body.leg_cover < 1.9
        limbs.add(hp, kn, leg_r[0], leg_r[1], body.skin if bare else body.legwear, leg, lit=True)
        limbs.add(
            kn, an, leg_r[1], leg_r[2] * (1 if bare else cloth), body.skin if bare else body.legwear, leg, lit=True, front=0.002
        )
        if bare and body.leg_cover > 0:
            k = min(body.leg_cover, 1.0)
            limbs.add(hp, hp + (kn - hp) * k, leg_r[0] * cloth, leg_r[1] * cloth * 1.1, body.legwear, leg, front=0.004, lit=True)
        limbs.add(an, to, 0.022 * h, 0.018 * h, body.shoes, leg, front=0.003)
    _face(limbs, body, s)
    shapes = list(limbs.shapes(camera, light, whose))

    zw = camera.project((s.waist + s.neck)[:, None] / 2)[1][:, 0]
    ring = np.tile(_RING, 4)
    v = np.repeat([0.0, 0.4, 0.82, 1.0], 8)
    top = _surface(body, s, np.broadcast_to(v, (n, 32)), np.broadcast_to(ring, (n, 32)))
    low_v = np.repeat([-0.13, 0.0, 0.3], 8)
    low_w = np.repeat([0.062, 0.09, 0.08], 8) * body.girth**0.7 + np.repeat([0.0, body.hips - 0.058, 0.0], 8)
    low_d = np.repeat([0.045, 0.062, 0.056], 8) * body.girth**0.7
    pf = s.pelvis_frame
    r3 = np.tile(_RING, 3)
    low = (
        h
        * (
            np.einsum("ni,p->npi", pf[:, :, 1], low_v * body.torso)
            + np.einsum("ni,p->npi", pf[:, :, 0], low_w * np.sin(r3))
            + np.einsum("ni,p->npi", pf[:, :, 2], low_d * np.cos(r3))
        )
        + s.pelvis[:, None]
    )
    zp = camera.project(s.pelvis[:, None])[1][:, 0]
    shapes.append(_hull(camera, low, zp, body.legwear, whose[TORSO]))
    if body.skirt > 0:
        k = min(body.skirt, 1.0)
        hem = [
            s.hip[:, i] + (s.knee[:, i] - s.hip[:, i]) * k + (s.ankle[:, i] - s.knee[:, i]) * max(body.skirt - 1, 0)
            for i in (0, 1)
        ]
        rim = np.stack([p + pf[:, :, a] * (q * 0.075 * h * g) for p in hem for a, q in ((0, 1), (0, -1), (2, 1), (2, -1))], 1)
        shapes.append(_hull(camera, np.concatenate([low, rim], 1), zp - 0.03, body.legwear, min(whose[LEG_L], whose[LEG_L + 1])))
    shapes.append(_hull(camera, top, zw, rgb(np.array(body.shirt) * (1 - 0.1 * light.contrast)), whose[TORSO]))

    seen = camera.eye - s.neck
    face_angle = np.arctan2((seen * s.chest_frame[:, :, 0]).sum(-1), (seen * s.chest_frame[:, :, 2]).sum(-1))
    shade = np.arctan2((light.direction * s.chest_frame[:, :, 0]).sum(-1), (light.direction * s.chest_frame[:, :, 2]).sum(-1))
    if light.contrast > 0.15:
        bright = rgb(np.array(body.shirt) * (1 + 0.16 * light.contrast) + 4)
        shapes += _cloth(body, s, camera, face_angle, shade - 0.75, shade + 0.75, 0.02, 0.93, bright, zw - 0.0005, whose[TORSO])
    for j, (a0, a1, v0, v1, c) in enumerate(body.patches):
        lo, hi = np.full(n, a0), np.full(n, a1)
        shapes += _cloth(body, s, camera, face_angle, lo, hi, v0, v1, c, zw - 0.001 - 1e-5 * j, whose[TORSO])
    return shapes


def _cloth(
    body: Body, s: Skeleton, camera: Camera, facing: Floats, lo: Floats, hi: Floats, v0: float, v1: float, colour: Colour,
    depth: Floats, whose: int,
) -> list[Shape]:  # fmt: skip
    """The patch between two angles and two heights of the shirt, cut to the side that faces the camera."""
    if float((hi - lo).max()) >= 2 * np.pi - 1e-6:
        lo, hi = facing - 1.45, facing + 1.45
    else:
        middle = (np.mod((lo + hi) / 2 - facing + np.pi, 2 * np.pi) - np.pi) + facing
        half = (hi - lo) / 2
        lo, hi = np.maximum(middle - half, facing - 1.45), np.minimum(middle + half, facing + 1.45)
    visible = hi - lo > 0.05
    if not visible.any():
        return []
    t = np.linspace(0, 1, 5)
    a = lo[:, None] + (hi - lo)[:, None] * t
    angles = np.concatenate([a, a[:, ::-1]], 1)
    v = np.broadcast_to(np.repeat([v0, min(v1, 1.0)], 5), angles.shape)
    xy = camera.project(_surface(body, s, v, angles))[0]
    return [patch(xy, depth, colour, whose, visible)]


def _hand(
    limbs: _Limbs, body: Body, wrist: Floats, tip: Floats, across: Floats, group: int, colour: Colour, px: float, grip: Floats,
    r: float,
) -> None:  # fmt: skip
    h = body.height
    palm = wrist + (tip - wrist) * 0.5
    limbs.add(wrist, palm, r * 0.95, r * 1.35, colour, group, front=0.006, lit=px > 8)
    if px < 5:
        limbs.add(palm, wrist + (tip - wrist) * (0.92 - 0.4 * grip)[:, None], r * 1.2, r * 0.9, colour, group, front=0.006)
        return
    spread = (1 - grip)[:, None]
    for k in (-1.5, -0.5, 0.5, 1.5):
        base = palm + across * (k * 0.009 * h)
        end = wrist + (tip - wrist) * (0.55 + 0.45 * spread * (1 - 0.06 * abs(k))) + across * (k * (0.009 + 0.007 * spread) * h)
        limbs.add(base, end, 0.0062 * h, 0.0052 * h, colour, group, front=0.007)
    inner = -np.sign(SIDE[group - ARM_L])
    thumb = wrist + (tip - wrist) * (0.42 + 0.08 * spread) + across * (inner * (0.018 + 0.02 * spread) * h)
    limbs.add(wrist + (tip - wrist) * 0.15, thumb, 0.008 * h, 0.0055 * h, colour, group, front=0.007)


def _face(limbs: _Limbs, body: Body, s: Skeleton) -> None:
    h = body.height
    r = body.head * h / 2 * 1.04
    x, y, z = s.head_frame[:, :, 0], s.head_frame[:, :, 1], s.head_frame[:, :, 2]
    c = s.skull
    limbs.add(
        s.neck - 0.01 * h * s.chest_frame[:, :, 1], c - y * r * 0.5, 0.031 * h * np.sqrt(body.girth), 0.029 * h, body.skin, HEAD
    )
    skin = body.skin
    limbs.add(c + y * r * 0.22 - z * r * 0.08, c - y * r * 0.42 + z * r * 0.1, r * 0.8, r * 0.6, skin, HEAD, lit=True)
    dark = rgb(np.array(skin) * 0.4)
    if body.hair_length > 0:
        crown = c + y * r * 0.36 - z * r * 0.2
        limbs.add(crown, c - y * r * 0.05 - z * r * 0.35, r * 0.8, r * 0.62, body.hair, HEAD, front=-0.35 * r)
        limbs.add(
            crown + y * r * 0.16 + x * r * 0.3,
            crown + y * r * 0.16 - x * r * 0.3,
            r * 0.46,
            r * 0.46,
            body.hair,
            HEAD,
            front=0.05 * r,
        )
        if body.hair_length > 1.2:
            fall = (body.hair_length - 1) * r
            for q in (-1, 1):
                limbs.add(
                    crown + x * r * 0.5 * q, c - y * fall + x * r * 0.62 * q - z * r * 0.25, r * 0.36, r * 0.3, body.hair, HEAD
                )
            limbs.add(crown, c - y * fall - z * r * 0.5, r * 0.7, r * 0.6, body.hair, HEAD, front=-0.6 * r)
    face = c + z * r * 0.14
    limbs.add(face + y * r * 0.1, face - y * r * 0.48, r * 0.66, r * 0.52, skin, HEAD, front=r * 0.3)
    if body.beard:
        limbs.add(
            face - y * r * 0.5 + z * r * 0.3,
            face - y * r * 0.66 + z * r * 0.3,
            r * 0.42,
            r * 0.34,
            body.hair,
            HEAD,
            front=r * 0.35,
        )
    for q in (-1, 1):
        eye = c + z * r * 0.72 + y * r * 0.08 + x * r * 0.3 * q
        limbs.add(eye - x * 0.06 * r, eye + x * 0.06 * r, r * 0.045, r * 0.045, dark, HEAD, front=r * 0.12)
        limbs.add(
            eye + y * r * 0.2 - x * 0.12 * r,
            eye + y * r * 0.2 + x * 0.12 * r,
            r * 0.03,
            r * 0.03,
            rgb((np.array(body.hair) + dark) / 2),
            HEAD,
            front=r * 0.1,
        )
        if body.glasses:
            limbs.add(
                eye - x * 0.1 * r, eye + x * 0.1 * r, r * 0.13, r * 0.13, rgb(np.array(skin) * 0.5 + 15), HEAD, front=r * 0.14
            )
    nose = c + z * r * 0.82 - y * r * 0.18
    limbs.add(nose + y * r * 0.18, nose, r * 0.06, r * 0.1, rgb(np.array(skin) * 0.86), HEAD, front=r * 0.12)
    mouth = c + z * r * 0.7 - y * r * 0.5
    limbs.add(
        mouth - x * r * 0.15,
        mouth + x * r * 0.15,
        r * 0.045,
        r * 0.045,
        rgb(np.array(skin) * 0.68 + [12, -8, -5]),
        HEAD,
        front=r * 0.15,
    )
    if body.hat is not None:
        brim = c + y * r * 0.5
        limbs.add(brim + x * r * 0.35, brim - x * r * 0.35, r * 0.55, r * 0.55, body.hat, HEAD, front=r * 0.4)
        limbs.add(brim + z * r * 0.3, brim + z * r * 1.15, r * 0.3, r * 0.2, body.hat, HEAD, front=r * 0.2)


def chair(camera: Camera, light: Light, *, seat: float, z: float, size: float, colour: Colour, n: int) -> list[Shape]:
    """A chair (or a stool, or a box) whose top is ``seat`` metres high and ``z`` metres in front of the origin."""
    corners = np.array([[x, y, w] for x in (-1, 1) for y in (-1, 1) for w in (-1, 1)], float)
    top = corners * (0.125 * size, 0.012 * size, 0.12 * size) + (0, seat - 0.012 * size, z)
    back = corners * (0.12 * size, 0.13 * size, 0.01 * size) + (0, seat + 0.16 * size, z - 0.125 * size)
    out = []
    for points, k in ((top, 1.0), (back, 0.85)):
        p = np.broadcast_to(points, (n, *points.shape))
        out.append(_hull(camera, p, camera.project(p.mean(1, keepdims=True))[1][:, 0] + 0.06, rgb(np.array(colour) * k), 0))
    limbs = _Limbs()
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


def held(rng: np.random.Generator, body: Body, s: Skeleton, camera: Camera, light: Light) -> list[Shape]:
    """Something in a person's hands: a stick or a tool, a ball, a bar with weights, an instrument."""
    limbs = _Limbs()
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
