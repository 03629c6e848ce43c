from __future__ import annotations

import pytest

from qcore.model.api import METHODS, Method
from qcore.model.requests.cluster import ClusterStatus
from qcore.server.calls import Call
from qcore.server.witness.service import WitnessService
from tests.server.test_router import House

ANSWERED = {"ping", "info", "machine", "clients", "slowlog", "cluster.status"}


class _Params:
    consistency = "local"
    min_revision = 10**9
    since = epoch = cursor = None
    filter = None
    commands: tuple[()] = ()


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
async def test_what_needs_a_state_is_sent_elsewhere_at_once(method: Method) -> None:
    house = House()
    params = ClusterStatus() if method.name == "cluster.status" else _Params()
    call = Call(house, b"1", method.name, params, 7.0, 0)
    WitnessService(3, house.router).submit(call)
    if method.name in ANSWERED:
        assert house.carried_out == [(method.route, call)]
    else:
        assert house.carried_out == []
        error = house.answers[0]["error"]
        assert error["data"]["elsewhere"] is True
        assert error["data"].get("applied", "no") == "no"
        assert "node 3 is a witness" in error["message"]
