"""Filters written to break the node: always an answer, in bounded time and memory."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcore.model.errors import BadFilter, TooLarge
from qcore.store.cel.scan import MAX_TEXT, scan
from qcore.store.search.filter import FilterError, bind, parse, translate
from tests.store.filtering import World

WORLD = World()

SHAPES: list[tuple[str, type[Exception]]] = [
    ("(" * 4096, TooLarge),
    ("(" * 2000 + "true" + ")" * 2000, TooLarge),
    ("[" * 51 + "]" * 51 + " == []", TooLarge),
    ("{1:" * 51, TooLarge),
    ("!" * 4000 + "true", TooLarge),
    ("-" * 4000 + "1 == 1", TooLarge),
    ("true ? true : " * 290 + "true", TooLarge),
    ("Name" + ".size()" * 580, TooLarge),
    ("[]" + "[0]" * 1300, TooLarge),
    ("x" * (MAX_TEXT + 1), TooLarge),
    ("'" + "é" * (MAX_TEXT // 2) + "'", TooLarge),
    ('"' + "\\n" * 2000, BadFilter),
    ('"' + "\\x41" * 1000, BadFilter),
    ("'" * 4095, BadFilter),
    ('"""' * 1000 + '"', BadFilter),
    ("1" * 4096, BadFilter),
    ("x" * 4096, BadFilter),
    ("a." * 2000, BadFilter),
    ("a->" * 1300, BadFilter),
    ("/" * 4096, BadFilter),
    ("0x" * 2000, BadFilter),
    ("\0", BadFilter),
    ("\ud800", BadFilter),
    ("Name == '\ud800'", BadFilter),
    ("Name\u00a0== 'x'", BadFilter),
    ("\ufeffName == 'x'", BadFilter),
]


@pytest.mark.parametrize(("text", "error"), SHAPES, ids=range(len(SHAPES)))
def test_this_is_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        WORLD.bind(text)
    assert len(str(caught.value)) < 1_100


WIDE = [
    " && ".join(["Age == 30"] * 300),
    " || ".join(["Age == 31"] * 300) + " || true",
    "+".join(["1"] * 2000) + " == 2000",
    "size([" + ",".join(["1"] * 2000) + "]) == 2000",
    "has(" + "EntityId->" * 400 + "Name)",
    "(" * 49 + "true" + ")" * 49,
    "Name != '\0' && '\0' == '\\x00' && '\\000'.size() == 1",
    "'" + "é" * 2000 + "'.matches('^é+$')",
]


@pytest.mark.parametrize("text", WIDE, ids=range(len(WIDE)))
def test_what_is_wide_but_not_deep_is_answered(text: str) -> None:
    assert WORLD.matches(text) is True


def nested(depth: int) -> str:
    text = "true"
    for level in range(depth):
        text = f"[1,2,3,4,5,6,7,8,9,10].all(x{level}, {text})"
    return text


def bound(depth: int) -> str:
    text = "x0 == x0"
    for level in range(depth):
        text = f"cel.bind(x{level}, x{level + 1} + x{level + 1}, {text})"
    return f"cel.bind(x{depth}, 'ab', {text})"


EXPENSIVE = [
    nested(12),
    "['a']" + ".map(x, x + x)" * 40 + ".size() == 1",
    "[[1]]" + ".map(x, x + x)" * 40 + ".size() == 1",
    "[b'a']" + ".map(x, x + x)" * 40 + ".size() == 1",
    f"[[1]]{'.map(x, [x, x])' * 40} == [[1]]{'.map(x, [x, x])' * 40}",
    "cel.bind(x, 'a', x" + ".replace('a', 'aaaaaaaa')" * 40 + " == x)",
    "cel.bind(x, 'a', x" + ".replace('', x + x)" * 40 + " == x)",
    "['a']" + ".map(x, [x, x, x, x].join(x))" * 40 + ".size() == 1",
    "['a']" + ".map(x, '%s%s%x'.format([x, x, x]))" * 40 + ".size() == 1",
    "[[1]]" + ".map(x, [x, x])" * 40 + ".map(x, '%s'.format([x])).size() == 1",
    "[{'a': 1}]" + ".map(x, {'a': x, 'b': x})" * 40 + ".map(x, '%s'.format([x])).size() == 1",
    f"sets.contains([[1]]{'.map(x, [x, x])' * 40}, [[1]]{'.map(x, [x, x])' * 40})",
    "['\\\\']" + ".map(x, strings.quote(x))" * 40 + ".size() == 1",
    bound(40),
    "[1]" + ".map(x, x + 1)" * 3 + ".map(x, [" + "x," * 900 + "x])" + ".map(y, y.map(z, y.map(w, y)))" + " == []",
]


@pytest.mark.parametrize("text", EXPENSIVE, ids=range(len(EXPENSIVE)))
def test_what_would_run_for_ever_is_cut(text: str) -> None:
    with pytest.raises(BadFilter, match="too expensive: more than 100000 steps for entity"):
        WORLD.matches(text)


def test_the_caller_says_how_many_steps_an_entity_may_take() -> None:
    text = "[1, 2, 3].exists(x, x == 3)"
    assert WORLD.matches(text, steps=20)
    with pytest.raises(BadFilter, match="more than 5 steps"):
        WORLD.matches(text, steps=5)


def test_being_cut_is_no_error_that_an_or_could_hide() -> None:
    with pytest.raises(BadFilter, match="too expensive"):
        WORLD.matches(f"{nested(12)} || true")


def test_steps_are_counted_for_each_entity_anew() -> None:
    bound = WORLD.bind("[1, 2, 3].exists(x, x == 3)", steps=20)
    state = WORLD.log.state
    assert [bound.matches(state, state.entities[WORLD.ann]) for _ in range(10)] == [True] * 10


def test_lists_that_macros_nest_beyond_the_stack_are_compared() -> None:
    deeper = ".map(a," + "[" * 24 + "a" + "]" * 24 + ")"
    lists = "[1]" + deeper * 24
    assert WORLD.matches(f"{lists} == {lists}")
    assert WORLD.matches(f"{lists} != [1]")


@pytest.mark.parametrize(
    "pattern", ["(a*)*b", "(a|aa)+$", "(x+x+)+y", "(.*)(.*)(.*)(.*)(.*)z", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_a_regular_expression_is_linear_in_the_text(pattern: str) -> None:
    world = World()
    world.log.set(world.ann, "Email", "a" * 100_000)
    assert world.matches(f"Email.matches('{pattern}') in [true, false]", world.ann)


@pytest.mark.parametrize("pattern", ["((a|b){1,30}){1,30}c", "(.{1,30}){1,20}x$"])
def test_a_regular_expression_that_would_take_seconds_is_cut(pattern: str) -> None:
    world = World()
    world.log.set(world.ann, "Email", "ab" * 50_000)
    world.log.set(world.bo, "Email", "ab" * 50)
    for source in (f"'{pattern}'", f"('{pattern}' + '')"):
        with pytest.raises(BadFilter, match="too expensive"):
            world.matches(f"Email.matches({source})", world.ann)
        assert not world.matches(f"Email.matches({source})", world.bo)


def test_patterns_that_differ_for_each_entity_cost_what_compiling_costs() -> None:
    text = "{}.exists(x, Name.matches(string(x) + '$'))"
    assert not WORLD.matches(text.format(list(range(20))))
    with pytest.raises(BadFilter, match="too expensive"):
        WORLD.matches(text.format(list(range(40))))


def test_a_filter_has_so_many_regular_expressions() -> None:
    terms = [f"Name.matches('x{place}')" for place in range(17)]
    assert not WORLD.matches(" || ".join(terms[1:]))
    with pytest.raises(BadFilter, match="column 364: a filter has at most 16 regular expressions"):
        WORLD.bind(" || ".join(terms))


@pytest.mark.parametrize("pattern", ["((a{100}){100}){100}", "a{1001}", "\\\\1"])
def test_a_regular_expression_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(BadFilter, match="not a regular expression"):
        WORLD.bind(f"Email.matches('{pattern}')")


def test_long_lists_and_texts_count_as_work() -> None:
    world = World()
    world.log.set(world.ann, "Email", "a" * 1_000_000)
    with pytest.raises(BadFilter, match="too expensive"):
        world.matches("[1,2,3,4,5,6,7,8,9,10].all(x, Email.contains('b') == false)", world.ann)
    assert world.matches("Email.contains('b') == false", world.ann)


LONG = [
    ("Email.indexOf('{}ba') == -1", "a" * 29_000),
    ("Email.lastIndexOf('ab{}') == -1", "a" * 29_000),
    ("!Email.contains('{}ba')", "a" * 29_000),
    ("Email.replace('{}ba', 'x') == Email", "a" * 29_000),
    ("Email.split('{}ba').size() == 1", "a" * 29_000),
    ("Email.replace('a', 'bc').size() > 0", "a" * 10_000),
    ("Email.replace('', 'bc').size() > 0", "a" * 10_000),
    ("Email.split('').size() > 0", "a" * 2_000),
    ("Email.split(',', -1).join(', ').size() > 0", "a," * 1_000),
    ("Email.reverse().size() > 0", "é" * 20_000),
    ("Email.lowerAscii() != Email.upperAscii()", "aÉ" * 10_000),
    ("Email.trim() == ''", " " * 20_000),
    ("strings.quote(Email).size() > 0", "\\" * 20_000),
    ("'%s'.format([Email]).size() > 0", "é" * 20_000),
    ("'%x'.format([Email]).size() > 0", "é" * 20_000),
    ("Email.format([]).size() > 0", "%%" * 2_000),
    ("Email.format([1e308, 1e308, 1e308, 1e308, 1e308]).size() > 0", "%.1000f" * 5),
    ("cel.bind(l, Email.split(''), sets.contains(l, l) && sets.equivalent(l, l))", "abcdefghij" * 100),
    ("cel.bind(l, Email.split('').transformList(i, v, [i]), !sets.contains(l, [[-1]]))", "a" * 200),
    ("math.greatest(Email.split('').transformList(i, v, i)) > 0", "a" * 200),
    ("Email.split('').transformMap(i, v, v).transformMapEntry(i, v, {{i: v}}).size() > 0", "a" * 200),
]


@pytest.mark.parametrize(("text", "email"), LONG)
def test_what_libraries_do_with_long_values_is_counted(text: str, email: str) -> None:
    world = World()
    world.log.set(world.ann, "Email", email)
    text = text.format("a" * 97) if "{}" in text or "{{" in text else text
    bound = world.bind(text)
    assert bound.matches(world.log.state, world.log.state.entities[world.ann])
    assert bound.taken >= len(email) >> 6
    ten = "[1,2,3,4,5,6,7,8,9,10]"
    with pytest.raises(BadFilter, match="too expensive"):
        world.matches(f"{ten}.all(a, {ten}.all(b, {ten}.all(c, {ten}.all(d, {text}))))", world.ann)


def test_variables_of_macros_have_places_at_any_depth() -> None:
    text = "[0].all(i48, v48, v48 == 0 && i0 == 0 && v0 == 1)"
    for level in range(40):
        text = f"[1].all(i{level}, v{level}, {text})"
    assert WORLD.matches(text)


def test_looking_for_the_part_that_fails_ends() -> None:
    text = "[" + "1," * 1_500 + "1 % 0]"
    for _ in range(45):
        text = f"({text} + [])"
    with pytest.raises(BadFilter, match="division by zero"):
        WORLD.bind(f"{text} == []")


TOKENS = [
    "Name", "Age", "Team", "Friends", "Level", "Since", "Key", "IsActive", "EntityId", "x", "->", "->Name", "->0", ".",
    "(", ")", "[", "]", "{", "}", ",", ":", "?", "==", "!=", "<", "<=", "in", "&&", "||", "!", "-", "+", "*", "/", "%",
    "1", "0", "2u", "1.5", "'a'", "b'a'", "null", "true", "has(", "size(", ".all(x,", ".map(x,", ".exists(x,",
    "cel.bind(x,", ".transformList(x, Age,", ".format([", ".split(", ".join(", ".charAt(", "math.abs(",
    "sets.contains(", "base64.encode(", ".Name", "timestamp(", "duration('1s')", ".getHours(", ".matches(", "type(",
    "int(", " ", "//", "\n", "'", '"', "\\", "\0", "é",
]  # fmt: skip


def asked(text: str) -> Any:
    """The answer for every entity, or the error of the filter; anything else is a defect."""
    try:
        bound = WORLD.bind(text, steps=2_000)
    except (BadFilter, TooLarge) as exc:
        return exc.message
    answers: list[Any] = []
    for id in (WORLD.ann, WORLD.bo, WORLD.cy, WORLD.team, 1):
        try:
            answers.append(bound.matches(WORLD.log.state, WORLD.log.state.entities[id]))
        except (BadFilter, FilterError) as exc:
            answers.append(str(exc))
    return answers


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=14).map("".join))
def test_any_sequence_of_tokens_has_an_answer(text: str) -> None:
    answers = asked(text)
    assert isinstance(answers, str) or all(type(answer) in (bool, str) for answer in answers)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_has_an_answer(text: str) -> None:
    asked(text)


def values() -> st.SearchStrategy[str]:
    """Expressions of any type, mostly wrong ones."""
    leaves = st.sampled_from(
        ["Age", "Height", "Name", "IsActive", "Level", "Since", "Key", "Team", "Friends", "EntityId", "Badge", "1", "0",
         "-1", "2u", "1.5", "'a'", "b'a'", "null", "true", "[]", "{}", "[1, 'a']", "{'a': 1}", "duration('1s')", "int",
         "9223372036854775807", "double('NaN')"]
    )  # fmt: skip

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        signs = st.sampled_from(["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "in", "&&", "||"])
        unary = ["!({})", "-({})", "size({})", "int({})", "uint({})", "double({})", "string({})", "bytes({})",
                 "bool({})",
                 "timestamp({})", "type({})", "[{}]", "{{'a': {}}}", "({})->Name", "({})->0", "has(({})->Name)",
                 "({}).a",
                 "({}).getHours()", "({}).getDate('+01:00')", "({}).matches('a')", "({}).exists(x, x == 1)",
                 "({}).map(x, x)", "({}).all(x, x)", "dyn({})", "({}).lowerAscii()", "({}).trim()", "({}).reverse()",
                 "({}).join()", "strings.quote({})", "'%s'.format([{}])", "'%d'.format([{}])", "'%x'.format([{}])",
                 "'%.2f'.format([{}])", "'%b'.format([{}])", "math.ceil({})", "math.round({})", "math.abs({})",
                 "math.sign({})", "math.sqrt({})", "math.isNaN({})", "math.bitNot({})", "math.least({})",
                 "({}).existsOne(x, y, x == y)", "({}).transformList(x, y, [y])", "({}).transformMap(x, y, x)",
                 "({}).transformMapEntry(x, y, {{y: x}})", "[1,{},]"]  # fmt: skip
        binary = ["({}).charAt({})", "({}).indexOf({})", "({}).lastIndexOf('a', {})", "({}).replace({}, 'b')",
                  "({}).split({})", "({}).split('a', {})", "({}).substring({})", "({}).join({})", "({}).format({})",
                  "math.greatest({}, {})", "math.bitAnd({}, {})", "math.bitShiftLeft({}, {})", "sets.contains({}, {})",
                  "sets.equivalent([{}], [{}])", "sets.intersects({}, {})", "cel.bind(x, {}, {})",
                  "cel.bind(x, {}, x == {})", "({}).transformMap(x, y, x == {}, y)",
                  "({})[{}]", "({}).contains({})", "({}).matches({})", "({}).filter(x, {})",
                  "({}).exists_one(x, {})"]  # fmt: skip
        return st.one_of(
            st.tuples(inner, signs, inner).map(lambda three: f"({three[0]}) {three[1]} ({three[2]})"),
            st.tuples(st.sampled_from(unary), inner).map(lambda two: two[0].format(two[1])),
            st.tuples(st.sampled_from(binary), inner, inner).map(lambda three: three[0].format(three[1], three[2])),
            st.tuples(inner, inner, inner).map(lambda three: f"({three[0]}) ? ({three[1]}) : ({three[2]})"),
        )

    return st.recursive(leaves, grow, max_leaves=8)


@settings(max_examples=600, deadline=None)
@given(values(), values())
def test_values_of_any_type_have_an_answer(one: str, other: str) -> None:
    answers = asked(f"({one}) == ({other})")
    assert isinstance(answers, str) or all(type(answer) in (bool, str) for answer in answers)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=20).map("".join))
def test_translation_keeps_the_length(text: str) -> None:
    with suppress(BadFilter):
        assert len(translate(text)) == len(text)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_quoted_text_reads_as_itself(text: str) -> None:
    quoted = "".join(f"\\U{ord(char):08x}" for char in text)
    assert list(scan(f"'{quoted}'").literals.values()) == [text]
    assert WORLD.matches(f"'{quoted}' == '{quoted}'")


def test_a_parsed_filter_may_be_bound_again() -> None:
    parsed = parse("Age == 30")
    complete = WORLD.log.state.types.complete
    for name in ("Person", "Guest"):
        (term,) = bind(parsed, [complete[name]]).equality(complete[name])
        assert term == ("Age", complete[name].by_name["Age"], 30)
