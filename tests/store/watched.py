"""What listeners should be told, found by comparing the whole store before and after each revision.

Nothing here knows of journals, histories or trackers: a field was written if its time and revision are others.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from qcore.model.documents.document import Document
from qcore.model.requests.commands import Create, Delete, FieldChange, FieldSet, SchemaSet, SetFields
from qcore.model.requests.compound import Pipeline, Transaction
from qcore.model.requests.restore import Restore
from qcore.model.times import format_time
from qcore.model.values import Kind, value_to_json
from qcore.store.state.entity import CHILDREN
from qcore.store.state.state import State
from qcore.store.watch.interest import Wish
from tests.store.samples import PART, field, some_command, type_of

__all__ = ["DEVICE", "FILTERS", "Moment", "Watched", "a_command", "a_wish", "expected", "initial_of", "snap"]

DEVICE = type_of("Device", field("Serial", Kind.Blob), inherits=["Part"])


class Read(NamedTuple):
    """A field: kind, value with the default read in (None: Children), time, revision."""

    kind: Kind
    value: Any
    time: int
    revision: int


class Watched(NamedTuple):
    """An entity: its type, what that inherits, and its fields."""

    type: str
    ancestors: frozenset[str]
    fields: dict[str, Read]


class Moment(NamedTuple):
    """The whole store right behind a revision."""

    revision: int
    entities: dict[int, Watched]
    defaults: dict[str, dict[str, tuple[Kind, Any]]]
    """Type -> field -> kind and default."""
    ghost: Watched | None = None
    """A deleted entity, where paths begin."""


def snap(state: State) -> Moment:
    """Everything, deep."""
    entities = {}
    for id, entity in state.entities.items():
        fields = {}
        for slot, schema in enumerate(entity.schema.slots):
            value = None if slot == CHILDREN else entity.read(slot)
            if slot == 1:
                value = entity.parent
            fields[schema.name] = Read(schema.kind, value, entity.time(slot), entity.revision(slot))
        entities[id] = Watched(entity.type, entity.schema.ancestors, fields)
    defaults = {
        name: {each.name: (each.kind, each.default) for each in schema.slots}
        for name, schema in state.types.complete.items()
    }
    return Moment(state.revision, entities, defaults)


# -- what a path leads to ----------------------------------------------------------------------------------


class End(NamedTuple):
    """Where a path ends: whose field, which one, and what it reads."""

    owner: int
    name: str
    read: Read


def end_of(moment: Moment, id: int, path: str) -> End | None:
    hops = path.split("->")
    entity = moment.ghost or moment.entities.get(id)
    while True:
        if entity is None or hops[0] not in entity.fields:
            return None
        name = hops.pop(0)
        read = entity.fields[name]
        if hops and read.kind is Kind.EntityList and hops[0].isdigit():
            place = int(hops.pop(0))
            if place >= len(read.value):
                return None
            read = Read(Kind.EntityReference, read.value[place], read.time, read.revision)
        if not hops:
            return End(id, name, read)
        if read.kind is not Kind.EntityReference or read.value not in moment.entities:
            return None
        id = read.value
        entity = moment.entities[id]


def shown(moment: Moment, read: Read) -> dict[str, Any]:
    """A field on the wire."""
    found: dict[str, Any] = {"time": None, "writer": None, "revision": read.revision}
    if read.value is not None:
        found["value"] = value_to_json(read.kind, read.value, moment.entities.__contains__)
    if read.revision:
        found["time"] = format_time(read.time)
    return found


# -- filters that this file understands, too ---------------------------------------------------------------


def _compares(path: str, compare: Callable[[Any, Any], bool]) -> Callable[[Moment, int], bool]:
    """Whether the number at the end of a path compares with 3; without one there is no answer, which is no."""

    def answer(moment: Moment, id: int) -> bool:
        end = end_of(moment, id, path)
        return end is not None and type(end.read.value) in (int, float) and compare(end.read.value, 3)

    return answer


FILTERS = {
    "Size > 3": _compares("Size", operator.gt),
    "Next->Size > 3": _compares("Next->Size", operator.gt),
    "Parent->Next->Size <= 3": _compares("Parent->Next->Size", operator.le),
}


# -- expectations ------------------------------------------------------------------------------------------


def covers(wish: Wish, id: int, entity: Watched) -> bool:
    return id == wish.entity if wish.entity else wish.type in entity.ancestors


def told(wish: Wish, moment: Moment, event: dict[str, Any]) -> dict[str, Any] | None:
    """The event with its context; None where the filter leaves it out. `moment` has the entity as it should be seen."""
    id = event["id"]
    if wish.filter is not None and not FILTERS[wish.filter](moment, id):
        return None
    if wish.context:
        event["context"] = {path: _context(moment, end_of(moment, id, path)) for path in wish.context}
    return event


def _context(moment: Moment, end: End | None) -> Any:
    return "error" if end is None else shown(moment, end.read).get("value")


def expected(wish: Wish, before: Moment, after: Moment) -> list[dict[str, Any]]:
    """All events of the revision between two moments that a listener should get, in no order."""
    events = []
    for id in before.entities.keys() | after.entities.keys():
        was, now = before.entities.get(id), after.entities.get(id)
        entity = now or was
        assert entity is not None
        if not covers(wish, id, entity):
            continue
        base = {"revision": after.revision, "id": id, "type": entity.type}
        if now is None:
            assert was is not None
            events.append(told(wish, after._replace(ghost=was), {**base, "kind": "deleted", "field": None}))
            continue
        if was is None:
            events.append(told(wish, after, {**base, "kind": "created", "field": None}))
        changes = _changes(wish, id, before, after)
        events += [told(wish, after, {**base, "kind": "changed", **change}) for change in changes]
    return [event for event in events if event is not None]


def _changes(wish: Wish, id: int, before: Moment, after: Moment) -> list[dict[str, Any]]:
    if wish.indirect:
        change = _indirect(wish, id, before, after)
        return [] if change is None else [change]
    found = []
    for name in after.entities[id].fields:
        if wish.field in (None, name) and written(id, name, before, after):
            now, was = after.entities[id].fields[name], _field(before, id, name)
            if was is None and id in before.entities:  # a field that came with the revision
                was = Read(*after.defaults[after.entities[id].type][name], 0, 0)
            if not (wish.change and was is not None and now.value is not None and now.value == was.value):
                previous = None if was is None else shown(after, was)
                found.append({"field": name, "current": shown(after, now), "previous": previous})
    return found


def written(id: int, name: str, before: Moment, after: Moment) -> bool:
    now, was = _field(after, id, name), _field(before, id, name)
    if now is None:
        return False
    if was is None:
        return now.revision == after.revision
    return now.kind is was.kind and (now.time, now.revision) != (was.time, was.revision)


def _field(moment: Moment, id: int, name: str) -> Read | None:
    entity = moment.entities.get(id)
    return None if entity is None else entity.fields.get(name)


def _indirect(wish: Wish, id: int, before: Moment, after: Moment) -> dict[str, Any] | None:
    path = str(wish.field)
    was, now = end_of(before, id, path), end_of(after, id, path)
    reached = now is not None and written(now.owner, now.name, before, after)
    elsewhere = (was is None) != (now is None) or (was is not None and now is not None and was.owner != now.owner)
    if not (reached or elsewhere):
        return None
    if (
        wish.change
        and was is not None
        and now is not None
        and now.read.value is not None
        and was.read[:2] == now.read[:2]
    ):
        return None
    found: dict[str, Any] = {"field": path, "current": None, "previous": None}
    if was is not None:
        found["previous"] = shown(after, was.read)
    if now is not None:
        found["current"] = shown(after, now.read)
    else:
        found["error"] = "error"
    return found


def initial_of(wish: Wish, moment: Moment) -> list[dict[str, Any]]:
    """The initial values, in no order."""
    events = []
    for id, entity in moment.entities.items():
        if not covers(wish, id, entity):
            continue
        for name in [wish.field] if wish.field is not None else entity.fields:
            end = end_of(moment, id, str(name))
            if end is None and not wish.indirect:
                continue
            event = {"revision": moment.revision, "kind": "initial", "id": id, "type": entity.type, "field": name}
            event["current"] = None if end is None else shown(moment, end.read)
            if end is None:
                event["error"] = "error"
            events.append(told(wish, moment, event))
    return [event for event in events if event is not None]


def retyped(wish: Wish, before: Moment, after: Moment) -> bool:
    """Whether what a listener knows became untrue without a write."""
    names = set(str(wish.field).split("->")) if wish.indirect else set()
    every = wish.field is None or bool(wish.context) or wish.filter is not None
    for name, fields in before.defaults.items():
        now = after.defaults.get(name)
        if now is None:
            if not wish.entity and wish.type == name:
                return True
            continue
        altered = {each for each in fields if now.get(each) != fields[each]}
        if names & altered:
            return True
        mine = altered if every else altered & {str(wish.field).split("->")[0]}
        if mine and _of_target(wish, name, before, after):
            return True
    return any(
        covers(wish, id, was) != covers(wish, id, after.entities[id])
        for id, was in before.entities.items()
        if id in after.entities
    )


def _of_target(wish: Wish, name: str, before: Moment, after: Moment) -> bool:
    if wish.entity:
        return name == wish.type
    return any(
        entity.type == name and wish.type in entity.ancestors for m in (before, after) for entity in m.entities.values()
    )


# -- what happens ------------------------------------------------------------------------------------------


def a_wish(chance: random.Random, state: State, filters: bool = True) -> Wish:
    fields = ["Size", "Label", "Next", "All", "Parent", "Children", "Name", "Serial"]
    paths = ["Next->Size", "Next->Next->Label", "All->0->Size", "All->1", "Parent->Name", "Parent->Parent->Name"]
    paths += ["Next->Children", "Next->Parent->Next->Size", "Next->All->0"]
    contexts = [(), (), ("Label",), ("Next->Size", "Parent->Name", "All")]
    entity = chance.choice([0, *state.entities])
    type_name = (
        state.entities[entity].type if entity else chance.choice(["Part", "Object", *state.types.descendants["Part"]])
    )
    known = {each.name for name in state.types.descendants[type_name] for each in state.types.of(name).slots}
    choice = chance.choice([None, chance.choice(fields), chance.choice(paths), chance.choice(paths)])
    if choice is not None and choice.split("->")[0] not in known:
        choice = None
    text = chance.choice([None, *FILTERS]) if filters and {"Size", "Next"} <= known else None
    return Wish(entity, type_name, choice, chance.random() < 0.3, chance.choice(contexts), text)


def a_command(chance: random.Random, state: State, documents: list[Document]) -> Any:
    """Mostly commands that work, on few entities; also compound ones, restores, and some that fail."""

    def one() -> Any:
        ids = list(state.entities)
        id, other = chance.choice(ids), chance.choice(ids)
        makers: list[Callable[[], Any]] = [
            lambda: SetFields(id, "Size", chance.choice([1, 3, 4, 7]), when=chance.choice(["always", "changes"])),
            lambda: SetFields(id, fields={"Next": chance.choice([other, None]), "Label": chance.choice(["", "a"])}),
            lambda: SetFields(id, "All", chance.sample(ids, min(2, len(ids)))),
            lambda: SetFields(id, "Parent", other),
            lambda: SetFields(id, "Next->Size", chance.choice([2, 5])),
            lambda: Create(chance.choice(["Part", "Device"]), "n", other, {"Next": other, "Size": 9}),
            lambda: Create("Part", "m", None, {}),
            lambda: Delete(id),
            lambda: some_command(chance, state),
        ]
        return chance.choice(makers)()

    kind = chance.random()
    steps = [one() for _ in range(chance.randint(2, 4))]
    if kind < 0.6:
        return steps[0]
    if kind < 0.7:
        return Pipeline([Create("Part", "p", 1), SetFields("$1", "Next", "$1"), *steps])
    if kind < 0.85:
        return Transaction([Create("Part", "t", 1, {"Size": 1}), SetFields("$1", "Size", 2), *steps])
    if kind < 0.9:
        return Transaction([Create("Part", "t", 1), steps[0], Delete("$1")])
    if kind < 0.95 and documents:
        return Restore(chance.choice(documents), prune=chance.random() < 0.5)
    return chance.choice(
        [SchemaSet(schemas=[PART, DEVICE]), FieldSet("Part", "Size", FieldChange(default=chance.choice([3, 5])))]
    )
