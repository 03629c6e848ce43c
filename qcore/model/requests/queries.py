"""Requests that read, as typed records: what the params on the wire must be.

Writes live in `qcore.model.requests.commands`, answers in `qcore.model.requests.results`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from qcore.model.requests.commands import IdForm

__all__ = [
    "DEFAULT_LIMIT",
    "DEFAULT_LINES",
    "MAX_PATHS",
    "Clients",
    "Consistency",
    "Count",
    "Digest",
    "Exists",
    "FieldExists",
    "FieldGet",
    "Find",
    "Get",
    "Info",
    "Listen",
    "Machine",
    "Ping",
    "Query",
    "SchemaComplete",
    "SchemaGet",
    "SlowLog",
    "SnapshotExport",
    "SnapshotPlan",
    "SnapshotTake",
    "SnapshotUpload",
    "TypesList",
    "Unlisten",
]

Consistency = Literal["linearizable", "leader", "local"]

DEFAULT_LIMIT = 100
DEFAULT_LINES = 1000
MAX_PATHS = 10_000
"""Fields that a request may ask for, each hop of a path counted."""


class Query(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="method"):
    """What every read carries beside its own fields."""

    timeout: float | None = None
    """Seconds the client waits for the answer."""


class StoreQuery(Query, kw_only=True, tag="store"):
    """A read of the store; all three consistencies are the same on one node."""

    consistency: Consistency = "linearizable"
    min_revision: int = 0
    """Wait until the node has applied this revision (read your writes)."""


class Ping(Query, tag="ping"):
    """Answer PONG."""


class Info(Query, tag="info"):
    """What the node is and how it fares."""


class Machine(Query, tag="machine"):
    """Machine name and node id."""


class Clients(Query, tag="clients"):
    """Who is connected to this node."""


class SlowLog(Query, tag="slowlog"):
    """The last requests that took long on this node, the newest first; `limit` bounds them."""

    limit: int | None = None


class Digest(StoreQuery, tag="digest"):
    """Revision and digest of the state now."""


class Exists(StoreQuery, tag="exists"):
    """Whether an entity exists."""

    id: IdForm


class Get(StoreQuery, tag="get"):
    """Read fields of one entity; no `fields`: all, in rank order. A path is ``A->B->C``."""

    id: IdForm
    fields: list[str] | None = None


class Find(StoreQuery, tag="find"):
    """One page of the entities of a type, by id or by `order_by`; `exact` leaves descendants of the type out."""

    type: str
    filter: str | None = None
    exact: bool = False
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    fields: list[str] = []
    order_by: list[str] = []
    """Field paths, each with ``:desc`` or ascending; then by id."""
    total: bool = False


class Count(StoreQuery, tag="count"):
    """How many entities of a type there are; `exact` leaves descendants of the type out."""

    type: str
    filter: str | None = None
    exact: bool = False


class TypesList(StoreQuery, tag="types"):
    """One page of the type names, sorted; no `limit`: all of them."""

    limit: int | None = None
    cursor: str | None = None


class SchemaGet(StoreQuery, tag="schema.get"):
    """A type's own schema."""

    type: str


class SchemaComplete(StoreQuery, tag="schema.complete"):
    """A type's schema with everything it inherits."""

    type: str


class FieldGet(StoreQuery, tag="field.get"):
    """The schema of one field of a type, inherited ones too."""

    type: str
    field: str


class FieldExists(StoreQuery, tag="field.exists"):
    """Whether a type has a field, inherited ones too; no for an unknown type."""

    type: str
    field: str


class SnapshotTake(Query, tag="snapshot.take"):
    """Write a snapshot of the state beside the log of this node, so that a start needs less of the log."""


class SnapshotExport(StoreQuery, tag="snapshot.export"):
    """A piece of the JSON snapshot document of one revision; `cursor` asks for the next, the rest begins a new one.

    `runtime` writes Runtime fields too, without `ids` neither ids nor nextId are written.
    """

    cursor: str | None = None
    runtime: bool = False
    ids: bool = True


class SnapshotUpload(Query, tag="snapshot.upload"):
    """Hand in a piece of a document; `offset` counts bytes of UTF-8, 0 begins the upload of that name anew."""

    upload: str
    offset: int
    chunk: str


class SnapshotPlan(StoreQuery, tag="snapshot.plan"):
    """What restoring an uploaded document would do; `limit` bounds the lines."""

    upload: str
    prune: bool = False
    limit: int = DEFAULT_LINES


class Listen(StoreQuery, tag="listen"):
    """Be told of changes by `event`s: of an entity, or of a type with its descendants.

    `target` is an entity in any id form, else a type. `field` may be a path, `change` leaves out writes of the same
    value, `context` are paths told with each event, `since` a revision to go on behind, `initial` asks for what is
    there first, `epoch` is the one that was current at `since`.
    """

    target: IdForm
    field: str | None = None
    change: bool = False
    context: list[str] = []
    filter: str | None = None
    since: int | None = None
    initial: bool = False
    epoch: str | None = None


class Unlisten(Query, tag="unlisten"):
    """Be told no more."""

    token: int
