"""Uploads: chunks in order, repeated ones, and limits."""

from __future__ import annotations

import json
import traceback

import pytest

from qcore.model.errors import BadParams, Busy, NotFound, TooLarge
from qcore.model.requests.queries import SnapshotUpload
from qcore.server.documents.uploads import Uploads
from qcore.server.runtime import budgets
from tests.server.running import until

TEXT = json.dumps({"tree": {"entityType": "Root", "Name": "Wurzel é"}}, ensure_ascii=False)


def put(opened: Uploads, offset: int, chunk: str, name: str = "a") -> int:
    return opened.put(SnapshotUpload(name, offset, chunk)).size


async def test_chunks_are_put_together_and_read_once() -> None:
    opened = Uploads(1000)
    size = 0
    for place in range(0, len(TEXT), 7):
        size = put(opened, size, TEXT[place : place + 7])
    assert size == len(TEXT.encode())
    prepared = await opened.get("a").prepared()
    assert prepared.document.entities[0].name == "Wurzel é"
    assert await opened.get("a").prepared() is prepared
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
            await opened.get("a").prepared()
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
    with pytest.raises(NotFound, match="no upload 'b' here"):
        opened.get("b")


async def test_names_and_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Uploads(10)
    for name in ("", "x" * 65):
        with pytest.raises(BadParams, match="1 to 64 characters"):
            put(opened, 0, "x", name)
    put(opened, 0, "éé")
    with pytest.raises(TooLarge, match="at most 10 bytes"):
        put(opened, 4, "1234567")
    with pytest.raises(Busy, match="other uploads take all that there may be"):
        put(opened, 0, "1234567", "b")
    put(opened, 4, "123456")
    monkeypatch.setattr(budgets, "UPLOADS", 2)
    with pytest.raises(Busy, match="2 uploads are kept"):
        put(opened, 0, "", "c")
    opened.stop()


async def test_what_was_read_takes_no_more_chunks() -> None:
    opened = Uploads(1000)
    put(opened, 0, TEXT)
    await opened.get("a").prepared()
    with pytest.raises(BadParams, match="was planned or restored already"):
        put(opened, len(TEXT.encode()), "x")
    opened.stop()


async def test_a_bad_document_is_named_each_time_it_is_asked_for() -> None:
    opened = Uploads(1000)
    put(opened, 0, '{"tree": 5}')
    for _ in range(2):
        with pytest.raises(BadParams, match=r"\$\.tree: expected an entity"):
            await opened.get("a").prepared()
    opened.stop()


async def test_an_upload_that_is_not_used_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "UPLOAD_IDLE_SECONDS", 0.01)
    opened = Uploads(1000)
    put(opened, 0, "abc")
    await until(lambda: not opened._open)
    with pytest.raises(NotFound):
        opened.get("a")
    opened.stop()
