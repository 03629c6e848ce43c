"""Writes events as JSON: `head`, then members, then `MORE` or `last`.

So what all listeners of an event are told is written once, and the rest put around it. The shapes are those of
`qcore.model.requests.events.Event`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from qcore.model.requests.events import LostReason, Written
from qcore.model.requests.results import FieldError
from qcore.model.wire import encode_json
from qcore.store.state.entity import Entity
from qcore.store.state.view import Holder
from qcore.store.watch.events import CHANGED, KINDS, Event, PathEvent, Reading

__all__ = ["MORE", "bookmark", "common", "context", "head", "initial", "last", "lost"]

MORE = b"}}"
"""The end of a message behind which more of its revision may follow."""


class _Common(msgspec.Struct):
    """The members that all listeners of an event have in common."""

    revision: int
    kind: str
    id: int
    type: str
    field: str | None
    current: Written | msgspec.UnsetType | None = msgspec.UNSET
    previous: Written | msgspec.UnsetType | None = msgspec.UNSET
    error: FieldError | msgspec.UnsetType = msgspec.UNSET


def head(token: int) -> bytes:
    """The beginning of every message to a listener."""
    return b'{"jsonrpc":"2.0","method":"event","params":{"token":%d,' % token


def common(event: Event | PathEvent, view: Holder) -> bytes:
    """The members of an event that are the same for all listeners; `view` says which references lead nowhere."""
    type_name = "" if event.schema is None else event.schema.type
    told = _Common(event.revision, KINDS[event.kind], event.id, type_name, event.name or None)
    if event.kind == CHANGED:
        told.current, told.previous = _written(event.current, view), _written(event.previous, view)
        if isinstance(event, PathEvent) and event.error is not None:
            told.error = event.error
    return encode_json(told)[1:-1]


def initial(entity: Entity, field: str, found: Reading | FieldError, revision: int, view: Holder) -> bytes:
    """The members of the initial event of a field, at `revision`."""
    told = _Common(revision, "initial", entity.id, entity.type, field)
    if isinstance(found, FieldError):
        told.current, told.error = None, found
    else:
        told.current = _written(found, view)
    return encode_json(told)[1:-1]


def context(values: dict[str, Any]) -> bytes:
    """The member with the values of context paths, which follows those of the event; nothing without paths."""
    return b',"context":' + encode_json(values) if values else b""


def last(epoch: str | None) -> bytes:
    """The end of the last message of a revision, with the epoch of that."""
    return b',"last":true%b}}' % _epoch(epoch)


def bookmark(revision: int, epoch: str | None) -> bytes:
    """The members of a bookmark."""
    return b'"revision":%d,"kind":"bookmark"%b' % (revision, _epoch(epoch))


def lost(revision: int, epoch: str | None, reason: LostReason) -> bytes:
    """The members of a listener's last message."""
    return b'"revision":%d,"kind":"lost","reason":%b%b' % (revision, encode_json(reason), _epoch(epoch))


def _epoch(epoch: str | None) -> bytes:
    """The member that names the history; nothing where it has no name yet."""
    return b"" if epoch is None else b',"epoch":"%b"' % epoch.encode()


def _written(found: Reading | None, view: Holder) -> Written | None:
    return None if found is None else found.written(view.entities.__contains__)
