from __future__ import annotations

from pathlib import Path

from tests.proof.history import History, Step, describe


def test_outcomes_are_recorded_with_their_times() -> None:
    history = History()
    done = history.invoke(1, [Step("read", "register:0"), Step("read", "register:1")])
    refused = history.invoke(2, [Step("cas", "register:0", 5, 4)])
    lost = history.invoke(3, [Step("write", "register:0", 6)])
    history.ok(done, [7, 8])
    history.failed(refused, "conflict", 7)
    history.unknown(lost, "timeout")
    assert [operation.outcome for operation in history.operations] == ["ok", "failed", "unknown"]
    assert history.acknowledged == 1
    assert [step.result for step in done.steps] == [7, 8]
    assert done.returned is not None
    assert refused.returned is not None
    assert lost.returned is not None
    assert done.invoked <= refused.invoked <= lost.invoked <= done.returned <= refused.returned <= lost.returned
    assert describe(done).endswith("read register:0 -> 7, read register:1 -> 8 (ok)")
    assert describe(refused).endswith("cas register:0 4 -> 5, found 7 (failed: conflict)")
    assert describe(lost).endswith("write register:0 6 (unknown: timeout)")
    assert "...] read register:2 (unknown)" in describe(history.invoke(4, [Step("read", "register:2")]))


def test_what_was_under_way_for_a_time_is_found() -> None:
    history = History()
    early, late, lost = (history.invoke(number, [Step("read", "register:0")]) for number in range(3))
    early.invoked, late.invoked, lost.invoked = 10, 20, 15
    early.returned, late.returned = 30, 40
    assert history.spanning(15, 30) == [early, lost]
    assert history.spanning(20, 35) == [late, lost]
    assert history.spanning(16, 41) == [lost]


def test_reads_are_parted_from_the_writes_of_an_operation() -> None:
    history = History()
    both = history.invoke(1, [Step("read", "list:0"), Step("append", "list:1", 3)])
    history.ok(both, [[1, 2], None])
    history.part_reads(both)
    writes, reads = history.operations
    assert writes.steps == [Step("append", "list:1", 3)]
    assert reads.steps == [Step("read", "list:0", result=[1, 2])]
    assert (reads.client, reads.invoked, reads.returned, reads.outcome) == (1, both.invoked, both.returned, "ok")


def test_a_dumped_history_is_read_again(tmp_path: Path) -> None:
    history = History()
    history.ok(history.invoke(1, [Step("read", "list:0"), Step("append", "list:1", 3)]), [[1, 2], None])
    history.unknown(history.invoke(2, [Step("write", "register:0", 6)]), "timeout")
    history.dump(tmp_path / "history.jsonl")
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 2
    again = History.load(tmp_path / "history.jsonl")
    assert again.operations == history.operations
    assert again.acknowledged == 1
