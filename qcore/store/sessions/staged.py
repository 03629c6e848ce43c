"""Commands on their way in parts: too long for one entry of the log, kept until all are there and it is run.

What is staged is part of the replicated state but not of the digest: it changes nothing that anyone can read. A sum of
its own lets replicas compare it.
A leader that died between two parts leaves them behind, so they go by entry time.
"""

from __future__ import annotations

from collections import OrderedDict

from qcore.model.errors import Timeout, TooLarge
from qcore.model.leader_commands import RunStaged, StagePart
from qcore.model.times import NS
from qcore.store.state.digest import staged_hash
from qcore.store.state.pins import Work

__all__ = ["IDLE_LIMIT", "MAX_STAGED", "Parts", "Staged"]

MAX_STAGED = 1 << 30
"""Characters that may be staged in all."""

IDLE_LIMIT = 600 * NS
"""Nanoseconds of entry time after which parts that nobody added to are dropped."""


class Parts:
    """The parts of one command so far."""

    __slots__ = ("counted", "size", "texts", "used")

    def __init__(self) -> None:
        self.counted = 0
        """Their part of the sum of all that is staged."""
        self.used = 0
        self.size = 0
        self.texts: list[str] = []


class Staged:
    """All that is staged, the longest untouched first."""

    def __init__(self) -> None:
        self.size = 0
        self.sum = 0
        """Of the hashes of all that is staged."""
        self.open: OrderedDict[str, Parts] = OrderedDict()

    def add(self, command: StagePart, now: int) -> None:
        """Keep a part; a part that does not follow the one before drops them all, and `RunStaged` will say so.

        Raises:
            TooLarge: too much is staged already.
        """
        self.expire(now)
        if self.size + len(command.text) > MAX_STAGED:
            raise TooLarge(f"{self.size} characters of unfinished commands are staged already")
        parts = self.open.setdefault(command.stage, Parts())
        if command.part != len(parts.texts):
            self.drop(command.stage)
            return
        parts.texts.append(command.text)
        parts.used = now
        parts.size += len(command.text)
        self.size += len(command.text)
        self._count(command.stage, parts)
        self.open.move_to_end(command.stage)

    def text(self, command: RunStaged, now: int) -> str:
        """The whole text, which stays until it is dropped.

        Raises:
            Timeout: parts are missing; there are none any more.
        """
        self.expire(now)
        parts = self.open.get(command.stage)
        found = 0 if parts is None else len(parts.texts)
        if parts is None or found != command.parts:
            self.drop(command.stage)
            raise Timeout(f"of the {command.parts} parts of this command {found} arrived in time", applied="no")
        return "".join(parts.texts)

    def load(self, stage: str, used: int, texts: list[str]) -> None:
        """Take the parts of a command out of a snapshot; they come with the longest untouched first."""
        parts = self.open[stage] = Parts()
        parts.used, parts.texts, parts.size = used, texts, sum(map(len, texts))
        self.size += parts.size
        self._count(stage, parts)

    def drop(self, stage: str) -> None:
        """Forget a command's parts, if there are any."""
        parts = self.open.pop(stage, None)
        if parts is not None:
            self.size -= parts.size
            self.sum -= parts.counted

    def _count(self, stage: str, parts: Parts) -> None:
        before, parts.counted = parts.counted, staged_hash(stage, parts.used, len(parts.texts), parts.size)
        self.sum += parts.counted - before

    def take_apart(self) -> Work:
        """Free everything in pieces; it is of no state any more."""
        while self.open:
            _, parts = self.open.popitem()
            while parts.texts:
                parts.texts.pop()
                yield

    def expire(self, now: int) -> None:
        """Forget what was not added to for too long at entry time `now`."""
        while self.open:
            stage, parts = next(iter(self.open.items()))
            if parts.used + IDLE_LIMIT >= now:
                return
            self.drop(stage)
