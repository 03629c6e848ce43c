"""Whose a number is that no field can hold."""

from __future__ import annotations

import pytest

from qcore.model.requests.numbers import field_out_of_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"field":"A","value":1e400}', ("A", "1e400")),
        (b'{"field":"A","value":1,"fields":{"B":1,"C":-1e400}}', ("C", "-1e400")),
        (b'{"type":"T","field":"F","schema":{"default":1e400}}', ("T.F", "1e400")),
        (b'{"schemas":[{"entityType":"T","fields":[{"name":"F","default":1e400}]}]}', ("T.F", "1e400")),
        (b'{"value":[1,1e400]}', ("", "[1,1e400]")),
        (b'{"field":"A","value":"1e400"}', None),
        (b'{"field":"A","value":1e300,"timeout":1e400}', None),
        (b'{"id":1e400,"fields":["A"]}', None),
        (b'{"conditions":5,"value":1e400}', None),
        (b"[" * 100_000, None),
    ],
)
def test_the_field_is_found_where_there_is_one(text: bytes, expected: tuple[str, str] | None) -> None:
    assert field_out_of_range(text) == expected


def test_a_long_value_is_cut() -> None:
    found = field_out_of_range(b'{"field":"A","value":' + b"9" * 5000 + b"}")
    assert found == ("A", "9" * 77 + "...")
