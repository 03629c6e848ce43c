"""Several commands as one: pipelines and transactions.

On the wire a step is ``{"method", "params"}``; in the log it is the typed record of that method, so that there is
one definition of every command. Steps may refer to the id that the n-th step created as ``$n``, from 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from qcore.model.requests.commands import Command, Create, Delete, FieldSet, IdForm, SchemaDelete, SchemaSet, SetFields
from qcore.model.requests.queries import (
    Count,
    Digest,
    Exists,
    FieldExists,
    FieldGet,
    Find,
    Get,
    SchemaComplete,
    SchemaGet,
    TypesList,
)

__all__ = ["COMPOUND", "Condition", "Operator", "Pipeline", "Step", "Transaction"]

Operator = Literal["==", "!=", "<", "<=", ">", ">="]

Writes = Create | Delete | SetFields | SchemaSet | SchemaDelete | FieldSet
Reads = Get | Exists | Find | Count | TypesList | SchemaGet | SchemaComplete | FieldGet | FieldExists | Digest

Step = Writes | Reads
"""What a pipeline or a transaction may hold; reads are evaluated only where the answer is owed."""


class Pipeline(Command, tag="pipeline"):
    """Run commands in order, one result or error each; no other client's command comes in between."""

    method = "pipeline"

    commands: list[Step]


class Condition(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What must hold: ``{id, exists}``, ``{id, field, op, value}`` or ``{id, field, revision, epoch?}``."""

    id: IdForm
    field: str | None = None
    op: Operator | None = None
    value: Any = msgspec.UNSET
    revision: int | None = None
    exists: bool | None = None
    epoch: str | None = None


class Transaction(Command, tag="transaction"):
    """Run commands all or none, under one revision, if every condition holds."""

    method = "transaction"

    commands: list[Step]
    conditions: list[Condition] = []

    def _values(self) -> Iterable[tuple[str, Any]]:
        return (
            (condition.field or "", condition.value)
            for condition in self.conditions
            if condition.value is not msgspec.UNSET
        )


COMPOUND = (Pipeline, Transaction)
