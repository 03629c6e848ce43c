"""Answers, as typed records: what clients get as `result`. Times are RFC 3339 texts."""

from __future__ import annotations

from typing import Any

import msgspec

from qcore.model.leader_commands import RestDigest
from qcore.model.requests.restore import PlanLine

__all__ = [
    "AgedAnswer",
    "Booted",
    "ClientList",
    "ConnectedClient",
    "Counted",
    "Created",
    "Deleted",
    "DigestCheck",
    "DigestNow",
    "Entity",
    "ExportPage",
    "FailedField",
    "FieldError",
    "FieldValue",
    "InfoResult",
    "Item",
    "Listening",
    "MachineResult",
    "MemberInfo",
    "Page",
    "PlanResult",
    "SchemaDone",
    "SessionOpened",
    "SetDone",
    "SlowRequest",
    "SlowRequestList",
    "SnapshotTaken",
    "StateAnswer",
    "StepDone",
    "StepFailed",
    "TransactionDone",
    "TypesPage",
    "Unlistened",
    "Uploaded",
]


class Created(msgspec.Struct):
    """Answer of `create`."""

    id: int
    revision: int


class Deleted(msgspec.Struct):
    """`deleted` counts the entity and everything that was below it."""

    deleted: int
    revision: int


class SetDone(msgspec.Struct):
    """`applied` is false where `when: changes` found nothing to change; `revision` is then the current one."""

    applied: bool
    revision: int


class SchemaDone(msgspec.Struct, omit_defaults=True):
    """The types that were set or deleted, sorted; `reset` counts the values that go, ``{"Person.Age": 3}``."""

    revision: int
    types: list[str]
    reset: dict[str, int] = {}


class StepDone(msgspec.Struct):
    """One command of a pipeline or a transaction, done."""

    result: Any


class StepFailed(msgspec.Struct):
    """One command of a pipeline, failed; the same object as in an answer of its own."""

    error: dict[str, Any]


class TransactionDone(msgspec.Struct):
    """Answer of `transaction`: one revision for all of it."""

    revision: int
    results: list[StepDone | StepFailed]


class SessionOpened(msgspec.Struct):
    """Answer of `session.open`; the id goes into `session` of numbered writes."""

    session: int


class Booted(msgspec.Struct):
    """`applied` is false where the state held the mark of an earlier schema file already."""

    applied: bool
    revision: int


class FieldValue(msgspec.Struct):
    """A field never written has the default as `value`, no time and revision 0."""

    value: Any
    time: str | None
    writer: int | None
    revision: int


class FieldError(msgspec.Struct):
    """Why one path of a read failed."""

    kind: str
    message: str


class FailedField(msgspec.Struct):
    """Stands in the place of a value whose path failed."""

    error: FieldError


class AgedAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The answer to a `local` read tells its `age`: seconds since its node heard of a quorum, none if it never did."""

    age: float | None = None


class StateAnswer(AgedAnswer, kw_only=True):
    """It tells the `revision` of the node, too, at which the read began."""

    revision: int | None = None


class Entity(StateAnswer):
    """Answer of `get`; keys of `fields` are the paths as asked."""

    id: int
    type: str
    fields: dict[str, FieldValue | FailedField]


class Item(msgspec.Struct):
    """One line of `find`; `fields` has path -> value, or ``{"error": ...}`` where a path fails."""

    id: int
    type: str
    name: str
    fields: dict[str, Any]


class Page(StateAnswer, omit_defaults=True):
    """Answer of `find`; no `cursor` on the last page. For `errors` entities the filter had no answer: `error`."""

    items: list[Item]
    cursor: str | None = None
    total: int | None = None
    errors: int = 0
    error: str | None = None


class Counted(StateAnswer, omit_defaults=True):
    """Answer of `count`. For `errors` entities, which are not among the `count`, the filter had no answer: `error`."""

    count: int
    errors: int = 0
    error: str | None = None


class TypesPage(StateAnswer, omit_defaults=True):
    """Answer of `types`; no `cursor` on the last page."""

    items: list[str]
    cursor: str | None = None


class MachineResult(msgspec.Struct):
    """Answer of `machine`."""

    machine: str
    node: int


class DigestCheck(msgspec.Struct, omit_defaults=True):
    """When the log was applied up to `index`, every replica had this digest, and this `rest` if that was checked."""

    index: int
    revision: int
    digest: str
    rest: RestDigest | None = None


class DigestNow(AgedAnswer):
    """`digest` is 128 bits in hex; equal revisions have equal digests. `checks` are the last ones, newest first.

    `rest` is equal wherever the log is applied up to the same `index`.
    """

    revision: int
    digest: str
    checks: list[DigestCheck]
    index: int
    rest: RestDigest


class ExportPage(AgedAnswer, omit_defaults=True):
    """Answer of `snapshot.export`: `chunk` is text of the document at `revision`, no `cursor` comes with the last one.

    The last one says what the document holds: `entities`, and what was left out: values of Runtime fields, and
    references to entities that no longer exist.
    """

    revision: int
    chunk: str
    cursor: str | None = None
    entities: int | None = None
    runtime: int | None = None
    missing: int | None = None


class SnapshotTaken(msgspec.Struct):
    """Answer of `snapshot.take`: the log index and revision it stands for, and its file on the node's machine."""

    index: int
    revision: int
    file: str


class Uploaded(msgspec.Struct):
    """Answer of `snapshot.upload`: `size` bytes are there, the next piece's offset."""

    upload: str
    size: int


class PlanResult(msgspec.Struct, omit_defaults=True):
    """Answer of `snapshot.plan`: `counts` by action, and the first `lines`; `more` lines were left out.

    `reset` counts, by field, the values that go with the types and that no line tells of.
    """

    revision: int
    counts: dict[str, int]
    lines: list[PlanLine]
    more: int = 0
    reset: dict[str, int] = {}


class Listening(AgedAnswer, omit_defaults=True):
    """Answer of `listen`: events bear the `token`, and tell of everything after `revision`, at which `epoch` was."""

    token: int
    revision: int
    epoch: str | None = None


class Unlistened(msgspec.Struct):
    """Answer of `unlisten`: nothing of this token comes any more."""

    token: int


class MemberInfo(msgspec.Struct):
    """`lag` counts log entries behind the leader; `waiting` is why it has no vote, where the node knows it.

    A `witness` votes and keeps no state.
    """

    node: int
    addr: str
    role: str
    lag: int
    alive: bool
    waiting: str | None = None
    witness: bool = False


class ConnectedClient(msgspec.Struct):
    """One connection: what the client calls itself, since when it is there, and how many requests came from it.

    `subscriptions` counts its listeners; `queue` bytes of events and answers wait for its socket.
    """

    name: str
    address: str
    since: str
    subscriptions: int
    queue: int
    requests: int


class ClientList(msgspec.Struct):
    """Answer of `clients`: who came first stands first."""

    items: list[ConnectedClient]


class SlowRequest(msgspec.Struct):
    """A request that took long: `waited` and `carried_out` are the two parts of its `seconds`.

    `time` is when it came, `size` its bytes as it came, 0 where it went into the log in parts. `params` are cut, and
    empty for a long request. `error` is the kind of the error that it was answered with.
    """

    time: str
    method: str
    seconds: float
    waited: float
    carried_out: float
    client: str
    address: str
    size: int
    params: str
    error: str | None


class SlowRequestList(msgspec.Struct):
    """Answer of `slowlog`, the newest first; `total` since the start of the node took over `threshold` seconds."""

    items: list[SlowRequest]
    total: int
    threshold: float


class InfoResult(msgspec.Struct):
    """`uptime` in seconds, `limits` by setting name, log figures are indexes (None: empty log).

    `oldest_event` is the oldest revision whose events are all in the history, `epoch` the current one. `waiting` is
    what the node waits for before it is ready, or before it takes writes; None: it takes them. `outlook` says what the
    next failure does, and what to do against it. `refused` has a sentence on each node that this one does not talk to,
    or that does not talk to it.
    """

    node: int
    machine: str
    cluster: str
    version: str
    role: str
    leader: int | None
    term: int
    members: list[MemberInfo]
    log_first: int | None
    log_last: int | None
    committed: int | None
    applied: int | None
    revision: int
    oldest_event: int
    counts: dict[str, int]
    sessions: int
    engine: str
    durability: str
    uptime: float
    data_dir: str
    limits: dict[str, float]
    waiting: str | None
    epoch: str | None = None
    outlook: str = ""
    refused: list[str] = []
