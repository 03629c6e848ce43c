"""Real nodes as processes, alone or as a cluster, that reach each other, and are reached, through the fault proxy only.

Blocking calls, for a thread beside the loop of the clients. Everything that was started is ended, by its pid.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.request import urlopen

from qcore.client import InfoResult, QcoreError
from qcore.client.blocking import connect
from tests.faults import Faults
from tests.process import DAEMON, DEADLINE, NodeProcess
from tests.proof.proxy import CLIENTS, Proxy
from tests.proof.sockets import holds_socket, socket_inode

__all__ = ["BRIEF", "Nodes", "until"]

BRIEF = 1.0
"""Seconds that a node gets to say who leads; one that hangs does not answer."""


def until(condition: Callable[[], object], what: Callable[[], str], deadline: float = DEADLINE) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it did not come; says what `what` says then.
    """
    end = time.monotonic() + deadline
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline:g} s: {what()}")
        pause.wait(0.005)


class Nodes:
    """`count` nodes with ids from 1 in `folder`, each with data, faults and a proxy address of its own.

    `command` starts the daemon of each; `spares` further ones may join later (`join`, `leave`).

    Attributes:
        ids: the nodes that belong to it now.
        processes, faults: by id, of the spares, too.
        urls: where clients find the nodes of `ids`; the proxy's addresses.
    """

    def __init__(
        self,
        folder: Path,
        count: int,
        library: Path,
        flags: Sequence[str] = (),
        command: Sequence[str] = DAEMON,
        spares: int = 0,
    ) -> None:
        self.ids = list(range(1, count + 1))
        self.spares = list(range(count + 1, count + spares + 1))
        self.proxy = Proxy(self._who)
        self.faults = {id: Faults(library, folder / f"faults_{id}") for id in (*self.ids, *self.spares)}
        self.processes: dict[int, NodeProcess] = {}
        self.urls: dict[int, str] = {}
        self._folder = folder
        self._flags = flags
        self._command = command
        self._open = ExitStack()
        self._addresses: dict[int, str] = {}

    def __enter__(self) -> Nodes:
        with ExitStack() as stack:
            stack.enter_context(self.proxy)
            self._addresses = {id: self.proxy.listen(id) for id in (*self.ids, *self.spares)}
            self.urls = {id: f"ws://{self._addresses[id]}" for id in self.ids}
            named = {id: self._addresses[id] for id in self.ids}
            for id, address in self._addresses.items():
                flags = *self._flags, *cluster_flags(id, {**named, id: address})
                env = self.faults[id].env
                process = NodeProcess(self._folder / f"data_{id}", *flags, node=id, command=self._command, env=env)
                stack.callback(process.kill)
                self.processes[id] = process
            self.start_all()
            if len(self.ids) > 1:
                self._form_cluster()
            self.leader()
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def start(self, id: int) -> None:
        """Start a node, which listens on return, and lead the proxy to it."""
        self.processes[id].start()
        self.proxy.point(id, self.processes[id].address)

    def start_all(self) -> None:
        """Start all nodes at once; they listen on return."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.start, self.ids))

    def join(self, id: int) -> None:
        """Count a spare that runs among the nodes: clients use it, and faults strike it."""
        self.ids.append(id)
        self.urls[id] = f"ws://{self._addresses[id]}"

    def leave(self, id: int) -> None:
        """Count a node among the spares again."""
        self.ids.remove(id)
        del self.urls[id]

    def others(self, id: int) -> list[int]:
        return [other for other in self.ids if other != id]

    def info(self, id: int) -> InfoResult | None:
        """What a node says of itself, None if it says nothing."""
        if not self.processes[id].running:
            return None
        try:
            with connect(self.processes[id].url, client="proof", timeout=BRIEF) as store:
                return store.info()
        except QcoreError:
            return None

    def log(self, id: int) -> tuple[int, int]:
        """Where the log of a node begins and ends, zeros where it does not say."""
        info = self.info(id)
        return (0, 0) if info is None else (info.log_first or 0, info.log_last or 0)

    def cluster(self) -> str:
        """The id of the cluster, as the node that leads has it."""
        info = self.info(self.leader())
        assert info is not None, self.logs()
        return info.cluster

    def level(self) -> int:
        """The feature level of the state, the lowest of all nodes."""
        levels = []
        for id in self.ids:
            with urlopen(f"http://{self.processes[id].address}/metrics", timeout=DEADLINE) as answer:
                lines = answer.read().decode().splitlines()
            levels += [int(float(line.split()[1])) for line in lines if line.startswith("qcore_state_feature_level ")]
        return min(levels)

    def take_snapshot(self, id: int) -> None:
        """Have a node take a snapshot beside its log, if it can now."""
        with suppress(QcoreError), connect(self.processes[id].url, client="proof", timeout=BRIEF) as store:
            store.snapshot_take()

    def check_running(self) -> None:
        """Raise `AssertionError` with its log if a node has ended by itself."""
        for id in self.ids:
            process = self.processes[id]
            assert process.running, f"node {id} ended by itself with {process.wait()}:\n{process.log()}"

    def leader(self) -> int:
        """The node that leads, waited for."""
        return self.leadership()[0]

    def leadership(self) -> tuple[int, int]:
        """The node that leads and its term, waited for."""
        found: list[tuple[int, int]] = []

        def led() -> bool:
            infos = [info for info in map(self.info, self.processes) if info is not None and info.role == "leader"]
            found[:] = [(info.node, info.term) for info in sorted(infos, key=lambda info: -info.term)]
            return bool(found)

        until(led, lambda: f"a node leads\n{self.logs()}")
        return found[0]

    def digests(self) -> dict[int, tuple[int, str]]:
        """Revision and digest of each node."""
        found = {}
        for id in self.ids:
            with connect(self.processes[id].url, client="proof") as store:
                now = store.digest(consistency="local")
                found[id] = now.revision, now.digest
        return found

    def settled_digest(self) -> tuple[int, str]:
        """Revision and digest of all nodes, once they have the same revision.

        Raises:
            AssertionError: the digests differ.
        """
        found: dict[int, tuple[int, str]] = {}

        def level() -> bool:
            found.update(self.digests())
            return len({revision for revision, _ in found.values()}) == 1

        until(level, lambda: f"all nodes have one revision: {found}")
        assert len(set(found.values())) == 1, f"nodes of one revision differ: {found}"
        return found[1]

    def logs(self) -> str:
        """What all nodes have logged since their last start."""
        return "\n".join(f"--- node {id}\n{process.log()}" for id, process in self.processes.items())

    def _form_cluster(self) -> None:
        with connect(self.processes[1].url, client="proof", timeout=DEADLINE) as store:
            store.call("cluster.init", ids=list(self.ids))

    def _who(self, host: str, port: int) -> int | None:
        inode = socket_inode(host, port)
        if inode is None:
            return None
        owners: Iterable[int] = (id for id, node in list(self.processes.items()) if node.running)
        return next((id for id in owners if holds_socket(self.processes[id].pid, inode)), CLIENTS)


def cluster_flags(id: int, addresses: dict[int, str]) -> list[str]:
    """What tells a node of the others, and under which address they are told of it: the proxy's, all of them."""
    if len(addresses) == 1:
        return []
    peers = [flag for other, address in addresses.items() if other != id for flag in ("--peers", address)]
    return ["--engine", "auto", *peers, "--advertise", addresses[id]]
