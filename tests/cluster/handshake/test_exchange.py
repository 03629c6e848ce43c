from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.cluster.handshake.exchange import Handshake, Proof, Verdict
from qcore.cluster.handshake.hello import Hello, Refusal, common_protocol
from tests.cluster.linked import hello, own

FIRST, SECOND = hello(own(1)), hello(own(2))
NEW, OLD = b"new secret", b"old secret"
REMOVED = Refusal("removed", "node 1 was removed")


def pair(
    dialler: Sequence[bytes] = (NEW,),
    accepter: Sequence[bytes] = (NEW,),
    dialler_says: Refusal | None = None,
    accepter_says: Refusal | None = None,
) -> tuple[Handshake, Handshake]:
    return (
        Handshake(True, FIRST, dialler, lambda _: dialler_says),
        Handshake(False, SECOND, accepter, lambda _: accepter_says),
    )


def talk(first: Handshake, second: Handshake) -> None:
    """Carry what each side sends to the other until nobody says anything."""
    sent = True
    while sent:
        sent = False
        for one, other in ((first, second), (second, first)):
            for data in one.data_to_send():
                sent = True
                other.receive(data)


def test_both_sides_learn_who_the_other_one_is() -> None:
    first, second = pair()
    talk(first, second)
    assert (first.done, first.peer, first.proved) == (True, SECOND, True)
    assert (second.done, second.peer, second.proved) == (True, FIRST, True)


@pytest.mark.parametrize(
    ("dialler", "accepter"),
    [((NEW, OLD), (OLD,)), ((OLD,), (NEW, OLD)), ((NEW, OLD), (NEW,)), ((NEW,), (OLD, NEW)), ((), ()), ((b"",), ())],
)
def test_one_secret_in_common_is_enough(dialler: Sequence[bytes], accepter: Sequence[bytes]) -> None:
    first, second = pair(dialler, accepter)
    talk(first, second)
    assert first.done and second.done  # noqa: PT018


@pytest.mark.parametrize(
    ("dialler", "accepter"), [((NEW,), (OLD,)), ((), (NEW,)), ((NEW,), ()), ((b"NEW", b"OLD"), (NEW, OLD))]
)
def test_without_a_common_secret_neither_side_talks(dialler: Sequence[bytes], accepter: Sequence[bytes]) -> None:
    first, second = pair(dialler, accepter)
    talk(first, second)
    for side, by_peer in ((first, True), (second, False)):
        assert not side.done
        assert side.refusal is not None
        assert side.refusal.reason == "wrong_secret"
        assert (side.refused_by_peer, side.proved) == (by_peer, False)


def test_an_accepter_that_does_not_know_the_secret_is_found_out() -> None:
    """It says welcome to whatever came."""
    first, _ = pair()
    (said,) = first.data_to_send()
    assert msgspec.msgpack.decode(said, type=Hello) == FIRST
    first.receive(msgspec.msgpack.encode(SECOND))
    first.data_to_send()
    first.receive(msgspec.msgpack.encode(Verdict(None, [b"x" * 32])))
    assert first.refusal is not None
    assert (first.done, first.refusal.reason, first.proved) == (False, "wrong_secret", False)


def test_a_dialler_that_sends_the_accepters_own_proof_back_is_found_out() -> None:
    _, second = pair()
    mirror = Handshake(True, FIRST, (b"unknown",), lambda _: None)
    second.receive(mirror.data_to_send()[0])
    mirror.receive(second.data_to_send()[0])
    other = Handshake(False, SECOND, (NEW,), lambda _: None)
    other.receive(msgspec.msgpack.encode(FIRST))
    second.receive(msgspec.msgpack.encode(Proof(other._macs(b"accepter", b"\xc0"))))
    assert second.refusal is not None
    assert second.refusal.reason == "wrong_secret"


@given(st.integers(0, 1 << 16), st.integers(1, 255))
def test_a_hello_that_was_changed_on_the_way_is_found_out(place: int, change: int) -> None:
    first, second = pair()
    (said,) = first.data_to_send()
    changed = bytearray(said)
    changed[place % len(said)] ^= change
    second.receive(bytes(changed))
    for data in second.data_to_send():
        first.receive(data)
    for data in first.data_to_send():
        second.receive(data)
    assert second.refusal is not None
    assert second.refusal.reason in ("wrong_secret", "unreadable")


def test_the_same_words_do_not_open_a_second_handshake() -> None:
    first, second = pair()
    words: list[bytes] = []
    for _ in range(3):
        for data in first.data_to_send():
            words.append(data)
            second.receive(data)
        for data in second.data_to_send():
            first.receive(data)
    assert second.done
    again = Handshake(False, hello(own(2)), (NEW,), lambda _: None)
    for data in words:
        again.receive(data)
    assert again.refusal is not None
    assert again.refusal.reason == "wrong_secret"


def test_a_refusal_by_the_accepter_is_proved_and_told() -> None:
    first, second = pair(accepter_says=REMOVED)
    talk(first, second)
    assert (first.refusal, first.refused_by_peer, first.proved) == (REMOVED, True, True)
    assert (second.refusal, second.refused_by_peer, second.proved) == (REMOVED, False, True)
    assert not first.done
    assert not second.done


def test_a_refusal_by_the_dialler_is_proved_and_told() -> None:
    first, second = pair(dialler_says=REMOVED)
    talk(first, second)
    assert (first.refusal, first.refused_by_peer, first.proved) == (REMOVED, False, True)
    assert (second.refusal, second.refused_by_peer, second.proved) == (REMOVED, True, True)
    assert not first.done
    assert not second.done


def test_a_refusal_that_was_made_up_is_not_proved() -> None:
    first, _ = pair()
    first.receive(msgspec.msgpack.encode(SECOND))
    first.receive(msgspec.msgpack.encode(Verdict(REMOVED, [b"x" * 32])))
    assert (first.refusal, first.refused_by_peer, first.proved) == (REMOVED, True, False)


def test_nobody_is_judged_before_the_secret_is_proved() -> None:
    judged: list[Hello] = []
    second = Handshake(False, SECOND, (NEW,), judged.append)
    first = Handshake(True, FIRST, (OLD,), judged.append)
    talk(first, second)
    assert judged == []


def test_an_accepter_tells_no_proof_to_who_has_not_proved_anything() -> None:
    second = Handshake(False, SECOND, (NEW,), lambda _: None)
    second.receive(msgspec.msgpack.encode(FIRST))
    assert [msgspec.msgpack.decode(data, type=Hello) for data in second.data_to_send()] == [SECOND]
    second.receive(msgspec.msgpack.encode(Proof([b"guess"])))
    (said,) = second.data_to_send()
    assert msgspec.msgpack.decode(said, type=Verdict).macs == []


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=4), st.booleans())
def test_whatever_comes_is_refused_by_name_and_never_raises(frames: list[bytes], dials: bool) -> None:
    side = Handshake(dials, FIRST, (NEW,), lambda _: None)
    for frame in frames:
        side.receive(frame)
    assert not side.done
    assert side.refusal is not None
    assert side.refusal.reason in ("unreadable", "wrong_secret")


@given(st.permutations(range(4)))
def test_words_in_another_order_open_nothing(order: list[int]) -> None:
    first, second = pair()
    words = [first.data_to_send()[0]]
    second.receive(words[0])
    first.receive(second.data_to_send()[0])
    words += first.data_to_send()
    second.receive(words[1])
    first.receive(second.data_to_send()[0])
    words += first.data_to_send()
    words.append(msgspec.msgpack.encode(Verdict(None, [])))
    side = Handshake(False, SECOND, (NEW,), lambda _: None)
    for place in order:
        side.receive(words[place])
    assert side.done is ([place for place in order if place != 3] == [0, 1, 2] and order.index(3) == 3)


def test_a_field_that_a_later_version_adds_is_ignored() -> None:
    first, second = pair()
    (said,) = first.data_to_send()
    more = msgspec.msgpack.encode({**msgspec.msgpack.decode(said), "weather": "fine"})
    second.receive(more)
    assert second.refusal is None
    assert second.peer == FIRST


def test_versions_without_a_common_protocol_are_told() -> None:
    assert common_protocol(["qcore-link-9", "qcore-link-1"]) == "qcore-link-1"
    refusal = common_protocol(["qcore-link-9"])
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "no_common_version"
    assert refusal.message == "this node speaks qcore-link-1, the other one qcore-link-9"
    assert common_protocol([]) == Refusal("no_common_version", "this node speaks qcore-link-1, the other one none")
