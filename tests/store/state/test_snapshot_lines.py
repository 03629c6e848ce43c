from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.entry import FEATURE_LEVEL
from qcore.model.leader_commands import CheckDigest, StagePart
from qcore.model.requests.commands import Create, SessionOpen
from qcore.model.values import INT_MAX, INT_MIN, Kind
from qcore.store.state.snapshot_lines import Loader, StateSnapshot
from qcore.store.state.state import State
from tests.store.document_samples import stores
from tests.store.samples import Log, any_command, busy_log, dump, field, full_digest, type_of

THING = type_of(
    "Thing",
    field("Blob", Kind.Blob),
    field("Float", Kind.Float),
    field("Int"),
    field("Text", Kind.String),
    field("Boss", Kind.EntityReference),
    field("Parts", Kind.EntityList),
)


def loaded(text: bytes, applied: int) -> State:
    loader = Loader()
    for line in text.splitlines():
        loader.add(line)
    return loader.done(applied)


def written(state: State) -> bytes:
    snapshot = StateSnapshot(state)
    try:
        return b"".join(snapshot.pieces())
    finally:
        snapshot.release()


def again(state: State) -> State:
    return loaded(written(state), state.applied)


def everything(state: State) -> dict[str, Any]:
    """As `dump`, and what it leaves out."""
    staged = [(stage, parts.used, parts.texts) for stage, parts in state.staged.open.items()]
    return dump(state) | {
        "entities": {id: dump(state)["entities"][id] for id in sorted(state.entities)},
        "staged": (state.staged.size, staged),
        "checks": list(state.checks.last),
        "level": state.level,
        "epochs": state.epochs.all,
        "removed": state.removed.all,
        "session": (state.sessions.next_number, state.sessions.size),
    }


@given(st.integers(0, 2**32), st.integers(0, 40))
def test_a_state_comes_back_from_its_lines_as_it_was(seed: int, entries: int) -> None:
    state = busy_log(seed, entries).state
    copy = again(state)
    assert everything(copy) == everything(state)
    assert copy.digest() == full_digest(copy)
    assert written(copy) == written(state)


@given(stores())
def test_every_kind_of_value_comes_back_to_the_bit(log: Log) -> None:
    assert everything(again(log.state)) == everything(log.state)


@given(st.integers(0, 2**32), st.integers(0, 20), st.integers(1, 20))
def test_a_log_goes_on_from_a_snapshot_as_it_would_have(seed: int, before: int, after: int) -> None:
    log = busy_log(seed, before)
    copy = Log()
    copy.state, copy.records, copy.time = again(log.state), list(log.records), log.time
    chance = random.Random(seed)
    for _ in range(after):
        commands = [any_command(chance, log.state) for _ in range(chance.randint(1, 3))]
        commands[0].session, commands[0].seq = chance.choice([(0, 0), (1, chance.randint(1, 9))])
        for each in (log, copy):
            each.entry(*commands)
    assert everything(copy.state) == everything(log.state)


@given(st.integers(0, 2**32), st.integers(0, 30))
def test_what_happens_while_it_is_written_is_not_in_it(seed: int, entries: int) -> None:
    log = busy_log(seed, entries)
    chance = random.Random(seed)
    text = written(log.state)
    snapshot = StateSnapshot(log.state)
    found = b""
    for piece in snapshot.pieces():
        found += piece
        log.entry(SessionOpen(), *(any_command(chance, log.state) for _ in range(2)))
        log.entry(
            Create("Part", "x", session=1, seq=chance.randint(1, 50)),
            CheckDigest(log.state.applied, log.state.digest()),
        )
    assert found == text
    snapshot.release()
    assert not log.state._pins
    assert not log.state.sessions._pins.open


def test_extreme_values_and_staged_parts_come_back() -> None:
    log = Log(THING)
    for place, values in enumerate(
        [
            {"Int": INT_MAX, "Float": -0.0, "Blob": "AAEC/w=="},
            {"Int": INT_MIN, "Float": 5e-324, "Text": "\x00\u2028\U0010ffff"},
            {"Float": 1.7976931348623157e308, "Parts": [1], "Boss": 1},
        ]
    ):
        log.create("Thing", f"n{place}", None, **values)
    log.entry(StagePart("s", 0, "é"), StagePart("s", 1, "\n"), StagePart("t", 0, ""))
    assert everything(again(log.state)) == everything(log.state)


def test_slots_may_come_in_another_order() -> None:
    """As a later version may lay them out."""
    log = Log(THING)
    log.create("Thing", "a", Int=5, Text="x")
    lines = written(log.state).splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith(b'{"line":"slots","type":"Thing"'))

    slots, entity = json.loads(lines[place]), json.loads(lines[place + 1])
    count = len(slots["fields"])
    order = list(reversed(range(count)))
    slots["fields"] = [slots["fields"][i] for i in order]
    entity["values"] = [entity["values"][i] for i in order]
    entity["stamps"] = [stamp for i in order for stamp in entity["stamps"][2 * i : 2 * i + 2]]
    lines[place], lines[place + 1] = json.dumps(slots).encode(), json.dumps(entity).encode()
    assert everything(loaded(b"\n".join(lines), log.state.applied)) == everything(log.state)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: lines[1:],
        lambda lines: lines[:1],
        lambda lines: [b"{}"],
        lambda lines: [*lines, b'{"line":"entity","id":5,"type":"Ghost","order":1,"values":[],"stamps":[]}'],
        lambda lines: [*lines, b'{"line":"slots","type":"Thing","fields":["Nope"]}'],
        lambda lines: [*lines, b"not json"],
    ],
)
def test_lines_that_cannot_be_are_refused(spoil: Any) -> None:
    log = Log(THING)
    log.create("Thing", "a")
    with pytest.raises((ValueError, KeyError, LookupError)):
        loaded(b"\n".join(spoil(written(log.state).splitlines())), 0)


def test_the_level_in_force_is_kept() -> None:
    state = State()
    state.raise_level(FEATURE_LEVEL + 3)
    assert again(state).level == FEATURE_LEVEL + 3
