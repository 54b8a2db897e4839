"""Every method on every model of the two tables: it explains or is refused, and the model is left as it was, also on errors.

New rows of either table are tested without a change here. All methods of one model share the network, because building and
running the large ones takes seconds.
"""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from support.real_nets import EVERYTHING, WITH_VALUES, each, network
from support.tiny_nets import NETS, clips, explained
from support.untouched import Snapshot, checked, disturb, interrupted, leaves_in_order
from torch import nn

from vidcam.engine.base import find_disagreement
from vidcam.engine.openvino import Unsupported, open_compiled
from vidcam.errors import IncompatibleError
from vidcam.methods import gradient_cam, perturbation
from vidcam.methods.core import Target, TorchModel
from vidcam.methods.lookup import all_methods, check_method, get_method
from vidcam.models.loading import LoadedModel, ResolvedModel


@pytest.fixture(autouse=True)
def few_masks(monkeypatch):
    """Have RISE try a few masks instead of hundreds, which all go the same way through a network."""
    monkeypatch.setitem(perturbation.rise.__kwdefaults__, "masks", 20)


def test_snapshot_sees_every_kind_of_change():
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
def test_small_network_is_left_as_it_was_if_a_pass_stops(name):
    net = explained(name)
    order = leaves_in_order(net, clips())
    layer = net.module.get_submodule(net.target_layer)
    disturb(net.module)
    for method in all_methods():
        if not method.requires <= net.spec.provides:
            continue
        if checked(net, method, clips(), [Target(1), Target(2, versus=0)]) is None:
            continue
        for where in (order[0], layer, order[-1]):
            for error in (RuntimeError("stopped here"), KeyboardInterrupt("stopped here")):
                interrupted(net, method, clips(), where, error)


EXHAUSTIVE = ("mini", "x3d_xs") if EVERYTHING else ("mini",)
"""The networks on which the methods that need hundreds of passes are tried as well, as on every small network; elsewhere only
one of each family that differentiates all."""

ALIKE = ("gradcam-slice", "gradcam++", "xgradcam", "layercam")
"""Other weights for the same gradients as gradcam's."""

COMPILED = [row for row in WITH_VALUES if EVERYTHING or row.attention is None or not row.compiles]
"""Networks with attention take a minute to compile."""


@pytest.mark.parametrize("row", each(WITH_VALUES))
def test_every_method_explains_or_refuses_a_network(row):
    """No method changes the network, also if it is interrupted."""
    name, one = row.name, network(row.name)
    net, inputs = TorchModel(copy.deepcopy(one.module), one.spec), one.clip
    spec, module = net.spec, net.module
    order = leaves_in_order(net, inputs)
    disturb(module)
    targets = [Target(7), Target(3, versus=11)]
    found = {}
    for method in all_methods():
        missing = method.requires - spec.provides
        if missing:
            promised = f"{', '.join(sorted(missing))}, which model '{name}' does not have; these methods work on it: "
            with pytest.raises(IncompatibleError, match=promised):
                check_method(method, spec)
            continue
        check_method(method, spec)
        if method.family not in ("cam", "gradient") and method.name not in ("gradient", "lrp") and name not in EXHAUSTIVE:
            continue
        if method.name in ALIKE and name not in EXHAUSTIVE:
            continue
        # One forward pass of a closed form serves all classes.
        every = [Target(k) for k in range(len(spec.labels()))] if method.is_complete else []
        if (made := checked(net, method, inputs, targets + every)) is not None:
            found[method.name] = made

    for exact in (found[m.name] for m in all_methods() if m.is_complete and m.name in found):
        error = np.abs(sum(m.sum((2, 3, 4)) for m in exact.maps) - exact.totals).max()
        assert error <= 1e-4 * np.abs(exact.totals).max(), f"logit - bias = sum(evidence) is off by {error}"
    if spec.head:
        # Two ways that share no formula: the head's weights, and autograd through the head.
        by_autograd = gradient_cam.by_autograd(gradient_cam.hirescam, net, inputs, targets)
        for exact, gradient in zip(found["cam"].maps, by_autograd.maps, strict=True):
            assert np.abs(exact[:, :2] - gradient).max() <= 1e-3 * np.abs(gradient).max()

    interrupted(net, get_method("gradcam"), inputs, order[-1], KeyboardInterrupt("stopped here"))
    interrupted(net, get_method("eigencam"), inputs, order[0], RuntimeError("stopped here"))


@pytest.mark.parametrize("row", each(COMPILED))
def test_compiled_network_gives_what_torch_gives(row):
    """The network is compiled for the small clip; what does not compile says so."""
    if not row.compiles:
        with pytest.raises(Unsupported, match="hardly be faster"):
            open_compiled(ResolvedModel(row, row.labels(), "random", is_custom=False, load=lambda: pytest.fail("built")))
        return
    one = network(row.name)
    spec, module = one.spec, copy.deepcopy(one.module)
    leaves_in_order(TorchModel(module, spec), one.clip)  # the pools have their sizes from then on
    loaded = LoadedModel(spec, module, spec.labels(), "random", None)
    model = ResolvedModel(spec, loaded.labels, "random", is_custom=False, load=lambda: loaded)
    fast, slow = open_compiled(model), TorchModel(module, spec)
    frames = np.random.default_rng(1).integers(0, 256, (1, spec.num_frames, *spec.crop, 3), dtype=np.uint8)
    (clips,) = fast.map(frames, lambda clips: clips)
    a, b = fast.model.forward(clips), slow.forward(clips)
    assert find_disagreement(a, b) is None
    if spec.head:
        a, b = (get_method("cam").explain(e, clips, [Target(7), Target(3, versus=11)]) for e in (fast.model, slow))
        scale = max(np.abs(m).max() for m in b.maps)
        for one_map, other in zip(a.maps, b.maps, strict=True):
            assert np.abs(one_map - other).max() <= 1e-4 * scale
    assert fast.name == "openvino"
