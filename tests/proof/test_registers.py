from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proof.histories import operation, simulated_registers
from tests.proof.history import Operation, Step
from tests.proof.registers import check_register

KEY = "register:0"


def read(client: int, begin: int, end: int, result: int) -> Operation:
    return operation(client, begin, end, Step("read", KEY, result=result))


def write(client: int, begin: int, end: int | None, value: int) -> Operation:
    return operation(client, begin, end, Step("write", KEY, value))


def cas(client: int, begin: int, end: int | None, expected: int, value: int) -> Operation:
    return operation(client, begin, end, Step("cas", KEY, value, expected))


def conflict(client: int, begin: int, end: int, expected: int, found: int | None) -> Operation:
    step = Step("cas", KEY, 99, expected, found)
    return operation(client, begin, end, step, outcome="failed", error="conflict")


def add(client: int, begin: int, end: int | None, value: int) -> Operation:
    return operation(client, begin, end, Step("add", KEY, value))


def verdict(*operations: Operation) -> str | None:
    return check_register(KEY, operations, 0)


LEGAL = {
    "nothing": [],
    "the first value": [read(1, 1, 2, 0)],
    "a concurrent write, seen": [write(1, 1, 4, 7), read(2, 2, 3, 7)],
    "a concurrent write, not yet seen": [write(1, 1, 4, 7), read(2, 2, 3, 0)],
    "concurrent writes in either order": [write(1, 1, 4, 7), write(2, 1, 4, 8), read(1, 5, 6, 7)],
    "an unknown write that came": [write(1, 1, None, 7), read(2, 5, 6, 0), read(2, 7, 8, 7)],
    "an unknown write that never came": [write(1, 1, None, 7), read(2, 5, 6, 0)],
    "an unknown write that comes late": [write(1, 1, None, 7), write(2, 2, 3, 8), read(2, 4, 5, 8), read(2, 6, 7, 7)],
    "an unknown compare-and-set between": [
        write(1, 1, 2, 7),
        cas(1, 3, None, 7, 8),
        write(2, 4, 9, 9),
        read(3, 5, 6, 8),
    ],
    "a conflict that tells what is there": [write(1, 1, 2, 7), conflict(1, 3, 4, 0, 7)],
    "a conflict that tells nothing": [write(1, 1, 2, 7), conflict(1, 3, 4, 0, None)],
    "a conflict explained by an unknown write": [write(1, 1, None, 7), conflict(2, 3, 4, 0, None), read(2, 5, 6, 7)],
    "sums": [add(1, 1, 4, 1), add(2, 1, 4, 1), read(1, 2, 3, 1), read(1, 5, 6, 2)],
    "an unknown write and a sum": [
        add(1, 1, None, 1),
        read(2, 1, 2, 0),
        write(3, 1, None, 1),
        read(4, 1, 2, 2),
    ],
    "an unknown sum": [add(1, 1, None, 1), add(2, 1, 2, 1), read(2, 3, 4, 1), read(2, 5, 6, 2)],
}

ILLEGAL = {
    "a stale read": [write(1, 1, 2, 7), write(1, 3, 4, 8), read(2, 5, 6, 7)],
    "a lost write": [write(1, 1, 2, 7), read(2, 3, 4, 0)],
    "a read back in time": [write(1, 1, 9, 7), read(2, 2, 3, 7), read(3, 4, 5, 0)],
    "a value from nowhere": [read(1, 1, 2, 5)],
    "a read of a failed write": [
        operation(1, 1, 2, Step("write", KEY, 7), outcome="failed", error="no_quorum"),
        read(2, 3, 4, 7),
    ],
    "a write that came twice": [write(1, 1, 2, 7), write(1, 3, 4, 8), read(2, 5, 6, 8), read(2, 7, 8, 7)],
    "an unknown write that came twice": [
        write(1, 1, None, 7),
        read(2, 3, 4, 7),
        write(2, 5, 6, 8),
        read(2, 7, 8, 8),
        read(2, 9, 10, 7),
    ],
    "a sum that came twice": [add(1, 1, 2, 1), read(2, 3, 4, 2)],
    "a lost sum": [add(1, 1, 2, 1), add(1, 3, 4, 1), read(2, 5, 6, 1)],
    "a compare-and-set that could not hold": [write(1, 1, 2, 7), cas(2, 3, 4, 0, 8)],
    "two that took the same place": [cas(1, 1, 4, 0, 7), cas(2, 1, 4, 0, 8)],
    "a conflict without reason": [write(1, 1, 2, 7), conflict(1, 3, 4, 7, None)],
    "a conflict that found what it expected": [write(1, 1, 2, 7), conflict(1, 3, 4, 7, 7)],
    "an unknown write before it was invoked": [read(2, 1, 2, 7), write(1, 3, None, 7)],
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_has_an_explanation_is_accepted(name: str) -> None:
    assert verdict(*LEGAL[name]) is None


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_has_none_is_reported(name: str) -> None:
    assert verdict(*ILLEGAL[name]) is not None


def test_the_report_names_the_operations() -> None:
    report = verdict(write(1, 1, 2, 7), write(1, 3, 4, 8), read(2, 5, 6, 7))
    assert report is not None
    assert "after" not in report.splitlines()[0]
    assert "client 1 [0.000000 0.000000] write register:0 8 (ok)" in report
    assert "client 2 [0.000000 0.000000] read register:0 -> 7 (ok)" in report


def test_other_keys_and_other_steps_of_an_operation_do_not_matter() -> None:
    both = operation(1, 1, 2, Step("add", KEY, 1), Step("add", "register:1", -1))
    assert verdict(both, read(1, 3, 4, 1), operation(1, 5, 6, Step("read", "register:1", result=77))) is None


def explained(operations: list[Operation]) -> bool:
    """The definition, tried by hand: some of the unknown ones and all others, in some order that respects time."""
    unknown = [op for op in operations if op.outcome == "unknown" and op.writes]
    known = [op for op in operations if op.outcome == "ok" or op.error == "conflict"]
    return any(
        respects_time(order) and replays(order)
        for count in range(len(unknown) + 1)
        for chosen in itertools.combinations(unknown, count)
        for order in itertools.permutations([*known, *chosen])
    )


def respects_time(order: tuple[Operation, ...]) -> bool:
    return all(before.invoked <= (after.returned or math.inf) for before, after in itertools.combinations(order, 2))


def replays(order: tuple[Operation, ...]) -> bool:
    now = 0
    for op in order:
        (step,) = op.steps
        if step.kind == "read":
            right = step.result == now
        elif op.error == "conflict":
            right = step.expected != now and step.result in (None, now)
        else:
            right = step.kind != "cas" or step.expected == now
            now = now + step.value if step.kind == "add" else step.value
        if not right:
            return False
    return True


@st.composite
def small_histories(draw: Any, distinct: bool, kinds: list[str]) -> list[Operation]:
    found = []
    for number in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, 12))
        end = draw(st.one_of(st.none(), st.integers(begin + 1, begin + 6)))
        kind = draw(st.sampled_from(kinds))
        value = number + 1 if distinct else draw(st.integers(0, 2))
        other = draw(st.integers(0, 3))
        match kind:
            case "read":
                found.append(read(number, begin, end or begin + 1, other))
            case "conflict":
                found.append(conflict(number, begin, end or begin + 1, other, draw(st.sampled_from([None, 0, 1, 2]))))
            case "cas":
                found.append(cas(number, begin, end, other, value))
            case "write":
                found.append(write(number, begin, end, value))
            case _:
                found.append(add(number, begin, end, value))
    return found


KINDS = ["read", "write", "cas", "conflict"]
ANY_KINDS = st.sampled_from([KINDS[:2], KINDS[:3], KINDS, ["read", "add"], ["read", "add", "write"]])


@settings(max_examples=300)
@given(st.booleans().flatmap(lambda distinct: ANY_KINDS.flatmap(lambda kinds: small_histories(distinct, kinds))))
def test_the_search_agrees_with_the_definition(operations: list[Operation]) -> None:
    assert (verdict(*operations) is None) == explained(operations)


def check_all(operations: list[Operation], keys: int) -> list[str]:
    found = (check_register(f"register:{number}", operations, 0) for number in range(keys))
    return [report for report in found if report is not None]


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([1, 3, 10]), st.sampled_from([0.0, 0.02, 0.3]))
def test_whatever_a_linearizable_store_answers_is_accepted(seed: int, keys: int, unknown: float) -> None:
    assert check_all(simulated_registers(seed, 300, keys=keys, unknown=unknown), keys) == []


def overwritten(operations: list[Operation], reader: Operation) -> list[Any]:
    """The values that were overwritten, beyond doubt, before this read was invoked."""
    key = reader.steps[0].key
    writes = [op for op in operations if op.steps[0].kind == "write" and op.steps[0].key == key and op.returned]
    gone = [new.invoked for new in writes if new.returned is not None and new.returned < reader.invoked]
    return [old.steps[0].value for old in writes if old.returned is not None and old.returned < max(gone, default=0)]


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.data())
def test_one_old_value_among_hundreds_of_answers_is_found(seed: int, data: st.DataObject) -> None:
    operations = simulated_registers(seed, 300, keys=3, unknown=0.0)
    readers = [op for op in operations if op.steps[0].kind == "read" and overwritten(operations, op)]
    reader = data.draw(st.sampled_from(readers))
    reader.steps[0].result = data.draw(st.sampled_from(overwritten(operations, reader)))
    (report,) = check_all(operations, 3)
    assert reader.steps[0].key in report


@pytest.mark.parametrize("keys", [1, 20])
def test_ten_thousand_operations_are_judged(keys: int) -> None:
    assert check_all(simulated_registers(7, 10_000, keys=keys), keys) == []
