from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from qcore.model.errors import NotFound, Timeout, TooLarge
from qcore.server.writes.inline_reads import InlineReads
from tests.server.running import running


def long(pauses: int) -> Generator[None, None, str]:
    for _ in range(pauses):
        yield
    return "done"


def missing(what: str) -> Any:
    raise NotFound(f"there is no {what}")


def test_a_read_in_slices_is_run_through() -> None:
    assert bytes(InlineReads(long, 100).read(1000)) == b'"done"'


def test_a_read_that_fails_fails_as_ever() -> None:
    with pytest.raises(NotFound, match="there is no type"):
        InlineReads(missing, 100).read("type")


def endless() -> Generator[None, None, str]:
    while True:
        yield


def test_what_is_over_the_time_is_cut_and_the_next_not_begun_before_the_next_command() -> None:
    reads = InlineReads(lambda work: work(), 100, most_seconds=0.01)
    assert bytes(reads.read(lambda: "PONG")) == b'"PONG"'
    for work in (endless, lambda: pytest.fail("it was begun")):
        with pytest.raises(Timeout, match=r"have 0\.01 s together"):
            reads.read(work)
    reads.begin()
    assert bytes(reads.read(lambda: "PONG")) == b'"PONG"'


def test_the_reads_of_one_command_share_their_bytes() -> None:
    reads = InlineReads("x".__mul__, 100)
    for _ in range(3):
        assert len(bytes(reads.read(40))) == 42
        assert len(bytes(reads.read(90))) == 92
        with pytest.raises(TooLarge, match="have 134 bytes, those of one command at most 100"):
            reads.read(1)
        reads.begin()


async def test_the_reads_of_a_pipeline_share_half_the_queue_and_its_writes_are_done(tmp_path: Path) -> None:
    async with running(tmp_path, send_queue_mb=1) as run:
        client = run.client()
        note = {"entityType": "Note", "fields": [{"name": "Text", "dataType": "String"}]}
        await client.result("schema.set", schema=note)
        read = {"method": "get", "params": {"id": "$1"}}
        create = {"method": "create", "params": {"type": "Note", "name": "n", "fields": {"Text": "x" * 300_000}}}
        rename = {"method": "set", "params": {"id": "$1", "field": "Name", "value": "m"}}
        for _ in range(2):
            answers = await client.result("pipeline", commands=[create, read, read, read, rename])
            assert ["result" in answer for answer in answers] == [True, True, True, False, True]
            assert answers[3]["error"]["data"]["kind"] == "too_large"
            assert answers[4]["result"]["applied"]
        done = await client.result("transaction", commands=[create, read, read, read, rename])
        assert ["result" in answer for answer in done["results"]] == [True, True, True, False, True]


async def test_a_search_in_a_pipeline_that_would_never_end_is_cut(tmp_path: Path) -> None:
    nested = "true"
    for level in range(4):
        nested = f"[1,2,3,4,5,6,7,8].all(x{level}, {nested})"
    async with running(tmp_path) as run:
        client = run.client()
        create = {"method": "create", "params": {"type": "Object", "name": "o"}}
        await client.result("pipeline", commands=[create] * 1000)
        count = {"method": "count", "params": {"type": "Object", "filter": nested}}
        answers = await client.result("pipeline", commands=[count] * 500 + [create])
        assert answers[499]["error"]["data"]["kind"] == "timeout"
        assert "result" in answers[500]


async def test_a_filter_in_a_pipeline_that_is_none_fails_in_its_place(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        counts = [{"method": "count", "params": {"type": "Object", "filter": text}} for text in ("Name ==", "x" * 5000)]
        create = {"method": "create", "params": {"type": "Object", "name": "o"}}
        answers = await run.client().result("pipeline", commands=[*counts, create])
        assert [answer["error"]["data"]["kind"] for answer in answers[:2]] == ["bad_filter", "too_large"]
        assert "result" in answers[2]
