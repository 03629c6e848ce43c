"""JSON text as the nodes that `yaml_nodes` makes of YAML: what is JSON is read by JSON's rules, its lines kept.

YAML takes most JSON, but not all: it has no tabs before a key, and some characters that are text in JSON end its lines
or may not stand in it.
"""

from __future__ import annotations

import json
import re

from yaml.error import Mark
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from qcore.model.schema_file.yaml_nodes import MAX_NESTING, MAX_NODES, PLAIN, YAML, Problems, whole_characters

__all__ = ["compose_json", "looks_like_json"]

_BLANKS = re.compile(r"[ \t\n\r]*")
_LITERAL = re.compile(r"null|true|false|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BYTE_ORDER_MARK = "\ufeff"


def looks_like_json(text: str) -> bool:
    """Whether a text begins as a JSON object or list does; YAML may begin so, too."""
    return text.removeprefix(_BYTE_ORDER_MARK).lstrip(" \t\n\r")[:1] in ("{", "[")


def compose_json(text: str, problems: Problems) -> Node | None:
    """Read JSON into nodes, whose scalars are quoted (texts) or plain (all else); None after noting what is wrong."""
    composer = _Composer(text.removeprefix(_BYTE_ORDER_MARK))
    try:
        return composer.document()
    except _NoJSON as exc:
        problems.add(composer.line + 1, f"not JSON: {exc}")
        return None


class _NoJSON(Exception):
    """What stands where something else has to be."""


class _Composer:
    """Reads from `_at` on; `line`, from 0, is that of the token read last."""

    def __init__(self, text: str) -> None:
        self.line = 0
        self._text = text
        self._at = 0
        self._level = 0
        self._count = 0

    def document(self) -> Node:
        self._skip_blanks()
        node = self._value()
        if self._at < len(self._text):
            raise self._unexpected("the end of the text")
        return node

    def _skip_blanks(self) -> None:
        found = _BLANKS.match(self._text, self._at)
        assert found is not None
        blanks = found[0]
        self.line += blanks.count("\n") + blanks.count("\r") - blanks.count("\r\n")
        self._at = found.end()

    def _unexpected(self, expected: str) -> _NoJSON:
        given = repr(self._text[self._at : self._at + 20]) if self._at < len(self._text) else "the end of the text"
        return _NoJSON(f"expected {expected}, given {given}")

    def _takes(self, char: str) -> bool:
        """Whether `char` comes next; it is passed then, with the blanks behind it."""
        if not self._text.startswith(char, self._at):
            return False
        self._at += 1
        self._skip_blanks()
        return True

    def _value(self) -> Node:
        """The value that begins here; the blanks behind it are passed."""
        self._count += 1
        if self._count > MAX_NODES:
            raise _NoJSON(f"more than {MAX_NODES} nodes")
        mark = self._mark()
        if self._text[self._at : self._at + 1] in ("{", "["):
            self._level += 1
            if self._level > MAX_NESTING:
                raise _NoJSON(f"nested deeper than {MAX_NESTING} levels")
            node = self._object(mark) if self._takes("{") else self._list(mark)
            self._level -= 1
            return node
        if self._text.startswith('"', self._at):
            return self._string("a value")
        found = _LITERAL.match(self._text, self._at)
        if found is None:
            raise self._unexpected("a value")
        self._at = found.end()
        self._skip_blanks()
        return ScalarNode(PLAIN, found[0], mark)

    def _object(self, mark: Mark) -> MappingNode:
        pairs: list[tuple[Node, Node]] = []
        while not self._takes("}"):
            if pairs and not self._takes(","):
                raise self._unexpected("',' or '}'")
            key = self._string("a key in double quotes")
            if not self._takes(":"):
                raise self._unexpected("':'")
            pairs.append((key, self._value()))
        return MappingNode(f"{YAML}map", pairs, mark)

    def _list(self, mark: Mark) -> SequenceNode:
        self._takes("[")
        items: list[Node] = []
        while not self._takes("]"):
            if items and not self._takes(","):
                raise self._unexpected("',' or ']'")
            items.append(self._value())
        return SequenceNode(f"{YAML}seq", items, mark)

    def _string(self, expected: str) -> ScalarNode:
        mark = self._mark()
        if not self._text.startswith('"', self._at):
            raise self._unexpected(expected)
        found = _STRING.match(self._text, self._at)
        if found is None:
            raise _NoJSON("a string without end")
        try:
            value = whole_characters(json.loads(found[0]))
        except json.JSONDecodeError as exc:
            raise _NoJSON(f"{exc.msg.removesuffix(' at').rstrip(': ')} in {found[0][:20]!r}") from None
        except UnicodeDecodeError:
            raise _NoJSON("half of a surrogate pair is no character") from None
        self._at = found.end()
        self._skip_blanks()
        return ScalarNode(f"{YAML}str", value, mark, style='"')

    def _mark(self) -> Mark:
        return Mark("", self._at, self.line, 0, None, 0)
