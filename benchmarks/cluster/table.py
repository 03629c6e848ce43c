"""What a person reads: rates, latencies and ratios first, then what a request cost each process."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.cluster.members import Case
from benchmarks.cluster.usage import Usage
from benchmarks.load import Measured

__all__ = ["AIMS", "Round", "costs", "rates"]

AIMS = {("write", 1): 0.8, ("write", 50): 1.2, ("write", 200): 1.2, ("read", 1): 2.0, ("read", 50): 2.0} | {
    ("read", 200): 2.0
}
"""Ratio to etcd by operation and number of clients, one request each."""


class Round(NamedTuple):
    """One measurement: what the client saw, and what leader and followers used for it."""

    measured: Measured
    leader: Usage
    followers: Usage


Found = Mapping[str, Mapping[Case, Sequence[Round]]]
"""By system and case, in the order of rounds."""


def rates(found: Found) -> list[str]:
    """A line for each case: medians of each system's rate, p50 and p99; the rounds' ratios: median, lowest, highest."""
    names = list(found)
    lines = [
        " " * 22 + "".join(f"{name:>9}/s{'p50 ms':>9}{'p99 ms':>9}" for name in names),
    ]
    if len(names) == 2:
        lines[0] += f"{'ratio':>8}{'of rounds':>14}{'aim':>6}"
    for case in found[names[0]]:
        row = "".join(_rate([one.measured for one in found[name][case]]) for name in names)
        lines.append(f"{case.title:<22}{row}" + (_ratio(case, found) if len(names) == 2 else ""))
    return lines


def _rate(rounds: Sequence[Measured]) -> str:
    rate = statistics.median(one.rate for one in rounds)
    p50 = statistics.median(one.p50_us for one in rounds) / 1000
    p99 = statistics.median(one.p99_us for one in rounds) / 1000
    return f"{rate:>11,.0f}{p50:>9.2f}{p99:>9.2f}"


def _ratio(case: Case, found: Found) -> str:
    ours, theirs = found.values()
    pairs = zip(ours[case], theirs[case], strict=True)
    ratios = [one.measured.rate / max(two.measured.rate, 1.0) for one, two in pairs]
    aim = AIMS.get((case.operation, case.load.connections)) if case.load.depth == 1 else None
    spread = f"{min(ratios):.2f} - {max(ratios):.2f}"
    return f"{statistics.median(ratios):>8.2f}{spread:>14}{'' if aim is None else aim:>6}"


def costs(found: Found) -> list[str]:
    """A line for each case and system: per answered request, microseconds of CPU, flushes, and bytes written."""
    head = (
        f"{'':<22}{'':<7}{'leader':>9}{'follower':>9}{'client':>9}{'all':>9}{'leader':>10}{'follower':>9}{'bytes':>9}"
    )
    lines = [f"{'per request':<29}{'us of CPU':>36}{'flushes':>19}{'written':>9}", head]
    for case in next(iter(found.values())):
        for name, cases in found.items():
            lines.append(f"{case.title:<22}{name:<7}" + _cost(cases[case]))
    return lines


def _cost(rounds: Sequence[Round]) -> str:
    answered = max(sum(one.measured.answered for one in rounds), 1)
    client = sum(one.measured.cpu_seconds for one in rounds)
    leader, followers = Usage(), Usage()
    for one in rounds:
        leader, followers = leader.plus(one.leader), followers.plus(one.followers)
    cpu = (leader.cpu_seconds, followers.cpu_seconds / 2, client, leader.cpu_seconds + followers.cpu_seconds + client)
    times = "".join(f"{1e6 * seconds / answered:>9.1f}" for seconds in cpu)
    flushes = f"{leader.flushes / answered:>10.3f}{followers.flushes / 2 / answered:>9.3f}"
    return f"{times}{flushes}{(leader.written_bytes + followers.written_bytes) / answered:>9,.0f}"
