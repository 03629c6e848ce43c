"""Nodes with nothing but a peer link: a scripted engine, a door that hands sockets over, and waits with a deadline."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from qcore.cluster.handshake.hello import Hello, Refusal
from qcore.cluster.handshake.known_nodes import Own
from qcore.cluster.hub import LinkSettings
from qcore.cluster.link import PeerLink
from qcore.cluster.notices import Notice
from qcore.cluster.traffic.forwards import Forward, Forwarded
from qcore.cluster.traffic.questions import Question
from qcore.cluster.traffic.raft_traffic import RaftTraffic
from qcore.disk.files import Files
from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles, SnapshotHeader
from qcore.engine.base import RpcKind
from qcore.model.entry import LogId, Member, Membership, Vote, raft_node_id
from qcore.model.errors import RequestError

__all__ = [
    "CLUSTER",
    "DEADLINE",
    "LinkedNode",
    "ScriptedEngine",
    "hello",
    "linked_nodes",
    "own",
    "raw_request",
    "started",
    "take_snapshot",
    "until",
]

DEADLINE = 30.0
"""Seconds after which a wait for a condition is given up; generous, as it only bounds a failure."""

CLUSTER = "c1" * 16


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("the condition did not come to hold")
        time.sleep(0.001)


def own(id: int, **changes: Any) -> Own:
    """What node `id` says of itself."""
    found: dict[str, Any] = {
        "cluster": CLUSTER,
        "node": raft_node_id(id, 0),
        "incarnation": f"{id:02x}" * 16,
        "run": secrets.token_hex(8),
        "levels": (1, 3),
        "addr": f"127.0.0.1:{id}",
        "version": "0.1.0",
    }
    return Own(**(found | changes))


def hello(of: Own, serial: int = 1, vote: Vote | None = None, last: LogId | None = None, **changes: Any) -> Hello:
    """The hello of a node."""
    found: dict[str, Any] = {
        "channel": "urgent",
        "nonce": secrets.token_bytes(32),
        "cluster": of.cluster,
        "node": of.node,
        "incarnation": of.incarnation,
        "run": of.run,
        "serial": serial,
        "levels": of.levels,
        "vote": vote,
        "last": last,
        "addr": of.addr,
        "version": of.version,
        "clock": 0,
    }
    return Hello(**(found | changes))


def take_snapshot(folder: SnapshotFiles, index: int, size: int) -> SnapshotFile:
    """Write a snapshot of about `size` bytes."""
    node = raft_node_id(1, 0)
    membership = Membership([[node]], {node: Member("127.0.0.1:1", "01" * 16)})
    header = SnapshotHeader(LogId(1, node, index), membership, LogId(0, node, 0), 1, 5, index, "00" * 16, {})
    writer = folder.begin(header, 1_700_000_000 + index)
    line = secrets.token_hex(512).encode() + b"\n"
    writer.write(line * (size // len(line)))
    found = writer.finish()
    folder.add(found)
    return found


def raw_request(*subprotocols: str) -> bytes:
    """The HTTP request with which a dialler begins."""
    lines = (
        "GET /raft HTTP/1.1",
        "Host: test",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *([f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}"] if subprotocols else []),
        "",
        "",
    )
    return "\r\n".join(lines).encode()


class ScriptedEngine:
    """Asks what a test has it ask, and answers by `reply`: the body to answer with, None for no answer at all."""

    def __init__(self) -> None:
        self.reply: Callable[[int, str, bytes], bytes | None] = lambda node, kind, body: kind.encode() + b":" + body
        self.came: list[tuple[int, str, bytes]] = []
        self.snapshots: list[SnapshotFile] = []
        self.files: SnapshotFiles
        self.refuses_snapshots = False
        self.links: list[tuple[int, bool]] = []
        self.threads: set[int] = set()
        self.up: dict[int, bool] = {}
        self.asked: dict[int, Future[bytes | None]] = {}
        self.done_twice = 0
        self._items: deque[tuple[Any, ...]] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._next = itertools.count(1)

    # -- what tests do -------------------------------------------------------------------------------------

    def ask(self, node: int, kind: RpcKind, body: bytes, limit: float = DEADLINE) -> Future[bytes | None]:
        """Ask a node by its public id; the future gets what `rpc_done` hears."""
        request = next(self._next)
        self.asked[request] = future = Future[bytes | None]()
        future.request = request  # type: ignore[attr-defined]
        self._queue("send", raft_node_id(node, 0), kind, request, body, limit)
        return future

    def send_snapshot(self, node: int, body: bytes, found: SnapshotFile) -> Future[bytes | None]:
        """Send a snapshot to a node by its public id."""
        request = next(self._next)
        self.asked[request] = future = Future[bytes | None]()
        future.request = request  # type: ignore[attr-defined]
        self._queue("send_snapshot", raft_node_id(node, 0), request, body, found)
        return future

    def cancel(self, future: Future[bytes | None]) -> None:
        """Cancel what was asked."""
        self._queue("cancel", future.request)  # type: ignore[attr-defined]

    def answer(self, call: int, body: bytes | None) -> None:
        """Answer a call."""
        self._queue("answer", call, body)

    def close(self) -> None:
        """Let go of the queue."""
        os.close(self._event)

    def _queue(self, *item: Any) -> None:
        self._items.append(item)
        os.eventfd_write(self._event, 1)

    # -- `LinkedEngine` ------------------------------------------------------------------------------------

    def rpc_queue(self) -> ScriptedEngine:
        return self

    def fileno(self) -> int:
        return self._event

    def deliver(self, peers: RaftTraffic) -> None:
        os.eventfd_read(self._event)
        while self._items:
            name, *args = self._items.popleft()
            getattr(peers, name)(*args)

    def rpc_in(self, node: int, kind: RpcKind, call: int, body: bytes) -> None:
        self.came.append((node, kind, body))
        self.threads.add(threading.get_ident())
        reply = self.reply(node, kind, body)
        if reply is not None:
            self.answer(call, reply)

    def snapshot_in(self, node: int, call: int, body: bytes, found: SnapshotFile) -> None:
        self.snapshots.append(found)
        if self.refuses_snapshots:
            self.answer(call, b"refused " + body)
        else:
            self.files.add(found)  # as the node does when it is installed
            self.answer(call, b"installed " + body)

    def rpc_done(self, request: int, body: bytes | None) -> None:
        future = self.asked[request]
        if future.done():
            self.done_twice += 1
        else:
            future.set_result(body)

    def set_link(self, node: int, up: bool) -> None:
        self.links.append((node, up))
        self.up[node // 65_536] = up


class ScriptedHost:
    """Remembers what the link tells it."""

    def __init__(self) -> None:
        self.vote: Vote | None = None
        self.last: LogId | None = None
        self.notices: list[Notice] = []
        self.hellos: list[Hello] = []
        self.refusals: list[tuple[Refusal, bool]] = []
        self.batches: list[Sequence[Forwarded]] = []
        self.questions: list[Question] = []
        self.snapshots: list[SnapshotFile] = []
        self.failures: list[BaseException] = []
        self.seconds: list[str] = []
        self.own_addresses: list[str] = []
        self.take: Callable[[Forwarded], None] = lambda one: one.answer(b"done " + one.call.body)

    def facts(self) -> tuple[Vote | None, LogId | None]:
        return self.vote, self.last

    def snapshot_reserve(self) -> int:
        return 0

    def not_talked_to(self, key: str, sentence: str) -> None:
        pass

    def tell(self, notice: Notice) -> None:
        self.notices.append(notice)

    def met(self, hello: Hello) -> None:
        self.hellos.append(hello)

    def found_itself(self, address: str) -> None:
        self.own_addresses.append(address)

    def refused(self, refusal: Refusal, proved: bool) -> None:
        self.refusals.append((refusal, proved))

    def is_second(self, problem: str) -> None:
        self.seconds.append(problem)

    def forwards(self, batch: Sequence[Forwarded]) -> None:
        self.batches.append(batch)
        for one in batch:
            self.take(one)

    def asked(self, question: Question) -> None:
        self.questions.append(question)
        question.answer(question.kind.encode() + b" " + question.body)

    def offered(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        self.snapshots.append(found)
        done()

    def link_failed(self, error: BaseException) -> None:
        self.failures.append(error)

    def reasons(self) -> set[str]:
        """Why other nodes refused this one."""
        return {refusal.reason for refusal, _ in self.refusals}

    def said(self, event: str) -> list[Notice]:
        """The notices of an event."""
        return [notice for notice in self.notices if notice.event == event]


class Door:
    """A listening socket whose connections are handed to a link, as the front door does."""

    def __init__(self) -> None:
        self.take: Callable[[socket.socket, bytes, bytes], None] | None = None
        self.accepted = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def open(self, take: Callable[[socket.socket, bytes, bytes], None]) -> None:
        """Hand sockets over from now on."""
        self.take = take
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._thread.is_alive():
            self._thread.join(DEADLINE)

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            sock.settimeout(DEADLINE)
            data = b""
            while b"\r\n\r\n" not in data:
                more = sock.recv(1 << 16)
                if not more:
                    break
                data += more
            head, mark, rest = data.partition(b"\r\n\r\n")
            if not mark or self.take is None:
                sock.close()
                continue
            sock.setblocking(False)
            self.accepted += 1
            self.take(sock, head + mark, rest)


class LinkedNode:
    """A node by its public id; `start` it, and name addresses to its link."""

    def __init__(self, id: int, folder: Path, secrets: tuple[bytes, ...] = (b"s",), **changes: Any) -> None:
        self.id = id
        self.door = Door()
        self.address = self.door.address
        self.own = own(id, **({"addr": self.address} | changes))
        self.engine = ScriptedEngine()
        self.host = ScriptedHost()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.snapshots = self.engine.files = SnapshotFiles(Files(), str(folder))
        self.link = PeerLink(self.own, LinkSettings(secrets=secrets), self.host, self.engine, self.snapshots)

    def start(self) -> None:
        """Take part."""
        self.link.start()
        self.door.open(self.link.accept)

    def dial(self, *addresses: str) -> None:
        """Dial these addresses and no others that were named so."""
        self.link.name_addresses("peers", addresses)

    def reaches(self, other: LinkedNode) -> bool:
        """Whether Raft can reach the other node."""
        return self.engine.up.get(other.id, False)

    def forward(self, id: int, *calls: Forward) -> list[Future[bytes]]:
        """Forward calls to a node by its public id; each future gets its answer or its error."""
        futures = [Future[bytes]() for _ in calls]

        def done(place: int, body: bytes, error: RequestError | None) -> None:
            if error is None:
                futures[place].set_result(body)
            else:
                futures[place].set_exception(error)

        self.link.forward(raft_node_id(id, 0), calls, done)
        return futures

    def stop(self) -> None:
        """End, and see that everything has ended."""
        self.door.close()
        assert self.link.stop(DEADLINE)
        self.engine.close()
        for failure in self.host.failures:
            raise failure
        assert self.engine.done_twice == 0


@contextlib.contextmanager
def started(*nodes: LinkedNode) -> Iterator[None]:
    """Nodes that take part until the block ends."""
    with contextlib.ExitStack() as stack:
        for node in nodes:
            node.start()
            stack.callback(node.stop)
        yield


@contextlib.contextmanager
def linked_nodes(folder: Path, *ids: int, linked: bool = True) -> Iterator[list[LinkedNode]]:
    """Nodes of one cluster, each of which reaches all others."""
    nodes = [LinkedNode(id, folder / str(id)) for id in ids]
    with contextlib.ExitStack() as stack:
        for node in nodes:
            node.start()
            stack.callback(node.stop)
        if linked:
            for node in nodes:
                node.dial(*(other.address for other in nodes))
            until(lambda: all(node.reaches(other) for node in nodes for other in nodes if node is not other))
        yield nodes
