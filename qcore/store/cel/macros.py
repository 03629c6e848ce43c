"""The macros of filters: calls whose arguments name variables instead of having values."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from qcore.store.cel.nodes import Bind, Loop, Name, Node

__all__ = ["BIND", "LOOPS", "Fail", "bind", "loop", "usage"]

Fail = Callable[[int, str], Exception]
"""The error for something at an offset of the user's text."""

BIND = "cel.bind"


class _Form(NamedTuple):
    variables: int
    where: bool


_TEST = {2: _Form(1, False), 3: _Form(2, False)}
_TRANSFORM = {3: _Form(2, False), 4: _Form(2, True)}

LOOPS: dict[str, dict[int, _Form]] = {
    "all": _TEST,
    "exists": _TEST,
    "exists_one": _TEST,
    "existsOne": _TEST,
    "filter": {2: _Form(1, False)},
    "map": {2: _Form(1, False), 3: _Form(1, True)},
    "transformList": _TRANSFORM,
    "transformMap": _TRANSFORM,
    "transformMapEntry": _TRANSFORM,
}
"""The macros over lists and maps: for each number of arguments what they are."""


def loop(fail: Fail, at: int, levels: int, kind: str, target: Node, args: list[Node]) -> Loop:
    """``target.kind(variables, where, body)``; raises what `fail` makes of a variable that is none."""
    form = LOOPS[kind][len(args)]
    names = [_variable(fail, kind, arg) for arg in args[: form.variables]]
    if len(set(names)) < len(names):
        raise fail(args[1].at, f"the two names of {kind} have to differ")
    return Loop(
        at=at,
        levels=levels,
        kind="exists_one" if kind == "existsOne" else kind,
        operand=target,
        variables=tuple(names),
        where=args[form.variables] if form.where else None,
        body=args[-1],
    )


def bind(fail: Fail, at: int, levels: int, args: list[Node]) -> Bind:
    """``cel.bind(variable, value, body)``; raises what `fail` makes of wrong arguments."""
    if len(args) != 3:
        raise fail(at, f"{usage(BIND)}, {len(args)} arguments given")
    return Bind(at=at, levels=levels, variable=_variable(fail, BIND, args[0]), value=args[1], body=args[2])


def _variable(fail: Fail, kind: str, node: Node) -> str:
    if type(node) is not Name or node.rooted:
        whose = "the value" if kind == BIND else "the elements"
        raise fail(node.at, f"the first argument of {kind} is a name for {whose}")
    return node.name


def usage(kind: str) -> str:
    """How a macro is written, for those who wrote it otherwise."""
    if kind == BIND:
        return "it is cel.bind(name, value, expression)"
    names = "name" if 2 in LOOPS[kind] else "index, name"
    return f"a macro is list.{kind}({names}, expression)"
