"""Attention rollout: how much of each input token reaches the end of a transformer, by its attention alone.

Attention says where a network reads, for every class and whatever it then does with it. So there is one map for all targets, also
for one class versus another, and no negative value.
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
from vidcam.interpolation import weight_matrix
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.methods.core import Attribution, Targets, TorchModel, resolve
from vidcam.methods.receptive_field import layer_geometry
from vidcam.models.spec import Attention

__all__ = ["attention_rollout", "rollout", "softmaxes"]


def attention_rollout(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return the share of each place in what the classifier reads, if only attention mixed tokens; the same for every target.

    Abnar & Zuidema 2020, section 4: with the attention ``A_l`` of block l, mean over its heads, and the residual connection that
    passes every token by it, ``R = B_L ... B_2 B_1`` with ``B_l = A_l / 2 + I / 2``. The paper has plain transformers; see
    :func:`rollout` for pooling and windows. The rows of R sum to 1. The map is the row that is classified: the class token's, or
    the mean of all rows if all tokens are pooled. The share of the class token itself is in no map, so a map may sum to less
    than 1.

    The tokens of the first block are shared out among the cells of the explained layer by where both are, each token to the
    nearest cells by linear interpolation, so sums do not change. Maps are ``(B, N, T', h, w) float32 >= 0``. Raises
    IncompatibleError if the attention of the network's blocks cannot be observed.
    """
    facts = cast("Attention", model.spec.attention)  # the row requires it
    (place,) = layer_geometry(model)
    logits, maps = [], []
    for clip in model.tensor(clips):  # one by one: the attention of a single clip may take hundreds of megabytes
        with softmaxes() as weights, capture(model) as run:
            output = run(clip[None])
        grid = [-(-n // s) for n, s in zip(clip.shape[1:], facts.stride, strict=True)]
        share = rollout(model.module, facts.kind, weights, grid)
        logits.append(to_numpy(output.logits))
        maps.append(to_numpy(_shared_out(share, facts, place, output.activations[0].shape[2:])))
    every = np.concatenate(logits)
    chosen = resolve(targets, every)
    return Attribution(chosen, every, (np.repeat(np.stack(maps)[:, None], len(chosen), axis=1),))


def _shared_out(share: Tensor, facts: Attention, place: CellGeometry, grid: Sequence[int]) -> Tensor:
    """Return a value for each token ``(t, h, w)`` shared out among the cells of ``grid``."""
    axes = (place.time, place.y, place.x)
    for dim, (axis, count, offset, stride) in enumerate(zip(axes, grid, facts.offset, facts.stride, strict=True)):
        tokens = offset + stride * np.arange(share.shape[dim])
        cells = torch.from_numpy(weight_matrix(axis.positions(tokens), count)).to(share)
        share = torch.tensordot(cells, share, dims=([0], [dim])).movedim(0, dim)
    return share


@contextmanager
def softmaxes() -> Iterator[list[Tensor]]:
    """Yield the list of attention weights ``(n, queries, keys) float32``, mean over heads, computed inside the ``with``.

    They are in the order of their computation; n is clips times windows. Attention is a softmax of ``(n, heads, queries, keys)``,
    called as a function or a method; fused kernels never form the weights and are not observed. The network is left unchanged.
    """
    with _Softmaxes() as mode:
        yield mode.weights


class _Softmaxes(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], _types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.softmax, Tensor.softmax, functional.softmax) and result.ndim == 4:
            self.weights.append(result.detach().float().mean(1))
        return result


def rollout(module: nn.Module, kind: str, weights: Sequence[Tensor], grid: Sequence[int]) -> Tensor:
    """Return the row of the rollout that is classified, ``(t, h, w) float32``, from the attention of one clip's forward pass.

    ``grid`` is that of the first block's tokens. Every block is a linear map of one number for each token, whose rows sum to 1.
    The product of the maps is never formed: the row is the gradient of the classified number with respect to the first
    tokens'. Raises IncompatibleError if the weights do not fit the blocks.
    """
    through = {"pooled": _through_pooled, "windows": _through_windows}[kind]
    with torch.inference_mode(False), torch.enable_grad():
        tokens = torch.ones(1, 1, *grid, device=next(module.parameters()).device, requires_grad=True)
        return torch.autograd.grad(through(module, weights, tokens), tokens)[0][0, 0]


def _through_pooled(module: nn.Module, weights: Sequence[Tensor], tokens: Tensor) -> Tensor:
    """Return the last class token of MViT (Fan et al. 2021; Li et al. 2022) from its first ``tokens (1, 1, t, h, w)``.

    MViT pools the keys by strided convolutions and the residual path by maxima; both are treated as plain averages of what they
    cover. MViT v2 adds the pooled queries to what is read, which is a second residual connection: its tokens are then a third
    each of what is read, of the queries and of the residual path.
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
    """Return tokens ``(1, 1, t, h, w)`` averaged over what each output of a pooling module (or none) covers inside the clip."""
    if not isinstance(pool, nn.Module):
        return tokens
    step = next(m for m in pool.modules() if isinstance(m, nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d))
    kernel, stride, padding = (cast("tuple[int, int, int]", k) for k in (step.kernel_size, step.stride, step.padding))
    ones = tokens.new_ones(1, 1, *kernel)
    covered = functional.conv3d(torch.ones_like(tokens), ones, stride=stride, padding=padding)
    return functional.conv3d(tokens, ones, stride=stride, padding=padding) / covered


def _through_windows(module: nn.Module, weights: Sequence[Tensor], tokens: Tensor) -> Tensor:
    """Return the mean last token of Swin (Liu et al. 2022) from its first ``tokens (1, 1, t, h, w)``.

    Attention stays inside its (shifted) windows. Four tokens that are merged into one count alike.
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
    """Return what every token ``(1, 1, t, h, w)`` reads in its window, by ``weight (windows, queries, keys)``."""
    size = tokens.shape[2:]
    shapes = zip(size, cast("Sequence[int]", attention.window_size), cast("Sequence[int]", attention.shift_size), strict=True)
    window, shift = zip(*((n, 0) if n <= w else (w, s) for n, w, s in shapes), strict=True)
    counts = [-(-n // w) for n, w in zip(size, window, strict=True)]
    padding = [e for n, w, c in zip(size, window, counts, strict=True) for e in (c * w - n, 0)][::-1]

    def cut(field: Tensor) -> Tensor:
        """Return ``field`` as ``(windows, tokens in each)``."""
        field = functional.pad(field, padding).roll([-s for s in shift], (2, 3, 4))
        t, h, w = window
        field = field.view(counts[0], t, counts[1], h, counts[2], w)
        return field.permute(0, 2, 4, 1, 3, 5).reshape(len(weight), -1)

    _check(weight, (counts[0] * counts[1] * counts[2], *[window[0] * window[1] * window[2]] * 2))
    read = weight @ cut(tokens)[..., None]
    # Weights of the padding go to the true tokens in proportion, so that rows sum to 1.
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
