"""The members of a cluster as one node sees them, and in one sentence what fails next and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from qcore.engine.base import EngineStatus
from qcore.model.entry import Membership, public_id
from qcore.model.requests.results import MemberInfo
from qcore.server.runtime import budgets

__all__ = ["Cluster", "is_led"]


def is_led(status: EngineStatus) -> bool:
    """Whether this node leads, or has heard lately who does: a follower takes its leader for one until it votes."""
    if status.leader is None or status.role == "leader":
        return status.leader is not None
    return status.quorum_age is not None and status.quorum_age <= budgets.READY_QUORUM_SECONDS


class Cluster:
    """A membership, None before the first one is applied, and which of its nodes answer the node `own` at `addr`.

    `full` are the members whose disk is below its reserve; `waiting` says why nodes have no vote, by public id.
    Of whom the engine says nothing is taken to be there as long as somebody leads and is heard.
    """

    def __init__(
        self,
        own: int,
        addr: str,
        membership: Membership | None,
        status: EngineStatus,
        full: Collection[int] = (),
        waiting: Mapping[int, str] | None = None,
    ) -> None:
        self._own = own
        self._status = status
        self._waiting = waiting or {}
        nodes = {} if membership is None else membership.nodes
        self._addrs = {public_id(node): member.addr for node, member in nodes.items()} | {own: addr}
        configs = [] if membership is None else membership.configs
        self._configs = [{public_id(node) for node in config} for config in configs] or [{own}]
        self._has_begun = membership is not None or status.leader is not None
        known = {peer.node: peer.alive for peer in status.peers}
        led = is_led(status)
        self._full = full
        self._witnesses = {public_id(node) for node in (set() if membership is None else membership.witnesses)}
        self._alive = {own} | {node for node in self._addrs if known.get(node, led)}

    @property
    def voters(self) -> list[int]:
        """The public ids of those that vote."""
        return sorted(set().union(*self._configs))

    @property
    def tolerates(self) -> int:
        """Voters that may fail now before nothing can be written; below 0 where that is so already.

        One of those that are left has to have the data, which a witness has not.
        """
        if not self._has_begun:
            return -1
        quorum = min(len(config & self._alive) - len(config) // 2 - 1 for config in self._configs)
        return min(quorum, len(self._with_data()) - 1)

    def _with_data(self) -> list[int]:
        """The voters with the data that can be reached."""
        return [node for node in self.voters if node in self._alive and node not in self._witnesses]

    def quorum(self) -> tuple[int, int]:
        """How many voters are there, and how many are needed, where most are missing; (1, 1) before it has begun."""
        counts = [(len(config & self._alive), len(config) // 2 + 1) for config in self._configs]
        return min(counts, key=lambda count: count[0] - count[1]) if self._has_begun else (1, 1)

    def members(self) -> list[MemberInfo]:
        """Every node, by its public id; `lag` is 0 where this node does not know it."""
        lags = {peer.node: peer.lag or 0 for peer in self._status.peers}
        return [
            MemberInfo(
                node,
                addr,
                self._role(node),
                lags.get(node, 0),
                node in self._alive,
                self._waiting.get(node),
                node in self._witnesses,
            )
            for node, addr in sorted(self._addrs.items())
        ]

    def outlook(self) -> str:
        """What the next failure does, and what to do against it."""
        voters, missing = self.voters, sorted(set(self.voters) - self._alive)
        if not self._has_begun:
            return f"nothing can be written: {self._not_begun()}"
        if voters == [self._own]:
            return "no other node has this data: keep a copy of it elsewhere (snapshot.export)"
        if not self._with_data():
            away = [node for node in missing if node not in self._witnesses]
            return f"no voter that has the data can be reached; start {_named(away)}, and writes go on"
        if self.tolerates < 0:
            return f"no quorum: {self._reachable()}; start {_named(missing)}, and writes go on"
        full = [node for node in voters if node in self._full]
        if full:
            refused = "writes but deletions are refused until there is room"
            return f"the disk of {_named(full)} is full: {refused}; {self._tolerance()}"
        if missing:
            until = "until it is back; start it, or remove it"
            if missing[1:]:
                until = "until they are back; start or remove them"
            return f"{_named(missing)} cannot be reached: {self._tolerance()} {until}"
        witnesses = [node for node in voters if node in self._witnesses]
        if witnesses:
            return f"{self._tolerance()}; {_named(witnesses)} is a witness, which keeps no copy of the data"
        if len(voters) % 2:
            return self._tolerance()
        return f"{self._tolerance()}: a {_ordinal(len(voters) + 1)} node makes it {self.tolerates + 1}"

    def _tolerance(self) -> str:
        count = self.tolerates
        return f"tolerates {count} {'failure' if count == 1 else 'failures'}"

    def _reachable(self) -> str:
        voters = set(self.voters)
        return f"{len(voters & self._alive)} of {len(voters)} voters can be reached, {len(voters) // 2 + 1} are needed"

    def why_no_leader(self) -> str:
        """What a node without a leader waits for."""
        if not self._has_begun:
            return self._not_begun()
        return "an election is under way" if self.tolerates >= 0 else self._reachable()

    def _not_begun(self) -> str:
        if self._status.cluster:
            return "its cluster has not begun on this node yet"
        return "this node is in no cluster yet"

    def _role(self, node: int) -> str:
        if node == self._own:
            return self._status.role
        if node == self._status.leader:
            return "leader"
        return "follower" if any(node in config for config in self._configs) else "learner"


def _named(nodes: list[int]) -> str:
    return f"{'node' if len(nodes) == 1 else 'nodes'} {', '.join(map(str, nodes))}"


def _ordinal(number: int) -> str:
    return {3: "third", 5: "fifth", 7: "seventh"}.get(number, f"{number}th")
