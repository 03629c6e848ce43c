"""`python -m benchmarks.cluster`: three nodes of qcore beside three of etcd, on one disk of this machine, in one run.

Every acknowledged write is on the disks of a majority in both. The systems take turns within each round, so that a
noisy machine is noisy for both. Loads go to the leader (`leader`), and to all nodes in turn (`all`); a lone client of
`all` talks to a follower. Reads are linearizable. A request to etcd is one put or get of a small value under one of as
many keys as qcore has entities.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from benchmarks.cluster import etcd_cluster
from benchmarks.cluster.etcd_cluster import EtcdCluster
from benchmarks.cluster.members import COUNT, Case, Cluster, Operation, Target
from benchmarks.cluster.qcore_cluster import QcoreCluster
from benchmarks.cluster.table import Round, costs, rates
from benchmarks.cluster.usage import Usage
from benchmarks.load import Load
from benchmarks.peers import FOLDER, durable_folder

__all__ = ["main"]

LOADS: dict[Operation, tuple[Load, ...]] = {
    "write": (Load(1), Load(50), Load(200), Load(50, 16)),
    "read": (Load(1), Load(50), Load(200)),
}
TARGETS: tuple[Target, ...] = ("leader", "all")

Found = dict[str, dict[Case, list[Round]]]


@contextlib.contextmanager
def started(folder: Path, *, alone: bool) -> Iterator[list[Cluster]]:
    """The clusters to measure, running, with their data below `folder`."""
    with contextlib.ExitStack() as stack:
        clusters: list[Cluster] = [stack.enter_context(QcoreCluster(folder / "qcore"))]
        if not alone:
            clusters.append(stack.enter_context(EtcdCluster(folder / "etcd")))
        yield clusters


def measure_one(cluster: Cluster, case: Case, seconds: float) -> Round:
    """Press a cluster; what its members have used meanwhile belongs to the measurement.

    Raises:
        RuntimeError: another node leads than before.
    """
    leader = cluster.leader()
    before = [cluster.usage(place) for place in range(COUNT)]
    measured = cluster.press(case, seconds)
    used = [cluster.usage(place) - before[place] for place in range(COUNT)]
    if cluster.leader() != leader:
        raise RuntimeError(f"{cluster.name} has elected another leader under load: {case.title}")
    followers = Usage()
    for place in range(COUNT):
        if place != leader:
            followers = followers.plus(used[place])
    return Round(measured, used[leader], followers)


def measure_all(clusters: Sequence[Cluster], cases: Sequence[Case], rounds: int, seconds: float) -> Found:
    """Measure every case in every round, the clusters one after the other and the other way round in turn."""
    found: Found = {cluster.name: {case: [] for case in cases} for cluster in clusters}
    for turn in range(rounds):
        for case in cases:
            for cluster in clusters if turn % 2 == 0 else reversed(clusters):
                found[cluster.name][case].append(measure_one(cluster, case, seconds))
        click.echo(f"round {turn + 1} of {rounds}", err=True)
    return found


@click.command(help=__doc__.partition("\n\n")[2])
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each case is measured.")
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.1), help="Length of a measurement.")
@click.option("--target", type=click.Choice(TARGETS), help="Press the leader only, or all nodes only.")
@click.option("--operation", type=click.Choice(list(LOADS)), help="Only these.")
@click.option("--alone", is_flag=True, help="Without etcd.")
@click.option("--folder", default=FOLDER / "data", type=click.Path(path_type=Path), help="Data of all; emptied.")
def main(
    rounds: int, seconds: float, target: Target | None, operation: Operation | None, alone: bool, folder: Path
) -> None:
    """Measure, print the tables, exit 1 if anything failed."""
    durable_folder(folder)
    if not alone and (wanted := etcd_cluster.missing()):
        click.echo(f"{wanted}: qcore alone", err=True)
        alone = True
    targets = TARGETS if target is None else (target,)
    operations = LOADS if operation is None else {operation: LOADS[operation]}
    cases = [
        Case(op, load, where) for op, loads in operations.items() for load, where in itertools.product(loads, targets)
    ]
    with started(folder, alone=alone) as clusters:
        found = measure_all(clusters, cases, rounds, seconds)
        click.echo("\n".join([*rates(found), "", *costs(found), ""]))
        failed = False
        for cluster in clusters:
            every = [one.measured for ones in found[cluster.name].values() for one in ones]
            errors, lost = sum(one.errors for one in every), sum(one.closed for one in every)
            failed = failed or bool(errors or lost)
            click.echo(f"{cluster.name} {cluster.describe()}; {errors} errors, {lost} connections lost")
    shutil.rmtree(folder)
    sys.exit(failed)


if __name__ == "__main__":
    main()
