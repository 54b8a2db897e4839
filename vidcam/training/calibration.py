"""Calibration: likelihood, temperature, and the expected calibration error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["expected_calibration_error", "fit_temperature", "nll"]

Floats = npt.NDArray[np.floating]


def nll(logits: Floats, targets: npt.NDArray[np.generic], *, temperature: float = 1.0, smoothing: float = 0.0) -> float:
    """Return the mean negative log-likelihood of the targets under ``logits (N,K) / temperature``.

    ``targets`` are classes ``(N,)``, or ``(N,K)`` of 0 and 1, whose likelihoods are summed over the classes. ``smoothing`` is the
    share of the target probability that is given to all classes alike.
    """
    z = np.asarray(logits, np.float64) / temperature
    if targets.ndim == 2:
        soft = targets.astype(float) * (1 - smoothing) + smoothing / 2
        return float((np.logaddexp(0, z) - z * soft).sum(1).mean())
    top = z.max(1)
    log_sum = top + np.log(np.exp(z - top[:, None]).sum(1))
    expected = (1 - smoothing) * z[np.arange(len(z)), targets.astype(int)] + smoothing * z.mean(1)
    return float((log_sum - expected).mean())


def fit_temperature(logits: Floats, targets: npt.NDArray[np.generic]) -> float:
    """Return the temperature, 0.1 to 10, that makes the targets most likely.

    Guo et al. 2017, section 4.2. The targets are smoothed by 1 / (N + 2), as in Platt (1999): if all of a few clips are
    answered right, the likelihood alone would ask for unlimited certainty. It has one maximum in 1 / temperature, which a
    ternary search finds.
    """
    smoothing = 1 / (len(logits) + 2)
    low, high = 0.1, 10.0  # of 1 / temperature
    for _ in range(60):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        left, right = (nll(logits, targets, temperature=1 / x, smoothing=smoothing) for x in (a, b))
        if left < right:
            high = b
        else:
            low = a
    return 2 / (low + high)


def expected_calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_], *, bins: int = 15) -> float:
    """Return how far, on average, the ``confidence (N,)`` in [0,1] is from the share of correct answers.

    Guo et al. 2017, eq. 3, with ``bins`` bins of equal width.
    """
    which = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[which == i].mean() - correct[which == i].mean())) * (which == i).mean() for i in set(which.tolist())
    ]
    return float(sum(gaps))
