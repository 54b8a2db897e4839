"""How attention moves numbers through the blocks of a transformer, written as a linear map of one number for each token.

A block replaces a token's number by what the token reads with its attention, combined with its own number, which the residual
connection passes on. Each function takes the attention of one clip, ``(n, queries, keys)`` for each block in the order of their
computation, and the numbers of the first tokens, and returns the number that is classified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidcam.errors import IncompatibleError

__all__ = ["THROUGH", "Flow"]


@dataclass(frozen=True)
class Flow:
    """What is the same in all blocks of a network.

    Attributes:
        is_rollout: Whether a block averages what comes together, so that the shares of all tokens sum to 1 (Abnar & Zuidema
            2020); otherwise it adds (Chefer et al. 2021).
        class_tokens: The number of tokens before those of the grid.
        order: The order of the latter, one of :data:`~vidcam.models.spec.ORDERS`.
    """

    is_rollout: bool = True
    class_tokens: int = 1
    order: str = "thw"

    def combine(self, parts: Sequence[Tensor]) -> Tensor:
        """Return what a token gets from ``parts`` of equal shape."""
        every = torch.stack(list(parts))
        return every.mean(0) if self.is_rollout else every.sum(0)


Through = Callable[[nn.Module, Sequence[Tensor], Tensor, Flow], Tensor]


def _through_pooled(module: nn.Module, weights: Sequence[Tensor], tokens: Tensor, flow: Flow) -> Tensor:
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
        token = flow.combine(heads)
        tokens = flow.combine(parts).view_as(queries)
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


def _through_windows(module: nn.Module, weights: Sequence[Tensor], tokens: Tensor, flow: Flow) -> Tensor:
    """Return the mean last token of Swin (Liu et al. 2022) from its first ``tokens (1, 1, t, h, w)``.

    Attention stays inside its (shifted) windows. Four tokens that are merged into one count alike.
    """
    layers = list(cast("nn.Module", module.features).modules())
    remaining = iter(_paired([m for m in layers if hasattr(m, "attn")], weights))
    for layer in layers:
        if hasattr(layer, "attn"):
            block, weight = next(remaining)
            read = _read_in_windows(tokens, weight, cast("nn.Module", block.attn), is_rollout=flow.is_rollout)
            tokens = flow.combine([read, tokens])
        elif hasattr(layer, "reduction"):
            tokens = functional.avg_pool3d(tokens, (1, 2, 2), ceil_mode=True)
    return tokens.mean()


def _read_in_windows(tokens: Tensor, weight: Tensor, attention: nn.Module, *, is_rollout: bool) -> Tensor:
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
    if is_rollout:  # weights of the padding go to the true tokens in proportion, so that rows sum to 1
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


def _through_plain(_module: nn.Module, weights: Sequence[Tensor], tokens: Tensor, flow: Flow) -> Tensor:
    """Return the last class token, or the mean last token if there is none, of blocks in which all tokens attend to all.

    ViViT's model 1 (Arnab et al. 2021), VideoMAE (Tong et al. 2022), TimeSformer with joint attention (Bertasius et al. 2021).
    """
    values = _in_order(tokens, flow)
    for weight in weights:
        values = _attend(values, weight, flow)
    return values[0] if flow.class_tokens else values.mean()


def _through_queried(_module: nn.Module, weights: Sequence[Tensor], tokens: Tensor, flow: Flow) -> Tensor:
    """Return what a query reads that attends to the last tokens, as in V-JEPA 2 (Assran et al. 2025)."""
    *blocks, pooler = weights
    values = _in_order(tokens, flow)
    for weight in blocks:
        values = _attend(values, weight, flow)
    _check(pooler, (1, 1, len(values)))
    return flow.combine([(pooler[0] @ values)[0], values.new_ones(())])


def _through_divided(_module: nn.Module, weights: Sequence[Tensor], tokens: Tensor, flow: Flow) -> Tensor:
    """Return the last class token of TimeSformer with divided attention (Bertasius et al. 2021, section 3).

    In each block every place attends over time; then every picture attends over its places and the class token, and the class
    token gets the mean of what it reads in all pictures.
    """
    _, _, frames, height, width = tokens.shape
    values, token = tokens[0, 0].flatten(1), tokens.new_ones(())  # (time, places)
    for over_time, over_places in zip(weights[::2], weights[1::2], strict=False):
        _check(over_time, (height * width, frames, frames))
        _check(over_places, (frames, 1 + height * width, 1 + height * width))
        values = flow.combine([torch.einsum("pts,sp->tp", over_time, values), values])
        read = torch.einsum("tij,tj->ti", over_places, torch.cat([token.expand(frames, 1), values], dim=1))
        token = flow.combine([read[:, 0].mean(), token])
        values = flow.combine([read[:, 1:], values])
    return token


def _through_factorised(module: nn.Module, weights: Sequence[Tensor], tokens: Tensor, flow: Flow) -> Tensor:
    """Return what the pooling query of VideoPrism (Zhao et al. 2024) reads.

    The first blocks attend over the places of each picture, the others over time at each place.
    """
    _, _, frames, height, width = tokens.shape
    values, places = tokens[0, 0].flatten(1), height * width
    *blocks, pooler = weights
    pictures = len(cast("nn.ModuleList", module.get_submodule("net.vision_model.spatial_layers")))
    for i, weight in enumerate(blocks):
        if i < pictures:
            _check(weight, (frames, places, places))
            read = torch.einsum("tij,tj->ti", weight, values)
        else:
            _check(weight, (places, frames, frames))
            read = torch.einsum("pts,sp->tp", weight, values)
        values = flow.combine([read, values])
    _check(pooler, (1, 1, frames * places))
    return flow.combine([(pooler[0] @ values.flatten())[0], values.new_ones(())])


def _in_order(tokens: Tensor, flow: Flow) -> Tensor:
    """Return the numbers of ``tokens (1, 1, t, h, w)`` in the order of the network, class tokens first."""
    cells = tokens[0, 0].permute(*("thw".index(axis) for axis in flow.order)).flatten()
    return torch.cat([tokens.new_ones(flow.class_tokens), cells])


def _attend(values: Tensor, weight: Tensor, flow: Flow) -> Tensor:
    _check(weight, (1, len(values), len(values)))
    return flow.combine([weight[0] @ values, values])


THROUGH: dict[str, Through] = {
    "pooled": _through_pooled,
    "windows": _through_windows,
    "plain": _through_plain,
    "queried": _through_queried,
    "divided": _through_divided,
    "factorised": _through_factorised,
}
"""The functions by ``Attention.kind``."""
