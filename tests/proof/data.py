"""The entities that the clients of a run use, and which key of the history is which field of which of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from qcore.client import EntitySchema, FieldSchema, Kind, Store

__all__ = ["Data", "Place", "element_text", "make_data", "read_value"]

TYPE = "Proof"
PER_ENTITY = {"register": 3, "counter": 1, "list": 3, "account": 1}
"""How many keys of each kind an entity has."""


class Place(NamedTuple):
    """Where a key is stored."""

    id: int
    field: str


class Data(NamedTuple):
    """All keys of a run, and in which order they are chosen from."""

    places: dict[str, Place]

    def keys(self, kind: str) -> list[str]:
        return [key for key in self.places if key.startswith(f"{kind}:")]

    def neighbours(self, key: str) -> list[str]:
        """The keys of the same kind in the same entity, which one request can read together."""
        kind, id = key.partition(":")[0], self.places[key].id
        return [other for other in self.keys(kind) if self.places[other].id == id]


async def make_data(store: Store, name: str, entities: int) -> Data:
    """Make entities of a name that no other run has, with all their keys at their first values."""
    places: dict[str, Place] = {}
    await store.schema_set(_schema())
    for number in range(entities):
        id = (await store.create(TYPE, f"{name} {number}")).id
        for kind, count in PER_ENTITY.items():
            for place in range(count):
                places[f"{kind}:{number}.{place}"] = Place(id, f"{kind.capitalize()}{place}")
    return Data(places)


def element_text(element: int) -> str:
    """What appends an element to a list, which is stored as text."""
    return f"{element};"


def read_value(key: str, value: Any) -> Any:
    """The value of a key as the checkers have it."""
    if key.startswith("list:"):
        return [int(element) for element in str(value).split(";")[:-1]]
    if key.startswith("big:"):
        return int(str(value).partition(";")[0] or 0)
    return value


def _schema() -> EntitySchema:
    """Of Runtime fields: a restore of a document that does not have them leaves them alone."""
    kinds = {"list": Kind.String}
    fields = [
        FieldSchema(f"{kind.capitalize()}{place}", kinds.get(kind, Kind.Int), storage_scope="Runtime")
        for kind, count in PER_ENTITY.items()
        for place in range(count)
    ]
    return EntitySchema(TYPE, fields=fields)
