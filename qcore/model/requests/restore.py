"""Restoring a document: the command, the lines a dry run shows, and the answer.

The command carries the document itself, its passwords hashed already, so that apply needs nothing but the log.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from qcore.model.documents.document import Document
from qcore.model.documents.password import hash_password, verify_password
from qcore.model.requests.commands import Command

__all__ = ["Action", "Password", "PlanLine", "Restore", "Restored"]

Action = Literal["set type", "delete type", "delete", "create", "update", "move", "next id"]


class Restore(Command, tag="restore"):
    """Make the store what a document says; with `prune` what it does not mention is deleted, with `reset` values go."""

    method = "restore"

    document: Document
    prune: bool = False
    reset: bool = False


class Restored(msgspec.Struct):
    """Answer of a restore: whether anything changed, and how often each action was taken."""

    changed: bool
    revision: int
    counts: dict[str, int]


class PlanLine(msgspec.Struct, omit_defaults=True):
    """One action of a plan; `target` is a path, the name of a type, or the next id that is given out.

    `fields` are those an update writes, `unset` those that go back to their default; `entities` counts what a
    deletion takes along. A move gives the children of `target` the order of the document. `next id` concerns no entity,
    and `counts` do not count it: it is told where nothing is created that would tell it.
    """

    action: Action
    target: str
    type: str = ""
    fields: list[str] = []
    unset: list[str] = []
    entities: int = 1

    def __str__(self) -> str:
        if self.action == "move":
            return f"move the children of {self.target} into the document's order"
        if self.action == "next id":
            return f"give out ids from {self.target} on"
        line = f"{self.action} {self.target}" + (f" ({self.type})" if self.type else "")
        if self.entities > 1:
            line += f" and {self.entities - 1} below it"
        words = [", ".join(self.fields), f"unset {', '.join(self.unset)}" if self.unset else ""]
        changes = "; ".join(word for word in words if word)
        return f"{line}: {changes}" if changes else line


class Password(msgspec.Struct):
    """A password in a document: place of the entity, field, and what the store holds there now."""

    place: int
    field: str
    text: str
    stored: str | None

    def hashed(self, salt: bytes) -> str:
        """The text to store: what is there if it verifies the password, else a new hash. Slow: not for the loop."""
        if self.stored is not None and verify_password(self.stored, self.text):
            return self.stored
        return hash_password(self.text, salt)
