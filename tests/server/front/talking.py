"""A service that a test plays, and a conversation with it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from qcore.disk.log.record import decode, encode, encode_body
from qcore.model.entry import FEATURE_LEVEL, EntryBody, LogId
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.front.rpc import Conversation
from qcore.server.front.service import Limits
from qcore.server.operations.request_counts import RequestCounts
from qcore.server.operations.slow_requests import SlowRequests
from qcore.server.outbox import Outbox

__all__ = ["CREATE", "Desk", "Talk", "call", "log_what_was_taken", "note"]


class Desk:
    """A service that answers when told to: reads at once unless held, writes in order when `finish` is called.

    Writes are queued at once, those in `preparing` when the test says so.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.open: deque[Call] = deque()
        self.steps: deque[Callable[[], bool]] = deque()
        self.hold_reads = False
        self.preparing: frozenset[str] = frozenset()
        self.turn: list[Callable[[], None]] = []
        """What is to be called at the end of the turn."""
        self.counts = RequestCounts(SlowRequests(3600.0), self.turn.append)

    def connected(self, client: Client) -> None:
        pass

    def submit(self, call: Call) -> None:
        self.calls.append(call)
        if call.writes or self.hold_reads:
            self.open.append(call)
            if call.writes and call.method not in self.preparing:
                call.mark_queued()
        else:
            call.result(f"{call.method} after {self.written()} writes")

    def schedule(self, step: Callable[[], bool]) -> None:
        self.steps.append(step)

    def disconnected(self, client: Client) -> None:
        raise AssertionError("nobody hangs up")

    def written(self) -> int:
        return sum(call.writes and call.done for call in self.calls)

    def finish(self) -> None:
        """Answer the oldest open call."""
        call = self.open.popleft()
        call.result(call.method)

    def run(self) -> None:
        """Take every step that can be taken now."""
        while self.steps:
            step = self.steps.popleft()
            while step():
                pass

    def run_all(self) -> None:
        """Run until nothing is left to do."""
        self.run()
        while self.open:
            self.finish()
            self.run()


class Talk:
    """A session on a desk, and what it said."""

    def __init__(self, max_batch: int = 10, max_answer: int = 1_000_000) -> None:
        self.desk = Desk()
        self.said: list[bytes] = []
        self.heard: list[str] = []
        limits = Limits(10.0, max_batch, 100, 1000, max_answer)
        hear = self.heard.append
        client = Client("", "", Outbox(lambda: hear("events")))
        self.session = Conversation(self.desk, limits, client, self.said.append, lambda: hear("may send"))

    def tell(self, text: bytes | str, now: float = 0.0) -> list[Any]:
        """Send a text, let the desk do all of it, and return the messages that came back."""
        self.said.clear()
        self.session.receive(text if isinstance(text, bytes) else text.encode(), now)
        self.desk.run_all()
        return [json.loads(said.decode()) for said in self.said]

    def error(self, text: bytes | str) -> tuple[str, Any]:
        """Return kind and id of the only answer, which is an error."""
        (answer,) = self.tell(text)
        return answer["error"]["data"]["kind"], answer["id"]


def call(method: str, id: Any = 1, /, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def note(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


CREATE = call("create", type="Folder", name="x")


def log_what_was_taken(talk: Talk) -> None:
    """Whatever passed as a write can be stored and read back."""
    for each in talk.desk.calls:
        if each.writes:
            body = EntryBody(FEATURE_LEVEL, 1, "commands", [each.params])
            assert decode(encode(LogId(1, 1, 1), encode_body(body)), 1, "1.json").body.kind == "commands"
