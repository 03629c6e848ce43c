"""What clients asked for and what they were told, in monotonic time: the evidence that the checkers judge.

An operation has one step, or several that were done as one. It is `ok` (answered), `failed` (the server says that it
was not applied; of a read: no answer), or `unknown`: it may have been applied at any time after it was invoked, or may
be applied later, or never, whenever the client gave it up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

__all__ = ["History", "Operation", "Outcome", "Step", "StepKind", "describe"]

Outcome = Literal["ok", "failed", "unknown"]
StepKind = Literal["read", "write", "cas", "add", "append"]


class Step(msgspec.Struct, omit_defaults=True):
    """What is done to one key: `value` is what a write writes, `expected` what a compare-and-set ("cas") compares with.

    `result` is what a read gave, and what a compare-and-set that did not hold found (None: it was not told).
    """

    kind: StepKind
    key: str
    value: Any = None
    expected: Any = None
    result: Any = None


class Operation(msgspec.Struct, omit_defaults=True):
    """One request of a client; times in ns of the monotonic clock, `returned` None while it is under way.

    `error` is the kind of the error that ended it; a compare-and-set that did not hold has failed with `conflict`.
    """

    client: int
    steps: list[Step]
    invoked: int
    returned: int | None = None
    outcome: Outcome = "unknown"
    error: str | None = None

    @property
    def writes(self) -> bool:
        return any(step.kind != "read" for step in self.steps)


class History:
    """The operations of all clients. Recorded by one thread; others may look."""

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self.operations = list(operations)
        self.acknowledged = sum(operation.outcome == "ok" for operation in self.operations)

    def invoke(self, client: int, steps: Sequence[Step]) -> Operation:
        """Record that a client asks; its outcome is unknown until one of the other methods is called."""
        operation = Operation(client, list(steps), time.monotonic_ns())
        self.operations.append(operation)
        return operation

    def ok(self, operation: Operation, results: Sequence[Any] = ()) -> None:
        """It was answered; `results` has one for each step, or is empty."""
        operation.returned = time.monotonic_ns()
        for step, result in zip(operation.steps, results, strict=False):
            step.result = result
        operation.outcome = "ok"
        self.acknowledged += 1

    def failed(self, operation: Operation, error: str, found: Any = None) -> None:
        """It was not applied, for certain; `found` is what a compare-and-set found instead."""
        operation.returned = time.monotonic_ns()
        operation.outcome, operation.error = "failed", error
        if found is not None:
            operation.steps[0].result = found

    def unknown(self, operation: Operation, error: str) -> None:
        """The client gave up: nobody knows whether it is applied, or will be."""
        operation.returned = time.monotonic_ns()
        operation.error = error

    def part_reads(self, operation: Operation) -> None:
        """Make the reads of an operation one of their own in the same time: they were done, but not with its writes."""
        reads = [step for step in operation.steps if step.kind == "read"]
        operation.steps = [step for step in operation.steps if step.kind != "read"]
        self.operations.append(msgspec.structs.replace(operation, steps=reads))

    def spanning(self, begin: int, end: int) -> list[Operation]:
        """The operations that were under way from `begin` to `end`, ns."""
        return [op for op in self.operations if op.invoked <= begin and (op.returned is None or op.returned >= end)]

    def dump(self, path: Path) -> None:
        """Write it as JSON lines."""
        path.write_bytes(msgspec.json.Encoder().encode_lines(self.operations))

    @classmethod
    def load(cls, path: Path) -> History:
        """Read what `dump` wrote."""
        return cls(msgspec.json.Decoder(Operation).decode_lines(path.read_bytes()))


def describe(operation: Operation) -> str:
    """An operation in one line: who, what, when in seconds, and what came of it."""
    steps = ", ".join(_step(step, operation) for step in operation.steps)
    end = "..." if operation.returned is None else f"{operation.returned / 1e9:.6f}"
    outcome = operation.outcome if operation.error is None else f"{operation.outcome}: {operation.error}"
    return f"client {operation.client} [{operation.invoked / 1e9:.6f} {end}] {steps} ({outcome})"


def _step(step: Step, operation: Operation) -> str:
    if step.kind == "read":
        return f"read {step.key}" + (f" -> {step.result!r}" if operation.outcome == "ok" else "")
    if step.kind == "cas":
        found = f", found {step.result!r}" if operation.error == "conflict" else ""
        return f"cas {step.key} {step.expected!r} -> {step.value!r}{found}"
    return f"{step.kind} {step.key} {step.value!r}"
