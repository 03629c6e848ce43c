"""Uploads: chunks in order, repeated ones, and limits."""

from __future__ import annotations

import json
import traceback

import pytest

from qcore.model.errors import BadParams, Busy, NotFound, TooLarge
from qcore.model.requests.queries import SnapshotUpload
from qcore.server.client import Client
from qcore.server.documents.uploads import Uploads
from qcore.server.outbox import Outbox
from qcore.server.runtime import budgets
from qcore.store.documents.plan import Prepared
from tests.server.running import until

TEXT = json.dumps({"tree": {"entityType": "Root", "Name": "Wurzel é"}}, ensure_ascii=False)


ANN = Client("ann", "", Outbox(lambda: None))


def put(opened: Uploads, offset: int, chunk: str, name: str = "a", client: Client = ANN) -> int:
    return opened.put(SnapshotUpload(name, offset, chunk), client).size


async def prepared(opened: Uploads, name: str = "a") -> Prepared:
    with opened.using(name, ANN) as upload:
        return await upload.prepared()


async def test_chunks_are_put_together_and_read_once() -> None:
    opened = Uploads(1000)
    size = 0
    for place in range(0, len(TEXT), 7):
        size = put(opened, size, TEXT[place : place + 7])
    assert size == len(TEXT.encode())
    read = await prepared(opened)
    assert read.document.entities[0].name == "Wurzel é"
    assert await prepared(opened) is read
    opened.stop()


async def test_a_chunk_may_come_twice() -> None:
    opened = Uploads(1000)
    assert put(opened, 0, "abc") == put(opened, 0, "abc") == 3
    assert put(opened, 3, "de") == put(opened, 3, "de") == 5
    assert put(opened, 0, "abc") == 5
    opened.stop()


async def test_the_last_chunk_may_come_twice_at_the_limit() -> None:
    opened = Uploads(5)
    put(opened, 0, "abc")
    assert put(opened, 3, "de") == put(opened, 3, "de") == 5
    with pytest.raises(TooLarge):
        put(opened, 5, "f")
    opened.stop()


async def test_an_upload_with_problems_keeps_them_and_nothing_of_what_was_read() -> None:
    opened = Uploads(1000)
    put(opened, 0, '{"tree":{"entityType":"Root","Name":5}}')
    for _ in range(2):
        with pytest.raises(BadParams, match=r"\$\.tree\.Name") as caught:
            await prepared(opened)
        assert not any("document_text" in line for line in traceback.format_tb(caught.tb))
        assert caught.value.__context__ is None
    opened.stop()


async def test_gaps_and_contradictions_are_refused_and_the_next_offset_is_named() -> None:
    opened = Uploads(1000)
    put(opened, 0, "abc")
    for offset, chunk in ((4, "x"), (-1, "c"), (1, "x"), (2, "cd")):
        with pytest.raises(BadParams, match=f"begins at 3, one at {offset} is given"):
            put(opened, offset, chunk)
    opened.stop()


async def test_offset_0_with_another_text_begins_anew() -> None:
    opened = Uploads(1000)
    put(opened, 0, "abc")
    assert put(opened, 0, "x") == 1
    opened.stop()


async def test_an_upload_that_was_never_begun_is_not_found() -> None:
    opened = Uploads(1000)
    with pytest.raises(NotFound, match="not begun at offset 0"):
        put(opened, 5, "x")
    with pytest.raises(NotFound, match="no upload 'b' here: it is on no node"):
        await prepared(opened, "b")


async def test_names_and_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Uploads(10)
    for name in ("", "x" * 65):
        with pytest.raises(BadParams, match="1 to 64 characters"):
            put(opened, 0, "x", name)
    put(opened, 0, "éé")
    with pytest.raises(TooLarge, match="at most 10 bytes"):
        put(opened, 4, "1234567")
    with pytest.raises(Busy, match=r"1 uploads with 4 bytes are kept already \(max_upload_mb\); try again in 600 s"):
        put(opened, 0, "1234567", "b")
    put(opened, 4, "123456")
    monkeypatch.setattr(budgets, "UPLOADS", 1)
    with pytest.raises(Busy, match="1 uploads with 10 bytes are kept already"):
        put(opened, 0, "", "c")
    opened.stop()


async def test_what_was_read_takes_no_more_chunks() -> None:
    opened = Uploads(1000)
    put(opened, 0, TEXT)
    await prepared(opened)
    with pytest.raises(BadParams, match="was planned or restored already"):
        put(opened, len(TEXT.encode()), "x")
    opened.stop()


async def test_a_bad_document_is_named_each_time_it_is_asked_for() -> None:
    opened = Uploads(1000)
    put(opened, 0, '{"tree": 5}')
    for _ in range(2):
        with pytest.raises(BadParams, match=r"\$\.tree: expected an entity"):
            await prepared(opened)
    opened.stop()


async def test_an_upload_that_is_not_used_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "UPLOAD_IDLE_SECONDS", 0.01)
    opened = Uploads(1000)
    put(opened, 0, "abc")
    await until(lambda: not len(opened._kept))
    with pytest.raises(NotFound):
        await prepared(opened)
    opened.stop()


async def test_what_was_planned_makes_room_the_longest_unused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "UPLOADS", 3)
    opened = Uploads(1000)
    for name in "abcde":
        put(opened, 0, TEXT, name)
        await prepared(opened, name)
    for name in "ab":
        with pytest.raises(NotFound):
            await prepared(opened, name)
    await prepared(opened, "c")
    put(opened, 0, "x", "f")
    with pytest.raises(NotFound):
        await prepared(opened, "d")
    opened.stop()


async def test_what_was_planned_makes_room_for_bytes_too() -> None:
    opened = Uploads(2 * len(TEXT.encode()))
    for name in "abcdefgh":
        put(opened, 0, TEXT, name)
        await prepared(opened, name)
    opened.stop()


async def test_what_is_worked_on_makes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "UPLOADS", 1)
    opened = Uploads(1000)
    put(opened, 0, TEXT)
    with opened.using("a", ANN) as upload:
        await upload.prepared()
        with pytest.raises(Busy, match="try again in 600 s"):
            put(opened, 0, TEXT, "b")
    put(opened, 0, TEXT, "b")
    opened.stop()


async def test_what_was_restored_is_let_go_but_not_what_was_begun_anew_under_its_name() -> None:
    opened = Uploads(1000)
    put(opened, 0, TEXT)
    with opened.using("a", ANN) as upload:
        put(opened, 0, "new")
    opened.restored("a", upload)
    assert put(opened, 3, "er") == 5
    with opened.using("a", ANN) as upload:
        opened.restored("a", upload)
    with pytest.raises(NotFound):
        await prepared(opened)
    opened.stop()


async def test_the_uploads_of_a_client_that_is_gone_go_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "UPLOADS", 2)
    monkeypatch.setattr(budgets, "ORPHAN_SECONDS", 0.01)
    opened = Uploads(1000)
    for name in "abc":
        client = Client("", "", Outbox(lambda: None))
        put(opened, 0, "abc", name, client)
        client.close()
        opened.disconnected(client)
    await until(lambda: not len(opened._kept))
    opened.stop()


async def test_a_client_that_connects_again_in_time_goes_on() -> None:
    opened = Uploads(1000)
    before = Client("", "", Outbox(lambda: None))
    put(opened, 0, "abc", client=before)
    before.close()
    opened.disconnected(before)
    assert put(opened, 3, "de") == 5
    opened.stop()
