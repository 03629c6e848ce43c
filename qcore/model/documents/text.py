"""From the text of a JSON snapshot to a document, with every problem of its form and its JSON path."""

from __future__ import annotations

from typing import Any

import msgspec

from qcore.model.documents.deep_json import read_json
from qcore.model.documents.document import (
    MOST_PROBLEMS,
    STRUCTURE,
    Document,
    DocumentEntity,
    Problem,
    field_of_key,
    refuse,
)
from qcore.model.documents.origin import Origin, Snapshot, read_origin
from qcore.model.documents.schemas import DocumentSchemas, known_keys, shown
from qcore.model.documents.tree import DocumentTree
from qcore.model.documents.validation import validate

__all__ = ["Parsed", "check", "check_snapshot", "parse", "read_document"]

_DOCUMENT_KEYS = ("origin", "schemas", "tree", "detached", "nextId")
_BYTE_ORDER_MARK = "\ufeff"
"""Some editors write it before UTF-8."""


class Parsed(msgspec.Struct):
    """What could be read of a text (None: it is no JSON object) and what could not.

    Entities that could not be read stand in the document without type or name. `unsure` are types with problems, ""
    among them where such an entity is.
    """

    document: Document | None
    problems: list[Problem]
    unsure: set[str]
    origin: Origin | None = None


def read_document(data: bytes | bytearray | str) -> Document:
    """The document of a text.

    Raises:
        BadParams: it has problems; `data["problems"]` has them as ``{"path", "message"}``.
    """
    document, problems = check(data)
    if document is None or problems:
        raise refuse(problems)
    return document


def check(data: bytes | bytearray | str) -> tuple[Document | None, list[Problem]]:
    """Read a text and find all that is wrong with it, in its form and in what it says."""
    snapshot, problems = check_snapshot(data)
    return None if snapshot is None else snapshot.document, problems


def check_snapshot(data: bytes | bytearray | str) -> tuple[Snapshot | None, list[Problem]]:
    """The same with where the document comes from, as far as it says so."""
    parsed = parse(data)
    if parsed.document is None:
        return None, parsed.problems
    problems = parsed.problems + validate(parsed.document, parsed.unsure)
    return Snapshot(parsed.document, parsed.origin), problems


def parse(data: bytes | bytearray | str) -> Parsed:
    """Read a text as far as its form goes: keys, and the JSON types of what stands under them."""
    twins: list[str] = []
    try:
        value = _decoded(data, twins)
    except ValueError as exc:
        return Parsed(None, [Problem("$", f"no JSON: {_words(exc)}")], set())
    problems = [Problem(path, "the key stands in its object twice") for path in twins]
    keys = known_keys(value, "$", _DOCUMENT_KEYS, problems)
    if keys is None:
        return Parsed(None, problems, set())
    schemas = DocumentSchemas(problems)
    typed = schemas.read(keys.get("schemas"))
    next_id = keys.get("nextId")
    if next_id is not None and type(next_id) is not int:
        problems.append(Problem("$.nextId", f"expected a whole number, given {shown(next_id)}"))
        next_id = None
    entities = _Entities(problems)
    document = Document(typed, entities.read(keys), next_id)
    if problems or entities.notes:
        entities.note(DocumentTree(document))
        schemas.unsure.add("")
    return Parsed(document, problems, schemas.unsure, read_origin(keys.get("origin")))


def _decoded(data: bytes | bytearray | str, twins: list[str]) -> Any:
    """The value of a text; raises ValueError where it is no JSON in UTF-8."""
    if isinstance(data, str):
        data.encode()
        return read_json(data.removeprefix(_BYTE_ORDER_MARK), twins, out_of_range=True)
    return read_json(data.decode().removeprefix(_BYTE_ORDER_MARK), twins, out_of_range=True)


def _words(exc: ValueError) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return f"byte {exc.start} is not UTF-8"
    if isinstance(exc, UnicodeEncodeError):
        return f"character {exc.start} is half of a surrogate pair"
    return str(exc)


class _Entities:
    """Reads `tree` and `detached` into one list, parents first."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._found: list[DocumentEntity] = []
        self.notes: list[tuple[int, str, str]] = []
        """Problems of entities: place, what comes behind its JSON path, message."""

    def read(self, keys: dict[str, Any]) -> list[DocumentEntity]:
        """All entities; one that is none leaves a blank behind, so that places match the text."""
        if "tree" in keys:
            self._below(keys["tree"])
        else:
            self._problems.append(Problem("$", "no Root: the document has no tree"))
            self._found.append(DocumentEntity("", ""))
        detached = keys.get("detached")
        if isinstance(detached, list):
            for value in detached:
                self._below(value)
        elif detached is not None:
            self._problems.append(Problem("$.detached", f"expected a list, given {shown(detached)}"))
        return self._found

    def _note(self, place: int, step: str, message: str) -> None:
        if len(self.notes) < MOST_PROBLEMS:
            self.notes.append((place, step, message))

    def note(self, tree: DocumentTree) -> None:
        """Add the problems of entities to the others."""
        self._problems += [Problem(tree.json_path(place) + step, message) for place, step, message in self.notes]

    def _below(self, top: Any) -> None:
        waiting: list[tuple[Any, int | None]] = [(top, None)]
        while waiting:
            value, parent = waiting.pop()
            place = len(self._found)
            if not isinstance(value, dict):
                self._found.append(DocumentEntity("", "", parent))
                self._note(place, "", f"expected an entity (an object), given {shown(value)}")
                continue
            self._found.append(self._entity(value, parent, place))
            waiting.extend([(child, place) for child in reversed(self._children(value, place))])

    def _entity(self, value: dict[str, Any], parent: int | None, place: int) -> DocumentEntity:
        fields = {field_of_key(key): item for key, item in value.items() if key not in STRUCTURE}
        id = value.get("id")
        if id is not None and type(id) is not int:
            self._note(place, ".id", f"expected a whole number, given {shown(id)}")
            id = None
        return DocumentEntity(
            self._text(value, "entityType", place), self._text(value, "Name", place), parent, id, fields
        )

    def _text(self, value: dict[str, Any], key: str, place: int) -> str:
        text = value.get(key)
        if isinstance(text, str) and text:
            return text
        if key in value:
            self._note(place, f".{key}", f"expected text that is not empty, given {shown(text)}")
        else:
            self._note(place, "", f"{key} is missing")
        return ""

    def _children(self, value: dict[str, Any], place: int) -> list[Any]:
        children = value.get("Children")
        if isinstance(children, list):
            return children
        if children is not None:
            self._note(place, ".Children", f"expected a list of entities, given {shown(children)}")
        return []
