"""The command of a restore in the log, the lines of a plan, and which text a password becomes."""

from __future__ import annotations

import msgspec
import pytest

from qcore.model.documents.document import Document, DocumentEntity
from qcore.model.documents.password import hash_password, verify_password
from qcore.model.requests.restore import Password, PlanLine, Restore, Restored
from qcore.model.wire import encode_json


def test_the_command_survives_the_log() -> None:
    document = Document([], [DocumentEntity("Root", "Root", fields={"A": "/Root", "F": -0.0})], 2)
    command = Restore(document, True, max_depth=7, max_list=9, session=1, seq=2)
    back = msgspec.json.decode(encode_json(command), type=Restore)
    assert back == command
    assert repr(back) == repr(command)
    assert b'"restore"' in encode_json(command)


def test_prune_has_to_be_asked_for() -> None:
    text = encode_json(Restore(Document([], [DocumentEntity("Root", "Root")])))
    assert b"prune" not in text
    assert not msgspec.json.decode(text, type=Restore).prune


def test_the_answer_counts_actions() -> None:
    assert encode_json(Restored(True, 7, {"create": 2})) == b'{"changed":true,"revision":7,"counts":{"create":2}}'


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (PlanLine("set type", "User"), "set type User"),
        (PlanLine("delete type", "User"), "delete type User"),
        (PlanLine("create", "/Root/a", "User"), "create /Root/a (User)"),
        (PlanLine("delete", "/Root/a", "User"), "delete /Root/a (User)"),
        (PlanLine("delete", "/Root/a", "User", entities=3), "delete /Root/a (User) and 2 below it"),
        (PlanLine("update", "/Root/a", "User", ["Age", "Boss"]), "update /Root/a (User): Age, Boss"),
        (PlanLine("update", "/Root/a", "User", [], ["Age", "Boss"]), "update /Root/a (User): unset Age, Boss"),
        (PlanLine("update", "/Root/a", "User", ["Age"], ["Boss"]), "update /Root/a (User): Age; unset Boss"),
        (PlanLine("move", "/Root/a"), "move the children of /Root/a into the document's order"),
    ],
)
def test_a_line_says_what_will_happen(line: PlanLine, text: str) -> None:
    assert str(line) == text


def test_a_line_carries_only_what_it_has() -> None:
    assert encode_json(PlanLine("set type", "User")) == b'{"action":"set type","target":"User"}'
    assert msgspec.to_builtins(PlanLine("delete", "/a", "T", entities=2)) == (
        {"action": "delete", "target": "/a", "type": "T", "entities": 2}
    )


# -- passwords ---------------------------------------------------------------------------------------------

OLD, NEW = b"o" * 16, b"n" * 16


def test_a_password_becomes_a_hash_with_the_salt() -> None:
    for stored in (None, "", "open sesame", "$scrypt$", hash_password("other", OLD)):
        assert Password(1, "Secret", "open sesame", stored).hashed(NEW) == hash_password("open sesame", NEW)


def test_a_hash_that_verifies_the_password_stays() -> None:
    stored = hash_password("open sesame", OLD)
    assert Password(1, "Secret", "open sesame", stored).hashed(NEW) == stored


def test_a_hash_that_asks_for_too_much_is_replaced() -> None:
    made = Password(1, "Secret", "x", "$scrypt$ln=24,r=8,p=16$AAAA$AAAA").hashed(NEW)
    assert verify_password(made, "x")
