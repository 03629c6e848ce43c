"""The `schemas` of a document: from decoded JSON to typed schemas, with every problem and its JSON path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from msgspec.structs import replace

from qcore.model.documents.document import Problem, standard_form, step_of_key
from qcore.model.errors import RequestError
from qcore.model.ids import is_identifier
from qcore.model.schema import BUILTIN, EntitySchema, FieldSchema, Scope, Types, check_schema, fits_maintained
from qcore.model.values import Kind

__all__ = ["DocumentSchemas", "known_keys", "shown"]

_SCHEMA_KEYS = ("entityType", "inheritsFrom", "fields")
_FIELD_KEYS = ("name", "dataType", "default", "rank", "choices", "storageScope")
_KINDS = frozenset(kind.value for kind in Kind)
_MOST_RINGS = 100
_SHOWN_RING = 20
"""Types of a ring that are named."""
_SCOPES: tuple[Scope, ...] = get_args(Scope)


def shown(value: Any) -> str:
    """A JSON value as an error quotes it."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def known_keys(value: Any, path: str, known: tuple[str, ...], problems: list[Problem]) -> dict[str, Any] | None:
    """The keys of an object that are known, None where it is no object; the others are problems."""
    if not isinstance(value, dict):
        problems.append(Problem(path, f"expected an object, given {shown(value)}"))
        return None
    expected = f"unknown key; expected {', '.join(known)}"
    problems.extend(Problem(path + step_of_key(key), expected) for key in value if key not in known)
    return {key: value[key] for key in known if key in value}


class DocumentSchemas:
    """Reads the list of schemas; what cannot be read is noted and left out.

    `unsure` are the types with problems: what follows from them is not held against the entities.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._schemas: dict[str, EntitySchema] = {}
        self._paths: dict[str, str] = {}
        self.unsure: set[str] = set()

    def read(self, value: Any) -> list[EntitySchema]:
        """The schemas that can be set together, in the order of the document."""
        for place, item in enumerate(self._items(value, "$.schemas")):
            self._schema(item, f"$.schemas[{place}]")
        for name, schema in self._schemas.items():
            self._drop_unknown(name, schema)
        self._break_rings()
        schemas = list(self._schemas.values())
        try:
            Types().with_schemas(schemas)
        except RequestError as exc:
            self._note("$.schemas", exc.message)
            self.unsure.update(self._schemas)
            return []
        return schemas

    def _note(self, path: str, message: str) -> None:
        self._problems.append(Problem(path, message))

    def _items(self, value: Any, path: str) -> list[Any]:
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self._note(path, f"expected a list, given {shown(value)}")
        return []

    def _texts(self, value: Any, path: str) -> list[str]:
        texts = []
        for place, item in enumerate(self._items(value, path)):
            if isinstance(item, str):
                texts.append(item)
            else:
                self._note(f"{path}[{place}]", f"expected text, given {shown(item)}")
        return texts

    def _schema(self, value: Any, path: str) -> None:
        before = len(self._problems)
        keys = known_keys(value, path, _SCHEMA_KEYS, self._problems)
        if keys is None:
            return
        name = self._required(keys, "entityType", path)
        parents = self._texts(keys.get("inheritsFrom"), f"{path}.inheritsFrom")
        fields = self._fields(keys.get("fields"), path, name if name and is_identifier(name) else "Type")
        if name is None:
            return
        if name in self._schemas:
            self._note(f"{path}.entityType", f"type {name} is given twice, first at {self._paths[name]}")
        elif self._fits(EntitySchema(name), f"{path}.entityType") and self._fits(
            EntitySchema(name, parents), f"{path}.inheritsFrom"
        ):
            self._schemas[name] = EntitySchema(name, parents, fields)
            self._paths[name] = path
        if len(self._problems) > before:
            self.unsure.add(name)

    def _required(self, keys: dict[str, Any], key: str, path: str) -> str | None:
        if key not in keys:
            self._note(path, f"{key} is missing")
        elif isinstance(keys[key], str):
            return str(keys[key])
        else:
            self._note(f"{path}.{key}", f"expected text, given {shown(keys[key])}")
        return None

    def _fits(self, schema: EntitySchema, path: str) -> bool:
        try:
            check_schema(schema)
        except RequestError as exc:
            self._note(path, exc.message)
            return False
        return True

    def _fields(self, value: Any, path: str, owner: str) -> list[FieldSchema]:
        fields: dict[str, FieldSchema] = {}
        for place, item in enumerate(self._items(value, f"{path}.fields")):
            where = f"{path}.fields[{place}]"
            field = self._field(item, where)
            if field is None or not self._field_fits(field, where, owner):
                continue
            if field.name in fields:
                self._note(f"{where}.name", f"type {owner} has the field {field.name} twice")
            else:
                field.rank = place if field.rank is None else field.rank
                fields[field.name] = field
        return list(fields.values())

    def _field(self, value: Any, path: str) -> FieldSchema | None:
        keys = known_keys(value, path, _FIELD_KEYS, self._problems)
        if keys is None:
            return None
        name = self._required(keys, "name", path)
        kind = self._required(keys, "dataType", path)
        rank = keys.get("rank")
        if rank is not None and type(rank) is not int:
            self._note(f"{path}.rank", f"expected a whole number, given {shown(rank)}")
            rank = None
        scope = keys.get("storageScope", "Configuration")
        if scope not in _SCOPES:
            self._note(f"{path}.storageScope", f"expected {' or '.join(_SCOPES)}, given {shown(scope)}")
            scope = "Configuration"
        choices = self._texts(keys.get("choices"), f"{path}.choices")
        if kind is not None and kind not in _KINDS:
            self._note(f"{path}.dataType", f"expected one of {', '.join(sorted(_KINDS))}, given {kind!r}")
            kind = None
        if name is None or kind is None:
            return None
        return FieldSchema(name, Kind(kind), keys.get("default"), rank, choices, scope)

    def _field_fits(self, field: FieldSchema, path: str, owner: str) -> bool:
        """Judge a field part by part, so that each problem has its own path."""
        bare = FieldSchema(field.name, field.data_type, choices=["any"] if field.data_type is Kind.Choice else [])
        if not self._part_fits(bare, f"{path}.{'name' if fits_maintained(field) else 'dataType'}", owner):
            return False
        ranked = self._part_fits(replace(bare, rank=field.rank), f"{path}.rank", owner)
        return self._part_fits(replace(bare, choices=field.choices), f"{path}.choices", owner) and (
            self._default_fits(field, path, owner) and ranked
        )

    def _default_fits(self, field: FieldSchema, path: str, owner: str) -> bool:
        """Judge the default, and give it the form that every API takes."""
        if field.default is not None:
            try:
                field.default = standard_form(field.data_type, field.name, field.default)
            except RequestError as exc:
                self._note(f"{path}.default", exc.message)
                return False
        return self._part_fits(replace(field, rank=None), f"{path}.default", owner)

    def _part_fits(self, field: FieldSchema, path: str, owner: str) -> bool:
        return self._fits(EntitySchema(owner, [], [field]), path)

    def _drop_unknown(self, name: str, schema: EntitySchema) -> None:
        for place, parent in enumerate(schema.inherits_from):
            if parent not in self._schemas and parent not in BUILTIN:
                if parent not in self.unsure:
                    message = f"type {name} inherits the unknown type {parent!r}"
                    self._note(f"{self._paths[name]}.inheritsFrom[{place}]", message)
                self.unsure.add(name)
        schema.inherits_from = [p for p in schema.inherits_from if p in self._schemas or p in BUILTIN]

    def _break_rings(self) -> None:
        """Take out what closes a ring: walk up from every type, and look whether a parent is on the way already."""
        seen: set[str] = set()
        rings = 0
        for top in self._schemas:
            way: dict[str, Iterator[str]] = {}
            self._step(top, way, seen)
            while way:
                name = next(reversed(way))
                parent = next(way[name], None)
                if parent is None:
                    del way[name]
                elif parent in way:
                    rings += 1
                    if rings > _MOST_RINGS:
                        return self._give_up()
                    self._ring(list(way), parent)
                else:
                    self._step(parent, way, seen)
        return None

    def _step(self, name: str, way: dict[str, Iterator[str]], seen: set[str]) -> None:
        if name in self._schemas and name not in seen:
            seen.add(name)
            way[name] = iter(self._schemas[name].inherits_from)

    def _ring(self, way: list[str], parent: str) -> None:
        ring = way[way.index(parent) :]
        self._schemas[ring[-1]].inherits_from = [p for p in self._schemas[ring[-1]].inherits_from if p != parent]
        self.unsure.update(ring)
        places = {name: place for place, name in enumerate(self._schemas)}
        first = ring.index(min(ring, key=places.__getitem__))
        ring = ring[first:] + ring[:first]
        shown_ring = [*ring[:_SHOWN_RING], *(["..."] if len(ring) > _SHOWN_RING else []), ring[0]]
        message = f"types inherit each other: {' -> '.join(shown_ring)}"
        self._note(f"{self._paths[ring[0]]}.inheritsFrom", message)

    def _give_up(self) -> None:
        self._note("$.schemas", f"more than {_MOST_RINGS} rings of types that inherit each other")
        self.unsure.update(self._schemas)
        for schema in self._schemas.values():
            schema.inherits_from = []
