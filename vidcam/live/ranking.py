"""The labels on the screen, in an order that does not flicker."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vidcam.values import FloatArray

__all__ = ["Ranking", "is_clearly_above"]


def is_clearly_above(prob: float, other: float) -> bool:
    """Return whether ``prob`` exceeds ``other`` by more than 15 % and two points.

    The relative part matters for the many unlikely labels.
    """
    return prob > 1.15 * other + 0.02


class Ranking:
    """Ranks the most probable labels with hysteresis: a label passes another only if it is clearly ahead.

    Probabilities are averaged over the last ``tau_s`` seconds (one-sided exponential). The order of two neighbours changes only
    if :func:`is_clearly_above` holds, so neighbours are never out of order by more than that, and labels whose difference stays
    below it keep their places. Labels whose averages contradict their order share the mean of their averages, so no label stands
    above a more probable one.

    Args:
        labels: All labels, in the model's order.
        tau_s: The time constant of the average in seconds.
    """

    def __init__(self, labels: Sequence[str], *, tau_s: float = 0.3) -> None:
        self._labels = tuple(labels)
        self._tau_s = tau_s
        self._mean: FloatArray | None = None
        self._time = -math.inf
        self._order: list[int] = []

    def update(self, probs: FloatArray, *, time: float) -> None:
        """Take the probabilities ``(K,)`` of a clip that ends at ``time`` seconds."""
        now = np.asarray(probs, dtype=np.float64)
        if self._mean is None:
            self._mean = now
            self._order = np.argsort(-now, kind="stable").tolist()
        else:
            weight = math.exp(-max(0.0, time - self._time) / self._tau_s)
            self._mean = weight * self._mean + (1 - weight) * now
            self._sort(self._mean)
        self._time = time

    def _sort(self, mean: FloatArray) -> None:
        """Sort by insertion, counting only clear leads."""
        order = self._order
        for i in range(1, len(order)):
            j = i
            while j > 0 and is_clearly_above(mean[order[j]], mean[order[j - 1]]):
                order[j - 1], order[j] = order[j], order[j - 1]
                j -= 1

    def top(self, k: int) -> tuple[tuple[str, float], ...]:
        """Return the first ``k`` (label, averaged probability) pairs, in falling order; () before the first clip."""
        if self._mean is None:
            return ()
        pools: list[tuple[float, int]] = []  # (sum, count): isotonic regression by pooling adjacent violators
        for i in self._order:
            total, count = float(self._mean[i]), 1
            while pools and pools[-1][0] / pools[-1][1] < total / count:
                total, count = total + pools[-1][0], count + pools[-1][1]
                pools.pop()
            pools.append((total, count))
        probs = [total / count for total, count in pools for _ in range(count)]
        return tuple((self._labels[i], prob) for i, prob in zip(self._order[:k], probs, strict=False))
