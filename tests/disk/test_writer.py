"""The writer: what it does in which order, what it says of that, and how it ends on a disk that fails or hangs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty
from typing import Any

import msgspec
import pytest

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.disk.log.ready_files import GROUP
from qcore.disk.log.record import RawEntry, encode_body
from qcore.disk.writer import Completion, DiskWriter, Job
from qcore.model.entry import Vote
from qcore.model.errors import DiskFailed, Fatal
from tests.disk.samples import NODE, Unsynced, body, entries, log_id, open_node, prepare
from tests.server.running import DEADLINE, GatedFiles

LONG = 3_600.0


def entry(index: int, term: int = 1) -> RawEntry:
    return RawEntry(log_id(index, term), encode_body(body(f"entry {index} of term {term}")))


class Traced(Unsynced):
    """Writes down what the disk is told, by the names of files, beside what else is said."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    def overwrite(self, path: str, data: bytes, sync: bool) -> None:
        self.heard.append(f"write {Path(path).name}")
        super().overwrite(path, data, sync)

    def fdatasync(self, descriptor: int, path: str) -> None:
        self.heard.append(f"sync {Path(path).name}")

    def rename(self, source: str, target: str) -> None:
        self.heard.append(f"replace {Path(target).name}")
        super().rename(source, target)


class Bench:
    """A writer on a directory of its own; `told` are the completions, `failures` what `failed` heard."""

    def __init__(self, folder: Path, files: Files | None = None, count: int = 0) -> None:
        self.folder = folder
        self.files = files or Unsynced()
        self.directory = Directory.open(folder, 1, files=self.files)
        self.told: list[Completion] = []
        self.batches: list[list[Any]] = []
        self.failures: list[Fatal] = []
        self._changed = threading.Condition()
        self.writer = DiskWriter(self.directory, self.completed)
        self.writer.save_vote(Vote(1, NODE, True), "vote")
        self.writer.append([entry(index) for index in range(count)], "begun")
        self.writer.run_pending()
        prepare(self.directory)
        self.told.clear()
        self.batches.clear()

    def completed(self, batch: Sequence[Completion]) -> None:
        with self._changed:
            self.told += batch
            self.batches.append([each.token for each in batch])
            if isinstance(self.files, Traced):
                self.files.heard += [each.token for each in batch]
            self._changed.notify_all()

    def failed(self, error: Fatal) -> None:
        with self._changed:
            self.failures.append(error)
            self._changed.notify_all()

    def start(self) -> None:
        self.writer.start(self.failed)

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until what was heard makes the condition true."""
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE)

    def tokens(self) -> list[Any]:
        return [each.token for each in self.told]

    def errors(self) -> list[Any]:
        return [each.token for each in self.told if each.error is not None]

    def run(self) -> None:
        """Do what was asked as the thread does, to the end."""
        self.writer.close()
        self.writer.run()

    def reopen(self) -> Directory:
        self.directory.close()
        self.directory = open_node(self.folder)
        return self.directory


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a bench on a directory with `count` entries; closed at the end."""
    made: list[Bench] = []

    def bench(files: Files | None = None, count: int = 0) -> Bench:
        made.append(Bench(tmp_path, files, count))
        return made[-1]

    yield bench
    for each in made:
        each.directory.close()


# -- order -------------------------------------------------------------------------------------------------


def test_everything_is_completed_in_the_order_in_which_it_was_asked(make: Make) -> None:
    bench = make()
    named = msgspec.structs.replace(bench.directory.identity, cluster="ab" * 16)
    bench.writer.save_identity(named, "identity")
    bench.writer.append([entry(0), entry(1)], "first")
    bench.writer.save_vote(Vote(2, NODE, False), "vote")
    bench.writer.append([entry(2)], "second")
    bench.writer.truncate(1, "truncate")
    bench.writer.append([entry(1, 2)], "third")
    bench.run()
    assert bench.tokens() == ["identity", "first", "vote", "second", "truncate", "third"]
    assert bench.errors() == []
    again = bench.reopen()
    assert entries(again) == [(0, 1), (1, 2)]
    assert (again.vote, again.identity) == (Vote(2, NODE, False), named)


def test_an_entry_is_durable_before_the_next_is_begun_and_before_it_is_told(make: Make) -> None:
    files = Traced()
    bench = make(files)
    files.heard.clear()
    bench.writer.append([entry(0), entry(1)], "a")
    bench.writer.save_vote(Vote(1, NODE, True), "vote")
    bench.writer.append([entry(2)], "b")
    bench.writer.run_pending()
    assert files.heard == [
        *("write 0.json", "sync 0.json", "write 1.json", "sync 1.json", "a"),
        *("replace vote.json", "vote"),
        *("write 2.json", "sync 2.json", "b"),
    ]


def test_each_thing_is_told_before_the_next_is_begun(make: Make) -> None:
    files = GatedFiles()
    files.gated = "/1.json"
    bench = make(files)
    bench.start()
    files.open.clear()
    bench.writer.append([entry(0)], "a")
    bench.writer.append([entry(1)], "b")
    bench.wait(lambda: bench.tokens() == ["a"])
    files.open.set()
    bench.wait(lambda: bench.tokens() == ["a", "b"])
    assert bench.writer.stop(DEADLINE)


def test_a_completion_says_how_long_it_took(make: Make) -> None:
    bench = make()
    ticks = iter(range(100))
    bench.writer = DiskWriter(bench.directory, bench.completed, clock=lambda: float(next(ticks)))
    bench.writer.append([entry(0)], "a")
    bench.writer.run_pending()
    assert bench.told[0].seconds >= 1.0


def test_a_purge_keeps_its_place_and_is_not_answered(make: Make) -> None:
    files = Traced()
    bench = make(files, count=2)
    files.heard.clear()
    bench.writer.append([entry(2)], "a", committed=log_id(2))
    bench.writer.purge(log_id(2))
    bench.writer.append([entry(3)], "b")
    bench.writer.run_pending()
    assert files.heard == [
        *("write 2.json", "sync 2.json", "a", "write committed.json"),
        "replace purged.json",
        *("write 3.json", "sync 3.json", "b"),
    ]
    again = bench.reopen()
    assert (again.purged, entries(again)) == (log_id(2), [(3, 1)])


def test_entries_at_or_below_the_purge_mark_are_completed_without_being_written(make: Make) -> None:
    files = Traced()
    bench = make(files, count=2)
    bench.writer.purge(log_id(4))
    bench.writer.run_pending()
    files.heard.clear()
    bench.writer.append([entry(2), entry(3)], "below")
    bench.writer.append([entry(4), entry(5)], "across")
    bench.writer.run_pending()
    assert files.heard == ["below", "write 5.json", "sync 5.json", "across"]
    assert bench.errors() == []


# -- the hint ----------------------------------------------------------------------------------------------


def test_a_hint_is_taken_at_its_place_in_the_queue(make: Make) -> None:
    bench = make(count=4)
    bench.writer.append([entry(4)], "a")
    bench.writer.note_committed(log_id(2))
    bench.writer.truncate(3, "truncate")
    bench.writer.note_committed(log_id(4))
    bench.run()
    again = bench.reopen()
    assert (again.committed, again.stored, again.log.last) == (log_id(2), log_id(2), log_id(2))


def test_a_hint_asked_for_before_a_truncate_never_claims_what_the_truncate_took(make: Make) -> None:
    bench = make(count=4)
    bench.writer.note_committed(log_id(1))
    bench.writer.run_pending()
    bench.writer.save_vote(Vote(2, NODE, True), "vote")
    bench.writer.truncate(2, "truncate")
    bench.writer.note_committed(log_id(1))
    bench.writer.append([entry(2, 2)], "a")
    bench.writer.note_committed(log_id(3))
    bench.writer.note_committed(log_id(2, 2))
    bench.writer.run_pending()
    again = bench.reopen()
    assert again.committed == log_id(1), "the last one came too soon after the first to be written"
    assert entries(again) == [(0, 1), (1, 1), (2, 2)]


@pytest.mark.parametrize("hint", [(3, 1), (9, 1), (2, 2)], ids=["gone", "never there", "of another leader"])
def test_a_hint_that_is_not_in_the_log_is_ignored(make: Make, hint: tuple[int, int]) -> None:
    bench = make(count=4)
    bench.writer.truncate(3, "truncate")
    bench.writer.note_committed(log_id(1))
    bench.writer.note_committed(log_id(*hint))
    bench.run()
    assert bench.reopen().committed == log_id(1)


def test_a_hint_comes_with_the_entries_that_make_it_true(make: Make) -> None:
    bench = make(count=2)
    bench.writer.append([entry(2), entry(3)], "a", committed=log_id(3))
    bench.writer.append([entry(4)], "b", committed=log_id(5))
    bench.run()
    assert bench.reopen().committed == log_id(3)


def test_a_hint_never_goes_back(make: Make) -> None:
    bench = make(count=4)
    bench.writer.note_committed(log_id(3))
    bench.writer.note_committed(log_id(1))
    bench.run()
    assert bench.reopen().committed == log_id(3)


def test_what_is_purged_is_committed(make: Make) -> None:
    bench = make(count=4)
    bench.writer.note_committed(log_id(1))
    bench.writer.purge(log_id(2))
    bench.run()
    assert bench.directory.committed == log_id(2)


def test_a_hint_goes_with_the_entries_a_truncate_takes(make: Make) -> None:
    bench = make(count=4)
    bench.writer.note_committed(log_id(3))
    bench.writer.truncate(2, "truncate")
    bench.run()
    assert bench.directory.committed == log_id(1)


class Played:
    """A queue and a clock that go from one event to the next; `idle` once nothing would ever happen again."""

    def __init__(self) -> None:
        self.now = 0.0
        self.idle = False
        self._waiting: deque[Job | None] = deque()
        self._events: deque[tuple[float, Callable[[], None]]] = deque()

    def at(self, now: float, event: Callable[[], None]) -> None:
        self._events.append((now, event))

    def put(self, item: Job | None, /) -> None:
        self._waiting.append(item)

    def empty(self) -> bool:
        return not self._waiting

    def get(self, block: bool = True, timeout: float | None = None) -> Job | None:
        while not self._waiting:
            until = self.now + timeout if timeout is not None else None
            if self._events and (until is None or self._events[0][0] <= until):
                self.now, event = self._events.popleft()
                event()
            elif until is not None:
                self.now = until
                raise Empty
            else:
                self.idle = True
                return None
        return self._waiting.popleft()


class Timed:
    """A writer whose time is played; `hints` are the times at which committed.json was written, until it is idle."""

    def __init__(self, folder: Path) -> None:
        self.played = played = Played()
        self.hints: list[float] = []
        hints = self.hints

        class Watched(Unsynced):
            def overwrite(self, path: str, data: bytes, sync: bool) -> None:
                super().overwrite(path, data, sync)
                if path.endswith("committed.json") and not played.idle:
                    assert not sync
                    hints.append(played.now)

        self.directory = Directory.open(folder, 1, files=Watched())
        self.directory.save_vote(Vote(1, NODE, True))
        self._next = 0
        self.writer = DiskWriter(self.directory, lambda batch: None, clock=lambda: played.now, jobs=played)

    def store(self) -> None:
        """Store the next entry and note that it is committed."""
        self.writer.append([entry(self._next)], None, committed=log_id(self._next))
        self._next += 1

    def run(self) -> None:
        self.writer.run()
        assert self.played.idle
        self.directory.close()


def test_a_lone_entry_is_noted_at_once_and_then_nothing_more_is_written(tmp_path: Path) -> None:
    timed = Timed(tmp_path)
    timed.played.at(5.0, timed.store)
    timed.run()
    assert timed.hints == [5.0]


def test_the_last_entries_of_many_are_noted_a_second_after_the_last_one(tmp_path: Path) -> None:
    timed = Timed(tmp_path)
    for count in range(21):
        timed.played.at(5.0 + count / 64, timed.store)
    timed.run()
    assert timed.hints == [5.0, 5.109375, 5.21875, 6.3125]
    directory = open_node(tmp_path)
    assert directory.committed == directory.stored == log_id(20)
    directory.close()


def test_an_entry_without_a_hint_is_noted_as_stored_when_it_is_quiet(tmp_path: Path) -> None:
    timed = Timed(tmp_path)
    timed.played.at(5.0, timed.store)
    timed.played.at(7.0, lambda: timed.writer.append([entry(1)], None))
    timed.run()
    assert timed.hints == [5.0, 8.0]
    directory = open_node(tmp_path)
    assert (directory.committed, directory.stored) == (log_id(0), log_id(1))
    directory.close()


def test_an_idle_writer_writes_nothing(tmp_path: Path) -> None:
    timed = Timed(tmp_path)
    timed.played.at(5.0, timed.store)
    timed.played.at(5.0625, timed.store)
    timed.played.at(100.0, lambda: timed.writer.note_committed(log_id(1)))
    timed.played.at(101.0, lambda: timed.writer.note_committed(log_id(9)))
    timed.run()
    assert timed.hints == [5.0, 6.0625]


def test_the_thread_notes_the_last_entries_by_itself(make: Make) -> None:
    class Noticed(Unsynced):
        """Says when the hint says all there is to say."""

        def __init__(self) -> None:
            super().__init__()
            self.complete = threading.Event()

        def overwrite(self, path: str, data: bytes, sync: bool) -> None:
            super().overwrite(path, data, sync)
            if path.endswith("committed.json") and b'"index":3,' in data and not sync:
                self.complete.set()

    files = Noticed()
    bench = make(files)
    bench.start()
    for index in range(4):
        bench.writer.append([entry(index)], index)
        bench.writer.note_committed(log_id(index))
    assert files.complete.wait(DEADLINE)
    assert bench.writer.stop(DEADLINE)


# -- failure -----------------------------------------------------------------------------------------------


class Failing(Unsynced):
    """Fails to write whatever is named `broken`; says which files it was asked to write."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = ""
        self.asked: list[str] = []

    def fdatasync(self, descriptor: int, path: str) -> None:
        self._meet(path)

    def fsync(self, descriptor: int, path: str) -> None:
        self._meet(path)

    def _meet(self, path: str) -> None:
        self.asked.append(Path(path).name.removesuffix(".tmp"))
        if self.asked[-1] == self.broken:
            raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("broken", "done"),
    [("2.json", []), ("vote.json", ["a"]), ("node.json", ["a", "vote"]), ("committed.json", ["a", "vote", "name"])],
)
def test_after_a_failure_nothing_succeeds_and_nothing_is_written(make: Make, broken: str, done: list[str]) -> None:
    files = Failing()
    bench = make(files, count=2)
    bench.start()
    files.broken = broken
    bench.writer.append([entry(2)], "a")
    bench.writer.save_vote(Vote(2, NODE, True), "vote")
    bench.writer.save_identity(bench.directory.identity, "name")
    bench.writer.truncate(1, "truncate")
    bench.writer.purge(log_id(0))
    bench.writer.append([entry(1, 2)], "b")
    bench.wait(lambda: bench.tokens()[-1:] == ["b"])
    files.broken = ""
    files.asked.clear()
    bench.writer.append([entry(2, 2)], "c")
    bench.writer.note_committed(log_id(0))
    bench.writer.truncate(0, "d")
    bench.wait(lambda: bench.tokens()[-1:] == ["d"])
    asked = ["a", "vote", "name", "truncate", "b", "c", "d"]
    assert bench.tokens() == asked
    assert bench.errors() == asked[len(done) :]
    assert {each.error for each in bench.told} - {None} == {bench.writer.failure}
    assert not bench.writer.stop(DEADLINE)
    assert files.asked == []
    assert [type(error) for error in bench.failures] == [DiskFailed]
    assert broken in bench.failures[0].message


def test_what_fails_together_is_told_together(make: Make) -> None:
    files = Failing()
    bench = make(files)
    files.broken = "0.json"
    for index in range(3):
        bench.writer.append([entry(index)], index)
    bench.run()
    assert bench.batches == [[0, 1, 2]]
    assert bench.errors() == [0, 1, 2]


def test_a_batch_fails_as_a_whole_though_its_first_entries_are_stored(make: Make) -> None:
    files = Failing()
    bench = make(files)
    files.broken = "1.json"
    bench.writer.append([entry(0), entry(1)], "a")
    bench.run()
    assert bench.errors() == ["a"]
    assert entries(bench.directory) == [(0, 1)]


def test_what_cannot_be_for_another_reason_is_fatal_too(make: Make) -> None:
    bench = make(count=2)
    bench.start()
    bench.writer.append([entry(3)], "a")
    bench.writer.append([entry(2)], "b")
    bench.wait(lambda: len(bench.told) == 2)
    assert bench.errors() == ["a", "b"]
    assert "index=3) cannot follow" in bench.failures[0].message
    assert type(bench.failures[0]) is Fatal
    assert not bench.writer.stop(DEADLINE)


def test_a_failed_preparation_of_files_is_as_fatal_and_told_once(make: Make) -> None:
    files = GatedFiles()
    bench = make(files)
    files.gated = f"/logs/{GROUP[0] + 1}.json"
    for index in range(GROUP[0]):
        bench.writer.append([entry(index)], index)
    bench.writer.run_pending()
    files.open.clear()
    bench.start()
    files.failing = True
    files.open.set()
    bench.wait(lambda: bench.failures)
    bench.writer.append([entry(GROUP[0])], "a")
    bench.wait(lambda: "a" in bench.tokens())
    assert bench.errors() == ["a"]
    assert [type(error) for error in bench.failures] == [DiskFailed]
    assert not bench.writer.stop(DEADLINE)


def test_a_failure_before_the_thread_begins_is_raised_where_it_is_met(make: Make) -> None:
    files = Failing()
    bench = make(files)
    files.broken = "0.json"
    bench.writer.append([entry(0)], "a")
    bench.writer.append([entry(1)], "b")
    with pytest.raises(DiskFailed, match=r"0\.json"):
        bench.writer.run_pending()
    assert bench.errors() == ["a", "b"]


def test_completions_that_cannot_be_told_are_fatal(make: Make) -> None:
    bench = make()

    def broken(batch: Sequence[Completion]) -> None:
        raise RuntimeError("the loop is closed")

    bench.writer = DiskWriter(bench.directory, broken)
    bench.start()
    bench.writer.append([entry(0)], "a")
    bench.wait(lambda: bench.failures)
    assert "the loop is closed" in bench.failures[0].message
    assert not bench.writer.stop(DEADLINE)


# -- the end -----------------------------------------------------------------------------------------------


def test_stop_finishes_what_was_asked_and_makes_the_hint_durable(make: Make) -> None:
    files = Traced()
    bench = make(files)
    bench.start()
    for index in range(20):
        bench.writer.append([entry(index)], index, committed=log_id(index))
    assert bench.writer.stop(DEADLINE)
    assert bench.tokens() == list(range(20))
    assert files.heard[-2:] == ["write committed.json", "sync committed.json"]
    again = bench.reopen()
    assert again.committed == again.stored == log_id(19)


class Hanging(Unsynced):
    """Does not come back from a flush of entry 0 before it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = threading.Event()
        self.let = threading.Event()

    def fdatasync(self, descriptor: int, path: str) -> None:
        if path.endswith("/0.json"):
            self.hangs.set()
            assert self.let.wait(DEADLINE)


def test_stop_ends_though_the_disk_hangs_and_nothing_is_begun_or_told_afterwards(make: Make) -> None:
    files = Hanging()
    bench = make(files)
    bench.start()
    bench.writer.append([entry(0)], "a")
    bench.writer.append([entry(1)], "b")
    assert files.hangs.wait(DEADLINE)
    assert not bench.writer.stop(0.01)
    files.let.set()
    thread = bench.writer._thread
    thread.join(DEADLINE)
    assert not thread.is_alive()
    assert thread.daemon, "the process can end while the disk still hangs"
    assert bench.told == []
    assert entries(bench.directory) == [(0, 1)]
    assert bench.failures == []


def test_stop_says_whether_anything_failed(make: Make) -> None:
    files = Failing()
    bench = make(files)
    bench.start()
    files.broken = "committed.json"
    assert not bench.writer.stop(DEADLINE)
    assert "committed.json" in bench.failures[0].message


def test_a_writer_that_never_began_can_be_stopped(make: Make) -> None:
    bench = make()
    assert bench.writer.stop(DEADLINE)
    bench.writer.append([entry(0)], "a")
    assert not bench.writer.stop(DEADLINE)
    assert bench.told == []
