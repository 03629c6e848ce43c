"""The syntax tree of a filter.

Left-leaning chains are one node with many parts (`a && b && c`, `a + b - c`, `A->B->C`), so a tree is never deeper
than `MAX_LEVELS` of `qcore.store.cel.scan`, and may be walked by recursion.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "Arithmetic",
    "Bind",
    "Call",
    "Compare",
    "Has",
    "Index",
    "ListOf",
    "Literal",
    "Logic",
    "Loop",
    "MapOf",
    "Name",
    "Node",
    "Parsed",
    "Path",
    "Select",
    "Ternary",
    "Unary",
    "inner",
    "parts",
    "variables",
]


class Node(msgspec.Struct, kw_only=True):
    """`at` is the offset in the user's text; `levels` the height of the tree below, itself included."""

    at: int
    levels: int = 1


class Literal(Node):
    """A constant, as a value of the filter."""

    value: Any


class Name(Node):
    """A variable: a field, `EntityId`, `EntityType`, a macro's variable, or a type's name.

    `rooted`: written with a leading dot, which no variable of a macro hides.
    """

    name: str
    rooted: bool = False


class Path(Node):
    """`operand->hop->hop`; a hop is a field's name or an index of a list."""

    operand: Node
    hops: list[str | int]


class Select(Node):
    """``operand.name``, of a map."""

    operand: Node
    name: str


class Index(Node):
    """``operand[index]``."""

    operand: Node
    index: Node


class Call(Node):
    """`name(args)`, or `target.name(args)`."""

    name: str
    target: Node | None
    args: list[Node]


class Unary(Node):
    """`op` is `!` or `-`."""

    op: str
    operand: Node


class Arithmetic(Node):
    """`first op operand op operand ...`, from left to right; all of one rank: `+ -`, or `* / %`."""

    first: Node
    rest: list[tuple[str, Node]]


class Compare(Node):
    """`op` is one of ``== != < <= > >= in``."""

    op: str
    left: Node
    right: Node


class Logic(Node):
    """`op` is `&&` or `||`; two terms or more."""

    op: str
    terms: list[Node]


class Ternary(Node):
    """``condition ? yes : no``."""

    condition: Node
    yes: Node
    no: Node


class Has(Node):
    """``has(operand)``."""

    operand: Name | Path | Select


class Loop(Node):
    """A macro over a list or a map: `kind` is its name, `where` the condition it may have.

    One of the `variables` is an element or a key; two are an index and its element, or a key and its value.
    """

    kind: str
    operand: Node
    variables: tuple[str, ...]
    where: Node | None
    body: Node


class Bind(Node):
    """``cel.bind(variable, value, body)``."""

    variable: str
    value: Node
    body: Node


class ListOf(Node):
    """``[items]``."""

    items: list[Node]


class MapOf(Node):
    """``{key: value}``."""

    items: list[tuple[Node, Node]]


class Parsed(msgspec.Struct):
    """A filter's text, its tree, and how many variables of macros it has at a time.

    `sound`: it is known that no constant part of it can only fail.
    """

    source: str
    root: Node
    variables: int
    sound: bool = False


def parts(node: Node) -> list[Node]:
    """The nodes directly below a node, without those that `inner` gives."""
    match node:
        case Path() | Select() | Unary() | Has() | Loop():
            return [node.operand]
        case Bind():
            return [node.value]
        case Index():
            return [node.operand, node.index]
        case Call():
            return node.args if node.target is None else [node.target, *node.args]
        case Arithmetic():
            return [node.first, *(operand for _, operand in node.rest)]
        case Compare():
            return [node.left, node.right]
        case Logic():
            return node.terms
        case Ternary():
            return [node.condition, node.yes, node.no]
        case ListOf():
            return node.items
        case MapOf():
            return [part for pair in node.items for part in pair]
    return []


def inner(node: Node) -> tuple[tuple[str, ...], list[Node]]:
    """The variables that a macro brings, and the nodes below it that see them."""
    match node:
        case Loop():
            return node.variables, [node.body] if node.where is None else [node.where, node.body]
        case Bind():
            return (node.variable,), [node.body]
    return (), []


def variables(node: Node) -> int:
    """How many variables of macros there are at most at a time."""
    own, below = inner(node)
    inside = len(own) + max(map(variables, below), default=0)
    return max(inside, *map(variables, parts(node)), 0)
