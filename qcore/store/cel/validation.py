"""What can be said of a filter before it meets an entity: names, functions, constants, and its result."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from qcore.model.schema import CompleteSchema
from qcore.model.values import Kind
from qcore.store.cel.constants import Constants
from qcore.store.cel.functions import FUNCTIONS, MAX_REGEXES, compiled_regex
from qcore.store.cel.libraries.absent import NOT_BUILT_IN
from qcore.store.cel.macros import BIND, LOOPS, usage
from qcore.store.cel.nodes import (
    Arithmetic,
    Bind,
    Call,
    Compare,
    ListOf,
    Literal,
    Logic,
    Loop,
    MapOf,
    Name,
    Node,
    Parsed,
    Path,
    Select,
    Ternary,
    Unary,
    inner,
    parts,
)
from qcore.store.cel.scan import bad_filter
from qcore.store.cel.values import TYPE_NAMES, FilterError

__all__ = ["check", "conjunction"]

_NAMESPACES = frozenset(name.partition(".")[0] for name in (*FUNCTIONS, *NOT_BUILT_IN, BIND) if "." in name)
_ENTITY = frozenset({"EntityId", "EntityType"})


def check(parsed: Parsed, types: Sequence[CompleteSchema], fields: Collection[str] | None) -> None:
    """Raise `BadFilter` for what no entity of these types could answer; see `bind`."""
    checker = _Checker(parsed.source, types, fields)
    checker.node(parsed.root, frozenset())
    failing = None if parsed.sound else Constants(parsed.root).failing()
    if failing is not None:
        node, error = failing
        raise checker.fail(node, error.message)
    parsed.sound = True
    if not _may_be_bool(parsed.root, types, {}):
        raise bad_filter(parsed.source, parsed.root.at, "a filter is true or false for an entity, this is neither")


class _Checker:
    def __init__(self, source: str, types: Sequence[CompleteSchema], fields: Collection[str] | None) -> None:
        self.source = source
        self.types = types
        self.fields = fields
        self.regexes = 0

    def fail(self, node: Node, message: str) -> Exception:
        return bad_filter(self.source, node.at, message)

    def node(self, node: Node, scope: frozenset[str]) -> None:
        if type(node) is Call:
            self.function(node, scope)
        for part in parts(node):
            self.node(part, scope)
        if isinstance(node, Loop | Bind):
            variables, below = inner(node)
            for part in below:
                self.node(part, scope.union(variables))
        match node:
            case Name():
                self.name(node, scope)
            case Path():
                self.path(node)
            case Select():
                self.select(node, scope)
            case Call():
                self.call(node)

    def name(self, node: Name, scope: frozenset[str]) -> None:
        name = node.name
        if (name in scope and not node.rooted) or name in _ENTITY or name in TYPE_NAMES or self.known(name):
            return
        names = ", ".join(schema.type for schema in self.types[:5]) + (", ..." if len(self.types) > 5 else "")
        raise self.fail(node, f"unknown field {name!r}; the types asked are {names or 'none'}")

    def known(self, name: str) -> bool:
        return any(name in schema.by_name for schema in self.types)

    def path(self, node: Path) -> None:
        for hop in node.hops:
            if self.fields is not None and type(hop) is str and hop not in self.fields and hop not in _ENTITY:
                raise self.fail(node, f"unknown field {hop!r} after ->: no type has it")

    def select(self, node: Select, scope: frozenset[str]) -> None:
        operand = node.operand
        if type(operand) is Path or (type(operand) is Name and (operand.rooted or operand.name not in scope)):
            raise self.fail(node, f"a field has no .{node.name}; a reference is followed with ->{node.name}")

    def function(self, node: Call, scope: frozenset[str]) -> None:
        """Raise where there is no function of that name, or none that is called like this."""
        function = FUNCTIONS.get(node.name)
        if function is not None and (function.plain if node.target is None else function.method):
            return
        if function is None and node.name in NOT_BUILT_IN:
            library = NOT_BUILT_IN[node.name]
            raise self.fail(node, f"{node.name}() is not supported: CEL's extension library {library} is not built in")
        target = node.target
        name = f"{target.name}.{node.name}" if self.is_namespace(target, scope) else node.name
        raise self.fail(node, f"unknown function {name!r}{_hint(node)}")

    def is_namespace(self, target: Node | None, scope: frozenset[str]) -> TypeGuard[Name]:
        if type(target) is not Name or target.name not in _NAMESPACES:
            return False
        return target.name not in scope and not self.known(target.name)

    def call(self, node: Call) -> None:
        function = FUNCTIONS[node.name]
        operands = node.args if node.target is None else [node.target, *node.args]
        if len(operands) not in function.operands:
            extra = 0 if node.target is None else 1
            counts = [str(count - extra) for count in function.operands[:3]]
            said = " or ".join(counts) if len(counts) < 3 else f"{counts[0]} or more"
            raise self.fail(node, f"{node.name}() takes {said} arguments here, {len(node.args)} given")
        if node.name == "matches" and type(operands[1]) is Literal:
            self.regexes += 1
            if self.regexes > MAX_REGEXES:
                raise self.fail(node, f"a filter has at most {MAX_REGEXES} regular expressions")
        try:
            _try_constant(node.name, operands)
        except FilterError as exc:
            raise self.fail(node, exc.message) from None


def _hint(node: Call) -> str:
    if node.name in LOOPS:
        return f"; {usage(node.name)}"
    if node.name not in FUNCTIONS:
        return ""
    return f"; it is called as value.{node.name}(...)" if node.target is None else f"; it is called as {node.name}(...)"


def _try_constant(name: str, operands: list[Node]) -> None:
    """Raise `FilterError` for a constant that is wrong for every entity alike."""
    if name in ("timestamp", "duration") and type(operands[0]) is Literal:
        FUNCTIONS[name].run([{}, 0], operands[0].value)
    if name == "matches" and type(operands[1]) is Literal and type(operands[1].value) is str:
        compiled_regex(operands[1].value)


def _may_be_bool(node: Node, types: Sequence[CompleteSchema], bound: Mapping[str, bool]) -> bool:
    """`bound` says it of the variables of ``cel.bind``; those of other macros do not reach what is asked here."""
    match node:
        case Literal():
            return type(node.value) is bool
        case Name():
            if node.name in bound and not node.rooted:
                return bound[node.name]
            fields = [schema.by_name.get(node.name) for schema in types]
            return any(field is not None and field.kind is Kind.Bool for field in fields)
        case Call():
            gives = FUNCTIONS[node.name].gives
            return gives == "bool" or (gives == "any" and _may_be_bool(node.args[0], types, bound))
        case Ternary():
            return _may_be_bool(node.yes, types, bound) or _may_be_bool(node.no, types, bound)
        case Unary():
            return node.op == "!"
        case Loop():
            return node.kind in ("all", "exists", "exists_one")
        case Bind():
            value = _may_be_bool(node.value, types, bound)
            return _may_be_bool(node.body, types, {**bound, node.variable: value})
        case Arithmetic() | ListOf() | MapOf():
            return False
    return True


def conjunction(root: Node) -> Iterator[tuple[str, str, Any]]:
    """Each ``Field == constant`` and ``constant in Field`` that has to be true for the whole to be.

    Yields the field's name, ``==`` or ``in``, and the constant as a value of the filter.
    """
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if type(node) is Logic and node.op == "&&":
            waiting.extend(reversed(node.terms))
            continue
        term = _term(node)
        if term is not None and term[0] not in _ENTITY and term[0] not in TYPE_NAMES:
            yield term


def _term(node: Node) -> tuple[str, str, Any] | None:
    match node:
        case Name():
            return node.name, "==", True
        case Unary(op="!", operand=Name() as name):
            return name.name, "==", False
        case (
            Compare(op="==", left=Name() as name, right=other)
            | Compare(op="==", left=other, right=Name() as name)
            | Compare(op="in", left=other, right=Name() as name)
        ):
            found, value = _constant(other)
            return (name.name, node.op, value) if found else None
    return None


def _constant(node: Node) -> tuple[bool, Any]:
    match node:
        case Literal():
            return True, node.value
        case Call(name="timestamp", target=None, args=[Literal(value=value)]):
            return True, FUNCTIONS["timestamp"].run([{}, 0], value)
    return False, None
