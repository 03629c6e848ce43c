"""What differs between two documents, types by name and entities by their path. No I/O.

Values are compared as what they mean to a store: a document may write one value in several ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from qcore.model.documents.document import Document, DocumentEntity, password_in, read_form, write_form
from qcore.model.documents.tree import DocumentTree
from qcore.model.documents.validation import document_types
from qcore.model.schema import CompleteField, EntitySchema, check_schema
from qcore.model.values import Kind
from qcore.model.wire import encode_json
from qcore.model.work import run_whole
from qcore_tools.forms import literal

__all__ = ["differences"]


def differences(old: Document, new: Document) -> Iterator[str]:
    """A line for each difference: ``-`` only in the old one, ``+`` only in the new one, ``~`` in both, changed.

    The documents have no problems. Ids do not count, nor does the order in which types stand; that of children does.
    """
    yield from _types(old, new)
    before, after = _by_path(old), _by_path(new)
    for path, entity in before.items():
        if path not in after:
            yield f"- {path} ({entity.type})"
    for path, entity in after.items():
        if path not in before:
            yield f"+ {path} ({entity.type})"
        else:
            yield from _changes(path, before[path], entity)
    yield from _orders(before, after)


def _types(old: Document, new: Document) -> Iterator[str]:
    before, after = _meant(old), _meant(new)
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"- type {name}"
        elif name not in before:
            yield f"+ type {name}"
        elif before[name] != after[name]:
            yield f"~ type {name}"


def _meant(document: Document) -> dict[str, tuple[list[str], list[bytes]]]:
    """The types with all that a schema may leave out."""
    return {schema.entity_type: _parts(check_schema(schema)) for schema in document.schemas}


def _parts(schema: EntitySchema) -> tuple[list[str], list[bytes]]:
    return schema.inherits_from, sorted(map(encode_json, schema.fields))


def _by_path(document: Document) -> dict[str, DocumentEntity]:
    """The entities by path, with the values of their fields as an export writes them."""
    tree = DocumentTree(document)
    types = run_whole(document_types(document))
    found: dict[str, DocumentEntity] = {}
    for place, entity in enumerate(document.entities):
        by_name = types.of(entity.type).by_name
        fields = {name: _value(tree, by_name[name], value) for name, value in entity.fields.items()}
        found[tree.path(place)] = msgspec.structs.replace(entity, fields=fields)
    return found


def _value(tree: DocumentTree, field: CompleteField, value: Any) -> Any:
    if field.kind is Kind.String and password_in(value) is not None:
        return value  # each hash of it would be another one
    stored = read_form(field, value, tree.find)
    if field.kind is Kind.EntityReference:
        return _reference(tree, stored)
    if field.kind is Kind.EntityList and isinstance(stored, tuple):
        return [_reference(tree, id) for id in stored]
    return write_form(field.kind, stored)


def _reference(tree: DocumentTree, id: Any) -> Any:
    """The path of an entity of the document, which `find` gives as a negative number; the id of a missing one."""
    return tree.path(~id) if id < 0 else id or None


def _changes(path: str, old: DocumentEntity, new: DocumentEntity) -> Iterator[str]:
    if old.type != new.type:
        yield f"~ {path}: type {old.type} -> {new.type}"
    for name in [*old.fields, *(name for name in new.fields if name not in old.fields)]:
        before, after = _shown(old, name), _shown(new, name)
        if before != after:
            yield f"~ {path} {name}: {before} -> {after}"


def _shown(entity: DocumentEntity, name: str) -> str:
    return literal(entity.fields[name]) if name in entity.fields else "(unset)"


def _orders(before: dict[str, DocumentEntity], after: dict[str, DocumentEntity]) -> Iterator[str]:
    """Where children that both have stand in another order."""
    was, now = _children(before, after), _children(after, before)
    for parent, children in was.items():
        if now.get(parent) != children:
            yield f"~ {parent}: the order of children"


def _children(entities: dict[str, DocumentEntity], other: dict[str, DocumentEntity]) -> dict[str, list[str]]:
    paths = list(entities)
    found: dict[str, list[str]] = {}
    for path, entity in entities.items():
        if entity.parent is not None and path in other:
            found.setdefault(paths[entity.parent], []).append(path)
    return found
