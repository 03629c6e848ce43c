"""The table of methods: complete, documented, and good for making documents of it."""

from __future__ import annotations

import inspect
from typing import get_args

import msgspec
import pytest

from qcore.model.api import METHODS, Method
from qcore.model.entry import Logged
from qcore.model.requests import cluster, commands, compound, queries
from qcore.model.requests.commands import Bootstrap, Command, SnapshotRestore
from qcore.model.requests.queries import Query, StoreQuery

ALL = pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)


def test_every_command_and_query_has_a_method_but_the_one_that_is_for_the_node_itself() -> None:
    served = {method.params for method in METHODS.values()}
    asked = {
        found
        for module in (cluster, commands, compound, queries)
        for name in module.__all__
        if inspect.isclass(found := getattr(module, name)) and issubclass(found, Command | Query)
    }
    assert asked - {Command, Query} == served | {Bootstrap}


@ALL
def test_a_method_is_listed_by_its_name_and_documented_in_one_sentence(method: Method) -> None:
    assert METHODS[method.name] is method
    assert method.summary.endswith(".") or ";" in method.summary or ":" in method.summary
    assert len(method.summary) < 120


@ALL
def test_writes_are_the_commands_of_the_log_and_the_one_whose_document_is_not_there_yet(method: Method) -> None:
    assert method.writes == (method.params in (*get_args(Logged), SnapshotRestore))
    if method.writes:
        assert method.params.method == method.name


@ALL
def test_a_read_of_the_state_waits_for_a_barrier_and_for_the_revision_it_names(method: Method) -> None:
    assert (method.barrier and not method.writes) == (method.revision is not None)
    assert (method.revision is not None) == issubclass(method.params, StoreQuery)


@ALL
def test_a_method_with_a_filter_says_where_it_is(method: Method) -> None:
    assert (method.filters is not None) == (
        "filter" in method.params.__struct_fields__ or method.params in compound.COMPOUND
    )


@ALL
def test_a_dry_run_only_reads(method: Method) -> None:
    assert (method.dry_run is not None) == ("dry_run" in method.params.__struct_fields__)
    assert method.dry_run in (None, "read")


def test_the_revision_a_read_waits_for_is_the_highest_that_it_names() -> None:
    find, listen = METHODS["find"].revision, METHODS["listen"].revision
    assert find is not None
    assert listen is not None
    assert find(queries.Find("Thing", min_revision=3)) == 3
    assert listen(queries.Listen("Thing", min_revision=3)) == 3
    assert listen(queries.Listen("Thing", min_revision=3, since=2)) == 3
    assert listen(queries.Listen("Thing", min_revision=3, since=5)) == 5


def test_the_filters_of_a_pipeline_are_those_of_its_steps() -> None:
    wanted = METHODS["pipeline"].filters
    assert wanted is not None
    steps: list[compound.Step] = [
        queries.Find("A", filter="x"),
        queries.Get(1),
        queries.Count("B"),
        queries.Count("C", filter="y"),
    ]
    assert list(wanted(compound.Pipeline(steps))) == ["x", "y"]


def test_what_is_about_one_node_or_kept_by_it_is_answered_by_no_other() -> None:
    assert {method.name for method in METHODS.values() if not method.elsewhere} == {
        "clients",
        "cluster.init",
        "cluster.status",
        "info",
        "machine",
        "ping",
        "slowlog",
        "snapshot.export",
        "snapshot.plan",
        "snapshot.restore",
        "snapshot.take",
        "snapshot.upload",
        "unlisten",
    }


@ALL
def test_params_are_known_by_name_and_by_position(method: Method) -> None:
    names = method.params.__struct_fields__
    common = (Command if method.writes else Query).__struct_fields__
    own = [name for name in names if name not in (*common, *StoreQuery.__struct_fields__)]
    assert list(names[: len(own)]) == own


@ALL
def test_a_request_says_how_long_it_waits(method: Method) -> None:
    assert "timeout" in method.params.__struct_fields__


@ALL
def test_unknown_params_are_refused(method: Method) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"no_such_param":1}', type=method.params)


@ALL
def test_params_have_a_json_schema(method: Method) -> None:
    assert msgspec.json.schema(method.params)


@pytest.mark.parametrize("name", ["exists", "get", "find", "types", "schema.get", "schema.complete", "digest"])
def test_a_read_of_the_store_names_its_consistency_and_may_wait_for_a_revision(name: str) -> None:
    assert issubclass(METHODS[name].params, StoreQuery)


@pytest.mark.parametrize("word", ["Linearizable", "strong", "", "stale"])
def test_an_unknown_consistency_is_refused(word: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"at `\$.consistency`"):
        msgspec.json.decode(f'{{"id":1,"consistency":"{word}"}}', type=queries.Get)
