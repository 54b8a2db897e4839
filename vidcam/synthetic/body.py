"""Bodies: a random person, the pose of a person over time, and the joints in space.

Space: metres once multiplied by the height, y up, a person at yaw 0 faces +z and has the left side at +x. Every array has one row
per moment. Poses are in units of the height, so that one motion fits every body. Sides: 0 is left, 1 is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.synthetic.arrays import Colour, Floats, Rng, unit

ARM_L, ARM_R, LEG_L, LEG_R, TORSO, HEAD = range(6)
EVERYTHING = frozenset(range(6))
SIDE = np.array([1.0, -1.0])
SKINS = ((236, 204, 180), (228, 184, 152), (224, 172, 135), (198, 140, 102), (150, 100, 70), (110, 72, 50), (75, 48, 36))
HAIRS = (
    (28, 22, 18),
    (60, 40, 25),
    (105, 70, 40),
    (170, 130, 75),
    (215, 190, 130),
    (150, 70, 35),
    (170, 170, 170),
    (235, 235, 230),
)


@dataclass(frozen=True)
class Body:
    """One person: lengths as fractions of ``height`` (m), widths, colours and what is worn."""

    height: float
    hip: float  # height of the hips above the floor
    torso: float  # hips to the base of the neck
    upper_arm: float
    forearm: float
    hand: float
    shoulder: float  # half widths
    hips: float
    head: float  # chin to crown
    girth: float
    skin: Colour
    hair: Colour
    shirt: Colour
    legwear: Colour
    shoes: Colour
    sleeve: float  # 0 none .. 1 to the elbow .. 2 to the wrist
    leg_cover: float  # 0 none .. 1 to the knee .. 2 to the ankle
    skirt: float  # 0 none, else how far down the leg
    loose: float  # how much wider than the limb the cloth is
    hair_length: float  # 0 bald, 1 short, 2 to the chin, 3 past the shoulders
    beard: bool
    glasses: bool
    hat: Colour | None
    gloves: Colour | None
    patches: tuple[tuple[float, float, float, float, Colour], ...]  # cloth pattern: angle from..to (rad), height from..to (0..1)


def random_body(rng: Rng) -> Body:
    """Return a random person: adult or child, slim or broad, in random clothes."""
    child = rng.random() < 0.18
    k = rng.normal(1.0, 0.04, size=8)
    skin = np.array(SKINS[rng.integers(len(SKINS))]) * rng.uniform(0.9, 1.08) + rng.normal(0, 5, 3)
    hair = np.array(HAIRS[rng.integers(len(HAIRS))]) * rng.uniform(0.8, 1.2)
    shirt, legwear = colour(rng), colour(rng) if rng.random() < 0.4 else tone(rng)
    if rng.random() < 0.12:
        legwear = shirt
    sleeve = float(rng.choice([0.0, rng.uniform(0.35, 0.8), rng.uniform(1.2, 1.7), 2.0], p=[0.12, 0.42, 0.1, 0.36]))
    cover = float(rng.choice([0.0, rng.uniform(0.3, 0.9), 2.0], p=[0.06, 0.24, 0.7]))
    return Body(
        height=float(rng.uniform(0.95, 1.45) if child else rng.normal(1.7, 0.09)),
        hip=0.5 * k[0] if child else 0.525 * float(np.clip(k[0], 0.95, 1.06)),
        torso=float(0.305 * k[1]),
        upper_arm=float((0.165 if child else 0.182) * k[2]),
        forearm=float((0.135 if child else 0.148) * k[3]),
        hand=float(rng.uniform(0.085, 0.118)),
        shoulder=float((0.1 if child else 0.113) * k[5]),
        hips=float(0.058 * k[6]),
        head=float(rng.uniform(0.16, 0.19) if child else rng.uniform(0.128, 0.15)),
        girth=float(np.clip(rng.lognormal(0.05, 0.2), 0.75, 1.6)),
        skin=rgb(skin),
        hair=rgb(hair),
        shirt=shirt,
        legwear=legwear,
        shoes=colour(rng) if rng.random() < 0.5 else tone(rng),
        sleeve=sleeve,
        leg_cover=cover,
        skirt=float(rng.uniform(0.35, 1.3)) if rng.random() < 0.13 else 0.0,
        loose=float(rng.uniform(1.06, 1.45)),
        hair_length=float(rng.choice([0.0, 1.0, rng.uniform(1, 2), rng.uniform(2, 3.2)], p=[0.1, 0.45, 0.2, 0.25])),
        beard=bool(rng.random() < 0.15),
        glasses=bool(rng.random() < 0.13),
        hat=colour(rng) if rng.random() < 0.1 else None,
        gloves=colour(rng) if rng.random() < 0.05 else None,
        patches=_pattern(rng, shirt),
    )


def dimmed(body: Body, share: float) -> Body:
    """Return the body with only ``share`` of its light, in one piece, as of someone who stands against the light."""
    parts = ("skin", "hair", "shirt", "legwear", "shoes")
    dark: dict[str, Any] = {part: rgb(np.array(getattr(body, part)) * share) for part in parts}
    return replace(body, patches=(), **dark)


def rgb(values: npt.ArrayLike) -> Colour:
    """Return a colour clipped to 0..255."""
    r, g, b = np.clip(np.asarray(values, dtype=float), 0, 255).tolist()
    return r, g, b


def colour(rng: Rng) -> Colour:
    """Return a random colour of cloth: mostly muted, sometimes strong, dark or white."""
    kind = rng.random()
    if kind < 0.3:
        return tone(rng)
    hsv = np.array([[[rng.integers(180), rng.integers(40, 256 if kind > 0.7 else 170), rng.integers(40, 240)]]], np.uint8)
    return rgb(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0])


def tone(rng: Rng) -> Colour:
    """Return a random grey, black, white or denim."""
    v = float(rng.choice([rng.uniform(10, 60), rng.uniform(60, 180), rng.uniform(200, 250)], p=[0.5, 0.3, 0.2]))
    return rgb(v + rng.normal(0, 8, 3) + np.array([-10, 0, 25]) * (rng.random() < 0.3))


def _pattern(rng: Rng, shirt: Colour) -> tuple[tuple[float, float, float, float, Colour], ...]:
    kind = rng.choice(
        ["plain", "stripes", "bars", "checks", "print", "jacket", "yoke"], p=[0.42, 0.13, 0.06, 0.09, 0.16, 0.08, 0.06]
    )
    other = colour(rng)
    out: list[tuple[float, float, float, float, Colour]] = []
    if kind in ("stripes", "checks"):
        n = int(rng.integers(3, 9))
        width = rng.uniform(0.3, 0.7) / n
        out += [(-np.pi, np.pi, i / n, i / n + width, other) for i in range(n)]
    if kind in ("bars", "checks"):
        n = int(rng.integers(6, 14))
        mix = rgb((np.array(other) + np.array(shirt)) / 2) if kind == "checks" else other
        out += [(a, a + np.pi / n, 0.0, 0.95, mix) for a in np.linspace(-np.pi, np.pi, n, endpoint=False)]
    if kind == "print":  # some dark or bright shapes, like words or a logo, on the front (or on both sides)
        for back in (0.0, np.pi)[: int(rng.integers(1, 3))]:
            for _ in range(int(rng.integers(1, 7))):
                a, v = back + rng.uniform(-0.8, 0.5), rng.uniform(0.25, 0.8)
                out.append((a, a + rng.uniform(0.1, 0.9), v, v + rng.uniform(0.03, 0.2), other))
    if kind == "jacket":
        half = rng.uniform(0.15, 0.45)
        out.append((-half, half, 0.0, 0.97, other))
    if kind == "yoke":
        v = rng.uniform(0.4, 0.75)
        out.append((-np.pi, np.pi, v, 1.0, other) if rng.random() < 0.5 else (-np.pi, np.pi, 0.0, v, other))
    return tuple(out)


@dataclass
class Pose:
    """The angles (radians) and places (in units of the height) of all joints at ``n`` moments."""

    root: Floats  # (n,3) middle of the hips relative to its place at upright rest
    rot: Floats  # (n,3) pitch (forwards), yaw, roll of the pelvis
    spine: Floats  # (n,3) pitch, yaw, roll of the chest relative to the pelvis
    head: Floats  # (n,3) the same of the head relative to the chest
    elev: Floats  # (n,2) upper arm: 0 hangs, pi points up
    azim: Floats  # (n,2) the plane in which it is raised: 0 sideways, pi/2 in front
    flex: Floats  # (n,2) elbow
    hinge: Floats  # (n,2,3) the direction in which the elbow bends, chest frame (x is outwards)
    target: Floats  # (n,2,3) wrist relative to the shoulder in arm lengths, chest frame (x is outwards)
    reach: Floats  # (n,2) 0: the angles hold, 1: the wrist is at the target
    tilt: Floats  # (n,2) wrist, outwards
    grip: Floats  # (n,2) 0 open hand, 1 fist
    ankle: Floats  # (n,2,3) place of the ankles, floor frame, relative to the point under the hips
    toe: Floats  # (n,2) pitch of the feet, toes down positive


def mix(a: Pose, b: Pose, weight: Floats) -> Pose:
    """Return the pose between ``a`` (weight 0) and ``b`` (weight 1) at every moment."""
    out = []
    for f in fields(Pose):
        x, y = getattr(a, f.name), getattr(b, f.name)
        w = weight.reshape((-1,) + (1,) * (x.ndim - 1))
        out.append(x * (1 - w) + y * w)
    return Pose(*out)


def rotation(angles: Floats) -> Floats:
    """Return the matrices ``(n,3,3)`` Ry(yaw) Rx(pitch) Rz(roll) of ``(n,3)`` pitch, yaw, roll."""
    (cp, cy, cr), (sp, sy, sr) = np.cos(angles).T, np.sin(angles).T
    out = np.empty((len(angles), 3, 3))
    out[:, 0] = np.stack([cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp], -1)
    out[:, 1] = np.stack([cp * sr, cp * cr, -sp], -1)
    out[:, 2] = np.stack([-sy * cr + cy * sp * sr, sy * sr + cy * sp * cr, cy * cp], -1)
    return out


def _bend(root: Floats, end: Floats, a: float, b: float, pole: Floats) -> tuple[Floats, Floats]:
    """Return the middle joint and the end of two bones from ``root`` towards ``end``, bent to ``pole``."""
    d = end - root
    length = np.sqrt((d * d).sum(-1, keepdims=True))
    u = d / np.maximum(length, 1e-9)
    length = np.clip(length, abs(a - b) + 0.02 * (a + b), 0.998 * (a + b))
    along = (length**2 + a**2 - b**2) / (2 * length)
    up = unit(pole - (pole * u).sum(-1, keepdims=True) * u)
    return root + along * u + np.sqrt(np.maximum(a**2 - along**2, 0)) * up, root + length * u


@dataclass(frozen=True)
class Skeleton:
    """The joints of one person in metres: ``(n,3)`` each, ``(n,2,3)`` for pairs, ``(n,3,3)`` for frames."""

    pelvis: Floats
    waist: Floats
    neck: Floats
    skull: Floats
    pelvis_frame: Floats
    chest_frame: Floats
    head_frame: Floats
    shoulder: Floats
    elbow: Floats
    wrist: Floats
    finger: Floats
    palm: Floats  # direction across the palm
    hip: Floats
    knee: Floats
    ankle: Floats
    toes: Floats


def skeleton(body: Body, pose: Pose, *, place: Sequence[float] = (0.0, 0.0), yaw: float = 0.0) -> Skeleton:
    """Return the joints of ``body`` in ``pose`` at ``place`` (x, z in metres), turned by ``yaw`` radians."""
    rest = np.array([0.0, body.hip, 0.0])
    pelvis = pose.root + rest
    rp = rotation(pose.rot)
    rc = rp @ rotation(pose.spine)
    rh = rc @ rotation(pose.head)
    waist = pelvis + rp[:, :, 1] * (0.35 * body.torso)
    neck = waist + rc[:, :, 1] * (0.65 * body.torso)
    skull = neck + 0.03 * rc[:, :, 1] + rh[:, :, 1] * (0.025 + body.head / 2) + rh[:, :, 2] * 0.012

    out = np.stack([SIDE, np.ones(2), np.ones(2)], -1)  # mirrors the chest frame for the right side
    shrug = 0.022 * (1 - np.cos(pose.elev)) * (1 - pose.reach)
    s_local = np.stack([np.broadcast_to(body.shoulder * SIDE, shrug.shape) * (1 - 0.8 * shrug), shrug - 0.018, 0 * shrug], -1)
    shoulder = neck[:, None] + np.einsum("nij,nsj->nsi", rc, s_local)
    sin = np.sin(pose.elev)
    u = np.stack([sin * np.cos(pose.azim), -np.cos(pose.elev), sin * np.sin(pose.azim)], -1)
    h = unit(pose.hinge - (pose.hinge * u).sum(-1, keepdims=True) * u)
    f = np.cos(pose.flex)[..., None] * u + np.sin(pose.flex)[..., None] * h
    if pose.reach.any():
        a, b = body.upper_arm, body.forearm
        pole = np.broadcast_to(np.array([0.55, -1.0, -0.25]), pose.target.shape)
        e, w = _bend(np.zeros_like(pose.target), pose.target * (a + b), a, b, pole)
        k = pose.reach[..., None]
        u, f = unit(u * (1 - k) + unit(e) * k), unit(f * (1 - k) + unit(w - e) * k)
    lateral = unit(np.array([1.0, 0.0, 0.0]) - f * f[..., :1] + np.array([0.0, 0.0, 1e-3]))
    hand = np.cos(pose.tilt)[..., None] * f + np.sin(pose.tilt)[..., None] * lateral
    across = unit(lateral - (lateral * hand).sum(-1, keepdims=True) * hand)
    u, f, hand, across = (np.einsum("nij,nsj->nsi", rc, v * out) for v in (u, f, hand, across))
    elbow = shoulder + u * body.upper_arm
    wrist = elbow + f * body.forearm
    finger = wrist + hand * body.hand

    h_local = np.stack([body.hips * SIDE, np.full(2, -0.015), np.zeros(2)], -1)
    hip = pelvis[:, None] + np.einsum("nij,sj->nsi", rp, h_local)
    sole = 0.042
    leg = (body.hip - 0.015 - sole) / 2 * 1.012
    goal = pose.ankle + np.stack([body.hips * SIDE, np.full(2, sole), np.zeros(2)], -1)
    pole = np.einsum("nij,sj->nsi", rp, np.stack([0.22 * SIDE, np.zeros(2), np.ones(2)], -1))
    knee, ankle = _bend(hip, goal, leg, leg, pole)
    # a foot keeps the yaw of the pelvis and is pitched on its own
    ry = rotation(pose.rot * np.array([0.0, 1.0, 0.0]))
    dirs = np.stack([np.broadcast_to(0.18 * SIDE, pose.toe.shape), -np.sin(pose.toe) - 0.12, np.cos(pose.toe)], -1)
    toes = ankle + np.einsum("nij,nsj->nsi", ry, dirs) * 0.115

    turn = rotation(np.array([[0.0, yaw, 0.0]]))[0]
    where = np.array([place[0], 0.0, place[1]])

    def m(p: Floats) -> Floats:
        out: Floats = (p @ turn.T) * body.height + where
        return out

    return Skeleton(
        m(pelvis), m(waist), m(neck), m(skull), turn @ rp, turn @ rc, turn @ rh, m(shoulder), m(elbow), m(wrist), m(finger),
        across @ turn.T, m(hip), m(knee), m(ankle), m(toes),
    )  # fmt: skip
