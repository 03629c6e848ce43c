"""Entries, log ids, votes and memberships: their order, their numbers, and JSON there and back."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.entry import (
    FEATURE_LEVEL,
    GENERATIONS,
    Entry,
    EntryBody,
    LogId,
    Member,
    Membership,
    Vote,
    public_id,
    raft_node_id,
)
from qcore.model.requests.commands import Create, Delete
from qcore.model.wire import encode_json

MEMBERSHIP = Membership(
    [[65_537], [65_537, 131_073]],
    {65_537: Member("127.0.0.1:8080", "00" * 16), 131_073: Member("127.0.0.1:8081", "ff" * 16)},
)


@given(st.integers(1, 2**47), st.integers(0, GENERATIONS - 1))
def test_the_node_id_of_raft_holds_the_public_id_and_the_generation(node: int, generation: int) -> None:
    raft_node = raft_node_id(node, generation)
    assert public_id(raft_node) == node
    assert raft_node % GENERATIONS == generation


def test_a_new_disk_is_a_new_node() -> None:
    assert raft_node_id(1, 1) == 65_537
    assert raft_node_id(1, 2) != raft_node_id(1, 1)


def test_log_ids_are_ordered_by_term_then_node_then_index() -> None:
    ids = [LogId(*numbers) for numbers in itertools.product((1, 2), repeat=3)]
    assert sorted(ids) == ids
    assert LogId(1, 9, 9) < LogId(2, 1, 1) < LogId(2, 1, 2) < LogId(2, 2, 0)


@pytest.mark.parametrize(
    "body",
    [
        EntryBody(FEATURE_LEVEL, 0, "blank"),
        EntryBody(FEATURE_LEVEL, 5, "membership", membership=MEMBERSHIP),
        EntryBody(FEATURE_LEVEL, 2**62, "commands", [Create("User", "Ann", 1, {"Rate": 1e300}), Delete("@5")]),
    ],
    ids=["blank", "membership", "commands"],
)
def test_an_entry_comes_back_from_json_as_it_was(body: EntryBody) -> None:
    back = msgspec.json.decode(encode_json(body), type=EntryBody)
    assert back == body
    assert encode_json(back) == encode_json(body)


def test_json_of_an_entry_has_a_fixed_order_and_no_empty_parts() -> None:
    assert encode_json(EntryBody(1, 5, "commands", [Delete(5)])) == (
        b'{"feature":1,"time":5,"kind":"commands","commands":[{"method":"delete","id":5}]}'
    )
    assert encode_json(EntryBody(1, 5, "blank")) == b'{"feature":1,"time":5,"kind":"blank"}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"feature":1,"time":0}', "missing required field `kind`"),
        ('{"feature":1,"time":0,"kind":"other"}', "'other'"),
        ('{"feature":1,"time":0,"kind":"blank","more":1}', "unknown field `more`"),
        ('{"feature":1,"time":0,"kind":"commands","commands":[{"method":"get","id":1}]}', "'get'"),
        ('{"feature":1,"time":0,"kind":"commands","commands":[{"id":1}]}', "missing required field `method`"),
    ],
)
def test_json_that_is_no_entry_is_refused(text: str, said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.json.decode(text, type=EntryBody)


def test_records_of_the_log_cannot_be_changed_once_made() -> None:
    for record, field in ((LogId(1, 1, 1), "term"), (Vote(1, 1, True), "node"), (MEMBERSHIP, "configs")):
        with pytest.raises(AttributeError):
            setattr(record, field, 5)


def test_an_entry_is_its_id_and_its_body() -> None:
    entry = Entry(LogId(1, 65_537, 0), EntryBody(1, 0, "blank"))
    assert (entry.id.index, entry.body.commands) == (0, [])
