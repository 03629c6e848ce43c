"""Three qcore nodes on loopback, formed by `cluster.init`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.cluster.members import COUNT, Case, addresses, messages
from benchmarks.cluster.usage import Usage, metrics, process_usage
from benchmarks.load import Load, Measured, build, measure
from benchmarks.peers import (
    FOLDER,
    START_DEADLINE,
    console_script,
    create_entities,
    entity_messages,
    free_addresses,
)
from benchmarks.wire import Api, write_messages
from tests.process import NodeProcess

__all__ = ["QcoreCluster", "node_metrics"]

OPERATIONS = {"write": "SET", "read": "GET"}

_LEADS = "qcore_raft_role{role=leader}"
_FLUSHES = "qcore_fsync_duration_seconds_count"


class QcoreCluster:
    """Nodes 1 to 3 with their data in `folder`, and `ENTITIES` entities with an Age.

    `env` and `command` say for each node id what its process is given and how it is started; `flags` are for all.
    """

    name = "qcore"

    def __init__(
        self,
        folder: Path,
        *flags: str,
        env: Callable[[int], Mapping[str, str]] = lambda _id: {},
        command: Callable[[int], Sequence[str]] = lambda _id: console_script(),
    ) -> None:
        self.addresses = free_addresses(COUNT)
        self.nodes: list[NodeProcess] = []
        for place, address in enumerate(self.addresses):
            others = [flag for other in self.addresses if other != address for flag in ("--peers", other)]
            id = place + 1
            engine = ("--engine", "auto", *others, *flags)
            node = NodeProcess(folder / f"node{id}", *engine, node=id, command=command(id), env=env(id))
            node.address = address
            self.nodes.append(node)
        self.ids: list[int] = []
        self._folder = folder

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.callback(node.kill)
                node.start()
            with Api(self.nodes[0].url) as api:
                api.call("cluster.init")
            with Api(self.nodes[self.leader()].url) as api:
                self.ids = create_entities(api)
            for operation, method in OPERATIONS.items():
                write_messages(messages(self._folder, operation), entity_messages(method, self.ids))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def leader(self) -> int:
        """The place of the node that leads, waited for."""
        end = time.monotonic() + START_DEADLINE
        while time.monotonic() < end:
            for place, node in enumerate(self.nodes):
                if node.running and node_metrics(node).get(_LEADS):
                    return place
            time.sleep(0.02)
        raise RuntimeError("no node leads:\n" + "\n".join(node.log() for node in self.nodes))

    def followers(self) -> list[int]:
        """The places of the others."""
        leader = self.leader()
        return [place for place in range(COUNT) if place != leader]

    def press(self, case: Case, seconds: float) -> Measured:
        """See `Cluster.press`."""
        where = addresses(self.addresses, self.leader(), case.target)
        return self.load(OPERATIONS[case.operation], case.load, where, "--seconds", str(seconds))

    def load(self, method: str, load: Load, where: str, *limit: str) -> Measured:
        """Run the load client with SET or GET; `limit` as for `measure`."""
        operation = next(name for name, one in OPERATIONS.items() if one == method)
        return measure(build(FOLDER), "ws", where, messages(self._folder, operation), load, *limit)

    def usage(self, place: int) -> Usage:
        """See `Cluster.usage`."""
        node = self.nodes[place]
        flushes = sum(value for name, value in node_metrics(node).items() if name.startswith(_FLUSHES))
        return process_usage(node.pid, flushes)

    def describe(self) -> str:
        """See `Cluster.describe`."""
        with Api(self.nodes[0].url) as api:
            info = api.call("info")
        return f"{info['version']}, engine {info['engine']}, durability {info['durability']}"


def node_metrics(node: NodeProcess) -> Mapping[str, float]:
    """The metrics of a node."""
    return metrics(node.address)
