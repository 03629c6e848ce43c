"""Feature levels: what a log of each gives, whatever version of the code applies it."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from qcore.model.entry import Entry, EntryBody, LogId
from qcore.model.times import NS
from qcore.model.wire import encode_json
from qcore.store.apply import Outcome, apply_entry
from qcore.store.state.state import State
from tests.store.samples import busy_log


def answer(outcome: Outcome) -> bytes:
    if outcome.before is not None:
        return outcome.before.raw
    return encode_json(outcome.result if outcome.error is None else outcome.error.wire())


def replayed(records: list[bytes]) -> tuple[State, str]:
    """The state that a log gives, and a hash of all its answers."""
    state, hashed = State(), hashlib.sha256()
    for index, record in enumerate(records):
        entry = Entry(LogId(1, 65_536, index), msgspec.json.decode(record, type=EntryBody))
        for outcome in apply_entry(state, entry):
            hashed.update(answer(outcome))
    return state, hashed.hexdigest()


def uneven(records: list[bytes]) -> list[bytes]:
    """The same commands by a clock that steps back, with blank entries in between whose time runs ahead."""
    found = []
    for number, record in enumerate(records):
        body = msgspec.json.decode(record, type=EntryBody)
        if number % 7 == 3:
            body.time -= 40 * NS
        found.append(msgspec.json.encode(body))
        if number % 5 == 2:
            found.append(msgspec.json.encode(EntryBody(1, body.time + 3 * NS, "blank")))
    return found


@pytest.mark.parametrize(
    ("seed", "digest", "answers"),
    [
        (
            1,
            "94f42eb54c84b022cbda0676a901a27e",
            "02f46ad85f4cee01d723dcf9f7680d11e5a8759a20f85485b1e3c4e368c67715",
        ),
        (
            2,
            "19d7e93b967a539bbdab8d501193b8cc",
            "0b5de5a24c143a7238545606295c74598136ce6e7589fd62e10d13b9ea8a6a1f",
        ),
        (
            3,
            "b410fcaf6dd09a76a19261995562dbdc",
            "c7a26f52e00880d710a74187d3ead24b055cf977f42eb5371049f4bcb00e48a9",
        ),
    ],
)
def test_a_log_of_level_1_gives_what_it_always_gave(seed: int, digest: str, answers: str) -> None:
    """Digests and answers are those of the version that knew level 1 alone."""
    state, found = replayed(uneven(busy_log(seed, 150).records))
    assert (state.level, state.digest(), found) == (1, digest, answers)
    assert state.time == 1_700_000_003_148_000_000
