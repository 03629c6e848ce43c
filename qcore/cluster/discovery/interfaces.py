"""The addresses of this machine at which a node announces itself."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Sequence

import ifaddr
import msgspec

from qcore.model.hosts import host_address

__all__ = ["Interface", "announced", "here"]


_OUTSIDE = ((socket.AF_INET, ("224.0.0.251", 5353)), (socket.AF_INET6, ("2001:db8::1", 5353)))
"""By family the group of mDNS, or an address that no machine has: the way there is the way out."""


class Interface(msgspec.Struct, frozen=True):
    """One address of one network interface.

    Attributes:
        name: of the interface.
        index: of the interface.
        host: the address, without a zone.
        is_way_out: whether the machine speaks from it with networks that it is not in.
    """

    name: str
    index: int
    host: str
    is_way_out: bool = False


def here() -> list[Interface]:
    """All that this machine has now."""
    found, ways_out = [], _ways_out()
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            host = each.ip if isinstance(each.ip, str) else each.ip[0]
            found.append(Interface(adapter.name, adapter.index or 0, host, host in ways_out))
    return found


def announced(host: str, found: Sequence[Interface]) -> list[Interface]:
    """Those of `found` on which a node that listens at `host` speaks with others.

    With a wildcard these are all of its family; those of this machine only, where there are no others. The one that a
    network outside sees comes first, not that of a bridge between containers. Within one machine IPv4 carries what is
    said of ::1, too: Linux multicasts no IPv6 there.
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
    return sorted(outside or inside, key=_rank)


def _rank(interface: Interface) -> tuple[bool, bool, str, str]:
    return not interface.is_way_out, _address(interface).is_link_local, interface.name, interface.host


def _ways_out() -> set[str]:
    """The addresses from which this machine would send to networks outside; nothing is sent."""
    found = set()
    for family, outside in _OUTSIDE:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(outside)
            found.add(str(sock.getsockname()[0]))
    return found


def _address(interface: Interface) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(interface.host)
