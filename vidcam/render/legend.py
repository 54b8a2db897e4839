"""The facts that are written around the picture."""

from __future__ import annotations

from dataclasses import dataclass

from vidcam.analysis import Analysis

__all__ = ["Legend", "make_legend"]


@dataclass(frozen=True)
class Legend:
    """The facts that are written around the picture.

    ``time_cells`` is the number of independent time cells that the model has in a clip of ``clip_s`` seconds (``"8 + 32"`` for
    two pathways); ``scale`` is the raw evidence, in ``unit``, that is drawn as 1.0 (None: that of the heat); ``unit`` is empty if
    the method has none; ``verdict`` is the word for whether the evidence was found to be true; ``rejects`` are the labels that
    mean "none of the others", which have no evidence.
    """

    model: str
    method: str
    time_cells: str
    clip_s: float
    versus: str | None = None
    scale: float | None = None
    unit: str = "logits"
    verdict: str | None = None
    rejects: tuple[str, ...] = ()


def make_legend(analysis: Analysis) -> Legend:
    """Return the facts of an analysed video."""
    model = analysis.model
    return Legend(
        model=model.name,
        method=analysis.method,
        time_cells=" + ".join(map(str, model.time_cells or ())),
        clip_s=(model.num_frames or 0) * (model.seconds_between_frames or 0.0),
        versus=analysis.versus,
        scale=analysis.scale,
        unit="logits" if analysis.completeness_error is not None else "",
        verdict=None if analysis.verdict is None else analysis.verdict.word,
        rejects=model.rejects,
    )
