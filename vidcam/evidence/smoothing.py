"""Smooth the evidence over time: with a Gaussian, an exponential, or along the motion in the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.evidence.optical_flow import FlowField, follow_motion
from vidcam.evidence.storage import empty
from vidcam.evidence.timeline import TOLERANCE
from vidcam.settings import Smoothing
from vidcam.values import FloatArray, Track

__all__ = ["Smoothing", "smooth"]

_STRETCH = 512  # maps that are smoothed at once: the memory for that does not grow with the video


def smooth(track: Track, *, kind: Smoothing, seconds: float, causal: bool = False, flow: FlowField | None = None) -> Track:
    """Return the track with its maps averaged over time.

    Weights are renormalised where the kernel passes the ends, an unseen stretch or (``flow``) the border of the map: a constant
    stays what it is, and away from those the sum over time is kept. NaN stays NaN.

    Args:
        track: The evidence of one label.
        kind: ``gaussian``: symmetric, so that a moment stays at its time. ``exponential``: symmetric too, ``exp(-|t| / tau)``
            with tau = seconds / sqrt(2); if ``causal``, one-sided with tau = seconds. ``flow``: the Gaussian (if ``causal``, the
            one-sided exponential) of values that are first carried along the motion in ``flow``, so that heat follows what moves
            instead of smearing. ``none``: unchanged.
        seconds: The standard deviation of the kernel; 0 switches smoothing off.
        causal: Look at the past only, and lag ``seconds`` behind.
        flow: The motion in the picture, for the kind ``flow``.

    Raises:
        UsageError: There is no such kind, ``seconds`` is negative, a Gaussian is to be causal, or the motion is missing.
    """
    _check(kind, seconds, causal, flow)
    if kind == "none" or seconds == 0 or len(track.times) < 2:
        return track

    exponential = causal or kind == "exponential"
    tau = seconds if causal else seconds / math.sqrt(2)
    reach = (7 * tau if exponential else 4 * seconds) * (1 + TOLERANCE)  # what is beyond weighs less than 1/1000 of the middle
    directions: tuple[Literal[-1, 1], ...] = (-1,) if causal else (-1, 1)

    def kernel(apart: FloatArray) -> FloatArray:
        weights = np.exp(-apart / tau) if exponential else np.exp(-0.5 * (apart / seconds) ** 2)
        return np.where(apart <= reach, weights, 0.0)

    times, smoothed = track.times, empty(track.maps.shape)
    for start in range(0, len(times), _STRETCH):
        stop = min(start + _STRETCH, len(times))
        # With all that reaches into the stretch, and a neighbour at least on either side.
        first = max(0, min(int(np.searchsorted(times, times[start] - reach)), start - 1))
        last = max(int(np.searchsorted(times, times[stop - 1] + reach, side="right")), stop + 1)
        part = replace(track, times=times[first:last], maps=track.maps[first:last])
        means = _local_means(part, kernel, reach, directions, flow if kind == "flow" else None)
        smoothed[start:stop] = means[start - first : stop - first]
    return replace(track, maps=smoothed)


def _check(kind: Smoothing, seconds: float, causal: bool, flow: FlowField | None) -> None:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UsageError(f"smoothing must be 0 seconds or more, got {seconds}")
    if kind not in get_args(Smoothing):
        raise UsageError(f"smoothing must be none, gaussian, exponential or flow, got {kind!r}")
    if kind == "gaussian" and causal:
        raise UsageError("a Gaussian looks into the future; use exponential or flow if only the past is known")
    if kind == "flow" and flow is None:
        raise UsageError("smoothing along the motion needs the motion: pass flow, or use gaussian")


def _local_means(
    track: Track,
    kernel: Callable[[FloatArray], FloatArray],
    reach: float,
    directions: Sequence[Literal[-1, 1]],
    flow: FlowField | None,
) -> npt.NDArray[np.float32]:
    """Return for each map the mean of those at most ``reach`` seconds away, weighted by the ``kernel`` of their distance."""
    maps = np.nan_to_num(track.maps)
    known = (~np.isnan(track.maps)).astype(np.float32)
    total, weight = maps.astype(np.float64), known.astype(np.float64)
    for direction in directions:
        carry = follow_motion(track, flow, direction)
        for offset in range(1, len(track.times)):
            here = slice(offset, None) if direction < 0 else slice(None, -offset)
            there = slice(None, -offset) if direction < 0 else slice(offset, None)
            apart = np.abs(track.times[there] - track.times[here])
            if apart.min() > reach:
                break
            share = kernel(apart)[:, None, None]
            values, present = carry(maps[there], known[there])
            total[here] += share * values
            weight[here] += share * present
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (total / weight).astype(np.float32)
    means[np.isnan(track.maps)] = np.nan
    return means
