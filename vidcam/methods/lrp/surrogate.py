"""A forward pass with other derivatives: every operation is replaced by one of the same value; the network is unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

from vidcam.errors import IncompatibleError
from vidcam.methods.attention import check_attention_fits
from vidcam.methods.lrp import attention_rules
from vidcam.methods.lrp.composites import Composite
from vidcam.methods.lrp.rules import Layer

__all__ = ["Surrogate"]

Function = Callable[..., Any]

# Names of torch's functions and methods without underscores around them: of __iadd__ "iadd", of relu_ "relu".
CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
GATES = ("sigmoid", "hardsigmoid", "erf")  # GELU is x times a gate of erf where a network writes it out
ELEMENTWISE = ("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clip", "leaky_relu", "elu", "celu", "selu")
SMOOTH = ("silu", "hardswish", "mish", "gelu", "tanh")
SUMS = ("add", "radd", "iadd", "sub", "rsub", "isub")
PRODUCTS = ("mul", "rmul", "imul", "multiply")
QUOTIENTS = ("div", "truediv", "itruediv", "true_divide")
MATRIX_PRODUCTS = ("matmul", "bmm", "einsum", "rmatmul")
SHAPES = ("view", "view_as", "reshape", "flatten", "unflatten", "permute", "transpose", "movedim", "squeeze", "unsqueeze", "t")
COPIES = ("contiguous", "clone", "copy", "to", "float", "double", "half", "type", "type_as", "expand", "expand_as", "repeat")
JOINS = ("cat", "concat", "stack")
PIECES = (
    "split",
    "tensor_split",
    "chunk",
    "unbind",
    "narrow",
    "select",
    "index_select",
    "getitem",
    "setitem",
    "flip",
    "roll",
    "gather",
)
MEANS = ("mean", "sum", "neg", "pad", "dropout", "dropout3d", "interpolate", "avg_pool2d", "avg_pool3d")
POOLS = ("adaptive_avg_pool2d", "adaptive_avg_pool3d", "max_pool2d", "max_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d")
LINEAR = (*SHAPES, *COPIES, *PIECES, *MEANS, *POOLS)
"""Functions whose derivative is their rule: sums, means, and choices (a maximum gives all relevance to the winner)."""


KEPT_COPIES = 4
"""How often a pass keeps the weights of an attention, in float32, as measured on VideoMAE-B."""


class Surrogate(TorchFunctionMode):
    """Makes input times gradient the relevance under ``composite``, for what torch computes while this is entered.

    Values stay as they are; it applies to what depends on a leaf that requires a gradient. ``low`` and ``high`` are the bounds of
    the pixels for each colour ``(3,)``. ``one`` is the leaf that multiplies all constants of the network: its gradient is the
    relevance that they absorb. ``pixels`` are the leaves for rules that need the bounds, empty if no layer used any.

    A call of a function without a rule raises IncompatibleError.
    """

    def __init__(self, composite: Composite, model: str, *, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.one = low.new_ones(()).requires_grad_()
        self.pixels: tuple[Tensor, ...] = ()
        self._attention_bytes = 0
        self._composite, self._model, self._low, self._high = composite, model, low, high
        rules: dict[str, Function] = {"linear": self._linear}
        for names, rule in (
            (CONVOLUTIONS, self._linear),
            (GATES, _gate),
            ((*ELEMENTWISE, *SMOOTH), _elementwise),
            (SUMS, self._sum),
            (PRODUCTS, self._product),
            (QUOTIENTS, self._quotient),
            (LINEAR, self._selection),
            (JOINS, self._joined),
        ):
            rules |= dict.fromkeys(names, rule)
        if composite.is_attentive:
            rules |= {"softmax": self._softmax, "layer_norm": self._layer_norm}
            rules |= dict.fromkeys(MATRIX_PRODUCTS, self._bilinear)
        self._rules = rules

    def __torch_function__(self, func: Function, types: object, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        if not torch.is_grad_enabled() or not any(map(_carries, _tensors((args, tuple(kwargs.values()))))):
            return func(*args, **kwargs)
        if name == "batch_norm":  # needs its input as it is, because it looks for a convolution before it
            return self._batch_norm(func, *args, **kwargs)
        if name in self._rules:
            return self._rules[name](func, *_settled(args), **{k: _settled(v) for k, v in kwargs.items()})
        result = func(*args, **kwargs)
        if any(map(_carries, _tensors(result))):
            raise self._refusal(func)
        return result  # a shape, a type, a comparison: nothing that carries relevance

    def _refusal(self, func: Function, why: str = "") -> IncompatibleError:
        return IncompatibleError(
            f"layer-wise relevance propagation has no rule for {resolve_name(func) or func}{why}, which model {self._model!r} "
            "uses: use 'integrated-gradients' or 'gradcam'"
        )

    # --- linear layers ------------------------------------------------------------------------------------------------------

    def _linear(
        self, func: Function, input: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **options: Any
    ) -> Tensor:
        if not _carries(input) or _carries(weight):
            raise self._refusal(func, " with weights that depend on the clip")
        output: Tensor = func(input, weight, bias, *rest, **options)
        convolution = func.__name__ in CONVOLUTIONS
        shape = (1, -1, *[1] * (output.ndim - 2)) if convolution and output.ndim > 1 else (-1,)
        pixels = self._bounds(input)
        if pixels is not None:
            rule = self._composite.first
        elif not convolution or input.shape[2:].numel() == 1:
            rule = self._composite.dense
        else:
            rule = self._composite.conv
        assert rule is not None
        layer = Layer(
            apply=lambda x, w: func(x, w, None, *rest, **options),
            input=input,
            weight=weight,
            bias=None if bias is None else bias.view(shape),
            output=output.detach(),
            one=self.one,
            pixels=pixels,
        )
        output._waits = _Waits(layer, rule, convolution)  # type: ignore[attr-defined]  # a batch norm may follow
        return output

    def _batch_norm(
        self,
        func: Function,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Merge a batch norm exactly into the convolution before it; after anything else it is a linear layer under LRP-0."""
        if training or running_mean is None or running_var is None:
            raise self._refusal(func, " with the clip's own statistics")
        scale = (running_var + eps).rsqrt() * (1 if weight is None else weight)
        shift = -running_mean * scale + (0 if bias is None else bias)
        channels = (1, -1, *[1] * (input.ndim - 2))
        waits: _Waits | None = getattr(input, "_waits", None)
        if waits is None or waits.settled is not None or not waits.convolution:
            input = _settled(input)
            return input * scale.view(channels) + shift.view(channels) * self.one
        layer = waits.layer
        scale_out, shift_out = scale.view(channels), shift.view(channels)
        merged = replace(
            layer,
            weight=layer.weight * scale.view(-1, *[1] * (layer.weight.ndim - 1)),
            bias=shift_out if layer.bias is None else layer.bias * scale_out + shift_out,
            output=layer.output * scale_out + shift_out,
        )
        return waits.rule(merged)

    # --- the rest -----------------------------------------------------------------------------------------------------------

    def _sum(self, func: Function, a: Any, b: Any, **options: Any) -> Any:
        """Add linearly; a constant summand is a bias, so it is multiplied by ``one``."""
        a_lifted = a if _carries(a) else a * self.one
        b_lifted = b if _carries(b) else b * self.one
        return func(a_lifted, b_lifted, **options)

    def _product(self, func: Function, a: Any, b: Any, **options: Any) -> Any:
        """Multiply: linear by a constant (gates are constants); two factors that both carry relevance get half of it each."""
        if not (_carries(a) and _carries(b)):
            return func(a, b, **options)
        product = (a * b.detach().clone() + a.detach().clone() * b) / 2
        return a.copy_(product) if _in_place(func) else product

    def _quotient(self, func: Function, a: Any, b: Any, **options: Any) -> Any:
        if _carries(b):
            raise self._refusal(func, " by a number that depends on the clip")
        return func(a, b, **options)

    def _joined(self, func: Function, parts: Any, *args: Any, **options: Any) -> Any:
        if self._bounds(next(part for part in parts if _carries(part))) is not None:
            return self._selection(func, parts, *args, **options)
        return attention_rules.joined(func, self.one, parts, args, options)

    def _bilinear(self, func: Function, *args: Any, **options: Any) -> Tensor:
        return attention_rules.bilinear(func, args, options, _carries)

    def _softmax(self, func: Function, input: Tensor, *args: Any, **options: Any) -> Tensor:
        self._attention_bytes += KEPT_COPIES * 4 * input.numel()
        check_attention_fits(self._attention_bytes)
        return attention_rules.softmax(func, self.one, input, args, options)

    def _layer_norm(
        self,
        _func: Function,
        input: Tensor,
        normalized_shape: Any,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        return attention_rules.layer_norm(self.one, input, normalized_shape, weight, bias, eps)

    def _selection(self, func: Function, *args: Any, **options: Any) -> Any:
        result = func(*args, **options)
        # Pixels that are selected or padded are still pixels.
        if isinstance(result, Tensor) and args and (bounds := self._bounds(args[0])) is not None:
            result._pixels = tuple(func(b, *args[1:], **options) for b in bounds)  # type: ignore[attr-defined]
        return result

    def _bounds(self, input: Any) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return the bounds of these pixels, and ones; None if they are not pixels, or no rule needs the bounds."""
        if self._composite.first is None or not isinstance(input, Tensor):
            return None
        if not self.pixels and input.is_leaf and input.requires_grad:
            bounds = (*(b.view(1, -1, 1, 1, 1).expand_as(input).clone() for b in (self._low, self._high)), torch.ones_like(input))
            input._pixels = self.pixels = tuple(b.detach().requires_grad_() for b in bounds)  # type: ignore[attr-defined]
        return getattr(input, "_pixels", None)


@dataclass
class _Waits:
    """The rule of a linear layer, applied when its output is used, so that a batch norm that follows is merged first."""

    layer: Layer
    rule: Callable[[Layer], Tensor]
    convolution: bool
    settled: Tensor | None = None


def _settled(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_settled, value)) if type(value) in (list, tuple) else value
    waits: _Waits | None = getattr(value, "_waits", None) if isinstance(value, Tensor) else None
    if waits is None:
        return value
    if waits.settled is None:
        waits.settled = waits.rule(waits.layer)
    return waits.settled


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _carries(value: Any) -> bool:
    """Does this carry relevance? Parameters are frozen, so only what depends on the clip requires a gradient."""
    return isinstance(value, Tensor) and value.requires_grad


def _in_place(func: Function) -> bool:
    name = func.__name__
    return name.startswith("__i") or (name.endswith("_") and not name.endswith("__"))


def _gate(func: Function, input: Tensor, *args: Any, **options: Any) -> Tensor:
    """Return a gate as a constant: what it multiplies gets all the relevance (Arras et al. 2017, section 3.1)."""
    gate: Tensor = func(input.detach().clone(), *args, **options)
    return gate


def _elementwise(func: Function, input: Tensor, *args: Any, **options: Any) -> Tensor:
    """Return ``x * constant(f(x) / x)``: relevance passes through, also where f saturates."""
    probe = input.detach().clone()
    value = func(probe, *args, **options)
    x = input.detach().clone() if value is probe else probe
    gate = torch.where(x == 0, 0.0, value / x)
    output: Tensor = input.mul_(gate) if value is probe else input * gate
    return output
