"""The log beside the snapshots: what stands, what is dropped, what is damage; and power cuts while it is dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.disk.repair import drop_log, log_fits, refuse_gap
from qcore.disk.writer import DiskWriter
from qcore.model.entry import LogId, Vote
from qcore.model.errors import Damaged
from tests.disk.crash import Operation, Recorder, crash_states, image_of, materialise
from tests.disk.life import go_on, good_snapshots, header_of
from tests.disk.samples import NODE, Unsynced, append, entries, filled, log_id, open_node, prepare

Drop = Callable[[DiskWriter, LogId], None]


def snapshot(directory: Directory, index: int, term: int) -> LogId:
    """Make a snapshot durable that leaves off at an entry; return its log id."""
    writer = directory.snapshots.begin(header_of(index, term), 1_700_000_000)
    writer.write(b"{}\n")
    found = writer.finish()
    directory.snapshots.add(found)
    return found.header.last


def a_log(folder: Path) -> Directory:
    """A log of entries 0 to 2 of term 1 and 3 to 5 of term 2, purged up to 1."""
    filled(folder, 3)
    directory = open_node(folder)
    directory.save_vote(Vote(3, NODE, True))
    prepare(directory)
    for index in (3, 4, 5):
        append(directory, index, term=2)
    directory.log.purge(log_id(1))
    directory.save_committed(log_id(5, 2), sync=True)
    return directory


def dropped(directory: Directory, at: LogId, drop: Drop = drop_log) -> None:
    writer = DiskWriter(directory, lambda batch: None)
    drop(writer, at)
    writer.run_pending()


FITS = [(1, 1), (2, 1), (3, 2), (5, 2)]
BELOW = [(6, 2), (9, 3)]
CONFLICTS = [(1, 0), (2, 2), (3, 3), (5, 3)]


@pytest.mark.parametrize(("index", "term"), FITS)
def test_a_log_stands_that_has_the_entry_at_which_the_snapshot_leaves_off(
    tmp_path: Path, index: int, term: int
) -> None:
    directory = a_log(tmp_path)
    assert log_fits(directory.log, log_id(index, term))
    directory.close()


@pytest.mark.parametrize(("index", "term"), [*BELOW, *CONFLICTS])
def test_a_log_that_ends_below_the_snapshot_or_is_not_the_one_that_led_to_it_is_dropped(
    tmp_path: Path, index: int, term: int
) -> None:
    directory = a_log(tmp_path)
    assert not log_fits(directory.log, log_id(index, term))
    dropped(directory, snapshot(directory, index, term))
    for _ in range(2):
        assert (directory.log.first, directory.log.last) == (None, log_id(index, term))
        assert directory.purged == log_id(index, term)
        assert log_fits(directory.log, log_id(index, term))
        refuse_gap(directory, log_id(index, term))
        directory.close()
        directory = open_node(tmp_path)
    assert directory.committed == log_id(index, term)
    append(directory, index + 1, term=3)
    assert entries(directory) == [(index + 1, 3)]
    directory.close()


def test_any_log_stands_where_there_is_no_snapshot(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    directory = open_node(tmp_path)
    assert log_fits(directory.log, None)
    refuse_gap(directory, None)
    directory.close()


def test_an_empty_log_fits_no_snapshot(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    assert not log_fits(directory.log, log_id(0, 0))
    directory.close()


@pytest.mark.parametrize("at", [None, (0, 1)])
def test_a_log_that_is_gone_up_to_above_the_snapshot_is_damage(tmp_path: Path, at: tuple[int, int] | None) -> None:
    directory = a_log(tmp_path)
    last = None if at is None else snapshot(directory, *at)
    found = "none" if at is None else "one at 0"
    with pytest.raises(Damaged, match=f"expected a good snapshot at log index 1 or above, .* found {found}"):
        refuse_gap(directory, last)
    for good in FITS:
        refuse_gap(directory, log_id(*good))
    directory.close()


def cut_power_while_dropping(folder: Path, index: int, term: int, drop: Drop) -> int:
    """Cut the power at each operation of a start that drops its log; return the number of states."""
    root = folder / "life"
    directory = a_log(root)
    at = snapshot(directory, index, term)
    directory.close()
    base, trace = image_of(root), list[Operation]()
    directory = Directory.open(root, 1, machine="press", files=Recorder(root, trace))
    dropped(directory, at, drop)
    directory.close()
    states = 0
    for states, (count, image) in enumerate(crash_states(base, trace), 1):
        cut = folder / f"cut{states}"
        materialise(image, cut)
        again = Directory.open(cut, 1, machine="press", files=Unsynced())
        assert good_snapshots(again) == (index,)
        refuse_gap(again, at)
        if not log_fits(again.log, at):
            dropped(again, at, drop)
        assert (again.log.first, again.log.last) == (None, at), f"after {count} of {len(trace)} operations"
        go_on(again)
        again.close()
    return states


@pytest.mark.parametrize(("index", "term"), [(9, 3), (3, 3)], ids=["below", "conflict"])
def test_a_power_cut_while_a_log_is_dropped_leaves_one_that_is_dropped_again(
    folder: Path, index: int, term: int
) -> None:
    assert cut_power_while_dropping(folder, index, term, drop_log) > 20


def test_a_log_that_is_dropped_in_the_wrong_order_is_caught(folder: Path) -> None:
    def mark_first(writer: DiskWriter, at: LogId) -> None:
        writer.purge(at)
        writer.truncate(at.index + 1)

    with pytest.raises(Damaged, match="expected an entry that follows"):
        cut_power_while_dropping(folder, 3, 3, mark_first)
