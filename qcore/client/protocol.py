"""What the client says and what it makes of the answers: JSON-RPC without a socket, a loop or a clock.

A `Request` goes in by `submit`; frames to write come out of `frames`, finished requests out of `finished`. In
between stand the rules of exactly once:

- A write gets a number in a session, which is opened when the first write comes. At most `WINDOW` numbers,
  counted from the lowest unanswered one, are out at a time; more writes wait.
- After a lost connection reads and numbered writes are sent again, word for word. Anything else that was sent
  fails, as nobody knows whether the server did it.
- `session_expired` on a first attempt means that nothing was done: the write goes on in a new session. On a
  retry the first attempt may have been done and forgotten: the caller gets the error.
- Of a write that was sent twice, an error says `applied` "no" only where apply itself found it; any other error is
  one attempt's, and the one before may have been applied: "unknown".
- An error that says `elsewhere` is about the server alone, which stops or has no leader: the connection is to move to
  the next one (`may_leave`), and whatever was refused is sent there, if it may be sent again or was not done.

A `Subscription` goes in by `subscribe`; its requests are made here whenever it wants one, its events go to it.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from typing import Any

import msgspec

from qcore.client.request import Request, RequestGroup, Session
from qcore.client.subscription import Subscription
from qcore.model.api import METHODS
from qcore.model.errors import ConnectionFailed, Internal, QcoreError, SessionExpired, TooLarge, error_from_wire
from qcore.model.requests.events import Event

__all__ = ["Protocol"]

logger = logging.getLogger("qcore.client")

MAX_SESSIONS = 3
"""Sessions that may expire under one write before its caller is told."""


class _Response(msgspec.Struct):
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: dict[str, Any] | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw()


_decode_event = msgspec.json.Decoder(Event).decode
_decode_response = msgspec.json.Decoder(_Response | list[_Response]).decode
_decode_session = msgspec.json.Decoder(METHODS["session.open"].result).decode


class Protocol:
    """The client's side of one server connection after the other; starts unconnected."""

    def __init__(self) -> None:
        self.connected = False
        self._leaving = False
        """Whether the server has sent a request elsewhere: nothing more is sent to it."""
        self.refusal: QcoreError | None = None
        """The last error that said so, unless anything was answered otherwise since."""
        self._ids = itertools.count(1)
        self._plain: deque[RequestGroup] = deque()
        self._numbered: deque[RequestGroup] = deque()
        self._sent: dict[int, tuple[Request, RequestGroup]] = {}
        self._frames: list[bytes] = []
        self._finished: list[Request] = []
        self._subscriptions: dict[Subscription, None] = {}
        self._asking: dict[Request, Subscription] = {}
        self._tokens: dict[int, Subscription] = {}
        self._session: Session | None = None
        self._opening: Request | None = None

    def submit(self, group: RequestGroup) -> None:
        """Take requests to be sent as soon as there is a connection and, for writes, room in the window."""
        needs_number = any(request.numbered for request in group.requests)
        (self._numbered if needs_number else self._plain).append(group)
        self._pump()

    def subscribe(self, subscription: Subscription) -> None:
        """Take a subscription: it listens whenever there is a connection."""
        self._subscriptions[subscription] = None
        self._pump()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Let a subscription go; nothing more comes to it."""
        self._subscriptions.pop(subscription, None)
        self._be_quiet(subscription)
        subscription.end(subscription.error)

    def taken(self, subscription: Subscription) -> None:
        """The program took an event."""
        if subscription.state == "idle":
            self._pump()

    def retry(self) -> None:
        """Some time has passed: what was refused for the moment is asked again."""
        for subscription in self._subscriptions:
            subscription.retry()
        self._pump()

    @property
    def is_refused(self) -> bool:
        """Whether anything waits for `retry`."""
        return any(subscription.state == "refused" for subscription in self._subscriptions)

    @property
    def may_leave(self) -> bool:
        """Whether the connection is to move to the next server, and no answer is lost by that."""
        waiting = (request for request, _ in self._sent.values() if not request.done)
        return self._leaving and all(request.repeatable or request.aside for request in waiting)

    def opened(self) -> None:
        """A connection is there: send again what may be sent again, then what waits."""
        self.connected = True
        self._drop_done()  # given up while there was no connection: nothing of them is left to send
        self._frames.extend(group.frame() for group in dict.fromkeys(group for _, group in self._sent.values()))
        self._pump()

    def lost(self, reason: str, *, too_large: bool = False) -> None:
        """The connection is gone; `too_large`: as the server refused the size of a frame."""
        self.connected = self._leaving = False
        self._frames.clear()
        self._asking.clear()
        self._tokens.clear()
        for subscription in self._subscriptions:
            subscription.disconnected()
        if self._opening is not None:
            self._opening.finish(b"", ConnectionFailed(reason))
            self._opening = None
        if too_large:
            self._refuse_largest(reason)
        for request, _ in self._sent.values():
            if not (request.done or request.repeatable or request.aside):
                self._finish(request, error=ConnectionFailed(f"{request.method}: {reason}", applied="unknown"))
        self._drop_done()

    def receive(self, data: bytes) -> None:
        """Take a frame from the server.

        Raises:
            Internal: it is no JSON-RPC; the connection is of no more use.
        """
        try:
            responses = _decode_response(data)
            for response in responses if isinstance(responses, list) else [responses]:
                self._answered(response)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise Internal(f"the server sent what is no JSON-RPC answer: {exc}") from None
        self._pump()

    def abandon(self, request: Request, error: QcoreError) -> None:
        """Nobody waits for this request any more: it ends with `error`, and is not sent if it was not yet."""
        if not request.done:
            request.finish(b"", error)
            self._pump()

    def frames(self) -> list[bytes]:
        """Return what has to be written to the connection, in order, once."""
        frames, self._frames = self._frames, []
        return frames

    def finished(self) -> list[Request]:
        """Return the requests that ended since the last call, abandoned ones left out."""
        finished, self._finished = self._finished, []
        return finished

    def _drop_done(self) -> None:
        self._sent = {id: pair for id, pair in self._sent.items() if not pair[0].done}

    def _pump(self) -> None:
        if not self.connected or self._leaving:
            return
        for subscription in self._subscriptions:
            if subscription.state == "idle":
                request = subscription.request()
                self._asking[request] = subscription
                self._plain.append(RequestGroup([request], array=False))
        while self._plain:
            self._send(self._plain.popleft())
        while self._numbered:
            writes = sum(request.numbered for request in self._numbered[0].open_requests())
            if writes and not self._has_room(writes):
                return
            self._send(self._numbered.popleft())

    def _has_room(self, writes: int) -> bool:
        if self._session is None:
            self._open_session()
            return False
        return self._session.has_room(writes)

    def _open_session(self) -> None:
        if self._opening is None:
            self._opening = Request("session.open")
            self._send(RequestGroup([self._opening], array=False))

    def _send(self, group: RequestGroup) -> None:
        requests = group.open_requests()
        if not requests:
            return
        for request in requests:
            id = next(self._ids)
            request.write(id, self._session if request.numbered else None)
            self._sent[id] = request, group
        self._frames.append(group.frame())

    def _answered(self, response: _Response) -> None:
        if response.method is not None:
            self._notified(response)
            return
        if not isinstance(response.id, int) or response.id not in self._sent:
            if response.error is not None and response.id is None:
                logger.warning("the server could not read a request: %s", response.error.get("message"))
            return
        request, group = self._sent.pop(response.id)
        error = error_from_wire(response.error) if response.error is not None else None
        self.refusal = error if error is not None and error.data.get("elsewhere") else None
        if error is not None and self.refusal is not None:
            self._leaving = True
            if request in self._asking:
                self._asking.pop(request).disconnected()
                return
            if self._goes_elsewhere(request, error):
                self._sent[response.id] = request, group
                return
        if request is self._opening:
            self._session_opened(request, response.result, error)
        elif request.done:
            pass  # abandoned, the answer comes too late
        elif isinstance(error, SessionExpired) and request.session is not None:
            self._session_expired(request, error)
        else:
            self._finish(request, response.result, error)

    def _goes_elsewhere(self, request: Request, error: QcoreError) -> bool:
        """Put a request aside for the next server, if it may be sent there."""
        not_done = not request.writes or error.data.get("applied") == "no"
        if request.done or request is self._opening or not (request.repeatable or not_done):
            return False
        request.put_aside(not_done=not_done)
        return True

    def _notified(self, response: _Response) -> None:
        if response.method != "event":
            return
        event = _decode_event(response.params)
        subscription = self._tokens.get(event.token)
        if subscription is None:
            return  # it was let go of, and the server had not heard of that yet
        subscription.take(event)
        if subscription.state != "live":
            del self._tokens[event.token]
        elif subscription.is_full:
            self._be_quiet(subscription)
            subscription.hold()

    def _be_quiet(self, subscription: Subscription) -> None:
        """Have the server forget a listener, now or as soon as it has answered that there is one."""
        if subscription.state == "live" and self._tokens.pop(subscription.token, None) is not None:
            self.submit(RequestGroup([Request("unlisten", {"token": subscription.token})], array=False))

    def _listened(self, request: Request, subscription: Subscription) -> None:
        subscription.answered(request)
        if subscription.state == "live":
            self._tokens[subscription.token] = subscription
        elif subscription.state == "ended":
            self._subscriptions.pop(subscription, None)
            token = subscription.token_of(request)
            if token is not None:
                self.submit(RequestGroup([Request("unlisten", {"token": token})], array=False))

    def _session_opened(self, request: Request, result: msgspec.Raw, error: QcoreError | None) -> None:
        self._opening = None
        request.finish(bytes(result), error)
        if error is None:
            self._session = Session(_decode_session(result).session)
            return
        if error.data.get("elsewhere") or error.data.get("applied") == "unknown":
            return  # another one is opened: one too many is forgotten like any that is not used
        for group in self._numbered:  # without a session no write can be sent: all get the reason
            for waiting in group.open_requests():
                if waiting.numbered:
                    self._finish(waiting, error=type(error)(error.message, **{**error.data, "applied": "no"}))

    def _session_expired(self, request: Request, error: SessionExpired) -> None:
        if self._session is request.session:
            self._session = None
        if request.attempts == 1 and request.sessions < MAX_SESSIONS:
            request.expire()
            self._numbered.append(RequestGroup([request], array=False))
            return
        error.data["applied"] = "no"  # which a retry does not keep
        self._finish(request, error=error)

    def _refuse_largest(self, reason: str) -> None:
        """A server refuses by size alone: if it refused any frame, the largest one is over its limit."""
        groups = {group for request, group in self._sent.values() if not request.done}
        largest = max(groups, key=lambda group: sum(len(r.text) + 1 for r in group.open_requests()), default=None)
        for request in largest.open_requests() if largest else ():
            data = {"applied": "no"} if request.writes else {}
            self._finish(request, error=TooLarge(f"{request.method}: {reason}", **data))

    def _finish(self, request: Request, result: bytes = b"", error: QcoreError | None = None) -> None:
        request.finish(bytes(result), error)
        subscription = self._asking.pop(request, None)
        if subscription is None:
            self._finished.append(request)
        else:
            self._listened(request, subscription)
