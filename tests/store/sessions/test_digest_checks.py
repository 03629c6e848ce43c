from __future__ import annotations

import pytest

from qcore.model.errors import Diverged
from qcore.model.leader_commands import CheckDigest
from qcore.model.requests.queries import Digest
from qcore.store import read
from tests.store.samples import Log, dump, field, replay, type_of

THING = type_of("Thing", field("Age"))


def checked(log: Log) -> CheckDigest:
    newest = log.state.checks.newest
    assert newest is not None
    return CheckDigest(*newest)


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
