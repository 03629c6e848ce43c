"""Uploads: JSON snapshot documents that clients hand in by chunks, before they plan or restore them.

They stay on this node and do not go into the log, as they may hold passwords in plain text.
"""

from __future__ import annotations

import asyncio
import time

from qcore.model.documents.text import read_document
from qcore.model.errors import BadParams, Busy, NotFound, RequestError, TooLarge
from qcore.model.requests.queries import SnapshotUpload
from qcore.model.requests.results import Uploaded
from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Periodic
from qcore.store.documents.plan import Prepared, prepare

__all__ = ["Upload", "Uploads"]


class Upload:
    """The text that a client has handed in; once it was planned or restored, the document that was read from it."""

    def __init__(self) -> None:
        self.used = time.monotonic()
        self.size = 0
        self.text = bytearray()
        self._reading: asyncio.Future[Prepared | RequestError] | None = None

    async def prepared(self) -> Prepared:
        """The document, read and checked in a thread the first time.

        Raises:
            BadParams: it has problems; `data["problems"]` has them.
        """
        if self._reading is None:
            text, self.text = self.text, bytearray()
            self._reading = asyncio.get_running_loop().run_in_executor(None, _read, text)
        read = await asyncio.shield(self._reading)
        if isinstance(read, RequestError):
            raise read
        return read

    def put(self, offset: int, chunk: bytes) -> None:
        """Add a chunk at `offset`, in bytes; one that is there already may be sent again.

        Raises:
            BadParams: there is a gap, the text there is another, or it was read already.
        """
        if self._reading is not None:
            raise BadParams("this upload was planned or restored already; begin another one")
        if offset == self.size:
            self.text += chunk
            self.size += len(chunk)
        elif not (0 <= offset < self.size and self.text[offset : offset + len(chunk)] == chunk):
            raise BadParams(f"the next chunk of this upload begins at {self.size}, one at {offset} is given")


class Uploads:
    """All uploads, which may have `max_bytes` together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._open: dict[str, Upload] = {}
        self._expiry = Periodic(budgets.UPLOAD_IDLE_SECONDS / 4, self._expire)

    def put(self, query: SnapshotUpload) -> Uploaded:
        """Take a chunk.

        Raises:
            BadParams: no name, or a chunk that does not follow the ones before.
            TooLarge: more than `max_bytes`.
            Busy: other uploads leave too little of them.
        """
        if not 1 <= len(query.upload) <= budgets.UPLOAD_NAME_CHARACTERS:
            raise BadParams(
                f"an upload has a name of 1 to {budgets.UPLOAD_NAME_CHARACTERS} characters, which the client makes up"
            )
        chunk = query.chunk.encode()
        upload = self._open.get(query.upload)
        if query.offset == 0 and (upload is None or upload.text[: len(chunk)] != chunk):
            upload = self._begin(query.upload)
        if upload is None:
            raise NotFound(f"there is no upload {query.upload!r}: it was not begun at offset 0, or not used for long")
        more = max(query.offset + len(chunk) - upload.size, 0)
        if upload.size + more > self._max_bytes:
            raise TooLarge(f"an upload has at most {self._max_bytes} bytes (max_upload_mb)")
        if sum(each.size for each in self._open.values()) + more > self._max_bytes:
            raise Busy("other uploads take all that there may be (max_upload_mb); try again later")
        upload.put(query.offset, chunk)
        upload.used = time.monotonic()
        return Uploaded(query.upload, upload.size)

    def get(self, name: str) -> Upload:
        """The upload of a name.

        Raises:
            NotFound: there is none of that name.
        """
        upload = self._open.get(name)
        if upload is None:
            raise NotFound(f"there is no upload {name[:60]!r} here: hand in the document by snapshot.upload")
        upload.used = time.monotonic()
        return upload

    def stop(self) -> None:
        """Let no upload expire any more."""
        self._expiry.stop()

    def _begin(self, name: str) -> Upload:
        self._open.pop(name, None)
        if len(self._open) >= budgets.UPLOADS:
            raise Busy(f"{len(self._open)} uploads are kept already")
        self._expiry.start()
        upload = self._open[name] = Upload()
        return upload

    def _expire(self) -> bool:
        now = time.monotonic()
        self._open = {
            name: upload for name, upload in self._open.items() if upload.used + budgets.UPLOAD_IDLE_SECONDS >= now
        }
        return bool(self._open)


def _read(text: bytearray) -> Prepared | RequestError:
    try:
        return prepare(read_document(text))
    except RequestError as exc:
        exc.__traceback__ = exc.__context__ = None  # its frames hold all that was read
        return exc
