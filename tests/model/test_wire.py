"""Text on the wire: how many bytes it has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.wire import cut_text, lone_surrogate, repeated_key, repeated_member, text_size


@given(st.text(st.characters(codec="utf-8")))
def test_the_size_of_a_text_is_that_of_its_bytes(text: str) -> None:
    assert text_size(text) == len(text.encode())


def test_half_a_surrogate_pair_has_a_size_too() -> None:
    assert text_size("a\ud800") == 4


@given(st.text(st.characters(codec="utf-8")), st.integers(4, 20))
def test_pieces_of_a_text_have_at_most_so_many_bytes(text: str, size: int) -> None:
    pieces = list(cut_text(text.encode(), size))
    assert "".join(pieces) == text
    assert all(0 < text_size(piece) <= size for piece in pieces)


@pytest.mark.parametrize(
    ("text", "key", "member"),
    [
        (b"{}", None, None),
        (b'{"a":1,"b":{"a":1}}', None, None),
        (b'{"a":1,"a":1}', "a", "a"),
        (b'{"a":{"b":1,"b":2}}', "b", None),
        (b'{"a":":","b":"\\u003a","c:d":"e"}', None, None),
        (b'{"c:d":1,"c\\u003ad":2}', "c:d", "c:d"),
        (b'{"a":1,"\\u0061":2}', "a", "a"),
        (b'{"a":[' + b"9" * 5000 + b',1e400],"b":1}', None, None),
    ],
)
def test_keys_that_stand_twice_are_found(text: bytes, key: str | None, member: str | None) -> None:
    assert (repeated_key(text), repeated_member(text)) == (key, member)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c:", "ä", "\\", '"']), st.integers() | st.text())))
def test_a_member_stands_twice_if_there_are_fewer_keys_than_members(pairs: list[tuple[str, Any]]) -> None:
    for ascii_only in (False, True):
        members = (f"{json.dumps(k, ensure_ascii=ascii_only)} : {json.dumps(v)}" for k, v in pairs)
        text = f"{{{','.join(members)}}}"
        found = repeated_member(text.encode())
        assert (found is not None) == (len(dict(pairs)) < len(pairs))
        assert found is None or [key for key, _ in pairs].count(found) > 1


@given(st.text(st.characters(), max_size=20))
def test_a_lone_surrogate_is_found_where_there_is_one_and_the_rest_can_be_read(text: str) -> None:
    data = json.dumps(text).encode()
    found = lone_surrogate(data)
    halves = [char for char in json.loads(data) if "\ud800" <= char <= "\udfff"]
    assert (found is None) == (not halves)
    if found is not None:
        assert json.loads(f'"{found[0]}"') == halves[0]
        assert len(found[1]) == len(data)
        json.loads(found[1]).encode()
