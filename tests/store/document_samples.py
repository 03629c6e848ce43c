"""Stores to take documents from: random ones with everything that is hard to write down, and how to restore."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import msgspec
from hypothesis import strategies as st

from qcore.model.documents.document import Document
from qcore.model.documents.text import read_document
from qcore.model.errors import RequestError
from qcore.model.requests.commands import SchemaSet
from qcore.model.requests.restore import Restore, Restored
from qcore.model.schema import EntitySchema
from qcore.model.times import NS
from qcore.model.values import INT_MAX, INT_MIN, Kind
from qcore.model.work import run_whole
from qcore.store.context import Context
from qcore.store.documents.export import Exported, export
from qcore.store.documents.restore import restore
from qcore.store.state.entity import Entity
from qcore.store.state.state import State
from tests.store.samples import START, Log, field, type_of

__all__ = ["OTHER_SCHEMAS", "SCHEMAS", "Watched", "restored", "stores", "take", "taken"]

LATER = START + 1_000_000 * NS

NAMES = ["a", "b", "a/b", "#2", "a#2", "a\\", "/", "Root", "é\U0001f600", "x" * 255, "null", "12", "__hashpw__(a)"]
TEXTS = [
    "",
    "text",
    "__hashpw__(x)",
    "\\__hashpw__(x)",
    "\\\\__hashpw__()",
    "\\",
    '"\\u0000\x00\x1f',
    "\u2028/é\U0010ffff",
]

SCHEMAS = [
    type_of(
        "Base",
        field("Blob", Kind.Blob, rank=7),
        field("Bool", Kind.Bool, True),
        field("Choice", Kind.Choice, choices=["Low", "1", "High"], rank=-1),
        field("Float", Kind.Float, -0.0),
        field("Int", Kind.Int, 5, rank=7),
        field("String", Kind.String, "__hashpw__(default)"),
        field("Timestamp", Kind.Timestamp),
        field("Link", Kind.EntityReference),
        field("Links", Kind.EntityList),
        field("Seen", Kind.Timestamp, storage_scope="Runtime"),
        field("Peers", Kind.EntityList, storage_scope="Runtime"),
        field("Mode", Kind.Choice, choices=["On", "Off"], storage_scope="Runtime"),
    ),
    type_of("Leaf", field("id", Kind.String), field("entityType", Kind.Int), inherits=["Base"]),
    type_of(
        "A",
        field("Int", Kind.Timestamp, 1),
        field("Choice", Kind.Choice, choices=["0", "2", "1", "__hashpw__(x)"]),
        field("Seen", Kind.Blob),
        field("Name", Kind.String, "a", rank=9),
        inherits=["Leaf", "Folder"],
    ),
    type_of("Folder", field("Int", Kind.String), field("Float", Kind.Bool), field("More", Kind.Float)),
    type_of("Root", field("Site", Kind.String), field("Home", Kind.EntityReference)),
]
"""Names that sort before their parents', fields that hide a parent's, labels like numbers, the document's own keys."""

OTHER_SCHEMAS = [
    type_of(
        "Base",
        field("Int", Kind.Float),
        field("Choice", Kind.Choice, choices=["Other", "Low"]),
        field("String", Kind.String),
        field("Links", Kind.EntityList),
        field("Gone", Kind.Int),
        field("Mode", Kind.Choice, choices=["Off", "Idle"], storage_scope="Runtime"),
    ),
    type_of("Leaf", field("Blob", Kind.Blob)),
    type_of("Folder", inherits=["Base", "Leaf"]),
    type_of("Old", inherits=["Folder"]),
    type_of("Root", field("Site", Kind.Int), inherits=["Leaf"]),
]

_VALUES: dict[Kind, list[Any]] = {
    Kind.Blob: ["", "AA==", "/+8="],
    Kind.Bool: [True, False],
    Kind.Float: [0.0, -0.0, 0.1, 1e22, -5e-324, 1.7976931348623157e308, 3],
    Kind.Int: [0, 5, INT_MIN, INT_MAX],
    Kind.String: TEXTS,
    Kind.Timestamp: [0, INT_MIN, INT_MAX, 1, START],
}


def stores(schemas: list[EntitySchema] = SCHEMAS) -> st.SearchStrategy[Log]:
    """Logs with a random history; few steps are tried first where something fails."""
    return st.builds(random_store, st.just(schemas), st.integers(0, 60), st.integers(0, 2**32))


def random_store(schemas: list[EntitySchema], steps: int, seed: int) -> Log:
    """A log of creating, writing, moving, reordering and deleting; equal arguments make an equal one."""
    log = Log(*schemas)
    chance = Random(seed)
    if chance.random() < 0.5:
        log.do(SchemaSet(type_of("Unused", field("Text", Kind.String, rank=2), field("Float", Kind.Float, 2, rank=1))))
    for _ in range(steps):
        try:
            chance.choice([_create, _create, _create, _write, _write, _write, _move, _reorder, _delete])(log, chance)
        except RequestError:
            continue
    return log


def _any(log: Log, chance: Random) -> int:
    """An entity that exists."""
    return chance.choice(list(log.state.entities))


def _create(log: Log, chance: Random) -> None:
    types = [name for name in log.state.types.names() if name not in ("Object", "Root")]
    name = chance.choice(NAMES[: chance.choice([2, len(NAMES)])])
    log.create(chance.choice(types), name, chance.choice([1, None, _any(log, chance), _any(log, chance)]))


def _write(log: Log, chance: Random) -> None:
    entity = log.state.entities[_any(log, chance)]
    for chosen in chance.sample(entity.schema.slots, k=min(4, len(entity.schema.slots))):
        if chosen.kind is Kind.EntityReference and chosen.name != "Parent":
            log.set(entity.id, chosen.name, chance.choice([None, _any(log, chance), _any(log, chance)]))
        elif chosen.kind is Kind.EntityList and chosen.name != "Children":
            everyone = list(log.state.entities)
            log.set(entity.id, chosen.name, chance.sample(everyone, chance.randint(0, min(4, len(everyone)))))
        elif chosen.kind is Kind.Choice:
            log.set(entity.id, chosen.name, chance.choice(chosen.labels))
        elif chosen.kind in _VALUES:
            log.set(entity.id, chosen.name, chance.choice(NAMES if chosen.name == "Name" else _VALUES[chosen.kind]))


def _move(log: Log, chance: Random) -> None:
    log.set(_any(log, chance), "Parent", chance.choice([None, _any(log, chance), _any(log, chance)]))


def _reorder(log: Log, chance: Random) -> None:
    id = chance.choice([1, _any(log, chance)])
    log.set(id, "Children", chance.sample(log.children(id), len(log.children(id))))


def _delete(log: Log, chance: Random) -> None:
    log.delete(_any(log, chance))


class Watched:
    """A view that counts how often an entity is looked up."""

    def __init__(self, state: State) -> None:
        self.types = state.types
        self.counts = state.counts
        self.next_id = state.next_id
        self.entities: Mapping[int, Entity] = _Lookups(self, state.entities)
        self.count = 0
        self._state = state

    def children(self, parent: int) -> Sequence[int]:
        return self._state.children(parent)

    def ids(self, type_name: str) -> Sequence[int]:
        return self._state.ids(type_name)

    def most_between(self, work: Iterator[object]) -> int:
        """The most entities that are looked up between two pauses of a generator, which is run to its end."""
        most = 0
        ended = False
        while not ended:
            self.count = 0
            try:
                next(work)
            except StopIteration:
                ended = True
            most = max(most, self.count)
        return most


class _Lookups(Mapping[int, Entity]):
    def __init__(self, view: Watched, entities: Mapping[int, Entity]) -> None:
        self._view = view
        self._entities = entities

    def __getitem__(self, id: int) -> Entity:
        self._view.count += 1
        return self._entities[id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._entities)

    def __len__(self) -> int:
        return len(self._entities)


def take(state: State, **kwargs: Any) -> tuple[bytes, Exported]:
    """The whole text of a document, and what the writer says of it."""
    text = bytearray()
    work = export(state, **kwargs)
    while True:
        try:
            text += next(work)
        except StopIteration as done:
            return bytes(text), done.value


def taken(state: State, **kwargs: Any) -> Document:
    return read_document(take(state, **kwargs)[0])


def restored(
    state: State, document: Document, *, prune: bool = False, then: Callable[[], None] | None = None, **kwargs: Any
) -> Restored:
    """Restore as apply does: the command as it stands in the log, all or nothing. `then` runs before the end."""
    command = msgspec.json.decode(msgspec.json.encode(Restore(document, prune, **kwargs)), type=Restore)
    context = Context(LATER)
    state.begin()
    context.revision = state.revision + 1
    try:
        result = run_whole(restore(state, command, context))
        if then is not None:
            then()
    except BaseException:
        state.rollback()
        raise
    state.finish(context.wrote)
    return result
