"""Requests that change the store, as typed records: the params on the wire are the commands in the log.

A write travels from the client to the log as one struct. Clients fill the positional fields; of the
keyword fields they may fill `timeout`, `session`, `seq` and `acked`. The rest is decided by the leader before
it proposes (`hash`, `max_depth`, `max_list`), so that apply needs nothing but the log.

Reads live in `qcore.model.requests.queries`, answers in `qcore.model.requests.results`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import msgspec

from qcore.model.errors import BadValue
from qcore.model.schema import EntitySchema, Scope
from qcore.model.values import Kind

__all__ = [
    "DEFAULT_MAX_DEPTH",
    "DEFAULT_MAX_LIST",
    "Bootstrap",
    "Command",
    "Create",
    "Delete",
    "Expect",
    "FieldChange",
    "FieldSet",
    "IdForm",
    "Mode",
    "SchemaDelete",
    "SchemaSet",
    "SessionOpen",
    "SetFields",
    "SnapshotRestore",
    "TreeNode",
    "When",
]

IdForm = int | str
"""``12345``, ``"12345"``, ``"@12345"``, ``"Type$12345"`` or ``"/Root/Folder/Name"``."""

Mode = Literal["set", "add", "subtract"]
When = Literal["always", "changes"]

_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})

DEFAULT_MAX_DEPTH = 100
DEFAULT_MAX_LIST = 100_000


class Command(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="method"):
    """What every write carries beside its own fields."""

    method: ClassVar[str]

    timeout: float | None = None
    """Seconds the client waits for the answer; never logged."""
    session: int = 0
    """Session id from `SessionOpen`, 0 for a write that may not be retried."""
    seq: int = 0
    """Number of the write within its session, from 1."""
    acked: int = 0
    """Lowest number the client still waits for; answers below it are forgotten."""
    hash: str = ""
    """Of the numbered command, 64 bits in hex: a reused number with another command is refused."""
    max_depth: int = DEFAULT_MAX_DEPTH
    max_list: int = DEFAULT_MAX_LIST

    def check_values(self) -> None:
        """Refuse values that are nested: no kind has such a form, and the log stays flat.

        Raises:
            BadValue: names the field and what was given.
        """
        for field, value in self._values():
            if type(value) not in _SCALARS and not (type(value) is list and _SCALARS.issuperset(map(type, value))):
                raise BadValue(f"field {field}: expected a plain value or a list of them, given a nested one")

    def _values(self) -> Iterable[tuple[str, Any]]:
        return ()


class Create(Command, tag="create"):
    """Create an entity; it is appended to its parent's Children. No parent: it stands alone."""

    method = "create"

    type: str
    name: str
    parent: IdForm | None = None
    fields: dict[str, Any] = {}

    def _values(self) -> Iterable[tuple[str, Any]]:
        return self.fields.items()


class Delete(Command, tag="delete"):
    """Delete an entity and everything below it."""

    method = "delete"

    id: IdForm


class Expect(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The field's value or revision the writer believes is there; otherwise `conflict`.

    `epoch` is the one that was current when the writer read the revision: of another history, it is a `conflict` too.
    """

    value: Any = msgspec.UNSET
    revision: int | msgspec.UnsetType = msgspec.UNSET
    epoch: str | None = None


class SetFields(Command, tag="set"):
    """Write one field (`field`, `value`) or several of one entity (`fields`), all or nothing."""

    method = "set"

    id: IdForm
    field: str | None = None
    value: Any = msgspec.UNSET
    mode: Mode = "set"
    when: When = "always"
    time: int | str | None = None
    """Write time, RFC 3339 or ns since 1970."""
    expect: Expect | None = None
    fields: dict[str, Any] | None = None

    def _values(self) -> Iterable[tuple[str, Any]]:
        if self.value is not msgspec.UNSET:
            yield self.field or "", self.value
        if self.expect is not None and self.expect.value is not msgspec.UNSET:
            yield "expect", self.expect.value
        if self.fields is not None:
            yield from self.fields.items()


class SchemaSet(Command, tag="schema.set"):
    """Set one schema or many, ordered topologically, all or nothing."""

    method = "schema.set"

    schema: EntitySchema | None = None
    schemas: list[EntitySchema] | None = None
    dry_run: bool = False
    """Say what would happen; nothing is written."""
    reset: bool = False
    """Let values go that the change would reset; without it they are in use."""

    def _values(self) -> Iterable[tuple[str, Any]]:
        for schema in [*(self.schemas or ()), *([self.schema] if self.schema else ())]:
            yield from ((f"{schema.entity_type}.{field.name}", field.default) for field in schema.fields)


class FieldChange(msgspec.Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """Properties of a field to set; what is left out stays as it is, or takes its default in a new field."""

    data_type: Kind | None = None
    default: Any = msgspec.UNSET
    rank: int | None = None
    choices: list[str] | None = None
    storage_scope: Scope | None = None


class FieldSet(Command, tag="field.set"):
    """Add a field to a type, or change properties of one; a new field gets the highest rank + 1."""

    method = "field.set"

    type: str
    field: str
    schema: FieldChange
    dry_run: bool = False
    reset: bool = False
    """Both as those of `SchemaSet`."""

    def _values(self) -> Iterable[tuple[str, Any]]:
        if self.schema.default is not msgspec.UNSET:
            yield f"{self.type}.{self.field}", self.schema.default


class SchemaDelete(Command, tag="schema.delete"):
    """Delete a type that has neither entities nor descendants."""

    method = "schema.delete"

    type: str


class SnapshotRestore(Command, tag="snapshot.restore"):
    """Make the store what an uploaded document says; `prune` deletes what the document does not list.

    `reset` lets values go that the document does not mention and that its types have no place for.
    """

    method = "snapshot.restore"

    upload: str
    prune: bool = False
    reset: bool = False


class SessionOpen(Command, tag="session.open"):
    """Open a session; its id is given by the state machine."""

    method = "session.open"


class TreeNode(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """An entity of the tree a schema file brings."""

    type: str
    name: str
    fields: dict[str, Any] = {}
    children: list[TreeNode] = []


class Bootstrap(Command, tag="bootstrap"):
    """Schemas and tree of `--config-file`, once: a no-op where the state already holds the mark."""

    method = "bootstrap"

    schemas: list[EntitySchema]
    tree: list[TreeNode]
    file_hash: str
