"""All that can be said against a history. What is checked of a key, its name tells: ``register:0.1``.

- ``register``, ``counter``, ``big``, ``document``: linearizable, each key by itself; all begin with 0.
- ``list``: transactions over many keys, strictly serializable; lists begin empty.
- ``account``: as a counter, and all accounts together hold nothing at any moment, whatever was moved between them.
"""

from __future__ import annotations

from tests.proof.history import History, Operation, describe
from tests.proof.registers import check_register
from tests.proof.transactions import check_lists

__all__ = ["check_history"]

NUMBERS = ("register", "counter", "account", "big", "document")


def check_history(history: History) -> list[str]:
    """Return what is wrong, each in words that name the operations; nothing if all is well."""
    operations = history.operations
    keys = sorted({step.key for operation in operations for step in operation.steps})
    by_key: dict[str, list[Operation]] = {key: [] for key in keys}
    for operation in operations:
        for key in {step.key for step in operation.steps}:
            by_key[key].append(operation)
    numbers = [key for key in keys if kind_of(key) in NUMBERS]
    found = [check_register(key, by_key[key], 0) for key in numbers]
    accounts = {key for key in keys if kind_of(key) == "account"}
    lists = [op for op in operations if all(kind_of(step.key) == "list" for step in op.steps)]
    return [*filter(None, found), *check_lists(lists), *check_sums(operations, accounts)]


def kind_of(key: str) -> str:
    return key.partition(":")[0]


def check_sums(operations: list[Operation], accounts: set[str]) -> list[str]:
    """What is wrong with the sums of those who saw all accounts at once."""
    seen = [op for op in operations if op.outcome == "ok" and not op.writes and {s.key for s in op.steps} == accounts]
    wrong = [op for op in seen if sum(step.result for step in op.steps) != 0]
    return [f"the accounts do not add up to 0\n  {describe(operation)}" for operation in wrong if accounts]
