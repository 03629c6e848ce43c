"""From a client's call to the part of the node that carries it out, by what the record of its method says.

On the way its filters are parsed, and a read waits until this node has applied what it must see. No handler looks at a
call to find out whether it is its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from qcore.engine.base import Engine
from qcore.model.api import Route
from qcore.model.errors import Busy, RequestError
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.operations.clients import ConnectedClients
from qcore.server.operations.request_counts import RequestCounts
from qcore.server.reads.filters import Filters
from qcore.server.reads.gate import ReadGate
from qcore.server.runtime.scheduler import Scheduler, Step
from qcore.server.writes.forwarded_call import ForwardedCall
from qcore.store.state.state import State

__all__ = ["Handler", "Router"]

Handler = Callable[[Call], None]
"""Carries out a call; the answer may come at once or later."""


class Router:
    """The `Service` of all connections: gives each call to the handler of its route, refuses it once the node stops.

    `last_call` is the monotonic time of the latest call. At most `max_waiting` reads wait for an index or a revision.
    """

    def __init__(
        self,
        state: State,
        engine: Engine,
        scheduler: Scheduler,
        filters: Filters,
        max_waiting: int,
        counts: RequestCounts,
        clients: ConnectedClients,
        on_disconnected: Callable[[Client], None],
        handlers: Mapping[Route, Handler],
    ) -> None:
        self.counts = counts
        self.clients = clients
        self.last_call = time.monotonic()
        self.gate = ReadGate(state, engine.read_barrier, max_waiting, self._carry_out)
        self._scheduler = scheduler
        self._on_disconnected = on_disconnected
        self._filters = filters
        self._handlers = handlers
        self._stopping = False

    def submit(self, call: Call) -> None:
        """See `Service.submit`."""
        self.last_call = call.begun
        spec = call.spec
        assert spec is not None
        if self._stopping:
            _refuse(call)
        elif spec.filters is None or not self._filters.prepare(
            spec.filters(call.params), lambda error: self._prepared(call, error)
        ):
            self._route(call)

    def submit_forwarded(self, call: ForwardedCall) -> None:
        """Carry out a write that another node sent; it gets its place in the order of writes at once or later."""
        self.last_call = call.begun
        filters = call.spec.filters if call.spec is not None else None
        if filters is None or not self._filters.prepare(filters(call.params), lambda _: self._handlers["write"](call)):
            self._handlers["write"](call)

    def schedule(self, step: Step) -> None:
        """See `Service.schedule`."""
        self._scheduler.add(step)

    def connected(self, client: Client) -> None:
        """See `Service.connected`."""
        self.clients.connected(client)

    def disconnected(self, client: Client) -> None:
        """See `Service.disconnected`."""
        self.clients.disconnected(client)
        self._on_disconnected(client)

    def stop(self) -> None:
        """Refuse calls from now on, and the reads that wait."""
        self._stopping = True
        self.gate.stop()

    def _prepared(self, call: Call, error: RequestError | None) -> None:
        """The filters of a call are parsed, or cannot be; in a pipeline that is the answer to one command alone."""
        call.started = time.monotonic()
        if self._stopping:
            _refuse(call)
        elif error is not None and not call.writes:
            call.fail(error)
        elif not call.done:
            self._route(call)

    def _route(self, call: Call) -> None:
        if call.writes and not (call.spec is not None and call.spec.barrier):
            self._carry_out(call)
        else:
            self.gate.enter(call)

    def _carry_out(self, call: Call) -> None:
        self._handlers[call.route](call)


def _refuse(call: Call) -> None:
    call.fail(Busy("the node is stopping", applied="no", elsewhere=True))
