from __future__ import annotations

from qcore.server.forwarding.parts import Parts


def test_parts_come_back_in_their_order_and_once() -> None:
    parts = Parts(100)
    assert parts.add("s", 0, "ä", 1.0)
    assert parts.add("s", 1, "b", 1.0)
    assert parts.take("s", 2) == [("ä", 2), ("b", 1)]
    assert parts.take("s", 2) is None


def test_a_write_with_a_gap_is_none() -> None:
    parts = Parts(100)
    assert parts.add("s", 0, "a", 1.0)
    assert not parts.add("s", 2, "c", 1.0)
    assert not parts.add("s", 1, "b", 1.0)
    assert parts.take("s", 3) is None


def test_what_does_not_fit_leaves_its_room_to_others() -> None:
    parts = Parts(4)
    assert parts.add("s", 0, "abc", 1.0)
    assert not parts.add("s", 1, "de", 1.0)
    assert parts.add("t", 0, "abcd", 1.0)
    assert parts.take("s", 2) is None
    assert parts.take("t", 1) == [("abcd", 4)]
    assert parts.add("u", 0, "abcd", 1.0)


def test_what_nobody_waits_for_is_dropped() -> None:
    parts = Parts(4)
    assert parts.add("s", 0, "abcd", 1.0)
    parts.sweep(0.5)
    assert len(parts) == 1
    parts.sweep(1.0)
    assert len(parts) == 0
    assert parts.add("t", 0, "abcd", 2.0)
