"""What each read of the API does: from its typed params to its result, or to a work that returns it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from qcore.disk.directory import Directory
from qcore.engine.base import Engine
from qcore.model.requests import queries
from qcore.model.requests.commands import FieldSet, SchemaSet
from qcore.model.requests.results import InfoResult, MachineResult, MemberInfo
from qcore.model.requests.sizes import check_sizes
from qcore.model.schema import MAX_COMPLETE, MAX_FIELDS
from qcore.model.wire import encode_json
from qcore.server.config.settings import Settings
from qcore.server.reads.filters import Filters
from qcore.server.runtime import budgets
from qcore.store import read
from qcore.store.budget import BUDGET_LEVEL
from qcore.store.schemas import try_field_schema, try_schemas
from qcore.store.search import find as search
from qcore.store.state.state import State
from qcore.store.watch.history import History
from qcore.version import VERSION

__all__ = ["ReadTable"]

_Tried = TypeVar("_Tried", SchemaSet, FieldSet)

LIMITS = (
    "max_batch",
    "max_connections",
    "max_depth",
    "max_entry_mb",
    "max_exports",
    "max_list",
    "max_message_mb",
    "max_page",
    "max_pending",
    "max_pipeline",
    "max_subscriptions",
    "max_upload_mb",
    "request_timeout",
    "send_queue_mb",
    "watch_history",
    "watch_history_mb",
    "watch_queue_mb",
)
"""Settings that `info` shows as limits."""


class ReadTable:
    """Runs reads against the state, and those that ask about this node."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        engine: Engine,
        directory: Directory,
        addr: str,
        history: History,
        waiting: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._state = state
        self._engine = engine
        self._directory = directory
        self._addr = addr
        self._history = history
        self._waiting = waiting
        self._begun = time.monotonic()
        self.filters = Filters(state)
        max_page = settings.max_page
        self._runs: dict[type[Any], Callable[[Any], Any]] = {
            queries.Ping: lambda _query: "PONG",
            queries.Info: self._info,
            queries.Machine: self._machine,
            queries.Digest: lambda query: read.digest(state, query),
            queries.Exists: lambda query: read.exists(state, query),
            queries.Get: lambda query: read.get(state, query),
            queries.Find: lambda query: search.find(state, query, max_page, self.filters.bound(query)),
            queries.Count: lambda query: search.count(state, query, self.filters.bound(query)),
            queries.FieldGet: lambda query: read.field_get(state, query),
            queries.FieldExists: lambda query: read.field_exists(state, query),
            SchemaSet: lambda command: try_schemas(state, self._of_any_store(command)),
            FieldSet: lambda command: try_field_schema(state, self._of_any_store(command)),
            queries.TypesList: lambda query: read.types(state, query, max_page),
            queries.SchemaGet: lambda query: read.schema_get(state, query),
            queries.SchemaComplete: lambda query: read.schema_complete(state, query),
        }

    def run(self, params: Any) -> Any:
        """Run a read: its result, or a work that returns it.

        Raises:
            RequestError: the answer.
        """
        return self._runs[type(params)](params)

    def _of_any_store(self, command: _Tried) -> _Tried:
        """A dry run of a command that is not too long for every store, as the command itself must not be."""
        if len(encode_json(command)) > budgets.SIZED_COMMAND_BYTES:
            max_fields = MAX_FIELDS if self._state.level >= BUDGET_LEVEL else MAX_COMPLETE
            check_sizes(command, self._settings.max_list, max_fields)
        return command

    def _machine(self, _query: queries.Machine) -> MachineResult:
        identity = self._directory.identity
        return MachineResult(identity.machine, identity.node)

    def _info(self, _query: queries.Info) -> InfoResult:
        state, status, identity = self._state, self._engine.status(), self._directory.identity
        return InfoResult(
            node=identity.node,
            machine=identity.machine,
            cluster=status.cluster,
            version=VERSION,
            role=status.role,
            leader=status.leader,
            term=status.term,
            members=[MemberInfo(identity.node, self._addr, status.role, 0, True)],
            log_first=status.first,
            log_last=status.last,
            committed=status.committed,
            applied=state.applied if state.applied >= 0 else None,
            revision=state.revision,
            oldest_event=self._history.oldest,
            epoch=state.epochs.current,
            counts={name: count for name, count in sorted(state.counts.items()) if count},
            sessions=len(state.sessions),
            engine=self._engine.name,
            durability=self._engine.durability,
            uptime=round(time.monotonic() - self._begun, 3),
            data_dir=str(self._directory.path),
            limits={name: getattr(self._settings, name) for name in LIMITS},
            waiting=self._waiting(),
        )
