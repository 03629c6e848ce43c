"""A tree as lines for people, or as JSON. No I/O, and no recursion: a tree may be as deep as the store lets it be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from qcore_tools.forms import as_json, literal
from qcore_tools.terminal import visible
from qcore_tools.tree.reading import Forest, Node

__all__ = ["ASCII", "LINES", "Labels", "Strokes", "draw", "json_pieces", "unread_fields"]


class Strokes(NamedTuple):
    """What stands before a child, before the last one, and before what is below each of them."""

    child: str
    last: str
    below: str
    below_last: str


LINES = Strokes("├── ", "└── ", "│   ", "    ")
ASCII = Strokes("|-- ", "`-- ", "|   ", "    ")


@dataclass(frozen=True)
class Labels:
    """What is told of an entity beside its name and the fields that were asked for."""

    types: bool = False
    ids: bool = False

    def of(self, node: Node) -> str:
        """``Name (Type) [id] {Age: 30}``, escaped; fields that the entity does not have are left out."""
        text = node.name + (f" ({node.type})" if self.types else "") + (f" [{node.id}]" if self.ids else "")
        fields = [f"{path}: {_shown(value)}" for path, value in node.fields.items() if _failure(value) != "not_found"]
        return visible(f"{text} {{{', '.join(fields)}}}" if fields else text)


def _failure(value: Any) -> str | None:
    return str(value["error"]["kind"]) if isinstance(value, dict) and "error" in value else None


def _shown(value: Any) -> str:
    failure = _failure(value)
    return literal(value) if failure is None else f"({failure})"


def unread_fields(forest: Forest) -> list[str]:
    """For each field that no entity could tell, why not."""
    nodes = forest.nodes.values()
    paths = next(iter(nodes)).fields if nodes else {}
    return [
        f"no entity has {path}: {next(iter(nodes)).fields[path]['error']['message']}"
        for path in paths
        if all(_failure(node.fields[path]) is not None for node in nodes)
    ]


def draw(forest: Forest, labels: Labels, strokes: Strokes) -> Iterator[str]:
    """The lines of all trees, one after the other, and last how many entities there were."""
    drawn: set[int] = set()
    deepest = 0
    stack = [(id, "", "", 0) for id in reversed(forest.tops)]
    while stack:
        id, before, below, depth = stack.pop()
        node = forest.nodes.get(id)
        if node is None:
            yield f"{before}(missing) {id}"
            continue
        if id in drawn:
            yield f"{before}{labels.of(node)} (cycle, not followed)"
            continue
        drawn.add(id)
        deepest = max(deepest, depth)
        yield before + labels.of(node)
        for place, child in enumerate(reversed(node.children)):
            stroke, further = (strokes.child, strokes.below) if place else (strokes.last, strokes.below_last)
            stack.append((child, below + stroke, below + further, depth + 1))
    yield ""
    yield f"{len(drawn):,} {'entity' if len(drawn) == 1 else 'entities'}, depth {deepest}"


def json_pieces(forest: Forest) -> Iterator[str]:
    """The text of ``{"trees": [..], "entities": n, "depth": d}``; an entity has its `children` in it."""
    drawn: set[int] = set()
    deepest = 0
    yield '{"trees":['
    stack: list[tuple[int | None, str, int]] = [(id, "," * (place > 0), 0) for place, id in enumerate(forest.tops)]
    stack.reverse()
    while stack:
        id, before, depth = stack.pop()
        if id is None:
            yield before
            continue
        node = forest.nodes.get(id)
        if node is None or id in drawn:
            yield before + as_json({"id": id, "missing": True} if node is None else {"id": id, "cycle": True})
            continue
        drawn.add(id)
        deepest = max(deepest, depth)
        facts = {"id": id, "type": node.type, "name": node.name} | ({"fields": node.fields} if node.fields else {})
        yield f'{before}{as_json(facts)[:-1]},"children":['
        stack.append((None, "]}", depth))
        below = [(child, "," * (place > 0), depth + 1) for place, child in enumerate(node.children)]
        stack.extend(reversed(below))
    yield f'],"entities":{len(drawn)},"depth":{deepest}}}\n'
