"""Layer-wise relevance propagation against its rules in loops, against zennit, and its conservation on the real architectures."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from support.real_nets import fit_pools
from support.tiny_nets import CLASSES, clips, explained, spec, tensors
from torch import Tensor, nn
from torch.nn import functional as F
from zennit import attribution as zennit_attribution
from zennit import canonizers
from zennit import composites as zennit_composites
from zennit import rules as zennit_rules
from zennit.layer import Sum as ZennitSum

from vidcam.methods import core, pixel_blocks
from vidcam.methods.core import Target, TorchModel
from vidcam.methods.lookup import get_method
from vidcam.methods.lrp import COMPOSITES, lrp, rules
from vidcam.models.table import get_spec

ROWS = {composite.name: composite for composite in COMPOSITES}
TARGETS = [Target(0), Target(3), Target(3, versus=1)]
RULES = {
    "zero": rules.zero,
    "epsilon": partial(rules.epsilon, absolute=0.3),
    "epsilon-relative": partial(rules.epsilon, relative=0.25),
    "gamma": partial(rules.gamma, gamma=0.4),
    "z-plus": rules.z_plus,
    "alpha2beta1": partial(rules.alpha_beta, beta=1.0),
    "z-box": rules.z_box,
    "flat": rules.flat,
}


def found_by(name: str, net: TorchModel, inputs: Tensor, targets=TARGETS) -> core.Attribution:
    return tensors(get_method(name).explain(net, inputs, targets))


def summed(found: core.Attribution) -> Tensor:
    return found.maps[0].sum((2, 3, 4))


def scores(found: core.Attribution) -> Tensor:
    return torch.stack([target(found.logits) for target in found.targets], dim=1)


def over_colours(relevance: Tensor) -> Tensor:
    """Relevance of pixels (B, 3, T, H, W) as the maps have it."""
    return pixel_blocks.over_blocks(relevance.sum(1))


# --- the rules, in loops ----------------------------------------------------------------------------------------------------


def loop_rule(name, a, w, b, R, connected, low, high):
    """Relevance of the inputs (J,) for outputs with relevance R (K,); weights w (J, K), biases b (K,), where connected (J, K)."""
    J, K = w.shape
    found = np.zeros(J)
    z = [sum(a[j] * w[j, k] for j in range(J)) + b[k] for k in range(K)]
    rms = (sum(v * v for v in z) / K) ** 0.5
    for k in range(K):
        p = [a[j] * w[j, k] for j in range(J)]
        if name in ("zero", "epsilon", "epsilon-relative"):
            size = {"zero": 0.0, "epsilon": 0.3, "epsilon-relative": 1e-6 + 0.25 * rms}[name]
            s = z[k] + size * (1 if z[k] >= 0 else -1)
            share = [v / s for v in p]
        elif name == "gamma":  # what has the output's sign counts 1.4 times
            same = [v * (1.4 if v * z[k] > 0 else 1) for v in p]
            share = [v / (sum(same) + b[k] * (1.4 if b[k] * z[k] > 0 else 1)) for v in same]
        elif name in ("z-plus", "alpha2beta1"):
            up = [max(v, 0) for v in p]
            down = [min(v, 0) for v in p]
            alpha, beta = (1, 0) if name == "z-plus" else (2, 1)
            share = [
                alpha * u / (sum(up) + max(b[k], 0)) - beta * d / (sum(down) + min(b[k], 0))
                for u, d in zip(up, down, strict=True)
            ]
        elif name == "z-box":
            q = [a[j] * w[j, k] - low[j] * max(w[j, k], 0) - high[j] * min(w[j, k], 0) for j in range(J)]
            share = [v / sum(q) for v in q]
        else:
            share = [connected[j, k] / sum(connected[:, k]) for j in range(J)]
        for j in range(J):
            found[j] += share[j] * R[k]
    return found


def by_gradient(rule, apply, a, weight, bias, R, low, high) -> tuple[Tensor, Tensor, Tensor]:
    """The rule's output, the relevance of its input, and what constants absorb."""
    one = torch.ones((), dtype=a.dtype).requires_grad_()
    leaves = [v.clone().requires_grad_() for v in (a, low, high, torch.ones_like(a))]
    plain = apply(a, weight)
    plain = plain if bias is None else plain + bias
    out = rule(rules.Layer(apply, leaves[0], weight, bias, plain, one, tuple(leaves[1:])))
    grads = torch.autograd.grad(out, [*leaves, one], R / plain, allow_unused=True, materialize_grads=True)
    return out.detach(), sum(v.detach() * g for v, g in zip(leaves, grads, strict=False)), grads[-1]


@pytest.mark.parametrize("signed", [False, True], ids=["after a ReLU", "both signs"])
@pytest.mark.parametrize("name", RULES)
def test_a_rule_does_what_its_paper_says(name, signed):
    torch.manual_seed(0)
    a = torch.randn(1, 7, dtype=torch.float64)
    a = a if signed else a.clamp(min=0)
    weight, bias = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    weight[:, :2] *= torch.tensor([1, -1]) * weight[:, :2].sign()  # so that no output lacks contributions of either sign
    a[:, :2] = a[:, :2].abs() + 0.1
    low, high = torch.full_like(a, -3.0), torch.full_like(a, 2.5)
    R = torch.randn(1, 5, dtype=torch.float64)
    out, relevance, absorbed = by_gradient(RULES[name], F.linear, a, weight, bias, R, low, high)
    args = (a[0].numpy(), weight.T.numpy(), bias.numpy(), R[0].numpy(), np.ones((7, 5)), low[0].numpy(), high[0].numpy())
    np.testing.assert_allclose(out, F.linear(a, weight, bias), rtol=1e-12)
    # The stabiliser of 1e-6, which the loops do not have, moves denominators of order 1.
    np.testing.assert_allclose(relevance[0], loop_rule(name, *args), rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(relevance.sum() + absorbed, R.sum(), rtol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_does_the_same_in_a_convolution(name):
    torch.manual_seed(1)
    shape, options = (2, 2, 4, 3), {"stride": (1, 2, 1), "padding": (1, 0, 1)}
    a = torch.randn(1, *shape, dtype=torch.float64)
    weight, bias = torch.randn(3, 2, 2, 3, 3, dtype=torch.float64), torch.randn(1, 3, 1, 1, 1, dtype=torch.float64)
    low, high = torch.full_like(a, -4.0), torch.full_like(a, 3.0)
    plain = F.conv3d(a, weight, **options) + bias
    R = torch.randn_like(plain)
    dense, connected = np.zeros((a.numel(), plain.numel())), np.zeros((a.numel(), plain.numel()))
    for n, (c, t, y, x) in enumerate(np.ndindex(shape)):
        for m, (k, s, v, u) in enumerate(np.ndindex(*plain.shape[1:])):
            i = (t - s + 1, y - 2 * v, x - u + 1)
            if all(0 <= tap < size for tap, size in zip(i, (2, 3, 3), strict=True)):
                dense[n, m], connected[n, m] = weight[(k, c, *i)], 1
    biases = bias.expand_as(plain).flatten().numpy()
    want = loop_rule(
        name,
        *(v.flatten().numpy() for v in (a,)),
        dense,
        biases,
        R.flatten().numpy(),
        connected,
        *(v.flatten().numpy() for v in (low, high)),
    )
    _, relevance, absorbed = by_gradient(RULES[name], partial(F.conv3d, **options), a, weight, bias, R, low, high)
    np.testing.assert_allclose(relevance.flatten(), want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(relevance.sum() + absorbed, R.sum(), rtol=1e-10)


def test_relevance_without_contributions_is_absorbed_and_finite():
    # z-plus has no positive contribution to give it to; the loops would divide by 0.
    a, weight = torch.ones(1, 3), -torch.ones(1, 3)
    bounds = (torch.zeros_like(a), a)
    _, relevance, absorbed = by_gradient(rules.z_plus, F.linear, a, weight, None, torch.ones(1, 1), *bounds)
    assert not relevance.any()
    assert absorbed == pytest.approx(1)
    for rule in RULES.values():
        nothing = torch.zeros(1, 3)
        leaf, one = nothing.clone().requires_grad_(), torch.ones(()).requires_grad_()
        out = rule(rules.Layer(F.linear, leaf, weight, None, nothing @ weight.T, one, (nothing, a, a)))
        assert torch.isfinite(
            torch.autograd.grad(out, leaf, torch.ones(1, 1), allow_unused=True, materialize_grads=True)[0]
        ).all()


# --- the mechanism ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "signed", "x3d", "pathways"])
def test_lrp_0_is_gradient_times_input_on_relu_networks(name):
    net, x = explained(name), clips()
    found = found_by("lrp-0", net, x)
    leaf = x.clone().requires_grad_()
    logits = net.module(leaf.clone())
    for n, target in enumerate(TARGETS):
        (gradient,) = torch.autograd.grad(target(logits).sum(), leaf, retain_graph=True)
        want = over_colours(leaf.detach() * gradient)
        np.testing.assert_allclose(found.maps[0][:, n], want, atol=1e-5 * float(want.abs().max()))
        np.testing.assert_allclose(found.totals[:, n], want.sum((1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(found.logits, logits.detach(), atol=1e-6)


class Residual(nn.Module):
    """Convolutions with batch norms, an identity skip, a projected one, max and mean pooling."""

    def __init__(self, *, bias: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, 6, 3, padding=1, bias=bias), nn.BatchNorm3d(6), nn.ReLU(), nn.MaxPool3d((1, 2, 2)))
        self.a = nn.Sequential(nn.Conv3d(6, 6, 3, padding=1, bias=bias), nn.BatchNorm3d(6))
        self.b = nn.Sequential(nn.Conv3d(6, 8, (1, 3, 3), (2, 1, 1), (0, 1, 1), bias=bias), nn.BatchNorm3d(8))
        self.skip = nn.Sequential(nn.Conv3d(6, 8, 1, (2, 1, 1), bias=bias), nn.BatchNorm3d(8))
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Linear(8, CLASSES, bias=bias)
        with torch.no_grad():
            for m in self.modules():
                if isinstance(m, nn.BatchNorm3d):
                    m.running_var.uniform_(0.5, 1.5)
                    m.weight.uniform_(-1, 1.5)
                    if bias:
                        m.running_mean.normal_(std=0.2)
                        m.bias.normal_(std=0.2)

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.relu(self.join(self.a(x), x))
        x = self.relu(self.join(self.b(x), self.skip(x)))
        return self.fc(self.pool(x).flatten(1))


def residual(seed: int = 0, **facts: bool) -> TorchModel:
    torch.manual_seed(seed)
    return TorchModel(Residual(**facts).eval(), spec(target_layer="b"))


def test_without_biases_lrp_0_sums_to_the_logit():
    found = found_by("lrp-0", residual(bias=False), clips())
    np.testing.assert_allclose(summed(found), scores(found), rtol=1e-4)
    np.testing.assert_allclose(found.totals, scores(found), rtol=1e-4)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", ["plain", "signed", "x3d", "movinet", "pathways", "deep"])
def test_nothing_is_lost_or_made(name, row):
    found = found_by(row, explained(name), clips())
    size = 1 + found.totals.abs().max()
    assert (summed(found) - found.totals).abs().max() <= 1e-5 * size
    assert (found.totals - scores(found)).abs().max() > 1e-3  # there are biases, and they absorb


class Written(nn.Module):
    """One network in several ways of writing it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.conv = nn.Conv3d(3, 4, 3, padding=1)
        self.again = nn.Conv3d(4, 4, 1)
        self.relu = nn.ReLU(inplace=how == "module in place")
        self.fc = nn.Linear(4, CLASSES)

    def rectified(self, x: Tensor) -> Tensor:
        match self.how:
            case "function":
                return F.relu(x)
            case "function in place":
                return F.relu(x, inplace=True)
            case "method in place":
                x.relu_()
                return x
            case "clamp":
                return x.clamp(min=0)
            case "clamp in place":
                return torch.clamp_(x, 0)
            case "threshold in the back":
                return torch.flatten(x.unsqueeze(0).relu(), 0, 1)
        return self.relu(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.rectified(self.conv(x))
        y = self.again(x)
        match self.how:
            case "function":
                y = y + x
            case "method in place":
                y.add_(x)
            case "clamp":
                y = torch.stack([x, y]).sum(0)
            case _:
                y += x
        return self.fc(self.rectified(y).mean((2, 3, 4)) * 2)


WAYS = ("function", "function in place", "method in place", "clamp", "clamp in place", "module in place", "threshold in the back")


@pytest.mark.parametrize("how", ["module", *WAYS])
def test_it_does_not_matter_how_a_network_is_written(how):
    torch.manual_seed(2)
    net = TorchModel(Written("module").eval(), spec(target_layer="conv"))
    other = Written(how).eval()
    other.load_state_dict(net.module.state_dict())
    want = found_by("lrp", net, clips())
    got = found_by("lrp", TorchModel(other, net.spec), clips())
    np.testing.assert_allclose(got.maps[0], want.maps[0], atol=1e-6)
    np.testing.assert_allclose(got.totals, want.totals, atol=1e-6)


def test_batch_norm_is_part_of_the_convolution_before_or_linear():
    torch.manual_seed(3)
    net = residual()
    merged = Residual().eval()
    merged.load_state_dict(net.module.state_dict())
    for part in (merged.stem, merged.a, merged.b, merged.skip):
        part[0], part[1] = torch.nn.utils.fuse_conv_bn_eval(part[0], part[1]), nn.Identity()
    for row in ("lrp", "lrp-gamma", "lrp-zbox"):
        want = found_by(row, TorchModel(merged, net.spec), clips())
        got = found_by(row, net, clips())
        np.testing.assert_allclose(got.maps[0], want.maps[0], atol=1e-5 * float(want.maps[0].abs().max()))

    first = nn.Sequential(nn.BatchNorm3d(3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(3, CLASSES)).eval()
    with torch.no_grad():
        first[0].running_mean.normal_()
        first[0].running_var.uniform_(0.5, 1.5)
    x = clips()
    got = found_by("lrp-0", TorchModel(first, spec(target_layer="0")), x)
    weight = first[3].weight[0] * (first[0].running_var + first[0].eps).rsqrt()
    want = over_colours(x * weight.detach().view(1, 3, 1, 1, 1)) / x[0, 0].numel()
    np.testing.assert_allclose(got.maps[0][:, 0], want, atol=1e-6)


class Gate(nn.Module):
    """Squeeze and excitation, or the gates that it has for one clip as constants."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv3d(channels, 2, 1), nn.Conv3d(2, channels, 1)
        self.fixed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.fixed is not None:
            return x * self.fixed
        return torch.mul(x, torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3, 4), keepdim=True))))))


class Swish(nn.Module):
    """As PyTorchVideo has it: an autograd function, hidden from everything outside."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * torch.sigmoid(x)

        @staticmethod
        def backward(ctx, gradient):
            raise AssertionError("this derivative is not the rule")

    def forward(self, x: Tensor) -> Tensor:
        return self.Function.apply(x)


def gated(activation: nn.Module) -> nn.Sequential:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv3d(3, 6, 3, padding=1), Gate(6), activation, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, CLASSES)
    ).eval()


def test_gates_are_constants_and_swish_passes_relevance_on():
    x = clips(1)
    net = gated(Swish())
    got = found_by("lrp", TorchModel(net, spec(target_layer="0")), x)
    fixed = gated(nn.SiLU())
    with torch.no_grad():
        y = net[0](x)
        fixed[1].fixed = torch.sigmoid(net[1].excite(F.relu(net[1].squeeze(y.mean((2, 3, 4), keepdim=True)))))
    want = found_by("lrp", TorchModel(fixed, spec(target_layer="0")), x)
    np.testing.assert_allclose(got.maps[0], want.maps[0], atol=1e-7)

    # And the formula: with everything behind the convolution linear, g is what one unit of it is worth.
    pre = y * fixed[1].fixed
    g = net[5].weight[0].detach().view(1, 6, 1, 1, 1) * torch.sigmoid(pre) * fixed[1].fixed / y[0, 0].numel()
    leaf, one = x.clone().requires_grad_(), torch.ones(()).requires_grad_()
    conv = net[0]
    layer = rules.Layer(partial(F.conv3d, padding=1), leaf, conv.weight.detach(), conv.bias.detach().view(1, -1, 1, 1, 1), y, one)
    (gradient,) = torch.autograd.grad(rules.z_plus(layer), leaf, g)
    np.testing.assert_allclose(got.maps[0][:, 0], over_colours(x * gradient), atol=1e-6)


def test_picked_and_padded_pixels_are_bounded_by_black_and_white():
    torch.manual_seed(5)
    conv = nn.Conv3d(3, 4, (1, 3, 3), bias=False)

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = conv, nn.Linear(4, CLASSES, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.conv(F.pad(x[:, :, ::2], (1, 1, 1, 1))).mean((2, 3, 4)))

    net, x = TorchModel(Padded().eval(), spec(target_layer="conv")), clips(1)
    got = found_by("lrp-zbox", net, x)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1, 1) for v in (net.spec.mean, net.spec.std))
    leaves = [v.expand_as(x).clone().requires_grad_() for v in (x, -mean / std, (1 - mean) / std)]
    (px, pl, ph), w = (F.pad(v[:, :, ::2], (1, 1, 1, 1)) for v in leaves), conv.weight.detach()
    q = F.conv3d(px, w) - F.conv3d(pl, w.clamp(min=0)) - F.conv3d(ph, w.clamp(max=0))
    z = F.conv3d(px, w).detach()
    g = net.module.fc.weight[0].detach().view(1, 4, 1, 1, 1) / z[0, 0].numel()
    grads = torch.autograd.grad(q, leaves, g * z / q.detach())
    want = over_colours(sum(v.detach() * grad for v, grad in zip(leaves, grads, strict=True)))
    np.testing.assert_allclose(got.maps[0][:, 0], want, atol=1e-5)
    assert not got.maps[0][:, :, 1::2].any()  # frames that the network skips
    flat = found_by("lrp-flat", net, x).maps[0]
    np.testing.assert_allclose(flat.sum((2, 3, 4)), found_by("lrp", net, x).totals, atol=1e-5)


def test_clips_do_not_see_each_other_and_versus_is_a_difference():
    net = explained("x3d")
    together = found_by("lrp", net, clips(3))
    for i in range(3):
        alone = found_by("lrp", net, clips(3)[i : i + 1])
        np.testing.assert_allclose(
            alone.maps[0][0], together.maps[0][i], rtol=1e-5, atol=1e-6 * float(together.maps[0].abs().max())
        )
    difference = found_by("lrp", net, clips(3), [Target(1)]).maps[0][:, 0]
    np.testing.assert_allclose(together.maps[0][:, 2], together.maps[0][:, 1] - difference, atol=1e-6)


# --- zennit -----------------------------------------------------------------------------------------------------------------


class Sequential(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(3, 6, 3, padding=1),
            nn.BatchNorm3d(6),
            nn.ReLU(),
            nn.Conv3d(6, 8, (1, 3, 3), (1, 2, 2)),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.MaxPool3d((1, 2, 2)),
            nn.Conv3d(8, 8, (3, 1, 1)),
            nn.ReLU(),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(8, 7),
            nn.ReLU(),
            nn.Linear(7, CLASSES),
        )
        with torch.no_grad():
            for m in self:
                if isinstance(m, nn.BatchNorm3d):
                    m.running_mean.normal_(std=0.2)
                    m.running_var.uniform_(0.5, 1.5)
                    m.weight.uniform_(-1, 1.5)
                    m.bias.normal_(std=0.2)


def with_a_sum(_name: str, module: nn.Module):
    """Residual as zennit wants it: its sums go through a module."""
    if not isinstance(module, Residual):
        return None
    totals = nn.ModuleDict({"6": ZennitSum(), "8": ZennitSum()})  # one for each, by the number of channels
    return {"totals": totals, "join": lambda a, b: totals[str(a.shape[1])](torch.stack([a, b], dim=-1))}


def zennit_says(composite, module: nn.Module, x: Tensor, targets=TARGETS) -> Tensor:
    with zennit_attribution.Gradient(module, composite) as attributor:
        found = []
        for target in targets:
            # Relevance starts as the logits that the target combines, with its signs.
            leaf = torch.zeros(len(x), CLASSES).requires_grad_()
            (signs,) = torch.autograd.grad(target(leaf).sum(), leaf)
            _, relevance = attributor(x, lambda logits, signs=signs: logits.detach() * signs)
            found.append(over_colours(relevance))
    return torch.stack(found, dim=1)


def layers(conv, canonizers_):
    return zennit_composites.LayerMapComposite(
        [*zennit_composites.layer_map_base(), (zennit_composites.Convolution, conv), (nn.Linear, zennit_rules.Epsilon())],
        canonizers=canonizers_,
    )


ZENNIT = {
    "lrp": lambda c: zennit_composites.EpsilonPlus(canonizers=c),
    "lrp-alpha2beta1": lambda c: zennit_composites.EpsilonAlpha2Beta1(canonizers=c),
    "lrp-gamma": lambda c: layers(zennit_rules.Gamma(0.25), c),
    "lrp-0": lambda c: layers(zennit_rules.Epsilon(1e-12), c),
    "lrp-flat": lambda c: zennit_composites.EpsilonPlusFlat(canonizers=c),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("row", ZENNIT)
@pytest.mark.parametrize("kind", ["sequential", "residual"])
def test_zennit_agrees(kind, row):
    torch.manual_seed(6)
    module = (Sequential() if kind == "sequential" else Residual()).eval()
    net, x = TorchModel(module, spec(target_layer="3" if kind == "sequential" else "b")), clips()
    got = found_by(row, net, x).maps[0]
    want = zennit_says(ZENNIT[row]([canonizers.SequentialMergeBatchNorm(), canonizers.AttributeCanonizer(with_a_sum)]), module, x)
    # zennit adds 1e-6 to every sum that it divides by, also to those of a residual network's small summands.
    assert (got - want).abs().max() <= (1e-4 if kind == "sequential" else 1e-3) * want.abs().max()


# --- the architectures ------------------------------------------------------------------------------------------------------


def small(name: str, clip: tuple[int, int, int]) -> tuple[TorchModel, Tensor]:
    """The architecture with random weights, and batch norms that know a clip of noise and have shifts of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = get_spec(name).build()
        norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm3d)]
        fit_pools(module)
        x = torch.randn(1, 3, *clip)
        with torch.no_grad():
            for m in module.modules():
                if isinstance(m, nn.Conv3d):
                    nn.init.kaiming_normal_(m.weight)
                if isinstance(m, nn.BatchNorm3d):
                    m.train().momentum = 1.0
                    m.bias.normal_(std=0.1)
            if norms:
                module(x)
    return TorchModel(module.eval(), get_spec(name)), x


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("mini", (8, 32, 32)),
        ("r3d_18", (8, 32, 32)),
        ("r2plus1d_18", (8, 32, 32)),
        ("slow_r50", (8, 64, 64)),
        ("x3d_s", (4, 64, 64)),
        ("movinet_a0", (5, 64, 64)),
    ],
)
def test_relevance_is_conserved_on_the_real_architectures(name, clip):
    net, x = small(name, clip)
    found = tensors(lrp(ROWS["lrp"], net, x, TARGETS[1:]))
    absorbed = scores(found) - found.totals
    error = (summed(found) + absorbed - scores(found)).abs() / scores(found).abs()
    assert error.max() <= 1e-3
