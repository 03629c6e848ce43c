"""The router: each call reaches the handler its method's record names, and no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast, get_args

import pytest

from qcore.engine.base import BarrierDone, Engine
from qcore.model.api import METHODS, Method, Route
from qcore.model.requests.compound import Pipeline
from qcore.model.requests.queries import Find, Get
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.operations.clients import ConnectedClients
from qcore.server.operations.request_counts import RequestCounts
from qcore.server.operations.slow_requests import SlowRequests
from qcore.server.reads.filters import Filters
from qcore.server.router import Router
from qcore.server.runtime.scheduler import Scheduler
from qcore.store.state.state import State


class Applied:
    """An engine that answers every read barrier at once."""

    def read_barrier(self, done: BarrierDone, deadline: float, lease: bool = False) -> None:
        done(-1, None)


class House:
    """A router whose handlers note the calls they get."""

    def __init__(self) -> None:
        state = State()
        self.carried_out: list[tuple[Route, Call]] = []
        self.answers: list[Any] = []
        handlers = {route: self.handler(route) for route in get_args(Route)}
        self.gone: list[Client] = []
        self.scheduler = Scheduler()
        counts = RequestCounts(SlowRequests(3600.0), lambda then: None)
        self.router = Router(
            state,
            cast(Engine, Applied()),
            self.scheduler,
            Filters(state),
            10,
            counts,
            ConnectedClients(),
            self.gone.append,
            handlers,
        )

    def handler(self, route: Route) -> Callable[[Call], None]:
        return lambda call: self.carried_out.append((route, call))

    def submit(self, spec: Method, params: Any, route: Route | None = None) -> Call:
        call = Call(self, b"1", spec.name, params, 7.0, 0)
        if route is not None:
            call.route, call.writes = route, False
        self.router.submit(call)
        return call

    def answered(self, call: Call, text: bytes | None) -> None:
        self.answers.append(json.loads(text or b"null"))

    async def until_answered_or_carried_out(self) -> None:
        async with asyncio.timeout(30):
            while not (self.answers or self.carried_out):
                await asyncio.sleep(0.001)


@pytest.fixture
def house() -> House:
    return House()


class _Params:
    """Stands for the params of any method, with nothing to wait for."""

    consistency = "local"
    min_revision = 0
    since = epoch = cursor = None
    filter = None
    commands: tuple[()] = ()


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
async def test_a_call_is_carried_out_by_the_handler_its_method_names(house: House, method: Method) -> None:
    call = house.submit(method, _Params())
    assert house.carried_out == [(method.route, call)]
    assert house.router.last_call == 7.0


async def test_a_dry_run_is_carried_out_as_a_read(house: House) -> None:
    call = house.submit(METHODS["schema.set"], _Params(), METHODS["schema.set"].dry_run)
    assert house.carried_out == [("read", call)]


async def test_a_read_is_carried_out_once_its_filter_is_parsed(house: House) -> None:
    call = house.submit(METHODS["find"], Find("Thing", filter="Count > 1"))
    assert house.carried_out == []
    await house.until_answered_or_carried_out()
    assert house.carried_out == [("read", call)]


async def test_a_read_whose_filter_cannot_be_parsed_is_answered_with_the_error(house: House) -> None:
    house.submit(METHODS["find"], Find("Thing", filter="Count >"))
    await house.until_answered_or_carried_out()
    assert house.carried_out == []
    assert [answer["error"]["data"]["kind"] for answer in house.answers] == ["bad_filter"]


async def test_a_pipeline_with_a_bad_filter_is_carried_out_all_the_same(house: House) -> None:
    call = house.submit(METHODS["pipeline"], Pipeline([Find("Thing", filter="Count >")]))
    await house.until_answered_or_carried_out()
    assert house.carried_out == [("write", call)]


async def test_a_stopping_node_refuses_calls_and_those_whose_filter_was_being_parsed(house: House) -> None:
    house.submit(METHODS["find"], Find("Thing", filter="Count > 2"))
    house.router.stop()
    house.submit(METHODS["get"], Get(1))
    await house.until_answered_or_carried_out()
    async with asyncio.timeout(30):
        while len(house.answers) < 2:
            await asyncio.sleep(0.001)
    assert [answer["error"]["data"] for answer in house.answers] == [
        {"kind": "busy", "applied": "no", "elsewhere": True}
    ] * 2
    assert house.carried_out == []
