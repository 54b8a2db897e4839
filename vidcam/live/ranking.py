"""The labels on the screen, in an order that does not flicker."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vidcam.values import FloatArray

__all__ = ["Ranking", "clearly_above"]


def clearly_above(prob: float, other: float) -> bool:
    """Whether ``prob`` leads ``other`` by so much that it is worth showing; a part is relative, for the many unlikely labels."""
    return prob > 1.15 * other + 0.02


class Ranking:
    """The most probable labels with hysteresis: a label passes another only when it is clearly ahead.

    Probabilities are averaged over the last ``tau_s`` seconds (one-sided exponential). The order changes only where the average
    of a label exceeds that of the one above it by a seventh and two points (:func:`clearly_above`); so no two neighbours are ever
    out of order by more than that, and labels that waver by less than that keep their places. Labels whose averages contradict
    their order share the mean of them: what is shown never stands above something more probable.
    """

    def __init__(self, labels: Sequence[str], *, tau_s: float = 0.3) -> None:
        self._labels = tuple(labels)
        self._tau_s = tau_s
        self._mean: FloatArray | None = None
        self._time = -math.inf
        self._order: list[int] = []

    def update(self, probs: FloatArray, *, time: float) -> None:
        """Take the probabilities ``(K,)`` of a window that ends at ``time`` seconds."""
        now = np.asarray(probs, dtype=np.float64)
        if self._mean is None:
            self._mean = now
            self._order = np.argsort(-now, kind="stable").tolist()
        else:
            keep = math.exp(-max(0.0, time - self._time) / self._tau_s)
            self._mean = keep * self._mean + (1 - keep) * now
            self._settle(self._mean)
        self._time = time

    def _settle(self, mean: FloatArray) -> None:
        """Insertion sort in which only a clear lead counts."""
        order = self._order
        for i in range(1, len(order)):
            j = i
            while j > 0 and clearly_above(mean[order[j]], mean[order[j - 1]]):
                order[j - 1], order[j] = order[j], order[j - 1]
                j -= 1

    def top(self, k: int) -> tuple[tuple[str, float], ...]:
        """The first ``k`` (label, averaged probability) pairs, the probabilities never rising; () before the first window."""
        if self._mean is None:
            return ()
        pools: list[tuple[float, int]] = []  # sums, and of how many (pool adjacent violators: isotonic regression)
        for i in self._order:
            total, count = float(self._mean[i]), 1
            while pools and pools[-1][0] / pools[-1][1] < total / count:
                total, count = total + pools[-1][0], count + pools[-1][1]
                pools.pop()
            pools.append((total, count))
        shown = [total / count for total, count in pools for _ in range(count)]
        return tuple((self._labels[i], prob) for i, prob in zip(self._order[:k], shown, strict=False))
