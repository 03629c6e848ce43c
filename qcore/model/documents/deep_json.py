"""JSON texts of any size and depth to Python values, and the keys that stand in their object twice.

The decoder of the standard library reads them: it comes back to Python for each object, so that other threads have
their turn, and says line and column. What it does not take, or takes but should not, goes to a decoder with a stack of
its own, and so does what would keep other threads waiting or is nothing but brackets. Depth has no limit there, but the
number of lists and objects, each of which takes a hundred times the memory of its brackets.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import msgspec

from qcore.model.documents.document import PATH_HEAD, PATH_TAIL, step_of_key
from qcore.model.wire import decode_json

__all__ = ["OutOfRange", "decode_deep", "read_json"]

_TOKEN = re.compile(
    r'[ \t\n\r]*+([{}\[\],:]|"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^ \t\n\r{}\[\],:"]++|\Z)',
    re.DOTALL,
)
_CLOSING = {list: "]", dict: "}"}
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

_STRETCH = 4 << 20
"""Characters without an object in them that the fast decoder is given: they take it half a second, in one go."""

_MAX_TWINS = 100_000


def _most_containers(text: str) -> int:
    """Lists and objects that a text may hold: more than a document of its size does."""
    return max(1_000_000, len(text) // 16)


class OutOfRange:
    """A number that no field can hold, such as 1e400 or one of 5,000 digits: of no kind, and quoted as it stands."""

    __slots__ = ("_literal",)

    def __init__(self, literal: str) -> None:
        self._literal = literal

    def __repr__(self) -> str:
        return self._literal


def read_json(text: str, twins: list[str], *, out_of_range: bool = False) -> Any:
    """The value a JSON text stands for, as `decode_json` reads it.

    Args:
        twins: gets the JSON path of each key that stood in its object before, up to 100,000; the last one counts.
        out_of_range: whether `OutOfRange` stands for such a number; else it is no JSON.

    Raises:
        json.JSONDecodeError: it is no JSON, or nearly nothing but lists and objects; names the place.
    """
    if not _is_ordinary(text):
        return decode_deep(text, twins, out_of_range=out_of_range)
    parse_float = _float if out_of_range else _finite
    try:
        return json.loads(text, object_pairs_hook=_object, parse_float=parse_float, parse_constant=_finite)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):
        return decode_deep(text, twins, out_of_range=out_of_range)


def _is_ordinary(text: str) -> bool:
    """Whether a text is for the fast decoder: others have their turn, and no half of a surrogate pair is in it."""
    if text.count("{") + text.count("[") > _most_containers(text):
        return False
    at = 0
    while len(text) - at > _STRETCH:
        at = text.rfind("{", at, at + _STRETCH) + 1
        if at == 0:
            return False
    if "\\ud" in text or "\\uD" in text:
        return not any(found["half"] for found in _ESCAPE.finditer(text))
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def _float(literal: str) -> float | OutOfRange:
    number = float(literal)
    return number if math.isfinite(number) else OutOfRange(literal)


def decode_deep(text: str, twins: list[str] | None = None, *, out_of_range: bool = False) -> Any:
    """The same for texts out of the ordinary, with a stack of its own; slower."""
    return _Decoder(text, [] if twins is None else twins, out_of_range).decode()


class _Decoder:
    def __init__(self, text: str, twins: list[str], out_of_range: bool) -> None:
        self._text = text
        self._twins = twins
        self._out_of_range = out_of_range
        self._at = 0
        """Where the text goes on behind the token."""
        self._token = ""
        self._open: list[list[Any] | dict[str, Any]] = []
        """Containers that are not closed yet, the innermost last."""
        self._keys: list[str] = []
        """For each of them the key whose value is awaited, empty for a list."""
        self._room = _most_containers(text)

    def decode(self) -> Any:
        top: list[Any] = []
        self._next()
        while True:
            value = self._value()
            if self._open:
                self._put(value)
            else:
                top.append(value)
            self._next()
            if isinstance(value, list | dict):
                self._take_room()
                self._open.append(value)
                self._keys.append("")
                if self._token != _CLOSING[type(value)]:
                    self._key()
                    continue
            if not self._another():
                self._expect("", "the end of the text")
                return top[0]

    def _take_room(self) -> None:
        self._room -= 1
        if self._room < 0:
            most = f"Expected at most {_most_containers(self._text)} lists and objects in a text of this length"
            raise json.JSONDecodeError(most, self._text, self._at)

    def _next(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise json.JSONDecodeError("A string without end", self._text, self._text.index('"', self._at))
        self._token = found[1]
        self._at = found.end()

    def _fail(self, words: str) -> NoReturn:
        given = repr(self._token[:20]) if self._token else "the end of the text"
        raise json.JSONDecodeError(f"{words}, given {given}", self._text, self._at - len(self._token))

    def _expect(self, token: str, words: str) -> None:
        if self._token != token:
            self._fail(f"Expected {words}")

    def _value(self) -> Any:
        if self._token == "[":
            return []
        if self._token == "{":
            return {}
        return self._scalar("a value")

    def _scalar(self, words: str) -> Any:
        try:
            return decode_json(self._token)
        except (msgspec.DecodeError, UnicodeEncodeError) as exc:
            if self._out_of_range and "out of range" in str(exc) and words == "a value":
                return OutOfRange(self._token)
            self._fail(f"Expected {words}")

    def _put(self, value: Any) -> None:
        innermost = self._open[-1]
        if isinstance(innermost, list):
            innermost.append(value)
        else:
            if self._keys[-1] in innermost and len(self._twins) < _MAX_TWINS:
                self._twins.append(self._path())
            innermost[self._keys[-1]] = value

    def _path(self) -> str:
        """JSON path of the value that is awaited; a long one without its middle."""
        most = len(self._open)
        if most <= PATH_HEAD + PATH_TAIL:
            return "$" + self._steps(0, most)
        return f"${self._steps(0, PATH_HEAD)} ... {self._steps(most - PATH_TAIL, most)}"

    def _steps(self, first: int, last: int) -> str:
        open_there = zip(self._open[first:last], self._keys[first:last], strict=True)
        return "".join(
            f"[{len(container) - 1}]" if isinstance(container, list) else step_of_key(key)
            for container, key in open_there
        )

    def _another(self) -> bool:
        """Close what ends here; returns whether another value follows, which is then the token."""
        while self._open:
            closing = _CLOSING[type(self._open[-1])]
            if self._token != closing:
                self._expect(",", f", or {closing}")
                self._next()
                self._key()
                return True
            self._open.pop()
            self._keys.pop()
            self._next()
        return False

    def _key(self) -> None:
        """In an object, take the key before the value."""
        if not isinstance(self._open[-1], dict):
            return
        if not self._token.startswith('"'):
            self._fail("Expected a key")
        self._keys[-1] = self._scalar("a key")
        self._next()
        self._expect(":", ":")
        self._next()
