"""Are transactions that append to lists and read them strictly serializable? The method of Elle, for list-append.

Each element is appended once, so that a list tells in which order its writers came. From that follow edges between
transactions: who wrote after whom (ww), who read whose append (wr), who read before whose append (rw), and who had
returned before the other was invoked (real time). Any order without a cycle explains everything that was seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tests.proof.cycles import Graph
from tests.proof.history import Operation, describe

__all__ = ["check_lists"]


class _Read(NamedTuple):
    transaction: int
    elements: list[Any]


class _Key:
    """What is known of one list."""

    def __init__(self) -> None:
        self.writers: dict[Any, int] = {}
        self.reads: list[_Read] = []
        self.longest: list[Any] = []


def check_lists(operations: Iterable[Operation]) -> list[str]:
    """Return what is wrong with the appends to lists, and with what was read of them; all lists begin empty."""
    return _Check(
        [op for op in operations if any(step.kind == "append" for step in op.steps) or _reads_lists(op)]
    ).run()


def _reads_lists(operation: Operation) -> bool:
    return operation.outcome == "ok" and any(isinstance(step.result, list) for step in operation.steps)


class _Check:
    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self.keys: dict[str, _Key] = defaultdict(_Key)
        self.problems: list[str] = []

    def run(self) -> list[str]:
        for number, operation in enumerate(self.operations):
            self._collect(number, operation)
        for name, key in self.keys.items():
            self._check_reads(name, key)
        if not self.problems:  # edges mean something only where the lists have one order
            self._check_order()
        return self.problems

    def _collect(self, number: int, operation: Operation) -> None:
        """Note appends and reads; within the transaction a read must show what it has read and appended itself."""
        own: dict[str, list[Any]] = {}
        base: dict[str, list[Any]] = {}
        for step in operation.steps:
            key = self.keys[step.key]
            if step.kind == "append":
                if step.value in key.writers:
                    raise ValueError(f"{step.key}: {step.value!r} is appended twice by the clients themselves")
                key.writers[step.value] = number
                own.setdefault(step.key, []).append(step.value)
            elif operation.outcome == "ok":
                mine = own.get(step.key, [])
                elements = step.result
                if elements[len(elements) - len(mine) :] != mine:
                    self._report(f"{step.key}: a transaction does not see its own appends", number)
                rest = elements[: len(elements) - len(mine)]
                if any(append in rest for append in _appends(operation, step.key)):
                    self._report(f"{step.key}: a transaction sees its own appends too early", number)
                if base.setdefault(step.key, rest) != rest:
                    self._report(f"{step.key}: two reads of one transaction differ", number)
                key.reads.append(_Read(number, elements))

    def _check_reads(self, name: str, key: _Key) -> None:
        for read in key.reads:
            self._check_elements(name, key, read)
            if len(read.elements) > len(key.longest):
                key.longest = read.elements
        for read in key.reads:
            if key.longest[: len(read.elements)] != read.elements:
                longest = next(other for other in key.reads if other.elements is key.longest)
                self._report(f"{name}: reads that cannot both be", read.transaction, longest.transaction)

        self._check_own_order(name, key)

    def _check_own_order(self, name: str, key: _Key) -> None:
        """The appends of one transaction keep their order, and none of them is left out before another one."""
        found: dict[int, list[Any]] = defaultdict(list)
        for element in key.longest:
            found[key.writers.get(element, -1)].append(element)
        found.pop(-1, None)
        for writer, elements in found.items():
            if _appends(self.operations[writer], name)[: len(elements)] != elements:
                self._report(f"{name}: the appends of one transaction are there as {elements}", writer)

    def _check_elements(self, name: str, key: _Key, read: _Read) -> None:
        seen: set[Any] = set()
        for element in read.elements:
            writer = key.writers.get(element)
            if writer is None:
                self._report(f"{name}: {element!r} was read and never appended", read.transaction)
            elif self.operations[writer].outcome == "failed":
                self._report(f"{name}: {element!r} was read, of a transaction that failed", read.transaction, writer)
            elif element in seen:
                self._report(f"{name}: {element!r} is there twice", read.transaction, writer)
            seen.add(element)

    def _check_order(self) -> None:
        graph = Graph(len(self.operations))
        committed = {number for number, operation in enumerate(self.operations) if operation.outcome == "ok"}
        committed |= {key.writers[element] for key in self.keys.values() for element in key.longest}
        for name, key in self.keys.items():
            _order_by_list(graph, name, key, committed)
        _order_by_time(graph, self.operations, committed)
        for cycle in graph.cycles():
            words = "strictly serializable" if any("returned" in why for _, why in cycle) else "serializable"
            lines = [f"not {words}: each of these comes before the next one, and the last before the first"]
            lines += [f"  {describe(self.operations[node])}\n    {why}" for node, why in cycle]
            self.problems.append("\n".join(lines))

    def _report(self, what: str, *transactions: int) -> None:
        lines = [f"  {describe(self.operations[number])}" for number in transactions]
        self.problems.append("\n".join([what, *lines]))


def _appends(operation: Operation, key: str) -> list[Any]:
    return [step.value for step in operation.steps if step.kind == "append" and step.key == key]


def _order_by_list(graph: Graph, name: str, key: _Key, committed: set[int]) -> None:
    writers = [key.writers[element] for element in key.longest]
    seen = set(key.longest)
    unseen = [writer for element, writer in key.writers.items() if writer in committed and element not in seen]
    for before, after, element in zip(writers, writers[1:], key.longest[1:], strict=False):
        graph.order(before, after, f"the next one appended {element!r} to {name} after it")
    for writer in unseen[: len(unseen) if writers else 0]:
        graph.order(writers[-1], writer, f"the next one's append to {name} was never seen, and so is later")
    for transaction, elements in key.reads:
        if elements:
            graph.order(writers[len(elements) - 1], transaction, f"the next one read its append to {name}")
        if len(elements) < len(writers):
            after = writers[len(elements)]
            graph.order(transaction, after, f"it did not see the next one's {key.longest[len(elements)]!r} in {name}")
        for writer in unseen:
            graph.order(transaction, writer, f"it did not see the next one's append to {name}")


def _order_by_time(graph: Graph, operations: Sequence[Operation], committed: set[int]) -> None:
    """Edges from each transaction to those invoked after its return, those left out that follow from others."""
    moments = [(operations[number].invoked, 1, number) for number in committed]
    for number in committed:
        returned = operations[number].returned
        if operations[number].outcome == "ok" and returned is not None:
            moments.append((returned, 2, number))
    earlier: dict[int, list[int]] = {}
    frontier: set[int] = set()
    for _, what, number in sorted(moments):
        if what == 1:
            earlier[number] = sorted(frontier)
            for before in frontier:
                graph.order(before, number, "it had returned when the next one was invoked")
        else:
            frontier.difference_update(earlier[number])
            frontier.add(number)
