"""Answers that clients read differently from how servers write them; all others: `qcore.model.requests.results`."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from qcore.model.errors import error_from_wire
from qcore.model.requests.results import FieldError
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.wire import decode_json

__all__ = ["Entity", "Event", "Reading", "TransactionDone", "read_result"]

T = TypeVar("T")


class Reading(msgspec.Struct):
    """What reading one path gave: a value and its origin, or why it failed.

    `value` is in JSON form: a reference is an id, None or ``{"missing": id}``, a Blob base64, a Timestamp
    RFC 3339. `time` is the write time in RFC 3339, None for a field never written; `writer` an entity's id.
    """

    value: Any = None
    time: str | None = None
    writer: int | None = None
    revision: int = 0
    error: FieldError | None = None


class Entity(msgspec.Struct):
    """Answer of `get`: the paths as asked, each with its `Reading`; ``entity["Age"]`` is the bare value.

    Where it was asked for as ``local``, `revision` is the node's at that moment, and `age` are the seconds since it had
    heard of a quorum.
    """

    id: int
    type: str
    fields: dict[str, Reading]
    revision: int | None = None
    age: float | None = None

    def __getitem__(self, path: str) -> Any:
        """Return the value of a path that was asked for.

        Raises:
            KeyError: it was not.
            RequestError: reading it failed; the class tells why.
        """
        reading = self.fields[path]
        if reading.error is not None:
            raise error_from_wire({"message": reading.error.message, "data": {"kind": reading.error.kind}})
        return reading.value


class Event(msgspec.Struct):
    """A change, from `listen`.

    `kind` is "created", "changed" or "deleted", with `initial` also "initial", and "lost" where changes may have been
    missed. `field` is None for a whole entity. `current` and `previous` are what the field holds and held: None for a
    whole entity, `previous` also where there was nothing before, `current` also where an indirect field leads nowhere
    now (`error` says why); of Children no value is told. `context` has the paths that were asked for, with
    ``{"error": ...}`` for one that fails. `last` stands in the last event of a revision. `reason` says why it is lost.
    The last event of a revision, and what is lost, have the `epoch`: with it the revision names a place in the history,
    for `listen` to go on from.
    """

    kind: str
    revision: int
    id: int | None = None
    type: str | None = None
    field: str | None = None
    current: Reading | None = None
    previous: Reading | None = None
    context: dict[str, Any] = {}
    error: FieldError | None = None
    last: bool = False
    reason: str | None = None
    epoch: str | None = None


class TransactionDone(msgspec.Struct):
    """Answer of `transaction`: one revision for all of it, and each command's own result.

    A read among the commands that failed has the `RequestError` itself in its place.
    """

    revision: int
    results: list[Any]


def read_result(text: bytes, result: type[T]) -> T:
    """An answer as a record; what a server of a later version adds to it is left out."""
    if result in (EntitySchema, FieldSchema):  # which as params refuse what they do not know
        return msgspec.convert(_known(result, decode_json(text)), result)
    return msgspec.json.decode(text, type=result)


def _known(schema: type, members: dict[str, Any]) -> dict[str, Any]:
    names = {field.encode_name for field in msgspec.structs.fields(schema)}
    known = {name: value for name, value in members.items() if name in names}
    if schema is EntitySchema:
        known["fields"] = [_known(FieldSchema, field) for field in members.get("fields", ())]
    return known
