"""What is measured: a cluster of three processes, and how it is pressed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self

from benchmarks.cluster.usage import Usage
from benchmarks.load import Load, Measured

__all__ = ["COUNT", "Case", "Cluster", "Operation", "Target", "addresses"]

COUNT = 3

Operation = Literal["write", "read"]
Target = Literal["leader", "all"]


class Case(NamedTuple):
    """One line of the table: what is asked, how hard, and of whom."""

    operation: Operation
    load: Load
    target: Target

    @property
    def title(self) -> str:
        """As the table names it."""
        depth = f" x {self.load.depth}" if self.load.depth > 1 else ""
        return f"{self.operation:<6}{self.load.connections}{depth}".ljust(15) + f"{self.target:<7}"


class Cluster(Protocol):
    """Three members, each known by its place from 0."""

    name: str

    def __enter__(self) -> Self:
        """Started, formed and filled."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def leader(self) -> int:
        """The place of the member that leads now."""

    def press(self, case: Case, seconds: float) -> Measured:
        """Load as the case says it."""

    def usage(self, place: int) -> Usage:
        """What this member has used since its start."""

    def describe(self) -> str:
        """Version and durability."""


def addresses(all: Sequence[str], leader: int, target: Target) -> str:
    """Where the load goes. A lone client of all nodes talks to one that does not lead: the leader comes last."""
    if target == "leader":
        return all[leader]
    return ",".join([*all[:leader], *all[leader + 1 :], all[leader]])


def messages(folder: Path, name: str) -> Path:
    """A file of ready requests."""
    return folder / f"{name}.messages"
