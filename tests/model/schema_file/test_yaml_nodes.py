"""YAML as nodes: syntax errors with lines, bounds, and no guessing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yaml.nodes import Node, ScalarNode

from qcore.model.errors import ConfigError
from qcore.model.schema_file.yaml_nodes import (
    MAX_NESTING,
    MAX_NODES,
    Problems,
    compose,
    is_null,
    line_of,
    plain_value,
    text_of,
)


def composed(text: str) -> Node:
    problems = Problems("f")
    node = compose(text, ("Int",), problems)
    problems.raise_if_any()
    assert node is not None
    return node


def error(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        composed(text)
    return caught.value.message


def scalar(text: str) -> ScalarNode:
    node = composed(text)
    assert isinstance(node, ScalarNode)
    return node


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: [1\n", 3, "not YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("a: 1\n\tb: 2", 2, "not YAML: "),
        ("a: *b", 1, "found undefined alias"),
        ("a: 1\n---\nb: 2", 2, "but found another document"),
        ("a: 1\nb: \x07", 2, "the character U+0007 cannot stand in YAML"),
        ('a: 1\nb: "\\UFFFFFFFF"', 2, "not YAML: "),
        ('a: 1\nb: "\\ud83d"', 2, "half of a surrogate pair is no character"),
        ("a: 1\nb: &x [*x]", 2, "the alias *x stands in what it repeats"),
        ("a: 1\nb: !!python/object:os.system x", 2, "unknown tag !!python/object:os.system; expected one of !Int"),
        ("a: 1\nb: !Foo [x]", 2, "unknown tag !Foo; expected one of !Int"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    found = error(text)
    assert found.startswith(f"f:{line}: ")
    assert message in found


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]
    assert f"more than {MAX_NODES} nodes, aliases counted" in error("\n".join(lines))


def test_deep_nesting_is_refused_before_the_stack_ends() -> None:
    composed("[" * MAX_NESTING + "]" * MAX_NESTING)
    assert f"nested deeper than {MAX_NESTING} levels" in error("[" * 50_000)


@pytest.mark.parametrize("text", ["null", "~", "Null", "a: null"])
def test_null_is_null_only_unquoted(text: str) -> None:
    assert is_null(composed(text)) is not text.startswith("a")
    assert not is_null(composed(f'"{text}"'))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("'5'", "5"),
        ("-0o17", "-0o17"),
        ("0o17", 15),
        ("+7", 7),
        ("1.", 1.0),
        (".5e-3", 0.0005),
        ("1.2.3", "1.2.3"),
        ("-.inf", float("-inf")),
        ("yes", "yes"),
        ("190:20:30", "190:20:30"),
        ("2024-02-30", "2024-02-30"),
        ("=", "="),
        ("<<", "<<"),
        ("9" * 100, 10**100 - 1),
        ("9" * 5000, float("inf")),
        ("|\n  5\n", "5\n"),
        ("!Int 5", 5),
    ],
)
def test_scalars_follow_the_core_rules_of_yaml_1_2(text: str, value: object) -> None:
    read = plain_value(scalar(text))
    assert read == value
    assert type(read) is type(value)


def test_text_is_what_stands_in_the_file() -> None:
    assert text_of(composed("1.10")) == "1.10"
    assert text_of(composed("[]")) is None
    assert text_of(composed("!Int 5")) is None


def test_two_escapes_of_a_surrogate_pair_are_one_character() -> None:
    assert text_of(composed(r'"\ud83d\ude00"')) == "\U0001f600"


@pytest.mark.parametrize("break_of_old", ["\x85", "\u2028", "\u2029"])
def test_only_carriage_return_and_newline_end_lines(break_of_old: str) -> None:
    text = f"a {break_of_old} b{break_of_old}"
    lines = [f"plain: {text}", f"'single': '{text}'", f'double: "{text}"', f"block: |-\n  {text}", f"{text}: key"]
    (*pairs, last) = composed("\r".join(lines) + f" # no {break_of_old} break\r\nend: 1").value
    assert [text_of(value) for _, value in pairs] == [text, text, text, text, "key"]
    assert text_of(pairs[-1][0]) == text
    assert line_of(last[1]) == 7


def test_what_stands_in_for_old_breaks_is_told_apart_from_what_is_escaped() -> None:
    assert text_of(composed('"\x85 \U00010000 \\U00010001 \\ud800\\udc02 \\N"')) == (
        "\x85 \U00010000 \U00010001 \U00010002 \x85"
    )


def test_lines_count_from_one() -> None:
    (_, value) = composed("# head\n\na:\n  - x\n").value[0]
    assert line_of(value) == 4


def test_problems_are_raised_by_line_and_each_once() -> None:
    problems = Problems("f")
    problems.raise_if_any()
    for line, message in ((9, "b"), (2, "a"), (9, "b"), (2, "c")):
        problems.add(line, message)
    with pytest.raises(ConfigError) as caught:
        problems.raise_if_any()
    assert caught.value.data["errors"] == ["f:2: a", "f:2: c", "f:9: b"]
    assert caught.value.exit_code == 2


def test_a_key_twice_keeps_the_first_and_says_so() -> None:
    problems = Problems("f")
    read = problems.mapping(composed("a: 1\na: 2\n? [x]\n: 3"), "it")
    assert read is not None
    assert text_of(read["a"][1]) == "1"
    with pytest.raises(ConfigError) as caught:
        problems.raise_if_any()
    assert caught.value.data["errors"] == [
        "f:2: it: 'a' is given twice, first on line 1",
        "f:3: it: a key is text, given a list",
    ]


@given(st.text() | st.text("[]{}&*!|>'\"\\:-?#,%@` \n\tab01uxU~<"))
def test_any_text_is_nodes_or_named_errors(text: str) -> None:
    problems = Problems("f")
    found: list[str] = []
    try:
        compose(text, ("Int",), problems)
        problems.raise_if_any()
    except ConfigError as exc:
        found = exc.data["errors"]
    assert all(re.match(r"f:[1-9]\d*: ", line) for line in found)
