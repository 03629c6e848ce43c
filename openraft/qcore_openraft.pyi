"""OpenRaft behind a border of plain values: the contract of the extension.

Nothing of Rust ever calls into Python by itself. What OpenRaft wants waits in three queues, each with an eventfd that
is readable while something waits, and is told to a handler by whoever calls `deliver_link`, `deliver_log` or
`deliver_main`, on that thread. If a handler raises, what comes after stays in the queue. An item with an id is
completed exactly once, by `complete`, `fail` or `complete_read`; unknown ids are ignored, as a stop fails all that is
open. Nodes are named by Raft NodeId. Bodies of messages between nodes and of entries of commands are opaque.

Everything may be called from any thread and returns at once, but for `wait_log` and `join`.
"""

from collections.abc import Sequence
from typing import Final, Protocol

BORDER_VERSION: Final[int]
"""Counts the changes of what this file says."""

MESSAGE_VERSION: Final[int]
"""Counts the changes of what nodes say to each other."""

IS_TORTURE_BUILD: Final[bool]
"""Whether OpenRaft's own assertions are built in."""

SUITE: Final[list[str]]
"""The names of OpenRaft's tests of a store; only in a torture build."""

LogIdParts = tuple[int, int, int]
"""Term, node, index."""

VoteParts = tuple[int, int, bool]
"""Term, node, committed."""

MemberParts = tuple[int, str, str, bool]
"""Raft NodeId, address ``host:port``, incarnation, and whether it is a witness."""

MembershipParts = tuple[list[list[int]], list[MemberParts]]
"""Voter sets (two while joint), and each node."""

BodyParts = bytes | MembershipParts | None
"""Bytes are commands, a tuple is a membership, None is blank."""

EntryParts = tuple[int, int, int, BodyParts]
"""Term, node, index, body."""

AppliedParts = tuple[int, int, int, int, BodyParts]
"""Term, node, index, token of the proposal (0: not made here), body."""

RefusalParts = tuple[str, str, int | None]
"""Why something was not done (not_leader, no_quorum, refused, unknown, stopped), in words, and who leads."""

StatusParts = tuple[str, int, int | None, int | None, int | None, float | None, list[tuple[int, int | None]]]
"""State, term, leader, last index, committed index, seconds since a quorum answered, matched index by node."""

class LinkHandler(Protocol):
    """Who carries messages to other nodes."""

    def send(self, node: int, kind: str, request: int, body: bytes, limit: float, /) -> object:
        """Ask a node; `rpc_done` follows, in `limit` seconds at the latest.

        `kind` is append, heartbeat, vote, pre_vote or transfer.
        """

    def send_snapshot(self, node: int, request: int, body: bytes, snapshot: int, /) -> object:
        """Send a node the file of a snapshot and the body beside it; `rpc_done` follows."""

    def cancel(self, request: int, /) -> object:
        """Nobody waits for the answer of a request any more."""

    def answer(self, call: int, body: bytes | None, /) -> object:
        """Answer what `rpc_in` or `snapshot_in` asked; None: it cannot be answered."""

class LogHandler(Protocol):
    """Who writes the log: what is asked here is done strictly in this order, and completed in it."""

    def append(self, id: int, entries: list[EntryParts], /) -> object: ...
    def truncate(self, id: int, index: int, /) -> object:
        """Remove entry `index` and all above it."""

    def save_vote(self, id: int, term: int, node: int, committed: bool, /) -> object: ...
    def purge(self, term: int, node: int, index: int, /) -> object:
        """Drop the log up to there; not completed."""

    def note_committed(self, term: int, node: int, index: int, /) -> object:
        """A hint for the next start; not completed."""

class MainHandler(Protocol):
    """Who lives on the main loop."""

    def started(self) -> object: ...
    def apply(self, entries: list[AppliedParts], /) -> object:
        """Entries are committed; completed by `applied`."""

    def returned(self, token: int, stretch: int, /) -> object:
        """A proposal was never appended; the next ones belong to `stretch`."""

    def rejected(self, token: int, reason: str, /) -> object:
        """Nobody knows what becomes of a proposal."""

    def role(
        self,
        name: str,
        term: int,
        leader: int | None,
        leads: bool,
        voters: list[int],
        learners: list[int],
        stretch: int,
        /,
    ) -> object:
        """Who leads; `leads`: this node does, and a quorum is there. The next proposals belong to `stretch`."""

    def done(self, call: int, index: int | None, refusal: RefusalParts | None, /) -> object:
        """What was asked under `call` is done, or refused."""

    def read_log(self, id: int, start: int, stop: int, max_bytes: int, /) -> object:
        """Entries are needed that are not in memory: at least the first; by `complete_read` or `fail`."""

    def load(self, id: int, snapshot: int, /) -> object:
        """Read a received snapshot beside everything else."""

    def install(self, id: int, snapshot: int, /) -> object:
        """Replace the state by the snapshot that was loaded last."""

    def build(self) -> object:
        """A snapshot is needed for another node; `snapshot_taken` follows when there is one."""

    def stopped(self, reason: str | None, /) -> object:
        """The core is through: nothing else comes. Without `stop`, the reason is why."""

class Border:
    """One node's OpenRaft. Once forked, it refuses.

    With `stands_late` it stands for election only where no other node has, for so long that each could have.

    Raises:
        ValueError: the times do not fit each other.
    """

    def __new__(
        cls,
        node: int,
        *,
        heartbeat_ms: int,
        election_min_ms: int,
        election_max_ms: int,
        cache_bytes: int = ...,
        stands_late: bool = ...,
    ) -> Border: ...

    # -- life ----------------------------------------------------------------------------------------------

    def start(
        self,
        *,
        vote: VoteParts | None,
        purged: LogIdParts | None,
        last: LogIdParts | None,
        leaders: Sequence[LogIdParts],
        applied: LogIdParts | None,
        tail: Sequence[EntryParts],
        membership: tuple[MembershipParts, LogIdParts] | None,
        snapshot: tuple[int, LogIdParts, MembershipParts, LogIdParts] | None,
    ) -> None:
        """Begin with what is on the disk.

        `leaders` are the first log ids of each leader in the log, `applied` is how far the state goes, `tail` are all
        entries above it, `membership` is the last one up to there with its log id. `snapshot` is the newest durable
        one: a number to know it by, its last log id, its membership and the log id of that. `started` follows.
        """

    def stop(self) -> None:
        """Fail all that is open and end; `stopped` follows."""

    def join(self) -> None:
        """Wait until the thread of the core has ended; lets go of the GIL."""

    def close_queues(self) -> None:
        """Drop what waits for any thread, and all that comes."""

    # -- queues --------------------------------------------------------------------------------------------

    def link_fd(self) -> int: ...
    def log_fd(self) -> int: ...
    def main_fd(self) -> int: ...
    def deliver_link(self, handler: LinkHandler) -> None: ...
    def deliver_log(self, handler: LogHandler) -> None: ...
    def deliver_main(self, handler: MainHandler) -> None: ...
    def wait_log(self, limit: float | None = None) -> None:
        """Wait for something to deliver to the log's thread, or for `wake_log`; lets go of the GIL."""

    def wake_log(self) -> None: ...

    # -- completions ---------------------------------------------------------------------------------------

    def complete(self, ids: Sequence[int]) -> int:
        """What was asked under these ids is done, in this order; how many were open."""

    def fail(self, id: int, reason: str) -> bool: ...
    def complete_read(self, id: int, found: Sequence[EntryParts]) -> bool: ...
    def applied(self, index: int) -> None:
        """Everything up to `index` is applied."""

    # -- what is asked of the core -------------------------------------------------------------------------

    def propose(self, token: int, stretch: int, term: int, body: bytes) -> None:
        """Append an entry if this node leads in `term` and `stretch` is the present one; `token` is not 0."""

    def read_barrier(self, call: int, limit: float, lease: bool) -> None:
        """Find the log index that a read waits for, in `limit` seconds; with `lease` without asking a quorum."""

    def initialize(self, call: int, nodes: Sequence[MemberParts]) -> None: ...
    def add_learner(self, call: int, member: MemberParts) -> None: ...
    def set_address(self, call: int, node: int, addr: str) -> None:
        """Note another address ``host:port`` of a member."""

    def promote(self, call: int, node: int) -> None: ...
    def remove(self, call: int, node: int) -> None: ...
    def transfer(self, call: int, node: int) -> None: ...
    def elect(self) -> None:
        """Stand for election at once."""

    def set_elect(self, on: bool) -> None:
        """Whether this node may stand for election."""

    def snapshot_taken(self, key: int, at: LogIdParts, members: MembershipParts, members_at: LogIdParts) -> None: ...
    def purge(self, upto: int) -> None: ...
    def status(self) -> StatusParts | None: ...

    # -- what the link brings ------------------------------------------------------------------------------

    def rpc_in(self, kind: str, call: int, body: bytes) -> None:
        """Another node asks; `answer` follows, of None where the body is no request."""

    def snapshot_in(self, call: int, body: bytes, key: int, at: LogIdParts, members_at: LogIdParts) -> None:
        """A snapshot came whose file is durable; `at` and `members_at` are what its header says. `answer` follows."""

    def rpc_done(self, request: int, body: bytes | None) -> bool: ...
    def set_link(self, node: int, up: bool) -> None: ...

    # -- for tests -----------------------------------------------------------------------------------------

    def open_items(self) -> int: ...
    def run_suite(self, name: str, purged: LogIdParts | None) -> str | None:
        """Run one of `SUITE` with this border as its store, which is empty above `purged`; why it failed.

        Blocks. Only in a torture build.
        """

    def panic_core(self) -> None:
        """Only in a torture build."""
