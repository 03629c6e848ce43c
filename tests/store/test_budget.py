"""The bound of what one command does in apply: what is counted, and what becomes of a compound that is over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qcore.model.errors import Conflict, RequestError, TooLarge
from qcore.model.leader_commands import RaiseLevel
from qcore.model.requests.commands import (
    Command,
    Create,
    Delete,
    Expect,
    FieldChange,
    FieldSet,
    SchemaSet,
    SessionOpen,
    SetFields,
)
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.requests.queries import Get
from qcore.model.requests.results import StepDone, StepFailed
from qcore.model.schema import MAX_FIELDS
from qcore.model.values import Kind
from qcore.model.wire import decode_json, encode_json
from qcore.store import budget, fitting
from qcore.store.apply import _apply, apply_entry
from qcore.store.budget import MAX_UNITS, units_of
from qcore.store.context import Context
from tests.store.samples import Log, dump, field, full_digest, replay, type_of

THING = type_of(
    "Thing",
    field("Age"),
    field("Text", Kind.String),
    field("More", Kind.String),
    field("Data", Kind.Blob),
    field("Parts", Kind.EntityList),
    field("Boss", Kind.EntityReference),
)


def at_level(level: int, *schemas: Any) -> Log:
    log = Log(*(schemas or (THING,)))
    log.do(RaiseLevel(level))
    return log


@pytest.fixture
def log() -> Log:
    return at_level(3)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets commands have so few units."""
    return lambda units: monkeypatch.setattr(budget, "MAX_UNITS", units)


def refused(log: Log, command: Command) -> RequestError:
    before = dump(log.state)
    (outcome,) = log.entry(command)
    assert outcome.error is not None
    after = dump(log.state)
    del before["counters"], after["counters"]
    assert after == before
    assert log.state.digest() == full_digest(log.state)
    return outcome.error


def spent(log: Log, *steps: Any) -> int:
    """What steps cost together, in a pipeline."""
    context = Context(log.time)
    assert _apply(log.state, Pipeline(list(steps)), context).error is None
    return context.budget.spent


# -- what is counted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "units"),
    [("x" * 640, 10), ("ä" * 640, 40), (b"x" * 640, 10), ((1, 2, 3), 3), (7, 0), (None, 0), ("x", 0)],
)
def test_a_value_counts_by_what_it_takes(value: Any, units: int) -> None:
    assert units_of(value) == units


def test_a_text_counts_as_it_was_and_as_it_is(log: Log) -> None:
    thing = log.create("Thing", "a", Text="x" * 6400)
    assert spent(log, SetFields(thing, "Text", "y" * 640)) == 1 + 100 + 10
    assert spent(log, SetFields(thing, "Text", "y" * 640, mode="add")) == 10 + 1 + 10 + 20


def test_a_list_counts_though_nothing_is_written(log: Log) -> None:
    parts = [log.create("Thing", f"p{number}") for number in range(10)]
    thing = log.create("Thing", "a", Parts=parts)
    other = log.create("Thing", "b")
    assert spent(log, SetFields(thing, "Parts", [other], mode="subtract", when="changes")) == 10
    assert spent(log, SetFields(thing, "Parts", [parts[0]], mode="subtract")) == 10 + 1 + 10 + 9


def test_what_a_refused_step_did_is_counted(log: Log) -> None:
    things = [log.create("Thing", f"t{number}", Age=number) for number in range(10)]
    log.set(things[0], "Parts", things)
    undone = spent(log, FieldSet("Thing", "Age", FieldChange(Kind.String)))
    assert undone >= len(things)
    carried = spent(log, SetFields(things[0], "Parts", [], expect=Expect(value=[])))
    assert carried == 4 * len(things)


def test_a_change_of_schemas_counts_each_entity_with_its_fields(log: Log) -> None:
    few = spent(log, FieldSet("Thing", "New0", FieldChange(Kind.Int)))
    for number in range(100):
        log.create("Thing", f"t{number}")
    many = spent(log, FieldSet("Thing", "New1", FieldChange(Kind.Int)))
    slots = len(log.state.types.of("Thing").slots)
    assert many - few == pytest.approx(100 * (slots + slots - 1), rel=0.05)


def test_a_deletion_counts_each_entity_with_its_fields(log: Log) -> None:
    top = log.create("Thing", "top")
    for number in range(9):
        log.create("Thing", f"t{number}", top, Text="x" * 640)
    slots = len(log.state.types.of("Thing").slots)
    assert spent(log, Delete(top)) == 10 * slots + 9 * 10 + 2


def test_a_move_counts_what_hangs_below(log: Log) -> None:
    top, other = log.create("Thing", "top"), log.create("Thing", "other")
    for number in range(50):
        log.create("Thing", f"t{number}", top)
    assert spent(log, SetFields(top, "Parent", other)) >= 51


def test_another_order_counts_the_children(log: Log) -> None:
    things = [log.create("Thing", f"t{number}") for number in range(50)]
    assert spent(log, SetFields(1, "Children", things[::-1])) >= 8 * 50


def test_long_labels_and_defaults_of_a_schema_count(log: Log) -> None:
    labels = field("Mood", Kind.Choice, choices=[f"l{number}" for number in range(1000)])
    assert spent(log, SchemaSet(type_of("A", labels))) >= 1000
    assert spent(log, SchemaSet(type_of("B", field("T", Kind.String, "x" * 64_000)))) >= 1000


# -- over it -----------------------------------------------------------------------------------------------


def test_a_transaction_over_the_bound_is_undone(log: Log, small: Callable[[int], None]) -> None:
    thing = log.create("Thing", "a", Text="x" * 6400)
    small(1000)
    error = refused(log, Transaction([SetFields(thing, "Text", "x", "add") for _ in range(100)]))
    assert type(error) is TooLarge
    assert error.data == {"command": 5, "applied": "no"}
    assert error.message.startswith("command 5: one command does at most 1,000 units of work")


def test_a_pipeline_over_the_bound_keeps_the_steps_done(log: Log, small: Callable[[int], None]) -> None:
    thing = log.create("Thing", "a", Text="x" * 6400)
    revision = log.state.revision
    small(1000)
    results = log.do(Pipeline([*(SetFields(thing, "Text", "x", "add") for _ in range(9)), Get(thing)]))
    assert [type(each) is StepDone for each in results] == [True] * 4 + [False] * 6
    for each in results[4:]:
        assert isinstance(each, StepFailed)
        assert each.error["data"] == {"kind": "too_large", "applied": "no"}
    assert log.state.revision == revision + 4
    assert log.value(thing, "Text") == "x" * 6404
    assert replay(log.records).digest() == log.state.digest() == full_digest(log.state)


def test_a_retried_pipeline_over_the_bound_is_answered_the_same(log: Log, small: Callable[[int], None]) -> None:
    thing = log.create("Thing", "a", Text="x" * 6400)
    session = log.do(SessionOpen()).session
    small(1000)
    steps: list[Any] = [Get(thing), *(SetFields(thing, "Text", "x", "add") for _ in range(9)), Get(thing)]
    command = Pipeline(steps, session=session, seq=1, hash="h")
    answers = [next(apply_entry(log.state, log.next(command), lambda _query: 7)).result for _ in range(2)]
    first, again = (decode_json(encode_json(answer)) for answer in answers)
    assert first == again
    assert first[0] == {"result": 7}
    assert "error" in first[-1]


def test_a_set_of_many_fields_is_bounded_and_undone(log: Log, small: Callable[[int], None]) -> None:
    thing = log.create("Thing", "a", Text="x" * 64_000, More="x" * 64_000)
    small(1000)
    error = refused(log, SetFields(thing, fields={"Text": "x", "More": "x"}, mode="add"))
    assert type(error) is TooLarge
    small(100_000)
    log.do(SetFields(thing, fields={"Text": "x", "More": "x"}, mode="add"))


def test_a_command_that_stands_alone_always_runs(log: Log, small: Callable[[int], None]) -> None:
    small(1)
    things = [log.create("Thing", f"t{number}", Text="x" * 6400) for number in range(20)]
    log.set(things[0], "Text", "x", mode="add")
    log.do(FieldSet("Thing", "New", FieldChange(Kind.Int)))
    assert log.delete(things[0]) == 1
    log.do(Transaction([SetFields(things[1], "Parts", things[2:])]))


@pytest.mark.parametrize("level", [1, 2])
def test_levels_before_know_no_bound(level: int, small: Callable[[int], None]) -> None:
    small(1)
    log = at_level(level)
    thing = log.create("Thing", "a", Text="x" * 6400)
    log.do(Transaction([SetFields(thing, "Text", "x", "add") for _ in range(9)]))
    log.do(Pipeline([SetFields(thing, "Text", "x", "add") for _ in range(9)]))
    log.set(thing, "Age", 1)
    assert log.value(thing, "Text") == "x" * 6418


def test_refused_steps_cannot_go_on_for_ever(log: Log, small: Callable[[int], None]) -> None:
    """Each looks at a whole list, and none writes anything."""
    parts = [log.create("Thing", f"p{number}") for number in range(100)]
    thing = log.create("Thing", "a", Parts=parts)
    small(1000)
    steps: list[Any] = [SetFields(thing, "Parts", [], expect=Expect(value=[1])) for _ in range(20)]
    kinds = [each.error["data"]["kind"] for each in log.do(Pipeline(steps))]
    assert kinds == ["conflict"] * 3 + ["too_large"] * 17


# -- the worst that was found ------------------------------------------------------------------------------


def test_a_thousand_additions_to_the_longest_text_stop_early(log: Log) -> None:
    """Each would keep 8 MB; of 1,000 the node was killed, and each start after it."""
    size = (8 << 20) - 2000
    thing = log.create("Thing", "a", Text="x" * size)
    error = refused(log, Transaction([SetFields(thing, "Text", "x", "add") for _ in range(1000)]))
    assert type(error) is TooLarge
    done = error.data["command"] - 1
    assert done * 2 * size // 64 < 1.1 * MAX_UNITS


def test_a_thousand_subtractions_from_a_long_list_stop_early(log: Log) -> None:
    count = 99_000
    log.entry(*(Create("Thing", "p") for _ in range(count)))
    first = log.state.next_id - count
    thing = log.create("Thing", "a", Parts=list(range(first, first + count)))
    steps: list[Any] = [SetFields(thing, "Parts", [first + number], "subtract") for number in range(1000)]
    results = log.do(Pipeline(steps))
    done = [type(each) is StepDone for each in results].index(False)
    assert 5 < done < 2 * MAX_UNITS // count
    assert len(log.value(thing, "Parts")) == count - done


@pytest.mark.parametrize(
    "change",
    [
        lambda number: FieldSet("Thing", f"New{number}", FieldChange(Kind.Int)),
        lambda number: FieldSet("Thing", "Age", FieldChange(Kind.Float if number % 2 == 0 else Kind.Int), reset=True),
    ],
    ids=["fields", "kinds"],
)
def test_changes_of_a_crowded_type_stop_early(change: Callable[[int], FieldSet]) -> None:
    log = at_level(3, type_of("Thing", field("Age")))
    log.entry(*(Create("Thing", "p") for _ in range(20_000)))
    results = log.do(Pipeline([change(number) for number in range(100)]))
    done = [type(each) is StepDone for each in results].index(False)
    assert 10 < done < 40
    assert {each.error["data"]["kind"] for each in results[done:]} == {"too_large"}


def test_conditions_look_at_no_more_than_was_given(log: Log) -> None:
    log.create("Thing", "a")
    with pytest.raises(Conflict):
        log.do(Transaction([], [Condition(1, "Children", "==", [])]))
    log.do(Transaction([], [Condition(1, "Children", "!=", [])]))


# -- room --------------------------------------------------------------------------------------------------


def fields(count: int) -> list[Any]:
    return [field(f"F{number}") for number in range(count)]


def test_a_complete_type_has_a_bounded_number_of_fields(log: Log) -> None:
    log.do(SchemaSet(type_of("Wide", *fields(MAX_FIELDS - 3))))
    assert len(log.state.types.of("Wide").fields) == MAX_FIELDS
    error = refused(log, SchemaSet(type_of("Wide", *fields(MAX_FIELDS - 2))))
    assert type(error) is TooLarge
    assert error.message.startswith(f"type Wide would have {MAX_FIELDS + 1} fields with those it inherits")
    assert type(refused(log, SchemaSet(type_of("Heir", field("X"), inherits=["Wide"])))) is TooLarge
    assert type(refused(log, FieldSet("Wide", "X", FieldChange(Kind.Int)))) is TooLarge


def test_a_type_of_before_stays_and_may_only_shrink() -> None:
    log = at_level(2)
    log.do(SchemaSet(type_of("Wide", *fields(MAX_FIELDS + 10))))
    log.do(RaiseLevel(3))
    wide = log.create("Wide", "w", F1=1)
    log.do(SchemaSet(type_of("Other")))
    assert type(refused(log, FieldSet("Wide", "F1", FieldChange(rank=3)))) is TooLarge
    log.do(SchemaSet(type_of("Wide", *fields(100))))
    assert log.value(wide, "F1") == 1


def test_one_change_gives_the_entities_a_bounded_number_of_fields(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MAX_GROWTH", 50)
    for number in range(10):
        log.create("Thing", f"t{number}")
    more = [*THING.fields, *fields(6)]
    assert type(refused(log, SchemaSet(type_of("Thing", *more)))) is TooLarge
    log.do(SchemaSet(type_of("Thing", *more[:-1])))
