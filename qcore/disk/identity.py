"""node.json: who a node's directory belongs to."""

from __future__ import annotations

import os
import secrets

import msgspec

from qcore.disk.checksummed import decode_checksummed, encode_checksummed
from qcore.disk.damage import damaged
from qcore.disk.files import Files

__all__ = ["Identity", "default_machine", "load_identity", "new_identity", "store_identity"]


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of node.json; replaced as a whole by `msgspec.structs.replace`.

    Attributes:
        node: the id people see, from 1.
        machine: name of the machine, for people and tools.
        incarnation: 128 random bits in hex, drawn when the directory is created.
        generation: number of this disk under its node id; the first one is 0.
        cluster: 128-bit id of the cluster in hex, "" until it belongs to one.
        promise: the cluster it has promised to form; none can be made yet.
    """

    node: int
    machine: str
    incarnation: str
    generation: int = 0
    cluster: str = ""
    promise: None = None


def default_machine(node: int) -> str:
    """Return the host's name, for ids above 1 with the id, as several nodes may share a host."""
    host = os.uname().nodename
    return host if node == 1 else f"{host}-{node}"


def new_identity(node: int, machine: str | None) -> Identity:
    """Return the identity of an empty directory."""
    return Identity(node, machine or default_machine(node), secrets.token_hex(16))


def load_identity(files: Files, path: str, node: int) -> Identity | None:
    """Return the identity in node.json at `path`, None if there is no such file.

    Raises:
        Damaged: the file fails its check, or it is that of another node.
    """
    data = files.read(path)
    if data is None:
        return None
    identity = decode_checksummed(data, Identity, path)
    if identity.node != node:
        raise damaged(path, f"expected node {node} by the folder's name, found node {identity.node}")
    return identity


def store_identity(files: Files, path: str, identity: Identity) -> None:
    """Write node.json durably."""
    files.store(path, encode_checksummed(identity))
