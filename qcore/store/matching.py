"""Which entity of the store each entity of a document is: matched by its place in the tree.

Below parents that match, the n-th child of a name and type is the n-th child of that name and type; the Root is
the Root, and entities without a parent match among themselves. Ids play no part.
"""

from __future__ import annotations

from collections.abc import Sequence

from qcore.model.document import Document
from qcore.model.document_tree import DocumentTree
from qcore.model.ids import ROOT_ID
from qcore.store.state import State

__all__ = ["Matching"]


class Matching:
    """`ids[place]` is the entity a place matches, 0 where there is none."""

    def __init__(self, state: State, document: Document, tree: DocumentTree) -> None:
        self._state = state
        self._document = document
        self.ids = [0] * len(document.entities)
        self.extra: dict[int, list[int]] = {}
        """Parent (0: none) -> children in the store that no entity of the document matches, in their order."""
        self.ids[0] = ROOT_ID
        self._match(0, tree.top[1:], [id for id in state.top if id != ROOT_ID])
        for place, id in enumerate(self.ids):  # a parent stands before its children, so its id is known by now
            if id:
                self._match(id, tree.children[place], state.children(id))

    def _match(self, parent: int, places: Sequence[int], ids: Sequence[int]) -> None:
        waiting: dict[tuple[str, str], list[int]] = {}
        for place in reversed(places):
            entity = self._document.entities[place]
            waiting.setdefault((entity.name, entity.type), []).append(place)
        extra = []
        for id in ids:
            entity_there = self._state.entities[id]
            twins = waiting.get((entity_there.name, entity_there.type))
            if twins:
                self.ids[twins.pop()] = id
            else:
                extra.append(id)
        if extra:
            self.extra[parent] = extra
