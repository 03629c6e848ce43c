"""From text to commands: lines, quotes, escapes and comments. No I/O.

Quoting is the shell's: between single quotes everything stands for itself; between double quotes a backslash
escapes `"` and itself; elsewhere it escapes any character. A command ends with its line, unless a quote is open
or the line ends in a backslash. In a command that is made of others a `|` outside quotes is a word of its own,
`BAR`; `||` is text like any other, as it is in filters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from qcore_tools.console import UsageError

__all__ = ["BAR", "PIPED", "Bar", "Sentence", "Splitter", "split"]

PIPED = ("PIPELINE", "TX")
"""Commands that are made of others."""


_BLANKS = " \t\n\r\v\f"
"""What separates words; other characters that look blank are text, as in a shell."""


class Bar(str):
    """A `|` that separates commands, and not one that is a value."""

    __slots__ = ()


BAR = Bar("|")


class Sentence(NamedTuple):
    """The words of one command, and the line it begins in (from 1)."""

    line: int
    words: list[str]


class Splitter:
    """Eats lines and gives commands; with `comments` a `#` at the start of a word hides the rest of its line."""

    def __init__(self, *, comments: bool = False) -> None:
        self._comments = comments
        self._line = 0
        self._reset()

    def _reset(self) -> None:
        self._begin = 0
        self._words: list[str] = []
        self._word: list[str] | None = None  # None between words; an empty pair of quotes is a word too
        self._quote = ""
        self._escaped = False
        self._bars = 0  # how many `|` stand before this character: one separates, more are text

    def feed(self, line: str) -> Sentence | None:
        """Take the next line; returns the command that it ends, if it ends one."""
        self._line += 1
        self._begin = self._begin or self._line
        self._escaped = False  # a backslash at the end of the line before joins the two
        for char in line.rstrip("\r\n") + "\n":
            if self._bars and char != "|":
                self._end_bars()
            if self._comments and char == "#" and self._word is None and not self._escaped:
                self._take("\n")
                break
            self._take(char)
        return None if self._quote or self._escaped else self._end()

    def finish(self) -> Sentence | None:
        """Take the end of the text; returns the command that it ends, if it ends one.

        Raises:
            UsageError: a quote is still open.
        """
        if self._quote:
            line, quote = self._begin, self._quote
            self._reset()
            raise UsageError(f"the quote {quote} is never closed", line=line)
        self._escaped = False
        return self._end()

    def _take(self, char: str) -> None:
        if self._escaped:
            self._take_escaped(char)
        elif self._quote == "'" and char != "'":
            self._add(char)
        elif char == "\\":
            self._escaped = True
        elif self._quote:
            if char == self._quote:
                self._quote = ""
            else:
                self._add(char)
        elif char in "'\"":
            self._quote = char
            self._add("")
        elif char == "|":
            self._bars += 1
        elif char in _BLANKS:
            self._end_word()
        else:
            self._add(char)

    def _take_escaped(self, char: str) -> None:
        if char == "\n":
            return  # still escaped, which tells `feed` that the command goes on
        self._escaped = False
        if self._quote and char not in '"\\':
            self._add("\\")
        self._add(char)

    def _end_bars(self) -> None:
        bars, self._bars = self._bars, 0
        if bars == 1 and self._words and self._words[0].upper() in PIPED:
            self._end_word()
            self._words.append(BAR)
        else:
            self._add("|" * bars)

    def _add(self, text: str) -> None:
        if self._word is None:
            self._word = []
        self._word.append(text)

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append("".join(self._word))
            self._word = None

    def _end(self) -> Sentence | None:
        self._end_word()
        sentence = Sentence(self._begin, self._words) if self._words else None
        self._reset()
        return sentence


def split(text: str, *, comments: bool = False) -> Iterator[Sentence]:
    """Split text into commands.

    Raises:
        UsageError: a quote is never closed.
    """
    splitter = Splitter(comments=comments)
    for line in text.split("\n"):
        if (sentence := splitter.feed(line)) is not None:
            yield sentence
    if (sentence := splitter.finish()) is not None:
        yield sentence
