"""Putting a new node's directory in its place, offline: a cluster of one that holds a state, under a new cluster id.

It is built beside its place and read back before it takes that; what was there is kept under another name. It has no
log: a snapshot holds everything, as if the log before it was purged. A crash leaves the old one or the new one, whole.
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
from qcore.disk.identity import Identity, new_identity
from qcore.disk.lock import take_lock
from qcore.disk.repair import drop_log
from qcore.disk.snapshot_files import SnapshotHeader
from qcore.disk.swap import put_in_place
from qcore.disk.writer import DiskWriter
from qcore.model.entry import LogId, Member, Membership, Vote, raft_node_id
from qcore.model.errors import Damaged, DiskFailed
from qcore.server.recovery import load
from qcore.store.state.snapshot_lines import StateSnapshot
from qcore.store.state.state import State

__all__ = ["NewDirectory", "alone", "give_owner", "identity_of_new_cluster", "put_new_directory"]

_PIECE = 1 << 20
"""Bytes that are written at a time."""


class NewDirectory(msgspec.Struct, frozen=True):
    """What a directory is to be.

    Attributes:
        identity: of its node.
        state: what it holds.
        last: log id up to which that is applied.
        membership, membership_id: the node as the only member, and the log id of that entry.
    """

    identity: Identity
    state: State
    last: LogId
    membership: Membership
    membership_id: LogId


def identity_of_new_cluster(node: int, machine: str | None, generation: int = 0) -> Identity:
    """The identity of a disk that belongs to a cluster which nobody has heard of yet."""
    fresh = new_identity(node, machine)
    return msgspec.structs.replace(fresh, generation=generation, cluster=secrets.token_hex(16))


def alone(identity: Identity, addr: str) -> Membership:
    """The membership of a node that others reach at `addr`, ``host:port``, and nobody else."""
    node = raft_node_id(identity.node, identity.generation)
    return Membership([[node]], {node: Member(addr, identity.incarnation)})


def put_new_directory(place: Path, new: NewDirectory, between: Callable[[], None] = lambda: None) -> Path | None:
    """Make a node's directory at `place`; returns where the one before it is now, None if there was none.

    Who calls keeps daemons out of the one that is there. `between` is called now and then. Blocking.

    Raises:
        AlreadyRunning: another process is doing the same.
        DiskFailed: it cannot be written; everything is as it was.
    """
    with _building(place.parent, f".{place.name}.restoring") as room:
        _build(room, new, between)
        _read_back(room / place.name, new.state, between)
        give_owner(room / place.name, _owned_alike(place))
        backup = _free_name(place) if os.path.lexists(place) else None
        put_in_place(room / place.name, place, backup)
    return backup


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


def _build(room: Path, new: NewDirectory, between: Callable[[], None]) -> None:
    identity, last = new.identity, new.last
    with closing(Directory.open(room, identity.node, machine=identity.machine)) as directory:
        directory.save_identity(identity)
        directory.save_vote(Vote(last.term, last.node, committed=True))
        _write_snapshot(directory, new, between)
        writer = DiskWriter(directory, lambda _: None)
        drop_log(writer, last)
        writer.run_pending()
        directory.save_committed(last, sync=True)


def _write_snapshot(directory: Directory, new: NewDirectory, between: Callable[[], None]) -> None:
    state, last = new.state, new.last
    snapshot = StateSnapshot(state)
    header = SnapshotHeader(
        last=last,
        membership=new.membership,
        membership_id=new.membership_id,
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
    if (found.digest(), found.rest().digest()) != (state.digest(), state.rest().digest()):
        raise DiskFailed(f"the disk gives back another state than was written to {path}", path=str(path))


def give_owner(path: Path, folder: Path) -> None:
    """Give all of a node's directory to whom `folder` belongs, if that is somebody else than who runs this.

    Raises:
        DiskFailed: that may not be done.
    """
    owner = _owner_of(folder)
    if owner == (os.geteuid(), os.getegid()):
        return
    try:
        for at, _, names in os.walk(path):
            for each in (at, *(os.path.join(at, name) for name in names)):
                os.chown(each, *owner, follow_symlinks=False)
    except OSError as error:
        raise DiskFailed(f"cannot give {path} the owner of {folder}: {error.strerror}") from error


def _owned_alike(place: Path) -> Path:
    """The data directory, or where that is the caller's own, what is at `place`, if anything is: the service's."""
    folder = place.parent
    return place if _owner_of(folder) == (os.geteuid(), os.getegid()) and place.exists() else folder


def _owner_of(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_uid, found.st_gid


def _free_name(place: Path) -> Path:
    """``node_1.bak-<time>``, with a number behind it where that is taken."""
    stem = f"{place.name}.bak-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    number = 1
    while os.path.lexists(backup := place.with_name(stem if number == 1 else f"{stem}-{number}")):
        number += 1
    return backup
