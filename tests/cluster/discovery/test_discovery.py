"""Real multicast, on this machine alone."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable

from qcore.cluster.discovery.discovery import Discovery
from qcore.cluster.discovery.interfaces import Interface, here
from qcore.cluster.discovery.records import Announcement, Sighting
from tests.process import DEADLINE


class Heard:
    """What a discovery says; `mine` tells its test from others that run at the same time."""

    def __init__(self) -> None:
        self.announcements: list[tuple[str, str]] = []
        self.sightings: dict[str, Sighting] = {}
        self.problems: list[str] = []
        self._changed = threading.Condition()

    def announced(self, instance: str, address: str) -> None:
        self._note(lambda: self.announcements.append((instance, address)))

    def sighted(self, sighting: Sighting) -> None:
        self._note(lambda: self.sightings.update({sighting.name: sighting}))

    def withdrawn(self, name: str) -> None:
        self._note(lambda: self.sightings.pop(name, None))

    def discovery_failed(self, problem: str) -> None:
        self._note(lambda: self.problems.append(problem))

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        with self._changed:
            assert self._changed.wait_for(condition, end - time.monotonic()), (self.sightings, self.problems)

    def of(self, mine: str) -> dict[int, Sighting]:
        return {each.id: each for each in self.sightings.values() if each.secrets == (mine,)}

    def _note(self, change: Callable[[], object]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()


def announcement(id: int, mine: str, port: int) -> Announcement:
    return Announcement(id=id, port=port, version="1", cluster="", state="blank", secrets=(mine,))


def test_nodes_hear_of_each_other_of_changes_and_of_the_end() -> None:
    mine = secrets.token_hex(4)
    one, two = Heard(), Heard()
    first = Discovery(announcement(71, mine, 7001), "127.0.0.1", "127.0.0.1", one)
    second = Discovery(announcement(72, mine, 7002), "127.0.0.1", "127.0.0.1", two)
    first.start()
    second.start()
    try:
        one.until(lambda: 72 in one.of(mine))
        two.until(lambda: 71 in two.of(mine))
        assert one.of(mine)[72].addresses == ("127.0.0.1:7002",)
        one.until(lambda: bool(one.announcements))
        assert one.announcements == [("qcore-node-71", "127.0.0.1:7001")]
        first.announce("ab" * 16, "member")
        two.until(lambda: two.of(mine)[71].cluster == "ab" * 16)
        assert second.stop(DEADLINE)
        one.until(lambda: 72 not in one.of(mine))
    finally:
        assert first.stop(DEADLINE)
        assert second.stop(DEADLINE)


def test_a_name_that_another_node_has_gets_a_number() -> None:
    mine, other = secrets.token_hex(4), secrets.token_hex(4)
    one, two = Heard(), Heard()
    first = Discovery(announcement(73, mine, 7003), "127.0.0.1", "127.0.0.1", one)
    second = Discovery(announcement(73, other, 7004), "127.0.0.1", "127.0.0.1", two)
    first.start()
    try:
        one.until(lambda: bool(one.announcements))
        second.start()
        one.until(lambda: 73 in one.of(other) and 73 in one.of(mine))
        assert one.of(other)[73].addresses == ("127.0.0.1:7004",)
        assert one.of(mine)[73].addresses == ("127.0.0.1:7003",)
    finally:
        assert first.stop(DEADLINE)
        assert second.stop(DEADLINE)


def test_without_a_network_it_says_so_once_and_is_found_when_there_is_one() -> None:
    mine, heard = secrets.token_hex(4), Heard()
    interfaces: list[Interface] = []
    tries = threading.Semaphore(0)

    def found() -> list[Interface]:
        tries.release()
        return interfaces

    discovery = Discovery(announcement(74, mine, 7005), "127.0.0.1", "127.0.0.1", heard, found)
    discovery.start()
    try:
        heard.until(lambda: bool(heard.problems))
        interfaces = here()
        discovery.announce("", "blank")  # looks again at once
        heard.until(lambda: 74 in heard.of(mine))
        assert heard.problems == ["no network interface has the address 127.0.0.1"]
    finally:
        assert discovery.stop(DEADLINE)


def test_a_discovery_that_never_began_ends() -> None:
    assert Discovery(announcement(75, "", 7006), "127.0.0.1", "127.0.0.1", Heard()).stop(DEADLINE)
