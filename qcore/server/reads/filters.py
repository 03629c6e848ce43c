"""Filters of searches and listeners: parsed in a thread, bound to the types there are, both kept for the next time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from qcore.model.errors import RequestError
from qcore.model.requests.queries import Count, Find
from qcore.model.schema import Types
from qcore.server.runtime import budgets
from qcore.store.search.filter import Filter, Parsed, bind, parse
from qcore.store.search.find import candidates
from qcore.store.state.state import State

__all__ = ["Filters"]

K = TypeVar("K")
V = TypeVar("V")


class _Recent(OrderedDict[K, V], Generic[K, V]):
    """The values used last, `budgets.KEPT_FILTERS` of them."""

    def use(self, key: K) -> V | None:
        found = self.get(key)
        if found is not None:
            self.move_to_end(key)
        return found

    def keep(self, key: K, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > budgets.KEPT_FILTERS:
            self.popitem(last=False)


class Filters:
    """Parses filters and binds them to types; what was parsed is kept, and what was bound until the types change."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._parsed: _Recent[str, Parsed] = _Recent()
        self._bound: _Recent[tuple[str, str, bool], tuple[Types, Filter]] = _Recent()

    def prepare(self, wanted: Iterable[str], done: Callable[[RequestError | None], None]) -> bool:
        """Parse the texts that are not known yet in a thread; False where there is nothing to wait for.

        `done` is called on the loop when they are parsed, or with the error of the first that cannot be.
        """
        texts = [text for text in dict.fromkeys(wanted) if text not in self._parsed]
        if not texts:
            return False
        future = asyncio.get_running_loop().run_in_executor(None, _parse_all, texts)
        future.add_done_callback(lambda finished: self._prepared(texts, finished.result(), done))
        return True

    def _prepared(
        self, texts: list[str], parsed: list[Parsed | RequestError], done: Callable[[RequestError | None], None]
    ) -> None:
        problem = None
        for text, one in zip(texts, parsed, strict=True):
            if isinstance(one, RequestError):
                problem = problem or one
            else:
                self._parsed.keep(text, one)
        done(problem)

    def parsed(self, text: str) -> Parsed:
        """A filter that is not bound to types yet; parsed on the spot where `prepare` was not called for it.

        Raises:
            BadFilter, TooLarge: it cannot be; says where.
        """
        parsed = self._parsed.use(text)
        if parsed is None:
            parsed = parse(text)
            self._parsed.keep(text, parsed)
        return parsed

    def bound(self, query: Find | Count) -> Filter | None:
        """The query's filter, ready for entities.

        Raises:
            BadFilter, TooLarge: it cannot be; says where.
            NotFound: the query's type is unknown.
        """
        if query.filter is None:
            return None
        types = self._state.types
        key = (query.filter, query.type, query.exact)
        known = self._bound.use(key)
        if known is not None and known[0] is types:
            return known[1]
        filter = bind(self.parsed(query.filter), [types.of(name) for name in candidates(self._state, query)])
        self._bound.keep(key, (types, filter))
        return filter


def _parse_all(texts: list[str]) -> list[Parsed | RequestError]:
    return [_parse_one(text) for text in texts]


def _parse_one(text: str) -> Parsed | RequestError:
    try:
        return parse(text)
    except RequestError as exc:
        return exc.with_traceback(None)
