"""The extension libraries that filters have: what CEL's own tests and documents say, and plain Python beside them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcore.model.errors import BadFilter
from qcore.store.cel.functions import FUNCTIONS
from qcore.store.cel.libraries.absent import NOT_BUILT_IN
from qcore.store.search.filter import FilterError
from tests.store.filtering import World

WORLD = World()

STRINGS = [
    "'tacocat'.charAt(3) == 'o' && 'tacocat'.charAt(7) == '' && ''.charAt(0) == ''",
    "'©αT'.charAt(0) == '©' && '©αT'.charAt(1) == 'α' && '\U0001f600x'.charAt(1) == 'x'",
    "'tacocat'.indexOf('') == 0 && 'tacocat'.indexOf('ac') == 1 && 'tacocat'.indexOf('none') == -1",
    "'tacocat'.indexOf('', 3) == 3 && 'tacocat'.indexOf('a', 3) == 5 && 'tacocat'.indexOf('', 7) == 7",
    "'ta©o©αT'.indexOf('©') == 2 && 'ta©o©αT'.indexOf('©', 3) == 4 && 'ta©o©αT'.indexOf('©α', 5) == -1",
    "'hello wello'.indexOf('ello', 6) == 7 && 'hello wello'.indexOf('hello wello') == 0",
    "''.lastIndexOf('@@') == -1 && 'tacocat'.lastIndexOf('') == 7 && 'tacocat'.lastIndexOf('at') == 5",
    "'tacocat'.lastIndexOf('', 3) == 3 && 'tacocat'.lastIndexOf('a', 3) == 1 && 'tacocat'.lastIndexOf('x') == -1",
    "'ta©o©αT'.lastIndexOf('©') == 4 && 'ta©o©αT'.lastIndexOf('©', 3) == 2 && 'ta©o©αT'.lastIndexOf('©α', 4) == 4",
    "'hello wello'.lastIndexOf('ello', 6) == 1 && 'bananananana'.lastIndexOf('nana', 7) == 6",
    "'TacoCÆt Xii'.lowerAscii() == 'tacocÆt xii' && 'tacoCαt'.upperAscii() == 'TACOCαT' && 'ß'.upperAscii() == 'ß'",
    "'12 days 12 hours'.replace('{0}', '2') == '12 days 12 hours' && 'aaa'.replace('aa', 'b') == 'ba'",
    "'{0} days {0} hours'.replace('{0}', '2', 1).replace('{0}', '23') == '2 days 23 hours'",
    "'hello hello'.replace('he', 'we', -1) == 'wello wello' && 'hello hello'.replace('he', 'we', 0) == 'hello hello'",
    "'1 ©αT taco'.replace('αT', 'o©α') == '1 ©o©α taco' && 'ab'.replace('', '-') == '-a-b-'",
    "'ab'.replace('', '-', 2) == '-a-b' && ''.replace('', 'x') == 'x' && ''.replace('', 'x', 1) == 'x'",
    "'hello world'.split(' ') == ['hello', 'world'] && 'a b c'.split(' ', 0) == [] && ''.split(',') == ['']",
    "'a b c'.split(' ', 1) == ['a b c'] && 'a b c'.split(' ', 2) == ['a', 'b c'] && 'a b c'.split(' ', 9).size() == 3",
    "'o©o©o'.split('©', -1) == ['o', 'o', 'o'] && 'a©b'.split('') == ['a', '©', 'b'] && ''.split('') == []",
    "'abc'.split('', 2) == ['a', 'bc'] && 'abc'.split('', 1) == ['abc'] && 'abc'.split('', 9) == ['a', 'b', 'c']",
    "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(7) == '' && 'tacocat'.substring(0, 4) == 'taco'",
    "'ta©o©αT'.substring(2, 6) == '©o©α' && 'ta©o©αT'.substring(7, 7) == ''",
    r"' \f\n\r\t\vtext  '.trim() == 'text' && '\u0085\u00a0\u1680text'.trim() == 'text' && ''.trim() == ''",
    r"'text\u2000\u2001\u2002\u2003\u2004\u2006\u2007\u2008\u2009'.trim() == 'text'",
    r"'\u200atext\u2028\u2029\u202F\u205F\u3000'.trim() == 'text' && '\u001ctext'.trim() != 'text'",
    r"'\u180etext\u200b\u200c\u200d\u2060\ufeff'.trim() == '\u180etext\u200b\u200c\u200d\u2060\ufeff'",
    "['x', 'y'].join() == 'xy' && ['x', 'y'].join('-') == 'x-y' && [].join() == '' && [].join('-') == ''",
    "'gums'.reverse() == 'smug' && 'aé\U0001f600'.reverse() == '\U0001f600éa' && ''.reverse() == ''",
    r"""strings.quote("first\nsecond") == "\"first\\nsecond\"" && strings.quote('') == '""'""",
    r"""strings.quote('\a\b\f\r\t\v') == '"\\a\\b\\f\\r\\t\\v"' && strings.quote('\\') == '"\\\\"'""",
    r"""strings.quote('single-quote with "double quote"') == '"single-quote with \\"double quote\\""'""",
    "strings.quote('size(ÿ) завтра \U0001f431') == '\"size(ÿ) завтра \U0001f431\"'",
    # fields, a Choice among them
    "Level.upperAscii() == 'MIDDLE' && [Level, Name].join('/') == 'middle/Ann' && type(Level.trim()) == string",
    "Level.replace('d', '', 1) == 'midle' && 'x'.replace('x', Level) == 'middle' && Level.split('dd') == ['mi', 'le']",
    "Email.substring(0, Email.indexOf('@')) == 'a' && Email.split('@')[1] == 'b.org' && .Email.reverse() == 'gro.b@a'",
]

FORMAT = [
    ("no substitution", "", "no substitution"),
    ("%% and also %%", "", "% and also %"),
    ("%%%s%%", "'text'", "%text%"),
    ("%d %d, %s %s", "1, 2, 'A', 'B'", "1 2, A B"),
    ("left over", "1, 2", "left over"),
    ("%.3f", "1.2345", "1.234"),
    ("%.0f %.1f", "2.5, -0.05", "2 -0.1"),
    ("%b %b %b %b", "5, -5, 64u, true", "101 -101 1000000 1"),
    ("%o %o", "11, 65535u", "13 177777"),
    ("%x %X %X %x", "30, 30, 6000u, -30", "1e 1E 1770 -1e"),
    ("%x %X", "'Hello world!', b'byte string'", "48656c6c6f20776f726c6421 6279746520737472696E67"),
    ("%.6e %e %e", "1052.032911275, 2.71828, 1e100", "1.052033e+03 2.718280e+00 1.000000e+100"),
    ("%f %f %e", "2.71828, 3, 2u", "2.718280 3.000000 2.000000e+00"),
    ("%e %f %d %s", "double('NaN'), double('inf'), double('-inf'), double('NaN')", "NaN Infinity -Infinity NaN"),
    ("%d %d %d %d", "64u, 1.5, 1e22, 1.5e-7", "64 1.5 10000000000000000000000 0.00000015"),
    ("%s %s %s", "null, 999999999999, b'xyz'", "null 999999999999 xyz"),
    ("%s %s", "type('test'), int", "string int"),
    ("%s %s", "timestamp('2023-02-03T23:31:20+00:00'), duration('1h45m47s')", "2023-02-03T23:31:20Z 6347s"),
    ("%s", "['abc', 3.14, null, [9, 8, 7, 6], 4.0]", "[abc, 3.14, null, [9, 8, 7, 6], 4]"),
    ("%s %s", "[], {}", "[] {}"),
    (
        "%s",
        "{'key1': b'xyz', 'key5': null, 'key2': duration('2h'), 'key4': true, 'key3': 2.71828}",
        "{key1: xyz, key2: 7200s, key3: 2.71828, key4: true, key5: null}",
    ),
    ("%s", "{1: 'value1', uint(2): 'value2', true: double('NaN')}", "{1: value1, 2: value2, true: NaN}"),
    ("%s", "{'strKey': 'x', 6: duration('422s'), true: 42}", "{6: 422s, strKey: x, true: 42}"),
    ("%s is %d, %s", "Name, Age, Level", "Ann is 30, middle"),
]

MATH = [
    "math.greatest(-5) == -5 && math.greatest(1, 1.0) == 1 && math.greatest(3, -3) == 3 && math.greatest(-7, 5) == 5",
    "type(math.greatest(1u, 1)) == uint && type(math.greatest(1, 1.0)) == int && type(math.least(1.0, 1)) == double",
    "math.greatest(9223372036854775807, 1) == 9223372036854775807 && math.greatest(-1.5, -2.5, -3.5) == -1.5",
    "math.greatest(5.4, 10, 3u, -5.0, 9223372036854775807) == 9223372036854775807",
    "math.greatest([5.4, 10u, 3u, -5.0, 3.5]) == 10u && math.least([dyn(5.4), dyn(10), dyn(3u), dyn(-5.0)]) == -5.0",
    "math.least(-9223372036854775808, -1) == -9223372036854775808",
    "math.least(5u, 2u) == 2u && math.least(1, 3, 0) == 0",
    "math.greatest(9007199254740993, 9007199254740992.0) == 9007199254740993 && math.least(Age, Height) == 1.75",
    "math.ceil(-1.2) == -1.0 && math.ceil(1.2) == 2.0 && math.floor(-1.2) == -2.0 && math.floor(1.2) == 1.0",
    "math.round(-1.6) == -2.0 && math.round(-1.4) == -1.0 && math.round(-1.5) == -2.0 && math.round(2.5) == 3.0",
    "math.round(0.49999999999999994) == 0.0 && math.round(1e300) == 1e300 && math.trunc(-1.2) == -1.0",
    "math.isNaN(math.round(0.0 / 0.0)) && math.isNaN(math.trunc(0.0 / 0.0)) && math.isInf(math.ceil(1.0 / 0.0))",
    "1.0 / math.ceil(-0.5) == double('-inf') && 1.0 / math.round(-0.4) == double('-inf') && math.floor(4.0) == 4.0",
    "math.abs(1u) == 1u && math.abs(-11) == 11 && math.abs(-11.5) == 11.5 && math.isNaN(math.abs(0.0 / 0.0))",
    "math.sign(100u) == 1u && math.sign(0u) == 0u && math.sign(-11) == -1 && math.sign(0) == 0",
    "math.sign(-32.0) == -1.0",
    "type(math.sign(5u)) == uint && type(math.sign(0.0)) == double && math.isNaN(math.sign(0.0 / 0.0))",
    "math.sqrt(81) == 9.0 && math.sqrt(985.25) == 31.388692231439016 && math.sqrt(4u) == 2.0",
    "math.isNaN(math.sqrt(-15))",
    "math.isNaN(0.0 / 0.0) && !math.isNaN(1.0 / 0.0) && math.isInf(-1.0 / 0.0) && !math.isInf(0.0 / 0.0)",
    "math.isFinite(1.0 / 1.5) && !math.isFinite(0.0 / 0.0) && !math.isFinite(-1.0 / 0.0)",
    "math.bitAnd(1, 3) == 1 && math.bitAnd(-3, -5) == -7 && math.bitAnd(1u, 3u) == 1u && math.bitOr(4, -2) == -2",
    "math.bitOr(1u, 4u) == 5u && math.bitXor(4, -2) == -6 && math.bitXor(1u, 3u) == 2u",
    "math.bitNot(1) == -2 && math.bitNot(-1) == 0 && math.bitNot(1u) == 18446744073709551614u",
    "math.bitShiftLeft(1, 2) == 4 && math.bitShiftLeft(1, 200) == 0 && math.bitShiftLeft(-1, 200) == 0",
    "math.bitShiftLeft(-1, 2) == -4 && math.bitShiftLeft(1, 63) == -9223372036854775808",
    "math.bitShiftLeft(2, 63) == 0",
    "math.bitShiftLeft(1u, 2) == 4u && math.bitShiftLeft(3u, 63) == 9223372036854775808u",
    "math.bitShiftLeft(1u, 64) == 0u",
    "math.bitShiftRight(1024, 2) == 256 && math.bitShiftRight(1024, 64) == 0 && math.bitShiftRight(-1024, 3) == -128",
    "math.bitShiftRight(-1024, 64) == -1 && math.bitShiftRight(1024u, 2) == 256u",
    "math.bitShiftRight(1024u, 200) == 0u",
    ".math.abs(-1) == 1 && [1].exists(math, math.abs(-math) == math)",
]

SETS = [
    "sets.contains([], []) && !sets.contains([], [1]) && sets.contains([1, 2, 3, 4], [2, 3])",
    "sets.contains([1, 2.0, 3u], [1.0, 2u, 3]) && !sets.contains([1, 2], [2, 3]) && sets.contains([1], [])",
    "sets.equivalent([], []) && sets.equivalent([1], [1, 1]) && sets.equivalent([1], [1u, 1.0])",
    "sets.equivalent([1, 2, 3], [3u, 2.0, 1]) && !sets.equivalent([1, 2], [1]) && !sets.equivalent([1], [true])",
    "!sets.intersects([1], []) && sets.intersects([1], [1, 2]) && sets.intersects([[1], [2, 3]], [[1, 2], [2, 3.0]])",
    "sets.contains([null, 'a', b'b', true], ['a', null, true, b'b']) && !sets.contains(['a'], [b'a'])",
    "sets.contains([{'a': [1]}], [{'a': [1.0]}]) && !sets.intersects([{'a': 1}], [{'a': 2}])",
    "sets.equivalent([timestamp(0), duration('1s'), int], [int, duration('1000ms'), timestamp(0)])",
    "!sets.intersects([timestamp(0)], [duration('0'), 0]) && !sets.intersects([0.0 / 0.0], [0.0 / 0.0])",
    "sets.contains([9007199254740993], [9007199254740993]) && !sets.contains([9007199254740993], [9007199254740992.0])",
    "sets.contains([Level], ['middle', 1, 1.0, Level]) && sets.contains(['middle'], [Level])",
    "sets.contains([1], [Level])",
    "!sets.contains([Level], ['low']) && !sets.contains([0], [Level]) && sets.intersects([Level], [[], 1u])",
]

TWO_VARIABLES = [
    "[1, 2, 3].all(i, v, i > -1 && v > 0) && ![1, 2, 3].all(i, v, i == 1 && v == 2) && [].all(i, v, i > v)",
    "![1, 'foo', 3].all(i, v, i == 0 || v == 1) && ![1, 2, 3].all(i, v, 6 / (2 - v) == i)",
    "[1, 2, 3].exists(i, v, i == 1 && v == 2) && ![1, 'foo', 3].exists(i, v, i == 3 || v == '10')",
    "{'key1': 1, 'key2': 2}.exists(k, v, k == 'key2' && v == 2) && ![].exists(i, v, true)",
    "![1, 2, 1, 3].existsOne(i, v, i == 1 || v == 1) && [1, 1, 2, 2, 3, 3].exists_one(i, v, i == 2 && v == 2)",
    "{6: 'six', 7: 'seven', 8: 'eight'}.existsOne(k, v, k % 5 == 2 && v == 'seven') && [1, 2].existsOne(x, x == 1)",
    "[2, 4, 6].transformList(i, v, v / 2 + i) == [1, 3, 5] && [2, 4, 6].transformList(i, v, i != 1, v) == [2, 6]",
    "[].transformList(i, v, i / v) == [] && {'a': 'b'}.transformList(k, v, k + v) == ['ab']",
    "{'foo': 'bar', 'baz': 'bux'}.transformMap(k, v, k + v) == {'foo': 'foobar', 'baz': 'bazbux'}",
    "{'foo': 'bar', 'baz': 'bux'}.transformMap(k, v, k != 'baz', k + v) == {'foo': 'foobar'}",
    "[1, 2, 3].transformMap(i, v, i * v + v) == {0: 1, 1: 4, 2: 9} && {}.transformMap(k, v, k) == {}",
    "{'greeting': 'hello'}.transformMapEntry(k, v, {v: k}) == {'hello': 'greeting'}",
    "[1, 2, 3].transformMapEntry(i, v, i != 1, {v: i, string(v): i}) == {1: 0, '1': 0, 3: 2, '3': 2}",
    "{'h': ['hello', 'hi'], 'j': ['joke', 'jog']}.all(k, vals, vals.all(v, v.startsWith(k)))",
    "[[1, 2], [3]].transformList(i, v, v.transformList(i, w, i + w)) == [[1, 3], [3]]",
    "{'a': 1}.transformList(_, v, v) == [1] && [5].exists(i, Age, Age == 5 && .Age == 30)",
]

BIND = [
    "cel.bind(t, true, t) && cel.bind(m, 'hello', m + m + m) == 'hellohellohello'",
    "cel.bind(a, true, cel.bind(b, true, a && b)) && cel.bind(x, 1, cel.bind(x, x + 1, x + 1)) == 3",
    "cel.bind(valid, [1, 2, 3], [3, 4, 5].exists(e, e in valid) && ![4, 5].exists(e, e in valid))",
    "[1, 2].map(x, cel.bind(y, x * x, y + x)) == [2, 6] && cel.bind(Age, 5, Age == 5 && .Age == 30)",
    "cel.bind(n, Team->Name, n == 'Blue' && n.size() == 4) && cel.bind(t, Team, t->Name == 'Blue' && has(t->Motto))",
    "cel.bind(x, Badge, true || x == 'a') && !cel.bind(x, Badge, x == 'a' && false) && cel.bind(x, 1, has(x))",
    "cel.bind(f, IsActive, f) && cel.bind(x, 1, cel.bind(y, x == 1, y ? y : false))",
]


@pytest.mark.parametrize("text", STRINGS + MATH + SETS + TWO_VARIABLES + BIND)
def test_this_is_true(text: str) -> None:
    assert WORLD.matches(text) is True


@pytest.mark.parametrize(("text", "items", "result"), FORMAT)
def test_a_text_is_filled_with_values(text: str, items: str, result: str) -> None:
    assert WORLD.matches(f"'{text}'.format([{items}]) == '{result}'")
    assert WORLD.matches(f"cel.bind(filled, ('{text}' + Name).format([{items}]), filled == '{result}' + Name)")


ERRORS = [
    ("Name.charAt(Age) == ''", "charAt: 30 is out of range, the text has 3 characters"),
    ("Name.charAt(Age - 31) == ''", "charAt: -1 is out of range"),
    ("Name.charAt(true) == ''", "charAt does not take string, bool"),
    ("Age.charAt(2) == ''", "charAt does not take int, int"),
    ("Name.indexOf('a', Age) == -1", "indexOf: 30 is out of range"),
    ("Name.indexOf(4, 0) == 0", "indexOf does not take string, int, int"),
    ("Name.lastIndexOf('a', Age) == -1", "lastIndexOf: 30 is out of range"),
    ("Age.lastIndexOf('a') == -1", "lastIndexOf does not take int, string"),
    ("Name.substring(Age) == ''", "substring: 30 is out of range"),
    ("Name.substring(1, Age) == ''", "substring: 30 is out of range"),
    ("Name.substring(Age - 28, 1) == ''", "substring: it would begin at 2 and end at 1"),
    ("Name.substring(0, false) == ''", "substring does not take string, int, bool"),
    ("Name.replace('n', '1', '1') == ''", "replace does not take string, string, string, string"),
    ("Name.split(2) == []", "split does not take string, int"),
    ("[Name, Age].join() == ''", "join does not take list, int"),
    ("Name.join() == ''", "join does not take string"),
    ("Friends.reverse() == []", "reverse does not take list"),
    ("strings.quote(Age) == ''", "strings.quote does not take int"),
    ("Key.lowerAscii() == ''", "lowerAscii does not take bytes"),
    ("(Name + '%a').format([1]) == ''", "format: expected one of %s %d %f %e %b %x %X %o %%, given '%a'"),
    ("(Name + '%E').format([0.5]) == ''", "given '%E'"),
    ("(Name + '%').format([0.5]) == ''", "given '%'"),
    ("(Name + '%.f').format([0.5]) == ''", "given '%f'"),
    ("(Name + '%.1001f').format([0.5]) == ''", "at most 1000 digits behind the point, given 1001"),
    ("(Name + '%.99999999999f').format([0.5]) == ''", "given '%9'"),
    ("(Name + '%d %d').format([0]) == ''", "format: no value for clause 2, 1 given"),
    ("(Name + '%d').format([Name]) == ''", "format: %d does not take string"),
    ("(Name + '%b').format([1.5]) == ''", "format: %b does not take double"),
    ("(Name + '%x').format([1.5]) == ''", "format: %x does not take double"),
    ("(Name + '%o').format([true]) == ''", "format: %o does not take bool"),
    ("(Name + '%f').format(['NaN']) == ''", "format: %f does not take string"),
    ("(Name + '%e').format([null]) == ''", "format: %e does not take null_type"),
    ("(Name + '%s').format([b'\\xff']) == ''", "no UTF-8"),
    ("Name.format(Age) == ''", "format does not take string, int"),
    ("math.greatest(Friends) == 1", "math.greatest takes a number, given an empty list"),
    ("math.greatest(Age, Name) == 1", "math.greatest does not take string"),
    ("math.least([Age, null]) == 1", "math.least does not take null_type"),
    ("math.least(Height, 0.0 / 0.0) == 1.0", "math.least: NaN has no order"),
    ("math.ceil(Age) == 1.0", "math.ceil does not take int"),
    ("math.isNaN(Age)", "math.isNaN does not take int"),
    ("math.abs(Age - 31 - 9223372036854775807) == 1", "64 bits"),
    ("math.sign(IsActive) == 1", "math.sign does not take bool"),
    ("math.sqrt(Name) == 1.0", "math.sqrt does not take string"),
    ("math.bitAnd(Age, 2u) == 1", "math.bitAnd does not take int, uint"),
    ("math.bitNot(Height) == 1", "math.bitNot does not take double"),
    ("math.bitShiftLeft(1, Age - 31) == 1", "math.bitShiftLeft: shifts by 0 or more, given -1"),
    ("math.bitShiftRight(Age, 1u) == 1", "math.bitShiftRight does not take int, uint"),
    ("sets.contains(Friends, Age)", "sets.contains does not take list, int"),
    ("sets.intersects({'a': Age}, [1])", "sets.intersects does not take map, list"),
    ("[1, 2, Age].exists(i, v, v / i == 17)", "division by zero"),
    ("[3, 2, 1, Age].existsOne(i, v, v / i > 1)", "division by zero"),
    ("[2, 1, Age].transformList(i, v, v / i) == []", "division by zero"),
    ("{'a': Age - 30}.transformMap(k, v, 4 / v) == {}", "division by zero"),
    ("{'a': Age, 'b': 30}.transformMapEntry(k, v, {v: k}) == {}", "same key twice"),
    ("[Age].transformMapEntry(i, v, [v]) == {}", "transformMapEntry takes a map for each element, given list"),
    ("[Age].transformMap(i, v, v, v) == {}", "transformMap takes a bool, given int"),
    ("Age.all(i, v, true)", "a macro runs over a list or a map, given int"),
    ("cel.bind(x, Badge, x == 'a')", "type Person has no field 'Badge'"),
    ("cel.bind(x, Badge, x == 'a' || x == 'b')", "type Person has no field 'Badge'"),
]


@pytest.mark.parametrize(("text", "reason"), ERRORS)
def test_this_has_no_answer(text: str, reason: str) -> None:
    assert reason in (WORLD.error(text) or "an answer")


REFUSED = [
    (
        "base64.encode(Key) == ''",
        1,
        "base64.encode() is not supported: CEL's extension library encoders is not built in",
    ),
    ("Friends.slice(0, 1) == []", 9, "slice() is not supported: CEL's extension library lists"),
    ("Friends.sortBy(f, f->Age) == []", 9, "sortBy() is not supported: CEL's extension library lists"),
    ("lists.range(Age) == []", 1, "lists.range() is not supported: CEL's extension library lists"),
    ("Friends.first().Age == 1", 9, "first() is not supported: CEL's extension library lists"),
    ("optional.of(Age).orValue(1) == 1", 18, "orValue() is not supported: CEL's extension library optionals"),
    ("regex.extract(Name, 'a') == ''", 1, "regex.extract() is not supported: CEL's extension library regex"),
    ("ip(Name).family() == 4", 10, "family() is not supported: CEL's extension library network"),
    ("proto.getExt(Age, Nope) == 1", 1, "proto.getExt() is not supported: CEL's extension library protos"),
    ("{}.merge({}) == {}", 4, "merge() is not supported: CEL's extension library maps"),
    ("cel.block([1], cel.index(0)) == 1", 1, "cel.block() is not supported: CEL's extension library block"),
    ("Age.?x == 1", 5, "optional values, as in .? and [?, are not supported"),
    ("[Age][?0] == 1", 7, "optional values, as in .? and [?, are not supported"),
    ("math.cbrt(1.0) == 1.0", 6, "unknown function 'math.cbrt'"),
    ("strings.upper(Name) == ''", 9, "unknown function 'strings.upper'"),
    ("abs(Age) == 1", 1, "unknown function 'abs'"),
    ("quote(Name) == ''", 1, "unknown function 'quote'"),
    ("lowerAscii(Name) == ''", 1, "unknown function 'lowerAscii'; it is called as value.lowerAscii(...)"),
    ("Name.substring() == ''", 6, "substring() takes 1 or 2 arguments here, 0 given"),
    ("math.greatest() == 1", 1, "math.greatest() takes 1 or more arguments here, 0 given"),
    ("math.greatest('a') == 1", 1, "math.greatest does not take string"),
    ("Friends.transformList(x, x) == []", 9, "a macro is list.transformList(index, name, expression)"),
    ("Friends.all(x, x, true)", 16, "the two names of all have to differ"),
    ("Friends.all(i, 1, true)", 16, "is a name for the elements"),
    ("cel.bind(x, 1) == 1", 1, "it is cel.bind(name, value, expression), 2 arguments given"),
    ("cel.bind(1, 2, 3) == 1", 10, "the first argument of cel.bind is a name for the value"),
    ("cel.bind(x, x, x == 1)", 13, "unknown field 'x'"),
    ("cel.bind(x, 1, true) && x == 1", 25, "unknown field 'x'"),
    ("cel.bind(x, 1, x)", 1, "this is neither"),
    ("Friends.transformList(i, v, true)", 1, "this is neither"),
    ("Name.trim()", 6, "this is neither"),
]


@pytest.mark.parametrize(("text", "column", "reason"), REFUSED)
def test_this_is_refused_with_its_place(text: str, column: int, reason: str) -> None:
    with pytest.raises(BadFilter) as caught:
        WORLD.bind(text)
    assert reason in caught.value.message
    assert caught.value.data["column"] == column


def test_no_name_is_both_built_in_and_not() -> None:
    assert not FUNCTIONS.keys() & NOT_BUILT_IN.keys()


# -- beside plain Python -------------------------------------------------------------------------------------

LETTERS = st.text(st.sampled_from("aabAZz é\U0001f600"), max_size=8)


def quoted(text: str) -> str:
    return "'" + "".join(f"\\U{ord(char):08x}" for char in text) + "'"


def result(text: str) -> Any:
    """The value that an expression has, by asking whether it is what a plain evaluation says."""
    try:
        return WORLD.matches(text)
    except (FilterError, BadFilter):
        return "error"


def plain_index(text: str, part: str, first: int) -> int:
    places = range(first, len(text) - len(part) + 1)
    return next((place for place in places if text[place : place + len(part)] == part), -1)


def plain_last_index(text: str, part: str, last: int) -> int:
    places = range(min(last, len(text) - len(part)), -1, -1)
    return next((place for place in places if text[place : place + len(part)] == part), -1)


@settings(max_examples=100, deadline=None)
@given(LETTERS, LETTERS.map(lambda text: text[:3]), st.integers(0, 8))
def test_a_text_is_found_where_a_plain_search_finds_it(text: str, part: str, place: int) -> None:
    one, other = quoted(text), quoted(part)
    at = place if place <= len(text) else 0
    assert WORLD.matches(f"{one}.indexOf({other}, {at}) == {plain_index(text, part, at)}")
    assert WORLD.matches(f"{one}.lastIndexOf({other}, {at}) == {plain_last_index(text, part, at)}")
    assert WORLD.matches(f"{one}.indexOf({other}) == {plain_index(text, part, 0)}")
    assert WORLD.matches(f"{one}.lastIndexOf({other}) == {plain_last_index(text, part, len(text))}")
    assert (result(f"{one}.indexOf({other}, {place}) > -2") == "error") is (place > len(text))


def plain_split(text: str, separator: str, limit: int) -> list[str]:
    pieces: list[str] = []
    while limit != 0 and len(pieces) != limit - 1:
        if not separator and len(text) < 2:
            break
        at = plain_index(text, separator, 0) if separator else 1
        if at < 0:
            break
        pieces.append(text[:at])
        text = text[at + len(separator) :]
    return [] if limit == 0 or (not separator and not text) else [*pieces, text]


@settings(max_examples=100, deadline=None)
@given(LETTERS, LETTERS.map(lambda text: text[:2]), LETTERS.map(lambda text: text[:2]), st.integers(-1, 5))
def test_a_text_is_split_and_replaced_piece_by_piece(text: str, old: str, new: str, limit: int) -> None:
    pieces = plain_split(text, old, limit)
    wanted = f"[{', '.join(map(quoted, pieces))}]"
    assert WORLD.matches(f"{quoted(text)}.split({quoted(old)}, {limit}) == {wanted}")
    if old:
        joined = new.join(plain_split(text, old, limit + 1 if limit >= 0 else -1))
        assert WORLD.matches(f"{quoted(text)}.replace({quoted(old)}, {quoted(new)}, {limit}) == {quoted(joined)}")
        assert WORLD.matches(f"{quoted(text)}.split({quoted(old)}).join({quoted(old)}) == {quoted(text)}")


@settings(max_examples=100, deadline=None)
@given(LETTERS)
def test_case_is_that_of_ascii(text: str) -> None:
    upper = "".join(chr(ord(char) - 32) if "a" <= char <= "z" else char for char in text)
    lower = "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in text)
    assert WORLD.matches(f"{quoted(text)}.upperAscii() == {quoted(upper)}")
    assert WORLD.matches(f"{quoted(text)}.lowerAscii() == {quoted(lower)}")


INTS = st.one_of(st.integers(-9, 9), st.integers(-(2**63), 2**63 - 1))


def signed(bits: int) -> int:
    bits %= 2**64
    return bits - 2**64 if bits >= 2**63 else bits


@settings(max_examples=100, deadline=None)
@given(INTS, INTS, st.integers(0, 70))
def test_bits_are_those_of_64_bit_words(a: int, b: int, places: int) -> None:
    for name, value in (("bitAnd", a & b), ("bitOr", a | b), ("bitXor", a ^ b)):
        assert WORLD.matches(f"math.{name}({a}, {b}) == {signed(value)}")
        assert WORLD.matches(f"math.{name}({a % 2**64}u, {b % 2**64}u) == {value % 2**64}u")
    assert WORLD.matches(f"math.bitNot({a}) == {signed(~a)} && math.bitNot({a % 2**64}u) == {~a % 2**64}u")
    assert WORLD.matches(f"math.bitShiftLeft({a}, {places}) == {signed(a << places)}")
    assert WORLD.matches(f"math.bitShiftRight({a}, {places}) == {a >> places}")
    assert WORLD.matches(f"math.bitShiftRight({a % 2**64}u, {places}) == {a % 2**64 >> places}u")


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_are_rounded_and_written_exactly(value: float) -> None:
    double = f"double('{value!r}')"
    away = math.floor(abs(value)) + (abs(value) - math.floor(abs(value)) >= 0.5)
    assert WORLD.matches(f"math.round({double}) == double('{math.copysign(float(away), value)!r}')")
    assert WORLD.matches(f"math.ceil({double}) == double('{float(math.ceil(value))!r}')")
    assert WORLD.matches(f"math.floor({double}) == double('{float(math.floor(value))!r}')")
    assert WORLD.matches(f"math.trunc({double}) == double('{float(math.trunc(value))!r}')")
    assert WORLD.matches(f"double('%d'.format([{double}])) == {double}")
    assert WORLD.matches(f"'%.3f %.2e'.format([{double}, {double}]) == '{value:.3f} {value:.2e}'")


ELEMENTS = st.lists(
    st.sampled_from(
        ["0", "1", "1u", "1.0", "1.5", "'1'", "'middle'", "b'1'", "true", "false", "null", "[1]", "[1.0]", "['a']",
         "{'a': 1}", "{'a': 1u}", "Level", "timestamp(1)", "duration('1s')", "int", "double('NaN')", "-0.0"]
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(ELEMENTS, ELEMENTS)
def test_sets_are_compared_as_lists_are_searched(one: list[str], other: list[str]) -> None:
    a, b = f"[{', '.join(one)}]", f"[{', '.join(other)}]"
    assert WORLD.matches(f"sets.contains({a}, {b}) == {b}.all(x, x in {a})")
    assert WORLD.matches(f"sets.intersects({a}, {b}) == {b}.exists(x, x in {a})")
    assert WORLD.matches(f"sets.equivalent({a}, {b}) == (sets.contains({a}, {b}) && sets.contains({b}, {a}))")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-3, 3), max_size=5), st.integers(-3, 3))
def test_two_variables_are_an_index_and_its_element(items: list[int], wanted: int) -> None:
    places = list(range(len(items)))
    for name in ("all", "exists", "exists_one"):
        assert WORLD.matches(f"{items}.{name}(i, v, v + i > {wanted}) == {places}.{name}(i, {items}[i] + i > {wanted})")
    pairs = f"{items}.transformList(i, v, v > {wanted}, [i, v])"
    assert WORLD.matches(f"{pairs} == {places}.filter(i, {items}[i] > {wanted}).map(i, [i, {items}[i]])")
    entries = ", ".join(f"{place}: {item * 2}" for place, item in enumerate(items) if item > wanted)
    assert WORLD.matches(f"{items}.transformMap(i, v, v > {wanted}, v * 2) == {{{entries}}}")
    assert WORLD.matches(f"{items}.transformMapEntry(i, v, {{i: v}}) == {items}.transformMap(i, v, v)")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["Age", "Name", "Badge", "Team", "Friends", "1 / (Age - 30)"]), st.integers(0, 3))
def test_a_bound_value_stands_for_its_expression(value: str, shape: int) -> None:
    test = ["X == X", "X == 30 || true", "false && X == 1", "[X, X].all(y, y == X)"][shape]
    assert result(f"cel.bind(x, {value}, {test.replace('X', 'x')})") == result(test.replace("X", f"({value})"))
