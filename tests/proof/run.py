"""A run of the proof: clients under load, faults by a schedule, and a verdict over what the clients saw."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from qcore.client import Store, connect
from tests.process import DEADLINE
from tests.proof.data import Place, make_data
from tests.proof.history import History
from tests.proof.injector import Injector, MoreFaults
from tests.proof.nodes import Nodes
from tests.proof.schedule import Action, describe_schedule, make_schedule
from tests.proof.verdict import check_history
from tests.proof.workload import Client, Load, read_all

__all__ = ["NODE_FLAGS", "Actor", "Extra", "Plan", "ProofFailed", "Report", "prove", "wanted_of"]

NODE_FLAGS = ("--max-log-files", "100", "--log-cleanup-interval", "1")
"""Limits that have a snapshot or a purge under way much of the time."""

ENTITIES = 6


SHOWN = 4000
"""Characters of a problem that are printed; the evidence has all."""


class Plan(NamedTuple):
    """What a run does: all of it follows from the seed and the numbers."""

    seed: int
    nodes: int
    clients: int
    schedule: list[Action]
    wanted: frozenset[str]
    """What must have happened, or the run has proved nothing."""

    @classmethod
    def of(cls, seed: int, nodes: int, clients: int, actions: int) -> Plan:
        """The plan of a seed."""
        schedule = make_schedule(seed, nodes, actions)
        return cls(seed, nodes, clients, schedule, wanted_of(schedule, nodes))


class Report(NamedTuple):
    """What a run that went well has seen: `met` says how often which fault."""

    operations: int
    unknown: int
    met: Counter[str]


class Actor(Protocol):
    """Somebody who does something beside the clients."""

    async def prepare(self, store: Store) -> dict[str, Place]:
        """Make what it works on, before the load begins; returns its keys, which begin with 0."""

    async def run(self, number: int, load: Load, urls: Mapping[int, str]) -> None:
        """Work as client `number` until the load is stopped."""


class Extra(NamedTuple):
    """What a run has beside the plain proof.

    `again` is the command that plays it again, `kept` the folder of the nodes, which goes to the evidence.
    """

    actors: Sequence[Actor] = ()
    faults: Sequence[MoreFaults] = ()
    again: str | None = None
    kept: Path | None = None


PLAIN = Extra()


class ProofFailed(AssertionError):
    """What was wrong; history, logs and schedule lie in the folder that it names, and the seed plays it again."""


def wanted_of(schedule: Iterable[Action], nodes: int) -> frozenset[str]:
    """The faults of a schedule with whom they strike, and a new leadership where the end of a leader makes it sure."""
    wanted = {action.what for action in schedule}
    ends = {"kill of leader", "restart of leader", "failed_fsync of leader", "kill_all of nodes", "transfer of leader"}
    return frozenset(wanted | {"leader_change"} if nodes > 1 and wanted & ends else wanted)


async def prove(plan: Plan, nodes: Nodes, folder: Path, extra: Extra = PLAIN) -> Report:
    """Carry out a plan on nodes that run, and judge it.

    Raises:
        ProofFailed: something is wrong, or a fault did not happen; evidence is left in `folder`.
    """
    load = await _prepared(plan, nodes, extra.actors)
    injector = Injector(nodes, load, extra.faults)
    try:
        await _under_load(plan, nodes, load, injector, extra.actors)
        readers = itertools.count(plan.clients + len(extra.actors))
        for id in nodes.ids:
            await read_all(load, next(readers), nodes.urls[id])
        problems = await asyncio.to_thread(_problems, plan, nodes, load, set(injector.met))
    except Exception as exc:
        problems = ["".join(traceback.format_exception(exc))]
        raise _failure(plan, nodes, injector, load, folder, extra, problems) from exc
    if problems:
        raise _failure(plan, nodes, injector, load, folder, extra, problems)
    operations = load.history.operations
    unknown = sum(operation.outcome == "unknown" for operation in operations)
    return Report(len(operations), unknown, injector.met)


async def _prepared(plan: Plan, nodes: Nodes, actors: Iterable[Actor]) -> Load:
    async with connect(list(nodes.urls.values()), client="proof", timeout=DEADLINE, wait=DEADLINE) as store:
        data = await make_data(store, f"seed {plan.seed}", ENTITIES)
        for actor in actors:
            data.places.update(await actor.prepare(store))
    return Load(History(), data, itertools.count(1))


async def _under_load(plan: Plan, nodes: Nodes, load: Load, injector: Injector, actors: Iterable[Actor]) -> None:
    """Let the clients work while the faults come and go."""
    async with asyncio.TaskGroup() as tasks:
        for number in range(plan.clients):
            tasks.create_task(Client(number, load, plan.seed, nodes.urls).run())
        for number, actor in enumerate(actors, plan.clients):
            tasks.create_task(actor.run(number, load, nodes.urls))
        faults = asyncio.ensure_future(asyncio.to_thread(injector.carry_out_all, plan.schedule))
        try:
            await asyncio.wait([faults])
        finally:
            load.stopped.set()
            injector.end()
            await asyncio.wait([faults])  # a thread cannot be cancelled: it sees that the load has ended
            nodes.proxy.heal()
            ended = faults.exception()
    if ended is not None:
        raise ended


def _problems(plan: Plan, nodes: Nodes, load: Load, met: set[str]) -> list[str]:
    found = [f"this never happened: {fault}" for fault in sorted(plan.wanted - met)]
    found += [f"an error that no fault explains: {surprise}" for surprise in load.surprises]
    found += check_history(load.history)
    before = nodes.settled_digest()
    for process in nodes.processes.values():
        process.kill()
    nodes.start_all()
    nodes.leader()
    after = nodes.settled_digest()
    if before != after:
        found.append(f"the digest was {before}, and after a restart of all nodes it is {after}")
    return found


def _failure(
    plan: Plan, nodes: Nodes, injector: Injector, load: Load, folder: Path, extra: Extra, problems: list[str]
) -> ProofFailed:
    folder.mkdir(parents=True, exist_ok=True)
    load.history.dump(folder / "history.jsonl")
    (folder / "logs.txt").write_text(nodes.logs())
    (folder / "problems.txt").write_text("\n\n".join(problems))
    (folder / "schedule.txt").write_text(describe_schedule(plan.schedule))
    (folder / "timeline.txt").write_text("\n".join(injector.timeline))
    if extra.kept is not None:
        for process in nodes.processes.values():
            process.kill()
        shutil.copytree(extra.kept, folder / "nodes", dirs_exist_ok=True)
    again = f"python -m tests.proof --seed {plan.seed} --nodes {plan.nodes} --clients {plan.clients}"
    again += f" --actions {len(plan.schedule)} --minutes 0"
    return ProofFailed(
        "\n\n".join(
            [
                f"seed {plan.seed}, {plan.nodes} nodes, {len(load.history.operations)} operations; see {folder}",
                f"again: {extra.again or again}",
                *(problem if len(problem) <= SHOWN else f"{problem[:SHOWN]} ..." for problem in problems[:5]),
                describe_schedule(plan.schedule),
            ]
        )
    )
