"""Pieces of documents on their way in and out: what `snapshot.upload` and `snapshot.export` keep for a client."""

from __future__ import annotations

from qcore.model.errors import Busy
from qcore.model.requests.queries import SnapshotExport
from qcore.model.requests.results import ExportPage, Uploaded
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.documents.exports import Exports
from qcore.server.documents.uploads import Uploads
from qcore.server.runtime.scheduler import Work

__all__ = ["Transfers"]


class Transfers:
    """Uploads and exports of all clients."""

    def __init__(self, exports: Exports, uploads: Uploads) -> None:
        self.exports = exports
        self.uploads = uploads

    def run(self, call: Call) -> Uploaded | Work[ExportPage]:
        """Carry out `snapshot.upload` or `snapshot.export`; see there for the errors."""
        if call.client is None:
            raise Busy("nobody to keep this for")
        if isinstance(call.params, SnapshotExport):
            return self.exports.read(call.params, call.client)
        return self.uploads.put(call.params, call.client)

    def disconnected(self, client: Client) -> None:
        """A client is gone: let go of what was kept for it."""
        self.exports.disconnected(client)
        self.uploads.disconnected(client)

    def stop(self) -> None:
        """Let go of everything."""
        self.exports.stop()
        self.uploads.stop()
