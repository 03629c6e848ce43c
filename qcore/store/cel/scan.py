"""The text of a filter before it is parsed: literals read, ``->`` turned into plain CEL, nesting bounded.

What comes out has the same length as what came in, so every offset the parser reports is one in the user's text:

- a string or bytes literal keeps its quotes, its content becomes ``_`` and is decoded here, strictly by the CEL
  specification. The parser's own rule for literals backtracks without bound on hostile text; it never sees any;
- a comment becomes spaces, as does a comma that ends a list, a map or the arguments of a call;
- ``->`` becomes ``.``, and the field name after it a generated one, which begins with ``_`` on the character
  before the name: ``Department->Name`` reads ``Department._Name``.
"""

from __future__ import annotations

import msgspec

from qcore.model.errors import BadFilter, TooLarge
from qcore.model.ids import is_digits

__all__ = ["MAX_LEVELS", "MAX_TEXT", "Scanned", "bad_filter", "scan"]

MAX_TEXT = 4096
"""Bytes of a filter in UTF-8."""

MAX_LEVELS = 50
"""Depth of brackets, and of the expression they write."""

_START = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_DIGITS = frozenset("0123456789")
_WORD = _START | _DIGITS
_BLANK = frozenset(" \t\n\f\r")
_PREFIXES = frozenset({"r", "b", "br"})
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_SIMPLE = dict(zip("abfnrtv\\?\"'`", "\a\b\f\n\r\t\v\\?\"'`", strict=True))
_OPERAND = "a"
_HEX = {"x": 2, "X": 2, "u": 4, "U": 8}


class Scanned(msgspec.Struct):
    """`text` for the parser; by offset in it: the `literals` read, and where generated names (`arrows`) begin."""

    source: str
    text: str
    literals: dict[int, str | bytes]
    arrows: frozenset[int]


def bad_filter(source: str, offset: int, message: str) -> BadFilter:
    """The error for something at an offset of the user's text; `data` has line, column (from 1) and offset."""
    offset = min(offset, len(source))
    line = source.count("\n", 0, offset) + 1
    column = offset - source.rfind("\n", 0, offset)
    return BadFilter(f"filter, line {line}, column {column}: {message}", line=line, column=column, offset=offset)


def scan(source: str) -> Scanned:
    """Read a filter's literals and arrows.

    Raises:
        TooLarge: over `MAX_TEXT` bytes, or brackets deeper than `MAX_LEVELS`.
        BadFilter: a literal that does not end or has a wrong escape, ``->`` without a name.
    """
    if len(source) > MAX_TEXT or len(source.encode("utf-8", "surrogatepass")) > MAX_TEXT:
        raise TooLarge(f"a filter has at most {MAX_TEXT} bytes, {len(source)} characters given")
    try:
        source.encode()
    except UnicodeEncodeError as exc:
        raise bad_filter(source, exc.start, "half of a surrogate pair is no character") from None
    return _Scanner(source).run()


class _Scanner:
    def __init__(self, source: str) -> None:
        self.source = source
        self.out = list(source)
        self.at = 0
        self.arrow = -1
        """Offset of a ``->`` that waits for its name, -1 without one."""
        self.last = ""
        """The word or sign before, empty at the start: `a` for any operand, ``,`` or another sign."""
        self.comma = -1
        """Offset of a comma behind an operand that nothing has followed yet, -1 without one."""
        self.open: list[bool] = []
        """For each open bracket, whether its content is a list that may end in a comma."""
        self.literals: dict[int, str | bytes] = {}
        self.arrows: list[int] = []

    def run(self) -> Scanned:
        source, end = self.source, len(self.source)
        while self.at < end:
            start = self.at
            char = source[start]
            if char in _BLANK:
                self.at += 1
            elif source.startswith("//", start):
                self._comment()
            elif self.arrow >= 0:
                self._name_after_arrow()
            elif source.startswith("->", start):
                self._arrow()
            elif char in _WORD:
                self._word()
            elif char in "\"'":
                self._literal(start, "")
                self._follow(_OPERAND)
            else:
                self._sign(char)
        if self.arrow >= 0:
            raise bad_filter(source, end, "expected a field name after ->, given the end of the text")
        return Scanned(source, "".join(self.out), self.literals, frozenset(self.arrows))

    def _comment(self) -> None:
        end = self.source.find("\n", self.at)
        end = len(self.source) if end < 0 else end
        self.out[self.at : end] = " " * (end - self.at)
        self.at = end

    def _arrow(self) -> None:
        self.out[self.at : self.at + 2] = ". "
        self.arrow = self.at
        self.at += 2
        self._follow("->")

    def _name_after_arrow(self) -> None:
        start = self.at
        if self.source[start] not in _WORD:
            raise bad_filter(self.source, start, f"expected a field name after ->, given {self.source[start]!r}")
        name = self._run(_DIGITS if self.source[start] in _DIGITS else _WORD)
        if is_digits(name) and self.source[self.at : self.at + 1] in _WORD - {""}:
            raise bad_filter(self.source, start, "expected a field name or an index after ->")
        self.out[start - 1] = "_"
        self.arrows.append(start - 1)
        self.arrow = -1
        self._follow(_OPERAND)

    def _run(self, chars: frozenset[str]) -> str:
        start, source = self.at, self.source
        while self.at < len(source) and source[self.at] in chars:
            self.at += 1
        return source[start : self.at]

    def _word(self) -> None:
        start = self.at
        word = self._run(_WORD)
        if word.lower() in _PREFIXES and self.source[self.at : self.at + 1] in ("'", '"'):
            self._literal(start, word.lower())
        self._follow("in" if word == "in" else _OPERAND)

    def _sign(self, char: str) -> None:
        if char in _PAIRS:
            # an operand before ( makes it a call, one before [ an index
            self.open.append(char == "{" or (self.last == _OPERAND) is (char == "("))
            if len(self.open) > MAX_LEVELS:
                raise TooLarge(f"{bad_filter(self.source, self.at, '').message}brackets nest at most {MAX_LEVELS} deep")
            self._follow(char)
        elif char in ")]}":
            self._close()
        else:
            comma = self.at if char == "," and self.last == _OPERAND else -1
            self._follow(char)
            self.comma = comma
        self.at += 1

    def _close(self) -> None:
        several = self.open.pop() if self.open else False
        if several and self.comma >= 0:
            self.out[self.comma] = " "
        self._follow(_OPERAND)

    def _follow(self, last: str) -> None:
        self.last = last
        self.comma = -1

    def _literal(self, start: int, prefix: str) -> None:
        source, opened = self.source, self.at
        quote = source[opened]
        mark = quote * 3 if source.startswith(quote * 3, opened) else quote
        self.at = opened + len(mark)
        parts: list[str | bytes] = []
        while not source.startswith(mark, self.at):
            if self.at >= len(source) or (len(mark) == 1 and source[self.at] in "\r\n"):
                raise bad_filter(source, start, f"the literal that begins here is not closed with {mark}")
            parts.append(self._piece("r" in prefix, "b" in prefix))
        inner = self.at - opened - len(mark)
        self.out[opened + len(mark) : self.at] = "_" * inner
        self.at += len(mark)
        if "b" in prefix:
            self.literals[start] = b"".join(p if isinstance(p, bytes) else p.encode() for p in parts)
        else:
            self.literals[start] = "".join(p for p in parts if isinstance(p, str))

    def _piece(self, raw: bool, binary: bool) -> str | bytes:
        char = self.source[self.at]
        if raw or char != "\\":
            self.at += 1
            return char
        start = self.at
        self.at += 2
        code = self.source[start + 1 : start + 2]
        if code in _SIMPLE:
            return _SIMPLE[code]
        number = self._number(start, code, binary)
        if number is None:
            shown = "\\" + code
            raise bad_filter(self.source, start, f"unknown escape {shown!r} in a {'bytes' if binary else 'string'}")
        if binary:
            return bytes([number])
        if 0xD800 <= number < 0xE000 or number > 0x10FFFF:
            raise bad_filter(self.source, start, f"the escape is no Unicode character: U+{number:04X}")
        return chr(number)

    def _number(self, start: int, code: str, binary: bool) -> int | None:
        """What a numeric escape writes, None where it is none."""
        if code in _HEX and not (binary and code in "uU"):
            digits, base = self.source[start + 2 : start + 2 + _HEX[code]], 16
            complete = len(digits) == _HEX[code] and all(d in "0123456789abcdefABCDEF" for d in digits)
            self.at = start + 2 + len(digits)
        elif code and code in "0123":
            digits, base = self.source[start + 1 : start + 4], 8
            complete = len(digits) == 3 and all(d in "01234567" for d in digits)
            self.at = start + 4
        else:
            return None
        return int(digits, base) if complete else None
