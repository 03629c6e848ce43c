"""The commands: for each its words, its help, the request it makes and the view of the answer. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from qcore.model.api import METHODS
from qcore.model.requests.compound import Step
from qcore_tools.cli import views
from qcore_tools.cli.cluster import FORMED, MEMBER, STATUS, TRANSFERRED, read_ids, read_node
from qcore_tools.cli.command import Command, Params, Request, take_options
from qcore_tools.cli.compound import OPERATORS, read_conditions, split_steps
from qcore_tools.cli.grammar import (
    combine,
    read_create,
    read_field,
    read_find,
    read_find_exact,
    read_find_page,
    read_get,
    read_id,
    read_move,
    read_nothing,
    read_set,
    read_slow_log,
    read_type,
    read_types_page,
)
from qcore_tools.cli.listening import read_listen, read_poll, read_unlisten
from qcore_tools.cli.schemas import read_field_schema, read_file
from qcore_tools.cli.tables import CLIENTS, SLOW_LOG
from qcore_tools.cli.words import PIPED
from qcore_tools.console import UsageError

__all__ = ["COMMANDS", "LEAVE", "explain", "lookup", "parse"]

LEAVE = ("EXIT", "QUIT")
"""Words that end a prompt or a script."""


def _help(args: Sequence[str]) -> Params:
    if not args:
        return {}
    command, rest = _find(args)
    if rest:
        raise UsageError(f"HELP explains one command, given {' '.join(args)!r}")
    return {"command": command.name}


_IDS = (
    "An entity is written 123, @123, 'Type$123' or as a path: /Root/Folder/Name. Single quotes keep a shell off the $."
)
_RESET = (
    "A change that would reset or drop stored values is refused, and names them, unless --reset is given.\n"
    "--dry-run only checks whether the change could be made, and says which values it would reset."
)
_PAGES = (
    "A cursor is printed where more follows, and asks for it; - skips a word. A page has 100 entities unless told "
    "otherwise, at most 10000."
)
_FILTERS = "A filter is a CEL expression in quotes: 'Age > 25 && Department->Name == \"Engineering\"'."
_VALUES = (
    "A value is read by the field's kind: true or false, a label or its number, RFC 3339 or nanoseconds, base64 or\n"
    "@file for a Blob, an entity in any form or null, a list [1,2]. Values with spaces stand in quotes."
)
_CREATED = (
    "$1 is the entity that the first command created, if it is a CREATE, $2 the second one's. A | that is no\n"
    "separator stands in quotes; || never separates. A shell needs single quotes around all of it:\n"
    "-c 'PIPELINE CREATE User ann | SET $1 Age 30'."
)

_LISTENING = (
    "A target is an entity in any form, or a type with its descendants; a field may be a path, * is every field.\n"
    "CHANGE leaves out writes of the same value, ctx are paths told with each event, WHERE is a filter that must hold\n"
    "after the change, SINCE a revision after which to begin."
)

COMMANDS: tuple[Command, ...] = (
    Command(("PING",), "", "Test the connection", "ping", views.SCALAR, read_nothing),
    Command(
        ("GET",),
        "<entity_id> [field...]",
        "Get fields of an entity, all of them if none is named",
        "get",
        views.ENTITY,
        read_get,
        f"{_IDS}\nA field may be a path: Department->Name follows the reference.",
    ),
    Command(
        ("SET",),
        "<entity_id> <field> <value> [field value...]",
        "Set fields of an entity, all or none",
        "set",
        views.DONE,
        read_set,
        _VALUES,
    ),
    Command(
        ("ADD",),
        "<entity_id> <field> <value>",
        "Add to a number, append to a text, Blob or list",
        "set",
        views.DONE,
        combine("add"),
    ),
    Command(
        ("SUB",),
        "<entity_id> <field> <value>",
        "Subtract from a number, remove from a list",
        "set",
        views.DONE,
        combine("subtract"),
    ),
    Command(
        ("CREATE",),
        "<type> <name> [parent]",
        "Create an entity",
        "create",
        views.CREATED,
        read_create,
        f"Without a parent the entity stands alone.\n{_IDS}",
    ),
    Command(
        ("DELETE", "DEL"),
        "<entity_id>",
        "Delete an entity and everything below it",
        "delete",
        views.DONE,
        read_id,
        _IDS,
    ),
    Command(
        ("MOVE",), "<entity_id> <parent|null>", "Move an entity below another one", "set", views.DONE, read_move, _IDS
    ),
    Command(("EXISTS",), "<entity_id>", "Whether an entity exists", "exists", views.SCALAR, read_id, _IDS),
    Command(("GETSCH",), "<type>", "Get a type's own schema", "schema.get", views.SCHEMA, read_type),
    Command(
        ("GETCSCH",), "<type>", "Get a type's schema with all it inherits", "schema.complete", views.SCHEMA, read_type
    ),
    Command(
        ("SETSCH",),
        "<json_file> [--dry-run] [--reset]",
        "Set a schema, or a list of schemas, from a JSON file",
        "schema.set",
        views.SCHEMAS_SET,
        read_file,
        "The file has the form GETSCH prints; - is standard input. Many schemas are set together or not at all.\n"
        + _RESET,
        {"--dry-run": False, "--reset": False},
    ),
    Command(
        ("GETFSCH",),
        "<type> <field>",
        "Get the schema of a field, inherited ones too",
        "field.get",
        views.FIELD,
        read_field,
    ),
    Command(
        ("SETFSCH",),
        "<type> <field> <value_type> [default] [--labels a,b] [--scope scope] [--rank n] [--dry-run] [--reset]",
        "Add a field to a type, or change one",
        "field.set",
        views.SCHEMAS_SET,
        read_field_schema,
        "A value_type is Blob (or BINARY), Bool (BOOLEAN), Choice, EntityList (REFLIST), EntityReference (REF),\n"
        "Float (DOUBLE), Int (INTEGER), String (STR) or Timestamp (TIME), in any case.\n"
        "--labels are those of a Choice; --scope is Configuration or Runtime; --rank orders the fields. What is\n"
        "left out of a field that exists stays as it is.\n" + _RESET,
        {"--labels": True, "--scope": True, "--rank": True, "--dry-run": False, "--reset": False},
    ),
    Command(
        ("FEXISTS",),
        "<type> <field>",
        "Whether a type has a field, inherited ones too",
        "field.exists",
        views.SCALAR,
        read_field,
    ),
    Command(
        ("FIND",),
        "<type> [filter]",
        "Find the entities of a type and its descendants",
        "find",
        views.ITEMS,
        read_find,
        f"Prints the first page; FINDPAG goes on from its cursor.\n{_FILTERS}",
    ),
    Command(
        ("FINDPAG",),
        "<type> [limit] [cursor] [filter]",
        "Find entities page by page",
        "find",
        views.ITEMS,
        read_find_page,
        f"{_PAGES}\n{_FILTERS}",
    ),
    Command(
        ("FINDEX",),
        "<type> [limit] [cursor] [filter]",
        "Find entities of exactly this type",
        "find",
        views.ITEMS,
        read_find_exact,
        f"{_PAGES}\n{_FILTERS}",
    ),
    Command(
        ("COUNT",),
        "<type> [filter]",
        "Count the entities of a type and its descendants",
        "count",
        views.COUNT,
        read_find,
        _FILTERS,
    ),
    Command(("TYPES",), "", "List all types", "types", views.NAMES, read_nothing),
    Command(("TYPEPAG",), "[limit] [cursor]", "List types page by page", "types", views.NAMES, read_types_page, _PAGES),
    Command(
        ("LISTEN",),
        "<target> <field> [CHANGE] [ctx...] [WHERE cel] [SINCE n]",
        "Listen for changes of a field",
        "",
        views.LISTENING,
        read_listen,
        f"{_LISTENING}\nPOLL prints what comes; WATCH is both in one.",
    ),
    Command(
        ("UNLISTEN",),
        "<target> <field> [CHANGE] [ctx...] [WHERE cel]",
        "Stop listening, by the words of LISTEN",
        "",
        views.DONE,
        read_unlisten,
    ),
    Command(
        ("POLL",),
        "[interval_ms]",
        "Print changes until Ctrl-C",
        "",
        views.SCALAR,
        read_poll,
        "They come as they are made, or every interval_ms.",
    ),
    Command(
        ("WATCH",),
        "<target> <field> [CHANGE] [ctx...] [WHERE cel] [SINCE n]",
        "Listen and print changes until Ctrl-C",
        "",
        views.SCALAR,
        read_listen,
        _LISTENING,
    ),
    Command(
        ("PIPELINE",),
        "<cmd1> | <cmd2> | ...",
        "Run commands in order, with no other client's in between",
        "pipeline",
        views.SCALAR,
        read_nothing,
        f"{_CREATED}\nA command that fails is told with its number, and the others are run all the same.",
    ),
    Command(
        ("TX",),
        "[IF id field op value]... THEN <cmd1> | <cmd2> | ...",
        "Run commands all or none, if every condition holds",
        "transaction",
        views.SCALAR,
        read_nothing,
        f"A condition is IF <id> <field> {'|'.join(OPERATORS)} <value>, IF <id> <field> REVISION <n>\n"
        f"or IF <id> EXISTS|MISSING.\n{_CREATED}",
    ),
    Command(
        ("DIGEST",),
        "",
        "Revision and digest of the whole state, and the last checks",
        "digest",
        views.DIGEST,
        read_nothing,
    ),
    Command(
        ("SNAP",),
        "",
        "Take a snapshot of the state beside the log",
        "snapshot.take",
        views.FACTS,
        read_nothing,
        "A node takes them by itself as its log grows; after one a start needs less of the log.",
    ),
    Command(("MACHINE",), "", "Machine name and node id of the server", "machine", views.FACTS, read_nothing),
    Command(
        ("CLUSTER STATUS", "CLUSTER"),
        "",
        "Who is in the cluster, how they fare, and what the next failure would do",
        "cluster.status",
        STATUS,
        read_nothing,
        "It is what the node that answers sees; lag counts log entries behind the leader.\n"
        "CLUSTER INIT forms a cluster, CLUSTER TRANSFER hands leadership over.",
    ),
    Command(
        ("CLUSTER INIT",),
        "[node_id...]",
        "Form a cluster of blank nodes",
        "cluster.init",
        FORMED,
        read_ids,
        "Without ids of all --peers of the node, each of which has to answer that it is blank; with ids of exactly\n"
        "those, the node's own among them.",
    ),
    Command(
        ("CLUSTER TRANSFER",),
        "<node_id>",
        "Hand leadership to another voter",
        "cluster.transfer",
        TRANSFERRED,
        read_node,
    ),
    Command(
        ("CLUSTER ADD",),
        "<node_id>",
        "Have a node be a member, also one that was removed",
        "cluster.add",
        MEMBER,
        read_node,
        "A blank node that is started with --peers is added by itself; one that was removed needs this word.",
    ),
    Command(
        ("CLUSTER REMOVE",),
        "<node_id>",
        "Take a node out of the cluster for good",
        "cluster.remove",
        MEMBER,
        read_node,
        "The node stops, and its disk is refused until CLUSTER ADD.",
    ),
    Command(
        ("CLUSTER PROMOTE",),
        "<node_id>",
        "Give a learner a vote, however many vote already",
        "cluster.promote",
        MEMBER,
        read_node,
    ),
    Command(("INFO",), "", "What the server is and how it fares", "info", views.INFO, read_nothing),
    Command(
        ("CLIENTS",),
        "",
        "Who is connected to the server",
        "clients",
        CLIENTS,
        read_nothing,
        "A queue is what waits for a client's socket, in bytes: one that grows is of a client that does not read.",
    ),
    Command(
        ("SLOWLOG",),
        "[n]",
        "The last requests that took long, the newest first",
        "slowlog",
        SLOW_LOG,
        read_slow_log,
        "The server's setting slow_request_ms says from when on; it keeps the newest 128. A request waits for the log\n"
        "and the disk, or for a revision, before it is carried out.",
    ),
    Command(("HELP",), "[command...]", "List the commands, or explain one", "", views.HELP, _help),
)

_BY_WORD = {word: command for command in COMMANDS for word in command.words}


def lookup(word: str) -> Command:
    """The command of this name, in any case.

    Raises:
        UsageError: there is none.
    """
    try:
        return _BY_WORD[word.upper()]
    except KeyError:
        raise UsageError(f"unknown command {word!r}; HELP lists the commands") from None


def _find(words: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command that words begin with, its name being one word or two, and the rest of them.

    Raises:
        UsageError: there is none.
    """
    name = words[0].upper()
    if len(words) > 1 and (found := _BY_WORD.get(f"{name} {words[1].upper()}")) is not None:
        return found, words[2:]
    seconds = sorted(each.partition(" ")[2] for each in _BY_WORD if each.startswith(f"{name} "))
    if seconds and (len(words) > 1 or name not in _BY_WORD):
        given = repr(str(words[1])) if len(words) > 1 else "nothing"
        raise UsageError(f"{name} has {', '.join(seconds)}, given {given}")
    return lookup(words[0]), words[1:]


def parse(words: Sequence[str]) -> Request:
    """Make a request of a command's words.

    Raises:
        UsageError: no such command, or not its grammar.
    """
    command, rest = _find(words)
    if command.name in PIPED:
        return _parse_steps(command, rest)
    args, options = take_options(command, rest)
    command.check(args)
    return Request(command, command.read(args, **options))


_STEPS = frozenset(get_args(Step))


def _parse_steps(command: Command, words: Sequence[str]) -> Request:
    params: Params = {}
    if command.name == "TX":
        params["conditions"], words = read_conditions(words)
    steps = [_parse_step(command, number, step) for number, step in enumerate(split_steps(words), 1)]
    return Request(command, params, tuple(steps))


def _parse_step(whole: Command, number: int, words: Sequence[str]) -> Request:
    try:
        command, _ = _find(words)
        if not command.method or METHODS[command.method].params not in _STEPS:
            raise UsageError(f"{command.name} cannot stand in a {whole.name}")
        return parse(words)
    except UsageError as exc:
        raise UsageError(f"command {number}: {exc.message}") from None


def explain(params: Params) -> list[dict[str, str]]:
    """The result of HELP: one command, or all."""
    chosen = [lookup(params["command"])] if params else COMMANDS
    return [{"usage": command.line, "summary": command.summary, "details": command.details} for command in chosen]
