"""Sessions: what makes a retried write exactly once.

A session's id is given by the state machine: a number, or where there are epochs what the current one makes of it, so
that a session of another history is not taken for one of this. Each numbered write leaves its answer here, refusals
too, until the client says it has it (`acked`) or the window is full. What fell out of the window is never applied
again: its number is answered `session_expired`. Expiry happens only inside apply, by entry time.

A running sum of hashes, as that of the digest, lets replicas compare their sessions. A session's part of it is brought
up to date when another one is used, or the sum is read: never for many at once.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from qcore.model.errors import InvalidRequest, SessionExpired
from qcore.model.times import NS
from qcore.store.sessions.pinned_sessions import PinnedSessions
from qcore.store.state.digest import answer_hash, session_hash
from qcore.store.state.pins import Pins, Retire, Work

__all__ = [
    "IDLE_LIMIT",
    "MAX_BYTES",
    "MAX_SESSIONS",
    "WINDOW",
    "WINDOW_BYTES",
    "Answer",
    "Session",
    "Sessions",
]

WINDOW = 128
WINDOW_BYTES = 1 << 20
MAX_SESSIONS = 10_000
MAX_BYTES = 256 << 20
"""Bytes of answers in all windows together; over that the sessions longest unused are forgotten."""
IDLE_LIMIT = 3600 * NS
"""Nanoseconds of entry time without a write after which a session is forgotten."""


class Answer:
    """`raw` is the JSON of the result, or of the error object where `failed`."""

    __slots__ = ("counted", "failed", "hash", "raw")

    def __init__(self, hash: str, failed: bool, raw: bytes) -> None:
        self.counted = 0
        """Its part of the sum of all sessions."""
        self.hash = hash
        self.failed = failed
        self.raw = raw


class Session:
    """One of `all`; `low` is the lowest number that may still be applied or answered."""

    __slots__ = ("_all", "_head", "answers", "counted", "id", "low", "size", "used")

    def __init__(self, id: int, used: int, all: Sessions) -> None:
        self._all = all
        self._head = 0
        self.id = id
        self.counted = 0
        """Its part of the sum of all sessions, with its answers."""
        self.used = used
        self.low = 1
        self.size = 0
        self.answers: dict[int, Answer] = {}

    def _drop_below(self, low: int) -> None:
        if low > self.low:
            self.low = low
            for seq in [seq for seq in self.answers if seq < low]:
                answer = self.answers.pop(seq)
                self._grow(-len(answer.raw))
                self._count(-answer.counted)

    def _grow(self, bytes: int) -> None:
        self.size += bytes
        self._all.size += bytes

    def _count(self, hash: int) -> None:
        self.counted += hash
        self._all.sum += hash

    def count_head(self) -> None:
        """Bring its part of the sum up to date with its use and its lowest number."""
        head, self._head = self._head, session_hash(self.id, self.used, self.low)
        self._count(self._head - head)

    def count_answer(self, seq: int, answer: Answer) -> None:
        """Add an answer to its part of the sum."""
        answer.counted = answer_hash(self.id, seq, answer.hash, answer.failed)
        self._count(answer.counted)

    def find(self, seq: int, acked: int, hash: str) -> Answer | None:
        """The answer a number was given before, None if it is new.

        Raises:
            SessionExpired: the number has fallen out of the window.
            InvalidRequest: the number was used for another command.
        """
        self._drop_below(min(acked, seq))
        if seq < self.low:
            raise SessionExpired(f"write number {seq} is below the session's window, which begins at {self.low}")
        answer = self.answers.get(seq)
        if answer is not None and answer.hash != hash:
            raise InvalidRequest(f"write number {seq} of this session was another command")
        return answer

    def keep(self, seq: int, answer: Answer) -> None:
        """Keep an answer; the lowest numbers make room, and other sessions where all have too much."""
        self.answers[seq] = answer
        self._grow(len(answer.raw))
        self.count_answer(seq, answer)
        while len(self.answers) > WINDOW or (self.size > WINDOW_BYTES and len(self.answers) > 1):
            self._drop_below(min(self.answers) + 1)
        self._all.fit()


class Sessions:
    """All open sessions, the longest unused first."""

    def __init__(self) -> None:
        self.next_number = 1
        self.size = 0
        """Bytes of all answers."""
        self.sum = 0
        """Of the hashes of all sessions, but for what `digest` has not brought up to date yet."""
        self._used: Session | None = None
        """The one that was used last: it may have changed since it was counted."""
        self._open: OrderedDict[int, Session] = OrderedDict()
        self._pins: Pins[PinnedSessions] = Pins()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, time: int, epoch: str | None = None) -> int:
        """Open a session at entry time `time`; returns its id, which without an epoch is a number that counts."""
        self.expire(time)
        while len(self._open) >= MAX_SESSIONS:
            self._drop_oldest()
        id = self._next_id(epoch)
        self._open[id] = session = Session(id, time, self)
        self._note_use(session)
        return id

    def _next_id(self, epoch: str | None) -> int:
        while True:
            number, self.next_number = self.next_number, self.next_number + 1
            id = number if epoch is None else _id_of(epoch, number)
            if id and id not in self._open:
                return id

    def answer(self, id: int, seq: int, hash: str) -> Answer | None:
        """The answer that a numbered command was given, None if it is new or not known any more; changes nothing."""
        session = self._open.get(id)
        answer = None if session is None else session.answers.get(seq)
        return answer if answer is not None and answer.hash == hash else None

    def use(self, id: int, time: int) -> Session:
        """The session a numbered write belongs to.

        Raises:
            SessionExpired: there is none of that id any more.
        """
        self.expire(time)
        session = self._open.get(id)
        if session is None:
            raise SessionExpired(
                f"session {id} is unknown, was unused for more than {IDLE_LIMIT // NS} s, or made room for others"
            )
        for pinned in self._pins.open:
            pinned.keep(id, session)
        session.used = time
        self._note_use(session)
        self._open.move_to_end(id)
        return session

    def _note_use(self, session: Session | None) -> None:
        used, self._used = self._used, session
        if used is not None and used is not session:
            used.count_head()

    def expire(self, time: int) -> None:
        """Forget what was unused too long at entry time `time`."""
        while self._open:
            session = next(iter(self._open.values()))
            if session.used + IDLE_LIMIT >= time:
                return
            self._drop_oldest()

    def fit(self) -> None:
        """Forget the longest unused while there is too much; the one in use is the last."""
        while self.size > MAX_BYTES and len(self._open) > 1:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        id, session = self._open.popitem(last=False)
        self.size -= session.size
        self.sum -= session.counted
        if session is self._used:
            self._used = None
        for pinned in self._pins.open:
            pinned.keep(id, session)

    def count_on(self, next_number: int) -> None:
        """Make ids of numbers from `next_number` on, as a snapshot says."""
        self.next_number = next_number

    def load(self, id: int, used: int, low: int, answers: dict[int, Answer]) -> None:
        """Take a session of a snapshot; they come with the longest unused first."""
        session = self._open[id] = Session(id, used, self)
        session.low, session.answers = low, answers
        session.count_head()
        for seq, answer in answers.items():
            session.count_answer(seq, answer)
        session.size = sum(len(answer.raw) for answer in answers.values())
        self.size += session.size

    def counted(self) -> int:
        """The sum of the hashes of all sessions, and of the number that the next id is made of."""
        self._note_use(None)
        return self.sum + session_hash(0, 0, self.next_number)

    def pin(self) -> PinnedSessions:
        """All sessions as they are now, for a reader that takes its time."""
        pinned = PinnedSessions(self._open, self._pins)
        self._pins.enter(pinned)
        return pinned

    def retire(self, retire: Retire) -> None:
        """Be of no state any more: have everything taken apart, as soon as nobody reads it."""
        self._pins.retire(self._take_apart, retire)

    def _take_apart(self) -> Work:
        """Free everything in pieces, at most a window of answers in each."""
        while self._open:
            self._open.popitem()
            yield

    def dump(self) -> list[tuple[int, int, int, list[tuple[int, str, bool, bytes]]]]:
        """Everything replicas must agree on, for snapshots and comparisons."""
        return [
            (id, session.used, session.low, [(seq, a.hash, a.failed, a.raw) for seq, a in session.answers.items()])
            for id, session in self._open.items()
        ]


def _id_of(epoch: str, number: int) -> int:
    """53 bits, which every JSON reader keeps."""
    return int.from_bytes(blake2b(f"{epoch} {number}".encode(), digest_size=8).digest(), "big") >> 11
