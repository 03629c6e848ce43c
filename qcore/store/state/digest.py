"""The running digest: a sum, modulo 2^128, of one hash for each thing the state holds.

A sum is O(change) to keep and does not depend on order. Hashed are: each entity with type, parent and place,
each written field with value, time and revision, each schema, and (when read) the counters. Sessions are left
out, so that equal revisions have equal digests whoever retried what. They have sums of their own, by the same rule, and
so have staged parts and epochs.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Any

from qcore.model.schema import EntitySchema
from qcore.model.wire import encode_json

__all__ = [
    "MODULUS",
    "answer_hash",
    "counters_hash",
    "entity_hash",
    "epoch_hash",
    "field_hash",
    "removed_hash",
    "schema_hash",
    "session_hash",
    "staged_hash",
]

MODULUS = 1 << 128


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=16).digest(), "big")


def field_hash(id: int, name: str, value: Any, time: int, revision: int) -> int:
    """Hash of one written field; Parent and Children pass `()`: the tree is in the entities' own hashes."""
    head = f"f {id} {name} {time} {revision} "
    kind = type(value)
    if kind is str:
        data = f"{head}s{value}".encode()
    elif kind is int:
        data = f"{head}i{value}".encode()
    elif kind is float:
        data = head.encode() + b"d" + struct.pack(">d", value)
    elif kind is bool:
        data = f"{head}{'t' if value else 'f'}".encode()
    elif kind is bytes:
        data = head.encode() + b"b" + value
    else:
        data = f"{head}l{','.join(map(str, value))}".encode()
    return _hash(data)


def entity_hash(id: int, type_name: str, parent: int, order: int) -> int:
    """Hash of an entity's existence and place."""
    return _hash(f"e {id} {type_name} {parent} {order}".encode())


def schema_hash(schema: EntitySchema) -> int:
    """Hash of an own schema."""
    return _hash(b"t " + encode_json(schema))


def counters_hash(revision: int, next_id: int, mark: str) -> int:
    """Hash of what is only read, never summed."""
    return _hash(f"c {revision} {next_id} {mark}".encode())


def session_hash(id: int, used: int, low: int) -> int:
    """Hash of a session without its answers."""
    return _hash(f"s {id} {used} {low}".encode())


def answer_hash(id: int, seq: int, command_hash: str, failed: bool) -> int:
    """Hash of a session having answered a number; never of the answer's text, which may be worded anew."""
    return _hash(f"a {id} {seq} {command_hash} {failed:d}".encode())


def staged_hash(stage: str, used: int, parts: int, size: int) -> int:
    """Hash of the parts of a command so far, `size` characters of text; the text is in the log."""
    return _hash(f"p {stage} {used} {parts} {size}".encode())


def epoch_hash(epoch: str, first: int) -> int:
    """Hash of an epoch that begins with the revision `first`."""
    return _hash(f"h {epoch} {first}".encode())


def removed_hash(incarnation: str, node: int) -> int:
    """Hash of a disk being removed that was the Raft node `node`."""
    return _hash(f"r {incarnation} {node}".encode())
