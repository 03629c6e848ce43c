"""The node: wires the rooms. Calls come in from conversations, writes go to the engine, entries come back to the store.

Results are made in apply and nowhere else. Everything here runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from qcore.cluster.formation.machine import Formation
from qcore.disk.directory import Directory
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.base import BarrierDone, ChangeDone, Engine, LoadDone
from qcore.model.api import Route
from qcore.model.entry import Entry, LogId, Membership, public_id
from qcore.model.errors import Fatal, RequestError
from qcore.model.requests.commands import Bootstrap, Command
from qcore.server.calls import Call, Sink
from qcore.server.client import Client
from qcore.server.cluster_api import ClusterApi
from qcore.server.config.settings import Settings
from qcore.server.documents.exports import Exports
from qcore.server.documents.moving import MovingUploads
from qcore.server.documents.restore import DocumentCalls
from qcore.server.documents.transfers import Transfers
from qcore.server.documents.uploads import Uploads
from qcore.server.forwarding.forwarding import Forwarding
from qcore.server.forwarding.link import ForwardLink
from qcore.server.front.service import Service
from qcore.server.leadership.leadership import Leadership
from qcore.server.leadership.transfer import LeadershipTransfer
from qcore.server.operations.about import AboutNode
from qcore.server.operations.clients import ConnectedClients
from qcore.server.operations.exposition import Exposition
from qcore.server.operations.metrics import Observed
from qcore.server.operations.request_counts import RequestCounts
from qcore.server.operations.slow_requests import SlowRequests
from qcore.server.reads.running import run_read
from qcore.server.reads.staleness import Staleness
from qcore.server.reads.table import ReadTable
from qcore.server.router import Handler, Router
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.delays import CollectionTimes, LoopLag
from qcore.server.runtime.scheduler import Scheduler, step_of
from qcore.server.snapshots.base import AskSnapshot, Snapshots
from qcore.server.snapshots.receiving import ReceivedSnapshots
from qcore.server.snapshots.taking import SnapshotTaker
from qcore.server.watch.api import WatchApi
from qcore.server.writes.applier import Applier
from qcore.server.writes.cluster_disks import ClusterDisks
from qcore.server.writes.disk_reserve import DiskReserve
from qcore.server.writes.inline_reads import InlineReads
from qcore.server.writes.proposals import Proposals
from qcore.store.state.state import State
from qcore.store.watch.history import History

__all__ = ["Node"]

log = logs.get("qcore.node")


class Node:
    """One running node at `addr`. `on_ready` hears when writes of clients flow, `on_fatal` why the daemon must end.

    `state` is that of the `snapshot` that was loaded, or a fresh one. `schema_file` is what a store begins with that
    has loaded none yet. `between_entries` is called while the log is read; what it raises ends that.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        engine: Engine,
        directory: Directory,
        addr: str,
        on_fatal: Callable[[Fatal], None],
        snapshot: SnapshotFile | None = None,
        schema_file: Bootstrap | None = None,
        on_ready: Callable[[], None] = lambda: None,
        between_entries: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.state = state
        self.engine = engine
        self.scheduler = Scheduler(busy=lambda: time.monotonic() - self.router.last_call < budgets.BUSY_SECONDS)
        self.stopping = False
        self._idle = asyncio.Event()
        """Set when nothing is under way that a stop has to wait for."""
        self._directory = directory
        self._awaits_schemas = schema_file is not None
        self._on_ready = on_ready
        self._between_entries = between_entries
        self._snapshot = snapshot
        self._on_fatal = on_fatal
        self._failed = False
        self._last_applied = 0.0
        self.clients = ConnectedClients()
        self.slow_requests = SlowRequests(settings.slow_request_ms / 1000)
        self.counts = RequestCounts(self.slow_requests, lambda then: asyncio.get_running_loop().call_soon(then))
        self._transfers = Transfers(
            Exports(state, settings.max_exports), Uploads(settings.max_upload_mb * budgets.MEGABYTE)
        )
        self._history = History(state, settings.watch_history, settings.watch_history_mb * budgets.MEGABYTE)
        self.about = AboutNode(
            settings,
            state,
            engine,
            directory,
            addr,
            self._history,
            self.clients,
            self.slow_requests,
            self.membership,
            lambda client: self._watch.listeners_of(client),
            lambda: self.disks.problem(),
            lambda: self.disks.full(),
        )
        self._staleness = Staleness(state, engine)
        self._reads = ReadTable(settings, state, self.about.runs)
        live, later = Scheduler(budgets.EVENTS_SLICE_SECONDS), Scheduler(budgets.EVENTS_SLICE_SECONDS)
        self._watch = WatchApi(settings, state, self._history, live.add, later.add, self._reads.filters)
        self._snapshots = self._make_snapshots()
        self._reserve = DiskReserve(
            str(directory.path), settings.disk_reserve_mb, self._snapshots, directory.log.ready_files.set_room
        )
        self.disks = ClusterDisks(directory.identity.node, self._reserve, engine, self.membership)
        self._proposals = Proposals(settings, state, engine, self._reserve)
        self._leadership = Leadership(settings, state, self._proposals, schema_file, self._set_up, self._fail)
        uploads = self._transfers.uploads
        self._moving = MovingUploads(uploads, self)
        self._document_calls = DocumentCalls(settings, state, self.scheduler, self._proposals, uploads, self._moving)
        self._transfer = LeadershipTransfer(directory.identity.node, engine, self._proposals, self.membership)
        reads = InlineReads(
            self._reads.run, settings.send_queue_mb * budgets.MEGABYTE // budgets.ANSWERS_PER_SEND_QUEUE
        )
        self._applier = self._make_applier(reads)
        self._received = ReceivedSnapshots(directory.snapshots, self.scheduler)
        self._cluster = ClusterApi(
            engine, directory, addr, self.membership, self.disks.full, lambda to, _, done: self.transfer(to, done)
        )
        self.router = Router(
            state,
            engine,
            self.scheduler,
            self._reads.filters,
            settings.max_pending,
            self.counts,
            self.clients,
            self._disconnected,
            self._handlers(),
        )
        self.service: Service = self.router
        """Where calls of clients go."""
        self._lag, self._collections = LoopLag(), CollectionTimes()
        self.role_changes = 0
        """How often it has begun or ceased to lead or follow."""
        self._told_membership: tuple[Membership, LogId] | None = None
        self._told_removed = state.removed.nodes
        self.metrics = Exposition(self._observed)
        self.forwarding: Forwarding | None = None
        """Requests to the node that leads and from other nodes; None for a node alone."""
        self.on_membership: Callable[[Membership | None], None] = lambda membership: None
        """Hears of each other membership, and of each other list of removed disks, once it is applied."""

    def _make_snapshots(self) -> Snapshots:
        return SnapshotTaker(
            self.settings,
            self.state,
            self.engine,
            self._directory,
            lambda: self.last_activity,
            lambda: self._applier.idle,
            self._membership,
        )

    def _make_applier(self, reads: InlineReads) -> Applier:
        return Applier(self.settings, self.state, self.scheduler, reads, self)

    def form_by(self, formation: Formation, on_wish: Callable[[], None]) -> Callable[[RequestError | None], None]:
        """Be part of forming a cluster; `on_wish` tells that there may be actions.

        What is returned hears of each `InitDone`.
        """
        self._cluster.form_by(formation, on_wish)
        self._proposals.why_no_cluster = self.about.forming = formation.waiting
        self.about.gathered = formation.gathered
        return self._cluster.init_done

    def change_members_by(self, order: Callable[[Call], None], waiting: Callable[[], Mapping[int, str]]) -> None:
        """Have orders about members carried out by `order`; `waiting` gives why nodes are no voters, by public id."""
        self._cluster.order = order
        self._cluster.waiting = self.about.waiting = waiting

    def ask_leader(self, done: BarrierDone, deadline: float, lease: bool = False) -> None:
        """Find out how far the log is committed, from whoever leads; see `Engine.read_barrier`."""
        ask = self.engine.read_barrier if self.forwarding is None else self.forwarding.read_barrier
        ask(done, deadline, lease)

    def members_say(self, level: Callable[[], int]) -> None:
        """Go by the feature level that all members know: see `Leadership.members_level`."""
        self._leadership.members_level = level

    def members_changed(self) -> None:
        """Members have come, gone or said something else of themselves."""
        self._leadership.members_changed()

    def has_cluster(self, has: bool) -> None:
        """Whether there is a cluster that this node belongs to, or is to; else every read is a `local` one."""
        self._staleness.blank = not has
        self.router.gate.set_blank(not has)

    def ask_snapshots_by(self, ask: AskSnapshot) -> None:
        """Have other nodes asked for snapshots in this way; one that has a state takes its own."""

    def offered(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        """Another node offers a snapshot beside Raft; see `LinkHost.offered`. Only a witness wants one."""
        done()

    def connect(self, link: ForwardLink) -> Forwarding:
        """Carry out requests by the node that leads, over a link to the others; to be called before `run`.

        Whatever comes over the link goes to `Forwarding.take`.
        """
        node = self._directory.identity.node
        forwarding = Forwarding(node, self, link, self.engine, self.state, self._proposals, self.router)
        self.forwarding = self._proposals.forwarder = forwarding
        forwarding.take_upload, self._moving.ask = self._moving.asked, forwarding.ask_upload
        self.router.gate.ask_by(forwarding.read_barrier)
        self._cluster.transfer_by(forwarding.transfer)
        return forwarding

    def _observed(self) -> Observed:
        self.counts.count()
        return Observed(
            self.settings,
            self.state,
            self.engine,
            self.engine.status(),
            self._directory,
            self.about,
            self.clients,
            self.counts,
            self.slow_requests,
            self._proposals,
            self.router.gate,
            self._watch,
            self._history,
            self._snapshots,
            self._lag,
            self._collections,
            self.role_changes,
        )

    def _handlers(self) -> dict[Route, Handler]:
        stamp = self._staleness.stamp

        def read(call: Call) -> None:
            run_read(call, self.scheduler, self._reads.run, call.params, stamp(call))

        def transfer(call: Call) -> None:
            run_read(call, self.scheduler, self._transfers.run, call, stamp(call))

        return {
            "write": self._proposals.put,
            "read": read,
            "local": read,
            "watch": lambda call: run_read(call, self.scheduler, self._watch.run, call, stamp(call)),
            "transfer": lambda call: self._moving.enter(call, transfer),
            "document": self._document_calls.start,
            "snapshot": self._snapshots.take,
            "cluster": self._cluster.run,
        }

    def _disconnected(self, client: Client) -> None:
        self._watch.disconnected(client)
        self._transfers.disconnected(client)

    # -- start and stop ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Apply what is on disk and known to be committed; blocking.

        Raises:
            Fatal: the log cannot be used or applied.
        """
        if self._snapshot is not None:
            self._applier.membership = self._snapshot.header.membership, self._snapshot.header.membership_id
        self.engine.start(self, self._replay, self._snapshot)
        self._watch.applied()

    def _replay(self, entry: Entry) -> None:
        self._between_entries()
        self._applier.replay(entry)
        self._snapshots.replayed(entry.id)

    def run(self) -> None:
        """Take part: from now on the engine calls back. Needs the running loop."""
        if self._awaits_schemas and not self.state.mark:
            self.router.gate.hold()
        self._snapshots.started()
        self._reserve.look()
        self._lag.start()
        self._collections.start()
        self.engine.run()

    def _set_up(self) -> None:
        """This node leads, and all that a leadership begins with is in the state."""
        self.router.gate.release()
        self.about.set_up = True
        self._on_ready()

    async def stop(self, limit: float = budgets.STOP_SECONDS) -> None:
        """Have another node lead, refuse new calls, finish the open ones, stop the engine.

        All in `limit` seconds, whatever does not answer.
        """
        end = time.monotonic() + limit
        await self._transfer.give_away(limit / 2)
        self._stops()
        for part in (self.router, self._document_calls, self._moving, self._transfers, self._watch, self._cluster):
            part.stop()
        if self.forwarding is not None:
            self.forwarding.refuse()
        if self.engine.status().leader is None:
            self._proposals.refuse_waiting()
        self._check_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(end - time.monotonic() - limit / budgets.ENGINE_STOP_SHARE):
                await self._idle.wait()
        self._leadership.end(None)
        self._proposals.stop()
        through = await self._snapshots.stop(max(end - time.monotonic(), budgets.ENGINE_STOP_SECONDS))
        if not await self.engine.stop(max(end - time.monotonic(), budgets.ENGINE_STOP_SECONDS)) or not through:
            log.warning("stopped_early", message=f"Not everything was finished within {limit:g} s")
        self._received.forget()
        self._applier.stop()

    def abandon(self) -> None:
        """Stop at once, after a fatal error: nothing is applied, answered or sent to other nodes any more."""
        self._stops()
        self._received.forget()
        if self.forwarding is not None:
            self.forwarding.abandon()
        self._applier.abandon()
        self._transfer.abandon()
        self.engine.abandon()
        self._idle.set()

    def _stops(self) -> None:
        self.stopping = self.about.stopping = True
        self._lag.stop()
        self._collections.stop()

    # -- calls ---------------------------------------------------------------------------------------------

    @property
    def last_activity(self) -> float:
        """Monotonic time of the latest call, or of what was applied for others: both have more to come."""
        return max(self.router.last_call, self._last_applied)

    @property
    def is_followed(self) -> bool:
        """Whether this node leads others."""
        members = self.membership()
        return members is not None and len(members.nodes) > 1 and self.engine.status().role == "leader"

    # -- what the engine says ------------------------------------------------------------------------------

    def level(self) -> int:
        """See `Host.level`."""
        return self.state.level

    def leading(self, term: int) -> None:
        """See `Host.leading`."""
        self.role_changes += 1
        self.about.set_up = False
        logs.note_role("leader", term)
        log.info("leading", message=f"This node leads in term {term}", term=term)
        if self.forwarding is not None:
            self.forwarding.lead(term)
        self.router.gate.role_changed()
        self._transfer.role_changed()
        if not self.stopping:
            self._leadership.begin()

    def following(self, leader: int | None, term: int) -> None:
        """See `Host.following`."""
        whom = "nobody leads" if leader is None else f"node {leader} leads"
        self.role_changes += 1
        logs.note_role(self.engine.status().role, term)
        if self._is_witness(leader):
            leader = None  # it takes no writes and hands over in a moment
        log.info("following", message=f"This node follows in term {term}: {whom}", term=term, leader=leader)
        if self.forwarding is not None:
            self.forwarding.follow(leader, term)
        self._leadership.end(leader)
        self.router.gate.release()
        self.router.gate.role_changed()
        self._transfer.role_changed()
        if self.stopping and leader is None:
            self._proposals.refuse_waiting()
        self._check_idle()

    def accepting(self) -> None:
        """See `Host.accepting`."""
        self._proposals.flush()

    def committed(self, entry: Entry, token: Any) -> None:
        """See `Host.committed`."""
        self._applier.apply(entry, None if token is None else self._proposals.committed(token))

    def returned(self, token: Any) -> None:
        """See `Host.returned`."""
        self._proposals.returned(token)
        if self.stopping and self.engine.status().leader is None:
            self._proposals.refuse_waiting()
        self._check_idle()

    def rejected(self, token: Any, error: RequestError) -> None:
        """See `Host.rejected`."""
        self._proposals.rejected(token, error)
        self._check_idle()

    def load(self, found: SnapshotFile, done: LoadDone) -> None:
        """See `Host.load`."""
        self._received.load(found, done)

    def install(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        """See `Host.install`."""

        def installed() -> None:
            self._snapshots.installed(found)
            done()

        self._applier.install(found, self._received.take(found), installed)

    def build(self, done: Callable[[SnapshotFile | None], None]) -> None:
        """See `Host.build`."""
        self._snapshots.build(done)

    def failed(self, error: Fatal) -> None:
        """See `Host.failed`."""
        self._fail(error)

    def check_place(self) -> None:
        """End if the directory was moved away or replaced: nothing of this node may be written over another's."""
        try:
            self._directory.check_place()
        except Fatal as error:
            self._fail(error)

    def _fail(self, error: Fatal) -> None:
        if not self._failed:
            self._failed = True
            self.abandon()
            self._on_fatal(error)

    def _is_witness(self, leader: int | None) -> bool:
        node, members = None if leader is None else self.peer(leader), self.membership()
        return members is not None and node in members.witnesses

    # -- what forwarding says --------------------------------------------------------------------------------

    def peer(self, leader: int) -> int | None:
        """See `ForwardingNode.peer`: the newest disk of the node counts."""
        known = self._applier.membership
        return max((node for node in known[0].nodes if public_id(node) == leader), default=None) if known else None

    def others(self) -> list[int]:
        """See `OtherNodes.others`."""
        known, own = self.membership(), self._directory.identity.node
        return [] if known is None else [node for node in sorted(known.nodes) if public_id(node) != own]

    def transfer(self, to: int, done: ChangeDone) -> None:
        """See `ForwardingNode.transfer`."""
        self._transfer.start(to, done)

    def forwards_settled(self) -> None:
        """See `ForwardingNode.forwards_settled`."""
        if self.stopping and self.engine.status().leader is None:
            self._proposals.refuse_waiting()
        self._check_idle()

    # -- what is applied -----------------------------------------------------------------------------------

    def entry_applied(self, id: LogId) -> None:
        """See `ApplierHost.entry_applied`."""
        self._last_applied = time.monotonic()
        self.engine.applied(id)
        self._snapshots.applied(id)
        self.router.gate.applied()

    def paused(self) -> None:
        """See `ApplierHost.paused`."""
        self._watch.applied()

    def caught_up(self) -> None:
        """See `ApplierHost.caught_up`."""
        self._watch.applied()
        if self._applier.membership is not self._told_membership:
            self._tell_outlook()
            self._told_removed = self.state.removed.nodes
            self.on_membership(self.membership())
        elif self.state.removed.nodes is not self._told_removed:
            self._told_removed = self.state.removed.nodes
            self.on_membership(self.membership())
        if not self.stopping:
            self._leadership.applied()
        self._check_idle()

    def _tell_outlook(self) -> None:
        """Log what the next failure does, each time that the members change, unless this node is alone."""
        self._told_membership = self._applier.membership
        cluster = self.about.cluster()
        if cluster.voters[1:]:
            say = log.warning if cluster.tolerates < 1 else log.info
            say("outlook", message=f"The cluster has {len(cluster.voters)} voters: {cluster.outlook()}")

    def state_loaded(self, loaded: State) -> None:
        """See `ApplierHost.state_loaded`."""
        self.state.adopt(loaded, lambda work: self.scheduler.add(step_of(work)))
        self._watch.state_replaced()
        log.info(
            "snapshot_installed",
            message=f"A snapshot of another node replaced the state: revision {self.state.revision}",
            revision=self.state.revision,
            applied=self.state.applied,
        )

    def apply_failed(self, error: Fatal) -> None:
        """See `ApplierHost.apply_failed`."""
        self._fail(error)

    def membership(self) -> Membership | None:
        """The members as far as entries are applied, None before the first."""
        return None if self._applier.membership is None else self._applier.membership[0]

    def leads_set_up(self) -> bool:
        """Whether this node leads, and all that a leadership begins with is applied."""
        return self.about.set_up and not self.stopping

    def put_own(self, command: Command, sink: Sink | None = None) -> None:
        """See `Proposals.put_own`."""
        self._proposals.put_own(command, sink)

    def _membership(self) -> tuple[Membership, LogId]:
        assert self._applier.membership is not None
        return self._applier.membership

    def _check_idle(self) -> None:
        if self.stopping and self._proposals.idle and self._applier.idle:
            self._idle.set()
