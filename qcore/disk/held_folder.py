"""A folder that a process keeps open: what is done in it by descriptor never reaches another one in its place."""

from __future__ import annotations

import os

from qcore.model.errors import DiskFailed

__all__ = ["HeldFolder"]


class HeldFolder:
    """The folder at `path`, open until `close`; with `folder` opened as `name` in that one,
    not through a symbolic link.

    Attributes:
        descriptor: the open folder, for `dir_fd`.

    Raises:
        DiskFailed: it cannot be opened.
    """

    def __init__(self, path: str, name: str = "", folder: int | None = None) -> None:
        self._path = path
        link = 0 if folder is None else os.O_NOFOLLOW
        try:
            self.descriptor = os.open(name or path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | link, dir_fd=folder)
        except OSError as error:
            raise DiskFailed(f"cannot open {path}: {error.strerror}", path=path) from error
        held = os.fstat(self.descriptor)
        self._place = held.st_dev, held.st_ino

    def check_place(self) -> None:
        """Refuse to go on in a folder that was put in the place of this one.

        Raises:
            DiskFailed: the path names another folder, or none.
        """
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise self._replaced(f"it is not there any more ({error.strerror})") from None
        if (found.st_dev, found.st_ino) != self._place:
            raise self._replaced("another folder is in its place")

    def close(self) -> None:
        """Give the folder back; a second time does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _replaced(self, found: str) -> DiskFailed:
        return DiskFailed(
            f"{self._path} was moved away or replaced while the node used it: {found}. Nothing more is written; "
            "stop a node before you move its directory, then start it on the one it is to use",
            path=self._path,
        )
