"""What restoring a document would do: compared with the state, nothing is changed here.

`prepare` depends on the document alone and may run in a thread; what compares it with a view pauses in between.

What a document lists becomes as it says: fields it does not write go back to unset, but for Runtime fields, which
a document may have left out (they go only with their label). What it does not list stays, or goes with `prune`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

from qcore.model.documents.document import Document, key_of_field, password_in, read_form, refuse, step_of_key
from qcore.model.documents.limits import check_depth
from qcore.model.documents.tree import DocumentTree
from qcore.model.documents.validation import validating
from qcore.model.errors import NotFound, RequestError, TooLarge
from qcore.model.ids import MAX_GIVEN_ID, ROOT_ID
from qcore.model.requests.commands import DEFAULT_MAX_DEPTH, DEFAULT_MAX_LIST, IdForm
from qcore.model.requests.restore import Password, PlanLine
from qcore.model.schema import BUILTIN, MAINTAINED, CompleteField, EntitySchema, Types, checking_schema
from qcore.model.values import Kind, Stored
from qcore.model.wire import encode_json
from qcore.model.work import Pace, Work, emptying, run_whole
from qcore.store.documents.matching import Matching
from qcore.store.fitting import Reset, check_room, count_resets, resets
from qcore.store.paths import Paths
from qcore.store.state.entity import Entity
from qcore.store.state.view import View

__all__ = ["Plan", "Prepared", "check_types", "passwords", "plan", "planning", "prepare", "preparing"]

_SLICE = 256
"""Entities between two pauses."""

Write = tuple[str, Stored | None]
"""A field and its new value, None = unset."""


class Plan:
    """Everything a restore does, in terms of the state it was made for. Places are those of the document."""

    def __init__(self, view: View, document: Document, tree: DocumentTree) -> None:
        self._view = view
        self._document = document
        self._tree = tree
        self.types: Types | None = None
        """All types as they will be, None where none changes."""
        self.set_types: list[str] = []
        self.deleted_types: list[str] = []
        self.keeps_ids = False
        """Ids and `nextId` are the document's, as nothing but the Root was ever there."""
        self.ids: list[int] = []
        """Place -> the entity that matches it or will be created for it."""
        self.created: list[int] = []
        """Places, parents first."""
        self.deleted: list[int] = []
        """Entities that go with all below them; none stands below another."""
        self.doomed: set[int] = set()
        """Every entity that goes."""
        self.sizes: dict[int, int] = {}
        """What each of `deleted` takes along, itself included."""
        self.writes: dict[int, list[Write]] = {}
        """Place -> writes; what is created and has no fields is not listed."""
        self.orders: dict[int, list[int]] = {}
        """Parent (0: none) -> its children in their new order, those still to be created included."""
        self.next_id = view.next_id
        self.reset: dict[str, int] = {}
        """How many values go of each field because of the types, those aside that `writes` tells of."""

    @property
    def empty(self) -> bool:
        """Whether the state is what the document says already."""
        changes = (self.types, self.created, self.deleted, self.writes, self.orders)
        return not any(changes) and self.next_id == self._view.next_id

    def taking_apart(self) -> Work[None]:
        """Free everything in pieces; nobody asks any more."""
        return emptying(self.writes, self.ids, self.created, self.doomed, self.sizes, self.orders)

    def counts(self) -> dict[str, int]:
        """How often each action is taken; a deletion counts every entity that goes."""
        created = set(self.created)
        counts = Counter(
            {
                "set type": len(self.set_types),
                "delete type": len(self.deleted_types),
                "delete": len(self.doomed),
                "create": len(created),
                "update": sum(place not in created for place in self.writes),
                "move": len(self.orders),
            }
        )
        return {action: count for action, count in counts.items() if count}

    @property
    def _skips_ids(self) -> bool:
        """Whether ids are left out although nothing is created."""
        return not self.created and self.next_id != self._view.next_id

    @property
    def length(self) -> int:
        """How many `lines` there are."""
        created = set(self.created)
        updates = sum(place not in created for place in self.writes)
        others = len(self.set_types) + len(self.deleted_types) + len(self.deleted) + len(created) + len(self.orders)
        return updates + others + self._skips_ids

    def lines(self) -> Iterator[PlanLine]:
        """Every action, in the order in which they are taken; the view must stay as it is meanwhile."""
        for name in self.set_types:
            yield PlanLine("set type", name)
        for name in self.deleted_types:
            yield PlanLine("delete type", name)
        paths = Paths(self._view)
        for id in self.deleted:
            yield PlanLine("delete", paths.of(id), self._view.entities[id].type, entities=self.sizes[id])
        created = set(self.created)
        for place in self.created:
            yield PlanLine("create", self._tree.path(place), self._document.entities[place].type)
        for place, writes in self.writes.items():
            if place not in created:
                yield self._update(place, writes)
        for parent in self.orders:
            yield PlanLine("move", paths.of(parent) if parent else "/")
        if self._skips_ids:
            yield PlanLine("next id", str(self.next_id), entities=0)

    def _update(self, place: int, writes: list[Write]) -> PlanLine:
        written = [name for name, value in writes if value is not None]
        unset = [name for name, value in writes if value is None]
        return PlanLine("update", self._tree.path(place), self._document.entities[place].type, written, unset)


def check_types(view: View, plan: Plan) -> None:
    """Refuse types that the entities would have no room for, as a restore does.

    Raises:
        TooLarge: see `check_room`.
    """
    if plan.types is not None:
        gone = Counter(view.entities[id].type for id in plan.doomed)
        check_room(view, view.types, plan.types, gone)


class Prepared(NamedTuple):
    """A document that says nothing wrong, with what is known of it before it is compared with anything."""

    document: Document
    tree: DocumentTree
    types: Types
    passwords: list[tuple[int, str, str]]
    """Place, field and text of each password that is to be hashed before the document can be planned."""

    def taking_apart(self) -> Work[None]:
        """Free everything in pieces; nobody asks any more."""
        yield from self.tree.taking_apart()
        yield from emptying(self.document.entities)


def prepare(document: Document) -> Prepared:
    """Check a document by itself.

    Raises:
        BadParams: it has problems; `data["problems"]` has them.
    """
    return run_whole(preparing(document))


def preparing(document: Document) -> Work[Prepared]:
    """The work of `prepare`."""
    problems, found_out = yield from validating(document)
    if problems or found_out is None:
        raise refuse(problems)
    types, tree = found_out
    found: list[tuple[int, str, str]] = []
    pace = Pace()
    for password in _passwords(document, types):
        if password is not None:
            found.append(password)
        elif pace.is_due():
            yield
    return Prepared(document, tree, types, found)


def _passwords(document: Document, types: Types) -> Iterator[tuple[int, str, str] | None]:
    """Each with its place, and a None behind each entity."""
    for place, entity in enumerate(document.entities):
        for name, value in entity.fields.items():
            text = password_in(value)
            if text is not None and types.of(entity.type).field(name).kind is Kind.String:
                yield place, name, text
        yield None


def plan(
    view: View,
    document: Document,
    *,
    prune: bool = False,
    max_depth: int = DEFAULT_MAX_DEPTH,
    max_list: int = DEFAULT_MAX_LIST,
) -> Plan:
    """Compare a document with the state at once; raises as `prepare` and `planning` do."""
    return run_whole(planning(view, prepare(document), prune=prune, max_depth=max_depth, max_list=max_list))


def planning(
    view: View,
    prepared: Prepared,
    *,
    prune: bool = False,
    max_depth: int = DEFAULT_MAX_DEPTH,
    max_list: int = DEFAULT_MAX_LIST,
) -> Generator[None, None, Plan]:
    """Compare a document with a view, which must stay as it is between the pauses.

    Raises:
        NotFound, BadValue: a reference to an id that was never given out, a password that is not hashed.
        BadSchema, TooLarge: what the store cannot take.
    """
    return (yield from _Planner(view, prepared, prune, max_depth, max_list).run())


def passwords(view: View, prepared: Prepared) -> Generator[None, None, list[Password]]:
    """The passwords of a document, each with what the store holds in its place now."""
    if not prepared.passwords:
        return []
    matching = Matching(view, prepared.document, prepared.tree)
    yield from matching.run()
    return [
        Password(place, name, text, _text_at(view.entities.get(matching.ids[place]), name))
        for place, name, text in prepared.passwords
    ]


def _text_at(entity: Entity | None, name: str) -> str | None:
    field = entity.schema.by_name.get(name) if entity is not None else None
    if entity is None or field is None or field.kind is not Kind.String:
        return None
    value: str | None = entity.values[field.slot]
    return value


class _Planner:
    def __init__(self, view: View, prepared: Prepared, prune: bool, max_depth: int, max_list: int) -> None:
        self._view = view
        self._document = prepared.document
        self._types = prepared.types
        self._prune = prune
        self._max_depth = max_depth
        self._max_list = max_list
        self._tree = prepared.tree
        self._match = Matching(view, self._document, self._tree)
        self._base = view.next_id
        """The first id that nobody has."""
        self._plan = Plan(view, self._document, self._tree)

    def run(self) -> Generator[None, None, Plan]:
        yield from check_depth(self._document, self._tree, self._max_depth)
        yield from self._match.run()
        yield from self._plan_types()
        yield from self._plan_deletes()
        self._plan_ids()
        yield from self._plan_writes()
        if not self._plan.keeps_ids:
            yield from self._plan_orders()
        yield from self._plan_resets()
        return self._plan

    def _plan_types(self) -> Work[None]:
        before = self._view.types
        listed: dict[str, EntitySchema] = {}
        for schema in self._document.schemas:
            listed[schema.entity_type] = yield from checking_schema(schema)
        own = dict(before.own)
        if self._prune:
            own = {name: schema for name, schema in own.items() if name in listed or name in BUILTIN}
            if "Root" not in listed and own["Root"] != BUILTIN["Root"]:
                listed["Root"] = BUILTIN["Root"]
        changed = {name: new for name, new in listed.items() if name not in own or not _same_schema(own[name], new)}
        self._plan.set_types = list(changed)
        self._plan.deleted_types = [name for name in before.own if name not in own]
        if changed or self._plan.deleted_types:
            self._plan.types = yield from Types.deriving({**own, **changed}, before)

    def _plan_deletes(self) -> Generator[None, None, None]:
        if not self._prune:
            return
        self._plan.deleted = [id for extra in self._match.extra.values() for id in extra]
        for id in self._plan.deleted:
            doomed = [id]
            for number, each in enumerate(doomed, 1):
                doomed.extend(self._view.children(each))
                if number % _SLICE == 0:
                    yield
            self._plan.sizes[id] = len(doomed)
            self._plan.doomed.update(doomed)

    def _plan_ids(self) -> None:
        self._plan.ids = ids = self._match.ids
        self._plan.created = [place for place, id in enumerate(ids) if not id]
        self._plan.keeps_ids = self._view.next_id == ROOT_ID + 1
        if self._plan.keeps_ids:
            self._base = max(self._document.next_id or 0, max(self._tree.by_id) + 1)
        next_id = self._base
        for place in self._plan.created:
            kept = self._document.entities[place].id if self._plan.keeps_ids else None
            if kept is None:
                kept, next_id = next_id, next_id + 1
            ids[place] = kept
        if next_id > MAX_GIVEN_ID + 1:
            raise TooLarge(f"the store would run out of ids: they end at {MAX_GIVEN_ID}")
        self._plan.next_id = next_id

    # -- values --------------------------------------------------------------------------------------------

    def _plan_writes(self) -> Generator[None, None, None]:
        fields = {
            name: [field for field in schema.fields if field.name not in MAINTAINED]
            for name, schema in self._types.complete.items()
        }
        created = set(self._plan.created)
        for place, entity in enumerate(self._document.entities):
            if place % _SLICE == 0:
                yield
            there = None if place in created else self._view.entities[self._plan.ids[place]]
            writes: list[Write] = [] if there is None or there.name == entity.name else [("Name", entity.name)]
            writes += self._changes(place, there, fields[entity.type])
            if writes:
                self._plan.writes[place] = writes

    def _changes(self, place: int, there: Entity | None, fields: list[CompleteField]) -> Iterator[Write]:
        given = self._document.entities[place].fields
        for field in fields:
            current = _current(there, field)
            if field.name in given:
                new = self._stored(place, field, given[field.name])
                if current is None or not _same(current, new):
                    yield field.name, new
            elif current is not None and (field.schema.storage_scope != "Runtime" or _is_dropped(field, current)):
                yield field.name, None

    def _stored(self, place: int, field: CompleteField, value: Any) -> Stored:
        try:
            stored = read_form(field, value, self._resolve, self._max_list)
        except RequestError as exc:
            path = self._tree.json_path(place) + step_of_key(key_of_field(field.name))
            raise type(exc)(f"{path}: {exc.message}", **exc.data) from None
        if field.kind is Kind.EntityReference:
            return max(int(stored), 0)  # type: ignore[arg-type]
        return tuple(id for id in stored if id > 0) if isinstance(stored, tuple) else stored

    def _resolve(self, form: IdForm) -> int:
        """The id a reference will have; negative for one that is missing and cannot be named here."""
        found = self._tree.find(form)
        if found < 0:
            return self._plan.ids[~found]
        if self._plan.keeps_ids or self._document.next_id is None:
            # a document without ids of its own can only mean the store's
            if found >= self._base:
                raise NotFound(f"the id {found} was never given out")
            return found
        alive = found in self._view.entities and found not in self._plan.doomed
        # here the id belongs to somebody else, or will: a missing reference never turns to a stranger
        return -found if alive or found >= self._base else found

    # -- what the types have no place for --------------------------------------------------------------------

    def _plan_resets(self) -> Generator[None, None, None]:
        types = self._plan.types
        if types is None:
            return
        places = {id: place for place, id in enumerate(self._plan.ids)}
        told: list[Reset] = []
        for number, reset in enumerate(resets(self._view, types)):
            if number % _SLICE == 0:
                yield
            if reset is not None and reset.entity.id not in self._plan.doomed and not self._tells(places, reset):
                told.append(reset)
        self._plan.reset = yield from count_resets(told)

    def _tells(self, places: dict[int, int], reset: Reset) -> bool:
        """Whether the document says what becomes of a value: it writes another, or leaves out what it may not."""
        writes = self._plan.writes.get(places.get(reset.entity.id, -1), [])
        return any(
            name == reset.field.name and (value is not None or reset.field.schema.storage_scope != "Runtime")
            for name, value in writes
        )

    # -- order ---------------------------------------------------------------------------------------------

    def _plan_orders(self) -> Generator[None, None, None]:
        created = set(self._plan.created)
        self._plan_order(0, self._tree.top, created)
        for place, children in enumerate(self._tree.children):
            if place % _SLICE == 0:
                yield
            if children and place not in created:
                self._plan_order(self._plan.ids[place], children, created)

    def _plan_order(self, parent: int, places: list[int], created: set[int]) -> None:
        """Siblings of the document stand in its order; where they do not, what it does not list comes behind them."""
        wanted = [self._plan.ids[place] for place in places]
        new = [self._plan.ids[place] for place in places if place in created]
        extra = self._match.extra.get(parent, [])
        others = set(extra)
        if wanted != [id for id in self._view.children(parent) if id not in others] + new:
            self._plan.orders[parent] = wanted + ([] if self._prune else extra)


def _same_schema(old: EntitySchema, new: EntitySchema) -> bool:
    """Whether two own schemas say the same; the order in which fields were listed does not count."""
    return old.inherits_from == new.inherits_from and _fields(old) == _fields(new)


def _fields(schema: EntitySchema) -> list[bytes]:
    return sorted(encode_json(field) for field in schema.fields)  # as text, in which -0.0 is not 0.0


def _current(entity: Entity | None, field: CompleteField) -> Stored | None:
    """What an entity has in a field, seen under the field's new schema: another kind is nothing."""
    old = entity.schema.by_name.get(field.name) if entity is not None else None
    if entity is None or old is None or old.kind is not field.kind:
        return None
    value: Stored | None = entity.values[old.slot]
    return value


def _is_dropped(field: CompleteField, value: Stored) -> bool:
    return field.kind is Kind.Choice and value not in field.labels


def _same(old: Stored, new: Stored) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return old == new and math.copysign(1, old) == math.copysign(1, new)
    return old == new
