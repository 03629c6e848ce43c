"""What a process has used so far, as the kernel says it, and what it says of its own flushes."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Usage", "metrics", "process_usage"]

Samples = Mapping[str, float]


class Usage(NamedTuple):
    """CPU in seconds, bytes handed to the disk, and flushes (fsync, fdatasync)."""

    cpu_seconds: float = 0.0
    written_bytes: float = 0.0
    flushes: float = 0.0

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(*(now - then for now, then in zip(self, earlier, strict=True)))

    def plus(self, other: Usage) -> Usage:
        """The two together."""
        return Usage(*(one + two for one, two in zip(self, other, strict=True)))


def process_usage(pid: int, flushes: float = 0.0) -> Usage:
    """Usage of a process, all its threads together, since its start."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    io = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), int(io["write_bytes"]), flushes)


def metrics(address: str) -> Samples:
    """What `GET /metrics` at host:port says: by the name of the sample, labels in braces as in the text."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found
