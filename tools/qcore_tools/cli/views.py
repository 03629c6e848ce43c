"""How results look: for people, as JSON, as CSV and raw. No I/O.

JSON is the API's result as it came, in one line. CSV has a header and rows, raw the bare values. A view knows the
other three forms of one kind of result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from qcore.model.errors import QcoreError, error_from_wire
from qcore.model.wire import encode_json
from qcore_tools.forms import as_json, bare, cell, csv_lines, literal
from qcore_tools.terminal import visible

__all__ = [
    "COUNT",
    "CREATED",
    "DIGEST",
    "DONE",
    "ENTITY",
    "FACTS",
    "FIELD",
    "HELP",
    "INFO",
    "ITEMS",
    "LISTENING",
    "NAMES",
    "SCALAR",
    "SCHEMA",
    "SCHEMAS_SET",
    "Format",
    "Params",
    "StepsView",
    "View",
    "as_text",
    "render",
]

Format = Literal["human", "json", "csv", "raw"]
Params = Mapping[str, Any]
Table = tuple[Sequence[str], Iterable[Sequence[Any]]]


class View:
    """How one kind of result looks; this one is for a single value."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        return [bare(result)]

    def table(self, result: Any) -> Table:
        """Header and rows of the CSV form; None is an empty cell."""
        return ["result"], [[bare(result)]]

    def raw(self, result: Any) -> Iterable[str]:
        return [bare(result)]

    def errors(self, result: Any) -> Sequence[QcoreError]:
        """What failed within a result that came."""
        return ()

    def notes(self, result: Any) -> Iterable[str]:
        """What people should know beside CSV and raw output, which have no place for it."""
        return ()

    def warnings(self, result: Any) -> Iterable[str]:
        """What people should know beside any output but JSON, which says it itself."""
        return ()


class RecordView(View):
    """A flat record: a row of CSV; lines `Key: value`."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        return [f"{name.replace('_', ' ').capitalize()}: {bare(value)}" for name, value in result.items()]

    def table(self, result: Any) -> Table:
        return list(result), [[cell(value) for value in result.values()]]

    def raw(self, result: Any) -> Iterable[str]:
        return [bare(value) for value in result.values()]


class DigestView(RecordView):
    """The digest of the state, and the checks of it in the log."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        checks = result.get("checks", ())
        lines = [f"Checked at log index {c['index']}, revision {c['revision']}: {c['digest']}" for c in checks]
        return [f"Revision: {result['revision']}", f"Digest: {result['digest']}", *lines]

    def raw(self, result: Any) -> Iterable[str]:
        return [bare(result["revision"]), bare(result["digest"])]


class ListeningView(RecordView):
    """A listener that has begun."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        field = params.get("field", "every field")
        return [f"Listening to {field} of {params['target']} from revision {result['revision']} on"]


class DoneView(RecordView):
    """A change that was made."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        return ["OK"]

    def raw(self, result: Any) -> Iterable[str]:
        return ["OK"]


class SchemasSetView(DoneView):
    """Schemas that were set, or could be, and the values that go with the old ones."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        word = "Would reset" if params.get("dry_run") else "Reset"
        counts = result.get("reset", {}).items()
        return ["OK", *(f"{word} {name} of {count} {'entity' if count == 1 else 'entities'}" for name, count in counts)]


class CreatedView(RecordView):
    def human(self, result: Any, params: Params) -> Iterable[str]:
        return [f"Created entity: {result['id']}"]

    def raw(self, result: Any) -> Iterable[str]:
        return [str(result["id"])]


class EntityView(View):
    """Fields of an entity: a single one as the bare value, several or all as `Field: value`."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        readings = _readings(result)
        if len(params.get("fields") or ()) == 1:
            return [literal(reading["value"]) for reading in readings.values()]
        return [f"{path}: {literal(reading['value'])}" for path, reading in readings.items()]

    def table(self, result: Any) -> Table:
        rows = [
            [path, bare(reading["value"]), cell(reading["time"]), cell(reading["writer"])]
            for path, reading in _readings(result).items()
        ]
        return ["field", "value", "time", "writer"], rows

    def raw(self, result: Any) -> Iterable[str]:
        return [bare(reading["value"]) for reading in _readings(result).values()]

    def errors(self, result: Any) -> Sequence[QcoreError]:
        return [
            error_from_wire({"message": reading["error"]["message"], "data": {"kind": reading["error"]["kind"]}})
            for reading in result["fields"].values()
            if "error" in reading
        ]


class NamesView(View):
    """A page of names; what follows it is in the cursor."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        return [*self.lines(result["items"]), *self.notes(result)]

    def lines(self, items: Any) -> Iterable[str]:
        return list(items)

    def table(self, result: Any) -> Table:
        return ["type"], [[name] for name in result["items"]]

    def raw(self, result: Any) -> Iterable[str]:
        return list(result["items"])

    def notes(self, result: Any) -> Iterable[str]:
        return [f"Cursor: {result['cursor']}"] if result.get("cursor") else []


class ItemsView(NamesView):
    """A page of entities."""

    def lines(self, items: Any) -> Iterable[str]:
        return [f"{item['type']}${item['id']}  {item['name']}" for item in items]

    def table(self, result: Any) -> Table:
        keys = ["id", "type", "name", "fields"]
        return keys, [[cell(item[key]) for key in keys] for item in result["items"]]

    def raw(self, result: Any) -> Iterable[str]:
        return [str(item["id"]) for item in result["items"]]

    def warnings(self, result: Any) -> Iterable[str]:
        return _unanswered(result)


class CountView(RecordView):
    """How many entities there are."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        return [str(result["count"])]

    def table(self, result: Any) -> Table:
        return ["count", "errors"], [[result["count"], result.get("errors", 0)]]

    def raw(self, result: Any) -> Iterable[str]:
        return [str(result["count"])]

    def warnings(self, result: Any) -> Iterable[str]:
        return _unanswered(result)


def _unanswered(result: Any) -> Iterable[str]:
    """For how many entities the filter had no answer, where there are any."""
    failed = result.get("errors", 0)
    return [f"the filter has no answer for {failed} of the entities; {result.get('error')}"] if failed else []


class SchemaView(View):
    """A schema, as JSON that can be given back; a row for each field in CSV."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        return msgspec.json.format(encode_json(result), indent=2).decode().split("\n")

    def table(self, result: Any) -> Table:
        keys = ["name", "dataType", "default", "rank", "choices", "storageScope"]
        return keys, [[cell(field.get(key)) for key in keys] for field in result["fields"]]

    def raw(self, result: Any) -> Iterable[str]:
        return [as_json(result)]


class FieldView(SchemaView):
    """The schema of one field."""

    def table(self, result: Any) -> Table:
        return list(result), [[cell(value) for value in result.values()]]


class InfoView(View):
    """What a node says of itself."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        lines = [f"{_title(key)}: {_described(key, value)}" for key, value in result.items() if key not in _INFO_LISTS]
        if result.get("waiting") is None:
            lines = [line for line in lines if not line.startswith("Waiting:")]
        for member in result.get("members", ()):
            role = f"{member['role']}, witness" if member.get("witness") else member["role"]
            words = [role, f"lag {member['lag']}", "alive" if member["alive"] else "not reachable"]
            state = ", ".join([*words, member["waiting"]] if member.get("waiting") else words)
            lines.append(f"Member {member['node']}: {member['addr']} ({state})")
        lines += [f"Refused: {sentence}" for sentence in result.get("refused", ())]
        for key, title in (("counts", "Entities of"), ("limits", "Limit")):
            lines += [f"{title} {name}: {_number(value)}" for name, value in result.get(key, {}).items()]
        return lines

    def table(self, result: Any) -> Table:
        return ["key", "value"], [[key, cell(value)] for key, value in result.items()]

    def raw(self, result: Any) -> Iterable[str]:
        return [f"{key} {bare(value)}" for key, value in result.items()]


_USAGE_WIDTH = 52
"""Columns for usages in the list of commands; what is longer pushes its summary aside."""


class HelpView(View):
    """Commands and what they do; a single one with its details."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        if params:
            details = [f"  {line}" for entry in result for line in entry["details"].splitlines()]
            return [result[0]["usage"], f"  {result[0]['summary']}", *details]
        width = min(max(len(entry["usage"]) for entry in result), _USAGE_WIDTH)
        return [f"{entry['usage']:<{width}}  {entry['summary']}" for entry in result]

    def table(self, result: Any) -> Table:
        return list(result[0]), [list(entry.values()) for entry in result]

    def raw(self, result: Any) -> Iterable[str]:
        return [entry["usage"] for entry in result]


class StepsView(View):
    """What became of several commands: each as it looks alone, one after the other.

    `steps` are name, view and params of each. In CSV a command is a row, with the JSON of its result.
    """

    def __init__(self, steps: Sequence[tuple[str, View, Params]]) -> None:
        self._steps = steps

    def human(self, result: Any, params: Params) -> Iterable[str]:
        return [line for _, view, own, found in self._done(result) for line in view.human(found, own)]

    def table(self, result: Any) -> Table:
        rows = [
            [number, name, cell(outcome.get("result")), _told(outcome.get("error"))]
            for number, ((name, _, _), outcome) in enumerate(zip(self._steps, _outcomes(result), strict=True), 1)
        ]
        return ["number", "command", "result", "error"], rows

    def raw(self, result: Any) -> Iterable[str]:
        return [line for _, view, _, found in self._done(result) for line in view.raw(found)]

    def errors(self, result: Any) -> Sequence[QcoreError]:
        failed: dict[int, Sequence[QcoreError]] = {
            number: [error_from_wire(outcome["error"])]
            for number, outcome in enumerate(_outcomes(result), 1)
            if "error" in outcome
        }
        failed |= {number: view.errors(found) for number, view, _, found in self._done(result)}
        return [_numbered(error, number) for number, errors in sorted(failed.items()) for error in errors]

    def notes(self, result: Any) -> Iterable[str]:
        return [line for _, view, _, found in self._done(result) for line in view.notes(found)]

    def warnings(self, result: Any) -> Iterable[str]:
        return [
            f"command {number}: {line}"
            for number, view, _, found in self._done(result)
            for line in view.warnings(found)
        ]

    def _done(self, result: Any) -> Iterator[tuple[int, View, Params, Any]]:
        """Number, view, params and result of each command that has one."""
        for number, ((_, view, own), outcome) in enumerate(zip(self._steps, _outcomes(result), strict=True), 1):
            if "error" not in outcome:
                yield number, view, own, outcome["result"]


def _outcomes(result: Any) -> list[dict[str, Any]]:
    """One of ``{"result"}`` or ``{"error"}`` for each command of a pipeline, or of a transaction."""
    outcomes: list[dict[str, Any]] = result["results"] if isinstance(result, dict) else result
    return outcomes


def _told(error: dict[str, Any] | None) -> str:
    return "" if error is None else f"{error['data']['kind']}: {error['message']}"


def _numbered(error: QcoreError, number: int) -> QcoreError:
    return type(error)(f"command {number}: {error.message}", **error.data)


SCALAR, FACTS, DIGEST, DONE, CREATED = View(), RecordView(), DigestView(), DoneView(), CreatedView()
COUNT = CountView()
ENTITY, LISTENING = EntityView(), ListeningView()
SCHEMAS_SET = SchemasSetView()
ITEMS, NAMES, SCHEMA, FIELD, INFO, HELP = ItemsView(), NamesView(), SchemaView(), FieldView(), InfoView(), HelpView()


def render(view: View, result: Any, params: Params, format: Format) -> str:
    """The text of a result on standard output, with its last newline."""
    if format == "json":
        return as_json(result) + "\n"
    if format == "csv":
        return csv_lines(*view.table(result))
    return as_text(view.human(result, params) if format == "human" else view.raw(result), format)


def as_text(lines: Iterable[str], format: Format) -> str:
    """Lines as they are written: for people escaped, whatever stands in them."""
    return "".join(f"{visible(line) if format == 'human' else line}\n" for line in lines)


def _readings(result: Any) -> dict[str, Any]:
    """The fields that could be read."""
    return {path: reading for path, reading in result["fields"].items() if "error" not in reading}


_INFO_LISTS = ("members", "counts", "limits", "refused")
_INFO_TITLES = {
    "leader": "Current Leader",
    "log_first": "First Log Index",
    "log_last": "Last Log Index",
    "data_dir": "Data Directory",
}


def _title(key: str) -> str:
    return _INFO_TITLES.get(key) or key.replace("_", " ").title()


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and value < 1e15 else bare(value)


def _described(key: str, value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.0f} s" if key == "uptime" else bare(value)
