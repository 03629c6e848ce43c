"""Where snapshots come from, and what that says of two of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from qcore.model.documents.origin import Origin, Snapshot, read_origin
from qcore.model.documents.text import check, check_snapshot, read_document
from qcore.model.wire import encode_json

ORIGIN = Origin("a" * 32, 41, "2026-11-28T07:02:49Z", "0.1.0", True, "e1")
TREE = {"entityType": "Root", "id": 1, "Name": "Root"}


def origin(**changes: Any) -> Origin:
    return msgspec.structs.replace(ORIGIN, **changes)


def text(**keys: Any) -> bytes:
    return encode_json({"schemas": [], "tree": TREE, **keys})


def snapshot(origin: Origin | None = ORIGIN, **keys: Any) -> Snapshot:
    given = {} if origin is None else {"origin": origin}
    found, problems = check_snapshot(text(**given, **({"nextId": 2} | keys)))
    assert found is not None
    assert not problems
    return found


def test_the_origin_is_read_and_is_no_part_of_the_document() -> None:
    found = snapshot()
    assert found.origin == ORIGIN
    assert found.document == read_document(text(nextId=2))


@pytest.mark.parametrize(
    "value", [None, 7, [], {}, {"cluster": 1}, msgspec.to_builtins(ORIGIN) | {"revision": "x"}, {"time": "now"}]
)
def test_an_origin_that_nobody_can_read_is_no_problem(value: Any) -> None:
    assert read_origin(value) is None
    document, problems = check(text(origin=value, nextId=2))
    assert document == read_document(text(nextId=2))
    assert problems == []


def test_an_origin_of_a_later_version_may_say_more() -> None:
    assert read_origin(msgspec.to_builtins(ORIGIN) | {"more": 1}) == ORIGIN


@pytest.mark.parametrize(
    ("found", "complete"),
    [
        (snapshot(), True),
        (snapshot(None), False),
        (snapshot(origin(all=False)), False),
        (snapshot(tree={"entityType": "Root", "Name": "Root"}), False),
        (snapshot(nextId=None), False),
    ],
)
def test_a_snapshot_is_complete_with_runtime_fields_and_ids(found: Snapshot, complete: bool) -> None:
    assert found.is_complete is complete


def test_snapshots_of_one_cluster_are_compatible() -> None:
    assert snapshot().is_compatible_with(snapshot(origin(revision=7)))
    assert not snapshot().is_compatible_with(snapshot(origin(cluster="b" * 32)))
    assert not snapshot().is_compatible_with(snapshot(None))
    assert not snapshot(None).is_compatible_with(snapshot(None))
    assert not origin(cluster="").is_compatible_with(origin(cluster=""))


LATER = "2026-11-28T07:02:49.5Z"


@pytest.mark.parametrize(
    ("newer", "older", "does"),
    [
        (origin(revision=42), ORIGIN, True),
        (ORIGIN, ORIGIN, False),
        (ORIGIN, origin(revision=42), False),
        (origin(revision=42, cluster="b" * 32), ORIGIN, False),
        (origin(revision=42, all=False), ORIGIN, False),
        (origin(revision=42), origin(all=False), True),
        (origin(revision=42, all=False), origin(all=False), True),
        (origin(revision=42, epoch="e2"), ORIGIN, False),
        (origin(revision=42, epoch="e2", time=LATER), ORIGIN, True),
        (origin(revision=42, epoch=None, time=LATER), origin(epoch=None), True),
        (origin(revision=42, epoch=None), origin(epoch=None), False),
        (origin(revision=42, epoch="e2", time="?"), ORIGIN, False),
    ],
)
def test_one_supersedes_another_that_is_older_and_no_more_complete(newer: Origin, older: Origin, does: bool) -> None:
    assert newer.supersedes(older) is does
    assert snapshot(newer).supersedes(snapshot(older)) is does


def test_nobody_knows_whether_one_without_an_origin_is_superseded() -> None:
    assert not snapshot(None).supersedes(snapshot())
    assert not snapshot().supersedes(snapshot(None))


def test_one_without_ids_supersedes_none_that_has_them() -> None:
    without = snapshot(origin(revision=42), tree={"entityType": "Root", "Name": "Root"}, nextId=None)
    assert not without.supersedes(snapshot())
