"""The commands: for each its words, its help, the request it makes and the view of the answer. No I/O.

A usage such as ``<entity_id> [field...]`` is both what HELP prints and what the number of words is checked by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qcore_tools.cli import views
from qcore_tools.console import UsageError

__all__ = ["COMMANDS", "LEAVE", "Command", "Request", "explain", "lookup", "parse"]

Params = dict[str, Any]

LEAVE = ("EXIT", "QUIT")
"""Words that end a prompt or a script."""


@dataclass(frozen=True)
class Command:
    """`words` are its name and aliases, `method` is the API's (empty: answered here), `read` makes the params."""

    words: tuple[str, ...]
    usage: str
    summary: str
    method: str
    view: views.View
    read: Callable[[Sequence[str]], Params]
    details: str = ""

    @property
    def name(self) -> str:
        return self.words[0]

    @property
    def line(self) -> str:
        """Name and usage, as HELP prints them."""
        return f"{self.name} {self.usage}".rstrip()

    def check(self, args: Sequence[str]) -> None:
        """Check the number of words.

        Raises:
            UsageError: too few or too many.
        """
        optional = re.findall(r"\[(.*?)\]", self.usage)
        least = len(re.findall(r"<.*?>", self.usage))
        endless = any(part.endswith("...") for part in optional)
        if len(args) < least or (len(args) > least + len(optional) and not endless):
            raise UsageError(f"expected {self.line}, given {len(args)} word{'s' * (len(args) != 1)} after {self.name}")


@dataclass(frozen=True)
class Request:
    """What a command asks of the server."""

    command: Command
    params: Params


def _nothing(_args: Sequence[str]) -> Params:
    return {}


def _id(args: Sequence[str]) -> Params:
    return {"id": args[0]}


def _type(args: Sequence[str]) -> Params:
    return {"type": args[0]}


def _create(args: Sequence[str]) -> Params:
    params = {"type": args[0], "name": args[1]}
    return params | ({"parent": args[2]} if args[2:] and args[2] != "null" else {})


def _get(args: Sequence[str]) -> Params:
    return {"id": args[0]} | ({"fields": list(args[1:])} if args[1:] else {})


def _set(args: Sequence[str]) -> Params:
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


def _combine(mode: str) -> Callable[[Sequence[str]], Params]:
    return lambda args: {"id": args[0], "field": args[1], "value": args[2], "mode": mode}


def _move(args: Sequence[str]) -> Params:
    return {"id": args[0], "field": "Parent", "value": None if args[1] == "null" else args[1]}


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
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


def _find(args: Sequence[str]) -> Params:
    return {"type": args[0]} | ({"filter": args[1]} if args[1:] else {})


def _find_page(args: Sequence[str]) -> Params:
    return {"type": args[0]} | _page(list(args[1:]))


def _find_exact(args: Sequence[str]) -> Params:
    return _find_page(args) | {"exact": True}


def _types_page(args: Sequence[str]) -> Params:
    params = _page(list(args))
    if "filter" in params:
        raise UsageError(f"expected TYPEPAG [limit] [cursor], given {params['filter']!r}")
    return params


def _file(args: Sequence[str]) -> Params:
    return {"file": args[0]}


def _help(args: Sequence[str]) -> Params:
    return {"command": lookup(args[0]).name} if args else {}


_IDS = (
    "An entity is written 123, @123, 'Type$123' or as a path: /Root/Folder/Name. Single quotes keep a shell off the $."
)
_PAGES = (
    "A cursor is printed where more follows, and asks for it; - skips a word. A page has 100 entities unless told "
    "otherwise, at most 10000."
)
_VALUES = (
    "A value is read by the field's kind: true or false, a label or its number, RFC 3339 or nanoseconds, base64 or\n"
    "@file for a Blob, an entity in any form or null, a list [1,2]. Values with spaces stand in quotes."
)

COMMANDS: tuple[Command, ...] = (
    Command(("PING",), "", "Test the connection", "ping", views.SCALAR, _nothing),
    Command(
        ("GET",),
        "<entity_id> [field...]",
        "Get fields of an entity, all of them if none is named",
        "get",
        views.ENTITY,
        _get,
        f"{_IDS}\nA field may be a path: Department->Name follows the reference.",
    ),
    Command(
        ("SET",),
        "<entity_id> <field> <value> [field value...]",
        "Set fields of an entity, all or none",
        "set",
        views.DONE,
        _set,
        _VALUES,
    ),
    Command(
        ("ADD",),
        "<entity_id> <field> <value>",
        "Add to a number, append to a text, Blob or list",
        "set",
        views.DONE,
        _combine("add"),
    ),
    Command(
        ("SUB",),
        "<entity_id> <field> <value>",
        "Subtract from a number, remove from a list",
        "set",
        views.DONE,
        _combine("subtract"),
    ),
    Command(
        ("CREATE",),
        "<type> <name> [parent]",
        "Create an entity",
        "create",
        views.CREATED,
        _create,
        f"Without a parent the entity stands alone.\n{_IDS}",
    ),
    Command(
        ("DELETE", "DEL"), "<entity_id>", "Delete an entity and everything below it", "delete", views.DONE, _id, _IDS
    ),
    Command(("MOVE",), "<entity_id> <parent|null>", "Move an entity below another one", "set", views.DONE, _move, _IDS),
    Command(("EXISTS",), "<entity_id>", "Whether an entity exists", "exists", views.SCALAR, _id, _IDS),
    Command(("GETSCH",), "<type>", "Get a type's own schema", "schema.get", views.SCHEMA, _type),
    Command(("GETCSCH",), "<type>", "Get a type's schema with all it inherits", "schema.complete", views.SCHEMA, _type),
    Command(
        ("SETSCH",),
        "<json_file>",
        "Set a schema, or a list of schemas, from a JSON file",
        "schema.set",
        views.DONE,
        _file,
        "The file has the form GETSCH prints; - is standard input. Many schemas are set together or not at all.",
    ),
    Command(
        ("FIND",),
        "<type> [filter]",
        "Find the entities of a type and its descendants",
        "find",
        views.ITEMS,
        _find,
        "Prints the first page; FINDPAG goes on from its cursor.",
    ),
    Command(
        ("FINDPAG",),
        "<type> [limit] [cursor] [filter]",
        "Find entities page by page",
        "find",
        views.ITEMS,
        _find_page,
        _PAGES,
    ),
    Command(
        ("FINDEX",),
        "<type> [limit] [cursor] [filter]",
        "Find entities of exactly this type",
        "find",
        views.ITEMS,
        _find_exact,
        _PAGES,
    ),
    Command(("TYPES",), "", "List all types", "types", views.NAMES, _nothing),
    Command(("TYPEPAG",), "[limit] [cursor]", "List types page by page", "types", views.NAMES, _types_page, _PAGES),
    Command(("MACHINE",), "", "Machine name and node id of the server", "machine", views.FACTS, _nothing),
    Command(("INFO",), "", "What the server is and how it fares", "info", views.INFO, _nothing),
    Command(("HELP",), "[command]", "List the commands, or explain one", "", views.HELP, _help),
)

_BY_WORD = {word: command for command in COMMANDS for word in command.words}


def lookup(word: str) -> Command:
    """The command of this name, in any case.

    Raises:
        UsageError: there is none.
    """
    try:
        return _BY_WORD[word.upper()]
    except KeyError:
        raise UsageError(f"unknown command {word!r}; HELP lists the commands") from None


def parse(words: Sequence[str]) -> Request:
    """Make a request of a command's words.

    Raises:
        UsageError: no such command, or not its grammar.
    """
    command = lookup(words[0])
    command.check(words[1:])
    return Request(command, command.read(words[1:]))


def explain(params: Params) -> list[dict[str, str]]:
    """The result of HELP: one command, or all."""
    chosen = [lookup(params["command"])] if params else COMMANDS
    return [{"usage": command.line, "summary": command.summary, "details": command.details} for command in chosen]
