from __future__ import annotations

import json
from itertools import islice
from typing import Any

import msgspec
import pytest

from qcore.model.api import read_params
from qcore_tools.benchmark.messages import Prepare
from qcore_tools.benchmark.workloads import WORKLOADS, delete_frames, text_of

GIVEN = Prepare("", "", 0, 3, 1, 20, "local", 1, "T", "T_New", [7, 8, 9], [4, 5], ["c.a", "c.b"])


def requests(name: str, given: Prepare = GIVEN, client: int = 0) -> list[dict[str, Any]]:
    """The first requests of a test."""
    frames = delete_frames([1, 2]) if name == "DELETE" else WORKLOADS[name].frames(given, client)
    return [json.loads(each[each.index(b"{") :]) for each in islice(frames, 300)]


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_each_test_calls_what_it_says_with_params_that_the_server_reads(name: str) -> None:
    found = requests(name)
    assert {request["method"] for request in found} == set(WORKLOADS[name].methods)
    for request in found:
        read_params(request["method"], msgspec.json.encode(request["params"]), 1)


@pytest.mark.parametrize("name", ["GET", "SET", "MIX"])
def test_the_same_seed_gives_the_same_requests(name: str) -> None:
    assert requests(name) == requests(name)
    assert requests(name) != requests(name, msgspec.structs.replace(GIVEN, seed=2))
    assert requests(name) != requests(name, msgspec.structs.replace(GIVEN, number=1))


@pytest.mark.parametrize("name", ["EXISTS", "GET", "FIND", "FINDPAG", "SEARCH"])
def test_reads_say_how_fresh_they_have_to_be(name: str) -> None:
    assert {request["params"]["consistency"] for request in requests(name)} == {"local"}
    plain = msgspec.structs.replace(GIVEN, consistency="linearizable")
    assert all("consistency" not in request["params"] for request in requests(name, plain))


def test_each_client_listens_to_an_entity_of_its_own() -> None:
    ids = [{request["params"]["id"] for request in requests("LISTEN", client=n)} for n in range(3)]
    assert ids == [{7}, {8}, {9}]


def test_pages_are_read_in_their_order_again_and_again() -> None:
    cursors = [request["params"].get("cursor") for request in requests("FINDPAG")[:6]]
    assert cursors == [None, "c.a", "c.b"] * 2


@pytest.mark.parametrize("size", [0, 1, 5, 100])
def test_a_text_has_the_bytes_that_were_asked_for(size: int) -> None:
    texts = {text_of(size, number) for number in range(16)}
    assert {len(text.encode()) for text in texts} == {size}
    assert len(texts) == (16 if size else 1)
