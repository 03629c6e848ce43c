"""Feature levels: what a log of each gives, whatever version of the code applies it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody, LogId, Membership
from qcore.model.errors import BadParams, Compacted, Conflict, Newer, SessionExpired
from qcore.model.leader_commands import OpenEpoch, RaiseLevel
from qcore.model.requests.commands import Create, Expect, SessionOpen, SetFields
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.requests.queries import TypesList
from qcore.model.requests.results import StepFailed
from qcore.model.times import NS
from qcore.model.wire import encode_json
from qcore.store import read
from qcore.store.apply import Outcome, apply_entry
from qcore.store.sessions.sessions import Sessions
from qcore.store.state.state import State
from tests.store.samples import Log, busy_log, dump, epoch, field, full_digest, full_rest, type_of
from tests.store.state.test_snapshot_lines import again, everything, written

THING = type_of("Thing", field("Age"))


def answer(outcome: Outcome) -> bytes:
    if outcome.before is not None:
        return outcome.before.raw
    return encode_json(outcome.result if outcome.error is None else outcome.error.wire())


def replayed(records: list[bytes]) -> tuple[State, str]:
    """The state that a log gives, and a hash of all its answers."""
    state, hashed = State(), hashlib.sha256()
    for index, record in enumerate(records):
        entry = Entry(LogId(1, 65_536, index), msgspec.json.decode(record, type=EntryBody))
        for outcome in apply_entry(state, entry):
            hashed.update(answer(outcome))
    return state, hashed.hexdigest()


def uneven(records: list[bytes]) -> list[bytes]:
    """The same commands by a clock that steps back, with blank entries in between whose time runs ahead."""
    found = []
    for number, record in enumerate(records):
        body = msgspec.json.decode(record, type=EntryBody)
        if number % 7 == 3:
            body.time -= 40 * NS
        found.append(msgspec.json.encode(body))
        if number % 5 == 2:
            found.append(msgspec.json.encode(EntryBody(1, body.time + 3 * NS, "blank")))
    return found


@pytest.mark.parametrize(
    ("seed", "digest", "answers"),
    [
        (
            1,
            "94f42eb54c84b022cbda0676a901a27e",
            "02f46ad85f4cee01d723dcf9f7680d11e5a8759a20f85485b1e3c4e368c67715",
        ),
        (
            2,
            "19d7e93b967a539bbdab8d501193b8cc",
            "0b5de5a24c143a7238545606295c74598136ce6e7589fd62e10d13b9ea8a6a1f",
        ),
        (
            3,
            "b410fcaf6dd09a76a19261995562dbdc",
            "c7a26f52e00880d710a74187d3ead24b055cf977f42eb5371049f4bcb00e48a9",
        ),
    ],
)
def test_a_log_of_level_1_gives_what_it_always_gave(seed: int, digest: str, answers: str) -> None:
    """Digests and answers are those of the version that knew level 1 alone."""
    state, found = replayed(uneven(busy_log(seed, 150).records))
    assert (state.level, state.digest(), found) == (1, digest, answers)
    assert state.time == 1_700_000_003_148_000_000
    assert state.epochs.all == []
    assert [id for id, *_ in state.sessions.dump()] == [1]
    assert b'"epochs"' not in written(state)


# -- level 2 -----------------------------------------------------------------------------------------------


def at_level_2(*epochs: str) -> Log:
    log = Log(THING)
    log.do(RaiseLevel(2))
    for each in epochs:
        log.do(OpenEpoch(each))
    return log


def blank(log: Log, time: int, **kwargs: Any) -> None:
    """Apply an entry without commands."""
    body = EntryBody(FEATURE_LEVEL, time, kwargs.pop("kind", "blank"), **kwargs)
    log.records.append(msgspec.json.encode(body))
    assert list(apply_entry(log.state, Entry(LogId(1, 65_536, len(log.records) - 1), body))) == []


@pytest.mark.parametrize(
    ("seed", "digest", "answers"),
    [
        (
            1,
            "9ed842da6011f167501a9c59bf0f7e19",
            "56f0b5a8d178c007ce417dc8644064516271e0abb22e7cf1095409d1a32fe4d2",
        ),
        (
            2,
            "056020367860149ec3dfc2bd067599d7",
            "7e2ae62b5c1bfead4db59b7cacef414908b3bac859f636dad35d537ad8cc34ac",
        ),
        (
            3,
            "8b308fa8ee7329f928c314593979b0df",
            "dae30c201a93c96eba60803016457e18cdbebe7138f22e16738defaa4a701d83",
        ),
    ],
)
def test_a_log_of_level_2_gives_what_it_always_gave(seed: int, digest: str, answers: str) -> None:
    """Digests and answers are those of the last version whose highest level was 2."""
    state, found = replayed(uneven([*busy_log(seed, 40).records, *busy_log(seed, 150, level=2).records]))
    assert (state.level, state.digest(), found) == (2, digest, answers)


@pytest.mark.parametrize(("seed", "level"), [(1, 2), (2, 2), (1, 3), (2, 3), (1, 4), (2, 4)])
def test_a_log_that_rises_gives_the_same_again(seed: int, level: int) -> None:
    """With a clock that steps back, blank entries that bear times, epochs and their sessions; and from a snapshot."""
    records = [*busy_log(seed, 40).records, *busy_log(seed, 80, level=level).records]
    records = uneven(records)
    (state, answers), (twin, same) = replayed(records), replayed(records)
    assert state.level == level
    assert len(state.epochs) > 3
    assert len({id for id, *_ in state.sessions.dump()}) > 3
    assert (everything(state), answers) == (everything(twin), same)
    assert state.digest() == full_digest(state)
    assert state.rest().digest() == full_rest(state) == again(state).rest().digest()
    assert everything(again(state)) == everything(state)
    assert written(again(state)) == written(state)


def test_the_time_of_level_2_is_that_of_commands_alone() -> None:
    log = Log(THING)
    blank(log, log.time + 5 * NS)
    ahead = log.state.time
    assert ahead == log.time + 5 * NS
    log.do(RaiseLevel(2))
    blank(log, ahead + 5 * NS)
    blank(log, ahead + 5 * NS, kind="membership", membership=Membership([[65_536]], {}))
    blank(log, 0)
    assert log.state.time == ahead
    log.time += 7 * NS
    log.create("Thing", "a")
    assert log.state.time == log.time > ahead


def test_a_level_that_is_not_known_is_never_in_force() -> None:
    log = Log(THING)
    before = dump(log.state)
    with pytest.raises(Newer, match=f"feature level {FEATURE_LEVEL + 1} in force, this version knows") as caught:
        log.entry(RaiseLevel(FEATURE_LEVEL + 1))
    assert caught.value.exit_code == 65
    assert dump(log.state) == before


def test_a_level_is_never_lowered() -> None:
    log = at_level_2()
    log.do(RaiseLevel(1))
    assert log.state.level == 2


# -- epochs ------------------------------------------------------------------------------------------------


def test_an_epoch_begins_with_the_next_revision_and_changes_nothing_else() -> None:
    log = at_level_2(epoch(1))
    revision, digest = log.state.revision, log.state.digest()
    (outcome,) = log.entry(OpenEpoch(epoch(2)))
    assert (outcome.result, outcome.error, outcome.changes) == (None, None, [])
    assert (log.state.revision, log.state.digest()) == (revision, digest)
    log.create("Thing", "a")
    log.do(OpenEpoch(epoch(3)))
    assert log.state.epochs.all == [(epoch(1), revision + 1), (epoch(2), revision + 1), (epoch(3), revision + 2)]
    assert log.state.epochs.current == epoch(3)


@pytest.mark.parametrize("name", ["", "0" * 15, "0" * 17, "A" * 16, "g" * 16, "٠" * 16, "x" * 10_000])
def test_an_epoch_is_sixteen_lower_hex_digits(name: str) -> None:
    log = at_level_2()
    with pytest.raises(BadParams, match="16 lower hex digits"):
        log.do(OpenEpoch(name))
    assert log.state.epochs.all == []


def test_level_1_knows_no_epochs() -> None:
    log = Log(THING)
    thing = log.create("Thing", "a")
    revision = log.state.revision
    with pytest.raises(BadParams, match="epochs begin with feature level 2, 1 is in force"):
        log.do(OpenEpoch(epoch(1)))
    with pytest.raises(BadParams, match="epochs begin with feature level 2"):
        log.set(thing, "Age", 1, expect=Expect(revision=0, epoch=epoch(1)))
    with pytest.raises(BadParams, match="epochs begin with feature level 2"):
        log.do(Transaction([], [Condition(thing, "Age", revision=0, epoch=epoch(1))]))
    (step,) = log.do(Pipeline([SetFields(thing, "Age", 1, expect=Expect(revision=0, epoch=epoch(1)))]))
    assert isinstance(step, StepFailed)
    assert step.error["data"]["kind"] == "bad_params"
    assert (log.state.revision, log.state.epochs.all) == (revision, [])


# -- sessions ----------------------------------------------------------------------------------------------


def test_session_ids_of_two_histories_have_nothing_in_common() -> None:
    """Opened alike, in the same places of two logs that differ in the name of an epoch alone."""
    ids = []
    for name in (epoch(1), epoch(2)):
        log = at_level_2(name)
        ids.append([log.do(SessionOpen()).session for _ in range(50)])
    assert len({*ids[0], *ids[1]}) == 100
    assert all(0 < id < 1 << 53 for id in ids[0] + ids[1])


def test_a_numbered_write_of_a_session_of_another_history_is_expired() -> None:
    """As after an older backup: it is not taken for the write of another client that had the same number."""
    session = at_level_2(epoch(1)).do(SessionOpen()).session
    log = at_level_2(epoch(2))
    log.do(SessionOpen())
    (outcome,) = log.entry(Create("Thing", "a", session=session, seq=1, hash="h"))
    assert isinstance(outcome.error, SessionExpired)
    assert outcome.error.data["applied"] == "unknown"


def test_session_ids_go_on_from_a_snapshot() -> None:
    log = at_level_2(epoch(1))
    log.do(SessionOpen())
    other = again(log.state)
    (outcome,) = apply_entry(other, log.next(SessionOpen()))
    expected = at_level_2(epoch(1))
    ids = [expected.do(SessionOpen()).session for _ in range(2)]
    assert outcome.result.session == ids[1]


def test_a_session_id_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody will ever see it happen; nor the 0, which means no session."""
    made = iter([5, 5, 0, 7])
    monkeypatch.setattr("qcore.store.sessions.sessions._id_of", lambda _epoch, _number: next(made))
    sessions = Sessions()
    assert [sessions.open(0, epoch(1)) for _ in range(2)] == [5, 7]
    assert sessions.next_number == 5


def test_sessions_of_level_1_go_on_at_level_2() -> None:
    log = Log(THING)
    session = log.do(SessionOpen()).session
    assert session == 1
    log.do(RaiseLevel(2))
    log.do(OpenEpoch(epoch(1)))
    first = log.do(Create("Thing", "a", session=session, seq=1, hash="h"))
    (outcome,) = log.entry(Create("Thing", "a", session=session, seq=1, hash="h"))
    assert outcome.before is not None
    assert outcome.before.raw == encode_json(first)


# -- what clients expect -----------------------------------------------------------------------------------


def two_epochs() -> tuple[Log, int, int]:
    """A thing whose age was written in the first epoch and then, to the same revision of it, not in the second."""
    log = at_level_2(epoch(1))
    thing = log.create("Thing", "a", Age=3)
    written_at = log.state.revision
    log.create("Thing", "b")
    log.do(OpenEpoch(epoch(2)))
    return log, thing, written_at


@pytest.mark.parametrize("number", [1, 2])
def test_an_expected_revision_holds_in_each_epoch_in_which_it_could_be_read(number: int) -> None:
    """The field's revision is older than the second epoch: who reads it then still has it of this history."""
    log, thing, revision = two_epochs()
    log.do(Transaction([], [Condition(thing, "Age", revision=revision, epoch=epoch(number))]))
    assert log.set(thing, "Age", 4, expect=Expect(revision=revision, epoch=epoch(number))).applied


def test_a_revision_of_another_history_is_a_conflict_though_the_numbers_agree() -> None:
    log, thing, _ = two_epochs()
    log.set(thing, "Age", 4)
    revision = log.state.revision
    for name in (epoch(1), epoch(9)):
        with pytest.raises(Conflict, match=f"expected revision {revision} of another history, found value 4") as caught:
            log.set(thing, "Age", 5, expect=Expect(revision=revision, epoch=name))
        assert caught.value.data["revision"] == revision
        with pytest.raises(Conflict, match=f"condition 1: .* expected revision {revision} of another history"):
            log.do(Transaction([], [Condition(thing, "Age", revision=revision, epoch=name)]))
    assert log.set(thing, "Age", 5, expect=Expect(revision=revision, epoch=epoch(2))).applied


def test_an_epoch_goes_with_a_revision() -> None:
    log, thing, _ = two_epochs()
    with pytest.raises(BadParams, match="an epoch goes with a revision, not with a value"):
        log.set(thing, "Age", 5, expect=Expect(value=3, epoch=epoch(2)))
    with pytest.raises(BadParams, match="an epoch goes with a revision, not with op and value"):
        log.do(Transaction([], [Condition(thing, "Age", "==", 3, epoch=epoch(2))]))
    with pytest.raises(BadParams, match="exists stands alone"):
        log.do(Transaction([], [Condition(thing, exists=True, epoch=epoch(2))]))


# -- cursors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [[], ["Age"]], ids=["by id", "by age"])
def test_cursors_of_another_history_are_compacted(order: list[str]) -> None:
    log, other = at_level_2(epoch(1)), at_level_2(epoch(2))
    for each in (log, other):
        for number in range(3):
            each.create("Thing", f"n{number}", Age=number)
    cursor = log.find("Thing", order_by=order, limit=1).cursor
    log.do(OpenEpoch(epoch(3)))
    assert len(log.find("Thing", order_by=order, cursor=cursor).items) == 2
    with pytest.raises(Compacted, match="this cursor is of another history"):
        other.find("Thing", order_by=order, cursor=cursor)
    page = read.types(log.state, TypesList(limit=1), 10)
    assert read.types(log.state, TypesList(limit=1, cursor=page.cursor), 10).items == ["Root"]
    with pytest.raises(Compacted, match="this cursor is of another history"):
        read.types(other.state, TypesList(limit=1, cursor=page.cursor), 10)
