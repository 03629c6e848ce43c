from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qcore.model.requests.commands import SchemaSet
from qcore.store.state.entity import CHILDREN, Entity
from qcore.store.watch.history import History
from qcore.store.watch.past import Past
from tests.store.samples import PART, Log, any_command, field, type_of, typed


def shown(entity: Entity) -> Any:
    """All of an entity but its children, which a view does not take back."""
    values = [typed(value) for slot, value in enumerate(entity.values) if slot != CHILDREN]
    return entity.type, values, list(entity.stamps)


def everything(log: Log) -> dict[int, Any]:
    return {id: shown(entity) for id, entity in log.state.entities.items()}


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_every_revision_is_seen_as_it_was(seed: int, entries: int) -> None:
    chance = random.Random(seed)
    log = Log(PART, type_of("Device", field("Serial"), inherits=["Part"]))
    history = History(log.state, 100_000, 1 << 30)
    view = Past(log.state, history, log.state.revision)
    types, moments = log.state.types, {log.state.revision: everything(log)}
    for _ in range(entries):
        log.entry(any_command(chance, log.state))
        if log.state.types is not types:  # no view is exact behind a change of schemas
            types, moments = log.state.types, {}
        moments[log.state.revision] = everything(log)
        view.revision = chance.choice(list(moments))
        check(view, moments[view.revision], log.state.next_id)
    for view.revision, moment in moments.items():
        check(view, moment, log.state.next_id)


def check(view: Past, moment: dict[int, Any], next_id: int) -> None:
    for id in range(next_id + 1):
        entity = view.entities.get(id)
        assert (id in view.entities) == (id in moment)
        assert (None if entity is None else shown(entity)) == moment.get(id)


def test_at_the_head_the_entities_themselves_are_seen() -> None:
    log = Log(PART)
    history = History(log.state, 1000, 1 << 20)
    id = log.create("Part", "x")
    view = Past(log.state, history, log.state.revision)
    assert view.entities is log.state.entities
    assert view.entities.get(id) is log.state.entities[id]
    assert None not in view.entities


def test_a_label_that_is_no_more_reads_as_unset() -> None:
    log = Log(PART)
    history = History(log.state, 1000, 1 << 20)
    id = log.create("Part", "x", Color="Blue")
    view = Past(log.state, history, log.state.revision)
    log.set(id, "Color", "Red")
    log.do(SchemaSet(type_of("Part", field("Color", PART.fields[3].data_type, choices=["Red"]))))
    entity = view.entities.get(id)
    assert entity is not None
    assert entity.read(entity.schema.field("Color").slot) == "Red"
