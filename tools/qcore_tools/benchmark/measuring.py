"""Runs one test after the other: warm-up, rounds of requests, and what the server has counted meanwhile."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from qcore.client import Store
from qcore_tools.benchmark.dataset import IN_A_FOLDER, Dataset
from qcore_tools.benchmark.generators import Generators
from qcore_tools.benchmark.latencies import Latencies
from qcore_tools.benchmark.messages import Go, Prepare, RoundDone
from qcore_tools.benchmark.plan import Plan
from qcore_tools.benchmark.server_metrics import ServerMetrics, scrape
from qcore_tools.benchmark.workloads import WORKLOADS, Workload
from qcore_tools.progress import Progress

__all__ = ["BUSY", "MOST_PROCESSES", "Bench", "Outcome"]

MOST_PROCESSES = 4
"""A node's requests go through one loop, which so many processes keep busy."""

BUSY = 0.9
"""A process that had something to do for a larger share of the time may be what held the others up."""

FOLDERS = 256
"""Folders for new entities where nobody knows how many there will be."""

FIRST_STOCK, STOCK = 2_000, 20_000
"""Entities that are created at a time for DELETE: at first where time limits it, and at most."""


@dataclass
class Outcome:
    """What came of a test. `microseconds` (how many good answers took so long, by process and round) and `errors`
    (counts by kind, with the first message of each in `samples`) are what the client has seen.

    `seconds` are from the first request to the last answer, and in `busy_seconds` of them the busiest process of the
    load did not wait for the server. `server` is what the server has counted, None where it does not tell. `lost`:
    connections were lost, so that it ended before its time.
    """

    workload: Workload
    clients: int
    processes: int = 1
    seconds: float = 0.0
    busy_seconds: float = 0.0
    microseconds: list[dict[int, int]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    samples: dict[str, str] = field(default_factory=dict)
    server: ServerMetrics | None = field(default_factory=ServerMetrics)
    lost: bool = False

    def add(self, results: Sequence[RoundDone], server: ServerMetrics | None) -> None:
        """Add a round: what each process has seen, and what the server has counted meanwhile."""
        self.seconds += _seconds(results)
        self.busy_seconds += _busy_seconds(results)
        self.microseconds += [each.microseconds for each in results]
        self.server = None if server is None or self.server is None else self.server.plus(server)
        self.add_errors(results)

    def add_errors(self, results: Sequence[RoundDone]) -> None:
        """Add what went wrong in a round."""
        for each in results:
            self.errors.update(each.errors)
            self.samples = each.samples | self.samples
            self.lost = self.lost or each.lost

    @cached_property
    def latencies(self) -> Latencies:
        """Those of all good answers; to be asked for once there are no more rounds."""
        return Latencies(self.microseconds)

    @property
    def busy(self) -> float:
        """The share of the time in which the busiest process of the load did not wait for the server."""
        return self.busy_seconds / self.seconds if self.seconds else 0.0

    @property
    def rate(self) -> float:
        """Good answers in a second."""
        return self.latencies.count / self.seconds if self.seconds else 0.0

    @property
    def server_rate(self) -> float | None:
        """The same as the server has counted it."""
        return self.server.requests / self.seconds if self.server is not None and self.seconds else None


class Bench:
    """Runs the tests of a plan on a dataset."""

    def __init__(self, store: Store, plan: Plan, dataset: Dataset, generators: Generators) -> None:
        self._store = store
        self._plan = plan
        self._dataset = dataset
        self._generators = generators

    async def measure(self, name: str) -> Outcome:
        """Run a test.

        Raises:
            QcoreError: what it needs cannot be made, or its connections cannot be opened.
        """
        plan, workload = self._plan, WORKLOADS[name]
        clients = plan.clients if plan.requests is None else min(plan.clients, plan.requests)
        outcome = Outcome(workload, clients)
        folders = await self._folders(workload)
        ids = self._dataset.ids
        if workload.listens:
            ids = await self._dataset.make_stock(clients, folders, lambda _: None)
        await self._warm_up(outcome, ids, folders)
        if not outcome.lost:
            await self._rounds(outcome, folders)
        if not plan.keep and not outcome.lost:
            with Progress(f"entities of {name} removed") as progress:
                await self._dataset.remove_folders(folders, progress.advance)
        return outcome

    async def _warm_up(self, outcome: Outcome, ids: Sequence[int], folders: Sequence[int]) -> None:
        """Open the connections, from as many processes as it takes so that the server has to be waited for."""
        plan, most = self._plan, min(self._generators.count, outcome.clients)
        outcome.processes = min(plan.processes or (1 if plan.warmup else _default_processes()), most)
        await self._prepare(outcome, ids, folders)
        while plan.warmup and not outcome.lost:
            stock = await self._stock(outcome.workload, FIRST_STOCK, folders)
            with Progress(f"requests to warm up {outcome.workload.name}") as progress:
                warm = await self._generators.run(_orders(outcome, None, plan.warmup, stock), progress.advance)
            if any(done.lost for done in warm):
                outcome.add_errors(warm)
            if plan.processes or outcome.processes == most or _busy_seconds(warm) <= BUSY * _seconds(warm):
                return
            outcome.processes = min(2 * outcome.processes, most)
            await self._prepare(outcome, ids, folders)

    async def _folders(self, workload: Workload) -> list[int]:
        needed = workload.listens or workload.draw is None or "create" in workload.methods
        if not needed:
            return []
        requests = self._plan.requests
        return await self._dataset.make_folders(FOLDERS if requests is None else -(-requests // IN_A_FOLDER))

    async def _stock(self, workload: Workload, count: int, folders: Sequence[int]) -> list[int]:
        """Entities to be deleted, for the test that does that."""
        if workload.draw is not None:
            return []
        with Progress(f"entities made for {workload.name}", count) as progress:
            return await self._dataset.make_stock(count, folders, progress.advance)

    async def _prepare(self, outcome: Outcome, ids: Sequence[int], folders: Sequence[int]) -> None:
        plan, workload = self._plan, outcome.workload
        cursors = await self._dataset.cursors() if workload.name in ("FINDPAG", "MIX") else []
        orders, first = [], 0
        for number, clients in enumerate(_shares(outcome.clients, outcome.processes)):
            own = list(ids[first : first + clients]) if workload.listens else list(ids)
            first += clients
            orders.append(
                Prepare(
                    url=self._store.url,
                    test=workload.name,
                    number=number,
                    clients=clients,
                    pipeline=plan.pipeline,
                    data_size=plan.data_size,
                    consistency=plan.consistency,
                    seed=plan.seed,
                    type=self._dataset.type,
                    new_type=self._dataset.new_type,
                    ids=own,
                    folders=list(folders),
                    cursors=cursors,
                )
            )
        await self._generators.prepare(orders)

    async def _rounds(self, outcome: Outcome, folders: Sequence[int]) -> None:
        """Send requests until there were enough; all but DELETE do so in one round."""
        plan, workload = self._plan, outcome.workload
        left, size = plan.requests, FIRST_STOCK
        while not outcome.lost and left != 0:
            seconds = None if plan.seconds is None else plan.seconds - outcome.seconds
            if seconds is not None and seconds <= 0:
                return
            if workload.draw is not None:
                await self._round(outcome, left, seconds, folders)
                return
            count = size if left is None else min(STOCK, left)
            await self._round(outcome, count, seconds, folders)
            size = min(STOCK, 2 * size)
            left = None if left is None else left - count

    async def _round(self, outcome: Outcome, count: int | None, seconds: float | None, folders: Sequence[int]) -> None:
        url, methods = self._store.url, outcome.workload.methods
        stock = await self._stock(outcome.workload, count or 0, folders)
        before = await scrape(url, methods)
        with Progress(f"requests of {outcome.workload.name}", count) as progress:
            results = await self._generators.run(_orders(outcome, count, seconds, stock), progress.advance)
        after = await scrape(url, methods)
        outcome.add(results, None if before is None or after is None else after.since(before))


def _default_processes() -> int:
    """How many generate the load where nothing else is known: one core is left for a server on this machine."""
    return max(1, min(MOST_PROCESSES, len(os.sched_getaffinity(0)) - 1))


def _orders(outcome: Outcome, requests: int | None, seconds: float | None, stock: Sequence[int]) -> list[Go]:
    """What each process does of so many requests."""
    processes, first = outcome.processes, 0
    orders: list[Go] = []
    for number, clients in enumerate(_shares(outcome.clients, processes)):
        share = None if requests is None else requests * clients // outcome.clients
        if requests is not None and number == processes - 1:
            share = requests - sum(each.requests or 0 for each in orders)
        end = len(stock) if number == processes - 1 else first + len(stock) * clients // outcome.clients
        orders.append(Go(share, seconds, list(stock[first:end])))
        first = end
    return orders


def _shares(total: int, parts: int) -> list[int]:
    """As even parts of a number as there are."""
    least, more = divmod(total, parts)
    return [least + 1] * more + [least] * (parts - more)


def _seconds(results: Sequence[RoundDone]) -> float:
    return (max(each.ended for each in results) - min(each.begun for each in results)) / 1e9


def _busy_seconds(results: Sequence[RoundDone]) -> float:
    """For how long the busiest process had something to do."""
    return max(max(0.0, (each.ended - each.begun) / 1e9 - each.waited) for each in results)
