"""YAML text as nodes that know their line, and the errors found in them, all at once.

Scalars stay text until a reader knows what they are meant to be, so no text turns into a date, an octal number
or a boolean by surprise. No tag builds an object, and aliases cannot grow a small file into a large one. What
the nodes mean is not decided here: that is `qcore.model.schema_file.reader`'s.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from yaml.composer import Composer, ComposerError
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from qcore.model.errors import ConfigError

__all__ = [
    "MAX_NESTING",
    "MAX_NODES",
    "PLAIN",
    "YAML",
    "Keyed",
    "Problems",
    "compose",
    "is_null",
    "line_of",
    "plain_value",
    "text_of",
    "whole_characters",
]

MAX_NESTING = 250
"""Deepest mapping or list within another; Python's own stack is the reason."""

MAX_NODES = 1_000_000
"""Most nodes of a file, each alias counted as all that it repeats."""

YAML = "tag:yaml.org,2002:"
"""Before the names of YAML's own tags."""

PLAIN = "plain"
"""The tag of a scalar that stands without quotes and tag."""

_BREAKS_OF_OLD = "\x85\u2028\u2029"
"""They ended lines in YAML 1.1, and still do for PyYAML; in YAML 1.2 they are text."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,4000}|0x[0-9a-fA-F]{1,40}|0o[0-7]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LONG_ESCAPE = re.compile(r"\\U([0-9a-fA-F]{8})")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

Keyed = dict[str, tuple[int, Node]]
"""A mapping as read: key -> line of the key and the value."""


class Problems:
    """The errors found in one file, each with its line."""

    def __init__(self, file_name: str) -> None:
        self._file = file_name
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, message: str) -> None:
        """Note an error of a line, counted from 1."""
        self._found.append((line, message))

    def __len__(self) -> int:
        return len(self._found)

    def raise_if_any(self) -> None:
        """Raise what was noted, by line.

        Raises:
            ConfigError: one ``file:line: message`` per error; `data["errors"]` has them as a list.
        """
        if self._found:
            by_line = sorted(self._found, key=lambda found: found[0])
            errors = [f"{self._file}:{line}: {message}" for line, message in dict.fromkeys(by_line)]
            raise ConfigError("\n".join(errors), errors=errors)

    def mapping(self, node: Node, what: str) -> Keyed | None:
        """Read a mapping with text keys, None where it is none. Null is empty; a key's first value counts."""
        if is_null(node):
            return {}
        if not isinstance(node, MappingNode):
            self.add(line_of(node), f"{what}: expected a mapping, given {_shape(node)}")
            return None
        read: Keyed = {}
        for key_node, value in node.value:
            key, line = text_of(key_node), line_of(key_node)
            if key is None:
                self.add(line, f"{what}: a key is text, given {_shape(key_node)}")
            elif key in read:
                self.add(line, f"{what}: {key!r} is given twice, first on line {read[key][0]}")
            else:
                read[key] = (line, value)
        return read

    def keys(self, node: Node, what: str, known: Mapping[str, str]) -> dict[str, Node] | None:
        """Read a mapping whose keys are `known`: spelling -> the name it is returned under; None as `mapping`."""
        given = self.mapping(node, what)
        if given is None:
            return None
        read: dict[str, Node] = {}
        spelled: dict[str, str] = {}
        for key, (line, value) in given.items():
            name = known.get(key)
            if name is None:
                self.add(line, f"{what}: unknown key {key!r}; expected {', '.join(dict.fromkeys(known.values()))}")
            elif name in read:
                self.add(line, f"{what}: {key!r} says again what {spelled[name]!r} says")
            else:
                read[name], spelled[name] = value, key
        return read

    def items(self, node: Node | None, what: str) -> list[Node]:
        """Read a list; nothing and null are an empty one."""
        if node is None or is_null(node):
            return []
        if isinstance(node, SequenceNode):
            return list(node.value)
        self.add(line_of(node), f"{what}: expected a list, given {_shape(node)}")
        return []

    def text(self, node: Node, what: str) -> str | None:
        """Read text, None where it is something else."""
        text = text_of(node)
        if text is None:
            self.add(line_of(node), f"{what}: expected text, given {_shape(node)}")
        return text


def line_of(node: Node) -> int:
    """Line a node begins on, from 1."""
    return int(node.start_mark.line) + 1


def is_null(node: Node) -> bool:
    """Whether the node is an unquoted null: nothing, ``~`` or ``null``."""
    return isinstance(node, ScalarNode) and _unquoted(node) and node.value in _NULLS


def text_of(node: Node) -> str | None:
    """Text of a scalar as it stands in the file, quoted or not; None for null, lists and mappings."""
    if isinstance(node, ScalarNode) and node.tag in (PLAIN, f"{YAML}str") and not is_null(node):
        return str(node.value)
    return None


def plain_value(node: ScalarNode) -> bool | int | float | str | None:
    """What a scalar is by YAML 1.2's core rules: quoted it is text, and so are ``yes``, ``on``, ``12:30`` and dates."""
    text = str(node.value)
    if not _unquoted(node):
        return text
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text, 0 if text[:2] in ("0x", "0o") else 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if _NOT_FINITE.fullmatch(text) else text


def compose(text: str, tags: Collection[str], problems: Problems) -> Node | None:
    """Read YAML into nodes; None for a file without content. Of the local tags only ``!`` + `tags` are known.

    Unknown tags are noted in `problems` and taken off; a `tags` one stays as the tag of its node.

    Raises:
        ConfigError: it is no YAML, or over the bounds; says where.
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node: Node | None = loader.get_single_node()
        _take_off_unknown(loader, tags, problems)
    except ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        problems.add(line, f"the character U+{exc.character:04X} cannot stand in YAML")
        node = None
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        said = ", ".join(part for part in (exc.context, exc.problem) if part)
        problems.add(mark.line + 1 if mark else 1, f"not YAML: {said}")
        node = None
    except (YAMLError, ValueError, OverflowError) as exc:
        # PyYAML lets chr() and int() fail on absurd escapes and directives.
        problems.add(loader.line + 1 if loader else 1, f"not YAML: {exc}")
        node = None
    if node is None:
        problems.raise_if_any()
    return node


def _take_off_unknown(loader: _Loader, tags: Collection[str], problems: Problems) -> None:
    for node in loader.tagged:
        if node.tag[:1] == "!" and node.tag[1:] in tags:
            continue
        known = ", ".join(f"!{tag}" for tag in tags)
        problems.add(line_of(node), f"unknown tag {node.tag.replace(YAML, '!!')}; expected one of {known}")
        node.tag = PLAIN if isinstance(node, ScalarNode) else ""


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's reader up to nodes, counting them; `tagged` are those with a tag that is not YAML's own default."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)  # which has seen to it that no character is there that may not be
        stand_ins = _stand_ins(text)
        self.buffer = text.translate(dict(zip(map(ord, _BREAKS_OF_OLD), stand_ins, strict=False))) + "\0"
        self._breaks = dict(zip(map(ord, stand_ins), _BREAKS_OF_OLD, strict=False))
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.tagged: list[Node] = []
        self._level = 0
        self._count = 0
        self._sizes: dict[int, int] = {}

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and implicit[0]:
            return PLAIN
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def compose_node(self, parent: Node | None, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark: Any = event.start_mark
        if isinstance(event, AliasEvent):
            node: Any = super().compose_node(parent, index)
            if id(node) not in self._sizes:
                problem = f"the alias *{event.anchor} stands in what it repeats"
                raise ComposerError(None, None, problem, mark)
            self._grow(self._sizes[id(node)], mark)
            return node
        before = self._count
        self._grow(1, mark)
        self._level += 1
        if self._level > MAX_NESTING:
            raise ComposerError(None, None, f"nested deeper than {MAX_NESTING} levels", mark)
        node = super().compose_node(parent, index)
        self._level -= 1
        if event.anchor is not None:
            self._sizes[id(node)] = self._count - before
        if node.tag not in (PLAIN, f"{YAML}str", f"{YAML}seq", f"{YAML}map"):
            self.tagged.append(node)
        return node

    def compose_scalar_node(self, anchor: Any) -> Any:
        node = super().compose_scalar_node(anchor)
        text = str(node.value).translate(self._breaks)
        try:
            node.value = whole_characters(text)
        except UnicodeDecodeError:
            raise ComposerError(None, None, "half of a surrogate pair is no character", node.start_mark) from None
        return node

    def _grow(self, nodes: int, mark: Any) -> None:
        self._count += nodes
        if self._count > MAX_NODES:
            raise ComposerError(None, None, f"more than {MAX_NODES} nodes, aliases counted", mark)


def _stand_ins(text: str) -> str:
    """Characters that are not in a text, neither written nor escaped, for those that end no lines; none if none is."""
    if not any(char in text for char in _BREAKS_OF_OLD):
        return ""
    taken = {int(found, 16) for found in _LONG_ESCAPE.findall(text)}
    free = (chr(code) for code in range(0x10000, 0x110000) if code not in taken and chr(code) not in text)
    stand_ins = "".join(islice(free, len(_BREAKS_OF_OLD)))
    if len(stand_ins) < len(_BREAKS_OF_OLD):
        raise ValueError("every character beyond U+FFFF is used, so that none is left to read U+0085 or U+2028 by")
    return stand_ins


def whole_characters(text: str) -> str:
    r"""A text whose characters beyond U+FFFF were written as two escapes (``\ud83d\ude00``), as JSON does, joined.

    Raises:
        UnicodeDecodeError: half of a pair stands alone.
    """
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")


def _unquoted(node: ScalarNode) -> bool:
    return node.style is None and node.tag != f"{YAML}str"


def _shape(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if is_null(node):
        return "null"
    return f"{node.value!r}" if node.tag in (PLAIN, f"{YAML}str") else f"{node.tag} {node.value!r}"
