"""The processor cores of this machine, and how many threads decoding uses."""

from __future__ import annotations

import os

import cv2

__all__ = ["count_cores", "decoder_threads", "limit_threads"]

MOST_DECODER_THREADS = 16  # as in FFmpeg: each holds a picture

_limit = 0  # of threads for each decoder; 0 if there is none


def count_cores() -> int:
    """Return the number of processor cores that this process may use."""
    get_affinity = getattr(os, "sched_getaffinity", None)
    return len(get_affinity(0)) if get_affinity else os.cpu_count() or 1


def limit_threads(count: int) -> None:
    """Let OpenCV and each decoder of this process use at most ``count`` threads, because others work beside it.

    Encoders keep their threads: with another number they write other bytes.
    """
    global _limit
    _limit = count
    cv2.setNumThreads(count)


def decoder_threads() -> int:
    """Return how many threads a decoder uses.

    They are twice as many as FFmpeg would take. A picture waits for those that it refers to, so some of the threads always wait;
    and the decoder can go on while the reading thread is busy with a picture.
    """
    return _limit or min(MOST_DECODER_THREADS, 2 * (count_cores() + 1))
