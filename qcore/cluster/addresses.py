"""The addresses that are dialled, and who named them, sans-I/O.

An address is a hint and nothing more: who answers there, the handshake tells. So it does not matter for which node an
address was named, and every one is tried until the node behind it is linked.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Addresses"]


class Addresses:
    """At most `most` addresses ``host:port``, each as long as any source names it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sources: dict[str, tuple[str, ...]] = {}

    def name(self, source: str, addresses: Iterable[str]) -> None:
        """Replace what a source names; sources are `peers`, `membership`, `mdns` and the nodes themselves."""
        named = tuple(dict.fromkeys(addresses))
        self._sources.pop(source, None)
        if named:
            self._sources[source] = named

    def all(self) -> list[str]:
        """Every address once, in the order of the sources."""
        found = dict.fromkeys(address for addresses in self._sources.values() for address in addresses)
        return list(found)[: self._most]
