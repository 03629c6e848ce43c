"""A run of the proof: clients under load, faults by a schedule, and a verdict over what the clients saw."""

from __future__ import annotations

import asyncio
import itertools
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from qcore.client import connect
from tests.process import DEADLINE
from tests.proof.data import make_data
from tests.proof.history import History
from tests.proof.injector import Injector
from tests.proof.nodes import Nodes
from tests.proof.schedule import Action, describe_schedule, make_schedule
from tests.proof.verdict import check_history
from tests.proof.workload import Client, Load, read_all

__all__ = ["NODE_FLAGS", "Plan", "ProofFailed", "Report", "prove"]

NODE_FLAGS = ("--max-log-files", "100", "--log-cleanup-interval", "1")
"""Limits that have a snapshot or a purge under way much of the time."""

ENTITIES = 6


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
    """What a run that went well has seen."""

    operations: int
    unknown: int
    met: frozenset[str]


class ProofFailed(AssertionError):
    """What was wrong; history, logs and schedule lie in the folder that it names, and the seed plays it again."""


def wanted_of(schedule: Iterable[Action], nodes: int) -> frozenset[str]:
    """The faults of a schedule with whom they strike, and a new leadership where the end of a leader makes it sure."""
    wanted = {action.what for action in schedule}
    ends = {"kill of leader", "restart of leader", "failed_fsync of leader", "kill_all of nodes"}
    return frozenset(wanted | {"leader_change"} if nodes > 1 and wanted & ends else wanted)


async def prove(plan: Plan, nodes: Nodes, folder: Path) -> Report:
    """Carry out a plan on nodes that run, and judge it.

    Raises:
        ProofFailed: something is wrong, or a fault did not happen; evidence is left in `folder`.
    """
    load = await _prepared(plan, nodes)
    injector = Injector(nodes, load)
    try:
        await _under_load(plan, nodes, load, injector)
        for number, id in enumerate(nodes.ids):
            await read_all(load, plan.clients + number, nodes.urls[id])
        problems = await asyncio.to_thread(_problems, plan, nodes, load, injector.met)
    except Exception as exc:
        raise _failure(plan, nodes, injector, load, folder, ["".join(traceback.format_exception(exc))]) from exc
    if problems:
        raise _failure(plan, nodes, injector, load, folder, problems)
    operations = load.history.operations
    unknown = sum(operation.outcome == "unknown" for operation in operations)
    return Report(len(operations), unknown, frozenset(injector.met))


async def _prepared(plan: Plan, nodes: Nodes) -> Load:
    async with connect(list(nodes.urls.values()), client="proof", timeout=DEADLINE, wait=DEADLINE) as store:
        data = await make_data(store, f"seed {plan.seed}", ENTITIES)
    return Load(History(), data, itertools.count(1))


async def _under_load(plan: Plan, nodes: Nodes, load: Load, injector: Injector) -> None:
    """Let the clients work while the faults come and go."""
    urls = list(nodes.urls.values())
    async with asyncio.TaskGroup() as tasks:
        for number in range(plan.clients):
            tasks.create_task(Client(number, load, plan.seed, urls).run())
        faults = asyncio.ensure_future(asyncio.to_thread(injector.carry_out_all, plan.schedule))
        try:
            await asyncio.wait([faults])
        finally:
            load.stopped.set()
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
    plan: Plan, nodes: Nodes, injector: Injector, load: Load, folder: Path, problems: list[str]
) -> ProofFailed:
    folder.mkdir(parents=True, exist_ok=True)
    load.history.dump(folder / "history.jsonl")
    (folder / "logs.txt").write_text(nodes.logs())
    (folder / "problems.txt").write_text("\n\n".join(problems))
    (folder / "schedule.txt").write_text(describe_schedule(plan.schedule))
    (folder / "timeline.txt").write_text("\n".join(injector.timeline))
    return ProofFailed(
        "\n\n".join(
            [
                f"seed {plan.seed}, {plan.nodes} nodes, {len(load.history.operations)} operations; see {folder}",
                f"again: python -m tests.proof --seed {plan.seed} --nodes {plan.nodes} --clients {plan.clients}"
                f" --actions {len(plan.schedule)} --minutes 0",
                *problems[:5],
                describe_schedule(plan.schedule),
            ]
        )
    )
