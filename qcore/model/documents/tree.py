"""The tree a document draws: children, paths, and what a reference in it leads to."""

from __future__ import annotations

from qcore.model.documents.document import PATH_HEAD, PATH_TAIL, Document
from qcore.model.errors import BadParams, BadValue, NotFound
from qcore.model.ids import MAX_GIVEN_ID, ROOT_ID, parse_id
from qcore.model.path import Step, join_path, split_path
from qcore.model.requests.commands import IdForm
from qcore.model.work import Pace, Work, emptying, run_whole

__all__ = ["DocumentTree"]


class DocumentTree:
    """Indexes over the entities of a document; an entity is named by its place in the list."""

    def __init__(self, document: Document) -> None:
        run_whole(self._index(document))

    @classmethod
    def drawing(cls, document: Document) -> Work[DocumentTree]:
        """The work of making one."""
        tree = cls.__new__(cls)
        yield from tree._index(document)
        return tree

    def _index(self, document: Document) -> Work[None]:
        self._entities = document.entities
        self._next_id = document.next_id
        self.top: list[int] = []
        """Places of the entities without a parent; the Root is the first."""
        self.children: list[list[int]] = []
        """Places of the children, by place of the parent."""
        self.by_id = {ROOT_ID: 0}
        """Places by the ids that the document gives; the Root's is known without."""
        self._twins: dict[tuple[int | None, str], list[int]] = {}
        self._found: dict[str, int] = {}
        self._numbers: list[tuple[int, int]] = []
        """By place: which of its siblings it is, from 0, and which of its twins, from 1."""
        self._heads: list[int] = []
        pace = Pace()
        for place, entity in enumerate(document.entities):
            if pace.is_due():
                yield
            self.children.append([])
            siblings = self.top if entity.parent is None else self.children[entity.parent]
            twins = self._twins.setdefault((entity.parent, entity.name), [])
            self._numbers.append((len(siblings), len(twins) + 1))
            siblings.append(place)
            twins.append(place)
            if entity.id is not None:
                self.by_id.setdefault(entity.id, place)

    def taking_apart(self) -> Work[None]:
        """Free everything in pieces; nobody asks any more."""
        return emptying(self.children, self._twins, self._numbers, self.by_id, self._found, self._heads)

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
        if not 1 <= number <= MAX_GIVEN_ID:
            raise BadValue(f"an id in a document is 1..{MAX_GIVEN_ID}, {number} given")
        place = self.by_id.get(number)
        if place is not None:
            return ~place
        if self._next_id is None and len(self.by_id) > 1:
            raise NotFound(f"no entity of the document has the id {number}, and without nextId it may be anyone's")
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
        assert current is not None  # a path has a step
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
        """JSON path of an entity in the text of the document; a long one without its middle."""
        if not self._heads:
            self._find_heads()
        head = self._heads[place]
        current, end = self._steps_up(place, head, PATH_TAIL)
        top, begin = self._steps_up(head, -1, PATH_HEAD)
        number = self._numbers[top][0]
        gap = "" if current == head else " ... "
        return ("$.tree" if number == 0 else f"$.detached[{number - 1}]") + begin + gap + end

    def _find_heads(self) -> None:
        """For each place, what stands above it where the head of its JSON path ends; the place itself if not deep."""
        depths: list[int] = []
        for place, entity in enumerate(self._entities):
            depth = 0 if entity.parent is None else depths[entity.parent] + 1
            depths.append(depth)
            self._heads.append(place if entity.parent is None or depth <= PATH_HEAD else self._heads[entity.parent])

    def _steps_up(self, place: int, last: int, most: int) -> tuple[int, str]:
        """Walk up to `last` or a top, at most so many steps: where that ends, and the steps as text, downwards."""
        steps: list[str] = []
        while place != last and len(steps) < most:
            parent = self._entities[place].parent
            if parent is None:
                break
            steps.append(f".Children[{self._numbers[place][0]}]")
            place = parent
        return place, "".join(reversed(steps))
