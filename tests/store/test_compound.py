"""Pipelines and transactions: order, `$n`, conditions, one revision, exactly once."""

from __future__ import annotations

from typing import Any

import pytest

from qcore.model.errors import BadParams, Conflict, NotFound, RequestError, WrongKind
from qcore.model.requests.commands import Create, Delete, SessionOpen, SetFields
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.requests.queries import Exists, Get
from qcore.model.requests.results import StepDone, StepFailed, TransactionDone
from qcore.model.values import Kind
from qcore.store import read
from qcore.store.apply import Outcome, apply_entry
from tests.store.samples import Log, dump, field, full_digest, replay, type_of


@pytest.fixture
def log() -> Log:
    return Log(
        type_of(
            "Thing",
            field("Count"),
            field("Flag", Kind.Bool),
            field("Note", Kind.String),
            field("Friend", Kind.EntityReference),
        )
    )


def value(log: Log, id: int, name: str) -> Any:
    found = read.get(log.state, Get(id, [name])).fields[name]
    return found.value  # type: ignore[union-attr]


def local(log: Log, command: Any) -> Outcome:
    """Apply where the answer is owed: reads are carried out."""

    def answer(query: Any) -> Any:
        return read.exists(log.state, query) if isinstance(query, Exists) else read.get(log.state, query)

    (outcome,) = apply_entry(log.state, log.next(command), answer)
    return outcome


def test_a_pipeline_answers_each_command_and_goes_on_after_a_failure(log: Log) -> None:
    thing = log.create("Thing", "a")
    results = log.do(
        Pipeline([SetFields(thing, "Count", 1), SetFields(thing, "Nope", 1), SetFields(thing, "Count", 2)])
    )
    assert [type(result) for result in results] == [StepDone, StepFailed, StepDone]
    assert results[1].error["data"]["kind"] == "not_found"
    assert value(log, thing, "Count") == 2


def test_each_command_of_a_pipeline_has_a_revision_of_its_own(log: Log) -> None:
    thing = log.create("Thing", "a")
    before = log.state.revision
    results = log.do(Pipeline([SetFields(thing, "Count", 1), SetFields(thing, "Count", 2)]))
    assert [result.result.revision for result in results] == [before + 1, before + 2]


def test_a_later_command_uses_what_an_earlier_one_created(log: Log) -> None:
    results = log.do(
        Pipeline(
            [
                Create("Thing", "top", 1),
                Create("Thing", "below", "$1", {"Friend": "$1"}),
                SetFields("$2", "Note", "$1 is text here"),
            ]
        )
    )
    top, below = results[0].result.id, results[1].result.id
    assert log.state.entities[below].parent == top
    assert value(log, below, "Friend") == top
    assert value(log, below, "Note") == "$1 is text here"


@pytest.mark.parametrize("form", ["$0", "$2", "$9", "$", "$x", "$-1"])
def test_a_command_that_is_not_before_this_one_cannot_be_named(log: Log, form: str) -> None:
    results = log.do(Pipeline([Create("Thing", "a"), Delete(form)]))
    assert results[1].error["data"]["kind"] == "bad_params"


def test_a_command_that_created_nothing_cannot_be_referred_to(log: Log) -> None:
    thing = log.create("Thing", "a")
    results = log.do(Pipeline([SetFields(thing, "Count", 1), Delete("$1")]))
    assert results[1].error["data"]["kind"] == "not_found"


def test_dollar_forms_mean_nothing_outside(log: Log) -> None:
    log.do(Pipeline([Create("Thing", "a")]))
    with pytest.raises(BadParams, match="pipeline or transaction"):
        log.do(Delete("$1"))


def test_reads_in_a_pipeline_see_the_commands_before_them(log: Log) -> None:
    thing = log.create("Thing", "a")
    outcome = local(log, Pipeline([SetFields(thing, "Count", 7), Get(thing, ["Count"]), Get(999)]))
    assert outcome.result[1].result.fields["Count"].value == 7
    assert outcome.result[2].error["data"]["kind"] == "not_found"


def test_reads_are_not_evaluated_where_no_answer_is_owed(log: Log) -> None:
    thing = log.create("Thing", "a")
    assert log.do(Pipeline([Get(thing)])) == [StepDone(None)]


def test_a_transaction_has_one_revision(log: Log) -> None:
    thing = log.create("Thing", "a")
    before = log.state.revision
    done = log.do(Transaction([SetFields(thing, "Count", 1), SetFields(thing, "Note", "x"), Create("Thing", "b", 1)]))
    assert isinstance(done, TransactionDone)
    assert done.revision == log.state.revision == before + 1
    fields = read.get(log.state, Get(thing, ["Count", "Note"])).fields
    assert {one.revision for one in fields.values()} == {before + 1}  # type: ignore[union-attr]


def test_a_transaction_that_changes_nothing_takes_no_revision(log: Log) -> None:
    thing = log.create("Thing", "a")
    before = log.state.revision
    done = log.do(Transaction([SetFields(thing, "Count", 0, when="changes")]))
    assert done.revision == log.state.revision == before


def test_one_failure_undoes_the_whole_transaction(log: Log) -> None:
    thing = log.create("Thing", "a")
    before = dump(log.state)
    with pytest.raises(RequestError, match="command 3: ") as caught:
        log.do(Transaction([Create("Thing", "b", 1), Delete(thing), SetFields(thing, "Count", 1)]))
    assert caught.value.data["command"] == 3
    assert isinstance(caught.value, NotFound)
    after = dump(log.state)
    applied_and_time = 2
    assert after.pop("counters")[applied_and_time:] == before.pop("counters")[applied_and_time:]
    assert after == before


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"field": "Count", "op": "==", "value": 5}, True),
        ({"field": "Count", "op": "==", "value": "5"}, True),
        ({"field": "Count", "op": "!=", "value": 5}, False),
        ({"field": "Count", "op": "<", "value": 6}, True),
        ({"field": "Count", "op": "<=", "value": 4}, False),
        ({"field": "Count", "op": ">", "value": 4}, True),
        ({"field": "Count", "op": ">=", "value": 6}, False),
        ({"field": "Note", "op": "<", "value": "b"}, True),
        ({"field": "Flag", "op": "==", "value": False}, True),
        ({"field": "Friend", "op": "==", "value": None}, True),
        ({"field": "Children", "op": "==", "value": []}, True),
        ({"exists": True}, True),
        ({"exists": False}, False),
    ],
)
def test_conditions(log: Log, condition: dict[str, Any], holds: bool) -> None:
    thing = log.create("Thing", "a", Count=5, Note="a")
    command = Transaction([SetFields(thing, "Note", "done")], [Condition(thing, **condition)])
    if holds:
        log.do(command)
        assert value(log, thing, "Note") == "done"
    else:
        with pytest.raises(Conflict, match="condition 1: ") as caught:
            log.do(command)
        assert caught.value.data["condition"] == 1
        assert value(log, thing, "Note") == "a"


def test_a_condition_on_the_revision_lets_one_of_two_win(log: Log) -> None:
    thing = log.create("Thing", "a", Count=5)
    revision = read.get(log.state, Get(thing, ["Count"])).fields["Count"].revision  # type: ignore[union-attr]
    condition = Condition(thing, "Count", revision=revision)
    log.do(Transaction([SetFields(thing, "Count", 6)], [condition]))
    with pytest.raises(Conflict) as caught:
        log.do(Transaction([SetFields(thing, "Count", 7)], [condition]))
    assert caught.value.data["value"] == 6


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ({}, BadParams),
        ({"field": "Count"}, BadParams),
        ({"field": "Count", "op": "=="}, BadParams),
        ({"field": "Count", "op": "==", "value": 1, "revision": 3}, BadParams),
        ({"exists": True, "field": "Count"}, BadParams),
        ({"field": "Flag", "op": "<", "value": True}, WrongKind),
        ({"field": "Nope", "op": "==", "value": 1}, NotFound),
    ],
)
def test_conditions_in_no_known_form_are_refused(
    log: Log, condition: dict[str, Any], error: type[RequestError]
) -> None:
    thing = log.create("Thing", "a")
    with pytest.raises(error):
        log.do(Transaction([], [Condition(thing, **condition)]))


def test_a_numbered_pipeline_happens_once_and_reads_anew(log: Log) -> None:
    thing = log.create("Thing", "a")
    session = log.do(SessionOpen()).session
    command = Pipeline([SetFields(thing, "Count", 1, "add"), Get(thing, ["Count"])], session=session, seq=1, hash="h")
    first = local(log, command).result
    log.set(thing, "Count", 50)
    second = local(log, command).result
    assert first[1].result.fields["Count"].value == 1
    assert second[1].result.fields["Count"].value == 50
    assert second[0]["result"] == {"applied": True, "revision": first[0].result.revision}


@pytest.mark.parametrize("compound", [Pipeline, Transaction])
def test_a_retry_reads_what_was_created_then(log: Log, compound: Any) -> None:
    session = log.do(SessionOpen()).session
    steps: list[Any] = [Create("Thing", "a"), Get("$1", ["Name"]), Create("Thing", "b", "$1"), Get("$3", ["Parent"])]
    command = compound(steps, session=session, seq=1, hash="h")
    first, second = (local(log, command).result for _ in range(2))
    if compound is Transaction:
        first, second = first.results, second["results"]
    made = first[0].result.id
    assert [first[place].result.fields for place in (1, 3)] == [second[place].result.fields for place in (1, 3)]
    assert second[3].result.fields["Parent"].value == made


def test_a_read_of_what_an_earlier_command_did_not_create(log: Log) -> None:
    thing = log.create("Thing", "a")
    reads: list[Any] = [Get("$1"), Exists("$1"), Get("$9"), Exists("$9"), Exists(thing)]
    results = local(log, Pipeline([SetFields(thing, "Count", 1), *reads])).result
    assert [
        result.result if isinstance(result, StepDone) else result.error["data"]["kind"] for result in results[1:]
    ] == ["not_found", False, "bad_params", "bad_params", True]


def test_a_refused_transaction_is_refused_again_under_its_number(log: Log) -> None:
    thing = log.create("Thing", "a")
    session = log.do(SessionOpen()).session
    command = Transaction([], [Condition(thing, "Count", "==", 1)], session=session, seq=1, hash="h")
    assert local(log, command).error is not None
    log.set(thing, "Count", 1)
    again = local(log, command)
    assert again.before is not None
    assert again.before.failed


def test_replicas_agree_whoever_owes_the_answer(log: Log) -> None:
    thing = log.create("Thing", "a")
    session = log.do(SessionOpen()).session
    local(log, Pipeline([SetFields(thing, "Count", 1), Get(thing)], session=session, seq=1, hash="h"))
    local(log, Transaction([Create("Thing", "b", "$1"), Get(thing)], session=session, seq=2, hash="i"))
    other = replay(log.records)
    assert dump(other) == dump(log.state)
    assert log.state.digest() == full_digest(log.state)
