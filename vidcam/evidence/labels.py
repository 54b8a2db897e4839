"""Labels: which of them are shown, and what a user's word for one means."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from vidcam.errors import UnknownNameError, UsageError
from vidcam.values import Prediction

__all__ = ["in_the_running", "index_of", "label_of", "shown_labels"]

SHOWN = 4
"""How many labels the timeline shows at most while none is named."""

WINS = 0.1
"""A label that is the answer to this share of the clips is shown, even if another one is the video's answer."""


def shown_labels(
    predictions: Sequence[Prediction], *, classes: Sequence[str | int], versus: str | None, rejects: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the labels to show: those that were asked for, else the answers to the video and to a good part of it.

    A label that means "none of the others" (one of ``rejects``) is shown only if it is the video's answer.
    """
    labels = predictions[0].labels
    if classes:
        return tuple(dict.fromkeys(label_of(labels, c) for c in classes))
    other = None if versus is None else index_of(labels, versus)
    probs = np.stack([p.probs for p in predictions])
    if other is not None:
        probs[:, other] = -1.0
    mean = np.stack([p.logits for p in predictions]).mean(axis=0, dtype=np.float64)
    if other is not None:
        mean[other] = -np.inf
    answer = int(mean.argmax())
    wins = np.bincount(probs.argmax(axis=1), minlength=len(labels)) / len(predictions)
    others = [int(i) for i in np.argsort(-mean, kind="stable") if wins[i] >= WINS and i != answer and labels[i] not in rejects]
    return tuple(labels[i] for i in [answer, *others][:SHOWN])


def in_the_running(predictions: Sequence[Prediction]) -> frozenset[str]:
    """Return the labels that may be shown when the video ends: those with the highest mean logits, and all that win at times."""
    labels = predictions[0].labels
    mean = np.stack([p.logits for p in predictions]).mean(axis=0, dtype=np.float64)
    wins = np.bincount([int(p.logits.argmax()) for p in predictions], minlength=len(labels)) / len(predictions)
    return frozenset(labels[i] for i in {*np.argsort(-mean)[:SHOWN].tolist(), *np.flatnonzero(wins >= WINS / 2).tolist()})


def index_of(labels: Sequence[str], given: str | int) -> int:
    """Return the index of the output that a label, whatever its case, or an index names; a label goes first.

    Raises:
        UnknownNameError: There is none, with the nearest labels.
        UsageError: Several outputs have that name: their labels differ in case alone, or
            :func:`vidcam.models.labels.make_distinct` told them apart.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        if not 0 <= given < len(labels):
            raise UsageError(f"the model has {len(labels)} outputs, 0 to {len(labels) - 1}; there is no output {given}")
        return given
    if not isinstance(given, str):
        raise UsageError(f"a class is a label or the index of an output, got a {type(given).__name__}: {given!r}")
    if given in labels:
        return labels.index(given)
    if given.isdecimal():  # an index as it is typed
        return index_of(labels, int(given))
    wanted = " ".join(given.replace("_", " ").split()).casefold()
    plain = [label.replace("_", " ").casefold() for label in labels]
    if plain.count(wanted) == 1:
        return plain.index(wanted)
    alike = [label for label, words in zip(labels, plain, strict=True) if re.fullmatch(rf"{re.escape(wanted)}( #\d+)?", words)]
    if alike:
        raise UsageError(f"{len(alike)} outputs are called {given!r}: name one of them, {' or '.join(map(repr, alike))}")
    raise UnknownNameError("class", given, labels)


def label_of(labels: Sequence[str], given: str | int) -> str:
    """Return the label that a user's word or index names, as the model writes it; raises as :func:`index_of` does."""
    return labels[index_of(labels, given)]
