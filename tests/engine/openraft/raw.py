"""A border without an engine on it: a test completes what it wants, when it wants, and plays the other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from qcore_openraft import MESSAGE_VERSION, Border

from tests.server.running import until

if TYPE_CHECKING:
    from qcore_openraft import AppliedParts, EntryParts, LogIdParts, MembershipParts, RefusalParts

__all__ = ["ELECTION_MAX_MS", "HEARTBEAT_MS", "OTHER", "SELF", "THIRD", "THREE", "RawNode", "message", "raw_node"]

SELF, OTHER, THIRD = 65_536, 2 * 65_536, 3 * 65_536
THREE: MembershipParts = ([[SELF, OTHER, THIRD]], [(node, f"n{node}", "ff", False) for node in (SELF, OTHER, THIRD)])
HEARTBEAT_MS, ELECTION_MAX_MS = 50, 400


def message(**fields: Any) -> bytes:
    """A message between nodes: MessagePack maps by field name, under a version."""
    return msgspec.msgpack.encode({"version": MESSAGE_VERSION, "message": fields})


class RawNode:
    """Node `SELF`; hears everything. What the log is asked for is completed at once unless it `holds`."""

    def __init__(self, *, stands_late: bool = False) -> None:
        self.border = Border(
            SELF,
            heartbeat_ms=HEARTBEAT_MS,
            election_min_ms=200,
            election_max_ms=ELECTION_MAX_MS,
            stands_late=stands_late,
        )
        self.holds = False
        self.log: list[tuple[Any, ...]] = []
        self.open: list[int] = []
        self.sent: list[tuple[int, str, int, bytes]] = []
        self.answers: dict[int, Any] = {}
        self.applied: list[AppliedParts] = []
        self.said: list[tuple[Any, ...]] = []
        self.roles: list[tuple[Any, ...]] = []
        self.ended: list[str | None] = []

    def start(self, **known: Any) -> None:
        """Start with what is given; the rest is that of a blank disk."""
        blank: dict[str, Any] = {"vote": None, "purged": None, "last": None, "leaders": [], "applied": None}
        blank |= {"tail": [], "membership": None, "snapshot": None}
        self.border.start(**blank | known)

    def start_as_one_of_three(self, vote: tuple[int, int, bool], **known: Any) -> None:
        """Start with entry 0, the membership of three nodes, applied."""
        first: LogIdParts = (0, OTHER, 0)
        self.start(vote=vote, last=first, leaders=[first], applied=first, membership=(THREE, first), **known)

    async def answer(self, kind: str, **fields: Any) -> Any:
        """Be asked by another node; what this one answers."""
        call = len(self.answers) + 1
        self.pending(call)
        self.border.rpc_in(kind, call, message(**fields))
        await until(lambda: self.is_answered(call))
        return self.answers[call]

    def pending(self, call: int) -> None:
        """Note a call that is not answered yet: its answer is `...`."""
        self.answers[call] = ...

    def is_answered(self, call: int) -> bool:
        """Tell whether a call is answered, be it by nothing."""
        return self.answers[call] is not ...

    def fetch_link(self) -> None:
        """Take what waits for the link."""
        self.border.deliver_link(_Link(self))

    def complete_log(self) -> None:
        """Complete what the log was asked for, in its order."""
        self.open, ids = [], self.open
        self.border.complete(ids)

    # -- what the border says --------------------------------------------------------------------------------

    def append(self, id: int, entries: list[EntryParts], /) -> None:
        self.log.append(("append", [index for _, _, index, _ in entries]))
        self._write(id)

    def truncate(self, id: int, index: int, /) -> None:
        self.log.append(("truncate", index))
        self._write(id)

    def save_vote(self, id: int, term: int, node: int, committed: bool, /) -> None:
        self.log.append(("vote", (term, node, committed)))
        self._write(id)

    def _write(self, id: int) -> None:
        self.open.append(id)
        if not self.holds:
            self.complete_log()

    def purge(self, term: int, node: int, index: int, /) -> None:
        self.log.append(("purge", index))

    def note_committed(self, term: int, node: int, index: int, /) -> None:
        self.log.append(("committed", index))

    def send(self, node: int, kind: str, request: int, body: bytes, limit: float, /) -> None:
        self.sent.append((node, kind, request, body))

    def send_snapshot(self, node: int, request: int, body: bytes, snapshot: int, /) -> None:
        self.sent.append((node, "snapshot", request, body))

    def cancel(self, request: int, /) -> None:
        self.said.append(("cancel", request))

    def reply(self, call: int, body: bytes | None, /) -> None:
        self.answers[call] = None if body is None else msgspec.msgpack.decode(body)["message"]

    def started(self) -> None:
        self.said.append(("started",))

    def apply(self, entries: list[AppliedParts], /) -> None:
        self.applied += entries
        self.border.applied(entries[-1][2])

    def returned(self, token: int, stretch: int, /) -> None:
        self.said.append(("returned", token))

    def rejected(self, token: int, reason: str, /) -> None:
        self.said.append(("rejected", token))

    def role(self, *role: Any) -> None:
        self.roles.append(role)

    def done(self, call: int, index: int | None, refusal: RefusalParts | None, /) -> None:
        self.said.append(("done", call, index, refusal))

    def read_log(self, id: int, start: int, stop: int, max_bytes: int, /) -> None:
        self.said.append(("read_log", id, start, stop))

    def load(self, id: int, snapshot: int, /) -> None:
        self.said.append(("load", id, snapshot))

    def install(self, id: int, snapshot: int, /) -> None:
        self.said.append(("install", id, snapshot))

    def build(self) -> None:
        self.said.append(("build",))

    def stopped(self, reason: str | None, /) -> None:
        self.ended.append(reason)


class _Link:
    """The link's half of a raw node, as both halves have a word `answer`."""

    def __init__(self, node: RawNode) -> None:
        self.send, self.send_snapshot, self.cancel, self.answer = node.send, node.send_snapshot, node.cancel, node.reply


@contextmanager
def raw_node(*, stands_late: bool = False) -> Iterator[RawNode]:
    """A border whose three queues are fetched on the loop; ended with the block."""
    node, loop = RawNode(stands_late=stands_late), asyncio.get_running_loop()
    border = node.border
    loop.add_reader(border.log_fd(), border.deliver_log, node)
    loop.add_reader(border.main_fd(), border.deliver_main, node)
    loop.add_reader(border.link_fd(), node.fetch_link)
    try:
        yield node
    finally:
        for descriptor in (border.log_fd(), border.main_fd(), border.link_fd()):
            loop.remove_reader(descriptor)
        border.close_queues()
        border.stop()
        border.join()
