"""One field at a time: `field.set`, `field.get`, `field.exists`, `count` and the dry run of `schema.set`."""

from __future__ import annotations

from typing import Any

import pytest

from qcore.model.errors import BadParams, BadSchema, InUse, NotFound, RequestError
from qcore.model.requests.commands import FieldChange, FieldSet, SchemaSet
from qcore.model.requests.queries import Count, FieldExists, FieldGet, Get
from qcore.model.requests.results import Counted
from qcore.model.values import Kind
from qcore.model.work import run_whole
from qcore.store import read
from qcore.store.schemas import try_schemas
from qcore.store.search import find as search
from tests.store.samples import Log, dump, field, full_digest, through, type_of


@pytest.fixture
def log() -> Log:
    return Log(
        type_of("Thing", field("Count", rank=4), field("Mode", Kind.Choice, choices=["off", "on"])),
        type_of("Gadget", inherits=["Thing"]),
    )


def value(log: Log, id: int, name: str) -> Any:
    return read.get(log.state, Get(id, [name])).fields[name].value  # type: ignore[union-attr]


def test_a_new_field_gets_the_next_rank_and_reads_as_its_default(log: Log) -> None:
    gadget = log.create("Gadget", "g", Count=3)
    log.do(FieldSet("Thing", "Note", FieldChange(Kind.String, "none")))
    found = read.field_get(log.state, FieldGet("Gadget", "Note"))
    assert (found.rank, found.default) == (5, "none")
    assert value(log, gadget, "Note") == "none"
    assert value(log, gadget, "Count") == 3


def test_what_is_left_out_of_a_change_stays(log: Log) -> None:
    log.do(FieldSet("Thing", "Count", FieldChange(default=7)))
    found = read.field_get(log.state, FieldGet("Thing", "Count"))
    assert (found.data_type, found.rank, found.default) == (Kind.Int, 4, 7)


def test_a_change_of_kind_resets_the_values_but_not_the_rank(log: Log) -> None:
    thing = log.create("Thing", "t", Count=3)
    log.do(FieldSet("Thing", "Count", FieldChange(Kind.String)))
    assert value(log, thing, "Count") == ""
    assert read.field_get(log.state, FieldGet("Thing", "Count")).rank == 4
    assert log.state.digest() == full_digest(log.state)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (FieldSet("Nope", "A", FieldChange(Kind.Int)), NotFound),
        (FieldSet("Thing", "A", FieldChange()), BadParams),
        (FieldSet("Thing", "no good", FieldChange(Kind.Int)), BadSchema),
        (FieldSet("Thing", "Count", FieldChange(default="x")), BadSchema),
        (FieldSet("Object", "A", FieldChange(Kind.Int)), BadSchema),
        (FieldSet("Thing", "Mode", FieldChange(choices=["off"])), InUse),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_leaves_no_trace(
    log: Log, command: FieldSet, error: type[RequestError]
) -> None:
    log.create("Thing", "t", Mode="on")
    before = dump(log.state)
    with pytest.raises(error):
        log.do(command)
    after = dump(log.state)
    assert before.pop("counters")[2:] == after.pop("counters")[2:]
    assert before == after


def test_a_field_exists_where_it_is_inherited_and_nowhere_else(log: Log) -> None:
    assert read.field_exists(log.state, FieldExists("Gadget", "Count"))
    assert read.field_exists(log.state, FieldExists("Gadget", "Name"))
    assert not read.field_exists(log.state, FieldExists("Gadget", "Nope"))
    assert not read.field_exists(log.state, FieldExists("Nope", "Name"))


def test_count_includes_descendants_unless_it_is_exact(log: Log) -> None:
    log.create("Thing", "t")
    log.delete(log.create("Gadget", "g"))
    log.create("Gadget", "h")
    assert through(search.count(log.state, Count("Thing"))) == Counted(2)
    assert through(search.count(log.state, Count("Thing", exact=True))) == Counted(1)
    with pytest.raises(NotFound):
        through(search.count(log.state, Count("Nope")))


def test_a_dry_run_says_what_would_happen_and_changes_nothing(log: Log) -> None:
    log.create("Thing", "t", Count=3)
    before = dump(log.state)
    done = run_whole(try_schemas(log.state, SchemaSet(type_of("Thing", field("Other")))))
    assert done.revision == log.state.revision + 1
    assert done.types == ["Thing"]
    assert dump(log.state) == before
    with pytest.raises(BadSchema):
        run_whole(try_schemas(log.state, SchemaSet(type_of("Thing", inherits=["Nope"]))))
    assert dump(log.state) == before
