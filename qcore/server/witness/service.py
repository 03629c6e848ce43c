"""What a witness answers its clients: what it knows of itself and of the cluster; for the rest they go elsewhere."""

from __future__ import annotations

from qcore.model.errors import Forbidden
from qcore.model.requests.cluster import ClusterStatus
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.router import Router
from qcore.server.runtime.scheduler import Step

__all__ = ["WitnessService"]


class WitnessService:
    """The `Service` of the connections of witness `node` (public id)."""

    def __init__(self, node: int, router: Router) -> None:
        self.counts = router.counts
        self._node = node
        self._router = router

    def submit(self, call: Call) -> None:
        """See `Service.submit`."""
        if call.route == "local" or isinstance(call.params, ClusterStatus):
            self._router.submit(call)
        else:
            why = f"node {self._node} is a witness: it keeps no state, ask another node of the cluster"
            call.fail(Forbidden(why, applied="no", elsewhere=True))

    def connected(self, client: Client) -> None:
        """See `Service.connected`."""
        self._router.connected(client)

    def schedule(self, step: Step) -> None:
        """See `Service.schedule`."""
        self._router.schedule(step)

    def disconnected(self, client: Client) -> None:
        """See `Service.disconnected`."""
        self._router.disconnected(client)
