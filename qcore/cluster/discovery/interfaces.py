"""The addresses of this machine at which a node announces itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import ifaddr
import msgspec

from qcore.model.hosts import host_address

__all__ = ["Interface", "announced", "here"]


class Interface(msgspec.Struct, frozen=True):
    """One address of one network interface; `index` is that of the interface, `host` has no zone."""

    name: str
    index: int
    host: str


def here() -> list[Interface]:
    """All that this machine has now."""
    found = []
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            host = each.ip if isinstance(each.ip, str) else each.ip[0]
            found.append(Interface(adapter.name, adapter.index or 0, host))
    return found


def announced(host: str, found: Sequence[Interface]) -> list[Interface]:
    """Those of `found` on which a node that listens at `host` speaks with others.

    With a wildcard these are all of its family; those of this machine only, where there are no others. Routable
    addresses come first. Within one machine IPv4 carries what is said of ::1, too: Linux multicasts no IPv6 there.
    """
    wanted = host_address(host)
    if wanted is None:
        return []
    family = [each for each in found if _address(each).version == wanted.version]
    if wanted.is_loopback:
        return [each for each in found if _address(each).version == 4 and _address(each).is_loopback]
    if not wanted.is_unspecified:
        return [each for each in family if _address(each) == wanted]
    inside = [each for each in family if _address(each).is_loopback]
    outside = [each for each in family if not _address(each).is_loopback]
    return sorted(outside or inside, key=lambda each: (_address(each).is_link_local, each.name, each.host))


def _address(interface: Interface) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(interface.host)
