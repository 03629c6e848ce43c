"""Entries, log ids, memberships and votes as they cross the border, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qcore.disk.log.record import RawEntry, decode_body, encode_body, feature_of, foreign_body
from qcore.model.entry import Entry, EntryBody, LogId, Member, Membership

if TYPE_CHECKING:
    from qcore_openraft import BodyParts, EntryParts, LogIdParts, MemberParts, MembershipParts

__all__ = [
    "entry_body",
    "entry_parts",
    "from_membership",
    "log_id_parts",
    "member_parts",
    "membership_parts",
    "opaque_body",
    "raw_entry",
    "raw_entry_parts",
]

_COMMANDS = re.compile(rb'\{"feature":\d+,"time":-?\d+,"kind":"commands"')


def log_id_parts(id: LogId) -> LogIdParts:
    """Take a log id apart."""
    return id.term, id.node, id.index


def membership_parts(membership: Membership) -> MembershipParts:
    """Take a membership apart."""
    return membership.configs, [member_parts(node, member) for node, member in membership.nodes.items()]


def member_parts(node: int, member: Member) -> MemberParts:
    """Take a member with its Raft NodeId apart."""
    return node, member.addr, member.incarnation, member.witness


def from_membership(parts: MembershipParts) -> Membership:
    """Put a membership together."""
    configs, nodes = parts
    return Membership(configs, {node: Member(addr, incarnation, witness) for node, addr, incarnation, witness in nodes})


def entry_parts(entry: Entry) -> EntryParts:
    """Take an entry apart whose body is decoded."""
    return *log_id_parts(entry.id), _body_parts(entry.body, encode_body(entry.body))


def raw_entry_parts(raw: RawEntry) -> EntryParts:
    """Take an entry apart that comes from the log; commands are not decoded.

    Raises:
        Damaged: its body is none.
    """
    if _COMMANDS.match(raw.body):
        return *log_id_parts(raw.id), raw.body
    return *log_id_parts(raw.id), _body_parts(decode_body(raw.body, _named(raw.id.index)), raw.body)


def _body_parts(body: EntryBody, raw: bytes) -> BodyParts:
    if body.kind == "commands":
        return raw
    return None if body.membership is None else membership_parts(body.membership)


def raw_entry(parts: EntryParts, level: int) -> RawEntry:
    """Return an entry for the log. What OpenRaft writes by itself carries `level`, the state's feature level.

    Raises:
        ValueError: no record may hold its body.
    """
    term, node, index, body = parts
    raw = foreign_body(body) if isinstance(body, bytes) else encode_body(_own_body(body, level))
    return RawEntry(LogId(term, node, index), raw)


def entry_body(body: BodyParts, index: int, level: int) -> EntryBody:
    """Return what an entry's body says.

    Raises:
        Damaged: it is none, or needs a newer version.
    """
    return decode_body(body, _named(index)) if isinstance(body, bytes) else _own_body(body, level)


def opaque_body(body: BodyParts, index: int, level: int) -> EntryBody:
    """The same, without its commands: for a node that applies none, and need not know them.

    Raises:
        Damaged: it is no body.
    """
    if isinstance(body, bytes):
        return EntryBody(feature_of(body, _named(index)), 0, "commands")
    return _own_body(body, level)


def _own_body(body: MembershipParts | None, level: int) -> EntryBody:
    if body is None:
        return EntryBody(level, 0, "blank")
    return EntryBody(level, 0, "membership", membership=from_membership(body))


def _named(index: int) -> str:
    return f"entry {index}"
