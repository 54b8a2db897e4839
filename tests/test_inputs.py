"""Gradients down to the clip: finite differences, captum, the papers in loops, and what must not depend on anything."""

from __future__ import annotations

import gc
import math
import threading
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.tiny_nets import CLIP, NETS, clips, explained, spec, tensors
from support.untouched import Snapshot, checked, disturb, interrupted, leaves_in_order
from support.waiting import ended, until
from torch import nn

from vidcam.engine import TorchEngine, gradients
from vidcam.engine.gradients import differentiable
from vidcam.errors import IncompatibleError, UnknownNameError, UsageError
from vidcam.methods import core, input_gradients
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry
from vidcam.methods.core import Target, TorchModel
from vidcam.methods.lookup import all_methods, get_method
from vidcam.methods.noise_tunnel import noise_tunnel
from vidcam.methods.receptive_field import layer_geometry, method_geometry
from vidcam.models.loading import LoadedModel

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of matplotlib and others that captum imports
    from captum import attr

METHODS = ["gradient", "gradientxinput", "guided-backprop", "guided-gradcam", "integrated-gradients", "smoothgrad", "vargrad"]
NO_RELU_NETS = ("deep", "tokens")
TARGETS = [Target(0), Target(3), Target(3, versus=1)]
SIDE = 4  # of a block of pixels of the tiny clips


def run(method: str, net: TorchModel, targets=TARGETS, x=None) -> core.Attribution:
    return tensors(get_method(method).explain(net, clips() if x is None else x, targets))


def bearing(method: str) -> list[str]:
    return [n for n in NETS if not (method.startswith("guided") and n in NO_RELU_NETS)]


PAIRS = [(m, n) for m in METHODS for n in bearing(m)]


def blocks(pixels) -> np.ndarray:
    """(..., T, H, W) summed over blocks, in loops."""
    pixels = np.asarray(pixels, dtype=float)
    *lead, h, w = pixels.shape
    out = np.zeros((*lead, h // SIDE, w // SIDE))
    for y in range(h):
        for x in range(w):
            out[..., y // SIDE, x // SIDE] += pixels[..., y, x]
    return out


def close(got, want, *, digits: float = 1e-5) -> None:
    want = np.asarray(want)
    np.testing.assert_allclose(np.asarray(got), want, atol=digits * max(float(np.abs(want).max()), 1e-12))
    assert np.asarray(want).any()


@pytest.fixture
def few_steps(monkeypatch):
    """Have integrated gradients take few of their steps, which are alike."""
    monkeypatch.setattr(input_gradients, "STEPS", 6)


class Chain(nn.Module):
    """Two convolutions and two linear layers; three activations that a test chooses."""

    def __init__(self, *activations, bias: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv3d(3, 5, 3, stride=(1, 2, 2), padding=1, bias=bias)
        self.second = nn.Conv3d(5, 6, 3, stride=(1, 2, 2), padding=1, bias=bias)
        self.hidden = nn.Linear(6, 7, bias=bias)
        self.fc = nn.Linear(7, 5, bias=bias)
        self.activations = nn.ModuleList(activations) if isinstance(activations[0], nn.Module) else activations

    def forward(self, x):
        one, two, three = self.activations
        y = two(self.second(one(self.first(x))))
        return self.fc(three(self.hidden(y.mean((2, 3, 4)))))


def chain(*activations, bias: bool = True) -> TorchModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = Chain(*(activations * 3)[:3], bias=bias).eval()
    return TorchModel(module, spec(target_layer="second"))


def modules_of_relu() -> TorchModel:
    return chain(nn.ReLU(), nn.ReLU(), nn.ReLU())


# --- the gradient itself ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_the_gradient_is_that_of_finite_differences(name):
    net = explained(name)  # of them "deep" overwrites in place what autograd has saved
    net.module.double()
    x, target = clips().double(), Target(3, versus=1)
    with differentiable(net) as look:
        seen = look(x)
        slope, again = seen.gradients(target), seen.gradients(target)
    assert torch.equal(slope, again)
    assert slope.dtype == torch.float32
    generator = torch.Generator().manual_seed(5)
    for _ in range(8):
        way = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            rise = target(net.module(x + 1e-6 * way)) - target(net.module(x - 1e-6 * way))
        np.testing.assert_allclose((slope * way).sum((1, 2, 3, 4)), rise / 2e-6, rtol=1e-4, atol=1e-6 * float(slope.norm()))


@pytest.mark.parametrize("name", ["plain", "movinet", "channels-last", "tokens"])
def test_captum_finds_the_same(name):
    net, x = explained(name), clips()
    for method, oracle in (
        ("gradient", attr.Saliency(net.module)),
        ("gradientxinput", attr.InputXGradient(net.module)),
        ("integrated-gradients", attr.IntegratedGradients(net.module)),
    ):
        options = (
            {"baselines": 0.0, "n_steps": input_gradients.STEPS, "method": "riemann_middle"} if "integrated" in method else {}
        )
        want = [oracle.attribute(x.clone().requires_grad_(), target=k, **options).detach().sum(1) for k in (0, 3)]
        close(run(method, net, TARGETS[:2]).maps[0], np.stack([blocks(w) for w in want], 1))


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("method", ["gradientxinput", "integrated-gradients"])
@pytest.mark.parametrize("name", NETS)
def test_versus_is_the_difference_of_shares(method, name):
    maps = run(method, explained(name), [Target(3), Target(1), Target(3, versus=1)]).maps[0]
    close(maps[:, 2], maps[:, 0] - maps[:, 1], digits=1e-4)


def test_gradient_of_a_difference_is_no_difference_of_two_maps():
    net, x = explained("plain"), clips().requires_grad_()
    maps = run("gradient", net, [Target(3), Target(1), Target(3, versus=1)]).maps[0]
    logits = net.module(x)
    (slope,) = torch.autograd.grad((logits[:, 3] - logits[:, 1]).sum(), x)
    close(maps[:, 2], blocks(slope.abs().sum(1)))
    assert (maps[:, 2] - (maps[:, 0] - maps[:, 1])).abs().max() > 0.1 * maps[:, 2].max()


def test_gradient_times_input_sums_to_the_logit_without_biases():
    for activations in ((torch.relu_,), (nn.ReLU(), nn.ReLU(), nn.ReLU())):
        found = run("gradientxinput", chain(*activations, bias=False))
        scores = torch.stack([t(found.logits) for t in TARGETS], 1)
        np.testing.assert_allclose(found.maps[0].sum((2, 3, 4)), scores, rtol=1e-4, atol=1e-6)
    found = run("gradientxinput", chain(torch.relu_))
    assert (found.maps[0].sum((2, 3, 4)) - torch.stack([t(found.logits) for t in TARGETS], 1)).abs().max() > 0.01
    assert found.totals is None


# --- integrated gradients ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_integrated_gradients_sum_to_what_the_clip_adds(name):
    net, x = explained(name), clips()
    found = run("integrated-gradients", net)
    with torch.no_grad():
        gain = net.module(x) - net.module(torch.zeros_like(x))
    want = torch.stack([t(gain) for t in TARGETS], 1)
    close(found.totals, want)
    # 32 points of a path with kinks; the largest of these errors is 1 %
    np.testing.assert_allclose(found.maps[0].sum((2, 3, 4)), want, atol=0.03 * float(want.abs().max()))


def test_integrated_gradients_come_closer_with_more_steps(monkeypatch):
    net, x, errors = explained("plain"), clips()[:1], []
    for steps in (2, 32, 256):
        monkeypatch.setattr(input_gradients, "STEPS", steps)
        found = run("integrated-gradients", net, TARGETS[:2], x)
        errors.append(float((found.maps[0].sum((2, 3, 4)) - found.totals).abs().max() / found.totals.abs().max()))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 3e-3


# --- guided backpropagation -------------------------------------------------------------------------------------------------


def test_captum_guides_modules_the_same_way():
    net = modules_of_relu()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # captum says that it sets hooks
        want = [attr.GuidedBackprop(net.module).attribute(clips().requires_grad_(), target=k).detach() for k in (0, 3)]
    found = run("guided-backprop", net, TARGETS[:2]).maps[0]
    close(found, np.stack([blocks(w.abs().sum(1)) for w in want], 1))
    assert (found - run("gradient", net, TARGETS[:2]).maps[0]).abs().max() > 0.1 * found.max()


@pytest.mark.parametrize(
    "activation",
    [
        *(torch.relu, torch.relu_, F.relu, torch.Tensor.relu, nn.functional.relu_),
        *(lambda x: x.clamp(min=0), lambda x: x.clamp_(0, math.inf), lambda x: torch.clamp_min(x, 0)),
        *(lambda x: F.threshold(x, 0, 0), lambda x: F.hardtanh(x, 0.0, 1e9), lambda x: F.relu(x, inplace=True)),
    ],
)
def test_a_relu_is_guided_however_it_is_called(activation):
    want = run("guided-backprop", modules_of_relu()).maps[0]
    torch.testing.assert_close(run("guided-backprop", chain(activation)).maps[0], want, rtol=1e-5, atol=1e-9)
    inplace = chain(nn.ReLU(inplace=True), nn.ReLU(inplace=True), nn.ReLU(inplace=True))
    torch.testing.assert_close(run("guided-backprop", inplace).maps[0], want, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("ceiling", [math.inf, 0.5])
def test_guided_backpropagation_is_its_papers_equation(ceiling):
    class Perceptron(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(3, 20), nn.Linear(20, 20), nn.Linear(20, 5)])

        def forward(self, x):
            y = x.mean((2, 3, 4))
            for layer in self.layers[:-1]:
                y = layer(y).clamp(0, ceiling) if ceiling != 0.5 else F.hardtanh(layer(y), 0, ceiling)
            return self.layers[-1](y)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = TorchModel(Perceptron().eval(), spec())
    x = clips() * 5 + 1
    (w1, b1), (w2, b2), (w3, _) = (
        (m.weight.detach().double().numpy(), m.bias.detach().double().numpy()) for m in net.module.layers
    )
    found = run("guided-backprop", net, [Target(2)], x).maps[0]
    saturated = 0
    for b, colours in enumerate(x.double().mean((2, 3, 4)).numpy()):
        z1 = w1 @ colours + b1
        z2 = w2 @ np.clip(z1, 0, ceiling) + b2
        saturated += (z1 > ceiling).sum() + (z2 > ceiling).sum()
        R = w3[2].copy()
        for z, w in ((z2, w2), (z1, w1)):
            for u in range(20):
                if not (0 < z[u] < ceiling and R[u] > 0):
                    R[u] = 0
            R = R @ w
        share = np.abs(R).sum() / math.prod(CLIP)  # every pixel has the same
        np.testing.assert_allclose(found[b, 0], share * SIDE * SIDE, rtol=1e-5)
        assert share > 0
    assert (saturated > 0) == (ceiling == 0.5)


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        return grad * 3 * ctx.saved_tensors[0] ** 2


@pytest.mark.parametrize(
    ("activation", "called"),
    [
        *((F.gelu, "Gelu"), (F.silu, "Silu"), (F.hardswish, "Hardswish"), (F.hardsigmoid, "Hardsigmoid"), (F.elu, "Elu")),
        *((F.selu, "Elu"), (F.celu, "Celu"), (F.leaky_relu, "LeakyRelu"), (F.softplus, "Softplus"), (F.mish, "Mish")),
        *((torch.tanh, "Tanh"), (F.hardtanh, "Hardtanh"), (torch.sigmoid, "Sigmoid"), (lambda x: x * x.sigmoid(), "Sigmoid")),
        *((F.logsigmoid, "LogSigmoid"), (lambda x: x.softmax(1), "Softmax"), (lambda x: x.log_softmax(1), "LogSoftmax")),
        *((lambda x: F.threshold(x, 0.1, 0), "Threshold"), (F.softshrink, "Softshrink"), (F.hardshrink, "Hardshrink")),
        *((lambda x: F.glu(torch.cat([x, x], 1), 1), "Glu"), (lambda x: F.prelu(x, x.new_ones(1)), "Prelu"), (F.rrelu, "Rrelu")),
        (Cube.apply, "Cube"),
    ],
)
def test_other_activations_are_refused_by_their_name(activation, called):
    net = chain(torch.relu, activation, activation)
    message = rf"a rule for ReLUs, but model 'tiny' has {called}\w* \(2 times\): use 'gradient' or 'smoothgrad'"
    for method in ("guided-backprop", "guided-gradcam"):
        with pytest.raises(IncompatibleError, match=message):
            run(method, net, x=clips()[:1])


@pytest.mark.parametrize("name", NO_RELU_NETS)
def test_transformers_are_not_guided(name):
    with pytest.raises(IncompatibleError, match=r"'tiny' has (Gelu|ScaledDotProduct|Softmax)"):
        run("guided-backprop", explained(name))


def test_without_any_relu_there_is_nothing_to_guide():
    with pytest.raises(IncompatibleError, match=r"has no ReLU at all"):
        run("guided-backprop", chain(lambda x: x))
    with pytest.raises(IncompatibleError, match=r"has no ReLU at all"):
        run("guided-backprop", chain(lambda x: x.clamp(min=-1e9)))


# --- guided Grad-CAM --------------------------------------------------------------------------------------------------------


def at_pixel(values: np.ndarray, where: CellGeometry, pixel: tuple[int, int, int]) -> float:
    """The map interpolated at one pixel, axis after axis."""
    for axis, at in zip((where.time, where.y, where.x), pixel, strict=True):
        centres = [axis.offset + axis.stride * j for j in range(len(values))]
        lower = max((j for j, c in enumerate(centres) if c <= at), default=0)
        upper = min(lower + 1, len(centres) - 1)
        share = min(max((at - centres[lower]) / axis.stride, 0.0), 1.0)
        values = (1 - share) * values[lower] + share * values[upper]
    return float(values) / (where.time.stride * where.y.stride * where.x.stride)


def test_a_map_is_spread_from_where_its_cells_are():
    where = CellGeometry(AxisGeometry(-1.0, 2.0, 3), AxisGeometry(2.5, 4.0, 3), AxisGeometry(0.0, 4.0, 3))
    values = torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(0))
    got = input_gradients.spread(values, where, CLIP)
    for pixel in np.ndindex(*CLIP):
        assert float(got[pixel]) == pytest.approx(at_pixel(values.double().numpy(), where, pixel), abs=1e-6)
    assert float(got[1, 0, 4]) == pytest.approx(float(values[1, 0, 1]) / 32)
    half = input_gradients.spread(values[:, :2], where, (4, 8, 12))  # a smaller clip follows the same law
    torch.testing.assert_close(half[:, :6], got[:, :6])


@pytest.mark.parametrize("name", ["plain", "pathways", "channels-last"])
def test_guided_gradcam_is_the_product_at_every_pixel(name):
    net, x = explained(name), clips()
    found = run("guided-gradcam", net)
    cams = run("gradcam", net).maps
    where = layer_geometry(net)
    seen = set()
    for b in range(len(x)):
        for n, target in enumerate(TARGETS):
            with differentiable(net, guided=True) as look:
                sizes = look(x[b : b + 1]).gradients(target)[0].abs().sum(0).double().numpy()
            want = np.zeros(CLIP)
            for pixel in np.ndindex(*CLIP):
                cam = sum(at_pixel(m[b, n].double().numpy(), place, pixel) for m, place in zip(cams, where, strict=True))
                seen.add(cam > 0)
                want[pixel] = sizes[pixel] * max(cam, 0.0)
            np.testing.assert_allclose(found.maps[0][b, n], blocks(want), atol=1e-5 * float(found.maps[0].max()))
    assert seen == {True, False}
    assert found.maps[0].any()


# --- SmoothGrad and VarGrad -------------------------------------------------------------------------------------------------


def noisy(x: torch.Tensor, *, samples: int, noise: float, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    out = []
    for _ in range(samples):
        pattern = torch.randn(x.shape[1:], generator=generator)
        out.append(torch.stack([clip + noise * (clip.max() - clip.min()) * pattern for clip in x]))
    return out


@pytest.mark.parametrize("inner", ["gradient", "cam", "gradcam", "eigencam", "gradientxinput"])
def test_smoothing_is_the_mean_and_variance_over_noisy_clips(inner):
    net, x = explained("pathways"), clips()
    x[1] *= 3  # another range, another noise
    for samples, noise, seed in ((16, 0.15, 0), (3, 0.4, 7)):
        options = {} if samples == 16 else {"samples": samples, "noise": noise}
        one = [run(inner, net, x=c) for c in noisy(x, samples=samples, noise=noise, seed=seed)]
        mean = tensors(noise_tunnel(get_method(inner), **options).with_seed(seed).explain(net, x, TARGETS))
        variance = tensors(
            noise_tunnel(get_method(inner), statistic="variance", **options).with_seed(seed).explain(net, x, TARGETS)
        )
        assert len(mean.maps) == len(variance.maps) == len(one[0].maps)
        for i, (m, v) in enumerate(zip(mean.maps, variance.maps, strict=True)):
            stack = np.stack([o.maps[i].double().numpy() for o in one])
            close(m, stack.mean(0))
            close(v, stack.var(0), digits=1e-4)
        for found in (mean, variance):
            assert found.totals is None
            np.testing.assert_allclose(found.logits, run("gradient", net, x=x).logits, atol=1e-6)


@pytest.mark.parametrize(("name", "kind"), [("smoothgrad", "smoothgrad"), ("vargrad", "vargrad")])
def test_captums_noise_tunnel_finds_the_same(name, kind):
    net, x = explained("plain"), clips()[:1]
    if kind == "vargrad":  # captum takes the variance for each colour: leave one
        with torch.no_grad():
            net.module.trunk.stem.weight[:, 1:] = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        oracle = attr.NoiseTunnel(attr.Saliency(net.module))
        scale = 0.15 * float(x.max() - x.min())
        options = {"nt_type": kind, "nt_samples": 16, "nt_samples_batch_size": 1, "stdevs": scale, "target": 3}
        want = oracle.attribute(x.clone().requires_grad_(), **options).detach().sum(1)
    got = run(name, net, [Target(3)], x).maps[0][:, 0]
    if kind == "smoothgrad":
        close(got, blocks(want), digits=1e-4)
    else:  # ... and for each pixel, whereas here it is the variance of the finished map
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(input_gradients, "over_blocks", lambda pixels: pixels)
            got = run(name, net, [Target(3)], x).maps[0][:, 0]
        close(got, want, digits=1e-3)


def test_a_clip_without_contrast_gets_no_noise():
    net, x = explained("plain"), torch.ones(1, 3, *CLIP)
    close(run("smoothgrad", net, x=x).maps[0], run("gradient", net, x=x).maps[0])
    assert run("vargrad", net, x=x).maps[0].max() <= 1e-12


def test_smoothing_follows_its_seed_and_keeps_the_random_state():
    net, method = explained("plain"), get_method("gradcam")
    before = torch.get_rng_state()
    first, second, other = (noise_tunnel(method).with_seed(s).explain(net, clips(), TARGETS).maps[0] for s in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "mean over noisy clips needs at least 1 of them and a positive noise, got 0, "),
        ({"samples": 1, "statistic": "variance"}, "variance over noisy clips needs at least 2"),
        ({"noise": 0.0}, "positive noise, got 16, 0"),
        ({"noise": math.nan}, "positive noise, got 16, nan"),
    ],
)
def test_smoothing_refuses_what_makes_no_sense(options, message):
    with pytest.raises(UsageError, match=message):
        noise_tunnel(get_method("gradient"), **options)


def test_any_method_is_smoothed_by_its_name():
    net = explained("pathways")
    method = get_method("smoothgrad:gradcam")
    want = noise_tunnel(get_method("gradcam"))
    assert method.name == "smoothgrad:gradcam"
    assert (method.signed, method.is_complete, method.cells, method.family) == (True, False, None, "gradient")
    for got, expected in zip(method.explain(net, clips(), TARGETS).maps, want.explain(net, clips(), TARGETS).maps, strict=True):
        assert np.array_equal(got, expected)
    for wrapper in ("smoothgrad", "vargrad"):
        assert get_method(wrapper).name == wrapper
        assert torch.equal(run(wrapper, net).maps[0], run(f"{wrapper}:gradient", net).maps[0])
        for inner in all_methods():
            if inner.wraps is None:
                found = get_method(f"{wrapper}:{inner.name}")
                assert found.signed == (inner.signed and wrapper == "smoothgrad")
                assert (found.requires, found.cells, found.is_complete) == (inner.requires, inner.cells, False)
    with pytest.raises(UnknownNameError, match="unknown method 'layercamm': did you mean 'layercam'"):
        get_method("smoothgrad:layercamm")
    with pytest.raises(UnknownNameError, match="unknown method 'smoothgradd:cam'"):
        get_method("smoothgradd:cam")
    with pytest.raises(UnknownNameError, match="unknown method 'cam:gradcam'"):
        get_method("cam:gradcam")
    with pytest.raises(UnknownNameError, match="unknown method 'smoothgrad:'"):
        get_method("smoothgrad:")


# --- what must hold for all of them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_placed_on_blocks_of_pixels(method):
    row = get_method(method)
    net = explained("pathways")
    (where,) = method_geometry(row, net)
    found = run(method, net)
    assert [m.shape for m in found.maps] == [(2, 3, *where.grid)]
    assert where == CellGeometry(AxisGeometry(0.0, 1.0, 4), AxisGeometry(1.5, 4.0, 3), AxisGeometry(1.5, 4.0, 3))
    assert row.family == "input"
    assert not row.is_complete


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(("method", "name"), PAIRS)
def test_nothing_depends_on_what_clips_come_together(method, name):
    net, x, targets = explained(name), clips(), [Target(3, versus=1)]
    together = run(method, net, targets, x)
    for b in range(2):
        alone = run(method, net, targets, x[b : b + 1])
        digits = 1e-6 if get_method(method).family == "input" and method != "guided-gradcam" else 1e-5
        np.testing.assert_allclose(together.maps[0][b], alone.maps[0][0], rtol=0, atol=digits * float(alone.maps[0].abs().max()))
        np.testing.assert_allclose(together.logits[b], alone.logits[0], atol=1e-6)
        if together.totals is not None:
            np.testing.assert_allclose(together.totals[b], alone.totals[0], atol=1e-6)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("method", METHODS)
def test_nothing_depends_on_the_chunk(method):
    net = explained("plain")
    frames = np.random.default_rng(0).integers(0, 256, (5, *CLIP, 3), dtype=np.uint8)
    loaded = LoadedModel(net.spec, net.module, net.spec.labels(), weights_sha256=None, weights_path=None)

    def best(logits):
        return [Target(int(np.argmax(logits.mean(0)))), Target(2)]

    one, four = (core.explain(TorchEngine(loaded, "cpu", chunk=n), frames, best, get_method(method)) for n in (1, 4))
    assert one.targets == four.targets
    close(one.maps[0], four.maps[0])
    assert (one.totals is not None) == (method == "integrated-gradients")


@pytest.mark.parametrize("method", ["gradient", "gradientxinput", "guided-backprop"])
def test_a_clip_costs_one_forward_pass(method):
    net = explained("plain")
    passes = 0

    def count(_module, inputs, _output) -> None:
        nonlocal passes
        passes += len(inputs[0])

    net.module.register_forward_hook(count)

    def chosen(logits):
        return [Target(int(logits.mean(0).argmax()))]

    alone = run(method, net, chosen, clips()[:1])
    assert passes == 1
    passes = 0
    both = run(method, net, chosen)
    assert passes == 2 * len(clips())  # what all of them say decides what is explained
    assert both.targets == tuple(chosen(both.logits))
    close(alone.maps[0][0], run(method, net, alone.targets).maps[0][0])


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(("method", "name"), PAIRS)
def test_the_model_is_left_as_it_was(method, name):
    net, row = explained(name), get_method(method)
    order = leaves_in_order(net, clips())
    disturb(net.module)
    before = Snapshot(net.module)
    x = clips()
    copy = x.clone()
    found = tensors(row.explain(net, x, [Target(1), Target(2, versus=0)]))
    before.check()
    assert torch.equal(x, copy)
    assert not x.requires_grad
    for part in (*found.maps, found.logits, *([] if found.totals is None else [found.totals])):
        assert part.dtype == torch.float32
        assert not part.requires_grad
        assert torch.isfinite(part).all()
    assert found.maps[0].any()
    assert row.signed == bool((found.maps[0] < 0).any())
    for where in (order[0], order[-1]):
        interrupted(net, row, x, where, KeyboardInterrupt("stopped here"))


def test_the_model_is_left_as_it_was_where_guiding_is_refused():
    net = explained("deep")
    disturb(net.module)
    before = Snapshot(net.module)
    with pytest.raises(IncompatibleError):
        run("guided-backprop", net)
    before.check()
    checked(net, get_method("gradient"), clips(), TARGETS)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("outside", [torch.no_grad, torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("method", METHODS)
def test_the_mode_of_the_caller_does_not_matter(method, outside):
    net = explained("plain")
    want = run(method, net).maps[0]
    with outside():
        got = run(method, net, x=clips()).maps[0]
    close(got, want, digits=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_float32_where_the_network_is_not(method):
    net = explained("plain")
    want = run(method, net).maps[0]
    net.module.bfloat16()
    found = run(method, net, x=clips().bfloat16())
    assert found.maps[0].dtype == found.logits.dtype == torch.float32
    # bf16 keeps 8 bits, so some ReLUs switch; a variance squares that
    np.testing.assert_allclose(found.maps[0], want, atol=0.3 * float(want.abs().max()))


def test_a_network_may_overwrite_its_clip():
    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 5)

        def forward(self, x):
            return self.fc(x.mul_(2.0).mean((2, 3, 4)))

    x = clips()
    net = TorchModel(Greedy().eval(), spec())
    found = run("gradient", net, [Target(1)], x)
    assert torch.equal(x, clips())
    want = 2 * float(net.module.fc.weight[1].detach().abs().sum()) / math.prod(CLIP) * SIDE * SIDE
    np.testing.assert_allclose(found.maps[0], want, rtol=1e-5)


def test_logits_without_a_way_from_the_clip_are_refused():
    class Deaf(nn.Module):
        def forward(self, x):
            return torch.zeros(len(x), 5)

    with pytest.raises(UsageError, match="no differentiable way leads from the clips to the logits of model 'tiny'"):
        run("gradient", TorchModel(Deaf().eval(), spec()))


def test_a_run_frees_what_the_one_before_kept():
    def tensors() -> int:
        gc.collect()
        return sum(type(o) is torch.Tensor for o in gc.get_objects())

    net, x, counts, after = explained("deep"), clips()[:1], [], []
    gc.collect()
    gc.freeze()  # what there is already is not looked through each time
    with differentiable(net) as look:
        for _ in range(4):
            look(x).gradients(Target(0))
            counts.append(tensors())
    assert counts[1:] == counts[:1] * 3
    for _ in range(2):
        run("gradient", net, [Target(0)], x)
        after.append(tensors())
    assert after[1] == after[0]


class Watched:
    """A lock that says when a thread has to wait for it."""

    def __init__(self) -> None:
        self.lock, self.waited = threading.RLock(), threading.Event()

    def __enter__(self) -> None:
        if not self.lock.acquire(blocking=False):
            self.waited.set()
            self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_second_thread_waits_until_the_first_has_its_gradients(monkeypatch):
    lock, net, found = Watched(), explained("deep"), []
    monkeypatch.setattr(gradients, "_MUTATION", lock)
    other = threading.Thread(target=lambda: found.append(run("gradient", explained("plain")).maps[0]), daemon=True)
    with differentiable(net) as look:
        other.start()
        until(lambda: lock.waited.is_set() or not other.is_alive())
        assert lock.waited.is_set()
        assert not found
        slope = look(clips()).gradients(Target(0))
    ended(other)
    close(found[0], run("gradient", explained("plain")).maps[0])
    assert slope.any()
