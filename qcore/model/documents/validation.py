"""Checks what a document says, without a store: types, names, ids, values, references. Finds every problem."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from qcore.model.documents.document import (
    MOST_PROBLEMS,
    Document,
    DocumentEntity,
    Problem,
    key_of_field,
    password_in,
    read_form,
    step_of_key,
)
from qcore.model.documents.tree import DocumentTree
from qcore.model.errors import RequestError
from qcore.model.ids import MAX_GIVEN_ID, ROOT_ID, check_entity_name
from qcore.model.schema import MAINTAINED, CompleteField, CompleteSchema, Types
from qcore.model.values import Kind
from qcore.model.work import Pace, Work, run_whole

__all__ = ["document_types", "validate", "validating"]


def document_types(document: Document) -> Work[Types]:
    """The types a document brings, and the built-in ones.

    Raises:
        BadSchema, Cycle, TooLarge: they cannot be set together.
    """
    return Types().setting(document.schemas)


def validate(document: Document, unsure: Set[str] = frozenset()) -> list[Problem]:
    """All problems, in the order of the entities, up to `MOST_PROBLEMS`.

    `unsure` types were not read whole: fields they may have had, and their absence, are not held against entities.
    With "" among them, entities without type or name are not either: whoever read the text has noted them.
    """
    problems, _ = run_whole(validating(document, unsure))
    return problems


def validating(
    document: Document, unsure: Set[str] = frozenset()
) -> Work[tuple[list[Problem], tuple[Types, DocumentTree] | None]]:
    """The work of `validate`, and what it has found out on the way: types and tree, None where there are none."""
    try:
        types = yield from document_types(document)
    except RequestError as exc:
        return [Problem("$.schemas", exc.message)], None
    yield
    entities = document.entities
    if not entities or any(e.parent is not None and not 0 <= e.parent < i for i, e in enumerate(entities)):
        problem = "the entities of a document begin with the Root, and each stands behind its parent"
        return [Problem("$", problem)], None
    yield
    tree = yield from DocumentTree.drawing(document)
    return (yield from _Checker(document, types, tree, unsure).run()), (types, tree)


class _Checker:
    def __init__(self, document: Document, types: Types, tree: DocumentTree, unsure: Set[str]) -> None:
        self._document = document
        self._types = types
        self._unsure = unsure
        self._whole = "" not in unsure
        self._tree = tree
        self._problems: list[Problem] = []

    def run(self) -> Work[list[Problem]]:
        pace = Pace()
        for place, entity in enumerate(self._document.entities):
            if pace.is_due(2 + len(entity.fields)):
                yield
            self._id(place, entity.id)
            if entity.name or self._whole:
                self._name(place, entity.name)
            if entity.type or self._whole:
                self._type(place, entity)
        next_id = self._document.next_id
        lowest = max(id for id in self._tree.by_id if id <= MAX_GIVEN_ID) + 1
        if next_id is not None and not lowest <= next_id <= MAX_GIVEN_ID + 1:
            message = f"expected a number above every id, {lowest}..{MAX_GIVEN_ID + 1}, given {next_id}"
            self._problems.append(Problem("$.nextId", message))
        return self._problems

    def _note(self, place: int, step: str, message: str) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(Problem(self._tree.json_path(place) + step, message))

    def _id(self, place: int, id: int | None) -> None:
        if id is None:
            return
        if not 1 <= id <= MAX_GIVEN_ID:
            self._note(place, ".id", f"expected 1..{MAX_GIVEN_ID}, given {id}")
        elif (place == 0) is not (id == ROOT_ID):
            self._note(place, ".id", f"{ROOT_ID} is the id of the Root and of no other entity, given {id}")
        elif self._tree.by_id[id] != place:
            self._note(
                place, ".id", f"the id {id} is given twice, first at {self._tree.json_path(self._tree.by_id[id])}"
            )

    def _name(self, place: int, name: str) -> None:
        try:
            check_entity_name(name)
        except RequestError as exc:
            self._note(place, ".Name", exc.message)

    def _type(self, place: int, entity: DocumentEntity) -> None:
        if (entity.type == "Root") is not (place == 0):
            message = "the tree begins with the Root, an entity of type Root" if place == 0 else "a second Root"
            self._note(place, ".entityType", f"{message}; given {entity.type!r}")
        schema = self._types.complete.get(entity.type)
        if schema is None:
            if entity.type not in self._unsure:
                self._note(place, ".entityType", f"unknown type {entity.type!r}")
            return
        for name, value in entity.fields.items():
            field = schema.by_name.get(name)
            if field is None or name in MAINTAINED:
                self._no_field(place, schema, name)
                continue
            try:
                read_form(field, value, self._tree.find)
            except RequestError as exc:
                self._bad_value(place, field, value, exc.message)

    def _no_field(self, place: int, schema: CompleteSchema, name: str) -> None:
        if name in MAINTAINED:
            self._note_field(place, name, f"{name} is no field to give: the place of an entity says it")
        elif self._unsure.isdisjoint(schema.ancestors):
            self._note_field(place, name, f"type {schema.type} has no field {name!r}")

    def _note_field(self, place: int, name: str, message: str, step: str = "") -> None:
        self._note(place, step_of_key(key_of_field(name)) + step, message)

    def _bad_value(self, place: int, field: CompleteField, value: Any, message: str) -> None:
        password = password_in(value) if field.kind is Kind.String else None
        if password == "":
            self._note_field(place, field.name, "the password to hash is empty")
        elif password is None and not self._elements(place, field, value):
            self._note_field(place, field.name, message)

    def _elements(self, place: int, field: CompleteField, value: Any) -> bool:
        """Note the elements of a list that are wrong by themselves; returns whether there are any."""
        if field.kind is not Kind.EntityList or not isinstance(value, list):
            return False
        before = len(self._problems)
        for index, item in enumerate(value):
            try:
                read_form(field, [item], self._tree.find)
            except RequestError as exc:
                self._note_field(place, field.name, exc.message, f"[{index}]")
        return len(self._problems) > before
