from __future__ import annotations

from typing import Any

import pytest

from qcore.model.api import METHODS
from qcore_tools.cli.commands import COMMANDS, explain, lookup, parse
from qcore_tools.cli.words import split
from qcore_tools.console import UsageError


@pytest.mark.parametrize(
    ("words", "method", "params"),
    [
        ("PING", "ping", {}),
        ("GET 12", "get", {"id": "12"}),
        ("GET @12 Name Age", "get", {"id": "@12", "fields": ["Name", "Age"]}),
        ("SET 12 Age 30", "set", {"id": "12", "field": "Age", "value": "30"}),
        ("SET 12 Boss null", "set", {"id": "12", "field": "Boss", "value": "null"}),
        ("SET 12 Age 30 Name x", "set", {"id": "12", "fields": {"Age": "30", "Name": "x"}}),
        ("ADD 12 Age 2", "set", {"id": "12", "field": "Age", "value": "2", "mode": "add"}),
        ("SUB 12 Age 2", "set", {"id": "12", "field": "Age", "value": "2", "mode": "subtract"}),
        ("CREATE User x", "create", {"type": "User", "name": "x"}),
        ("CREATE User x /Root/A", "create", {"type": "User", "name": "x", "parent": "/Root/A"}),
        ("CREATE User x null", "create", {"type": "User", "name": "x"}),
        ("DELETE 12", "delete", {"id": "12"}),
        ("DEL 12", "delete", {"id": "12"}),
        ("MOVE 12 User$3", "set", {"id": "12", "field": "Parent", "value": "User$3"}),
        ("MOVE 12 null", "set", {"id": "12", "field": "Parent", "value": None}),
        ("EXISTS 12", "exists", {"id": "12"}),
        ("GETSCH User", "schema.get", {"type": "User"}),
        ("GETCSCH User", "schema.complete", {"type": "User"}),
        ("SETSCH a.json", "schema.set", {"file": "a.json"}),
        ("FIND User", "find", {"type": "User"}),
        ("FIND User Age>3", "find", {"type": "User", "filter": "Age>3"}),
        ("FINDPAG User", "find", {"type": "User"}),
        ("FINDPAG User 10", "find", {"type": "User", "limit": 10}),
        ("FINDPAG User 10 c.xyz", "find", {"type": "User", "limit": 10, "cursor": "c.xyz"}),
        ("FINDPAG User c.xyz", "find", {"type": "User", "cursor": "c.xyz"}),
        ("FINDPAG User - c.xyz", "find", {"type": "User", "cursor": "c.xyz"}),
        ("FINDPAG User 10 Age>3", "find", {"type": "User", "limit": 10, "filter": "Age>3"}),
        ("FINDPAG User - - Age>3", "find", {"type": "User", "filter": "Age>3"}),
        ("FINDPAG User Age>3", "find", {"type": "User", "filter": "Age>3"}),
        ("FINDEX User 10 c.xyz", "find", {"type": "User", "limit": 10, "cursor": "c.xyz", "exact": True}),
        ("TYPES", "types", {}),
        ("TYPEPAG 2 c.xyz", "types", {"limit": 2, "cursor": "c.xyz"}),
        ("FIND User Age>3||Age<1", "find", {"type": "User", "filter": "Age>3||Age<1"}),
        ("COUNT User", "count", {"type": "User"}),
        ("COUNT User Age>3", "count", {"type": "User", "filter": "Age>3"}),
        ("DIGEST", "digest", {}),
        ("SNAP", "snapshot.take", {}),
        ("SETSCH a.json --dry-run", "schema.set", {"file": "a.json", "dry_run": True}),
        ("GETFSCH User Age", "field.get", {"type": "User", "field": "Age"}),
        ("FEXISTS User Age", "field.exists", {"type": "User", "field": "Age"}),
        ("SETFSCH User Age INT", "field.set", {"type": "User", "field": "Age", "schema": {"dataType": "Int"}}),
        ("LISTEN User Age", "", {"target": "User", "field": "Age"}),
        (
            "LISTEN @12 Dept->Name change Name Age",
            "",
            {"target": "@12", "field": "Dept->Name", "change": True, "context": ["Name", "Age"]},
        ),
        ("LISTEN 12 * SINCE 7 where Age>3", "", {"target": "12", "since": 7, "filter": "Age>3"}),
        (
            "WATCH User Age CHANGE Name WHERE Age>3 SINCE 0",
            "",
            {"target": "User", "field": "Age", "change": True, "context": ["Name"], "filter": "Age>3", "since": 0},
        ),
        ("UNLISTEN User Age SINCE 5", "", {"target": "User", "field": "Age"}),
        ("POLL", "", {}),
        ("POLL 250", "", {"interval": 0.25}),
        ("MACHINE", "machine", {}),
        ("CLIENTS", "clients", {}),
        ("SLOWLOG", "slowlog", {}),
        ("slowlog 5", "slowlog", {"limit": 5}),
        ("INFO", "info", {}),
        ("CLUSTER", "cluster.status", {}),
        ("cluster status", "cluster.status", {}),
        ("CLUSTER INIT", "cluster.init", {}),
        ("CLUSTER INIT 1 2,3", "cluster.init", {"ids": [1, 2, 3]}),
        ("Cluster Transfer 2", "cluster.transfer", {"id": 2}),
        ("CLUSTER ADD 4", "cluster.add", {"id": 4}),
        ("cluster remove 4", "cluster.remove", {"id": 4}),
        ("CLUSTER PROMOTE 4", "cluster.promote", {"id": 4}),
        ("HELP cluster init", "", {"command": "CLUSTER INIT"}),
        ("HELP", "", {}),
        ("HELP get", "", {"command": "GET"}),
    ],
)
def test_words_become_a_request(words: str, method: str, params: dict[str, Any]) -> None:
    request = parse(words.split())
    assert (request.command.method, request.params) == (method, params)


@pytest.mark.parametrize("word", ["get", "Get", "GET"])
def test_case_does_not_matter(word: str) -> None:
    assert parse([word, "12"]).command.name == "GET"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("GET", r"expected GET <entity_id> \[field...\], given 0 words after GET"),
        ("PING 1", "expected PING, given 1 word after PING"),
        ("EXISTS 1 2", "expected EXISTS <entity_id>, given 2 words"),
        ("SET 1 Name", "expected SET"),
        ("SET 1 Name John Doe", "pairs of field and value; 'Doe' stands alone"),
        ("SET 1 Age 1 Age 2", "the field Age twice"),
        ("FROB User Age", "unknown command 'FROB'; HELP lists the commands"),
        ("HELP FROB", "unknown command 'FROB'"),
        ("FINDPAG User 10 5", "cursor: expected the one of the page before .* given '5'"),
        ("FINDPAG User Age > 3", "a filter with spaces is quoted"),
        ("FINDPAG User ١٠", "limit: expected a number or -"),
        ("TYPEPAG 10 x", "TYPEPAG"),
        ("COUNT User Age > 3", r"expected COUNT <type> \[filter\], given 4 words"),
        ("SETSCH a.json --frob", "SETSCH has no option '--frob'"),
        ("SETSCH --dry-run=1 a.json", "SETSCH has no option '--dry-run=1'"),
        ("SETSCH --dry-run", "expected SETSCH <json_file>"),
        ("SETFSCH User Age", "expected SETFSCH <type> <field> <value_type>"),
        ("SETFSCH User Age INT --rank", "--rank needs a value"),
    ],
)
def test_what_is_no_command_is_explained(words: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(words.split())


def test_every_method_that_a_command_calls_is_part_of_the_api() -> None:
    assert {command.method for command in COMMANDS} - {""} <= METHODS.keys()


def test_no_word_belongs_to_two_commands() -> None:
    words = [word for command in COMMANDS for word in command.words]
    assert len(words) == len(set(words))


def test_help_has_all_commands_or_the_one_asked_for() -> None:
    assert [entry["usage"] for entry in explain({})] == [command.line for command in COMMANDS]
    (entry,) = explain({"command": "SET"})
    assert entry["usage"] == lookup("set").line
    assert entry["details"]


def steps(text: str) -> list[tuple[str, dict[str, Any]]]:
    (sentence,) = split(text)
    return [(step.command.method, step.params) for step in parse(sentence.words).steps]


def test_a_pipeline_is_made_of_commands() -> None:
    assert steps("PIPELINE create User ann | SET $1 Age 3|FIND User 'Age>3||Age<1'") == [
        ("create", {"type": "User", "name": "ann"}),
        ("set", {"id": "$1", "field": "Age", "value": "3"}),
        ("find", {"type": "User", "filter": "Age>3||Age<1"}),
    ]


def test_a_transaction_has_conditions_before_its_commands() -> None:
    (sentence,) = split("TX IF 12 Age >= 30 if @13 missing THEN SET 12 Age 31 | DELETE 14")
    request = parse(sentence.words)
    assert request.command.method == "transaction"
    assert request.params == {
        "conditions": [{"id": "12", "field": "Age", "op": ">=", "value": "30"}, {"id": "@13", "exists": False}]
    }
    assert [step.command.name for step in request.steps] == ["SET", "DELETE"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PIPELINE", "command 1 is empty"),
        ("PIPELINE GET 1 |", "command 2 is empty"),
        ("PIPELINE GET 1 | | GET 2", "command 2 is empty"),
        ("PIPELINE GET 1 | EXISTS", "command 2: expected EXISTS <entity_id>"),
        ("PIPELINE GET 1 | FROB", "command 2: unknown command 'FROB'"),
        ("PIPELINE PING", "command 1: PING cannot stand in a PIPELINE"),
        ("PIPELINE GET 1 | HELP", "command 2: HELP cannot stand in a PIPELINE"),
        ("TX THEN PIPELINE GET 1", "command 1: PIPELINE cannot stand in a TX"),
        ("TX GET 1", "expected IF or THEN, given 'GET'"),
        ("TX THEN", "command 1 is empty"),
    ],
)
def test_what_is_wrong_in_a_command_of_several_is_told_with_its_number(text: str, message: str) -> None:
    (sentence,) = split(text)
    with pytest.raises(UsageError, match=message):
        parse(sentence.words)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("CLUSTER FORM", "CLUSTER has ADD, INIT, PROMOTE, REMOVE, STATUS, TRANSFER, given 'FORM'"),
        ("CLUSTER STATUS 1", "expected CLUSTER STATUS, given 1 word"),
        ("CLUSTER INIT one", "node_id: expected a number from 1 to 65535, given 'one'"),
        ("CLUSTER INIT 65536", "node_id: expected a number"),
        ("CLUSTER TRANSFER", "expected CLUSTER TRANSFER <node_id>, given 0 words"),
        ("HELP GET SET", "HELP explains one command, given 'GET SET'"),
        ("HELP CLUSTER FORM", "CLUSTER has ADD, INIT, PROMOTE, REMOVE, STATUS, TRANSFER"),
        ("PIPELINE CLUSTER INIT", "command 1: CLUSTER INIT cannot stand in a PIPELINE"),
    ],
)
def test_a_command_of_two_words_says_what_its_second_word_may_be(words: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words.split())
    assert problem in caught.value.message
