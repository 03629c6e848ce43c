"""What a node says of itself: `info`, `machine`, `clients` and `slowlog`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from qcore.disk.directory import Directory
from qcore.engine.base import Engine
from qcore.model.entry import Membership
from qcore.model.errors import BadParams
from qcore.model.requests import queries
from qcore.model.requests.results import (
    ClientList,
    ConnectedClient,
    InfoResult,
    MachineResult,
    SlowRequestList,
)
from qcore.model.times import format_time
from qcore.server.client import Client
from qcore.server.config.settings import Settings
from qcore.server.operations.clients import ConnectedClients
from qcore.server.operations.members import Cluster
from qcore.server.operations.readiness import NotReady, readiness
from qcore.server.operations.slow_requests import SlowRequests
from qcore.server.operations.status_line import status_line
from qcore.server.runtime import budgets
from qcore.server.runtime.scheduler import Work
from qcore.store.state.state import State
from qcore.store.watch.history import History
from qcore.version import VERSION

__all__ = ["LIMITS", "AboutNode"]

LIMITS = (
    "max_batch",
    "max_connections",
    "max_depth",
    "max_entry_mb",
    "max_exports",
    "max_list",
    "max_message_mb",
    "max_page",
    "max_pending",
    "max_pipeline",
    "max_subscriptions",
    "max_upload_mb",
    "request_timeout",
    "send_queue_mb",
    "watch_history",
    "watch_history_mb",
    "watch_queue_mb",
)
"""Settings that `info` shows as limits."""


class AboutNode:
    """Answers what is asked about the node at `addr`.

    `membership` gives the last one applied, `listeners_of` how many listeners a client has, `disk_full` why writes are
    refused, None where they are not; `full_disks` which members are below their reserve.

    Attributes:
        stopping: whether the node is about to end.
        set_up: whether writes of clients flow here, if this node leads.
        forming: says what is waited for while this node belongs to no cluster, None where it belongs to one.
        gathered: how many nodes are there of how many that are needed, while a cluster forms and that can be counted.
        refused: sentences on the nodes that this one does not talk to, or that do not talk to it.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        engine: Engine,
        directory: Directory,
        addr: str,
        history: History,
        clients: ConnectedClients,
        slow_requests: SlowRequests,
        membership: Callable[[], Membership | None],
        listeners_of: Callable[[Client], int],
        disk_full: Callable[[], str | None],
        full_disks: Callable[[], Collection[int]],
    ) -> None:
        self.stopping = False
        self.set_up = False
        self.waiting: Callable[[], Mapping[int, str]] = dict
        """Gives why nodes have no vote, by public id."""
        self.forming: Callable[[], str | None] = lambda: None
        self.gathered: Callable[[], tuple[int, int] | None] = lambda: None
        self.refused: Callable[[], list[str]] = list
        self._settings = settings
        self._state = state
        self._engine = engine
        self._directory = directory
        self._addr = addr
        self._history = history
        self._clients = clients
        self._slow_requests = slow_requests
        self._membership = membership
        self._listeners_of = listeners_of
        self._disk_full = disk_full
        self._full_disks = full_disks
        self._begun = time.monotonic()
        self.runs: dict[type[Any], Callable[[Any], Any]] = {
            queries.Info: self._info,
            queries.Machine: self._machine,
            queries.Clients: self._list_clients,
            queries.SlowLog: self._slow_log,
        }

    def cluster(self) -> Cluster:
        """The members, as this node sees them now."""
        own, membership = self._directory.identity.node, self._membership()
        return Cluster(own, self._addr, membership, self._engine.status(), self._full_disks(), self.waiting())

    @property
    def full_disks(self) -> int:
        """Members whose disk is below its reserve, as far as this node knows."""
        return len(self._full_disks())

    def not_ready(self) -> NotReady | None:
        """Why the node should not get requests now, None when it should."""
        status = self._engine.status()
        return readiness(
            status,
            self.cluster(),
            self._state.applied,
            stopping=self.stopping,
            set_up=self.set_up,
            forming=self.forming(),
        )

    def status_line(self) -> str:
        """The node in one line; see `operations.status_line`."""
        status, not_ready = self._engine.status(), self.not_ready()
        return status_line(
            status, self.cluster(), self._state.revision, not_ready, self.gathered(), problem=self._disk_full()
        )

    def _machine(self, _query: queries.Machine) -> MachineResult:
        identity = self._directory.identity
        return MachineResult(identity.machine, identity.node)

    def _info(self, _query: queries.Info) -> InfoResult:
        state, status, identity = self._state, self._engine.status(), self._directory.identity
        cluster, not_ready = self.cluster(), self.not_ready()
        return InfoResult(
            node=identity.node,
            machine=identity.machine,
            cluster=status.cluster,
            version=VERSION,
            role=status.role,
            leader=status.leader,
            term=status.term,
            members=cluster.members(),
            log_first=status.first,
            log_last=status.last,
            committed=status.committed,
            applied=state.applied if state.applied >= 0 else None,
            revision=state.revision,
            oldest_event=self._history.oldest,
            epoch=state.epochs.current,
            counts={name: count for name, count in sorted(state.counts.items()) if count},
            sessions=len(state.sessions),
            engine=self._engine.name,
            durability=self._engine.durability,
            uptime=round(time.monotonic() - self._begun, 3),
            data_dir=str(self._directory.path),
            limits={name: getattr(self._settings, name) for name in LIMITS},
            waiting=self._disk_full() if not_ready is None else not_ready.sentence,
            outlook=cluster.outlook(),
            refused=self.refused(),
        )

    def _list_clients(self, _query: queries.Clients) -> Work[ClientList]:
        items = []
        for number, client in enumerate(list(self._clients.all), 1):
            items.append(
                ConnectedClient(
                    name=client.name,
                    address=client.address,
                    since=format_time(client.since),
                    subscriptions=self._listeners_of(client),
                    queue=client.outbox.size + client.unsent(),
                    requests=client.requests,
                )
            )
            if not number % budgets.CLIENTS_STEP:
                yield
        return ClientList(items)

    def _slow_log(self, query: queries.SlowLog) -> SlowRequestList:
        slow = self._slow_requests
        if query.limit is not None and query.limit < 1:
            raise BadParams(f"limit {query.limit}: at least 1")
        return SlowRequestList(slow.newest(query.limit), slow.total, slow.threshold)
