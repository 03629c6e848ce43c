"""What happened to the stores of this folder: every kind of command, and whatever is easily applied in another way.

The node is started four times, so that the log has as many terms. What a leader proposes for its own ends is put into
the log here, as a real one does so too seldom to wait for it, and cuts only commands of a megabyte into parts.
"""

from __future__ import annotations

import json
from base64 import b64encode
from random import Random
from typing import Any, Protocol

from qcore.model.documents.text import read_document
from qcore.model.entry import raft_node_id
from qcore.model.leader_commands import RaiseLevel, ReadmitDisk, RemoveDisk, RunStaged, StagePart
from qcore.model.requests.commands import Bootstrap, Create
from qcore.model.requests.restore import Restore
from qcore.model.schema_file.reader import SchemaFile
from qcore.model.wire import cut_text, encode_json
from qcore.store.state.state import State

__all__ = ["TERMS", "Driver"]

_TEXT = "Grüße, 温度 \U0001f321, \u05d0\u05d1\u2028\u0000\x7f" + 600 * " " + '"Ende\\"'
"""With more blanks than the log writes as blanks."""

_SECOND = 1_000_000_000
_HOUR = 3600.0


class Driver(Protocol):
    """Drives a node. Its clock stands still but for a second before each request, and for what `pass_time` says."""

    chance: Random
    schema_file: SchemaFile

    @property
    def state(self) -> State:
        """The state now, everything asked so far being applied."""

    def pass_time(self, seconds: float) -> None:
        """Set the clock forward, or back."""

    def session(self, number: int) -> int:
        """The id of the session that was opened as the `number`-th, from 1; requests name it by the number."""

    async def done(self, method: str, **params: Any) -> Any:
        """The result of a request."""

    async def refused(self, kind: str, method: str, **params: Any) -> None:
        """Ask what must be refused with this kind of error."""

    async def together(self, *requests: tuple[str, dict[str, Any]]) -> None:
        """Ask for several writes at once, which become one entry; some may be refused."""

    async def propose(self, *commands: Any) -> None:
        """Put an entry into the log as a leader does, and see it applied."""

    async def snapshot(self) -> None:
        """Take a snapshot, if this node is to have any."""


# -- the first term ----------------------------------------------------------------------------------------


async def first(node: Driver) -> None:
    """Everything a client writes, in all modes, and refused."""
    file = node.schema_file
    await node.propose(Bootstrap(file.schemas, file.tree, file.digest))
    await node.propose(Bootstrap(file.schemas, file.tree, file.digest))  # the mark is there: nothing happens
    await node.propose(RaiseLevel(1))
    await node.together(("session.open", {}), ("session.open", {}))
    await _values(node)
    await _modes(node)
    await _conditions(node)
    await _tree(node)
    await _numbered(node)
    await _check(node)
    await _compound(node)
    await _busy(node, 5)


async def _values(node: Driver) -> None:
    fields: dict[str, Any] = {
        "Photo": b64encode(bytes(range(256))).decode(),
        "Enabled": False,
        "Mode": "Läuft",
        "Parts": ["/Haus/Küche/Herd", "Place$5", 2],
        "Home": "@2",
        "Level": -0.0,
        "Count": -(2**63),
        "Label": _TEXT,
        "Seen": "2023-11-14T22:13:20.123456789+01:00",
    }
    await node.done("create", type="Device", name="Ofen \U0001f525", parent="/Haus/Küche", fields=fields)
    await node.done("create", type="Sensor", name="ohne Ort", fields={"Level": 5e-324, "Seen": -1})
    await node.done("set", id="/Haus/Küche/温度", fields={"Level": 1.7976931348623157e308, "Label": "zwei", "Mode": 1})
    await node.refused("bad_value", "set", id="/Haus/Küche/温度", fields={"Label": "drei", "Count": "viele"})
    await node.refused("not_found", "create", type="Ghost", name="nobody")


async def _modes(node: Driver) -> None:
    herd = "/Haus/Küche/Herd"
    for field, value in (("Count", 4), ("Level", 0.1), ("Label", "Ü"), ("Photo", "/w=="), ("Parts", [1, 2])):
        await node.done("set", id=herd, field=field, value=value, mode="add")
    await node.together(
        ("set", {"id": herd, "field": "Count", "value": 9, "mode": "subtract"}),
        ("set", {"id": herd, "field": "Level", "value": 0.2, "mode": "subtract"}),
        ("set", {"id": herd, "field": "Parts", "value": [1], "mode": "subtract"}),
        ("set", {"id": herd, "field": "Mode", "value": "Aus", "mode": "add"}),
        ("set", {"id": herd, "field": "Enabled", "value": True, "when": "changes"}),
    )


async def _conditions(node: Driver) -> None:
    herd = "/Haus/Küche/Herd"
    now = node.state.time
    await node.done("set", id=herd, field="Label", value="jetzt", time=now + 5 * _SECOND)
    await node.refused("stale", "set", id=herd, field="Label", value="zu spät", time="2023-11-14T00:00:00Z")
    await node.done("set", id=herd, field="Label", value="gleich danach")  # at a time before what is there
    await node.refused("bad_value", "set", id=herd, field="Label", value="zu früh", time=now + 3600 * _SECOND)
    await node.done("set", id=herd, field="Mode", value="Läuft", expect={"value": "Bereit"})
    await node.refused("conflict", "set", id=herd, field="Mode", value="Aus", expect={"value": "Bereit"})
    await node.refused("conflict", "set", id=herd, field="Mode", value="Aus", expect={"revision": 1})
    await node.done("set", id=herd, field="Home->Note", value="über den Herd geschrieben")
    here = {"revision": node.state.revision, "epoch": node.state.epochs.current}
    elsewhere = {**here, "epoch": "0123456789abcdef"}
    note = {"id": f"{herd}", "field": "Home->Note", "value": "und noch einmal"}
    await node.refused("conflict", "set", **note, expect=elsewhere)
    await node.done("set", **note, expect=here)
    here["revision"] = node.state.revision
    holds = {"id": herd, "field": "Home->Note", **here}
    await node.done("transaction", conditions=[holds], commands=[{"method": "set", "params": note}])


async def _tree(node: Driver) -> None:
    await node.together(*(("create", {"type": "Place", "name": "Zimmer", "parent": "/Haus"}) for _ in range(3)))
    await node.done("create", type="Device", name="a/b#c\\", parent="/Haus/Zimmer#2")
    await node.done("set", id="/Haus/Zimmer#2/a\\/b\\#c\\\\", field="Parent", value="/Haus/Zimmer")
    await node.done("set", id="/Haus/Zimmer#3", field="Name", value="Bad")
    children = list(node.state.children(1))
    await node.done("set", id=1, field="Children", value=children[::-1])
    await node.refused("cycle", "set", id="/Haus/Küche", field="Parent", value="/Haus/Küche/Herd")
    await node.refused("forbidden", "delete", id=1)
    await node.done("delete", id="/Haus/Keller")  # others refer to it
    await node.done("delete", id="/Haus/Truhe")


async def _numbered(node: Driver) -> None:
    count: dict[str, Any] = {"id": "/Haus/Küche/温度", "field": "Count", "value": 1, "mode": "add", "session": 1}
    await node.done("set", **count, seq=1)
    await node.done("set", **count, seq=1)  # again: the same answer, and nothing is added
    await node.refused("invalid_request", "create", type="Place", name="other", session=1, seq=1)
    await node.refused("conflict", "set", **count, seq=2, expect={"value": 99})
    await node.refused("conflict", "set", **count, seq=2, expect={"value": 99})
    await node.together(*(("set", {**count, "seq": seq, "acked": 3}) for seq in (5, 3, 4)))
    await node.refused("session_expired", "set", **count, seq=1)
    await node.done("create", type="Place", name="gezählt", parent=1, session=2, seq=1)


async def _compound(node: Driver) -> None:
    dach = {"Note": "über allem"}
    steps = [
        {"method": "create", "params": {"type": "Place", "name": "Dach", "parent": "/Haus", "fields": dach}},
        {"method": "create", "params": {"type": "Sensor", "name": "Wind", "parent": "$1", "fields": {"Unit": "m/s"}}},
        {"method": "set", "params": {"id": "$2", "field": "Level", "value": "viel"}},
        {"method": "get", "params": {"id": "$2", "fields": ["Unit", "Level"]}},
        {"method": "set", "params": {"id": "$2", "field": "Home", "value": "$1"}},
    ]
    for _ in range(2):
        await node.done("pipeline", commands=steps, session=2, seq=2)
    moved = [steps[1], {"method": "set", "params": {"id": "$1", "field": "Parent", "value": "/Haus/Dach"}}, steps[3]]
    moved[0] = {"method": "create", "params": {"type": "Sensor", "name": "Regen", "fields": {"Unit": "mm"}}}
    moved[2] = {"method": "count", "params": {"type": "Device"}}
    holds = [
        {"id": "/Haus/Dach", "exists": True},
        {"id": "/Haus/Küche/Herd", "field": "Mode", "op": "==", "value": "Läuft"},
        {"id": "/Haus/Küche/温度", "field": "Level", "op": ">", "value": 1},
    ]
    await node.done("transaction", commands=moved, conditions=holds, session=2, seq=3)
    await node.refused("conflict", "transaction", commands=moved, conditions=[{"id": 1, "exists": False}])
    await node.refused("not_found", "transaction", commands=[*moved, {"method": "delete", "params": {"id": 999}}])


async def _busy(node: Driver, entries: int) -> None:
    """Entries of writes by chance, many of which are refused."""
    for _ in range(entries):
        await node.together(*(_some_write(node) for _ in range(4)))


def _some_write(node: Driver) -> tuple[str, dict[str, Any]]:
    chance = node.chance
    id, other = chance.randint(1, node.state.next_id), chance.randint(1, node.state.next_id)
    writes: list[tuple[str, dict[str, Any]]] = [
        ("create", {"type": chance.choice(["Place", "Sensor"]), "name": f"n{chance.randint(0, 3)}", "parent": other}),
        ("set", {"id": id, "field": "Level", "value": chance.uniform(-1e9, 1e9)}),
        ("set", {"id": id, "field": "Count", "value": chance.randint(-(2**62), 2**62), "mode": "add"}),
        ("set", {"id": id, "fields": {"Home": other, "Parts": [other], "Mode": chance.randint(0, 3)}}),
        ("set", {"id": id, "field": "Parent", "value": other}),
        ("delete", {"id": max(id, 12)}),
    ]
    return chance.choice(writes)


async def _check(node: Driver) -> None:
    """A digest check, which a node proposes after a minute, or 10,000 entries."""
    check = node.state.checks.newest(node.state.level)
    assert check is not None
    await node.propose(check)


# -- the second term ---------------------------------------------------------------------------------------


async def second(node: Driver) -> None:
    """Types change under their entities; disks are removed; a document is restored; the clock is set back."""
    await _types(node)
    await _removed_disks(node)
    await _check(node)
    await node.snapshot()
    await _document(node)
    await _set_back(node)
    await _check(node)
    await node.propose(StagePart("5ca1ab1e00000000", 0, '{"method":"set","id":1,'))  # its leader ends before the rest


async def _types(node: Driver) -> None:
    fields: list[dict[str, Any]] = [
        {"name": "Unit", "dataType": "String", "default": "K"},
        {"name": "Value", "dataType": "String", "default": "nie"},
        {"name": "Alarm", "dataType": "Choice", "choices": ["still", "laut"], "default": "laut"},
    ]
    sensor = {"entityType": "Sensor", "inheritsFrom": ["Device", "Place"], "fields": fields}
    pump = {"entityType": "Pump", "inheritsFrom": ["Sensor"], "fields": []}
    await node.refused("in_use", "schema.set", schemas=[pump, sensor])
    await node.done("schema.set", schemas=[pump, sensor], reset=True)  # Value is reset, Limit goes, Note and Alarm come
    await node.done("create", type="Pump", name="Pumpe", parent="/Haus", fields={"Value": "läuft", "Alarm": "still"})
    await node.done(
        "field.set", type="Device", field="Count", schema={"dataType": "Float", "default": 0.25}, reset=True
    )
    await node.done("field.set", type="Device", field="Extra", schema={"dataType": "EntityList"})
    await node.done("field.set", type="Device", field="Mode", schema={"choices": ["Läuft", "Störung", "Bereit", "Aus"]})
    await node.refused("in_use", "field.set", type="Device", field="Mode", schema={"choices": ["Bereit", "Aus"]})
    await node.refused("in_use", "schema.delete", type="Sensor")
    await node.done("schema.delete", type="Relic")
    size = {"type": "Place", "field": "Size", "schema": {"dataType": "Int"}, "reset": True}
    again = [{"method": "field.set", "params": size}]
    again += [{"method": "set", "params": {"id": "/Haus/Küche", "field": "Size", "value": 7}}]
    await node.done("transaction", commands=again)
    await node.done("field.set", type="Place", field="Size", schema={"dataType": "Timestamp"}, reset=True)


async def _removed_disks(node: Driver) -> None:
    """As a leader of several nodes orders it: one disk a second time, and one that is let in again."""
    for disk in (1, 2, 3, 2):
        await node.propose(RemoveDisk(raft_node_id(disk + 1, 0), f"{disk:032x}"))
    await node.propose(ReadmitDisk(f"{3:032x}"), ReadmitDisk(f"{4:032x}"))


async def _document(node: Driver) -> None:
    """Restore, without prune, a few lines as an operator would write them, with a password to hash."""
    place = {"name": "Note", "dataType": "Blob", "default": "b2s="}  # what Notes there are is reset
    tree = {
        "entityType": "Root",
        "Name": "Haus",
        "Motto": "__hashpw__(Sesam öffne dich)",
        "Children": [
            {"entityType": "Place", "Name": "Küche", "Note": [0, 255]},
            {"entityType": "Place", "Name": "Speicher", "Children": [{"entityType": "Place", "Name": "Ecke"}]},
        ],
    }
    root = {"entityType": "Root", "fields": [{"name": "Motto", "dataType": "String"}]}
    schemas = [{"entityType": "Place", "fields": [place]}, root]
    text = json.dumps({"schemas": schemas, "tree": tree})
    await node.done("snapshot.upload", upload="edited", offset=0, chunk=text)
    await node.done("snapshot.restore", upload="edited", session=2, seq=4, reset=True)
    await node.done("snapshot.restore", upload="edited", session=2, seq=4, reset=True)


async def _set_back(node: Driver) -> None:
    herd = "/Haus/Küche/Herd"
    await node.done("set", id=herd, field="Label", value="vor der Umstellung")
    node.pass_time(-_HOUR)
    await node.done("set", id=herd, field="Label", value="danach, an der Uhr davor")
    await node.done("create", type="Place", name="früher", parent="/Haus")
    await node.done("session.open")
    await node.done("set", id=herd, field="Count", value=1.5, mode="add", session=3, seq=1)
    await node.refused("stale", "set", id=herd, field="Label", value="alt", time="2023-11-14T22:13:30Z")
    await _busy(node, 2)
    node.pass_time(_HOUR)


# -- the third term ----------------------------------------------------------------------------------------


async def third(node: Driver) -> None:
    """The clock is behind the blank entry of the term; hours without a write of a session; a document in parts."""
    node.pass_time(-600.0)
    await node.done("set", id="/Haus", field="Motto", value="zur Zeit des leeren Eintrags")
    await node.done("set", id=1, field="Motto", value="gezählt", session=3, seq=2)
    node.pass_time(3 * _HOUR)
    await node.refused("session_expired", "set", id=1, field="Motto", value="zu spät", session=2, seq=5)
    await node.done("session.open")
    await node.refused("not_found", "delete", id=4711, session=4, seq=1)
    await _parts(node)
    await _check(node)
    await _busy(node, 2)


async def _parts(node: Driver) -> None:
    """Restore with prune what the store holds but for some of it, in several entries, others and a snapshot between."""
    document = read_document(await _pruned(node))
    restore = Restore(document, prune=True, session=node.session(4), seq=2, hash="0123456789abcdef")
    texts = list(cut_text(encode_json(restore), 1_500))
    parts = [StagePart("0ddba11000000000", number, text) for number, text in enumerate(texts)]
    await node.propose(parts[0])
    await node.propose(*parts[1:-1])
    await node.done("create", type="Place", name="dazwischen", parent="/Haus")
    await node.snapshot()
    await node.propose(parts[-1])
    revision = node.state.revision
    await node.propose(RunStaged("0ddba11000000000", len(parts)))
    assert node.state.revision == revision + 1


async def _pruned(node: Driver) -> str:
    text = ""
    params: dict[str, Any] = {"runtime": True}
    while params:
        page = await node.done("snapshot.export", **params)
        text += page["chunk"]
        params = {"cursor": page["cursor"]} if "cursor" in page else {}
    document = json.loads(text)
    children: list[Any] = document["tree"]["Children"]
    document["tree"]["Children"] = [child for child in children if child["Name"] not in ("Speicher", "Bad")][::-1]
    return json.dumps(document)


# -- the fourth term ---------------------------------------------------------------------------------------


async def fourth(node: Driver) -> None:
    """What is under way when the story ends."""
    await node.propose(RunStaged("5ca1ab1e00000000", 1))  # of the second term: too old
    create = encode_json(Create("Place", "aus Teilen", "/Haus")).decode()
    revision = node.state.revision
    await node.propose(StagePart("0ff1ce0000000000", 0, create), RunStaged("0ff1ce0000000000", 1))
    assert node.state.revision == revision + 1
    compound = {"commands": [{"method": "get", "params": {"id": "/Haus/Küche", "fields": ["Note"]}}]}
    compound["commands"] += [{"method": "create", "params": {"type": "Place", "name": "zu zweit", "parent": "/Haus"}}]
    compound["commands"] += [{"method": "set", "params": {"id": "$2", "field": "Note", "value": "kein Base64"}}]
    await node.done("session.open")
    await node.together(
        ("set", {"id": "/Haus/Küche/温度", "field": "Value", "value": "21,5", "session": 5, "seq": 1}),
        ("set", {"id": "/Haus/Küche/温度", "field": "Ghost", "value": 1, "session": 5, "seq": 2}),
        ("pipeline", {**compound, "session": 5, "seq": 3}),
        ("transaction", {**compound, "session": 5, "seq": 4}),
        ("create", {"type": "Pump", "name": "letzte", "session": 4, "seq": 3, "acked": 2}),
    )
    await node.propose(ReadmitDisk(f"{1:032x}"), RemoveDisk(raft_node_id(5, 7), f"{5:032x}"))
    await _check(node)
    await node.propose(StagePart("defaced000000000", 0, create[:20]))
    await node.done("set", id=1, field="Motto", value=_TEXT[:9] + " — Ende")


TERMS = ((0.0, first), (60.0, second), (660.0, third), (30.0, fourth))
"""Seconds that pass before each, and what happens then."""
