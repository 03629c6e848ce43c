"""One run of the torture: the nodes of a seed's shape, and what is counted of them beside the faults."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from pathlib import Path

from tests.faults import compile_library
from tests.proof.nodes import Nodes
from tests.proof.run import Extra, Plan, ProofFailed, Report, prove
from tests.torture.big_writes import BigWriter
from tests.torture.disk_faults import disk_faults
from tests.torture.group_faults import group_faults
from tests.torture.member_faults import member_faults
from tests.torture.restores import Restorer
from tests.torture.shapes import Shape, plan_of, shape_of

__all__ = ["torture"]

SEEN = {
    "snapshot_taken": "snapshots taken",
    "snapshot_installed": "snapshots installed",
    "membership_change": "membership changes",
    "leading": "leaderships",
}
"""Events that are counted, and as what."""

WRONG = ("Traceback", "apply_failed", "internal", "snapshot_damaged", "thread")
"""Events that no fault explains: ``thread`` begins what a panic of the extension says."""


def torture(seed: int, evidence: Path, actions: int | None = None) -> Report:
    """Run a seed; what it needs lies in a folder of its own in `evidence`, which goes with a run that went well.

    Raises:
        ProofFailed: something is wrong; the folder has directories, timeline, logs and history.
    """
    folder, shape, plan = evidence / str(seed), shape_of(seed), plan_of(seed, actions)
    shutil.rmtree(folder, ignore_errors=True)
    running = folder / "running"
    running.mkdir(parents=True)
    try:
        with Nodes(running, shape.nodes, compile_library(running), shape.flags, spares=shape.spares) as nodes:
            report = asyncio.run(prove(plan, nodes, folder, _extra(plan, shape, running, _again(seed, actions))))
            seen = _seen(nodes)
            wrong = _wrong(nodes)
            if seen["snapshots taken"] < shape.purges * len(plan.schedule) // len(shape.faults):
                wrong.append(f"the limits of the log were crossed {seen['snapshots taken']} times only")
            if wrong:
                raise _failure(nodes, folder, [f"again: {_again(seed, actions)}", *wrong])
    except ProofFailed:
        shutil.rmtree(running)
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)
    return report._replace(met=report.met + seen)


def _again(seed: int, actions: int | None) -> str:
    """The command that plays a seed again."""
    return f"make torture SEED={seed} MINUTES=0" + (f" ARGS='--actions {actions}'" if actions else "")


def _extra(plan: Plan, shape: Shape, kept: Path, again: str) -> Extra:
    faults = [disk_faults, group_faults, *([member_faults] if shape.nodes > 1 else [])]
    return Extra([BigWriter(plan.seed), Restorer(plan.seed)], faults, again, kept)


def _seen(nodes: Nodes) -> Counter[str]:
    logged = sum((process.logged for process in nodes.processes.values()), Counter[str]())
    return Counter({name: logged[event] for event, name in SEEN.items() if logged[event]})


def _wrong(nodes: Nodes) -> list[str]:
    """What nodes have logged that no fault explains."""
    return [
        f"node {id} has logged {event} {process.logged[event]} times"
        for id, process in nodes.processes.items()
        for event in WRONG
        if process.logged[event]
    ]


def _failure(nodes: Nodes, folder: Path, problems: list[str]) -> ProofFailed:
    """Of a run whose history is right."""
    (folder / "logs.txt").write_text(nodes.logs())
    shutil.copytree(folder / "running", folder / "nodes")
    return ProofFailed("\n\n".join([f"see {folder}", *problems]))
