"""Attention-aware LRP: the equations of its paper by hand on a small VideoMAE, and its conservation on every family."""

from __future__ import annotations

import numpy as np
import pytest
import test_attention
import torch
from support import tiny_transformers as tiny
from test_huggingface_attention import model as small_model
from torch import Tensor

from vidcam.engine.network import TorchModel
from vidcam.errors import IncompatibleError
from vidcam.methods import core, pixel_blocks
from vidcam.methods.core import Target
from vidcam.methods.lookup import get_method
from vidcam.models.huggingface.families import FAMILIES

pytestmark = pytest.mark.xdist_group("transformers")

TARGETS = [Target(0), Target(2, versus=1)]


def explained(net: TorchModel, clip: Tensor) -> core.Attribution:
    return get_method("lrp-attention").explain(net, clip.numpy(), TARGETS)


# --- the equations, relevance by relevance -------------------------------------------------------------------------------------


class ByHand:
    """One block of VideoMAE in float64, and relevance sent back through it by the equations, with their divisions."""

    def __init__(self, net: torch.nn.Module, clip: np.ndarray) -> None:
        self.w = {k: v.double().numpy() for k, v in net.state_dict().items()}
        self.block = "videomae.encoder.layer.0."
        self.clip, self.eps = clip, net.config.layer_norm_eps
        self.heads = net.config.num_attention_heads
        self.position = net.videomae.embeddings.position_embeddings[0].double().numpy()

    def weight(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        return self.w[f"{key}.weight"], self.w.get(f"{key}.bias", np.zeros(len(self.w[f"{key}.weight"])))

    def norm(self, x: np.ndarray, key: str, eps: float) -> np.ndarray:
        scale, shift = self.weight(key)
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * scale + shift

    def norm_back(self, R: np.ndarray, x: np.ndarray, key: str, eps: float) -> np.ndarray:
        """Proposition 3.4: the deviation passes relevance on; then ``x_j - mean(x)`` is linear."""
        _, shift = self.weight(key)
        y, centred = self.norm(x, key, eps), x - x.mean(-1, keepdims=True)
        R = R * (y - shift) / y
        return x * (R / centred) - x * (R / centred).mean(-1, keepdims=True)

    def linear(self, x: np.ndarray, key: str) -> np.ndarray:
        weight, bias = self.weight(key)
        return x @ weight.T + bias

    def linear_back(self, R: np.ndarray, x: np.ndarray, key: str) -> np.ndarray:
        """Equation 8, LRP-epsilon."""
        z = self.linear(x, key)
        return x * ((R / (z + 1e-6 * np.where(z >= 0, 1, -1))) @ self.weight(key)[0])

    def product_back(self, R: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Equation 14 for ``O = a b``: ``R_ji = sum_p a_ji b_ip R_jp / (2 O_jp)``, and the same for b."""
        of_a, of_b, out = np.zeros_like(a), np.zeros_like(b), a @ b
        for j in range(a.shape[0]):
            for p in range(b.shape[1]):
                shares = a[j] * b[:, p] * R[j, p] / (2 * out[j, p])
                of_a[j] += shares
                of_b[:, p] += shares
        return of_a, of_b

    def relevance(self, logits_relevance: np.ndarray) -> np.ndarray:
        """Return the relevance of the pixels ``(3, T, H, W)`` for that of the logits."""
        b = self.block
        patches = self.patches()
        x0 = self.embedded(patches) + self.position
        h = self.norm(x0, f"{b}layernorm_before", self.eps)
        names = [f"{b}attention.attention.{n}" for n in ("query", "key", "value")]
        names = names if f"{names[0]}.weight" in self.w else [f"{b}attention.{n}_proj" for n in "qkv"]
        q, k, v = (self.linear(h, n) for n in names)
        depth = q.shape[1] // self.heads
        parts, read = [], np.zeros_like(v)
        for i in range(self.heads):
            c = slice(i * depth, (i + 1) * depth)
            score = q[:, c] @ k[:, c].T / depth**0.5
            attention = np.exp(score) / np.exp(score).sum(1, keepdims=True)
            read[:, c] = attention @ v[:, c]
            parts.append((c, score, attention))
        out = next(n for n in (f"{b}attention.output.dense", f"{b}attention.o_proj") if f"{n}.weight" in self.w)
        attended = self.linear(read, out)
        x1 = x0 + attended
        m = self.norm(x1, f"{b}layernorm_after", self.eps)
        up, down = next(
            pair
            for pair in (
                (f"{b}intermediate.dense", f"{b}output.dense"), (f"{b}mlp.fc1", f"{b}mlp.fc2"),
                (f"{b}mlp.up_proj", f"{b}mlp.down_proj"),
            )
            if f"{pair[0]}.weight" in self.w
        )  # fmt: skip
        inner = self.linear(m, up)
        active = torch.nn.functional.gelu(torch.from_numpy(inner)).numpy()
        fed = self.linear(active, down)
        x2 = x1 + fed
        pooled = x2.mean(0, keepdims=True)
        n = self.norm(pooled, "fc_norm", 1e-5)

        R = self.linear_back(logits_relevance[None], n, "classifier")
        R = self.norm_back(R, pooled, "fc_norm", 1e-5)
        R = x2 / x2.sum(0) * R
        of_fed = fed / x2 * R
        R = x1 / x2 * R + self.norm_back(self.linear_back(self.linear_back(of_fed, active, down), m, up), x1,
                                         f"{b}layernorm_after", self.eps)  # fmt: skip
        of_read = self.linear_back(attended / x1 * R, read, out)
        of_q, of_k, of_v = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
        for c, score, attention in parts:
            of_attention, of_v[:, c] = self.product_back(of_read[:, c], attention, v[:, c])
            of_score = score * (of_attention - attention * of_attention.sum(1, keepdims=True))  # equation 13
            of_q[:, c], transposed = self.product_back(of_score, q[:, c] / depth**0.5, k[:, c].T)
            of_k[:, c] = transposed.T
        of_h = sum(self.linear_back(r, h, name) for r, name in zip((of_q, of_k, of_v), names, strict=True))
        R = x0 / x1 * R + self.norm_back(of_h, x0, f"{b}layernorm_before", self.eps)
        return self.pixels(patches, self.embedded(patches) / x0 * R)

    def patches(self) -> np.ndarray:
        """Return the pixels of each tubelet, ``(tokens, 3 * 2 * 8 * 8)``, in the order of time, rows and columns."""
        t, n, p = tiny.FRAMES // 2, tiny.ROWS, tiny.PATCH
        return self.clip.reshape(3, t, 2, n, p, n, p).transpose(1, 3, 5, 0, 2, 4, 6).reshape(t * n * n, -1)

    def embedded(self, patches: np.ndarray) -> np.ndarray:
        weight, bias = self.weight("videomae.embeddings.patch_embeddings.projection")
        return patches @ weight.reshape(len(weight), -1).T + bias

    def pixels(self, patches: np.ndarray, R: np.ndarray) -> np.ndarray:
        """Send relevance to the pixels by LRP-gamma: what has the sign of the output counts 1.25 times."""
        weight, bias = self.weight("videomae.embeddings.patch_embeddings.projection")
        weight, found = weight.reshape(len(weight), -1), np.zeros_like(patches)
        for i, pixels in enumerate(patches):
            for k, z in enumerate(self.embedded(pixels[None])[0]):
                parts = pixels * weight[k] * np.where(pixels * weight[k] * z > 0, 1.25, 1)
                found[i] += parts / (parts.sum() + bias[k] * (1.25 if bias[k] * z > 0 else 1)) * R[i, k]
        t, n, p = tiny.FRAMES // 2, tiny.ROWS, tiny.PATCH
        return found.reshape(t, n, n, 3, 2, p, p).transpose(3, 0, 4, 1, 5, 2, 6).reshape(3, tiny.FRAMES, n * p, n * p)


def test_relevance_of_a_transformer_is_that_of_the_equations() -> None:
    net = small_model("videomae", num_hidden_layers=1)
    net.module.double()
    clip = torch.randn(1, 3, tiny.FRAMES, tiny.SIZE, tiny.SIZE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = explained(net, clip)
    by_hand = ByHand(net.module.net, clip[0].numpy())
    for n, target in enumerate(TARGETS):
        start = np.zeros(len(tiny.LABELS))
        start[target.index] = found.logits[0, target.index]
        if target.versus is not None:
            start[target.versus] = -found.logits[0, target.versus]
        expected = pixel_blocks.over_blocks(torch.from_numpy(by_hand.relevance(start)).sum(0)).numpy()
        # The maps are float32, and one division of an equation may have a small denominator.
        np.testing.assert_allclose(found.maps[0][0, n], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


# --- conservation ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_relevance_is_conserved_in_each_family(family: str) -> None:
    clip = torch.randn(2, 3, tiny.FRAMES, tiny.SIZE, tiny.SIZE, generator=torch.Generator().manual_seed(3))
    check_conservation(explained(small_model(family), clip))


@pytest.mark.parametrize(
    ("build", "given"),
    [
        (test_attention.mvit, (test_attention.POOLED,)),
        (test_attention.mvit_v2, (test_attention.POOLED,)),
        (test_attention.mvit_pytorchvideo, (None,)),
        (test_attention.swin, ()),
    ],
    ids=["mvit v1", "mvit v2", "mvit of pytorchvideo", "swin"],
)
def test_relevance_is_conserved_in_mvit_and_swin(build, given) -> None:
    check_conservation(explained(test_attention.net(build, *given), test_attention.clip(2)))


def check_conservation(found: core.Attribution) -> None:
    """Check that pixels have what constants leave of the score; totals come from the gradient of ``one``, not of the pixels."""
    assert found.totals is not None
    size = np.abs(core.scores_of(found.logits, found.targets)).max()
    assert np.abs(found.maps[0].sum((2, 3, 4)) - found.totals).max() <= 1e-3 * size
    assert np.abs(found.totals).max() > 0


def test_attention_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidcam.methods.attention.LIMIT", 4 * 4 * 3 * 2 * 36**2 - 1)  # 3 blocks, 2 heads, 36 tokens
    clip = torch.randn(1, 3, tiny.FRAMES, tiny.SIZE, tiny.SIZE)
    with pytest.raises(IncompatibleError, match="the attention of all blocks for one clip takes more than"):
        explained(small_model("videomae"), clip)
    monkeypatch.setattr("vidcam.methods.attention.LIMIT", 4 * 4 * 3 * 2 * 36**2)
    assert explained(small_model("videomae"), clip).maps[0].any()


def test_networks_whose_attention_is_not_known_are_refused() -> None:
    from vidcam.methods.lookup import check_method
    from vidcam.models.table import get_spec

    with pytest.raises(IncompatibleError, match="needs attention, which model 'r3d_18' does not have"):
        check_method(get_method("lrp-attention"), get_spec("r3d_18"))
    config = tiny.config("videomae", use_mean_pooling=False)
    family = FAMILIES["videomae"]
    assert family.attention(config, family.cells(config, tiny.FRAMES)) is None
