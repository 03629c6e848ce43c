"""The tree a document draws: children, paths, and what a reference in it leads to."""

from __future__ import annotations

from qcore.model.commands import IdForm
from qcore.model.document import Document
from qcore.model.errors import BadParams, BadValue, NotFound
from qcore.model.ids import parse_id
from qcore.model.path import Step, join_path, split_path
from qcore.model.values import INT_MAX

__all__ = ["MAX_DOCUMENT_ID", "DocumentTree"]

MAX_DOCUMENT_ID = INT_MAX
"""Highest id a document may give: room stays for the ids a store gives out itself."""


class DocumentTree:
    """Indexes over the entities of a document; an entity is named by its place in the list."""

    def __init__(self, document: Document) -> None:
        self._entities = document.entities
        self._next_id = document.next_id
        self.top: list[int] = []
        """Places of the entities without a parent; the Root is the first."""
        self.children: list[list[int]] = [[] for _ in document.entities]
        """Places of the children, by place of the parent."""
        self.by_id: dict[int, int] = {}
        self._twins: dict[tuple[int | None, str], list[int]] = {}
        self._found: dict[str, int] = {}
        self._numbers: list[tuple[int, int]] = []
        """By place: which of its siblings it is, from 0, and which of its twins, from 1."""
        for place, entity in enumerate(document.entities):
            siblings = self.top if entity.parent is None else self.children[entity.parent]
            twins = self._twins.setdefault((entity.parent, entity.name), [])
            self._numbers.append((len(siblings), len(twins) + 1))
            siblings.append(place)
            twins.append(place)
            if entity.id is not None:
                self.by_id.setdefault(entity.id, place)

    def find(self, form: IdForm) -> int:
        """What a reference leads to: ``~place`` of an entity of the document, or an id that none of them has.

        Raises:
            NotFound: a path that leads nowhere, an id the store of the document never gave out.
            BadParams, BadValue, TooLarge: no reference at all.
        """
        if isinstance(form, str) and form.startswith("/"):
            return ~self._at(form)
        number = form if isinstance(form, int) else parse_id(form)
        if number is None:
            raise BadParams("a reference in a document is a path /Root/Name or a decimal id")
        if not 1 <= number <= MAX_DOCUMENT_ID:
            raise BadValue(f"an id in a document is 1..{MAX_DOCUMENT_ID}, {number} given")
        place = self.by_id.get(number)
        if place is not None:
            return ~place
        if self._next_id is not None and number >= self._next_id:
            raise NotFound(f"no entity of the document has the id {number}, and its nextId is {self._next_id}")
        return number

    def _at(self, text: str) -> int:
        place = self._found.get(text)
        if place is None:
            place = self._found[text] = self._walk(text)
        return place

    def _walk(self, text: str) -> int:
        current: int | None = None
        for name, twin in split_path(text):
            twins = self._twins.get((current, name), ())
            if twin > len(twins):
                which = f"{name!r}" if twin == 1 else f"{name!r} number {twin}"
                raise NotFound(f"the document has no {which} there")
            current = twins[twin - 1]
        if current is None:
            raise BadParams(f"path {text!r} names nothing")
        return current

    def path(self, place: int) -> str:
        """Path of an entity in the document."""
        steps: list[Step] = []
        current: int | None = place
        while current is not None:
            steps.append((self._entities[current].name, self._numbers[current][1]))
            current = self._entities[current].parent
        return join_path(reversed(steps))

    def json_path(self, place: int) -> str:
        """JSON path of an entity in the text of the document."""
        steps: list[str] = []
        current = place
        while (parent := self._entities[current].parent) is not None:
            steps.append(f".Children[{self._numbers[current][0]}]")
            current = parent
        top = self._numbers[current][0]
        return ("$.tree" if top == 0 else f"$.detached[{top - 1}]") + "".join(reversed(steps))
