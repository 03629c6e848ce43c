"""Errors: their words on the wire, there and back, and what hostile texts do to them."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from qcore.model import errors
from qcore.model.errors import (
    BadValue,
    ConfigError,
    Conflict,
    Fatal,
    Internal,
    NotFound,
    QcoreError,
    RequestError,
    cut,
    error_from_wire,
)

ANSWERS = RequestError.__subclasses__()
NAMES = [name for name in errors.__all__ if name not in ("APPLY_KINDS", "cut", "error_from_wire")]


def test_every_public_error_is_listed_and_drawn_in_the_tree() -> None:
    defined = {
        name for name, found in vars(errors).items() if inspect.isclass(found) and found.__module__ == errors.__name__
    }
    assert defined == set(NAMES)
    drawn = errors.__doc__ or ""
    assert [name for name in defined if name not in drawn] == []


def test_every_answer_has_a_word_of_its_own() -> None:
    kinds = [answer.kind for answer in ANSWERS]
    assert len(set(kinds)) == len(kinds)
    assert all(kind.isidentifier() and kind == kind.lower() for kind in kinds)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.kind)
def test_an_error_survives_the_wire(answer: type[RequestError]) -> None:
    sent = answer("field Age: expected an Int, given 'x'", field="Age", revision=7)
    back = error_from_wire(sent.wire())
    assert type(back) is answer
    assert (back.message, back.data) == (sent.message, sent.data)


def test_the_wire_form_is_a_json_rpc_error_object() -> None:
    wire = Conflict("not so", value=1, revision=2).wire()
    assert wire == {"code": -32000, "message": "not so", "data": {"kind": "conflict", "value": 1, "revision": 2}}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("parse_error", -32700),
        ("invalid_request", -32600),
        ("unknown_method", -32601),
        ("bad_params", -32602),
        ("internal", -32603),
        ("not_found", -32000),
        ("busy", -32000),
    ],
)
def test_codes_are_those_of_json_rpc(kind: str, code: int) -> None:
    (answer,) = [answer for answer in ANSWERS if answer.kind == kind]
    assert answer("x").wire()["code"] == code


def test_an_unknown_kind_keeps_its_message() -> None:
    back = error_from_wire({"code": 1, "message": "from the future", "data": {"kind": "sunny", "more": 1}})
    assert type(back) is Internal
    assert (back.message, back.data) == ("from the future", {"more": 1})


@pytest.mark.parametrize(
    "error",
    [
        {},
        {"message": None, "data": None},
        {"message": "x", "data": 5},
        {"message": "x", "data": [1, 2]},
        {"message": "x", "data": "text"},
        {"message": "x", "data": {"kind": ["list"]}},
        {"message": "x", "data": {"kind": {}}},
        {"message": "x", "data": {"kind": None}},
    ],
)
def test_a_strange_error_object_is_an_internal_error_and_not_a_crash(error: dict[str, Any]) -> None:
    assert type(error_from_wire(error)) is Internal


def test_data_may_bear_any_key() -> None:
    back = error_from_wire({"message": "x", "data": {"kind": "not_found", "message": "y", "self": 1}})
    assert type(back) is NotFound
    assert back.message == "x"
    assert back.data == {"message": "y", "self": 1}


def test_a_message_that_quotes_too_much_is_cut_in_the_middle() -> None:
    error = BadValue(f"path {'x' * 1_000_000!r}: no such thing")
    assert len(error.message) <= 1000
    assert error.message.startswith("path 'xxx")
    assert error.message.endswith("no such thing")
    assert str(error) == error.message


def test_a_text_is_cut_only_where_it_is_too_long() -> None:
    assert cut("a" * 1000) == "a" * 1000
    assert cut("a" * 800 + "b" * 201) == "a" * 795 + " ... " + "b" * 200


def test_a_fatal_error_is_never_cut_because_it_may_list_every_error_of_a_file() -> None:
    assert len(ConfigError("x" * 5000).message) == 5000


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ConfigError", 2),
        ("Damaged", 65),
        ("IdInUse", 69),
        ("Diverged", 70),
        ("ExtensionMissing", 71),
        ("AlreadyRunning", 73),
        ("DiskFailed", 74),
        ("Removed", 77),
    ],
)
def test_fatal_errors_end_with_their_own_code(name: str, code: int) -> None:
    error = getattr(errors, name)("x")
    assert isinstance(error, Fatal)
    assert error.exit_code == code


def test_one_root_catches_all() -> None:
    assert all(issubclass(getattr(errors, name), QcoreError) for name in NAMES)
