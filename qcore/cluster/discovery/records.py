"""What a node says of itself by mDNS, and what is made of what others say, sans-I/O.

Nothing of it is proved: it gives addresses to dial, and who answers there the handshake tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from qcore.model.hosts import is_link_local

__all__ = ["SERVICE", "Announcement", "Sighting", "fingerprint", "joined", "read"]

SERVICE = "_qcore._tcp.local."
"""The DNS-SD type of a node."""

_MOST_ID = 2**32


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What this node announces.

    Attributes:
        id: of the node, as people see it.
        port: at which it is reached.
        version: of qcore.
        cluster: id of its cluster, "" while it is blank.
        state: a word on where it stands, such as `blank` or `member`.
        secrets: fingerprints of the cluster secrets that it takes.
    """

    id: int
    port: int
    version: str
    cluster: str
    state: str
    secrets: tuple[str, ...]

    @property
    def instance(self) -> str:
        """The name that people see in a browser of services."""
        return f"qcore-node-{self.id}"

    def properties(self) -> dict[str, str]:
        """Keys and values of the TXT record."""
        found = {
            "node_id": str(self.id),
            "version": self.version,
            "cluster": self.cluster,
            "state": self.state,
            "secret": ",".join(self.secrets),
        }
        return {key: value for key, value in found.items() if value}


class Sighting(msgspec.Struct, frozen=True):
    """A node that was heard of.

    Attributes:
        name: of the service.
        id: that it claims.
        addresses: ``host:port`` at which it may be dialled.
        cluster: that it claims, "" for a blank node.
        secrets: fingerprints of the secrets that it claims to take.
    """

    name: str
    id: int
    addresses: tuple[str, ...]
    cluster: str
    secrets: tuple[str, ...]

    def may_share(self, secrets: Sequence[str]) -> bool:
        """Whether it may know one of these secrets, or there is none on either side."""
        return bool(set(secrets) & set(self.secrets)) or not (secrets or self.secrets)


def fingerprint(secret: bytes) -> str:
    """8 hex digits that two nodes with the same secret have in common; too few to tell anything of the secret."""
    return hashlib.blake2b(secret, digest_size=4, person=b"qcore-mdns").hexdigest()


def joined(host: str, port: int) -> str:
    """``host:port``, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read(
    name: str, hosts: Iterable[str], port: int | None, properties: Mapping[bytes, bytes | None]
) -> Sighting | None:
    """What a service record says, None where it is none of a node."""
    text = {key: _text(value) for key, value in properties.items()}
    id = text.get(b"node_id", "")
    if not (id.isascii() and id.isdigit() and 0 < int(id[:12]) < _MOST_ID and port):
        return None
    addresses = tuple(joined(host, port) for host in sorted(hosts, key=is_link_local))
    secrets = tuple(each for each in text.get(b"secret", "").split(",") if each)
    return Sighting(name, int(id), addresses, text.get(b"cluster", ""), secrets)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
