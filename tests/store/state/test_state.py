from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qcore.model.errors import RequestError
from qcore.model.ids import ROOT_ID
from qcore.model.requests.commands import Bootstrap, Create, Delete, SchemaSet, SetFields, TreeNode
from qcore.model.values import Kind
from qcore.store.state import state as module
from qcore.store.state.state import State
from tests.store.samples import Log, dump, field, full_digest, replay, type_of

THING = type_of("Thing", field("Age"), field("Boss", Kind.EntityReference), field("Parts", Kind.EntityList))


def test_a_fresh_state_holds_the_root_and_the_built_in_types_alone() -> None:
    state = State()
    assert list(state.entities) == state.top == [ROOT_ID]
    assert state.entities[ROOT_ID].name == state.entities[ROOT_ID].type == "Root"
    assert (state.revision, state.next_id, state.applied, state.mark) == (0, 2, -1, "")
    assert state.types.names() == ["Object", "Root"]


def test_two_fresh_states_are_the_same() -> None:
    assert dump(State()) == dump(State())


def test_rollback_takes_every_primitive_back() -> None:
    """All that a command can do at once, undone in the middle of nowhere."""
    log = Log(THING)
    family = [log.create("Thing", name) for name in "abcd"]
    below = [log.create("Thing", name, family[0]) for name in "efg"]
    log.set(below[0], "Age", 3)
    state = log.state
    before = dump(state)
    state.begin()
    a = state.entities[family[0]]
    state.put(state.entities[below[0]], a.schema.field("Age").slot, 9, 5, 99)
    state.put(state.entities[below[1]], 0, "renamed", 5, 99)
    state.move(state.entities[below[1]], family[3])
    state.move(state.entities[family[1]], below[1])
    state.reorder(a, [below[2], below[0]])
    state.move(state.entities[below[0]], 0)
    state.unlink(state.entities[below[1]])
    for id in (below[1], family[1]):
        state.remove(state.entities[id])
    state.allocate_id()
    state.reserve_ids(77)
    state.set_mark("mark")
    assert dump(state) != before
    state.rollback()
    assert dump(state) == before
    assert state.digest() == full_digest(state)


def test_a_rolled_back_deletion_leaves_every_path_and_page_as_it_was() -> None:
    log = Log(THING)
    top = log.create("Thing", "top")
    children = [log.create("Thing", f"n{place % 7}", top) for place in range(100)]
    assert log.value("/Root/top/n3#2", "Name") == "n3"
    state = log.state
    state.begin()
    for id in children[10:20]:
        state.unlink(state.entities[id])
        state.remove(state.entities[id])
    state.rollback()
    assert log.ids("Thing", exact=True) == [top, *children]
    assert [state.child_named(top, "n3", twin) for twin in (1, 2, 3)] == [children[3], children[10], children[17]]


def test_ids_are_never_used_again() -> None:
    log = Log(THING)
    first = log.create("Thing", "first")
    log.delete(first)
    assert log.create("Thing", "second") == first + 1


def test_the_id_of_a_refused_creation_is_given_to_the_next() -> None:
    """Nobody has seen it, and a refused command leaves no trace."""
    log = Log(THING)
    next_id = log.state.next_id
    assert log.entry(Create("Thing", "x", 1, {"Age": "many"}))[0].error is not None
    assert log.create("Thing", "y") == next_id


def test_a_new_sibling_comes_last_even_behind_gaps_and_moves() -> None:
    log = Log(THING)
    a, b, c = (log.create("Thing", name) for name in "abc")
    log.delete(c)
    d = log.create("Thing", "d")
    log.set(a, "Parent", None)
    log.set(a, "Parent", 1)
    log.set(1, "Children", [d, a, b])
    e = log.create("Thing", "e")
    assert log.children(1) == [d, a, b, e]


def test_dead_ids_are_dropped_where_they_outnumber_the_living() -> None:
    log = Log(THING)
    ids = [log.create("Thing", "x") for _ in range(200)]
    for id in ids[:190]:
        log.delete(id)
    assert len(log.state.ids("Thing")) < 100
    assert log.ids("Thing") == ids[190:]


def test_changes_tell_what_a_command_did() -> None:
    log = Log(THING)
    created, refused, same = log.entry(
        Create("Thing", "a", 1, {"Age": 3}), Delete(99), SetFields(2, "Age", 3, when="changes")
    )
    assert created.changes
    assert refused.changes is None
    assert same.changes == []


def test_a_refused_command_leaves_no_trace() -> None:
    """Each fails as late as it can, after it has changed what it could."""
    log = Log(THING, type_of("Light", field("Mood", Kind.Choice, choices=["On", "Off"])))
    top = log.create("Thing", "top", Age=1)
    below = log.create("Thing", "below", top)
    light = log.create("Light", "light", top, Mood="Off")
    late: list[Any] = [
        Create("Thing", "x", top, {"Age": 2, "Boss": below, "Parts": [top, 99]}),
        Create("Thing", "x", top, {"Age": 2, "Children": []}),
        SetFields(top, fields={"Age": 2, "Name": "new", "Parent": None, "Boss": 99}),
        SetFields(below, fields={"Parent": light, "Age": "old"}),
        SetFields(top, fields={"Children": [light, below], "Children->0->Age": 5}),
        SetFields(top, fields={"Age": 5, "Parent": below}),
        SchemaSet(
            schemas=[type_of("New"), type_of("Thing"), type_of("Light", field("Mood", Kind.Choice, choices=["On"]))]
        ),
        Bootstrap(
            [type_of("Other", field("Parts", Kind.EntityList))],
            [TreeNode("Root", "Home", children=[TreeNode("Other", "o", {"Parts": ["/Home/none"]})])],
            "hash",
        ),
    ]
    for command in late:
        before = dump(log.state)
        (outcome,) = log.entry(command)
        assert isinstance(outcome.error, RequestError), command
        after = dump(log.state)
        assert after.pop("counters")[2:] == before.pop("counters")[2:], command
        assert after == before, command
        assert outcome.error.data["applied"] == "no"
    assert dump(replay(log.records)) == dump(log.state)


def test_a_field_put_with_no_revision_is_unset_and_that_can_be_undone() -> None:
    log = Log(THING)
    id = log.create("Thing", "x", Age=3)
    state = log.state
    before, slot = dump(state), state.types.of("Thing").field("Age").slot
    state.begin()
    state.put(state.entities[id], slot, None, 0, 0)
    assert log.get(id, "Age")["Age"] == {"value": 0, "time": None, "writer": None, "revision": 0}
    assert state.digest() == full_digest(state)
    state.rollback()
    assert dump(state) == before


def test_the_observer_hears_what_was_done_and_nothing_that_was_undone() -> None:
    log = Log(THING)
    heard: list[tuple[int, int]] = []
    log.state.observer = lambda changes: heard.append((log.state.revision, len(changes)))
    id = log.create("Thing", "x")
    log.set(id, "Age", 3)
    with pytest.raises(RequestError):
        log.set(id, "Nothing", 3)
    log.do(SchemaSet(type_of("Other")))
    assert heard == [(2, 5), (3, 1), (4, 0)]


def assigned(path: Path) -> Iterator[str]:
    """What a source file assigns of anything it calls a state."""
    for node in ast.walk(ast.parse(path.read_text())):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        parts = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Attribute)]
        for part in parts:
            owner = ast.unparse(part.value).rpartition(".")[2]
            if isinstance(part.ctx, ast.Store) and owner in ("state", "_state"):
                yield f"{path}:{part.lineno}: {part.attr}"


def test_nobody_else_assigns_what_the_state_counts() -> None:
    """Who wants to hear of it may say so; everything else has a primitive."""
    root = Path(module.__file__).parents[3]
    found = [each for path in sorted((root / "qcore").rglob("*.py")) for each in assigned(path)]
    assert [each.partition(": ")[2] for each in found] == ["observer", "observe_ahead"]
