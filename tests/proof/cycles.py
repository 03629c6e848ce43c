"""Cycles in a graph whose edges say why one must come before the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise

__all__ = ["Graph"]


class Graph:
    """Nodes 0 to `size` - 1; of two edges between the same nodes the first one's reason is kept."""

    def __init__(self, size: int) -> None:
        self._edges: list[dict[int, str]] = [{} for _ in range(size)]

    def order(self, before: int, after: int, why: str) -> None:
        """Note that one node comes before another; nothing if they are the same."""
        if before != after:
            self._edges[before].setdefault(after, why)

    def cycles(self) -> Iterator[list[tuple[int, str]]]:
        """A short cycle of each strongly connected component: nodes, each with why it comes before the next one."""
        for component in self._components():
            if len(component) > 1:
                yield self._shortest(component)

    def _shortest(self, component: Iterable[int]) -> list[tuple[int, str]]:
        """The shortest cycle through any of the first nodes of a component."""
        inside = set(component)
        found = [self._cycle_through(node, inside) for node in sorted(inside)[:100]]
        return min(found, key=len)

    def _cycle_through(self, start: int, inside: set[int]) -> list[tuple[int, str]]:
        came_from: dict[int, int] = {}
        waiting = deque([start])
        while start not in came_from:
            node = waiting.popleft()
            for after in self._edges[node]:
                if after in inside and after not in came_from:
                    came_from[after] = node
                    waiting.append(after)
        nodes = [start]
        while (before := came_from[nodes[-1]]) != start:
            nodes.append(before)
        nodes.append(start)
        nodes.reverse()
        return [(node, self._edges[node][after]) for node, after in pairwise(nodes)]

    def _components(self) -> Iterator[list[int]]:
        """Tarjan's strongly connected components, without recursion."""
        index: dict[int, int] = {}
        low: dict[int, int] = {}
        path: list[int] = []
        on_path: set[int] = set()
        for root in range(len(self._edges)):
            if root in index:
                continue
            work: list[tuple[int, Iterator[int]]] = []
            self._enter(root, index, low, path, on_path, work)
            while work:
                node, edges = work[-1]
                after = next(edges, None)
                if after is None:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
                    if low[node] == index[node]:
                        yield _cut(path, on_path, node)
                elif after not in index:
                    self._enter(after, index, low, path, on_path, work)
                elif after in on_path:
                    low[node] = min(low[node], index[after])

    def _enter(
        self,
        node: int,
        index: dict[int, int],
        low: dict[int, int],
        path: list[int],
        on_path: set[int],
        work: list[tuple[int, Iterator[int]]],
    ) -> None:
        index[node] = low[node] = len(index)
        path.append(node)
        on_path.add(node)
        work.append((node, iter(self._edges[node])))


def _cut(path: list[int], on_path: set[int], node: int) -> list[int]:
    """Take a whole component off the path, which ends with it."""
    at = len(path) - 1
    while path[at] != node:
        at -= 1
    component = path[at:]
    del path[at:]
    on_path.difference_update(component)
    return component
