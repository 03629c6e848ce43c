"""Lives of a node's directory: what each step promised, and whether a state after a power cut keeps it."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from qcore.disk.directory import Directory
from qcore.disk.identity import Identity
from qcore.disk.log.preallocator import Preallocator
from qcore.disk.log.record import RawEntry, encode, encode_body
from qcore.disk.snapshot_files import SnapshotHeader
from qcore.disk.writer import Completion, DiskWriter
from qcore.model.entry import LogId, Member, Membership, Vote
from qcore.model.errors import Damaged
from tests.disk.crash import Image, Killed, Operation, Recorder, crash_states, materialise
from tests.disk.samples import NODE, Unsynced, body, log_id, record_of

__all__ = [
    "PACES",
    "Cuts",
    "Held",
    "Life",
    "Violation",
    "a_life",
    "a_life_with_snapshots",
    "check",
    "cut_power",
    "entry_of",
    "header_of",
    "held",
    "kill_then_cut_power",
    "living",
    "pausing",
]


@dataclass(frozen=True)
class Held:
    """What a directory holds, as far as its user can tell."""

    identity: Identity | None = None
    vote: Vote | None = None
    purged: LogId | None = None
    entries: tuple[tuple[int, bytes], ...] = ()
    snapshots: tuple[int, ...] = ()
    """Log indexes of the good ones."""

    def without(self, lost: Callable[[int], bool]) -> tuple[tuple[int, bytes], ...]:
        return tuple((index, data) for index, data in self.entries if not lost(index))


@dataclass(frozen=True)
class Bounds:
    """From operation `since` on: what was acknowledged last, and what the step under way will bring."""

    since: int
    before: Held
    after: Held


class Violation(AssertionError):
    """A state that a power cut can leave, and that breaks a promise."""


Pace = Callable[[int], int]
"""How many operations the slow thread does before the writer's n-th."""


def pausing(shift: int) -> Pace:
    """Begin an order, rest while the writer goes on, then finish it."""
    return lambda number: {0: 1, 20: 8}.get((number + shift) % 30, 0)


PACES: dict[str, Pace] = {
    "never": lambda number: 0,
    "at once": lambda number: 1_000,
    "one by one": lambda number: 1,
    "with long pauses": pausing(0),
    "by chance": lambda number: random.Random(number).choice((0, 0, 1, 1, 2, 5)),
}


class Life:
    """Runs a directory and its writer, step by step, and keeps what each step promised and when.

    What is asked of the writer is promised when the writer says that it is done, what is not answered when it has
    done it. The slow thread's operations come between the writer's, as many as `pace` says.
    """

    def __init__(
        self,
        root: Path,
        *,
        kill_at: int | None = None,
        recorder: type[Recorder] = Recorder,
        known: Held = Held(),
        pace: Pace = PACES["never"],
        writer: type[DiskWriter] = DiskWriter,
    ) -> None:
        self.root = root
        self.trace: list[Operation] = []
        self.bounds = [Bounds(0, known, known)]
        self._recorder = recorder
        self._kill_at = kill_at
        self.pace = pace
        self._count = 0
        self._opened: Directory | None = None
        self._writer_type = writer
        self._writer: DiskWriter | None = None
        self._asked: list[tuple[Callable[[Held], Held], bool]] = []
        """How what was asked changes what is held, and whether it is answered."""
        self._queueing = False
        self._answers: list[Completion] = []
        self._slow: Preallocator | None = None
        self._steps: Generator[None, None, None] | None = None

    @property
    def directory(self) -> Directory:
        assert self._opened is not None
        return self._opened

    @property
    def writer(self) -> DiskWriter:
        assert self._writer is not None
        return self._writer

    def start(self) -> None:
        """Open the directory; from then on all it holds is promised."""
        files = self._recorder(self.root, self.trace, self._kill_at)
        self._opened = Directory.open(self.root, 1, machine="press", files=files)
        # So much time passes between two looks at the clock that every hint is written.
        self._writer = self._writer_type(self._opened, self._completed, clock=itertools.count(step=10).__next__)
        self._asked.clear()
        self._queueing = False
        self._slow = Preallocator(files, str(self._opened.path / "logs"), self._opened.log.ready_files)
        files.between = self._work
        found = held(self.directory)
        check(found, self.bounds[-1], "a start")
        self._promise(found, found)

    def stop_cleanly(self, index: int, term: int) -> None:
        """Note how far the log is committed, and end as a node does that was asked to."""
        self.writer.note_committed(log_id(index, term))
        self.writer.close()
        self.writer.run()
        self.stop()

    def stop(self) -> None:
        self._slow = self._writer = None
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    def _work(self) -> None:
        """Let the slow thread do some operations."""
        assert self._slow is not None
        self._count += 1
        for _ in range(self.pace(self._count)):
            if self._steps is None:
                self._steps = self._slow.steps()
            if next(self._steps, self) is self:
                self._steps = None
                return

    def restart_after_kill(self) -> None:
        """Start in the page cache that a killed process left; closing tells the disk nothing."""
        self.stop()
        self._kill_at = None
        self.start()

    def vote(self, term: int) -> None:
        vote = Vote(term, NODE, True)
        self._ask(lambda now: replace(now, vote=vote), lambda token: self.writer.save_vote(vote, token))

    def name_cluster(self, cluster: str) -> None:
        identity = msgspec.structs.replace(self.directory.identity, cluster=cluster)
        self._ask(lambda now: replace(now, identity=identity), lambda token: self.writer.save_identity(identity, token))

    def append(self, index: int, term: int, length: int = 0) -> None:
        """Append an entry of one, two or, with `length`, that many bytes' sectors."""
        self._append([raw_entry_of(index, term, length)])

    def append_two(self, index: int, term: int) -> None:
        """Append two entries, one after the other, and acknowledge both at the end."""
        self._append([raw_entry_of(each, term) for each in (index, index + 1)])

    def _append(self, new: Sequence[RawEntry]) -> None:
        stored = [(entry.id.index, encode(*entry)) for entry in new]
        self._ask(
            lambda now: replace(now, entries=(*now.entries, *stored)), lambda token: self.writer.append(new, token)
        )

    def truncate(self, index: int) -> None:
        self._ask(
            lambda now: replace(now, entries=now.without(lambda each: each >= index)),
            lambda token: self.writer.truncate(index, token),
        )

    def purge(self, index: int, term: int) -> None:
        mark = log_id(index, term)
        self._ask(
            lambda now: replace(now, purged=mark, entries=now.without(lambda each: each <= index)),
            lambda token: self.writer.purge(mark),
            answered=False,
        )

    def snapshot(self, index: int, term: int) -> None:
        """Write a snapshot in several pieces, the last one over a sector's end, and take it in."""

        def act() -> None:
            writer = self.directory.snapshots.begin(header_of(index, term), 1_700_000_000 - index)
            for piece in (b'{"a":1}\n' * 9, b'{"b":2}\n' * 70):
                writer.write(piece)
            self.directory.snapshots.add(writer.finish())

        self._step(lambda now: replace(now, snapshots=(index, *now.snapshots)), act)

    def remove_snapshots(self) -> None:
        """Remove all but the newest two."""
        snapshots = self.directory.snapshots
        old, snapshots.found = snapshots.found[2:], snapshots.found[:2]
        self._step(lambda now: replace(now, snapshots=now.snapshots[:2]), lambda: snapshots.remove(old))

    def commit(self, index: int, term: int) -> None:
        self._ask(lambda now: now, lambda token: self.writer.note_committed(log_id(index, term)), answered=False)

    @contextmanager
    def queued(self) -> Iterator[None]:
        """Ask for several things before the writer does the first."""
        self._queueing = True
        yield
        self._queueing = False
        self._work_off()

    def _ask(self, change: Callable[[Held], Held], ask: Callable[[int], None], *, answered: bool = True) -> None:
        self._asked.append((change, answered))
        ask(len(self._asked))
        if not self._queueing:
            self._work_off()

    def _work_off(self) -> None:
        """Let the writer do what it was asked for, one thing after the other."""
        asked, self._asked = self._asked, []
        for number, (change, answered) in enumerate(asked, 1):
            before = self.bounds[-1].after
            after = change(before)
            self._promise(before, after)
            self._answers.clear()
            assert self.writer.step()
            assert [(each.token, each.error) for each in self._answers] == [(number, None)] * answered
            if not answered:
                self._promise(after, after)

    def _completed(self, batch: Sequence[Completion]) -> None:
        self._answers += batch
        self._promise(self.bounds[-1].after, self.bounds[-1].after)

    def _step(self, change: Callable[[Held], Held], act: Callable[[], None]) -> None:
        before = self.bounds[-1].after
        after = change(before)
        self._promise(before, after)
        act()
        self._promise(after, after)

    def _promise(self, before: Held, after: Held) -> None:
        self.bounds.append(Bounds(len(self.trace), before, after))

    def at(self, count: int) -> Bounds:
        """Return what holds once `count` operations are done."""
        return next(bounds for bounds in reversed(self.bounds) if bounds.since <= count)


def raw_entry_of(index: int, term: int, length: int = 0) -> RawEntry:
    """An entry of a few hundred bytes, or of about `length`."""
    text = f"entry {index} of term {term}" + "." * (length or 700 * (index % 2))
    return RawEntry(log_id(index, term), encode_body(body(text)))


def entry_of(index: int, term: int, length: int = 0) -> bytes:
    """The record of such an entry."""
    return encode(*raw_entry_of(index, term, length))


def header_of(index: int, term: int) -> SnapshotHeader:
    """The header of a snapshot that stands for the log up to an entry."""
    membership = Membership([[NODE]], {NODE: Member("127.0.0.1:8080", "ab" * 16)})
    return SnapshotHeader(log_id(index, term), membership, log_id(0, 0), 1, index, index, "00" * 16, {})


def good_snapshots(directory: Directory) -> tuple[int, ...]:
    """Log indexes of the snapshots that can be read to their end; a damaged one is no crash state."""
    for problem in directory.snapshots.problems:
        raise problem
    for found in directory.snapshots.found:
        for _ in directory.snapshots.lines(found):
            pass
    return tuple(found.header.last.index for found in directory.snapshots.found)


def held(directory: Directory) -> Held:
    """Read back all that a directory holds."""
    log = directory.log
    entries = log.read(log.first.index if log.first else log.purged.index + 1 if log.purged else 0, 1_000)
    found = tuple((entry.id.index, record_of(entry.id, entry.body)) for entry in entries)
    return Held(directory.identity, directory.vote, directory.purged, found, good_snapshots(directory))


def check_hint(directory: Directory, state: str) -> None:
    """Hold the hint against the log: it is an entry, or the purge mark."""
    hint = directory.committed
    if hint is not None and directory.log.log_id(hint.index) != hint:
        raise Violation(f"{state}: {hint} is committed, but the log has {directory.log.log_id(hint.index)} there")


def check(found: Held, bounds: Bounds, state: str) -> None:
    """Hold what was found against what was promised."""
    before, after = bounds.before, bounds.after
    for name in ("identity", "vote", "purged"):
        allowed = [getattr(before, name), getattr(after, name)]
        if getattr(found, name) not in allowed and (name != "identity" or before.identity is not None):
            raise Violation(f"{state}: {name} is {getattr(found, name)}, promised was one of {allowed}")
    old, new, there = dict(before.entries), dict(after.entries), dict(found.entries)
    for index, data in there.items():
        if data not in (old.get(index), new.get(index)):
            raise Violation(f"{state}: entry {index} was never written")
    mark = found.purged.index if found.purged else -1
    if not set(before.snapshots) & set(after.snapshots) <= set(found.snapshots):
        raise Violation(f"{state}: of the snapshots at {before.snapshots} there are {found.snapshots}")
    if before.snapshots and mark > max(found.snapshots):
        raise Violation(f"{state}: the log is purged up to {mark}, the newest snapshot is at {max(found.snapshots)}")
    lost = [index for index in old if index in new and index > mark and index not in there]
    if lost:
        raise Violation(f"{state}: acknowledged entries are lost: {lost}")


class Cuts:
    """Opens every state that a power cut may leave, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[object] = set()

    @property
    def states(self) -> int:
        return len(self._seen)

    def try_all(self, life: Life, base: Image, start: int = 0) -> None:
        for count, image in crash_states(base, life.trace, start):
            bounds = life.at(count)
            key = (frozenset(image.items()), repr((bounds.before, bounds.after)))
            if key not in self._seen:
                self._seen.add(key)
                self._open(image, bounds, f"a power cut after operation {count} of {len(life.trace)}")

    def _open(self, image: Image, bounds: Bounds, state: str) -> None:
        root = self._folder / "cut"
        materialise(image, root)
        try:
            directory = Directory.open(root, 1, machine="press", files=Unsynced())
        except Damaged as error:
            raise Violation(f"{state}: {error}") from error
        try:
            check(held(directory), bounds, state)
            check_hint(directory, state)
            go_on(directory)
        except Damaged as error:
            raise Violation(f"{state}: {error}") from error
        finally:
            directory.close()
        shutil.rmtree(root)


def go_on(directory: Directory) -> None:
    """Use the directory: it takes a vote and an entry like any other, over whatever lies there."""
    last = directory.log.last
    term = 1 + max(last.term if last else 0, directory.vote.term if directory.vote else 0)
    following = log_id(last.index + 1 if last else 0, term)
    writer = DiskWriter(directory, lambda batch: None)
    writer.save_vote(Vote(term, NODE, True), "vote")
    writer.append([RawEntry(following, encode_body(body()))], "entry")
    writer.note_committed(following)
    writer.run_pending()


def a_life(life: Life) -> None:
    """Everything a directory is asked to do, in the order a node may ask for it."""
    life.start()
    life.name_cluster("ab" * 16)
    life.append(0, 0)
    life.vote(1)
    life.append(1, 1)
    life.commit(1, 1)
    life.append_two(2, 1)
    life.commit(2, 1)
    life.vote(2)
    life.truncate(2)
    with life.queued():
        life.append(2, 2)
        life.append(3, 2)
        life.purge(1, 1)
        life.append(4, 2, length=5_000)
    life.append(5, 2)
    life.commit(5, 2)
    life.append_two(6, 2)
    with life.queued():
        life.truncate(5)
        life.commit(4, 2)
        life.append(5, 2)
    life.purge(4, 2)
    life.append(6, 2)
    life.append(7, 2, length=5_000)
    life.append(8, 2)
    life.purge(12, 2)
    life.append(13, 2)
    life.append(14, 2)
    life.purge(13, 2)
    life.append_two(15, 2)
    life.append_two(17, 2)
    life.purge(16, 2)
    life.append_two(19, 2)
    life.truncate(20)
    life.stop_cleanly(19, 2)
    life.start()
    life.vote(3)
    life.append_two(20, 3)
    life.stop()


def a_life_with_snapshots(life: Life) -> None:
    """Snapshots, each letting the log go up to the one before it, and old ones removed."""
    life.start()
    life.append(0, 0)
    life.vote(1)
    for index in range(1, 13):
        life.append(index, 1)
        if index % 3 == 0:
            life.snapshot(index, 1)
            if index > 3:
                life.purge(index - 3, 1)
        if index > 9:
            life.remove_snapshots()
    life.stop()
    life.start()
    life.vote(2)
    life.append(13, 2)
    life.snapshot(13, 2)
    life.purge(12, 1)
    life.stop()


@contextmanager
def living(
    folder: Path,
    kill_at: int | None = None,
    recorder: type[Recorder] = Recorder,
    pace: str | Pace = "never",
    writer: type[DiskWriter] = DiskWriter,
) -> Iterator[Life]:
    """Give a life in a fresh folder, which is removed afterwards."""
    root = folder / "life"
    root.mkdir()
    pace = PACES[pace] if isinstance(pace, str) else pace
    life = Life(root, kill_at=kill_at, recorder=recorder, pace=pace, writer=writer)
    try:
        yield life
    finally:
        life.stop()
        shutil.rmtree(root)


def cut_power(
    cuts: Cuts,
    folder: Path,
    pace: str | Pace,
    recorder: type[Recorder] = Recorder,
    lived: Callable[[Life], None] = a_life,
    writer: type[DiskWriter] = DiskWriter,
) -> int:
    """Cut the power at each operation of a life; return the number of operations."""
    with living(folder, recorder=recorder, pace=pace, writer=writer) as life:
        lived(life)
        cuts.try_all(life, {})
        return len(life.trace)


def kill_then_cut_power(cuts: Cuts, folder: Path, pace: str) -> int:
    """Kill the process at every third operation of a life, start in its page cache, and cut the power meanwhile."""
    with living(folder, pace=pace) as life:
        a_life(life)
        operations = len(life.trace)
    for kill_at in range(0, operations, 3):
        with living(folder, kill_at, pace=pace) as life:
            with pytest.raises(Killed):
                a_life(life)
            life.restart_after_kill()
            cuts.try_all(life, {}, start=kill_at)
    return operations
