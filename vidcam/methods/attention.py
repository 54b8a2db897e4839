"""Attention rollout: how much of the input's tokens reaches the end of a transformer, judged by its attention alone.

Attention says where a network reads, whatever the class and whatever it makes of what it has read. So there is one map for all
targets, also for one class versus another, and no negative value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from vidcam.engine.base import Clips, to_numpy
from vidcam.engine.hooks import capture
from vidcam.errors import IncompatibleError
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry, hats
from vidcam.methods.core import Attribution, Method, Targets, TorchModel, register, resolve
from vidcam.methods.probe import placements
from vidcam.models.registry import Attention

__all__ = ["attention_rollout", "rollout", "softmaxes"]


def attention_rollout(explained: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """The share of each place in what the classifier reads, if attention were all that mixes tokens: every target gets this map.

    Abnar & Zuidema 2020, section 4: with the attention ``A_l`` of block l, mean over its heads, and the residual connection that
    passes every token by it, ``R = B_L ... B_2 B_1`` with ``B_l = A_l / 2 + I / 2``. See :func:`rollout` for what pooling and
    windows make of it. The rows of R sum to 1; the map is the row that is classified: the class token's, or the mean of all where
    all are pooled. What falls on the class token itself is in no map, which therefore sums to less than 1.

    The tokens of the first block are shared out among the cells of the explained layer by where both are, each token to the
    nearest cells by linear interpolation, so sums stay. Maps are ``(B, N, T', h, w) float32 >= 0``. Raises IncompatibleError
    where the attention of the network's blocks is not to be seen.
    """
    facts = cast("Attention", explained.spec.attention)  # core.check has seen to it
    (place,) = placements(explained)
    logits, maps = [], []
    for clip in explained.tensor(clips):  # one by one: the attention of a single clip may take hundreds of megabytes
        with softmaxes() as weights, capture(explained) as run:
            seen = run(clip[None])
        grid = [-(-n // s) for n, s in zip(clip.shape[1:], facts.stride, strict=True)]
        share = rollout(explained.module, facts.kind, weights, grid)
        logits.append(to_numpy(seen.logits))
        maps.append(to_numpy(_shared_out(share, facts, place, seen.features[0].shape[2:])))
    every = np.concatenate(logits)
    chosen = resolve(targets, every)
    return Attribution(chosen, every, (np.repeat(np.stack(maps)[:, None], len(chosen), axis=1),))


def _shared_out(share: Tensor, facts: Attention, place: CellGeometry, grid: Sequence[int]) -> Tensor:
    """A value for each token ``(t, h, w)`` as sums over the cells of ``grid``."""
    axes = (place.time, place.y, place.x)
    for dim, (axis, count, offset, stride) in enumerate(zip(axes, grid, facts.offset, facts.stride, strict=True)):
        tokens = offset + stride * np.arange(share.shape[dim])
        weights = hats(AxisGeometry(axis.offset, axis.stride, count).centres(), tokens)
        share = torch.tensordot(torch.from_numpy(weights).to(share), share, dims=([0], [dim])).movedim(0, dim)
    return share


@contextmanager
def softmaxes() -> Iterator[list[Tensor]]:
    """The attention weights ``(n, queries, keys) float32``, mean over the heads, of every attention inside the ``with``.

    In the order of their computation; n are clips times windows. An attention is a softmax of ``(n, heads, queries, keys)``,
    called as a function or a method; fused kernels never form the weights and are not seen. No network is touched.
    """
    with _Softmaxes() as mode:
        yield mode.found


class _Softmaxes(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], _types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.softmax, Tensor.softmax, functional.softmax) and result.ndim == 4:
            self.found.append(result.detach().float().mean(1))
        return result


def rollout(module: nn.Module, kind: str, weights: Sequence[Tensor], grid: Sequence[int]) -> Tensor:
    """``(t, h, w) float32``: the row of the rollout that is classified, from the attention of one clip's forward pass.

    ``grid`` is that of the first block's tokens. Every block is a linear map of one number for each token, whose rows sum to 1.
    The product of the maps is never formed: the wanted row is the gradient of the classified number with respect to the first
    tokens'. Raises IncompatibleError where the weights do not fit the blocks.
    """
    through = {"pooled": _through_pooled, "windows": _through_windows}[kind]
    with torch.inference_mode(False), torch.enable_grad():
        tokens = torch.ones(1, 1, *grid, device=next(module.parameters()).device, requires_grad=True)
        return torch.autograd.grad(through(module, weights, tokens), tokens)[0][0, 0]


def _through_pooled(module: nn.Module, weights: Sequence[Tensor], tokens: Tensor) -> Tensor:
    """The class token of MViT (Fan et al. 2021; Li et al. 2022) at the end, of ``tokens (1, 1, t, h, w)`` at the start.

    Keys are pooled before they are read, what is passed by is pooled too: the one by strided convolutions, the other by maxima,
    both taken for plain averages of what they cover. MViT v2 adds the pooled queries to what was read, which is a second residual
    connection: its tokens are then a third each of what is read, of the queries and of what passes by.
    """
    token = tokens.new_ones(1)
    for block, weight in _paired(list(cast("nn.ModuleList", module.blocks)), weights):
        attention = cast("nn.Module", block.attn)
        queries, keys = _averaged(tokens, attention.pool_q), _averaged(tokens, attention.pool_k)
        _check(weight, (1, 1 + queries.numel(), 1 + keys.numel()))
        read = weight[0] @ torch.cat([token, keys.flatten()])
        parts = [read[1:], _averaged(tokens, block.pool_skip).flatten()]
        heads = [read[:1], token]
        if getattr(attention, "residual_pool", False):
            parts.append(queries.flatten())
            if attention.residual_with_cls_embed:
                heads.append(token)
        token = torch.stack(heads).mean(0)
        tokens = torch.stack(parts).mean(0).view_as(queries)
    return token


def _averaged(tokens: Tensor, pool: object) -> Tensor:
    """Tokens ``(1, 1, t, h, w)`` averaged over what each output of a pooling module (or none) covers inside the clip."""
    if not isinstance(pool, nn.Module):
        return tokens
    step = next(m for m in pool.modules() if isinstance(m, nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d))
    kernel, stride, padding = (cast("tuple[int, int, int]", k) for k in (step.kernel_size, step.stride, step.padding))
    ones = tokens.new_ones(1, 1, *kernel)
    covered = functional.conv3d(torch.ones_like(tokens), ones, stride=stride, padding=padding)
    return functional.conv3d(tokens, ones, stride=stride, padding=padding) / covered


def _through_windows(module: nn.Module, weights: Sequence[Tensor], tokens: Tensor) -> Tensor:
    """The mean token of Swin (Liu et al. 2022) at the end, of ``tokens (1, 1, t, h, w)`` at the start.

    Attention stays inside its (shifted) windows. Where four tokens are merged into one, they count alike.
    """
    layers = list(cast("nn.Module", module.features).modules())
    remaining = iter(_paired([m for m in layers if hasattr(m, "attn")], weights))
    for layer in layers:
        if hasattr(layer, "attn"):
            block, weight = next(remaining)
            tokens = (_read_in_windows(tokens, weight, cast("nn.Module", block.attn)) + tokens) / 2
        elif hasattr(layer, "reduction"):
            tokens = functional.avg_pool3d(tokens, (1, 2, 2), ceil_mode=True)
    return tokens.mean()


def _read_in_windows(tokens: Tensor, weight: Tensor, attention: nn.Module) -> Tensor:
    """What every token ``(1, 1, t, h, w)`` reads in its window, by ``weight (windows, queries, keys)``."""
    size = tokens.shape[2:]
    shapes = zip(size, cast("Sequence[int]", attention.window_size), cast("Sequence[int]", attention.shift_size), strict=True)
    window, shift = zip(*((n, 0) if n <= w else (w, s) for n, w, s in shapes), strict=True)
    counts = [-(-n // w) for n, w in zip(size, window, strict=True)]
    padding = [e for n, w, c in zip(size, window, counts, strict=True) for e in (c * w - n, 0)][::-1]

    def cut(field: Tensor) -> Tensor:
        """``(windows, tokens in each)``"""
        field = functional.pad(field, padding).roll([-s for s in shift], (2, 3, 4))
        t, h, w = window
        field = field.view(counts[0], t, counts[1], h, counts[2], w)
        return field.permute(0, 2, 4, 1, 3, 5).reshape(len(weight), -1)

    _check(weight, (counts[0] * counts[1] * counts[2], *[window[0] * window[1] * window[2]] * 2))
    read = weight @ cut(tokens)[..., None]
    # What falls on the padding is no token's: the others share it, so that rows sum to 1.
    read = read / (weight @ cut(torch.ones_like(tokens))[..., None]).clamp(min=1e-12)
    read = read.view(*counts, *window).permute(0, 3, 1, 4, 2, 5)
    read = read.reshape(1, 1, *(c * w for c, w in zip(counts, window, strict=True))).roll(shift, (2, 3, 4))
    return read[:, :, : size[0], : size[1], : size[2]]


def _paired(blocks: Sequence[nn.Module], weights: Sequence[Tensor]) -> list[tuple[nn.Module, Tensor]]:
    if len(blocks) != len(weights):
        raise IncompatibleError(
            f"'attention-rollout' needs the attention of all {len(blocks)} blocks, but a forward pass shows that of "
            f"{len(weights)}: use 'gradcam'"
        )
    return list(zip(blocks, weights, strict=True))


def _check(weight: Tensor, shape: tuple[int, ...]) -> None:
    if weight.shape != shape:
        raise IncompatibleError(
            f"'attention-rollout' expects attention of shape (windows, queries, keys) = {shape}, but a block has "
            f"{tuple(weight.shape)}: use 'gradcam'"
        )


register(
    Method(
        name="attention-rollout",
        title="Attention rollout (class independent)",
        paper="Abnar & Zuidema, Quantifying Attention Flow in Transformers, ACL 2020, https://arxiv.org/abs/2005.00928",
        requires=frozenset({"attention"}),
        signed=False,
        complete=False,
        cost="one forward pass, one clip at a time",
        explain=attention_rollout,
        family="attention",
    )
)
