"""Which rule for which layer, as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from vidcam.methods.lrp.rules import Rule, alpha_beta, epsilon, flat, gamma, z_box, z_plus, zero

__all__ = ["COMPOSITES", "Composite"]

BACH = "Bach et al., On Pixel-Wise Explanations for Non-Linear Classifier Decisions by LRP, 2015"
BACH_DOI = "https://doi.org/10.1371/journal.pone.0130140"
MONTAVON = "Montavon et al., Layer-Wise Relevance Propagation: An Overview, 2019, https://doi.org/10.1007/978-3-030-28954-6_10"
TAYLOR = "Montavon et al., Deep Taylor Decomposition, 2017, https://doi.org/10.1016/j.patcog.2016.11.008"
KOHLBRENNER = "Kohlbrenner et al., Towards Best Practice in Explaining Neural Network Decisions with LRP, IJCNN 2020"
KOHLBRENNER_DOI = "https://doi.org/10.1109/IJCNN48605.2020.9206975"
LAPUSCHKIN = "Lapuschkin et al., Unmasking Clever Hans Predictors, 2019, https://doi.org/10.1038/s41467-019-08987-4"


@dataclass(frozen=True)
class Composite:
    """One row: the rule of convolutions, of ``dense`` layers (those that see one cell, like a classifier after pooling), and of
    the layers that see the pixels themselves (None: as any other)."""

    name: str
    title: str
    paper: str
    conv: Rule
    dense: Rule
    first: Rule | None = None


COMPOSITES = (
    Composite("lrp", "LRP, EpsilonPlus", f"{KOHLBRENNER}, {KOHLBRENNER_DOI}", conv=z_plus, dense=epsilon),
    Composite("lrp-0", "LRP-0: gradient x input of the network without saturation", f"{BACH}, {BACH_DOI}", conv=zero, dense=zero),
    Composite(
        "lrp-epsilon",
        "LRP-epsilon, a quarter of each layer's size",
        MONTAVON,
        conv=partial(epsilon, relative=0.25),
        dense=epsilon,
    ),
    Composite("lrp-gamma", "LRP-gamma, a quarter", MONTAVON, conv=gamma, dense=epsilon),
    Composite(
        "lrp-alpha2beta1",
        "LRP, EpsilonAlpha2Beta1",
        f"{KOHLBRENNER}, {KOHLBRENNER_DOI}",
        conv=partial(alpha_beta, beta=1.0),
        dense=epsilon,
    ),
    Composite("lrp-zbox", "LRP, EpsilonPlus with z-box at the pixels", TAYLOR, conv=z_plus, dense=epsilon, first=z_box),
    Composite(
        "lrp-flat", "LRP, EpsilonPlus with the flat rule at the pixels", LAPUSCHKIN, conv=z_plus, dense=epsilon, first=flat
    ),
)
