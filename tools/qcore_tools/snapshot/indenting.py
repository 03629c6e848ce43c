"""Indents compact JSON as it comes, piece by piece: no memory of the text, no recursion. No I/O."""

from __future__ import annotations

import re

__all__ = ["Indenter"]

_SPECIAL = re.compile(r'["\\{}\[\],:]')
_STEP = "  "


class Indenter:
    """Takes the text of one value, without blanks between its tokens, cut anywhere."""

    def __init__(self) -> None:
        self._depth = 0
        self._opened = False  # a list or object has begun and has nothing in it yet
        self._quoted = False
        self._escaped = -1
        """Where in the text the character stands that a backslash takes along."""
        self._offset = 0
        self._out: list[str] = []

    def feed(self, text: str) -> str:
        """The next piece, indented."""
        begin = 0
        for found in _SPECIAL.finditer(text):
            place, char = found.start(), found[0]
            if self._quoted:
                self._take_quoted(self._offset + place, char)
            elif char != "\\":
                self._write(text[begin:place])
                begin = place + 1
                self._take(char)
        self._write(text[begin:])
        self._offset += len(text)
        done = "".join(self._out)
        self._out.clear()
        return done

    def _take_quoted(self, place: int, char: str) -> None:
        if place == self._escaped:
            return
        if char == "\\":
            self._escaped = place + 1
        elif char == '"':
            self._quoted = False

    def _take(self, char: str) -> None:
        if char in "}]":
            self._depth -= 1
            if not self._opened:
                self._break_line()
            self._opened = False
            self._out.append(char)
            return
        self._write(char)
        if char == '"':
            self._quoted = True
        elif char == ",":
            self._break_line()
        elif char == ":":
            self._out.append(" ")
        else:
            self._depth += 1
            self._opened = True

    def _write(self, text: str) -> None:
        if text and self._opened:
            self._opened = False
            self._break_line()
        self._out.append(text)

    def _break_line(self) -> None:
        self._out.append("\n" + _STEP * self._depth)
