from __future__ import annotations

import pytest

from qcore_tools.cli.words import BAR, Bar, Sentence, Splitter, split
from qcore_tools.console import UsageError


def words(text: str, *, comments: bool = False) -> list[list[str]]:
    return [sentence.words for sentence in split(text, comments=comments)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET 12 Name", ["GET", "12", "Name"]),
        ("  GET\t12   ", ["GET", "12"]),
        ('SET 12 Name "John Doe"', ["SET", "12", "Name", "John Doe"]),
        ("SET 12 Name 'John \"JD\" Doe'", ["SET", "12", "Name", 'John "JD" Doe']),
        (r'SET 12 Name "a \"b\" \\ \n"', ["SET", "12", "Name", r'a "b" \ \n']),
        (r"SET 12 Name a\ b\'c", ["SET", "12", "Name", "a b'c"]),
        ("SET 12 Name ''", ["SET", "12", "Name", ""]),
        ("SET 12 Name a'b c'\"d e\"", ["SET", "12", "Name", "ab cd e"]),
        ("GET 'User$12'", ["GET", "User$12"]),
        (r"SET 12 Name '\'", ["SET", "12", "Name", "\\"]),
        ("GET 12 Department->Name", ["GET", "12", "Department->Name"]),
    ],
)
def test_quotes_and_backslashes_are_the_shells(text: str, expected: list[str]) -> None:
    assert words(text) == [expected]


def test_each_line_is_a_command_and_empty_ones_are_none() -> None:
    assert words("PING\n\n   \nINFO\n") == [["PING"], ["INFO"]]


@pytest.mark.parametrize("char", ["\x85", "\u2028", "\u2029", "\xa0", "\u3000", "\x1c"])
def test_only_newlines_end_commands_and_only_blanks_words(char: str) -> None:
    assert words(f"SET 12 Note 'a{char}b' Name c{char}d") == [["SET", "12", "Note", f"a{char}b", "Name", f"c{char}d"]]


def test_comments_are_for_files_only() -> None:
    assert words("# nothing\nGET 12 # all\nGET /Root/A#2", comments=True) == [["GET", "12"], ["GET", "/Root/A#2"]]
    assert words("SET 12 Name # x") == [["SET", "12", "Name", "#", "x"]]


def test_a_quoted_hash_is_no_comment() -> None:
    assert words("SET 1 Name '# 1' # one", comments=True) == [["SET", "1", "Name", "# 1"]]


def test_an_open_quote_and_a_last_backslash_join_lines() -> None:
    text = "SET 12 Text 'one\ntwo'\nGET \\\n12\n"
    assert list(split(text)) == [
        Sentence(1, ["SET", "12", "Text", "one\ntwo"]),
        Sentence(3, ["GET", "12"]),
    ]


def test_a_quote_that_is_never_closed_names_the_line_it_began_in() -> None:
    with pytest.raises(UsageError, match='the quote " is never closed') as caught:
        list(split('PING\nGET "\nPING'))
    assert caught.value.data["line"] == 2


def test_a_splitter_can_be_used_again_after_an_error() -> None:
    splitter = Splitter()
    assert splitter.feed("GET '") is None
    with pytest.raises(UsageError):
        splitter.finish()
    assert splitter.feed("PING") == Sentence(2, ["PING"])


def test_windows_line_ends_are_no_part_of_words() -> None:
    assert [sentence.words for sentence in split("PING\r\nGET 1\r\n")] == [["PING"], ["GET", "1"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PIPELINE A | B", ["PIPELINE", "A", BAR, "B"]),
        ("pipeline A|B|", ["pipeline", "A", BAR, "B", BAR]),
        ("TX THEN A |B", ["TX", "THEN", "A", BAR, "B"]),
        ("PIPELINE A '|' B", ["PIPELINE", "A", "|", "B"]),
        ('PIPELINE A "x|y" B', ["PIPELINE", "A", "x|y", "B"]),
        (r"PIPELINE A \| B", ["PIPELINE", "A", "|", "B"]),
        ("PIPELINE FIND User a||b", ["PIPELINE", "FIND", "User", "a||b"]),
        ("PIPELINE FIND || |||", ["PIPELINE", "FIND", "||", "|||"]),
        ("SET 1 Name a|b", ["SET", "1", "Name", "a|b"]),
        ("SET 1 Name |", ["SET", "1", "Name", "|"]),
    ],
)
def test_a_single_bar_outside_quotes_separates_the_commands_of_a_pipeline(text: str, expected: list[str]) -> None:
    (found,) = words(text)
    assert found == expected
    assert [type(word) is Bar for word in found] == [type(word) is Bar for word in expected]


def test_a_comment_may_follow_a_bar() -> None:
    assert words("PIPELINE A | # rest", comments=True) == [["PIPELINE", "A", BAR]]
