"""One `listen` over any number of connections, without any I/O: which request it makes next, what its events become.

Events reach the program a whole revision at a time, so that after a lost connection it is clear where to go on:
nothing is repeated and nothing left out. Where the server cannot go on from there, the program gets an event of kind
"lost", and with `initial` the values of now follow anew. A program that does not take its events is no danger: the
server is told to be quiet, and asked to go on from the same place later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import msgspec

from qcore.client.request import Request
from qcore.client.results import Event
from qcore.model.errors import BadFilter, Busy, Compacted, NoQuorum, NotInitialized, QcoreError, Timeout, TooLarge
from qcore.model.requests import events
from qcore.model.requests.results import Listening

__all__ = ["HIGH", "LOW", "Subscription"]

HIGH, LOW = 10_000, 1_000
"""Events that wait for the program when the server is told to be quiet, and when it is asked to go on."""

State = Literal["idle", "asking", "refused", "live", "held", "ended"]

_LATER = (Busy, NoQuorum, NotInitialized, Timeout)
"""Refusals that may be over soon."""

_ENDS: dict[str, Callable[[], QcoreError]] = {
    "filter": lambda: BadFilter("the filter takes too much of the server's time: the listener was ended"),
    "too_large": lambda: TooLarge("the path leads over too many entities: listen to single ones"),
}
"""Reasons that would be the same the next time."""

_REASONS = get_args(events.LostReason)

_decode_answer = msgspec.json.Decoder(Listening).decode


class Subscription:
    """What `listen` was asked for, and the events of it so far.

    `state`: "idle" until a request may be sent, "asking" until it is answered, "refused" for a while, "live" while
    events come, "held" while the program has enough, "ended" with an `error` or when it was closed. `known`: everything
    up to this revision is in `ready` or was taken; `epoch` was the current one at it, by which a server can tell
    whether it has the same history.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = dict(params)
        self.state: State = "idle"
        self.error: QcoreError | None = None
        self.known: int | None = self.params.pop("since", None)
        self.epoch: str | None = self.params.pop("epoch", None)
        self.ready: deque[Event] = deque()
        self.began: int | None = None
        """The revision at which the server took it the first time."""
        self.token = 0
        self.started = False
        """Whether the server has taken it once; a refusal before is the program's mistake."""
        self._initial = bool(self.params.pop("initial", False))
        self._told = False
        """Whether the program was told anything that a new beginning would put in doubt."""
        self._beginning = False
        """Whether initial events are coming."""
        self.catches_up = False
        """Whether it is told of the past: from where it began or goes on, up to the bookmark behind it."""
        self._revision: list[Event] = []

    # -- what the protocol asks --------------------------------------------------------------------------------

    def request(self) -> Request:
        """The request that begins it, or goes on."""
        params = dict(self.params)
        if self.known is not None:
            params["since"] = self.known
            if self.epoch is not None:
                params["epoch"] = self.epoch
        elif self._initial:
            params["initial"] = True
        self._beginning = "initial" in params
        self.catches_up = "since" in params or self._beginning
        self.state = "asking"
        return Request("listen", params)

    def answered(self, request: Request) -> None:
        """The server took it, or said why not."""
        if self.state != "asking":
            return
        if request.error is None:
            answer = _decode_answer(request.result)
            self.token = answer.token
            self.state, self.started = "live", True
            self.began = answer.revision if self.began is None else self.began
            if not self._beginning and self.known is None:
                self.known, self.epoch = answer.revision, answer.epoch
        else:
            self._refused(request.error)

    @staticmethod
    def token_of(request: Request) -> int | None:
        """The token in an answer, None if there is none."""
        return None if request.error is not None else _decode_answer(request.result).token

    def take(self, event: events.Event) -> None:
        """An event of this token; one whose kind is not known here is passed over."""
        if event.kind == "lost":
            self._lost(event)
        elif event.kind == "bookmark":
            self.catches_up = False
            self._bookmark(event)
        elif event.kind == "initial":
            self._told = True
            self.ready.append(_told(event))
        else:
            if event.kind in ("created", "changed", "deleted"):
                self._revision.append(_told(event))
            if event.last is True:
                self._bookmark(event)

    def disconnected(self) -> None:
        """The connection is gone; what came of an unfinished revision will come again."""
        if self.state in ("asking", "refused", "live"):
            self._again()

    def retry(self) -> None:
        """Some time has passed since a refusal."""
        if self.state == "refused":
            self.state = "idle"

    @property
    def is_full(self) -> bool:
        """Whether the server should be quiet; not in the middle of initial events, which it could only begin again."""
        return self.state == "live" and len(self.ready) >= HIGH and not self._beginning

    def hold(self) -> None:
        """The server was told to be quiet."""
        self._revision.clear()
        self.state = "held"

    def pop(self) -> Event | None:
        """The next event for the program, None if there is none yet."""
        event = self.ready.popleft() if self.ready else None
        if self.state == "held" and len(self.ready) <= LOW:
            self.state = "idle"
        return event

    def end(self, error: QcoreError | None = None) -> None:
        """Nothing more comes, but for what is there."""
        self.state, self.error = "ended", error

    # -- inside ------------------------------------------------------------------------------------------------

    def _bookmark(self, event: events.Event) -> None:
        """Everything up to the revision of this event was sent."""
        self.known, self.epoch = event.revision, _epoch_of(event)
        if self._revision and self._revision[0].revision > event.revision:
            return
        self._told = self._told or bool(self._revision)
        self.ready.extend(self._revision)
        self._revision.clear()
        self._beginning = False

    def _again(self) -> None:
        """Ask anew, from where we are."""
        self._revision.clear()
        if self._beginning and self._told:
            self._doubt(0, "disconnected")
        self.state = "idle"

    def _doubt(self, revision: int, reason: str) -> None:
        """Tell the program that it may have missed something."""
        self.ready.append(Event(kind="lost", revision=revision, reason=reason))
        self._told = False

    def _refused(self, error: QcoreError) -> None:
        if isinstance(error, Compacted) and self.started:
            self._doubt(self.known or 0, "compacted")
            self.known = self.epoch = None
            self.state = "idle"
        elif isinstance(error, _LATER) and self.started:
            self.state = "refused"
        else:
            self.end(error)

    def _lost(self, event: events.Event) -> None:
        self._revision.clear()
        reason = event.reason if event.reason is not msgspec.UNSET else "internal"
        if reason in _ENDS:
            self.end(_ENDS[reason]())
            return
        self.state = "idle" if reason in _REASONS else "refused"  # what is not known may be said again at once
        if reason == "compacted" and not self._beginning:
            return  # another server may have what comes after `known`; this one will say that it has not
        if reason in ("slow", "internal") and not self._beginning:
            self.known, self.epoch = event.revision, _epoch_of(event)
            return
        self._doubt(event.revision, reason)
        self.known, self.epoch = (None, None) if self._initial else (event.revision, _epoch_of(event))


def _epoch_of(event: events.Event) -> str | None:
    return None if event.epoch is msgspec.UNSET else event.epoch


def _told(event: events.Event) -> Event:
    """What the program gets: nothing is unset, what is not there is None."""
    given = {name: getattr(event, name) for name in event.__struct_fields__ if name != "token"}
    values = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    return msgspec.convert(values, Event, from_attributes=True)
