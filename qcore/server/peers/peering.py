"""The peer link of a running node: it lives on a thread of its own, and what it says reaches the loop from here."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import secrets
from collections.abc import Callable, Sequence

import msgspec

from qcore.cluster.crossing import Crossing
from qcore.cluster.formation.automatic import Automatic
from qcore.cluster.formation.machine import Formation
from qcore.cluster.handshake.hello import Hello
from qcore.cluster.handshake.known_nodes import Own
from qcore.cluster.hub import LinkSettings, PeerStatus
from qcore.cluster.link import PeerLink
from qcore.cluster.membership.view import Admit
from qcore.cluster.traffic.forwards import Forward
from qcore.cluster.traffic.questions import Question
from qcore.disk.directory import Directory
from qcore.disk.identity import Identity
from qcore.model.entry import FEATURE_LEVEL, Membership, generation_of, raft_node_id
from qcore.model.errors import Fatal, NoQuorum, Removed, RequestError
from qcore.model.initial_cluster import Candidate
from qcore.server.config.settings import Settings
from qcore.server.forwarding.link import ReplyDone
from qcore.server.node import Node
from qcore.server.peers.disk_reports import DiskReports
from qcore.server.peers.finding import Finding
from qcore.server.peers.forming import Forming
from qcore.server.peers.link_host import NodeLinkHost
from qcore.server.peers.lone_log import LoneLog
from qcore.server.peers.member_changes import MemberChanges
from qcore.server.peers.member_orders import ORDER, MemberOrders
from qcore.server.peers.offers import ADMISSION, Offer, decode_offer
from qcore.server.peers.removal import Removal
from qcore.server.peers.snapshot_requests import SNAPSHOT, SnapshotRequests
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.timers import Alarm, Periodic
from qcore.version import VERSION

__all__ = ["Peering"]

log = logs.get("qcore.node")

_FORMATION = "formation"
"""The kind of question in which nodes form a cluster."""

_DISK = "disk"
"""The kind in which they report on their disks."""


class Peering:
    """Links `node`, which others reach at `addr`, with the nodes at the addresses `peers` and with all members.

    Made and used on the loop's thread, between the node's start and its `run`. `failed` hears why the link has ended
    by itself, or that this node was removed, `start_anew` that its disk is another node's from now on: the node is to
    be stopped and started again.
    """

    def __init__(
        self,
        node: Node,
        directory: Directory,
        addr: str,
        peers: Sequence[str],
        settings: LinkSettings,
        failed: Callable[[Fatal], None],
        start_anew: Callable[[], None],
    ) -> None:
        self._node = node
        self._directory = directory
        self._peers = tuple(peers)
        self._crossing = Crossing(asyncio.get_running_loop())
        self._own = _own(directory.identity, node, addr)
        host = NodeLinkHost(directory, node.settings, self._crossing, failed)
        self._link = PeerLink(self._own, settings, host, node.engine, directory.snapshots)
        host.take_forwards = node.connect(self).take
        host.take_question, host.look, host.take_own_address = self._asked, self._look, self._found_itself
        requests = SnapshotRequests(
            self._link, directory.snapshots, lambda: self._own.cluster, lambda: node.engine.status().leader
        )
        self._snapshot_requests = requests
        node.ask_snapshots_by(requests.ask)
        host.take_snapshot = node.offered
        self._removal = Removal(self._has_member, self._was_removed)
        host.take_removal = self._removal.hear
        self._failed, self._start_anew = failed, start_anew
        formation = Formation(
            directory.identity,
            addr,
            peers,
            joins=node.settings.bootstrap == "join" or node.settings.witness,
            cluster_id=node.settings.cluster_id or "",
            automatic=_automatic(node.settings),
        )
        self.forming = Forming(formation, node.engine, self)
        self.init_done = node.form_by(formation, self.forming.go_on)
        self._changes = MemberChanges(
            node,
            lambda: (self._own.node, self._own.addr),
            lambda: self._link.status,
            self._offer,
            LoneLog(directory.log, node.engine, node.build).may_be_shared,
            node.settings.max_voters,
        )
        self._orders = MemberOrders(node, self._changes, self._ask_leader)
        node.change_members_by(self._orders.run, self._changes.waiting)
        node.has_cluster(formation.knows_cluster)
        node.members_say(self._members_level)
        self._membership: Membership | None = None
        self._met: dict[int, PeerStatus] = {}
        """The nodes that formation was told of, by Raft NodeId."""
        self._disk_reports = DiskReports(node.disks.look, node.disks.reported, self._linked, self._send_disk_report)
        self._finding: Finding | None = None
        self._refusals = host.refusals
        node.about.refused = self._refused
        self._timeout = Alarm()
        self._looks = Periodic(budgets.FORMATION_TICK_SECONDS, self._look_again)
        self._stored_looks = Periodic(budgets.STORED_LOOK_SECONDS, self._note_stored)

    @property
    def status(self) -> tuple[PeerStatus, ...]:
        """The nodes that this one is linked with, by Raft NodeId."""
        return self._link.status

    def probe(self, done: Callable[[], None]) -> None:
        """See `PeerLink.probe`."""
        self._link.probe(done)

    def find(self, listens: str, secrets: Sequence[bytes]) -> None:
        """Find others by mDNS and be found, from `start` on, by a node that listens at the host `listens`."""
        settings = self._node.settings
        dial = functools.partial(self._link.name_addresses, "mdns")
        self._finding = Finding(settings, self._own.addr, listens, secrets, self._crossing, dial, self._listens)
        self.forming.formation.listen(False)

    def start(self) -> None:
        """Begin to dial and to take sockets: `accept` is there from now on."""
        self._link.start()
        self.accept = self._link.accept
        self._link.name_addresses("peers", self._peers)
        self._node.on_membership = self._changed
        self._changed(self._node.membership())
        self.forming.start(has_log=self._directory.log.last is not None)
        self._looks.start()
        self._stored_looks.start()
        self._disk_reports.start()
        self._changes.start()
        if self._finding is not None:
            self._finding.start(self._own.cluster, self.forming.formation.state)
        self._timeout.set(self._node.settings.discovery_timeout, self._warn_of_waiting)

    async def stop(self, limit: float) -> bool:
        """End in `limit` seconds at the most; whether everything has ended."""
        self._end()
        self._crossing.close()
        ended = [self._link.stop, *(() if self._finding is None else (self._finding.stop,))]
        loop = asyncio.get_running_loop()
        return all(await asyncio.gather(*(loop.run_in_executor(None, end, limit) for end in ended)))

    def abandon(self) -> None:
        """End at once, without a word to anybody."""
        self._end()
        self._link.abandon()

    def _end(self) -> None:
        self.forming.stop()
        self._looks.stop()
        self._stored_looks.stop()
        self._disk_reports.stop()
        self._timeout.cancel()
        self._removal.end()
        self._changes.stop()
        self._orders.stop()

    def _changed(self, membership: Membership | None) -> None:
        """Another membership is applied, or other disks are removed."""
        if membership is None:
            return
        present = {member.incarnation for member in membership.nodes.values()}
        self._link.set_removed(self._node.state.removed.nodes.keys() - present)
        if membership == self._membership:
            return
        self._membership = membership
        self._link.set_members({node: member.incarnation for node, member in membership.nodes.items()})
        self._link.name_addresses("membership", [member.addr for member in membership.nodes.values()])
        self.forming.established()
        self._node.members_changed()

    # -- forwards: see `ForwardLink` -----------------------------------------------------------------------

    def forward(self, node: int, bodies: Sequence[bytes], left: float, done: ReplyDone) -> None:
        """See `ForwardLink.forward`."""
        calls = [Forward(body, left) for body in bodies]

        def cross(place: int, body: bytes, error: RequestError | None) -> None:
            self._crossing.call(done, place, body, error)

        self._link.forward(node, calls, cross)

    # -- formation: see `FormingHost` ----------------------------------------------------------------------

    def save_identity(self, identity: Identity, done: Callable[[], None]) -> None:
        """See `FormingHost.save_identity`."""
        self._node.engine.save_identity(identity, done)

    def send_formation(self, node: int, data: bytes) -> None:
        """See `FormingHost.send_formation`."""
        self._link.ask(node, _FORMATION, data, budgets.FORMATION_ANSWER_SECONDS, _ignore)

    def identity_changed(self, identity: Identity) -> None:
        """See `FormingHost.identity_changed`: with another cluster every connection begins anew."""
        self._node.has_cluster(self.forming.formation.knows_cluster)
        if self._finding is not None:
            self._finding.announce(identity.cluster, self.forming.formation.state)
        if raft_node_id(identity.node, identity.generation) != self._own.node:
            self._start_anew()
        elif identity.cluster != self._own.cluster:
            self._own = msgspec.structs.replace(self._own, cluster=identity.cluster)
            self._link.identify(self._own)

    # -- members -------------------------------------------------------------------------------------------

    def _offer(self, offer: Admit) -> None:
        body = Offer(self._own.cluster, generation_of(offer.node)).encode()
        self._link.ask(offer.linked, ADMISSION, body, budgets.FORMATION_ANSWER_SECONDS, _ignore)

    def _take_offer(self, asker: Hello, body: bytes) -> None:
        """A cluster offers this node to belong to it."""
        try:
            offer = decode_offer(body)
        except ValueError:  # of another version
            return
        if asker.cluster == offer.cluster and self.forming.formation.admit(offer.cluster, offer.generation):
            self.forming.go_on()

    def _ask_leader(
        self, leader: int, body: bytes, limit: float, done: Callable[[bytes, RequestError | None], None]
    ) -> None:
        node = self._node.peer(leader)
        if node is None:
            done(b"", NoQuorum(f"node {leader} leads and is no member", applied="no"))
        else:

            def cross(answer: bytes, error: RequestError | None) -> None:
                self._crossing.call(done, answer, error)

            self._link.ask(node, ORDER, body, limit, cross)

    def _has_member(self) -> bool:
        """A witness knows of no list of removed disks, and talks to all."""
        return any(each.up and not each.hello.witness for each in self._link.status)

    def _was_removed(self, message: str) -> None:
        self._orders.was_removed(self._directory.identity.node)
        self._failed(Removed(f"this node was removed from its cluster and stops: {message}"))

    # -- questions of other nodes --------------------------------------------------------------------------

    def _asked(self, question: Question) -> None:
        if question.kind == ORDER:
            self._orders.asked(question)
            return
        if question.kind == SNAPSHOT:
            self._snapshot_requests.asked(question)
            return
        asker = question.asker
        question.answer(b"")
        if question.kind == _DISK and asker.cluster == self._own.cluster:
            with contextlib.suppress(ValueError):  # of another version
                self._disk_reports.take(asker.node, question.body)
        elif question.kind == _FORMATION:
            self.forming.receive(Candidate(asker.node, asker.incarnation, asker.addr), question.body)
        elif question.kind == ADMISSION:
            self._take_offer(asker, question.body)

    def _linked(self) -> list[int]:
        return [each.hello.node for each in self._link.status]

    def _send_disk_report(self, node: int, report: bytes) -> None:
        self._link.ask(node, _DISK, report, budgets.DISK_REPORT_SECONDS, _ignore)

    def _refused(self) -> list[str]:
        return [*self._refusals.sentences(), *(() if self._finding is None else self._finding.strangers)]

    def _listens(self) -> None:
        self.forming.formation.listen(True)

    def _warn_of_waiting(self) -> None:
        formation = self.forming.formation
        if not formation.identity.cluster:
            seconds = self._node.settings.discovery_timeout
            text = f"This node is in no cluster after {seconds:g} s and goes on waiting: {formation.waiting()}"
            log.warning("discovery_timeout", message=text)

    def _found_itself(self, address: str) -> None:
        formation = self.forming.formation
        self.forming.met(formation.own, formation.identity.cluster, address)

    def _look_again(self) -> bool:
        self._look()
        return not self.forming.is_over

    def _look(self) -> None:
        """Tell formation who is linked now, and by which addresses."""
        linked = {each.hello.node: each for each in self._link.status}
        for node in self._met.keys() - linked.keys():
            self.forming.lost(node)
        before, self._met = self._met, linked
        for node, each in linked.items():
            known = before.get(node)
            hello = each.hello
            if known is None or (known.hello.run, known.hello.cluster) != (hello.run, hello.cluster):
                addresses: tuple[str, ...] = each.addresses
            else:
                addresses = tuple(address for address in each.addresses if address not in known.addresses)
            for address in addresses:
                self.forming.met(Candidate(hello.node, hello.incarnation, hello.addr), hello.cluster, address)
        self._node.has_cluster(self.forming.formation.knows_cluster)
        self._node.members_changed()
        self._note_stored()

    def _note_stored(self) -> bool:
        """Have the link know what the disks of others have confirmed: an older one that is put back is refused then."""
        nodes = {} if self._membership is None else self._membership.nodes
        for node, id in self._node.engine.stored().items():
            if node in nodes:
                self._link.acknowledged(nodes[node].incarnation, id)
        return True

    def _members_level(self) -> int:
        """The feature level that all other members know, 0 as long as one of them was not heard of."""
        known = {each.hello.node: each.hello.levels[1] for each in self._link.status}
        nodes = () if self._membership is None else self._membership.nodes
        return min((known.get(node, 0) for node in nodes if node != self._own.node), default=FEATURE_LEVEL)


def _ignore(_body: bytes, _error: RequestError | None) -> None:
    """What gets lost is said again."""


def _automatic(settings: Settings) -> Automatic | None:
    if not settings.auto_init:
        return None
    return Automatic(settings.min_nodes, math.ceil(settings.settle_time / budgets.FORMATION_TICK_SECONDS))


def _own(identity: Identity, node: Node, addr: str) -> Own:
    return Own(
        cluster=identity.cluster,
        node=raft_node_id(identity.node, identity.generation),
        incarnation=identity.incarnation,
        run=secrets.token_hex(16),
        levels=(1, node.settings.feature_level),
        addr=addr,
        version=VERSION,
        witness=identity.witness,
    )
