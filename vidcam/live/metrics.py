"""The state of the live pipelines in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vidcam.live.pipeline import LivePipeline

__all__ = ["CONTENT_TYPE", "render_metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Each row is the type of a metric, its name, its help, and how a pipeline gives its value (None: it has none at present).
METRICS: list[tuple[type[Metric], str, str, Callable[[LivePipeline], float | None]]] = [
    (GaugeMetricFamily, "vidcam_source_up", "1 while frames arrive", lambda p: float(p.capture.state == "running")),
    (CounterMetricFamily, "vidcam_frames", "Frames that arrived", lambda p: p.capture.frames),
    (GaugeMetricFamily, "vidcam_frames_per_second", "Frames a second, lately", lambda p: p.stream.fps),
    (CounterMetricFamily, "vidcam_reconnects", "Times that the source was opened again", lambda p: p.capture.reconnects),
    (CounterMetricFamily, "vidcam_windows_explained", "Windows explained", lambda p: p.stream.explained),
    (CounterMetricFamily, "vidcam_windows_skipped", "Windows left out for newer ones", lambda p: p.stream.skipped),
    (GaugeMetricFamily, "vidcam_explain_seconds", "What the last explanation took", lambda p: p.stream.took_s),
    (
        GaugeMetricFamily,
        "vidcam_hop_seconds",
        "Least time between explanations",
        lambda p: p.stream.budget.seconds_between_clip_starts,
    ),
    (GaugeMetricFamily, "vidcam_evidence_age_seconds", "Age of the newest frame explained", lambda p: p.stream.age_s),
    (GaugeMetricFamily, "vidcam_frozen_seconds", "For how long the picture has not changed", lambda p: p.stream.frozen_s),
    (GaugeMetricFamily, "vidcam_viewers", "Pages that look on", lambda p: p.viewers),
]


def render_metrics(pipelines: Sequence[LivePipeline]) -> bytes:
    """Return all metrics of these pipelines at this moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_PipelineCollector(pipelines))
    return generate_latest(registry)


class _PipelineCollector(Collector):
    def __init__(self, pipelines: Sequence[LivePipeline]) -> None:
        self._pipelines = pipelines

    def collect(self) -> Iterable[Metric]:
        for kind, name, words, value in METRICS:
            family = kind(name, words, labels=("source",))  # type: ignore[call-arg]
            for pipeline in self._pipelines:
                if (number := value(pipeline)) is not None:
                    family.add_metric((pipeline.stream.name,), number)  # type: ignore[attr-defined]
            yield family
        probability = GaugeMetricFamily("vidcam_probability", "Of the newest window", labels=("source", "action"))
        events = CounterMetricFamily("vidcam_events", "Events that started", labels=("source", "rule", "action"))
        for pipeline in self._pipelines:
            if (update := pipeline.stream.update) is not None:
                for label, prob in zip(update.prediction.labels, update.prediction.probs.tolist(), strict=True):
                    probability.add_metric((pipeline.stream.name, label), prob)
            if pipeline.monitor is not None:
                for (rule, label), count in tuple(pipeline.monitor.counts.items()):
                    events.add_metric((pipeline.stream.name, rule, label), count)
        yield probability
        yield events
