"""Pipelines and transactions as they come in: each step is read as the request it is."""

from __future__ import annotations

from typing import Any

import pytest

from qcore.model.api import read_params
from qcore.model.entry import EntryBody
from qcore.model.errors import BadParams, BadValue, RequestError, TooLarge, UnknownMethod
from qcore.model.requests.commands import Create, SetFields
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.requests.queries import Get
from qcore.model.wire import decode_json, encode_json


def read(method: str, **params: Any) -> Any:
    return read_params(method, encode_json(params), 3)


def step(method: str, **params: Any) -> dict[str, Any]:
    return {"method": method, "params": params}


def test_steps_become_the_records_of_their_methods() -> None:
    steps = [step("create", type="A", name="a"), {"method": "get", "params": [1, ["Name"]]}]
    assert read("pipeline", commands=steps) == Pipeline([Create("A", "a"), Get(1, ["Name"])])


def test_a_transaction_has_conditions_and_is_numbered_as_a_whole() -> None:
    params = {"commands": [step("set", id=1, field="A", value=2)], "conditions": [{"id": 1, "exists": True}]}
    found = read("transaction", **params, session=4, seq=2, acked=1, timeout=3)
    assert found == Transaction(
        [SetFields(1, "A", 2)], [Condition(1, exists=True)], session=4, seq=2, acked=1, timeout=3.0
    )


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("pipeline", {}, BadParams),
        ("pipeline", {"commands": [step("ping")] * 4}, TooLarge),
        ("pipeline", {"commands": [step("ping")]}, UnknownMethod),
        ("pipeline", {"commands": [step("pipeline", commands=[])]}, UnknownMethod),
        ("pipeline", {"commands": [step("session.open")]}, UnknownMethod),
        ("pipeline", {"commands": [step("get")]}, BadParams),
        ("pipeline", {"commands": [step("delete", id=1, session=3, seq=1)]}, BadParams),
        ("pipeline", {"commands": [], "conditions": [{"id": 1, "exists": True}]}, BadParams),
        ("pipeline", {"commands": [step("set", id=1, field="A", value=[[1]])]}, BadValue),
        ("transaction", {"commands": [], "conditions": [{"id": 1, "field": "A", "op": "~", "value": 1}]}, BadParams),
        ("transaction", {"commands": [], "conditions": [{"id": 1, "exists": True}] * 4}, TooLarge),
        ("transaction", {"commands": [], "conditions": [{"id": 1, "field": "A", "op": "==", "value": [[]]}]}, BadValue),
    ],
)
def test_what_cannot_stand_there_is_refused(method: str, params: dict[str, Any], error: type[RequestError]) -> None:
    with pytest.raises(error):
        read(method, **params)


def test_an_error_in_a_step_names_its_number() -> None:
    with pytest.raises(BadParams, match="command 2: "):
        read("pipeline", commands=[step("get", id=1), step("get")])


def test_the_log_holds_the_typed_steps() -> None:
    command = Transaction([Create("A", "a"), Get(1)], [Condition(1, "A", "==", 2)])
    body = EntryBody(1, 2, "commands", [command])
    raw = encode_json(body)
    assert decode_json(raw)["commands"][0]["commands"][0] == {"method": "create", "type": "A", "name": "a"}
