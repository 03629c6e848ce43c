"""Keep-alive: who is pinged, who is given up, and who is not."""

from __future__ import annotations

import asyncio

import pytest

from qcore.server.front.keep_alive import KeepAlive
from tests.server.running import until


class Wire:
    """A connection to a client that answers each ping, as long as `answers` says so."""

    def __init__(self, *, answers: bool = True, reading: bool = True) -> None:
        self.answers = answers
        self.reading = reading
        self.pings = 0
        self.given_up = False
        self._heard = asyncio.get_running_loop().time()

    def last_heard(self) -> float:
        return self._heard

    def is_reading(self) -> bool:
        return self.reading

    def ping(self) -> None:
        self.pings += 1
        if self.answers:
            asyncio.get_running_loop().call_soon(self.hear)

    def hear(self) -> None:
        self._heard = asyncio.get_running_loop().time()

    def give_up(self) -> None:
        self.given_up = True


async def test_a_silent_client_that_answers_is_pinged_again_and_again() -> None:
    wire = Wire()
    looking = KeepAlive(wire, 0.001, 10.0)
    looking._timeout = 0.001
    looking.start()
    await until(lambda: wire.pings >= 3)
    looking.stop()
    assert not wire.given_up


async def test_a_client_that_does_not_answer_is_given_up() -> None:
    wire = Wire(answers=False)
    KeepAlive(wire, 0.001, 0.001).start()
    await until(lambda: wire.given_up)
    assert wire.pings == 1


async def test_a_client_whose_pongs_are_not_read_is_not_given_up() -> None:
    wire = Wire(answers=False)
    looking = KeepAlive(wire, 0.001, 0.001)
    looking.start()
    await until(lambda: wire.pings)
    wire.reading = False
    checked = asyncio.get_running_loop().time() + 0.02
    await until(lambda: asyncio.get_running_loop().time() > checked)
    assert not wire.given_up
    wire.reading = True
    await until(lambda: wire.given_up)


@pytest.mark.parametrize("answers", [True, False])
async def test_once_stopped_it_looks_no_more(answers: bool) -> None:
    wire, other = Wire(answers=answers), Wire(answers=False)
    looking = KeepAlive(wire, 0.001, 0.001)
    looking.start()
    looking.stop()
    KeepAlive(other, 0.002, 0.001).start()
    await until(lambda: other.given_up)
    assert (wire.pings, wire.given_up) == (0, False)
