"""Leadership handed over by an engine and a gate that the test plays."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.engine.base import ChangeDone, PeerStatus
from qcore.model.entry import Member, Membership
from qcore.model.errors import Forbidden, RequestError
from qcore.server.leadership.transfer import LeadershipTransfer
from tests.disk.samples import Unsynced
from tests.server.fake_engine import OTHER, SELF, FakeEngine
from tests.server.running import until

THIRD = 3 * 65_536
MEMBERSHIP = Membership([[SELF, OTHER, THIRD]], {node: Member(f"n{node}", "00" * 16) for node in (SELF, OTHER, THIRD)})


class House(FakeEngine):
    """The engine, and the gate."""

    def __init__(self, directory: Directory) -> None:
        super().__init__(directory)
        self._leader = 1
        self.peers = PeerStatus(2, True, 0), PeerStatus(3, True, 4)
        self.asked: list[int] = []
        self.dones: list[ChangeDone] = []
        self.gate: list[str] = []
        """What the gate was told."""
        self.transfer_of = LeadershipTransfer(1, self, self, lambda: MEMBERSHIP)

    def transfer(self, node: int, done: ChangeDone) -> None:
        self.asked.append(node)
        self.dones.append(done)

    def hold(self) -> None:
        self.gate.append("hold")

    def release(self) -> None:
        self.gate.append("release")

    def turn_to(self, leader: int | None) -> None:
        self._leader = leader
        self.transfer_of.role_changed()


@pytest.fixture
def house(tmp_path: Path) -> House:
    directory = Directory.open(tmp_path, 1, machine="testbed", files=Unsynced())
    directory.close()
    return House(directory)


def gone() -> RequestError:
    return Forbidden("there is no connection to it")


async def test_writes_are_held_until_the_other_one_leads(house: House) -> None:
    heard: list[RequestError | None] = []
    house.transfer_of.start(OTHER, heard.append)
    assert (house.gate, house.asked, heard) == (["hold"], [OTHER], [])
    house.dones[0](None)
    assert heard == [None]
    assert house.gate == ["hold"]  # following releases them


async def test_writes_go_on_when_the_transfer_fails_and_a_second_one_at_a_time_is_refused(house: House) -> None:
    heard: list[RequestError | None] = []
    house.transfer_of.start(OTHER, heard.append)
    house.transfer_of.start(THIRD, heard.append)
    assert heard[0] is not None
    assert heard[0].kind == "busy"
    assert house.gate == ["hold"]
    house.dones[0](gone())
    assert heard[1] is not None
    assert house.gate == ["hold", "release"]
    house.transfer_of.start(THIRD, heard.append)
    assert house.asked == [OTHER, THIRD]


async def test_it_is_given_to_the_first_that_takes_it(house: House) -> None:
    away = asyncio.create_task(house.transfer_of.give_away(60))
    await until(lambda: house.asked == [OTHER])
    house.dones[0](gone())
    await until(lambda: house.asked == [OTHER, THIRD])
    house.dones[1](None)
    await asyncio.sleep(0)
    assert not away.done()
    house.turn_to(3)
    await away


async def test_when_none_takes_it_writes_go_on_here(house: House) -> None:
    away = asyncio.create_task(house.transfer_of.give_away(60))
    await until(lambda: house.asked == [OTHER])
    house.dones[0](gone())
    await until(lambda: house.asked == [OTHER, THIRD])
    house.dones[1](gone())
    await away
    assert house.gate == ["hold", "release"] * 2


async def test_an_election_that_a_failed_transfer_has_begun_is_waited_for(house: House) -> None:
    away = asyncio.create_task(house.transfer_of.give_away(60))
    await until(lambda: house.asked == [OTHER])
    house.turn_to(None)
    house.dones[0](gone())
    await asyncio.sleep(0)
    assert not away.done()
    house.turn_to(3)
    await away
    assert house.asked == [OTHER]


async def test_it_waits_for_a_transfer_that_is_under_way(house: House) -> None:
    house.transfer_of.start(THIRD, lambda error: None)
    away = asyncio.create_task(house.transfer_of.give_away(60))
    await asyncio.sleep(0)
    house.turn_to(3)
    house.dones[0](None)
    await away
    assert house.asked == [THIRD]


async def test_who_does_not_lead_or_leads_nobody_gives_nothing_away(house: House) -> None:
    for leader, peers in ((2, house.peers), (None, house.peers), (1, ())):
        house._leader, house.peers = leader, peers
        await house.transfer_of.give_away(60)
    assert house.asked == []


async def test_it_ends_by_its_limit_and_with_the_node(house: House) -> None:
    await house.transfer_of.give_away(0.001)
    assert house.asked == [OTHER]
    house.dones[0](gone())
    away = asyncio.create_task(house.transfer_of.give_away(60))
    await until(lambda: len(house.asked) == 2)
    house.transfer_of.abandon()
    await away
