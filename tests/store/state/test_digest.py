from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcore.model.requests.commands import SessionOpen
from qcore.model.requests.queries import Digest
from qcore.model.values import Kind
from qcore.store import read
from qcore.store.state.digest import counters_hash, entity_hash, field_hash, schema_hash
from tests.store.samples import Log, busy_log, dump, field, full_digest, replay, type_of

ROOT = Path(__file__).parents[3]
THING = type_of("Thing", field("Age"), field("Ratio", Kind.Float), field("Text", Kind.String), field("Data", Kind.Blob))


def test_values_that_look_alike_hash_differently() -> None:
    alike = [1, True, 1.0, "1", b"1", (1,), 0, False, 0.0, -0.0, "", b"", (), (12,), (1, 2)]
    assert len({field_hash(7, "F", value, 5, 6) for value in alike}) == len(alike)


def test_every_part_of_a_field_counts() -> None:
    hashes = {
        field_hash(*parts)
        for parts in [(7, "F", 1, 5, 6), (8, "F", 1, 5, 6), (7, "G", 1, 5, 6), (7, "F", 1, 6, 6), (7, "F", 1, 5, 7)]
    }
    assert len(hashes) == 5


def test_every_part_of_an_entity_a_schema_and_the_counters_counts() -> None:
    entities = {
        entity_hash(*parts)
        for parts in [(1, "T", 2, 3), (4, "T", 2, 3), (1, "U", 2, 3), (1, "T", 4, 3), (1, "T", 2, 4)]
    }
    assert len(entities) == 5
    types = [
        type_of("T"),
        type_of("U"),
        type_of("T", inherits=["U"]),
        type_of("T", field("F")),
        type_of("T", field("F", rank=1)),
    ]
    assert len({schema_hash(schema) for schema in types}) == 5
    assert len({counters_hash(*parts) for parts in [(1, 2, ""), (2, 2, ""), (1, 3, ""), (1, 2, "x")]}) == 4


def test_the_running_digest_equals_one_made_from_nothing() -> None:
    log = busy_log(seed=1, entries=300)
    assert len(log.state.entities) > 20
    assert log.state.digest() == full_digest(log.state)


def test_what_is_undone_by_hand_has_another_revision_and_so_another_digest() -> None:
    log = Log(THING)
    thing = log.create("Thing", "x", 1, Age=1)
    before = log.state.digest()
    log.set(thing, "Age", 2)
    log.set(thing, "Age", 1)
    assert log.state.digest() != before


def test_sessions_do_not_count() -> None:
    log = Log(THING)
    before = log.state.digest()
    log.do(SessionOpen())
    assert log.state.digest() == before


def test_the_answer_has_revision_and_128_bits_in_hex() -> None:
    log = Log(THING)
    now = read.digest(log.state, Digest())
    assert now.revision == 1
    assert now.digest == log.state.digest()
    assert len(now.digest) == 32
    assert int(now.digest, 16) >= 0


@pytest.mark.parametrize("seed", [1, 2])
def test_processes_with_other_hash_orders_locales_and_zones_agree(seed: int) -> None:
    log = busy_log(seed, entries=300)
    lines = b"".join(record + b"\n" for record in log.records)
    digests = set()
    for env in (
        {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Kolkata"},
        {"PYTHONHASHSEED": "4711", "LC_ALL": "C.UTF-8", "TZ": "America/New_York", "PYTHONUTF8": "1"},
    ):
        done = subprocess.run(
            [sys.executable, "-m", "tests.store.replay"],
            input=lines,
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **env},
            check=True,
        )
        digests.add(done.stdout)
    state = replay(log.records)
    assert dump(state) == dump(log.state)
    (line,) = digests
    digest, everything = line.decode().split()
    assert digest == state.digest()
    assert len(everything) == 64
