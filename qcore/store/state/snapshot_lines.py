"""The whole replicated state as lines of JSON, and back: what a snapshot file holds between its header and footer.

Written in pieces over a pinned view, so that nobody waits; read line by line. Everything replicas must agree on is
in it: types, entities with times and revisions, sessions with their answers, staged commands, digest checks, epochs,
removed disks.
Files, checksums and log ids are the business of `qcore.disk.snapshot_files`.
"""

from __future__ import annotations

from array import array
from base64 import b64decode
from collections.abc import Callable, Generator, Iterable
from typing import Any

import msgspec

from qcore.model.requests.results import DigestCheck
from qcore.model.schema import EntitySchema, Types
from qcore.model.values import Kind
from qcore.model.wire import encode_json
from qcore.store.sessions.sessions import Answer
from qcore.store.state.entity import CHILDREN, PARENT, Entity
from qcore.store.state.state import State
from qcore.store.state.tables import Tables

__all__ = ["Loader", "StateSnapshot"]

_SLICE = 128
"""Lines in a piece."""


class _Line(msgspec.Struct, tag_field="line", forbid_unknown_fields=True):
    pass


class _Counters(_Line, tag="state"):
    time: int
    revision: int
    next_id: int
    next_session: int
    level: int
    mark: str
    digest: str


class _Type(_Line, tag="type"):
    schema: EntitySchema


class _Slots(_Line, tag="slots"):
    """The order of the values in the lines of entities of a type."""

    type: str
    fields: list[str]


class _Entity(_Line, tag="entity"):
    """Values by slot, null = unset; Children follow from parents and orders. Two `stamps` a slot: time and revision."""

    id: int
    type: str
    order: int
    values: list[Any]
    stamps: list[int]


class _Session(_Line, tag="session"):
    id: int
    used: int
    low: int
    answers: list[tuple[int, str, bool, str]]


class _Staged(_Line, tag="staged"):
    stage: str
    used: int
    texts: list[str]


class _Check(_Line, tag="check"):
    check: DigestCheck


class _Epochs(_Line, tag="epochs"):
    """Each with its first revision, the oldest first; there is no such line where there are none."""

    epochs: list[tuple[str, int]]


class _Removed(_Line, tag="removed"):
    """Incarnations of disks with their Raft NodeIds, the oldest first; there is no such line where there are none."""

    disks: list[tuple[str, int]]


_decode = msgspec.json.Decoder(
    _Counters | _Type | _Slots | _Entity | _Session | _Staged | _Check | _Epochs | _Removed
).decode


class StateSnapshot:
    """The state as it is when this is made, between two entries of the log; release it in the end."""

    def __init__(self, state: State) -> None:
        self.revision = state.revision
        self.digest = state.digest()
        self._view = state.pin()
        self.counts = {name: count for name, count in sorted(self._view.counts.items()) if count}
        self._sessions = state.sessions.pin()
        self._staged = [_Staged(stage, parts.used, list(parts.texts)) for stage, parts in state.staged.open.items()]
        self._checks = [_Check(check) for check in state.checks.last]
        self._epochs = [_Epochs(state.epochs.all)] if state.epochs else []
        self._removed = [_Removed(state.removed.all)] if state.removed.nodes else []
        self._counters = _Counters(
            state.time,
            state.revision,
            state.next_id,
            state.sessions.next_number,
            state.level,
            state.mark,
            self.digest,
        )

    def pieces(self) -> Generator[bytes, None, None]:
        """All lines, some at a time; the caller may pause between two pieces."""
        yield _text([self._counters])
        yield _text(_Type(schema) for schema in self._view.types.own.values())
        for name in self.counts:
            yield from self._entities(name)
        sessions = (
            _Session(id, used, low, [(seq, a.hash, a.failed, a.raw.decode()) for seq, a in answers.items()])
            for id, used, low, answers in self._sessions.all()
        )
        for session in sessions:
            yield _text([session])
        for staged in self._staged:
            yield _text([staged])
        yield _text(self._checks)
        yield _text(self._epochs)
        yield _text(self._removed)

    def _entities(self, name: str) -> Generator[bytes, None, None]:
        slots = self._view.types.of(name).slots
        yield _text([_Slots(name, [field.name for field in slots])])
        ids, entities = self._view.ids(name), self._view.entities
        for begin in range(0, len(ids), _SLICE):
            found = [entities.get(id) for id in ids[begin : begin + _SLICE]]
            yield _text(_entity_line(entity) for entity in found if entity is not None and entity.type == name)

    def release(self) -> None:
        """Let the state go its way."""
        self._view.release()
        self._sessions.release()


def _entity_line(entity: Entity) -> _Entity:
    values = list(entity.values)
    values[CHILDREN] = None
    return _Entity(entity.id, entity.type, entity.order, values, entity.stamps.tolist())


def _text(lines: Iterable[_Line]) -> bytes:
    return b"".join(encode_json(line) + b"\n" for line in lines)


class Loader:
    """Makes a state of lines: `add` each, then `done`."""

    def __init__(self) -> None:
        self._state = State()
        self._counters: _Counters | None = None
        self._schemas: list[EntitySchema] = []
        self._tables: Tables | None = None
        self._below: dict[int, list[int]] = {}
        """The children of each parent so far."""
        self._slots: dict[str, tuple[list[int], list[Callable[[Any], Any] | None]]] = {}

    def add(self, line: bytes) -> None:
        """Take the next line.

        Raises:
            ValueError, KeyError: it is no line of a snapshot, or stands where it cannot.
        """
        record = _decode(line)
        match record:
            case _Entity():
                self._entity(record)
            case _Slots():
                self._begin_type(record)
            case _Type():
                self._schemas.append(record.schema)
            case _Counters():
                self._counters = record
            case _Session():
                self._session(record)
            case _Staged():
                self._state.staged.load(record.stage, record.used, record.texts)
            case _Check():
                self._state.checks.last.append(record.check)
            case _Epochs():
                self._state.epochs.load(record.epochs)
            case _Removed():
                self._state.removed.load(record.disks)

    def done(self, applied: int) -> State:
        """The state, the log being applied up to index `applied`.

        Raises:
            ValueError: lines are missing.
        """
        counters, state, tables = self._counters, self._state, self._tables
        if counters is None or tables is None:
            raise ValueError("the lines of a snapshot begin with its counters, types and the Root")
        tables.arrange(self._below)
        state.sessions.count_on(counters.next_session)
        state.load(
            tables,
            counters.digest,
            applied=applied,
            time=counters.time,
            revision=counters.revision,
            next_id=counters.next_id,
            level=counters.level,
            mark=counters.mark,
        )
        return state

    def _begin_type(self, record: _Slots) -> None:
        if self._tables is None:
            self._tables = Tables(Types({schema.entity_type: schema for schema in self._schemas}))
        by_name = self._tables.types.of(record.type).by_name
        fields = [by_name[name] for name in record.fields]
        self._slots[record.type] = [field.slot for field in fields], [_READ.get(field.kind) for field in fields]

    def _entity(self, record: _Entity) -> None:
        slots, readers = self._slots[record.type]
        tables = self._tables
        assert tables is not None
        entity = Entity(record.id, tables.types.complete[record.type])
        for slot, read, value in zip(slots, readers, record.values, strict=True):
            entity.values[slot] = value if read is None or value is None else read(value)
        if slots == list(range(len(slots))):
            entity.stamps = array("q", record.stamps)
        else:
            for place, slot in enumerate(slots):
                entity.stamps[2 * slot : 2 * slot + 2] = array("q", record.stamps[2 * place : 2 * place + 2])
        entity.order = record.order
        tables.enter(entity)
        self._below.setdefault(entity.values[PARENT] or 0, []).append(entity.id)

    def _session(self, record: _Session) -> None:
        answers = {seq: Answer(hash, failed, raw.encode()) for seq, hash, failed, raw in record.answers}
        self._state.sessions.load(record.id, record.used, record.low, answers)


_READ: dict[Kind, Callable[[Any], Any]] = {Kind.Blob: b64decode, Kind.EntityList: tuple, Kind.Float: float}
