from __future__ import annotations

from typing import Any

import pytest

from qcore.model.errors import Timeout, TooLarge
from qcore.model.leader_commands import RunStaged, StagePart
from qcore.model.requests.commands import Command, Create, SessionOpen, SetFields
from qcore.model.requests.compound import Pipeline
from qcore.model.values import Kind
from qcore.model.wire import cut_text, encode_json
from qcore.store.sessions import staged
from qcore.store.sessions.staged import IDLE_LIMIT, Staged
from tests.store.samples import Log, dump, field, full_digest, full_rest, replay, type_of

THING = type_of("Thing", field("Text", Kind.String))


def parts_of(command: Command, stage: str = "s", size: int = 50) -> list[Command]:
    texts = list(cut_text(encode_json(command), size))
    return [*(StagePart(stage, number, text) for number, text in enumerate(texts)), RunStaged(stage, len(texts))]


def test_a_command_in_parts_does_what_it_does_in_one_piece() -> None:
    whole, apart = Log(THING), Log(THING)
    commands: list[Command] = [
        Create("Thing", "a", 1, {"Text": "é\U0001f600" * 100}),
        SetFields(2, "Text", "x" * 200, "add"),
        Pipeline([Create("Thing", "b", "$1"), Create("Thing", "c")]),
    ]
    for command in commands:
        (expected,) = whole.entry(command)
        *silent, found = apart.entry(*parts_of(command))
        assert all(outcome.result is outcome.error is None for outcome in silent)
        assert encode_json(found.result) == encode_json(expected.result)
    assert apart.state.revision == whole.state.revision
    assert not apart.state.staged.open
    assert apart.state.staged.size == 0


def test_parts_may_come_in_many_entries_and_among_others() -> None:
    log = Log(THING)
    first, second = parts_of(Create("Thing", "a"), "1", 20), parts_of(Create("Thing", "b"), "2", 20)
    for one, other in zip(first, second, strict=True):
        outcomes = log.entry(one, other)
    assert [outcome.result.id for outcome in outcomes] == [2, 3]


def test_what_is_staged_changes_neither_revision_nor_digest() -> None:
    log = Log(THING)
    before = log.state.revision, log.state.digest()
    log.entry(*parts_of(Create("Thing", "a"))[:-1])
    assert (log.state.revision, log.state.digest()) == before
    assert log.state.digest() == full_digest(log.state)


def test_a_log_with_parts_is_replayed_to_the_same_state() -> None:
    log = Log(THING)
    for command in parts_of(Create("Thing", "a", 1, {"Text": "x" * 100})):
        log.entry(command)
    log.entry(*parts_of(Create("Thing", "b"))[:-1])
    assert dump(replay(log.records)) == dump(log.state)
    assert replay(log.records).staged.size == log.state.staged.size > 0


@pytest.mark.parametrize(
    "kept", [slice(0, 0), slice(1, None), slice(0, -1)], ids=["none", "not the first", "not the last"]
)
def test_a_command_whose_parts_are_not_all_there_is_refused(kept: slice) -> None:
    log = Log(THING)
    *parts, run = parts_of(Create("Thing", "a"), size=20)
    log.entry(*parts[kept])
    (outcome,) = log.entry(run)
    assert isinstance(outcome.error, Timeout)
    assert outcome.error.data["applied"] == "no"
    assert log.ids("Thing") == []
    assert log.state.staged.size == 0


def test_a_refused_command_leaves_no_parts_behind() -> None:
    log = Log(THING)
    outcome = log.entry(*parts_of(Create("Nope", "a")))[-1]
    assert outcome.error is not None
    assert outcome.error.kind == "not_found"
    assert not log.state.staged.open


def test_a_numbered_command_in_parts_happens_once() -> None:
    log = Log(THING)
    session = log.do(SessionOpen()).session
    command = Create("Thing", "a", session=session, seq=1, hash="h")
    first = log.entry(*parts_of(command))[-1]
    again = log.entry(*parts_of(command, "other"))[-1]
    assert again.before is not None
    assert again.before.raw == encode_json(first.result)
    assert len(log.ids("Thing")) == 1


def test_unfinished_commands_go_by_entry_time() -> None:
    parts = Staged()
    parts.add(StagePart("old", 0, "abc"), 10)
    parts.add(StagePart("new", 0, "de"), 20)
    parts.expire(10 + IDLE_LIMIT)
    assert list(parts.open) == ["old", "new"]
    parts.expire(11 + IDLE_LIMIT)
    assert list(parts.open) == ["new"]
    assert parts.size == 2
    with pytest.raises(Timeout, match="of the 1 parts of this command 0 arrived in time"):
        parts.text(RunStaged("old", 1), 11 + IDLE_LIMIT)


def test_a_part_renews_the_time_of_all() -> None:
    parts = Staged()
    parts.add(StagePart("a", 0, "x"), 10)
    parts.add(StagePart("a", 1, "y"), 10 + IDLE_LIMIT)
    assert parts.text(RunStaged("a", 2), 10 + 2 * IDLE_LIMIT) == "xy"


def test_what_is_staged_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(staged, "MAX_STAGED", 10)
    parts = Staged()
    parts.add(StagePart("a", 0, "12345"), 0)
    with pytest.raises(TooLarge, match="5 characters of unfinished commands"):
        parts.add(StagePart("b", 0, "123456"), 0)
    assert parts.size == 5


def test_the_hash_of_what_is_staged_is_kept_up() -> None:
    log = Log(THING)
    seen = set()
    text = "x" * 30
    for command in [
        StagePart("a", 0, text),
        StagePart("a", 1, text),
        StagePart("b", 0, text),
        StagePart("b", 7, text),  # does not follow: all of it goes
        RunStaged("a", 3),  # nor does that fit
    ]:
        log.entry(command)
        found = log.state.rest().digest()
        assert found == full_rest(log.state)
        seen.add(found.staged)
    assert len(seen) == 4, "b alone came and went"
    log.do(StagePart("c", 0, text))
    log.time += IDLE_LIMIT + 2
    log.do(StagePart("d", 0, text))
    assert log.state.rest().digest() == full_rest(log.state)
    assert dump(replay(log.records)) == dump(log.state)
