"""Writing fields: modes, conditions, times, and the three fields that are the tree itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from qcore.model.errors import BadParams, BadValue, Conflict, Cycle, Stale, TooLarge, WrongKind
from qcore.model.ids import check_entity_name
from qcore.model.quoting import quoted
from qcore.model.requests.commands import Expect, SetFields
from qcore.model.requests.results import SetDone
from qcore.model.schema import CompleteField
from qcore.model.times import NS, format_time
from qcore.model.values import INT_MAX, INT_MIN, Kind, check_size, parse_value, value_to_json
from qcore.store.budget import units_of
from qcore.store.context import Context, Made
from qcore.store.resolve import entity_at, known_id, resolve_id, walk
from qcore.store.state.entity import CHILDREN, NAME, PARENT, Entity
from qcore.store.state.epochs import EPOCHS_LEVEL
from qcore.store.state.state import State

__all__ = [
    "CARRIED",
    "MAX_AHEAD",
    "OF_ANOTHER",
    "check_depth",
    "is_foreign",
    "parse_field",
    "parse_whole",
    "present",
    "set_fields",
    "stamp",
]

OF_ANOTHER = " of another history"
"""What is said of a revision that does not belong to this one."""

MAX_AHEAD = 10 * NS
"""How far, in ns, a client's write time may lie after the entry's."""

CARRIED = 4_096
"""Characters, bytes or elements of a value that an error still carries: thousands of them may go into one answer."""


def set_fields(state: State, command: SetFields, context: Context) -> SetDone:
    """Apply one `set`: every field or none.

    Raises:
        Stale, Conflict: carry the current value and revision.
        BadParams, BadValue, NotFound, WrongKind, Cycle, TooLarge: name field, expected and given.
    """
    start = entity_at(state, command.id, context.made)
    applied = False
    writes = _writes(command)
    for number, (path, value) in enumerate(writes.items()):
        if number:
            context.budget.count(state.journal)
            context.budget.check(state.level)
        entity, field, item = walk(state, start, path)
        if item is not None:
            raise WrongKind(
                f"path {quoted(path)} ends in an element of a list; write the whole list, or add and subtract"
            )
        if _write(state, command, entity, field, value, context):
            applied = True
    if not applied:
        return SetDone(False, state.revision)
    context.wrote = True
    return SetDone(True, context.revision)


def _writes(command: SetFields) -> dict[str, Any]:
    if command.fields is not None:
        if command.field is not None or command.value is not msgspec.UNSET:
            raise BadParams("set takes either field and value or fields, not both")
        if command.expect is not None and len(command.fields) != 1:
            raise BadParams("expect goes with one field")
        if not command.fields:
            raise BadParams("fields is empty: nothing to set")
        return command.fields
    if command.field is None or command.value is msgspec.UNSET:
        raise BadParams("set needs field and value, or fields")
    return {command.field: command.value}


def _write(
    state: State, command: SetFields, entity: Entity, field: CompleteField, value: Any, context: Context
) -> bool:
    """Write one field; returns whether anything was stored."""
    slot = field.slot
    if command.expect is not None:
        _check_expect(state, entity, field, command.expect, context)
    time = _write_time(state, entity, field, command, context.time)
    if slot == CHILDREN:
        return _reorder(state, entity, value, command, time, context)
    new = _combined(state, entity, field, value, command, context)
    if command.when == "changes" and new == entity.read(slot):
        return False
    if slot == PARENT:
        _move(state, entity, new, command.max_depth, context)
    elif slot == NAME:
        check_entity_name(new)
    state.put(entity, slot, new, time, context.revision)
    return True


def parse_field(
    state: State,
    field: CompleteField,
    value: Any,
    max_list: int | None = None,
    made: Made | None = None,
    *,
    gone_too: bool = False,
) -> Any:
    """The stored form of a JSON value for a field, its references resolved, `$n` to what was `made`.

    With `gone_too` the number of an entity that is deleted by now will do: for what is compared or taken out.

    Raises:
        TooLarge: a list longer than `max_list`.
    """
    if field.plain is not None:
        return field.plain(field.name, value)
    resolve = known_id if gone_too else resolve_id
    return parse_value(field.kind, field.name, value, field.labels, lambda form: resolve(state, form, made), max_list)


def parse_whole(state: State, field: CompleteField, value: Any, max_list: int, made: Made | None) -> Any:
    """The stored form of a whole new value: what `parse_field` takes, and a list without duplicates.

    Raises:
        TooLarge: a list longer than `max_list`.
    """
    stored = parse_field(state, field, value, max_list, made)
    if field.kind is Kind.EntityList and len(set(stored)) != len(stored):
        raise BadValue(f"field {field.name}: a list has no duplicates, given {quoted(value)}", field=field.name)
    return stored


def present(state: State, entity: Entity, field: CompleteField) -> tuple[str, dict[str, Any]]:
    """What a field holds now, for an error: in words, and as its data, where a long value is left out."""
    revision, stored = entity.revision(field.slot), entity.read(field.slot)
    data: dict[str, Any] = {"field": field.name, "revision": revision}
    if field.kind in _LONG and len(stored) > CARRIED:
        return f"a value of {len(stored)} {_LONG[field.kind]} at revision {revision}", data
    data["value"] = value = value_to_json(field.kind, stored, state.entities.__contains__)
    return f"value {quoted(value)} at revision {revision}", data


def _check_expect(state: State, entity: Entity, field: CompleteField, expect: Expect, context: Context) -> None:
    if (expect.value is msgspec.UNSET) == (expect.revision is msgspec.UNSET):
        raise BadParams('expect is {"value": v} or {"revision": n}, with an epoch where it is known')
    if expect.revision is not msgspec.UNSET:
        foreign = is_foreign(state, expect.revision, expect.epoch)
        holds = not foreign and entity.revision(field.slot) == expect.revision
        wanted = f"revision {expect.revision}{OF_ANOTHER if foreign else ''}"
    elif expect.epoch is not None:
        raise BadParams("expect: an epoch goes with a revision, not with a value")
    else:
        expected = parse_field(state, field, expect.value, made=context.made, gone_too=True)
        stored = entity.read(field.slot)
        if field.slot == CHILDREN:
            holds = len(stored) == len(expected) and tuple(stored) == expected
        else:
            holds = stored == expected
        wanted = f"value {quoted(expect.value)}"
    if not holds:
        found, current = present(state, entity, field)
        raise Conflict(f"field {field.name} of entity {entity.id}: expected {wanted}, found {found}", **current)


def is_foreign(state: State, revision: int, epoch: str | None) -> bool:
    """Whether a field's revision was read in another history, where the client says in which epoch it read it.

    Raises:
        BadParams: the rules in force know no epochs.
    """
    if epoch is None:
        return False
    if state.level < EPOCHS_LEVEL:
        raise BadParams(f"epochs begin with feature level {EPOCHS_LEVEL}, {state.level} is in force")
    return not state.epochs.reaches(epoch, revision)


def _write_time(state: State, entity: Entity, field: CompleteField, command: SetFields, now: int) -> int:
    stored = entity.time(field.slot) if entity.revision(field.slot) else None
    if command.time is None:
        return now if stored is None else max(now, stored + 1)
    time = int(parse_value(Kind.Timestamp, "time", command.time, (), lambda _form: 0))  # type: ignore[arg-type]
    if time > now + MAX_AHEAD:
        raise BadValue(f"write time {format_time(time)} is more than 10 s ahead of the store's {format_time(now)}")
    if stored is not None and time < stored:
        raise Stale(
            f"field {field.name} of entity {entity.id}: write time {format_time(time)} "
            f"is older than the stored {format_time(stored)}",
            **present(state, entity, field)[1],
        )
    return time


def stamp(state: State, entity: Entity, slot: int, context: Context) -> None:
    """Mark Children of an entity as written: its list follows what happens to others."""
    time = max(context.time, entity.time(slot) + 1) if entity.revision(slot) else context.time
    state.put(entity, slot, None, time, context.revision)


# -- modes -------------------------------------------------------------------------------------------------


def _combined(
    state: State, entity: Entity, field: CompleteField, value: Any, command: SetFields, context: Context
) -> Any:
    mode, max_list, made = command.mode, command.max_list, context.made
    if mode == "set":
        return parse_whole(state, field, value, max_list, made)
    given = parse_field(state, field, value, max_list, made, gone_too=mode == "subtract")
    combine = (_ADD if mode == "add" else _SUBTRACT).get(field.kind)
    if combine is None:
        raise WrongKind(f"field {field.name} is a {field.kind}: it has no {mode}")
    old = entity.read(field.slot)
    context.budget.spend(units_of(old))
    new = combine(old, given)
    if field.kind is Kind.Int and not INT_MIN <= new <= INT_MAX:
        raise BadValue(f"field {field.name}: {new} does not fit an Int (signed 64-bit)", field=field.name)
    if field.kind is Kind.Float and new - new != 0:
        raise BadValue(f"field {field.name}: the result is not finite", field=field.name)
    if field.kind is Kind.EntityList:
        _check_length(field, new, max_list)
    elif field.kind in (Kind.String, Kind.Blob):
        check_size(field.name, new)
    return new


def _check_length(field: CompleteField, items: tuple[int, ...], max_list: int) -> None:
    if len(items) > max_list:
        raise TooLarge(f"field {field.name}: a list has at most {max_list} elements, {len(items)} would be there")


def _union(old: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(old + more))


def _without(old: tuple[int, ...], less: tuple[int, ...]) -> tuple[int, ...]:
    gone = set(less)
    return tuple(item for item in old if item not in gone)


_LONG = {Kind.Blob: "bytes", Kind.EntityList: "elements", Kind.String: "characters"}

_ADD: dict[Kind, Callable[[Any, Any], Any]] = {
    Kind.Blob: lambda old, new: old + new,
    Kind.EntityList: _union,
    Kind.Float: lambda old, new: old + new,
    Kind.Int: lambda old, new: old + new,
    Kind.String: lambda old, new: old + new,
}
_SUBTRACT: dict[Kind, Callable[[Any, Any], Any]] = {
    Kind.EntityList: _without,
    Kind.Float: lambda old, new: old - new,
    Kind.Int: lambda old, new: old - new,
}


# -- the tree ----------------------------------------------------------------------------------------------


def _reorder(state: State, entity: Entity, value: Any, command: SetFields, time: int, context: Context) -> bool:
    field = entity.schema.slots[CHILDREN]
    if command.mode != "set":
        raise WrongKind("Children is kept by the store: create, delete or write Parent instead of add and subtract")
    old = state.children(entity.id)
    new = parse_field(state, field, value, made=context.made)
    if len(new) != len(old) or set(new) != set(old):
        raise BadValue("Children is kept by the store: a write may only reorder the same children", field=field.name)
    if command.when == "changes" and new == tuple(old):
        return False
    state.reorder(entity, list(new))
    state.put(entity, CHILDREN, None, time, context.revision)
    return True


def _move(state: State, entity: Entity, parent: int, max_depth: int, context: Context) -> None:
    """Hang an entity below another parent; both Children lists follow."""
    if parent == entity.parent:
        return
    if "Root" in entity.schema.ancestors:
        raise WrongKind(f"entity {entity.id} is the Root: it has no parent")
    above = parent
    while above:
        if above == entity.id:
            raise Cycle(f"entity {entity.id} cannot be moved below itself (Parent {parent})")
        above = state.entities[above].parent
    check_depth(state, parent, _height(state, entity.id, max_depth, context), max_depth)
    old = entity.parent
    state.move(entity, parent)
    for id in (old, parent):
        if id:
            stamp(state, state.entities[id], CHILDREN, context)


def check_depth(state: State, parent: int, height: int, max_depth: int) -> None:
    """Refuse to hang `height` levels below `parent`.

    Raises:
        TooLarge: the tree would be deeper than `max_depth`.
    """
    depth, above = height, parent
    while above:
        depth += 1
        above = state.entities[above].parent
    if depth > max_depth:
        raise TooLarge(f"the tree would be {depth} levels deep, at most {max_depth} are allowed (--max-depth)")


def _height(state: State, id: int, enough: int, context: Context) -> int:
    """Levels of the subtree, counted no further than `enough` + 1."""
    height, level = 0, [id]
    while level and height <= enough:
        height += 1
        context.budget.spend(len(level))
        level = [child for parent in level for child in state.children(parent)]
    return height
