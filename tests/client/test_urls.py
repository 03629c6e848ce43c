from __future__ import annotations

import pytest

from qcore.client.urls import parse_urls
from qcore.model.errors import BadParams


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ws://127.0.0.1:8080", ["ws://127.0.0.1:8080"]),
        ("wss://node.example/", ["wss://node.example"]),
        ("node1:8081", ["ws://node1:8081"]),
        ("node1", ["ws://node1:8080"]),
        ("[::1]:8080", ["ws://[::1]:8080"]),
        ("a:1, b:2,,a:1", ["ws://a:1", "ws://b:2"]),
        (["a:1", "ws://b:2,c:3"], ["ws://a:1", "ws://b:2", "ws://c:3"]),
    ],
)
def test_addresses_are_read_as_people_write_them(given: str | list[str], expected: list[str]) -> None:
    assert parse_urls(given) == expected


@pytest.mark.parametrize("given", ["http://a:1", "ws://", "ws://a:99999", "a:x", "ws://a:1/path", "ws://a:1?x=y"])
def test_what_is_no_address_is_named(given: str) -> None:
    with pytest.raises(BadParams, match="URL"):
        parse_urls(given)


@pytest.mark.parametrize("given", ["", " , ", []])
def test_at_least_one_address_is_needed(given: str | list[str]) -> None:
    with pytest.raises(BadParams, match="no URL given"):
        parse_urls(given)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadParams) as caught:
        parse_urls("ws://me:secret@a:1")
    assert "secret" not in caught.value.message
