from __future__ import annotations

from typing import Any

import pytest

from qcore.model.errors import BadParams, BadValue, Conflict, Cycle, NotFound, Stale, TooLarge, WrongKind
from qcore.model.requests.commands import Create, Expect, SetFields
from qcore.model.requests.results import SetDone
from qcore.model.times import NS, format_time
from qcore.model.values import Kind
from qcore.store.write import CARRIED
from tests.store.samples import Log, field, type_of

THING = type_of(
    "Thing",
    field("Age", default=7),
    field("Ratio", Kind.Float),
    field("Text", Kind.String),
    field("Flag", Kind.Bool),
    field("Data", Kind.Blob),
    field("When", Kind.Timestamp),
    field("Mood", Kind.Choice, choices=["Happy", "Sad"]),
    field("Boss", Kind.EntityReference),
    field("Parts", Kind.EntityList),
)


@pytest.fixture
def log() -> Log:
    return Log(THING)


@pytest.fixture
def thing(log: Log) -> int:
    return log.create("Thing", "thing")


# -- what a write takes ------------------------------------------------------------------------------------


def test_set_needs_a_field_or_fields_and_not_both(log: Log, thing: int) -> None:
    for command, words in [
        (SetFields(thing), "field and value, or fields"),
        (SetFields(thing, "Age"), "field and value, or fields"),
        (SetFields(thing, value=1), "field and value, or fields"),
        (SetFields(thing, "Age", 1, fields={"Text": "x"}), "not both"),
        (SetFields(thing, fields={}), "nothing to set"),
        (SetFields(thing, fields={"Age": 1, "Text": "x"}, expect=Expect(value=7)), "one field"),
        (SetFields(thing, "Age", 1, expect=Expect()), "expect is"),
        (SetFields(thing, "Age", 1, expect=Expect(value=7, revision=0)), "expect is"),
    ]:
        with pytest.raises(BadParams, match=words):
            log.do(command)


def test_several_fields_are_one_revision(log: Log, thing: int) -> None:
    revision = log.state.revision + 1
    assert log.do(SetFields(thing, fields={"Age": 1, "Text": "x"})) == SetDone(True, revision)
    assert {log.get(thing)[name]["revision"] for name in ("Age", "Text")} == {revision}
    assert log.state.revision == revision


def test_several_fields_are_written_all_or_none(log: Log, thing: int) -> None:
    with pytest.raises(BadValue, match="field Flag"):
        log.do(SetFields(thing, fields={"Age": 1, "Text": "x", "Flag": 3}))
    assert (log.value(thing, "Age"), log.value(thing, "Text")) == (7, "")


def test_a_write_through_a_path_goes_to_the_entity_at_its_end(log: Log, thing: int) -> None:
    other = log.create("Thing", "other", 1, Boss=thing, Parts=[thing])
    log.set(other, "Boss->Age", 1)
    log.set(other, "Parts->0->Text", "x")
    assert (log.value(thing, "Age"), log.value(thing, "Text")) == (1, "x")
    with pytest.raises(WrongKind, match="element of a list"):
        log.set(other, "Parts->0", other)


# -- modes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "given", "added", "subtracted"),
    [
        ("Age", 5, 3, 8, 2),
        ("Age", 5, "-3", 2, 8),
        ("Ratio", 1.5, 1, 2.5, 0.5),
        ("Text", "ab", "c", "abc", None),
        ("Data", "YQ==", "Yg==", "YWI=", None),
        ("Parts", [1, 2], [2, 1], [1, 2], []),
        ("Parts", [2], [1, 1], [2, 1], [2]),
        ("Flag", True, True, None, None),
        ("When", 5, 3, None, None),
        ("Mood", "Sad", "Sad", None, None),
        ("Boss", 1, 1, None, None),
    ],
)
def test_add_and_subtract_follow_the_kind(
    log: Log, thing: int, name: str, old: Any, given: Any, added: Any, subtracted: Any
) -> None:
    for mode, expected in (("add", added), ("subtract", subtracted)):
        log.set(thing, name, old)
        if expected is None:
            with pytest.raises(WrongKind, match=f"field {name} is a .*: it has no {mode}"):
                log.set(thing, name, given, mode=mode)
        else:
            log.set(thing, name, given, mode=mode)
            assert log.value(thing, name) == expected


def test_adding_to_an_unset_field_begins_at_its_default(log: Log, thing: int) -> None:
    log.set(thing, "Age", 3, mode="add")
    assert log.value(thing, "Age") == 10


def test_numbers_do_not_leave_their_kind(log: Log, thing: int) -> None:
    log.set(thing, "Age", 2**63 - 1)
    with pytest.raises(BadValue, match="9223372036854775808 does not fit an Int"):
        log.set(thing, "Age", 1, mode="add")
    log.set(thing, "Age", -(2**63))
    with pytest.raises(BadValue, match="does not fit an Int"):
        log.set(thing, "Age", 1, mode="subtract")
    log.set(thing, "Ratio", 1.7e308)
    with pytest.raises(BadValue, match="field Ratio: the result is not finite"):
        log.set(thing, "Ratio", 1.7e308, mode="add")
    assert log.value(thing, "Ratio") == 1.7e308


def test_a_duplicate_in_a_list_is_an_error_when_it_is_set(log: Log, thing: int) -> None:
    with pytest.raises(BadValue, match="field Parts: a list has no duplicates"):
        log.set(thing, "Parts", [1, "/Root"])


def test_a_list_grows_to_the_limit_in_the_log_and_no_further(log: Log, thing: int) -> None:
    log.do(SetFields(thing, "Parts", [1, thing], max_list=2))
    other = log.create("Thing", "other")
    with pytest.raises(TooLarge, match="at most 2 elements, 3 would be there"):
        log.do(SetFields(thing, "Parts", [other], "add", max_list=2))
    log.do(SetFields(thing, "Parts", [1], "add", max_list=2))
    assert log.value(thing, "Parts") == [1, thing]


# -- when --------------------------------------------------------------------------------------------------


def test_an_equal_result_under_changes_stores_nothing(log: Log, thing: int) -> None:
    log.set(thing, "Age", 3)
    before, revision = log.get(thing), log.state.revision
    for value, mode in ((3, "set"), ("3", "set"), (0, "add")):
        assert log.set(thing, "Age", value, mode=mode, when="changes") == SetDone(False, revision)
    assert log.get(thing) == before
    assert log.set(thing, "Age", 4, when="changes") == SetDone(True, revision + 1)


def test_an_unset_field_is_equal_to_its_default_under_changes(log: Log, thing: int) -> None:
    assert not log.set(thing, "Age", 7, when="changes").applied
    assert log.get(thing, "Age")["Age"]["revision"] == 0


def test_always_stamps_an_equal_value_too(log: Log, thing: int) -> None:
    log.set(thing, "Age", 7)
    assert log.get(thing, "Age")["Age"]["revision"] == log.state.revision


def test_of_several_fields_only_the_changed_are_stamped(log: Log, thing: int) -> None:
    log.set(thing, "Age", 1)
    log.set(thing, "Text", "x")
    revision = log.state.revision
    done = log.do(SetFields(thing, fields={"Age": 2, "Text": "x"}, when="changes"))
    assert done == SetDone(True, revision + 1)
    assert [log.get(thing)[name]["revision"] for name in ("Age", "Text")] == [revision + 1, revision]


# -- time --------------------------------------------------------------------------------------------------


def test_a_write_without_a_time_gets_the_entrys(log: Log, thing: int) -> None:
    log.set(thing, "Age", 1)
    assert log.get(thing, "Age")["Age"]["time"] == format_time(log.time)


def test_two_writes_in_one_entry_are_a_nanosecond_apart(log: Log, thing: int) -> None:
    log.entry(*(SetFields(thing, "Age", value) for value in range(3)))
    assert log.get(thing, "Age")["Age"]["time"] == format_time(log.time + 2)


def test_a_write_without_a_time_comes_after_one_ahead_and_is_never_stale(log: Log, thing: int) -> None:
    ahead = log.time + 9 * NS
    log.set(thing, "Age", 1, time=ahead)
    log.set(thing, "Age", 2)
    assert log.get(thing, "Age")["Age"]["time"] == format_time(ahead + 1)


def test_an_older_time_is_stale_and_the_answer_says_what_is_there(log: Log, thing: int) -> None:
    log.set(thing, "Age", 1)
    revision, stored = log.state.revision, log.time
    with pytest.raises(Stale) as caught:
        log.set(thing, "Age", 2, time=stored - 1)
    assert caught.value.data == {"field": "Age", "value": 1, "revision": revision, "applied": "no"}
    assert log.set(thing, "Age", 3, time=stored).applied


def test_a_field_never_written_takes_any_time_of_the_past(log: Log, thing: int) -> None:
    log.set(thing, "Age", 1, time="1970-01-01T00:00:00Z")
    assert log.get(thing, "Age")["Age"]["time"] == "1970-01-01T00:00:00Z"
    log.set(thing, "Age", 2, time=str(5 * NS))
    assert log.get(thing, "Age")["Age"]["time"] == "1970-01-01T00:00:05Z"


def test_a_time_more_than_ten_seconds_ahead_of_the_entry_is_refused(log: Log, thing: int) -> None:
    with pytest.raises(BadValue, match="more than 10 s ahead"):
        log.set(thing, "Age", 1, time=log.time + 1_000_000 + 10 * NS + 1)
    assert log.set(thing, "Age", 1, time=log.time + 1_000_000 + 10 * NS).applied


def test_a_time_that_is_none_is_refused(log: Log, thing: int) -> None:
    with pytest.raises(BadValue, match="field time"):
        log.set(thing, "Age", 1, time="yesterday")


# -- expect ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected", "other"),
    [
        ("Age", 1, "1", 2),
        ("Ratio", 1, 1.0, 1.5),
        ("Text", "x", "x", ""),
        ("Flag", True, "true", False),
        ("Data", "YQ==", "YQ==", ""),
        ("When", 5 * NS, "1970-01-01T00:00:05Z", 0),
        ("Mood", "Sad", 1, 0),
        ("Boss", 1, "/Root", None),
        ("Parts", [1], "[1]", []),
    ],
)
def test_expect_compares_the_value_in_any_of_its_forms(
    log: Log, thing: int, name: str, value: Any, expected: Any, other: Any
) -> None:
    log.set(thing, name, value)
    shown, revision = log.value(thing, name), log.state.revision
    with pytest.raises(Conflict) as caught:
        log.set(thing, name, value, expect=Expect(value=other))
    assert caught.value.data == {"field": name, "value": shown, "revision": revision, "applied": "no"}
    assert log.set(thing, name, other, expect=Expect(value=expected)).applied


def test_expect_compares_the_fields_own_revision(log: Log, thing: int) -> None:
    log.set(thing, "Age", 1)
    revision = log.state.revision
    log.set(thing, "Text", "x")
    with pytest.raises(Conflict, match=f"expected revision {revision + 1}, found value 1 at revision {revision}"):
        log.set(thing, "Age", 2, expect=Expect(revision=revision + 1))
    assert log.set(thing, "Age", 2, expect=Expect(revision=revision)).applied


def test_expect_revision_zero_means_never_written(log: Log, thing: int) -> None:
    assert log.set(thing, "Age", 1, expect=Expect(revision=0)).applied
    with pytest.raises(Conflict):
        log.set(thing, "Age", 1, expect=Expect(revision=0))


@pytest.mark.parametrize(
    ("name", "long", "words"),
    [
        ("Text", "x" * (CARRIED + 1), "a value of 4097 characters"),
        ("Data", "YWJj" * 2000, "a value of 6000 bytes"),
        ("Children", None, "a value of 4097 elements"),
    ],
)
def test_a_long_value_is_not_carried_by_the_error(log: Log, thing: int, name: str, long: Any, words: str) -> None:
    if long is None:
        log.entry(*(Create("Thing", "child", thing) for _ in range(CARRIED + 1)))
    else:
        log.set(thing, name, long)
    revision = log.get(thing, name)[name]["revision"]
    with pytest.raises(Conflict, match=f"found {words} at revision {revision}") as caught:
        log.set(thing, name, long or [], expect=Expect(revision=revision + 1))
    assert caught.value.data == {"field": name, "revision": revision, "applied": "no"}


def test_of_two_writers_in_one_entry_the_second_conflicts(log: Log, thing: int) -> None:
    revision = log.get(thing, "Age")["Age"]["revision"]
    first, second = log.entry(*(SetFields(thing, "Age", n, expect=Expect(revision=revision)) for n in (1, 2)))
    assert first.error is None
    assert isinstance(second.error, Conflict)
    assert log.value(thing, "Age") == 1


def test_expect_holds_the_children_against_their_order(log: Log, thing: int) -> None:
    other = log.create("Thing", "other")
    with pytest.raises(Conflict):
        log.set(1, "Children", [thing, other], expect=Expect(value=[other, thing]))
    assert log.set(1, "Children", [other, thing], expect=Expect(value=[thing, other])).applied


# -- the tree ----------------------------------------------------------------------------------------------


def test_writing_parent_moves_and_both_children_lists_follow(log: Log, thing: int) -> None:
    other, below = log.create("Thing", "other"), log.create("Thing", "below", thing)
    revision = log.state.revision + 1
    log.set(below, "Parent", "/Root/other")
    assert (log.children(thing), log.children(other)) == ([], [below])
    assert {log.get(id)["Children"]["revision"] for id in (thing, other)} == {revision}
    assert log.get(below)["Parent"]["revision"] == revision
    log.set(below, "Parent", None)
    assert log.state.top == [1, below]
    log.set(below, "Parent", thing)
    assert log.state.top == [1]


def test_writing_the_same_parent_keeps_the_place(log: Log, thing: int) -> None:
    other = log.create("Thing", "other")
    children = log.get(1, "Children")
    assert log.set(thing, "Parent", 1).applied
    assert log.children(1) == [thing, other]
    assert log.get(1, "Children") == children
    assert not log.set(thing, "Parent", 1, when="changes").applied


def test_an_entity_cannot_be_moved_below_itself(log: Log, thing: int) -> None:
    below = log.create("Thing", "x", log.create("Thing", "below", thing))
    for parent in (thing, below):
        with pytest.raises(Cycle, match=f"entity {thing} cannot be moved below itself"):
            log.set(thing, "Parent", parent)


def test_the_root_stays_at_the_top(log: Log, thing: int) -> None:
    with pytest.raises(WrongKind, match="is the Root"):
        log.set(1, "Parent", log.create("Thing", "alone", None))


def test_a_move_counts_the_levels_it_brings(log: Log, thing: int) -> None:
    below = log.create("Thing", "below", thing)
    top = log.create("Thing", "top", None)
    log.create("Thing", "leaf", top)
    with pytest.raises(TooLarge, match="5 levels deep, at most 4"):
        log.do(SetFields(top, "Parent", below, max_depth=4))
    assert log.do(SetFields(top, "Parent", thing, max_depth=4)).applied


def test_parent_is_neither_missing_nor_added_to(log: Log, thing: int) -> None:
    with pytest.raises(NotFound, match="field Parent"):
        log.set(thing, "Parent", 99)
    with pytest.raises(WrongKind, match="no add"):
        log.set(thing, "Parent", 1, mode="add")


def test_children_may_only_be_reordered(log: Log, thing: int) -> None:
    other, alone = log.create("Thing", "other"), log.create("Thing", "alone", None)
    for value in ([thing], [thing, alone], [thing, other, alone], [thing, thing], []):
        with pytest.raises(BadValue, match="only reorder the same children"):
            log.set(1, "Children", value)
    for mode in ("add", "subtract"):
        with pytest.raises(WrongKind, match="Children is kept by the store"):
            log.set(1, "Children", [thing], mode=mode)
    assert not log.set(1, "Children", [thing, other], when="changes").applied
    assert log.set(1, "Children", [f"@{other}", "/Root/thing"]).applied
    assert log.children(1) == [other, thing]


def test_writing_name_renames_and_keeps_to_the_rules_of_names(log: Log, thing: int) -> None:
    log.set(thing, "Name", "other")
    assert log.value("/Root/other", "Parent") == 1
    log.set(thing, "Name", " name", mode="add")
    assert log.value(thing, "Name") == "other name"
    for name in ("", "x" * 256, "a\tb"):
        with pytest.raises(BadValue, match="entity name"):
            log.set(thing, "Name", name)
    with pytest.raises(BadValue, match="260 given"):
        log.set(thing, "Name", "x" * 250, mode="add")
    log.set(1, "Name", "Home")
    assert log.value("/Home/other name", "Parent") == 1


def test_texts_and_blobs_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcore.model.values.MAX_SIZE", 10)
    log = Log(type_of("Note", field("Text", Kind.String), field("Data", Kind.Blob)))
    note = log.create("Note", "n", Text="1234567890", Data="MTIzNDU2Nzg5MA==")
    for mode in ("set", "add"):
        for name, value in (("Text", "12345678901"), ("Data", "MTIzNDU2Nzg5MDE=")):
            with pytest.raises(TooLarge, match=f"field {name}: a String has at most 10"):
                log.set(note, name, value, mode=mode)
    with pytest.raises(TooLarge):
        log.set(note, "Text", "x", mode="add")
    with pytest.raises(TooLarge):
        log.create("Note", "m", Text="12345678901")
    assert log.value(note, "Text") == "1234567890"
