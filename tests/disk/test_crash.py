"""After any power cut a node's directory opens, with all that was acknowledged and nothing that was not written."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from qcore.disk.directory import Directory
from qcore.disk.identity import Identity
from qcore.disk.log import Log
from qcore.disk.record import encode
from qcore.model.entry import LogId, Vote
from qcore.model.errors import Damaged
from tests.disk.crash import Image, Killed, Operation, Recorder, crash_states, materialise
from tests.disk.samples import NODE, Unsynced, body, filled, log_id, open_node


@dataclass(frozen=True)
class Held:
    """What a directory holds, as far as its user can tell."""

    identity: Identity | None = None
    vote: Vote | None = None
    purged: LogId | None = None
    entries: tuple[tuple[int, bytes], ...] = ()

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


class Life:
    """Runs a directory, step by step, and keeps what each step promised and when."""

    def __init__(
        self,
        root: Path,
        *,
        kill_at: int | None = None,
        recorder: type[Recorder] = Recorder,
        known: Held = Held(),
    ) -> None:
        self.root = root
        self.trace: list[Operation] = []
        self.bounds = [Bounds(0, known, known)]
        self._recorder = recorder
        self._kill_at = kill_at
        self._opened: Directory | None = None

    @property
    def directory(self) -> Directory:
        assert self._opened is not None
        return self._opened

    def start(self) -> None:
        """Open the directory; from then on all it holds is promised."""
        files = self._recorder(self.root, self.trace, self._kill_at)
        self._opened = Directory.open(self.root, 1, machine="press", files=files)
        found = held(self.directory)
        check(found, self.bounds[-1], "a start")
        self._promise(found, found)

    def stop(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    def restart_after_kill(self) -> None:
        """Start in the page cache that a killed process left; closing tells the disk nothing."""
        self.stop()
        self._kill_at = None
        self.start()

    def vote(self, term: int) -> None:
        vote = Vote(term, NODE, True)
        self._step(lambda now: replace(now, vote=vote), lambda: self.directory.save_vote(vote))

    def name_cluster(self, cluster: str) -> None:
        identity = msgspec.structs.replace(self.directory.identity, cluster=cluster)
        self._step(lambda now: replace(now, identity=identity), lambda: self.directory.save_identity(identity))

    def append(self, index: int, term: int) -> None:
        data = encode(log_id(index, term), body(f"entry {index} of term {term}" + "." * 700 * (index % 2)))
        self._step(
            lambda now: replace(now, entries=(*now.entries, (index, data))),
            lambda: self.directory.log.append(log_id(index, term), data),
        )

    def truncate(self, index: int) -> None:
        self._step(
            lambda now: replace(now, entries=now.without(lambda each: each >= index)),
            lambda: self.directory.log.truncate(index),
        )

    def purge(self, index: int, term: int) -> None:
        mark = log_id(index, term)
        self._step(
            lambda now: replace(now, purged=mark, entries=now.without(lambda each: each <= index)),
            lambda: self.directory.log.purge(mark),
        )

    def commit(self, index: int, term: int, sync: bool = False) -> None:
        self._step(lambda now: now, lambda: self.directory.save_committed(log_id(index, term), sync=sync))

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


def held(directory: Directory) -> Held:
    """Read back all that a directory holds."""
    log = directory.log
    entries = log.read(log.first.index if log.first else log.purged.index + 1 if log.purged else 0, 1_000)
    found = tuple((entry.id.index, encode(entry.id, entry.body)) for entry in entries)
    return Held(directory.identity, directory.vote, directory.purged, found)


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
            go_on(directory)
        finally:
            directory.close()
        shutil.rmtree(root)


def go_on(directory: Directory) -> None:
    """Use the directory: it takes a vote and an entry like any other."""
    last = directory.log.last
    term = 1 + max(last.term if last else 0, directory.vote.term if directory.vote else 0)
    directory.save_vote(Vote(term, NODE, True))
    following = log_id(last.index + 1 if last else 0, term)
    directory.log.append(following, encode(following, body()))
    directory.save_committed(following)


def a_life(life: Life) -> None:
    """Everything a directory is asked to do, in the order a node may ask for it."""
    life.start()
    life.name_cluster("ab" * 16)
    life.append(0, 0)
    life.vote(1)
    life.append(1, 1)
    life.commit(1, 1)
    life.append(2, 1)
    life.append(3, 1)
    life.commit(2, 1)
    life.vote(2)
    life.truncate(2)
    life.append(2, 2)
    life.append(3, 2)
    life.purge(1, 1)
    life.append(4, 2)
    life.commit(4, 2)
    life.purge(7, 2)
    life.append(8, 2)
    life.commit(8, 2, sync=True)
    life.stop()
    life.start()
    life.vote(3)
    life.append(9, 3)
    life.stop()


def image_of(root: Path) -> Image:
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in root.rglob("*")
        if path.name != "lock"
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in memory where there is one, as power is cut on paper only, and the same chance in each life."""
    monkeypatch.setattr(secrets, "token_hex", lambda size: "5e" * size)
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as made:
        yield Path(made)


@contextmanager
def living(folder: Path, kill_at: int | None = None, recorder: type[Recorder] = Recorder) -> Iterator[Life]:
    """Give a life in a fresh folder, which is removed afterwards."""
    root = folder / "life"
    root.mkdir()
    life = Life(root, kill_at=kill_at, recorder=recorder)
    try:
        yield life
    finally:
        life.stop()
        shutil.rmtree(root)


def cut_power(cuts: Cuts, folder: Path, recorder: type[Recorder] = Recorder) -> int:
    """Cut the power at each operation of a life; return the number of operations."""
    with living(folder, recorder=recorder) as life:
        a_life(life)
        cuts.try_all(life, {})
        return len(life.trace)


def kill_then_cut_power(cuts: Cuts, folder: Path, moments: range) -> None:
    """Kill the process at each moment, start anew in its page cache, and cut the power during that start."""
    for kill_at in moments:
        with living(folder, kill_at) as life:
            with pytest.raises(Killed):
                a_life(life)
            life.restart_after_kill()
            cuts.try_all(life, {}, start=kill_at)


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


def test_a_power_cut_at_any_moment_loses_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cuts = Cuts(folder)
    operations = cut_power(cuts, folder)
    say(capsys, f"{cuts.states} states after a power cut at one of {operations} operations")
    assert cuts.states > operations


def test_a_power_cut_after_a_kill_loses_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cuts = Cuts(folder)
    operations = operations_of_a_life(folder)
    kill_then_cut_power(cuts, folder, range(operations))
    say(
        capsys, f"{cuts.states} states after a kill at one of {operations} operations and a power cut at the next start"
    )
    assert cuts.states > operations


def operations_of_a_life(folder: Path) -> int:
    with living(folder) as life:
        a_life(life)
        return len(life.trace)


def test_a_power_cut_during_the_removal_of_leftovers_loses_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder / "life"
    path = filled(root, 6)
    directory = open_node(root, machine="press")
    leftovers = {f"{index}.json": (path / "logs" / f"{index}.json").read_bytes() for index in range(3)}
    directory.log.purge(log_id(2))
    known = held(directory)
    directory.close()
    leftovers |= {"6.json": b" " * 4096, "7.json": b"\0" * 64, "8.json": b"", "6.json.tmp": b"half"}
    for name, data in leftovers.items():
        (path / "logs" / name).write_bytes(data)
    base = image_of(root)
    life = Life(root, known=known)
    life.start()
    life.append(6, 1)
    life.stop()
    cuts = Cuts(folder)
    cuts.try_all(life, base)
    say(capsys, f"{cuts.states} states after a power cut at one of {len(life.trace)} operations with leftovers")


class NoFsyncBeforeRename(Recorder):
    """Renames entries whose content may not be on the disk."""

    def fsync(self, descriptor: int, path: str) -> None:
        if "/logs/" not in path:
            super().fsync(descriptor, path)


class NoFolderFsync(Recorder):
    """Acknowledges entries whose names may not be on the disk."""

    def sync_folder(self, path: str) -> None:
        if not path.endswith("/logs"):
            super().sync_folder(path)


class NoFsyncAfterOverwrite(Recorder):
    """Truncates before the lower watermark is on the disk."""

    def fsync(self, descriptor: int, path: str) -> None:
        if path.endswith(".tmp"):
            super().fsync(descriptor, path)


class FilesGoBeforeTheirMark(Recorder):
    """Forgets to wait for purged.json only."""

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self.hasty = target.endswith("purged.json")

    def sync_folder(self, path: str) -> None:
        if not getattr(self, "hasty", False):
            super().sync_folder(path)
        self.hasty = False


@pytest.mark.parametrize(
    "recorder", [NoFsyncBeforeRename, NoFolderFsync, NoFsyncAfterOverwrite, FilesGoBeforeTheirMark]
)
def test_a_directory_that_skips_a_sync_is_caught(folder: Path, recorder: type[Recorder]) -> None:
    with pytest.raises(Violation):
        cut_power(Cuts(folder), folder, recorder)


def test_a_start_that_trusts_the_page_cache_is_caught(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Log, "settle", lambda self: None)
    operations = operations_of_a_life(folder)
    with pytest.raises(Violation):
        kill_then_cut_power(Cuts(folder), folder, range(operations))
