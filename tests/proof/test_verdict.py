from __future__ import annotations

from tests.proof.histories import operation, simulated_lists, simulated_registers
from tests.proof.history import History, Operation, Step
from tests.proof.verdict import check_history


def transfer(begin: int, end: int | None) -> Operation:
    return operation(1, begin, end, Step("add", "account:0", -5), Step("add", "account:1", 5))


def seen(begin: int, first: int, second: int) -> Operation:
    steps = Step("read", "account:0", result=first), Step("read", "account:1", result=second)
    return operation(2, begin, begin + 1, *steps)


def test_a_legal_history_of_every_kind_has_nothing_against_it() -> None:
    operations = simulated_registers(1, 200, keys=3) + simulated_lists(1, 200, keys=3)
    assert check_history(History([*operations, transfer(1, 2), seen(3, -5, 5)])) == []


def test_half_a_transfer_is_found() -> None:
    problems = check_history(History([transfer(1, 9), seen(3, -5, 0), seen(10, -5, 5)]))
    assert ["the accounts do not add up to 0" in problem for problem in problems] == [True]
    assert "read account:0 -> -5, read account:1 -> 0" in problems[0]


def test_a_transfer_that_came_twice_is_found_though_the_sum_is_right() -> None:
    (first, second) = check_history(History([transfer(1, 2), seen(3, -10, 10)]))
    assert first.startswith("account:0 is not linearizable")
    assert second.startswith("account:1 is not linearizable")


def test_each_kind_is_judged_in_its_own_way() -> None:
    stale = [
        operation(1, 1, 2, Step("write", "register:0", 1)),
        operation(1, 3, 4, Step("read", "register:0", result=0)),
        operation(1, 1, 2, Step("add", "counter:0", 1)),
        operation(1, 3, 4, Step("read", "counter:0", result=2)),
        operation(1, 1, 2, Step("append", "list:0", 1)),
        operation(1, 3, 4, Step("read", "list:0", result=[])),
    ]
    counter, register, lists = check_history(History(stale))
    assert counter.startswith("counter:0")
    assert register.startswith("register:0")
    assert "list:0" in lists
