"""PIPELINE and TX: where one command ends and the next begins, and the conditions of TX. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from qcore.model.requests.compound import Operator
from qcore_tools.cli.command import Params
from qcore_tools.cli.words import Bar
from qcore_tools.console import UsageError

__all__ = ["OPERATORS", "read_conditions", "split_steps"]

OPERATORS: tuple[str, ...] = get_args(Operator)


def split_steps(words: Sequence[str]) -> list[list[str]]:
    """The words of each command between bars.

    Raises:
        UsageError: no command where one has to be.
    """
    steps: list[list[str]] = [[]]
    for word in words:
        if isinstance(word, Bar):
            steps.append([])
        else:
            steps[-1].append(word)
    for number, step in enumerate(steps, 1):
        if not step:
            raise UsageError(f"command {number} is empty; a | stands between two commands (quote one that is a value)")
    return steps


def read_conditions(words: Sequence[str]) -> tuple[list[Params], list[str]]:
    """The conditions before THEN, and the words after it.

    Raises:
        UsageError: a condition that is none, or no THEN.
    """
    conditions: list[Params] = []
    rest = list(words)
    while rest and rest[0].upper() == "IF":
        condition, length = _read_condition(rest[1:], len(conditions) + 1)
        conditions.append(condition)
        rest = rest[1 + length :]
    if not rest or rest[0].upper() != "THEN":
        given = repr(str(rest[0])) if rest else "the end"
        raise UsageError(f"TX: expected IF or THEN, given {given} (values with spaces stand in quotes)")
    return conditions, rest[1:]


def _read_condition(words: Sequence[str], number: int) -> tuple[Params, int]:
    """The params of the condition that the words begin with, and how many words it has."""
    match [str(word) for word in words[:4]]:
        case [id, field, word, revision, *_] if word.upper() == "REVISION":
            return {"id": id, "field": field, "revision": _revision(revision, number)}, 4
        case [id, field, op, value, *_] if op in OPERATORS:
            return {"id": id, "field": field, "op": op, "value": value}, 4
        case [id, word, *_] if word.upper() in ("EXISTS", "MISSING"):
            return {"id": id, "exists": word.upper() == "EXISTS"}, 2
        case given:
            raise UsageError(
                f"condition {number}: expected IF <id> EXISTS|MISSING, IF <id> <field> REVISION <n> or "
                f"IF <id> <field> {'|'.join(OPERATORS)} <value>, given IF {' '.join(given)}"
            )


def _revision(word: str, number: int) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 20):
        raise UsageError(f"condition {number}: expected a revision, given {word!r}")
    return int(word)
