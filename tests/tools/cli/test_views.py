from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from qcore_tools.cli import views
from qcore_tools.cli.commands import COMMANDS, explain
from qcore_tools.cli.views import Format, View, render

READ = {"time": "2024-01-01T00:00:00Z", "writer": 3, "revision": 9}
UNREAD = {"time": None, "writer": None, "revision": 0}
FAILED = {"error": {"kind": "not_found", "message": "type User has no field 'X'"}}


def entity(**fields: Any) -> dict[str, Any]:
    return {"id": 12, "type": "User", "fields": fields}


def get(result: Any, format: Format) -> str:
    return render(views.ENTITY, result, {"id": "12", "fields": list(result["fields"])}, format)


@pytest.mark.parametrize(
    ("value", "human", "raw"),
    [
        ("John Doe", '"John Doe"', "John Doe"),
        ('a "b" é', '"a \\"b\\" é"', 'a "b" é'),
        (30, "30", "30"),
        (2**63 - 1, "9223372036854775807", "9223372036854775807"),
        (3.0, "3.0", "3.0"),
        (True, "true", "true"),
        (None, "null", "null"),
        ({"missing": 17}, "(missing) 17", "17"),
        ([1, {"missing": 17}, 3], "[1, (missing) 17, 3]", "[1,17,3]"),
        ([], "[]", "[]"),
    ],
)
def test_a_single_field_is_its_bare_value(value: Any, human: str, raw: str) -> None:
    result = entity(Field={"value": value, **READ})
    assert get(result, "human") == human + "\n"
    assert get(result, "raw") == raw + "\n"


def test_several_fields_have_a_line_each() -> None:
    result = entity(Name={"value": "x", **READ}, Age={"value": 0, **UNREAD})
    assert get(result, "human") == 'Name: "x"\nAge: 0\n'
    assert get(result, "raw") == "x\n0\n"
    assert get(result, "csv") == "field,value,time,writer\nName,x,2024-01-01T00:00:00Z,3\nAge,0,,\n"


def test_one_field_of_an_entity_that_has_no_other_still_has_its_name() -> None:
    assert render(views.ENTITY, entity(Name={"value": "x", **READ}), {"id": "12"}, "human") == 'Name: "x"\n'


def test_a_field_that_failed_is_an_error_beside_the_others() -> None:
    result = entity(Name={"value": "x", **READ}, X=FAILED, Y={"error": {"kind": "wrong_kind", "message": "no"}})
    assert get(result, "human") == 'Name: "x"\n'
    errors = [(error.kind, error.message) for error in views.ENTITY.errors(result)]
    assert errors == [("not_found", "type User has no field 'X'"), ("wrong_kind", "no")]
    assert not views.ENTITY.errors(entity(Name={"value": "x", **READ}))


@pytest.mark.parametrize(
    ("view", "result", "human", "table", "raw"),
    [
        (views.SCALAR, "PONG", "PONG\n", "result\nPONG\n", "PONG\n"),
        (views.SCALAR, False, "false\n", "result\nfalse\n", "false\n"),
        (views.CREATED, {"id": 12, "revision": 3}, "Created entity: 12\n", "id,revision\n12,3\n", "12\n"),
        (views.DONE, {"applied": True, "revision": 3}, "OK\n", "applied,revision\ntrue,3\n", "OK\n"),
        (views.DONE, {"revision": 3, "types": ["A", "B"]}, "OK\n", 'revision,types\n3,"[""A"",""B""]"\n', "OK\n"),
        (views.FACTS, {"machine": "m", "node": 1}, "Machine: m\nNode: 1\n", "machine,node\nm,1\n", "m\n1\n"),
        (views.NAMES, {"items": ["A", "B"]}, "A\nB\n", "type\nA\nB\n", "A\nB\n"),
        (views.NAMES, {"items": []}, "", "type\n", ""),
    ],
)
def test_each_result_has_a_form_for_people_tables_and_scripts(
    view: View, result: Any, human: str, table: str, raw: str
) -> None:
    assert render(view, result, {}, "human") == human
    assert render(view, result, {}, "csv") == table
    assert render(view, result, {}, "raw") == raw
    assert json.loads(render(view, result, {}, "json")) == result


def test_found_entities_are_type_id_and_name_and_then_the_cursor() -> None:
    items = [
        {"id": 12, "type": "User", "name": "A, B", "fields": {}},
        {"id": 13, "type": "Boss", "name": "C", "fields": {}},
    ]
    page = {"items": items, "cursor": "c.xyz"}
    assert render(views.ITEMS, page, {}, "human") == "User$12  A, B\nBoss$13  C\nCursor: c.xyz\n"
    assert render(views.ITEMS, page, {}, "raw") == "12\n13\n"
    rows = list(csv.DictReader(io.StringIO(render(views.ITEMS, page, {}, "csv"))))
    assert [(row["id"], row["type"], row["name"]) for row in rows] == [("12", "User", "A, B"), ("13", "Boss", "C")]
    assert views.ITEMS.notes(page) == ["Cursor: c.xyz"]
    assert views.ITEMS.notes({"items": items}) == []
    assert views.ITEMS.warnings(page) == []


def test_a_filter_without_an_answer_is_a_warning() -> None:
    page = {"items": [], "errors": 2, "error": "entity 9: division by zero"}
    warning = "the filter has no answer for 2 of the entities; entity 9: division by zero"
    assert views.ITEMS.warnings(page) == [warning]
    steps = views.StepsView([("DELETE", views.DONE, {}), ("FIND", views.ITEMS, {})])
    assert steps.warnings([{"result": {}}, {"result": page}]) == [f"command 2: {warning}"]


def test_a_schema_is_json_that_can_be_given_back() -> None:
    field: dict[str, Any] = {
        "name": "A",
        "dataType": "Int",
        "default": None,
        "rank": 0,
        "choices": [],
        "storageScope": "Runtime",
    }
    schema = {"entityType": "T", "inheritsFrom": ["Object"], "fields": [field]}
    assert json.loads(render(views.SCHEMA, schema, {}, "human")) == schema
    assert json.loads(render(views.SCHEMA, schema, {}, "raw")) == schema
    assert render(views.SCHEMA, schema, {}, "csv").splitlines()[1] == "A,Int,,0,[],Runtime"


def info(**changed: Any) -> dict[str, Any]:
    member = {"node": 1, "addr": "127.0.0.1:8080", "role": "leader", "lag": 0, "alive": True}
    facts = {"node": 1, "leader": 1, "members": [member], "counts": {"User": 2}, "uptime": 61.2, "waiting": None}
    return facts | {"limits": {"max_page": 10000.0}, "data_dir": "/data/node_1"} | changed


def test_info_names_the_current_leader_and_the_data_directory() -> None:
    lines = render(views.INFO, info(), {}, "human").splitlines()
    assert "Current Leader: 1" in lines
    assert "Data Directory: /data/node_1" in lines
    assert "Member 1: 127.0.0.1:8080 (leader, lag 0, alive)" in lines
    assert "Entities of User: 2" in lines
    assert "Limit max_page: 10000" in lines
    assert not any(line.startswith("Waiting") for line in lines)


def test_info_says_what_the_node_waits_for() -> None:
    lines = render(views.INFO, info(leader=None, waiting="1 of 2 nodes, missing 1"), {}, "human").splitlines()
    assert "Waiting: 1 of 2 nodes, missing 1" in lines
    assert "Current Leader: none" in lines


def test_info_says_what_fails_next() -> None:
    told = info(outlook="tolerates 0 failures: a third node makes it 1")
    assert (
        "Outlook: tolerates 0 failures: a third node makes it 1" in render(views.INFO, told, {}, "human").splitlines()
    )


def test_help_shows_all_commands_or_explains_one() -> None:
    everything = render(views.HELP, explain({}), {}, "human")
    assert len(everything.splitlines()) == len(COMMANDS)
    one = render(views.HELP, explain({"command": "GET"}), {"command": "GET"}, "human")
    assert one.startswith("GET <entity_id> [field...]\n  Get fields")
    assert "'Type$123'" in one
    assert render(views.HELP, explain({}), {}, "csv").startswith("usage,summary,details\n")


MISSING = {"error": {"code": -32000, "message": "entity 9 does not exist", "data": {"kind": "not_found"}}}
STEPS = views.StepsView(
    [("CREATE", views.CREATED, {}), ("SET", views.DONE, {}), ("GET", views.ENTITY, {"fields": ["Name", "X"]})]
)
OUTCOMES: list[dict[str, Any]] = [
    {"result": {"id": 12, "revision": 3}},
    MISSING,
    {"result": entity(Name={"value": "x", **READ}, X=FAILED)},
]


@pytest.mark.parametrize("result", [OUTCOMES, {"revision": 3, "results": OUTCOMES}], ids=["pipeline", "transaction"])
def test_results_of_several_commands_look_as_they_do_alone_and_errors_have_numbers(result: Any) -> None:
    assert render(STEPS, result, {}, "human") == 'Created entity: 12\nName: "x"\n'
    assert render(STEPS, result, {}, "raw") == "12\nx\n"
    assert json.loads(render(STEPS, result, {}, "json")) == result
    rows = list(csv.DictReader(io.StringIO(render(STEPS, result, {}, "csv"))))
    assert [(row["number"], row["command"], row["error"]) for row in rows] == [
        ("1", "CREATE", ""),
        ("2", "SET", "not_found: entity 9 does not exist"),
        ("3", "GET", ""),
    ]
    assert json.loads(rows[0]["result"]) == {"id": 12, "revision": 3}
    assert [(error.kind, error.message) for error in STEPS.errors(result)] == [
        ("not_found", "command 2: entity 9 does not exist"),
        ("not_found", "command 3: type User has no field 'X'"),
    ]


def test_the_schema_of_a_field_is_json_or_a_row() -> None:
    field = {"name": "A", "dataType": "Choice", "default": "a", "rank": 0, "choices": ["a"], "storageScope": "Runtime"}
    assert json.loads(render(views.FIELD, field, {}, "human")) == field
    assert render(views.FIELD, field, {}, "csv").splitlines() == [",".join(field), 'A,Choice,a,0,"[""a""]",Runtime']


def test_a_digest_tells_the_checks_of_it() -> None:
    check = {"index": 7, "revision": 5, "digest": "ff"}
    result = {"revision": 9, "digest": "ab", "checks": [check]}
    assert render(views.DIGEST, result, {}, "human") == (
        "Revision: 9\nDigest: ab\nChecked at log index 7, revision 5: ff\n"
    )
    assert render(views.DIGEST, result, {}, "raw") == "9\nab\n"
