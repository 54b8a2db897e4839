"""The state of the streams in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vidcam.live.pipeline import Watch

__all__ = ["CONTENT_TYPE", "text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text(watches: Sequence[Watch]) -> bytes:
    """All metrics of these streams at this moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Streams(lambda: watches))
    return generate_latest(registry)


class _Streams(Collector):
    def __init__(self, watches: Callable[[], Sequence[Watch]]) -> None:
        self._watches = watches

    def collect(self) -> Iterable[Metric]:
        facts: list[tuple[type[Metric], str, str, Callable[[Watch], float | None]]] = [
            (GaugeMetricFamily, "vidcam_source_up", "1 while frames arrive", lambda w: float(w.capture.state == "running")),
            (CounterMetricFamily, "vidcam_frames", "Frames that arrived", lambda w: w.capture.frames),
            (GaugeMetricFamily, "vidcam_frames_per_second", "Frames a second, lately", lambda w: w.stream.fps),
            (CounterMetricFamily, "vidcam_reconnects", "Times that the source was opened again", lambda w: w.capture.reconnects),
            (CounterMetricFamily, "vidcam_windows_explained", "Windows explained", lambda w: w.stream.explained),
            (CounterMetricFamily, "vidcam_windows_skipped", "Windows left out for newer ones", lambda w: w.stream.skipped),
            (GaugeMetricFamily, "vidcam_explain_seconds", "What the last explanation took", lambda w: w.stream.took_s),
            (
                GaugeMetricFamily,
                "vidcam_hop_seconds",
                "Least time between explanations",
                lambda w: w.stream.budget.seconds_between_clip_starts,
            ),
            (GaugeMetricFamily, "vidcam_evidence_age_seconds", "Age of the newest frame explained", lambda w: w.stream.age_s),
            (GaugeMetricFamily, "vidcam_frozen_seconds", "For how long the picture has not changed", lambda w: w.stream.frozen_s),
            (GaugeMetricFamily, "vidcam_viewers", "Pages that look on", lambda w: w.viewers),
        ]
        watches = self._watches()
        for kind, name, words, value in facts:
            family = kind(name, words, labels=("source",))  # type: ignore[call-arg]
            for watch in watches:
                if (number := value(watch)) is not None:
                    family.add_metric((watch.stream.name,), number)  # type: ignore[attr-defined]
            yield family
        probability = GaugeMetricFamily("vidcam_probability", "Of the newest window", labels=("source", "action"))
        events = CounterMetricFamily("vidcam_events", "Events that started", labels=("source", "rule", "action"))
        for watch in watches:
            if (update := watch.stream.update) is not None:
                for label, prob in zip(update.prediction.labels, update.prediction.probs.tolist(), strict=True):
                    probability.add_metric((watch.stream.name, label), prob)
            if watch.monitor is not None:
                for (rule, label), count in tuple(watch.monitor.counts.items()):
                    events.add_metric((watch.stream.name, rule, label), count)
        yield probability
        yield events
