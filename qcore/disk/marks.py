"""The small files beside the log: the vote, the purge mark, and how far the log is committed and stored.

vote.json and purged.json are durable when their save returns. committed.json is a hint: 512 bytes written
over in place, not synced, and a content that fails its check counts as absent. Its `stored` is a promise all
the same: the disk once said that the log reaches there, so a log that ends before it has lost entries.
"""

from __future__ import annotations

import os
from typing import TypeVar

import msgspec

from qcore.disk.checksummed import decode_checksummed, encode_checksummed, is_checksummed, not_as_written
from qcore.disk.files import TEMPORARY, Files
from qcore.model.entry import LogId, Vote
from qcore.model.errors import Damaged

__all__ = ["Marks"]

T = TypeVar("T", bound=msgspec.Struct)

_SECTOR = 512


class _Committed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """committed.json: the committed log id (null: none yet) and the watermark."""

    term: int | None
    node: int | None
    index: int | None
    stored: LogId | None


class Marks:
    """What a node's directory says about its log.

    Attributes:
        vote: the last vote, None before the first.
        purged: the log id up to which entries are gone.
        committed: hint how far the log is committed.
        stored: the watermark: the last log id known to be durable when committed.json was written.
        problems: what is wrong with the files; a mark whose file is damaged is None.
        hint_problem: what is wrong with committed.json, which a start takes as absent then: a write over it was cut
            off, or is under way.
    """

    def __init__(self, files: Files, folder: str) -> None:
        self._files = files
        self.problems: list[Damaged] = []
        self.hint_problem: Damaged | None = None
        self.vote_path = os.path.join(folder, "vote.json")
        self.purged_path = os.path.join(folder, "purged.json")
        self.committed_path = os.path.join(folder, "committed.json")
        self.vote = self._load(self.vote_path, Vote)
        self.purged = self._load(self.purged_path, LogId)
        self.committed, self.stored = self._load_committed()

    def settle(self) -> None:
        """Write vote and purge mark anew: what was read at start may not be on the disk yet."""
        if self.vote is not None:
            self.save_vote(self.vote)
        if self.purged is not None:
            self.save_purged(self.purged)

    def save_vote(self, vote: Vote) -> None:
        """Store the vote durably."""
        self._files.store(self.vote_path, encode_checksummed(vote))
        self.vote = vote

    def save_purged(self, purged: LogId) -> None:
        """Store the purge mark durably."""
        self._files.store(self.purged_path, encode_checksummed(purged))
        self.purged = purged

    def save_purged_without_room(self, purged: LogId) -> None:
        """Store the purge mark durably in the file of the hint, which goes: no block of the disk is needed for that."""
        if not os.path.lexists(self.committed_path):
            self.save_purged(purged)
            return
        temporary = self.purged_path + TEMPORARY
        self._files.rename(self.committed_path, temporary)
        self._files.overwrite(temporary, encode_checksummed(purged, _SECTOR), sync=True)
        self._files.rename(temporary, self.purged_path)
        self._files.sync_folder(os.path.dirname(self.purged_path))
        self.purged = purged

    def replace_committed(self, committed: LogId | None, stored: LogId | None) -> None:
        """Create or replace committed.json durably, so that it can be written over later."""
        self.committed, self.stored = committed, stored
        self._files.store(self.committed_path, self._committed_content())

    def save_committed(self, committed: LogId | None, stored: LogId | None, sync: bool) -> None:
        """Write the hint and the watermark over the old ones; durable only with `sync`."""
        self.committed, self.stored = committed, stored
        self._files.overwrite(self.committed_path, self._committed_content(), sync)

    def _committed_content(self) -> bytes:
        hint = self.committed
        term, node, index = (None, None, None) if hint is None else (hint.term, hint.node, hint.index)
        return encode_checksummed(_Committed(term, node, index, self.stored), _SECTOR)

    def is_damaged(self, path: str) -> bool:
        """Tell whether it is unknown what a mark's file held."""
        return any(problem.data["path"] == path for problem in self.problems)

    def _load(self, path: str, kind: type[T]) -> T | None:
        try:
            data = self._files.read(path)
            return None if data is None else decode_checksummed(data, kind, path)
        except Damaged as problem:
            self.problems.append(problem)
            return None

    def _load_committed(self) -> tuple[LogId | None, LogId | None]:
        try:
            data = self._files.read(self.committed_path)
            if data is None:
                return None, None
            if not is_checksummed(data):
                self.hint_problem = not_as_written(self.committed_path)
                return None, None
            record = decode_checksummed(data, _Committed, self.committed_path)
        except Damaged as problem:
            self.problems.append(problem)
            return None, None
        if record.term is None or record.node is None or record.index is None:
            return None, record.stored
        return LogId(record.term, record.node, record.index), record.stored
