"""Histories for the tests of the checkers: made by hand, or by clients of a store in memory that can be told to lie."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

from tests.proof.history import Operation, Outcome, Step

__all__ = ["operation", "simulated_lists", "simulated_registers"]


def operation(
    client: int,
    begin: int,
    end: int | None,
    *steps: Step,
    outcome: Outcome = "ok",
    error: str | None = None,
) -> Operation:
    """An operation by hand; without an `end` its outcome is unknown."""
    return Operation(client, list(steps), begin, end, "unknown" if end is None else outcome, error)


class _Client:
    """Sends, has its operation applied at some moment in between, or never, and may not hear of it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.now: Operation | None = None
        self.applied = False


def _simulated(
    seed: int, length: int, clients: int, unknown: float, steps_of: Any, apply: Any, keys: Sequence[str]
) -> list[Operation]:
    """Interleave clients by chance; each operation is applied at one moment between its invocation and its return."""
    chance = random.Random(seed)
    state: dict[str, Any] = {}
    history: list[Operation] = []
    late: list[Operation] = []
    clock = itertools.count(1)
    numbers = itertools.count(1)
    crowd = [_Client(number) for number in range(clients)]
    while len(history) < length or any(client.now for client in crowd):
        client = chance.choice(crowd)
        if late and chance.random() < 0.05:
            apply(state, late.pop(chance.randrange(len(late))))
        if client.now is None:
            if len(history) < length:
                client.now = Operation(client.number, steps_of(chance, keys, numbers), next(clock))
                client.applied = False
                history.append(client.now)
        elif not client.applied and client.now.writes and chance.random() < unknown:
            if chance.random() < 0.7:
                late.append(client.now)
            client.now = None
        elif not client.applied:
            client.now.outcome = "ok"
            apply(state, client.now)
            client.applied = True
        else:
            client.now.returned = next(clock)
            client.now = None
    return history


def _register_steps(chance: random.Random, keys: Sequence[str], numbers: Any) -> list[Step]:
    key, value = chance.choice(keys), next(numbers)
    kind = chance.choices(["read", "write", "cas"], [5, 3, 2])[0]
    if kind == "read":
        return [Step("read", key)]
    return [Step("write", key, value)] if kind == "write" else [Step("cas", key, value, max(0, value - 3))]


def _apply_register(state: dict[str, Any], operation: Operation) -> None:
    (step,) = operation.steps
    now = state.get(step.key, 0)
    if step.kind == "read":
        step.result = now
    elif step.kind == "write" or now == step.expected:
        state[step.key] = step.value
    elif operation.outcome == "ok":
        operation.outcome, operation.error, step.result = "failed", "conflict", now


def simulated_registers(
    seed: int, length: int, clients: int = 20, keys: int = 20, unknown: float = 0.02
) -> list[Operation]:
    """What clients of linearizable registers, that begin with 0, could see."""
    names = [f"register:{number}" for number in range(keys)]
    return _simulated(seed, length, clients, unknown, _register_steps, _apply_register, names)


def _list_steps(chance: random.Random, keys: Sequence[str], numbers: Any) -> list[Step]:
    steps = []
    for _ in range(chance.randint(1, 4)):
        key = chance.choice(keys)
        steps.append(Step("append", key, next(numbers)) if chance.random() < 0.5 else Step("read", key))
    return steps


def _apply_list(state: dict[str, Any], operation: Operation) -> None:
    for step in operation.steps:
        elements = state.setdefault(step.key, [])
        if step.kind == "append":
            elements.append(step.value)
        else:
            step.result = list(elements)


def simulated_lists(
    seed: int, length: int, clients: int = 20, keys: int = 20, unknown: float = 0.02
) -> list[Operation]:
    """What clients of strictly serializable lists could see."""
    names = [f"list:{number}" for number in range(keys)]
    return _simulated(seed, length, clients, unknown, _list_steps, _apply_list, names)
