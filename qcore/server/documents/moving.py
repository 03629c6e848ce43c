"""Brings an upload to the node whose client goes on with it, where another node has it.

A client that connects to another node, or that is behind a load balancer, hands in the rest of its document there, or
has it restored. The node asks the others for what it does not know itself, takes the text over piece by piece, and has
it let go where it was. It travels from node to node alone, never through the log: it may hold passwords in plain text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from qcore.model.errors import Busy, RequestError, Timeout
from qcore.model.requests.queries import SnapshotUpload
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.documents.uploads import Uploads
from qcore.server.forwarding.messages import UploadPiece, UploadText
from qcore.server.runtime import budgets

__all__ = ["AskUpload", "MovingUploads", "OtherNodes"]

AskUpload = Callable[[int, UploadText, Callable[[UploadPiece | None], None]], None]
"""Asks the node of a Raft NodeId; hears its answer, or None where there is none."""


class OtherNodes(Protocol):
    """The rest of the cluster."""

    def others(self) -> Sequence[int]:
        """The Raft NodeIds of all other members."""


class MovingUploads:
    """Of the node with these `uploads`; `ask` is None on a node alone, which knows all that there is."""

    def __init__(self, uploads: Uploads, nodes: OtherNodes) -> None:
        self.ask: AskUpload | None = None
        self._uploads = uploads
        self._nodes = nodes
        self._moves: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- to here -------------------------------------------------------------------------------------------

    def enter(self, call: Call, go_on: Callable[[Call], None]) -> None:
        """Carry out a call of a client by `go_on`, once what it goes on with is here; at once if it needs nothing."""
        query = call.params
        if isinstance(query, SnapshotUpload) and query.offset > 0 and self._is_elsewhere(query.upload):
            self._start(self._enter(call, query.upload, go_on))
        else:
            go_on(call)

    async def bring(self, name: str, client: Client) -> None:
        """Have an upload here, if any node that can be reached has it.

        Raises:
            TooLarge, Busy: there is no room for it.
        """
        if not self._is_elsewhere(name):
            return
        move = self._moves.get(name)
        if move is None:
            self._moves[name] = move = self._start(self._move(name, client))
            move.add_done_callback(lambda _: self._moves.pop(name, None))
        await asyncio.shield(move)

    def stop(self) -> None:
        """Bring nothing any more."""
        for task in self._tasks:
            task.cancel()

    def _is_elsewhere(self, name: str) -> bool:
        return self.ask is not None and name not in self._uploads

    async def _enter(self, call: Call, name: str, go_on: Callable[[Call], None]) -> None:
        assert call.client is not None  # documents are for clients alone
        try:
            async with asyncio.timeout(max(call.deadline - time.monotonic(), 0)):
                await self.bring(name, call.client)
        except RequestError as exc:
            call.fail(exc)
        except TimeoutError:
            call.fail(Timeout(f"{call.method} was not through by its deadline"))
        except asyncio.CancelledError:
            call.fail(Busy("the node is stopping", elsewhere=True))
            raise
        else:
            go_on(call)

    async def _move(self, name: str, client: Client) -> None:
        nodes = self._nodes.others()
        firsts = await asyncio.gather(*(self._asked(node, UploadText(name, 0)) for node in nodes))
        for node, first in zip(nodes, firsts, strict=True):
            if first is not None and first.size >= 0:
                text = await self._text(node, name, first)
                if text is not None and name not in self._uploads:
                    self._uploads.take_over(name, text, client)
                    await self._asked(node, UploadText(name, len(text), taken=True))
                return

    async def _text(self, node: int, name: str, first: UploadPiece) -> bytearray | None:
        """All of the text, None where it went away meanwhile."""
        text = bytearray(first.text)
        while len(text) < first.size:
            piece = await self._asked(node, UploadText(name, len(text)))
            if piece is None or piece.size != first.size or not piece.text:
                return None
            text += piece.text
        return text

    def _asked(self, node: int, question: UploadText) -> asyncio.Future[UploadPiece | None]:
        assert self.ask is not None
        answer: asyncio.Future[UploadPiece | None] = asyncio.get_running_loop().create_future()

        def hear(piece: UploadPiece | None) -> None:
            if not answer.done():
                answer.set_result(piece)

        self.ask(node, question, hear)
        return answer

    # -- from here -----------------------------------------------------------------------------------------

    def asked(self, question: UploadText, answer: Callable[[UploadPiece], None]) -> None:
        """Another node asks for a piece of an upload, or has all of it now."""
        if question.taken:
            self._uploads.moved(question.upload, question.offset)
            answer(UploadPiece())
        else:
            self._start(self._answer(question, answer))

    async def _answer(self, question: UploadText, answer: Callable[[UploadPiece], None]) -> None:
        text = await self._uploads.text(question.upload)
        if text is None:
            answer(UploadPiece())
        else:
            end = question.offset + budgets.UPLOAD_PIECE_BYTES
            answer(UploadPiece(len(text), bytes(text[question.offset : end])))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
