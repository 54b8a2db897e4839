"""The figure of a person: limbs, clothes, a face and hands around a skeleton."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidcam.synthetic.arrays import Colour, Floats
from vidcam.synthetic.body import ARM_L, HEAD, LEG_L, SIDE, TORSO, Body, Skeleton, rgb
from vidcam.synthetic.camera import Camera
from vidcam.synthetic.draw import Light, Limbs, Shape, hull, patch

_RING = np.linspace(0, 2 * np.pi, 8, endpoint=False)
_WAIST_V = np.array([0.0, 0.4, 0.72, 0.92, 1.0])


def figure(body: Body, s: Skeleton, camera: Camera, light: Light, *, whose: Sequence[int], grip: Floats) -> list[Shape]:
    """Return the shapes of one person.

    ``whose`` gives each body group's value in the fourth channel; ``grip (n,2)`` is 1 for a fist.
    """
    h, g = body.height, np.sqrt(body.girth)
    n = len(s.pelvis)
    limbs = Limbs()
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
    shapes.append(hull(camera, low, zp, body.legwear, whose[TORSO]))
    if body.skirt > 0:
        k = min(body.skirt, 1.0)
        hem = [
            s.hip[:, i] + (s.knee[:, i] - s.hip[:, i]) * k + (s.ankle[:, i] - s.knee[:, i]) * max(body.skirt - 1, 0)
            for i in (0, 1)
        ]
        rim = np.stack([p + pf[:, :, a] * (q * 0.075 * h * g) for p in hem for a, q in ((0, 1), (0, -1), (2, 1), (2, -1))], 1)
        shapes.append(hull(camera, np.concatenate([low, rim], 1), zp - 0.03, body.legwear, min(whose[LEG_L], whose[LEG_L + 1])))
    shapes.append(hull(camera, top, zw, rgb(np.array(body.shirt) * (1 - 0.1 * light.contrast)), whose[TORSO]))

    towards = camera.eye - s.neck
    face_angle = np.arctan2((towards * s.chest_frame[:, :, 0]).sum(-1), (towards * s.chest_frame[:, :, 2]).sum(-1))
    shade = np.arctan2((light.direction * s.chest_frame[:, :, 0]).sum(-1), (light.direction * s.chest_frame[:, :, 2]).sum(-1))
    if light.contrast > 0.15:
        bright = rgb(np.array(body.shirt) * (1 + 0.16 * light.contrast) + 4)
        shapes += _cloth(body, s, camera, face_angle, shade - 0.75, shade + 0.75, 0.02, 0.93, bright, zw - 0.0005, whose[TORSO])
    for j, (a0, a1, v0, v1, c) in enumerate(body.patches):
        lo, hi = np.full(n, a0), np.full(n, a1)
        shapes += _cloth(body, s, camera, face_angle, lo, hi, v0, v1, c, zw - 0.001 - 1e-5 * j, whose[TORSO])
    return shapes


def _surface(body: Body, s: Skeleton, v: Floats, angle: Floats) -> Floats:
    """Return points ``(n,P,3)`` on the shirt.

    ``v (n,P)`` are heights (0 waist .. 1 neck), ``angle (n,P)`` is 0 in front and pi/2 on the left.
    """
    h = body.height
    sw, g = body.shoulder, body.girth * body.loose**0.4
    w = np.interp(v, _WAIST_V, np.array([0.075 * g, 0.088 * g, sw * 0.93, sw * 0.9, sw * 0.42])) * h
    d = np.interp(v, _WAIST_V, np.array([0.055, 0.064, 0.06, 0.042, 0.034])) * g * h
    x, y, z = s.chest_frame[:, None, :, 0], s.chest_frame[:, None, :, 1], s.chest_frame[:, None, :, 2]
    up = v * 0.65 * body.torso * h * 1.02
    across, ahead = (w * np.sin(angle))[..., None], (d * np.cos(angle))[..., None]
    out: Floats = s.waist[:, None] + y * up[..., None] + x * across + z * ahead
    return out


def _cloth(
    body: Body, s: Skeleton, camera: Camera, facing: Floats, lo: Floats, hi: Floats, v0: float, v1: float, colour: Colour,
    depth: Floats, whose: int,
) -> list[Shape]:  # fmt: skip
    """Return the patch between two angles and two heights of the shirt that faces the camera."""
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
    limbs: Limbs, body: Body, wrist: Floats, tip: Floats, across: Floats, group: int, colour: Colour, px: float, grip: Floats,
    r: float,
) -> None:  # fmt: skip
    """Add a palm, and fingers and a thumb if the hand is large enough (``px`` pixels) to show them."""
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


def _face(limbs: Limbs, body: Body, s: Skeleton) -> None:
    """Add the neck, the head and what is on it."""
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
