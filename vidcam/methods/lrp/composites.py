"""Composites: which rule of layer-wise relevance propagation applies to which layer.

The papers of the composites are in :mod:`vidcam.methods.table`. ``EpsilonPlus`` and ``EpsilonAlpha2Beta1`` are zennit's names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from vidcam.methods.lrp.rules import Rule, alpha_beta, epsilon, flat, gamma, z_box, z_plus, zero

__all__ = ["COMPOSITES", "Composite"]


@dataclass(frozen=True)
class Composite:
    """The rules for convolutions, for ``dense`` layers and for the ``first`` layers.

    If it ``is_attentive``, layer norms, softmaxes and matrix products have rules too (:mod:`vidcam.methods.lrp.attention_rules`).
    Dense layers see one cell, like a classifier after pooling. First layers see the pixels themselves; None: they get no rule of
    their own.
    """

    name: str
    conv: Rule
    dense: Rule
    first: Rule | None = None
    is_attentive: bool = False


EPSILON_PLUS = Composite("lrp", conv=z_plus, dense=epsilon)
ZERO = Composite("lrp-0", conv=zero, dense=zero)
EPSILON = Composite("lrp-epsilon", conv=partial(epsilon, relative=0.25), dense=epsilon)
GAMMA = Composite("lrp-gamma", conv=gamma, dense=epsilon)
EPSILON_ALPHA2_BETA1 = Composite("lrp-alpha2beta1", conv=partial(alpha_beta, beta=1.0), dense=epsilon)
EPSILON_PLUS_Z_BOX = Composite("lrp-zbox", conv=z_plus, dense=epsilon, first=z_box)
EPSILON_PLUS_FLAT = Composite("lrp-flat", conv=z_plus, dense=epsilon, first=flat)
ATTENTION = Composite("lrp-attention", conv=gamma, dense=epsilon, is_attentive=True)

COMPOSITES = (EPSILON_PLUS, ZERO, EPSILON, GAMMA, EPSILON_ALPHA2_BETA1, EPSILON_PLUS_Z_BOX, EPSILON_PLUS_FLAT)
