"""The text of `/metrics`, in the format of Prometheus. The registry is the node's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from qcore.model.histogram import Histogram
from qcore.server.operations.metrics import METRICS, Metric, Observed, Reading

__all__ = ["CONTENT_TYPE", "Exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FAMILIES: dict[str, type[CounterMetricFamily | GaugeMetricFamily]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
}


class Exposition(Collector):
    """Writes the metrics of one node; `observe` gives the parts they are read from."""

    def __init__(self, observe: Callable[[], Observed]) -> None:
        self._observe = observe
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(namespace="qcore", registry=self._registry)

    def text(self) -> bytes:
        """All metrics as they are now."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        """See `Collector`."""
        node = self._observe()
        for metric in METRICS:
            yield _family(metric, metric.read(node))


def _family(metric: Metric, reading: Reading) -> Family:
    found = _by_labels(metric, reading)
    if metric.kind == "histogram":
        histograms = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in found:
            assert isinstance(value, Histogram)
            buckets = [(str(bound), float(count)) for bound, count in value.cumulative()]
            histograms.add_metric(labels, [*buckets, ("+Inf", value.count)], value.sum)
        return histograms
    family = _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
    for labels, value in found:
        assert not isinstance(value, Histogram)
        family.add_metric(labels, value)
    return family


def _by_labels(metric: Metric, reading: Reading) -> list[tuple[tuple[str, ...], float | Histogram]]:
    if reading is None:
        return []
    if not isinstance(reading, Mapping):
        return [((), reading)]
    several = len(metric.labels) > 1
    return [(labels if several else (labels,), value) for labels, value in sorted(reading.items())]
