"""Indexes: when a search has one, and that it says what a look at every entity says, whatever has happened."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qcore.model.errors import BadFilter, NotFound, RequestError
from qcore.model.requests.commands import Create, Delete, SchemaSet, SetFields
from qcore.model.requests.compound import Transaction
from qcore.model.requests.queries import Count, Find
from qcore.model.requests.results import Page
from qcore.model.values import Kind
from qcore.store.apply import apply_entry
from qcore.store.search import find as search
from qcore.store.search.filter import Filter, FilterError, bind, parse
from qcore.store.search.find import candidates
from qcore.store.state import indexes
from qcore.store.state.entity import Entity
from qcore.store.state.indexes import Hits, Index
from qcore.store.state.state import State
from tests.store.document_samples import restored, taken
from tests.store.samples import Log, busy_log, field, full_digest, some_command, through, type_of

THING = type_of(
    "Thing",
    field("Count"),
    field("Text", Kind.String, "none"),
    field("Boss", Kind.EntityReference),
    field("Parts", Kind.EntityList),
    field("Flag", Kind.Bool),
)
MANY = 2_500


def bound(state: State, text: str, type_name: str = "Thing", exact: bool = False) -> Filter:
    types = candidates(state, Find(type_name, exact=exact))
    return bind(parse(text), [state.types.of(name) for name in types])


def finding(state: State, text: str, type_name: str = "Thing", **kwargs: Any) -> Generator[None, None, Page]:
    query = Find(type_name, filter=text, limit=10_000, **kwargs)
    return search.find(state, query, 10_000, bound(state, text, type_name))


def found(state: State, text: str, type_name: str = "Thing") -> list[int]:
    return [item.id for item in through(finding(state, text, type_name)).items]


def scanned(state: State, text: str, type_name: str = "Thing") -> list[int]:
    """Who matches, by asking everyone."""
    filter = bound(state, text, type_name)
    of_type = [entity for _, entity in sorted(state.entities.items()) if type_name in entity.schema.ancestors]
    return [entity.id for entity in of_type if matches(filter, state, entity)]


def matches(filter: Filter, state: State, entity: Entity) -> bool:
    try:
        return filter.matches(state, entity)
    except FilterError:
        return False


def hits_of(state: State, text: str, type_name: str = "Thing") -> Iterator[Hits]:
    """What the indexes say, if anything."""
    schema = state.types.complete[type_name]
    hits = through(state.indexes.find(schema, bound(state, text, type_name).equality(schema)))
    if hits is not None:
        yield hits


def pauses(work: Generator[None, None, Any]) -> int:
    """A scan of many pauses often, a search by index does not."""
    return sum(1 for _ in work)


@pytest.fixture
def log() -> Log:
    log = Log(THING, type_of("Other"), type_of("Heir", field("Extra"), inherits=["Thing"]))
    for number in range(MANY):
        values: dict[str, Any] = {} if number % 5 == 0 else {"Text": f"t{number}"}
        log.create("Thing", f"n{number % 500}", 1, Count=number // 2, **values)
    return log


# -- when there is an index --------------------------------------------------------------------------------


def test_the_second_search_builds_an_index_and_the_third_has_it(log: Log) -> None:
    first, second, third = (pauses(finding(log.state, "Text == 't7'")) for _ in range(3))
    assert (first, third) == (5, 0)
    assert second >= 5


def test_another_constant_and_a_longer_filter_have_the_same_index(log: Log) -> None:
    for text in ("Text == 'a'", "Count > 3 && 'b' == Text"):
        found(log.state, text)
    work = finding(log.state, "Text == 't8' && Count == 4 && Name != 'x'", fields=["Count"])
    assert pauses(work) == 0
    assert found(log.state, "Text == 't8' && Count == 4") == [10]


def test_an_index_serves_pages_totals_counts_and_every_order(log: Log) -> None:
    state = log.state
    for _ in range(2):
        found(state, "Name == 'n7'")
    ids = scanned(state, "Name == 'n7'")
    assert len(ids) == 5
    filter = bound(state, "Name == 'n7'")
    first = through(search.find(state, Find("Thing", limit=2, total=True), 10, filter))
    assert ([item.id for item in first.items], first.total) == (ids[:2], 5)
    second = through(search.find(state, Find("Thing", limit=3, cursor=first.cursor), 10, filter))
    assert ([item.id for item in second.items], second.cursor) == (ids[2:], None)
    assert pauses(search.count(state, Count("Thing"), filter)) == 0
    assert through(search.count(state, Count("Thing"), filter)).count == 5
    work = search.find(state, Find("Thing", order_by=["Count:desc"]), 100, filter)
    assert [item.id for item in through(work).items] == ids[::-1]


def test_who_has_never_written_a_field_is_found_by_its_default(log: Log) -> None:
    state = log.state
    for number in range(5 * MANY):
        log.create("Thing", "x", 1, Text=f"more {number}")
    for _ in range(2):
        found(state, "Text == 'none'")
    assert pauses(finding(state, "Text == 'none'")) <= 1
    assert found(state, "Text == 'none'") == [id for id in range(2, MANY + 2) if (id - 2) % 5 == 0]


def test_an_index_that_hits_much_is_not_used(log: Log) -> None:
    counts = [pauses(finding(log.state, "!Flag")) for _ in range(4)]
    assert counts[0] == counts[3] == 5
    assert counts[1] > 5, "it is built, as the rare value would pay"
    assert pauses(finding(log.state, "Flag")) == 0


def test_of_several_terms_the_index_with_the_fewest_hits_is_used(log: Log) -> None:
    state = log.state
    for id in range(2, 302):
        log.set(id, "Flag", True)
    for text in ("Flag", "Text == 't7'"):
        for _ in range(2):
            found(state, text)
    for text in ("Flag && Text == 't7'", "Text == 't7' && Flag"):
        (hits,) = hits_of(state, text)
        assert hits.ids == [9]


def test_of_several_terms_the_one_with_more_values_gets_the_index(log: Log) -> None:
    for _ in range(2):
        assert found(log.state, "!Flag && Text == 't7'") == [9]
    ((schema, slot),) = log.state.indexes.open
    assert schema.slots[slot].name == "Text"


def test_a_few_entities_are_looked_at_without_an_index() -> None:
    log = Log(THING)
    log.create("Thing", "x")
    for _ in range(3):
        assert found(log.state, "Name == 'x'") == [2]
    assert not log.state.indexes.open


def test_references_and_list_elements_are_found_by_whom_they_name(log: Log) -> None:
    state = log.state
    log.set(5, "Boss", 3)
    log.set(6, "Parts", [3, 4])
    log.set(7, "Parts", [4, 3, 2])
    log.set(7, "Boss", 4)
    for _ in range(2):
        found(state, "Boss == 3")
        found(state, "3 in Parts")
    for text, ids in (
        ("Boss == 3", [5]),
        ("Boss == 4", [7]),
        ("Boss == 5", []),
        ("3 in Parts", [6, 7]),
        ("2 in Parts", [7]),
        ("4.0 in Parts && 2u in Parts", [7]),
    ):
        assert pauses(finding(state, text)) == 0
        assert found(state, text) == ids


def test_a_reference_to_what_is_gone_is_no_match_though_an_index_holds_it(log: Log) -> None:
    state = log.state
    log.set(5, "Boss", 3)
    log.set(6, "Parts", [3])
    for _ in range(2):
        found(state, "Boss == 3")
        found(state, "3 in Parts")
    log.delete(3)
    assert found(state, "Boss == 3") == []
    assert found(state, "3 in Parts") == [6] == scanned(state, "3 in Parts")


def test_the_tree_is_an_index_from_the_first_search_on(log: Log) -> None:
    state = log.state
    other = log.create("Other", "below", 3)
    ids = [log.create("Thing", "below", 3) for _ in range(3)]
    log.set(4, "Parent", 3)
    for text, expected in (
        ("Parent == 3", [4, *ids]),
        (f"{ids[1]} in Children", [3]),
        (f"{other} in Children", [3]),
        ("1 in Children", []),
        ("3 in Children", []),
        ("Parent == 99999", []),
        ("99999 in Children", []),
    ):
        assert pauses(finding(state, text)) == 0
        assert found(state, text) == expected == scanned(state, text)
    assert pauses(finding(state, "Parent == 1")) == 5, "nearly everyone: a scan is better"


def test_a_type_without_the_field_is_passed_over_from_the_second_search_on(log: Log) -> None:
    state = log.state
    heirs = [log.create("Heir", "x", 1, Extra=number) for number in range(5)]
    first, *later = (through(finding(state, "Extra == 3")) for _ in range(3))
    assert [item.id for item in first.items] == [heirs[3]]
    assert first.errors == MANY
    for page in later:
        assert [item.id for item in page.items] == [heirs[3]]
        assert page.errors == 0
    assert pauses(finding(state, "Extra == 4")) == 0


def test_an_error_where_the_term_is_true_is_counted_with_and_without_an_index(log: Log) -> None:
    pages = [through(finding(log.state, "Text == 't7' && 1 / (Count - 3) == 1")) for _ in range(3)]
    assert [page.errors for page in pages] == [1, 1, 1], "where Text is another, && is false whatever follows"


def test_a_field_that_an_heir_gives_another_kind_is_no_match_there(log: Log) -> None:
    log.do(SchemaSet(type_of("Heir", field("Text"), inherits=["Thing"])))
    log.create("Heir", "x", 1)
    pages = [through(finding(log.state, "Text == 't7' && Text.startsWith('t')")) for _ in range(3)]
    assert [[item.id for item in page.items] for page in pages] == [[9]] * 3


def test_the_least_recently_used_index_goes(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "_MOST", 2)
    state = log.state
    for text in ("Text == 'a'", "Name == 'a'", "Text == 'a'", "Count == 9999", "Text == 'a'"):
        for _ in range(2):
            found(state, text)
    assert pauses(finding(state, "Text == 'a'")) == 0
    assert pauses(finding(state, "Count == 9999")) == 0
    assert pauses(finding(state, "Name == 'a'")) == 5
    assert pauses(finding(state, "Name == 'a'")) > 5


def test_a_new_schema_means_a_new_index(log: Log) -> None:
    state = log.state
    for _ in range(2):
        found(state, "Text == 't7'")
    log.do(SchemaSet(type_of("Thing", *THING.fields[:1], field("Text", Kind.String, "t7"))))
    assert found(state, "Text == 't7'") == scanned(state, "Text == 't7'")
    assert len(found(state, "Text == 't7'")) == MANY // 5 + 1
    assert len(state.indexes.open) == 1, "the old one holds memory for nothing"


# -- while it is built -------------------------------------------------------------------------------------


def test_what_happens_in_the_pauses_of_building_is_not_missed(log: Log) -> None:
    state = log.state
    found(state, "Text == 'wanted'")
    work = finding(state, "Text == 'wanted'")
    next(work)
    next(work)
    log.set(3, "Text", "wanted")
    log.set(MANY, "Text", "wanted")
    new = log.create("Thing", "new", 1, Text="wanted")
    log.delete(4)
    assert [item.id for item in through(work).items] == [3, MANY, new]
    assert pauses(finding(state, "Text == 'wanted'")) == 0


def test_two_searches_build_one_index_together(log: Log) -> None:
    state = log.state
    found(state, "Text == 't7' && Name == 'n7'")
    alone = pauses(finding(state, "Name == 'n7'"))
    one, other = finding(state, "Text == 't7'"), finding(state, "Text == 't8'")
    steps = 0
    while next(one, "done") is None:
        next(other)
        steps += 2
    assert steps <= alone + 2
    assert pauses(finding(state, "Text == 't9'")) == 0


def test_a_search_that_was_given_up_leaves_its_part_to_the_next(log: Log) -> None:
    state = log.state
    found(state, "Text == 't7' && Name == 'n7'")
    alone = pauses(finding(state, "Name == 'n7'"))
    work = finding(state, "Text == 't7'")
    for _ in range(alone - 2):
        next(work)
    work.close()
    assert 0 < pauses(finding(state, "Text == 't7'")) <= 3


def test_an_index_put_away_while_it_is_built_is_not_asked(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "_MOST", 1)
    state = log.state
    for text in ("Text == 'wanted'", "Name == 'a'"):
        found(state, text)
    work = finding(state, "Text == 'wanted'")
    next(work)
    found(state, "Name == 'a'")
    log.set(3, "Text", "wanted")
    assert [item.id for item in through(work).items] == [3]


def test_a_type_that_changes_while_its_index_is_built_is_scanned(log: Log) -> None:
    state = log.state
    found(state, "Count == 1000")
    work = finding(state, "Count == 1000")
    next(work)
    log.do(SchemaSet(type_of("Thing", field("A"), field("Count"))))
    assert [item.id for item in through(work).items] == [2002, 2003]


def test_what_comes_behind_an_index_that_was_asked_already_is_looked_at(log: Log) -> None:
    """Heir has said who it is, Thing is still building; the page must not get ahead of what is new of both."""
    state = log.state
    for _ in range(1_000):
        log.create("Heir", "x", 1)
    found(state, "Text == 'wanted'")
    work = finding(state, "Text == 'wanted'")
    while len(state.indexes.open) < 2:
        next(work)
    new = [log.create(name, "new", 1, Text="wanted") for name in ("Thing", "Heir", "Thing")]
    assert [item.id for item in through(work).items] == new
    assert found(state, "Text == 'wanted'") == new


def test_an_entity_above_the_mark_is_not_said_twice(log: Log) -> None:
    state = log.state
    for _ in range(2):
        found(state, "Text == 'wanted'")
    (index,) = state.indexes.open.values()
    new = log.create("Thing", "new", 1, Text="wanted")
    log.set(new, "Text", "other")
    log.set(new, "Text", "wanted")
    assert index.covered < new
    assert index.count("wanted") == 0
    state.begin()
    state.unlink(state.entities[new])
    state.remove(state.entities[new])
    state.rollback()
    assert index.count("wanted") == 0
    assert found(state, "Text == 'wanted'") == [new]
    assert index.count("wanted") == 1


def test_large_lists_are_indexed_in_short_slices() -> None:
    log = Log(THING)
    ids = [log.create("Thing", "x") for _ in range(600)]
    for id in ids[:4]:
        log.set(id, "Parts", ids)
    list(hits_of(log.state, "5 in Parts"))
    schema = log.state.types.complete["Thing"]
    terms = bound(log.state, "5 in Parts").equality(schema)
    assert pauses(log.state.indexes.find(schema, terms)) >= 4


# -- whatever happens --------------------------------------------------------------------------------------

TEXTS = [
    "Size == 3",
    "Size == 1",
    "Label == 'ß€\U0001f600'",
    "Label == ''",
    "Color == 'Grün'",
    "Color == 0",
    "Weight == 0.0",
    "Name == 'n1'",
    "Serial == b''",
    *(f"{id} in All" for id in (1, 3, 5)),
    *(f"Next == {id}" for id in (2, 4)),
    "Parent == 1",
    "Parent == 3",
    "4 in Children",
    "Size == 3 && Name == 'n2' && Label == ''",
]
TYPES = ["Object", "Part", "Device"]


class Searching:
    """A search under way: who has matched all the while since it began."""

    def __init__(self, state: State, type_name: str, text: str) -> None:
        self.work = finding(state, text, type_name)
        self.text, self.type_name = text, type_name
        self.always = set(scanned(state, text, type_name))

    def watch(self, state: State) -> None:
        try:
            self.always &= set(scanned(state, self.text, self.type_name))
        except RequestError:  # the field or type is gone; what was bound goes on without
            self.always.clear()


class Machine(RuleBasedStateMachine):
    """Anything may happen between the slices of searches that keep few indexes busy."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module, name, value in (
            (search, "_WORTH", 1),
            (search, "_SLICE", 3),
            (indexes, "_SLICE", 2),
            (indexes, "_SHARE", 0),
            (indexes, "_MOST", 3),
        ):
            self.patch.setattr(module, name, value)
        self.searches: list[Searching] = []

    def teardown(self) -> None:
        self.patch.undo()

    @initialize(seed=st.integers(0, 2**32), entries=st.integers(0, 30))
    def begin(self, seed: int, entries: int) -> None:
        self.log = busy_log(seed, entries)
        self.state = self.log.state

    @rule(seed=st.integers(0, 2**32), count=st.integers(1, 4))
    def commands(self, seed: int, count: int) -> None:
        chance = random.Random(seed)
        self.log.entry(*(some_command(chance, self.state) for _ in range(count)))
        self.watch()

    @rule(seed=st.integers(0, 2**32), undone=st.booleans())
    def writes(self, seed: int, undone: bool) -> None:
        """To what is there, and to what the indexes have not come to yet."""
        chance = random.Random(seed)
        ids = list(self.state.entities)
        values = {"Size": 3, "Label": "ß€\U0001f600", "Color": "Grün", "Name": "n1", "All": [1, 3], "Next": 2}
        steps: list[Any] = []
        for _ in range(chance.randint(1, 4)):
            names = chance.sample(sorted(values), chance.randint(1, 3))
            type_name = chance.choice(["Part", "Device"])
            known = {name: values[name] for name in names if self.has(type_name, name) and name != "Name"}
            some: list[Any] = [*ids[-5:], "$1"]
            steps.append(Create(type_name, "n2", 1, known))
            steps.append(SetFields(chance.choice(some), names[0], values[names[0]]))
            steps.append(Delete(chance.choice(some)))
        self.log.entry(*steps, Transaction([*steps, Delete(1)] if undone else steps[:-1]))
        self.watch()

    def has(self, type_name: str, name: str) -> bool:
        schema = self.state.types.complete.get(type_name)
        return schema is not None and name in schema.by_name

    @rule(seed=st.integers(0, 2**32), count=st.integers(1, 5), fails=st.booleans(), data=st.data())
    def transaction(self, seed: int, count: int, fails: bool, data: st.DataObject) -> None:
        """With searches between its steps, which see and index what may be taken back."""
        chance = random.Random(seed)
        steps: list[Any] = [some_command(chance, self.state) for _ in range(count)]
        for place in data.draw(st.lists(st.integers(0, count), max_size=6)):
            steps.insert(place, Count(chance.choice(TYPES), filter=chance.choice(TEXTS)))
        command = Transaction([*steps, Delete(1)] if fails else steps)
        for outcome in apply_entry(self.state, self.log.next(command), self.counted):
            assert not fails or outcome.error is not None
        self.watch()

    def counted(self, step: Count) -> int:
        assert step.filter is not None
        filter = bound(self.state, step.filter, step.type)
        number = through(search.count(self.state, step, filter)).count
        assert number == len(scanned(self.state, step.filter, step.type))
        return number

    @rule(seed=st.integers(0, 2**32), prune=st.booleans(), undone=st.booleans())
    def restore(self, seed: int, prune: bool, undone: bool) -> None:
        def then() -> None:
            for text in TEXTS[:4]:
                self.search_now("Object", text)
            if undone:
                raise BadFilter("undone")

        with suppress(RequestError):
            restored(self.state, taken(busy_log(seed, 12).state, runtime=True), prune=prune, then=then)
        self.watch()

    @rule(type_name=st.sampled_from(TYPES), text=st.sampled_from(TEXTS))
    def search_now(self, type_name: str, text: str) -> None:
        try:
            expected = scanned(self.state, text, type_name)
        except RequestError:
            return
        for _ in range(3):
            assert found(self.state, text, type_name) == expected

    @rule(type_name=st.sampled_from(TYPES), text=st.sampled_from(TEXTS))
    def search_begins(self, type_name: str, text: str) -> None:
        with suppress(RequestError):
            self.searches.append(Searching(self.state, type_name, text))

    @precondition(lambda self: self.searches)
    @rule(data=st.data(), steps=st.integers(1, 6))
    def search_goes_on(self, data: st.DataObject, steps: int) -> None:
        place = data.draw(st.integers(0, len(self.searches) - 1))
        one = self.searches[place]
        for _ in range(steps):
            try:
                next(one.work)
            except StopIteration as done:
                ids = [item.id for item in done.value.items]
                assert ids == sorted(set(ids))
                assert one.always <= set(ids)
                del self.searches[place]
                return
            except NotFound:  # the type went before the first step
                del self.searches[place]
                return

    def watch(self) -> None:
        for one in self.searches:
            one.watch(self.state)

    @invariant()
    def every_index_holds_what_is_there(self) -> None:
        state = self.state
        assert state.digest() == full_digest(state)
        for (schema, slot), index in state.indexes.open.items():
            if state.types.complete.get(schema.type) is schema:
                fresh = Index(schema, schema.slots[slot])
                for entity in state.entities.values():
                    if entity.type == schema.type and entity.id <= index.covered:
                        fresh.insert(entity)
                assert index._shards == fresh._shards


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    derandomize=True,  # as in test_machine
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def test_a_restore_that_keeps_ids_is_indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_WORTH", 1)
    monkeypatch.setattr(indexes, "_SHARE", 0)
    other = busy_log(5, 60)
    state = State()
    for _ in range(2):
        assert found(state, "Name == 'n1'", "Object") == []
    restored(state, taken(other.state, runtime=True))
    assert sorted(state.entities) == sorted(other.state.entities)
    for _ in range(3):
        assert found(state, "Name == 'n1'", "Object") == scanned(other.state, "Name == 'n1'", "Object") != []


def test_an_id_that_was_taken_back_may_be_given_to_another_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_WORTH", 1)
    monkeypatch.setattr(indexes, "_SHARE", 0)
    log = Log(THING, type_of("Other"))
    log.create("Thing", "a")
    for _ in range(2):
        found(log.state, "Name == 'b'")
    filter = bound(log.state, "Name == 'b'")
    steps: list[Any] = [Create("Other", "b", 1), Create("Thing", "b", 1), Count("Thing", filter="..."), Delete(1)]
    (outcome,) = apply_entry(
        log.state, log.next(Transaction(steps)), lambda step: through(search.count(log.state, step, filter))
    )
    assert outcome.error is not None
    ids = [log.create("Thing", "b") for _ in range(2)]
    assert found(log.state, "Name == 'b'") == ids
