from __future__ import annotations

from typing import Any

import msgspec
import pytest

from qcore.client.request import Request
from qcore.client.subscription import HIGH, LOW, Subscription
from qcore.model.errors import BadFilter, Busy, Compacted, NotFound, QcoreError, TooLarge
from qcore.model.requests import events


def begun(revision: int = 5, **params: Any) -> Subscription:
    """A subscription that the server has taken at a revision."""
    subscription = Subscription({"target": "User", **params})
    answer(subscription, revision)
    return subscription


def answer(subscription: Subscription, revision: int, token: int = 1) -> dict[str, Any]:
    """Have the server take the next request; returns its params."""
    request = subscription.request()
    request.finish(msgspec.json.encode({"token": token, "revision": revision}), None)
    subscription.answered(request)
    return params_of(request)


def refuse(subscription: Subscription, error: QcoreError) -> None:
    request = subscription.request()
    request.finish(b"", error)
    subscription.answered(request)


def params_of(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(request.params)
    return found


def tell(subscription: Subscription, *kinds_and_revisions: tuple[str, int], last: bool = True) -> None:
    """Events come; the last one ends its revision."""
    for place, (kind, revision) in enumerate(kinds_and_revisions, 1):
        event = events.Event(token=1, revision=revision, kind=kind, id=place)
        if kind not in ("initial", "bookmark", "lost") and place == len(kinds_and_revisions) and last:
            event.last = True
        if kind == "lost":
            event.reason = "slow"
        subscription.take(event)


def lost(subscription: Subscription, revision: int, reason: str) -> None:
    subscription.take(events.Event(token=1, revision=revision, kind="lost", reason=reason))


def taken(subscription: Subscription) -> list[tuple[str, int]]:
    found = []
    while (event := subscription.pop()) is not None:
        found.append((event.kind, event.revision))
    return found


def test_it_asks_for_what_was_asked_of_it() -> None:
    subscription = Subscription({"target": "User", "field": "Age", "since": 7})
    assert params_of(subscription.request()) == {"target": "User", "field": "Age", "since": 7}
    assert subscription.state == "asking"


def test_events_of_a_revision_come_together_when_its_last_is_there() -> None:
    subscription = begun()
    tell(subscription, ("created", 6), ("changed", 6), last=False)
    assert taken(subscription) == []
    tell(subscription, ("changed", 6))
    assert taken(subscription) == [("created", 6), ("changed", 6), ("changed", 6)]
    assert subscription.known == 6


def test_after_a_lost_connection_it_goes_on_behind_the_last_whole_revision() -> None:
    subscription = begun()
    tell(subscription, ("changed", 6))
    tell(subscription, ("changed", 7), last=False)
    subscription.disconnected()
    assert subscription.state == "idle"
    assert answer(subscription, 9)["since"] == 6
    tell(subscription, ("changed", 7), ("changed", 7))
    assert taken(subscription) == [("changed", 6), ("changed", 7), ("changed", 7)]


def test_without_an_event_it_goes_on_behind_the_revision_it_was_taken_at_or_a_bookmark() -> None:
    subscription = begun(5)
    subscription.disconnected()
    assert answer(subscription, 8)["since"] == 5
    tell(subscription, ("bookmark", 8))
    subscription.disconnected()
    assert answer(subscription, 9)["since"] == 8
    assert taken(subscription) == []


def test_a_bookmark_ends_no_revision_that_comes_after_it() -> None:
    subscription = begun()
    tell(subscription, ("changed", 7), last=False)
    tell(subscription, ("bookmark", 6))
    assert (taken(subscription), subscription.known) == ([], 6)
    tell(subscription, ("changed", 7))
    assert (taken(subscription), subscription.known) == ([("changed", 7), ("changed", 7)], 7)


def test_initial_values_come_at_once_and_then_it_goes_on_as_any_other() -> None:
    subscription = begun(5, initial=True)
    assert subscription.known is None
    tell(subscription, ("initial", 5), ("initial", 5))
    assert taken(subscription) == [("initial", 5)] * 2
    tell(subscription, ("bookmark", 5))
    subscription.disconnected()
    params = answer(subscription, 7)
    assert params["since"] == 5
    assert "initial" not in params


def test_a_connection_lost_among_initial_values_begins_them_anew_and_says_so() -> None:
    subscription = begun(5, initial=True)
    tell(subscription, ("initial", 5))
    subscription.disconnected()
    params = answer(subscription, 9)
    assert params["initial"] is True
    tell(subscription, ("initial", 9), ("bookmark", 9))
    assert taken(subscription) == [("initial", 5), ("lost", 0), ("initial", 9)]


def test_a_connection_lost_before_the_first_initial_value_is_no_news() -> None:
    subscription = begun(5, initial=True)
    subscription.disconnected()
    answer(subscription, 9)
    tell(subscription, ("initial", 9), ("bookmark", 9))
    assert taken(subscription) == [("initial", 9)]


def test_who_was_too_slow_goes_on_where_the_server_says() -> None:
    subscription = begun()
    tell(subscription, ("changed", 6))
    tell(subscription, ("changed", 9), last=False)
    lost(subscription, 8, "slow")
    assert subscription.state == "idle"
    assert answer(subscription, 20)["since"] == 8
    assert taken(subscription) == [("changed", 6)]


@pytest.mark.parametrize("initial", [False, True])
def test_where_the_history_is_gone_the_program_hears_of_it_and_it_begins_anew(initial: bool) -> None:
    subscription = begun(5, **({"initial": True} if initial else {}))
    tell(subscription, ("bookmark", 6))
    subscription.disconnected()
    refuse(subscription, Compacted("gone", oldest=90))
    assert subscription.state == "idle"
    params = answer(subscription, 99)
    assert params.get("initial", False) is initial
    assert "since" not in params
    assert taken(subscription) == [("lost", 6)]
    assert subscription.known == (None if initial else 99)


def test_a_change_of_schema_is_told_and_it_goes_on_or_reads_anew() -> None:
    plain, reading = begun(), begun(initial=True)
    for subscription in (plain, reading):
        tell(subscription, ("bookmark", 6))
        lost(subscription, 7, "schema")
        assert taken(subscription) == [("lost", 7)]
    assert answer(plain, 9)["since"] == 7
    assert answer(reading, 9)["initial"] is True


def test_who_loses_the_servers_history_goes_on_where_it_was_or_hears_that_it_cannot() -> None:
    subscription = begun()
    tell(subscription, ("changed", 6))
    tell(subscription, ("changed", 7), last=False)
    lost(subscription, 6, "compacted")
    assert (subscription.state, taken(subscription)) == ("idle", [("changed", 6)])
    refuse(subscription, Compacted("gone", oldest=90))
    event = subscription.pop()
    assert event is not None
    assert (event.kind, event.revision, event.reason) == ("lost", 6, "compacted")
    assert "since" not in answer(subscription, 99)
    lost(subscription, 99, "compacted")
    assert answer(subscription, 100)["since"] == 99
    assert taken(subscription) == []


@pytest.mark.parametrize("initial", [False, True])
def test_a_reason_of_a_later_version_is_told_and_after_a_while_it_goes_on_or_reads_anew(initial: bool) -> None:
    subscription = begun(5, **({"initial": True} if initial else {}))
    tell(subscription, ("bookmark", 6))
    text = b'{"token":1,"revision":7,"kind":"lost","reason":"of.later","more":{"x":1}}'
    subscription.take(msgspec.json.decode(text, type=events.Event))
    event = subscription.pop()
    assert event is not None
    assert (event.kind, event.revision, event.reason) == ("lost", 7, "of.later")
    assert str(subscription.state) == "refused"  # a server that says so again and again is not asked without a pause
    subscription.retry()
    params = answer(subscription, 9)
    assert (params.get("since"), params.get("initial")) == ((None, True) if initial else (7, None))


def test_a_kind_of_event_of_a_later_version_is_passed_over_but_may_end_its_revision() -> None:
    subscription = begun()
    tell(subscription, ("changed", 6), last=False)
    tell(subscription, ("of.later", 6))
    tell(subscription, ("of.later", 7))
    assert (taken(subscription), subscription.known) == ([("changed", 6)], 7)


def test_a_server_that_failed_is_asked_to_go_on() -> None:
    subscription = begun()
    lost(subscription, 6, "internal")
    assert answer(subscription, 9)["since"] == 6
    assert taken(subscription) == []


@pytest.mark.parametrize(("reason", "error"), [("filter", BadFilter), ("too_large", TooLarge)])
def test_what_would_end_the_same_way_again_ends_it(reason: str, error: type[QcoreError]) -> None:
    subscription = begun()
    lost(subscription, 6, reason)
    assert subscription.state == "ended"
    assert isinstance(subscription.error, error)


@pytest.mark.parametrize("reason", ["slow", "internal", "schema", "compacted"])
def test_initial_values_that_end_early_begin_anew(reason: str) -> None:
    subscription = begun(5, initial=True)
    tell(subscription, ("initial", 5))
    lost(subscription, 5, reason)
    assert answer(subscription, 9)["initial"] is True
    assert taken(subscription) == [("initial", 5), ("lost", 5)]


def test_the_first_refusal_is_the_programs() -> None:
    for error in (NotFound("no such type"), Compacted("gone"), Busy("later")):
        subscription = Subscription({"target": "Nope"})
        refuse(subscription, error)
        assert (subscription.state, subscription.error) == ("ended", error)


def test_a_later_refusal_that_may_pass_is_waited_for_and_another_ends_it() -> None:
    subscription = begun()
    subscription.disconnected()
    refuse(subscription, Busy("later"))
    assert str(subscription.state) == "refused"
    subscription.retry()
    assert str(subscription.state) == "idle"
    refuse(subscription, NotFound("the entity is gone"))
    assert subscription.state == "ended"


def test_a_program_that_does_not_take_its_events_has_the_server_hold() -> None:
    subscription = begun()
    for revision in range(6, 6 + HIGH):
        assert not subscription.is_full
        tell(subscription, ("changed", revision))
    assert subscription.is_full
    subscription.hold()
    for _ in range(HIGH - LOW):
        assert subscription.state == "held"
        subscription.pop()
    assert subscription.state == "idle"
    assert answer(subscription, 10**6)["since"] == 5 + HIGH


def test_initial_values_are_not_held_up_as_they_could_only_begin_again() -> None:
    subscription = begun(5, initial=True)
    for _ in range(HIGH + 1):
        tell(subscription, ("initial", 5))
    assert not subscription.is_full
    tell(subscription, ("bookmark", 5))
    assert subscription.is_full


def test_what_is_not_there_is_none_to_the_program() -> None:
    subscription = begun()
    text = b'{"token":1,"revision":6,"kind":"deleted","id":3,"field":null,"context":{"Name":"x"},"last":true}'
    subscription.take(msgspec.json.decode(text, type=events.Event))
    event = subscription.pop()
    assert event is not None
    assert (event.field, event.current, event.previous, event.context, event.last) == (
        None,
        None,
        None,
        {"Name": "x"},
        True,
    )


def place(params: dict[str, Any]) -> tuple[int | None, str | None]:
    """Where in which history a request begins."""
    return params.get("since"), params.get("epoch")


def answer_in(subscription: Subscription, revision: int, epoch: str) -> dict[str, Any]:
    """As `answer`, of a server that names its history."""
    request = subscription.request()
    request.finish(msgspec.json.encode({"token": 1, "revision": revision, "epoch": epoch}), None)
    subscription.answered(request)
    return params_of(request)


def tell_in(subscription: Subscription, kind: str, revision: int, epoch: str, **members: Any) -> None:
    subscription.take(events.Event(token=1, revision=revision, kind=kind, epoch=epoch, **members))


def test_it_goes_on_with_the_epoch_that_came_with_the_revision() -> None:
    subscription = Subscription({"target": "User"})
    answer_in(subscription, 5, "a")
    subscription.disconnected()
    assert place(answer_in(subscription, 5, "b")) == (5, "a")
    tell_in(subscription, "bookmark", 6, "b")
    subscription.disconnected()
    assert place(answer_in(subscription, 6, "b")) == (6, "b")
    tell_in(subscription, "changed", 7, "c", id=1, last=True)
    assert (subscription.known, subscription.epoch) == (7, "c")
    tell_in(subscription, "changed", 8, "d", id=1)
    subscription.disconnected()
    assert place(answer_in(subscription, 7, "d")) == (7, "c"), "revision 8 was not whole"


def test_where_it_began_stays_however_far_it_has_come() -> None:
    subscription = begun(5)
    tell(subscription, ("changed", 6))
    subscription.disconnected()
    answer(subscription, 9)
    assert (subscription.began, subscription.known) == (5, 6)


def test_a_program_may_say_in_which_history_it_was() -> None:
    assert place(params_of(Subscription({"target": "User", "since": 3, "epoch": "a"}).request())) == (3, "a")


@pytest.mark.parametrize("initial", [False, True])
def test_another_history_is_told_and_it_goes_on_in_that_or_reads_anew(initial: bool) -> None:
    subscription = Subscription({"target": "User", "initial": initial})
    answer_in(subscription, 90, "a")
    tell_in(subscription, "bookmark", 90, "a")
    subscription.disconnected()
    answer_in(subscription, 40, "b")
    tell_in(subscription, "lost", 40, "b", reason="other_history")
    event = subscription.pop()
    assert event is not None
    assert (event.kind, event.reason, event.revision) == ("lost", "other_history", 40)
    params = answer_in(subscription, 40, "b")
    assert place(params) == ((None, None) if initial else (40, "b"))
    assert params.get("initial", False) is initial
