"""What a listener is sent: the params of the notification `event`, as a typed record.

The same record stands for every kind; what a kind does not have is left out. `docs/events.md` says what they mean.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from qcore.model.requests.results import FieldError

__all__ = ["Event", "LostReason", "Written"]

LostReason = Literal["slow", "schema", "compacted", "other_history", "filter", "too_large", "internal"]


class Written(msgspec.Struct, kw_only=True):
    """What a field holds and when it was written, as `get` gives it; of Children there is no `value`."""

    value: Any = msgspec.UNSET
    time: str | None
    writer: int | None = None
    revision: int


class Event(msgspec.Struct, kw_only=True):
    """`kind` is "created", "changed", "deleted", "initial", "bookmark" or "lost", which has a `reason`: a `LostReason`.

    Neither is closed: a server may be of a later version than its client. `id`, `type` and `field` (null for a whole
    entity) are absent in a bookmark and in `lost`.

    `previous` is null where there was nothing before, `current` is null where an indirect field leads nowhere now:
    `error` says why. `last` stands in the last event of a revision for this listener. That one, a bookmark and `lost`
    bear the `epoch` that was the current one at their revision, where there are epochs.
    """

    token: int
    revision: int
    kind: str
    id: int | msgspec.UnsetType = msgspec.UNSET
    type: str | msgspec.UnsetType = msgspec.UNSET
    field: str | msgspec.UnsetType | None = msgspec.UNSET
    current: Written | msgspec.UnsetType | None = msgspec.UNSET
    previous: Written | msgspec.UnsetType | None = msgspec.UNSET
    error: FieldError | msgspec.UnsetType = msgspec.UNSET
    context: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    last: bool | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    epoch: str | msgspec.UnsetType = msgspec.UNSET
