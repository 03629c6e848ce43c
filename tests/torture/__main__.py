"""``make torture SEED=7 MINUTES=10``, or ``python -m tests.torture --seed 7 --minutes 10``; see docs/testing.md."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click

from tests.faults import WITHOUT_COMPILER
from tests.proof.run import ProofFailed
from tests.torture.run import torture
from tests.torture.shapes import shape_of
from tests.torture.tally import Tally, in_words

INTERRUPTED = 130


@click.command()
@click.option("--seed", type=int, help="Of the first run; each later run has the next one. By default by chance.")
@click.option("--minutes", default=5.0, show_default=True, help="No run begins later than this; the first one always.")
@click.option("--seeds", help="These and no others, with commas between, however long they take.")
@click.option("--actions", type=int, help="Faults in a run; by default each kind of the run's shape once.")
@click.option("--evidence", type=click.Path(path_type=Path), help="Folder for what a failed run leaves.")
def main(seed: int | None, minutes: float, seeds: str | None, actions: int | None, evidence: Path | None) -> None:
    """Let faults of every kind strike nodes and clusters under load; each run on fresh nodes, until one fails."""
    if WITHOUT_COMPILER:
        raise click.ClickException(WITHOUT_COMPILER)
    if find_spec("qcore_openraft") is None:
        raise click.ClickException("the OpenRaft extension is not built: clusters need it")
    if not import_module("qcore_openraft").IS_TORTURE_BUILD:
        raise click.ClickException("the OpenRaft extension is built without assertions: run make torture")
    folder = evidence or Path(tempfile.mkdtemp(prefix="qcore-torture-"))
    tally = Tally([], Counter())
    try:
        for number in _numbers(seed, minutes, seeds):
            tally = _one(tally, number, folder, actions)
    except ProofFailed as exc:
        click.echo(tally.describe())
        raise click.ClickException(str(exc)) from None
    except KeyboardInterrupt:
        click.echo(f"interrupted; {tally.describe()}")
        raise SystemExit(INTERRUPTED) from None
    finally:
        with suppress(OSError):  # it goes if no run has left anything
            folder.rmdir()
    click.echo(tally.describe())


def _numbers(seed: int | None, minutes: float, seeds: str | None) -> Iterator[int]:
    """The seeds in turn."""
    if seeds is not None:
        yield from map(int, seeds.split(","))
        return
    number = random.SystemRandom().randrange(10**9) if seed is None else seed
    end = time.monotonic() + 60 * minutes
    while True:
        yield number
        number += 1
        if time.monotonic() >= end:
            return


def _one(tally: Tally, seed: int, folder: Path, actions: int | None) -> Tally:
    """One run more, told in one line."""
    begin = time.monotonic()
    report = torture(seed, folder, actions)
    seconds = time.monotonic() - begin
    click.echo(
        f"seed {seed} ({shape_of(seed).name}): {seconds:.0f} s, {report.operations} operations, "
        f"{report.unknown} unknown; {in_words(report.met)}"
    )
    return tally.plus(seed, report.met, report.operations, report.unknown, seconds)


if __name__ == "__main__":
    main()
