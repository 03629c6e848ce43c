"""Exports: one revision in chunks, whatever changes meanwhile; repeated chunks, cursors, and what is let go."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from qcore.model.errors import BadParams, Busy, NotFound
from qcore.model.requests.queries import SnapshotExport
from qcore.model.requests.results import ExportPage
from qcore.model.values import Kind
from qcore.server.client import Client
from qcore.server.documents.exports import Exports
from qcore.server.outbox import Outbox
from qcore.server.runtime import budgets
from tests.server.running import until
from tests.store.document_samples import take
from tests.store.samples import Log, field, through, type_of

ANN = Client("ann", "", Outbox(lambda: None))
THING = type_of("Thing", field("Age"), field("Seen", Kind.Int, storage_scope="Runtime"))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setattr(budgets, "EXPORT_CHUNK_BYTES", 12_000)
    log = Log(THING)
    for place in range(1500):
        log.create("Thing", f"n{place}", Age=place, Seen=1)
    return log


def first(opened: Exports, **query: Any) -> ExportPage:
    return through(opened.read(SnapshotExport(**query), ANN))


def rest(opened: Exports, page: ExportPage) -> Generator[ExportPage, None, None]:
    yield page
    while page.cursor is not None:
        page = through(opened.read(SnapshotExport(cursor=page.cursor), ANN))
        yield page


async def test_the_chunks_are_the_document_of_one_revision(log: Log) -> None:
    opened = Exports(log.state, 8)
    text, left = take(log.state)
    page = first(opened)
    revision, pages = log.state.revision, [page]
    while page.cursor is not None:
        log.delete(log.children(1)[0])
        log.create("Thing", "later")
        page = through(opened.read(SnapshotExport(cursor=page.cursor), ANN))
        pages.append(page)
    assert len(pages) > 5
    assert "".join(page.chunk for page in pages).encode() == text
    assert {page.revision for page in pages} == {revision}
    assert [page.entities for page in pages[:-1]] == [None] * (len(pages) - 1)
    assert (pages[-1].entities, pages[-1].runtime, pages[-1].missing) == (1501, left.runtime, 0)
    opened.stop()


async def test_what_is_asked_for_first_holds_for_all_chunks(log: Log) -> None:
    opened = Exports(log.state, 8)
    pages = list(rest(opened, first(opened, runtime=True, ids=False)))
    assert "".join(page.chunk for page in pages).encode() == take(log.state, runtime=True, ids=False)[0]
    opened.stop()


async def test_a_chunk_may_be_asked_for_again_the_last_one_too(log: Log) -> None:
    opened = Exports(log.state, 8)
    page = first(opened)
    while page.cursor is not None:
        asked = SnapshotExport(cursor=page.cursor)
        page, again = through(opened.read(asked, ANN)), through(opened.read(asked, ANN))
        assert page == again
    opened.stop()


async def test_two_who_wait_for_one_chunk_get_the_same(log: Log) -> None:
    opened = Exports(log.state, 8)
    asked = SnapshotExport(cursor=first(opened).cursor)
    one, other = opened.read(asked, ANN), opened.read(asked, ANN)
    next(one), next(other)
    assert through(one) == through(other)
    opened.stop()


async def test_a_read_that_was_given_up_loses_nothing(log: Log) -> None:
    opened = Exports(log.state, 8)
    text, _ = take(log.state)
    page = first(opened)
    given_up = opened.read(SnapshotExport(cursor=page.cursor), ANN)
    next(given_up)
    given_up.close()
    assert "".join(page.chunk for page in rest(opened, page)).encode() == text
    opened.stop()


@pytest.mark.parametrize("cursor", ["", "c.", "c..0", "c.x", "12", "c.x.-1", "c.x.1e3", "c.x.99999999999", "x" * 10**6])
async def test_what_is_no_cursor_is_refused(log: Log, cursor: str) -> None:
    with pytest.raises((BadParams, NotFound)):
        through(Exports(log.state, 8).read(SnapshotExport(cursor=cursor), ANN))


async def test_chunks_long_gone_and_those_to_come_are_refused(log: Log) -> None:
    opened = Exports(log.state, 8)
    page = first(opened)
    old = page.cursor
    page = through(opened.read(SnapshotExport(cursor=page.cursor), ANN))
    through(opened.read(SnapshotExport(cursor=page.cursor), ANN))
    with pytest.raises(BadParams, match="stands at chunk 3; chunk 1 is asked"):
        through(opened.read(SnapshotExport(cursor=old), ANN))
    with pytest.raises(BadParams, match="chunk 7 is asked"):
        through(opened.read(SnapshotExport(cursor=str(old)[:-1] + "7"), ANN))
    opened.stop()


async def test_only_so_many_are_open_and_one_that_is_over_makes_room(log: Log) -> None:
    opened = Exports(log.state, 2)
    one = first(opened)
    first(opened)
    with pytest.raises(Busy, match=r"2 exports are open already \(max_exports\); try again in 60 s"):
        first(opened)
    list(rest(opened, one))
    first(opened)
    for _ in range(10):
        with pytest.raises(Busy):
            first(opened)
    opened.stop()


async def test_the_last_chunks_of_as_many_that_are_over_can_be_asked_for_again(log: Log) -> None:
    opened = Exports(log.state, 4)
    ends: list[tuple[str | None, ExportPage]] = []
    for _ in range(5):
        *_, before, last = rest(opened, first(opened))
        ends.append((before.cursor, last))
        for cursor, page in ends:
            assert through(opened.read(SnapshotExport(cursor=cursor), ANN)) == page
    first(opened)
    with pytest.raises(NotFound):
        first(opened, cursor=ends[0][0])
    for cursor, page in ends[1:]:
        assert first(opened, cursor=cursor) == page
    opened.stop()


async def test_one_that_nobody_reads_on_is_let_go(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "EXPORT_IDLE_SECONDS", 0.01)
    opened = Exports(log.state, 2)
    page = first(opened)
    waiting = opened.read(SnapshotExport(cursor=page.cursor), ANN)
    next(waiting)
    await until(lambda: not log.state._pins)
    with pytest.raises(NotFound, match="begin a new one"):
        first(opened, cursor=page.cursor)
    with pytest.raises(NotFound):
        through(waiting)
    opened.stop()


async def test_stopping_lets_the_state_go(log: Log) -> None:
    opened = Exports(log.state, 2)
    first(opened)
    assert log.state._pins
    opened.stop()
    assert not log.state._pins


def somebody() -> Client:
    return Client("", "", Outbox(lambda: None))


async def test_the_export_of_a_client_that_is_gone_makes_room_and_lets_the_state_go(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "ORPHAN_SECONDS", 0.01)
    opened = Exports(log.state, 2)
    for _ in range(5):
        client = somebody()
        through(opened.read(SnapshotExport(), client))
        client.close()
        opened.disconnected(client)
    await until(lambda: not log.state._pins)
    opened.stop()


async def test_a_client_that_connects_again_in_time_reads_on(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Exports(log.state, 2)
    before, after = somebody(), somebody()
    page = through(opened.read(SnapshotExport(), before))
    before.close()
    opened.disconnected(before)
    through(opened.read(SnapshotExport(cursor=page.cursor), after))
    assert len(log.state._pins) == 1
    first(opened)
    with pytest.raises(Busy):
        first(opened)
    opened.stop()


async def test_nothing_is_kept_for_a_client_that_is_gone_already(log: Log) -> None:
    opened = Exports(log.state, 2)
    client = somebody()
    client.close()
    with pytest.raises(Busy, match="connection is closed"):
        opened.read(SnapshotExport(), client)
    assert not log.state._pins
