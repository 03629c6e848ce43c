"""The bytes of prepared files, without any I/O.

The files of the next entries lie ready under their final names, full of blanks, so that storing an entry is one
write over bytes that are there and one fdatasync: the file system's own books stay as they are. A prepared file
never grows. Power lost while an entry is written leaves a file in which some sectors of 512 bytes are the entry's
and some are blank still; as no sector of a record is blank by content, such a torn file can be told from damage.
"""

from __future__ import annotations

from qcore.disk.log.record import stated_length

__all__ = ["SIZES", "blanks", "fitting_size", "is_torn", "padded", "reusable_size"]

SIZES = (4_096, 16_384, 65_536)
"""What a prepared file may measure, in bytes."""

_SECTOR = 512
_PAGE = 4_096
_BLANK_SECTOR = b" " * _SECTOR


def blanks(size: int) -> bytes:
    """Return the content of a prepared file; real bytes, as only these have their place on the disk."""
    return b" " * size


def padded(record: bytes) -> bytes:
    """Return a record with blanks up to a whole page, so that no page need be read before it is written."""
    return record.ljust(-(-len(record) // _PAGE) * _PAGE)


def fitting_size(length: int) -> int | None:
    """Return the smallest prepared size that holds `length` bytes, None if none does."""
    return next((size for size in SIZES if length <= size), None)


def reusable_size(shape: tuple[int, int] | None) -> int | None:
    """Return the prepared size of a file of this shape (size, names), None if it may not be written over.

    A file with a second name is somebody's backup.
    """
    return shape[0] if shape is not None and shape[0] in SIZES and shape[1] == 1 else None


def is_torn(data: bytes, index: int) -> bool:
    """Tell whether `data` is a prepared file in which the write of entry `index` did not reach every sector."""
    if len(data) not in SIZES or b"\0" in data:
        return False
    if data.startswith(_BLANK_SECTOR):
        return bool(data.strip(b" "))
    length = stated_length(data, index)
    if length is None or length > len(data):
        return False
    return any(data.startswith(_BLANK_SECTOR, start) for start in range(0, length, _SECTOR))
