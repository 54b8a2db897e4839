"""Attention as an explanation: how much of each input token reaches the end of a transformer.

Attention alone says where a network reads, for every class and whatever it then does with it (:func:`attention_rollout`,
:func:`attention_pooler`): one map for all targets, also for one class versus another. Its gradient says what it matters for a
class (:func:`attention_gradient`). No map has negative values.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from vidcam.engine.base import Clips, to_numpy
from vidcam.engine.gradients import differentiable
from vidcam.engine.hooks import capture
from vidcam.errors import IncompatibleError
from vidcam.interpolation import weight_matrix
from vidcam.methods.attention_blocks import THROUGH, Flow
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.methods.core import Attribution, Targets, TorchModel, resolve
from vidcam.methods.receptive_field import layer_geometry
from vidcam.models.spec import Attention

__all__ = [
    "attention_gradient",
    "attention_pooler",
    "attention_rollout",
    "check_attention_fits",
    "eager_attention",
    "rollout",
    "softmaxes",
]

ROLLOUT = Flow()


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
        with eager_attention(model.module), softmaxes() as weights, capture(model) as run:
            output = run(clip[None])
        share = rollout(model.module, facts.kind, weights, _token_grid(clip, facts), _flow(model, is_rollout=True))
        logits.append(to_numpy(output.logits))
        maps.append(to_numpy(_shared_out(share, facts, place, place.grid)))
    every = np.concatenate(logits)
    chosen = resolve(targets, every)
    return Attribution(chosen, every, (np.repeat(np.stack(maps)[:, None], len(chosen), axis=1),))


def attention_gradient(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return the share of each place in a class by its attention, weighted with what that attention matters for the class.

    Chefer, Gur & Wolf 2021 (ICCV), eqs. 5 and 6: with the attention ``A_l`` of block l and the gradient ``G_l`` of the score with
    respect to it, ``R = B_L ... B_2 B_1`` with ``B_l = I + mean over heads of relu(G_l * A_l)``. The map is the class token's row
    of R, as in the paper; where all tokens are pooled, the mean of the rows. There and wherever tokens keep their place, what the
    residual connections alone bring is the same for every place and class, and is left out. Other connections than the paper's
    are treated as in :func:`attention_rollout`, with sums for means.

    Maps are ``(B, N, T', h, w) float32 >= 0``, in units that depend on the network. Raises IncompatibleError if the attention of
    the network's blocks cannot be observed.
    """
    facts, flow = cast("Attention", model.spec.attention), _flow(model, is_rollout=False)
    (place,) = layer_geometry(model)
    chosen = resolve(targets, model.logits(clips))
    logits, maps = [], []
    for clip in model.tensor(clips):
        grid, of_targets = _token_grid(clip, facts), []
        with eager_attention(model.module), softmaxes(lambda weights: weights) as weights, differentiable(model) as run:
            output = run(clip[None])
            for target in chosen:
                with torch.enable_grad():
                    score = target(output.logits).sum()
                gradients = torch.autograd.grad(score, weights, retain_graph=True, allow_unused=True)
                weighted = [_matters(a, g) for a, g in zip(weights, gradients, strict=True)]
                row = rollout(model.module, facts.kind, weighted, grid, flow)
                residual = rollout(model.module, facts.kind, [torch.zeros_like(w) for w in weighted], grid, flow)
                of_targets.append(to_numpy(_shared_out((row - residual).clamp(min=0), facts, place, place.grid)))
        logits.append(to_numpy(output.logits))
        maps.append(np.stack(of_targets))
    return Attribution(chosen, np.concatenate(logits), (np.stack(maps),))


def _matters(attention: Tensor, gradient: Tensor | None) -> Tensor:
    """Return ``mean over heads of relu(G * A)``; zeros if nothing behind the attention depends on it."""
    if gradient is None:
        return torch.zeros_like(attention[:, 0]).detach().float()
    return (attention.detach() * gradient).clamp(min=0).float().mean(1)


def attention_pooler(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return how much the query that pools the tokens reads of each; the same for every target.

    V-JEPA 2 (Assran et al. 2025) and VideoPrism (Zhao et al. 2024) are classified by what one query reads with cross-attention
    from the tokens of the last layer. The map is that attention, mean over heads: what is read, not where it comes from, because
    each token has seen the whole clip. Maps are ``(B, N, T', h, w) float32 >= 0`` and sum to 1.
    """
    facts = cast("Attention", model.spec.attention)  # the row requires it
    grid = cast("tuple[int, int, int]", model.spec.grid)
    logits, maps = [], []
    for clip in model.tensor(clips):
        with eager_attention(model.module, facts.pooler), softmaxes() as weights, capture(model) as run:
            output = run(clip[None])
        logits.append(to_numpy(output.logits))
        # VideoPrism's tokens are folded by place in its last layer, but pooled in the order of time, rows and columns.
        maps.append(to_numpy(weights[-1][0, 0].view(grid)))
    every = np.concatenate(logits)
    chosen = resolve(targets, every)
    return Attribution(chosen, every, (np.repeat(np.stack(maps)[:, None], len(chosen), axis=1),))


def _token_grid(clip: Tensor, facts: Attention) -> list[int]:
    """Return the grid of the first block's tokens for a clip ``(3, T, H, W)``."""
    return [-(-n // s) for n, s in zip(clip.shape[1:], facts.stride, strict=True)]


def _flow(model: TorchModel, *, is_rollout: bool) -> Flow:
    spec = model.spec
    return Flow(is_rollout=is_rollout, class_tokens=spec.class_tokens, order=spec.order)


def _shared_out(share: Tensor, facts: Attention, place: CellGeometry, grid: Sequence[int]) -> Tensor:
    """Return a value for each token ``(t, h, w)`` shared out among the cells of ``grid``."""
    axes = (place.time, place.y, place.x)
    for dim, (axis, count, offset, stride) in enumerate(zip(axes, grid, facts.offset, facts.stride, strict=True)):
        tokens = offset + stride * np.arange(share.shape[dim])
        cells = torch.from_numpy(weight_matrix(axis.positions(tokens), count)).to(share)
        share = torch.tensordot(cells, share, dims=([0], [dim])).movedim(0, dim)
    return share


@contextmanager
def softmaxes(keep: Callable[[Tensor], Tensor] | None = None) -> Iterator[list[Tensor]]:
    """Yield the list of attention weights that are computed inside the ``with``, in the order of their computation.

    By default they are ``(n, queries, keys) float32``, mean over heads; n is clips times windows. ``keep`` makes something else
    of ``(n, heads, queries, keys)``. Attention is a softmax of four axes, called as a function or a method; fused kernels never
    form the weights and are not observed (:func:`eager_attention`). The network is left unchanged. Raises IncompatibleError if
    the weights of one clip would take more than :data:`LIMIT` bytes.
    """
    with _Softmaxes(keep or _mean_over_heads) as mode:
        yield mode.weights


LIMIT = 6 * 2**30


def check_attention_fits(needed: int) -> None:
    """Raise IncompatibleError if the attention of one clip needs more than :data:`LIMIT` bytes."""
    if needed > LIMIT:
        raise IncompatibleError(
            f"the attention of all blocks for one clip takes more than {LIMIT / 2**30:.0f} GB of memory: use 'gradcam', or "
            "'attention-pooler' if a query pools the tokens"
        )


def _mean_over_heads(weights: Tensor) -> Tensor:
    return weights.detach().float().mean(1)


class _Softmaxes(TorchFunctionMode):
    def __init__(self, keep: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.keep = keep
        self.weights: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], _types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        is_attention = func in (torch.softmax, Tensor.softmax, functional.softmax) and args and args[0].ndim == 4
        if is_attention:
            check_attention_fits(args[0].numel() * 4 + sum(w.numel() * 4 for w in self.weights))
        result = func(*args, **(kwargs or {}))
        if is_attention:
            self.weights.append(self.keep(result))
        return result


@contextmanager
def eager_attention(module: nn.Module, within: str = "") -> Iterator[None]:
    """Make the attention of transformers' networks form its weights, in the module ``within`` or everywhere, for a while.

    Their fused kernels give no weights. Networks that choose no kernel by their config are left as they are.
    """
    parts = [
        part for part in module.get_submodule(within).modules() if hasattr(getattr(part, "config", None), "_attn_implementation")
    ]
    before = [(part, part.config) for part in parts]
    try:
        for part, config in before:
            part.config = copy.copy(config)
            part.config._attn_implementation = "eager"  # type: ignore[union-attr]
        yield
    finally:
        for part, config in before:
            part.config = config


def rollout(module: nn.Module, kind: str, weights: Sequence[Tensor], grid: Sequence[int], flow: Flow = ROLLOUT) -> Tensor:
    """Return the row of the rollout that is classified, ``(t, h, w) float32``, from the attention of one clip's forward pass.

    ``grid`` is that of the first block's tokens. Every block is a linear map of one number for each token. The product of the
    maps is never formed: the row is the gradient of the classified number with respect to the first tokens'. Raises
    IncompatibleError if the weights do not fit the blocks.
    """
    with torch.inference_mode(False), torch.enable_grad():
        tokens = torch.ones(1, 1, *grid, device=next(module.parameters()).device, requires_grad=True)
        return torch.autograd.grad(THROUGH[kind](module, weights, tokens, flow), tokens)[0][0, 0]
