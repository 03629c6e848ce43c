"""What an operator's INIT asks for: the nodes that are to form a cluster, and whether all of them have answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise

import msgspec

from qcore.cluster.formation.seen_nodes import SeenNode, SeenNodes
from qcore.model.errors import BadParams, Forbidden
from qcore.model.initial_cluster import Candidate, InitialCluster

__all__ = ["Wish", "nodes_text"]


def nodes_text(candidates: Iterable[Candidate]) -> str:
    """Name nodes for people: ``node 2 (10.0.0.2:8080), node 3 (10.0.0.3:8080)``."""
    return ", ".join(map(str, candidates))


class Wish(msgspec.Struct, frozen=True):
    """An initial cluster of `own` and these ids; without any, of all addresses and all blank nodes that are linked."""

    own: Candidate
    ids: tuple[int, ...]
    addresses: tuple[str, ...]

    @classmethod
    def of(cls, own: Candidate, ids: Collection[int], addresses: Collection[str]) -> Wish:
        """Read the words of an INIT.

        Raises:
            BadParams: an id stands twice, or there are ids and this node's is not among them.
        """
        found = tuple(sorted(ids))
        for one, next_one in pairwise(found):
            if one == next_one:
                raise BadParams(f"ids: node {one} is given twice")
        if found and own.id not in found:
            raise BadParams(f"ids: node {own.id} forms no cluster without itself; give its id, too")
        return cls(own, found, tuple(addresses))

    @property
    def chosen(self) -> bool:
        """Whether the operator has named the members."""
        return bool(self.ids)

    def is_met_by(self, initial: InitialCluster) -> bool:
        """Whether an initial cluster is what is wished."""
        return not self.ids or list(self.ids) == sorted(initial.ids)

    def members(self, seen: SeenNodes) -> tuple[Candidate, ...] | None:
        """The members to propose, None while not all have answered that they are blank.

        Raises:
            Forbidden: one of them cannot be a member.
        """
        for each in seen.in_clusters():
            raise Forbidden(
                f"{each.candidate} belongs to cluster {each.cluster}: blank nodes join it, and form none beside it"
            )
        wanted = self._wanted(seen)
        if not wanted and not self.ids:
            raise Forbidden(f"no other node is linked: CLUSTER INIT {self.own.id} forms a cluster of this node alone")
        joining = [each for each in wanted.values() if each is not None and each.standing and each.standing.joins]
        if joining:
            raise Forbidden(f"{joining[0].candidate} only joins a cluster (bootstrap = join, or a cluster_id is set)")
        if not all(each is not None and each.is_blank() for each in wanted.values()):
            return None
        found = [self.own, *(each.candidate for each in wanted.values() if each is not None)]
        return tuple(sorted(found, key=lambda each: each.node))

    def missing(self, seen: SeenNodes) -> str:
        """Name who has not answered that it is blank, and why."""
        parts = [_complaint(name, each) for name, each in self._wanted(seen).items()]
        return "; ".join(part for part in parts if part)

    def _wanted(self, seen: SeenNodes) -> dict[str, SeenNode | None]:
        """The others, by what they are called in messages; None for one that was not met."""
        if self.ids:
            return {f"node {id}": seen.by_id(id) for id in self.ids if id != self.own.id}
        found = {address: seen.at(address) for address in self.addresses}
        listed = {each.candidate.node for each in found.values() if each is not None}
        found |= {str(each.candidate): each for each in seen.linked() if each.candidate.node not in listed}
        return {name: each for name, each in found.items() if not self._is_own(each)}

    def _is_own(self, seen: SeenNode | None) -> bool:
        return seen is not None and seen.candidate.is_same_disk(self.own)


def _complaint(name: str, seen: SeenNode | None) -> str:
    if seen is None:
        return f"{name} was not reached"
    if seen.standing is None or seen.asked:
        return f"{seen.candidate} has not answered"
    if seen.standing.promise is not None:
        return f"{seen.candidate} has promised to form {seen.standing.promise}"
    return ""
