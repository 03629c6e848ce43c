"""Digest checks: the leader says in the log which digest it had, and whoever had another one does not go on.

Replicas compare what they computed themselves, at the same place of the log, and so does a node that reads its own
log again after a restart. What is replicated and not in the digest, such as sessions, is compared beside it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import NamedTuple

from qcore.model.errors import Diverged
from qcore.model.leader_commands import CheckDigest, RestDigest
from qcore.model.requests.results import DigestCheck
from qcore.store.state.digest import MODULUS
from qcore.store.state.removed_disks import REMOVED_LEVEL

__all__ = ["REST_LEVEL", "DigestChecks", "Rest"]

REST_LEVEL = 4
"""Feature level from which on checks go for what is not in the digest, too."""

_KEPT = 16
_REMEMBERED = 1024
"""Checks that are kept for who asks, and entries back to which a check can be compared."""

_NAMES = {
    "time": "the state's time",
    "level": "the feature level",
    "sessions": "the hash of the sessions",
    "staged": "the hash of what is staged",
    "epochs": "the hash of the epochs",
    "removed": "the hash of the removed disks",
}


class Rest(NamedTuple):
    """See `RestDigest`; the sums as they stand, as this is made for each entry."""

    time: int
    level: int
    sessions: int
    staged: int
    epochs: int
    removed: int

    def digest(self) -> RestDigest:
        """What of it goes into the log, and to who asks."""
        known = (self.sessions, self.staged, self.epochs, *([self.removed] if self.level >= REMOVED_LEVEL else []))
        return RestDigest(self.time, self.level, *(f"{each % MODULUS:032x}" for each in known))


class _Noted(NamedTuple):
    revision: int
    digest: str
    rest: Rest


class DigestChecks:
    """The last checks of the log, and this node's own digests of the last entries."""

    def __init__(self) -> None:
        self.last: deque[DigestCheck] = deque(maxlen=_KEPT)
        self._own: OrderedDict[int, _Noted] = OrderedDict()

    def note(self, index: int, revision: int, digest: str, rest: Rest) -> None:
        """Remember what the state was when the log was applied up to `index`."""
        self._own[index] = _Noted(revision, digest, rest)
        if len(self._own) > _REMEMBERED:
            self._own.popitem(last=False)

    @property
    def rest(self) -> tuple[int, Rest] | None:
        """Log index of the last entry that was applied here, and what was beside the digest; None before the first."""
        if not self._own:
            return None
        index = next(reversed(self._own))
        return index, self._own[index].rest

    def newest(self, level: int) -> CheckDigest | None:
        """The check that the leader may propose, of the last entry that was applied here; None before the first.

        `level` is the feature level in force: what it does not know is left out.
        """
        if not self._own:
            return None
        index = next(reversed(self._own))
        own = self._own[index]
        return CheckDigest(index, own.digest, own.rest.digest() if level >= REST_LEVEL else None)

    def compare(self, check: CheckDigest) -> None:
        """Compare a check of the log; one about entries that were applied before this node began to count is taken.

        Raises:
            Diverged: this state is not the leader's.
        """
        own = self._own.get(check.index)
        if own is None:
            return
        differing = list(_differing(own, check))
        if differing:
            raise Diverged(
                f"at log index {check.index}, revision {own.revision}, {', '.join(differing)}: the two differ, which "
                "no legal history does. Keep a copy of the data directory, and report it; a JSON snapshot of the other "
                "state, restored into an empty directory, is the way on"
            )
        self.last.append(DigestCheck(check.index, own.revision, own.digest, check.rest))


def _differing(own: _Noted, check: CheckDigest) -> Iterator[str]:
    """What this node has otherwise than the leader, both values named."""
    if own.digest != check.digest:
        yield f"this node's state has the digest {own.digest} and the leader's had {check.digest}"
    if check.rest is None:
        return
    rest = own.rest.digest()
    for name, what in _NAMES.items():
        here, there = getattr(rest, name), getattr(check.rest, name)
        if here != there:
            yield f"{what} is {here} on this node and was {there} on the leader"
