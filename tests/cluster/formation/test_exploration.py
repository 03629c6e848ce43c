"""No two clusters, whatever happens to messages and nodes; and one cluster, where nothing happens to them."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import pytest

from qcore.cluster.formation.automatic import Automatic
from qcore.cluster.formation.machine import Formation
from qcore.cluster.formation.messages import Message, Save, Standing
from qcore.cluster.formation.seen_nodes import SeenNodes
from qcore.disk.identity import Identity
from qcore.model.initial_cluster import Candidate, InitialCluster
from tests.cluster.formation.explorer import Explorer, Init, Split
from tests.cluster.formation.facts import AutomaticExplorer, FactExplorer

ALL: tuple[int, ...] = ()


@pytest.mark.parametrize("inits", [[(1, ALL)], [(1, ALL), (2, ALL)]])
def test_two_nodes_never_form_two_clusters_in_any_order_of_messages_writes_and_crashes(inits: list[Init]) -> None:
    explorer = Explorer(2, inits, 1, stepwise=True, answered=len(inits) > 1)
    worlds = sum(1 for _ in explorer.reachable())
    assert worlds > 1000
    assert len(explorer.formed) == len(inits)  # each of them may be the one


@pytest.mark.parametrize(
    ("count", "inits"),
    [
        (2, [(1, ALL), (2, ALL)]),
        (3, [(1, ALL), (2, ALL)]),
        (3, [(2, ALL), (3, ALL)]),
        (3, [(1, (1, 2)), (3, (2, 3))]),
        (3, [(1, (1, 2, 3)), (2, (2, 3))]),
        (3, [(1, ALL), (2, ALL), (3, ALL)]),
        (3, [(1, ALL), (1, (1, 2)), (2, (2, 3))]),
        (4, [(1, (1, 2, 3)), (4, (2, 3, 4))]),
        (4, [(1, (1, 2)), (3, (2, 3, 4))]),
        (4, [(1, ALL), (4, (3, 4))]),
        (4, [(1, ALL), (4, ALL)]),
        (4, [(2, ALL), (3, (1, 3, 4))]),
    ],
)
def test_nodes_that_crash_at_every_step_never_form_two_clusters(count: int, inits: list[Init]) -> None:
    explorer = FactExplorer(count, inits, doubles=count < 4)
    explorer.explore()
    assert len(explorer.formed) >= 2
    assert all(len(clusters) == 1 for clusters in explorer.formed)


def test_two_clusters_of_different_nodes_may_be_what_the_operator_wants() -> None:
    explorer = FactExplorer(4, [(1, (1, 2)), (4, (3, 4))])
    explorer.explore()
    assert max(len(clusters) for clusters in explorer.formed) == 2


def walk(explorer: Explorer, chance: random.Random, steps: int) -> Any:
    world = explorer.start()
    for _ in range(steps):
        following = list(explorer.after(world))
        if not following:
            break
        world = chance.choice(following)
        explorer.check(world)
    return world


@pytest.mark.parametrize(
    ("count", "inits"),
    [
        (2, [(1, ALL), (2, ALL)]),
        (3, [(1, ALL), (3, ALL)]),
        (4, [(2, ALL), (3, ALL)]),
        (4, [(1, (1, 2, 3)), (4, (2, 3, 4))]),
    ],
)
@pytest.mark.parametrize("crashes", [0, 3])
def test_whatever_happened_it_ends_once_nothing_happens_any_more(count: int, inits: list[Init], crashes: int) -> None:
    explorer = Explorer(count, inits, crashes, stepwise=True, answered=True)
    chance = random.Random(count * 10 + crashes)
    for steps in itertools.chain.from_iterable([range(0, 60, 2)] * 4):
        world = walk(explorer, chance, steps)
        given = world[2]
        settled = explorer.settle(world)
        explorer.check(settled)
        disks = explorer.disks(settled)
        assert all(disk.cluster or disk.promise is None for disk in disks), disks
        if given and not crashes:
            assert any(disk.cluster for disk in disks)


# -- without an operator -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "min_nodes", "views"),
    [
        (3, 2, [(1, (2,)), (2, (3,))]),
        (3, 2, [(1, (2,)), (1, (3,)), (2, (3,))]),
        (3, 2, [(1, (2, 3)), (2, (3,))]),
        (3, 2, [(1, (2,)), (1, (3,)), (1, (2, 3)), (2, (3,))]),
        (3, 3, [(1, (2, 3))]),
        (4, 3, [(1, (2, 3)), (2, (3, 4))]),
        (4, 3, [(1, (2, 4)), (2, (3, 4))]),
        (4, 3, [(1, (2, 3, 4)), (2, (3, 4))]),
        (4, 3, [(1, (2, 3)), (1, (3, 4)), (2, (3, 4))]),
    ],
)
def test_nodes_that_see_only_some_of_the_others_never_form_two_clusters(
    count: int, min_nodes: int, views: list[Init]
) -> None:
    explorer = AutomaticExplorer(count, views, min_nodes)
    explorer.explore()
    assert explorer.formed
    assert all(len(clusters) == 1 for clusters in explorer.formed)


def test_half_of_the_nodes_are_not_enough_for_min_nodes() -> None:
    explorer = AutomaticExplorer(4, [(1, (2,)), (3, (4,))], 2)
    explorer.explore()
    assert max(len(clusters) for clusters in explorer.formed) == 2


def test_two_nodes_form_one_cluster_by_themselves_in_any_order_of_messages_writes_and_crashes() -> None:
    make = functools.partial(Formation, automatic=Automatic(2, 1))
    explorer = Explorer(2, [], 1, stepwise=True, make=make, proposals=2)
    worlds = sum(1 for _ in explorer.reachable())
    assert worlds > 100
    assert len(explorer.formed) == 1


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("crashes", [0, 3])
def test_without_an_operator_it_ends_in_one_cluster_of_all(count: int, crashes: int) -> None:
    make = functools.partial(Formation, automatic=Automatic(count, 2))
    explorer = Explorer(count, [], crashes, stepwise=True, make=make)
    chance = random.Random(count * 10 + crashes)
    for steps in range(0, 60, 3):
        settled = explorer.settle(walk(explorer, chance, steps))
        explorer.check(settled)
        clusters = {disk.cluster for disk in explorer.disks(settled)}
        assert len(clusters) == 1
        assert "" not in clusters


# -- a machine that does something else is found out ---------------------------------------------------------


class Forgets(Formation):
    """Does not go on with a promise after a restart."""

    def __init__(self, identity: Identity, addr: str, peers: Collection[str] = (), **options: Any) -> None:
        super().__init__(msgspec.structs.replace(identity, promise=None), addr, peers, **options)


class Expires(Formation):
    """Gives a promise up that was not kept for a while."""

    def tick(self) -> None:
        super().tick()
        if self._saving is None and self.identity.promise is not None and not self.identity.cluster:
            self._saving = self._changed(promise=None)
            self.actions.append(Save(self._saving))


class Hurries(Formation):
    """Says what it promises before that is on its disk."""

    def receive(self, sender: Candidate, message: Message) -> None:
        super().receive(sender, message)
        if self._saving is not None:
            self._send(sender.node, Standing(promise=self._saving.promise))


class Switches(Formation):
    """Drops its promise for a better one."""

    def _decide_on(self, promise: InitialCluster) -> Identity | None:
        better = [each for each in self._proposals.open(self.identity.refused) if each.rank < promise.rank]
        return self._changed(promise=better[0]) if better else super()._decide_on(promise)


class Repents(Formation):
    """Refuses what it has promised, because another proposal came."""

    def _decide_on(self, promise: InitialCluster) -> Identity | None:
        others = [each for each in self._proposals.open(self.identity.refused) if each.proposer != promise.proposer]
        if others and promise.rank > others[0].rank:
            return self._changed(promise=None, refused=self._with_refused(promise))
        return super()._decide_on(promise)


class _MostAreEnough(SeenNodes):
    def without_promise(self, initial: InitialCluster, own: Candidate) -> list[Candidate]:
        missing = super().without_promise(initial, own)
        return missing if len(missing) * 2 >= len(initial.members) else []


class _AnotherPromiseIsARefusal(SeenNodes):
    def refusal(self, initial: InitialCluster, own: Candidate) -> str:
        said = [seen for _, seen in self._members(initial, own) if seen is not None]
        other = any(seen.promise not in (None, initial) for seen in said)
        return "another promise" if other else super().refusal(initial, own)


class CountsTheMost(Formation):
    """Forms a cluster with most of the promises."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen = _MostAreEnough()


class GivesUp(Formation):
    """Drops a promise because another node has made another one, which it may yet drop itself."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen = _AnotherPromiseIsARefusal()


def _stepwise(make: Callable[..., Formation], inits: Sequence[Init]) -> None:
    for _ in Explorer(2, inits, 1, stepwise=True, answered=True, make=make).reachable(100_000):
        pass


@pytest.mark.parametrize("variant", [Forgets, Expires, Hurries])
def test_a_variant_that_can_split_is_found_out_with_two_nodes(variant: type[Formation]) -> None:
    with pytest.raises(Split):
        _stepwise(variant, [(1, ALL), (2, ALL)])


@pytest.mark.parametrize("variant", [Switches, Repents, CountsTheMost, GivesUp])
def test_a_variant_that_can_split_is_found_out_with_more_nodes(variant: type[Formation]) -> None:
    with pytest.raises(Split):  # noqa: PT012 - one of the two shows it
        FactExplorer(4, [(1, (1, 2)), (3, (2, 3, 4))], variant).explore()
        FactExplorer(3, [(1, ALL), (2, ALL), (3, ALL)], variant).explore()
