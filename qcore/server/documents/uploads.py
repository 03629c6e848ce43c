"""Uploads: JSON snapshot documents that clients hand in by chunks, before they plan or restore them.

They do not go into the log, as they may hold passwords in plain text, but stay on the node that they were handed to, or
that their client goes on with (`moving`). An upload is kept until it was restored or its client is gone; one that was
planned makes room for others.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from qcore.model.documents.text import read_document
from qcore.model.errors import BadParams, Busy, NotFound, RequestError, TooLarge
from qcore.model.requests.queries import SnapshotUpload
from qcore.model.requests.results import Uploaded
from qcore.model.work import Work
from qcore.server.client import Client
from qcore.server.documents.kept import Kept
from qcore.server.runtime import budgets
from qcore.store.documents.plan import Prepared, prepare

__all__ = ["Upload", "Uploads"]


class _Read(NamedTuple):
    """What was read from a text, or is wrong with it; and the text, `packed` in case it moves to another node."""

    found: Prepared | RequestError
    packed: bytes


class Upload:
    """The text that a client has handed in; once it was planned or restored, the document that was read from it."""

    def __init__(self, text: bytearray | None = None) -> None:
        self.text = bytearray() if text is None else text
        self.size = len(self.text)
        self.users = 0
        """Requests under way that work on it."""
        self._reading: asyncio.Future[_Read] | None = None

    @property
    def finished(self) -> bool:
        """See `Keepable`: it was planned, and may be planned or restored again as long as nobody needs its room."""
        return self._reading is not None and not self.users

    def let_go(self) -> None:
        """See `Keepable`."""
        self.text = bytearray()

    async def prepared(self) -> Prepared:
        """The document, read and checked in a thread the first time.

        Raises:
            BadParams: it has problems; `data["problems"]` has them.
        """
        if self._reading is None:
            text, self.text = self.text, bytearray()
            self._reading = asyncio.get_running_loop().run_in_executor(None, _read, text)
        found = (await asyncio.shield(self._reading)).found
        if isinstance(found, RequestError):
            raise found
        return found

    async def whole_text(self) -> bytearray:
        """The text, also if it was read."""
        if self._reading is None or self.text:
            return self.text
        packed = (await asyncio.shield(self._reading)).packed
        text = bytearray(await asyncio.get_running_loop().run_in_executor(None, zlib.decompress, packed))
        self.text = self.text or text
        return self.text

    def taking_apart(self) -> Work[None]:
        """Free the document in pieces, if nobody works on it any more."""
        reading, self._reading = self._reading, None
        if reading is not None and not self.users and reading.done() and not reading.cancelled():
            found = reading.result().found
            del reading
            if not isinstance(found, RequestError):
                yield from found.taking_apart()

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
        self._kept: Kept[Upload] = Kept(budgets.UPLOAD_IDLE_SECONDS)

    def put(self, query: SnapshotUpload, client: Client) -> Uploaded:
        """Take a chunk.

        Raises:
            BadParams: no name, or a chunk that does not follow the ones before.
            TooLarge: more than `max_bytes`.
            Busy: other uploads leave too little of them, and none was planned before.
        """
        if not 1 <= len(query.upload) <= budgets.UPLOAD_NAME_CHARACTERS:
            raise BadParams(
                f"an upload has a name of 1 to {budgets.UPLOAD_NAME_CHARACTERS} characters, which the client makes up"
            )
        chunk = query.chunk.encode()
        upload = self._kept.use(query.upload, client)
        anew = query.offset == 0 and (upload is None or upload.text[: len(chunk)] != chunk)
        size = 0 if anew or upload is None else upload.size
        more = max(query.offset + len(chunk) - size, 0)
        if size + more > self._max_bytes:
            raise TooLarge(f"an upload has at most {self._max_bytes} bytes (max_upload_mb)")
        if anew:
            self._kept.drop(query.upload)
        elif upload is None:
            why = "it was not begun at offset 0 of this node or of one that it reaches, or not used for long"
            raise NotFound(f"there is no upload {query.upload!r}: {why}", upload=query.upload)
        self._make_room(int(anew), more)
        if anew or upload is None:
            upload = self._kept.keep(query.upload, Upload, client)
        upload.put(query.offset, chunk)
        return Uploaded(query.upload, upload.size)

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    def take_over(self, name: str, text: bytearray, client: Client) -> None:
        """Keep what was handed in to another node, for a client that goes on with it here.

        Raises:
            TooLarge, Busy: there is no room for it.
        """
        if len(text) > self._max_bytes:
            raise TooLarge(f"an upload has at most {self._max_bytes} bytes (max_upload_mb)")
        self._make_room(1, len(text))
        self._kept.keep(name, lambda: Upload(text), client)

    async def text(self, name: str) -> bytearray | None:
        """What was handed in under a name, for another node; None where there is nothing, or it is worked on here."""
        upload = self._kept.find(name)
        return None if upload is None or upload.users else await upload.whole_text()

    def moved(self, name: str, size: int) -> None:
        """Let go of an upload that is at another node now, unless it has changed since."""
        upload = self._kept.find(name)
        if upload is not None and upload.size == size and not upload.users:
            self._kept.drop(name, upload)

    @contextmanager
    def using(self, name: str, client: Client) -> Iterator[Upload]:
        """The upload of a name, which stays while it is worked on.

        Raises:
            NotFound: there is none of that name.
        """
        upload = self._kept.use(name, client)
        if upload is None:
            how = "it is on no node that this one reaches; hand in the document by snapshot.upload"
            raise NotFound(f"there is no upload {name[:60]!r} here: {how}", upload=name[:60])
        upload.users += 1
        try:
            yield upload
        finally:
            upload.users -= 1

    def restored(self, name: str, upload: Upload) -> None:
        """Let go of an upload: what it says is done."""
        self._kept.drop(name, upload)

    def disconnected(self, client: Client) -> None:
        """Let go of the uploads of a client that is gone, unless it comes back in a moment."""
        self._kept.disconnected(client)

    def stop(self) -> None:
        """Let go of all uploads."""
        self._kept.stop()

    def _make_room(self, count: int, size: int) -> None:
        """Let go of what nobody will miss where so many uploads of so many bytes would be too much.

        Raises:
            Busy: that is not enough.
        """

        def enough() -> bool:
            return len(self._kept) + count <= budgets.UPLOADS and self._size() + size <= self._max_bytes

        if enough():
            return
        self._kept.drop_orphans(enough)
        self._kept.drop_finished(enough)
        if not enough():
            why = f"{len(self._kept)} uploads with {self._size()} bytes are kept already (max_upload_mb)"
            raise Busy(f"{why}; {self._kept.again()}")

    def _size(self) -> int:
        return sum(each.size for each in self._kept.all())


def _read(text: bytearray) -> _Read:
    packed = zlib.compress(text, 1)
    try:
        return _Read(prepare(read_document(text)), packed)
    except RequestError as exc:
        exc.__traceback__ = exc.__context__ = None  # its frames hold all that was read
        return _Read(exc, packed)
