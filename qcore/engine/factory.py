"""Which engine a node runs: the one place that knows the implementations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from qcore.disk.directory import Directory
from qcore.engine.base import Engine
from qcore.engine.embedded import EmbeddedEngine
from qcore.model.errors import ExtensionMissing

__all__ = ["EngineName", "available_engines", "make_engine", "refuse_cluster"]

EngineName = Literal["auto", "openraft", "embedded"]


def available_engines() -> list[str]:
    """Names of the engines that this installation can run."""
    return [EmbeddedEngine.name]


def make_engine(
    name: EngineName, directory: Directory, addr: str, slow_fsync: float, on_slow: Callable[[float], None]
) -> Engine:
    """An engine for a node's directory, not started.

    Args:
        name: the setting `engine`; auto takes the best one there is.
        directory: opened and locked.
        addr: ``host:port`` that other nodes are told.
        slow_fsync: seconds above which storing one entry is slow.
        on_slow: hears of it on the loop, with the seconds it took.

    Raises:
        ExtensionMissing: the engine is not installed.
    """
    if name == "openraft":
        raise _missing("--engine openraft")
    return EmbeddedEngine(directory, addr, slow_fsync, on_slow)


def refuse_cluster(name: EngineName, *, discovery: bool, peers: bool) -> None:
    """Refuse settings that ask for a cluster where no engine for one is installed.

    Raises:
        ExtensionMissing: they do; says which setting.
    """
    if name == "openraft":
        raise _missing("--engine openraft")
    if discovery or peers:
        raise _missing("--enable-discovery" if discovery else "--peers")


def _missing(wanted: str) -> ExtensionMissing:
    return ExtensionMissing(
        f"{wanted} asks for a cluster, which needs the OpenRaft extension qcore_openraft: "
        "it is not part of this version; one node alone runs with --engine embedded"
    )
