"""What differs between two documents."""

from __future__ import annotations

from typing import Any

import pytest

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


FIELDS: list[dict[str, Any]] = [
    {"name": "Choice", "dataType": "Choice", "choices": ["Low", "High"]},
    {"name": "Time", "dataType": "Timestamp"},
    {"name": "Data", "dataType": "Blob"},
    {"name": "Int", "dataType": "Int"},
    {"name": "Float", "dataType": "Float"},
    {"name": "Link", "dataType": "EntityReference"},
    {"name": "Links", "dataType": "EntityList"},
    {"name": "Secret", "dataType": "String"},
]
KINDS = {"entityType": "Kinds", "fields": FIELDS}


def kinds(schema: dict[str, Any] = KINDS, **fields: Any) -> Document:
    child = {"entityType": "Kinds", "id": 7, "Name": "k", **fields}
    tree = {"entityType": "Root", "id": 1, "Name": "Root", "Children": [child]}
    return read_document(encode_json({"schemas": [schema], "tree": tree, "nextId": 90}))


@pytest.mark.parametrize(
    ("name", "one", "other", "another"),
    [
        ("Choice", "High", 1, "Low"),
        ("Time", "2026-01-01T01:00:00+01:00", 1767225600, "2026-01-01T00:00:00.5Z"),
        ("Data", "AQI=", [1, 2], "AQ=="),
        ("Int", 12, "12", 13),
        ("Float", 0, 0.0, -0.0),
        ("Link", "/Root/k", 7, None),
        ("Link", "/Root/k", "7", 80),
        ("Links", ["/Root/k", 80], [7, "80"], [80, 7]),
        ("Secret", "__hashpw__(a)", "__hashpw__(a)", "__hashpw__(b)"),
        ("Secret", "text", "text", "__hashpw__(text)"),
    ],
)
def test_one_value_written_in_two_ways_is_no_difference(name: str, one: Any, other: Any, another: Any) -> None:
    assert list(differences(kinds(**{name: one}), kinds(**{name: other}))) == []
    (line,) = differences(kinds(**{name: one}), kinds(**{name: another}))
    assert line.startswith(f"~ /Root/k {name}: ")


def test_what_a_schema_may_leave_out_is_no_difference() -> None:
    given = {"storageScope": "Configuration", "choices": []}
    fields = [given | {"rank": place} | field for place, field in enumerate(FIELDS)]
    whole = KINDS | {"inheritsFrom": ["Object"], "fields": fields[::-1]}
    assert list(differences(kinds(), kinds(whole))) == []
    assert list(differences(kinds(), kinds(whole | {"fields": fields[:-1]}))) == ["~ type Kinds"]
