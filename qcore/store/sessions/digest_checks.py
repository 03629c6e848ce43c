"""Digest checks: the leader says in the log which digest it had, and whoever had another one does not go on.

Replicas compare what they computed themselves, at the same place of the log, and so does a node that reads its own
log again after a restart.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from qcore.model.errors import Diverged
from qcore.model.leader_commands import CheckDigest
from qcore.model.requests.results import DigestCheck

__all__ = ["DigestChecks"]

_KEPT = 16
_REMEMBERED = 1024
"""Checks that are kept for who asks, and entries back to which a check can be compared."""


class DigestChecks:
    """The last checks of the log, and this node's own digests of the last entries."""

    def __init__(self) -> None:
        self.last: deque[DigestCheck] = deque(maxlen=_KEPT)
        self._own: OrderedDict[int, tuple[int, str]] = OrderedDict()

    def note(self, index: int, revision: int, digest: str) -> None:
        """Remember the digest when the log was applied up to `index`."""
        self._own[index] = (revision, digest)
        if len(self._own) > _REMEMBERED:
            self._own.popitem(last=False)

    @property
    def newest(self) -> tuple[int, str] | None:
        """Log index and digest after the last entry that was applied here, None before the first."""
        if not self._own:
            return None
        index = next(reversed(self._own))
        return index, self._own[index][1]

    def compare(self, check: CheckDigest) -> None:
        """Compare a check of the log; one about entries that were applied before this node began to count is taken.

        Raises:
            Diverged: this state is not the leader's.
        """
        own = self._own.get(check.index)
        if own is None:
            return
        revision, digest = own
        if digest != check.digest:
            raise Diverged(
                f"at log index {check.index}, revision {revision}, this node's state has the digest {digest} and the "
                f"leader's had {check.digest}: the two differ, which no legal history does. Keep a copy of the data "
                "directory, and report it; a JSON snapshot of the other state, restored into an empty directory, "
                "is the way on"
            )
        self.last.append(DigestCheck(check.index, revision, digest))
