"""Writing the state as a JSON snapshot document, piece by piece.

The text is the same for the same content, whatever led to it: types with parents first, fields by (rank, name),
only what is set. Nothing here recurses or holds the whole text, so that depth and size do not matter.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterator, Sequence

import msgspec

from qcore.model.document import key_of_field, write_form
from qcore.model.ids import ROOT_ID
from qcore.model.path import MAX_PATH
from qcore.model.schema import BUILTIN, MAINTAINED, CompleteField, CompleteSchema, Types
from qcore.model.values import Kind
from qcore.model.wire import encode_json
from qcore.store.entity import Entity
from qcore.store.paths import Paths, View

__all__ = ["Exported", "export", "listed_types"]

_SLICE = 256
"""Entities, fields or references between two pauses."""
_CHUNK = 65_536
"""Bytes after which a chunk is handed out at the latest, but for a single value that is larger."""


class Exported(msgspec.Struct):
    """What a document holds, and what it leaves out.

    `runtime` counts values of Runtime fields that were left out; `missing` the references to entities that no longer
    exist which were left out (null where there was one alone), as only a document with ids can name them.
    """

    entities: int = 0
    runtime: int = 0
    missing: int = 0


def export(view: View, *, runtime: bool = False, ids: bool = True) -> Generator[bytes, None, Exported]:
    """The document as chunks of UTF-8 JSON; the caller may pause between two of them.

    Args:
        runtime: write Runtime fields too.
        ids: write the id of every entity, and `nextId`.

    Returns:
        What was written and left out, when the generator ends.
    """
    writer = _Writer(view, runtime, ids)
    chunk = bytearray()
    pieces = 0
    for piece in writer.document():
        chunk += piece
        pieces += 1
        if pieces >= _SLICE or len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
            pieces = 0
    yield bytes(chunk)
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


class _Writer:
    def __init__(self, view: View, runtime: bool, ids: bool) -> None:
        self._view = view
        self._runtime = runtime
        self._ids = ids
        self._paths = Paths(view)
        self._fields: dict[str, list[tuple[CompleteField, bytes]]] = {}
        self.done = Exported()

    def document(self) -> Iterator[bytes]:
        yield b'{"schemas":['
        for place, name in enumerate(listed_types(self._view.types)):
            yield (b"," if place else b"") + encode_json(self._view.types.get(name))
        yield b'],"tree":'
        yield from self._tree([ROOT_ID])
        detached = [id for id in self._view.children(0) if id != ROOT_ID]
        if detached:
            yield b',"detached":['
            yield from self._tree(detached)
            yield b"]"
        yield b',"nextId":%d}' % self._view.next_id if self._ids else b"}"

    def _tree(self, tops: Sequence[int]) -> Iterator[bytes]:
        """Entities and all below them, separated by commas."""
        levels = [enumerate(tops)]
        while levels:
            step = next(levels[-1], None)
            if step is None:
                levels.pop()
                yield b"]}" if levels else b""
                continue
            place, id = step
            if place:
                yield b","
            entity = self._view.entities[id]
            yield from self._entity(entity)
            children = self._view.children(id)
            if children:
                yield b',"Children":['
                levels.append(enumerate(children))
            else:
                yield b"}"

    def _entity(self, entity: Entity) -> Iterator[bytes]:
        self.done.entities += 1
        values = entity.values  # held over pauses, which the entity must not be
        id = b'"id":%d,' % entity.id if self._ids else b""
        yield b'{"entityType":"%b",%b"Name":%b' % (entity.type.encode(), id, encode_json(entity.name))
        for field, key in self._fields_of(entity.schema):
            value = values[field.slot]
            if value is None:
                continue
            if field.schema.storage_scope == "Runtime" and not self._runtime:
                self.done.runtime += 1
                continue
            yield key
            if field.kind is Kind.EntityList:
                yield from self._references(value)
            elif field.kind is Kind.EntityReference:
                yield self._reference(value) or b"null"
            else:
                yield encode_json(write_form(field.kind, value))

    def _fields_of(self, schema: CompleteSchema) -> list[tuple[CompleteField, bytes]]:
        """Fields by (rank, name), each with what stands before its value."""
        fields = self._fields.get(schema.type)
        if fields is None:
            fields = [
                (field, b",%b:" % encode_json(key_of_field(field.name)))
                for field in schema.fields
                if field.name not in MAINTAINED
            ]
            self._fields[schema.type] = fields
        return fields

    def _references(self, ids: Sequence[int]) -> Iterator[bytes]:
        separator = b"["
        for id in ids:
            written = self._reference(id)
            if written is not None:
                yield separator + written
                separator = b","
        yield b"]" if separator == b"," else b"[]"

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
