"""The results for people and for programs. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from qcore_tools.benchmark.chart import draw_histogram
from qcore_tools.benchmark.latencies import Latencies
from qcore_tools.benchmark.measuring import BUSY, Outcome
from qcore_tools.benchmark.plan import Plan
from qcore_tools.benchmark.server_metrics import ServerMetrics
from qcore_tools.forms import as_json, csv_line
from qcore_tools.terminal import visible

__all__ = ["About", "Format", "Report", "notes"]

Format = Literal["human", "quiet", "csv", "json"]

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
CLIENT = ("min", "avg", *QUANTILES, "max")
SERVER = ("avg", *QUANTILES)

MEANINGFUL = 1000
"""Requests below which nothing can be said about who waited for whom."""

MARGIN = 0.1
"""How far the server's count may be from ours before people are told."""


class About(msgspec.Struct, frozen=True):
    """The server that was measured."""

    url: str
    version: str
    node: int
    role: str
    engine: str
    durability: str


class Report:
    """Text of the results in a `format`, each as it comes; `columns` and `glyphs` are for the histograms."""

    def __init__(self, format: Format, about: About, plan: Plan, columns: int, glyphs: str) -> None:
        self.format = format
        self._about = about
        self._plan = plan
        self._columns = columns
        self._glyphs = glyphs

    def begin(self) -> str:
        """What stands before all results."""
        if self.format == "csv":
            return csv_line(_CSV_HEADER) + "\n"
        if self.format != "human":
            return ""
        about, plan = self._about, self._plan
        limits = [f"{plan.requests:,} requests"] if plan.requests is not None else []
        limits += [f"{plan.seconds:g} s"] if plan.seconds is not None else []
        return (
            f"qcore {about.version} at {about.url}: node {about.node}, {about.role}\n"
            f"{self._server}\n"
            f"{plan.clients:,} clients, {' or '.join(limits)} a test, pipeline {plan.pipeline:,}, "
            f"{plan.data_size:,} bytes,\n"
            f"{plan.keyspace:,} entities, {plan.consistency} reads, warm-up {plan.warmup:g} s, seed {plan.seed}\n"
        )

    def result(self, outcome: Outcome) -> str:
        """The result of a test."""
        forms: dict[Format, Callable[[Outcome], str]] = {
            "human": self._for_people,
            "quiet": self._one_line,
            "csv": lambda outcome: csv_line(_cells(self.record(outcome))),
            "json": lambda outcome: as_json(self.record(outcome)),
        }
        return forms[self.format](outcome) + "\n"

    def record(self, outcome: Outcome) -> dict[str, Any]:
        """All there is to say about a test, with the server and the plan that it stands for."""
        plan = msgspec.to_builtins(self._plan)
        asked = {key: plan[key] for key in ("pipeline", "data_size", "keyspace", "warmup", "consistency", "seed")}
        return {
            "test": outcome.workload.name,
            "requests_per_second": round(outcome.rate, 1),
            "requests": outcome.latencies.count,
            "errors": dict(outcome.errors),
            "seconds": round(outcome.seconds, 6),
            "latency_ms": _client_latencies(outcome.latencies),
            "server": _server_record(outcome),
            **msgspec.to_builtins(self._about),
            "clients": outcome.clients,
            **asked,
            "processes": outcome.processes,
            "client_busy": round(outcome.busy, 3),
        }

    @property
    def _server(self) -> str:
        return f"engine {self._about.engine}, durability {self._about.durability}"

    def _one_line(self, outcome: Outcome) -> str:
        took = outcome.latencies
        times = f"p50 {_ms(took.quantile(0.5))} ms, p99 {_ms(took.quantile(0.99))} ms"
        return f"{outcome.workload.name}: {outcome.rate:,.0f} requests/s, {times}, {_errors(outcome)} ({self._server})"

    def _for_people(self, outcome: Outcome) -> str:
        workload = outcome.workload
        lines = [
            "",
            f"{workload.name}: {outcome.rate:,.0f} requests/s ({self._server})",
            f"  {workload.what}; {outcome.latencies.count:,} requests in {outcome.seconds:.2f} s, {_errors(outcome)}",
        ]
        lines += [visible(f"  {line}") for line in _error_lines(outcome)]
        lines += _table(outcome)
        chart = draw_histogram(outcome.latencies, self._columns, self._glyphs)
        return "\n".join([*lines, *([""] if chart else []), *chart])


def notes(outcome: Outcome, format: Format) -> list[str]:
    """What people should know beside a result, and what does not stand in it."""
    name = outcome.workload.name
    found = [f"{name}: {line}" for line in _error_lines(outcome) if format != "human"]
    if outcome.busy > BUSY and outcome.latencies.count > MEANINGFUL:
        found.append(
            f"{name}: a process of the load had something to do {100 * outcome.busy:.0f} % of the time: the server "
            f"may do more, try --processes {2 * outcome.processes}"
        )
    server = outcome.server
    if server is None:
        found.append(f"{name}: the server's own metrics are not there, or began anew meanwhile")
    elif not outcome.errors and abs(server.requests - outcome.latencies.count) > MARGIN * outcome.latencies.count:
        found.append(f"{name}: the server has counted {server.requests:,} requests: others use it, too")
    return found


def _errors(outcome: Outcome) -> str:
    count = outcome.errors.total()
    return "no errors" if not count else f"{count:,} error{'s' if count > 1 else ''}"


def _error_lines(outcome: Outcome) -> list[str]:
    return [f"{kind}: {_times(count)}: {outcome.samples[kind]}" for kind, count in outcome.errors.items()]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _table(outcome: Outcome) -> list[str]:
    """The latencies and the rates of both sides below each other."""
    rows = [["ms", *CLIENT, "requests/s"], ["client", *_client_cells(outcome.latencies), f"{outcome.rate:,.0f}"]]
    server, rate = outcome.server, outcome.server_rate
    if server is not None and rate is not None:
        rows.append(["server", *_server_cells(server), f"{rate:,.0f}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows]


def _client_cells(took: Latencies) -> list[str]:
    return ["-" if time is None else _digits(time) for time in _client_latencies(took).values()]


def _server_cells(server: ServerMetrics) -> list[str]:
    """The server's times under the client's headings; what its histogram only bounds has a ``~``."""
    times = {"avg": _in_ms(server.avg), **_server_quantiles(server)}
    found = []
    for key in CLIENT:
        time = times.get(key)
        found.append("-" if time is None else _digits(time) if key == "avg" else f"~{time:.1f}")
    return found


def _digits(number: float) -> str:
    """A number with four digits or so."""
    return f"{number:.{3 if number < 10 else 2 if number < 100 else 1 if number < 1000 else 0}f}"


def _client_latencies(took: Latencies) -> dict[str, float | None]:
    if not took.count:
        return dict.fromkeys(CLIENT)
    quantiles = {name: _in_ms(took.quantile(share)) for name, share in QUANTILES.items()}
    return {"min": _in_ms(took.min), "avg": _in_ms(took.avg), **quantiles, "max": _in_ms(took.max)}


def _server_quantiles(server: ServerMetrics) -> dict[str, float | None]:
    return {name: _in_ms(server.quantile(share)) for name, share in QUANTILES.items()}


def _server_record(outcome: Outcome) -> dict[str, Any] | None:
    server = outcome.server
    if server is None or outcome.server_rate is None:
        return None
    times = {"avg": _in_ms(server.avg), **_server_quantiles(server)}
    return {
        "requests_per_second": round(outcome.server_rate, 1),
        "requests": server.requests,
        "latency_ms": times,
    }


_CSV_HEADER = (
    "test",
    "requests_per_second",
    "requests",
    "errors",
    "seconds",
    *(f"{key}_ms" for key in CLIENT),
    "server_requests_per_second",
    *(f"server_{key}_ms" for key in SERVER),
    "engine",
    "durability",
)


def _cells(record: Mapping[str, Any]) -> Sequence[Any]:
    server = record["server"] or {"requests_per_second": None, "latency_ms": dict.fromkeys(SERVER)}
    return [
        *(record[key] for key in ("test", "requests_per_second", "requests")),
        sum(record["errors"].values()),
        record["seconds"],
        *record["latency_ms"].values(),
        server["requests_per_second"],
        *server["latency_ms"].values(),
        record["engine"],
        record["durability"],
    ]


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}"
