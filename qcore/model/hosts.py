"""Which machine a host stands for, as far as its text says: who may come in without more depends on it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["host_address", "is_link_local", "is_loopback", "is_wildcard"]


def host_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that `host` is, without brackets; None for a name. One of IPv4 within IPv6 is that of IPv4."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def is_loopback(host: str) -> bool:
    """Whether it is an address of this machine alone; a name is none, whatever it resolves to."""
    address = host_address(host)
    return address is not None and address.is_loopback


def is_wildcard(host: str) -> bool:
    """Whether it stands for all addresses of a machine."""
    address = host_address(host)
    return address is not None and address.is_unspecified


def is_link_local(host: str) -> bool:
    """Whether it is an address of one network segment alone, which needs a zone to be reached."""
    address = host_address(host)
    return address is not None and address.is_link_local
