"""What searches cost among many entities: by filter, by index, in pages, in the order of fields; and a write."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import click

from benchmarks.filters import best_ns, populate
from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody, LogId
from qcore.model.requests.commands import SetFields
from qcore.model.requests.queries import Count, Find
from qcore.model.requests.results import Page
from qcore.server.runtime.collector import freeze_loaded
from qcore.store.apply import apply_entry
from qcore.store.search import find as search
from qcore.store.search.filter import bind, parse
from qcore.store.state.state import State

__all__ = ["main"]

ORDERS = [["Age"], ["Email:desc"], ["Team->Name", "Height:desc"]]
SCANS = [
    ("one term", "Age < 0"),
    ("two terms", "Age >= 0 && Email < 'a'"),
    ("through a reference", "Team->Name == 'nobody'"),
]
INDEXED = [
    ("text, one hit", "Email == 'p77777@example.org'"),
    ("number, one in ninety", "Age == 7 && Email != 'nobody'"),
]


class Stopwatch:
    """Seconds of a whole search and of its longest slice."""

    def __init__(self) -> None:
        self.whole = self.longest = 0.0

    def run(self, work: Generator[None, None, Any]) -> Any:
        """Exhaust a search; returns its answer."""
        while True:
            begun = time.perf_counter()
            try:
                next(work)
            except StopIteration as done:
                return done.value
            finally:
                took = time.perf_counter() - begun
                self.whole += took
                self.longest = max(self.longest, took)

    def report(self, name: str, note: str) -> None:
        """Print one line."""
        print(f"{name:46}{self.whole * 1000:10.3f}{self.longest * 1000:10.3f}   {note}")


class Searches:
    """Searches among the persons of a state, timed; `longest` is the longest slice of all, in seconds."""

    def __init__(self, state: State) -> None:
        self.longest = 0.0
        self._state = state

    def find(self, name: str, text: str | None = None, repeats: int = 3, **kwargs: Any) -> None:
        """Print what the quickest of several equal searches took, and the longest slice of them all."""
        filter = None if text is None else bind(parse(text), [self._state.types.of("Person")])
        query = Find("Person", filter=text, **kwargs)
        watches = []
        for _ in range(repeats):
            watches.append(Stopwatch())
            page: Page = watches[-1].run(search.find(self._state, query, 10_000, filter))
        best = min(watches, key=lambda watch: watch.whole)
        best.longest = max(watch.longest for watch in watches)
        best.report(name, f"{len(page.items):,} items")
        self.longest = max(self.longest, best.longest)

    def count(self, name: str, text: str, entities: int) -> None:
        """Print what a count without an index takes, for each entity too."""
        filter = bind(parse(text), [self._state.types.of("Person")])
        watch = Stopwatch()
        found = watch.run(search.count(self._state, Count("Person", filter=text), filter))
        watch.report(name, f"{watch.whole / entities * 1e6:.3f} us an entity, {found:,} found")
        self.longest = max(self.longest, watch.longest)

    def deep(self, name: str, pages: int, **kwargs: Any) -> None:
        """Print what the page after so many others takes."""
        cursor = None
        for _ in range(pages):
            page = Stopwatch().run(search.find(self._state, Find("Person", cursor=cursor, **kwargs), 10_000))
            cursor = page.cursor
        self.find(name, cursor=cursor, **kwargs)


def write_ns(state: State, entities: int) -> float:
    """Nanoseconds of one write of two fields, log and network left out."""
    ids = state.ids("Person")[:entities]
    writes: list[Any] = [SetFields(id, fields={"Age": id % 90, "Email": f"q{id}"}) for id in ids]
    body = EntryBody(FEATURE_LEVEL, state.time + 1, "commands", writes)

    def write() -> None:
        for outcome in apply_entry(state, Entry(LogId(1, 65_536, state.applied + 1), body)):
            if outcome.error is not None:
                raise outcome.error

    return best_ns(write, len(ids), 5)


@click.command()
@click.option("--entities", "count", default=200_000, show_default=True, help="Entities searched.")
def main(count: int) -> None:
    """Print milliseconds of searches and of their longest slice."""
    state, _ = populate(count)
    freeze_loaded()
    plain = write_ns(state, 10_000)
    searches = Searches(state)
    print(f"{f'among {count:,} entities, in ms':46}{'whole':>10}{'slice':>10}")
    for name, text in SCANS:
        searches.count(f"count, {name}", text, count)
    for name, text in INDEXED:
        searches.find(f"find, {name}: scan", text, repeats=1)
        searches.find(f"find, {name}: builds an index", text, repeats=1)
        searches.find(f"find, {name}: index", text)
    searches.find("page of 100")
    searches.find("page of 10,000", limit=10_000)
    for order_by in ORDERS:
        words = ", ".join(order_by)
        searches.find(f"page of 100 by {words}", order_by=order_by)
        searches.find(f"page of 10,000 by {words}", order_by=order_by, limit=10_000)
    searches.deep(f"10th page of 10,000 by {words}", 9, order_by=order_by, limit=10_000)
    print(f"longest slice of all {searches.longest * 1000:.1f} ms")
    indexed = write_ns(state, 10_000)
    print(f"a write of two fields {plain / 1000:.2f} us, with an index of each {indexed / 1000:.2f} us")


if __name__ == "__main__":
    main()
