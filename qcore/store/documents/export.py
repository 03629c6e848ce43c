"""Writing the state as a JSON snapshot document, piece by piece.

The text is the same for the same content, whatever led to it: types with parents first, fields by (rank, name),
only what is set. Nothing here recurses or holds the whole text, so that depth and size do not matter.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from qcore.model.documents.document import key_of_field, write_form
from qcore.model.ids import ROOT_ID
from qcore.model.path import MAX_PATH
from qcore.model.schema import BUILTIN, MAINTAINED, CompleteField, CompleteSchema, Types
from qcore.model.values import Kind
from qcore.model.wire import encode_json
from qcore.store.paths import Paths
from qcore.store.state.view import View

__all__ = ["Exported", "export", "listed_types"]

_SLICE = 256
"""Entities, fields and references between two pauses, or as many as one entity has."""
_CHUNK = 65_536
"""Bytes after which a chunk is handed out, but for a single value that is larger."""


class Exported(msgspec.Struct):
    """What a document holds, and what it leaves out.

    `runtime` counts values of Runtime fields that were left out; `missing` the references to entities that no longer
    exist which were left out (null where there was one alone), as only a document with ids can name them.
    """

    entities: int = 0
    runtime: int = 0
    missing: int = 0


def export(view: View, *, runtime: bool = False, ids: bool = True) -> Generator[bytes, None, Exported]:
    """The document as chunks of UTF-8 JSON, some of them empty; the caller may pause between two of them.

    Args:
        runtime: write Runtime fields too.
        ids: write the id of every entity, and `nextId`.

    Returns:
        What was written and left out, when the generator ends.
    """
    writer = _Writer(view, runtime, ids)
    yield from writer.document()
    return writer.done


def listed_types(types: Types) -> list[str]:
    """Names of the types a document lists, parents before their heirs, else by name; built-in ones only if changed."""
    own = {name: schema for name, schema in types.own.items() if schema != BUILTIN.get(name)}
    waiting = {name: sum(parent in own for parent in schema.inherits_from) for name, schema in own.items()}
    heirs: dict[str, list[str]] = {name: [] for name in types.own}
    for name, schema in own.items():
        for parent in schema.inherits_from:
            heirs[parent].append(name)
    ready = [name for name, parents in waiting.items() if parents == 0]
    heapq.heapify(ready)
    listed = []
    while ready:
        name = heapq.heappop(ready)
        listed.append(name)
        for heir in heirs[name]:
            waiting[heir] -= 1
            if waiting[heir] == 0:
                heapq.heappush(ready, heir)
    return listed


class _Field(NamedTuple):
    """How a field is written; `form` is None for references, which depend on the tree."""

    slot: int
    kind: Kind
    runtime: bool
    key: bytes
    """What stands before the value."""
    form: Callable[[Any], bytes] | None


_FORMS: dict[Kind, Callable[[Any], bytes] | None] = {
    Kind.Blob: lambda value: encode_json(write_form(Kind.Blob, value)),
    Kind.Bool: encode_json,
    Kind.Choice: encode_json,
    Kind.EntityList: None,
    Kind.EntityReference: None,
    Kind.Float: encode_json,
    Kind.Int: encode_json,
    Kind.String: lambda value: encode_json(write_form(Kind.String, value)),
    Kind.Timestamp: lambda value: encode_json(write_form(Kind.Timestamp, value)),
}


def _field(field: CompleteField) -> _Field:
    key = b",%b:" % encode_json(key_of_field(field.name))
    return _Field(field.slot, field.kind, field.schema.storage_scope == "Runtime", key, _FORMS[field.kind])


class _Writer:
    """Writes into one chunk, which is handed out when it is full or enough was done; nobody else sees it before."""

    def __init__(self, view: View, runtime: bool, ids: bool) -> None:
        self._view = view
        self._runtime = runtime
        self._ids = ids
        self._paths = Paths(view)
        self._fields: dict[str, list[_Field]] = {}
        self._chunk = bytearray()
        self._work = 0
        """Entities, fields and references since the last pause."""
        self.done = Exported()

    def document(self) -> Iterator[bytes]:
        self._chunk += b'{"schemas":['
        for place, name in enumerate(listed_types(self._view.types)):
            self._chunk += (b"," if place else b"") + encode_json(self._view.types.get(name))
            yield from self._pause()
        self._chunk += b'],"tree":'
        yield from self._tree([ROOT_ID])
        detached = [id for id in self._view.children(0) if id != ROOT_ID]
        if detached:
            self._chunk += b',"detached":['
            yield from self._tree(detached)
            self._chunk += b"]"
        self._chunk += b',"nextId":%d}' % self._view.next_id if self._ids else b"}"
        yield self._handed_out()

    def _handed_out(self) -> bytes:
        chunk, self._chunk, self._work = bytes(self._chunk), bytearray(), 0
        return chunk

    def _pause(self, work: int = 0) -> Sequence[bytes]:
        """The chunk if it is time for a pause, after so much more work."""
        self._work += work
        return (self._handed_out(),) if self._work >= _SLICE or len(self._chunk) >= _CHUNK else ()

    def _tree(self, tops: Sequence[int]) -> Iterator[bytes]:
        """Entities and all below them, separated by commas."""
        levels = [enumerate(tops)]
        while levels:
            step = next(levels[-1], None)
            if step is None:
                levels.pop()
                self._chunk += b"]}" if levels else b""
                continue
            place, id = step
            if place:
                self._chunk += b","
            yield from self._entity(id)
            children = self._view.children(id)
            if children:
                self._chunk += b',"Children":['
                levels.append(enumerate(children))
            else:
                self._chunk += b"}"

    def _entity(self, id: int) -> Iterator[bytes]:
        """Everything of an entity but its children."""
        self.done.entities += 1
        entity = self._view.entities[id]
        fields = self._fields_of(entity.schema)
        values = entity.values  # held over pauses, which the entity must not be
        written = b'"id":%d,' % id if self._ids else b""
        self._chunk += b'{"entityType":"%b",%b"Name":%b' % (entity.type.encode(), written, encode_json(entity.name))
        del entity
        for slot, kind, runtime, key, form in fields:
            value = values[slot]
            if value is None:
                continue
            if runtime and not self._runtime:
                self.done.runtime += 1
                continue
            self._chunk += key
            if form is None:
                yield from self._references(kind, value)
                continue
            self._chunk += form(value)
            if len(self._chunk) >= _CHUNK:
                yield self._handed_out()
        yield from self._pause(1 + len(fields))

    def _fields_of(self, schema: CompleteSchema) -> list[_Field]:
        """Fields by (rank, name)."""
        fields = self._fields.get(schema.type)
        if fields is None:
            fields = [_field(field) for field in schema.fields if field.name not in MAINTAINED]
            self._fields[schema.type] = fields
        return fields

    def _references(self, kind: Kind, value: Any) -> Iterator[bytes]:
        if kind is Kind.EntityReference:
            yield from self._prepare(value)
            self._chunk += self._reference(value) or b"null"
            return
        separator = b"["
        for id in value:
            yield from self._prepare(id)
            written = self._reference(id)
            if written is not None:
                self._chunk += separator + written
                separator = b","
            yield from self._pause(1)
        self._chunk += b"]" if separator == b"," else b"[]"

    def _prepare(self, id: int) -> Iterator[bytes] | tuple[()]:
        """Have the path of an entity at hand, pausing where its siblings are many."""
        return () if self._paths.ready(id) else (self._handed_out() for _ in self._paths.prepare(id))

    def _reference(self, id: int) -> bytes | None:
        """A path, or a decimal id where there is none; None for null and what cannot be named without ids."""
        if id == 0:
            return None
        if id in self._view.entities:
            path = self._paths.of(id)
            if len(path) <= MAX_PATH:
                return encode_json(path)
        if self._ids:
            return b'"%d"' % id
        self.done.missing += 1
        return None
