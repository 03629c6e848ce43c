"""node.json: who a node's directory belongs to, and what it has promised while a cluster is formed."""

from __future__ import annotations

import os
import secrets

import msgspec

from qcore.disk.checksummed import decode_formats, encode_checksummed
from qcore.disk.damage import FORMAT, damaged
from qcore.disk.files import Files
from qcore.model.initial_cluster import InitialCluster

__all__ = [
    "FORMING_FORMAT",
    "WITNESS_FORMAT",
    "Identity",
    "default_machine",
    "forget_promise",
    "load_identity",
    "new_identity",
    "store_identity",
]

FORMING_FORMAT = 3
"""Format of node.json from the first promise, refusal or admission on, until the cluster is there: earlier versions,
which know none of it, refuse it; with format 2 there was no admission. All other files, and node.json before and after,
have the format of everything."""

WITNESS_FORMAT = 4
"""Format of the node.json of a witness: earlier versions, which know of none, refuse its directory."""


class _Forming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content from the first promise, refusal or admission on, until the cluster is there.

    Attributes:
        node: the id people see, from 1.
        machine: name of the machine, for people and tools.
        incarnation: 128 random bits in hex, drawn when the directory is created.
        generation: number of this disk under its node id; the first one is 0.
        cluster: 128-bit id of the cluster in hex, "" until it belongs to one.
        promise: the initial cluster that it has promised to be part of; kept until the log holds its membership.
        proposed: how many initial clusters this node has proposed.
        refused: by incarnation of the proposer the number up to which it refuses initial clusters, for ever.
        admitted: it was taken in by a cluster that is there, whose log it does not have yet.
    """

    node: int
    machine: str
    incarnation: str
    generation: int = 0
    cluster: str = ""
    promise: InitialCluster | None = None
    proposed: int = 0
    refused: dict[str, int] = {}
    admitted: bool = False


class Identity(_Forming, frozen=True, forbid_unknown_fields=True):
    """The content of node.json; replaced as a whole by `msgspec.structs.replace`. See `_Forming`, and:

    Attributes:
        witness: the directory is that of a witness, which keeps log and vote and no state, for ever.
    """

    witness: bool = False


class _Settled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content where there is nothing of a cluster being formed."""

    node: int
    machine: str
    incarnation: str
    generation: int = 0
    cluster: str = ""
    promise: None = None


_KINDS: dict[int, type[_Forming | _Settled]] = {
    FORMAT: _Settled,
    2: _Forming,
    FORMING_FORMAT: _Forming,
    WITNESS_FORMAT: Identity,
}


def default_machine(node: int) -> str:
    """Return the host's name, for ids above 1 with the id, as several nodes may share a host."""
    host = os.uname().nodename
    return host if node == 1 else f"{host}-{node}"


def new_identity(node: int, machine: str | None, *, witness: bool = False) -> Identity:
    """Return the identity of an empty directory."""
    return Identity(node, machine or default_machine(node), secrets.token_hex(16), witness=witness)


def forget_promise(identity: Identity) -> Identity:
    """Take a promise back that cannot be kept, at the operator's word alone.

    Nothing is refused by that: the others may have relied on the promise, and each needs the operator's word, too.
    """
    return msgspec.structs.replace(identity, promise=None)


def load_identity(files: Files, path: str, node: int) -> Identity | None:
    """Return the identity in node.json at `path`, None if there is no such file.

    Raises:
        Damaged: the file fails its check, or it is that of another node.
    """
    data = files.read(path)
    if data is None:
        return None
    found = decode_formats(data, _KINDS, path)
    identity = found if isinstance(found, Identity) else Identity(**msgspec.structs.asdict(found))
    if identity.node != node:
        raise damaged(path, f"expected node {node} by the folder's name, found node {identity.node}")
    return identity


def store_identity(files: Files, path: str, identity: Identity) -> None:
    """Write node.json durably."""
    if identity.witness:
        return files.store(path, encode_checksummed(identity, format=WITNESS_FORMAT))
    if identity.promise is not None or identity.proposed or identity.refused or identity.admitted:
        return files.store(path, encode_checksummed(_as(_Forming, identity), format=FORMING_FORMAT))
    return files.store(path, encode_checksummed(_as(_Settled, identity)))


def _as(kind: type[_Forming | _Settled], identity: Identity) -> _Forming | _Settled:
    return kind(**{name: getattr(identity, name) for name in kind.__struct_fields__})
