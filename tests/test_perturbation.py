"""Occlusion, frozen moments, RISE, Score-CAM and Ablation-CAM against loops over single clips, and captum."""

from __future__ import annotations

import copy
import itertools
import math
from pathlib import Path

import captum.attr
import numpy as np
import pytest
import torch
from support import planted
from support.media import write_clip
from support.tiny_nets import CLASSES, CLIP, NETS, clips, explained, spec, tensors
from support.untouched import Snapshot
from support.values import track
from torch import nn

from vidcam import annotation
from vidcam.engine import open_engine
from vidcam.engine.hooks import capture, logits_after
from vidcam.evidence.heat import render_heat
from vidcam.methods import perturbation, score_cam
from vidcam.methods.blur import blur_frames
from vidcam.methods.core import Target, TorchModel
from vidcam.methods.lookup import all_methods, get_method
from vidcam.methods.receptive_field import layer_geometry, method_geometry
from vidcam.metrics.imputers import blur, make_remover
from vidcam.settings import Settings
from vidcam.values import CropGeometry

METHODS = {
    "occlusion": lambda *args, **more: tensors(perturbation.occlusion(*args, **more)),
    "temporal-mask": lambda *args, **more: tensors(perturbation.temporal_mask(*args, **more)),
    "rise": lambda *args, **more: tensors(perturbation.rise(*args, **more)),
    "scorecam": lambda *args, **more: tensors(score_cam.scorecam(*args, **more)),
    "ablationcam": lambda *args, **more: tensors(score_cam.ablationcam(*args, **more)),
}
occlusion, temporal_mask, rise, scorecam, ablationcam = METHODS.values()
TARGETS = [Target(0), Target(3), Target(3, versus=1)]


def score(net: TorchModel, clip: torch.Tensor, target: Target) -> float:
    """One clip, one score."""
    return float(target(net.logits(clip[None]))[0])


def blur_in_loops(clip: np.ndarray) -> np.ndarray:
    h, w = clip.shape[-2:]
    sigma = min(h, w) / 5
    out = np.zeros(clip.shape)
    for y in range(h):
        for x in range(w):
            total = 0.0
            for v in range(h):
                for u in range(w):
                    weight = math.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * sigma**2))
                    total += weight
                    out[..., y, x] += weight * clip[..., v, u]
            out[..., y, x] /= total
    return out


def close(got, want, digits=1e-5):
    want = np.asarray(want)
    np.testing.assert_allclose(np.asarray(got), want, atol=digits * float(np.abs(want).max()))


# --- what all share ---------------------------------------------------------------------------------------------------------


def test_the_family_is_complete():
    assert set(METHODS) == {m.name for m in all_methods() if m.family == "perturbation"}


def test_blur_is_a_gaussian_of_a_fifth_of_the_shorter_side():
    clip = torch.randn(3, 2, 11, 14, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(perturbation.blurred(clip), blur_in_loops(clip.numpy()), atol=1e-5)
    np.testing.assert_allclose(perturbation.blurred(torch.full((1, 1, 9, 9), 0.7)), 0.7, atol=1e-6)


def test_methods_and_measures_remove_by_the_same_blur():
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 34, 3), dtype=np.uint8)
    want = perturbation.blurred(torch.from_numpy(frames).permute(0, 3, 1, 2).double()).permute(0, 2, 3, 1).numpy()
    for got in (blur_frames(frames), make_remover(frames, blur(frames))(np.ones(frames.shape[:3], bool))):
        assert got.dtype == np.uint8
        np.testing.assert_allclose(got, want, atol=0.5 + 1e-3)  # rounded to whole numbers


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains_and_keeps_every_small_network(method, name):
    net = explained(name)
    places = method_geometry(get_method(method), net)
    before = Snapshot(net.module)
    found = few(method, net, clips(), TARGETS)
    before.check()
    assert [m.shape[2:] for m in found.maps] == [p.grid for p in places]
    np.testing.assert_allclose(found.logits, net.logits(clips()), atol=1e-5)
    for maps in found.maps:
        assert maps.shape[:2] == (2, 3)
        assert maps.dtype == torch.float32
        assert maps.isfinite().all()
        assert (maps.amax((2, 3, 4)) > maps.amin((2, 3, 4))).all()


@pytest.mark.parametrize("error", [RuntimeError("stopped here"), KeyboardInterrupt("stopped here")])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_stops_halfway_leaves_the_network_alone(method, error):
    net = explained("pathways")
    layer_geometry(net)  # measured once, and kept
    passes = []

    def fail(*_):
        passes.append(1)
        if len(passes) == 3:
            raise error

    net.module.fc.register_forward_pre_hook(fail)
    before = Snapshot(net.module)
    with pytest.raises(type(error), match="stopped here"):
        few(method, net, clips(), TARGETS, chunk=1)
    before.check()


def few(method, net, inputs, targets, **more):
    """The method with fewer masks or channels, where that is what it costs."""
    fewer = {"rise": {"masks": 25}, "scorecam": {"channels": 4}}.get(method, {})
    return METHODS[method](net, inputs, targets, **fewer, **more)


@pytest.mark.parametrize("name", ["pathways", "deep", "tokens"])
@pytest.mark.parametrize("method", METHODS)
def test_neither_the_chunk_nor_the_batch_changes_a_map(method, name):
    net = explained(name)
    one, *others = (few(method, net, clips(), TARGETS, chunk=chunk).maps for chunk in (1, 3, 8))
    alone = few(method, net, clips()[1:], TARGETS).maps
    for pathway, maps in enumerate(one):
        for other in others:
            # float32 convolutions of different batches differ in the last digits of a score of order 1
            np.testing.assert_allclose(other[pathway], maps, atol=3e-6)
        np.testing.assert_allclose(alone[pathway], maps[1:], atol=3e-6)
        assert maps.abs().max() > 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_versus_is_the_difference_of_two_maps(method):
    found = few(method, explained("x3d"), clips(), [Target(3), Target(1), Target(3, versus=1)])
    close(found.maps[0][:, 2], found.maps[0][:, 0] - found.maps[0][:, 1], 1e-4)  # differences of scores lose digits


@pytest.mark.parametrize("method", METHODS)
def test_targets_share_the_passes_and_few_clips_exist_at_once(method):
    net = explained("plain")
    batches = []

    def count(_module, inputs):
        batches.append(len(inputs[0]))

    method_geometry(get_method(method), net)  # measured once, and kept
    with net.module.fc.register_forward_pre_hook(count):
        few(method, net, clips(1), [Target(0)])
        one, batches[:] = list(batches), []
        few(method, net, clips(1), [Target(k) for k in range(CLASSES)])
    assert one == batches
    wanted = {"occlusion": 1 + 4 * 7 * 7, "temporal-mask": 1 + 4, "rise": 1 + 25, "scorecam": 2 + 4, "ablationcam": 1 + 6}
    assert sum(one) == wanted[method]
    assert max(one) == (6 if method == "ablationcam" else perturbation.CHUNK)


def test_the_classes_may_be_chosen_by_the_logits():
    net = explained("plain")
    best = int(net.logits(clips(1))[0].argmax())
    found = temporal_mask(net, clips(1), lambda logits: [Target(int(logits[0].argmax()))])
    assert found.targets == (Target(best),)


# --- occlusion --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "shape"), [("pathways", CLIP), ("deep", (5, 15, 12)), ("plain", (3, 6, 20))])
def test_occlusion_is_the_drop_block_by_block(name, shape):
    net = explained(name)
    inputs = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(3))
    found = occlusion(net, inputs, TARGETS).maps
    grid = [min(n, most) for n, most in zip(shape, (4, 7, 7), strict=True)]
    want = np.zeros((2, 3, *grid))
    for b, clip in enumerate(inputs):
        blur = torch.tensor(blur_in_loops(clip.numpy())).float()
        whole = [score(net, clip, target) for target in TARGETS]
        for cell in np.ndindex(*grid):
            places = (
                [at for at in range(n) if round(i * n / (g + 1)) <= at < round((i + 2) * n / (g + 1))]
                for i, n, g in zip(cell, shape, grid, strict=True)
            )
            changed = clip.clone()
            for t, y, x in itertools.product(*places):
                changed[:, t, y, x] = blur[:, t, y, x]
            for n, target in enumerate(TARGETS):
                want[b, n][cell] = whole[n] - score(net, changed, target)
    assert len(found) == 1
    np.testing.assert_allclose(found[0], want, atol=2e-6)
    assert np.abs(want).max() > 1e-3


def test_occlusion_is_captums():
    net = explained("plain")
    inputs = torch.randn(2, 3, 10, 16, 16, generator=torch.Generator().manual_seed(1))  # blocks of 4 x 4 x 4 at steps of 2
    for n in (0, 3):
        with torch.no_grad():
            theirs = captum.attr.Occlusion(net.module).attribute(
                inputs,
                sliding_window_shapes=(3, 4, 4, 4),
                strides=(3, 2, 2, 2),
                baselines=perturbation.blurred(inputs),
                target=n,
            )
        (found,) = occlusion(net, inputs, [Target(n)]).maps
        # Captum gives every pixel the mean of the blocks that cover it.
        total, times = torch.zeros(2, 10, 16, 16), torch.zeros(10, 16, 16)
        for t, y, x in np.ndindex(4, 7, 7):
            block = (slice(2 * t, 2 * t + 4), slice(2 * y, 2 * y + 4), slice(2 * x, 2 * x + 4))
            total[:, *block] += found[:, 0, t, y, x, None, None, None]
            times[block] += 1
        for colour in range(3):
            np.testing.assert_allclose(theirs[:, colour], total / times, atol=1e-6)
        assert found.abs().max() > 1e-3


@pytest.mark.parametrize("facts", [{}, {"num_frames": 13, "crop": (182, 90)}, {"num_frames": 2, "crop": (5, 6)}])
def test_the_cells_are_the_middles_of_the_blocks(facts):
    row = spec(**facts)
    shape = (row.num_frames, *row.crop)
    # Of how many parts of the clip a block is made, and how many parts there are more than blocks.
    for name, most, more in (("occlusion", (4, 7, 7), 1), ("temporal-mask", (8, 1, 1), 0)):
        place = get_method(name).geometry(row)
        for axis, length, count in zip((place.time, place.y, place.x), shape, most, strict=True):
            count = min(length, count)
            parts = count + more
            edges = [round(i * length / parts) for i in range(parts + 1)]
            middles = [(edges[i] + edges[i + 1 + more] - 1) / 2 for i in range(count)]
            assert axis.count == count
            # Blocks are whole pixels and may differ by one in size; the law is linear.
            np.testing.assert_allclose(axis.centres(), middles, atol=0.5 * (length % parts > 0) + 1e-9)


# --- frozen moments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "frames"), [("plain", 4), ("deep", 13), ("pathways", 16)])
def test_a_frozen_moment_is_the_frame_before(name, frames):
    net = explained(name)
    inputs = torch.randn(2, 3, frames, 12, 12, generator=torch.Generator().manual_seed(4))
    (found,) = temporal_mask(net, inputs, TARGETS).maps
    count = min(frames, 8)
    assert found.shape == (2, 3, count, 1, 1)
    for b, clip in enumerate(inputs):
        for i in range(count):
            changed = clip.clone()
            start, stop = round(i * frames / count), round((i + 1) * frames / count)
            for t in range(start, stop):
                changed[:, t] = changed[:, t - 1] if i else clip[:, stop]
            for n, target in enumerate(TARGETS):
                assert found[b, n, i] == pytest.approx(score(net, clip, target) - score(net, changed, target), abs=3e-6)
    assert found.abs().max() > 1e-3


def test_frozen_moments_are_captums_feature_ablation():
    net = explained("channels-last")
    inputs = torch.randn(2, 3, 16, 12, 12, generator=torch.Generator().manual_seed(5))
    moment = torch.arange(16) // 2
    baselines = inputs.clone()
    for i in range(8):
        baselines[:, :, 2 * i : 2 * i + 2] = inputs[:, :, 2 * i - 1 if i else 2][:, :, None]
    with torch.no_grad():
        theirs = captum.attr.FeatureAblation(net.module).attribute(
            inputs, baselines=baselines, target=2, feature_mask=moment.view(1, 1, 16, 1, 1).expand(1, 3, 16, 12, 12)
        )
    (found,) = temporal_mask(net, inputs, [Target(2)]).maps
    np.testing.assert_allclose(theirs[:, 0, ::2, :1, :1], found[:, 0], atol=1e-6)


def test_a_still_clip_loses_nothing_by_standing_still():
    net = explained("plain")
    still = clips()[:, :, :1].expand(-1, -1, 12, -1, -1)
    assert temporal_mask(net, still, [Target(1)]).maps[0].abs().max() < 1e-6
    assert temporal_mask(net, clips()[:, :, :1], [Target(1)]).maps[0].shape == (2, 1, 1, 1, 1)  # nothing to freeze


def test_a_moment_is_drawn_evenly_over_the_whole_crop():
    place = get_method("temporal-mask").geometry(spec(num_frames=16, crop=(112, 112)))
    ys, xs = place.cell_centres(CropGeometry(source=(240, 320), resized=(120, 160), crop=(4, 24, 112, 112)))
    assert (ys, xs) == (119.5, 159.5)  # the middle of the picture
    one = track(ys, xs, (8, 48, 232, 272), maps=np.array([[[0.5]], [[-0.3]]]), times=(0.0, 1.0))
    heat = render_heat([one], time=0.0, scale=1.0, size=(240, 320))
    want = np.zeros((240, 320))
    want[8:232, 48:272] = 0.5
    np.testing.assert_allclose(heat.values, want, atol=1e-6)


# --- rise -------------------------------------------------------------------------------------------------------------------


def test_rise_is_the_covariance_of_scores_and_masks():
    net = explained("deep")
    inputs = clips()
    (found,) = rise(net, inputs, TARGETS, masks=30).maps
    mask = perturbation.rise_masks(CLIP, 30)
    drawn = [mask(i) for i in range(30)]
    for b, clip in enumerate(inputs):
        blur = perturbation.blurred(clip)
        for n, target in enumerate(TARGETS):
            scores = [score(net, m * clip + (1 - m) * blur, target) for m in drawn]
            want = np.zeros(CLIP)
            for p in np.ndindex(*CLIP):
                want[p] = np.cov(scores, [float(m[p]) for m in drawn])[0, 1] / (0.25 * (2 / 3) ** 3)
            cells = want.reshape(4, 3, 4, 3, 4).mean((2, 4))
            close(found[b, n], cells, 1e-3)  # scores that differ by 1e-3 of their size, in float32


def spline(distance):
    """The cubic B-spline: how alike two places of a linearly interpolated, randomly shifted grid are."""
    d = np.abs(distance)
    return np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.where(d < 2, (2 - d) ** 3 / 6, 0.0))


def alike(shape):
    """For each axis the covariance of a mask at two places, as a share of the grid's variance."""
    return [spline((np.arange(n)[:, None] - np.arange(n)) * min(n, most) / n) for n, most in zip(shape, (4, 7, 7), strict=True)]


def test_masks_have_the_mean_and_covariance_that_they_claim():
    shape = (6, 14, 9)
    mask = perturbation.rise_masks(shape, 4000)
    drawn = np.stack([mask(i).numpy() for i in range(4000)])
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(0), 0.5, atol=5 * 0.5 / math.sqrt(4000))
    np.testing.assert_allclose(drawn.var(0), perturbation.VARIANCE, atol=0.012)
    t, y, x = alike(shape)
    centred = drawn - drawn.mean(0)
    for p in ((0, 0, 0), (3, 7, 4), (5, 13, 8)):
        got = np.tensordot(centred[:, p[0], p[1], p[2]], centred, 1) / 4000
        np.testing.assert_allclose(got, 0.25 * t[p[0]][:, None, None] * y[p[1]][:, None] * x[p[2]], atol=0.012)


class Linear(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.fc = nn.Linear(3 * math.prod(shape), CLASSES)

    def forward(self, x):
        return self.fc(x.flatten(1))


def test_rise_of_a_linear_network_has_the_computed_expectation():
    # Score = constant + sum over places of gain * mask, so the covariance is that of the masks, summed.
    torch.manual_seed(0)
    shape, count = (4, 9, 9), 4000
    net = TorchModel(Linear(shape), spec(num_frames=4, crop=(9, 9)))
    with torch.no_grad():
        seen = torch.zeros(3, *shape)
        seen[:, 0, 0, 0] = seen[:, 2, 5, 3] = 1  # at the corner and somewhere in the middle
        net.module.fc.weight.mul_(seen.flatten())
        net.module.fc.bias.add_(100.0)  # a large constant must not show
    clip = torch.randn(1, 3, *shape)
    (found,) = rise(net, clip, TARGETS, masks=count, chunk=500).maps
    t, y, x = (axis / (2 / 3) for axis in alike(shape))
    factors = []
    for n, target in enumerate(TARGETS):
        row = target.of_rows(net.module.fc.weight.detach()).view(3, *shape)
        gain = ((clip - perturbation.blurred(clip))[0] * row).sum(0).numpy()
        want = np.einsum("au,bv,cw,uvw->abc", t, y, x, gain)
        spread = math.sqrt(0.25 * (2 / 3) ** 3 * np.einsum("abc,au,bv,cw,uvw->", gain, t, y, x, gain))
        error = spread / math.sqrt(count * perturbation.VARIANCE)  # the standard error that the docstring states
        np.testing.assert_allclose(found[0, n], want, atol=4.5 * error)
        factors.append(float((found[0, n].numpy() * want).sum() / (want * want).sum()))
    assert factors == pytest.approx([1, 1, 1], abs=0.1)


def test_rise_gives_nothing_where_nothing_matters():
    net = explained("plain")
    with torch.no_grad():
        net.module.fc.weight.zero_()
    assert rise(net, clips(), [Target(1)], masks=20).maps[0].abs().max() < 1e-5


# --- score-cam --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "channels"), [("plain", 64), ("pathways", 64), ("channels-last", 3), ("tokens", 2), ("deep", 4)]
)
def test_scorecam_in_loops(name, channels):
    net = explained(name)
    inputs = clips()
    found = scorecam(net, inputs, TARGETS, channels=channels).maps
    with capture(net) as look:
        features = look(inputs).activations
    for maps, acts, place in zip(found, features, layer_geometry(net), strict=True):
        for b, clip in enumerate(inputs):
            blur = perturbation.blurred(clip)
            A = acts[b].numpy().astype(float)
            energy = [float((a**2).sum()) for a in A]
            kept = sorted(range(len(A)), key=lambda k: -energy[k])[:channels]
            for n, target in enumerate(TARGETS):
                want = np.zeros(A.shape[1:])
                for k in kept:
                    low, high = A[k].min(), A[k].max()
                    unit = (A[k] - low) / (high - low) if high > low else 0 * A[k]
                    mask = np.zeros(CLIP)
                    for t, y, x in np.ndindex(*CLIP):
                        mask[t, y, x] = between(unit, place, (t, y, x))
                    shown = blur + torch.tensor(mask).float() * (clip - blur)
                    want += (score(net, shown, target) - score(net, blur, target)) * A[k]
                np.testing.assert_allclose(maps[b, n], want, atol=2e-6 * len(kept) * max(1, np.abs(A).max()))
                assert np.abs(want).max() > 1e-4


def between(m, place, at):
    """The value of a map at a place, between the cells around it."""
    value = 0.0
    spots = []
    for axis, p in zip((place.time, place.y, place.x), at, strict=True):
        j = min(max((p - axis.offset) / axis.stride, 0), axis.count - 1)
        low = min(int(j), max(0, axis.count - 2))
        spots.append([(low, 1 - (j - low)), (min(low + 1, axis.count - 1), j - low)])
    for i, a in spots[0]:
        for j, b in spots[1]:
            for k, c in spots[2]:
                value += a * b * c * m[i, j, k]
    return value


def test_a_channel_that_is_the_same_everywhere_shows_nothing():
    net = explained("plain")
    with torch.no_grad():
        net.module.trunk.conv.weight[2] = 0
        net.module.trunk.conv.bias[2] = 50.0  # by far the most energy
    assert scorecam(net, clips(), [Target(1)], channels=1).maps[0].abs().max() < 1e-4  # 50 times a last digit
    assert scorecam(net, clips(), [Target(1)], channels=2).maps[0].abs().max() > 1e-3


# --- ablation-cam -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_ablationcam_in_loops(name):
    net = explained(name)
    inputs = clips()
    found = ablationcam(net, inputs, TARGETS, chunk=1).maps
    with capture(net) as look:
        features = look(inputs).activations
    for pathway, (maps, acts) in enumerate(zip(found, features, strict=True)):
        for b, clip in enumerate(inputs):
            for n, target in enumerate(TARGETS):
                want = np.zeros(acts.shape[2:])
                for k in range(acts.shape[1]):
                    want += (score(net, clip, target) - score(without(net, pathway, k), clip, target)) * acts[b, k].numpy()
                close(maps[b, n], want, 2e-5)
                assert np.abs(want).max() > 1e-3


def without(net: TorchModel, pathway: int, channel: int) -> TorchModel:
    """A copy of the network in which one channel of the layer is always zero."""
    module = copy.deepcopy(net.module)

    def zero(_module, _inputs, output):
        many = list(output) if isinstance(output, list) else [output]
        one = many[pathway] = many[pathway].clone()
        if net.layout == "channels-first":
            one[:, channel] = 0
        elif net.layout == "channels-last":
            one[..., channel] = 0
        else:
            one[:, 1:, channel] = 0
        return many if isinstance(output, list) else many[0]

    module.get_submodule(net.target_layer).register_forward_hook(zero)
    return TorchModel(module, net.spec)


@pytest.mark.parametrize("name", ["plain", "signed", "pathways", "channels-last"])
def test_at_a_linear_head_the_drop_is_the_channels_share(name):
    net = explained(name)
    with capture(net) as look:
        features = look(clips()).activations
    rows = torch.split(net.module.fc.weight.detach(), [a.shape[1] for a in features], dim=1)
    for maps, a, row in zip(ablationcam(net, clips(), TARGETS).maps, features, rows, strict=True):
        weights = torch.stack([t.of_rows(row) for t in TARGETS])
        close(maps, torch.einsum("nc,bc,bcthw->bnthw", weights, a.mean((2, 3, 4)), a), 2e-5)


def test_the_copies_of_the_features_are_bounded(monkeypatch):
    net = explained("pathways")
    whole = ablationcam(net, clips(), TARGETS).maps
    monkeypatch.setattr(score_cam, "COPIED", 4 * (5 * 2 + 3 * 4) * 9 + 1)
    rows = []
    with net.module.fc.register_forward_pre_hook(lambda _m, inputs: rows.append(len(inputs[0]))):
        for maps, want in zip(ablationcam(net, clips(1), TARGETS).maps, whole, strict=True):
            close(maps, want[:1], 2e-5)
    assert rows == [1, 4, 1, 3]  # five channels of one pathway, three of the other


def test_only_what_follows_the_layer_is_run_for_each_channel():
    net = explained("deep")
    sizes = {"trunk": [], "block": []}
    for name, found in sizes.items():
        net.module.get_submodule(name).register_forward_hook(lambda _m, i, _o, found=found: found.append(len(i[0])))
    logits = logits_after(net, clips(1), 5, lambda copies: copies[0].zero_())
    assert logits.shape == (5, CLASSES)
    assert sizes == {"trunk": [1], "block": [5]}


# --- known evidence ---------------------------------------------------------------------------------------------------------


def red_square(frames=(4, 6), at=(70, 30), side=16) -> torch.Tensor:
    """A grey clip (1, 3, 8, 112, 112) with a red square in some frames."""
    clip = torch.full((1, 3, 8, 112, 112), 0.5)
    y, x = at
    clip[:, :, frames[0] : frames[1], y : y + side, x : x + side] = torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1, 1)
    return clip


@pytest.mark.parametrize("net", ["patches", "strided"])
@pytest.mark.parametrize("method", ["occlusion", "rise", "scorecam", "ablationcam"])
def test_the_red_square_carries_the_evidence(method, net):
    module = getattr(planted, net)().eval()
    known = TorchModel(module, spec(**planted.spec_facts(module), time_cells=(8 if net == "patches" else 4,)))
    more = {"masks": 150} if method == "rise" else {}
    found = METHODS[method](known, red_square(), [Target(0)], **more).maps[0][0, 0].numpy()
    (place,) = method_geometry(get_method(method), known)
    t, y, x = (
        axis.centres()[i]
        for axis, i in zip((place.time, place.y, place.x), np.unravel_index(found.argmax(), found.shape), strict=True)
    )
    # Half a cell of the method's own grid (for rise that of its masks) around the square of frames 4 and 5, rows 70 to 85 ...
    slack = (1.0, 8.0, 8.0) if method == "rise" else (a.stride / 2 for a in (place.time, place.y, place.x))
    for at, low, high, reach in zip((t, y, x), (4, 70, 30), (5, 85, 45), slack, strict=True):
        assert low - reach <= at <= high + reach
    if method != "rise":  # whose values elsewhere are noise
        away = found[placed_away(place)]
        assert np.abs(away).max() <= 1e-4 * found.max()


def placed_away(place) -> tuple[np.ndarray, ...]:
    """The cells more than two cells beside the square; nearer ones still see some of it."""
    y, x = (
        (axis.centres() < low - 2 * axis.stride) | (axis.centres() > high + 2 * axis.stride)
        for axis, low, high in ((place.y, 70, 85), (place.x, 30, 45))
    )
    return np.nonzero(np.broadcast_to(y[:, None] | x, place.grid))


def test_frozen_moments_see_the_square_come_and_stay():
    module = planted.patches().eval()
    known = TorchModel(module, spec(**planted.spec_facts(module)))
    found = temporal_mask(known, red_square(), [Target(0)]).maps[0][0, 0, :, 0, 0]
    # When it comes it is missed for a frame, while it is there nothing changes, when it goes it stays for a frame. Its share
    # in one frame: 500 times the mean of 16 x 16 pixels that are 0.3 red.
    assert found[4] == pytest.approx(500 * 0.3 * 16 * 16 / (8 * 112 * 112), rel=1e-4)
    assert found[6] == pytest.approx(-float(found[4]), rel=1e-3)
    assert found[[0, 1, 2, 3, 5, 7]].abs().max() < 1e-4


@pytest.mark.parametrize("method", ["temporal-mask", "occlusion"])
def test_a_grid_of_its_own_goes_through_the_whole_pipeline(method, tmp_path):
    def picture(i):
        image = np.full((120, 160, 3), 128, np.uint8)
        if 15 <= i < 25:
            image[40:60, 60:80] = (230, 20, 20)
        return image

    path = write_clip(tmp_path / "clip.mp4", frames=40, fps=15, size=(120, 160), picture=picture)
    engine = open_engine(f"{Path(planted.__file__)}:patches")
    found = annotation.explain(path, engine=engine, settings=Settings(method=method, classes=("red square",), smooth_s=0.0))
    curve = np.nan_to_num(found.curves["red square"])
    assert 0.8 <= found.times_s[curve.argmax()] <= 1.8
    heat = render_heat(found.drawn["red square"], time=float(found.times_s[curve.argmax()]), scale=found.scale, size=(120, 160))
    inside = heat.values[8:112, 28:132]
    if method == "temporal-mask":
        assert inside.min() == inside.max() > 0
    else:
        assert np.unravel_index(heat.values.argmax(), heat.values.shape) in [(y, x) for y in range(36, 64) for x in range(56, 84)]
