"""The leader's end of forwarding: which batches are taken, held or go back, and what their senders hear."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qcore.model.errors import RequestError, Timeout
from qcore.model.requests.commands import Create
from qcore.model.wire import encode_json
from qcore.server.forwarding.incoming import Incoming
from qcore.server.forwarding.messages import NotLeading, Outcome, Outcomes, Part, Write, Writes, decode_reply, encode
from qcore.server.writes.forwarded_call import ForwardedCall


class Asked:
    """A request of node 7, and what it was answered."""

    node = 7
    cancelled = False

    def __init__(self, body: bytes = b"", left: float = 10.0) -> None:
        self.body = body
        self.left = left
        self.replies: list[Any] = []

    @property
    def call(self) -> Asked:
        return self

    def answer(self, body: bytes) -> None:
        self.replies.append(decode_reply(body) if body else body)

    def fail(self, error: RequestError) -> None:
        self.replies.append(error)


class House:
    """The end of node 1, which does with the writes it is given what the test says."""

    def __init__(self) -> None:
        self.incoming = Incoming(1, self.put, self.put_parts, lambda epoch: epoch != "other")
        self.calls: list[ForwardedCall] = []
        self.parts: list[list[tuple[str, int]]] = []
        self.slow = False
        """Whether a write needs time before it has its place, as if its filters were being parsed."""
        self._numbers = iter(range(1000))

    def put(self, call: ForwardedCall) -> None:
        if not call.go_back():
            self.calls.append(call)
            if not self.slow:
                call.mark_queued()

    def put_parts(self, call: ForwardedCall, parts: list[tuple[str, int]]) -> None:
        self.parts.append(parts)
        self.put(call)

    def batch(self, term: int, *names: str, number: int | None = None, **more: Any) -> Asked:
        asked = Asked()
        writes = [Write("create", 10.0, 10, encode_json(Create("Object", name))) for name in names]
        found = next(self._numbers) if number is None else number
        self.incoming.take(asked, Writes("run", more.pop("stream", 0), found, term, writes, **more))
        return asked

    def names(self) -> list[str]:
        return [call.params.name for call in self.calls]


@pytest.fixture
def house() -> House:
    made = House()
    made.incoming.lead(3)
    return made


async def test_a_batch_is_answered_when_all_its_writes_are(house: House) -> None:
    asked = house.batch(3, "a", "b")
    house.calls[1].fail_raw(b'{"code":1}')
    assert asked.replies == []
    house.calls[0].result({"id": 7})
    house.calls[0].result({"id": 8})
    assert asked.replies == [Outcomes([Outcome(b'{"id":7}'), Outcome(None, b'{"code":1}')])]


async def test_a_batch_for_a_term_of_before_goes_back_with_who_leads_now(house: House) -> None:
    assert house.batch(2, "a").replies == [NotLeading(1, 3)]
    house.incoming.follow(2, 4)
    assert house.batch(3, "b").replies == [NotLeading(2, 4)]
    assert house.calls == []


async def test_a_batch_that_comes_before_the_lead_is_heard_of_waits_for_it() -> None:
    house = House()
    house.incoming.follow(None, 3)
    asked, later = house.batch(3, "a"), house.batch(4, "b")
    assert (house.calls, asked.replies) == ([], [])
    house.incoming.lead(3)
    assert house.names() == ["a"]
    house.incoming.follow(2, 4)
    assert later.replies == [NotLeading(2, 4)]


async def test_what_was_not_appended_goes_back_when_the_lead_is_lost_and_the_rest_is_told(house: House) -> None:
    asked = house.batch(3, "a", "b", "c")
    house.calls[0].result({"id": 7})
    house.incoming.follow(2, 4)
    house.calls[1].fail(Timeout("lost", applied="unknown"))
    assert house.calls[2].go_back()
    (reply,) = asked.replies
    assert (reply.over, reply.leader, reply.term) == (True, 2, 4)
    first, second, third = reply.outcomes
    assert (first.result, json.loads(second.error)["data"]["applied"]) == (b'{"id":7}', "unknown")
    assert (third.result, third.error) == (None, None)


async def test_a_later_lead_of_the_same_node_takes_nothing_of_the_one_before(house: House) -> None:
    house.batch(3, "a")
    house.incoming.lead(5)
    assert house.calls[0].go_back()
    assert house.batch(4, "b").replies == [NotLeading(1, 5)]


async def test_who_leads_again_in_its_term_takes_new_streams_and_nothing_of_those_before(house: House) -> None:
    """It had heard of no quorum for a moment, and nobody else was elected."""
    first = house.batch(3, "a", number=0)
    house.incoming.follow(None, 3)
    assert house.batch(3, "b", number=1).replies == [Outcomes([Outcome()])]
    held = house.batch(3, "d", stream=1, number=0)
    assert held.replies == []
    house.incoming.lead(3)
    assert house.calls[0].go_back()
    assert first.replies == [Outcomes([Outcome()], True, 1, 3)]
    assert house.batch(3, "c", number=2).replies == [Outcomes([Outcome()])]
    house.batch(3, "e", stream=1, number=1)
    assert house.names() == ["a", "d", "e"]
    assert not house.calls[1].go_back()


async def test_behind_a_batch_that_went_astray_all_of_its_stream_go_back(house: House) -> None:
    house.batch(3, "a", number=0)
    back = Outcomes([Outcome()])
    assert house.batch(3, "c", number=2).replies == [back]
    assert house.batch(3, "d", number=3).replies == [back]
    house.batch(3, "b", stream=1, number=0)
    assert house.batch(3, "late", stream=0, number=1).replies == [back]
    assert house.names() == ["a", "b"]


async def test_writes_keep_their_order_while_one_is_being_prepared(house: House) -> None:
    house.slow = True
    house.batch(3, "a", "b")
    house.batch(3, "c")
    assert house.names() == ["a"]
    house.slow = False
    house.calls[0].mark_queued()
    assert house.names() == ["a", "b", "c"]


async def test_a_stopping_leader_takes_nothing_and_names_nobody(house: House) -> None:
    asked = house.batch(3, "a")
    house.incoming.stop()
    assert house.batch(3, "b").replies == [NotLeading(None, 3)]
    assert house.calls[0].go_back()
    assert asked.replies[0].over


async def test_a_sender_of_another_history_is_refused(house: House) -> None:
    assert house.batch(3, "a", epoch="other").replies == [NotLeading(1, 3)]


async def test_what_cannot_be_read_is_an_error_of_that_write_alone(house: House) -> None:
    asked = Asked()
    writes = [Write("create", 1.0, 1, b"{"), Write("create", 1.0, 1, encode_json(Create("Object", "b")))]
    house.incoming.take(asked, Writes("run", 0, 0, 3, writes))
    house.calls[0].result({})
    (reply,) = asked.replies
    assert json.loads(reply.outcomes[0].error)["data"] == {"kind": "internal", "applied": "no"}


async def test_a_long_write_is_put_together_from_its_parts(house: House) -> None:
    for number, text in enumerate(("one", "zwei")):
        part = Asked()
        house.incoming.take_part(part, Part("s", number, text))
        assert part.replies == [b""]
    house.incoming.take(Asked(), Writes("run", 0, 0, 3, [Write("schema.set", 1.0, 7, stage="s", parts=2)]))
    assert house.parts == [[("one", 3), ("zwei", 4)]]


async def test_a_long_write_whose_parts_are_not_all_there_is_refused(house: House) -> None:
    house.incoming.take_part(Asked(), Part("s", 0, "one"))
    asked = Asked()
    house.incoming.take(asked, Writes("run", 0, 0, 3, [Write("schema.set", 1.0, 7, stage="s", parts=2)]))
    assert json.loads(asked.replies[0].outcomes[0].error)["data"] == {"kind": "busy", "applied": "no"}


async def test_nothing_is_kept_for_longer_than_somebody_waits() -> None:
    house = House()
    house.incoming.take_part(Asked(left=0.0), Part("s", 0, "one"))
    asked = Asked(left=0.0)
    house.incoming.take(asked, Writes("run", 0, 0, 9, [Write("create", 0.0, 1)]))
    assert house.incoming._sweep() is False
    assert asked.replies == [Outcomes([Outcome()])]


def test_messages_are_maps_by_name_so_that_versions_can_add_to_them() -> None:
    assert b"over" in encode(Outcomes([], True, 2, 3))
    assert decode_reply(encode(NotLeading(2, 3))) == NotLeading(2, 3)
    with pytest.raises(ValueError, match="Input data was truncated"):
        decode_reply(b"\x81")
