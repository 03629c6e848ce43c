"""What differs between two documents."""

from __future__ import annotations

from typing import Any

from qcore.model.documents.document import Document
from qcore.model.documents.text import read_document
from qcore.model.wire import encode_json
from qcore_tools.snapshot.comparing import differences

AGE = {"name": "Age", "dataType": "Int"}


def document(*children: dict[str, Any], fields: tuple[dict[str, Any], ...] = (AGE,)) -> Document:
    schemas = [{"entityType": "User", "fields": list(fields)}]
    tree = {"entityType": "Root", "Name": "Root", "Children": list(children)}
    return read_document(encode_json({"schemas": schemas, "tree": tree}))


def user(name: str, **more: Any) -> dict[str, Any]:
    return {"entityType": "User", "Name": name, **more}


def test_equal_documents_do_not_differ_whatever_their_ids() -> None:
    assert list(differences(document(user("a", id=2)), document(user("a", id=7)))) == []


def test_entities_fields_and_types_are_told_apart() -> None:
    old = document(user("a", Age=1), user("b"), user("d", Age=3))
    flow = {"name": "Flow", "dataType": "Float"}
    new = document(user("a", Age=2), user("c"), user("d"), fields=(AGE, flow))
    assert list(differences(old, new)) == [
        "~ type User",
        "- /Root/b (User)",
        "~ /Root/a Age: 1 -> 2",
        "+ /Root/c (User)",
        "~ /Root/d Age: 3 -> (unset)",
    ]


def test_another_order_of_children_is_a_difference() -> None:
    assert list(differences(document(user("a"), user("b")), document(user("b"), user("a")))) == [
        "~ /Root: the order of children"
    ]
