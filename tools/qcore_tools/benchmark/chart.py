"""A histogram of latencies, drawn with characters. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from qcore_tools.benchmark.latencies import Latencies

__all__ = ["BLOCKS", "HASHES", "draw_histogram"]

BLOCKS = " ▏▎▍▌▋▊▉█"
"""Characters that fill so many eighths of a column."""

HASHES = " #"
"""For terminals that have no blocks."""

MOST_ROWS = 12
FINE, COARSE = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0)
"""Bounds of the rows in each power of ten."""

LEAST_EXPONENT, EXPONENTS = -6, 9
"""Rows begin at a microsecond."""

TAIL = 0.999
"""What took longer than this share of the requests is one row."""

WIDEST_BAR = 80


def draw_histogram(latencies: Latencies, columns: int, glyphs: str = BLOCKS) -> list[str]:
    """Lines for a terminal so many columns wide; none where nothing was measured."""
    if not latencies.count:
        return []
    bounds = _bounds(latencies)
    ranks = [*latencies.up_to(bounds), latencies.count]
    counts = [ranks[0], *(high - low for low, high in pairwise(ranks))]
    labels = [f"to {bound * 1e3:g} ms" for bound in bounds]
    if counts[-1]:
        labels.append(f"to {latencies.max * 1e3:.4g} ms")
    else:
        del counts[-1]
    wide = max(map(len, labels))
    room = max(1, min(WIDEST_BAR, columns - wide - len("  100.00 %  ") - 2))
    most = max(counts)
    lines = []
    for label, count in zip(labels, counts, strict=True):
        share = f"{100 * count / latencies.count:.2f} %"
        lines.append(f"  {label:>{wide}}  {share:>8}  {_bar(count, most, room, glyphs)}".rstrip())
    return lines


def _bounds(latencies: Latencies) -> Sequence[float]:
    """From the one at or above the shortest to the one at or above the end of the bulk."""
    tail = latencies.quantile(TAIL)
    for steps in (FINE, COARSE):
        every = [step * 10.0 ** (LEAST_EXPONENT + power) for power in range(EXPONENTS) for step in steps]
        first = next((place for place, bound in enumerate(every) if bound >= latencies.min), 0)
        last = next((place for place, bound in enumerate(every) if bound >= tail), len(every) - 1)
        bounds = every[first : last + 1]
        if len(bounds) <= MOST_ROWS:
            return bounds
    return bounds


def _bar(count: int, most: int, room: int, glyphs: str) -> str:
    """A bar whose length is a share of `room`; whatever there is shows."""
    parts = len(glyphs) - 1
    whole, rest = divmod(max(1 if count else 0, round(parts * room * count / most)), parts)
    return glyphs[-1] * whole + (glyphs[rest] if rest else "")
