from __future__ import annotations

import msgspec
import pytest

from qcore.client.results import Entity
from qcore.model.errors import WrongKind


def test_an_answer_of_get_holds_values_and_errors() -> None:
    text = b"""{"id": 3, "type": "User", "fields": {
        "Age": {"value": 30, "time": "2024-01-01T00:00:00Z", "writer": null, "revision": 7},
        "Boss": {"value": {"missing": 9}, "time": null, "writer": null, "revision": 0},
        "Name->X": {"error": {"kind": "wrong_kind", "message": "Name is no reference"}}}}"""
    entity = msgspec.json.decode(text, type=Entity)
    assert entity["Age"] == 30
    assert entity.fields["Age"].revision == 7
    assert entity["Boss"] == {"missing": 9}
    with pytest.raises(WrongKind, match="Name is no reference"):
        entity["Name->X"]
    with pytest.raises(KeyError):
        entity["Email"]
