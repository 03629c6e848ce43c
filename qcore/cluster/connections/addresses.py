"""The addresses that are dialled, and who named them, sans-I/O.

An address is a hint and nothing more: who answers there, the handshake tells. So it does not matter for which node an
address was named, and every one is tried until the node behind it is linked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Addresses", "split_address"]

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", re.ASCII)


def split_address(address: str) -> tuple[str, int] | None:
    """Host (an IPv6 one without its brackets) and port of an address that can be dialled, None if it is no such one."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[3]) < 65_536:
        return None
    return found[1] or found[2], int(found[3])


class Addresses:
    """At most `most` addresses ``host:port``, each as long as any source names it; what is no address is left out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sources: dict[str, tuple[str, ...]] = {}

    def name(self, source: str, addresses: Iterable[str]) -> None:
        """Replace what a source names; sources are `peers`, `membership`, `mdns` and the nodes themselves."""
        named = tuple(dict.fromkeys(address for address in addresses if split_address(address)))
        self._sources.pop(source, None)
        if named:
            self._sources[source] = named

    def all(self) -> list[str]:
        """Every address once, in the order of the sources."""
        found = dict.fromkeys(address for addresses in self._sources.values() for address in addresses)
        return list(found)[: self._most]
