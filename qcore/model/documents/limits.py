"""How deep and how long what a document says may be: limits of the node that restores it, whatever its store holds."""

from __future__ import annotations

from collections.abc import Iterator

from qcore.model.documents.document import Document, Problem, key_of_field, refuse, step_of_key
from qcore.model.documents.tree import DocumentTree
from qcore.model.errors import TooLarge
from qcore.model.schema import Types
from qcore.model.values import Kind, check_size

__all__ = ["check_depth", "check_limits"]

_SLICE = 256
"""Entities between two pauses."""


def check_depth(document: Document, tree: DocumentTree, max_depth: int) -> Iterator[None]:
    """Refuse a tree that is too deep; pauses in between.

    Raises:
        TooLarge: it names the entity.
    """
    depths: list[int] = []
    for place, entity in enumerate(document.entities):
        if place % _SLICE == 0:
            yield
        depths.append(1 if entity.parent is None else depths[entity.parent] + 1)
        if depths[place] > max_depth:
            raise TooLarge(
                f"{tree.json_path(place)}: the tree would be {depths[place]} levels deep, "
                f"at most {max_depth} are allowed (--max-depth)"
            )


def check_limits(document: Document, tree: DocumentTree, types: Types, max_depth: int, max_list: int) -> None:
    """Refuse a checked document that no store of this node could take; `types` are its own.

    Raises:
        TooLarge: a tree that is too deep, a list that is too long.
        BadParams: Strings that are too long, which `data["problems"]` has.
    """
    for _ in check_depth(document, tree, max_depth):
        pass
    problems: list[Problem] = []
    for place, entity in enumerate(document.entities):
        schema = types.of(entity.type)
        for name, value in entity.fields.items():
            kind = schema.field(name).kind
            if kind is Kind.EntityList and isinstance(value, list) and len(value) > max_list:
                what = f"field {name}: a list has at most {max_list} elements, {len(value)} given"
                raise TooLarge(f"{_path(tree, place, name)}: {what}", field=name)
            if kind is Kind.String and isinstance(value, str):
                try:
                    check_size(name, value)
                except TooLarge as exc:
                    problems.append(Problem(_path(tree, place, name), exc.message))
    if problems:
        raise refuse(problems)


def _path(tree: DocumentTree, place: int, name: str) -> str:
    return tree.json_path(place) + step_of_key(key_of_field(name))
