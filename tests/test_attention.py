"""Attention rollout against matrices that are written out token by token, from queries and keys computed in loops."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from support.tiny_nets import CLASSES, explained, spec, tensors
from support.untouched import Snapshot
from torch import nn
from torch.nn import functional
from torchvision.models.video.mvit import MSBlockConfig, MViT
from torchvision.models.video.swin_transformer import PatchEmbed3d, SwinTransformer3d

from vidcam.errors import IncompatibleError
from vidcam.methods import attention
from vidcam.methods.attention_blocks import Flow
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry
from vidcam.methods.core import Target, TorchModel
from vidcam.methods.lookup import check_method, get_method
from vidcam.methods.receptive_field import layer_geometry
from vidcam.models.spec import Attention
from vidcam.models.table import list_specs

TARGETS = [Target(0), Target(3, versus=1)]
PLAIN = [(1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)]
"""Kernel and stride of the queries, kernel and stride of the keys."""
POOLED = (
    [(3, 3, 3), (1, 1, 1), (3, 3, 3), (1, 2, 2)],
    [(3, 3, 3), (1, 2, 2), (3, 3, 3), (1, 2, 2)],
    [(3, 3, 3), (1, 1, 1), *PLAIN[2:]],
)
CLIP = (4, 16, 24)
GRID = (2, 4, 6)


def mvit(blocks, **more) -> nn.Module:
    settings = [MSBlockConfig(2, 8, 8, list(kq), list(kk), list(sq), list(sk)) for kq, sq, kk, sk in blocks]
    facts = {"rel_pos_embed": False, "residual_pool": False, "residual_with_cls_embed": True, "proj_after_attn": True}
    net = MViT(CLIP[1:], CLIP[0], settings, num_classes=CLASSES, **(facts | more))
    return net


def mvit_v2(blocks) -> nn.Module:
    return mvit(blocks, rel_pos_embed=True, residual_pool=True, residual_with_cls_embed=False)


def mvit_v2_with_class(blocks) -> nn.Module:
    return mvit(blocks, residual_pool=True)


def mvit_pytorchvideo(_blocks) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn of what is old in them
        from pytorchvideo.models.vision_transformers import create_multiscale_vision_transformers
    return create_multiscale_vision_transformers(
        spatial_size=CLIP[1:],
        temporal_size=CLIP[0],
        depth=3,
        patch_embed_dim=8,
        num_heads=2,
        pool_q_stride_size=[[1, 1, 2, 2]],
        pool_kv_stride_size=[[0, 1, 2, 2], [1, 1, 2, 2]],
        pool_kvq_kernel=[3, 3, 3],
        head_num_classes=CLASSES,
    )


def strengthened(module: nn.Module) -> nn.Module:
    """Weights so large that attention is far from uniform."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(torch.randn_like(p) * (0.7 if p.ndim > 1 else 0.5) + (1.0 if "norm" in name and "weight" in name else 0.0))
    return module.eval()


def net(build, *given, seed=0) -> TorchModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = strengthened(build(*given))
    facts = {"num_frames": CLIP[0], "crop": CLIP[1:], "build": build}
    if build is swin:
        where = Attention("windows", (2, 4, 4), (0.5, 1.5, 1.5))
        return TorchModel(module, spec(**facts, target_layer="features.0.1.norm1", layout="channels-last", attention=where))
    where = Attention("pooled", (2, 4, 4), (0.0, 0.0, 0.0))
    return TorchModel(module, spec(**facts, target_layer="blocks.0.norm1", layout="tokens", grid=GRID, attention=where))


def clip(n=1, seed=1):
    return torch.randn(n, 3, *CLIP, generator=torch.Generator().manual_seed(seed))


def last_row(found: TorchModel, inputs, *, is_rollout: bool = True) -> np.ndarray:
    """What the code under test makes of one clip, at the tokens."""
    with attention.softmaxes() as weights, torch.no_grad():
        found.module(inputs)
    facts = found.spec.attention
    grid = [math.ceil(n / s) for n, s in zip(inputs.shape[2:], facts.stride, strict=True)]
    return attention.rollout(found.module, facts.kind, weights, grid, Flow(is_rollout=is_rollout)).numpy()


# --- MViT: matrices over tokens ---------------------------------------------------------------------------------------------


def pooling(grid, kernel, stride) -> tuple[np.ndarray, list[int]]:
    """The matrix that averages what each window covers, class token first, and the grid after it."""
    pads = [k // 2 for k in kernel]
    after = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(grid, pads, kernel, stride, strict=True)]
    out = np.zeros((1 + math.prod(after), 1 + math.prod(grid)))
    out[0, 0] = 1
    for row, cell in enumerate(np.ndindex(*after)):
        inside = [
            token
            for token, at in enumerate(np.ndindex(*grid))
            if all(c * s - p <= a < c * s - p + k for a, c, s, p, k in zip(at, cell, stride, pads, kernel, strict=True))
        ]
        for token in inside:
            out[1 + row, 1 + token] = 1 / len(inside)
    return out, after


def softmax_rows(scores: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def plain_attention(module: nn.Module, inputs) -> list[np.ndarray]:
    """Every block's attention without pooling, mean over heads, from what goes into ``qkv``, query by query."""
    seen: list[torch.Tensor] = []
    handles = [b.attn.qkv.register_forward_hook(lambda _m, _i, out: seen.append(out[0].detach())) for b in module.blocks]
    with torch.no_grad():
        module(inputs)
    for handle in handles:
        handle.remove()
    found = []
    for out in seen:
        q, k, _ = out.double().numpy().reshape(len(out), 3, 2, 4).transpose(1, 2, 0, 3)  # (heads, tokens, channels) each
        total = np.zeros((len(out), len(out)))
        for head in range(2):
            for i in range(len(out)):
                total[i] += softmax_rows(np.array([q[head, i] @ k[head, j] / 2 for j in range(len(out))])) / 2
        found.append(total)
    return found


def test_without_pooling_it_is_the_papers_product():
    found = net(mvit, [PLAIN] * 3)
    R = np.eye(1 + math.prod(GRID))
    for A in plain_attention(found.module, clip()):
        R = (0.5 * A + 0.5 * np.eye(len(A))) @ R
    np.testing.assert_allclose(R.sum(1), 1)
    np.testing.assert_allclose(last_row(found, clip()).ravel(), R[0, 1:], atol=1e-6)
    assert R[0, 1:].max() > 3 * R[0, 1:].mean()


@pytest.mark.parametrize("is_rollout", [True, False])
@pytest.mark.parametrize("build", [mvit, mvit_v2, mvit_v2_with_class, mvit_pytorchvideo])
def test_pooled_blocks_are_their_matrices(build, is_rollout):
    """A rollout averages what comes together in a block, weighted attention adds it."""
    found = net(build, POOLED)
    with attention.softmaxes() as weights, torch.no_grad():
        found.module(clip())
    grid, R = list(GRID), np.eye(1 + math.prod(GRID))
    for number, A in enumerate(weights):
        kq, sq, kk, sk = POOLED[number]
        if build is mvit_pytorchvideo and sq == (1, 1, 1):
            kq = (1, 1, 1)  # there, queries without a stride are not pooled
        keys, _ = pooling(grid, kk, sk)
        queries, after = pooling(grid, kq, sq)
        skip, _ = pooling(grid, [s + 1 if s > 1 else 1 for s in sq], sq)
        read = A[0].double().numpy() @ keys
        B = read + skip + queries if build in (mvit_v2, mvit_v2_with_class) else read + skip
        if build is mvit_v2:  # the queries are added to the patches only
            B[0] = read[0] + skip[0]
        if is_rollout:
            B = B / B.sum(1, keepdims=True)  # each of the parts has rows that sum to 1
        R, grid = B @ R, after
    got = last_row(found, clip(), is_rollout=is_rollout)
    assert got.shape == GRID
    np.testing.assert_allclose(got.ravel(), R[0, 1:], rtol=1e-4, atol=1e-6)
    assert len(weights) == 3
    assert R[0, 1:].max() > 2 * R[0, 1:].mean()


# --- Swin: token by token ---------------------------------------------------------------------------------------------------

WINDOW = [2, 3, 3]


def swin() -> nn.Module:
    """Windows that are shifted, and that do not divide the tokens' grid (2, 4, 6): rows are padded, columns are not."""
    return SwinTransformer3d([2, 4, 4], 8, [2, 2], [2, 2], WINDOW, num_classes=CLASSES, patch_embed=PatchEmbed3d)


def window_matrix(block: nn.Module, x: torch.Tensor, *, is_rollout: bool) -> np.ndarray:
    """The attention of a block over all pairs of its tokens ``(t, h, w, C)``, mean over heads; padding is left out.

    For a rollout, the weights of the padding go to the other tokens in proportion.
    """
    attn, size = block.attn, x.shape[:3]
    window = [min(n, w) for n, w in zip(size, WINDOW, strict=True)]
    shift = [0 if n <= w else s for n, w, s in zip(size, WINDOW, attn.shift_size, strict=True)]
    padded = [math.ceil(n / w) * w for n, w in zip(size, window, strict=True)]
    qkv = torch.zeros(*padded, 3 * x.shape[-1]) + attn.qkv.bias
    qkv[: size[0], : size[1], : size[2]] = functional.linear(x, attn.qkv.weight, attn.qkv.bias)
    channels = x.shape[-1] // 2
    tokens = list(itertools.product(*map(range, padded)))

    def where(token):  # after the shift: which window, where in it, and whether it came around from the other side
        rolled = [(a - s) % n for a, s, n in zip(token, shift, padded, strict=True)]
        split = [divmod(r, w) for r, w in zip(rolled, window, strict=True)]
        around = tuple(r >= n - s > 0 and s > 0 for r, n, s in zip(rolled, padded, shift, strict=True))
        return [a for a, _ in split], [b for _, b in split], around

    places = {token: where(token) for token in tokens}
    real = [all(a < n for a, n in zip(token, size, strict=True)) for token in tokens]
    # Which of the learned biases belongs to a pair in a window is torchvision's business: it is asked, not imitated.
    biases = attn.get_relative_position_bias(window)[0]
    A = np.zeros((len(tokens), len(tokens)))
    for head in range(2):
        for i, a in enumerate(tokens):
            scores = np.full(len(tokens), -np.inf)
            for j, b in enumerate(tokens):
                if places[a][0] != places[b][0] or places[a][2] != places[b][2]:
                    continue
                q = qkv[a][head * channels : (head + 1) * channels]
                k = qkv[b][x.shape[-1] + head * channels : x.shape[-1] + (head + 1) * channels]
                m, n = (np.ravel_multi_index(places[token][1], window) for token in (a, b))
                scores[j] = float(q @ k) / math.sqrt(channels) + float(biases[head, m, n])
            A[i] += softmax_rows(scores) / 2
    A = A[np.ix_(real, real)]
    return A / A.sum(1, keepdims=True) if is_rollout else A


def merging(size) -> np.ndarray:
    after = [size[0], math.ceil(size[1] / 2), math.ceil(size[2] / 2)]
    out = np.zeros((math.prod(after), math.prod(size)))
    for row, (t, y, x) in enumerate(np.ndindex(*after)):
        for token, (u, v, w) in enumerate(np.ndindex(*size)):
            out[row, token] = u == t and v // 2 == y and w // 2 == x
    return out / out.sum(1, keepdims=True)


@pytest.mark.parametrize("is_rollout", [True, False])
def test_windows_are_their_matrix_token_by_token(is_rollout):
    found = net(swin)
    inputs: list[tuple[nn.Module, torch.Tensor]] = []
    blocks = [m for m in found.module.modules() if hasattr(m, "attn")]
    handles = [b.norm1.register_forward_hook(lambda _m, _i, out, b=b: inputs.append((b, out[0].detach()))) for b in blocks]
    with torch.no_grad():
        found.module(clip())
    for handle in handles:
        handle.remove()
    R = np.eye(math.prod(GRID))
    with torch.no_grad():
        for number, (block, x) in enumerate(inputs):
            if number == 2:
                R = merging(GRID) @ R
            A = window_matrix(block, x, is_rollout=is_rollout)
            R = (A + np.eye(len(A))) / (2 if is_rollout else 1) @ R
    got = last_row(found, clip(), is_rollout=is_rollout)
    np.testing.assert_allclose(got.ravel(), R.mean(0), rtol=1e-4, atol=1e-6)
    assert not is_rollout or got.sum() == pytest.approx(1, abs=1e-5)
    assert got.max() > 1.5 * got.min()


# --- properties -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("build", "given"), [(mvit, [[PLAIN] * 3]), (swin, [])])
def test_uniform_attention_is_a_uniform_map(build, given):
    found = net(build, *given)
    with torch.no_grad():
        for m in found.module.modules():
            if hasattr(m, "qkv"):
                m.qkv.weight.zero_()
                m.qkv.bias.zero_()
                if build is swin:
                    m.relative_position_bias_table.zero_()
    # Swin's rows: windows of 3 do not divide 4 rows, so a clip with 6 rows and columns of tokens.
    inputs = torch.randn(1, 3, 4, 24, 24) if build is swin else clip()
    got = last_row(found, inputs)
    np.testing.assert_allclose(got, got.mean(), rtol=1e-4)
    n = got.size
    # The class token keeps half of itself in each block and shares the rest evenly: 1/8 + 7/8 / (n + 1) is its own.
    assert got.sum() == pytest.approx(1 - (0.5**3 + (1 - 0.5**3) / (n + 1)) if build is mvit else 1, abs=1e-5)


@pytest.mark.parametrize(
    ("build", "given"), [(mvit, [POOLED]), (mvit_v2_with_class, [POOLED]), (mvit_pytorchvideo, [POOLED]), (swin, [])]
)
def test_rollout_shares_tokens_among_cells_whatever_the_class(build, given):
    found = net(build, *given)
    (place,) = layer_geometry(found)
    before = Snapshot(found.module)
    got = tensors(get_method("attention-rollout").explain(found, clip(2), TARGETS))
    before.check()
    (maps,) = got.maps
    assert maps.shape == (2, 2, *place.grid)
    assert maps.dtype == torch.float32
    assert (maps >= 0).all()
    assert torch.equal(maps[:, 0], maps[:, 1])
    assert got.totals is None
    np.testing.assert_allclose(got.logits, found.logits(clip(2)), atol=1e-4)
    facts = found.spec.attention
    for b in range(2):
        row = last_row(found, clip(2)[b : b + 1])
        want = np.zeros(place.grid)
        for token in np.ndindex(*row.shape):
            shares = []
            for axis, i, offset, stride in zip((place.time, place.y, place.x), token, facts.offset, facts.stride, strict=True):
                at = min(max((offset + stride * i - axis.offset) / axis.stride, 0), axis.count - 1)
                low = min(int(at), max(axis.count - 2, 0))
                shares.append({low: 1 - (at - low)} | ({low + 1: at - low} if axis.count > 1 else {}))
            for (i, a), (j, c), (k, d) in itertools.product(*(s.items() for s in shares)):
                want[i, j, k] += a * c * d * row[token]
        np.testing.assert_allclose(maps[b, 0], want, atol=1e-6)
        assert float(maps[b, 0].sum()) == pytest.approx(float(row.sum()), rel=1e-5)


def test_stopped_forward_pass_leaves_network_and_process_alone():
    found = net(swin)
    layer_geometry(found)
    found.module.head.register_forward_pre_hook(lambda *_: 1 / 0)
    before = Snapshot(found.module)
    with pytest.raises(ZeroDivisionError):
        get_method("attention-rollout").explain(found, clip(), TARGETS)
    before.check()
    assert not torch.overrides._get_current_function_mode_stack()


def test_sharing_out_keeps_the_sum_and_the_middle():
    row = torch.rand(4, 8, 8, generator=torch.Generator().manual_seed(0))
    row[:, 7] = 0  # beyond the last cell there is nobody to share with
    row[:, :, 7] = 0
    place = CellGeometry(AxisGeometry(0.0, 2.0, 4), AxisGeometry(0.0, 14.0, 3), AxisGeometry(0.0, 14.0, 3))
    facts = Attention("pooled", (2, 4, 4), (0.0, 0.0, 0.0))
    got = attention._shared_out(row, facts, place, (4, 3, 3))
    assert float(got.sum()) == pytest.approx(float(row.sum()), rel=1e-6)
    middle = (row.sum((0, 2)) * 4 * torch.arange(8)).sum() / row.sum()
    assert float((got.sum((0, 2)) * 14 * torch.arange(3)).sum() / got.sum()) == pytest.approx(float(middle), rel=1e-5)


def test_only_softmaxes_of_attention_are_seen_however_called():
    x = torch.randn(2, 3, 4, 5)
    with attention.softmaxes() as found:
        torch.softmax(x, -1)
        x.softmax(dim=-1)
        functional.softmax(x, dim=-1)
        nn.Softmax(dim=-1)(x)
        torch.softmax(x[0], -1)
        torch.sigmoid(x)
    assert len(found) == 4
    for weights in found:
        np.testing.assert_allclose(weights, x.softmax(-1).mean(1), atol=1e-7)
    torch.softmax(x, -1)
    assert len(found) == 4


def test_a_model_whose_attention_is_not_known_is_refused():
    method = get_method("attention-rollout")
    with pytest.raises(IncompatibleError, match="needs attention, which model 'tiny' does not have; these methods work on it: "):
        check_method(method, explained("tokens").spec)
    can = {s.name for s in list_specs() if "attention" in s.provides}
    assert can == {s.name for s in list_specs() if s.name.startswith(("mvit", "swin"))} != set()


def test_attention_that_is_not_all_seen_is_refused():
    found = net(mvit, POOLED)
    with attention.softmaxes() as weights, torch.no_grad():
        found.module(clip())
    with pytest.raises(
        IncompatibleError, match="needs the attention of all 3 blocks, but a forward pass shows that of 2: use 'gradcam'"
    ):
        attention.rollout(found.module, "pooled", weights[:2], GRID)
    with pytest.raises(
        IncompatibleError, match=r"expects attention of shape \(windows, queries, keys\) = \(1, 49, 13\), but .* \(1, 13, 13\)"
    ):
        attention.rollout(found.module, "pooled", [weights[0], weights[1], weights[1]][::-1], GRID)
    other = net(swin)
    with attention.softmaxes() as weights, torch.no_grad():
        other.module(clip())
    with pytest.raises(IncompatibleError, match="expects attention of shape"):
        attention.rollout(other.module, "windows", weights[::-1], GRID)


def test_a_caller_in_inference_mode_gets_the_same():
    found = net(swin)
    layer_geometry(found)  # measured once, and kept
    with torch.inference_mode():
        inside = get_method("attention-rollout").explain(found, clip(), TARGETS).maps[0]
    np.testing.assert_allclose(inside, get_method("attention-rollout").explain(found, clip(), TARGETS).maps[0], rtol=1e-6)


@pytest.mark.parametrize(("build", "given"), [(mvit, [POOLED]), (swin, [])])
def test_weighted_attention_is_of_the_class_and_never_negative(build, given):
    """The maps of two classes differ, and what residual connections bring to every place alike is left out."""
    found = net(build, *given)
    before = Snapshot(found.module)
    got = tensors(get_method("attention-gradient").explain(found, clip(2), [Target(0), Target(3)]))
    before.check()
    (maps,) = got.maps
    assert (maps >= 0).all()
    assert np.corrcoef(maps[:, 0].ravel(), maps[:, 1].ravel())[0, 1] < 0.99
    assert maps[0, 0].min() < 0.5 * maps[0, 0].mean()
    np.testing.assert_allclose(got.logits, found.logits(clip(2)), atol=1e-4)
