"""From the text of a JSON snapshot to a document, with every problem of its form and its JSON path."""

from __future__ import annotations

from typing import Any

import msgspec

from qcore.model.deep_json import decode_deep
from qcore.model.document import STRUCTURE, Document, DocumentEntity, Problem, field_of_key, refuse
from qcore.model.document_check import validate
from qcore.model.document_schemas import DocumentSchemas, known_keys, shown
from qcore.model.wire import decode_json

__all__ = ["Parsed", "check", "parse", "read_document"]

_DOCUMENT_KEYS = ("schemas", "tree", "detached", "nextId")


class Parsed(msgspec.Struct):
    """What could be read of a text (None: it is no JSON object) and what could not.

    Entities that could not be read stand in the document without type or name. `unsure` are types with problems.
    """

    document: Document | None
    problems: list[Problem]
    unsure: set[str]


def read_document(data: bytes | str) -> Document:
    """The document of a text.

    Raises:
        BadParams: it has problems; `data["problems"]` has them as ``{"path", "message"}``.
    """
    document, problems = check(data)
    if document is None or problems:
        raise refuse(problems)
    return document


def check(data: bytes | str) -> tuple[Document | None, list[Problem]]:
    """Read a text and find all that is wrong with it, in its form and in what it says."""
    parsed = parse(data)
    if parsed.document is None:
        return None, parsed.problems
    return parsed.document, parsed.problems + validate(parsed.document, parsed.unsure)


def parse(data: bytes | str) -> Parsed:
    """Read a text as far as its form goes: keys, and the JSON types of what stands under them."""
    try:
        value = _decoded(data)
    except msgspec.DecodeError as exc:
        return Parsed(None, [Problem("$", f"no JSON: {exc}")], set())
    except UnicodeDecodeError as exc:
        return Parsed(None, [Problem("$", f"no JSON: byte {exc.start} is not UTF-8")], set())
    problems: list[Problem] = []
    keys = known_keys(value, "$", _DOCUMENT_KEYS, problems)
    if keys is None:
        return Parsed(None, problems, set())
    schemas = DocumentSchemas(problems)
    typed = schemas.read(keys.get("schemas"))
    entities = _Entities(problems).read(keys)
    next_id = keys.get("nextId")
    if next_id is not None and type(next_id) is not int:
        problems.append(Problem("$.nextId", f"expected a whole number, given {shown(next_id)}"))
        next_id = None
    return Parsed(Document(typed, entities, next_id), problems, schemas.unsure)


def _decoded(data: bytes | str) -> Any:
    try:
        return decode_json(data)
    except RecursionError:  # a tree deeper than the fast decoder goes
        return decode_deep(data.decode() if isinstance(data, bytes) else data)


class _Entities:
    """Reads `tree` and `detached` into one list, parents first."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._found: list[DocumentEntity] = []
        self._steps: list[str] = []

    def read(self, keys: dict[str, Any]) -> list[DocumentEntity]:
        """All entities; one that is none leaves a blank behind, so that places match the text."""
        if "tree" in keys:
            self._below(keys["tree"], "$.tree")
        else:
            self._problems.append(Problem("$", "no Root: the document has no tree"))
            self._found.append(DocumentEntity("", ""))
            self._steps.append("$.tree")
        detached = keys.get("detached")
        if isinstance(detached, list):
            for place, value in enumerate(detached):
                self._below(value, f"$.detached[{place}]")
        elif detached is not None:
            self._problems.append(Problem("$.detached", f"expected a list, given {shown(detached)}"))
        return self._found

    def _below(self, top: Any, path: str) -> None:
        waiting: list[tuple[Any, str, int | None]] = [(top, path, None)]
        while waiting:
            value, step, parent = waiting.pop()
            place = len(self._found)
            self._steps.append(step)
            self._found.append(DocumentEntity("", "", parent))
            if not isinstance(value, dict):
                self._note(place, "", f"expected an entity (an object), given {shown(value)}")
                continue
            self._found[place] = self._entity(value, parent, place)
            children = [(child, f".Children[{i}]", place) for i, child in enumerate(self._children(value, place))]
            waiting.extend(reversed(children))

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

    def _note(self, place: int, step: str, message: str) -> None:
        steps = [step]
        current: int | None = place
        while current is not None:
            steps.append(self._steps[current])
            current = self._found[current].parent
        self._problems.append(Problem("".join(reversed(steps)), message))
