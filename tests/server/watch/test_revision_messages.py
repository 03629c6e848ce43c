"""What is told of one revision: which event is kept back as its last, and what is written once."""

from __future__ import annotations

import pytest

from qcore.model.requests.commands import Create
from qcore.server.watch import event_text
from qcore.server.watch.revision_messages import AnyEvent, JudgedEvents, SharedTexts
from qcore.store.watch.history import History
from qcore.store.watch.interest import Interest, Wish
from qcore.store.watch.past import Past
from tests.store.samples import PART, Log

SIZE, LABEL = Interest(Wish(0, "Part", "Size"), None), Interest(Wish(0, "Part", "Label"), None)


class Told:
    """The events of a creation, and the view of its revision."""

    def __init__(self) -> None:
        self.log = Log(PART)
        history = History(self.log.state, 1000, 1 << 20)
        before = self.log.state.revision
        self.log.do(Create("Part", "x", fields={"Size": 1, "Label": "y"}))
        self.events: list[AnyEvent] = list(history.following(before))
        self.view = Past(self.log.state, history, self.log.state.revision)


@pytest.fixture
def told() -> Told:
    return Told()


def test_the_newest_event_of_an_interest_is_kept_back(told: Told) -> None:
    first, second, third = told.events[:3]
    judged = JudgedEvents()
    judged.note(SIZE, first)
    judged.note(SIZE, second)
    judged.note(LABEL, first)
    assert judged.count == 3
    assert list(judged.tellable()) == [(SIZE, [first])]
    assert (judged.count, judged.last) == (0, {SIZE: second, LABEL: first})
    judged.note(SIZE, third)
    assert list(judged.tellable()) == [(SIZE, [second])]
    assert judged.last == {SIZE: third, LABEL: first}


def test_an_interest_that_is_forgotten_is_told_nothing(told: Told) -> None:
    first, second = told.events[:2]
    judged = JudgedEvents()
    judged.note(SIZE, first)
    assert list(judged.tellable()) == []
    judged.note(SIZE, second)
    judged.note(LABEL, second)
    judged.forget(SIZE)
    assert judged.count == 1
    assert list(judged.tellable()) == []
    assert judged.last == {LABEL: second}


@pytest.mark.parametrize(("max_bytes", "written"), [(1 << 20, 2), (1, 4)])
def test_what_is_shared_is_written_once_while_it_is_short(
    told: Told, monkeypatch: pytest.MonkeyPatch, max_bytes: int, written: int
) -> None:
    asked: list[AnyEvent] = []
    common = event_text.common

    def counted(event: AnyEvent, view: Past) -> bytes:
        asked.append(event)
        return common(event, view)

    monkeypatch.setattr(event_text, "common", counted)
    texts = SharedTexts(told.view, max_bytes)
    first, second = told.events[:2]
    assert [texts.of(event) for event in (first, second, first, second)] == [
        common(event, told.view) for event in (first, second, first, second)
    ]
    assert len(asked) == written
