"""The metrics of a node: each with its name, its help, its labels and where its number comes from.

A number is read where it stands anyway, when somebody asks for it. Nothing here is called for a request, and the sets
of labels are bounded: methods, kinds of errors, reasons, roles and the nodes of the cluster.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

from qcore.disk.directory import Directory
from qcore.disk.space import Space, kept, space, wanted_reserve
from qcore.engine.base import Engine, EngineStatus
from qcore.model.histogram import Histogram
from qcore.model.requests.events import LostReason
from qcore.server.config.settings import Settings
from qcore.server.operations.about import AboutNode
from qcore.server.operations.clients import ConnectedClients, CutOff
from qcore.server.operations.request_counts import RequestCounts
from qcore.server.operations.slow_requests import SlowRequests
from qcore.server.reads.gate import ReadGate
from qcore.server.runtime import budgets
from qcore.server.runtime.delays import CollectionTimes, LoopLag
from qcore.server.snapshots.base import Snapshots
from qcore.server.watch.api import WatchApi
from qcore.server.writes.proposals import Proposals
from qcore.store.state.state import State
from qcore.store.watch.history import History
from qcore.version import VERSION

__all__ = ["METRICS", "Metric", "Observed", "Reading"]

Reading = float | Histogram | Mapping[Any, float | Histogram] | None
"""A number or a histogram, or one for each value of the labels (a tuple where there are several); None: nothing."""

ROLES = ("leader", "follower", "candidate", "learner")


class Observed(NamedTuple):
    """The parts of a node that numbers are read from; `status` is that of the engine, asked once for all of them."""

    settings: Settings
    state: State
    engine: Engine
    status: EngineStatus
    directory: Directory
    about: AboutNode
    clients: ConnectedClients
    counts: RequestCounts
    slow_requests: SlowRequests
    proposals: Proposals
    gate: ReadGate
    watch: WatchApi
    history: History
    snapshots: Snapshots
    lag: LoopLag
    collections: CollectionTimes
    role_changes: int


class Metric(NamedTuple):
    """One metric; `read` finds its number. A counter's name ends in `_total`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    read: Callable[[Observed], Reading]


def _counter(name: str, help: str, read: Callable[[Observed], Reading], *labels: str) -> Metric:
    return Metric(name, "counter", labels, help, read)


def _gauge(name: str, help: str, read: Callable[[Observed], Reading], *labels: str) -> Metric:
    return Metric(name, "gauge", labels, help, read)


def _histogram(name: str, help: str, read: Callable[[Observed], Reading], *labels: str) -> Metric:
    return Metric(name, "histogram", labels, help, read)


def _open_requests(node: Observed) -> int:
    return node.clients.requests - node.counts.outcomes.total()


def _disk(number: Callable[[Space], int | None]) -> Callable[[Observed], Reading]:
    def read(node: Observed) -> Reading:
        found = space(str(node.directory.path))
        return None if found is None else number(found)

    return read


def _disk_reserve(node: Observed) -> Reading:
    found, wanted = space(str(node.directory.path)), node.settings.disk_reserve_mb
    if found is None:
        return None
    reserve = wanted_reserve(found, None if wanted is None else wanted * budgets.MEGABYTE)
    return kept(reserve, node.snapshots.expected())


def _log_entries(node: Observed) -> int:
    first, last = node.status.first, node.status.last
    return 0 if first is None or last is None else last - first + 1


def _snapshot_time(node: Observed) -> Reading:
    newest = node.snapshots.newest
    if newest is None:
        return None
    return int(os.path.basename(newest.path).removeprefix("snapshot_").removesuffix(".json"))


def _snapshot_size(node: Observed) -> Reading:
    return None if node.snapshots.newest is None else node.snapshots.newest.size


def _roles(node: Observed) -> Reading:
    return {role: int(role == node.status.role) for role in ROLES}


METRICS: tuple[Metric, ...] = (
    _gauge(
        "qcore_node_info",
        "Version, engine and durability of the node; always 1.",
        lambda node: {(VERSION, node.engine.name, node.engine.durability): 1},
        "version",
        "engine",
        "durability",
    ),
    _gauge(
        "qcore_ready",
        "Whether the node should get requests, as /readyz says (1 or 0).",
        lambda node: int(node.about.not_ready() is None),
    ),
    # -- requests ------------------------------------------------------------------------------------------
    _counter(
        "qcore_requests_total",
        "Requests answered, by method and outcome: ok, or the kind of the error.",
        lambda node: node.counts.outcomes,
        "method",
        "outcome",
    ),
    _histogram(
        "qcore_request_duration_seconds",
        "Time from a request's arrival to its answer.",
        lambda node: node.counts.seconds,
        "method",
    ),
    _counter(
        "qcore_slow_requests_total",
        "Requests that took longer than slow_request_ms.",
        lambda node: node.slow_requests.total,
    ),
    _gauge("qcore_open_requests", "Requests that are not answered yet.", _open_requests),
    _gauge("qcore_waiting_writes", "Writes that are not in an entry yet.", lambda node: node.proposals.waiting),
    _gauge("qcore_waiting_writes_bytes", "Size of these writes.", lambda node: node.proposals.waiting_bytes),
    _gauge(
        "qcore_waiting_reads",
        "Reads that wait for a log index, a revision or the schemas.",
        lambda node: len(node.gate),
    ),
    # -- connections ---------------------------------------------------------------------------------------
    _gauge("qcore_connections", "Clients connected over WebSocket.", lambda node: len(node.clients.all)),
    _counter("qcore_connections_opened_total", "Clients that connected.", lambda node: node.clients.opened),
    _counter(
        "qcore_connections_cut_off_total",
        "Connections the node ended: answers unread, a message unfinished, a client silent.",
        lambda node: {reason: node.clients.cut_off[reason] for reason in get_args(CutOff)},
        "reason",
    ),
    _gauge(
        "qcore_outbox_bytes",
        "Events that wait for the sockets of clients.",
        lambda node: sum(client.outbox.size for client in node.clients.all),
    ),
    _gauge(
        "qcore_unsent_bytes",
        "What was given to sockets and they have not taken, all clients together.",
        lambda node: sum(client.unsent() for client in node.clients.all),
    ),
    _gauge("qcore_subscriptions", "Listeners of all clients.", lambda node: len(node.watch)),
    _counter(
        "qcore_subscriptions_lost_total",
        "Listeners the node ended, by reason.",
        lambda node: {reason: node.watch.lost.get(reason, 0) for reason in get_args(LostReason)},
        "reason",
    ),
    # -- disk ----------------------------------------------------------------------------------------------
    _histogram(
        "qcore_fsync_duration_seconds",
        "Time of flushes to the disk: fdatasync of entries over ready files, fsync of the rest.",
        lambda node: {"fdatasync": node.directory.syncs.fdatasync, "fsync": node.directory.syncs.fsync},
        "call",
    ),
    _gauge("qcore_log_entries", "Entries in the log.", _log_entries),
    _counter("qcore_log_appended_bytes_total", "Bytes appended to the log.", lambda node: node.status.appended),
    _gauge("qcore_disk_size_bytes", "Size of the data directory's file system.", _disk(lambda disk: disk.total)),
    _gauge("qcore_disk_free_bytes", "Bytes that are free there.", _disk(lambda disk: disk.free)),
    _gauge(
        "qcore_disk_free_files",
        "Files (inodes) that are free there, where it bounds them.",
        _disk(lambda disk: disk.free_files),
    ),
    _gauge("qcore_disk_reserve_bytes", "Free bytes below which writes but deletions are refused.", _disk_reserve),
    # -- snapshots -----------------------------------------------------------------------------------------
    _counter(
        "qcore_snapshots_total",
        "Snapshots that were tried, by outcome: ok or failed.",
        lambda node: {"ok": node.snapshots.succeeded, "failed": node.snapshots.failures},
        "outcome",
    ),
    _gauge(
        "qcore_snapshot_running", "Whether one is being written (1 or 0).", lambda node: int(node.snapshots.running)
    ),
    _gauge("qcore_snapshot_timestamp_seconds", "When the newest snapshot was begun, since 1970.", _snapshot_time),
    _gauge("qcore_snapshot_size_bytes", "Size of the newest snapshot.", _snapshot_size),
    _gauge(
        "qcore_snapshot_duration_seconds",
        "Time that the last snapshot of this run took.",
        lambda node: node.snapshots.seconds if node.snapshots.succeeded else None,
    ),
    # -- raft ----------------------------------------------------------------------------------------------
    _gauge("qcore_raft_role", "1 for the role that the node has, 0 for the others.", _roles, "role"),
    _gauge(
        "qcore_raft_leader", "Id of the node that leads, 0 while there is none.", lambda node: node.status.leader or 0
    ),
    _gauge("qcore_raft_term", "Term of the node.", lambda node: node.status.term),
    _counter(
        "qcore_raft_role_changes_total", "Times the node began to lead or to follow.", lambda node: node.role_changes
    ),
    _gauge("qcore_raft_last_index", "Index of the last entry of the log.", lambda node: node.status.last),
    _gauge(
        "qcore_raft_committed_index", "Log index up to which a quorum has the log.", lambda node: node.status.committed
    ),
    _gauge(
        "qcore_raft_applied_index", "Log index up to which the state has applied it.", lambda node: node.state.applied
    ),
    _gauge(
        "qcore_raft_proposed_entries",
        "Entries proposed here that are not committed.",
        lambda node: node.status.in_flight,
    ),
    _gauge(
        "qcore_raft_quorum_age_seconds",
        "Time since a quorum was known to be there; absent where this node does not know.",
        lambda node: node.status.quorum_age,
    ),
    _gauge(
        "qcore_raft_full_disks",
        "Members whose disk is below its reserve, as they say, this node among them; a voter holds the writes of all.",
        lambda node: node.about.full_disks,
    ),
    _gauge("qcore_raft_voters", "Members that vote.", lambda node: len(node.about.cluster().voters)),
    _gauge(
        "qcore_raft_tolerates_failures",
        "Voters that may fail now before nothing can be written; below 0: nothing can be.",
        lambda node: node.about.cluster().tolerates,
    ),
    _gauge(
        "qcore_raft_peer_up",
        "Whether another node can be reached (1 or 0).",
        lambda node: {str(peer.node): int(peer.alive) for peer in node.status.peers},
        "peer",
    ),
    _gauge(
        "qcore_raft_peer_lag_entries",
        "Entries that another node has to store yet, as the leader knows.",
        lambda node: {str(peer.node): peer.lag for peer in node.status.peers if peer.lag is not None},
        "peer",
    ),
    # -- state ---------------------------------------------------------------------------------------------
    _gauge("qcore_state_revision", "Revision of the state.", lambda node: node.state.revision),
    _gauge("qcore_state_entities", "Entities in the store.", lambda node: len(node.state.entities)),
    _gauge("qcore_state_types", "Types in the store.", lambda node: len(node.state.types.own)),
    _gauge("qcore_state_sessions", "Sessions that are kept for retries.", lambda node: len(node.state.sessions)),
    _gauge("qcore_state_feature_level", "Feature level of the state.", lambda node: node.state.level),
    _gauge(
        "qcore_history_events", "Events kept for listeners that go on where they were.", lambda node: len(node.history)
    ),
    # -- process -------------------------------------------------------------------------------------------
    _histogram(
        "qcore_loop_lag_seconds",
        "How late the event loop runs what is due, looked at twice a second.",
        lambda node: node.lag.seconds,
    ),
    _histogram(
        "qcore_gc_pause_seconds",
        "Time of garbage collections, by generation; nothing else runs meanwhile.",
        lambda node: {str(number): seconds for number, seconds in node.collections.seconds.items()},
        "generation",
    ),
)
