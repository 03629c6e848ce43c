from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proof.histories import operation, simulated_lists
from tests.proof.history import Operation, Step
from tests.proof.transactions import check_lists


def append(key: str, value: int) -> Step:
    return Step("append", key, value)


def read(key: str, *result: int) -> Step:
    return Step("read", key, result=list(result))


FAILED: dict[str, Any] = {"outcome": "failed", "error": "no_quorum"}

LEGAL = {
    "nothing": [],
    "an empty list": [operation(1, 1, 2, read("x"))],
    "concurrent appends in either order": [
        operation(1, 1, 4, append("x", 1)),
        operation(2, 1, 4, append("x", 2)),
        operation(1, 5, 6, read("x", 2, 1)),
    ],
    "an append seen before it was acknowledged": [
        operation(1, 1, 9, append("x", 1), append("y", 2)),
        operation(2, 2, 3, read("x", 1), read("y", 2)),
    ],
    "own appends": [operation(1, 1, 2, read("x"), append("x", 1), read("x", 1), append("x", 2), read("x", 1, 2))],
    "an unknown one that came, late": [
        operation(1, 1, None, append("x", 1), append("y", 2)),
        operation(2, 3, 4, read("x"), read("y")),
        operation(2, 5, 6, read("x", 1), read("y", 2)),
    ],
    "an unknown one that never came": [operation(1, 1, None, append("x", 1)), operation(2, 3, 4, read("x"))],
    "a failed one": [operation(1, 1, 2, append("x", 1), **FAILED), operation(2, 3, 4, read("x"))],
    "an acknowledged append after the last read": [
        operation(1, 1, 2, append("x", 1)),
        operation(2, 3, 4, read("x", 1)),
        operation(1, 3, 5, append("x", 2)),
    ],
}

ILLEGAL = {
    "a stale read": [
        operation(1, 1, 2, append("x", 1)),
        operation(1, 3, 4, append("x", 2)),
        operation(2, 5, 6, read("x", 1)),
        operation(2, 7, 8, read("x", 1, 2)),
    ],
    "a lost append": [operation(1, 1, 2, append("x", 1)), operation(2, 3, 4, read("x"))],
    "an append lost in the middle": [
        operation(1, 1, 2, append("x", 1)),
        operation(1, 3, 4, append("x", 2)),
        operation(2, 5, 6, read("x", 2)),
    ],
    "a doubled append": [operation(1, 1, 2, append("x", 1)), operation(2, 3, 4, read("x", 1, 1))],
    "a read of a failed transaction": [operation(1, 1, 2, append("x", 1), **FAILED), operation(2, 3, 4, read("x", 1))],
    "an element from nowhere": [operation(2, 3, 4, read("x", 5))],
    "half of a transaction": [
        operation(1, 1, 9, append("x", 1), append("y", 2)),
        operation(2, 2, 3, read("x", 1), read("y")),
        operation(2, 10, 11, read("x", 1), read("y", 2)),
    ],
    "half of an unknown transaction": [
        operation(1, 1, None, append("x", 1), append("y", 2)),
        operation(2, 3, 4, read("x", 1), read("y")),
    ],
    "a state between the steps of a transaction": [
        operation(1, 1, 9, append("x", 1), append("x", 2)),
        operation(2, 2, 3, read("x", 1)),
        operation(2, 10, 11, read("x", 1, 2)),
    ],
    "histories that split": [
        operation(1, 1, 9, append("x", 1)),
        operation(2, 1, 9, append("x", 2)),
        operation(3, 1, 9, read("x", 1)),
        operation(4, 1, 9, read("x", 2)),
    ],
    "orders that contradict each other": [
        operation(1, 1, 9, append("x", 1), append("y", 1)),
        operation(2, 1, 9, append("x", 2), append("y", 2)),
        operation(3, 1, 9, read("x", 1, 2), read("y", 2, 1)),
    ],
    "two that did not see each other": [
        operation(1, 1, 9, read("x"), append("y", 1)),
        operation(2, 1, 9, read("y"), append("x", 1)),
        operation(3, 10, 11, read("x", 1), read("y", 1)),
    ],
    "the appends of one transaction in another order": [
        operation(1, 1, 2, append("x", 1), append("x", 2)),
        operation(2, 3, 4, read("x", 2, 1)),
    ],
    "own appends seen too early": [operation(1, 1, 2, read("x", 1), append("x", 1))],
    "own appends not seen": [operation(1, 1, 2, append("x", 1), read("x"))],
    "two reads of one transaction": [
        operation(1, 1, 2, append("x", 1)),
        operation(2, 1, 9, read("x"), read("x", 1)),
    ],
    "an effect before its cause": [operation(1, 1, 2, read("x", 1)), operation(2, 3, 4, append("x", 1))],
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_has_an_explanation_is_accepted(name: str) -> None:
    assert check_lists(LEGAL[name]) == []


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_has_none_is_reported(name: str) -> None:
    assert check_lists(ILLEGAL[name]) != []


def test_a_cycle_names_the_operations_and_the_reasons() -> None:
    (report,) = check_lists(ILLEGAL["two that did not see each other"])
    assert report.startswith("not serializable")
    assert "read x -> [], append y 1" in report
    assert "it did not see the next one's 1 in x" in report
    (report,) = check_lists(ILLEGAL["a lost append"])
    assert report.startswith("not strictly serializable")
    assert "it did not see the next one's append to x" in report
    assert "it had returned when the next one was invoked" in report


def test_clients_that_append_the_same_twice_are_at_fault_themselves() -> None:
    with pytest.raises(ValueError, match="twice by the clients"):
        check_lists([operation(1, 1, 2, append("x", 1)), operation(1, 3, 4, append("x", 1))])


def explained(operations: list[Operation]) -> bool:
    """The definition, tried by hand: some of the unknown ones and all others, in some order that respects time."""
    unknown = [op for op in operations if op.outcome == "unknown" and op.writes]
    known = [op for op in operations if op.outcome == "ok"]
    return any(
        respects_time(order) and replays(order)
        for count in range(len(unknown) + 1)
        for chosen in itertools.combinations(unknown, count)
        for order in itertools.permutations([*known, *chosen])
    )


def respects_time(order: tuple[Operation, ...]) -> bool:
    return all(before.invoked <= (after.returned or math.inf) for before, after in itertools.combinations(order, 2))


def replays(order: tuple[Operation, ...]) -> bool:
    lists: dict[str, list[int]] = {}
    for op in order:
        for step in op.steps:
            now = lists.setdefault(step.key, [])
            if step.kind == "append":
                now.append(step.value)
            elif op.outcome == "ok" and step.result != now:
                return False
    return True


@st.composite
def small_histories(draw: Any) -> list[Operation]:
    """Few transactions on two lists, whose reads are likely prefixes of one order, so that many are almost right."""
    numbers = itertools.count(1)
    found = []
    for number in range(draw(st.integers(1, 5))):
        begin = draw(st.integers(0, 10))
        end = draw(st.one_of(st.none(), st.integers(begin + 1, begin + 6)))
        steps = [
            append(key, next(numbers)) if draw(st.booleans()) else Step("read", key)
            for key in draw(st.lists(st.sampled_from("xy"), min_size=1, max_size=3))
        ]
        outcome = draw(st.sampled_from(["ok", "ok", "ok", "failed"]))
        found.append(operation(number, begin, end, *steps, outcome=outcome))
    order = {key: draw(st.permutations(appended(found, key))) for key in "xy"}
    for op in found:
        for step in op.steps:
            if step.kind == "read" and op.outcome == "ok":
                step.result = list(order[step.key][: draw(st.integers(0, len(order[step.key])))])
    return found


def appended(operations: list[Operation], key: str) -> list[int]:
    return [step.value for op in operations for step in op.steps if step.kind == "append" and step.key == key]


@settings(max_examples=300)
@given(small_histories())
def test_the_check_agrees_with_the_definition(operations: list[Operation]) -> None:
    assert (check_lists(operations) == []) == explained(operations)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([1, 3, 10]), st.sampled_from([0.0, 0.02, 0.3]))
def test_whatever_a_serializable_store_answers_is_accepted(seed: int, keys: int, unknown: float) -> None:
    assert check_lists(simulated_lists(seed, 300, keys=keys, unknown=unknown)) == []


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.data())
def test_one_transaction_lost_or_undone_among_hundreds_is_found(seed: int, data: st.DataObject) -> None:
    operations = simulated_lists(seed, 200, keys=3, unknown=0.0)
    seen = {element for op in operations for step in op.steps if step.kind == "read" for element in step.result}
    writers = [op for op in operations if any(step.kind == "append" and step.value in seen for step in op.steps)]
    victim = data.draw(st.sampled_from(writers))
    if data.draw(st.booleans()):
        victim.outcome, victim.error = "failed", "no_quorum"
    else:
        lost = {step.value for step in victim.steps if step.kind == "append"}
        for step in (step for op in operations for step in op.steps if step.kind == "read" and op is not victim):
            step.result = [element for element in step.result if element not in lost]
        operations.append(operation(99, 10**9, 10**9 + 1, *(read(s.key) for s in victim.steps if s.kind == "append")))
    assert check_lists(operations) != []


def test_ten_thousand_transactions_are_judged() -> None:
    assert check_lists(simulated_lists(7, 10_000, keys=100)) == []
