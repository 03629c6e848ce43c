from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.disk.log.record import (
    HEAD_SIZE,
    body_of,
    check,
    decode,
    decode_body,
    encode,
    encode_body,
    foreign_body,
    is_blank,
)
from qcore.model.entry import FEATURE_LEVEL, EntryBody, LogId, Member, Membership
from qcore.model.errors import Damaged
from qcore.model.requests.commands import Create, SessionOpen, SetFields
from tests.disk.samples import body, log_id, record_of

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.integers(0, 1200).map(lambda count: " " * count)
numbers = st.integers(-(2**63), 2**63 - 1)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
commands = st.one_of(
    st.builds(Create, texts, texts, parent=st.none() | numbers | texts, fields=st.dictionaries(texts, values)),
    st.builds(SetFields, numbers | texts, field=texts, value=values, seq=st.integers(0, 2**63)),
    st.builds(SessionOpen),
)
memberships = st.builds(
    Membership,
    st.lists(st.lists(st.integers(1, 2**40), max_size=3), min_size=1, max_size=2),
    st.dictionaries(st.integers(1, 2**40), st.builds(Member, texts, texts), max_size=3),
)
bodies = st.one_of(
    st.builds(EntryBody, st.just(FEATURE_LEVEL), numbers, st.just("blank")),
    st.builds(EntryBody, st.just(FEATURE_LEVEL), numbers, st.just("commands"), st.lists(commands, max_size=4)),
    st.builds(EntryBody, st.just(FEATURE_LEVEL), numbers, st.just("membership"), membership=memberships),
)
counters = st.integers(0, 2**64 - 1)
log_ids = st.builds(LogId, counters, counters, counters)


@given(log_ids, bodies, st.integers(0, 5000))
def test_what_is_encoded_is_decoded_whatever_blanks_follow(id: LogId, body: EntryBody, blanks: int) -> None:
    data = record_of(id, body) + b" " * blanks
    entry = decode(data, id.index, "7.json")
    assert (entry.id, entry.body) == (id, body)
    assert check(data, id.index, "7.json") == id


@given(log_ids, bodies)
def test_a_record_is_one_line_of_json_with_its_head_in_the_first_sector(id: LogId, body: EntryBody) -> None:
    data = record_of(id, body)
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    assert list(json.loads(data))[:4] == ["head", "feature", "time", "kind"]
    version, length, index, term, node, _, _ = json.loads(data)["head"].split()
    assert (int(version), int(length)) == (1, len(data))
    assert LogId(int(term), int(node), int(index)) == id
    assert HEAD_SIZE <= 512
    assert data[:HEAD_SIZE].endswith(b'",')


@given(st.integers(0, 5000), st.integers(0, 600))
def test_no_sector_of_a_record_is_ever_blank(blanks: int, before: int) -> None:
    data = record_of(log_id(0), body("x" * before + " " * blanks + "x"))
    sectors = [data[start : start + 512] for start in range(0, len(data), 512)]
    assert not any(is_blank(sector) for sector in sectors)
    assert b" " * 256 not in data


@given(log_ids, bodies, st.integers(0, 5000))
def test_a_body_is_given_back_byte_for_byte(id: LogId, body: EntryBody, blanks: int) -> None:
    made = encode_body(body)
    assert body_of(encode(id, made) + b" " * blanks) == made
    assert decode_body(made, "a peer") == body
    assert foreign_body(made) == made


def test_a_body_that_came_from_elsewhere_is_stored_as_it_came() -> None:
    came = foreign_body(b'{"kind": "blank",  "time":0,"feature":1}')
    data = encode(log_id(7), came)
    assert body_of(data) == came
    assert decode(data, 7, "7.json").body == EntryBody(1, 0, "blank")


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", b'{"a":1', b'{"a":\n1}', b'{"a":1}\n', b' {"a":1}', b'"a"'], ids=repr
)
def test_a_body_that_would_not_be_one_line_of_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="a JSON object on one line"):
        foreign_body(data)


def test_a_body_that_could_make_a_blank_sector_is_refused() -> None:
    assert foreign_body(b'{"a":"' + b" " * 255 + b'"}')
    with pytest.raises(ValueError, match="at most 255 blanks in a row"):
        foreign_body(b'{"a":"' + b" " * 256 + b'"}')


def test_bytes_from_elsewhere_that_are_no_body_are_named_by_where_they_came_from() -> None:
    with pytest.raises(Damaged, match=r"entry 7 of node 2 is damaged: expected an entry"):
        decode_body(b'{"feature":1}', "entry 7 of node 2")
    with pytest.raises(Damaged, match=r"entry 7 of node 2 was written by a newer qcore"):
        decode_body(b'{"feature":99,"colour":"blue"}', "entry 7 of node 2")


def test_every_flipped_byte_is_found() -> None:
    data = record_of(log_id(7), body("a name")) + b"   "
    for place in range(len(data)):
        for bit in range(8):
            broken = bytearray(data)
            broken[place] ^= 1 << bit
            with pytest.raises(Damaged, match=r"logs/7\.json is damaged"):
                decode(bytes(broken), 7, "logs/7.json")


def test_every_truncation_is_found() -> None:
    data = record_of(log_id(7), body("a name"))
    for length in range(len(data)):
        with pytest.raises(Damaged, match=r"logs/7\.json is damaged"):
            decode(data[:length], 7, "logs/7.json")


def test_the_message_names_what_was_expected_and_found_and_the_way_out() -> None:
    data = record_of(log_id(7), body("a name"))
    with pytest.raises(Damaged, match=r"expected entry 8 by its name, found entry 7\. Put back a good copy"):
        decode(data, 8, "logs/8.json")
    with pytest.raises(Damaged, match=f"expected at least {len(data)} bytes by its head, found {len(data) - 1}"):
        decode(data[:-1], 7, "logs/7.json")
    with pytest.raises(Damaged, match="found an empty file"):
        decode(b"", 7, "logs/7.json")
    with pytest.raises(Damaged, match="found blanks or zeros only"):
        decode(b"\0" * 600, 7, "logs/7.json")
    with pytest.raises(Damaged, match="expected nothing but blanks after"):
        decode(data + b"\0", 7, "logs/7.json")


def test_a_head_that_is_another_way_of_writing_the_same_is_refused() -> None:
    data = record_of(log_id(7), body())
    with pytest.raises(Damaged, match="expected an entry's head"):
        decode(data.replace(b"0001 ", b"+001 ", 1), 7, "logs/7.json")


def test_a_newer_format_is_refused_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcore.disk.log.record.FORMAT", 2)
    data = record_of(log_id(7), body())
    monkeypatch.undo()
    with pytest.raises(Damaged, match="written by a newer qcore: it holds format 2"):
        decode(data, 7, "logs/7.json")


def test_an_unknown_format_below_ours_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcore.disk.log.record.FORMAT", 0)
    data = record_of(log_id(7), body())
    monkeypatch.undo()
    with pytest.raises(Damaged, match="expected format 1, found format 0"):
        decode(data, 7, "logs/7.json")


def test_a_newer_feature_level_is_refused_as_such() -> None:
    data = record_of(log_id(7), msgspec.structs.replace(body(), feature=FEATURE_LEVEL + 1))
    with pytest.raises(Damaged, match=f"written by a newer qcore: it holds feature level {FEATURE_LEVEL + 1}"):
        decode(data, 7, "logs/7.json")


class Tomorrow(msgspec.Struct):
    """A body with a member this version does not know."""

    feature: int
    colour: str = "blue"


@pytest.mark.parametrize(("feature", "text"), [(FEATURE_LEVEL + 1, "newer qcore"), (FEATURE_LEVEL, "does not fit")])
def test_an_unknown_member_is_newer_only_at_a_newer_feature_level(feature: int, text: str) -> None:
    data = record_of(log_id(7), Tomorrow(feature))  # type: ignore[arg-type]
    with pytest.raises(Damaged, match=text):
        decode(data, 7, "logs/7.json")


@pytest.mark.parametrize(
    ("data", "blank"), [(b"", True), (b" " * 4096, True), (b"\0\0", True), (b" \n", False), (b"{", False)]
)
def test_blank_is_what_holds_only_blanks_or_zeros(data: bytes, blank: bool) -> None:
    assert is_blank(data) is blank
