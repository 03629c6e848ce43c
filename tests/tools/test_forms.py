"""How values and columns are written by all tools."""

from __future__ import annotations

import pytest

from qcore_tools.forms import bare, cell, columns, csv_lines, literal, width


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("abc", 3), ("漢字", 4), ("e\u0301", 1), ("a\u200d", 1), ("a\u00adb", 3), ("\u1100\u1161", 2), ("é", 1)],
)
def test_a_text_is_as_wide_as_a_terminal_shows_it(text: str, columns: int) -> None:
    assert width(text) == columns


def test_wide_and_combining_characters_keep_columns_aligned() -> None:
    rows = [["漢字", "x"], ["abcd", "y"], ["e\u0301", "z"]]
    assert columns(["A", "B"], rows) == ["A     B", "漢字  x", "abcd  y", "e\u0301     z"]


def test_without_rows_there_is_the_header() -> None:
    assert columns(["ID", "NAME"], []) == ["ID  NAME"]


def test_values_look_as_people_programs_and_csv_want_them() -> None:
    value = ["a", {"missing": 7}, None]
    assert literal(value) == '["a", (missing) 7, null]'
    assert bare(value) == "[a,7,null]"
    assert cell(value) == '["a",{"missing":7},null]'
    assert cell(None) == ""
    assert csv_lines(["a", "b"], [["1,2", "x"]]) == 'a,b\n"1,2",x\n'
