from __future__ import annotations

from collections.abc import Iterable

from qcore.cluster import budgets
from qcore.cluster.discovery.records import Sighting
from qcore.server.peers.finding import FoundNodes


class Dialled:
    """The addresses that are dialled now, and how often they were named."""

    def __init__(self, *secrets: str) -> None:
        self.now: list[str] = []
        self.times = 0
        self.found = FoundNodes(1, secrets, self.dial)

    def dial(self, addresses: Iterable[str]) -> None:
        self.now, self.times = list(addresses), self.times + 1


def sighting(name: str, *addresses: str, secret: str = "s") -> Sighting:
    return Sighting(name, 2, addresses, "", (secret,))


def test_all_addresses_of_all_nodes_are_dialled_as_long_as_they_are_announced() -> None:
    nodes = Dialled("s")
    nodes.found.sighted(sighting("a", "10.0.0.2:1", "[fd00::2]:1"))
    nodes.found.sighted(sighting("b", "10.0.0.3:1"))
    assert nodes.now == ["10.0.0.2:1", "[fd00::2]:1", "10.0.0.3:1"]
    nodes.found.sighted(sighting("a", "10.0.0.4:1"))
    assert nodes.now == ["10.0.0.4:1", "10.0.0.3:1"]
    nodes.found.withdrawn("a")
    assert nodes.now == ["10.0.0.3:1"]


def test_what_is_known_already_is_no_news() -> None:
    nodes = Dialled("s")
    for _ in range(3):
        nodes.found.sighted(sighting("a", "10.0.0.2:1"))
    nodes.found.withdrawn("unknown")
    assert nodes.times == 1


def test_a_node_of_another_secret_is_not_dialled_until_it_takes_this_one() -> None:
    nodes = Dialled("s", "new")
    nodes.found.sighted(sighting("a", "10.0.0.2:1", secret="other"))
    assert nodes.now == []
    nodes.found.sighted(sighting("a", "10.0.0.2:1", secret="new"))
    assert nodes.now == ["10.0.0.2:1"]


def test_a_flood_of_services_is_bounded() -> None:
    nodes = Dialled("s")
    for number in range(budgets.SIGHTINGS + 10):
        nodes.found.sighted(sighting(str(number), f"10.0.0.2:{number + 1}"))
    assert len(nodes.now) == budgets.SIGHTINGS
