from __future__ import annotations

from typing import Any

import msgspec
import pytest

from qcore.model.errors import BadParams, InvalidRequest, RequestError, SessionExpired
from qcore.model.requests.commands import Create, SchemaSet, SessionOpen, SetFields
from qcore.model.requests.results import SessionOpened
from qcore.model.times import NS
from qcore.model.values import Kind
from qcore.store.apply import Outcome
from qcore.store.sessions import sessions
from qcore.store.sessions.sessions import (
    IDLE_LIMIT,
    MAX_BYTES,
    MAX_SESSIONS,
    WINDOW,
    WINDOW_BYTES,
    Answer,
    Session,
    Sessions,
)
from tests.store.samples import Log, dump, field, full_rest, replay, type_of

THING = type_of("Thing", field("Age"), field("Text", Kind.String))


@pytest.fixture
def log() -> Log:
    return Log(THING)


@pytest.fixture
def session(log: Log) -> int:
    opened: SessionOpened = log.do(SessionOpen())
    return opened.session


def send(log: Log, command: Any, session: int, seq: int, acked: int = 0, hash: str | None = None) -> Outcome:
    """A numbered write; as the leader does, the hash is that of the command without its number."""
    command = msgspec.structs.replace(command, hash=str(command) if hash is None else hash)
    (outcome,) = log.entry(msgspec.structs.replace(command, session=session, seq=seq, acked=acked))
    return outcome


def error(outcome: Outcome) -> RequestError:
    assert outcome.error is not None
    return outcome.error


def before(outcome: Outcome) -> Any:
    """The answer that a number was given before."""
    assert outcome.before is not None
    return msgspec.json.decode(outcome.before.raw)


# -- exactly once ------------------------------------------------------------------------------------------


def test_sessions_are_numbered_by_the_state(log: Log) -> None:
    assert [log.do(SessionOpen()).session for _ in range(3)] == [1, 2, 3]
    assert len(log.state.sessions) == 3


def test_a_retry_gets_the_first_answer_and_is_not_applied_again(log: Log, session: int) -> None:
    first = send(log, Create("Thing", "x", 1), session, 1)
    revision = log.state.revision
    for _ in range(3):
        assert before(send(log, Create("Thing", "x", 1), session, 1)) == msgspec.to_builtins(first.result)
    assert log.state.revision == revision
    assert len(log.ids("Thing")) == 1


def test_a_retry_in_the_same_entry_is_not_applied_again(log: Log, session: int) -> None:
    command = Create("Thing", "x", 1, session=session, seq=1, hash="h")
    first, second = log.entry(command, command)
    assert before(second) == msgspec.to_builtins(first.result)
    assert len(log.ids("Thing")) == 1


def test_a_refusal_is_kept_too_even_where_the_retry_would_succeed(log: Log, session: int) -> None:
    refused = send(log, SetFields(2, "Age", 1), session, 1)
    assert error(refused).kind == "not_found"
    assert log.create("Thing", "x") == 2
    again = send(log, SetFields(2, "Age", 1), session, 1)
    assert again.before is not None
    assert again.before.failed
    assert before(again) == msgspec.json.decode(msgspec.json.encode(error(refused).wire()))
    assert log.value(2, "Age") == 0


def test_a_number_used_for_another_command_is_refused(log: Log, session: int) -> None:
    send(log, Create("Thing", "x", 1), session, 1)
    outcome = send(log, Create("Thing", "y", 1), session, 1)
    assert isinstance(outcome.error, InvalidRequest)
    assert outcome.error.data["applied"] == "no"
    assert before(send(log, Create("Thing", "x", 1), session, 1))["id"] == 2
    assert len(log.ids("Thing")) == 1


def test_numbers_may_come_in_any_order_and_each_counts_once(log: Log, session: int) -> None:
    for seq in (3, 1, 2, 3, 2, 1):
        send(log, Create("Thing", f"n{seq}", 1), session, seq)
    assert [log.value(id, "Name") for id in log.ids("Thing")] == ["n3", "n1", "n2"]


def test_two_sessions_do_not_share_numbers(log: Log, session: int) -> None:
    other = log.do(SessionOpen()).session
    for number in (session, other):
        assert send(log, Create("Thing", "x", 1), number, 1).error is None
    assert len(log.ids("Thing")) == 2


@pytest.mark.parametrize("seq", [0, -1, 2**63])
def test_numbers_are_from_one_to_what_64_bits_hold(log: Log, session: int, seq: int) -> None:
    assert isinstance(send(log, Create("Thing", "x"), session, seq).error, BadParams)
    assert send(log, Create("Thing", "x"), session, 2**63 - 1).error is None


def test_an_unknown_session_is_expired_and_nothing_is_applied(log: Log, session: int) -> None:
    for unknown in (session + 1, -5):
        outcome = send(log, Create("Thing", "x"), unknown, 1)
        assert isinstance(outcome.error, SessionExpired)
        assert outcome.error.data["applied"] == "unknown"
    assert log.ids("Thing") == []


# -- the window --------------------------------------------------------------------------------------------


def test_what_the_client_has_is_forgotten_and_never_applied_again(log: Log, session: int) -> None:
    for seq in (1, 2, 3):
        send(log, Create("Thing", f"n{seq}"), session, seq)
    send(log, Create("Thing", "n4"), session, 4, acked=3)
    for seq in (1, 2):
        assert isinstance(send(log, Create("Thing", f"n{seq}"), session, seq).error, SessionExpired)
    assert before(send(log, Create("Thing", "n3"), session, 3))["id"] == 4
    assert len(log.ids("Thing")) == 4


def test_acked_beyond_the_own_number_does_not_forget_it(log: Log, session: int) -> None:
    send(log, Create("Thing", "x"), session, 5, acked=99)
    assert before(send(log, Create("Thing", "x"), session, 5, acked=99))["id"] == 2


def test_the_window_holds_128_answers(log: Log, session: int) -> None:
    for seq in range(1, WINDOW + 1):
        send(log, Create("Thing", "x"), session, seq)
    assert before(send(log, Create("Thing", "x"), session, 1))["id"] == 2
    send(log, Create("Thing", "x"), session, WINDOW + 1)
    assert isinstance(send(log, Create("Thing", "x"), session, 1).error, SessionExpired)
    assert before(send(log, Create("Thing", "x"), session, 2))["id"] == 3
    assert len(log.ids("Thing")) == WINDOW + 1


def test_a_late_number_below_a_full_window_is_not_applied(log: Log, session: int) -> None:
    """Nobody knows any more whether it was: it has to be refused."""
    for seq in range(1000, 1000 + WINDOW + 1):
        send(log, Create("Thing", "x"), session, seq)
    outcome = send(log, Create("Thing", "late"), session, 1)
    assert isinstance(outcome.error, SessionExpired)
    assert outcome.error.data["applied"] == "unknown"
    assert len(log.ids("Thing")) == WINDOW + 1


def test_the_lowest_number_may_be_applied_into_a_full_window_but_once() -> None:
    session = Session(1, 0, Sessions())
    for seq in range(2, WINDOW + 2):
        session.keep(seq, Answer("h", False, b"1"))
    assert session.find(1, 0, "h") is None
    session.keep(1, Answer("h", False, b"1"))
    with pytest.raises(SessionExpired):
        session.find(1, 0, "h")
    assert session.find(2, 0, "h") is not None


def test_the_window_holds_a_mebibyte_of_answers() -> None:
    session = Session(1, 0, Sessions())
    quarter = b"x" * (WINDOW_BYTES // 4)
    for seq in range(1, 5):
        session.keep(seq, Answer("h", False, quarter))
    assert session.find(1, 0, "h") is not None
    session.keep(5, Answer("h", False, b"x"))
    with pytest.raises(SessionExpired, match="window, which begins at 2"):
        session.find(1, 0, "h")
    assert sorted(session.answers) == [2, 3, 4, 5]
    assert session.size == 3 * len(quarter) + 1


def test_the_newest_answer_is_kept_whatever_its_size() -> None:
    """Otherwise the outcome of a long pipeline could not be told to a client that lost its connection."""
    session = Session(1, 0, Sessions())
    session.keep(1, Answer("h", False, b"x" * (WINDOW_BYTES + 1)))
    assert session.find(1, 0, "h") is not None
    session.keep(2, Answer("h", False, b"x"))
    with pytest.raises(SessionExpired):
        session.find(1, 0, "h")


def test_the_longest_unused_session_makes_room_for_long_answers() -> None:
    long = Answer("h", False, b"x" * WINDOW_BYTES)
    sessions = Sessions()
    for time in range(MAX_BYTES // WINDOW_BYTES + 2):
        sessions.use(sessions.open(time), time).keep(1, long)
    assert [id for id, *_ in sessions.dump()] == list(range(3, MAX_BYTES // WINDOW_BYTES + 3))
    assert sessions.size == MAX_BYTES
    sessions.use(3, time).find(2, 2, "h")
    assert sessions.size == MAX_BYTES - WINDOW_BYTES
    sessions.expire(time + IDLE_LIMIT + 1)
    assert sessions.size == 0


# -- expiry ------------------------------------------------------------------------------------------------


def test_a_session_expires_by_entry_time(log: Log, session: int) -> None:
    send(log, Create("Thing", "x"), session, 1)
    log.time += IDLE_LIMIT - 1_000_000
    assert before(send(log, Create("Thing", "x"), session, 1))["id"] == 2
    log.time += IDLE_LIMIT
    outcome = send(log, Create("Thing", "x"), session, 1)
    assert isinstance(outcome.error, SessionExpired)
    assert outcome.error.data["applied"] == "unknown"
    assert len(log.state.sessions) == 0
    assert len(log.ids("Thing")) == 1


def test_the_clock_of_a_new_leader_does_not_bring_a_session_back(log: Log, session: int) -> None:
    log.time += 2 * IDLE_LIMIT
    log.create("Thing", "x")
    log.time -= 2 * IDLE_LIMIT
    assert isinstance(send(log, Create("Thing", "y"), session, 1).error, SessionExpired)


def test_an_expired_number_is_never_a_session_again(log: Log, session: int) -> None:
    log.time += 2 * IDLE_LIMIT
    assert log.do(SessionOpen()).session == session + 1


def test_the_longest_unused_session_makes_room() -> None:
    sessions = Sessions()
    for time in range(MAX_SESSIONS):
        sessions.open(time)
    sessions.use(1, MAX_SESSIONS)
    newest = sessions.open(MAX_SESSIONS + 1)
    assert len(sessions) == MAX_SESSIONS
    assert newest == MAX_SESSIONS + 1
    sessions.use(1, MAX_SESSIONS + 2)
    with pytest.raises(SessionExpired, match="session 2 is unknown, was unused for more than 3600 s, or made"):
        sessions.use(2, MAX_SESSIONS + 2)


def test_expiry_takes_exactly_the_unused() -> None:
    sessions = Sessions()
    for time in (0, NS, 2 * NS):
        sessions.open(time)
    sessions.use(1, 3 * NS)
    sessions.expire(2 * NS + IDLE_LIMIT)
    assert [id for id, *_ in sessions.dump()] == [3, 1]
    sessions.expire(2 * NS + IDLE_LIMIT + 1)
    assert [id for id, *_ in sessions.dump()] == [1]


# -- replay ------------------------------------------------------------------------------------------------


def test_sessions_are_the_same_after_a_replay(log: Log, session: int) -> None:
    for seq in range(1, 200):
        send(log, Create("Thing", "x" if seq % 3 else ""), session, seq, acked=seq // 2)
        send(log, SchemaSet(THING), session, seq // 3 + 1, acked=seq // 4)
    again = replay(log.records)
    assert again.sessions.dump() == log.state.sessions.dump()
    assert dump(again) == dump(log.state)


# -- the sum that replicas compare -------------------------------------------------------------------------


def summed(log: Log) -> str:
    """Hash of the sessions as the state has it, once it is known that it is that of what is there."""
    found = log.state.rest().digest().sessions
    assert found == full_rest(log.state).sessions
    return found


def test_the_hash_of_the_sessions_tells_every_change_of_them(log: Log, session: int) -> None:
    seen = {summed(log)}

    def changed() -> bool:
        before = len(seen)
        seen.add(summed(log))
        return len(seen) > before

    send(log, Create("Thing", "a"), session, 1)
    assert changed(), "a number was answered"
    send(log, Create("Thing", "a", 99), session, 2)
    assert changed(), "a number was refused"
    send(log, Create("Thing", "b"), session, 3, acked=2)
    assert changed(), "the client has an answer"
    send(log, Create("Thing", "b"), session, 3, acked=2)
    assert changed(), "the session was used again"
    log.do(SessionOpen())
    assert changed(), "there is one more"
    log.do(Create("Thing", "c"))
    assert not changed(), "a write without a session is none of this"
    log.time += IDLE_LIMIT + 2
    log.do(SessionOpen())
    assert changed(), "the others have expired"
    assert len(log.state.sessions) == 1


def test_the_hash_of_the_sessions_is_kept_up_where_they_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    monkeypatch.setattr(sessions, "MAX_BYTES", 150)
    log = Log(THING)
    opened: list[SessionOpened] = [log.do(SessionOpen()) for _ in range(5)]
    for seq in range(1, 5):
        for each in opened[2:]:
            send(log, Create("Thing", f"n{seq}"), each.session, seq)
            summed(log)
    assert len(log.state.sessions) < 3
    assert dump(replay(log.records)) == dump(log.state)
