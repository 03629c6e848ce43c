"""JSON, indented as it comes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qcore_tools.snapshot.indenting import Indenter

VALUES: list[Any] = [
    {},
    [],
    7,
    "a",
    {"a": [1, 2, {"b": None}], "c": {}, "d": [], "e": [[]]},
    {'quo"te': 'back\\slash "{[,:]}" \\', "é漢": ["\\\\", '"']},
]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("value", VALUES)
def test_a_text_cut_anywhere_is_indented_as_the_whole(value: Any, size: int) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    indenter = Indenter()
    indented = "".join(indenter.feed(text[begin : begin + size]) for begin in range(0, len(text), size))
    assert indented == json.dumps(value, ensure_ascii=False, indent=2)


def test_a_text_of_any_depth_is_indented() -> None:
    assert Indenter().feed("[" * 2000 + "]" * 2000).count("\n") == 2 * 1999
