from __future__ import annotations

from typing import Any

import msgspec
import pytest

from qcore.model.entry import Entry, EntryBody, LogId
from qcore.model.errors import Diverged
from qcore.model.leader_commands import CheckDigest, OpenEpoch, RaiseLevel, RemoveDisk, StagePart
from qcore.model.requests.commands import Create, SessionOpen
from qcore.model.requests.queries import Digest
from qcore.model.requests.results import SessionOpened
from qcore.model.times import NS
from qcore.store import read
from qcore.store.apply import apply_entry
from tests.store.samples import Log, dump, epoch, field, full_rest, replay, type_of
from tests.store.state.test_snapshot_lines import again, written

THING = type_of("Thing", field("Age"))


def checked(log: Log) -> CheckDigest:
    newest = log.state.checks.newest(log.state.level)
    assert newest is not None
    return newest


def test_a_check_of_the_same_state_is_kept_and_changes_nothing() -> None:
    log = Log(THING)
    log.create("Thing", "a")
    before = log.state.revision, log.state.digest()
    check = checked(log)
    log.do(check)
    assert (log.state.revision, log.state.digest()) == before
    (kept,) = log.state.checks.last
    assert (kept.index, kept.revision, kept.digest) == (check.index, *before)


def test_a_check_may_come_some_entries_later() -> None:
    log = Log(THING)
    check = checked(log)
    for name in "abc":
        log.create("Thing", name)
    log.do(check)
    assert [kept.index for kept in log.state.checks.last] == [0]


def test_another_digest_stops_the_node_and_both_are_named() -> None:
    log = Log(THING)
    index, digest = checked(log).index, log.state.digest()
    with pytest.raises(Diverged) as caught:
        log.do(CheckDigest(index, "0" * 32))
    assert caught.value.exit_code == 70
    assert digest in caught.value.message
    assert "0" * 32 in caught.value.message
    assert f"log index {index}" in caught.value.message


def test_a_check_of_what_this_node_did_not_apply_itself_is_passed_over() -> None:
    log = Log(THING)
    log.do(CheckDigest(-5, "0" * 32))
    assert not log.state.checks.last


def test_the_newest_sixteen_are_told_the_last_first() -> None:
    log = Log(THING)
    for _ in range(20):
        log.do(checked(log))
    answer = read.digest(log.state, Digest())
    assert [check.index for check in answer.checks] == list(range(19, 3, -1))
    assert (answer.revision, answer.digest) == (log.state.revision, log.state.digest())


def test_a_log_read_again_is_held_against_its_checks() -> None:
    log = Log(THING)
    log.create("Thing", "a")
    log.do(checked(log))
    assert dump(replay(log.records)) == dump(log.state)
    log.records[1] = log.records[1].replace(b'"a"', b'"b"')
    with pytest.raises(Diverged):
        replay(log.records)


def test_only_so_many_entries_are_remembered() -> None:
    log = Log(THING)
    old = checked(log)
    for _ in range(1100):
        log.entry()
    log.do(CheckDigest(old.index, "0" * 32))
    assert not log.state.checks.last


# -- what is not in the digest -----------------------------------------------------------------------------


def at_level(level: int) -> Log:
    """A log with a session that was used once."""
    log = Log(THING)
    log.do(RaiseLevel(level))
    log.do(OpenEpoch(epoch(1)))
    session: SessionOpened = log.do(SessionOpen())
    log.entry(Create("Thing", "a", session=session.session, seq=1, hash="ab"))
    return log


def test_below_level_4_a_check_is_of_the_digest_alone() -> None:
    log = at_level(3)
    assert checked(log).rest is None
    log.do(checked(log))
    assert log.state.checks.last[0].rest is None
    assert b"rest" not in log.records[-1]
    assert b"rest" not in written(log.state)


def test_from_level_4_on_the_rest_is_checked_told_and_in_a_snapshot() -> None:
    log = at_level(4)
    check = checked(log)
    assert check.rest == full_rest(log.state)
    log.do(check)
    answer = read.digest(log.state, Digest())
    assert answer.checks[0].rest == check.rest
    assert (answer.index, answer.rest) == (log.state.applied, full_rest(log.state))
    assert again(log.state).checks.last == log.state.checks.last


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("time", 5, "the state's time is"),
        ("level", 3, "the feature level is 4 on this node and was 3 on the leader"),
        ("sessions", "0" * 32, "the hash of the sessions is"),
        ("staged", "1" * 32, "the hash of what is staged is"),
        ("epochs", "2" * 32, "the hash of the epochs is"),
        ("removed", "3" * 32, "the hash of the removed disks is"),
    ],
)
def test_another_rest_stops_the_node_which_says_what_differs(name: str, value: Any, words: str) -> None:
    log = at_level(6 if name == "removed" else 4)
    check = checked(log)
    assert check.rest is not None
    with pytest.raises(Diverged, match=words) as caught:
        log.do(msgspec.structs.replace(check, rest=msgspec.structs.replace(check.rest, **{name: value})))
    assert str(getattr(check.rest, name)) in caught.value.message
    assert str(value) in caught.value.message
    assert caught.value.message.count("on this node") == 1, "nothing else differs"
    assert "digest" not in caught.value.message


def test_removed_disks_are_checked_from_level_6_on() -> None:
    assert checked(at_level(5)).rest == full_rest(at_level(5).state)
    log = at_level(5)
    log.do(checked(log))
    assert b"removed" not in log.records[-1], "a version that knows level 5 alone reads it"
    log = at_level(6)
    log.do(RemoveDisk(node=131_072, incarnation="ab" * 16))
    check = checked(log)
    assert check.rest is not None
    assert check.rest == full_rest(log.state)
    assert check.rest.removed not in ("", "0" * 32)
    log.do(check)


@pytest.mark.parametrize("change", ["answered", "staged", "named"])
def test_a_replica_whose_rest_differs_stops(change: str) -> None:
    """Its digest is the leader's; without the second hash it would go on, and answer a retry otherwise."""
    log = at_level(4)
    log.do(StagePart("s", 0, "text"))
    log.do(checked(log))
    broken = {
        "answered": (b'"hash":"ab"', b'"hash":"ac"'),
        "staged": (b'"text":"text"', b'"text":"texts"'),
        "named": (epoch(1).encode(), epoch(2).encode()),
    }[change]
    records = [record.replace(*broken) for record in log.records]
    assert records != log.records
    with pytest.raises(Diverged, match="the hash of"):
        replay(records)


def test_of_a_half_applied_entry_the_rest_before_it_is_told() -> None:
    log = at_level(4)
    before = log.state.applied, full_rest(log.state)
    body = EntryBody(4, log.time + NS, "commands", [SessionOpen(), Create("Thing", "b")])
    outcomes = apply_entry(log.state, Entry(LogId(1, 65_536, log.state.applied + 1), body))
    next(outcomes)
    answer = read.digest(log.state, Digest())
    assert (answer.index, answer.rest) == before
