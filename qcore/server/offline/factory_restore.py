"""Making a node's directory of a JSON snapshot, offline: the store is what the document says, under a new cluster id.

The directory is built beside its place and read back before it takes that. It has no log: a snapshot holds everything,
as if the log before it was purged. Sessions and epochs begin anew, and no schema file is loaded over it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.disk.identity import Identity
from qcore.disk.lock import Lock, share_lock, take_lock
from qcore.disk.repair import drop_log
from qcore.disk.snapshot_files import SnapshotHeader
from qcore.disk.swap import put_in_place
from qcore.disk.writer import DiskWriter
from qcore.model.documents.document import Document, with_texts
from qcore.model.documents.limits import check_limits
from qcore.model.documents.password import SALT_BYTES, hash_password
from qcore.model.entry import Entry, EntryBody, LogId, Member, Membership, Vote, raft_node_id
from qcore.model.errors import Conflict, Damaged, DiskFailed
from qcore.model.leader_commands import RaiseLevel
from qcore.model.requests.restore import Restore
from qcore.server.config.settings import Settings
from qcore.server.recovery import load
from qcore.store.apply import applying_entry
from qcore.store.documents.plan import prepare
from qcore.store.state.snapshot_lines import StateSnapshot
from qcore.store.state.state import State

__all__ = ["FactoryRestored", "factory_restore"]

_TERM = 1
_PIECE = 1 << 20
"""Bytes that are written at a time."""


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
    data_dir = settings.data_dir.absolute()
    place = data_dir / f"node_{settings.id}"
    with _held(place, force):
        state = _restored(document, settings, between)
        with _building(data_dir, f".node_{settings.id}.restoring") as room:
            identity = _build(room, state, settings, between)
            _read_back(room / place.name, state, between)
            _give_owner(room / place.name, _owner_of(data_dir))
            backup = _free_name(place) if os.path.lexists(place) else None
            put_in_place(room / place.name, place, backup)
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


@contextmanager
def _building(data_dir: Path, name: str) -> Iterator[Path]:
    """A folder to build in, which is gone afterwards, and so is what an attempt before has left."""
    room = data_dir / name
    try:
        _clear(room)
    except OSError as error:
        raise DiskFailed(f"cannot remove {room}: {error.strerror}", path=str(room)) from error
    Files().make_folder(str(room))
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _clear(room: Path) -> None:
    """Remove what an attempt before has left.

    Raises:
        AlreadyRunning: it is still going on.
    """
    for left in room.glob("node_*"):
        with closing(take_lock(left)):
            shutil.rmtree(left)
    if room.exists():
        shutil.rmtree(room)


def _build(room: Path, state: State, settings: Settings, between: Callable[[], None]) -> Identity:
    last = _log_id(settings, 1)
    with closing(Directory.open(room, settings.id, machine=settings.machine)) as directory:
        identity = msgspec.structs.replace(directory.identity, cluster=secrets.token_hex(16))
        directory.save_identity(identity)
        directory.save_vote(Vote(_TERM, last.node, committed=True))
        member = Member(settings.advertise or settings.ws_addr, identity.incarnation)
        membership = Membership([[last.node]], {last.node: member})
        _write_snapshot(directory, state, last, membership, between)
        writer = DiskWriter(directory, lambda _: None)
        drop_log(writer, last)
        writer.run_pending()
        directory.save_committed(last, sync=True)
    return identity


def _write_snapshot(
    directory: Directory, state: State, last: LogId, membership: Membership, between: Callable[[], None]
) -> None:
    snapshot = StateSnapshot(state)
    header = SnapshotHeader(
        last=last,
        membership=membership,
        membership_id=LogId(last.term, last.node, 0),
        feature=state.level,
        time=state.time,
        revision=snapshot.revision,
        digest=snapshot.digest,
        counts=snapshot.counts,
    )
    writer = directory.snapshots.begin(header, int(time.time()))
    piece = bytearray()
    for lines in snapshot.pieces():
        piece += lines
        if len(piece) >= _PIECE:
            writer.write(bytes(piece))
            between()
            piece.clear()
    writer.write(bytes(piece))
    directory.snapshots.add(writer.finish())
    snapshot.release()


def _read_back(path: Path, state: State, between: Callable[[], None]) -> None:
    """Refuse a directory that does not give back what was written.

    Raises:
        DiskFailed: it does not.
    """
    try:
        with closing(Directory.look(path)) as looked:
            looked.refuse_damaged()
            found, _ = load(looked, between)
    except Damaged as problem:
        where = problem.data.get("path", path)
        raise DiskFailed(f"the disk does not give back what was written to {where}", path=str(path)) from problem
    if found.digest() != state.digest():
        raise DiskFailed(f"the disk gives back another state than was written to {path}", path=str(path))


def _owner_of(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_uid, found.st_gid


def _give_owner(path: Path, owner: tuple[int, int]) -> None:
    """Give all of it to whom the data directory belongs, where that is somebody else than who runs this."""
    if owner == (os.geteuid(), os.getegid()):
        return
    try:
        for folder, _, names in os.walk(path):
            for each in (folder, *(os.path.join(folder, name) for name in names)):
                os.chown(each, *owner, follow_symlinks=False)
    except OSError as error:
        raise DiskFailed(f"cannot give {path} the owner of {path.parent}: {error.strerror}") from error


def _free_name(place: Path) -> Path:
    """``node_1.bak-<time>``, with a number behind it where that is taken."""
    stem = f"{place.name}.bak-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    number = 1
    while os.path.lexists(backup := place.with_name(stem if number == 1 else f"{stem}-{number}")):
        number += 1
    return backup
