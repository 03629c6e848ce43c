"""What differs between two documents, types by name and entities by their path. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qcore.model.documents.document import Document, DocumentEntity
from qcore.model.documents.tree import DocumentTree
from qcore_tools.forms import literal

__all__ = ["differences"]


def differences(old: Document, new: Document) -> Iterator[str]:
    """A line for each difference: ``-`` only in the old one, ``+`` only in the new one, ``~`` in both, changed.

    Ids do not count, nor does the order in which types stand; that of children does.
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
    before = {schema.entity_type: schema for schema in old.schemas}
    after = {schema.entity_type: schema for schema in new.schemas}
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"- type {name}"
        elif name not in before:
            yield f"+ type {name}"
        elif before[name] != after[name]:
            yield f"~ type {name}"


def _by_path(document: Document) -> dict[str, DocumentEntity]:
    tree = DocumentTree(document)
    return {tree.path(place): entity for place, entity in enumerate(document.entities)}


def _changes(path: str, old: DocumentEntity, new: DocumentEntity) -> Iterator[str]:
    if old.type != new.type:
        yield f"~ {path}: type {old.type} -> {new.type}"
    for name in [*old.fields, *(name for name in new.fields if name not in old.fields)]:
        if old.fields.get(name, _UNSET) != new.fields.get(name, _UNSET):
            yield f"~ {path} {name}: {_shown(old, name)} -> {_shown(new, name)}"


_UNSET: Any = object()


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
