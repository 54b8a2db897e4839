"""Every method on every model of the two tables: it explains or is refused, and the model is left as it was, also on errors.

New rows of either table are tested without a change here. All methods of one model share the network, because building and
running the large ones takes seconds.
"""

from __future__ import annotations

import contextlib
import random

import numpy as np
import pytest
import torch
from support.real_nets import EVERYTHING, fitted_pools
from support.tiny_nets import NETS, clips, explained
from support.untouched import Snapshot, checked, disturb, interrupted, leaves_in_order
from torch import nn

from vidcam.engine.base import disagreement
from vidcam.engine.openvino import Unsupported, open_compiled
from vidcam.errors import IncompatibleError
from vidcam.explainers import core, gradients
from vidcam.explainers.core import Explained, Target
from vidcam.models import registry
from vidcam.models.loading import LoadedModel, Located


def test_the_snapshot_sees_every_kind_of_change():
    def changes(module):
        yield lambda: module.fc.weight.data.add_(1e-7 * module.fc.weight.data.sign())
        yield lambda: module.trunk.norm.running_mean.add_(1)
        yield lambda: module.trunk.norm.train(not module.trunk.norm.training)
        yield lambda: module.fc.bias.requires_grad_(not module.fc.bias.requires_grad)
        yield lambda: setattr(module.fc.bias, "grad", torch.ones(5))
        yield lambda: module.trunk.register_forward_hook(lambda *_: None)
        yield lambda: module.trunk.register_full_backward_hook(lambda *_: None)
        yield lambda: setattr(module, "fc", nn.Linear(6, 5))
        yield lambda: setattr(module.fc, "weight", nn.Parameter(module.fc.weight.detach().clone()))
        yield lambda: torch.rand(1)
        yield lambda: np.random.rand()
        yield lambda: random.random()

    seen = 0
    for i in range(12):
        module = explained("plain").module
        snapshot = Snapshot(module)
        snapshot.check()
        list(changes(module))[i]()
        with pytest.raises(AssertionError):
            snapshot.check()
        seen += 1
    assert seen == len(list(changes(explained("plain").module)))
    snapshot = Snapshot(explained("plain").module)
    with torch.no_grad(), pytest.raises(AssertionError):
        snapshot.check()


@pytest.mark.parametrize("name", NETS)
def test_a_small_network_is_left_as_it_was_wherever_a_forward_pass_stops(name):
    net = explained(name)
    order = leaves_in_order(net, clips())
    layer = net.module.get_submodule(net.layer)
    disturb(net.module)
    for method in core.methods():
        if not method.requires <= net.spec.provides:
            continue
        if checked(net, method, clips(), [Target(1), Target(2, versus=0)]) is None:
            continue
        for where in (order[0], layer, order[-1]):
            for error in (RuntimeError("stopped here"), KeyboardInterrupt("stopped here")):
                interrupted(net, method, clips(), where, error)


def clip_of(net: Explained) -> tuple[torch.Tensor, list[nn.Module]]:
    """A clip of half the size where the network takes one, else of its own; and the leaves in order.

    Where the last pooling is over a fixed number of cells, it is over all there are from then on, unless everything is asked for.
    """
    spec = net.spec
    if spec.layout != "tokens":
        small = torch.randn(1, 3, min(max(1, spec.frames // 2), 16), *(side // 2 for side in spec.crop))
        with contextlib.suppress(RuntimeError), contextlib.nullcontext() if EVERYTHING else fitted_pools(net.module):
            return small, leaves_in_order(net, small)
    full = torch.randn(1, 3, spec.frames, *spec.crop)
    return full, leaves_in_order(net, full)


QUICK = ("mini", "x3d_xs") if EVERYTHING else ("mini",)
"""Where also the methods that need hundreds of passes are tried, as on every kind of small network; elsewhere only one of
each family that differentiates all."""

ALIKE = ("gradcam-slice", "gradcam++", "xgradcam", "layercam")
"""Other weights for the same gradients as gradcam's: not tried where those are no closed form and take seconds."""

SIBLINGS = ("mvit_base_16x4", "mvit_base_32x3", "slowfast_r101", "swin3d_b", "swin3d_s", "x3d_l", "x3d_m")
"""The layers of another network, or more of them, which are tried when asked for."""


def network(name: str) -> Explained:
    """The registered architecture with random weights, and biases where a head has any, so that forgetting them is seen."""
    spec = registry.get(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = spec.build().eval()
        with torch.no_grad():
            for linear in spec.head.linears if spec.head else ():
                if (bias := module.get_submodule(linear).bias) is not None:
                    bias.normal_()
    return Explained(module, spec)


@pytest.mark.parametrize("name", registry.names())
def test_every_method_explains_or_is_refused_and_leaves_the_model_alone(name):
    if name in SIBLINGS and not EVERYTHING:
        pytest.skip("another one of its kind is tried; VIDCAM_TEST_EVERY_MODEL=1 runs it")
    net = network(name)
    spec, module = net.spec, net.module
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs, order = clip_of(net)
    disturb(module)
    targets = [Target(7), Target(3, versus=11)]
    found = {}
    for method in core.methods():
        missing = method.requires - spec.provides
        if missing:
            promised = f"{', '.join(sorted(missing))}, which model '{name}' does not have; these methods work on it: "
            with pytest.raises(IncompatibleError, match=promised):
                core.check(method, spec)
            continue
        core.check(method, spec)
        if method.family not in ("cam", "gradient") and method.name not in ("gradient", "lrp") and name not in QUICK:
            continue
        if spec.head is None and method.name in ALIKE and name not in QUICK:
            continue
        # One forward pass of a closed form serves all classes.
        every = [Target(k) for k in range(len(spec.labels()))] if method.complete else []
        if (made := checked(net, method, inputs, targets + every)) is not None:
            found[method.name] = made

    for exact in (found[m.name] for m in core.methods() if m.complete and m.name in found):
        error = np.abs(sum(m.sum((2, 3, 4)) for m in exact.maps) - exact.totals).max()
        assert error <= 1e-4 * np.abs(exact.totals).max(), f"logit - bias = sum(evidence) is off by {error}"
    if spec.head:
        # Two ways that share no formula: the head's weights, and autograd through the head.
        by_autograd = gradients.by_autograd(gradients.hirescam, net, inputs, targets)
        for exact, gradient in zip(found["cam"].maps, by_autograd.maps, strict=True):
            assert np.abs(exact[:, :2] - gradient).max() <= 1e-3 * np.abs(gradient).max()

    interrupted(net, core.get("gradcam"), inputs, order[-1], KeyboardInterrupt("stopped here"))
    interrupted(net, core.get("eigencam"), inputs, order[0], RuntimeError("stopped here"))


COMPILED = ("mini", "x3d_xs", "x3d_s", "movinet_a0", "r3d_18", "slow_r50", "slowfast_r50", "mvit_v2_s")
"""One of each kind of network, which takes seconds; all the others take minutes, up to ten, and are compiled when asked for."""


@pytest.mark.parametrize("name", registry.names())
def test_every_model_is_compiled_and_gives_what_torch_gives_or_says_why_not(name):
    if name not in COMPILED and not EVERYTHING:
        pytest.skip("takes minutes; VIDCAM_TEST_EVERY_MODEL=1 runs it")
    net = network(name)
    spec = net.spec
    leaves_in_order(net, torch.randn(1, 3, spec.frames, *spec.crop, generator=torch.Generator().manual_seed(2)))
    loaded = LoadedModel(spec, net.module, spec.labels(), "random", None)
    model = Located(spec, loaded.labels, "random", own=False, load=lambda: loaded)
    if not spec.compiles:
        with pytest.raises(Unsupported, match="hardly be faster"):
            open_compiled(model)
        return
    fast, slow = open_compiled(model), Explained(net.module, spec)
    frames = np.random.default_rng(1).integers(0, 256, (1, spec.frames, *spec.crop, 3), dtype=np.uint8)
    (clips,) = fast.map(frames, lambda clips: clips)
    a, b = fast.explained.see(clips), slow.see(clips)
    assert disagreement(a, b) is None
    if spec.head:
        a, b = (core.get("cam").explain(e, clips, [Target(7), Target(3, versus=11)]) for e in (fast.explained, slow))
        scale = max(np.abs(m).max() for m in b.maps)
        for one, other in zip(a.maps, b.maps, strict=True):
            assert np.abs(one - other).max() <= 1e-4 * scale
    assert fast.name == "openvino"
