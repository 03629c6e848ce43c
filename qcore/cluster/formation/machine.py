"""Forming a cluster so that it cannot split, sans-I/O.

A cluster begins with an *initial cluster*, a list of nodes, which each of them promises durably to be part of. It is
initialized only with all promises, by whoever has heard of all of them, and with exactly that list.

    state       what it means                                   how it is left
    blank       no promise, no cluster                          by a promise, or when a cluster takes the node in
    proposing   it has promised an initial cluster of its own   all promises are there: member; it is refused: blank
    promised    it has promised another node's                  the same
    member      it belongs to a cluster                         never

What keeps two clusters apart:

- A node holds one promise at a time. It never expires, and a restart goes on with it.
- It is dropped only where a named node refuses that initial cluster: durably, and never having promised it before. Such
  a one can never be formed, so nobody who holds all its promises can exist.
- Of two initial clusters that name the same node that of the lower proposer goes on (`InitialCluster.rank`): who has
  promised it refuses the other, who has promised the other waits. So two at the same time do not block each other.
- A message is only sent when all that it says is on the disk.

By itself (`automatic`) a node proposes what it sees, as `Automatic` says, and after a proposal that came to nothing it
settles again. What keeps two clusters apart is the same; that there is one only needs `min_nodes` of more than half of
all nodes that were ever started blank, so that any two initial clusters share a node.

Whoever has promised passes the initial cluster on, so a proposer that dies holds nobody up. A member that dies before
it has promised does; the way out is the operator's (`qcore cluster forget-bootstrap`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from typing import Literal

import msgspec

from qcore.cluster.formation.automatic import Automatic
from qcore.cluster.formation.messages import (
    Action,
    Ask,
    InitDone,
    Initialize,
    Message,
    Note,
    Propose,
    Save,
    Send,
    Standing,
)
from qcore.cluster.formation.proposals import Proposals, objection
from qcore.cluster.formation.seen_nodes import SeenNodes
from qcore.cluster.formation.wish import Wish, nodes_text
from qcore.disk.identity import Identity
from qcore.model.entry import raft_node_id
from qcore.model.errors import Conflict, Forbidden, RequestError, Timeout
from qcore.model.initial_cluster import Candidate, InitialCluster

__all__ = ["Formation", "State"]

State = Literal["blank", "proposing", "promised", "member"]

_LISTEN = 3
"""Ticks since the start in which peers that were not reached yet may still be."""

_PATIENCE = 5
"""Ticks that a member waits for a log before it initializes the cluster itself."""


class Formation:
    """One node's part in forming a cluster.

    The host says what happened and then does what is in `actions`, in their order (`take_actions`). Everything is
    called on one thread; nothing blocks, and nothing is asked of a clock: `tick` comes about once a second.

    Args:
        identity: the content of node.json.
        addr: ``host:port`` at which others reach this node.
        peers: addresses of `--peers`, which must all answer before an initial cluster of all is proposed.
        joins: only ever join a cluster (`bootstrap = join`).
        cluster_id: only ever join this one, "" for any.
        automatic: when to propose without an INIT, None for never.
        new_id: draws the id of a cluster.
    """

    def __init__(
        self,
        identity: Identity,
        addr: str,
        peers: Collection[str] = (),
        *,
        joins: bool = False,
        cluster_id: str = "",
        automatic: Automatic | None = None,
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self.identity = identity
        self.actions: list[Action] = []
        self.own = Candidate(raft_node_id(identity.node, identity.generation), identity.incarnation, addr)
        self.seen = SeenNodes()
        self._peers = tuple(peers)
        self._joins = joins or bool(cluster_id)
        self._cluster_id = cluster_id
        self._automatic = None if self._joins else automatic
        self._listens = True
        self._ticks = 0
        """Since the start, up to `_LISTEN`."""
        self._settled = 0
        """Ticks since others can be heard, or since a proposal came to nothing."""
        self._new_id = new_id
        self._wish: Wish | None = None
        self._counted: set[str] = set()
        """Incarnations of the nodes that people were told of."""
        self._admitted = ""
        self._generation = identity.generation
        """Of the admission."""
        self._objection = ""
        self._started = False
        self._established = False
        self._patience = 0
        self._saving: Identity | None = None
        self._proposals = Proposals(self.own)
        self._owed: dict[int, None] = {}
        """Raft NodeIds of those who wait for a `Standing`."""

    @property
    def state(self) -> State:
        """See the drawing above."""
        promise = self.identity.promise
        if self.identity.cluster:
            return "member"
        if promise is None:
            return "blank"
        return "proposing" if promise.proposer == self.own.incarnation else "promised"

    @property
    def knows_cluster(self) -> bool:
        """Whether it belongs to a cluster, or waits for one to take it in: then others know more than this node.

        Until its peers were met they may: this disk may be an empty one in the place of a member's.
        """
        known = bool(self.identity.cluster) or self._joins or bool(self.seen.ever_in_clusters())
        return known or (self._ticks < _LISTEN and any(self.seen.at(address) is None for address in self._peers))

    def take_actions(self) -> list[Action]:
        """What is to be done now, in this order."""
        actions, self.actions = self.actions, []
        return actions

    # -- what happened -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Go on where the last run has ended. `established` comes before it, where the log is not empty."""
        self._started = True
        promise = self.identity.promise
        if self.identity.cluster and promise is not None and not self._established:
            self.actions.append(Initialize(promise))
        self._advance()

    def met(self, peer: Candidate, cluster: str, address: str | None = None) -> None:
        """A node has proved the secret: who it is, the cluster it belongs to, and the address if it was dialled.

        An address that leads to this node itself is met with its own `Candidate`.
        """
        self.seen.met(peer, cluster, address)
        self._count(peer)
        promise = self.identity.promise
        if promise is not None and promise.names(peer) and not peer.is_same_disk(self.own) and self._saving is None:
            self._send(peer.node, self._reminder(promise))
        elif self._asks() and self._saving is None:
            self._send(peer.node, Ask())
        self._advance()

    def listen(self, listens: bool) -> None:
        """Whether others can be heard: before that nothing settles, and nothing is proposed without an INIT."""
        self._listens = listens

    def lost(self, node: int) -> None:
        """There is no link to a node (Raft NodeId) any more."""
        self.seen.lost(node)

    def receive(self, sender: Candidate, message: Message) -> None:
        """A node that has proved the secret says this."""
        if sender.node == self.own.node:
            return
        if isinstance(message, Standing):
            self.seen.heard(sender, message)
        else:
            self._owed[sender.node] = None
        if isinstance(message, Propose):
            self._proposals.take(message.initial)
        self._advance()

    def saved(self) -> None:
        """The identity of the last `Save` is durable."""
        assert self._saving is not None
        before, self.identity, self._saving = self.identity, self._saving, None
        self._entered(before)
        self._advance()

    def initialized(self, error: RequestError | None) -> None:
        """The engine has begun the cluster, or why it has not; it is asked again after a while."""
        if error is None:
            self._end_wish(None)
        elif not self._established:
            self._note("initialize_failed", f"The cluster was not initialized: {error.message}")

    def established(self) -> None:
        """The log holds the membership, so that the promise is kept; may come again."""
        if self._started and not self._established and self.identity.cluster and self.identity.promise is not None:
            self._note("initialized", "Cluster initialized successfully")
        self._established = True
        if self.identity.cluster:
            self._end_wish(None)
        self._advance()

    def tick(self) -> None:
        """Say again what may have got lost."""
        promise = self.identity.promise
        self._ticks = min(self._ticks + 1, _LISTEN)
        if self._saving is not None:
            return
        if promise is not None and not self._established:
            self._send_members(promise, self._reminder(promise))
        elif self._asks():
            if self._automatic is not None and self._listens:
                self._settled = min(self._settled + 1, self._automatic.settle_ticks)
            self._ask_all()
            self._advance()
        if self.identity.cluster and promise is not None and not self._established:
            self._patience += 1
            if self._patience % _PATIENCE == 0:
                self.actions.append(Initialize(promise))

    # -- what is wished ------------------------------------------------------------------------------------

    def init(self, ids: Collection[int] = ()) -> None:
        """Form a cluster: of all `--peers` and all blank nodes that are linked, or of exactly these ids.

        `InitDone` follows. It may be called again for the same nodes.

        Raises:
            Forbidden: this node is a member already, or only joins.
            Conflict: it has promised another initial cluster, or forms one of other nodes.
            BadParams: this node is not among the ids.
        """
        if self.identity.cluster:
            raise Forbidden(f"node {self.own.id} belongs to cluster {self.identity.cluster} already")
        if self._joins:
            raise Forbidden(f"node {self.own.id} only joins a cluster (bootstrap = join, or a cluster_id is set)")
        wish = Wish.of(self.own, ids, self._peers)
        promise = self.identity.promise
        if promise is not None and not wish.is_met_by(promise):
            raise Conflict(f"node {self.own.id} has promised to form {promise}")
        if self._wish is not None and self._wish != wish:
            raise Conflict(f"node {self.own.id} forms a cluster already: {self.waiting()}")
        if self._wish is None:
            self._wish = wish
            if promise is None:
                self.seen.ask_anew()
                self._ask_all()
        self._advance()

    def give_up(self) -> RequestError:
        """The operator waits no longer: what INIT is answered. What was not promised yet is not going to be."""
        wish, self._wish = self._wish, None
        now = self._saving or self.identity
        if now.promise is not None or now.cluster:
            return Timeout(f"{self.waiting() or 'the cluster begins'}; this goes on by itself", applied="unknown")
        missing = "" if wish is None else wish.missing(self.seen)
        return Timeout(f"nothing was formed: {missing or 'the other nodes did not answer'}", applied="no")

    def admit(self, cluster: str, generation: int = 0) -> bool:
        """A cluster takes this node in; False if it belongs or has promised itself to another one.

        With True it is on its way to the disk or there: `accepts` says when Raft messages may be taken. `generation` is
        that of its disk in the cluster: where it is another one than before, the node has to start anew.
        """
        now = self._saving or self.identity
        if now.cluster or now.promise is not None:
            return now.cluster == cluster or self.accepts(cluster)
        if self._cluster_id not in ("", cluster):
            return False
        if not self._admitted:
            self._admitted, self._generation = cluster, generation
        self._advance()
        return self._admitted == cluster

    def accepts(self, cluster: str) -> bool:
        """Whether Raft messages of a cluster may be taken: its own, or the one that it has promised to form."""
        promise = self.identity.promise
        return bool(cluster) and cluster in (self.identity.cluster, "" if promise is None else promise.cluster)

    def blank_nodes(self) -> list[Candidate]:
        """This node and all blank ones that are linked, by Raft NodeId: whom an `init` without ids would name."""
        found = [seen.candidate for seen in self.seen.linked() if not seen.cluster]
        return sorted({each.node: each for each in [*found, self.own]}.values(), key=lambda each: each.node)

    def waiting(self) -> str | None:
        """A sentence on what formation waits for, None once the node is a member."""
        promise = self.identity.promise
        if self.identity.cluster:
            return None
        if promise is not None:
            missing = nodes_text(self.seen.without_promise(promise, self.own))
            return f"{promise} is being formed and waits for the promise of {missing or 'nobody'}"
        if self._wish is not None:
            missing = self._wish.missing(self.seen) or "peers that were not reached yet may still answer"
            return f"a cluster is being formed: {missing}"
        if self._joins:
            return f"node {self.own.id} waits for a cluster to take it in"
        if self._automatic is not None:
            return self._automatic.missing(self.own, self._peers, self.seen)
        return f"node {self.own.id} belongs to no cluster: CLUSTER INIT forms one"

    def gathered(self) -> tuple[int, int] | None:
        """How many nodes are there of how many that are needed, where that can be counted."""
        promise = self.identity.promise
        if promise is not None:
            return len(promise.members) - len(self.seen.without_promise(promise, self.own)), len(promise.members)
        if self.identity.cluster or self._wish is not None or self._automatic is None or self.seen.ever_in_clusters():
            return None
        return self._automatic.gathered(self.own, self.seen)

    # -- decisions: each is one new content of node.json -----------------------------------------------------

    def _advance(self) -> None:
        """Save what is to change next; when nothing is, say where this node stands to those who wait for it."""
        if self._saving is not None:
            return
        decided = self._decide()
        if decided is not None:
            self._saving = decided
            self.actions.append(Save(decided))
            return
        for node in self._owed:
            self._send(node, self._standing())
        self._owed.clear()

    def _decide(self) -> Identity | None:
        promise = self.identity.promise
        if self.identity.cluster:
            kept = (promise is not None or self.identity.admitted) and self._established
            return self._changed(promise=None, proposed=0, refused={}, admitted=False) if kept else None
        if promise is not None:
            return self._decide_on(promise)
        if self._admitted:
            place = {"cluster": self._admitted, "generation": self._generation, "admitted": True}
            return self._changed(**place, proposed=0, refused={})
        return self._answer_proposal() or self._propose()

    def _decide_on(self, promise: InitialCluster) -> Identity | None:
        """With a promise: whether it is kept, or dead, or who else has to be refused for it."""
        refusal = self.seen.refusal(promise, self.own)
        if refusal:
            self._objection = refusal
            return self._changed(promise=None, refused=self._with_refused(promise))
        if self.seen.formed(promise, self.own) or not self.seen.without_promise(promise, self.own):
            return self._changed(cluster=promise.cluster)
        for other in self._proposals.open(self.identity.refused):
            if other.proposer != promise.proposer and promise.rank < other.rank:
                self._objection = f"{self.own} has promised to form {promise}"
                return self._changed(refused=self._with_refused(other))
        return None

    def _answer_proposal(self) -> Identity | None:
        """Without a promise: promise the best that was proposed, or refuse it."""
        for initial in self._proposals.open(self.identity.refused):
            self._objection = objection(self.own, self._joins, self.seen, initial)
            if self._objection:
                return self._changed(refused=self._with_refused(initial))
            return self._changed(promise=initial)
        return None

    def _propose(self) -> Identity | None:
        """Without a promise: propose what the operator wishes or the node by itself, if everybody has answered."""
        if self._wish is None:
            return self._propose_by_itself()
        if self._ticks < _LISTEN and any(self.seen.at(address) is None for address in self._peers):
            return None  # it has just started: perhaps one of them is a member of a cluster
        try:
            members = self._wish.members(self.seen)
        except RequestError as error:
            self._end_wish(error)
            return None
        return None if members is None else self._proposal(members, chosen=self._wish.chosen)

    def _propose_by_itself(self) -> Identity | None:
        automatic = self._automatic
        if automatic is None or self._established or self._settled < automatic.settle_ticks:
            return None
        members = automatic.members(self.own, self._peers, self.seen)
        if members is None:
            return None
        self._note("minimum_reached", "Minimum nodes reached, auto-initializing cluster...")
        return self._proposal(members, chosen=False)

    def _proposal(self, members: tuple[Candidate, ...], *, chosen: bool) -> Identity:
        number = self.identity.proposed + 1
        initial = InitialCluster(self.own.incarnation, number, self._new_id(), members, chosen)
        return self._changed(promise=initial, proposed=number)

    def _count(self, peer: Candidate) -> None:
        automatic = self._automatic
        is_new = peer.incarnation not in {*self._counted, self.own.incarnation}
        if automatic is not None and is_new and not self.identity.cluster:
            self._counted.add(peer.incarnation)
            count = 1 + sum(not each.candidate.is_same_disk(self.own) for each in self.seen.linked())
            self._note("discovered_node", f"Discovered node {peer.id} ({count}/{automatic.min_nodes})")

    def _asks(self) -> bool:
        """Whether this node wants to know where the others stand."""
        blank = not self.identity.cluster and self.identity.promise is None
        return self._wish is not None or (self._automatic is not None and blank and not self._established)

    # -- consequences ----------------------------------------------------------------------------------------

    def _entered(self, before: Identity) -> None:
        """Something is durable now: tell whom it concerns."""
        promise, cluster = self.identity.promise, self.identity.cluster
        if cluster and not before.cluster:
            self._became_member(cluster, promise)
        elif promise is not None and before.promise is None:
            self._note("promised", f"This node has promised to form {promise}")
            if self._wish is not None and not self._wish.is_met_by(promise):
                self._end_wish(Conflict(f"node {self.own.id} has promised to form {promise}"))
            if promise.proposer == self.own.incarnation:
                self._send_members(promise, Propose(promise))
        elif promise is None and before.promise is not None and not cluster:
            self._note("promise_dropped", f"The promise to form {before.promise} is void: {self._objection}")
            self._settled = 0
            if self._automatic is not None:
                self.seen.ask_anew()
            self._end_wish(Conflict(f"{before.promise} was refused: {self._objection}"))
        elif before.refused != self.identity.refused and not cluster:
            self._note("refused", f"An initial cluster was refused: {self._objection}")

    def _became_member(self, cluster: str, promise: InitialCluster | None) -> None:
        self._note("member", f'This node belongs to cluster {cluster}; set cluster_id = "{cluster}" to keep it there')
        self._proposals.clear()
        if promise is None:
            self._end_wish(Conflict(f"node {self.own.id} was taken in by cluster {cluster}"))
            return
        listed = ", ".join(f'{each.id}: BasicNode {{ addr: "{each.addr}" }}' for each in promise.members)
        self._note("initializing", f"Initializing cluster with nodes: {{{listed}}}")
        self._send_members(promise, self._standing())
        if self.seen.formed(promise, self.own):
            self._end_wish(None)
        else:
            self.actions.append(Initialize(promise))

    def _end_wish(self, error: RequestError | None) -> None:
        if self._wish is not None:
            self._wish = None
            self.actions.append(InitDone(error))

    # -- writing ---------------------------------------------------------------------------------------------

    def _standing(self) -> Standing:
        now = self.identity
        return Standing(now.cluster, now.promise, dict(now.refused), self._joins, self._objection)

    def _reminder(self, promise: InitialCluster) -> Message:
        return self._standing() if self.identity.cluster else Propose(promise)

    def _send_members(self, initial: InitialCluster, message: Message) -> None:
        for member in initial.members:
            self._send(member.node, message)

    def _ask_all(self) -> None:
        for seen in self.seen.linked():
            self._send(seen.candidate.node, Ask())

    def _send(self, node: int, message: Message) -> None:
        if node != self.own.node:
            self.actions.append(Send(node, message))

    def _note(self, event: str, message: str) -> None:
        self.actions.append(Note(event, message))

    def _changed(self, **fields: object) -> Identity:
        return msgspec.structs.replace(self.identity, **fields)

    def _with_refused(self, initial: InitialCluster) -> dict[str, int]:
        known = self.identity.refused.get(initial.proposer, 0)
        return {**self.identity.refused, initial.proposer: max(known, initial.number)}
