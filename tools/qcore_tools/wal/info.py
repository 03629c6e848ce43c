"""What is in a node's directory, in numbers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from qcore.disk.live_directory import LiveDirectory
from qcore.disk.log.live_reader import RETRY
from qcore.model.entry import LogId, public_id
from qcore.model.times import format_time
from qcore_tools.console import DONE, FAILED
from qcore_tools.forms import as_json, columns
from qcore_tools.progress import Progress
from qcore_tools.terminal import note, visible, write_result
from qcore_tools.wal.reading import Break, Found, Reading, told

__all__ = ["show_info"]


class Leadership(msgspec.Struct):
    """Entries of one leader in a row."""

    term: int
    node: int
    first: int
    last: int


class SnapshotFacts(msgspec.Struct):
    """A snapshot whose header is good; `size` in bytes."""

    path: str
    index: int
    term: int
    revision: int
    entities: int
    time: str
    size: int


class Info(msgspec.Struct):
    """What `--info` tells; sizes are in bytes, marks are log indexes, null where there is none."""

    path: str
    node: int | None = None
    machine: str | None = None
    cluster: str | None = None
    first: int | None = None
    last: int | None = None
    first_time: str | None = None
    last_time: str | None = None
    entries: dict[str, int] = {}
    commands: dict[str, int] = {}
    terms: list[Leadership] = []
    size: int = 0
    ready_files: int = 0
    ready_size: int = 0
    vote: dict[str, Any] | None = None
    committed: int | None = None
    stored: int | None = None
    purged: int | None = None
    snapshots: list[SnapshotFacts] = []
    problems: list[str] = []


def show_info(path: Path, as_text: bool) -> int:
    """Tell what is in the directory of a node; returns the exit code: whether there is damage."""
    with closing(LiveDirectory(path)) as directory:
        info = Info(str(path))
        _identify(info, directory)
        _marks(info, directory)
        _Counter(info, directory).read()
    if as_text:
        write_result("".join(f"{visible(line)}\n" for line in _lines(info)))
        for problem in info.problems:
            note(problem)
    else:
        write_result(as_json(msgspec.to_builtins(info)) + "\n")
    return FAILED if info.problems else DONE


def _identify(info: Info, directory: LiveDirectory) -> None:
    identity = directory.identity()
    if identity is not None:
        info.node, info.machine, info.cluster = identity.node, identity.machine, identity.cluster or None


def _marks(info: Info, directory: LiveDirectory) -> None:
    marks = directory.marks()
    info.committed, info.stored, info.purged = map(_index, (marks.committed, marks.stored, marks.purged))
    vote = marks.vote
    if vote is not None:
        info.vote = {"term": vote.term, "node": public_id(vote.node), "committed": vote.committed}
    snapshots = directory.snapshots()
    for found in snapshots.found:
        header = found.header
        facts = header.last.index, header.last.term, header.revision, sum(header.counts.values())
        info.snapshots.append(SnapshotFacts(found.path, *facts, format_time(header.time), found.size))
    info.problems += [told(problem) for problem in (*marks.problems, *snapshots.problems)]


def _index(id: LogId | None) -> int | None:
    return None if id is None else id.index


class _Counter:
    """Counts entries into an `Info`."""

    def __init__(self, info: Info, directory: LiveDirectory) -> None:
        self._info = info
        self._directory = directory
        self._entries: Counter[str] = Counter()
        self._commands: Counter[str] = Counter()
        self._times: list[int] = []
        """The first and the last one."""

    def read(self) -> None:
        """Read every entry."""
        first = next = 0 if self._info.purged is None else self._info.purged + 1
        with Progress("entries read") as progress:
            while (end := self._read(next, first, progress)) is not None:
                if end.damage:
                    self._info.problems.append(end.message)
                first, next = end.first, end.next
        self._finish()

    def _read(self, next: int, first: int, progress: Progress) -> Break | None:
        for item in Reading(self._directory, next, first, follow=False).items():
            if isinstance(item, Break):
                return item
            if isinstance(item, Found):
                progress.advance(1)
                self._add(item)
            else:
                time.sleep(RETRY)
        return None

    def _add(self, found: Found) -> None:
        info, id, body = self._info, found.entry.id, found.entry.body
        self._entries[body.kind] += 1
        self._commands.update(command.method for command in body.commands)
        if body.kind == "commands":
            self._times[1 if self._times else 0 :] = [body.time]
        info.first, info.last = id.index if info.first is None else info.first, id.index
        info.size += self._directory.size(id.index)
        node = public_id(id.node)
        if not info.terms or (info.terms[-1].term, info.terms[-1].node) != (id.term, node):
            info.terms.append(Leadership(id.term, node, id.index, id.index))
        info.terms[-1].last = id.index

    def _finish(self) -> None:
        info, directory = self._info, self._directory
        if self._times:
            info.first_time, info.last_time = format_time(self._times[0]), format_time(self._times[-1])
        info.entries, info.commands = dict(sorted(self._entries.items())), dict(sorted(self._commands.items()))
        above = -1 if info.last is None else info.last
        ready = [directory.size(number) for number in directory.numbers() if number > above]
        info.ready_files, info.ready_size = len(ready), sum(ready)


def _lines(info: Info) -> Iterator[str]:
    yield info.path
    for name, text in _facts(info):
        yield f"  {name:<10} {text}"
    if info.terms:
        rows = [[f"{each.term}", f"{each.node}", f"{each.first}..{each.last}"] for each in info.terms]
        yield from _table(["term", "leader", "entries"], rows)
    if info.snapshots:
        header = ["snapshot", "index", "term", "entities", "bytes", "time"]
        yield from _table(header, [_row(each) for each in info.snapshots])


def _table(header: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield ""
    yield from (f"  {line}" for line in columns(header, rows))


def _row(snapshot: SnapshotFacts) -> list[str]:
    numbers = (snapshot.index, snapshot.term, snapshot.entities, snapshot.size)
    return [Path(snapshot.path).name, *map(str, numbers), _to_the_second(snapshot.time)]


def _to_the_second(time: str | None) -> str:
    return f"{(time or '')[:19]}Z"


def _facts(info: Info) -> Iterator[tuple[str, str]]:
    if info.node is not None:
        yield "node", f"{info.node}, machine {info.machine}, cluster {info.cluster or 'none yet'}"
    count = sum(info.entries.values())
    yield "entries", f"{count:,}, index {info.first}..{info.last} ({_counts(info.entries)})" if count else "none"
    if info.first_time is not None:
        yield "written", f"{_to_the_second(info.first_time)} .. {_to_the_second(info.last_time)}"
    if info.commands:
        yield "commands", f"{sum(info.commands.values()):,} ({_counts(info.commands)})"
    yield "size", f"{info.size:,} bytes of entries, {info.ready_size:,} in {info.ready_files} files that lie ready"
    if info.vote is not None:
        given = ", committed" if info.vote["committed"] else ""
        yield "vote", f"term {info.vote['term']} for node {info.vote['node']}{given}"
    for name, index in (("committed", info.committed), ("stored", info.stored), ("purged", info.purged)):
        if index is not None:
            yield name, f"up to index {index}"
    if not info.snapshots:
        yield "snapshots", "none"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
