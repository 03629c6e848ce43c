"""What a seed makes a run of: how many nodes, what they are told, and which faults they are to bear.

The shapes take turns: seeds that follow each other make each of them once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.proof.run import NODE_FLAGS, Plan, wanted_of
from tests.proof.schedule import FAULTS, Fault, make_schedule
from tests.torture.group_faults import OLDER_LEVEL

__all__ = ["CLIENTS", "SHAPES", "Shape", "plan_of", "shape_of"]

CLIENTS = 10

SMALL_LOGS = ("--max-log-files", "60", "--log-cleanup-interval", "1", "--max-log-size-mb", "8")
"""Limits that the load crosses every few seconds."""

SECONDS: Mapping[Fault, tuple[float, float]] = {
    "pause": (0.1, 4.0),
    "slow_fsync": (0.1, 5.0),
    "stall": (0.5, 4.0),
    "kill": (0.0, 2.0),
}
"""How long faults last whose length is what matters; see `make_schedule`."""


class Shape(NamedTuple):
    """`spares` nodes may join later; limits of the log have to be crossed `purges` times at least."""

    name: str
    nodes: int
    spares: int
    flags: tuple[str, ...]
    faults: tuple[Fault, ...]
    purges: int


CUTS: tuple[Fault, ...] = ("isolate", "cut_pair", "cut_outgoing", "cut_incoming", "slow_link")

SHAPES = (
    Shape(
        "disks",
        3,
        0,
        SMALL_LOGS,
        (
            *("slow_fsync", "failed_fsync", "failed_write", "failed_snapshot", "stall", "full_disk"),
            *("crash_at_truncate", "crash_at_install", "wipe", "kill_all"),
        ),
        5,
    ),
    Shape(
        "members",
        3,
        1,
        NODE_FLAGS,
        ("join", "kill", "transfer", "wipe", "leave", "replace", "roll_back", "isolate", "fall_behind", "restart_all"),
        3,
    ),
    Shape(
        "five", 5, 0, NODE_FLAGS, ("two_down", "split", *CUTS, "pause", "restart", "crash_at_truncate", "kill_all"), 3
    ),
    Shape(
        "upgrade",
        3,
        0,
        (*SMALL_LOGS, *OLDER_LEVEL),
        ("kill", "pause", "restart", *CUTS, "fall_behind", "upgrade", "clock_jump", "cut_clients", "reset_clients"),
        5,
    ),
    Shape("alone", 1, 0, SMALL_LOGS, (*FAULTS, "stall", "failed_write", "failed_snapshot"), 3),
)


def shape_of(seed: int) -> Shape:
    """The shape of a seed's run."""
    return SHAPES[seed % len(SHAPES)]


def plan_of(seed: int, actions: int | None = None) -> Plan:
    """The plan of a seed; by default each fault of its shape comes once."""
    shape = shape_of(seed)
    schedule = make_schedule(seed, shape.nodes, actions or len(shape.faults), shape.faults, SECONDS)
    return Plan(seed, shape.nodes, CLIENTS, schedule, wanted_of(schedule, shape.nodes))
