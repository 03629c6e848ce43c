"""Trackers on their own; that they tell the right thing is the machine's business."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest

from qcore.model.requests.commands import SetFields
from qcore.model.requests.compound import Transaction
from qcore.store.watch import tracker
from qcore.store.watch.events import PathEvent
from qcore.store.watch.history import History
from qcore.store.watch.tracker import Revision, Tracker
from tests.store.samples import PART, Log

T = TypeVar("T")


def whole(work: Generator[None, None, T]) -> T:
    """What work in slices comes to."""
    return pauses(work)[1]


def pauses(work: Generator[None, None, T]) -> tuple[int, T]:
    """How often it paused, too."""
    count = 0
    while True:
        try:
            next(work)
        except StopIteration as done:
            return count, done.value
        count += 1


class Followed:
    """A log, and a tracker of `path` that follows it revision by revision."""

    def __init__(self, path: str, type: str | None = "Part") -> None:
        self.log = Log(PART)
        self.history = History(self.log.state, 100_000, 1 << 30)
        self.tracker = Tracker(path, type)
        self.revision = self.log.state.revision

    def news(self) -> list[PathEvent]:
        found = []
        while events := self.history.following(self.revision):
            self.revision = events[0].revision
            for id in whole(self.tracker.touched(events)):
                event = self.tracker.refresh(self.log.state, id, whole(Revision.of(events)))
                found += [event] if event is not None else []
        return found


def test_a_write_at_the_end_concerns_all_that_lead_there() -> None:
    follow = Followed("Next->Size")
    log = follow.log
    end = log.create("Part", "end", Size=1)
    starts = [log.create("Part", f"s{n}", Next=end) for n in range(3)]
    assert len(follow.news()) == 3
    log.set(end, "Label", "not on the path")
    assert follow.news() == []
    log.set(end, "Size", 2)
    events = follow.news()
    assert [event.id for event in events] == starts
    assert {(event.previous.value, event.current.value) for event in events if event.previous and event.current} == {
        (1, 2)
    }


def test_the_same_reference_written_again_leads_nowhere_else() -> None:
    follow = Followed("Next->Size")
    end = follow.log.create("Part", "end")
    start = follow.log.create("Part", "s", Next=end)
    follow.news()
    follow.log.set(start, "Next", end)
    assert follow.news() == []


def test_a_path_that_breaks_says_why() -> None:
    follow = Followed("Next->Next->Size")
    log = follow.log
    end = log.create("Part", "end", Size=4)
    middle = log.create("Part", "middle", Next=end)
    start = log.create("Part", "start", Next=middle)
    follow.news()
    log.delete(end)
    (event,) = follow.news()
    assert (event.id, event.current) == (start, None)
    assert event.error is not None
    assert event.error.kind == "not_found"
    assert event.previous is not None
    assert event.previous.value == 4


@pytest.mark.parametrize("type", ["Part", None])
def test_nothing_is_left_when_everything_is_dropped(type: str | None) -> None:
    follow = Followed("Next->Next->Size", type)
    log = follow.log
    ids = [log.create("Part", f"n{n}") for n in range(10)]
    for id in ids:
        log.set(id, "Next", ids[(id * 7) % 10])
        follow.tracker.drop(id)
        follow.tracker.add(log.state, id)
    assert follow.tracker.size > 20
    while follow.tracker.shrink(3):
        pass
    assert follow.tracker.size == 0
    assert not follow.tracker._passing


def test_a_single_entity_that_is_to_come_is_followed_from_its_birth() -> None:
    follow = Followed("Next->Size", None)
    log = follow.log
    id = log.state.next_id
    follow.tracker.add(log.state, id)
    assert id not in follow.tracker
    log.create("Part", "x")
    log.create("Part", "not followed")
    assert follow.news() == []
    assert id in follow.tracker
    log.set(id, "Next", id)
    assert [event.id for event in follow.news()] == [id]


def test_an_entity_that_nobody_follows_any_more_is_not_followed_anew() -> None:
    follow = Followed("Next->Size", type=None)
    end = follow.log.create("Part", "end")
    start = follow.log.create("Part", "start", Next=end)
    follow.tracker.add(follow.log.state, start)
    follow.news()
    follow.log.set(start, "Next", start)
    events = follow.history.following(follow.revision)
    assert list(whole(follow.tracker.touched(events))) == [start]
    follow.tracker.single.discard(start)
    follow.tracker.drop(start)
    assert follow.tracker.refresh(follow.log.state, start, whole(Revision.of(events))) is None
    assert follow.tracker.size == 0


def test_much_that_is_touched_is_found_in_pieces_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "_RUN", 64)
    follow = Followed("Next->Size")
    end = follow.log.create("Part", "end")
    parts = [follow.log.create("Part", f"n{number}", end, Next=end) for number in range(1000)]
    follow.news()
    follow.log.do(Transaction(commands=[SetFields(id, "Next", end) for id in reversed(parts)]))
    events = follow.history.following(follow.revision)
    count, touched = pauses(follow.tracker.touched(events))
    assert list(touched) == parts
    assert count >= 2 + 1000 // 64
    assert pauses(Revision.of(events))[0] == 1
    follow.log.set(end, "Size", 1)
    events = follow.history.following(events[0].revision)
    assert list(whole(follow.tracker.touched(events))) == [end, *parts]
