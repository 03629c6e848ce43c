from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qcore.model.errors import BadSchema
from qcore.model.values import Kind
from qcore_tools.cli.schemas import KINDS, read_field_schema, read_file, read_schemas
from qcore_tools.console import FileError, UsageError


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_its_own_name_in_any_case(kind: Kind) -> None:
    for word in (kind.value, kind.value.lower(), kind.value.upper()):
        assert read_field_schema(["T", "F", word])["schema"] == {"dataType": kind}


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("BINARY", "Blob"),
        ("BOOLEAN", "Bool"),
        ("INTEGER", "Int"),
        ("double", "Float"),
        ("STR", "String"),
        ("TIME", "Timestamp"),
        ("REF", "EntityReference"),
        ("RefList", "EntityList"),
    ],
)
def test_kinds_have_short_names(word: str, kind: str) -> None:
    assert KINDS[word.upper()] == kind


def test_only_what_was_said_is_changed() -> None:
    params = read_field_schema(["T", "F", "choice", "b"], labels="a, b", scope="runtime", rank="-3")
    schema = {"dataType": "Choice", "default": "b", "choices": ["a", "b"], "storageScope": "Runtime", "rank": -3}
    assert params == {"type": "T", "field": "F", "schema": schema}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"scope": "Disk"}, "Configuration or Runtime, given 'Disk'"), ({"rank": "1.5"}, "a whole number, given '1.5'")],
)
def test_an_option_that_cannot_be_is_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_field_schema(["T", "F", "INT"], **options)


def test_an_unknown_kind_is_answered_with_all_there_are() -> None:
    with pytest.raises(UsageError, match=r"expected Blob, .*Timestamp \(or BINARY, .*REFLIST\), given 'foo'"):
        read_field_schema(["T", "F", "foo"])


@pytest.mark.parametrize(("text", "key"), [('{"entityType": "T"}', "schema"), ("[]", "schemas")])
def test_a_file_holds_a_schema_or_a_list(tmp_path: Path, text: str, key: str) -> None:
    file = tmp_path / "schema.json"
    file.write_text(text)
    assert read_schemas(read_file([str(file)])).keys() == {key}
    assert read_schemas(read_file([str(file)], dry_run=""))["dry_run"] is True
    assert read_schemas(read_file([str(file)], reset=""))["reset"] is True
    assert (
        read_field_schema(["T", "F", "INT"], dry_run="", reset="").items() >= {"dry_run": True, "reset": True}.items()
    )


@pytest.mark.parametrize(
    ("content", "kind"), [("{", BadSchema), ("42", BadSchema), ("[" * 10_000, BadSchema), (None, FileError)]
)
def test_a_file_that_holds_none_is_named(tmp_path: Path, content: str | None, kind: type[Exception]) -> None:
    file = tmp_path / "schema.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(kind, match=r"schema\.json"):
        read_schemas({"file": str(file)})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"entityType": "T", "fields": [{"name": "A"}], "fields": []}', "$.fields"),
        ('[{"entityType": "T", "fields": [{"name": "A", "rank": 1, "rank": 2}]}]', "$[0].fields[0].rank"),
    ],
)
def test_a_key_that_stands_twice_is_named_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "schema.json"
    file.write_text(text)
    with pytest.raises(BadSchema) as refused:
        read_schemas({"file": str(file)})
    assert refused.value.message == f"{file}: {place}: the key stands in its object twice"


def test_a_byte_order_mark_before_a_schema_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_bytes(b'\xef\xbb\xbf{"entityType": "T"}')
    assert read_schemas({"file": str(file)}) == {"schema": {"entityType": "T"}}
