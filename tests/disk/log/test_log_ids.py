from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.disk.log.log_ids import LogIds, follows
from qcore.model.entry import LogId

STEPS = st.lists(
    st.tuples(st.sampled_from(["push", "push", "push", "truncate", "purge"]), st.integers(0, 3), st.integers(0, 30)),
    max_size=60,
)


@given(STEPS)
def test_it_answers_like_a_plain_dictionary(steps: list[tuple[str, int, int]]) -> None:
    ids, plain, purged = LogIds(None), dict[int, LogId](), None
    for step, jump, place in steps:
        last = plain[max(plain)] if plain else purged
        if step == "push":
            new = LogId(last.term + jump // 3, 1, last.index + 1) if last else LogId(0, 1, 0)
            ids.push(new)
            plain[new.index] = new
        elif step == "truncate" and place >= ids.first_index and place < ids.next_index:
            ids.truncate(place)
            plain = {index: each for index, each in plain.items() if index < place}
        elif step == "purge" and place >= ids.first_index:
            purged = plain.get(place) or LogId(last.term if last else 0, 1, place)
            ids.purge(purged)
            plain = {index: each for index, each in plain.items() if index > place}
        seen = plain | ({purged.index: purged} if purged else {})
        assert {index: ids.at(index) for index in range(-1, 70)} == {index: seen.get(index) for index in range(-1, 70)}
        leaders = {(each.term, each.node): each for each in sorted(plain.values(), reverse=True)}
        assert ids.leaders() == sorted(leaders.values())
        assert ids.last == (plain[max(plain)] if plain else purged)
        assert ids.purged == purged


@pytest.mark.parametrize(
    ("previous", "next_id", "legal"),
    [
        (None, LogId(0, 1, 0), True),
        (None, LogId(0, 1, 1), False),
        (LogId(2, 1, 4), LogId(2, 1, 5), True),
        (LogId(2, 1, 4), LogId(3, 0, 5), True),
        (LogId(2, 1, 4), LogId(2, 1, 6), False),
        (LogId(2, 1, 4), LogId(2, 1, 4), False),
        (LogId(2, 1, 4), LogId(1, 9, 5), False),
        (LogId(2, 1, 4), LogId(2, 0, 5), False),
    ],
)
def test_ids_are_contiguous_and_never_decrease(previous: LogId | None, next_id: LogId, legal: bool) -> None:
    assert follows(previous, next_id) is legal
