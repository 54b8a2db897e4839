"""The rules of attention-aware LRP (AttnLRP, Achtibat et al. 2024, https://arxiv.org/abs/2402.05602) as functions of torch.

As everywhere here, a rule is a function whose value is that of the operation and whose ``input * gradient`` is the relevance.
What does not depend on the clip is multiplied by ``one``, whose gradient is what constants absorb
(:mod:`vidcam.methods.lrp.surrogate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

__all__ = ["bilinear", "joined", "layer_norm", "softmax"]

Function = Callable[..., Any]
Carries = Callable[[Any], bool]


def bilinear(func: Function, args: Sequence[Any], options: dict[str, Any], carries: Carries) -> Tensor:
    """Return a matrix product: each of two factors that depend on the clip gets half (eq. 14 and proposition 3.3).

    ``R_ji = sum_p A_ji V_ip / (2 O_jp) R_jp``, and the same for V. A product with a constant is a linear layer under LRP-0.
    """
    places = [i for i, arg in enumerate(args) if carries(arg)]
    if len(places) < 2:
        result: Tensor = func(*args, **options)
        return result
    halves = [func(*(a.detach() if i == held else a for i, a in enumerate(args)), **options) for held in places]
    half: Tensor = sum(halves[1:], halves[0]) / len(halves)
    return half


def softmax(func: Function, one: Tensor, input: Tensor, args: Sequence[Any], options: dict[str, Any]) -> Tensor:
    """Return a softmax s under its Taylor decomposition (proposition 3.1, eq. 13): ``R_i = x_i (R_i' - s_i sum_j R_j')``.

    That is the gradient of s. What the decomposition leaves, ``s - J x`` with the Jacobian J, is a bias of its own.
    """
    dim = args[0] if args else options["dim"]
    value: Tensor = func(input, *args, **options)
    s, x = value.detach(), input.detach()
    product = (s * x).nan_to_num(nan=0.0)  # 0 times minus infinity, where a mask forbids to look
    left = s - product + s * product.sum(dim, keepdim=True)
    return value + left * (one - one.detach())


def layer_norm(
    one: Tensor, input: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, epsilon: float
) -> Tensor:
    """Return a layer norm whose deviation is a constant (proposition 3.4, the identity rule); all else in it is linear."""
    axes = tuple(range(-len(shape), 0))
    centred = input - input.mean(axes, keepdim=True)
    deviation = (input.detach().var(axes, keepdim=True, unbiased=False) + epsilon).sqrt()
    value: Tensor = centred / deviation
    value = value if weight is None else value * weight
    return value if bias is None else value + bias * one


def joined(func: Function, one: Tensor, parts: Sequence[Tensor], args: Sequence[Any], options: dict[str, Any]) -> Any:
    """Return tensors joined to one, such as a class token and the cells; what does not depend on the clip is a bias."""
    return func([part if part.requires_grad else part * one for part in parts], *args, **options)
