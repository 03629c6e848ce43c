from __future__ import annotations

from qcore.cluster.connections.silence import Silence


def test_a_silent_peer_is_pinged_and_then_given_up() -> None:
    silence = Silence(1.0, 4.0, now=0.0)
    looks = [silence.look(0.5 * turn, 0, 0) for turn in range(1, 9)]
    assert looks == ["alive", "ping", "alive", "ping", "alive", "ping", "alive", "silent"]


def test_whatever_comes_is_a_sign_of_life() -> None:
    silence = Silence(1.0, 4.0, now=0.0)
    for turn in range(1, 100):
        silence.heard(turn * 0.9)
        assert silence.look(turn * 0.9 + 0.5, 0, 0) == "alive"


def test_a_big_message_that_still_goes_out_keeps_the_connection() -> None:
    silence = Silence(1.0, 4.0, now=0.0)
    for turn in range(1, 100):
        assert silence.look(float(turn), delivered=turn, outstanding=1000) != "silent"


def test_a_big_message_that_stops_going_out_does_not() -> None:
    silence = Silence(1.0, 4.0, now=0.0)
    assert silence.look(1.0, delivered=10, outstanding=1000) == "alive"
    looks = [silence.look(float(turn), delivered=10, outstanding=1000) for turn in range(2, 6)]
    assert looks[-1] == "silent"


def test_that_a_kernel_confirms_pings_says_nothing_of_its_process() -> None:
    silence = Silence(1.0, 4.0, now=0.0)
    looks = [silence.look(float(turn), delivered=turn, outstanding=0) for turn in range(1, 5)]
    assert looks[-1] == "silent"
