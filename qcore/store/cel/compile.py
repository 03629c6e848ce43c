"""From the tree of a filter to closures, for the entities of one complete schema.

Compiling resolves each name to a slot once, so evaluating looks nothing up. Errors follow the specification: the
first one is the answer of an expression, but ``false && error`` is false and ``error || true`` is true, in either
order, and so are `all` and `exists`, which are chains of the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from qcore.model.schema import CompleteField, CompleteSchema
from qcore.store.cel import loops
from qcore.store.cel.access import Step, element, following, selecting
from qcore.store.cel.code import NOTHING, Code, Run, constant, field_code, truth
from qcore.store.cel.comparison import compare
from qcore.store.cel.functions import FUNCTIONS, compiled_regex, searched
from qcore.store.cel.logic import chain, pair
from qcore.store.cel.nodes import (
    Arithmetic,
    Bind,
    Call,
    Compare,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    Loop,
    MapOf,
    Name,
    Node,
    Path,
    Select,
    Ternary,
    Unary,
    parts,
)
from qcore.store.cel.operators import OPERATORS, Operator, negated
from qcore.store.cel.values import (
    TYPE_NAMES,
    Choice,
    FilterError,
    Frame,
    Map,
    Unresolved,
    no_overload,
)
from qcore.store.state.entity import Entity

__all__ = ["FIRST_VARIABLE", "compile_constant", "compile_filter", "size"]

FIRST_VARIABLE = 2
"""Place in the frame of the outermost macro's variable."""


def compile_filter(root: Node, schema: CompleteSchema) -> Run:
    """The closure that says whether an entity of `schema` matches: a bool, or a `FilterError`."""
    return truth(_Compiler(schema.type, schema.by_name).code(root), "a filter")


def compile_constant(root: Node) -> Run:
    """The closure that gives the value of an expression without fields, paths and variables of others."""
    return _Compiler("", {}).run(root)


class _Compiler:
    def __init__(self, entity_type: str, fields: Mapping[str, CompleteField]) -> None:
        self.type = entity_type
        self.fields = fields
        self.scope: dict[str, tuple[int, bool]] = {}
        """The place in the frame of each variable, and whether its value may be the error of a ``cel.bind``."""
        self.depth = FIRST_VARIABLE

    def code(self, node: Node) -> Code:
        return _COMPILE[type(node)](self, node)

    def run(self, node: Node) -> Run:
        return self.code(node).run

    # -- names ---------------------------------------------------------------------------------------------

    def name(self, node: Name) -> Code:
        name, type_name = node.name, self.type
        if name in self.scope and not node.rooted:
            return _variable(*self.scope[name])
        if name == "EntityId":
            return Code(lambda entity, _frame: entity.id)
        if name == "EntityType":
            return constant(type_name)
        if name in self.fields:
            return field_code(self.fields[name])
        if name in TYPE_NAMES:
            return constant(TYPE_NAMES[name])
        return _failing(lambda: Unresolved(f"type {type_name} has no field {name!r}"))

    def path(self, node: Path) -> Code:
        operand, steps = self.run(node.operand), tuple(map(following, node.hops))
        if len(steps) == 1:
            (only,) = steps
            return Code(lambda entity, frame: only(operand(entity, frame), frame))

        def walk(entity: Entity, frame: Frame) -> Any:
            value = operand(entity, frame)
            for step in steps:
                value = step(value, frame)
            return value

        return Code(walk)

    def has(self, node: Has) -> Code:
        operand = node.operand
        if isinstance(operand, Name):
            variables = () if operand.rooted else tuple(self.scope)
            return constant(operand.name in (*variables, *self.fields, "EntityId", "EntityType"))
        before, last = self.last_step(operand)

        def resolves(entity: Entity, frame: Frame) -> bool:
            value = before(entity, frame)
            try:
                last(value, frame)
            except Unresolved:
                return False
            return True

        return Code(resolves, boolean=True)

    def last_step(self, node: Path | Select) -> tuple[Run, Step]:
        """What comes before the last hop or key, whose errors are errors, and what follows that hop or key."""
        if isinstance(node, Select):
            return self.run(node.operand), selecting(node.name)
        *hops, last = node.hops
        before = self.code(Path(at=node.at, operand=node.operand, hops=hops)) if hops else self.code(node.operand)
        return before.run, following(last)

    def select(self, node: Select) -> Code:
        operand, step = self.run(node.operand), selecting(node.name)
        return Code(lambda entity, frame: step(operand(entity, frame), frame))

    def index(self, node: Index) -> Code:
        operand, index = self.run(node.operand), self.run(node.index)
        return Code(lambda entity, frame: element(operand(entity, frame), index(entity, frame)))

    # -- operators -----------------------------------------------------------------------------------------

    def literal(self, node: Literal) -> Code:
        return constant(node.value)

    def compare(self, node: Compare) -> Code:
        return compare(node.op, self.code(node.left), self.code(node.right))

    def logic(self, node: Logic) -> Code:
        terms = [truth(self.code(term), node.op) for term in node.terms]
        decisive = node.op == "||"
        return Code(pair(terms[0], terms[1], decisive) if len(terms) == 2 else chain(terms, decisive), boolean=True)

    def ternary(self, node: Ternary) -> Code:
        condition = truth(self.code(node.condition), "?:")
        yes, no = self.code(node.yes), self.code(node.no)
        run_yes, run_no = yes.run, no.run

        def choose(entity: Entity, frame: Frame) -> Any:
            return run_yes(entity, frame) if condition(entity, frame) else run_no(entity, frame)

        return Code(choose, yes.boolean and no.boolean)

    def unary(self, node: Unary) -> Code:
        if node.op == "!":
            operand = truth(self.code(node.operand), "!")
            return Code(lambda entity, frame: not operand(entity, frame), boolean=True)
        run = self.run(node.operand)
        return Code(lambda entity, frame: negated(run(entity, frame)))

    def arithmetic(self, node: Arithmetic) -> Code:
        first = self.run(node.first)
        rest = [(OPERATORS[sign], self.run(operand)) for sign, operand in node.rest]
        if len(rest) == 1:
            operator, second = rest[0]
            return Code(lambda entity, frame: operator(frame, first(entity, frame), second(entity, frame)))
        return Code(_fold(first, rest))

    # -- calls and literals of many ------------------------------------------------------------------------

    def call(self, node: Call) -> Code:
        operands = [self.code(operand) for operand in ([node.target] if node.target is not None else []) + node.args]
        function = FUNCTIONS[node.name].run
        if node.name in ("timestamp", "duration") and operands[0].value is not NOTHING:
            return constant(function([{}, 0], operands[0].value))
        boolean = FUNCTIONS[node.name].gives == "bool"
        if node.name == "matches" and type(operands[1].value) is str:
            return Code(_regex(operands[0].run, operands[1].value), boolean)
        runs = [operand.run for operand in operands]
        if len(runs) == 1:
            (only,) = runs
            return Code(lambda entity, frame: function(frame, only(entity, frame)), boolean)
        if len(runs) == 2:
            one, other = runs
            return Code(lambda entity, frame: function(frame, one(entity, frame), other(entity, frame)), boolean)
        return Code(lambda entity, frame: function(frame, *[run(entity, frame) for run in runs]), boolean)

    def list_of(self, node: ListOf) -> Code:
        items = [self.code(item) for item in node.items]
        if all(item.value is not NOTHING for item in items):
            return constant(tuple(item.value for item in items))
        runs = [item.run for item in items]
        return Code(lambda entity, frame: [run(entity, frame) for run in runs])

    def map_of(self, node: MapOf) -> Code:
        runs = [(self.run(key), self.run(value)) for key, value in node.items]
        return Code(lambda entity, frame: Map((key(entity, frame), value(entity, frame)) for key, value in runs))

    def loop(self, node: Loop) -> Code:
        place, where = self.depth, None
        over = loops.Over(self.run(node.operand), place, len(node.variables), _turn(node))
        with self.inside(node.variables):
            body = self.code(node.body)
            if node.where is not None:
                where = truth(self.code(node.where), node.kind)
        match node.kind:
            case "all" | "exists":
                return Code(loops.quantifier(over, truth(body, node.kind), node.kind == "exists"), boolean=True)
            case "exists_one":
                return Code(loops.exists_one(over, truth(body, node.kind)), boolean=True)
            case "filter":
                return Code(loops.filtered(over, truth(body, node.kind)))
            case "transformMap":
                return Code(loops.mapped_values(over, body.run, where))
            case "transformMapEntry":
                return Code(loops.mapped_entries(over, body.run, where))
            case _:
                return Code(loops.mapped(over, body.run, where))

    def bind(self, node: Bind) -> Code:
        """The value is computed once; an error of it is one where the variable is read, and only there."""
        value, place = self.run(node.value), self.depth
        with self.inside((node.variable,), bound=True):
            body = self.code(node.body)
        run = body.run

        def bind(entity: Entity, frame: Frame) -> Any:
            try:
                frame[place] = value(entity, frame)
            except FilterError as exc:
                frame[place] = exc
            return run(entity, frame)

        return Code(bind, body.boolean)

    @contextmanager
    def inside(self, variables: tuple[str, ...], bound: bool = False) -> Iterator[None]:
        """Compile what sees these variables."""
        outer, place = self.scope, self.depth
        self.scope = {**outer, **{name: (place + index, bound) for index, name in enumerate(variables)}}
        self.depth = place + len(variables)
        yield
        self.scope, self.depth = outer, place


def _variable(place: int, bound: bool) -> Code:
    if not bound:
        return Code(lambda _entity, frame: frame[place])

    def read(_entity: Entity, frame: Frame) -> Any:
        value = frame[place]
        if isinstance(value, FilterError):
            raise value
        return value

    return Code(read)


def _failing(error: Callable[[], FilterError]) -> Code:
    def fail(_entity: Entity, _frame: Frame) -> Any:
        raise error()

    return Code(fail)


def _fold(first: Run, rest: list[tuple[Operator, Run]]) -> Run:
    def fold(entity: Entity, frame: Frame) -> Any:
        value = first(entity, frame)
        for operator, operand in rest:
            value = operator(frame, value, operand(entity, frame))
        return value

    return fold


def _regex(text: Run, pattern: str) -> Run:
    regex = compiled_regex(pattern)
    search, size = regex.search, regex.programsize

    def matches(entity: Entity, frame: Frame) -> bool:
        value = text(entity, frame)
        if type(value) is not str and type(value) is not Choice:
            raise no_overload("matches", value, pattern)
        return searched(frame, search, size, value)

    return matches


def size(node: Node) -> int:
    """How many parts an evaluation of the tree may visit; a macro over a list pays for its turns itself."""
    hops = len(node.hops) if type(node) is Path else 0
    body = size(node.body) if type(node) is Bind else 0
    return 1 + hops + body + sum(map(size, parts(node)))


def _turn(node: Loop) -> int:
    """The steps of one turn."""
    return size(node.body) + (size(node.where) if node.where is not None else 0)


_COMPILE: dict[type[Node], Callable[[_Compiler, Any], Code]] = {
    Arithmetic: _Compiler.arithmetic,
    Bind: _Compiler.bind,
    Call: _Compiler.call,
    Compare: _Compiler.compare,
    Has: _Compiler.has,
    Index: _Compiler.index,
    ListOf: _Compiler.list_of,
    Literal: _Compiler.literal,
    Logic: _Compiler.logic,
    Loop: _Compiler.loop,
    MapOf: _Compiler.map_of,
    Name: _Compiler.name,
    Path: _Compiler.path,
    Select: _Compiler.select,
    Ternary: _Compiler.ternary,
    Unary: _Compiler.unary,
}
