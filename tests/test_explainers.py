"""Every explanation method against a slow literal version of its paper, and the algebra that ties them together."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny_nets import CLASSES, GRID, NETS, clips, explained, tensors
from torch import nn

from vidcam.engine.hooks import capture
from vidcam.errors import IncompatibleError, UsageError
from vidcam.methods import gradient_cam
from vidcam.methods.cam import SPREAD, _products, principal_component, spread
from vidcam.methods.core import Target, TorchModel
from vidcam.methods.lookup import all_methods, get_method
from vidcam.models.spec import Head

WITH_HEAD = [name for name, (_, facts) in NETS.items() if "head" in facts]
GRADIENT = ["gradcam", "gradcam-slice", "gradcam++", "xgradcam", "hirescam", "layercam"]
LINEAR = ["cam", "gradcam", "gradcam-slice", "xgradcam", "hirescam"]
TARGETS = [Target(0), Target(3), Target(3, versus=1)]


# --- the papers, in loops ---------------------------------------------------------------------------------------------------


def cells(a: np.ndarray):
    return np.ndindex(*a.shape[1:])


def loop_gradcam(A, G):
    M = np.zeros(A.shape[1:])
    for c in range(len(A)):
        alpha = sum(G[c][i] for i in cells(G)) / G[c].size
        for i in cells(A):
            M[i] += alpha * A[c][i]
    return M


def loop_gradcam_slice(A, G):
    return np.stack([loop_gradcam(A[:, t : t + 1], G[:, t : t + 1])[0] for t in range(A.shape[1])])


def loop_gradcam_plus_plus(A, G, S=1.7):
    M = np.zeros(A.shape[1:])
    Y = math.exp(S)
    for c in range(len(A)):
        total = sum(A[c][j] for j in cells(A))
        w = 0.0
        for i in cells(A):
            first, second, third = Y * G[c][i], Y * G[c][i] ** 2, Y * G[c][i] ** 3
            if first > 0:
                w += second / (2 * second + total * third) * first
        for i in cells(A):
            M[i] += w / Y * A[c][i]
    return np.maximum(M, 0)


def loop_xgradcam(A, G):
    M = np.zeros(A.shape[1:])
    for c in range(len(A)):
        total = sum(A[c][j] for j in cells(A))
        if total == 0:
            continue
        alpha = sum(A[c][i] / total * G[c][i] for i in cells(A))
        for i in cells(A):
            M[i] += alpha * A[c][i]
    return M


def loop_hirescam(A, G):
    M = np.zeros(A.shape[1:])
    for c in range(len(A)):
        for i in cells(A):
            M[i] += G[c][i] * A[c][i]
    return M


def loop_layercam(A, G):
    M = np.zeros(A.shape[1:])
    for c in range(len(A)):
        for i in cells(A):
            M[i] += max(G[c][i], 0) * A[c][i]
    return np.maximum(M, 0)


ORACLES = {
    "gradcam": (gradient_cam.gradcam, loop_gradcam),
    "gradcam-slice": (gradient_cam.gradcam_slice, loop_gradcam_slice),
    "gradcam++": (gradient_cam.gradcam_plus_plus, loop_gradcam_plus_plus),
    "xgradcam": (gradient_cam.xgradcam, loop_xgradcam),
    "hirescam": (gradient_cam.hirescam, loop_hirescam),
    "layercam": (gradient_cam.layercam, loop_layercam),
}


def random_pair(shape, seed, *, scale=1.0):
    """Activations as after a ReLU (one channel all dead) and gradients of both signs, some exactly zero; clips in front."""
    rng = np.random.default_rng(seed)
    A = np.maximum(rng.normal(size=shape), 0)
    A[0, 0] = 0
    G = rng.normal(size=shape) * scale * (rng.random(shape) < 0.8)
    return A.astype(np.float32), G.astype(np.float32)


@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=20)
@given(
    shape=st.tuples(*(st.integers(1, n) for n in (2, 4, 3, 3, 4))),
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
)
def test_a_gradient_method_does_what_its_paper_says(name, shape, seed, scale):
    function, oracle = ORACLES[name]
    A, G = random_pair(shape, seed, scale=scale)
    got = function(A, G)
    want = np.stack([oracle(a.astype(float), g.astype(float)) for a, g in zip(A, G, strict=True)])
    assert got.dtype == np.float32
    # float32 sums of up to 192 products, relative to the largest possible sum
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-6 * max(1, np.abs(G).max() * A.max() * 4))


def test_every_gradient_method_has_an_oracle():
    assert set(ORACLES) == set(GRADIENT) == {m.name for m in all_methods() if m.family == "gradient"}


def test_equation_19_is_the_derivatives_of_the_exponential_score():
    # At a head S = sum_ci v_ci A_ci, the derivatives of Y = exp(S) by autograd, put into equation 10 of the paper.
    torch.manual_seed(0)
    A = torch.rand(1, 3, 2, 2, 2, dtype=torch.float64)
    v = torch.randn(3, 2, 2, 2, dtype=torch.float64)
    leaf = A.clone().requires_grad_()
    S = (leaf[0] * v).sum()
    (Y1,) = torch.autograd.grad(S.exp(), leaf, create_graph=True)
    M = np.zeros((2, 2, 2))
    for c in range(3):
        w = 0.0
        for i in np.ndindex(2, 2, 2):
            (second,) = torch.autograd.grad(Y1[0, c][i], leaf, create_graph=True)
            (third,) = torch.autograd.grad(second[0, c][i], leaf, retain_graph=True)
            d1, d2, d3 = (float(d.detach()[0, c][i]) for d in (Y1, second, third))
            w += d2 / (2 * d2 + float(A[0, c].sum()) * d3) * max(d1, 0)
        M += w * A[0, c].numpy()
    got = gradient_cam.gradcam_plus_plus(A.numpy(), v[None].numpy())[0]
    np.testing.assert_allclose(got, np.maximum(M, 0) / math.exp(float(S.detach())), rtol=1e-9)


def test_gradcam_plus_plus_is_bounded_for_negative_activations():
    # Equation 19's denominator 2 + G * sum(A) is zero here.
    A, G = np.full((1, 1, 1, 1, 2), -1.0), np.ones((1, 1, 1, 1, 2))
    A[..., 0] = 0.0
    G *= 2.0
    assert np.array_equal(gradient_cam.gradcam_plus_plus(A, G), np.zeros((1, 1, 1, 2)))
    assert np.isfinite(gradient_cam.gradcam_plus_plus(*np.random.default_rng(0).normal(size=(2, 1, 9, 2, 3, 3)))).all()


def test_xgradcam_leaves_out_a_channel_that_cancels():
    A, G = np.array([1.0, -1.0]).reshape(1, 1, 1, 1, 2), np.array([3.0, 1.0]).reshape(1, 1, 1, 1, 2)
    assert np.array_equal(gradient_cam.xgradcam(A, G), np.zeros((1, 1, 1, 2)))


# --- eigencam ---------------------------------------------------------------------------------------------------------------


def loop_principal(A, steps=3000):
    """Power iteration on the (cells, channels) matrix, element by element sums left to numpy's outer product."""
    X = A.reshape(len(A), -1).T.astype(float)
    v = np.ones(X.shape[1]) + 0.01 * np.arange(X.shape[1])
    for _ in range(steps):
        v = X.T @ (X @ v)
        v /= np.sqrt((v * v).sum())
    M = X @ v
    return np.maximum(M if M.sum() >= 0 else -M, 0).reshape(A.shape[1:])


@pytest.mark.parametrize("shape", [(3, 4, 3, 3), (20, 2, 2, 2), (1, 2, 1, 1), (4, 1, 1, 1)])
@pytest.mark.parametrize("relu", [True, False])
def test_eigencam_is_the_projection_on_the_first_singular_vector(shape, relu):
    A = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    A = np.maximum(A, 0) if relu else A
    got = principal_component(A)
    np.testing.assert_allclose(got, loop_principal(A), atol=1e-4)
    np.testing.assert_allclose(principal_component(2 * A), 2 * got, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(principal_component(-A), got)  # the sign is not the decomposition's


def test_eigencam_of_nothing_is_nothing():
    assert not principal_component(np.zeros((3, 2, 2, 2), np.float32)).any()


def test_eigencam_does_not_depend_on_the_class():
    found = run("eigencam", explained("pathways"))
    for maps in found.maps:
        assert maps[:, 0].any()
        assert torch.equal(maps[:, 0], maps[:, 1])
        assert torch.equal(maps[:, 0], maps[:, 2])


# --- the closed form --------------------------------------------------------------------------------------------------------


def run(method: str, net: TorchModel, targets=TARGETS, inputs=None):
    return tensors(get_method(method).explain(net, clips() if inputs is None else inputs, targets))


def summed(found):
    return torch.stack([m.sum((2, 3, 4)) for m in found.maps]).sum(0)


@pytest.mark.parametrize("name", WITH_HEAD)
def test_cam_sums_to_the_score_less_what_an_empty_map_would_give(name):
    net = explained(name)
    found = run("cam", net)
    scores = torch.stack([t(found.logits) for t in TARGETS], 1)
    np.testing.assert_allclose(summed(found), found.totals, rtol=1e-4, atol=1e-5)
    if name not in ("x3d", "movinet"):  # a plain head's bias is the classifier's
        bias = torch.stack([t(net.module.fc.bias[None])[0] for t in TARGETS])
        np.testing.assert_allclose(found.totals, (scores - bias).detach(), rtol=1e-5, atol=1e-6)
    assert found.logits.shape == (2, CLASSES)
    assert all(m.shape[:2] == (2, 3) and m.dtype == torch.float32 for m in found.maps)


@pytest.mark.parametrize("name", ["x3d", "movinet"])
def test_cam_through_gates_is_the_loop_over_units(name):
    net = explained(name)
    found = run("cam", net)
    with capture(net) as look:
        A = look(clips()).activations[0].numpy().astype(float)
    first, fc = net.module.first, net.module.fc
    W1 = first.weight.detach().flatten(1).numpy().astype(float)
    b1 = np.zeros(16) if first.bias is None else first.bias.detach().numpy().astype(float)
    W2, b2 = fc.weight.detach().numpy().astype(float), fc.bias.detach().numpy().astype(float)
    states = set()
    for b in range(len(A)):
        pooled = A[b].mean((1, 2, 3))
        for n, target in enumerate(TARGETS):
            M, bias = np.zeros(A.shape[2:]), 0.0
            for k, sign in ((target.index, 1.0), (target.versus, -1.0)):
                if k is None:
                    continue
                bias += sign * b2[k]
                for u in range(16):
                    z = W1[u] @ pooled + b1[u]
                    if z <= 0:
                        states.add("closed")
                    elif z >= net.module.ceiling:
                        states.add("saturated")
                        bias += sign * W2[k, u] * net.module.ceiling
                    else:
                        states.add("open")
                        bias += sign * W2[k, u] * b1[u]
                        for i in np.ndindex(*M.shape):
                            M[i] += sign * W2[k, u] * (W1[u] @ A[b, :, *i]) / M.size
            np.testing.assert_allclose(found.maps[0][b, n], M, atol=1e-5)
            np.testing.assert_allclose(found.totals[b, n], target(found.logits)[b] - bias, atol=1e-5)
    assert states == ({"closed", "open", "saturated"} if name == "movinet" else {"closed", "open"})


@pytest.mark.parametrize("name", ["plain", "signed", "pathways", "channels-last"])
@pytest.mark.parametrize("method", ["gradcam", "gradcam-slice", "xgradcam", "hirescam"])
def test_at_a_plain_head_all_linear_methods_are_cam_cell_by_cell(name, method):
    net = explained(name)
    for got, want in zip(differentiated(method, net).maps, run("cam", net).maps, strict=True):
        # xgradcam divides by sums of signed activations, which costs digits
        np.testing.assert_allclose(got, want, atol=(1e-4 if method == "xgradcam" else 1e-6) * float(want.abs().max()))


@pytest.mark.parametrize("name", ["x3d", "movinet"])
def test_at_a_gated_head_hirescam_is_cam(name):
    net = explained(name)
    np.testing.assert_allclose(differentiated("hirescam", net).maps[0], run("cam", net).maps[0], atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 14, 14), (2, 7, 5), (1, 3, 4)])
def test_spread_shares_out_each_cell_and_reflects_at_borders(shape):
    maps = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    got = spread(maps)
    np.testing.assert_allclose(got.sum((1, 2, 3)), maps.sum((1, 2, 3)), atol=1e-4)
    # The oracle: a row is long enough if it is mirrored again and again, and a cell takes from all cells of that row.
    margin = 12
    want = maps.astype(float)
    for axis, sigma in zip((1, 2, 3), SPREAD, strict=True):
        weights = np.exp(-0.5 * (np.arange(-margin, margin + 1) / sigma) ** 2)
        long = np.pad(want, [(margin, margin) if a == axis else (0, 0) for a in range(4)], mode="symmetric")
        want = np.apply_along_axis(np.convolve, axis, long, weights / weights.sum(), "valid")
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("name", WITH_HEAD)
def test_spread_cam_is_cam_spread_and_sums_to_the_same(name):
    net = explained(name)
    found, exact = run("cam-spread", net), run("cam", net)
    np.testing.assert_allclose(summed(found), exact.totals, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.totals, exact.totals)
    for got, cell_by_cell in zip(found.maps, exact.maps, strict=True):
        np.testing.assert_allclose(got, spread(cell_by_cell.numpy()), rtol=1e-5, atol=1e-7)
        assert got.var() < cell_by_cell.var()


@settings(max_examples=30)
@given(shape=st.tuples(*(st.integers(1, n) for n in (2, 30, 900, 900))), seed=st.integers(0, 100))
def test_products_in_pieces_are_the_whole_ones(shape, seed):
    b, n, k, m = shape
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(b, n, k)).astype(np.float32), rng.normal(size=(b, k, m)).astype(np.float32)
    np.testing.assert_allclose(_products(x, y), x.astype(float) @ y.astype(float), atol=1e-5 * k**0.5 * 10)


def differentiated(method: str, net: TorchModel):
    """The method with the gradient from autograd, also where it is known."""
    return gradient_cam.by_autograd(ORACLES[method][0], net, clips(), TARGETS)


@pytest.mark.parametrize("name", WITH_HEAD)
@pytest.mark.parametrize("method", GRADIENT)
def test_at_a_linear_head_the_gradient_is_known_without_autograd(name, method, monkeypatch):
    net = explained(name)
    want = differentiated(method, net)
    monkeypatch.setattr(torch.autograd, "grad", lambda *_, **__: pytest.fail("differentiated"))
    got = run(method, net)
    np.testing.assert_allclose(got.logits, want.logits, rtol=1e-6)
    for a, b in zip(got.maps, want.maps, strict=True):
        # xgradcam divides by sums of signed activations, which costs digits
        np.testing.assert_allclose(a, b, atol=(1e-4 if method == "xgradcam" else 1e-6) * np.abs(b).max())


def test_gradient_is_autograds_if_the_head_is_not_as_stated():
    net = explained("x3d")
    liar = TorchModel(net.module, dataclasses.replace(net.spec, head=Head(("first", "fc"), ceiling=0.1)))
    for method in GRADIENT:
        np.testing.assert_allclose(run(method, liar).maps[0], differentiated(method, net).maps[0], rtol=1e-6)


@pytest.mark.parametrize(("method", "name"), [(m, n) for m in LINEAR for n in (WITH_HEAD if m == "cam" else NETS)])
def test_versus_is_the_difference_of_two_maps(method, name):
    net = explained(name)
    found = run(method, net, [Target(3), Target(1), Target(3, versus=1)])
    for maps in found.maps:
        # xgradcam divides by sums of signed activations, which costs digits
        atol = (1e-3 if method == "xgradcam" else 1e-5) * float(maps.abs().max())
        np.testing.assert_allclose(maps[:, 2], maps[:, 0] - maps[:, 1], atol=atol)
        assert maps[:, 2].any()


@settings(max_examples=30)
@given(shape=st.tuples(*(st.integers(1, n) for n in (2, 5, 3, 3, 4))), seed=st.integers(0, 10_000))
def test_xgradcam_sums_to_the_same_as_hirescam(shape, seed):
    A, G = random_pair(shape, seed)
    np.testing.assert_allclose(
        gradient_cam.xgradcam(A, G).sum((1, 2, 3)), gradient_cam.hirescam(A, G).sum((1, 2, 3)), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("method", [m.name for m in all_methods() if m.family in ("cam", "gradient")])
def test_negative_evidence_survives_where_a_method_claims_it(method):
    net = explained("plain")
    with torch.no_grad():
        net.module.fc.weight[0].abs_().neg_()
    found = run(method, net, [Target(0)])
    assert net.module.trunk(clips()).any()
    if get_method(method).signed:
        assert (found.maps[0] <= 0).all()
        assert (found.maps[0] < 0).any()
    else:
        assert (found.maps[0] >= 0).all()


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", [m.name for m in all_methods() if not m.signed])
def test_a_method_that_claims_no_sign_gives_none(method, name):
    net = explained(name)
    if not get_method(method).requires <= net.spec.provides:
        return
    try:
        found = run(method, net)
    except IncompatibleError:
        assert get_method(method).name.startswith("guided")  # it knows how to guide ReLUs only
        return
    assert all((m >= 0).all() for m in found.maps)


def test_cam_refuses_a_head_that_is_not_what_the_row_says():
    net = explained("x3d")
    liar = TorchModel(net.module, dataclasses.replace(net.spec, head=Head(("first", "fc"), ceiling=0.1)))
    with pytest.raises(IncompatibleError, match=r"head of model 'tiny' is not .* first, fc .* use 'hirescam'"):
        run("cam", liar)
    with pytest.raises(IncompatibleError, match="has 6 channels, but its head takes 16"):
        run("cam", TorchModel(net.module, dataclasses.replace(net.spec, head=Head(("fc",)))))
    with pytest.raises(IncompatibleError, match=r"'trunk\.conv' to be a linear layer or a convolution with kernel 1"):
        run("cam", TorchModel(net.module, dataclasses.replace(net.spec, head=Head(("trunk.conv",)))))


# --- head-only gradients against the full backward pass ---------------------------------------------------------------------


def full_backward(net: TorchModel, inputs, target):
    """The slow path: autograd through the whole network, every in-place operation taken out by hooks that copy."""
    module = copy.deepcopy(net.module)
    kept = []

    def keep(_module, _inputs, output):
        many = output if isinstance(output, list) else [output]
        many = [o * 1.0 for o in many]
        for o in many:
            o.retain_grad()
        kept.extend(many)
        copies = [o * 1.0 for o in many]
        return copies if isinstance(output, list) else copies[0]

    module.get_submodule(net.target_layer).register_forward_hook(keep)
    with torch.enable_grad():
        target(module(inputs)).sum().backward()

    def tidy(x):
        if net.layout == "tokens":
            return x[:, 1:].reshape(len(x), *net.spec.grid, -1).permute(0, 4, 1, 2, 3)
        return x.permute(0, 4, 1, 2, 3) if net.layout == "channels-last" else x

    return [(tidy(o.detach()), tidy(o.grad)) for o in kept]


@pytest.mark.parametrize("name", NETS)
def test_head_only_gradient_is_that_of_the_full_backward_pass(name):
    net = explained(name)
    for target in TARGETS:
        slow = full_backward(net, clips(), target)
        with capture(net, differentiate="head") as look:
            seen = look(clips())
            fast = list(zip(seen.activations, seen.gradients(target), strict=True))
        assert len(fast) == len(slow)
        for (a, g), (slow_a, slow_g) in zip(fast, slow, strict=True):
            np.testing.assert_allclose(a, slow_a, atol=1e-6)
            np.testing.assert_allclose(g, slow_g, atol=1e-6 * float(slow_g.abs().max()) + 1e-9)
            assert slow_g.any()
        for method, (function, oracle) in ORACLES.items():
            for (a, g), maps in zip(slow, run(method, net, [target]).maps, strict=True):
                np.testing.assert_allclose(maps[:, 0], function(a.numpy(), g.numpy()), atol=1e-4 * float(maps.abs().max()) + 1e-9)
                if name == "deep":
                    one = oracle(a[0].numpy().astype(float), g[0].numpy().astype(float))
                    np.testing.assert_allclose(maps[0, 0], one, atol=1e-4 * np.abs(one).max())


@pytest.fixture(scope="module")
def r3d_18() -> TorchModel:
    from vidcam.models.table import get_spec

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TorchModel(get_spec("r3d_18").build().eval(), get_spec("r3d_18"))


@pytest.mark.parametrize("layer", ["layer3", "layer4.0", "stem", "layer2.1.conv2"])
def test_middle_layers_of_a_real_network_with_in_place_sums(r3d_18, layer):
    net = TorchModel(r3d_18.module, dataclasses.replace(r3d_18.spec, target_layer=layer))
    inputs = torch.randn(1, 3, 4, 32, 32)
    ((slow_a, slow_g),) = full_backward(net, inputs, Target(7, versus=300))
    with capture(net, differentiate="head") as look:
        seen = look(inputs)
        (fast,) = seen.gradients(Target(7, versus=300))
    np.testing.assert_allclose(seen.activations[0], slow_a, atol=1e-5 * float(slow_a.abs().max()))
    np.testing.assert_allclose(fast, slow_g, atol=1e-5 * float(slow_g.abs().max()))


def test_pooling_each_slice_differs_from_pooling_the_volume():
    net = explained("deep")
    a, b = run("gradcam", net).maps[0], run("gradcam-slice", net).maps[0]
    assert (a - b).abs().max() > 0.01 * a.abs().max()


# --- touching a model -------------------------------------------------------------------------------------------------------


def test_what_was_captured_survives_in_place_operations():
    net = explained("deep")  # multiplies the layer's output in place
    with capture(net) as look:
        kept = look(clips()).activations[0]
    np.testing.assert_allclose(kept, net.module.trunk(clips()).detach(), atol=1e-6)
    paths = explained("pathways")  # overwrites the list of its pathways
    with capture(paths) as look:
        assert [tuple(f.shape) for f in look(clips()).activations] == [(2, 5, 2, 3, 3), (2, 3, 4, 3, 3)]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("differentiate", ["nothing", "head", "trunk"])
def test_looking_does_not_change_the_logits(name, differentiate):
    net = explained(name)
    with torch.no_grad():
        want = net.module(clips())
    with capture(net, differentiate=differentiate) as look:
        # attention takes another kernel where gradients are wanted
        np.testing.assert_allclose(look(clips()).logits.detach(), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_trunk_can_be_differentiated_with_respect_to_the_clip(name):
    net = explained(name)
    inputs = clips().requires_grad_()
    with capture(net, differentiate="trunk") as look:
        seen = look(inputs)
        with torch.enable_grad():
            cell = seen.activations[0][0, :, 1, 1, 1].square().sum()
    (fast,) = torch.autograd.grad(cell, inputs)
    assert not seen.logits.requires_grad
    assert fast[0].any()
    assert not fast[1].any()
    step = 1e-2 * fast / fast.norm()
    with capture(net) as look:
        up, down = (look(inputs.detach() + s).activations[0][0, :, 1, 1, 1].square().sum() for s in (step, -step))
    assert float(up - down) / 2e-2 == pytest.approx(float(fast.norm()), rel=0.05)


def test_maps_are_float32_where_the_network_is_not():
    net = explained("plain")
    exact = {m: run(m, net).maps[0] for m in ("cam", "hirescam", "eigencam")}
    net.module.bfloat16()
    for method, want in exact.items():
        found = run(method, net, inputs=clips().bfloat16())
        assert found.logits.dtype == found.maps[0].dtype == torch.float32
        np.testing.assert_allclose(found.maps[0], want, atol=0.05 * float(want.abs().max()))  # bf16 keeps 8 bits
        assert not torch.equal(found.maps[0], found.maps[0].bfloat16().float())


@pytest.mark.parametrize("outside", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_gradients_work_whatever_mode_the_caller_is_in(outside):
    net = explained("deep")
    want = run("gradcam", net).maps[0]
    with outside():
        got = run("gradcam", net, inputs=clips()).maps[0]
    np.testing.assert_array_equal(got, want)


class Odd(nn.Module):
    """Gives whatever a test wants from its layer."""

    def __init__(self, output, times=1, logits=None) -> None:
        super().__init__()
        self.output, self.times, self.logits = output, times, logits
        self.layer = nn.Identity()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        for _ in range(self.times):
            self.layer(self.output)
        return torch.zeros(len(x), CLASSES) * self.weight if self.logits is None else self.logits


@pytest.mark.parametrize(
    ("module", "facts", "message"),
    [
        (Odd(torch.zeros(2, 6, 3, 3)), {}, r"'layer' should give \(clips, channels, T', h, w\), but it gives \(2, 6, 3, 3\)"),
        (Odd(torch.zeros(2, 0, 4, 3, 3)), {}, r"but it gives \(2, 0, 4, 3, 3\)"),
        (Odd(torch.zeros(2, 36, 6)), {"layout": "channels-last"}, r"\(clips, T', h, w, channels\), but it gives \(2, 36, 6\)"),
        (Odd(torch.zeros(2, 36, 6)), {"layout": "tokens", "grid": GRID}, r"1 \+ 4\*3\*3 tokens.*it gives \(2, 36, 6\)"),
        (Odd(torch.zeros(2, 37)), {"layout": "tokens", "grid": GRID}, r"it gives \(2, 37\): choose another layer, or correct"),
        (Odd({"a": torch.zeros(1)}), {}, "a tensor or a list of tensors, but it gives dict"),
        (Odd([torch.zeros(2, 6, 4, 3, 3), None]), {}, "it gives Tensor, NoneType"),
        (Odd([]), {}, "it gives nothing"),
        (Odd(torch.zeros(2, 6, 4, 3, 3), times=0), {}, "'layer' is never called in a forward pass"),
        (Odd(torch.zeros(2, 6, 4, 3, 3), times=2), {}, "'layer' is called more than once"),
        (Odd(torch.zeros(2, 6, 4, 3, 3), logits=torch.zeros(3, 5)), {}, r"\(2 clips, classes\), but it gives \(3, 5\)"),
        (Odd(torch.zeros(2, 6, 4, 3, 3), logits=[1]), {}, "but it gives list"),
        (Odd(torch.zeros(2, 6, 4, 3, 3)), {"target_layer": "layr"}, "no layer 'layr'; it has, for example, layer"),
        (Odd(torch.zeros(2, 6, 4, 3, 3)), {}, "the logits do not depend on layer 'layer'"),
    ],
)
def test_a_layer_that_cannot_be_explained_is_refused(module, facts, message):
    net = TorchModel(module, dataclasses.replace(explained("plain").spec, **{"target_layer": "layer", **facts}))
    with pytest.raises(UsageError, match=message):
        run("gradcam", net)
    assert not any(m._forward_hooks for m in module.modules())


def test_a_pathway_without_a_way_to_the_logits_is_refused():
    net = explained("pathways")
    forward = net.module.both.forward

    class Cut(type(net.module)):
        def forward(self, x):
            slow, _ = self.both([x[:, :, ::2], x])
            return slow.mean((2, 3, 4)) @ torch.ones(5, CLASSES)

    net.module.__class__ = Cut
    with pytest.raises(UsageError, match="do not depend on output 1 of layer 'both'"):
        run("gradcam", net)
    assert net.module.both.forward == forward


def test_layer_before_only_the_class_token_counts_is_refused():
    net = explained("tokens")
    late = TorchModel(net.module, dataclasses.replace(net.spec, target_layer="out"))
    with pytest.raises(UsageError, match="only the class token leads to the logits, so its 36 other tokens have no gradient"):
        run("gradcam", late)
    assert run("eigencam", late).maps[0].shape == (2, 3, *GRID)


def test_gradients_of_a_plain_run_are_refused():
    with capture(explained("plain")) as look, pytest.raises(UsageError, match='differentiate="head"'):
        look(clips()).gradients(Target(0))


# --- targets and the table --------------------------------------------------------------------------------------------------


def test_targets_check_themselves():
    with pytest.raises(UsageError, match="counts from 0, got -1 and None"):
        Target(-1)
    with pytest.raises(UsageError, match="counts from 0, got 1 and -2"):
        Target(1, versus=-2)
    with pytest.raises(UsageError, match="class 2 versus itself"):
        Target(2, versus=2)


def test_the_batch_does_not_matter():
    net = explained("deep")
    both, last = run("xgradcam", net).maps[0], run("xgradcam", net, inputs=clips()[1:]).maps[0]
    np.testing.assert_allclose(both[1:], last, atol=1e-5 * float(both.abs().max()))
