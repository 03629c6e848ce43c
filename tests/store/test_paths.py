"""Paths of entities: they lead back to them, whatever the names, the twins and the order of asking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.requests.commands import Create
from qcore.store import paths
from qcore.store.paths import Paths
from qcore.store.resolve import entity_at
from tests.store.document_samples import Watched, stores
from tests.store.samples import Log, type_of


def test_a_path_names_every_entity_from_the_top() -> None:
    log = Log(type_of("T"))
    a = log.create("T", "a")
    b = log.create("T", "b/#\\", a)
    alone = log.create("T", "alone", None)
    found = Paths(log.state)
    assert [found.of(id) for id in (1, a, b, alone)] == ["/Root", "/Root/a", "/Root/a/b\\/\\#\\\\", "/alone"]


def test_twins_are_numbered_among_siblings_in_their_order() -> None:
    log = Log(type_of("T"), type_of("U"))
    first, other, second, third = (
        log.create(name, text) for name, text in [("T", "a"), ("T", "b"), ("U", "a"), ("T", "a")]
    )
    below = log.create("T", "a", third)
    log.set(1, "Children", [third, first, second, other])
    found = Paths(log.state)
    assert [found.of(id) for id in (third, first, second, other)] == ["/Root/a", "/Root/a#2", "/Root/a#3", "/Root/b"]
    assert found.of(below) == "/Root/a/a"
    twin = log.create("T", "Root", None)
    assert Paths(log.state).of(twin) == "/Root#2"


@given(stores(), st.randoms(use_true_random=False))
def test_every_path_leads_back_to_its_entity_whatever_is_asked_first(log: Log, chance: object) -> None:
    ids = list(log.state.entities)
    chance.shuffle(ids)  # type: ignore[attr-defined]
    found = Paths(log.state)
    texts = {id: found.of(id) for id in ids}
    assert {id: entity_at(log.state, text).id for id, text in texts.items()} == {id: id for id in ids}
    assert {id: found.of(id) for id in ids} == texts


@given(stores())
def test_what_is_prepared_is_what_is_found_without(log: Log) -> None:
    found = Paths(log.state)
    for id in log.state.entities:
        for _ in found.prepare(id):
            pass
        assert found.ready(id)
        assert found.of(id) == Paths(log.state).of(id)


def test_only_so_many_paths_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_MOST", 3)
    log = Log(type_of("T"))
    ids = [log.create("T", f"n{number}") for number in range(10)]
    below = [log.create("T", "a", log.create("T", "a", id)) for id in ids]
    found = Paths(log.state)
    for _ in range(2):
        assert [found.of(id) for id in below] == [f"/Root/n{number}/a/a" for number in range(10)]


def test_an_entity_at_any_depth_has_a_path() -> None:
    log = Log(type_of("T"))
    parent = 1
    for _ in range(3000):
        parent = log.do(Create("T", "a", parent, max_depth=10_000)).id
    assert Paths(log.state).of(parent) == "/Root" + "/a" * 3000


def test_counting_many_siblings_pauses() -> None:
    log = Log(type_of("T"))
    for number in range(5500):
        log.create("T", f"n{number % 1000}")
    last = log.create("T", "a", log.children(1)[-1])
    view = Watched(log.state)
    found = Paths(view)
    assert not found.ready(last)
    assert view.most_between(found.prepare(last)) < 1100
    assert found.ready(last)
    assert view.most_between(iter([found.of(last)])) < 10
    assert found.of(last) == "/Root/n499#6/a"


def test_an_entity_beside_others_that_were_counted_is_prepared_up_to_them() -> None:
    log = Log(type_of("T"))
    a, b = log.create("T", "a"), log.create("T", "b")
    below = [log.create("T", "x", a), log.create("T", "x", b)]
    found = Paths(log.state)
    for id in below:
        assert not found.ready(id)
        assert list(found.prepare(id)) == []
        assert found.ready(id)
    assert [found.of(id) for id in below] == ["/Root/a/x", "/Root/b/x"]


def test_what_does_not_exist_needs_no_preparation() -> None:
    log = Log(type_of("T"))
    gone = log.create("T", "a")
    log.delete(gone)
    assert Paths(log.state).ready(gone)
    assert Paths(log.state).ready(0)
