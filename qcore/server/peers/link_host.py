"""What the link asks of the node, and tells it: all of it comes on the link's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qcore.cluster.crossing import Crossing
from qcore.cluster.handshake.hello import Hello, Refusal
from qcore.cluster.notices import Notice
from qcore.cluster.traffic.forwards import Forwarded
from qcore.cluster.traffic.questions import Question
from qcore.disk.directory import Directory
from qcore.disk.snapshot_files import SnapshotFile
from qcore.disk.space import last_slice, space, wanted_reserve
from qcore.model.entry import LogId, Vote
from qcore.model.errors import Fatal, IdInUse
from qcore.server.config.settings import Settings
from qcore.server.peers.refused_nodes import RefusedNodes
from qcore.server.runtime import budgets, logs

__all__ = ["NodeLinkHost"]

log = logs.get("qcore.peers")

_TELL = {"debug": log.debug, "info": log.info, "warning": log.warning, "error": log.error}


class NodeLinkHost:
    """The `LinkHost` of a node; what concerns the loop crosses to it."""

    def __init__(
        self, directory: Directory, settings: Settings, crossing: Crossing, failed: Callable[[Fatal], None]
    ) -> None:
        self.take_forwards: Callable[[Sequence[Forwarded]], None]
        self.take_question: Callable[[Question], None]
        self.look: Callable[[], None]
        """Sees who is linked."""
        self.take_own_address: Callable[[str], None]
        self.take_snapshot: Callable[[SnapshotFile, Callable[[], None]], None]
        self.take_removal: Callable[[str], None]
        """Hears what a member says that takes this node for removed."""
        self.refusals = RefusedNodes()
        self._directory = directory
        self._wanted = None if settings.disk_reserve_mb is None else settings.disk_reserve_mb * budgets.MEGABYTE
        self._crossing = crossing
        self._failed = failed

    def facts(self) -> tuple[Vote | None, LogId | None]:
        """See `LinkHost.facts`."""
        return self._directory.vote, self._directory.log.last

    def snapshot_reserve(self) -> int:
        """See `LinkHost.snapshot_reserve`: the last slice is the log's."""
        return last_slice(wanted_reserve(space(str(self._directory.path)), self._wanted))

    def tell(self, notice: Notice) -> None:
        """See `LinkHost.tell`."""
        text = (
            notice.message if notice.count == 1 else f"{notice.message}; {notice.count} times since this was told last"
        )
        _TELL[notice.level](notice.event, message=text, peer=notice.key, count=notice.count)

    def met(self, hello: Hello) -> None:
        """See `LinkHost.met`."""
        self._crossing.call(self.look)

    def refused(self, refusal: Refusal, proved: bool) -> None:
        """See `LinkHost.refused`: the link has logged it."""
        if refusal.reason == "removed" and proved:
            self._crossing.call(self.take_removal, refusal.message)

    def not_talked_to(self, key: str, sentence: str) -> None:
        """See `LinkHost.not_talked_to`: INFO names it as long as it goes on."""
        self.refusals.note(key, sentence)

    def is_second(self, problem: str) -> None:
        """See `LinkHost.is_second`: the later one stops."""
        self._crossing.call(self._failed, IdInUse(f"{problem}; give this one another --id"))

    def forwards(self, batch: Sequence[Forwarded]) -> None:
        """See `LinkHost.forwards`."""
        self._crossing.call(self.take_forwards, batch)

    def found_itself(self, address: str) -> None:
        """See `LinkHost.found_itself`."""
        self._crossing.call(self.take_own_address, address)

    def asked(self, question: Question) -> None:
        """See `LinkHost.asked`."""
        self._crossing.call(self.take_question, question)

    def offered(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        """See `LinkHost.offered`."""
        self._crossing.call(self.take_snapshot, found, done)

    def link_failed(self, error: BaseException) -> None:
        """See `LinkHost.link_failed`."""
        self._crossing.call(self._failed, Fatal(f"the link to other nodes ended: {error!r}"))
