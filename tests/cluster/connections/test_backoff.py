from __future__ import annotations

from qcore.cluster.connections.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_begin_anew() -> None:
    backoff = Backoff(0.1, 1.0, lambda: 0.0)
    assert [backoff.pause() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    backoff.reset()
    assert backoff.pause() == 0.1


def test_chance_shortens_a_pause_by_up_to_half() -> None:
    assert Backoff(1.0, 2.0, lambda: 0.5).pause() == 0.75
    assert Backoff(0.1, 1.0, lambda: 0.75).spread(8.0) == 5.0
