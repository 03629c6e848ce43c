"""Ids, names and identifiers: what is one, what is none, and what the refusal says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.errors import BadParams, BadValue
from qcore.model.ids import (
    MAX_ID,
    MAX_NAME,
    check_entity_name,
    is_digits,
    is_epoch,
    is_identifier,
    parse_id,
    split_typed_id,
)


@pytest.mark.parametrize("name", ["A", "_", "a1", "_1", "Name", "CamelCase_9", "x" * 1000])
def test_letters_digits_and_underscores_make_an_identifier(name: str) -> None:
    assert is_identifier(name)


@pytest.mark.parametrize(
    "name", ["", "1a", "a b", "a-b", "a.b", "a$", "ä", "Ａ", "a١", "a\n", "\na", " a", "a\x00", "ﬁ", "a->b", "ⅷ"]
)
def test_anything_else_is_no_identifier(name: str) -> None:
    assert not is_identifier(name)


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("1", 1),
        ("@1", 1),
        ("12345", 12345),
        ("@12345", 12345),
        ("0", 0),
        ("007", 7),
        (str(MAX_ID), MAX_ID),
        (f"@{MAX_ID}", MAX_ID),
    ],
)
def test_plain_ids_are_read(text: str, id: int) -> None:
    assert parse_id(text) == id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "@@1",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "1_000",
        " 1",
        "1 ",
        "1\n",
        "0x1",
        "١٢",
        "１２",
        "²",
        "null",
        "/1",
        "T$1",
        "9" * 21,
    ],
)
def test_other_texts_are_no_plain_ids(text: str) -> None:
    assert parse_id(text) is None


@given(st.integers(0, MAX_ID))
def test_every_id_is_read_in_every_form(id: int) -> None:
    assert parse_id(str(id)) == parse_id(f"@{id}") == id
    assert split_typed_id(f"Type${id}") == ("Type", id)


@given(st.text())
def test_no_text_makes_reading_an_id_fail_in_another_way(text: str) -> None:
    id = parse_id(text)
    assert id is None or 0 <= id < 10**20
    try:
        kind, number = split_typed_id(text)
    except BadParams:
        return
    assert is_identifier(kind)
    assert number >= 0


@pytest.mark.parametrize(
    "text", ["", "$", "$1", "Type$", "Type$-1", "Type$x", "1Type$1", "T y$1", "T$1$2", "T$@1", "T$１", "T$" + "1" * 21]
)
def test_other_texts_are_no_typed_ids(text: str) -> None:
    with pytest.raises(BadParams) as caught:
        split_typed_id(text)
    assert repr(text) in caught.value.message
    assert "expected 123, @123, 'Type$123' or a path /Root/Name" in caught.value.message


def test_an_id_whose_dollar_the_shell_ate_is_explained() -> None:
    with pytest.raises(BadParams, match=r"a shell eats the \$ in Folder\$\.\.\."):
        split_typed_id("Folder23")


def test_a_name_alone_is_explained() -> None:
    with pytest.raises(BadParams, match="looks like a type or name alone"):
        split_typed_id("Folder")


@pytest.mark.parametrize("text", ["0", "9", "0123456789"])
def test_ascii_digits_are_digits(text: str) -> None:
    assert is_digits(text)


@pytest.mark.parametrize("text", ["", "-1", "1.", "٣", "²", "１", "1 ", "a"])
def test_other_characters_are_no_digits(text: str) -> None:
    assert not is_digits(text)


def test_an_epoch_has_sixteen_lower_hex_digits() -> None:
    assert is_epoch("0123456789abcdef")
    for text in ("", "0" * 15, "0" * 17, "0" * 15 + "A", "0" * 15 + "g", "0" * 15 + "٣", " " + "0" * 15):
        assert not is_epoch(text)


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "John Doe",
        "a/b#c\\d",
        " ",
        "日本語",
        "😀",
        "x" * MAX_NAME,
        "😀" * MAX_NAME,
        "null",
        "1",
        "@1",
        "é",
        "e\u0301",
    ],
)
def test_a_name_is_free_text(name: str) -> None:
    assert check_entity_name(name) == name


@pytest.mark.parametrize(("name", "length"), [("", 0), ("x" * 256, 256), ("😀" * 300, 300)])
def test_a_name_has_1_to_255_characters(name: str, length: int) -> None:
    with pytest.raises(BadValue, match=rf"1\.\.255 characters, {length} given"):
        check_entity_name(name)


@pytest.mark.parametrize(
    "char", ["\x00", "\t", "\n", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x85", "\x9f", "\u2028", "\u2029"]
)
def test_a_name_has_no_control_characters_and_the_refusal_names_the_one(char: str) -> None:
    with pytest.raises(BadValue, match=rf"U\+{ord(char):04X}"):
        check_entity_name(f"a{char}b")
