"""The language of filters, feature by feature, as the CEL specification has it."""

from __future__ import annotations

import pytest

from qcore.model.errors import BadFilter
from qcore.store.search.filter import FilterError
from tests.store.filtering import World

WORLD = World()

TRUE = [
    # numbers across kinds, exact
    "1 == 1.0 && 1u == 1 && 1.0 == 1u && 1 < 1.5 && 2u > 1.5",
    "9007199254740993 != 9007199254740992.0",
    "9223372036854775807 < 9223372036854775808.0",
    "18446744073709551615u > 9223372036854775807",
    "-9223372036854775808 == -9223372036854775807 - 1",
    "0x1F == 31 && 0xFFu == 255u && -0x10 == -16 && 1e3 == 1000.0 && .5 == 0.5",
    "double('NaN') != double('NaN') && !(double('NaN') < 1.0)",
    # arithmetic
    "7 / 2 == 3 && -7 / 2 == -3 && 7 % -3 == 1 && -7 % 3 == -1 && 7u / 2u == 3u && 7u % 4u == 3u",
    "1.0 / 0.0 == double('inf') && -1.0 / 0.0 == double('-inf') && 1.0 / -0.0 == double('-inf')",
    "1 + 2 * 3 - 4 / 2 == 5 && (1 + 2) * 3 == 9 && 10 - 3 - 2 == 5 && -(2 + 3) == -5 && --5 == 5",
    "'a' + 'b' == 'ab' && b'a' + b'b' == b'ab' && [1] + [2] == [1, 2] && [] + [] == []",
    # other types are never equal, and have no order but their own
    "1 != '1' && 1 != true && null != 0 && null != '' && [] != '' && null == null && {} != []",
    "'a' < 'b' && 'Z' < 'a' && '\U0001f600' > '\uffff' && b'a' < b'b' && false < true",
    "[1, 2] == [1.0, 2u] && [[1]] == [[1.0]] && [1] != [1, 2] && [1, 2] != [2, 1]",
    "{'a': 1, 2: [3]} == {2: [3.0], 'a': 1u} && {'a': 1} != {'a': 2} && {'a': 1} != {'b': 1} && {1: 2} == {1u: 2}",
    # text
    "size('é\U0001f600') == 2 && 'abc'.size() == 3 && size(b'\\xff\\x00') == 2",
    "size([1, 2]) == 2 && size({1: 2}) == 1 && [].size() == 0",
    "'hello'.contains('ell') && 'hello'.startsWith('he') && 'hello'.endsWith('lo') && 'x'.contains('')",
    "'hello'.matches('l+') && matches('hello', '^h.*o$') && !'hello'.matches('^l') && 'é'.matches('^.$')",
    r"'\a\b\f\n\r\t\v\\\?\"\'\`' == '\x07\x08\x0c\x0a\x0d\x09\x0b\x5c\x3f\x22\x27\x60'",
    r"'\u00e9\U0001f600\351\x41' == 'é😀éA' && b'\351\xff\101' == b'\xe9\377A' && b'é' == b'\xc3\xa9'",
    r"r'\n' == '\\n' && R'\d' == '\\d' && br'\x' == b'\\x' && b'' == bytes('')",
    "'''it's \"so\"''' == 'it\\'s \"so\"' && \"\"\"a\nb\"\"\" == 'a\\nb' && r'''a\\''' == 'a\\\\' && '' == ''''''",
    "'a->b' == 'a-' + '>b' && '// no' + 'comment' == '// nocomment' // a comment with ' and ->",
    # lists and maps
    "2 in [1, 2] && 2.0 in [1, 2] && !(3 in [1, 2]) && 'a' in {'a': 1} && 1.0 in {1: 2} && !(true in {1: 2})",
    "[7, 8][1] == 8 && [7, 8][1.0] == 8 && {'a': {'b': 5}}.a.b == 5 && {1: 'x'}[1u] == 'x' && {true: 1}[true] == 1",
    "has({'a': 1}.a) && !has({'a': 1}.b)",
    # macros
    "[1, 2, 3].all(x, x > 0) && ![1, 2].all(x, x > 1) && [].all(x, false) && ![].exists(x, true)",
    "[1, 2].exists(x, x == 2) && [1, 2, 2].exists_one(x, x == 1) && ![1, 2, 2].exists_one(x, x == 2)",
    "[1, 2, 3].filter(x, x > 1) == [2, 3] && [1, 2].map(x, x * x) == [1, 4] && [1, 2, 3].map(x, x > 1, -x) == [-2, -3]",
    "{'a': 1, 'b': 2}.all(k, k in ['a', 'b']) && {'a': 1}.map(k, k + 'x') == ['ax']",
    "[[1, 2], [3]].map(x, x.map(x, x + 1)) == [[2, 3], [4]] && [1, 2].all(x, [3].exists(y, y > x))",
    "[1].exists(Age, Age == 1) && Age == 30",
    # errors beside an answer
    "true || 1 / 0 == 1",
    "1 / 0 == 1 || true",
    "!(false && 1 / 0 == 1) && !(1 / 0 == 1 && false)",
    "1 / 0 == 1 || false || true || 2 / 0 == 1",
    "[0, 1].exists(x, 1 / x == 1) && ![0, 2].all(x, 2 / x == 2)",
    "!('x' && false) && (1 || true)",
    "(true ? 1 : 1 / 0) == 1 && (false ? 1 / 0 : 2) == 2",
    # types and conversions
    "type(1) == int && type(1u) == uint && type(1.0) == double && type('') == string && type(b'') == bytes",
    "type(true) == bool && type([]) == list && type({}) == map && type(null) == null_type && type(int) == type",
    "type(timestamp(0)) == google.protobuf.Timestamp && type(duration('1s')) == google.protobuf.Duration",
    "int('42') == 42 && int('-42') == -42 && int(3.9) == 3 && int(-3.9) == -3 && int(5u) == 5",
    "int(timestamp(7)) == 7 && timestamp(7) == timestamp('1970-01-01T00:00:07Z')",
    "uint('42') == 42u && uint(3.9) == 3u && double('1e3') == 1000.0 && double(2) == 2.0 && double('-Infinity') < 0.0",
    "string(42) == '42' && string(42u) == '42' && string(1.0) == '1.0' && string(true) == 'true'",
    "string(b'h') == 'h' && string('x') == 'x' && duration(duration('1s')) == duration('1s')",
    "bool('true') && !bool('0') && bytes('é').size() == 2 && dyn(1) == 1 && dyn(true)",
    # times
    "timestamp('2024-01-01T00:00:00.000000001Z') > timestamp('2024-01-01T00:00:00Z')",
    "timestamp('2024-01-01T02:00:00+02:00') == timestamp('2024-01-01T00:00:00Z')",
    "timestamp('2024-01-01T00:00:00Z') + duration('36h') == timestamp('2024-01-02T12:00:00Z')",
    "timestamp('2024-03-01T00:00:00Z') - timestamp('2024-02-28T00:00:00Z') == duration('48h')",
    "timestamp('0001-01-01T00:00:00Z') < timestamp('9999-12-31T23:59:59.999999999Z')",
    "string(timestamp('0033-04-03T15:00:00Z')) == '0033-04-03T15:00:00Z'",
    "duration('1h30m') == duration('5400s') && duration('-1.5s') < duration('0')",
    "duration('1ms1us1ns') > duration('1ms') && duration('1\u00b5s') == duration('1000ns')",
    "string(duration('1h0.25s')) == '3600.25s' && string(duration('-5ns')) == '-0.000000005s'",
    "duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90 && duration('-90s').getMinutes() == -1",
    "duration('1.234s').getMilliseconds() == 234 && duration('1.234s').getSeconds() == 1",
    "timestamp('1969-12-31T23:59:59.5Z').getMilliseconds() == 500",
    "timestamp('1969-12-31T23:59:59.5Z').getSeconds() == 59",
    # a comma may end a list, a map and the arguments of a call
    "[1, 2,] == [1, 2] && {'a': 1,}.a == 1 && size([1,],) == 1 && [1].exists(x, x == 1,) && 1 in [1 , // one\n ]",
    "[[1,],] == [[1]] && ['a',][0] == 'a' && 'abc'.startsWith('a',) && has({'a': 1}.a,) && [1,][0] == 1",
    # a leading dot is the outermost scope
    "[1].exists(Age, Age == 1 && .Age == 30) && .Age == 30 && .size('a') == 1 && 1 in [.Age, 1]",
    "true ? .IsActive : false",
    "[1].exists(Team, .Team->Name == 'Blue') && .Name.startsWith('A') && .EntityType == 'Person' && has(.Age)",
    "[1].map(int, int + .int('1')) == [2] && type(1) == .int && type(timestamp(0)) == .google.protobuf.Timestamp",
    # the last step of has() may be missing
    "!has({'a': 1}.b) && has({'a': {'b': 1}}.a.b) && !has({'a': {'b': 1}}.a.c)",
    # names that begin like words of the language
    "[1].exists(inside, inside == 1) && [1].exists(trueish, trueish == 1) && [1].exists(_x, _x == 1)",
]


@pytest.mark.parametrize("text", TRUE)
def test_this_is_true(text: str) -> None:
    assert WORLD.matches(text) is True


ERRORS = [
    ("9223372036854775807 + 1 == 0", "64 bits"),
    ("-9223372036854775808 - 1 == 0", "64 bits"),
    ("-(-9223372036854775808) == 0", "64 bits"),
    ("-9223372036854775808 / -1 == 0", "64 bits"),
    ("-9223372036854775808 % -1 == 0", "64 bits"),
    ("4294967296 * 4294967296 == 0", "64 bits"),
    ("1u - 2u == 0u", "below 0"),
    ("18446744073709551615u + 1u == 0u", "64 bits"),
    ("1 / 0 == 1", "division by zero"),
    ("1u % 0u == 1u", "division by zero"),
    ("1 + 1.0 == 2.0", "+ does not take int, double"),
    ("1 + 1u == 2", "+ does not take int, uint"),
    ("'a' + 1 == 'a1'", "+ does not take string, int"),
    ("'a' * 2 == 'aa'", "* does not take string, int"),
    ("5.0 % 2.0 == 1.0", "% does not take double, double"),
    ("-'a' == 'a'", "- does not take string"),
    ("-(1u) == 1", "- does not take uint"),
    ("1 < 'a'", "< does not take int, string"),
    ("null < 1", "< does not take null_type, int"),
    ("[1] < [2]", "< does not take list, list"),
    ("timestamp(0) < duration('1s')", "< does not take google.protobuf.Timestamp, google.protobuf.Duration"),
    ("1 && true", "&& takes a bool, given int"),
    ("'x' || false", "|| takes a bool, given string"),
    ("!1", "! takes a bool, given int"),
    ("1 ? true : false", "?: takes a bool, given int"),
    ("true ? 1 : true", "a filter takes a bool, given int"),
    ("[1][1] == 1", "the list has 1 elements, none at 1"),
    ("[1][-1] == 1", "none at -1"),
    ("[1, 2][0.5] == 1", "a whole number"),
    ("{'a': 1}['b'] == 1", "no such key"),
    ("{'a': 1}.b == 1", "no such key"),
    ("{1: 1}[true] == 1", "no such key"),
    ("{1.0: 1} == {}", "a key of a map"),
    ("{1: 1, 1u: 2} == {}", "same key twice"),
    ("1 in 'abc'", "in does not take int, string"),
    ("'abc'[0] == 'a'", "[] does not take string, int"),
    ("size(1) == 1", "size does not take int"),
    ("1.5.size() == 1", "size does not take double"),
    ("'a'.contains(1)", "contains does not take string, int"),
    ("[1].all(x, x / 0 == 1)", "division by zero"),
    ("[1, 2].exists(x, x / 0 == 1)", "division by zero"),
    ("[0, 1].exists_one(x, 1 / x == 1)", "division by zero"),
    ("[0].map(x, 1 / x) == [1]", "division by zero"),
    ("(1).all(x, true)", "a macro runs over a list or a map, given int"),
    ("int('4 2') == 42", "the digits of an int"),
    ("int('٤') == 4", "the digits of an int"),
    ("int('') == 0", "the digits of an int"),
    ("int(1e19) == 0", "the double is no int"),
    ("int(double('NaN')) == 0", "the double is no int"),
    ("int(9223372036854775807.0) == 0", "the double is no int"),
    ("uint(-1) == 0u", "below 0"),
    ("uint(-0.5) == 0u", "the double is no uint"),
    ("double('1_0') == 10.0", "the digits of a double"),
    ("double('') == 0.0", "the digits of a double"),
    ("string(b'\\xff') == ''", "no UTF-8"),
    ("string([1]) == ''", "string does not take list"),
    ("bool('yes')", "expected true or false"),
    ("timestamp('x' + '') == null", "RFC 3339"),
    ("timestamp(253402300800 + 0) == null", "years 1 to 9999"),
    ("timestamp('9999-12-31T23:59:59Z') + duration('1s') == null", "years 1 to 9999"),
    ("duration('x' + '') == null", "expected a duration"),
    ("duration('290000h') * 2 == null", "* does not take"),
    ("duration('2500000h') + duration('100000h') == null", "292 years"),
    ("timestamp('9999-01-01T00:00:00Z') - timestamp('0001-01-01T00:00:00Z') == null", "292 years"),
    ("timestamp(0).getHours('Mars/Olympus') == 0", "unknown time zone 'Mars/Olympus'"),
    ("timestamp(0).getHours('../../etc/passwd') == 0", "unknown time zone"),
    ("timestamp('0001-01-01T00:00:00Z').getHours('-01:00') == 23", "years 1 to 9999"),
    ("duration('1s').getFullYear() == 0", "getFullYear does not take google.protobuf.Duration"),
    ("''.matches('(' + '')", "not a regular expression (missing ): ()"),
]


@pytest.mark.parametrize(("text", "reason"), ERRORS)
def test_this_has_no_answer(text: str, reason: str) -> None:
    with pytest.raises(FilterError) as caught:
        WORLD.evaluated(text)
    assert reason in caught.value.message


@pytest.mark.parametrize(("text", "reason"), [row for row in ERRORS if row[0] != "true ? 1 : true"])
def test_what_has_no_answer_for_any_entity_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadFilter) as caught:
        WORLD.bind(text)
    assert reason in caught.value.message or "this is neither" in caught.value.message


PARTS = [
    ("getFullYear", "", 2024),
    ("getMonth", "", 1),
    ("getDate", "", 29),
    ("getDayOfMonth", "", 28),
    ("getDayOfWeek", "", 4),
    ("getDayOfYear", "", 59),
    ("getHours", "", 12),
    ("getMinutes", "", 30),
    ("getSeconds", "", 45),
    ("getMilliseconds", "", 123),
    ("getHours", "'UTC'", 12),
    ("getHours", "'+02:30'", 15),
    ("getMinutes", "'+02:30'", 0),
    ("getHours", "'-13:00'", 23),
    ("getDate", "'-13:00'", 28),
    ("getHours", "'05:00'", 17),
    ("getMonth", "'+12:00'", 2),
]


@pytest.mark.parametrize(("part", "zone", "value"), PARTS)
def test_the_parts_of_a_time(part: str, zone: str, value: int) -> None:
    assert WORLD.matches(f"Since.{part}({zone}) == {value}")


@pytest.mark.parametrize(
    "text", ["", "1", "1h2", "h", "1.h.", "1..5s", "1 h", "1h ", "+-1s", "1d", "1e3s", "٣s", "1hs"]
)
def test_these_are_no_durations(text: str) -> None:
    with pytest.raises(BadFilter, match="expected a duration"):
        WORLD.bind(f"duration('{text}' + '') == null")


@pytest.mark.parametrize(
    "text", ["", "2024", "2024-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00", "null"]
)
def test_these_are_no_times(text: str) -> None:
    with pytest.raises(BadFilter, match="RFC 3339"):
        WORLD.bind(f"timestamp('{text}' + '') == null")
