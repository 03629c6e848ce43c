from __future__ import annotations

import pytest

from qcore.model.requests.commands import Delete, SchemaSet
from qcore.model.values import Kind
from qcore.store.state.state import State
from qcore.store.watch.history import History
from tests.store.samples import Log, busy_log, field, replay, type_of

THING = type_of("Thing", field("Age"), field("Note", Kind.String))


def filled(writes: int, most: int, most_bytes: int = 1 << 30, note: str = "") -> tuple[Log, History]:
    """A log whose first entity was created before its history began and written to since."""
    log = Log(THING)
    id = log.create("Thing", "x")
    history = History(log.state, most, most_bytes)
    for _ in range(writes):
        log.set(id, "Note", note)
    return log, history


def revisions(history: History, since: int) -> list[int]:
    found = []
    while events := history.following(since):
        since = events[0].revision
        found.append(since)
    return found


def test_what_was_before_it_began_is_not_there() -> None:
    log, history = filled(3, 1000)
    assert history.oldest == log.state.revision - 2
    assert revisions(history, history.gone) == [history.oldest, history.oldest + 1, history.oldest + 2]
    assert history.following(log.state.revision) == []


def test_the_number_of_events_is_bounded_and_the_newest_stay() -> None:
    log, history = filled(10_000, 1600)
    assert 1500 <= len(history) <= 1600
    assert revisions(history, history.gone) == list(range(history.oldest, log.state.revision + 1))
    assert history.oldest > log.state.revision - 1600


@pytest.mark.parametrize("note", ["x" * 50_000, "語" * 17_000], ids=["ASCII", "three bytes each"])
def test_the_bytes_are_bounded(note: str) -> None:
    log, history = filled(200, 1_000_000, most_bytes=1 << 20, note=note)
    assert 1 < len(history) < 22
    assert history.oldest == log.state.revision - len(history) + 1


def test_events_of_children_weigh_no_more_the_more_there_are() -> None:
    log, history = filled(0, 100_000, most_bytes=8 << 20)
    oldest = history.oldest
    top = log.create("Thing", "top")
    for number in range(3000):
        log.create("Thing", f"n{number}", top)
    for id in range(top + 1, top + 1001):
        log.delete(id)
    events = [event for chunk in history.after(history.gone) for event in chunk.events]
    assert history.oldest == oldest
    assert max(event.weight for event in events if event.name == "Children") < 500
    assert not any(type(event.old_value) is list for event in events)


def test_the_newest_revision_stays_whatever_its_size() -> None:
    log, history = filled(1, 1000)
    top = log.create("Thing", "top")
    for number in range(3000):
        log.create("Thing", f"n{number}", top)
    log.delete(top)
    assert len(history.following(log.state.revision - 1)) == 3002
    log.set(2, "Age", 1)
    assert revisions(history, history.gone) == [log.state.revision]


def test_a_revision_without_events_is_passed_over() -> None:
    log, history = filled(1, 1000)
    log.do(SchemaSet(type_of("Other")))
    log.set(2, "Age", 1)
    assert history.head == log.state.revision
    assert revisions(history, history.gone) == [log.state.revision - 2, log.state.revision]


def test_the_log_read_again_makes_the_same_history() -> None:
    log = busy_log(7, 500)
    kept: list[History] = []
    for _ in range(2):
        replay(log.records, lambda state: kept.append(History(state, 500, 1 << 30)))
    one, other = kept
    assert (one.head, one.gone, len(one)) == (other.head, other.gone, len(other))
    assert one.gone > 0
    assert shown(one) == shown(other)


def shown(history: History) -> list[object]:
    return [
        (event.kind, event.revision, event.id, event.name, event.time, event.written, event.old_time, event.old_written)
        for chunk in history.after(history.gone)
        for event in chunk.events
    ]


def test_an_index_is_made_in_steps_and_forgotten() -> None:
    log, history = filled(1200, 100_000)
    pauses = sum(1 for _ in history.prepare(history.gone))
    assert pauses >= 2
    assert all(chunk.indexed == len(chunk.events) for chunk in history.after(history.gone))
    history.forget_indexes()
    assert not any(chunk.index for chunk in history.after(history.gone))
    assert log.state.revision == history.head


def test_a_fresh_state_has_nothing_to_tell() -> None:
    history = History(State(), 1000, 1 << 20)
    assert (history.head, history.gone, history.oldest, len(history)) == (0, 0, 1, 0)
    assert history.following(0) == []


def test_who_was_born_and_who_died_is_known_as_far_as_the_history_reaches() -> None:
    log, history = filled(0, 64)
    parts = [log.create("Thing", f"n{number}") for number in range(3)]
    log.do(Delete(parts[0]))
    born = log.state.revision - 3
    assert history.births == {id: born + place for place, id in enumerate(parts)}
    assert {id: event.revision for id, event in history.deaths.items()} == {parts[0]: log.state.revision}
    for value in range(200):
        log.set(parts[1], "Age", value)
    assert (history.births, history.deaths) == ({}, {})


def test_a_large_revision_is_handed_out_as_it_is_and_taken_apart_in_pieces() -> None:
    log, history = filled(0, 1600)
    top = log.create("Thing", "top")
    for number in range(6000):
        log.create("Thing", f"n{number}", top)
    log.delete(top)
    number = log.state.revision
    events = history.following(number - 1)
    assert len(events) == 6002  # with Children of the root
    assert history.following(number - 1) is events
    assert len(history.deaths) == 6001
    log.set(2, "Age", 1)
    assert (history.gone, len(history.following(number))) == (number, 1)
    assert 5000 < len(history.deaths) < 6001
    for value in range(20):
        log.set(2, "Age", value)
    assert history.deaths == {}
    assert events == []
