"""Making a node's directory of a JSON snapshot, offline: the store is what the document says, under a new cluster id.

Sessions and epochs begin anew, and no schema file is loaded over it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from qcore.disk.lock import Lock, share_lock, take_lock
from qcore.model.documents.document import Document, with_texts
from qcore.model.documents.limits import check_limits
from qcore.model.documents.password import SALT_BYTES, hash_password
from qcore.model.entry import Entry, EntryBody, LogId, raft_node_id
from qcore.model.errors import Conflict
from qcore.model.leader_commands import RaiseLevel
from qcore.model.requests.restore import Restore
from qcore.server.config.settings import Settings
from qcore.server.offline.new_directory import NewDirectory, alone, identity_of_new_cluster, put_new_directory
from qcore.store.apply import applying_entry
from qcore.store.documents.plan import prepare
from qcore.store.state.state import State

__all__ = ["FactoryRestored", "factory_restore"]

_TERM = 1


class FactoryRestored(msgspec.Struct, frozen=True):
    """What was made: the node's directory, and where the one before it is now (None: there was none)."""

    path: Path
    backup: Path | None
    cluster: str
    machine: str
    entities: int


def factory_restore(
    document: Document, settings: Settings, *, force: bool = False, between: Callable[[], None] = lambda: None
) -> FactoryRestored:
    """Make the directory of node `settings.id` in `settings.data_dir` of a document that has no problems.

    `force` puts it in the place of one that is there, which is kept under another name. `between` is
    called now and then. Blocking.

    Raises:
        Conflict: there is a directory, and `force` is not given.
        AlreadyRunning: a process uses it.
        RequestError: no store of this node could hold the document.
        DiskFailed: it cannot be written.
    """
    place = settings.directory.absolute()
    with _held(place, force):
        state = _restored(document, settings, between)
        identity = identity_of_new_cluster(settings.id, settings.machine)
        membership = alone(identity, settings.advertise or settings.ws_addr)
        new = NewDirectory(identity, state, _log_id(settings, 1), membership, _log_id(settings, 0))
        backup = put_new_directory(place, new, between)
    return FactoryRestored(place, backup, identity.cluster, identity.machine, len(state.entities))


@contextmanager
def _held(place: Path, force: bool) -> Iterator[None]:
    """Keep a daemon out of the directory, if there is one."""
    if not os.path.lexists(place):
        yield
        return
    lock: Lock = take_lock(place) if force else share_lock(place)
    with closing(lock):
        if not force:
            raise Conflict(f"{place} is there already; --force puts the restored one in its place and keeps it beside")
        yield


def _restored(document: Document, settings: Settings, between: Callable[[], None]) -> State:
    """The state that the document is, as an entry of the log would make it."""
    prepared = prepare(document)
    check_limits(prepared.document, prepared.tree, prepared.types, settings.max_depth, settings.max_list)
    texts = {(at, field): hash_password(text, os.urandom(SALT_BYTES)) for at, field, text in prepared.passwords}
    command = Restore(with_texts(document, texts), prune=True)
    command.max_depth, command.max_list = settings.max_depth, settings.max_list
    level = settings.feature_level
    state = State()
    body = EntryBody(level, time.time_ns(), "commands", [RaiseLevel(level), command])
    for outcome in applying_entry(state, Entry(_log_id(settings, 1), body)):
        between()
        if outcome is not None and outcome.error is not None:
            raise outcome.error
    return state


def _log_id(settings: Settings, index: int) -> LogId:
    return LogId(_TERM, raft_node_id(settings.id, 0), index)
