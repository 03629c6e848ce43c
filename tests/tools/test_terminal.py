from __future__ import annotations

import io
import sys
import unicodedata

import pytest

from qcore_tools.terminal import OutputError, complain, note, visible, write_result

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_what_a_terminal_obeys_is_shown_as_its_escape() -> None:
    assert visible("a\x9b2J\x1b\x7f\n\u2028\u202e\udc9b") == "a\\u009b2J\\u001b\\u007f\\u000a\\u2028\\u202e\\udc9b"


def test_exactly_controls_separators_bidi_controls_and_halves_of_pairs_are_escaped() -> None:
    escaped = {chr(code) for code in range(sys.maxunicode + 1) if visible(chr(code)) != chr(code)}
    wanted = {chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in ("Cc", "Zl", "Zp")}
    assert escaped == wanted | set(BIDI) | {chr(code) for code in range(0xD800, 0xE000)}


def test_errors_and_notes_are_one_visible_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("(error) x: 'a\x9b\nb'")
    note("warned\u202e")
    assert capsys.readouterr().err == "(error) x: 'a\\u009b\\u000ab'\nwarned\\u202e\n"


def test_errors_have_no_colour_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    complain("(error) x")
    assert capsys.readouterr().err == "(error) x\n"


def test_output_that_is_not_taken_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    with pytest.raises(OutputError, match=r"its encoding ascii has no U\+2603"):
        write_result("a☃")
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="standard output is closed"):
        write_result("a")


def test_without_standard_error_nothing_is_told_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        complain("x")
        note("y")
    assert capsys.readouterr().out == ""
