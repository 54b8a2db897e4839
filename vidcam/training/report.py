"""How good a trained network is: its answers on held-out clips, as numbers and as one page with the curves and the confusions."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidcam.io.files import atomic_write
from vidcam.training import losses

__all__ = ["Answers", "write_report"]

Floats = npt.NDArray[np.floating]

FOLDS = 10
"""Parts of the held-out clips, each of which is calibrated by the others."""


@dataclass(frozen=True)
class Answers:
    """A network's answers on held-out clips.

    ``window_logits (N,K)`` with ``window_targets``, each of the clip ``window_clips (N,)``, 0 to n - 1; each clip's mean
    ``logits (n,K)`` with ``targets (n,)`` or ``(n,K)``.
    ``inside`` are shares of the evidence where the truth about it is known.
    """

    window_logits: Floats
    window_targets: npt.NDArray[np.generic]
    window_clips: npt.NDArray[np.integer]
    logits: Floats
    targets: npt.NDArray[np.generic]
    labels: tuple[str, ...]
    inside: dict[str, float]

    @staticmethod
    def of(
        logits: Floats, targets: npt.NDArray[np.generic], sources: npt.NDArray[np.integer], *, labels: tuple[str, ...],
        inside: dict[str, float],
    ) -> Answers:  # fmt: skip
        """Windows joined to clips by their ``sources (N,)``."""
        clips, first, clip_of = np.unique(sources, return_index=True, return_inverse=True)
        means = np.stack([logits[sources == clip].mean(0) for clip in clips])
        return Answers(logits, targets, clip_of, means, targets[first], labels, inside)

    @property
    def multi_label(self) -> bool:
        return self.targets.ndim == 2

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which clips ``(n,)`` are answered right: the most probable class, or every class for itself."""
        found: npt.NDArray[np.bool_]
        if self.multi_label:
            found = ((self.logits > 0) == (self.targets.astype(float) > 0.5)).all(1)
        else:
            found = self.logits.argmax(1) == self.targets
        return found

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @property
    def nll(self) -> float:
        """The mean negative log-likelihood of the windows, uncalibrated."""
        return losses.nll(self.window_logits, self.window_targets)

    def temperatures(self) -> Floats:
        """For each clip ``(n,1)`` a temperature fitted without it, on the other parts; a single clip has its own."""
        n = len(self.logits)
        folds = np.arange(n) % FOLDS
        found = np.empty((n, 1))
        for fold in range(min(FOLDS, n)):
            others = (folds != fold)[self.window_clips] | (n == 1)
            found[folds == fold] = losses.fit_temperature(self.window_logits[others], self.window_targets[others])
        return found

    def ece(self, temperature: float | Floats) -> float:
        """The expected calibration error of the clips' answers, under one temperature or one for each ``(n,1)``."""
        probs = losses.probabilities(self.logits, temperature=temperature, multi_label=self.multi_label)
        if self.multi_label:  # every class of every clip is an answer
            said = probs > 0.5
            return losses.ece(np.where(said, probs, 1 - probs).ravel(), (said == (self.targets.astype(float) > 0.5)).ravel())
        return losses.ece(probs.max(1), self.right)

    def confusion(self) -> npt.NDArray[np.int64]:
        """``(K,K)`` counts, true class by answer; with several labels ``(K,2,2)``, for each class truth by answer."""
        k = len(self.labels)
        if self.multi_label:
            truth, said = self.targets.astype(float) > 0.5, self.logits > 0
            return np.array(
                [
                    [[int(((truth[:, c] == a) & (said[:, c] == b)).sum()) for b in (False, True)] for a in (False, True)]
                    for c in range(k)
                ]
            )
        table = np.zeros((k, k), np.int64)
        np.add.at(table, (self.targets.astype(int), self.logits.argmax(1)), 1)
        return table


def write_report(
    folder: Path, labels: Sequence[str], answers: Answers | None, *, temperature: float, ece: float | None,
    history: Sequence[Mapping[str, float]], remarks: Sequence[str], facts: Mapping[str, object],
) -> None:  # fmt: skip
    """``report.json`` with all numbers and ``report.html`` with the same as one page, in ``folder``."""
    doc: dict[str, object] = {"labels": list(labels), "temperature": temperature, "remarks": list(remarks), **facts}
    doc |= {"history": [dict(row) for row in history], "confusion": answers.confusion().tolist() if answers else None}
    with atomic_write(folder / "report.json", overwrite=True) as part:
        part.write_text(json.dumps(doc, indent=1) + "\n", encoding="utf-8")
    body = [f"<p>{html.escape(remark)}</p>" for remark in remarks]
    if answers:
        body.append(
            f"<p>{answers.accuracy:.1%} of {len(answers.logits)} held-out clips right; calibration error "
            f"{ece:.3f} at temperature {temperature:.3g} ({answers.ece(1.0):.3f} without).</p>"
        )
    body += [_curve(history, key) for key in ("loss", "held_out_loss", "accuracy", "inside", "pointing")]
    if answers:
        body.append(_binary_table(answers) if answers.multi_label else _table(answers))
    page = _PAGE.replace("BODY", "\n".join(body))
    with atomic_write(folder / "report.html", overwrite=True) as part:
        part.write_text(page, encoding="utf-8")


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Training report</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
figure{display:inline-block;margin:0 1rem 1rem 0}svg{background:#f6f6f4}polyline{fill:none;stroke:#b5452c;stroke-width:2}
td{min-width:1.7rem;text-align:center;font-variant-numeric:tabular-nums}th{font-weight:400;text-align:right;padding-right:.6rem}
thead th{writing-mode:vertical-rl;text-align:left}</style><h1>Training report</h1>
BODY
</html>
"""


def _curve(history: Sequence[Mapping[str, float]], key: str) -> str:
    points = [(row["epoch"], row[key]) for row in history if key in row]
    if not points:
        return ""
    last, top = max(x for x, _ in points), max(max(y for _, y in points), 1e-9)
    line = " ".join(f"{10 + 280 * x / last:.1f},{110 - 100 * y / top:.1f}" for x, y in points)
    name = key.replace("_", " ")
    return (
        f'<figure><svg width="300" height="120" role="img" aria-label="{name} by epoch"><polyline points="{line}"/></svg>'
        f"<figcaption>{name}: {points[0][1]:.3g} to {points[-1][1]:.3g} in {last:g} epochs</figcaption></figure>"
    )


def _table(answers: Answers) -> str:
    counts = answers.confusion()
    head = "".join(f"<th>{html.escape(label)}</th>" for label in answers.labels)
    rows = []
    for label, row in zip(answers.labels, counts, strict=True):
        shades = row / max(int(row.sum()), 1)
        cells = "".join(
            f'<td style="background:rgba(181,69,44,{s:.2f})">{n or ""}</td>' for n, s in zip(row.tolist(), shades, strict=True)
        )
        rows.append(f"<tr><th>{html.escape(label)}</th>{cells}</tr>")
    return f"<h2>True class (rows) by answer (columns)</h2><table><thead><tr><th></th>{head}</tr></thead>{''.join(rows)}</table>"


def _binary_table(answers: Answers) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(label)}</th><td>{m[1][1]}</td><td>{m[1][0]}</td><td>{m[0][1]}</td><td>{m[0][0]}</td></tr>"
        for label, m in zip(answers.labels, answers.confusion().tolist(), strict=True)
    )
    head = "".join(f"<th>{name}</th>" for name in ("found", "missed", "wrongly said", "rightly not said"))
    return f"<h2>Each class for itself, clips</h2><table><thead><tr><th></th>{head}</tr></thead>{rows}</table>"
