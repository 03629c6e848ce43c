from __future__ import annotations

import json
from typing import Any

import pytest

from qcore.client.protocol import Protocol
from qcore.client.request import WINDOW, Request, RequestGroup, as_arrays
from qcore.client.subscription import HIGH, Subscription
from qcore.model.errors import (
    BadParams,
    ConnectionFailed,
    Internal,
    NoQuorum,
    NotFound,
    RequestError,
    SessionExpired,
    Timeout,
    TooLarge,
)


class Peer:
    """A protocol and the server's side of it, frame by frame."""

    def __init__(self) -> None:
        self.protocol = Protocol()
        self.protocol.opened()

    def submit(self, method: str, **params: Any) -> Request:
        request = Request(method, params)
        self.protocol.submit(RequestGroup([request], array=False))
        return request

    def batch(self, *calls: tuple[str, dict[str, Any]]) -> list[Request]:
        requests = [Request(method, params) for method, params in calls]
        self.protocol.submit(RequestGroup(requests, array=True))
        return requests

    def sent(self) -> list[Any]:
        return [json.loads(frame) for frame in self.protocol.frames()]

    def answer(self, id: int, result: Any = None, error: tuple[str, str] | None = None, **data: Any) -> None:
        response: dict[str, Any] = {"jsonrpc": "2.0", "id": id}
        if error is None:
            response["result"] = result
        else:
            response["error"] = {"code": -32000, "message": error[1], "data": {"kind": error[0], **data}}
        self.protocol.receive(json.dumps(response).encode())

    def open_session(self, session: int = 7) -> None:
        (opening,) = self.sent()
        assert opening["method"] == "session.open"
        self.answer(opening["id"], {"session": session})

    def may_leave(self) -> bool:
        return self.protocol.may_leave

    def reconnect(self) -> None:
        self.protocol.lost("broken")
        self.protocol.opened()


@pytest.fixture
def peer() -> Peer:
    return Peer()


def numbers(frame: Any) -> tuple[int, int, int]:
    params = frame["params"]
    return params["session"], params["seq"], params["acked"]


def test_a_read_goes_out_at_once_and_gets_the_answer_with_its_id(peer: Peer) -> None:
    first, second = peer.submit("exists", id=1), peer.submit("exists", id=2)
    one, two = peer.sent()
    assert one == {"jsonrpc": "2.0", "id": one["id"], "method": "exists", "params": {"id": 1}}
    peer.answer(two["id"], True)
    assert peer.protocol.finished() == [second]
    peer.answer(one["id"], False)
    assert peer.protocol.finished() == [first]
    assert (first.result, second.result) == (b"false", b"true")


def test_an_error_becomes_the_class_of_its_kind(peer: Peer) -> None:
    request = peer.submit("get", id=9)
    peer.answer(peer.sent()[0]["id"], error=("not_found", "entity 9 does not exist"))
    assert isinstance(request.error, NotFound)
    assert request.error.message == "entity 9 does not exist"


def test_results_keep_every_bit_of_a_large_number(peer: Peer) -> None:
    request = peer.submit("get", id=9)
    peer.protocol.receive(b'{"jsonrpc":"2.0","id":%d,"result":9007199254740993}' % peer.sent()[0]["id"])
    assert request.result == b"9007199254740993"


def test_params_that_are_no_json_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(BadParams, match="params of set cannot be written as JSON"):
        Request("set", {"id": 1, "field": "A", "value": object()})


def test_the_first_write_opens_a_session_and_writes_are_numbered_from_one(peer: Peer) -> None:
    peer.submit("set", id=1, field="A", value=1)
    peer.submit("delete", id=2)
    peer.open_session(7)
    first, second = peer.sent()
    assert (numbers(first), numbers(second)) == ((7, 1, 1), (7, 2, 1))
    assert first["params"]["value"] == 1


def test_reads_do_not_wait_for_the_session(peer: Peer) -> None:
    peer.submit("set", id=1, field="A", value=1)
    peer.submit("ping")
    assert [frame["method"] for frame in peer.sent()] == ["session.open", "ping"]


def test_acked_is_the_lowest_number_without_an_answer(peer: Peer) -> None:
    peer.submit("delete", id=1)
    peer.submit("delete", id=2)
    peer.open_session()
    first, second = peer.sent()
    peer.answer(second["id"], {})
    peer.submit("delete", id=3)
    assert numbers(peer.sent()[0])[1:] == (3, 1)
    peer.answer(first["id"], {})
    peer.submit("delete", id=4)
    assert numbers(peer.sent()[0])[1:] == (4, 3)


def test_no_number_leaves_the_window_that_begins_at_the_lowest_unanswered_one(peer: Peer) -> None:
    for number in range(WINDOW + 2):
        peer.submit("delete", id=number)
    peer.open_session()
    sent = peer.sent()
    assert len(sent) == WINDOW
    for frame in sent[1:]:
        peer.answer(frame["id"], {})
    assert peer.sent() == []
    peer.answer(sent[0]["id"], {})
    assert [frame["params"]["id"] for frame in peer.sent()] == [WINDOW, WINDOW + 1]


def test_a_session_that_cannot_be_opened_fails_the_waiting_writes_as_not_applied(peer: Peer) -> None:
    write = peer.submit("delete", id=1)
    peer.answer(peer.sent()[0]["id"], error=("no_quorum", "1 node is missing"))
    assert isinstance(write.error, NoQuorum)
    assert write.error.data["applied"] == "no"
    peer.submit("delete", id=1)
    assert peer.sent()[0]["method"] == "session.open"


def test_the_reads_of_a_batch_go_on_where_its_writes_get_no_session(peer: Peer) -> None:
    write, read = peer.batch(("delete", {"id": 1}), ("ping", {}))
    peer.answer(peer.sent()[0]["id"], error=("busy", "too much to do"))
    assert write.done
    ((frame,),) = peer.sent()
    peer.answer(frame["id"], "PONG")
    assert read.result == b'"PONG"'


def test_reads_and_numbered_writes_are_sent_again_word_for_word_after_a_lost_connection(peer: Peer) -> None:
    peer.submit("delete", id=1)
    peer.open_session()
    peer.submit("exists", id=1)
    before = peer.protocol.frames()
    peer.reconnect()
    assert peer.protocol.frames() == before
    assert peer.protocol.finished() == []


@pytest.mark.parametrize("method", ["of.tomorrow", "cluster.transfer", "cluster.init"])
def test_what_the_client_does_not_know_and_orders_to_a_cluster_are_never_sent_twice(peer: Peer, method: str) -> None:
    request = peer.submit(method, id=2)
    peer.sent()
    peer.reconnect()
    assert peer.sent() == []
    assert isinstance(request.error, ConnectionFailed)
    assert request.error.data["applied"] == "unknown"


def test_a_caller_who_numbers_writes_himself_retries_them_himself(peer: Peer) -> None:
    request = peer.submit("delete", id=2, session=3, seq=1)
    assert peer.sent()[0]["params"] == {"id": 2, "session": 3, "seq": 1}
    peer.reconnect()
    assert request.done
    assert peer.sent() == []


def test_requests_made_without_a_connection_wait_for_one(peer: Peer) -> None:
    peer.protocol.lost("broken")
    peer.submit("ping")
    peer.submit("delete", id=1)
    assert peer.sent() == []
    peer.protocol.opened()
    assert [frame["method"] for frame in peer.sent()] == ["ping", "session.open"]


def test_a_session_is_opened_anew_where_the_answer_was_lost(peer: Peer) -> None:
    peer.submit("delete", id=1)
    peer.sent()
    peer.reconnect()
    peer.open_session(8)
    assert numbers(peer.sent()[0]) == (8, 1, 1)


def test_a_session_lives_longer_than_a_connection(peer: Peer) -> None:
    peer.submit("delete", id=1)
    peer.open_session(7)
    peer.answer(peer.sent()[0]["id"], {})
    peer.reconnect()
    peer.submit("delete", id=2)
    assert numbers(peer.sent()[0]) == (7, 2, 2)


def test_an_expired_session_on_a_first_attempt_is_replaced_and_the_write_goes_on(peer: Peer) -> None:
    writes = [peer.submit("delete", id=1), peer.submit("delete", id=2)]
    peer.open_session(7)
    for frame in peer.sent():
        peer.answer(frame["id"], error=("session_expired", "session 7 is unknown"))
    peer.open_session(8)
    again = peer.sent()
    assert [(numbers(frame), frame["params"]["id"]) for frame in again] == [((8, 1, 1), 1), ((8, 2, 1), 2)]
    for frame in again:
        peer.answer(frame["id"], {"deleted": 1})
    assert [write.error for write in writes] == [None, None]


def test_an_expired_session_on_a_retry_is_an_unknown_outcome(peer: Peer) -> None:
    write = peer.submit("delete", id=1)
    peer.open_session(7)
    peer.sent()
    peer.reconnect()
    (again,) = peer.sent()
    peer.answer(again["id"], error=("session_expired", "session 7 is unknown"))
    assert isinstance(write.error, SessionExpired)
    assert write.error.data["applied"] == "unknown"


OF_APPLY = ["not_found", "wrong_kind", "bad_value", "bad_schema", "conflict", "stale", "cycle", "in_use"]
OTHERS = [*sorted({cls.kind for cls in RequestError.__subclasses__()} - set(OF_APPLY)), "kind.of.later"]


@pytest.mark.parametrize(("kinds", "believed"), [(OF_APPLY, "no"), (OTHERS, "unknown")], ids=["of apply", "others"])
def test_that_a_retry_was_not_applied_says_nothing_of_the_attempt_before_it(
    peer: Peer, kinds: list[str], believed: str
) -> None:
    writes = [peer.submit("delete", id=number) for number, _ in enumerate(kinds)]
    peer.open_session()
    peer.sent()
    peer.reconnect()
    for kind, frame in zip(kinds, peer.sent(), strict=True):
        peer.answer(frame["id"], error=(kind, "no"), applied="no")
    assert {write.error.data["applied"] for write in writes if write.error is not None} == {believed}
    assert None not in [write.error for write in writes]


@pytest.mark.parametrize("kind", ["conflict", "busy", "disk_full", "kind.of.later"])
def test_what_the_server_says_of_a_first_attempt_is_passed_on(peer: Peer, kind: str) -> None:
    write = peer.submit("delete", id=1)
    peer.open_session()
    peer.answer(peer.sent()[0]["id"], error=(kind, "no"), applied="no")
    assert write.error is not None
    assert write.error.data["applied"] == "no"


def test_a_read_that_fails_on_a_retry_has_nothing_to_do_with_writes(peer: Peer) -> None:
    read = peer.submit("exists", id=1)
    peer.sent()
    peer.reconnect()
    peer.answer(peer.sent()[0]["id"], error=("busy", "later"))
    assert read.error is not None
    assert read.error.data == {}


def test_a_retry_that_is_too_large_for_another_server_is_an_unknown_outcome(peer: Peer) -> None:
    write = peer.submit("delete", id=1)
    peer.open_session()
    peer.sent()
    peer.reconnect()
    peer.sent()
    peer.protocol.lost("closed with 1009", too_large=True)
    assert isinstance(write.error, TooLarge)
    assert write.error.data["applied"] == "unknown"


def test_a_write_whose_session_had_expired_counts_its_attempts_anew(peer: Peer) -> None:
    write = peer.submit("delete", id=1)
    peer.open_session(7)
    peer.answer(peer.sent()[0]["id"], error=("session_expired", "session 7 is unknown"), applied="no")
    assert write.attempts == 0
    peer.open_session(8)
    peer.answer(peer.sent()[0]["id"], error=("busy", "later"), applied="no")
    assert write.error is not None
    assert write.error.data["applied"] == "no"


def test_a_server_that_forgets_every_session_is_given_up(peer: Peer) -> None:
    write = peer.submit("delete", id=1)
    for session in (1, 2, 3):
        peer.open_session(session)
        peer.answer(peer.sent()[0]["id"], error=("session_expired", "unknown"))
    assert isinstance(write.error, SessionExpired)
    assert write.error.data["applied"] == "no"


def test_a_batch_is_one_array_each_way(peer: Peer) -> None:
    requests = peer.batch(("ping", {}), ("exists", {"id": 1}))
    (array,) = peer.sent()
    peer.protocol.receive(json.dumps([{"id": frame["id"], "result": n} for n, frame in enumerate(array)]).encode())
    assert [request.result for request in requests] == [b"0", b"1"]


def test_a_lost_batch_is_sent_again_without_what_may_not_be_repeated(peer: Peer) -> None:
    read, other = peer.batch(("ping", {}), ("unknown", {}))
    peer.sent()
    peer.reconnect()
    assert other.done
    assert not read.done
    ((again,),) = peer.sent()
    assert again["method"] == "ping"


def test_an_abandoned_write_that_was_not_sent_is_never_sent(peer: Peer) -> None:
    write = peer.submit("delete", id=1)
    peer.protocol.abandon(write, Timeout("too late"))
    peer.open_session()
    assert peer.sent() == []
    assert peer.protocol.finished() == []


def test_an_abandoned_write_frees_its_number_and_is_not_sent_again(peer: Peer) -> None:
    write = peer.submit("delete", id=1)
    peer.open_session()
    peer.sent()
    peer.protocol.abandon(write, Timeout("too late"))
    peer.reconnect()
    assert peer.sent() == []
    peer.submit("delete", id=2)
    assert numbers(peer.sent()[0])[1:] == (2, 2)


@pytest.mark.parametrize("method", ["ping", "delete"])
def test_what_is_abandoned_without_a_connection_leaves_no_frame_for_the_next_one(peer: Peer, method: str) -> None:
    peer.submit("delete", id=1)
    peer.open_session()
    late, kept = peer.submit(method), peer.submit("exists", id=1)
    peer.sent()
    peer.protocol.lost("broken")
    peer.protocol.abandon(late, Timeout("too late"))
    peer.protocol.opened()
    assert [frame["method"] for frame in peer.sent()] == ["delete", "exists"]
    assert not kept.done


def test_an_answer_that_comes_too_late_is_dropped(peer: Peer) -> None:
    request = peer.submit("ping")
    (frame,) = peer.sent()
    peer.protocol.abandon(request, Timeout("too late"))
    peer.answer(frame["id"], "PONG")
    assert isinstance(request.error, Timeout)


def test_a_frame_the_server_finds_too_large_fails_alone(peer: Peer) -> None:
    small = peer.submit("ping")
    large = peer.submit("find", type="T", filter="x" * 1000)
    peer.sent()
    peer.protocol.lost("closed with 1009 frame over 500 bytes", too_large=True)
    peer.protocol.opened()
    assert isinstance(large.error, TooLarge)
    assert not small.done
    assert [frame["method"] for frame in peer.sent()] == ["ping"]


@pytest.mark.parametrize("data", [b"hello", b"42", b'{"id":1,"error":"no object"}', b"\xff"])
def test_a_server_that_speaks_no_json_rpc_is_found_out(peer: Peer, data: bytes) -> None:
    with pytest.raises(Internal, match="no JSON-RPC"):
        peer.protocol.receive(data)


def test_notifications_and_answers_to_nobody_are_passed_over(peer: Peer) -> None:
    peer.protocol.receive(b'{"jsonrpc":"2.0","method":"event","params":{"token":5,"revision":1,"kind":"created"}}')
    peer.protocol.receive(b'{"jsonrpc":"2.0","id":99,"result":1}')
    peer.protocol.receive(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}')
    assert peer.protocol.finished() == []


def test_a_long_batch_is_cut_to_the_window_and_to_a_size() -> None:
    assert [len(group.requests) for group in as_arrays([Request("ping") for _ in range(300)])] == [128, 128, 44]
    large = [Request("find", {"type": "T", "filter": "x" * 100_000}) for _ in range(5)]
    assert [len(group.requests) for group in as_arrays(large)] == [2, 2, 1]
    assert list(as_arrays([])) == []


def test_a_pipeline_is_numbered_once_as_a_whole(peer: Peer) -> None:
    commands = [{"method": "create", "params": {"type": "User", "name": "a"}}] * 3
    peer.submit("pipeline", commands=commands)
    peer.open_session()
    (frame,) = peer.sent()
    assert numbers(frame) == (7, 1, 1)
    assert frame["params"]["commands"] == commands


def test_a_dry_run_is_a_read_and_takes_no_number(peer: Peer) -> None:
    request = peer.submit("schema.set", schemas=[], dry_run=True)
    (frame,) = peer.sent()
    assert frame["params"] == {"schemas": [], "dry_run": True}
    peer.reconnect()
    assert peer.sent() == [frame]
    assert not request.done


# -- subscriptions ----------------------------------------------------------------------------------------


def subscribed(peer: Peer, token: int = 4, **params: Any) -> Subscription:
    subscription = Subscription({"target": "User", **params})
    peer.protocol.subscribe(subscription)
    (asked,) = peer.sent()
    assert asked["method"] == "listen"
    peer.answer(asked["id"], {"token": token, "revision": 5})
    return subscription


def tell(peer: Peer, token: int, revision: int, **more: Any) -> None:
    params = {"token": token, "revision": revision, "kind": "changed", "id": 3, "last": True, **more}
    peer.protocol.receive(json.dumps({"jsonrpc": "2.0", "method": "event", "params": params}).encode())


def test_events_go_to_the_subscription_of_their_token(peer: Peer) -> None:
    one, other = subscribed(peer, 4), subscribed(peer, 5)
    tell(peer, 5, 6)
    tell(peer, 4, 7)
    tell(peer, 99, 8)
    assert [event.revision for event in one.ready] == [7]
    assert [event.revision for event in other.ready] == [6]
    assert peer.protocol.finished() == []


def test_subscriptions_listen_anew_on_the_next_connection_and_old_tokens_mean_nothing(peer: Peer) -> None:
    subscription = subscribed(peer)
    tell(peer, 4, 6)
    peer.reconnect()
    (again,) = peer.sent()
    assert (again["method"], again["params"]["since"]) == ("listen", 6)
    tell(peer, 4, 7)
    peer.answer(again["id"], {"token": 9, "revision": 7})
    tell(peer, 9, 8)
    assert [event.revision for event in subscription.ready] == [6, 8]


def test_a_listen_that_was_not_answered_is_made_anew_and_not_sent_twice(peer: Peer) -> None:
    subscription = Subscription({"target": "User"})
    peer.protocol.subscribe(subscription)
    peer.sent()
    peer.reconnect()
    assert [frame["method"] for frame in peer.sent()] == ["listen"]


def test_letting_go_tells_the_server_and_is_not_repeated_on_another_connection(peer: Peer) -> None:
    subscription = subscribed(peer)
    peer.protocol.unsubscribe(subscription)
    (quiet,) = peer.sent()
    assert (quiet["method"], quiet["params"]) == ("unlisten", {"token": 4})
    tell(peer, 4, 6)
    assert not subscription.ready
    peer.reconnect()
    assert peer.sent() == []


def test_letting_go_before_the_answer_frees_what_the_answer_names(peer: Peer) -> None:
    subscription = Subscription({"target": "User"})
    peer.protocol.subscribe(subscription)
    (asked,) = peer.sent()
    peer.protocol.unsubscribe(subscription)
    peer.answer(asked["id"], {"token": 4, "revision": 5})
    assert [frame["params"] for frame in peer.sent()] == [{"token": 4}]


def test_a_full_subscription_is_quiet_until_its_events_are_taken(peer: Peer) -> None:
    subscription = subscribed(peer)
    for revision in range(6, 6 + HIGH):
        tell(peer, 4, revision)
    assert [frame["method"] for frame in peer.sent()] == ["unlisten"]
    tell(peer, 4, 10**6)
    while subscription.pop() is not None:
        peer.protocol.taken(subscription)
    (again,) = peer.sent()
    assert (again["method"], again["params"]["since"]) == ("listen", 5 + HIGH)


def test_what_is_refused_for_the_moment_is_asked_again_after_a_while(peer: Peer) -> None:
    subscription = subscribed(peer)
    peer.reconnect()
    peer.answer(peer.sent()[0]["id"], error=("busy", "later"))
    assert bool(peer.protocol.is_refused)
    assert peer.sent() == []
    peer.protocol.retry()
    assert [frame["method"] for frame in peer.sent()] == ["listen"]
    assert not peer.protocol.is_refused
    assert subscription.state == "asking"


def test_what_a_later_version_adds_to_answers_and_events_is_passed_over(peer: Peer) -> None:
    subscription = Subscription({"target": "User"})
    peer.protocol.subscribe(subscription)
    (asked,) = peer.sent()
    peer.answer(asked["id"], {"token": 4, "revision": 5, "more": [1]})
    tell(peer, 4, 6, more=1, current={"value": 1, "time": None, "revision": 6, "more": 1})
    tell(peer, 4, 7, kind="of.later", last=False)
    tell(peer, 4, 8, kind="lost", reason="of.later")
    assert [(event.kind, event.revision) for event in subscription.ready] == [("changed", 6), ("lost", 8)]
    assert peer.protocol.is_refused
    write = peer.submit("delete", id=1)
    (opening,) = peer.sent()
    peer.protocol.receive(b'{"id":%d,"more":1,"result":{"session":7,"more":1}}' % opening["id"])
    (frame,) = peer.sent()
    error = b'{"code":1,"message":"no","more":1,"data":{"kind":"of.later","message":2,"self":3,"more":{}}}'
    peer.protocol.receive(b'{"id":%d,"more":1,"error":%b}' % (frame["id"], error))
    assert isinstance(write.error, Internal)
    assert write.error.data == {"message": 2, "self": 3, "more": {}}


def test_an_event_that_is_none_ends_the_connection(peer: Peer) -> None:
    with pytest.raises(Internal):
        peer.protocol.receive(b'{"jsonrpc":"2.0","method":"event","params":{"token":"x"}}')


def test_other_notifications_are_passed_over(peer: Peer) -> None:
    peer.protocol.receive(b'{"jsonrpc":"2.0","method":"news","params":{"x":1}}')
    assert peer.protocol.finished() == []


# -- elsewhere -----------------------------------------------------------------------------------------------


STOPPING = ("busy", "the node is stopping")


def test_what_a_stopping_server_refused_goes_to_the_next_one_in_its_order(peer: Peer) -> None:
    peer.submit("delete", id=1)
    peer.open_session()
    read, write = peer.submit("exists", id=1), peer.submit("delete", id=2)
    first, one, two = peer.sent()
    peer.answer(one["id"], error=STOPPING, elsewhere=True)
    peer.answer(two["id"], error=STOPPING, elsewhere=True, applied="no")
    assert peer.may_leave()
    peer.submit("delete", id=3)
    assert peer.sent() == [], "nothing more for the server that stops"
    peer.answer(first["id"], {})
    peer.reconnect()
    assert [frame["params"]["id"] for frame in peer.sent()] == [1, 2, 3]
    peer.answer(one["id"], True)
    peer.answer(two["id"], error=("busy", "too much waits"), applied="no")
    assert read.result == b"true"
    assert write.error is not None
    assert write.error.data["applied"] == "no", "the attempt before was refused for certain"


def test_a_write_without_a_number_goes_elsewhere_only_if_it_was_not_done(peer: Peer) -> None:
    own = {"session": 3, "seq": 1}
    one, two = peer.submit("delete", id=1, **own), peer.submit("delete", id=2, **own)
    first, second = peer.sent()
    peer.answer(first["id"], error=STOPPING, elsewhere=True, applied="no")
    assert not peer.may_leave(), "the other one is under way"
    peer.answer(second["id"], error=("timeout", "lost"), elsewhere=True, applied="unknown")
    assert two.error is not None
    assert peer.may_leave()
    peer.reconnect()
    assert [frame["params"]["id"] for frame in peer.sent()] == [1]
    assert not one.done


def test_a_numbered_write_that_may_be_done_stays_unknown_wherever_it_goes(peer: Peer) -> None:
    write = peer.submit("delete", id=1)
    peer.open_session()
    (frame,) = peer.sent()
    peer.answer(frame["id"], error=("no_quorum", "no leader"), elsewhere=True, applied="unknown")
    peer.reconnect()
    peer.answer(peer.sent()[0]["id"], error=("busy", "too much waits"), applied="no")
    assert write.error is not None
    assert write.error.data["applied"] == "unknown"


def test_a_session_that_a_stopping_server_does_not_open_is_opened_by_the_next_one(peer: Peer) -> None:
    write = peer.submit("delete", id=1)
    (opening,) = peer.sent()
    peer.answer(opening["id"], error=STOPPING, elsewhere=True, applied="no")
    assert peer.may_leave()
    assert peer.sent() == []
    peer.reconnect()
    peer.open_session()
    peer.answer(peer.sent()[0]["id"], {})
    assert write.error is None


def test_a_subscription_that_a_stopping_server_refused_listens_at_the_next_one(peer: Peer) -> None:
    subscription = Subscription({"target": "Thing"})
    peer.protocol.subscribe(subscription)
    peer.answer(peer.sent()[0]["id"], error=STOPPING, elsewhere=True)
    assert peer.may_leave()
    peer.reconnect()
    assert [frame["method"] for frame in peer.sent()] == ["listen"]


def test_a_session_of_which_nobody_knows_whether_it_was_opened_is_opened_again(peer: Peer) -> None:
    write = peer.submit("delete", id=1)
    peer.answer(peer.sent()[0]["id"], error=("timeout", "the lead is lost"), applied="unknown")
    peer.open_session()
    peer.answer(peer.sent()[0]["id"], {})
    assert write.error is None
