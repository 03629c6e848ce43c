"""What the server itself has counted: read from `/metrics` before and after a test."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["ServerMetrics", "read_metrics", "scrape"]

SECONDS = 10.0
"""How long a server gets to answer."""

REQUESTS, DURATION = "qcore_requests", "qcore_request_duration_seconds"
"""The counter, whose samples end in `_total`, and the histogram."""


@dataclass
class ServerMetrics:
    """Requests of a few methods: how many were answered well, and how long they all took.

    `counts` are the requests up to each of the bounds, in seconds; `seconds` is what all of them took together.
    """

    requests: int = 0
    seconds: float = 0.0
    counts: dict[float, int] = field(default_factory=dict)

    def since(self, before: ServerMetrics) -> ServerMetrics | None:
        """What has come in between; None where the server was started again."""
        counts = {bound: count - before.counts.get(bound, 0) for bound, count in self.counts.items()}
        if self.requests < before.requests or any(count < 0 for count in counts.values()):
            return None
        return ServerMetrics(self.requests - before.requests, self.seconds - before.seconds, counts)

    def plus(self, other: ServerMetrics) -> ServerMetrics:
        """Both together."""
        bounds = self.counts.keys() | other.counts.keys()
        counts = {bound: self.counts.get(bound, 0) + other.counts.get(bound, 0) for bound in bounds}
        return ServerMetrics(self.requests + other.requests, self.seconds + other.seconds, counts)

    @property
    def avg(self) -> float | None:
        """The mean, in seconds."""
        most = max(self.counts.values(), default=0)
        return self.seconds / most if most else None

    def quantile(self, share: float) -> float | None:
        """About the time that this share did not exceed: taken for even between two bounds, as Prometheus does."""
        bounds = sorted(self.counts)
        most = self.counts[bounds[-1]] if bounds else 0
        if not most:
            return None
        low, below = 0.0, 0
        for bound in bounds:
            count = self.counts[bound]
            if count >= share * most and count > below:
                if bound == float("inf"):
                    return low
                return low + (bound - low) * (share * most - below) / (count - below)
            low, below = bound, count
        return low


async def scrape(url: str, methods: Iterable[str]) -> ServerMetrics | None:
    """Ask the server at ``ws://host:port``; None where it does not tell."""
    try:
        text = await asyncio.to_thread(_get, url)
        return None if text is None else read_metrics(text, set(methods))
    except (OSError, ValueError, http.client.HTTPException):
        return None


def read_metrics(text: str, methods: set[str]) -> ServerMetrics:
    """The metrics of some methods.

    Raises:
        ValueError: the text is none of Prometheus.
    """
    found = ServerMetrics()
    for family in text_string_to_metric_families(text):
        if family.name not in (REQUESTS, DURATION):
            continue
        for sample in family.samples:
            if sample.labels.get("method") not in methods:
                continue
            if sample.name == f"{REQUESTS}_total" and sample.labels.get("outcome") == "ok":
                found.requests += int(sample.value)
            elif sample.name == f"{DURATION}_sum":
                found.seconds += sample.value
            elif sample.name == f"{DURATION}_bucket":
                bound = float(sample.labels["le"])
                found.counts[bound] = found.counts.get(bound, 0) + int(sample.value)
    return found


def _get(url: str) -> str | None:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "wss" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else None
    finally:
        connection.close()
