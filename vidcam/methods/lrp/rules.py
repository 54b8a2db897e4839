"""The rules of layer-wise relevance propagation: functions whose value is the layer's output and whose gradient is the rule.

In the papers, a rule says which share of the relevance ``R_k`` of an output goes to input j. Here ``a_j`` is an input,
``w_jk`` a weight, ``b_k`` a bias, ``z_k = sum_j a_j w_jk + b_k`` the output, ``(.)+`` and ``(.)-`` the positive and the negative
part. If a share has the form ``R_j = a_j sum_k rho(w_jk) R_k / s_k`` with ``s_k = sum_j a_j rho(w_jk) + rho(b_k)``, then

    o_k = s_k * constant(z_k / s_k)

has the value ``z_k``, and input times gradient of anything computed from ``o`` is that rule; see :mod:`vidcam.methods.lrp`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["STABILISER", "Layer", "Rule", "alpha_beta", "epsilon", "flat", "gamma", "z_box", "z_plus", "zero"]

STABILISER = 1e-6
"""Added to the magnitude of every denominator, so that there is no division by zero."""


@dataclass(frozen=True)
class Layer:
    """A linear layer in one forward pass.

    Attributes:
        apply: ``apply(input, weight)`` is the layer without its bias, linear in both.
        input: The layer's input.
        weight: Its weight.
        bias: Its bias, which broadcasts to the output; None if it has none.
        output: Its result as a constant.
        one: An input that is 1. A bias is the weight of that input, so the relevance that biases absorb arrives there.
        pixels: If the input is the clip itself: its lower bound, its upper bound and ones, each shaped like the input.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    input: Tensor
    weight: Tensor
    bias: Tensor | None
    output: Tensor
    one: Tensor
    pixels: tuple[Tensor, Tensor, Tensor] | None = None


Rule = Callable[[Layer], Tensor]


def zero(layer: Layer) -> Tensor:
    """Apply LRP-0, Bach et al. 2015, eq. 56: ``R_j = sum_k a_j w_jk / z_k R_k``, which is input times gradient."""
    return _sum(layer, layer.input, layer.weight, layer.bias)


def epsilon(layer: Layer, *, absolute: float = STABILISER, relative: float = 0.0) -> Tensor:
    """Apply LRP-epsilon, Bach et al. 2015, eq. 58: ``R_j = sum_k a_j w_jk / (z_k + epsilon sign(z_k)) R_k``.

    Epsilon is ``absolute`` plus ``relative`` times the root mean square of the clip's outputs in this layer.
    """
    size = absolute + relative * layer.output.square().mean(tuple(range(1, layer.output.ndim)), keepdim=True).sqrt()
    return _shared(layer, zero(layer), layer.output >= 0, size)


def gamma(layer: Layer, *, gamma: float = 0.25) -> Tensor:
    """Apply LRP-gamma, Montavon et al. 2019, table 10.1: ``R_j = sum_k a_j (w_jk + gamma w_jk+) / s_k R_k``.

    The paper's rule is for non-negative inputs and outputs, as between ReLUs. It is extended to others in the same sense:
    contributions with the sign of the output are strengthened, so that ``s_k`` is never smaller in size than ``z_k``. For
    ``z_k > 0`` those are ``a+ w+`` and ``a- w-``, for ``z_k < 0`` they are ``a+ w-`` and ``a- w+``.
    """
    above, below = layer.weight + gamma * layer.weight.clamp(min=0), layer.weight + gamma * layer.weight.clamp(max=0)
    bias = layer.bias
    up = _parts(layer, above, below, None if bias is None else bias + gamma * bias.clamp(min=0))
    down = _parts(layer, below, above, None if bias is None else bias + gamma * bias.clamp(max=0))
    positive = layer.output > 0
    return _shared(layer, torch.where(positive, up, down), positive)


def alpha_beta(layer: Layer, *, beta: float) -> Tensor:
    """Apply LRP-alpha-beta, Bach et al. 2015, eq. 60, with ``alpha = 1 + beta``.

    ``R_j = sum_k (alpha (a_j w_jk)+ / sum_j (a_j w_jk)+ - beta (a_j w_jk)- / sum_j (a_j w_jk)-) R_k``, biases in the sums.

    If an output has no contribution of one sign, that part of its relevance counts as absorbed.
    """
    up, down = layer.weight.clamp(min=0), layer.weight.clamp(max=0)
    bias = layer.bias
    output = _shared(layer, _parts(layer, up, down, None if bias is None else bias.clamp(min=0)), True)
    if beta:
        against = _parts(layer, down, up, None if bias is None else bias.clamp(max=0))
        output = (1 + beta) * output - beta * _shared(layer, against, False)
    return output


def z_plus(layer: Layer) -> Tensor:
    """Apply z-plus, Montavon et al. 2017, eq. 14: ``R_j = sum_k a_j w_jk+ / sum_j a_j w_jk+ R_k``; alpha-beta with beta 0.

    The same for inputs of both signs: positive contributions are ``a+ w+`` and ``a- w-``. Biases are in the sum.
    """
    return alpha_beta(layer, beta=0.0)


def z_box(layer: Layer) -> Tensor:
    """Apply z-B, Montavon et al. 2017, eq. 16, for pixels between ``l_j`` and ``h_j``.

    ``R_j = sum_k (a_j w_jk - l_j w_jk+ - h_j w_jk-) / sum_j (a_j w_jk - l_j w_jk+ - h_j w_jk-) R_k``; biases get nothing.
    """
    low, high, _ = _pixels(layer)
    up, down = layer.weight.clamp(min=0), layer.weight.clamp(max=0)
    return _shared(layer, layer.apply(layer.input, layer.weight) - layer.apply(low, up) - layer.apply(high, down), True)


def flat(layer: Layer) -> Tensor:
    """Apply the flat rule, Lapuschkin et al. 2019: all inputs of an output get the same, ``R_j = sum_k R_k / n_k``."""
    _, _, ones = _pixels(layer)
    return _shared(layer, layer.apply(ones, torch.ones_like(layer.weight)), True)


def _pixels(layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
    assert layer.pixels is not None, "a composite uses this rule for its first layer only"
    return layer.pixels


def _sum(layer: Layer, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    output = layer.apply(inputs, weight)
    return output if bias is None else output + bias * layer.one


def _parts(layer: Layer, of_positive: Tensor, of_negative: Tensor, bias: Tensor | None) -> Tensor:
    """Apply one set of weights to positive inputs and another to negative ones."""
    if (layer.input >= 0).all():  # after a ReLU; saves half the time and memory
        return _sum(layer, layer.input, of_positive, bias)
    return _sum(layer, layer.input.clamp(min=0), of_positive, bias) + layer.apply(layer.input.clamp(max=0), of_negative)


def _shared(layer: Layer, part: Tensor, positive: Tensor | bool, epsilon: float | Tensor = STABILISER) -> Tensor:
    """Return the layer's output with its relevance shared among the summands of ``part`` in proportion.

    Epsilon moves ``part`` away from 0, up if it is ``positive``. It is a bias like others, so what it absorbs is known.
    """
    away = epsilon * layer.one
    if isinstance(positive, Tensor):
        away = torch.where(positive, away, -away)
    whole = part + away if positive is not False else part - away
    return whole * (layer.output / whole).detach()
