"""One lasting connection to whichever of several servers answers: the WebSocket shell around `protocol`.

Many callers share it. Requests made in the same turn of the loop leave together; answers find their callers by
id. A lost connection is made again, with growing and jittered pauses, to the next server in the list.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from qcore.client.protocol import Protocol
from qcore.client.request import Request, RequestGroup
from qcore.client.subscription import Subscription
from qcore.model.api import SUBPROTOCOL
from qcore.model.errors import ConnectionFailed, Internal, QcoreError, Timeout

__all__ = ["Connection", "pauses"]

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
OPEN_TIMEOUT = 5.0
"""Seconds a server gets for the handshake before the next one is tried."""

CLOSE_TIMEOUT = 1.0
"""Seconds a server gets to say goodbye."""

GRACE = 0.5
"""Seconds beyond a request's timeout for the server's own answer to it, which says more than ours."""

RETRY = 0.5
"""Seconds after which a subscription that was refused for the moment is asked again."""

TOO_LARGE = 1009


def pauses() -> Iterator[float]:
    """Seconds between attempts: doubling up to `LONGEST_PAUSE`, each cut by chance so that clients spread."""
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(2 * pause, LONGEST_PAUSE)


class Connection:
    """A connection to one of `urls`, from `open` to `close`.

    `on_lost(reason)` and `on_connected(url)` are told of every change after the first connection.
    """

    def __init__(
        self,
        urls: Sequence[str],
        client: str,
        on_lost: Callable[[str], None] | None = None,
        on_connected: Callable[[str], None] | None = None,
    ) -> None:
        self.urls = list(urls)
        self._query = f"/?client={quote(client, safe='')}"
        self._on_lost = on_lost
        self._on_connected = on_connected
        self._protocol = Protocol()
        self._waiting: dict[Request, asyncio.Future[None]] = {}
        self._listening: dict[Subscription, asyncio.Event] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._reasons: dict[str, str] = {}
        self._next = 0
        self._unwritten = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None

    @property
    def url(self) -> str:
        """The server that it is connected to, or tries next."""
        return self.urls[self._next]

    async def open(self, wait: float = 0.0) -> None:
        """Connect to the first server that answers, trying all of them again for `wait` seconds.

        Raises:
            ConnectionFailed: none did; names each URL and why.
        """
        deadline = asyncio.get_running_loop().time() + wait
        for pause in pauses():
            socket = await self._dial_any()
            if socket is not None:
                self._socket = socket
                self._keeper = asyncio.create_task(self._keep(socket), name="qcore.client")
                return
            if asyncio.get_running_loop().time() + pause > deadline:
                raise self._unreachable()
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close the connection; requests that still wait get `ConnectionFailed`."""
        keeper, socket = self._keeper, self._socket
        self._keeper = self._socket = None
        self._end_waiting()
        if keeper is not None:
            keeper.cancel()
            await _ended(keeper)
        if socket is not None:
            await socket.close()  # the keeper closes what it serves, unless it never came to run
        if keeper is not None and not keeper.cancelled():
            keeper.result()

    async def send(self, group: RequestGroup, seconds: float) -> None:
        """Send requests and wait until each has its result or error, which is there after `seconds` in any case."""
        if self._keeper is None:
            raise ConnectionFailed("the connection is closed")
        loop = asyncio.get_running_loop()
        futures = {request: loop.create_future() for request in group.requests}
        self._waiting.update(futures)
        self._protocol.submit(group)
        self._unwritten.set()
        try:
            async with asyncio.timeout(seconds + GRACE):
                for future in futures.values():
                    await future
        except TimeoutError:
            self._give_up(group, seconds)
        finally:
            for request in futures:
                if self._waiting.pop(request, None) is not None:
                    self._protocol.abandon(request, _given_up(request, Timeout(f"{request.method} was cancelled")))

    def subscribe(self, subscription: Subscription) -> asyncio.Event:
        """Have a subscription listen, now and on every later connection; the event is set when it has news."""
        if self._keeper is None:
            raise ConnectionFailed("the connection is closed")
        news = self._listening[subscription] = asyncio.Event()
        self._protocol.subscribe(subscription)
        self._unwritten.set()
        return news

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        news = self._listening.pop(subscription, None)
        self._protocol.unsubscribe(subscription)
        self._unwritten.set()
        if news is not None:
            news.set()

    def taken(self, subscription: Subscription) -> None:
        """The program took an event."""
        self._protocol.taken(subscription)
        self._unwritten.set()

    def _end_waiting(self) -> None:
        """Tell all who wait that the connection was closed."""
        for request, future in self._waiting.items():
            self._protocol.abandon(request, _given_up(request, ConnectionFailed("the connection was closed")))
            if not future.done():
                future.set_result(None)
        self._waiting.clear()
        for subscription in list(self._listening):
            subscription.error = subscription.error or ConnectionFailed("the connection was closed")
            self.unsubscribe(subscription)
        if self._retry is not None:
            self._retry.cancel()

    def _give_up(self, group: RequestGroup, seconds: float) -> None:
        for request in group.open_requests():
            self._protocol.abandon(request, _given_up(request, self._last_word(request.method, seconds)))

    def _last_word(self, method: str, seconds: float) -> QcoreError:
        """Why there is no answer: what a server said that sent its clients elsewhere comes before our own reasons."""
        connected, refusal = self._protocol.connected, self._protocol.refusal
        if refusal is not None and (connected or set(self._reasons.values()) == {self._refused()}):
            return type(refusal)(refusal.message, **refusal.data)
        return Timeout(f"{method}: no answer within {seconds:g} s") if connected else self._unreachable()

    def _refused(self) -> str:
        refusal = self._protocol.refusal
        return "it sends its clients elsewhere" + (f": {refusal.message}" if refusal is not None else "")

    def _unreachable(self) -> ConnectionFailed:
        reasons = ", ".join(f"{url} ({self._reasons.get(url, 'not tried yet')})" for url in self.urls)
        return ConnectionFailed(f"cannot reach a server: {reasons}")

    async def _keep(self, socket: ClientConnection) -> None:
        """Serve one connection after the other, until cancelled."""
        while True:
            url = self.urls[self._next]
            reason, code = await self._serve(socket)
            self._reasons = {url: reason}
            self._protocol.lost(f"connection to {url} lost: {reason}", too_large=code == TOO_LARGE)
            self._settle()
            if self._on_lost is not None:
                self._on_lost(f"connection to {url} lost: {reason}")
            self._next = (self._next + 1) % len(self.urls)
            socket = await self._dial_until_connected()
            if self._on_connected is not None:
                self._on_connected(self.urls[self._next])

    async def _dial_until_connected(self) -> ClientConnection:
        for pause in pauses():
            await asyncio.sleep(pause)
            socket = await self._dial_any()
            if socket is not None:
                return socket
        raise AssertionError("pauses never end")

    async def _dial_any(self) -> ClientConnection | None:
        """Try each server once, beginning with the next one."""
        for _ in self.urls:
            try:
                return await self._dial(self.urls[self._next])
            except (OSError, EOFError, WebSocketException, ConnectionFailed) as exc:
                self._reasons[self.urls[self._next]] = _why(exc)
                self._next = (self._next + 1) % len(self.urls)
        return None

    async def _dial(self, url: str) -> ClientConnection:
        socket = await dial(
            url + self._query,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            proxy=None,
            open_timeout=OPEN_TIMEOUT,
            close_timeout=CLOSE_TIMEOUT,
            max_size=None,
        )
        if socket.subprotocol != SUBPROTOCOL:
            await socket.close()
            raise ConnectionFailed(f"it does not speak {SUBPROTOCOL}")
        return socket

    async def _serve(self, socket: ClientConnection) -> tuple[str, int | None]:
        """Move frames until the connection ends; returns why, and the close code."""
        self._protocol.opened()
        self._unwritten.set()
        writer = asyncio.create_task(self._write(socket), name="qcore.client.write")
        try:
            while True:
                self._protocol.receive(await socket.recv(decode=False))
                self._settle()
                self._unwritten.set()
                if self._protocol.may_leave:
                    return self._refused(), None
        except ConnectionClosed as exc:
            return _why(exc), exc.rcvd.code if exc.rcvd is not None else None
        except Internal as exc:
            return exc.message, None
        finally:
            writer.cancel()
            await _ended(writer)
            await socket.close()

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):  # the reader sees it too, and says why
            while True:
                await self._unwritten.wait()
                self._unwritten.clear()
                for frame in self._protocol.frames():
                    await socket.send(frame, text=True)

    def _ask_again(self) -> None:
        self._retry = None
        self._protocol.retry()
        self._unwritten.set()

    def _settle(self) -> None:
        """Wake the callers whose requests have ended, and those whose subscriptions have news."""
        for subscription, news in self._listening.items():
            if subscription.ready or subscription.started or subscription.state == "ended":
                news.set()
        if self._retry is None and self._protocol.is_refused:
            self._retry = asyncio.get_running_loop().call_later(RETRY, self._ask_again)
        for request in self._protocol.finished():
            future = self._waiting.pop(request, None)
            if future is not None and not future.done():
                future.set_result(None)


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait until a task has ended; who waits may be cancelled himself, which awaiting the task could not tell apart."""
    await asyncio.wait([task])


def _given_up(request: Request, error: QcoreError) -> QcoreError:
    if request.writes:
        error.data["applied"] = "unknown" if request.attempts else "no"
    return error


def _why(exc: Exception) -> str:
    """Why there is no connection, in a few words."""
    if isinstance(exc, InvalidStatus):
        body = (exc.response.body or b"").decode("utf-8", "replace").strip()
        return f"refused with {exc.response.status_code}" + (f": {body}" if body else "")
    if isinstance(exc, ConnectionClosed):
        closed = exc.rcvd
        return f"closed with {closed.code} {closed.reason}".rstrip() if closed else "closed without a word"
    if isinstance(exc, TimeoutError):
        return f"no answer within {OPEN_TIMEOUT:g} s"
    if isinstance(exc, ssl.SSLError):
        return str(exc)
    if isinstance(exc, OSError) and exc.errno is not None:
        return os.strerror(exc.errno).lower() if exc.errno > 0 else exc.strerror or str(exc)
    if isinstance(exc, InvalidHandshake):
        return f"no WebSocket server: {exc}"
    return str(exc) or type(exc).__name__
