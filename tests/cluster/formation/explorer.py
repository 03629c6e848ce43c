"""Explores what can happen while nodes form a cluster: every order of messages, losses, doubles, crashes and restarts.

The network keeps every message for ever and may deliver it at any time: so messages come late, in any order, twice, or
never, as nothing says that a message is ever delivered. What one node does with one input depends on its own state
alone; these steps are made by the real machine, once each, and remembered, so that a state of the world is a few
numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from qcore.cluster.formation.machine import Formation
from qcore.cluster.formation.messages import Initialize, Message, Propose, Send, Standing, decode, encode
from qcore.disk.identity import Identity
from qcore.model.entry import raft_node_id
from qcore.model.errors import RequestError
from qcore.model.initial_cluster import Candidate, InitialCluster

__all__ = ["Explorer", "Init", "Local", "Split", "candidate", "identity"]

Init = tuple[int, tuple[int, ...]]
"""An operator's INIT: at which node, with which ids."""

World = tuple[tuple[int, ...], int, int, int]
"""State of each node, messages that were ever sent, INITs that were given, crashes that are left."""

Input = tuple[str, int]

_encode_key = msgspec.msgpack.Encoder(order="deterministic").encode


class Split(AssertionError):
    """Something that must never happen has happened."""


def candidate(id: int) -> Candidate:
    """Node `id` as others see it."""
    return Candidate(raft_node_id(id, 0), f"{id:02x}" * 16, f"127.0.0.1:{8000 + id}")


def identity(id: int, **fields: Any) -> Identity:
    """The content of its node.json."""
    return Identity(id, f"m{id}", f"{id:02x}" * 16, **fields)


class Local:
    """One node: its machine, and its disk as the harness knows it."""

    __slots__ = ("disk", "machine")

    def __init__(self, machine: Formation) -> None:
        self.machine = machine
        self.disk = machine.identity

    def clone(self) -> Local:
        """A node in the same state that goes its own way."""
        other = Local(copy.copy(self.machine))
        machine = other.machine
        machine.actions = list(machine.actions)
        machine.seen = copy.copy(machine.seen)
        machine.seen._nodes = {node: copy.copy(seen) for node, seen in machine.seen._nodes.items()}
        machine.seen._at = dict(machine.seen._at)
        machine._proposals = copy.copy(machine._proposals)
        machine._proposals._newest = dict(machine._proposals._newest)
        machine._owed = dict(machine._owed)
        other.disk = self.disk
        return other

    def key(self) -> bytes:
        """Equal for states in which the same inputs do the same; what people read is left out."""
        m = self.machine
        seen = sorted((n, s.cluster, s.up, _plain(s.standing), s.asked) for n, s in m.seen._nodes.items())
        wish = None if m._wish is None else m._wish.ids
        parts = (self.disk, m._saving, seen, m._proposals._newest, list(m._owed), wish, m._established, m._settled)
        return _encode_key(parts)


def _plain(standing: Standing | None) -> Standing | None:
    return None if standing is None else msgspec.structs.replace(standing, objection="")


class Explorer:
    """All that can happen to `count` nodes with these INITs and so many crashes.

    Args:
        stepwise: whether a node may also crash, and be sent messages, while its disk is written; else each save ends
            at once.
        make: makes the machine of a node; variants that do something wrong are to be found out.
        proposals: most that a node makes by itself, None for any.
        answered: whether the answers to an INIT's questions come at once, as old as they may be.
    """

    def __init__(
        self,
        count: int,
        inits: Sequence[Init],
        crashes: int,
        *,
        stepwise: bool,
        make: Callable[..., Formation] = Formation,
        answered: bool = False,
        proposals: int | None = None,
    ) -> None:
        self.inits = inits
        self.ids = range(1, count + 1)
        self.crashes = crashes
        self.steps = 0
        self._stepwise = stepwise
        self._make = make
        self._answered = answered
        self._proposals = proposals
        self._locals: list[Local] = []
        self._known: dict[bytes, int] = {}
        self._messages: list[tuple[int, int, Message]] = []
        """Sender, receiver, message."""
        self._message_ids: dict[tuple[int, int, bytes], int] = {}
        self._inboxes = dict.fromkeys(self.ids, 0)
        self._done: dict[tuple[int, Input], tuple[int, int]] = {}
        self._initial: dict[str, InitialCluster] = {}
        self.formed: set[str] = set()
        """Clusters that somebody belonged to."""

    # -- the world -------------------------------------------------------------------------------------------

    def start(self) -> World:
        """All nodes blank and linked."""
        return tuple(self._intern(self._started(identity(id)))[0] for id in self.ids), 0, 0, self.crashes

    def reachable(self, limit: int = 10_000_000) -> Iterator[World]:
        """Every state of the world, each once, checked; `limit` bounds them."""
        begin = self.start()
        seen = {begin}
        open_worlds = [begin]
        while open_worlds:
            world = open_worlds.pop()
            yield world
            for following in self.after(world):
                if following not in seen and len(seen) < limit:
                    self.check(following)
                    seen.add(following)
                    open_worlds.append(following)

    def after(self, world: World) -> Iterator[World]:
        """What may come next."""
        nodes, sent, given, crashes = world
        for place, id in enumerate(self.ids):
            for step in self._inputs(nodes[place], id, sent, crashes):
                local, found = self._do(nodes[place], step)
                if local != nodes[place] or found & ~sent:
                    left = crashes - (step[0] in ("crash", "crash_late"))
                    yield _with(nodes, place, local), sent | found, given, left
        for number, (id, _) in enumerate(self.inits):
            if not given & 1 << number:
                local, found = self._do(nodes[id - 1], ("init", number))
                yield _with(nodes, id - 1, local), sent | found, given | 1 << number, crashes

    def check(self, world: World) -> None:
        """Find out whether a cluster exists that not all of its nodes have promised.

        Raises:
            Split: it does.
        """
        disks = [self._locals[local].disk for local in world[0]]
        for cluster in {disk.cluster for disk in disks if disk.cluster}:
            self.formed.add(cluster)
            initial = self._initial[cluster]
            for member in initial.ids:
                disk = disks[member - 1]
                if disk.cluster != cluster and (disk.cluster or disk.promise != initial):
                    raise Split(f"{initial} exists, but node {member} has {disk.cluster or disk.promise}")

    def settle(self, world: World) -> World:
        """Let everything happen that happens without faults: all messages arrive, writes end, clocks tick."""
        nodes, sent, given, _ = world
        while True:
            before = nodes, sent
            for place, id in enumerate(self.ids):
                for step in self._inputs(nodes[place], id, sent, 0):
                    local, found = self._do(nodes[place], step)
                    nodes, sent = _with(nodes, place, local), sent | found
            if (nodes, sent) == before:
                return nodes, sent, given, 0

    def disks(self, world: World) -> list[Identity]:
        """What each node has in its node.json."""
        return [self._locals[local].disk for local in world[0]]

    # -- one node ----------------------------------------------------------------------------------------------

    def _inputs(self, local: int, id: int, sent: int, crashes: int) -> Iterator[Input]:
        machine = self._locals[local].machine
        if machine._saving is not None:
            yield "saved", 0
        waiting = sent & self._inboxes[id]
        while waiting:
            lowest = waiting & -waiting
            yield "deliver", lowest.bit_length() - 1
            waiting ^= lowest
        if (
            self._proposals is None
            or machine.identity.proposed < self._proposals
            or machine.identity.promise is not None
        ):
            yield "tick", 0
        if machine.identity.cluster and machine.identity.promise is not None and not machine._established:
            yield "established", 0
        if crashes:
            yield "crash", 0
            if machine._saving is not None:
                yield "crash_late", 0

    def _do(self, local: int, step: Input) -> tuple[int, int]:
        """The state after a step, and what was sent."""
        known = self._done.get((local, step))
        if known is None:
            self.steps += 1
            known = self._done[local, step] = self._intern(self._carry_out(self._locals[local], step))
        return known

    def _carry_out(self, before: Local, step: Input) -> Local:
        name, number = step
        if name == "crash":
            return self._started(before.disk)
        if name == "crash_late":
            assert before.machine._saving is not None
            return self._started(before.machine._saving)
        node = before.clone()
        machine = node.machine
        if name == "deliver":
            sender, _, message = self._messages[number]
            machine.receive(candidate(sender), message)
        elif name == "saved":
            _save(node)
        elif name == "init":
            self._init(machine, self.inits[number][1])
        elif name == "established":
            machine.established()
        else:
            machine.tick()
        return node

    def _init(self, machine: Formation, ids: tuple[int, ...]) -> None:
        try:
            machine.init(ids)
        except RequestError:
            return
        if self._answered:
            for id in self.ids:
                if id != machine.own.id:
                    machine.receive(candidate(id), Standing())

    def _started(self, disk: Identity) -> Local:
        def new_id() -> str:
            return f"{disk.node:02x}{machine.identity.proposed + 1:02x}" * 8

        machine = self._make(disk, candidate(disk.node).addr, new_id=new_id)
        for id in self.ids:
            if id != disk.node:
                machine.met(candidate(id), "", candidate(id).addr)
        machine.start()
        return Local(machine)

    def _intern(self, node: Local) -> tuple[int, int]:
        """The number of a state, and what it has sent on the way there."""
        sent = 0
        while True:
            for action in node.machine.take_actions():
                if isinstance(action, Send):
                    _check_honest(action.message, node.disk)
                    sent |= self._post(node.machine.own.id, action)
                elif isinstance(action, Initialize) and action.initial.cluster != node.disk.cluster:
                    raise Split(f"{action.initial} is initialized without belonging to it")
            if self._stepwise or node.machine._saving is None:
                break
            _save(node)
        for disk in (node.disk, node.machine._saving):
            if disk is not None and disk.promise is not None:
                known = self._initial.setdefault(disk.promise.cluster, disk.promise)
                assert known == disk.promise
        key = node.key()
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self._locals)
            self._locals.append(node)
        return number, sent

    def _post(self, sender: int, action: Send) -> int:
        receiver = action.node // 65_536
        message = action.message
        if isinstance(message, Standing):
            message = msgspec.structs.replace(message, objection="")
        data = encode(message)
        key = sender, receiver, data
        number = self._message_ids.get(key)
        if number is None:
            number = self._message_ids[key] = len(self._messages)
            self._messages.append((sender, receiver, decode(data)))
            self._inboxes[receiver] |= 1 << number
        return 1 << number


def _with(nodes: tuple[int, ...], place: int, local: int) -> tuple[int, ...]:
    return (*nodes[:place], local, *nodes[place + 1 :])


def _save(node: Local) -> None:
    assert node.machine._saving is not None
    node.disk = node.machine._saving
    node.machine.saved()


def _check_honest(message: Message, disk: Identity) -> None:
    """Everything that a node says is on its disk."""
    if isinstance(message, Propose) and message.initial != disk.promise:
        raise Split(f"{message.initial} is proposed, on the disk is {disk.promise}")
    if isinstance(message, Standing):
        said = message.cluster, message.promise, message.refused
        if said != (disk.cluster, disk.promise, disk.refused):
            raise Split(f"said {said}, on the disk is {disk}")
