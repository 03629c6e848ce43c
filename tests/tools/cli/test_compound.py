from __future__ import annotations

from typing import Any

import pytest

from qcore_tools.cli.compound import OPERATORS, read_conditions, split_steps
from qcore_tools.cli.words import BAR
from qcore_tools.console import UsageError


def test_bars_separate_commands_and_quoted_ones_do_not() -> None:
    assert split_steps(["SET", "1", "Name", "|", BAR, "GET", "1"]) == [["SET", "1", "Name", "|"], ["GET", "1"]]


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        *[(f"IF 12 Age {op} 30", {"id": "12", "field": "Age", "op": op, "value": "30"}) for op in OPERATORS],
        ("if 12 Age revision 7", {"id": "12", "field": "Age", "revision": 7}),
        ("IF /Root/A EXISTS", {"id": "/Root/A", "exists": True}),
        ("IF User$12 Missing", {"id": "User$12", "exists": False}),
        ("IF 12 EXISTS == true", {"id": "12", "field": "EXISTS", "op": "==", "value": "true"}),
        ("IF 12 A->B != THEN", {"id": "12", "field": "A->B", "op": "!=", "value": "THEN"}),
    ],
)
def test_a_condition_compares_a_field_its_revision_or_existence(words: str, condition: dict[str, Any]) -> None:
    assert read_conditions([*words.split(), "then", "PING"]) == ([condition], ["PING"])


def test_a_value_may_be_a_bar() -> None:
    conditions, _ = read_conditions(["IF", "12", "Name", "==", BAR, "THEN"])
    assert conditions == [{"id": "12", "field": "Name", "op": "==", "value": "|"}]
    assert type(conditions[0]["value"]) is str


def test_there_may_be_no_condition() -> None:
    assert read_conditions(["THEN", "GET", "1"]) == ([], ["GET", "1"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "expected IF or THEN, given the end"),
        ("IF 1 EXISTS", "expected IF or THEN, given the end"),
        ("IF 1 EXISTS GET 1", "expected IF or THEN, given 'GET'"),
        ("IF 1 Name == John Doe THEN", "expected IF or THEN, given 'Doe' .*quotes"),
        ("IF 1 EXISTS IF 2 Age = 3 THEN", "condition 2: expected IF <id> EXISTS|MISSING"),
        ("IF", "condition 1: expected IF <id>"),
        ("IF 1 Age REVISION x THEN", "condition 1: expected a revision, given 'x'"),
        ("IF 1 Age REVISION -1 THEN", "expected a revision"),
    ],
)
def test_what_is_no_condition_is_explained(words: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_conditions(words.split())
