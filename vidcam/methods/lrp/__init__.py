"""Layer-wise relevance propagation (Bach et al. 2015, https://doi.org/10.1371/journal.pone.0130140) for 3-D CNNs.

A score is passed back from layer to layer, each output sharing its relevance among its inputs, until it lies on the pixels.

**Mechanism.** Relevance is ``input * gradient`` of a function that has the network's values and other derivatives. A forward pass
runs with every operation replaced (:mod:`~vidcam.methods.lrp.surrogate`); ordinary autograd does the rest. Every operation from
the clip to the logits, a module or a function, in place or not, is replaced when it is called:

- linear layer: a sum ``s`` of the rule's contributions, times ``constant(z / s)`` (:mod:`~vidcam.methods.lrp.rules`);
- batch norm in eval mode: merged exactly into the convolution before it; after anything else, a linear layer under LRP-0;
- activation with f(0) = 0 (ReLU, ReLU6, Swish, GELU ...): ``x * constant(f(x) / x)``, so that relevance passes through;
- gate (sigmoid): a constant, so that squeeze and excitation gives all relevance to the weighted signal;
- sum, mean, average pooling, padding, choice of cells: linear, unchanged. So a residual sum shares in proportion to its
  summands, wherever it is computed, and there is no list of blocks to rewrite;
- max pooling: the winner takes all;
- product of two signals: half each (the uniform rule, Achtibat et al. 2024, https://arxiv.org/abs/2402.05602).

**Conservation.** Every replacement is homogeneous of degree 1 in its inputs, constants (biases, batch norm shifts, epsilons)
counted as weights of an input that is 1. By Euler's theorem the relevance of the pixels and of that input sum to the score. So
what the constants absorb is known for every clip and target, ``totals`` are the scores less that, and the error that is shown
with the map is the error of conservation. An operation without a rule is refused by name: most composites have none for layer
norms, softmaxes and products of matrices, which ``lrp-attention`` has (:mod:`~vidcam.methods.lrp.attention_rules`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

from vidcam.engine.base import Clips, to_numpy
from vidcam.engine.gradients import ClipRun, differentiable, graph_nodes
from vidcam.engine.hooks import replaced_outputs
from vidcam.errors import IncompatibleError
from vidcam.methods import pixel_blocks
from vidcam.methods.attention import eager_attention
from vidcam.methods.core import Attribution, Target, Targets, TorchModel, resolve, scores_of
from vidcam.methods.lrp.composites import COMPOSITES, Composite
from vidcam.methods.lrp.surrogate import Surrogate

__all__ = ["COMPOSITES", "Composite", "lrp"]


def lrp(composite: Composite, model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return the relevance of the pixels under ``composite``, summed over colours and blocks, in the logit's unit.

    One class versus another starts with the logit of the class and minus the logit of the other. ``totals`` are the scores less
    what the network's constants absorbed. Raises IncompatibleError, with its name, for an operation that has no rule.
    """
    logits = model.logits(clips)
    chosen = resolve(targets, logits)
    each = (_one_clip(composite, model, clip, chosen) for clip in torch.split(model.tensor(clips), 1))
    maps, absorbed = zip(*each, strict=True)
    totals = scores_of(logits, chosen) - to_numpy(torch.cat(absorbed))
    return Attribution(chosen, logits, (to_numpy(torch.cat(maps)),), totals)


def _one_clip(composite: Composite, model: TorchModel, clip: Tensor, targets: Sequence[Target]) -> tuple[Tensor, Tensor]:
    """Return maps ``(1, N, T, h, w)`` and what constants absorb ``(1, N)``. One clip at a time, because the graph is large."""
    spec = model.spec
    mean, std = (clip.new_tensor(v) for v in (spec.mean, spec.std))
    surrogate = Surrogate(composite, spec.name, low=(0 - mean) / std, high=(1 - mean) / std)
    with differentiable(model) as run:
        with eager_attention(model.module), replaced_outputs(model.module, {"Swish": _swish}), surrogate:
            output = run(clip)
        _verify(output, surrogate, composite, spec.name)
        relevances = [_relevance(output, surrogate, target) for target in targets]
    maps = torch.stack([pixel_blocks.over_blocks(relevance) for relevance, _ in relevances], dim=1)
    return maps, torch.stack([absorbed for _, absorbed in relevances])[None]


def _swish(x: Tensor) -> Tensor:
    """Compute PyTorchVideo's Swish, whose own autograd function cannot be replaced inside."""
    return x * torch.sigmoid(x)


def _verify(output: ClipRun, surrogate: Surrogate, composite: Composite, model: str) -> None:
    for node in graph_nodes(output.logits):
        if isinstance(node, BackwardCFunction):
            raise IncompatibleError(
                f"layer-wise relevance propagation has no rule for {node.name()}, an autograd function of its own that model "
                f"{model!r} uses: use 'integrated-gradients' or 'gradcam'"
            )
    if composite.first is not None and not surrogate.pixels:
        raise IncompatibleError(
            f"no layer of model {model!r} sees the pixels as they are, which {composite.name!r} needs: use 'lrp'"
        )


def _relevance(output: ClipRun, surrogate: Surrogate, target: Target) -> tuple[Tensor, Tensor]:
    """Return the relevance of the pixels ``(1, T, H, W)``, summed over colours, and that of the constants, one number."""
    leaves = (output.clips, *surrogate.pixels)
    with torch.enable_grad():
        score = target(output.logits).sum()
    # materialize_grads: the flat rule ignores the pixels' values, and a network may have no constants
    grads = torch.autograd.grad(score, (*leaves, surrogate.one), retain_graph=True, allow_unused=True, materialize_grads=True)
    relevance = torch.stack([(leaf.detach() * grad).sum(1) for leaf, grad in zip(leaves, grads[:-1], strict=True)]).sum(0)
    return relevance.float(), grads[-1].float()
