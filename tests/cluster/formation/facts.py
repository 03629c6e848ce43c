"""Explores more nodes than every order of messages allows: a node is its disk alone, and crashes before each step.

What a node says is what is on its disk, and what was on it once may be heard at any time. So a state of the world is
what is on each disk now and what ever was. In a step one node starts from its disk, hears any selection of that, maybe
an INIT, and goes on as far as its machine takes it; after each write it may be cut off. Whatever a node does that
keeps running it can do here as well, by hearing the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from qcore.cluster.formation.automatic import Automatic
from qcore.cluster.formation.machine import Formation
from qcore.cluster.formation.messages import Message, Propose, Standing
from qcore.disk.identity import Identity
from qcore.model.errors import RequestError
from qcore.model.initial_cluster import InitialCluster
from tests.cluster.formation.explorer import Init, Local, Split, candidate, identity

__all__ = ["AutomaticExplorer", "FactExplorer"]

World = tuple[tuple[int, ...], frozenset[int], int]
"""What is on each disk, all that ever was on one, INITs that were given; contents of disks by number."""

Heard = tuple[tuple[int, Message], ...]


class FactExplorer:
    """All that can happen to `count` nodes with these INITs, however often they crash.

    Args:
        doubles: whether a node hears a member of a cluster and then an older word of the same node.
    """

    def __init__(
        self, count: int, inits: Sequence[Init], make: Callable[..., Formation] = Formation, *, doubles: bool = False
    ) -> None:
        self.inits = inits
        self.ids = range(1, count + 1)
        self.formed: set[frozenset[str]] = set()
        """The clusters of each state of the world that has any."""
        self.steps = 0
        self._make = make
        self._doubles = doubles
        self._disks: list[Identity] = []
        self._numbers: dict[str, int] = {}
        self._done: dict[tuple[int, int, str, str], frozenset[int]] = {}

    def explore(self) -> int:
        """Go everywhere; returns how many states of the world there are.

        Raises:
            Split: one of them must not be.
        """
        disks = tuple(self._number(identity(id)) for id in self.ids)
        begin: World = disks, frozenset(disks), 0
        seen, waiting = {begin}, [begin]
        while waiting:
            for following in self._after(waiting.pop()):
                if following not in seen:
                    self._check(following)
                    seen.add(following)
                    waiting.append(following)
        return len(seen)

    def _after(self, world: World) -> Iterator[World]:
        disks, facts, given = world
        for place, id in enumerate(self.ids):
            others = frozenset(fact for fact in facts if self._disks[fact].node != id)
            for wish in (-1, *(n for n, init in enumerate(self.inits) if init[0] == id and not given & 1 << n)):
                for number in self._outcomes(disks[place], wish, others):
                    proposed = self._disks[number].proposed > self._disks[disks[place]].proposed
                    left = given | 1 << wish if proposed else given  # else the INIT may come again
                    yield (*disks[:place], number, *disks[place + 1 :]), facts | {number}, left

    def _outcomes(self, number: int, wish: int, facts: frozenset[int]) -> frozenset[int]:
        """What may be on a disk after a step."""
        disk = self._disks[number]
        others = [self._disks[fact] for fact in sorted(facts)]
        promised = {str(other.promise): other.promise for other in [disk, *others] if other.promise is not None}
        proposals = [initial for _, initial in sorted(promised.items()) if self._concerns(disk, initial)]
        words = [self._words_of(id, others, proposals, wish) for id in self.ids if id != disk.node]
        key = number, wish, repr(words), repr(proposals)
        known = self._done.get(key)
        if known is None:
            found = {self._number(saved) for saved in self._carry_out(disk, wish, words, proposals)}
            known = self._done[key] = frozenset(found)
        return known

    def _concerns(self, disk: Identity, initial: InitialCluster) -> bool:
        return disk.node in initial.ids and disk.refused.get(initial.proposer, 0) < initial.number

    def _words_of(
        self, id: int, disks: Sequence[Identity], proposals: Sequence[InitialCluster], wish: int
    ) -> list[Heard]:
        """Nothing, or one of a node's words; of those that say the same about the proposals only one.

        The machine looks at a word only through `cluster`, `refuses`, and what `promise` is equal to.
        """
        found: dict[object, Standing] = {}
        for disk in disks:
            word = Standing(disk.cluster, disk.promise, disk.refused)
            about = [(word.promise == each, word.refuses(each)) for each in proposals]
            if disk.node == id and (word.cluster or wish >= 0 or any(map(any, about))):
                found.setdefault((word.cluster, str(about), wish >= 0 and word.promise is None), word)
        words = list(found.values())
        heard: list[Heard] = [(), *(((id, word),) for word in words)]
        if self._doubles:
            members = [word for word in words if word.cluster]
            heard += [((id, member), (id, word)) for member in members for word in words if word is not member]
        return heard

    def _carry_out(
        self, disk: Identity, wish: int, words: Sequence[Sequence[Heard]], proposals: Sequence[InitialCluster]
    ) -> Iterator[Identity]:
        """What a node writes first, for all that it may hear before; the rest is other steps."""
        machine = self._make(disk, candidate(disk.node).addr, new_id=lambda: f"{disk.node:02x}{disk.proposed:02x}" * 8)
        for id in self.ids:
            machine.met(candidate(id), "")
        machine.start()
        if wish >= 0:
            try:
                machine.init(self.inits[wish][1])
            except RequestError:
                return
        proposed: list[list[Heard]] = [[(), ((int(each.proposer[:2], 16), Propose(each)),)] for each in proposals]
        yield from self._hear(Local(machine), [*words, *proposed])

    def _hear(self, node: Local, choices: Sequence[Sequence[Heard]]) -> Iterator[Identity]:
        self.steps += 1
        if node.machine._saving is not None:
            yield node.machine._saving
        elif choices:
            yield from self._hear(node, choices[1:])
            for heard in choices[0]:
                if heard:
                    other = node.clone()
                    for id, message in heard:
                        other.machine.receive(candidate(id), message)
                    yield from self._hear(other, choices[1:])

    def _number(self, disk: Identity) -> int:
        key = repr(disk)
        if key not in self._numbers:
            self._numbers[key] = len(self._disks)
            self._disks.append(disk)
        return self._numbers[key]

    def _check(self, world: World) -> None:
        now = {self._disks[number].node: self._disks[number] for number in world[0]}
        formed = [(disk.cluster, disk.promise) for disk in now.values() if disk.cluster]
        for cluster, initial in formed:
            assert initial is not None
            for member in initial.ids:
                other = now[member]
                if other.cluster != cluster and (other.cluster or other.promise != initial):
                    raise Split(f"{initial} exists, but node {member} has {other.cluster or other.promise}")
        if formed:
            self.formed.add(frozenset(cluster for cluster, _ in formed))


class AutomaticExplorer(FactExplorer):
    """The same where nodes propose by themselves: each of the INITs is a node and the others that it sees.

    Who is asked to promise sees all the others, or none of them.
    """

    def __init__(self, count: int, views: Sequence[Init], min_nodes: int) -> None:
        super().__init__(count, views, doubles=count < 4)
        self._automatic = Automatic(min_nodes, 0)

    def _carry_out(
        self, disk: Identity, wish: int, words: Sequence[Sequence[Heard]], proposals: Sequence[InitialCluster]
    ) -> Iterator[Identity]:
        views = [self.inits[wish][1]] if wish >= 0 else [(), tuple(self.ids)]
        for view in views:
            machine = Formation(
                disk,
                candidate(disk.node).addr,
                new_id=lambda: f"{disk.node:02x}{disk.proposed:02x}" * 8,
                automatic=self._automatic if wish >= 0 else None,
            )
            for id in view:
                if id != disk.node:
                    machine.met(candidate(id), "")
            machine.start()
            proposed: list[list[Heard]] = [[(), ((int(each.proposer[:2], 16), Propose(each)),)] for each in proposals]
            yield from self._hear(Local(machine), [*words, *proposed])
