"""What each read of the API does: from its typed params to its result, or to a work that returns it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from qcore.model.requests import queries
from qcore.model.requests.commands import FieldSet, SchemaSet
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

__all__ = ["ReadTable"]

_Tried = TypeVar("_Tried", SchemaSet, FieldSet)


class ReadTable:
    """Runs reads against the state; `about` are those that ask about this node."""

    def __init__(self, settings: Settings, state: State, about: Mapping[type[Any], Callable[[Any], Any]]) -> None:
        self._settings = settings
        self._state = state
        self.filters = Filters(state)
        max_page = settings.max_page
        self._runs: dict[type[Any], Callable[[Any], Any]] = {
            queries.Ping: lambda _query: "PONG",
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
            **about,
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
