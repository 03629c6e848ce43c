"""A command made ready for the log: cleared of what clients may not say, bounded by this node's limits, cut if long."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from qcore.model.requests.commands import DEFAULT_MAX_DEPTH, DEFAULT_MAX_LIST, Command, FieldSet, SchemaSet
from qcore.model.requests.compound import COMPOUND
from qcore.model.requests.restore import Restore
from qcore.model.requests.sizes import check_sizes
from qcore.model.schema import MAX_COMPLETE, MAX_FIELDS
from qcore.model.wire import cut_text, encode_json, text_size
from qcore.server.config.settings import Settings
from qcore.server.runtime import budgets
from qcore.store.budget import BUDGET_LEVEL
from qcore.store.schemas import RESET_LEVEL

__all__ = ["cut", "refuse_oversize", "seal", "set_limits"]


def refuse_oversize(command: Command, size: int, settings: Settings, level: int) -> None:
    """Refuse a long command, of so many bytes, that no state would take.

    Raises:
        TooLarge: see `check_sizes`.
    """
    if size > budgets.SIZED_COMMAND_BYTES:
        check_sizes(command, settings.max_list, MAX_FIELDS if level >= BUDGET_LEVEL else MAX_COMPLETE)


def seal(command: Command) -> None:
    """Clear what only the leader decides, and give a numbered command the hash that a retry must repeat."""
    for each in _with_steps(command):
        each.timeout = None
        each.hash = ""
        each.max_depth = DEFAULT_MAX_DEPTH
        each.max_list = DEFAULT_MAX_LIST
    if command.session:
        session, seq, acked = command.session, command.seq, command.acked
        command.session = command.seq = command.acked = 0
        command.hash = blake2b(encode_json(command), digest_size=8).hexdigest()
        command.session, command.seq, command.acked = session, seq, acked


def set_limits(command: Command, settings: Settings, level: int) -> None:
    """Write the leader's limits into a sealed command, so that every replica applies the same ones.

    What is new with a feature level above the one in force is left out: a version that knows no more must read it.
    """
    # Only what differs from the default: an equal number that is another object would be written, too.
    for each in _with_steps(command):
        if settings.max_depth != DEFAULT_MAX_DEPTH:
            each.max_depth = settings.max_depth
        if settings.max_list != DEFAULT_MAX_LIST:
            each.max_list = settings.max_list
        if level < RESET_LEVEL and isinstance(each, SchemaSet | FieldSet | Restore):
            each.reset = False


def cut(command: Command) -> list[tuple[str, int]]:
    """The JSON of a sealed command in parts, and how many bytes each has."""
    return [(text, text_size(text)) for text in cut_text(encode_json(command), budgets.COMMAND_PART_BYTES)]


def _with_steps(command: Command) -> Sequence[Command]:
    """The command, and the writes that it holds as a pipeline or transaction."""
    if isinstance(command, COMPOUND):
        return command, *(step for step in command.commands if isinstance(step, Command))
    return (command,)
