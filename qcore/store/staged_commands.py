"""From the text of a command that came in parts to the command, in slices: first its outline, then what is in it."""

from __future__ import annotations

from typing import Any

import msgspec

from qcore.model.documents.document import Document, DocumentEntity
from qcore.model.entry import Logged
from qcore.model.requests.commands import Command, SchemaSet
from qcore.model.requests.restore import Restore
from qcore.model.schema import EntitySchema
from qcore.model.work import PACE, Pace, Work, emptying

__all__ = ["decode_staged"]

_Raw = list[msgspec.Raw]


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    schemas: list[EntitySchema]
    entities: _Raw
    next_id: int | None = None


class _Restore(Command, tag="restore"):
    """See `Restore`."""

    method = "restore"

    document: _Document
    prune: bool = False
    reset: bool = False


class _SchemaSet(Command, tag="schema.set"):
    """See `SchemaSet`."""

    method = "schema.set"

    schema: EntitySchema | None = None
    schemas: _Raw | None = None
    dry_run: bool = False
    reset: bool = False


_decode_whole = msgspec.json.Decoder(Logged).decode
_decode_outline = msgspec.json.Decoder(_Restore | _SchemaSet).decode
_decode_entity = msgspec.json.Decoder(DocumentEntity).decode
_decode_schema = msgspec.json.Decoder(EntitySchema).decode

_PIECEMEAL = ('{"method":"restore"', '{"method":"schema.set"')
"""How commands begin that are read in slices, as they are written."""


def decode_staged(text: str) -> Work[Command]:
    """The command of a text."""
    if not text.startswith(_PIECEMEAL):
        whole: Command = _decode_whole(text)
        return whole
    outline = _decode_outline(text)
    yield
    if isinstance(outline, _SchemaSet):
        schemas = None if outline.schemas is None else (yield from _each(outline.schemas, _decode_schema, PACE))
        return SchemaSet(**_members(outline, schemas=schemas))
    found = outline.document
    entities = yield from _each(found.entities, _decode_entity, 2)
    return Restore(**_members(outline, document=Document(found.schemas, entities, found.next_id)))


def _each(raw: _Raw, decode: Any, units: int) -> Work[list[Any]]:
    things, pace = [], Pace()
    for each in raw:
        things.append(decode(each))
        if pace.is_due(units):
            yield
    yield from emptying(raw)
    return things


def _members(outline: Command, **others: Any) -> dict[str, Any]:
    return {name: others.get(name, getattr(outline, name)) for name in outline.__struct_fields__}
