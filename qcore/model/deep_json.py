"""JSON of any depth to Python values, with a stack of its own: for text that is too deep for the fast decoder.

Depth has no limit here, so that this is for texts whose size is bounded otherwise.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from qcore.model.wire import decode_json

__all__ = ["decode_deep"]

_TOKEN = re.compile(r'[ \t\n\r]*([{}\[\],:]|"(?:[^"\\]|\\.)*"|[^ \t\n\r{}\[\],:"]+|$)', re.DOTALL)
_CLOSING = {list: "]", dict: "}"}


def decode_deep(text: str) -> Any:
    """The value a JSON text stands for; strings and other scalars are as `decode_json` reads them.

    Raises:
        msgspec.DecodeError: it is no JSON; names the place.
    """
    return _Decoder(text).decode()


class _Decoder:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._token = ""
        self._open: list[list[Any] | dict[str, Any]] = []
        """Containers that are not closed yet, the innermost last."""
        self._keys: list[str] = []
        """The key whose value is awaited, for each object among them."""

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
                if isinstance(value, dict):
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
            raise msgspec.DecodeError(f"a string without end (character {self._at})")
        self._token = found[1]
        self._at = found.end()

    def _expect(self, token: str, words: str) -> None:
        if self._token != token:
            given = repr(self._token[:20]) if self._token else "the end of the text"
            raise msgspec.DecodeError(f"expected {words}, given {given} (character {self._at})")

    def _value(self) -> Any:
        if self._token == "[":
            return []
        if self._token == "{":
            return {}
        return decode_json(self._token.encode())

    def _put(self, value: Any) -> None:
        innermost = self._open[-1]
        if isinstance(innermost, list):
            innermost.append(value)
        else:
            innermost[self._keys[-1]] = value

    def _another(self) -> bool:
        """Close what ends here; returns whether another value follows, which is then the token."""
        while self._open:
            innermost = self._open[-1]
            closing = _CLOSING[type(innermost)]
            if self._token != closing:
                self._expect(",", f", or {closing}")
                self._next()
                self._key()
                return True
            if isinstance(self._open.pop(), dict):
                self._keys.pop()
            self._next()
        return False

    def _key(self) -> None:
        """In an object, take the key before the value."""
        if not isinstance(self._open[-1], dict):
            return
        if not self._token.startswith('"'):
            self._expect('"', "a key")
        self._keys[-1] = decode_json(self._token.encode())
        self._next()
        self._expect(":", ":")
        self._next()
