"""Which fault comes when: made of a seed and nothing else, so that the same seed makes the same schedule again.

A schedule names a role where it can, as who leads is not known before: ``leader``, or the n-th of the others. In a
cluster each fault strikes the leader and a follower in turn.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

__all__ = [
    "CLUSTER_FAULTS",
    "FAULTS",
    "LONG_FAULTS",
    "Action",
    "Fault",
    "describe_schedule",
    "faults_for",
    "make_schedule",
]

LoneFault = Literal[
    "kill", "pause", "restart", "slow_fsync", "failed_fsync", "full_disk", "clock_jump", "reset_clients", "cut_clients"
]
ClusterFault = Literal["isolate", "cut_pair", "cut_outgoing", "cut_incoming", "slow_link", "kill_all", "fall_behind"]
LongFault = Literal[
    "stall",
    "failed_write",
    "failed_snapshot",
    "restart_all",
    "upgrade",
    "transfer",
    "wipe",
    "roll_back",
    "crash_at_install",
    "crash_at_truncate",
    "two_down",
    "split",
    "join",
    "leave",
    "replace",
]
Fault = Literal[LoneFault, ClusterFault, LongFault]

FAULTS: tuple[Fault, ...] = get_args(LoneFault)
"""What can happen to a node alone, too."""

CLUSTER_FAULTS: tuple[Fault, ...] = get_args(ClusterFault)
"""What takes several nodes."""

LONG_FAULTS: tuple[Fault, ...] = get_args(LongFault)
"""What takes so long that only the torture does it; see `tests.torture`."""

CUTS: frozenset[Fault] = frozenset({"isolate", "cut_pair", "cut_outgoing", "cut_incoming", "split"})

OF_ALL: frozenset[Fault] = frozenset(
    {"full_disk", "reset_clients", "cut_clients", "kill_all", "restart_all", "upgrade", "join", "leave"}
)
"""Strike all nodes, whichever has most clients, or none of those that are there."""

OF_LEADER: frozenset[Fault] = frozenset({"crash_at_truncate", "two_down", "split", "transfer"})
OF_FOLLOWER: frozenset[Fault] = frozenset({"crash_at_install"})
"""Have one role by what they are."""

SECONDS = (0.1, 1.5)
"""How long a fault lasts, where that is not decided by something else."""

CUT_SECONDS = (0.3, 2.5)
"""How long one between nodes lasts: shorter than an election takes, or longer."""

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

    @property
    def role(self) -> str:
        """Whom it strikes: ``leader``, ``follower`` or ``nodes``."""
        return "nodes" if self.fault in OF_ALL else "follower" if self.target else "leader"

    @property
    def what(self) -> str:
        """What has happened when it was carried out, for the coverage of faults: ``kill of leader``."""
        return f"{self.fault} of {self.role}"

    def describe(self) -> str:
        number = f" {self.target}" if self.role == "follower" else ""
        return f"after {self.after} operations {self.what}{number} for {self.seconds:.2f} s"


def faults_for(nodes: int) -> tuple[Fault, ...]:
    """The faults that so many nodes can have."""
    return FAULTS if nodes == 1 else FAULTS + CLUSTER_FAULTS


def make_schedule(
    seed: int,
    nodes: int,
    actions: int,
    faults: Iterable[Fault] = (),
    seconds: Mapping[Fault, tuple[float, float]] = {},
) -> list[Action]:
    """Return so many actions; each of the `faults` (none given: those of `faults_for`) comes before any comes again.

    `seconds` says how long some last, at least and at most, in place of what is usual.
    """
    chance = random.Random(f"{seed} schedule")
    wanted = list(faults) or list(faults_for(nodes))
    leads = {fault: chance.random() < 0.5 for fault in wanted}
    schedule: list[Action] = []
    while len(schedule) < actions:
        for fault in chance.sample(wanted, len(wanted)):
            leads[fault] = _strikes_leader(fault, not leads[fault] or nodes == 1)
            target = 0 if leads[fault] else chance.randrange(1, nodes)
            lasts = round(chance.uniform(*seconds.get(fault, CUT_SECONDS if fault in CUTS else SECONDS)), 2)
            schedule.append(Action(fault, target, lasts, chance.randint(*OPERATIONS)))
    return schedule[:actions]


def _strikes_leader(fault: Fault, in_turn: bool) -> bool:
    return fault in OF_LEADER or (fault not in OF_FOLLOWER and in_turn)


def describe_schedule(schedule: Iterable[Action]) -> str:
    return "\n".join(f"{number}. {action.describe()}" for number, action in enumerate(schedule, 1))
