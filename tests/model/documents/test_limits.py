"""What no store of a node could take, though the document is right by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qcore.model.documents.limits import check_limits
from qcore.model.documents.text import read_document
from qcore.model.documents.tree import DocumentTree
from qcore.model.documents.validation import document_types
from qcore.model.errors import BadParams, TooLarge
from qcore.model.values import MAX_SIZE
from qcore.model.work import run_whole

FIELDS = [{"name": "Text", "dataType": "String"}, {"name": "Parts", "dataType": "EntityList"}]


def judge(*children: dict[str, Any], max_depth: int = 10, max_list: int = 3) -> None:
    schemas = [{"entityType": "T", "fields": FIELDS}]
    text = json.dumps({"schemas": schemas, "tree": {"entityType": "Root", "Name": "Root", "Children": children}})
    document = read_document(text)
    check_limits(document, DocumentTree(document), run_whole(document_types(document)), max_depth, max_list)


def thing(**keys: Any) -> dict[str, Any]:
    return {"entityType": "T", "Name": "a", **keys}


def test_texts_that_are_too_long_are_problems_of_their_fields() -> None:
    judge(thing(Text="x" * MAX_SIZE))
    with pytest.raises(BadParams, match=r"\$\.tree\.Children\[0\]\.Text: .* \(and 1 more problems\)") as caught:
        judge(thing(Text="x" * (MAX_SIZE + 1)), thing(), thing(Text="x" * (MAX_SIZE + 1)))
    assert [each["path"] for each in caught.value.data["problems"]] == [
        "$.tree.Children[0].Text",
        "$.tree.Children[2].Text",
    ]


def test_lists_that_are_too_long_are_named() -> None:
    judge(thing(Parts=[1, "/Root/a"]), max_list=2)
    with pytest.raises(
        TooLarge, match=r"\$\.tree\.Children\[0\]\.Parts: field Parts: a list has at most 1 elements, 2"
    ):
        judge(thing(Parts=[1, "/Root/a"]), max_list=1)


def test_a_tree_that_is_too_deep_is_named() -> None:
    deep = thing(Children=[thing(Children=[thing()])])
    judge(deep, max_depth=4)
    with pytest.raises(TooLarge, match=r"the tree would be 4 levels deep, at most 3 are allowed"):
        judge(deep, max_depth=3)
