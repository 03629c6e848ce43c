"""The enumeration of crash states finds what it is there for: each of these variants breaks one rule and is caught."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.disk.log.blanks import SIZES
from qcore.disk.log.log import Log
from qcore.disk.log.ready_files import ReadyFiles
from qcore.disk.marks import Marks
from qcore.disk.writer import UNANSWERED, Completion, DiskWriter, Job
from qcore.model.entry import LogId
from qcore.model.errors import Damaged
from tests.disk.crash import AtOnce, Recorder
from tests.disk.life import (
    PACES,
    Cuts,
    Life,
    Violation,
    a_life_with_snapshots,
    check,
    cut_power,
    header_of,
    held,
    kill_then_cut_power,
    living,
    pausing,
)
from tests.disk.samples import Unsynced


class NoFsyncBeforeRename(Recorder):
    """Renames entries whose content may not be on the disk."""

    def fsync(self, descriptor: int, path: str) -> None:
        if "/logs/" not in path:
            super().fsync(descriptor, path)


class NoFdatasync(Recorder):
    """Acknowledges entries that were written over blanks and are not on the disk."""

    def fdatasync(self, descriptor: int, path: str) -> None:
        if "/logs/" not in path:
            super().fdatasync(descriptor, path)


class NoFolderFsync(Recorder):
    """Acknowledges entries whose names may not be on the disk."""

    def sync_folder(self, path: str) -> None:
        if not path.endswith("/logs"):
            super().sync_folder(path)


class NoFolderFsyncOfPrepared(Recorder):
    """Counts files as ready whose names may not be on the disk."""

    def sync_folder(self, path: str) -> None:
        if not self.elsewhere:
            super().sync_folder(path)


class LowerMarkNotSynced(Recorder):
    """Truncates before the lower watermark is on the disk."""

    def fdatasync(self, descriptor: int, path: str) -> None:
        if not path.endswith("committed.json"):
            super().fdatasync(descriptor, path)


class FilesGoBeforeTheirMark(Recorder):
    """Forgets to wait for purged.json only."""

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self.hasty = target.endswith("purged.json")

    def sync_folder(self, path: str) -> None:
        if not getattr(self, "hasty", False):
            super().sync_folder(path)
        self.hasty = False


class TwoAtOnce(Recorder):
    """Begins an entry before the one below it is on the disk; both are there before they are acknowledged."""

    late: str | None = None

    def overwrite(self, path: str, data: bytes, sync: bool) -> None:
        super().overwrite(path, data, sync)
        if self.late is not None and self.late != path:
            self.note("fdatasync", self.late)
            self.late = None

    def fdatasync(self, descriptor: int, path: str) -> None:
        if "/logs/" in path and self.late is None:
            self.late = path
        else:
            super().fdatasync(descriptor, path)


class TakesTakenNames(Recorder):
    """Makes files ready under names that may be those of entries."""

    def create(self, path: str, data: bytes) -> int | None:
        if os.path.exists(path):
            os.unlink(path)
        return super().create(path, data)


class ReplacesByRenames(Recorder):
    """Gives files that are used again names that may be those of entries."""

    def move(self, source: str, target: str) -> bool:
        self.rename(source, target)
        return True


class BlanksNotSynced(Recorder):
    """Renames files that are used again before their blanks are on the disk."""

    def fdatasync(self, descriptor: int, path: str) -> None:
        if not self.elsewhere:
            super().fdatasync(descriptor, path)


class FlushesNothing(AtOnce):
    """Has the file system flushed as a whole by a call that does not do so."""

    def sync_all(self, folder: str) -> bool:
        return True


class NoFsyncOfSnapshots(Recorder):
    """Names snapshots whose content may not be on the disk."""

    def fsync(self, descriptor: int, path: str) -> None:
        if "/snapshots/" not in path:
            super().fsync(descriptor, path)


class NoFolderFsyncOfSnapshots(Recorder):
    """Counts snapshots as there whose names may not be on the disk."""

    def sync_folder(self, path: str) -> None:
        if not path.endswith("/snapshots"):
            super().sync_folder(path)


@pytest.mark.parametrize("recorder", [NoFsyncOfSnapshots, NoFolderFsyncOfSnapshots])
def test_a_snapshot_that_skips_a_step_is_caught(folder: Path, recorder: type[Recorder]) -> None:
    with pytest.raises(Violation):
        cut_power(Cuts(folder), folder, "never", recorder, a_life_with_snapshots)


def hasty_purge(life: Life) -> None:
    """Let the log go up to a snapshot that is only begun."""
    life.start()
    life.append(0, 0)
    life.append(1, 0)
    life.snapshot(0, 0)
    writer = life.directory.snapshots.begin(header_of(1, 0), 5)
    writer.write(b"{}\n")
    life.purge(1, 0)
    life.directory.snapshots.add(writer.finish())
    life.stop()


def test_a_log_that_goes_before_its_snapshot_is_durable_is_caught(folder: Path) -> None:
    with pytest.raises(Violation, match="the log is purged up to 1, the newest snapshot is at 0"):
        cut_power(Cuts(folder), folder, "never", lived=hasty_purge)


@pytest.mark.parametrize(
    ("recorder", "pace"),
    [
        (NoFsyncBeforeRename, "never"),
        (NoFdatasync, "at once"),
        (NoFolderFsync, "never"),
        (NoFolderFsyncOfPrepared, "at once"),
        (LowerMarkNotSynced, "never"),
        (LowerMarkNotSynced, "at once"),
        (FilesGoBeforeTheirMark, "at once"),
        (BlanksNotSynced, "at once"),
        (FlushesNothing, "at once"),
        (FlushesNothing, "one by one"),
    ],
)
def test_a_directory_that_skips_a_step_is_caught(folder: Path, recorder: type[Recorder], pace: str) -> None:
    with pytest.raises(Violation):
        cut_power(Cuts(folder), folder, pace, recorder)


class HintAtCallTime(DiskWriter):
    """Writes a hint as it was when it was asked for, not as it is when its turn comes."""

    def note_committed(self, committed: LogId) -> None:
        marks, stored = self._directory._marks, self._log.last
        self._jobs.put(Job(lambda: marks.save_committed(committed, stored, sync=False), UNANSWERED))


class AnswersTooEarly(DiskWriter):
    """Says that something is done before it is."""

    def _do(self, job: Job) -> None:
        if job.token is not UNANSWERED:
            self._completed([Completion(job.token, None, 0.0)])
        self._attempt(job.action)


@pytest.mark.parametrize("writer", [HintAtCallTime, AnswersTooEarly])
def test_a_writer_that_breaks_its_word_is_caught(folder: Path, writer: type[DiskWriter]) -> None:
    with pytest.raises(Violation):
        cut_power(Cuts(folder), folder, "never", writer=writer)


def two_appends(life: Life) -> None:
    life.start()
    life.append(0, 0)
    life.append_two(1, 0)
    life.stop()


def test_an_entry_begun_before_the_one_below_is_synced_is_caught(folder: Path) -> None:
    cut_power(Cuts(folder), folder, "at once", lived=two_appends)
    with pytest.raises(Violation, match=r"logs/1\.json is damaged"):
        cut_power(Cuts(folder), folder, "at once", TwoAtOnce, two_appends)


def lose_a_sector(folder: Path) -> None:
    """Take a sector of an acknowledged entry away, which no power cut does, and hold what a start makes of it."""
    with living(folder, pace="at once") as life:
        life.start()
        life.name_cluster("ab" * 16)
        for index in range(3):
            life.append(index, 0, length=2_000)
        life.commit(2, 0)
        file = life.directory.path / "logs" / "2.json"
        life.stop()
        data = file.read_bytes()
        file.write_bytes(data[:512] + b" " * 512 + data[1024:])
        try:
            directory = Directory.open(life.root, 1, machine="press", files=Unsynced())
        except Damaged:
            return
        try:
            check(held(directory), life.bounds[-1], "a lost sector")
        finally:
            directory.close()


def test_a_log_without_a_watermark_is_caught(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_a_sector(folder)
    save = Marks.save_committed
    monkeypatch.setattr(
        Marks, "save_committed", lambda self, committed, stored, sync: save(self, committed, None, sync)
    )
    with pytest.raises(Violation, match=r"a lost sector: acknowledged entries are lost: \[2\]"):
        lose_a_sector(folder)


def test_a_prepared_file_that_grows_is_caught(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = ReadyFiles.take
    monkeypatch.setattr(ReadyFiles, "take", lambda self, index, length: take(self, index, min(length, SIZES[0])))
    with pytest.raises(Violation, match="is damaged"):
        cut_power(Cuts(folder), folder, "at once")


def test_a_truncated_entry_that_is_not_blanked_durably_is_caught(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overwrite = Recorder.overwrite
    monkeypatch.setattr(
        Recorder, "overwrite", lambda self, path, data, sync: overwrite(self, path, data, sync and bool(data.strip()))
    )
    with pytest.raises(Violation):
        cut_power(Cuts(folder), folder, "at once")


def a_purge(life: Life) -> None:
    """Purge entries whose files are all used again, at once as none lie ready, and go on."""
    pace, life.pace = life.pace, PACES["at once"]
    life.start()
    life.name_cluster("ab" * 16)
    for index in range(4):
        life.append(index, 0)
    life.pace = PACES["never"]
    for index in range(4, 4 + life.directory.log.ready_files.ready):
        life.append(index, 0)
    life.pace = pace
    life.purge(2, 0)
    last = life.directory.log.last
    assert last is not None
    for index in range(last.index + 1, last.index + 13):
        life.append(index, 0)
    life.stop()


def used_again(life: Life) -> list[str]:
    return [step.path for step in life.trace if step.kind == "rename" and not step.path.endswith(".tmp")]


def test_a_file_used_again_before_its_mark_is_durable_is_caught(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(log: Log, upto: LogId) -> None:
        log.ready_files.free(range(upto.index + 1), upto.index, log.max_spares)
        log._marks.save_purged(upto)
        log._ids.purge(upto)

    with living(folder, pace="at once") as life:
        a_purge(life)
        assert used_again(life)[:2] == ["node_1/logs/0.json", "node_1/logs/1.json"]
        assert not [step for step in life.trace if step.kind == "unlink"]
    monkeypatch.setattr(Log, "purge", hasty)
    with pytest.raises(Violation, match=r"logs/0\.json is damaged: expected an entry, found blanks"):
        cut_power(Cuts(folder), folder, "at once", lived=a_purge)


class ReplacesByRenamesAtOnce(AtOnce, ReplacesByRenames):
    """As above, on a file system that can be flushed as a whole."""


@pytest.mark.parametrize("recorder", [TakesTakenNames, ReplacesByRenames, ReplacesByRenamesAtOnce])
def test_a_file_made_under_the_name_of_an_entry_is_caught(folder: Path, recorder: type[Recorder]) -> None:
    def meet_often(recorder: type[Recorder]) -> None:
        for shift in range(0, 30, 4):
            cut_power(Cuts(folder), folder, pausing(shift), recorder, a_purge)

    with pytest.raises(Violation):
        meet_often(recorder)


def test_a_start_that_trusts_the_page_cache_is_caught(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Log, "settle", lambda self: None)
    with pytest.raises(Violation):
        kill_then_cut_power(Cuts(folder), folder, "never")
