"""The engine seam: from a batch of commands to an ordered, durable log, and back to what was committed.

An engine is asked for things and answers later. `propose` takes the body of one entry, and the host hears of it
exactly once: `committed` in log order when it is durable on a quorum, `returned` when it was never appended,
`rejected` when nobody can know. Leadership is gained and lost (`leading`, `following`), the state can be replaced by
a snapshot from elsewhere (`install`), and every callback comes on the event loop's thread.

The life of an engine: `start` brings the state up to what is known to be committed, `run` begins to take part, and
`stop` or `abandon` ends it. It knows nothing of entities or clients, and of other nodes only their `Peers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from qcore.disk.identity import Identity
from qcore.disk.snapshot_files import SnapshotFile
from qcore.model.entry import Entry, EntryBody, LogId, Member, Membership
from qcore.model.errors import Fatal, QcoreError, RequestError

__all__ = [
    "BarrierDone",
    "ChangeDone",
    "Engine",
    "EngineStatus",
    "Host",
    "LoadDone",
    "PeerStatus",
    "Peers",
    "Proposal",
    "RpcKind",
    "RpcQueue",
]

BarrierDone = Callable[[int, RequestError | None], None]
"""Hears the log index that a read has to wait for, or why there is none (the index is -1 then)."""

LoadDone = Callable[[QcoreError | None], None]
"""Hears that a received snapshot can be installed, or why it cannot."""

ChangeDone = Callable[[RequestError | None], None]
"""Hears that a change of membership or leadership is committed, or why it is not."""

RpcKind = Literal["append", "heartbeat", "vote", "pre_vote", "transfer"]
"""What one node asks another; snapshots have ways of their own."""


class Proposal:
    """One entry on its way into the log. `token` is the host's, opaque to the engine, compared by identity."""

    __slots__ = ("body", "token")

    def __init__(self, body: EntryBody, token: Any) -> None:
        self.body = body
        self.token = token


class PeerStatus(msgspec.Struct, frozen=True):
    """Another node, `node` being its public id, as this one sees it.

    Attributes:
        alive: whether it answers; this node has a link to it.
        lag: entries that it has to store yet, None where this node does not know, as it does not lead.
    """

    node: int
    alive: bool
    lag: int | None = None


class EngineStatus(msgspec.Struct, frozen=True):
    """A picture of now.

    Attributes:
        role: leader, follower, candidate or learner.
        leader: public id of the node that leads, None while there is none.
        first, last, committed: log indexes, None while the log is empty.
        in_flight: entries proposed here that nothing was heard of.
        appended: bytes appended since the start.
        quorum_age: seconds since a quorum was last known to be there, None if it never was.
        peers: the other nodes, as far as this one knows how they fare.
    """

    role: str
    leader: int | None
    term: int
    cluster: str
    first: int | None
    last: int | None
    committed: int | None
    in_flight: int
    appended: int
    quorum_age: float | None
    peers: tuple[PeerStatus, ...] = ()


class Host(Protocol):
    """What an engine needs of the node around it."""

    def leading(self, term: int) -> None:
        """This node leads in `term`, and its proposals are accepted from now on.

        May come again for a later term without `following` in between: that is another leadership.
        """

    def following(self, leader: int | None, term: int) -> None:
        """This node leads no more, or another one does: `leader` is its public id, None while nobody leads."""

    def committed(self, entry: Entry, token: Any) -> None:
        """The entry is durable on a quorum: apply it, then call `Engine.applied`.

        Called in log order without gaps; `token` is None for entries that were not proposed here in this run.
        """

    def returned(self, token: Any) -> None:
        """The proposal was never appended anywhere: it may be proposed again, or sent to the leader.

        May come before `following`, or without it where the node only cannot append for the moment. All that was
        proposed after it and before the host heard of it comes back, too: else the writes of one client would change
        their order. In the same way no proposal outlives its leadership: one that was made before the host heard of
        another `leading` is not appended in that one's term.
        """

    def rejected(self, token: Any, error: RequestError) -> None:
        """Nobody can know whether the proposal will be committed (`data.applied` of the error is unknown).

        May come before `following`. If the entry is committed after all, it comes with a token that is None.
        """

    def accepting(self) -> None:
        """The engine takes another proposal, after it had refused them for a while."""

    def load(self, found: SnapshotFile, done: LoadDone) -> None:
        """Read a received snapshot, a durable file, beside everything else, so that installing it takes no time.

        `done` gets None, or why it is no state that this node can have, which goes on with its own then. One that was
        loaded before, or is being loaded, is given up.
        """

    def install(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        """Replace the state by the snapshot that was loaded last, after everything committed before it.

        `done` is called when the state is that of the snapshot. Entries after it may be committed before. Proposals
        of this node that it may hold are rejected, as nobody hears what they did.
        """

    def build(self, done: Callable[[SnapshotFile | None], None]) -> None:
        """Take a snapshot now, because another node needs one; `done` gets it, or None if it could not be taken.

        Its file goes when there are five newer ones: who sends it holds it open.
        """

    def level(self) -> int:
        """Feature level of the state, which entries carry that the engine writes by itself."""

    def failed(self, error: Fatal) -> None:
        """The engine cannot go on: the daemon must end with the error's exit code."""


class Peers(Protocol):
    """What an engine needs of the link to other nodes; nodes are named by Raft NodeId.

    It is called by `RpcQueue.deliver` alone, on the thread that the link lives on. The other direction are
    `Engine.rpc_in` and `Engine.snapshot_in` (somebody asks), `Engine.rpc_done` (a request was answered or failed) and
    `Engine.set_link` (a node can be reached, or cannot).
    """

    def send(self, node: int, kind: RpcKind, request: int, body: bytes, limit: float) -> None:
        """Ask a node; `rpc_done` follows exactly once, at the latest after `limit` seconds."""

    def send_snapshot(self, node: int, request: int, body: bytes, found: SnapshotFile) -> None:
        """Send a node the file of a snapshot and `body` beside it; `rpc_done` follows exactly once.

        There is no limit: the link gives up where there is no progress.
        """

    def cancel(self, request: int) -> None:
        """The answer to a request is not awaited any more; it need not be sent."""

    def answer(self, call: int, body: bytes | None) -> None:
        """Answer what `rpc_in` or `snapshot_in` asked; None: the engine cannot, and the request failed."""


class RpcQueue(Protocol):
    """What the engine asks of the link, for the thread that the link lives on."""

    def fileno(self) -> int:
        """A descriptor that is readable while something waits."""

    def deliver(self, peers: Peers) -> None:
        """Tell `peers` all that waits."""


class Engine(Protocol):
    """From a proposal to an ordered, durable log."""

    name: str
    durability: str

    # -- life ----------------------------------------------------------------------------------------------

    def start(self, host: Host, replay: Callable[[Entry], None], snapshot: SnapshotFile | None) -> None:
        """Recover: `replay` gets every entry after `snapshot` that is known to be committed, and none beyond.

        `snapshot` is the one that was loaded, None without one; followers that are too far behind may be sent it.
        Blocking; the host hears nothing yet.

        Raises:
            Fatal: this engine cannot use the directory, which is left as it was.
        """

    def run(self) -> None:
        """Take part from now on; what comes of it the host hears by its callbacks. Needs the running loop."""

    async def stop(self, limit: float) -> bool:
        """End, in `limit` seconds at the most, also where no quorum or no disk answers.

        What was proposed is finished if that is possible in time, marks are made durable, threads end. Returns
        whether everything was finished; the host hears of each open proposal and read barrier before this returns.
        """

    def abandon(self) -> None:
        """End at once after a fatal error: no heartbeat, no vote and no answer leaves this node any more."""

    # -- the log -------------------------------------------------------------------------------------------

    def accepts_proposals(self) -> bool:
        """Whether `propose` may be called now; if not, `Host.accepting` follows."""

    def propose(self, proposal: Proposal) -> None:
        """Take one entry; exactly one of `Host.committed`, `Host.returned` and `Host.rejected` follows."""

    def applied(self, id: LogId) -> None:
        """The host has applied the log up to there; how far it lags bounds what is proposed."""

    def read_barrier(self, done: BarrierDone, deadline: float, lease: bool = False) -> None:
        """Find the log index up to which a read must have been applied to be linearizable.

        With `lease` no quorum is asked while the one that answered last still keeps from voting for another leader:
        then it is linearizable as long as clocks run at the same speed.
        Never asks another node: where this one does not lead, the error names the leader. `done` is called by
        `deadline`, monotonic seconds.
        """

    def snapshot_taken(self, found: SnapshotFile) -> None:
        """A snapshot of this node is durable: followers that are too far behind may be sent it."""

    def purge(self, upto: LogId) -> None:
        """Drop the log up to and including `upto`, which a durable snapshot holds.

        Returns at once: it is done after what was proposed before, and the files go later still.
        """

    def status(self) -> EngineStatus:
        """A picture of now."""

    # -- whether it moves ----------------------------------------------------------------------------------

    def probe_log(self, done: Callable[[], None]) -> None:
        """Call `done` when the thread of the log comes to it, on whatever thread; for the time between run and stop."""

    def probe_core(self, done: Callable[[], None]) -> None:
        """Call `done` when what decides about the log comes to it, whether or not there is a quorum; likewise."""

    def stored(self) -> Mapping[int, LogId]:
        """Up to where the disks of other nodes have the committed log, by Raft NodeId; nothing where it does not lead.

        A disk that has less later on has forgotten what it said.
        """

    # -- the cluster ---------------------------------------------------------------------------------------

    def initialize(self, members: Membership, done: ChangeDone) -> None:
        """Begin a cluster of these voters on a blank disk."""

    def add_learner(self, node: int, member: Member, done: ChangeDone) -> None:
        """Let a node (Raft NodeId) follow without a vote."""

    def set_address(self, node: int, addr: str, done: ChangeDone) -> None:
        """Note another address ``host:port`` of a member, whose disk stays the same."""

    def promote(self, node: int, done: ChangeDone) -> None:
        """Make a learner a voter; a joint membership is left first, also where the node is a voter already."""

    def remove(self, node: int, done: ChangeDone) -> None:
        """Take a node out of the cluster."""

    def transfer(self, node: int, done: ChangeDone) -> None:
        """Hand leadership to another voter, which is no witness."""

    # -- what the peer link brings; from any thread ----------------------------------------------------------

    def save_identity(self, identity: Identity, saved: Callable[[], None]) -> None:
        """Replace node.json in the order of the log; `saved` is called on the loop when it is durable.

        It is not called if that fails, which ends the node.
        """

    def rpc_queue(self) -> RpcQueue:
        """What this engine asks of the link; the same one each time, and valid until the engine has stopped."""

    def rpc_in(self, node: int, kind: RpcKind, call: int, body: bytes) -> None:
        """Another node asks; `Peers.answer` follows with the same `call`."""

    def snapshot_in(self, node: int, call: int, body: bytes, found: SnapshotFile) -> None:
        """Another node sent a snapshot, whose file is durable; `Peers.answer` follows when it is installed, or not."""

    def rpc_done(self, request: int, body: bytes | None) -> None:
        """A request was answered, or failed if `body` is None."""

    def set_link(self, node: int, up: bool) -> None:
        """A node can be reached, or cannot. At first none can."""
