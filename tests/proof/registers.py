"""Is there an order that explains what clients saw of one key? The search of Wing and Gong with the memo of Lowe.

A configuration is the set of operations that are placed already, and the value they left. From each, every operation
may come next that was invoked before any unplaced one returned. Whatever was explored is not explored again. Some
rules keep the search narrow without changing its answer; each says why at its place.

Operations whose outcome is unknown may be placed anywhere after they were invoked, or nowhere.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tests.proof.history import Operation, Step, describe

__all__ = ["MAX_CONFIGURATIONS", "check_register"]

MAX_CONFIGURATIONS = 3_000_000
"""Explored at most: a search that goes on for minutes helps nobody."""

NOT_TOLD = object()
"""What is seen by writes, and by a conflict that does not say what it found."""


class _Event(NamedTuple):
    """One step on the key. An `observer` changes nothing; one that `sees` a value holds only where that is stored."""

    operation: Operation
    step: Step
    invoked: int
    returned: float
    observer: bool
    sees: Any

    @property
    def effect(self) -> tuple[str, Any, Any]:
        return self.step.kind, self.step.value, self.step.expected


class _Configuration(NamedTuple):
    """The known events up to `first` are placed, of those after it the bits of `placed`, the unknown ones of `used`."""

    first: int
    placed: int
    used: int
    value: Any

    def holds(self, index: int) -> bool:
        return index < self.first or bool(self.placed >> (index - self.first) & 1)

    def place(self, index: int, value: Any) -> _Configuration:
        first, placed = self.first, self.placed | 1 << (index - self.first)
        while placed & 1:
            first, placed = first + 1, placed >> 1
        return _Configuration(first, placed, self.used, value)

    def use(self, index: int, value: Any) -> _Configuration:
        return self._replace(used=self.used | 1 << index, value=value)

    @property
    def total(self) -> int:
        return self.first + self.placed.bit_count()


def check_register(key: str, operations: Iterable[Operation], initial: Any) -> str | None:
    """Return what is wrong with the reads, writes, compare-and-sets and additions of `key`, None if all is well.

    Raises:
        RuntimeError: the search was given up after `MAX_CONFIGURATIONS`.
    """
    return _Search(key, operations, initial).verdict()


class _Search:
    def __init__(self, key: str, operations: Iterable[Operation], initial: Any) -> None:
        self.key = key
        events = [_event(op, step) for op in operations for step in op.steps if step.key == key and _counts(op, step)]
        events.sort(key=lambda event: event.invoked)
        self.known = [event for event in events if event.operation.outcome != "unknown"]
        self.start = _Configuration(0, 0, 0, initial)
        self.best = self.start
        self.vague = any(event.observer and event.sees is NOT_TOLD for event in self.known)
        maybe = [event for event in events if event.operation.outcome == "unknown"]
        adds = any(event.step.kind == "add" for event in events)
        self.unknown = maybe if self.vague or adds else _seen_somewhere(maybe, self.known)
        written = [event.step.value for event in [*self.known, *self.unknown] if not event.observer] + [initial]
        self.unique = not adds and len(set(written)) == len(written)
        self.observers: dict[Any, list[int]] = defaultdict(list)
        for index, event in enumerate(self.known):
            if event.sees is not NOT_TOLD:
                self.observers[event.sees].append(index)
        self.expected = {event.sees for event in self.unknown}
        self.wanted = set(self.observers) | self.expected

    def verdict(self) -> str | None:
        """Search depth first."""
        stack, explored = [self.start], {self.start}
        while stack:
            now = stack.pop()
            if now.total > self.best.total:
                self.best = now
            if now.first == len(self.known):
                return None
            for following in reversed(self._following(now)):
                if following not in explored:
                    explored.add(following)
                    stack.append(following)
            if len(explored) > MAX_CONFIGURATIONS:
                raise RuntimeError(f"{self.key}: gave up after {MAX_CONFIGURATIONS} configurations")
        return self._report()

    def _following(self, now: _Configuration) -> list[_Configuration]:
        enabled, limit = self._enabled(now)
        for index in enabled:
            # An observer that holds now changes nothing: wherever it stood, it may stand here.
            if self.known[index].observer and _holds(self.known[index], now.value):
                return [now.place(index, now.value)]
        readers = self._still_seen_by(now)
        writers = [index for index in enabled if not self.known[index].observer]
        if self.unique and not self.vague and not readers and now.value not in self.expected:
            for index in writers:
                # Nobody waits for what is stored now, and nobody ever sees this write: it may as well happen here.
                if self.known[index].step.kind == "write" and self.known[index].step.value not in self.wanted:
                    return [now.place(index, self.known[index].step.value)]
        return self._writes(now, writers, readers) + self._unknown_writes(now, limit, readers)

    def _enabled(self, now: _Configuration) -> tuple[list[int], float]:
        """The known events that may come next, and the first return among those that are not placed."""
        found = []
        limit = math.inf
        index = now.first
        while index < len(self.known) and self.known[index].invoked <= limit:
            if not now.holds(index):
                found.append(index)
                limit = min(limit, self.known[index].returned)
            index += 1
        return found, limit

    def _still_seen_by(self, now: _Configuration) -> list[int]:
        """Whose turn comes before this value may go: only where each value is written once, it never comes back."""
        if not self.unique:
            return []
        return [index for index in self.observers.get(now.value, ()) if not now.holds(index)]

    def _writes(self, now: _Configuration, writers: list[int], readers: list[int]) -> list[_Configuration]:
        found: dict[tuple[str, Any, Any], int] = {}
        for index in writers:
            event = self.known[index]
            if _holds(event, now.value) and (not readers or readers == [index]):
                # Of two that do the same, the one that returned first goes first: they may change places.
                other = found.setdefault(event.effect, index)
                if event.returned < self.known[other].returned:
                    found[event.effect] = index
        return [now.place(index, _after(self.known[index], now.value)) for index in found.values()]

    def _unknown_writes(self, now: _Configuration, limit: float, readers: list[int]) -> list[_Configuration]:
        if readers:
            return []
        found: dict[tuple[str, Any, Any], int] = {}
        for index, event in enumerate(self.unknown):
            if event.invoked <= limit and not now.used >> index & 1 and _holds(event, now.value):
                found.setdefault(event.effect, index)
        return [now.use(index, _after(self.unknown[index], now.value)) for index in found.values()]

    def _report(self) -> str:
        now = self.best
        enabled, _ = self._enabled(now)
        readers = self._still_seen_by(now)
        lines = [
            f"{self.key} is not linearizable: {now.total} of {len(self.known)} operations can be put into an order, "
            f"which leaves {now.value!r}; then none of these can come next:",
            *(f"  {describe(self.known[index].operation)}" for index in enabled),
        ]
        if readers:
            lines.append(f"while {now.value!r} is still to be seen by:")
            lines += [f"  {describe(self.known[index].operation)}" for index in readers]
        return "\n".join(lines)


def _counts(operation: Operation, step: Step) -> bool:
    """Whether it says anything: reads that were answered, writes that were or may have been, conflicts."""
    if operation.outcome == "failed":
        return step.kind == "cas" and operation.error == "conflict"
    return operation.outcome == "ok" or step.kind != "read"


def _event(operation: Operation, step: Step) -> _Event:
    conflict = operation.outcome == "failed"
    sees = NOT_TOLD
    if step.kind == "read" or (conflict and step.result is not None):
        sees = step.result
    elif step.kind == "cas" and not conflict:
        sees = step.expected
    returned = math.inf if operation.outcome == "unknown" or operation.returned is None else operation.returned
    return _Event(operation, step, operation.invoked, returned, conflict or step.kind == "read", sees)


def _holds(event: _Event, value: Any) -> bool:
    if event.observer and event.step.kind == "cas" and value == event.step.expected:
        return False
    return event.sees is NOT_TOLD or bool(event.sees == value)


def _after(event: _Event, value: Any) -> Any:
    return value + event.step.value if event.step.kind == "add" else event.step.value


def _seen_somewhere(maybe: Sequence[_Event], known: Sequence[_Event]) -> list[_Event]:
    """The unknown events that matter: a write that nobody sees explains nothing, and may be left out."""
    seen = {event.sees for event in known}
    kept: list[_Event] = []
    rest = list(maybe)
    while True:
        more = [event for event in rest if event.step.value in seen]
        if not more:
            return sorted(kept, key=lambda event: event.invoked)
        rest = [event for event in rest if event.step.value not in seen]
        kept += more
        seen |= {event.sees for event in more}
