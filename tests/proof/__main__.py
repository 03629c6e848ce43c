"""The proof by hand, for as long as wanted: ``python -m tests.proof --seed N --minutes M --nodes K``."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path

import click

from tests.faults import WITHOUT_COMPILER, compile_library
from tests.proof.nodes import Nodes
from tests.proof.run import NODE_FLAGS, Plan, ProofFailed, Report, prove
from tests.proof.schedule import faults_for


@click.command()
@click.option("--seed", type=int, help="Of the first run; each later run has the next one. By default by chance.")
@click.option("--minutes", default=1.0, show_default=True, help="No run begins later than this; the first one always.")
@click.option("--nodes", default=1, show_default=True, help="Nodes of a cluster.")
@click.option("--clients", default=20, show_default=True, help="Clients at a time.")
@click.option("--actions", type=int, help="Faults in a run; by default each kind three times.")
@click.option("--evidence", type=click.Path(path_type=Path), help="Folder for what a failed run leaves.")
def main(
    seed: int | None, minutes: float, nodes: int, clients: int, actions: int | None, evidence: Path | None
) -> None:
    """Prove with real processes that nothing is lost, doubled or read in a wrong order; each run on fresh nodes."""
    if WITHOUT_COMPILER:
        raise click.ClickException(WITHOUT_COMPILER)
    number = random.SystemRandom().randrange(10**9) if seed is None else seed
    found = evidence or Path(tempfile.mkdtemp(prefix="qcore-proof-"))
    end = time.monotonic() + 60 * minutes
    while True:
        plan = Plan.of(number, nodes, clients, actions or 3 * len(faults_for(nodes)))
        try:
            report = run(plan, found / str(number))
        except ProofFailed as exc:
            raise click.ClickException(str(exc)) from None
        click.echo(f"seed {number}: {report.operations} operations, {report.unknown} of them with unknown outcome")
        number += 1
        if time.monotonic() >= end:
            return


def run(plan: Plan, evidence: Path) -> Report:
    """One run, on nodes of its own."""
    with tempfile.TemporaryDirectory(prefix="qcore-proof-") as name:
        folder = Path(name)
        with Nodes(folder, plan.nodes, compile_library(folder), NODE_FLAGS) as nodes:
            return asyncio.run(prove(plan, nodes, evidence))


if __name__ == "__main__":
    main()
