"""Which engine a node runs: the one place that knows the implementations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from qcore.disk.directory import Directory
from qcore.engine.base import Engine
from qcore.engine.embedded import EmbeddedEngine
from qcore.engine.openraft.extension import extension_problem
from qcore.model.errors import ExtensionMissing

__all__ = ["EngineName", "available_engines", "make_engine", "refuse_cluster"]

EngineName = Literal["auto", "openraft", "embedded"]


def available_engines() -> list[str]:
    """Names of the engines that this installation can run."""
    return [EmbeddedEngine.name, *(["openraft"] if extension_problem() is None else [])]


def make_engine(
    name: EngineName,
    directory: Directory,
    addr: str,
    slow_fsync: float,
    on_slow: Callable[[float], None],
    *,
    cluster: bool = False,
    timing: tuple[int, int, int] = (200, 400, 700),
    witness: bool = False,
) -> Engine:
    """An engine for a node's directory, not started.

    Args:
        name: the setting `engine`; auto is openraft in a cluster, else embedded, as a node alone needs no more.
        directory: opened and locked.
        addr: ``host:port`` that other nodes are told.
        slow_fsync: seconds above which storing one entry is slow.
        on_slow: hears of it on the loop, with the seconds it took.
        cluster: the node is to be one of several: on a blank disk it waits to be initialised or added.
        timing: milliseconds between heartbeats, and the least and longest silence of a leader.
        witness: the node keeps no state: commands are not read, little of the log is kept in memory, and it stands for
            election only where no other node has.

    Raises:
        ExtensionMissing: the engine is not installed, or its extension is of another version.
    """
    if name == "embedded" or (name == "auto" and not cluster):
        return EmbeddedEngine(directory, addr, slow_fsync, on_slow)
    _require_extension("--engine openraft" if name == "openraft" else "a cluster")
    from qcore.engine.openraft.engine import OpenRaftEngine, Timing

    return OpenRaftEngine(
        directory, addr, slow_fsync, on_slow, alone=not cluster, timing=Timing(*timing), witness=witness
    )


def refuse_cluster(name: EngineName, *, discovery: bool, peers: bool) -> None:
    """Refuse settings that ask for what is not installed, before anything is opened.

    Raises:
        ExtensionMissing: they do; says which setting.
    """
    if name == "openraft":
        _require_extension("--engine openraft")
    if name == "embedded" and (discovery or peers):
        wanted = "--enable-discovery" if discovery else "--peers"
        raise ExtensionMissing(f"{wanted} asks for a cluster, and --engine embedded is for one node alone")
    if peers:
        _require_extension("--peers")
    if discovery:
        _require_extension("--enable-discovery")


def _require_extension(wanted: str) -> None:
    problem = extension_problem()
    if problem is not None:
        raise ExtensionMissing(f"{wanted} needs OpenRaft: {problem}")
