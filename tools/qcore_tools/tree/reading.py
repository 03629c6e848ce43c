"""Reads a tree from a store, level by level, many entities with each message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qcore.client import Store
from qcore.model.errors import NotFound
from qcore.model.ids import ROOT_ID

__all__ = ["Forest", "Node", "keep_only", "read_forest"]

BATCH = 500
"""Entities that one message asks for."""

PAGE = 1000


@dataclass(slots=True)
class Node:
    """An entity: `children` are ids in their order, `fields` what was asked for, each a value or ``{"error": ...}``."""

    id: int
    type: str
    name: str
    children: list[int] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Forest:
    """What was read: `tops` are the roots of the trees, the first one what was asked for; `nodes` stand by id.

    A child without a node is missing.
    """

    tops: list[int] = field(default_factory=list)
    nodes: dict[int, Node] = field(default_factory=dict)


async def read_forest(
    store: Store,
    start: str | None,
    fields: Sequence[str],
    max_depth: int | None,
    advance: Callable[[int], None] = lambda _count: None,
) -> Forest:
    """Read everything below `start`, or the Root's tree and after it those of all other parentless entities.

    Raises:
        NotFound: there is no `start`.
    """
    forest = Forest()
    forest.tops = [(await store.get(ROOT_ID if start is None else start, "Name")).id]
    if start is None:
        forest.tops += [id async for id in _found(store, "Object", "Parent == null") if id != forest.tops[0]]
    level, depth = forest.tops, 0
    while level:
        followed = max_depth is None or depth < max_depth
        following: list[int] = []
        for ids in _cut(level, BATCH):
            nodes = await _read(store, ids, fields)
            forest.nodes.update((node.id, node) for node in nodes)
            following += [child for node in nodes for child in node.children] if followed else []
            advance(len(nodes))
        for id in () if followed else level:
            if id in forest.nodes:
                forest.nodes[id].children.clear()
        level = [id for id in dict.fromkeys(following) if id not in forest.nodes]
        depth += 1
    return forest


async def keep_only(store: Store, forest: Forest, type: str) -> None:
    """Leave only entities of a type and its descendants, and those that lead to one.

    Raises:
        NotFound: there is no such type.
    """
    kept = {id async for id in _found(store, type)}
    for node in reversed(forest.nodes.values()):  # a level stands after the one above it
        node.children = [id for id in node.children if id in kept]
        if node.children:
            kept.add(node.id)
    forest.tops = [id for id in forest.tops if id in kept]
    forest.nodes = {id: node for id, node in forest.nodes.items() if id in kept}


async def _found(store: Store, type: str, filter: str | None = None) -> AsyncIterator[int]:
    """The ids of all entities that are found."""
    cursor = None
    while True:
        page = await store.find(type, filter, limit=PAGE, cursor=cursor)
        for item in page.items:
            yield item.id
        cursor = page.cursor
        if cursor is None:
            return


async def _read(store: Store, ids: Sequence[int], fields: Sequence[str]) -> list[Node]:
    """The entities of these ids that there are."""
    asked = list(dict.fromkeys(["Name", "Children", *fields]))
    answers = await store.batch([("get", {"id": id, "fields": asked}) for id in ids])
    return [_node(answer, fields) for answer in answers if not _missing(answer)]


def _missing(answer: Any) -> bool:
    if isinstance(answer, NotFound):
        return True  # deleted since its parent was read
    if isinstance(answer, Exception):
        raise answer
    return False


def _node(answer: Any, fields: Iterable[str]) -> Node:
    read = answer["fields"]
    shown = {path: _value(read[path]) for path in fields}
    return Node(answer["id"], answer["type"], read["Name"]["value"], list(map(_id, read["Children"]["value"])), shown)


def _value(reading: Any) -> Any:
    return {"error": reading["error"]} if "error" in reading else reading["value"]


def _id(reference: Any) -> int:
    return int(reference["missing"] if isinstance(reference, dict) else reference)


def _cut(ids: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    return (ids[first : first + most] for first in range(0, len(ids), most))
