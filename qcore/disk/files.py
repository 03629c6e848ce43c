"""The file operations that every write of a node's directory goes through.

One `Files` stands for one daemon's use of its disk: after the first failed write or fsync it refuses every
later one, because the page cache may hold what the disk lacks. What the bytes mean is said elsewhere.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy

from qcore.disk.damage import damaged
from qcore.disk.held_folder import HeldFolder
from qcore.disk.sync_times import SyncTimes
from qcore.model.errors import DiskFailed

__all__ = ["TEMPORARY", "Files", "open_regular"]

TEMPORARY = ".tmp"
"""Suffix of files that have no name of their own yet; left behind by a crash only."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = _WRITE | os.O_CREAT | os.O_TRUNC
_CREATE_NEW = _WRITE | os.O_CREAT | os.O_EXCL
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_MODE = 0o640
_FOLDER_MODE = 0o750

_HINTS = {
    errno.EACCES: f"the user qcore runs as (uid {os.geteuid()}) needs permission to read and write there",
    errno.EPERM: f"the user qcore runs as (uid {os.geteuid()}) needs permission to read and write there",
    errno.EROFS: "the file system is read-only; mount it for writing or choose another data directory",
    errno.ENOSPC: "the disk is full; make room, then start again",
    errno.EDQUOT: "the disk quota is used up; make room, then start again",
    errno.EEXIST: "a file stands where a folder is needed; choose another data directory",
}


_syncfs: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "syncfs", None)
"""Flushes the file system of a descriptor; not 0 if it failed."""

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL})
"""What a file system answers that gives no second name to a file."""


class Files:
    """Durable file operations by absolute path; each raises `DiskFailed` and names what failed.

    Nothing is read or written through symbolic links. What lies in a folder that is held (`hold`) is reached by its
    descriptor, so that nothing is ever done in another one that was put in its place; before anything else is changed
    the held ones are looked at.

    Attributes:
        links: whether the file system gave a file a second name as long as it was asked to.
        whole: whether the file system may be flushed as a whole in place of several files.
        syncs: how long flushes took, those of every `apart`, too.
    """

    def __init__(self) -> None:
        self.links = True
        self.whole = False
        self.syncs = SyncTimes()
        self._failure: str | None = None
        self._held: dict[str, HeldFolder] = {}

    def hold(self, path: str) -> None:
        """Reach what lies in this folder by its descriptor from now on, until `close`.

        Raises:
            DiskFailed: it cannot be opened.
        """
        self._held[path] = HeldFolder(path, *self._at(path))

    def check_places(self) -> None:
        """Refuse to go on if another folder was put in the place of a held one.

        Raises:
            DiskFailed: it names the folder; nothing is written any more.
        """
        try:
            for folder in self._held.values():
                folder.check_place()
        except DiskFailed as error:
            self._failure = error.message
            raise

    def store(self, path: str, data: bytes) -> None:
        """Create or replace a file whole: it is durable on return, and a crash leaves the old or the new one."""
        temporary = path + TEMPORARY
        self.write(temporary, data)
        self.rename(temporary, path)
        self.sync_folder(os.path.dirname(path))

    def write(self, path: str, data: bytes) -> None:
        """Write a file from its start and fsync it; its name is not durable yet."""
        with self._writing("write", path) as (name, folder):
            descriptor = os.open(name, _CREATE, _FILE_MODE, dir_fd=folder)
            try:
                _write_all(descriptor, data)
                self.fsync(descriptor, path)
            finally:
                os.close(descriptor)

    def overwrite(self, path: str, data: bytes, sync: bool) -> None:
        """Write over the first bytes of a file that is no shorter; durable on return only with `sync`."""
        name, folder = self._place("overwrite", path)
        try:  # not `_writing`: each entry of the log comes this way
            descriptor = os.open(name, _WRITE, dir_fd=folder)
            try:
                _write_all(descriptor, data)
                if sync:
                    self.fdatasync(descriptor, path)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._failed("overwrite", path, error) from error

    def extend(self, path: str, data: bytes, sync: bool) -> None:
        """Write behind the end of a file that is there; durable on return only with `sync`."""
        with self._writing("write", path) as (name, folder):
            descriptor = os.open(name, _WRITE | os.O_APPEND, dir_fd=folder)
            try:
                _write_all(descriptor, data)
                if sync:
                    self.fsync(descriptor, path)
            finally:
                os.close(descriptor)

    def apart(self) -> Files:
        """The same disk for files that may fail by themselves: neither hears of the other's failure."""
        twin = copy(self)
        twin._failure = None
        return twin

    def create(self, path: str, data: bytes) -> int | None:
        """Write a new file and return its descriptor, for `finish`; None if the name is taken."""
        with self._writing("create", path) as (name, folder):
            try:
                descriptor = os.open(name, _CREATE_NEW, _FILE_MODE, dir_fd=folder)
            except FileExistsError:
                return None
            return _filled(descriptor, data)

    def open_over(self, path: str, data: bytes) -> int:
        """Write over the first bytes of a file that is no shorter and return its descriptor, for `finish`."""
        with self._writing("overwrite", path) as (name, folder):
            return _filled(os.open(name, _WRITE, dir_fd=folder), data)

    def finish(self, descriptor: int, path: str, *, grown: bool) -> None:
        """Sync a file that `create` or, with `grown` False, `open_over` left open; a new name is not durable yet."""
        with self._writing("write", path):
            if grown:
                self.fsync(descriptor, path)
            else:
                self.fdatasync(descriptor, path)

    def sync_all(self, folder: str) -> bool:
        """Make all that was written to the file system of a held folder durable, its names, too: one flush for many.

        False where that cannot be relied on, or failed, perhaps for somebody else's file: then each file that is
        still open tells by `finish` how it fared.
        """
        if not self.whole or _syncfs is None or self._failure is not None:
            return False
        begun = time.monotonic()
        failed = _syncfs(self._held[folder].descriptor)
        self.syncs.add(self.syncs.fsync, time.monotonic() - begun)
        return not failed

    def fsync(self, descriptor: int, path: str) -> None:
        """Make the file's content durable. `path` is only told to whoever listens in."""
        begun = time.monotonic()
        os.fsync(descriptor)
        self.syncs.add(self.syncs.fsync, time.monotonic() - begun)

    def fdatasync(self, descriptor: int, path: str) -> None:
        """Make content durable that was written over the old one of a file of the same size."""
        begun = time.monotonic()
        os.fdatasync(descriptor)
        self.syncs.add(self.syncs.fdatasync, time.monotonic() - begun)

    def rename(self, source: str, target: str) -> None:
        """Rename within a folder, replacing the target; durable after `sync_folder`."""
        with self._writing("rename", source) as (name, folder):
            os.rename(name, self._at(target)[0], src_dir_fd=folder, dst_dir_fd=folder)

    def move(self, source: str, target: str) -> bool:
        """Rename within a folder, but never over another file: False, and no rename, if the target is taken.

        For a moment the file has both names; where there are no second names it is False, too, and `links` tells.
        Durable after `sync_folder`.
        """
        with self._writing("rename", source) as (name, folder):
            try:
                self.link(source, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self.links = False
                return False
            os.unlink(name, dir_fd=folder)
            return True

    def link(self, source: str, target: str) -> None:
        """Give a file a second name within its folder."""
        name, folder = self._at(source)
        os.link(name, self._at(target)[0], src_dir_fd=folder, dst_dir_fd=folder)

    def unlink(self, path: str) -> None:
        """Remove a file; durable after `sync_folder`."""
        with self._writing("remove", path) as (name, folder):
            os.unlink(name, dir_fd=folder)

    def make_folder(self, path: str) -> None:
        """Create a folder and the missing ones above it, each durable before the next."""
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path)
        self.make_folder(parent)
        self.mkdir(path)
        self.sync_folder(parent)

    def mkdir(self, path: str) -> None:
        """Create one folder; durable after `sync_folder` of its parent."""
        with self._writing("create the folder", path) as (name, folder):
            os.mkdir(name, _FOLDER_MODE, dir_fd=folder)

    def sync_folder(self, path: str) -> None:
        """Make every name that was created, changed or removed in a folder durable."""
        held = self._held.get(path)
        with self._writing("fsync the folder", path):
            descriptor = os.open(path, _FOLDER) if held is None else held.descriptor
            begun = time.monotonic()
            try:
                os.fsync(descriptor)
            finally:
                self.syncs.add(self.syncs.fsync, time.monotonic() - begun)
                if held is None:
                    os.close(descriptor)

    def shape(self, path: str) -> tuple[int, int] | None:
        """Return a file's size in bytes and its number of names; None if there is no such file."""
        try:
            name, folder = self._at(path)
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskFailed(_message("examine", path, error)) from error
        return found.st_size, found.st_nlink

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, in no order; none if there is no such folder.

        Raises:
            Damaged: it is a symbolic link or no folder.
            DiskFailed: qcore may not read it.
        """
        try:
            descriptor = os.open(folder, _READ | os.O_DIRECTORY)
            try:
                return os.listdir(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return []
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise damaged(folder, f"expected a folder, found {_kind(folder)}") from error
            raise DiskFailed(_message("list", folder, error)) from error

    def read(self, path: str) -> bytes | None:
        """Return a file's content, None if there is no such file.

        Raises:
            Damaged: the disk does not give it back.
            DiskFailed: qcore may not read it.
        """
        try:
            with open(open_regular(path, *self._at(path)), "rb", buffering=0) as file:
                return file.read()
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise DiskFailed(_message("read", path, error)) from error
        except OSError as error:
            raise damaged(path, f"it cannot be read: {error.strerror}") from error

    def close(self) -> None:
        """Give the held folders back."""
        while self._held:
            self._held.popitem()[1].close()

    def _at(self, path: str) -> tuple[str, int | None]:
        """The name of a file in its folder, if that is held, and the folder's descriptor; else its path."""
        folder, _, name = path.rpartition("/")
        held = self._held.get(folder)
        return (path, None) if held is None else (name, held.descriptor)

    def _place(self, action: str, path: str) -> tuple[str, int | None]:
        """Where to do what changes something, unless nothing may be changed any more."""
        if self._failure is not None:
            raise DiskFailed(f"refused to {action} {path} after an earlier failure: {self._failure}")
        place = self._at(path)
        if place[1] is None:
            self.check_places()
        return place

    @contextmanager
    def _writing(self, action: str, path: str) -> Iterator[tuple[str, int | None]]:
        place = self._place(action, path)
        try:
            yield place
        except OSError as error:
            raise self._failed(action, path, error) from error

    def _failed(self, action: str, path: str, error: OSError) -> DiskFailed:
        self._failure = _message(action, path, error)
        return DiskFailed(self._failure, path=path, errno=error.errno)


def open_regular(path: str, name: str = "", folder: int | None = None) -> int:
    """Open a file for reading; never waits, as for the writer of a FIFO.

    With `name` it is opened by that in an open `folder`, and `path` is only told.

    Raises:
        Damaged: it is a symbolic link, or no file at all.
        OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(name or path, _READ, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise damaged(path, f"expected a file, found {_kind(path)}") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise damaged(path, f"expected a file, found {_kind(path)}")
    return descriptor


def _kind(path: str) -> str:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a FIFO" if stat.S_ISFIFO(mode) else "a file" if stat.S_ISREG(mode) else "a socket or device"


def _filled(descriptor: int, data: bytes) -> int:
    """Write to a file that stays open, but not if that fails."""
    try:
        _write_all(descriptor, data)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])


def _message(action: str, path: str, error: OSError) -> str:
    hint = _HINTS.get(error.errno or 0)
    return f"cannot {action} {path}: {error.strerror}" + (f" ({hint})" if hint else "")
