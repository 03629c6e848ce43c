"""The commands that may take long: works, which look at the state, ask for a workspace, and write there.

A lone one that touches much gets a draft (`qcore.store.state.draft`) to write to, so that others have their turn in its
pauses and see nothing of it. In a compound, and where it is short, it writes to the state and never pauses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qcore.model.leader_commands import RunStaged
from qcore.model.requests.commands import Bootstrap, Command, Delete, FieldSet, SchemaSet, TreeNode
from qcore.model.requests.compound import COMPOUND
from qcore.model.requests.restore import Restore
from qcore.model.work import PACE, Work, emptying
from qcore.store.bootstrap import bootstrap
from qcore.store.delete import delete
from qcore.store.documents.restore import restore
from qcore.store.schemas import set_field_schema, set_schemas
from qcore.store.state.entity import CHILDREN
from qcore.store.state.state import State

__all__ = ["LONG_COMMANDS", "MAYBE_LONG", "may_be_long", "taking_apart"]

LONG_COMMANDS: dict[type[Any], Callable[..., Work[Any]]] = {
    Bootstrap: bootstrap,
    Delete: delete,
    FieldSet: set_field_schema,
    Restore: restore,
    SchemaSet: set_schemas,
}
"""Each takes state, command and context."""

MAYBE_LONG = frozenset({*LONG_COMMANDS, RunStaged})
"""One that is in parts may be any."""


def may_be_long(state: State, command: Command) -> bool:
    """Whether one of `MAYBE_LONG` is worth the trouble; most deletions are of one entity, named by its number."""
    if type(command) is Delete and type(command.id) is int:
        entity = state.entities.get(command.id)
        return entity is not None and bool(entity.values[CHILDREN])
    return True


def taking_apart(command: Command) -> Work[None]:
    """Free a command that nobody else has."""
    if isinstance(command, Restore):
        return emptying(command.document.entities)
    if isinstance(command, COMPOUND):
        return emptying(command.commands)
    return _fell(command.tree if isinstance(command, Bootstrap) else [])


def _fell(tree: list[TreeNode]) -> Work[None]:
    """Take a tree apart from its leaves up."""
    nodes = list(tree)
    tree.clear()
    while nodes:
        for _ in range(min(PACE, len(nodes))):
            node = nodes.pop()
            nodes += node.children
            node.children = []
            if not nodes:
                break
        yield
