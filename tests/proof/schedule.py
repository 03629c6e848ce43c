"""Which fault comes when: made of a seed and nothing else, so that the same seed makes the same schedule again.

A schedule names a role where it can, as who leads is not known before: ``leader``, or the n-th of the others.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

__all__ = ["CLUSTER_FAULTS", "FAULTS", "Action", "Fault", "describe_schedule", "faults_for", "make_schedule"]

LoneFault = Literal[
    "kill", "pause", "restart", "slow_fsync", "failed_fsync", "full_disk", "clock_jump", "reset_clients", "cut_clients"
]
ClusterFault = Literal["isolate", "cut_pair", "cut_outgoing", "cut_incoming", "slow_link", "kill_all"]
Fault = Literal[LoneFault, ClusterFault]

FAULTS: tuple[Fault, ...] = get_args(LoneFault)
"""What can happen to a node alone, too."""

CLUSTER_FAULTS: tuple[Fault, ...] = get_args(ClusterFault)
"""What takes several nodes."""

SECONDS = (0.1, 1.5)
"""How long a fault lasts, where that is not decided by something else."""

OPERATIONS = (30, 150)
"""How many operations are acknowledged between two faults."""


class Action(NamedTuple):
    """A fault, and whom it strikes: `target` is 0 for the leader, n for the n-th of the other nodes.

    It lasts for `seconds`, or until it was met where that is what it is for. `after` operations are acknowledged
    before it begins.
    """

    fault: Fault
    target: int
    seconds: float
    after: int

    def describe(self) -> str:
        who = "leader" if self.target == 0 else f"follower {self.target}"
        return f"after {self.after} operations {self.fault} of {who} for {self.seconds:.2f} s"


def faults_for(nodes: int) -> tuple[Fault, ...]:
    """The faults that so many nodes can have."""
    return FAULTS if nodes == 1 else FAULTS + CLUSTER_FAULTS


def make_schedule(seed: int, nodes: int, actions: int, faults: Iterable[Fault] = ()) -> list[Action]:
    """Return so many actions; each of the `faults` (none given: all there are) comes before any comes again."""
    chance = random.Random(f"{seed} schedule")
    wanted = list(faults) or list(faults_for(nodes))
    order: list[Fault] = []
    while len(order) < actions:
        order += chance.sample(wanted, len(wanted))
    return [
        Action(fault, chance.randrange(nodes), round(chance.uniform(*SECONDS), 2), chance.randint(*OPERATIONS))
        for fault in order[:actions]
    ]


def describe_schedule(schedule: Iterable[Action]) -> str:
    return "\n".join(f"{number}. {action.describe()}" for number, action in enumerate(schedule, 1))
