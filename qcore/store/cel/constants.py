"""What of a filter is the same for every entity, and whether it can do anything but fail.

A part without fields and paths is a constant. It is evaluated once, before any entity is seen, and a filter with one
that has no answer is refused: it could only be silent for ever. A part beside a decisive one, as in ``true || 1 / 0``,
belongs to a larger constant that has an answer. The same goes for constant operands that no value beside them helps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qcore.store.cel.code import NOTHING
from qcore.store.cel.compile import compile_constant, size
from qcore.store.cel.functions import COMPILE_STEPS, compiled_regex
from qcore.store.cel.libraries.formatting import clauses
from qcore.store.cel.nodes import (
    Arithmetic,
    Call,
    Compare,
    ListOf,
    Literal,
    Name,
    Node,
    Path,
    inner,
    parts,
    variables,
)
from qcore.store.cel.texts import TEXT
from qcore.store.cel.times import TIMESTAMP_PARTS, known_zone
from qcore.store.cel.values import Exhausted, FilterError, Frame, Map, UInt, type_name

__all__ = ["STEPS", "Constants"]

STEPS = 10_000
"""For all constants of a filter, its parts counted each time they are evaluated: what takes more is left to the
entities, whose steps are counted too."""

_ENTITY = frozenset({""})
"""Stands for the entity among the names that a part depends on."""

_POSITIONS = {
    "charAt": (1,),
    "indexOf": (2,),
    "lastIndexOf": (2,),
    "substring": (1, 2),
    "math.bitShiftLeft": (1,),
    "math.bitShiftRight": (1,),
}
"""Operands that are at least 0, by function."""


class Constants:
    """The constants below one root whose functions are known to be there. A type's name is none: it may be a field."""

    def __init__(self, root: Node) -> None:
        self._names: dict[int, frozenset[str]] = {}
        """By node, what it depends on: variables of macros around it, and the entity."""
        self._values: dict[int, Any] = {}
        self._left = STEPS
        self._root = root
        self._find_names(root, frozenset())

    def failing(self) -> tuple[Node, FilterError] | None:
        """The first part that can only fail, and why."""
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            try:
                if not self._names[id(node)]:
                    self._value(node)
                    continue
                self._operands(node)
            except _Blamed as found:
                return found.node, found.error
            waiting.extend(reversed([*parts(node), *inner(node)[1]]))
        return None

    def _find_names(self, node: Node, scope: frozenset[str]) -> frozenset[str]:
        names = self._own_names(node, scope).union(*(self._find_names(part, scope) for part in parts(node)))
        own, below = inner(node)
        for part in below:
            names |= self._find_names(part, scope.union(own)).difference(own)
        self._names[id(node)] = names
        return names

    def _own_names(self, node: Node, scope: frozenset[str]) -> frozenset[str]:
        if type(node) is Path:
            return _ENTITY
        if type(node) is not Name:
            return frozenset()
        return frozenset({node.name}) if node.name in scope and not node.rooted else _ENTITY

    def _value(self, node: Node) -> Any:
        """The value of a part, `NOTHING` where it is no constant or takes too long; raises `_Blamed` without one."""
        if type(node) is Literal:
            return node.value
        if self._names[id(node)] or self._left <= 0:
            return NOTHING
        if id(node) not in self._values:
            try:
                self._values[id(node)] = self._evaluated(node)
            except FilterError as exc:
                raise self._blamed(node, exc) from None
        return self._values[id(node)]

    def _evaluated(self, node: Node) -> Any:
        nobody: Any = None
        self._left -= size(node)
        frame: Frame = [{}, self._left, *[None] * variables(node)]
        try:
            return compile_constant(node)(nobody, frame)
        except Exhausted:
            return NOTHING
        finally:
            self._left = frame[1]

    def _blamed(self, node: Node, error: FilterError) -> _Blamed:
        """The smallest part that fails in this way."""
        for part in parts(node):
            try:
                self._value(part)
            except _Blamed as found:
                if found.error.message == error.message:
                    return found
        return _Blamed(node, error)

    def _operands(self, node: Node) -> None:
        """Raise `_Blamed` for a constant operand with which a part fails, whatever the others are."""
        match node:
            case Arithmetic():
                for sign, operand in node.rest:
                    value = self._value(operand)
                    if sign in "/%" and type(value) in (int, UInt) and value == 0:
                        raise _Blamed(operand, FilterError("division by zero"))
            case Compare(op="in", right=right):
                value = self._value(right)
                if value is not NOTHING and type(value) not in (list, tuple, Map):
                    raise _Blamed(right, FilterError(f"in takes a list or a map, given {type_name(value)}"))
            case Call():
                self._arguments(node)

    def _arguments(self, node: Call) -> None:
        operands = node.args if node.target is None else [node.target, *node.args]
        if node.name in TIMESTAMP_PARTS and len(operands) == 2:
            value = self._value(operands[1])
            if value is not NOTHING:
                _blaming(operands[1], lambda: _zone(node.name, value))
        if node.name == "matches" and type(operands[1]) is not Literal:
            self._pattern(operands[1])
        if node.name == "format" and type(text := self._value(operands[0])) in TEXT:
            given = len(operands[1].items) if type(operands[1]) is ListOf else None
            _blaming(operands[0], lambda: _clauses(text, given))
        for place in _POSITIONS.get(node.name, ()):
            index = self._value(operands[place]) if place < len(operands) else NOTHING
            if type(index) is int and index < 0:
                raise _Blamed(operands[place], FilterError(f"{node.name}: {index} is below 0"))

    def _pattern(self, node: Node) -> None:
        """A regular expression put together: those written as one literal are counted and compiled elsewhere."""
        pattern = self._value(node)
        if type(pattern) in TEXT:
            self._left -= COMPILE_STEPS
            _blaming(node, lambda: compiled_regex(str(pattern)))


class _Blamed(Exception):
    """A part that can only fail."""

    def __init__(self, node: Node, error: FilterError) -> None:
        super().__init__(error.message)
        self.node = node
        self.error = error


def _blaming(node: Node, check: Callable[[], Any]) -> None:
    try:
        check()
    except FilterError as exc:
        raise _Blamed(node, exc) from None


def _zone(name: str, value: Any) -> None:
    if type(value) not in TEXT:
        raise FilterError(f"the time zone of {name} is a string")
    known_zone(value)


def _clauses(text: str, given: int | None) -> None:
    needed = clauses(text)
    if given is not None and given < needed:
        raise FilterError(f"format: {needed} values are needed, {given} given")
