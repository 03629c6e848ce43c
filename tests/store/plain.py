"""The store as a newcomer would write it: dicts, deep copies and loops. The machine holds the real one to it.

Nothing of `qcore.store` is used here, and of `qcore.model` only the records of the commands.
"""

from __future__ import annotations

import base64
import copy
import json
import math
from typing import Any

from qcore.model.errors import RequestError
from qcore.model.requests.commands import Create, Delete, FieldSet, SchemaDelete, SchemaSet, SessionOpen, SetFields
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.times import format_time

__all__ = ["Plain", "Refused"]

ZEROS: dict[str, Any] = {
    "Blob": b"",
    "Bool": False,
    "EntityList": [],
    "EntityReference": None,
    "Float": 0.0,
    "Int": 0,
    "String": "",
    "Timestamp": 0,
}
LOW, HIGH = -(2**63), 2**63 - 1
AHEAD = 10_000_000_000
HOUR = 3_600_000_000_000


class Refused(Exception):
    """The kind of the error a command is answered, and the data a client may rely on."""

    def __init__(self, kind: str, **data: Any) -> None:
        super().__init__(kind)
        self.kind = kind
        self.data = data


def integer(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdigit() else None


class Plain:
    """Types, entities and sessions as nested dicts; `apply` answers a dict or raises `Refused`."""

    def __init__(self) -> None:
        self.now = 0
        self.revision = 0
        self.next_id = 2
        self.types: dict[str, dict[str, Any]] = {
            "Object": {
                "parents": [],
                "fields": {
                    "Name": {"kind": "String", "default": "", "labels": [], "rank": 0},
                    "Parent": {"kind": "EntityReference", "default": None, "labels": [], "rank": 1},
                    "Children": {"kind": "EntityList", "default": [], "labels": [], "rank": 2},
                },
            },
            "Root": {"parents": ["Object"], "fields": {}},
        }
        self.entities: dict[int, dict[str, Any]] = {1: self.blank("Root", None)}
        self.entities[1]["values"]["Name"] = "Root"
        self.entities[1]["kinds"]["Name"] = "String"
        self.top = [1]
        self.made: list[int | None] | None = None
        self.next_session = 1
        self.sessions: dict[int, dict[str, Any]] = {}

    @staticmethod
    def zero(kind: str, labels: list[str]) -> Any:
        """A kind's zero as JSON."""
        return labels[0] if kind == "Choice" else "" if kind == "Blob" else ZEROS[kind]

    # -- commands ------------------------------------------------------------------------------------------

    def apply(self, command: Any, now: int) -> Any:
        """The answer of a command; ``("before", answer)`` where its number was answered already."""
        self.now = now
        return self.numbered(command) if command.session else self.atomic(command)

    def numbered(self, command: Any) -> Any:
        if command.seq < 1:
            raise Refused("bad_params")
        self.expire()
        if command.session not in self.sessions:
            raise Refused("session_expired")
        session = self.sessions.pop(command.session)
        self.sessions[command.session] = session
        session["used"] = self.now
        session["low"] = max(session["low"], min(command.acked, command.seq))
        session["answers"] = {n: a for n, a in session["answers"].items() if n >= session["low"]}
        if command.seq < session["low"]:
            raise Refused("session_expired")
        if command.seq in session["answers"]:
            hash, answer = session["answers"][command.seq]
            if hash != command.hash:
                raise Refused("invalid_request")
            return ("before", answer)
        try:
            answer = self.atomic(command)
        except Refused as exc:
            session["answers"][command.seq] = (command.hash, exc)
            raise
        session["answers"][command.seq] = (command.hash, answer)
        return answer

    def atomic(self, command: Any) -> Any:
        if isinstance(command, Pipeline):
            return self.pipeline(command)
        saved = copy.deepcopy((self.types, self.entities, self.top, self.revision, self.next_id))
        try:
            if isinstance(command, Create):
                return self.create(command)
            if isinstance(command, Delete):
                return self.delete(command)
            if isinstance(command, SetFields):
                return self.set(command)
            if isinstance(command, SchemaSet):
                return self.schema_set(command)
            if isinstance(command, SchemaDelete):
                return self.schema_delete(command)
            if isinstance(command, FieldSet):
                return self.field_set(command)
            if isinstance(command, Transaction):
                return self.transaction(command)
            assert isinstance(command, SessionOpen)
            return self.open_session()
        except (Refused, RequestError):
            self.types, self.entities, self.top, self.revision, self.next_id = saved
            raise

    def pipeline(self, command: Pipeline) -> Any:
        results: list[Any] = []
        made: list[int | None] = []
        for step in command.commands:
            self.made = made
            try:
                results.append(self.atomic(step))
            except Refused as exc:
                results.append(exc)
            finally:
                self.made = None
            made.append(results[-1].get("id") if isinstance(results[-1], dict) else None)
        return results

    def transaction(self, command: Transaction) -> Any:
        for condition in command.conditions:
            self.check(condition)
        base, changed = self.revision, False
        results: list[Any] = []
        made: list[int | None] = []
        for number, step in enumerate(command.commands, 1):
            self.made = made
            try:
                results.append(self.atomic(step))
            except Refused as exc:
                raise Refused(exc.kind, **exc.data, command=number) from None
            finally:
                self.made = None
            made.append(results[-1].get("id"))
            changed = changed or self.revision > base
            self.revision = base
        self.revision = base + changed
        return {"revision": self.revision, "results": [{"result": result} for result in results]}

    def check(self, condition: Condition) -> None:
        if condition.exists is not None:
            try:
                exists = bool(self.find(condition.id))
            except Refused as exc:
                if exc.kind != "not_found":
                    raise
                exists = False
            if exists != condition.exists:
                raise Refused("conflict")
            return
        id, name, index = self.walk(self.find(condition.id), str(condition.field))
        if index is not None:
            raise Refused("wrong_kind")
        revision = self.entities[id]["stamps"].get(name, (None, 0))[1]
        shown = {"field": name, "value": self.json(self.field(id, name)["kind"], self.read(id, name))}
        if condition.revision is not None and condition.revision != revision:
            raise Refused("conflict", **shown, revision=revision)
        if condition.op is not None:
            equal = self.mean(self.field(id, name), condition.value) == self.read(id, name)
            if equal != (condition.op == "=="):
                raise Refused("conflict", **shown, revision=revision)

    def expire(self) -> None:
        self.sessions = {id: s for id, s in self.sessions.items() if s["used"] + HOUR >= self.now}

    def open_session(self) -> Any:
        self.expire()
        self.sessions[self.next_session] = {"used": self.now, "low": 1, "answers": {}}
        self.next_session += 1
        return {"session": self.next_session - 1}

    def create(self, command: Create) -> Any:
        parent = None if command.parent is None else self.find(command.parent)
        if command.type not in self.types:
            raise Refused("not_found")
        if command.type == "Root":
            raise Refused("forbidden")
        if self.depth(parent) + 1 > command.max_depth:
            raise Refused("too_large")
        self.check_name(command.name)
        id = self.next_id
        self.next_id += 1
        self.revision += 1
        self.entities[id] = self.blank(command.type, parent)
        self.siblings(parent).append(id)
        self.store(id, "Name", command.name)
        self.stamp(id, "Name")
        if parent is not None:
            self.stamp(id, "Parent")
            self.stamp(parent, "Children")
        for name, given in command.fields.items():
            schema = self.field(id, name)
            if name in ("Name", "Parent", "Children"):
                raise Refused("bad_params")
            self.store(id, name, self.whole(schema, given, command.max_list))
            self.stamp(id, name)
        return {"id": id, "revision": self.revision}

    def delete(self, command: Delete) -> Any:
        top = self.find(command.id)
        if top == 1:
            raise Refused("forbidden")
        parent = self.entities[top]["parent"]
        doomed = self.below(top)
        self.siblings(parent).remove(top)
        self.revision += 1
        if parent is not None:
            self.stamp(parent, "Children")
        for id in doomed:
            del self.entities[id]
        return {"deleted": len(doomed), "revision": self.revision}

    def set(self, command: SetFields) -> Any:
        start = self.find(command.id)
        writes = {command.field: command.value} if command.fields is None else command.fields
        if command.expect is not None and len(writes) != 1:
            raise Refused("bad_params")
        self.revision += 1
        applied = [self.write(command, start, str(path), given) for path, given in writes.items()]
        if not any(applied):
            self.revision -= 1
        return {"applied": any(applied), "revision": self.revision}

    def write(self, command: SetFields, start: int, path: str, given: Any) -> bool:
        id, name, index = self.walk(start, path)
        if index is not None:
            raise Refused("wrong_kind")
        schema = self.field(id, name)
        old = self.read(id, name)
        time, revision = self.entities[id]["stamps"].get(name, (None, 0))
        shown = {"field": name, "value": self.json(schema["kind"], old), "revision": revision}
        if command.expect is not None:
            if isinstance(command.expect.revision, int):
                holds = command.expect.revision == revision
            else:
                holds = self.mean(schema, command.expect.value, dead=True) == old
            if not holds:
                raise Refused("conflict", **shown)
        if command.time is not None:
            if int(command.time) > self.now + AHEAD:
                raise Refused("bad_value")
            if time is not None and int(command.time) < time:
                raise Refused("stale", **shown)
        if name == "Children":
            if command.mode != "set":
                raise Refused("wrong_kind")
            new = self.mean(schema, given)
            if sorted(new) != sorted(old):
                raise Refused("bad_value")
            if command.when == "changes" and new == old:
                return False
            self.entities[id]["children"] = new
        else:
            new = self.combine(schema, old, given, command)
            if command.when == "changes" and new == old:
                return False
            if name == "Parent":
                self.move(id, new, command.max_depth)
            elif name == "Name":
                self.check_name(new)
            if name != "Parent":
                self.store(id, name, new)
        self.stamp(id, name, None if command.time is None else int(command.time))
        return True

    def combine(self, schema: dict[str, Any], old: Any, given: Any, command: SetFields) -> Any:
        kind, mode = schema["kind"], command.mode
        if mode == "set":
            return self.whole(schema, given, command.max_list)
        if kind == "EntityList":
            self.limit(given, command.max_list)
        more = self.mean(schema, given, dead=mode == "subtract")
        if kind == "EntityList":
            if mode == "subtract":
                return [id for id in old if id not in more]
            new = list(old)
            for id in more:
                if id not in new:
                    new.append(id)
            if len(new) > command.max_list:
                raise Refused("too_large")
            return new
        if kind in ("Blob", "String") and mode == "add":
            return old + more
        if kind not in ("Int", "Float"):
            raise Refused("wrong_kind")
        new = old + more if mode == "add" else old - more
        if (kind == "Int" and not LOW <= new <= HIGH) or (kind == "Float" and not math.isfinite(new)):
            raise Refused("bad_value")
        return new

    def move(self, id: int, parent: int | None, max_depth: int) -> None:
        old = self.entities[id]["parent"]
        if parent == old:
            return
        if id == 1:
            raise Refused("wrong_kind")
        if parent in self.below(id):
            raise Refused("cycle")
        if self.depth(parent) + self.height(id) > max_depth:
            raise Refused("too_large")
        self.siblings(old).remove(id)
        self.entities[id]["parent"] = parent
        self.siblings(parent).append(id)
        for other in (old, parent):
            if other is not None:
                self.stamp(other, "Children")

    def schema_set(self, command: SchemaSet) -> Any:
        given = [command.schema] if command.schema is not None else list(command.schemas or [])
        for schema in given:
            assert schema is not None
            fields = {}
            for place, f in enumerate(schema.fields):
                kind, labels = str(f.data_type), list(f.choices)
                if (kind == "Choice") != bool(labels):
                    raise Refused("bad_schema")
                made = {"kind": kind, "labels": labels, "rank": place if f.rank is None else f.rank}
                zero = labels[0] if kind == "Choice" else ZEROS[kind]
                try:
                    made["default"] = zero if f.default is None else self.mean(made, f.default)
                except Refused:
                    raise Refused("bad_schema") from None
                fields[f.name] = made
            self.types[schema.entity_type] = {"parents": list(schema.inherits_from) or ["Object"], "fields": fields}
        self.check_inheritance()
        self.refit()
        self.revision += 1
        return {"revision": self.revision, "types": sorted(s.entity_type for s in given)}

    def field_set(self, command: FieldSet) -> Any:
        """Only with whole schemas of a field; what it may leave out has tests of its own."""
        if command.type not in self.types:
            raise Refused("not_found")
        if command.type == "Object":
            raise Refused("bad_schema")
        given = command.schema
        fields = self.types[command.type]["fields"]
        made = {"kind": str(given.data_type), "labels": list(given.choices or []), "rank": given.rank}
        try:
            made["default"] = self.mean(made, given.default)
        except Refused:
            raise Refused("bad_schema") from None
        fields[command.field] = made
        self.refit()
        self.revision += 1
        return {"revision": self.revision, "types": [command.type]}

    def schema_delete(self, command: SchemaDelete) -> Any:
        if command.type in ("Object", "Root"):
            raise Refused("in_use")
        if command.type not in self.types:
            raise Refused("not_found")
        if self.heirs(command.type) != [command.type] or self.of_type(command.type, exact=True):
            raise Refused("in_use")
        del self.types[command.type]
        self.revision += 1
        return {"revision": self.revision, "types": [command.type]}

    def check_inheritance(self) -> None:
        kinds = set()
        for name in self.types:
            seen: set[str] = set()
            waiting = list(self.types[name]["parents"])
            while waiting:
                parent = waiting.pop()
                if parent not in self.types:
                    kinds.add("bad_schema")
                elif parent == name:
                    kinds.add("cycle")
                elif parent not in seen:
                    seen.add(parent)
                    waiting += self.types[parent]["parents"]
            if "Root" in self.types[name]["parents"]:
                kinds.add("bad_schema")
        if kinds:
            raise Refused("|".join(sorted(kinds)))

    def refit(self) -> None:
        """Values stay where the kind stays."""
        for entity in self.entities.values():
            fields = self.complete(entity["type"])
            for name in list(entity["values"]):
                if name not in fields or fields[name]["kind"] != entity["kinds"][name]:
                    del entity["values"][name]
                    entity["stamps"].pop(name, None)
                elif fields[name]["kind"] == "Choice" and entity["values"][name] not in fields[name]["labels"]:
                    raise Refused("in_use")
            entity["kinds"] = {name: fields[name]["kind"] for name in entity["values"]}

    # -- what things mean ----------------------------------------------------------------------------------

    def find(self, form: Any, dead: bool = False) -> int:
        """The entity under an id form; `dead`: the number of one that does not exist will do."""
        if isinstance(form, str) and form.startswith("/"):
            for id in self.entities:
                if self.path(id) == form:
                    return id
            raise Refused("not_found")
        if isinstance(form, str) and form.startswith("$"):
            number = integer(form[1:])
            if self.made is None or number is None or not 1 <= number <= len(self.made):
                raise Refused("bad_params")
            form = self.made[number - 1]
            if form is None:
                raise Refused("not_found")
        type_name = ""
        if isinstance(form, str):
            if "$" in form:
                type_name, _, form = form.partition("$")
            number = integer(form.removeprefix("@"))
            if number is None:
                raise Refused("bad_params")
            form = number
        if form not in self.entities:
            if dead and not type_name and 0 < form < self.next_id:
                return int(form)
            raise Refused("not_found")
        if type_name and type_name not in self.ancestors(self.entities[form]["type"]):
            raise Refused("wrong_kind")
        return int(form)

    def mean(self, schema: dict[str, Any], given: Any, dead: bool = False) -> Any:
        """What a JSON value means to a field."""
        kind = schema["kind"]
        found: Any = None
        if kind == "String" and isinstance(given, str):
            return given
        if kind == "Bool":
            found = {"true": True, "1": True, "false": False, "0": False}.get(given) if type(given) is str else None
            found = given if type(given) is bool else found
        elif kind == "Int" or kind == "Timestamp":
            found = integer(given) if isinstance(given, str) else given
            found = found if type(found) is int and LOW <= found <= HIGH else None
        elif kind == "Float":
            try:
                found = float(given) if type(given) in (int, float, str) else None
            except ValueError:
                found = None
            found = found if found is not None and math.isfinite(found) else None
        elif kind == "Blob" and isinstance(given, str):
            try:
                found = base64.b64decode(given, validate=True)
            except ValueError:
                found = None
        elif kind == "Choice":
            if given in schema["labels"]:
                return given
            number = integer(given) if isinstance(given, str) else given
            if type(number) is int and 0 <= number < len(schema["labels"]):
                found = schema["labels"][number]
        elif kind == "EntityReference":
            if given is None or given == "null":
                return None
            if type(given) in (int, str):
                return self.refer(given, dead)
        elif kind == "EntityList":
            items = self.items(given)
            if items is not None:
                return [self.refer(item, dead) for item in items]
        if found is None:
            raise Refused("bad_value")
        return found

    def refer(self, form: Any, dead: bool) -> int:
        try:
            return self.find(form, dead)
        except Refused as exc:
            raise Refused("bad_value" if exc.kind == "bad_params" else exc.kind) from None

    def whole(self, schema: dict[str, Any], given: Any, max_list: int) -> Any:
        if schema["kind"] == "EntityList":
            self.limit(given, max_list)
        value = self.mean(schema, given)
        if schema["kind"] == "EntityList" and len(set(value)) != len(value):
            raise Refused("bad_value")
        return value

    def items(self, given: Any) -> list[Any] | None:
        """The id forms of a list, None where it is none."""
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except ValueError:
                return None
        return given if isinstance(given, list) and all(type(item) in (int, str) for item in given) else None

    def limit(self, given: Any, max_list: int) -> None:
        if len(self.items(given) or []) > max_list:
            raise Refused("too_large")

    def json(self, kind: str, value: Any) -> Any:
        """A value as it goes out."""
        if kind == "EntityReference" and value is not None:
            return value if value in self.entities else {"missing": value}
        if kind == "EntityList":
            return [id if id in self.entities else {"missing": id} for id in value]
        if kind == "Timestamp":
            return format_time(value)
        return base64.b64encode(value).decode() if kind == "Blob" else value

    def check_name(self, name: str) -> None:
        if not name or len(name) > 255 or any(ord(char) < 32 for char in name):
            raise Refused("bad_value")

    # -- questions -----------------------------------------------------------------------------------------

    def ancestors(self, name: str) -> list[str]:
        order = [name]
        for current in order:
            order += [parent for parent in dict.fromkeys(self.types[current]["parents"]) if parent not in order]
        return order

    def complete(self, name: str) -> dict[str, dict[str, Any]]:
        fields: dict[str, dict[str, Any]] = {}
        for ancestor in self.ancestors(name):
            for field, schema in self.types[ancestor]["fields"].items():
                fields.setdefault(field, schema)
        return fields

    def heirs(self, name: str) -> list[str]:
        return [other for other in self.types if name in self.ancestors(other)]

    def of_type(self, name: str, exact: bool) -> list[int]:
        types = [name] if exact else self.heirs(name)
        return sorted(id for id, entity in self.entities.items() if entity["type"] in types)

    def field(self, id: int, name: str) -> dict[str, Any]:
        fields = self.complete(self.entities[id]["type"])
        if name not in fields:
            raise Refused("not_found")
        return fields[name]

    def read(self, id: int, name: str) -> Any:
        return self.value(id, name, self.field(id, name))

    def value(self, id: int, name: str, schema: dict[str, Any]) -> Any:
        entity = self.entities[id]
        if name == "Parent":
            return entity["parent"]
        if name == "Children":
            return entity["children"]
        return entity["values"].get(name, schema["default"])

    def walk(self, id: int, path: str) -> tuple[int, str, int | None]:
        hops = path.split("->")
        if not all(hops):
            raise Refused("bad_params")
        while True:
            name = hops.pop(0)
            kind = self.field(id, name)["kind"]
            value = self.read(id, name)
            index = None
            if hops and kind == "EntityList" and hops[0].isdigit():
                index = int(hops.pop(0))
                if index >= len(value):
                    raise Refused("not_found")
                value = value[index]
            elif hops and kind != "EntityReference":
                raise Refused("wrong_kind")
            if not hops:
                return id, name, index
            if value not in self.entities:
                raise Refused("not_found")
            id = value

    def path(self, id: int) -> str:
        entity = self.entities[id]
        name = entity["values"]["Name"]
        twins = [i for i in self.siblings(entity["parent"]) if self.entities[i]["values"]["Name"] == name]
        text = "".join("\\" + char if char in "\\/#" else char for char in name)
        twin = twins.index(id) + 1
        above = "" if entity["parent"] is None else self.path(entity["parent"])
        return f"{above}/{text}" + (f"#{twin}" if twin > 1 else "")

    def siblings(self, parent: int | None) -> list[int]:
        children: list[int] = self.top if parent is None else self.entities[parent]["children"]
        return children

    def below(self, id: int) -> list[int]:
        return [id] + [other for child in self.entities[id]["children"] for other in self.below(child)]

    def depth(self, id: int | None) -> int:
        return 0 if id is None else 1 + self.depth(self.entities[id]["parent"])

    def height(self, id: int) -> int:
        return 1 + max((self.height(child) for child in self.entities[id]["children"]), default=0)

    # -- writing -------------------------------------------------------------------------------------------

    def blank(self, type_name: str, parent: int | None) -> dict[str, Any]:
        """`stamps` has name -> (time, revision), `kinds` the kind of each value."""
        return {"type": type_name, "parent": parent, "children": [], "values": {}, "kinds": {}, "stamps": {}}

    def store(self, id: int, name: str, value: Any) -> None:
        self.entities[id]["values"][name] = value
        self.entities[id]["kinds"][name] = self.field(id, name)["kind"]

    def stamp(self, id: int, name: str, time: int | None = None) -> None:
        entity = self.entities[id]
        old = entity["stamps"].get(name)
        if time is None:
            time = self.now if old is None else max(self.now, old[0] + 1)
        entity["stamps"][name] = (time, self.revision)

    # -- answers -------------------------------------------------------------------------------------------

    def get(self, id: int) -> dict[str, Any]:
        """What `get` answers for all fields, in their order."""
        fields = self.complete(self.entities[id]["type"])
        return {
            name: self.shown(id, name, fields[name]) for name in sorted(fields, key=lambda n: (fields[n]["rank"], n))
        }

    def shown(self, id: int, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        time, revision = self.entities[id]["stamps"].get(name, (None, 0))
        return {
            "value": self.json(schema["kind"], self.value(id, name, schema)),
            "time": None if time is None else format_time(time),
            "writer": None,
            "revision": revision,
        }
