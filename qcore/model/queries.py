"""Requests that read, as typed records: what the params on the wire must be.

Writes live in `qcore.model.commands`, answers in `qcore.model.results`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from qcore.model.commands import IdForm

__all__ = [
    "DEFAULT_LIMIT",
    "Consistency",
    "Digest",
    "Exists",
    "Find",
    "Get",
    "Info",
    "Machine",
    "Ping",
    "Query",
    "SchemaComplete",
    "SchemaGet",
    "TypesList",
]

Consistency = Literal["linearizable", "leader", "local"]

DEFAULT_LIMIT = 100


class Query(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What every read carries beside its own fields."""

    timeout: float | None = None
    """Seconds the client waits for the answer."""


class StoreQuery(Query, kw_only=True):
    """A read of the store; all three consistencies are the same on one node."""

    consistency: Consistency = "linearizable"
    min_revision: int = 0
    """Wait until the node has applied this revision (read your writes)."""


class Ping(Query):
    """Answer PONG."""


class Info(Query):
    """What the node is and how it fares."""


class Machine(Query):
    """Machine name and node id."""


class Digest(StoreQuery):
    """Revision and digest of the state now."""


class Exists(StoreQuery):
    """Whether an entity exists."""

    id: IdForm


class Get(StoreQuery):
    """Read fields of one entity; no `fields`: all, in rank order. A path is ``A->B->C``."""

    id: IdForm
    fields: list[str] | None = None


class Find(StoreQuery):
    """One page of the entities of a type, by id ascending; `exact` leaves descendants of the type out."""

    type: str
    filter: str | None = None
    exact: bool = False
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    fields: list[str] = []
    total: bool = False


class TypesList(Query):
    """One page of the type names, sorted; no `limit`: all of them."""

    limit: int | None = None
    cursor: str | None = None


class SchemaGet(Query):
    """A type's own schema."""

    type: str


class SchemaComplete(Query):
    """A type's schema with everything it inherits."""

    type: str
