"""The engine seam: from a batch of commands to an ordered, durable log.

An engine is asked for things and answers later: `propose` takes the body of one entry, and the host hears
`committed` when that entry is durable on a quorum, in log order, with the token it was proposed under (None
for entries others proposed or that came from disk). All calls and callbacks are on the event loop's thread.
The engine knows nothing of entities, sockets or clients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from qcore.model.entry import Entry, EntryBody, LogId, Membership
from qcore.model.errors import Fatal, RequestError

__all__ = ["Engine", "EngineStatus", "Host", "Proposal", "SnapshotMeta"]


class SnapshotMeta(msgspec.Struct, frozen=True):
    """Where a snapshot leaves off: its last log id and entry time, and the membership up to there."""

    last: LogId
    time: int
    membership: Membership
    membership_id: LogId


class Proposal:
    """One entry on its way into the log. `token` is the host's, opaque to the engine."""

    __slots__ = ("body", "token")

    def __init__(self, body: EntryBody, token: Any) -> None:
        self.body = body
        self.token = token


class EngineStatus(msgspec.Struct, frozen=True):
    """`leader` is a public node id, indexes are None while the log is empty, `appended` are bytes since the start."""

    role: str
    leader: int | None
    term: int
    cluster: str
    first: int | None
    last: int | None
    committed: int | None
    in_flight: int
    appended: int


class Host(Protocol):
    """What an engine needs of the node around it."""

    def committed(self, entry: Entry, token: Any) -> None:
        """The entry is durable on a quorum: apply it. Called in log order, without gaps."""

    def rejected(self, token: Any, error: RequestError) -> None:
        """The proposal will not happen, or nobody can know (`data.applied`: no or unknown)."""

    def room(self) -> None:
        """The engine takes another proposal; called after one was finished."""

    def failed(self, error: Fatal) -> None:
        """The engine cannot go on: the daemon must end with the error's exit code."""


class Engine(Protocol):
    """From a proposal to an ordered, durable log."""

    name: str
    durability: str

    def start(self, host: Host, replay: Callable[[Entry], None], base: SnapshotMeta | None) -> None:
        """Bring the log up: `replay` gets every committed entry behind `base`, then the engine takes proposals.

        `base` is the snapshot that was loaded, None without one. Blocking; called before the loop serves anyone.

        Raises:
            Fatal: the directory cannot be used by this engine.
        """

    def has_room(self) -> bool:
        """Whether `propose` may be called now."""

    def propose(self, proposal: Proposal) -> None:
        """Take one entry; exactly one of `Host.committed` and `Host.rejected` follows."""

    def read_barrier(self, done: Callable[[int], None]) -> None:
        """Call `done` with the log index a read must wait for to be linearizable."""

    def membership(self) -> tuple[Membership, LogId]:
        """The last membership that was applied, and the log id of its entry."""

    def purge(self, upto: LogId) -> None:
        """Drop the log up to and including `upto`, which a durable snapshot holds.

        Returns at once: it is done after what was proposed before, and the files go later still.
        """

    def status(self) -> EngineStatus:
        """A picture of now."""

    async def stop(self) -> None:
        """Finish what was proposed, make the marks durable, end all threads."""
