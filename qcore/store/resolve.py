"""From what people write to what is there: id forms to entities, field paths to fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qcore.model.errors import BadParams, NotFound, WrongKind
from qcore.model.ids import is_digits, parse_id, split_typed_id
from qcore.model.path import split_field_path, split_path
from qcore.model.quoting import quoted
from qcore.model.requests.commands import IdForm
from qcore.model.schema import CompleteField
from qcore.model.values import Kind
from qcore.store.context import Made
from qcore.store.state.entity import Entity
from qcore.store.state.state import State
from qcore.store.state.view import Holder

__all__ = ["Place", "entity_at", "known_id", "made_at", "reach", "resolve_id", "walk"]


_LIST, _REFERENCE = Kind.EntityList, Kind.EntityReference  # an attribute of an Enum costs more than a hop


class Place(NamedTuple):
    """Where a field path ends: a field of an entity, or with `item` one element of its list."""

    entity: Entity
    field: CompleteField
    item: int | None = None


def resolve_id(state: State, form: IdForm, made: Made | None = None) -> int:
    """Id of the entity that exists under any id form; `made` is what `$n` may name.

    Raises:
        NotFound: there is no such entity; names the form.
        WrongKind: ``Type$id`` is of another type.
        BadParams: the text is no id form.
    """
    return entity_at(state, form, made).id


def known_id(state: State, form: IdForm, made: Made | None = None) -> int:
    """Id of an entity that exists or once did: what a field may still hold; raises as `resolve_id` does."""
    try:
        return entity_at(state, form, made).id
    except NotFound:
        number = form if type(form) is int else parse_id(str(form))
        if number is None or not 0 < number < state.next_id:
            raise
        return number


def entity_at(state: State, form: IdForm, made: Made | None = None) -> Entity:
    """The entity that exists under any id form; raises as `resolve_id` does."""
    if type(form) is int:
        entity = state.entities.get(form)
        if entity is None:
            raise NotFound(f"entity {form} does not exist")
        return entity
    text = str(form)
    if text.startswith("/"):
        return _at_path(state, text)
    if text.startswith("$"):
        return entity_at(state, made_at(made, text))
    number = parse_id(text)
    if number is not None:
        return entity_at(state, number)
    type_name, number = split_typed_id(text)
    entity = entity_at(state, number)
    if entity.type != type_name and type_name not in entity.schema.ancestors:
        raise WrongKind(f"entity {number} is a {entity.type}, not a {type_name}")
    return entity


def made_at(made: Made | None, text: str) -> int:
    """The id that the n-th step of the running pipeline or transaction created.

    Raises:
        BadParams: there was no n-th step.
        NotFound: it created nothing.
    """
    if made is None:
        raise BadParams(
            f"{quoted(text)} names what an earlier command created, which only works in a pipeline or transaction"
        )
    digits = text[1:]
    if not is_digits(digits) or len(digits) > 9 or not 1 <= int(digits) <= len(made):
        raise BadParams(f"{quoted(text)} names no earlier command; there are {len(made)} before this one")
    id = made[int(digits) - 1]
    if id is None:
        raise NotFound(f"{quoted(text)}: that command created no entity")
    return id


def _at_path(state: State, text: str) -> Entity:
    current = 0
    for name, twin in split_path(text):
        found = state.child_named(current, name, twin)
        if found is None:
            which = f"{quoted(name)}" if twin == 1 else f"{quoted(name)} number {twin}"
            where = "no entity without a parent" if current == 0 else f"entity {current} has no child"
            raise NotFound(f"path {quoted(text)}: {where} named {which}")
        current = found
    if current == 0:
        raise BadParams(f"path {quoted(text)} names nothing")
    return state.entities[current]


def walk(state: Holder, entity: Entity, path: str, passed: list[int] | None = None) -> Place:
    """Follow a field path ``A->B->C``: each hop but the last is a reference, or a list and an index.

    `passed` is given the ids of the entities behind the first, as far as the path leads.

    Raises:
        NotFound: an unknown field, an empty or missing reference, an index past the end; names the hop.
        WrongKind: a hop that is no reference.
    """
    if path in entity.schema.by_name:
        return Place(entity, entity.schema.by_name[path])
    hops = split_field_path(path)
    place = 0
    while True:
        field = entity.schema.field(hops[place])
        place += 1
        item = None
        if place < len(hops) and field.kind is Kind.EntityList and is_digits(hops[place]):
            item = _element(entity, field, hops[place], path)
            place += 1
        if place == len(hops):
            return Place(entity, field, item)
        entity = _follow(state, entity, field, item, path)
        if passed is not None:
            passed.append(entity.id)


def _element(entity: Entity, field: CompleteField, index: str, path: str) -> int:
    items = entity.read(field.slot)
    if len(index) > 9 or int(index) >= len(items):
        raise NotFound(
            f"path {quoted(path)}: {field.name} of entity {entity.id} has {len(items)} elements, none at {index}"
        )
    return int(items[int(index)])


def _follow(state: Holder, entity: Entity, field: CompleteField, item: int | None, path: str) -> Entity:
    if item is None:
        if field.kind is not Kind.EntityReference:
            hint = " (an index must follow a list)" if field.kind is Kind.EntityList else ""
            raise WrongKind(
                f"path {quoted(path)}: {field.name} of type {entity.type} is a {field.kind}, no reference{hint}"
            )
        item = entity.read(field.slot)
    if item == 0:
        raise NotFound(f"path {quoted(path)}: {field.name} of entity {entity.id} is null")
    target = state.entities.get(item)
    if target is None:
        raise NotFound(f"path {quoted(path)}: {field.name} of entity {entity.id} refers to {item}, which is missing")
    return target


def reach(state: Holder, entity: Entity, hops: Sequence[str]) -> Place | None:
    """Where `walk` would end, None where it would raise: for many entities, without an error's words for each."""
    place = 0
    while True:
        field = entity.schema.by_name.get(hops[place])
        if field is None:
            return None
        place += 1
        item: int | None = None
        if field.kind is _LIST and place < len(hops):
            item = _item(entity.read(field.slot), hops[place])
            place += 1
            if item is None:
                return None
        if place == len(hops):
            return Place(entity, field, item)
        if item is None and field.kind is _REFERENCE:
            item = entity.read(field.slot)
        target = state.entities.get(item) if item is not None else None
        if target is None:
            return None
        entity = target


def _item(items: Sequence[int], index: str) -> int | None:
    at = int(index) if is_digits(index) and len(index) <= 9 else len(items)
    return items[at] if at < len(items) else None
