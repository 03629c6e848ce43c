from __future__ import annotations

import json

from tests.torture.restores import ENTITIES, TYPE, document_with

OTHER = {"entityType": "Folder", "Name": "other"}
BASE = {"schemas": [], "tree": {"entityType": "Root", "Children": [OTHER, {"entityType": TYPE, "Name": "restored"}]}}


def test_a_document_has_one_version_in_all_its_entities_and_what_was_there_besides() -> None:
    other, folder = json.loads(document_with(BASE, 7))["tree"]["Children"]
    assert other == OTHER
    assert {folder["Version"], *(entity["Version"] for entity in folder["Children"])} == {7}
    assert ENTITIES // 2 <= len(folder["Children"]) <= ENTITIES


def test_versions_differ_in_how_many_entities_they_have_and_one_version_is_one_text() -> None:
    assert document_with(BASE, 7) == document_with(BASE, 7)
    sizes = {len(document_with(BASE, version)) for version in range(5)}
    assert len(sizes) > 1
