"""A state with the log that made it, its deep dump, and the types the tests of this room work with."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import msgspec

from qcore.model.documents.document import Document, DocumentEntity
from qcore.model.documents.text import read_document
from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody, LogId
from qcore.model.leader_commands import OpenEpoch, RaiseLevel, RestDigest
from qcore.model.requests.commands import (
    Command,
    Create,
    Delete,
    FieldChange,
    FieldSet,
    SchemaDelete,
    SchemaSet,
    SessionOpen,
    SetFields,
)
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.requests.queries import Find, Get
from qcore.model.requests.restore import Restore
from qcore.model.requests.results import Created, Deleted, Page, SetDone
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.times import NS
from qcore.model.values import Kind
from qcore.store import read
from qcore.store.apply import Outcome, apply_entry
from qcore.store.documents.export import export
from qcore.store.search import find as search
from qcore.store.sessions.digest_checks import Rest
from qcore.store.state.digest import (
    MODULUS,
    answer_hash,
    counters_hash,
    entity_hash,
    epoch_hash,
    field_hash,
    removed_hash,
    schema_hash,
    session_hash,
    staged_hash,
)
from qcore.store.state.entity import CHILDREN, PARENT
from qcore.store.state.state import State

__all__ = [
    "START",
    "Log",
    "any_command",
    "busy_log",
    "dump",
    "epoch",
    "field",
    "full_digest",
    "full_rest",
    "replay",
    "some_command",
    "through",
    "type_of",
    "typed",
]

START = 1_700_000_000 * NS
"""Entry time of the first entry."""

T = TypeVar("T")


def field(name: str, kind: Kind = Kind.Int, default: Any = None, **kwargs: Any) -> FieldSchema:
    return FieldSchema(name, kind, default, **kwargs)


def type_of(name: str, *fields: FieldSchema, inherits: list[str] | None = None) -> EntitySchema:
    return EntitySchema(name, inherits or [], list(fields))


def through(work: Generator[None, None, T]) -> T:
    """What a long read returns, its pauses passed over."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


class Log:
    """Commands go in one by one or together as an entry; each entry is 1 ms after the one before."""

    def __init__(self, *schemas: EntitySchema) -> None:
        self.state = State()
        self.records: list[bytes] = []
        self.time = START
        if schemas:
            self.do(SchemaSet(schemas=list(schemas)))

    def next(self, *commands: Command) -> Entry:
        """The entry of these commands, read back from its JSON, not applied yet."""
        index = len(self.records)
        self.time += 1_000_000
        body = EntryBody(FEATURE_LEVEL, self.time, "commands", list(commands))  # type: ignore[arg-type]
        self.records.append(msgspec.json.encode(body))
        return Entry(LogId(1, 65_536, index), msgspec.json.decode(self.records[-1], type=EntryBody))

    def entry(self, *commands: Command) -> list[Outcome]:
        return list(apply_entry(self.state, self.next(*commands)))

    def do(self, command: Command) -> Any:
        """The result of one command, or its error raised."""
        (outcome,) = self.entry(command)
        if outcome.error is not None:
            raise outcome.error
        return outcome.result

    def create(self, type_name: str, name: str, parent: int | str | None = 1, **fields: Any) -> int:
        created: Created = self.do(Create(type_name, name, parent, fields))
        return created.id

    def set(self, id: int | str, field_path: str, value: Any, **kwargs: Any) -> SetDone:
        done: SetDone = self.do(SetFields(id, field_path, value, **kwargs))
        return done

    def delete(self, id: int | str) -> int:
        deleted: Deleted = self.do(Delete(id))
        return deleted.deleted

    def get(self, id: int | str, *paths: str) -> dict[str, Any]:
        """Path -> {"value", "time", "writer", "revision"} or {"error"}, as it goes over the wire."""
        result = read.get(self.state, Get(id, list(paths) or None))
        return msgspec.to_builtins(result)["fields"]  # type: ignore[no-any-return]

    def value(self, id: int | str, path: str) -> Any:
        return self.get(id, path)[path]["value"]

    def children(self, id: int) -> list[int]:
        return list(self.state.children(id))

    def find(self, type_name: str, max_page: int = 10_000, **kwargs: Any) -> Page:
        return through(search.find(self.state, Find(type_name, **kwargs), max_page))

    def ids(self, type_name: str, **kwargs: Any) -> list[int]:
        return [item.id for item in self.find(type_name, limit=10_000, **kwargs).items]


def replay(records: list[bytes], before: Callable[[State], object] = lambda _state: None) -> State:
    """A fresh state with the whole log applied; `before` sees it while it is empty."""
    state = State()
    before(state)
    for index, record in enumerate(records):
        for _ in apply_entry(state, Entry(LogId(1, 65_536, index), msgspec.json.decode(record, type=EntryBody))):
            pass
    return state


def dump(state: State) -> dict[str, Any]:
    """Everything the state holds, indexes and counters included; deep, nothing in it is shared with the state."""
    return {
        "counters": (state.applied, state.time, state.revision, state.next_id, state.mark),
        "types": {name: msgspec.to_builtins(schema) for name, schema in state.types.own.items()},
        "complete": {name: [f.name for f in schema.slots] for name, schema in state.types.complete.items()},
        "top": list(state.top),
        "entities": {id: _entity(state, id) for id in state.entities},
        "counts": {name: count for name, count in state.counts.items() if count},
        "ids": {name: [i for i in state.ids(name) if i in state.entities] for name, n in state.counts.items() if n},
        "sessions": state.sessions.dump(),
        "epochs": (state.level, state.epochs.all),
        "digest": state.digest(),
        "rest": state.rest()[1:],
    }


def _entity(state: State, id: int) -> dict[str, Any]:
    entity = state.entities[id]
    assert entity.id == id
    assert entity.schema is state.types.complete[entity.type], "every entity has its type's schema of now"
    fields = {}
    for slot, schema in enumerate(entity.schema.slots):
        value = entity.values[slot]
        fields[schema.name] = (typed(value), entity.time(slot), entity.revision(slot))
    _, time, revision = fields["Children"]
    fields["Children"] = (tuple(state.children(id)), time, revision)
    return {"type": entity.type, "order": entity.order, "fields": fields}


def typed(value: Any) -> Any:
    """A value that equals only what is the same to the bit: 0.0 is not -0.0, and True is not 1."""
    return (type(value).__name__, repr(value))


def full_digest(state: State) -> str:
    """The digest, computed from nothing but what is there."""
    total = sum(schema_hash(schema) for schema in state.types.own.values())
    for entity in state.entities.values():
        total += entity_hash(entity.id, entity.type, entity.parent, entity.order)
        for slot, schema in enumerate(entity.schema.slots):
            if entity.revision(slot):
                value = () if slot in (PARENT, CHILDREN) else entity.values[slot]
                total += field_hash(entity.id, schema.name, value, entity.time(slot), entity.revision(slot))
    counters = counters_hash(state.revision, state.next_id, state.mark)
    return f"{(total + counters) % MODULUS:032x}"


def full_rest(state: State) -> RestDigest:
    """What is beside the digest, computed from nothing but what is there."""
    sessions = session_hash(0, 0, state.sessions.next_number)
    for id, used, low, answers in state.sessions.dump():
        sessions += session_hash(id, used, low)
        sessions += sum(answer_hash(id, seq, hash, failed) for seq, hash, failed, _ in answers)
    staged = sum(
        staged_hash(stage, parts.used, len(parts.texts), sum(map(len, parts.texts)))
        for stage, parts in state.staged.open.items()
    )
    epochs = sum(epoch_hash(*each) for each in state.epochs.all)
    removed = sum(removed_hash(*each) for each in state.removed.all)
    return Rest(state.time, state.level, sessions, staged, epochs, removed).digest()


PART = type_of(
    "Part",
    field("Size", default=3),
    field("Weight", Kind.Float),
    field("Label", Kind.String),
    field("Color", Kind.Choice, choices=["Red", "Grün", "Blue"]),
    field("Next", Kind.EntityReference),
    field("All", Kind.EntityList),
)


def epoch(number: int) -> str:
    """The name of an epoch."""
    return f"{number:016x}"


def busy_log(seed: int, entries: int, level: int = 1) -> Log:
    """A log with everything in it, refusals and retries too; the same for the same seed."""
    chance, names = random.Random(seed), random.Random(seed)
    log = Log(PART, type_of("Device", field("Serial", Kind.Blob), inherits=["Part"]))
    if level > 1:
        log.do(RaiseLevel(level))
        log.do(OpenEpoch(epoch(seed)))
    session = log.do(SessionOpen()).session
    sent: list[Command] = []
    for number in range(entries):
        if level > 1 and names.random() < 0.1:
            log.entry(OpenEpoch(epoch(names.getrandbits(64))), SessionOpen())
        commands = [any_command(chance, log.state) for _ in range(chance.randint(1, 4))]
        if chance.random() < 0.3:
            commands[0].session, commands[0].seq, commands[0].hash = session, len(sent) + 1, str(number)
            sent.append(commands[0])
        if sent and chance.random() < 0.2:
            commands.append(chance.choice(sent))
        log.entry(*commands)
    return log


def some_command(chance: random.Random, state: State) -> Command:
    """Ids are picked without a look at what is there: some are gone, some not there yet."""
    id, other = (chance.randint(1, state.next_id + 1) for _ in range(2))
    sizes: list[Any] = ["big", 1, 2.5, "7", 2**62]
    makers = [
        (8, lambda: Create(chance.choice(["Part", "Device"]), f"n{chance.randint(0, 9)}", chance.choice([1, other]))),
        (4, lambda: SetFields(id, "Size", chance.choice(sizes), chance.choice(["set", "add", "subtract"]))),
        (3, lambda: SetFields(id, fields={"Weight": chance.uniform(-1, 1), "Label": "ß€\U0001f600", "Next": other})),
        (2, lambda: SetFields(id, "All", [other, 1], chance.choice(["set", "add", "subtract"]))),
        (2, lambda: SetFields(id, "Parent", other)),
        (1, lambda: SetFields(1, "Children", chance.sample(list(state.children(1)), len(state.children(1))))),
        (1, lambda: SetFields(id, "Color", chance.choice(["Grün", 2]), time=START + chance.randint(0, 10**9))),
        (1, lambda: Delete(max(id, 3))),
        (1, lambda: SchemaSet(type_of("Part", *chance.sample(PART.fields, 5)))),
        (1, lambda: SchemaDelete(chance.choice(["Device", "Ghost"]))),
        (1, lambda: FieldSet("Device", chance.choice(["Extra", "Size"]), FieldChange(chance.choice(list(Kind)[:2])))),
    ]
    return _chosen(chance, makers)


def any_command(chance: random.Random, state: State) -> Command:
    """As `some_command`, and now and then several as one, or what an edited snapshot of the state says."""
    steps: list[Any] = [some_command(chance, state) for _ in range(chance.randint(1, 4))]
    conditions = [Condition(chance.randint(1, state.next_id), exists=chance.random() < 0.8)]
    makers = [
        (30, lambda: steps[0]),
        (3, lambda: Pipeline([*steps, Create("Part", "made", "$1"), Get(1)])),
        (3, lambda: Transaction([*steps, Find("Part")], chance.choice([[], conditions]))),
        (1, lambda: Restore(_edited(chance, state), prune=chance.random() < 0.5)),
    ]
    return _chosen(chance, makers)


def _chosen(chance: random.Random, makers: list[tuple[int, Callable[[], Command]]]) -> Command:
    weights, choices = zip(*makers, strict=True)
    (make,) = chance.choices(choices, weights)
    made: Command = make()
    return made


def _edited(chance: random.Random, state: State) -> Document:
    """What the state holds, without some of its leaves and with a new one."""
    document = read_document(b"".join(export(state, runtime=chance.random() < 0.5)))
    kept = document.entities[: chance.randint(1, len(document.entities))]
    document.entities = [*kept, DocumentEntity("Part", "restored", 0, None, {"Label": "new"})]
    document.next_id = None
    return document
