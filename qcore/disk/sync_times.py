"""How long the disk takes to make things durable; several threads ask it to."""

from __future__ import annotations

import threading

from qcore.model.histogram import Histogram

__all__ = ["SyncTimes"]

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0)
"""Seconds between which flushes are told apart."""


class SyncTimes:
    """Durations of flushes: `fdatasync` of entries that were written over ready files, `fsync` of everything else."""

    def __init__(self) -> None:
        self.fdatasync = Histogram(BOUNDS)
        self.fsync = Histogram(BOUNDS)
        self._lock = threading.Lock()

    def add(self, histogram: Histogram, seconds: float) -> None:
        """Count a flush in one of the two."""
        with self._lock:
            histogram.observe(seconds)
