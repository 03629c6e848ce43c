from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.requests.commands import Create, Delete, SetFields
from qcore.model.requests.compound import Transaction
from qcore.model.values import Kind
from qcore.store.state import name_index as names
from tests.store.samples import Log, field, type_of

THING = type_of("Thing", field("Boss", Kind.EntityReference))


@pytest.fixture
def crowd() -> tuple[Log, int, list[int]]:
    """A parent with two hundred children of fifty names, looked up once so that they are indexed."""
    log = Log(THING)
    top = log.create("Thing", "top")
    ids = [log.create("Thing", f"n{place % 50}", top) for place in range(200)]
    assert log.state.child_named(top, "n7", 2) == ids[57]
    return log, top, ids


def twins(log: Log, top: int, name: str) -> list[int]:
    """All children of a name, one path after another until one leads nowhere."""
    found: list[int] = []
    while (id := log.state.child_named(top, name, len(found) + 1)) is not None:
        found.append(id)
    return found


def test_twins_are_in_the_order_of_the_children(crowd: tuple[Log, int, list[int]]) -> None:
    log, top, ids = crowd
    assert twins(log, top, "n7") == ids[7::50]
    assert twins(log, top, "none") == []


def test_a_small_family_needs_no_index() -> None:
    log = Log(THING)
    top = log.create("Thing", "top")
    a, b, c = (log.create("Thing", name, top) for name in ("a", "b", "a"))
    assert twins(log, top, "a") == [a, c]
    assert twins(log, top, "b") == [b]


def test_whatever_happens_to_the_children_the_names_follow(crowd: tuple[Log, int, list[int]]) -> None:
    log, top, ids = crowd
    new = log.create("Thing", "n7", top)
    assert twins(log, top, "n7") == [*ids[7::50], new]
    log.set(ids[8], "Name", "n7")
    assert twins(log, top, "n7") == [ids[7], ids[8], ids[57], ids[107], ids[157], new]
    log.delete(ids[57])
    assert twins(log, top, "n7") == [ids[7], ids[8], ids[107], ids[157], new]
    log.set(ids[107], "Parent", 1)
    assert twins(log, top, "n7") == [ids[7], ids[8], ids[157], new]
    log.set(top, "Children", log.children(top)[::-1])
    assert twins(log, top, "n7") == [new, ids[157], ids[8], ids[7]]
    log.set(ids[107], "Parent", top)
    assert twins(log, top, "n7") == [new, ids[157], ids[8], ids[7], ids[107]]


def test_names_follow_what_is_rolled_back(crowd: tuple[Log, int, list[int]]) -> None:
    log, top, ids = crowd
    state = log.state
    state.begin()
    state.move(state.entities[ids[7]], 1)
    state.put(state.entities[ids[8]], 0, "n7", 1, 99)
    assert twins(log, top, "n7") == [ids[8], *ids[57::50]]
    state.rollback()
    assert twins(log, top, "n7") == ids[7::50]
    assert twins(log, top, "n8") == ids[8::50]


def test_names_follow_a_move_that_is_refused_late(crowd: tuple[Log, int, list[int]]) -> None:
    log, top, ids = crowd
    guest = log.create("Thing", "n7")
    (outcome,) = log.entry(SetFields(guest, fields={"Parent": top, "Boss": 10**6}))
    assert outcome.error is not None
    assert twins(log, top, "n7") == ids[7::50]
    (outcome,) = log.entry(Create("Thing", "n7", top, {"Boss": 10**6}))
    assert outcome.error is not None
    assert twins(log, top, "n7") == ids[7::50]


def test_entities_without_a_parent_have_names_too() -> None:
    log = Log(THING)
    ids = [log.create("Thing", f"n{place % 2}", None) for place in range(100)]
    assert twins(log, 0, "n1") == ids[1::2]
    log.set(ids[1], "Name", "n0")
    assert twins(log, 0, "n1") == ids[3::2]
    assert twins(log, 0, "n0")[:2] == ids[:2]


def test_a_new_child_does_not_cost_the_index(
    crowd: tuple[Log, int, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise creating children by their parent's path would index all siblings again for each."""
    log, top, ids = crowd
    built: list[int] = []
    index = names.NameIndex._index

    def counted(self: names.NameIndex, parent: int, children: list[int]) -> dict[str, list[int]]:
        if parent not in self._by_parent:
            built.append(parent)
        return index(self, parent, children)

    monkeypatch.setattr(names.NameIndex, "_index", counted)
    for place in range(10):
        log.create("Thing", f"new {place}", top)
        assert log.value(f"/Root/top/new {place}", "Parent") == top
    assert twins(log, top, "n7") == ids[7::50]
    assert built == []


def test_one_change_in_a_crowd_does_not_cost_an_index_of_all(crowd: tuple[Log, int, list[int]]) -> None:
    log, top, ids = crowd
    index = log.state._names._by_parent[top]
    log.delete(ids[57])
    log.set(ids[8], "Name", "only")
    log.set(ids[107], "Parent", 1)
    log.delete(ids[8])
    assert log.state._names._by_parent[top] is index
    assert "only" not in index


@given(st.lists(st.tuples(st.sampled_from(["delete", "rename", "leave", "enter"]), st.integers(0, 79)), max_size=30))
def test_any_changes_leave_what_a_look_at_all_children_finds(changes: list[tuple[str, int]]) -> None:
    log = Log(THING)
    top = log.create("Thing", "top")
    ids = [log.create("Thing", f"n{place % 4}", top) for place in range(80)]
    assert twins(log, top, "n0") == ids[::4]
    for what, place in changes:
        id = ids[place]
        if id not in log.state.entities:
            continue
        if what == "delete":
            log.delete(id)
        elif what == "rename":
            log.set(id, "Name", f"n{(place + 1) % 4}")
        else:
            log.set(id, "Parent", top if what == "enter" else 1)
    for name in ("n0", "n1", "n2", "n3"):
        assert twins(log, top, name) == [child for child in log.children(top) if log.state.entities[child].name == name]


def test_what_is_undone_leaves_the_index_of_a_crowded_entity_as_it_was() -> None:
    """It is not made again for each path behind a refused write, which took seconds for a thousand of them."""
    log = Log(THING)
    folder = log.create("Thing", "folder")
    first, second, third = (log.create("Thing", name, folder) for name in "aba")
    for number in range(100):
        log.create("Thing", f"n{number}", folder)
    assert log.state.child_named(folder, "a", 2) == third
    (index,) = (log.state._names._by_parent[folder],)
    before = {name: list(twins) for name, twins in index.items()}
    refused = [
        Transaction([Create("Thing", "a", folder), Delete(first), Create("Thing", "x", folder, {"Nope": 1})]),
        Transaction([SetFields(second, "Name", "a"), SetFields(third, "Name", "c"), SetFields(1, "Nope", 1)]),
        Transaction([SetFields(first, "Parent", 1), SetFields(first, "Parent", folder), SetFields(1, "Nope", 1)]),
        Transaction([SetFields(second, "Parent", 1), SetFields(1, "Nope", 1)]),
    ]
    for command in refused:
        (outcome,) = log.entry(command)
        assert outcome.error is not None
        assert log.state._names._by_parent[folder] is index
        assert index == before
