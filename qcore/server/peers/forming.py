"""Carries out what the machine of formation asks: writes, messages, the first membership, log lines, INIT's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from qcore.cluster.formation.machine import Formation
from qcore.cluster.formation.messages import (
    Action,
    InitDone,
    Initialize,
    Note,
    Save,
    Send,
    decode,
    encode,
)
from qcore.disk.identity import Identity
from qcore.engine.base import Engine
from qcore.model.errors import RequestError
from qcore.model.initial_cluster import Candidate
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.timers import Periodic

__all__ = ["Forming", "FormingHost"]

log = logs.get("qcore.node")


class FormingHost(Protocol):
    """What forming a cluster needs of the node; both on the loop's thread."""

    def save_identity(self, identity: Identity, done: Callable[[], None]) -> None:
        """Replace node.json by the one writer of the directory; `done` is called on the loop once it is durable.

        After a failure it is not called, as the node ends.
        """

    def send_formation(self, node: int, data: bytes) -> None:
        """Send this to a node (Raft NodeId), if there is a link to it."""

    def identity_changed(self, identity: Identity) -> None:
        """node.json is durable with this content: from now on hellos may tell it."""

    def init_done(self, error: RequestError | None) -> None:
        """The operator's INIT is through, or why it is not."""


class Forming:
    """A node's part in forming a cluster, on its loop; `formation` is only changed through this.

    Whatever changes it is followed by the machine's actions, in their order.
    """

    def __init__(self, formation: Formation, engine: Engine, host: FormingHost) -> None:
        self.formation = formation
        self._engine = engine
        self._host = host
        self._carrying_out = False
        self._timer = Periodic(budgets.FORMATION_TICK_SECONDS, self._tick)

    def start(self, *, has_log: bool) -> None:
        """Go on where the last run has ended; `has_log`: the log or a snapshot holds a membership."""
        if has_log:
            self.formation.established()
        self.formation.start()
        self._timer.start()
        self.go_on()

    @property
    def is_over(self) -> bool:
        """Whether this node is a member and its promise is kept: there is nothing left to form."""
        identity = self.formation.identity
        return bool(identity.cluster) and identity.promise is None and not identity.admitted

    def stop(self) -> None:
        """Say nothing more."""
        self._timer.stop()

    def met(self, peer: Candidate, cluster: str, address: str | None) -> None:
        """See `Formation.met`."""
        self.formation.met(peer, cluster, address)
        self.go_on()

    def lost(self, node: int) -> None:
        """See `Formation.lost`."""
        self.formation.lost(node)

    def receive(self, sender: Candidate, data: bytes) -> None:
        """A node that has proved the secret has sent this."""
        try:
            message = decode(data)
        except ValueError as exc:
            log.warning("formation_unreadable", message=f"{sender}: {exc}", peer=sender.id)
            return
        self.formation.receive(sender, message)
        self.go_on()

    def established(self) -> None:
        """A membership was applied."""
        self.formation.established()
        self.go_on()

    def go_on(self) -> None:
        """Carry out what the machine asks, and what it asks because of that."""
        if self._carrying_out:
            return
        self._carrying_out = True
        try:
            while actions := self.formation.take_actions():
                for action in actions:
                    self._carry_out(action)
        finally:
            self._carrying_out = False

    def _carry_out(self, action: Action) -> None:
        if isinstance(action, Save):
            self._host.save_identity(action.identity, self._saved)
        elif isinstance(action, Send):
            self._host.send_formation(action.node, encode(action.message))
        elif isinstance(action, Initialize):
            self._engine.initialize(action.initial.membership(), self._initialized)
        elif isinstance(action, InitDone):
            self._host.init_done(action.error)
        elif isinstance(action, Note):
            log.info(action.event, message=action.message)

    def _saved(self) -> None:
        self.formation.saved()
        self._host.identity_changed(self.formation.identity)
        self.go_on()

    def _initialized(self, error: RequestError | None) -> None:
        self.formation.initialized(error)
        self.go_on()

    def _tick(self) -> bool:
        self.formation.tick()
        self.go_on()
        return not self.is_over
