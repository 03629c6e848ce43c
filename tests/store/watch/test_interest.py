from __future__ import annotations

from typing import Any

import pytest

from qcore.model.errors import BadFilter, BadParams, NotFound, RequestError, TooLarge, WrongKind
from qcore.model.values import Kind
from qcore.store.search.filter import bind, parse
from qcore.store.watch import interest
from qcore.store.watch.history import History
from qcore.store.watch.interest import MAX_CONTEXT, MAX_HOPS, Interest, Wish, check_wish
from tests.store.samples import PART, Log, field, type_of

DEVICE = type_of("Device", field("Serial", Kind.Blob), inherits=["Part"])
TYPES = Log(PART, DEVICE).state.types
DEEP = "->".join(["Next"] * MAX_HOPS)


@pytest.mark.parametrize(
    "wish",
    [
        Wish(0, "Part"),
        Wish(0, "Part", "Serial"),
        Wish(0, "Part", "Children"),
        Wish(0, "Part", "Next->Children"),
        Wish(0, "Part", "All->0->Serial"),
        Wish(9, "Device", "Serial"),
        Wish(0, "Part", DEEP, context=(DEEP, "Nothing->At->All")),
        Wish(0, "Part", context=tuple(f"P{n}" for n in range(MAX_CONTEXT))),
    ],
)
def test_what_may_ever_be_told_can_be_wished(wish: Wish) -> None:
    check_wish(wish, TYPES)


@pytest.mark.parametrize(
    ("wish", "error", "text"),
    [
        (Wish(0, "Part", "Nothing"), NotFound, "type Part has no field 'Nothing'"),
        (Wish(9, "Part", "Serial"), NotFound, "type Part has no field 'Serial'"),
        (Wish(0, "Part", "Next->Nothing"), NotFound, "no type has a field 'Nothing'"),
        (Wish(0, "Part", "Size->Name"), WrongKind, "Size of type Part is a Int, no reference"),
        (Wish(0, "Part", "Next->"), BadParams, "empty hop"),
        (Wish(0, "Part", ""), BadParams, "empty hop"),
        (Wish(0, "Part", DEEP + "->Size"), TooLarge, "at most 8 hops, 9 given"),
        (Wish(0, "Part", "->".join(["Next"] * 1000)), TooLarge, "hops"),
        (Wish(0, "Part", "Children->0->Name"), BadParams, "no value of Children"),
        (Wish(0, "Part", context=("Children",)), BadParams, "no value of Children"),
        (Wish(0, "Part", context=("Parent->Children",)), BadParams, "no value of Children"),
        (Wish(0, "Part", context=("a->->b",)), BadParams, "empty hop"),
        (Wish(0, "Part", context=(DEEP + "->Size",)), TooLarge, "hops"),
        (Wish(0, "Part", context=tuple(f"P{n}" for n in range(MAX_CONTEXT + 1))), TooLarge, "at most 32 context paths"),
    ],
)
def test_what_cannot_be_is_refused_by_name(wish: Wish, error: type[RequestError], text: str) -> None:
    with pytest.raises(error, match=text):
        check_wish(wish, TYPES)


def an_interest(log: Log, text: str, **wish: Any) -> Interest:
    filter = bind(parse(text), [log.state.types.of("Part")], steps=1000)
    return Interest(Wish(0, "Part", filter=text, **wish), filter)


def test_an_entity_without_an_answer_does_not_pass_and_is_counted() -> None:
    log = Log(PART)
    history = History(log.state, 1000, 1 << 20)
    interest = an_interest(log, "Next->Size > 3")
    id = log.create("Part", "x")
    (event, *_) = history.following(log.state.revision - 1)
    assert not interest.passes(event, log.state)
    assert interest.errors == 1
    log.set(id, "Next", id)
    log.set(id, "Size", 4)
    assert interest.passes(history.following(log.state.revision - 1)[0], log.state)


def test_a_filter_that_takes_too_many_steps_is_an_error() -> None:
    log = Log(PART)
    history = History(log.state, 1000, 1 << 20)
    interest = an_interest(log, "[1,2,3,4].all(a, [1,2,3,4].all(b, [1,2,3,4].all(c, [1,2,3,4].all(d, d > 0))))")
    log.create("Part", "x")
    with pytest.raises(BadFilter):
        interest.passes(history.following(log.state.revision - 1)[0], log.state)


def test_a_deleted_entity_is_judged_and_shown_as_it_last_was() -> None:
    log = Log(PART)
    history = History(log.state, 1000, 1 << 20)
    interest = an_interest(log, "Size == 4", context=("Label", "Next->Size"))
    id = log.create("Part", "x", Size=4, Label="l")
    log.delete(id)
    event = history.following(log.state.revision - 1)[-1]
    assert interest.passes(event, log.state)
    context = interest.context(event, log.state)
    assert context["Label"] == "l"
    assert context["Next->Size"].error.kind == "not_found"


def test_the_values_of_a_context_are_bounded_in_all_and_small_ones_still_told() -> None:
    log = Log(PART)
    long = log.create("Part", "long", Label="x" * 5_000_000, Size=7)
    short = log.create("Part", "short", Label="y" * 3_000_000, Next=long)
    end = log.create("Part", "x", Next=short)
    interest = Interest(
        Wish(0, "Part", context=("Next->Label", "Next->Next->Label", "Next->Next->Size", "Nothing")), None
    )
    context = interest.context_of(log.state.entities[end], log.state)
    assert context["Next->Label"] == "y" * 3_000_000
    assert context["Next->Next->Label"] == "x" * 5_000_000
    log.set(short, "Label", "y" * 4_000_000)
    context = interest.context_of(log.state.entities[end], log.state)
    assert context["Next->Label"] == "y" * 4_000_000
    assert context["Next->Next->Label"].error.kind == "too_large"
    assert context["Next->Next->Size"] == 7
    assert context["Nothing"].error.kind == "not_found"


def test_text_in_a_context_counts_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interest, "MAX_CONTEXT_SIZE", 5_000)
    log = Log(PART)
    first = log.create("Part", "n", Label="語" * 1_667)
    second = log.create("Part", "n", Label="語" * 1_666, Next=first)
    both = Interest(Wish(0, "Part", context=("Label", "Next->Label")), None)
    context = both.context_of(log.state.entities[second], log.state)
    assert context["Label"] == "語" * 1_666
    assert context["Next->Label"].error.kind == "too_large"
    alone = Interest(Wish(0, "Part", context=("Next->Label",)), None)
    assert alone.context_of(log.state.entities[second], log.state)["Next->Label"].error.kind == "too_large"


def test_ids_of_a_list_count_for_more_than_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interest, "MAX_CONTEXT_SIZE", 5_000)
    log = Log(PART)
    ids = [log.create("Part", "n") for _ in range(60)]
    log.set(ids[0], "All", ids)
    log.set(ids[0], "Next", ids[0])
    both = Interest(Wish(0, "Part", context=("All", "Next->All", "Name")), None)
    context = both.context_of(log.state.entities[ids[0]], log.state)
    assert context["All"] == ids
    assert context["Next->All"].error.kind == "too_large"
    assert context["Name"] == "n"
