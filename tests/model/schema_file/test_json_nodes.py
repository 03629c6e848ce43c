"""JSON as nodes: JSON's own rules, with lines, duplicates and bounds as in YAML."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from qcore.model.errors import ConfigError
from qcore.model.schema_file.json_nodes import compose_json, looks_like_json
from qcore.model.schema_file.yaml_nodes import MAX_NESTING, Problems, line_of, plain_value


def composed(text: str) -> Node:
    problems = Problems("f.json")
    node = compose_json(text, problems)
    problems.raise_if_any()
    assert node is not None
    return node


def error(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        composed(text)
    return caught.value.message


def value(node: Node) -> object:
    if isinstance(node, MappingNode):
        return {value(key): value(item) for key, item in node.value}
    if isinstance(node, SequenceNode):
        return [value(item) for item in node.value]
    assert isinstance(node, ScalarNode)
    return plain_value(node)


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner),
)


@given(_VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_whatever_json_writes_is_read_as_it_was(given: object, escaped: bool, indent: int | str | None) -> None:
    assert value(composed(json.dumps(given, ensure_ascii=escaped, indent=indent))) == given


@pytest.mark.parametrize("text", ["a\x85b", "a \u2028 b", "\u2029", "\ufeff", "a\x7fb"])
def test_characters_that_yaml_does_not_take_as_they_are_are_text(text: str) -> None:
    assert value(composed(json.dumps([text], ensure_ascii=False))) == [text]


def test_nodes_know_their_lines() -> None:
    node = composed('\ufeff{\r\n"a": 1,\r"b":\n[2,\n3]}')
    assert isinstance(node, MappingNode)
    assert [line_of(key) for key, _ in node.value] == [2, 3]
    assert [line_of(item) for item in node.value[1][1].value] == [4, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: not JSON: expected a value, given the end of the text"),
        ('{"a": 1,\n}', "2: not JSON: expected a key in double quotes, given '}'"),
        ("{a: 1}", "1: not JSON: expected a key in double quotes, given 'a: 1}'"),
        ("[1,]", "1: not JSON: expected a value, given ']'"),
        ("[1 2]", "1: not JSON: expected ',' or ']', given '2]'"),
        ("[]\n[]", "2: not JSON: expected the end of the text, given '[]'"),
        ("[01]", "1: not JSON: expected ',' or ']', given '1]'"),
        ("[NaN]", "1: not JSON: expected a value, given 'NaN]'"),
        ("['a']", "1: not JSON: expected a value, given \"'a']\""),
        ('[\n"a', "2: not JSON: a string without end"),
        ('["a\nb"]', "1: not JSON: Invalid control character in '\"a"),
        ('["\\q"]', "1: not JSON: Invalid \\escape in '\"\\\\q"),
        ('["\\ud83d"]', "1: not JSON: half of a surrogate pair is no character"),
        ("[" * (MAX_NESTING + 1), f"1: not JSON: nested deeper than {MAX_NESTING} levels"),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(text: str, message: str) -> None:
    assert error(text).startswith(f"f.json:{message}")


@pytest.mark.parametrize(("text", "looks"), [("\ufeff\n {", True), ("[", True), ("a: {}", False), ("", False)])
def test_json_is_known_by_how_it_begins(text: str, looks: bool) -> None:
    assert looks_like_json(text) is looks
