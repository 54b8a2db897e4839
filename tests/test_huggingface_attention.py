"""Attention of transformers' networks against whole matrices over their tokens, made of what their own modules return."""

from __future__ import annotations

import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from support import tiny_transformers as tiny
from torch import nn

from vidcam.engine.network import TorchModel
from vidcam.errors import IncompatibleError
from vidcam.methods import attention
from vidcam.methods.core import Target
from vidcam.methods.lookup import check_method, get_method
from vidcam.models.huggingface.families import FAMILIES
from vidcam.models.huggingface.network import VideoTransformer
from vidcam.models.spec import ModelSpec

pytestmark = pytest.mark.xdist_group("transformers")

TARGETS = [Target(0), Target(2, versus=1)]


def model(family: str, **more: int) -> TorchModel:
    """A network whose attention is far from even."""
    adapter, net = FAMILIES[family], tiny.network(family, spread=3.0, **more)
    cells = adapter.cells(net.config, tiny.FRAMES)
    spec = ModelSpec(
        name=family, title="", family="", build=lambda: net, labels=lambda: tiny.LABELS, num_frames=tiny.FRAMES,
        seconds_between_frames=0.1, resize=tiny.SIZE, crop=(tiny.SIZE, tiny.SIZE), mean=(0.5,) * 3, std=(0.5,) * 3,
        target_layer=f"net.{cells.layer}", head=cells.head, time_cells=cells.grid[:1], paper="", layout=cells.layout,
        grid=cells.grid, order=cells.order, class_tokens=cells.class_tokens, cells=cells.centres,
        attention=adapter.attention(net.config, cells),
    )  # fmt: skip
    return TorchModel(VideoTransformer(net, adapter).eval(), spec)


def clip() -> torch.Tensor:
    return torch.randn(1, 3, tiny.FRAMES, tiny.SIZE, tiny.SIZE, generator=torch.Generator().manual_seed(3))


# --- the oracle: weights as the modules return them, and matrices over all tokens -----------------------------------------------

ATTENTION = (
    "VideoMAESelfAttention", "VivitAttention", "TimesformerSelfAttention", "VJEPA2RopeAttention", "VJEPA2PoolerSelfAttention",
    "VJEPA2PoolerCrossAttention", "VideoPrismAttention", "VideoPrismMultiheadAttentionPoolingHead",
)  # fmt: skip


@contextmanager
def returned_weights(module: nn.Module):
    """Collect what every attention module returns as its second output; TimeSformer's is asked for and never says it."""
    weights: list[torch.Tensor] = []

    def hook(layer: nn.Module, inputs: tuple, outputs: tuple) -> None:
        if type(layer).__name__ == "TimesformerSelfAttention":
            batch, tokens, channels = inputs[0].shape
            query, key, _ = layer.qkv(inputs[0]).view(batch, tokens, 3, layer.num_heads, -1).permute(2, 0, 3, 1, 4)
            scores = torch.einsum("bhid,bhjd->bhij", query, key) / math.sqrt(channels // layer.num_heads)
            weights.append(scores.exp() / scores.exp().sum(-1, keepdim=True))
        else:
            weights.append(outputs[1])

    usual = module.net.config._attn_implementation
    module.net.set_attn_implementation("eager")
    handles = [m.register_forward_hook(hook) for m in module.modules() if type(m).__name__ in ATTENTION]
    try:
        yield weights
    finally:
        module.net.set_attn_implementation(usual)
        for handle in handles:
            handle.remove()


def matrices(family: str, weights: list[np.ndarray], grid: tuple[int, int, int], prefix: int) -> list[np.ndarray]:
    """Return for each attention a matrix over class tokens and cells, the latter in the order of time, rows and columns.

    ``weights`` are ``(n, queries, keys)``. What the pooling query reads is a matrix of one row.
    """
    t, places = grid[0], grid[1] * grid[2]
    out = []
    for i, weight in enumerate(weights):
        if weight.shape[1] == 1 or family in ("videomae", "vivit", "vjepa2"):
            out.append(weight[0])
            continue
        whole = np.zeros((prefix + t * places, prefix + t * places))
        over_time = (i % 2 == 0) if family == "timesformer" else i >= 2  # VideoPrism has two blocks of each kind
        for a in range(t):
            for p in range(places):
                row = prefix + a * places + p
                for other in range(t if over_time else places):
                    if over_time:
                        whole[row, prefix + other * places + p] = weight[p, a, other]
                    else:
                        whole[row, prefix + a * places + other] = weight[a, prefix + p, prefix + other]
                if prefix and not over_time:
                    whole[row, 0] = weight[a, 1 + p, 0]
                    whole[0, row] = weight[a, 0, 1 + p] / t
        if prefix and not over_time:
            whole[0, 0] = weight[:, 0, 0].mean()
        out.append(whole)
    return out


def row_of(family: str, blocks: list[np.ndarray], grid, prefix: int, *, rollout: bool) -> np.ndarray:
    size = blocks[0].shape[1]
    whole = np.eye(size)
    for i, block in enumerate(blocks):
        if block.shape[0] == 1:
            whole = block @ whole * (0.5 if rollout else 1)
            break
        identity = np.eye(size)
        mixed = (block + identity) / 2 if rollout else block + identity
        if family == "timesformer" and i % 2 == 0:
            mixed[0] = identity[0]  # the class token takes no part in attention over time
        whole = mixed @ whole
    if whole.shape[0] == 1 or prefix:
        return whole[0][prefix:].reshape(grid)
    return (whole if rollout else whole - np.eye(size)).mean(0).reshape(grid)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_rollout_is_the_product_of_whole_matrices(family):
    found = model(family)
    with returned_weights(found.module) as weights, torch.no_grad():
        found.module(clip())
    blocks = matrices(family, [w.double().mean(1).numpy() for w in weights], found.spec.grid, found.spec.class_tokens)
    wanted = row_of(family, blocks, found.spec.grid, found.spec.class_tokens, rollout=True)
    got = get_method("attention-rollout").explain(found, clip(), TARGETS)
    np.testing.assert_allclose(got.maps[0][0, 0], wanted, rtol=1e-4, atol=1e-7)
    assert wanted.std() > 0.05 * wanted.mean(), "even attention would show no order"
    with torch.no_grad():
        np.testing.assert_allclose(got.logits, found.module(clip()), atol=1e-4)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_weighted_attention_is_the_product_of_whole_matrices(family):
    found = model(family)
    before = {name: p.requires_grad for name, p in found.module.named_parameters()}
    got = get_method("attention-gradient").explain(found, clip(), TARGETS)
    assert {name: p.requires_grad for name, p in found.module.named_parameters()} == before
    assert all(p.grad is None for p in found.module.parameters())
    for n, target in enumerate(TARGETS):
        if family == "timesformer":
            weighted = by_finite_differences(found, target)
        else:
            with returned_weights(found.module) as weights:
                score = target(found.module(clip())).sum()
            gradients = torch.autograd.grad(score, weights)
            weighted = [(w * g).clamp(min=0).mean(1).detach().double().numpy() for w, g in zip(weights, gradients, strict=True)]
        blocks = matrices(family, weighted, found.spec.grid, found.spec.class_tokens)
        wanted = row_of(family, blocks, found.spec.grid, found.spec.class_tokens, rollout=False)
        np.testing.assert_allclose(got.maps[0][0, n], wanted, rtol=2e-3, atol=1e-4 * wanted.max())


def by_finite_differences(found: TorchModel, target: Target) -> list[np.ndarray]:
    """TimeSformer does not return its weights, so its attention is computed anew with weights that can be differentiated."""
    kept: list[torch.Tensor] = []

    def forward(layer: nn.Module):
        def attend(hidden: torch.Tensor, output_attentions: bool = False):
            batch, tokens, channels = hidden.shape
            query, key, value = layer.qkv(hidden).view(batch, tokens, 3, layer.num_heads, -1).permute(2, 0, 3, 1, 4)
            scores = torch.einsum("bhid,bhjd->bhij", query, key) / math.sqrt(channels // layer.num_heads)
            weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
            kept.append(weights)
            return (torch.einsum("bhij,bhjd->bihd", weights, value).reshape(batch, tokens, channels),)

        return attend

    layers = [m for m in found.module.modules() if type(m).__name__ == "TimesformerSelfAttention"]
    for layer in layers:
        layer.forward = forward(layer)
    try:
        score = target(found.module(clip())).sum()
        gradients = torch.autograd.grad(score, kept, allow_unused=True)
    finally:
        for layer in layers:
            del layer.forward
    return [
        np.zeros(w[:, 0].shape) if g is None else (w * g).clamp(min=0).mean(1).detach().double().numpy()
        for w, g in zip(kept, gradients, strict=True)
    ]


@pytest.mark.parametrize("family", ["vjepa2", "videoprism_vision_model"])
def test_what_the_pooling_query_reads_is_a_map_of_its_own(family):
    found = model(family)
    with returned_weights(found.module) as weights, torch.no_grad():
        found.module(clip())
    got = get_method("attention-pooler").explain(found, clip(), TARGETS)
    np.testing.assert_allclose(
        got.maps[0][0, 1].ravel(), weights[-1][0].mean(0)[0], rtol=2e-3
    )  # fused kernels round in another way
    assert got.maps[0][0].sum((1, 2, 3)) == pytest.approx(1, abs=1e-5)


def test_the_kernel_is_eager_only_while_a_method_asks():
    found = model("vjepa2")
    kernels = []
    module = found.module.net.pooler.cross_attention_layer.cross_attn
    trunk = found.module.net.vjepa2.encoder.layer[0].attention
    module.register_forward_hook(lambda m, *_: kernels.append((m.config._attn_implementation, trunk.config._attn_implementation)))
    for name in ("gradcam", "attention-pooler", "attention-rollout", "gradcam"):
        get_method(name).explain(found, clip(), TARGETS)
    assert kernels == [("sdpa", "sdpa"), ("eager", "sdpa"), ("eager", "eager"), ("sdpa", "sdpa")]


def test_attention_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(attention, "LIMIT", 2**14)
    with pytest.raises(IncompatibleError, match="takes more than 0 GB of memory: use 'gradcam', or 'attention-pooler'"):
        get_method("attention-rollout").explain(model("videomae"), clip(), TARGETS)


def test_only_an_attentive_pooler_has_its_map():
    with pytest.raises(IncompatibleError, match="'attention-pooler' needs attentive-pooler"):
        check_method(get_method("attention-pooler"), model("vivit").spec)
