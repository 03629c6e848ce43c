"""Makes of what is heard by mDNS addresses to dial, and tells people of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from qcore.cluster import budgets
from qcore.cluster.crossing import Crossing
from qcore.cluster.discovery.discovery import Discovery
from qcore.cluster.discovery.records import Announcement, Sighting, fingerprint
from qcore.server.config.settings import Settings, split_addr
from qcore.server.runtime import logs
from qcore.version import VERSION

__all__ = ["Finding", "FoundNodes"]

log = logs.get("qcore.discovery")


class FoundNodes:
    """On the loop: the nodes that were heard of; `dial` is told all their addresses at each change.

    Those that certainly know no secret of this node (`secrets`: fingerprints) are named once and not dialled.
    """

    def __init__(self, own: int, secrets: Sequence[str], dial: Callable[[Iterable[str]], None]) -> None:
        self._own = own
        self._secrets = secrets
        self._dial = dial
        self._found: dict[str, Sighting] = {}

    def sighted(self, sighting: Sighting) -> None:
        """See `DiscoveryHost.sighted`."""
        before = self._found.get(sighting.name)
        if before == sighting or (before is None and len(self._found) >= budgets.SIGHTINGS):
            return
        self._found[sighting.name] = sighting
        shared = sighting.may_share(self._secrets)
        first = next(iter(sighting.addresses), "no address")
        is_news = before is None or before.addresses != sighting.addresses or before.secrets != sighting.secrets
        if not shared and is_news:
            log.warning("discovered_stranger", message=_stranger(sighting), peer=sighting.id, address=first)
        elif is_news and sighting.id != self._own:
            log.info(
                "discovered", message=f"Discovered node: {sighting.id} at {first}", peer=sighting.id, address=first
            )
        self._name()

    def withdrawn(self, name: str) -> None:
        """See `DiscoveryHost.withdrawn`."""
        if self._found.pop(name, None) is not None:
            self._name()

    def strangers(self) -> list[str]:
        """A sentence on each of those that know no secret of this node."""
        return [_stranger(each) for each in self._found.values() if not each.may_share(self._secrets)]

    def _name(self) -> None:
        found = (each for each in self._found.values() if each.may_share(self._secrets))
        self._dial(address for each in found for address in each.addresses)


def _stranger(sighting: Sighting) -> str:
    first = next(iter(sighting.addresses), "no address")
    return f"Node {sighting.id} at {first} has another cluster secret than this node: not linked"


class Finding:
    """The `DiscoveryHost` of a node that listens at the host `listens`; others come to `addr`.

    What it hears crosses to the loop; `on_listening` is called there once others can be heard, or cannot.
    """

    def __init__(
        self,
        settings: Settings,
        addr: str,
        listens: str,
        secrets: Sequence[bytes],
        crossing: Crossing,
        dial: Callable[[Iterable[str]], None],
        on_listening: Callable[[], None],
    ) -> None:
        fingerprints = tuple(fingerprint(each) for each in secrets)
        host, port = split_addr(addr)
        advertised = listens if settings.advertise is None else host
        announcement = Announcement(
            id=settings.id, port=port, version=VERSION, cluster="", state="blank", secrets=fingerprints
        )
        self._crossing = crossing
        self._on_listening = on_listening
        self._found = FoundNodes(settings.id, fingerprints, dial)
        self._discovery = Discovery(announcement, listens, advertised, self)

    @property
    def strangers(self) -> list[str]:
        """See `FoundNodes.strangers`; on the loop."""
        return self._found.strangers()

    def start(self, cluster: str, state: str) -> None:
        """Announce this node and listen."""
        self._discovery.announce(cluster, state)
        self._discovery.start()

    def announce(self, cluster: str, state: str) -> None:
        """Say something else of this node."""
        self._discovery.announce(cluster, state)

    def stop(self, limit: float) -> bool:
        """Withdraw; blocks for `limit` seconds at the most. Whether everything has ended."""
        return self._discovery.stop(limit)

    # -- `DiscoveryHost`, on its threads -------------------------------------------------------------------

    def announced(self, instance: str, address: str) -> None:
        """See `DiscoveryHost.announced`."""
        log.info("registered", message=f"Registered mDNS service: {instance} on {address}", address=address)
        self._crossing.call(self._on_listening)

    def sighted(self, sighting: Sighting) -> None:
        """See `DiscoveryHost.sighted`."""
        self._crossing.call(self._found.sighted, sighting)

    def withdrawn(self, name: str) -> None:
        """See `DiscoveryHost.withdrawn`."""
        self._crossing.call(self._found.withdrawn, name)

    def discovery_failed(self, problem: str) -> None:
        """See `DiscoveryHost.discovery_failed`."""
        log.warning(
            "discovery_failed",
            message=f"Nodes cannot be found by mDNS: {problem}; it is tried again. --peers works without multicast",
        )
        self._crossing.call(self._on_listening)
