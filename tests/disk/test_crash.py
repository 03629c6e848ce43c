"""After any power cut a node's directory opens, with all that was acknowledged and nothing that was not written."""

from __future__ import annotations

import random
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.disk.crash import AtOnce, Recorder, crash_states, image_of, materialise
from tests.disk.life import (
    PACES,
    Cuts,
    Life,
    a_life,
    a_life_with_snapshots,
    cut_power,
    entry_of,
    held,
    kill_then_cut_power,
    living,
)
from tests.disk.samples import filled, log_id, open_node


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


@pytest.mark.parametrize(
    ("pace", "recorder"),
    [*((pace, Recorder) for pace in PACES), *((pace, AtOnce) for pace in ("one by one", "with long pauses"))],
)
def test_a_power_cut_at_any_moment_loses_nothing(
    folder: Path, pace: str, recorder: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    cuts = Cuts(folder)
    operations = cut_power(cuts, folder, pace, recorder)
    flushed = "at once" if recorder.flushes_whole else "file by file"
    say(
        capsys,
        f"{cuts.states} states after a power cut at one of {operations} operations, files prepared {pace}, "
        f"flushed {flushed}",
    )
    assert cuts.states > operations


@pytest.mark.parametrize("pace", ["never", "one by one"])
def test_a_power_cut_beside_snapshots_leaves_one_that_reaches_as_far_as_the_log_is_gone(
    folder: Path, pace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cuts = Cuts(folder)
    operations = cut_power(cuts, folder, pace, lived=a_life_with_snapshots)
    say(capsys, f"{cuts.states} states after a power cut at one of {operations} operations with snapshots, {pace}")
    assert cuts.states > operations


def test_a_power_cut_after_a_kill_loses_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cuts = Cuts(folder)
    operations = kill_then_cut_power(cuts, folder, "by chance")
    say(
        capsys, f"{cuts.states} states after a kill in one of {operations} operations and a power cut at the next start"
    )
    assert cuts.states > operations


def test_a_power_cut_during_the_removal_of_leftovers_loses_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder / "life"
    path = filled(root, 6)
    directory = open_node(root, machine="press")
    leftovers = {f"{index}.json": (path / "logs" / f"{index}.json").read_bytes() for index in range(3)}
    directory.log.purge(log_id(2))
    known = held(directory)
    directory.close()
    torn_entry = bytearray(entry_of(6, 1, length=2_000).ljust(4096))
    torn_entry[512:1024] = b" " * 512
    leftovers |= {"6.json": bytes(torn_entry), "7.json": b" " * 4096, "8.json": b"", "9.json": b"\0" * 64}
    leftovers["6.json.tmp"] = b"half"
    for name, data in leftovers.items():
        (path / "logs" / name).write_bytes(data)
    base = image_of(root)
    life = Life(root, known=known)
    life.start()
    life.append(6, 1)
    life.stop()
    cuts = Cuts(folder)
    cuts.try_all(life, base)
    say(capsys, f"{cuts.states} states after a power cut at one of {len(life.trace)} operations with leftovers")


def test_a_power_cut_at_the_start_after_a_power_cut_loses_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with living(folder, pace="by chance") as life:
        a_life(life)
        states = list(crash_states({}, life.trace))
    cuts = Cuts(folder)
    for count, image in random.Random(len(states)).sample(states, 60):
        materialise(image, folder / "again")
        again = Life(folder / "again")
        again.bounds = [replace(life.at(count), since=0)]
        again.start()
        again.stop()
        cuts.try_all(again, image)
        shutil.rmtree(folder / "again")
    say(capsys, f"{cuts.states} states after a power cut at the start after a power cut")
