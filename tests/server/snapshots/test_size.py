from __future__ import annotations

from qcore.server.snapshots.size import SnapshotSize


def test_what_was_appended_since_may_all_be_in_the_next_one() -> None:
    size = SnapshotSize(1_000, 5)
    assert size.expected(50, 5) == 1_050
    size.count(400, 50, 5)
    assert size.expected(50, 5) == 400
    assert size.is_exact(50)
    assert size.expected(75, 5) == 425
    assert not size.is_exact(75)


def test_an_entity_takes_more_than_its_command() -> None:
    size = SnapshotSize(1_000, 5)
    assert size.expected(50, 7) == 1_450
    assert size.expected(50, 3) == 1_050


def test_deletions_add_nothing() -> None:
    size = SnapshotSize(1_000, 5)
    size.deletes(30)
    assert size.expected(50, 5) == 1_020
    assert size.expected(20, 5) == 1_000
    size.count(900, 50, 5)
    assert size.expected(60, 5) == 910
