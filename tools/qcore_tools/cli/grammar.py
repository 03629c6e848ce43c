"""The words of each command to the params of its request. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qcore_tools.cli.command import Params
from qcore_tools.console import UsageError

__all__ = [
    "combine",
    "read_create",
    "read_field",
    "read_find",
    "read_find_exact",
    "read_find_page",
    "read_get",
    "read_id",
    "read_move",
    "read_nothing",
    "read_set",
    "read_slow_log",
    "read_type",
    "read_types_page",
]


def read_nothing(_args: Sequence[str]) -> Params:
    """No params."""
    return {}


def read_id(args: Sequence[str]) -> Params:
    """Read ``<id>``."""
    return {"id": args[0]}


def read_type(args: Sequence[str]) -> Params:
    """Read ``<type>``."""
    return {"type": args[0]}


def read_create(args: Sequence[str]) -> Params:
    """Read ``<type> <name> [parent]``, where no parent may be said as null."""
    params = {"type": args[0], "name": args[1]}
    return params | ({"parent": args[2]} if args[2:] and args[2] != "null" else {})


def read_get(args: Sequence[str]) -> Params:
    """Read ``<id> [field...]``."""
    return {"id": args[0]} | ({"fields": list(args[1:])} if args[1:] else {})


def read_set(args: Sequence[str]) -> Params:
    """Read ``<id> <field> <value> [field value...]``.

    Raises:
        UsageError: a field without a value, or twice.
    """
    entity, *pairs = args
    if len(pairs) % 2:
        raise UsageError(f"SET takes pairs of field and value; {pairs[-1]!r} stands alone (quote values with spaces)")
    names = pairs[::2]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"SET has the field {twice[0]} twice")
    if len(names) == 1:
        return {"id": entity, "field": pairs[0], "value": pairs[1]}
    return {"id": entity, "fields": dict(zip(names, pairs[1::2], strict=True))}


def combine(mode: str) -> Callable[[Sequence[str]], Params]:
    """Read ``<id> <field> <value>`` with a mode: add or subtract."""
    return lambda args: {"id": args[0], "field": args[1], "value": args[2], "mode": mode}


def read_move(args: Sequence[str]) -> Params:
    """Read ``<id> <parent|null>``."""
    return {"id": args[0], "field": "Parent", "value": None if args[1] == "null" else args[1]}


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise UsageError(f"limit: expected a number or -, given {text!r}")
    return int(text)


def _page(rest: list[str]) -> Params:
    """Read ``[limit] [cursor] [filter]``; each but the last may be left out or be a ``-``."""
    params: Params = {}
    if rest and (rest[0] == "-" or rest[0].isdigit()):
        word = rest.pop(0)
        params |= {} if word == "-" else {"limit": _limit(word)}
    if rest and (rest[0] == "-" or rest[0].startswith("c.")):
        word = rest.pop(0)
        params |= {} if word == "-" else {"cursor": word}
    if len(rest) > 1:
        raise UsageError(
            f"expected [limit] [cursor] [filter], where a cursor begins with c. and a filter with spaces "
            f"is quoted; given {' '.join(rest)!r}"
        )
    if rest and rest[0].isdigit():
        raise UsageError(f"cursor: expected the one of the page before (c....) or -, given {rest[0]!r}")
    return params | ({"filter": rest[0]} if rest else {})


def read_find(args: Sequence[str]) -> Params:
    """Read ``<type> [filter]``."""
    return {"type": args[0]} | ({"filter": args[1]} if args[1:] else {})


def read_find_page(args: Sequence[str]) -> Params:
    """Read ``<type> [limit] [cursor] [filter]``.

    Raises:
        UsageError: a word in the wrong place.
    """
    return {"type": args[0]} | _page(list(args[1:]))


def read_find_exact(args: Sequence[str]) -> Params:
    """As `read_find_page`, without descendants of the type."""
    return read_find_page(args) | {"exact": True}


def read_types_page(args: Sequence[str]) -> Params:
    """Read ``[limit] [cursor]``.

    Raises:
        UsageError: a word in the wrong place.
    """
    params = _page(list(args))
    if "filter" in params:
        raise UsageError(f"expected TYPEPAG [limit] [cursor], given {params['filter']!r}")
    return params


def read_slow_log(args: Sequence[str]) -> Params:
    """Read ``[n]``.

    Raises:
        UsageError: it is no number.
    """
    return {"limit": _limit(args[0])} if args and args[0] != "-" else {}


def read_field(args: Sequence[str]) -> Params:
    """Read ``<type> <field>``."""
    return {"type": args[0], "field": args[1]}
