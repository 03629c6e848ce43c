"""Schemas: what a type's entities may hold, and what inheritance makes of it.

An *own* schema is what was set for one type. Its *complete* schema is what its entities have: own fields,
then those of its parents breadth-first in listed order, each type once; a name already present stays.
`Types` is the immutable set of all schemas with the questions asked of it; a change makes a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

import msgspec

from qcore.model.errors import BadSchema, BadValue, Cycle, InUse, NotFound, TooLarge
from qcore.model.ids import MAX_NAME, is_identifier
from qcore.model.quoting import quoted
from qcore.model.values import PLAIN, ZEROS, Kind, Labels, Stored, parse_value, value_to_json
from qcore.model.wire import encode_json
from qcore.model.work import Pace, Work, run_whole

__all__ = [
    "BUILTIN",
    "MAINTAINED",
    "MAX_COMPLETE",
    "MAX_FIELDS",
    "MAX_LABELS",
    "CompleteField",
    "CompleteSchema",
    "EntitySchema",
    "FieldSchema",
    "Scope",
    "Types",
    "check_schema",
    "checking_schema",
    "fits_maintained",
]

Scope = Literal["Configuration", "Runtime"]

RESERVED_FIELDS = frozenset({"true", "false", "null", "in", "EntityId", "EntityType"})
MAINTAINED = ("Name", "Parent", "Children")
"""Fields of every entity that the store itself keeps; always the first slots of an entity."""

MAX_COMPLETE = 250_000
"""Fields and ancestors of all complete schemas together: a small request could otherwise multiply without bound."""

MAX_FIELDS = 10_000
"""Fields of a complete type: each of its entities has room for all of them."""

MAX_LABELS = 100_000
"""Labels of a Choice that are taken from a client; apply knows no bound."""

_MAINTAINED_KINDS = {"Name": Kind.String, "Parent": Kind.EntityReference, "Children": Kind.EntityList}


class FieldSchema(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One field of a type. `default` is in JSON form, None = the kind's zero; `rank` orders the display."""

    name: str
    data_type: Kind
    default: Any = None
    rank: int | None = None
    choices: list[str] = []
    storage_scope: Scope = "Configuration"


class EntitySchema(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One type: its name, its parents in order, its own fields."""

    entity_type: str
    inherits_from: list[str] = []
    fields: list[FieldSchema] = []


class CompleteField:
    """A field as entities of a type have it: where it comes from and which slot holds its value."""

    __slots__ = ("default", "kind", "labels", "name", "origin", "plain", "schema", "slot")

    def __init__(self, schema: FieldSchema, origin: str, slot: int) -> None:
        self.schema = schema
        self.name = schema.name
        self.kind = schema.data_type
        self.plain = PLAIN.get(schema.data_type)
        self.labels = Labels(schema.choices)
        self.default = default_of(schema)
        self.origin = origin
        self.slot = slot

    def at(self, slot: int) -> CompleteField:
        """The same field as an heir has it: labels and default, which may be long, are there once."""
        field = CompleteField.__new__(CompleteField)
        field.schema, field.name, field.kind, field.plain = self.schema, self.name, self.kind, self.plain
        field.labels, field.default, field.origin, field.slot = self.labels, self.default, self.origin, slot
        return field


class CompleteSchema:
    """All fields of a type; `fields` is by (rank, name), `by_name` finds one, slots begin with `MAINTAINED`."""

    __slots__ = ("ancestors", "by_name", "fields", "slots", "type")

    def __init__(
        self,
        entity_type: str,
        ancestors: list[str],
        own: Mapping[str, EntitySchema],
        above: Mapping[str, CompleteSchema],
        before: CompleteSchema | None = None,
    ) -> None:
        """`ancestors` begin with the type itself; `above` has those of all others, `before` is what this replaces."""
        self.type = entity_type
        self.ancestors = frozenset(ancestors)
        found: dict[str, tuple[FieldSchema, str]] = {}
        for ancestor in ancestors:
            for schema in own[ancestor].fields:
                found.setdefault(schema.name, (schema, ancestor))
        names = [*MAINTAINED, *(name for name in found if name not in MAINTAINED)]
        kept = {} if before is None else before.by_name
        self.slots: list[CompleteField] = []
        for slot, name in enumerate(names):
            schema, origin = found[name]
            field = kept.get(name)
            if field is None or field.schema is not schema or field.origin != origin:
                field = CompleteField(schema, origin, slot) if origin == entity_type else above[origin].by_name[name]
            self.slots.append(field if field.slot == slot else field.at(slot))
        self.by_name: dict[str, CompleteField] = {field.name: field for field in self.slots}
        self.fields = sorted(self.slots, key=lambda field: (field.schema.rank or 0, field.name))

    def field(self, name: str) -> CompleteField:
        """Return the field `name`.

        Raises:
            NotFound: the type has no such field.
        """
        try:
            return self.by_name[name]
        except KeyError:
            raise NotFound(f"type {self.type} has no field {quoted(name)}") from None

    def equals(self, other: CompleteSchema, known: _Known | None = None) -> bool:
        """Whether entities of both would be the same, slot by slot; what was compared before is `known`."""
        known = {} if known is None else known
        return (
            self.ancestors == other.ancestors
            and len(self.slots) == len(other.slots)
            and all(
                _same_field(mine.schema, its.schema, known) for mine, its in zip(self.slots, other.slots, strict=True)
            )
        )

    def as_schema(self, own: EntitySchema) -> EntitySchema:
        """The complete schema in the shape of an own one, fields by (rank, name)."""
        return EntitySchema(own.entity_type, list(own.inherits_from), [field.schema for field in self.fields])


_Known = dict[tuple[int, int], bool]
"""By the ids of two fields, which both live as long: whether they are the same."""


def _same_field(one: FieldSchema, other: FieldSchema, known: _Known) -> bool:
    if one is other:
        return True
    key = id(one), id(other)
    same = known.get(key)
    if same is None:
        same = known[key] = encode_json(one) == encode_json(other)  # as text, in which -0.0 is not 0.0
    return same


def default_of(schema: FieldSchema) -> Stored:
    """The stored form an unset field reads as."""
    if schema.default is None:
        return schema.choices[0] if schema.data_type is Kind.Choice else ZEROS[schema.data_type]
    return parse_value(schema.data_type, schema.name, schema.default, schema.choices, _no_ids)


def _no_ids(_form: Any) -> int:
    raise BadValue("a default cannot refer to an entity")


BUILTIN = {
    "Object": EntitySchema(
        "Object",
        [],
        [
            FieldSchema("Name", Kind.String, "", 0),
            FieldSchema("Parent", Kind.EntityReference, None, 1),
            FieldSchema("Children", Kind.EntityList, [], 2),
        ],
    ),
    "Root": EntitySchema("Root", ["Object"], []),
}


def fits_maintained(schema: FieldSchema) -> bool:
    """Whether a field that bears a maintained name keeps that field's kind and default."""
    return _MAINTAINED_KINDS.get(schema.name, schema.data_type) is schema.data_type


def check_schema(schema: EntitySchema) -> EntitySchema:
    """Return the schema as it is stored: ranks given, defaults in normal form, Object inherited.

    Raises:
        BadSchema: a name, a label, a default or a rank that cannot be.
    """
    return run_whole(checking_schema(schema))


def checking_schema(schema: EntitySchema) -> Work[EntitySchema]:
    """The work of `check_schema`, which takes long where there are many fields."""
    name = schema.entity_type
    _check_name("type name", name)
    if name == "Object":
        raise BadSchema("the built-in type Object cannot be changed")
    parents = list(schema.inherits_from) or ["Object"]
    if "Root" in parents:
        raise BadSchema(f"type {name} cannot inherit Root: there is one Root and no other")
    if len(set(parents)) != len(parents):
        raise BadSchema(f"type {name} names a parent twice: {', '.join(parents)}")
    seen: set[str] = set()
    fields = []
    pace = Pace()
    for place, field in enumerate(schema.fields):
        if pace.is_due():
            yield
        if field.name in seen:
            raise BadSchema(f"type {name} has the field {field.name} twice")
        seen.add(field.name)
        fields.append(_check_field(name, field, place))
    return EntitySchema(name, parents, fields)


def _check_name(what: str, name: str, owner: str = "") -> None:
    if not is_identifier(name):
        raise BadSchema(f"{what} {quoted(name)}{owner}: expected letters, digits and _, no digit first")
    if len(name) > MAX_NAME:
        raise BadSchema(f"{what} {name[:20]}...{owner}: at most {MAX_NAME} characters, {len(name)} given")


def _check_field(owner: str, field: FieldSchema, place: int) -> FieldSchema:
    where = f"field {owner}.{field.name}"
    _check_name("field name", field.name, f" of type {owner}")
    if field.name in RESERVED_FIELDS:
        raise BadSchema(f"{where}: the name {field.name} is reserved")
    if not fits_maintained(field):
        raise BadSchema(f"{where} is built in as {_MAINTAINED_KINDS[field.name]}, not {field.data_type}")
    if field.data_type is Kind.Choice:
        if not field.choices:
            raise BadSchema(f"{where}: a Choice needs at least one label")
        if len(set(field.choices)) != len(field.choices) or "" in field.choices:
            raise BadSchema(f"{where}: labels are different and not empty, given {quoted(field.choices)}")
    elif field.choices:
        raise BadSchema(f"{where}: only a Choice has labels, this is a {field.data_type}")
    if field.rank is not None and not -(2**31) <= field.rank < 2**31:
        raise BadSchema(f"{where}: a rank is a 32-bit number, {field.rank} given")
    try:
        default = value_to_json(field.data_type, default_of(field), lambda _id: True)
    except BadValue as exc:
        raise BadSchema(f"{where}: the default does not fit: {exc.message}") from None
    rank = place if field.rank is None else field.rank
    return FieldSchema(field.name, field.data_type, default, rank, list(field.choices), field.storage_scope)


def _with_fields_of(schema: EntitySchema, before: EntitySchema | None) -> Work[EntitySchema]:
    """The schema, with the very fields that it had before where they are the same: nothing is kept twice."""
    if before is None:
        return schema
    known: _Known = {}
    old = {field.name: field for field in before.fields}
    fields, pace = [], Pace()
    for field in schema.fields:
        was = old.get(field.name)
        fields.append(was if was is not None and _same_field(was, field, known) else field)
        if pace.is_due():
            yield
    return EntitySchema(schema.entity_type, schema.inherits_from, fields)


def _check_size(size: int) -> int:
    if size > MAX_COMPLETE:
        raise TooLarge(f"all types, each with what it inherits, have at most {MAX_COMPLETE} fields and ancestors")
    return size


class Types:
    """Every type and what follows from inheritance; immutable."""

    def __init__(self, own: Mapping[str, EntitySchema] = BUILTIN, before: Types | None = None) -> None:
        """`before`: what these replace; complete schemas that did not change stay the same objects.

        Raises:
            BadSchema, Cycle: a parent that is unknown, types that inherit each other.
            TooLarge: more than `MAX_COMPLETE`.
        """
        self.own = {name: own[name] for name in sorted(own)}
        self.size = 0
        """Fields and ancestors of all complete schemas together."""
        self.complete: dict[str, CompleteSchema] = {}
        self.descendants: dict[str, list[str]] = {name: [] for name in self.own}
        run_whole(self._derive(before))

    @classmethod
    def deriving(cls, own: Mapping[str, EntitySchema], before: Types) -> Work[Types]:
        """The work of making types, which takes long where there are many fields; raises as `Types` does."""
        types = cls.__new__(cls)
        types.own = {name: own[name] for name in sorted(own)}
        types.size, types.complete = 0, {}
        types.descendants = {name: [] for name in types.own}
        yield from types._derive(before)
        return types

    def _derive(self, before: Types | None) -> Work[None]:
        self.complete = yield from self._completed(before)
        pace = Pace()
        for name, schema in self.complete.items():
            for ancestor in schema.ancestors:
                self.descendants[ancestor].append(name)
            if pace.is_due(len(schema.ancestors)):
                yield
        for names in self.descendants.values():
            names.sort()

    def _completed(self, before: Types | None) -> Work[dict[str, CompleteSchema]]:
        old = before.complete if before is not None else {}
        kept = {name: schema for name, schema in old.items() if before is not None and self._same_own(before, schema)}
        size = sum(len(schema.ancestors) + len(schema.slots) for schema in kept.values())
        orders: dict[str, list[str]] = {}
        known: _Known = {}
        pace = Pace()
        for name in self.own:
            if name in kept:
                continue
            orders[name] = self._ancestors(name)
            size = _check_size(size + len(orders[name]))
            if pace.is_due(len(orders[name])):
                yield
        # only now is it known that no type runs in a circle, and that each leads to Object
        for name, order in sorted(orders.items(), key=lambda item: len(item[1])):  # who is above has fewer above
            kept[name] = CompleteSchema(name, order, self.own, kept, old.get(name))
            size = _check_size(size + len(kept[name].slots))
            if name in old and old[name].equals(kept[name], known):
                kept[name] = old[name]
            if pace.is_due(len(kept[name].slots)):
                yield
        self.size = size
        return {name: kept[name] for name in self.own}

    def _same_own(self, before: Types, schema: CompleteSchema) -> bool:
        return all(self.own.get(name) is before.own[name] for name in schema.ancestors)

    def _ancestors(self, name: str) -> list[str]:
        """The type itself and what it inherits, breadth-first, each once.

        Raises:
            BadSchema: an unknown parent.
            Cycle: the type inherits itself.
        """
        order = [name]
        seen = {name}
        for current in order:
            for parent in self.own[current].inherits_from:
                if parent == name:
                    raise Cycle(f"type {name} would inherit itself through {current}")
                if parent not in self.own:
                    raise BadSchema(f"type {current} inherits the unknown type {quoted(parent)}")
                if parent not in seen:
                    seen.add(parent)
                    order.append(parent)
        return order

    @cached_property
    def kinds(self) -> dict[str, set[Kind]]:
        """The kinds that fields of each name have in any type."""
        kinds: dict[str, set[Kind]] = {}
        for schema in self.own.values():
            for field in schema.fields:
                kinds.setdefault(field.name, set()).add(field.data_type)
        return kinds

    def names(self) -> list[str]:
        """All type names, sorted."""
        return sorted(self.own)

    def get(self, name: str) -> EntitySchema:
        """The own schema of a type, fields by (rank, name).

        Raises:
            NotFound: no such type.
        """
        if name not in self.own:
            raise NotFound(f"unknown type {quoted(name)}")
        own = self.own[name]
        fields = sorted(own.fields, key=lambda field: (field.rank or 0, field.name))
        return EntitySchema(own.entity_type, list(own.inherits_from), fields)

    def of(self, name: str) -> CompleteSchema:
        """The complete schema of a type.

        Raises:
            NotFound: no such type.
        """
        try:
            return self.complete[name]
        except KeyError:
            raise NotFound(f"unknown type {quoted(name)}") from None

    def with_schemas(self, schemas: Iterable[EntitySchema]) -> Types:
        """These types and the given ones, set together; their order does not matter.

        Raises:
            BadSchema: one of them cannot be; nothing is set then.
            Cycle: types inherit each other.
        """
        return run_whole(self.setting(schemas))

    def setting(self, schemas: Iterable[EntitySchema]) -> Work[Types]:
        """The work of `with_schemas`, which takes long where there are many fields."""
        own = dict(self.own)
        given: set[str] = set()
        for schema in schemas:
            checked = yield from checking_schema(schema)
            if checked.entity_type in given:
                raise BadSchema(f"type {checked.entity_type} is given twice")
            given.add(checked.entity_type)
            own[checked.entity_type] = yield from _with_fields_of(checked, self.own.get(checked.entity_type))
        return (yield from Types.deriving(own, self))

    def without(self, name: str) -> Types:
        """These types but one.

        Raises:
            NotFound: no such type.
            InUse: it is built in or has descendants.
        """
        if name in BUILTIN:
            raise InUse(f"type {name} is built in")
        heirs = [heir for heir in self.descendants[self.of(name).type] if heir != name]
        if heirs:
            raise InUse(f"type {name} is inherited by {', '.join(heirs)}")
        return Types({key: schema for key, schema in self.own.items() if key != name}, self)
