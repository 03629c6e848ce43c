"""Which entity of the store each entity of a document is: matched by its place in the tree.

Below parents that match, the n-th child of a name and type is the n-th child of that name and type; the Root is
the Root, and entities without a parent match among themselves. Ids play no part.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from qcore.model.documents.document import Document
from qcore.model.documents.tree import DocumentTree
from qcore.model.ids import ROOT_ID
from qcore.model.work import emptying
from qcore.store.state.view import View

__all__ = ["Matching"]

_SLICE = 500
"""Entities between two pauses."""


class Matching:
    """`ids[place]` is the entity a place matches, 0 where there is none; filled in by `run`."""

    def __init__(self, view: View, document: Document, tree: DocumentTree) -> None:
        self._view = view
        self._document = document
        self._tree = tree
        self.ids = [0] * len(document.entities)
        self.extra: dict[int, list[int]] = {}
        """Parent (0: none) -> children in the store that no entity of the document matches, in their order."""

    def run(self) -> Generator[None, None, None]:
        """Match everything; pauses now and then, while the view must stay as it is."""
        self.ids[0] = ROOT_ID
        yield from self._match(0, self._tree.top[1:], [id for id in self._view.children(0) if id != ROOT_ID])
        for place, id in enumerate(self.ids):  # a parent stands before its children, so its id is known by now
            if id:
                yield from self._match(id, self._tree.children[place], self._view.children(id))
            if place % _SLICE == 0:
                yield

    def _match(self, parent: int, places: Sequence[int], ids: Sequence[int]) -> Generator[None, None, None]:
        waiting: dict[tuple[str, str], list[int]] = {}
        for number, place in enumerate(reversed(places), 1):
            entity = self._document.entities[place]
            waiting.setdefault((entity.name, entity.type), []).append(place)
            if number % _SLICE == 0:
                yield
        extra = []
        for number, id in enumerate(ids, 1):
            entity_there = self._view.entities[id]
            twins = waiting.get((entity_there.name, entity_there.type))
            if twins:
                self.ids[twins.pop()] = id
            else:
                extra.append(id)
            if number % _SLICE == 0:
                yield
        if extra:
            self.extra[parent] = extra
        if len(waiting) > _SLICE:
            yield from emptying(waiting)
