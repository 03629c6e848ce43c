"""JSON of any depth to Python values, with a stack of its own; and keys that stand twice, which other decoders hide.

For text that is too deep for the fast decoder, or has been found to have twins. Depth has no limit here, so that this
is for texts whose size is bounded otherwise.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import msgspec

from qcore.model.document import PATH_HEAD, PATH_TAIL, step_of_key
from qcore.model.wire import decode_json

__all__ = ["count_keys", "decode_deep", "keys_written"]

_TOKEN = re.compile(
    r'[ \t\n\r]*+([{}\[\],:]|"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^ \t\n\r{}\[\],:"]++|\Z)',
    re.DOTALL,
)
_CLOSING = {list: "]", dict: "}"}
_OTHER = bytes(set(range(256)) - set(b'":'))


def decode_deep(text: str, twins: list[str] | None = None) -> Any:
    """The value a JSON text stands for; strings and other scalars are as `decode_json` reads them.

    Args:
        twins: gets the JSON path of each key that stood in its object before; the last one counts.

    Raises:
        msgspec.DecodeError: it is no JSON; names the place.
    """
    return _Decoder(text, [] if twins is None else twins).decode()


def keys_written(text: bytes) -> int:
    """How many keys the objects of a JSON text have, counting twins: the colons that stand outside of strings."""
    bare = text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _OTHER)
    return sum(map(len, bare.split(b'"')[::2]))


def count_keys(value: Any) -> int:
    """How many keys the objects of a decoded value have."""
    count = 0
    waiting = [value]
    for item in waiting:
        if isinstance(item, dict):
            count += len(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return count


class _Decoder:
    def __init__(self, text: str, twins: list[str]) -> None:
        self._text = text
        self._twins = twins
        self._at = 0
        """Where the text goes on behind the token."""
        self._token = ""
        self._open: list[list[Any] | dict[str, Any]] = []
        """Containers that are not closed yet, the innermost last."""
        self._keys: list[str] = []
        """For each of them the key whose value is awaited, empty for a list."""

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
                self._open.append(value)
                self._keys.append("")
                if self._token != _CLOSING[type(value)]:
                    self._key()
                    continue
            if not self._another():
                self._expect("", "the end of the text")
                return top[0]

    def _next(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            begin = self._text.index('"', self._at)
            raise msgspec.DecodeError(f"JSON is malformed: a string without end (character {begin})")
        self._token = found[1]
        self._at = found.end()

    def _fail(self, words: str) -> NoReturn:
        given = repr(self._token[:20]) if self._token else "the end of the text"
        begin = self._at - len(self._token)
        raise msgspec.DecodeError(f"JSON is malformed: {words}, given {given} (character {begin})")

    def _expect(self, token: str, words: str) -> None:
        if self._token != token:
            self._fail(f"expected {words}")

    def _value(self) -> Any:
        if self._token == "[":
            return []
        if self._token == "{":
            return {}
        return self._scalar("a value")

    def _scalar(self, words: str) -> Any:
        try:
            return decode_json(self._token)
        except (msgspec.DecodeError, UnicodeEncodeError):
            self._fail(f"expected {words}")

    def _put(self, value: Any) -> None:
        innermost = self._open[-1]
        if isinstance(innermost, list):
            innermost.append(value)
        else:
            if self._keys[-1] in innermost:
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
            self._fail("expected a key")
        self._keys[-1] = self._scalar("a key")
        self._next()
        self._expect(":", ":")
        self._next()
