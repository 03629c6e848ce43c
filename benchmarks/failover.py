"""How long nothing is acknowledged when the leader of a cluster is killed, or stopped: real processes on loopback.

A client writes through another node, one write at a time. A round's figure is the longest time without an
acknowledgement from the signal on, until the leader's process is gone and a write was acknowledged after that.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.peers import FOLDER, SCHEMA, console_script, durable_folder
from benchmarks.wire import Api
from tests.process import NodeProcess

__all__ = ["Writer", "longest_wait", "main"]

LIMIT = 60.0
"""Seconds that anything may take."""
SETTLE_SECONDS = 1.0
"""Quiet time before a signal: a cluster in which a node has just begun is another thing."""


def free_addresses(count: int) -> list[str]:
    """Addresses that the kernel picks, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


class Writer:
    """Writes to a field of an entity through one node, in a thread, until the block ends.

    `acknowledged` holds the monotonic seconds of each answer that was no error.
    """

    def __init__(self, url: str, entity: int) -> None:
        self.acknowledged: list[float] = []
        self._url = url
        self._entity = entity
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(LIMIT)

    def wait(self, after: float) -> None:
        """Wait until a write that was sent after a time is acknowledged."""
        end = time.monotonic() + LIMIT
        while not (len(self.acknowledged) > 1 and self.acknowledged[-2] > after):
            if time.monotonic() > end or not self._thread.is_alive():
                raise RuntimeError(f"no write was acknowledged in {LIMIT:g} s")
            time.sleep(0.001)

    def _run(self) -> None:
        with Api(self._url) as api:
            for value in itertools.count():
                if self._ends.is_set():
                    return
                # Without a number in a session a write that was under way at a kill is an error: nobody knows.
                with contextlib.suppress(RuntimeError):
                    api.call("set", id=self._entity, field="Age", value=value, timeout=LIMIT)
                    self.acknowledged.append(time.monotonic())


def longest_wait(acknowledged: Sequence[float], since: float) -> float:
    """The longest time between two acknowledgements, the first of which may be `since`; seconds."""
    times = [since, *(each for each in acknowledged if each > since)]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


class Nodes:
    """A cluster of `count` nodes with one entity in it, ended with the block; the last one may be a witness."""

    def __init__(self, folder: Path, count: int, flags: Sequence[str], witness: bool = False) -> None:
        self.nodes: list[NodeProcess] = []
        self.witness = count if witness else 0
        addresses = free_addresses(count)
        for place, address in enumerate(addresses):
            peers = [flag for peer in addresses if peer != address for flag in ("--peers", peer)]
            node = NodeProcess(
                folder / str(place), "--engine", "auto", *peers, *flags, node=place + 1, command=console_script()
            )
            if node.node == self.witness:
                node.flags += ("--witness",)
            node.address = address
            self.nodes.append(node)

    def __enter__(self) -> Nodes:
        for node in self.nodes:
            node.start()
        with Api(self.nodes[0].url) as api:
            ids = [node.node for node in self.nodes if node.node != self.witness]
            api.call("cluster.init", ids=ids, timeout=LIMIT)
            self._wait_for_votes(api)
            api.call("schema.set", schema=SCHEMA, timeout=LIMIT)
            self.entity = int(api.call("create", type="BenchUser", name="one", timeout=LIMIT)["id"])
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()

    def _wait_for_votes(self, api: Api) -> None:
        end = time.monotonic() + LIMIT
        while [each["vote"] for each in api.call("cluster.status")["members"]] != ["voter"] * len(self.nodes):
            if time.monotonic() > end:
                raise RuntimeError(f"not all nodes have a vote after {LIMIT:g} s")
            time.sleep(0.05)

    def leader(self) -> NodeProcess:
        """The node that leads."""
        with Api(self.nodes[0].url) as api:
            api.call("get", id=self.entity, timeout=LIMIT)  # answered when somebody leads
            id: int = api.call("cluster.status")["leader"]
        return self.nodes[id - 1]

    def one_round(self, place: int, handover: bool) -> float:
        """End the leader, and start it again; seconds without an acknowledgement."""
        leader = self.leader()
        others = [node for node in self.nodes if node is not leader and node.node != self.witness]
        with Writer(others[place % len(others)].url, self.entity) as writer:
            begun = time.monotonic()
            writer.wait(begun + SETTLE_SECONDS)
            signalled = time.monotonic()
            if handover:
                leader.stop(LIMIT)
            else:
                leader.kill()
            writer.wait(time.monotonic())
            found = longest_wait(writer.acknowledged, signalled)
        self._restart(leader)
        return found

    def _restart(self, node: NodeProcess) -> None:
        """Start a node, and wait until it has caught up."""
        node.start()
        with Api(node.url) as api:
            api.call("get", id=self.entity, timeout=LIMIT)


@click.command(help=__doc__.partition("\n\n")[0])
@click.option("--kill/--handover", default=True, show_default=True, help="kill -9 of the leader, or SIGTERM.")
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(1))
@click.option("--nodes", "count", default=3, show_default=True, type=click.IntRange(3))
@click.option("--witness", is_flag=True, help="The last node is a witness.")
@click.option("--heartbeat-ms", type=int, help="As of the daemon.")
@click.option("--election", metavar="MIN-MAX", help="Election time-out of the daemon in ms, as 250-450.")
@click.option("--folder", default=FOLDER, show_default=True, type=click.Path(path_type=Path, file_okay=False))
def main(
    kill: bool,
    rounds: int,
    count: int,
    witness: bool,
    heartbeat_ms: int | None,
    election: str | None,
    folder: Path,
) -> None:
    """Run the rounds, and print the figure of each, their median and the worst."""
    flags = [] if heartbeat_ms is None else ["--heartbeat-ms", str(heartbeat_ms)]
    if election is not None:
        least, _, longest = election.partition("-")
        flags += ["--election-timeout-min-ms", least, "--election-timeout-max-ms", longest]
    data = durable_folder(folder / "failover")
    found = []
    with Nodes(data, count, flags, witness) as nodes:
        for place in range(rounds):
            found.append(nodes.one_round(place, not kill) * 1000)
            click.echo(f"{found[-1]:8.0f} ms")
    shutil.rmtree(data)
    what = "kill -9" if kill else "SIGTERM"
    size = f"{count}, a witness among them" if witness else str(count)
    median, worst = statistics.median(found), max(found)
    click.echo(f"{what} of the leader of {size}, {rounds} rounds: median {median:.0f} ms, worst {worst:.0f} ms")


if __name__ == "__main__":
    main()
