"""SETSCH and SETFSCH: words and files to schemas."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from qcore.model.errors import BadSchema
from qcore.model.schema import Scope
from qcore.model.values import Kind
from qcore_tools.cli.command import Params
from qcore_tools.console import FileError, UsageError
from qcore_tools.forms import as_json

__all__ = ["KINDS", "read_field_schema", "read_file", "read_schemas"]

_ALIASES = {
    "BINARY": Kind.Blob,
    "BOOLEAN": Kind.Bool,
    "INTEGER": Kind.Int,
    "DOUBLE": Kind.Float,
    "STR": Kind.String,
    "TIME": Kind.Timestamp,
    "REF": Kind.EntityReference,
    "REFLIST": Kind.EntityList,
}
KINDS: dict[str, Kind] = {kind.upper(): kind for kind in Kind} | _ALIASES
"""What a kind may be called, in upper case."""

_SCOPES: dict[str, str] = {scope.upper(): scope for scope in get_args(Scope)}


def read_field_schema(
    args: Sequence[str],
    labels: str | None = None,
    scope: str | None = None,
    rank: str | None = None,
    dry_run: str | None = None,
    reset: str | None = None,
) -> Params:
    """Params of `field.set`: only what was said, so that all else of the field stays.

    Raises:
        UsageError: no such kind or scope, a rank that is no number.
    """
    schema: Params = {"dataType": _kind(args[2])}
    if args[3:]:
        schema["default"] = args[3]
    if labels is not None:
        schema["choices"] = [label.strip() for label in labels.split(",")]
    if scope is not None:
        schema["storageScope"] = _scope(scope)
    if rank is not None:
        schema["rank"] = _rank(rank)
    return {"type": args[0], "field": args[1], "schema": schema} | _flags(dry_run, reset)


def _flags(dry_run: str | None, reset: str | None) -> Params:
    """A flag that was given has the empty text."""
    return {name: True for name, given in (("dry_run", dry_run), ("reset", reset)) if given is not None}


def _kind(word: str) -> Kind:
    kind = KINDS.get(word.upper())
    if kind is None:
        raise UsageError(f"value_type: expected {', '.join(Kind)} (or {', '.join(_ALIASES)}), given {word!r}")
    return kind


def _scope(word: str) -> str:
    scope = _SCOPES.get(word.upper())
    if scope is None:
        raise UsageError(f"--scope: expected {' or '.join(_SCOPES.values())}, given {word!r}")
    return scope


def _rank(word: str) -> int:
    digits = word.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 11):
        raise UsageError(f"--rank: expected a whole number, given {word!r}")
    return int(word)


def read_file(args: Sequence[str], dry_run: str | None = None, reset: str | None = None) -> Params:
    """The name of a file with schemas, which `read_schemas` reads when the command runs."""
    return {"file": args[0]} | _flags(dry_run, reset)


def read_schemas(params: Params) -> Params:
    """Params of `schema.set` from those that name a file, or standard input (`-`), with a schema or a list of them.

    Raises:
        FileError: the file cannot be read.
        BadSchema: it is no JSON object or list, or has a key twice in one object.
    """
    name = params["file"]
    key, content = _parse(name, _read(name))
    return {key: content} | {other: value for other, value in params.items() if other != "file"}


def _read(name: str) -> bytes:
    try:
        if name != "-":
            return Path(name).read_bytes()
        if sys.stdin is None:
            raise FileError("cannot read standard input: it is closed")
        return sys.stdin.buffer.read()
    except (OSError, ValueError) as exc:
        raise FileError(f"cannot read {name}: {exc.strerror if isinstance(exc, OSError) else exc}") from None


def _parse(name: str, data: bytes) -> tuple[str, Any]:
    from qcore.model.documents.deep_json import read_json  # here, as no other command needs it

    twins: list[str] = []
    try:
        content = read_json(data.decode("utf-8-sig"), twins)
    except ValueError as exc:
        raise BadSchema(f"{name} is no JSON: {exc}") from None
    if twins:
        raise BadSchema(f"{name}: {', '.join(twins)}: the key stands in its object twice")
    if isinstance(content, dict):
        return "schema", content
    if isinstance(content, list):
        return "schemas", content
    raise BadSchema(f"{name}: expected a schema or a list of schemas, given {as_json(content)[:40]}")
