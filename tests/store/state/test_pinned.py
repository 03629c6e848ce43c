from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.requests.commands import Create, Delete, SchemaSet, SetFields
from qcore.model.requests.compound import Transaction
from qcore.model.values import Kind
from qcore.store.documents.export import export
from qcore.store.state.entity import CHILDREN
from qcore.store.state.pinned import Pinned
from qcore.store.state.view import View
from tests.store.document_samples import restored, stores, taken
from tests.store.samples import Log, any_command, busy_log, field, type_of, typed

THING = type_of("Thing", field("Age"), field("Boss", Kind.EntityReference), field("Parts", Kind.EntityList))


def shown(view: View) -> dict[str, Any]:
    """Everything a view holds, deep."""
    return {
        "types": {name: msgspec.to_builtins(schema) for name, schema in view.types.own.items()},
        "next": view.next_id,
        "top": list(view.children(0)),
        "entities": {id: _entity(view, id) for id in sorted(view.entities)},
    }


def _entity(view: View, id: int) -> Any:
    entity = view.entities[id]
    values = [typed(value) for slot, value in enumerate(entity.values) if slot != CHILDREN]
    names = [slot.name for slot in entity.schema.slots]
    return entity.type, entity.order, names, values, list(entity.stamps), list(view.children(id))


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40))
def test_a_view_stays_as_it_was_whatever_happens_to_the_state(seed: int, before: int, after: int) -> None:
    log = busy_log(seed, before)
    chance = random.Random(seed)
    pinned: list[tuple[Pinned, dict[str, Any]]] = []
    for _ in range(after):
        if chance.random() < 0.2:
            pinned.append((log.state.pin(), shown(log.state)))
        if pinned and chance.random() < 0.1:
            pinned.pop(chance.randrange(len(pinned)))[0].release()
        log.entry(*(any_command(chance, log.state) for _ in range(chance.randint(1, 3))))
    for view, expected in pinned:
        assert shown(view) == expected


@given(stores(), stores(), st.booleans())
def test_a_view_outlives_a_restore_of_everything(log: Log, other: Log, prune: bool) -> None:
    view, expected = log.state.pin(), shown(log.state)
    text = b"".join(export(log.state))
    restored(log.state, taken(other.state), prune=prune)
    assert shown(view) == expected
    assert b"".join(export(view)) == text


def test_a_view_is_not_disturbed_by_what_is_taken_back() -> None:
    log = Log(THING)
    a = log.create("Thing", "a", Age=1)
    view, expected = log.state.pin(), shown(log.state)
    bad: Any = [SetFields(a, "Age", 2), Create("Thing", "b", a), Delete(a), SetFields(1, "Name", "")]
    assert log.entry(Transaction(bad))[0].error is not None
    log.set(a, "Age", 3)
    log.delete(a)
    assert shown(view) == expected


def test_new_entities_and_deleted_ones_are_told_apart() -> None:
    log = Log(THING)
    gone = log.create("Thing", "gone")
    view = log.state.pin()
    log.delete(gone)
    new = log.create("Thing", "new")
    assert gone in view.entities
    assert view.entities.get(gone) is not None
    assert new not in view.entities
    assert view.entities.get(new) is None
    with pytest.raises(KeyError):
        view.entities[new]
    assert list(view.children(1)) == [gone]
    assert len(view.entities) == 2


def test_ids_of_the_dead_are_kept_for_a_view_and_dropped_behind_it() -> None:
    log = Log(THING)
    ids = [log.create("Thing", f"n{place}") for place in range(200)]
    view = log.state.pin()
    for id in ids[:190]:
        log.delete(id)
    assert [id for id in view.ids("Thing") if id in view.entities] == ids
    view.release()
    log.delete(ids[190])
    assert len(log.state.ids("Thing")) == 9


def test_a_released_view_costs_nothing_and_may_be_released_again() -> None:
    log = Log(THING)
    view = log.state.pin()
    view.release()
    view.release()
    log.do(SchemaSet(type_of("Thing", field("Other"))))
    assert not view._kept


def test_only_what_changes_is_copied() -> None:
    log = Log(THING)
    ids = [log.create("Thing", f"n{place}") for place in range(20)]
    view = log.state.pin()
    log.set(ids[3], "Age", 7)
    log.set(ids[3], "Age", 8)
    assert list(view._kept) == [ids[3]]
    assert view.entities[ids[4]] is log.state.entities[ids[4]]


def test_reading_a_view_in_pieces_gives_one_moment() -> None:
    log = Log(THING)
    for place in range(600):
        log.create("Thing", f"n{place}", Age=place)
    view, text = log.state.pin(), b"".join(export(log.state))
    work, found = export(view), b""
    for place, piece in enumerate(work):
        found += piece
        log.delete(log.children(1)[0])
        log.create("Thing", f"later{place}")
    assert found == text
