"""Paths of entities and of fields: there and back with hostile names, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.errors import BadParams, TooLarge
from qcore.model.path import MAX_HOPS, MAX_PATH, Step, escape_name, join_path, split_field_path, split_path

NAMES = st.text(
    st.one_of(st.sampled_from("/\\#1 a"), st.characters(exclude_categories=["Cs"])), min_size=1, max_size=20
)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("/Root", [("Root", 1)]),
        ("/Root/Folder/Name", [("Root", 1), ("Folder", 1), ("Name", 1)]),
        ("/a#2", [("a", 2)]),
        ("/a#2/b#10", [("a", 2), ("b", 10)]),
        ("/a\\/b", [("a/b", 1)]),
        ("/a\\#2", [("a#2", 1)]),
        ("/a\\#2#3", [("a#2", 3)]),
        ("/\\\\", [("\\", 1)]),
        ("/\\\\\\/", [("\\/", 1)]),
        ("/John Doe", [("John Doe", 1)]),
        ("/ ", [(" ", 1)]),
        ("/@1/$2/..", [("@1", 1), ("$2", 1), ("..", 1)]),
        ("/日本/😀", [("日本", 1), ("😀", 1)]),
    ],
)
def test_a_path_is_written_and_read(text: str, steps: list[Step]) -> None:
    assert split_path(text) == steps
    assert join_path(steps) == text


@pytest.mark.parametrize(
    ("text", "steps"),
    [("/a#1", [("a", 1)]), ("/a#02", [("a", 2)]), ("/\\a\\b", [("ab", 1)]), ("/a#999999999", [("a", 999_999_999)])],
)
def test_other_ways_to_write_a_path_are_read(text: str, steps: list[Step]) -> None:
    assert split_path(text) == steps


@pytest.mark.parametrize("text", ["/", "//", "/a/", "//a", "/a//b", "/#2", "/a/#2"])
def test_an_empty_step_is_refused(text: str) -> None:
    with pytest.raises(BadParams, match="empty step"):
        split_path(text)


@pytest.mark.parametrize(
    "text", ["/a#", "/a#0", "/a#-1", "/a#x", "/a#1.0", "/a# 2", "/a#２", "/a#٢", "/a#1000000000", "/a#b"]
)
def test_a_twin_is_a_number_from_1(text: str) -> None:
    with pytest.raises(BadParams, match=r"after # stands the number of the twin, .* given \(write \\# for a #\)"):
        split_path(text)


@pytest.mark.parametrize("text", ["/a#b#2", "/a#2#3", "/a##2"])
def test_a_number_sign_in_a_name_must_be_escaped(text: str) -> None:
    with pytest.raises(BadParams, match=r"write \\# for a #"):
        split_path(text)


@pytest.mark.parametrize("text", ["/\\", "/a\\", "/a/b\\\\\\"])
def test_an_escape_needs_a_character(text: str) -> None:
    with pytest.raises(BadParams, match="ends in the middle of an escape"):
        split_path(text)


@pytest.mark.parametrize("text", ["", "a", "a/b", " /a", "\\/a"])
def test_a_path_begins_with_a_slash(text: str) -> None:
    with pytest.raises(BadParams, match="begins with /"):
        split_path(text)


def test_a_path_longer_than_any_real_one_is_refused() -> None:
    assert len(split_path("/a" * (MAX_PATH // 2))) == MAX_PATH // 2
    with pytest.raises(TooLarge, match=f"at most {MAX_PATH} characters, {MAX_PATH + 1} given"):
        split_path("/" + "a" * MAX_PATH)


@given(st.lists(st.tuples(NAMES, st.integers(1, 999_999_999)), min_size=1, max_size=8))
def test_hostile_names_survive_a_path(steps: list[Step]) -> None:
    assert split_path(join_path(steps)) == steps


@given(NAMES)
def test_an_escaped_name_is_one_step(name: str) -> None:
    assert split_path("/" + escape_name(name)) == [(name, 1)]


@given(st.text(st.sampled_from("/\\#12ab")))
def test_every_text_is_a_path_or_refused_and_what_is_read_can_be_written(text: str) -> None:
    try:
        steps = split_path("/" + text)
    except BadParams:
        return
    assert split_path(join_path(steps)) == steps


@pytest.mark.parametrize(
    ("text", "hops"),
    [
        ("Name", ["Name"]),
        ("Department->Name", ["Department", "Name"]),
        ("List->0->Name", ["List", "0", "Name"]),
        ("A->B->C", ["A", "B", "C"]),
        ("a-b>c", ["a-b>c"]),
        ("A --> B", ["A -", " B"]),
    ],
)
def test_a_field_path_is_split_at_its_arrows(text: str, hops: list[str]) -> None:
    assert split_field_path(text) == hops


@pytest.mark.parametrize("text", ["", "->", "A->", "->A", "A->->B"])
def test_an_empty_hop_is_refused(text: str) -> None:
    with pytest.raises(BadParams, match="empty hop"):
        split_field_path(text)


def test_a_field_path_with_endless_hops_is_refused() -> None:
    assert len(split_field_path("->".join(["A"] * MAX_HOPS))) == MAX_HOPS
    with pytest.raises(TooLarge, match=f"at most {MAX_HOPS} hops, {MAX_HOPS + 1} given"):
        split_field_path("->".join(["A"] * (MAX_HOPS + 1)))
