"""Where a JSON snapshot comes from: what `snapshot-tool take` writes into it, and what that says beside another one.

A restore does not look at it, and two snapshots of equal content may differ in it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from qcore.model.documents.document import Document
from qcore.model.times import parse_time

__all__ = ["Origin", "Snapshot", "read_origin"]


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """The store and the moment that a snapshot was taken of.

    Attributes:
        cluster: id of the cluster, 32 hex digits; a restore from files gives a store a new one.
        epoch: name of the history at `revision`, None where the store had none yet.
        revision: of the store.
        time: when it was taken, RFC 3339, UTC.
        version: of qcore, by which it was taken.
        all: whether Runtime fields are in it, too.
    """

    cluster: str
    revision: int
    time: str
    version: str
    all: bool
    epoch: str | None = None

    def is_compatible_with(self, other: Origin) -> bool:
        """Whether both are of one cluster, so that their revisions can be compared."""
        return bool(self.cluster) and self.cluster == other.cluster

    def supersedes(self, other: Origin) -> bool:
        """Whether this one makes the other one superfluous: of the same cluster, newer, and no less complete.

        Revisions of one epoch have one order. Where the epochs differ a data directory may have been put back in
        between, so that the time has to agree with the revisions.
        """
        if not self.is_compatible_with(other) or self.revision <= other.revision or (other.all and not self.all):
            return False
        if self.epoch is not None and self.epoch == other.epoch:
            return True
        return (parse_time(self.time) or 0) > (parse_time(other.time) or 0)


class Snapshot(msgspec.Struct, frozen=True):
    """A document, and where it comes from; None where it does not say."""

    document: Document
    origin: Origin | None = None

    @property
    def has_ids(self) -> bool:
        """Whether it says of every entity which it is, and which id comes next."""
        document = self.document
        return document.next_id is not None and all(entity.id is not None for entity in document.entities)

    @property
    def is_complete(self) -> bool:
        """Whether a store that is made of it alone lacks nothing: Runtime fields and ids are in it."""
        return self.origin is not None and self.origin.all and self.has_ids

    def is_compatible_with(self, other: Snapshot) -> bool:
        """Whether both are known to be of one cluster."""
        return self.origin is not None and other.origin is not None and self.origin.is_compatible_with(other.origin)

    def supersedes(self, other: Snapshot) -> bool:
        """Whether this one makes the other one superfluous; False where that is not known."""
        if self.origin is None or other.origin is None or (other.is_complete and not self.is_complete):
            return False
        return self.origin.supersedes(other.origin)


def read_origin(value: Any) -> Origin | None:
    """The origin in a decoded document; None where there is none, or one that nobody can read."""
    try:
        return msgspec.convert(value, Origin)
    except msgspec.ValidationError:
        return None
