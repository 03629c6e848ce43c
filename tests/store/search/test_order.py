"""Searches in the order of fields: what stands before what, pages by cursor, and what is refused."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qcore.model.errors import BadParams, NotFound, RequestError, TooLarge, WrongKind
from qcore.model.requests.commands import SchemaSet
from qcore.model.requests.queries import Find
from qcore.model.requests.results import Page
from qcore.model.values import Kind
from qcore.store.resolve import reach
from qcore.store.search import find as search
from qcore.store.search import order
from qcore.store.search.filter import Filter, bind, parse
from qcore.store.search.order import MAX_FIELDS, MAX_TEXT, Least
from qcore.store.search.pages import write_cursor
from qcore.store.state import indexes
from tests.store.samples import Log, field, through, type_of

THING = type_of(
    "Thing",
    field("Count"),
    field("Ratio", Kind.Float),
    field("Text", Kind.String),
    field("Data", Kind.Blob),
    field("Flag", Kind.Bool),
    field("Mood", Kind.Choice, choices=["Zen", "Calm", "Angry"]),
    field("When", Kind.Timestamp),
    field("Boss", Kind.EntityReference),
    field("Parts", Kind.EntityList),
)


@pytest.fixture
def log() -> Log:
    return Log(THING)


def things(log: Log, field_name: str, *values: Any) -> list[int]:
    """One entity for each value; None leaves the field as it is."""
    return [log.create("Thing", "x", 1, **({} if value is None else {field_name: value})) for value in values]


def ordered(log: Log, *order_by: str, type_name: str = "Thing", **kwargs: Any) -> list[int]:
    return [item.id for item in log.find(type_name, order_by=list(order_by), limit=10_000, **kwargs).items]


# -- what stands before what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Count", [-(2**63), -1, 0, 2, 10, 2**53, 2**53 + 1, 2**63 - 1]),
        ("Ratio", [-1e300, -1.5, -5e-324, 0.0, 5e-324, 0.1, 2.0, 1e308]),
        ("Text", ["", "\x00", "A", "B", "a", "a\x00", "aa", "b", "z", "é", "ﬀ", "\U0001f600"]),
        ("Data", ["", "AA==", "AAA=", "AAE=", "AQ==", "YQ==", "/w==", "//8="]),
        ("Flag", [False, True]),
        ("Mood", ["Zen", "Calm", "Angry"]),
        ("When", ["1677-09-21T00:12:43.145224192Z", "1969-12-31T23:59:59Z", 0, 1, 2, "2024-01-01T00:00:00Z"]),
    ],
)
def test_values_of_each_kind_have_an_order(log: Log, name: str, values: list[Any]) -> None:
    chance = random.Random(3)
    places = list(range(len(values)))
    chance.shuffle(places)
    ids = dict(zip(places, things(log, name, *(values[place] for place in places)), strict=True))
    upwards = [ids[place] for place in range(len(values))]
    assert ordered(log, name) == upwards
    assert ordered(log, f"{name}:desc") == upwards[::-1]


def test_an_unset_field_stands_where_its_default_does(log: Log) -> None:
    log.do(SchemaSet(type_of("Thing", field("Count", default=5))))
    assert ordered(log, "Count") == []
    ids = things(log, "Count", 6, None, 4, 5)
    assert ordered(log, "Count") == [ids[2], ids[1], ids[3], ids[0]]


def test_references_are_by_id_and_what_is_null_or_missing_comes_first_in_both_directions(log: Log) -> None:
    low, high, gone = (log.create("Thing", name) for name in ("low", "high", "gone"))
    a, b, c, d = things(log, "Boss", high, low, gone, None)
    log.delete(gone)
    nobody = [low, high, c, d]
    assert ordered(log, "Boss") == [*nobody, b, a]
    assert ordered(log, "Boss:desc") == [*nobody, a, b]


def test_what_a_path_does_not_lead_to_comes_first_in_both_directions(log: Log) -> None:
    log.do(SchemaSet(type_of("Heir", field("Extra"), inherits=["Thing"])))
    boss, heir = log.create("Thing", "boss", 1, Count=3), log.create("Heir", "heir", 1, Count=7, Extra=1)
    a, b, c = things(log, "Boss", boss, heir, None)
    for path, upwards in (
        ("Boss->Count", [boss, heir, c, a, b]),
        ("Boss->Extra", [boss, heir, a, c, b]),
        ("Boss->Boss->Count", [boss, heir, a, b, c]),
    ):
        known = upwards[-2:] if path == "Boss->Count" else upwards[-1:] if path == "Boss->Extra" else []
        nobody = upwards[: len(upwards) - len(known)]
        assert ordered(log, path) == nobody + known
        assert ordered(log, f"{path}:desc") == nobody + known[::-1]


def test_elements_of_lists_are_references(log: Log) -> None:
    one, two = log.create("Thing", "one", 1, Count=9), log.create("Thing", "two", 1, Count=8)
    a, b, c = things(log, "Parts", [one], [two, one], None)
    assert ordered(log, "Parts->0") == [one, two, c, a, b]
    assert ordered(log, "Parts->0->Count") == [one, two, c, b, a]
    assert ordered(log, "Parts->1->Name") == [one, two, a, c, b]
    log.delete(one)
    assert ordered(log, "Parts->0") == [two, a, c, b]


def test_ties_are_broken_by_the_next_field_and_last_by_id_upwards(log: Log) -> None:
    rows = [(2, "b"), (1, "b"), (2, "a"), (1, "b"), (1, "a")]
    a, b, c, d, e = (log.create("Thing", "x", 1, Count=count, Text=text) for count, text in rows)
    assert ordered(log, "Count") == [b, d, e, a, c]
    assert ordered(log, "Count:desc") == [a, c, b, d, e]
    assert ordered(log, "Count", "Text") == [e, b, d, c, a]
    assert ordered(log, "Text:desc", "Count") == [b, d, a, e, c]


def test_zero_has_no_sign(log: Log) -> None:
    ids = things(log, "Ratio", 0.0, -0.0, 0.0, -0.0)
    for order_by in ("Ratio", "Ratio:desc"):
        assert ordered(log, order_by) == ids
        first = log.find("Thing", order_by=[order_by], limit=2)
        assert [item.id for item in log.find("Thing", order_by=[order_by], cursor=first.cursor).items] == ids[2:]


def test_kinds_that_cannot_be_compared_stand_apart_and_numbers_together(log: Log) -> None:
    kinds: list[tuple[Kind, Any]] = [
        (Kind.Blob, "AA=="),
        (Kind.Bool, True),
        (Kind.Choice, "Only"),
        (Kind.EntityReference, 1),
        (Kind.Float, 2.5),
        (Kind.Int, 3),
        (Kind.String, "a"),
        (Kind.Timestamp, 1),
        (Kind.EntityList, [1]),
    ]
    ids = {}
    log.do(SchemaSet(type_of("Base")))
    for kind, value in reversed(kinds):
        choices = ["Only"] if kind is Kind.Choice else []
        log.do(SchemaSet(type_of(f"Has{kind}", field("Any", kind, choices=choices), inherits=["Base"])))
        ids[kind] = log.create(f"Has{kind}", "x", 1, Any=value)
    low = log.create("HasFloat", "x", 1, Any=3.5)
    upwards = [ids[kind] for kind, _ in kinds[:6]] + [low] + [ids[kind] for kind, _ in kinds[6:8]]
    assert ordered(log, "Any", type_name="Base") == [ids[Kind.EntityList], *upwards]
    assert ordered(log, "Any:desc", type_name="Base") == [ids[Kind.EntityList], *upwards[::-1]]


def test_labels_go_by_their_place_whatever_they_are_called(log: Log) -> None:
    log.do(SchemaSet(type_of("Heir", field("Mood", Kind.Choice, choices=["Angry", "Zen"]), inherits=["Thing"])))
    a, b = things(log, "Mood", "Angry", "Zen")
    c = log.create("Heir", "x", 1, Mood="Zen")
    assert ordered(log, "Mood") == [b, c, a]


def test_long_texts_go_by_their_beginning(log: Log) -> None:
    long = "x" * MAX_TEXT
    ids = things(log, "Text", f"{long}b", f"{long}a", long, long[1:])
    assert ordered(log, "Text") == [ids[3], *ids[:3]]
    assert ordered(log, "Text:desc") == [*ids[:3], ids[3]]


TEXT = st.text(st.characters() | st.sampled_from("\x00\x7f\uffff\U0010ffff"), max_size=5)
BYTES = st.binary(max_size=4)


@given(st.lists(TEXT, max_size=8) | st.lists(BYTES, max_size=8))
@example(["", "\x00", "\x00\x00", "a", "a\x00", "ab", "\U0010ffff", "\uffff", "\ue000"])
@example([b"", b"\x00", b"\xff", b"\xff\x00", b"\xff\xff"])
def test_the_mirrored_form_of_a_text_is_the_order_backwards(texts: list[Any]) -> None:
    assert sorted(texts, key=order._downwards) == sorted(texts, reverse=True)


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order_by", "error", "words"),
    [
        (["Nothing"], NotFound, "order_by 'Nothing': unknown field 'Nothing'; no type asked has it"),
        (["Count", "Sizee:desc"], NotFound, "order_by 'Sizee:desc': unknown field 'Sizee'"),
        (["Boss->Nothing"], NotFound, "unknown field 'Nothing'; no type has it"),
        (["Motto"], NotFound, "no type asked has it"),
        (["Parts"], WrongKind, "order_by 'Parts': Parts is an EntityList, which has no order"),
        (["Boss->Children:desc"], WrongKind, "Children is an EntityList"),
        (["Count->Name"], WrongKind, "Count is Int, no reference"),
        (["Parts->Name"], WrongKind, "Parts is EntityList, no reference"),
        (["Boss->0"], NotFound, "unknown field '0'"),
        (["Parts->0->1"], NotFound, "unknown field '1'"),
        (["Count:asc"], BadParams, "after a field stands :desc or nothing, given 'asc'"),
        (["Count:"], BadParams, "given ''"),
        (["Count:desc:desc"], BadParams, "given 'desc:desc'"),
        (["Count: desc"], BadParams, "given ' desc'"),
        (["count"], NotFound, "unknown field 'count'"),
        ([""], BadParams, "empty hop"),
        (["Boss->"], BadParams, "empty hop"),
        ([":desc"], BadParams, "empty hop"),
        (["Count"] * (MAX_FIELDS + 1), TooLarge, f"at most {MAX_FIELDS} fields, {MAX_FIELDS + 1} given"),
        (["Count"] * 10_000, TooLarge, "10000 given"),
        (["->".join(["Boss"] * 257)], TooLarge, "at most 256 hops, 257 given"),
        (["x" * 16_000_000], TooLarge, "a field's name has at most 255 characters"),
        (["->".join(["Boss"] * 4_000_000)], TooLarge, "at most 10000 fields, 4000000 given"),
    ],
    ids=range(23),
)
def test_what_cannot_be_an_order_is_refused(
    log: Log, order_by: list[str], error: type[RequestError], words: str
) -> None:
    log.do(SchemaSet(type_of("Other", field("Motto", Kind.String))))
    with pytest.raises(error) as caught:
        log.find("Thing", order_by=order_by)
    assert words in caught.value.message
    assert len(caught.value.message) <= 1_000


def test_as_many_fields_as_there_may_be_and_as_many_hops_are_answered(log: Log) -> None:
    ids = things(log, "Count", 3, 1, 2)
    for id in ids:
        log.set(id, "Boss", ids[(id - ids[0] + 1) % 3])
    assert ordered(log, *["Count"] * MAX_FIELDS) == [ids[1], ids[2], ids[0]]
    # 255 steps in a circle of three end where they began
    circle = "->".join(["Boss"] * 255 + ["Count"])
    assert ordered(log, *[circle] * MAX_FIELDS) == [ids[1], ids[2], ids[0]]


# -- pages -------------------------------------------------------------------------------------------------


def pages(log: Log, limit: int, *order_by: str, **kwargs: Any) -> list[int]:
    seen: list[int] = []
    cursor = None
    while True:
        page = log.find("Thing", order_by=list(order_by), limit=limit, cursor=cursor, **kwargs)
        seen += [item.id for item in page.items]
        cursor = page.cursor
        if cursor is None:
            return seen
        assert len(page.items) == limit


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_together_are_everything_once_in_order(log: Log, limit: int) -> None:
    for place in range(14):
        log.create("Thing", f"n{place % 4}", 1, Count=place % 3, Ratio=-place / 7, Text="ab"[: place % 3])
    for order_by in (["Count"], ["Text:desc", "Ratio"], ["Name", "Count:desc", "Text"], ["Parent->Name"], ["Boss"]):
        assert pages(log, limit, *order_by) == ordered(log, *order_by)
        assert len(pages(log, limit, *order_by)) == 14


def test_a_full_last_page_has_no_cursor(log: Log) -> None:
    things(log, "Count", 4, 3, 2, 1)
    first = log.find("Thing", order_by=["Count"], limit=2)
    assert first.cursor is not None
    assert log.find("Thing", order_by=["Count"], limit=2, cursor=first.cursor).cursor is None


def test_a_cursor_stands_though_its_entity_is_gone_or_has_moved(log: Log) -> None:
    ids = things(log, "Count", 10, 20, 30, 40)
    first = log.find("Thing", order_by=["Count"], limit=2)
    log.delete(ids[0])
    log.set(ids[1], "Count", 35)
    rest = log.find("Thing", order_by=["Count"], cursor=first.cursor)
    assert [item.id for item in rest.items] == [ids[2], ids[1], ids[3]]


def test_totals_and_fields_are_as_in_any_search(log: Log) -> None:
    things(log, "Count", *range(9))
    page = log.find("Thing", order_by=["Count:desc"], limit=2, total=True, fields=["Count", "Boss->Name"])
    assert page.total == 9
    assert [item.fields["Count"] for item in page.items] == [8, 7]
    again = log.find("Thing", order_by=["Count:desc"], limit=2, total=True, cursor=page.cursor)
    assert again.total == 9
    assert log.find("Thing", order_by=["Count:desc"], limit=2).total is None


def forged(log: Log, cursor: str, *parts: Any) -> str:
    """The cursor with other parts after its mark."""
    body = cursor.removeprefix("c.")
    mark = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))[0]
    return write_cursor([mark, *parts], log.state.epochs)


def test_a_cursor_of_anything_else_is_refused(log: Log) -> None:
    things(log, "Count", 1, 2, 3)
    order_by = ["Count", "Text:desc"]
    cursor = log.find("Thing", order_by=order_by, limit=1).cursor
    by_id = log.find("Thing", limit=1).cursor
    assert cursor is not None
    assert by_id is not None
    others: list[dict[str, Any]] = [
        {"order_by": ["Count", "Text"], "cursor": cursor},
        {"order_by": ["Text:desc", "Count"], "cursor": cursor},
        {"order_by": ["Count"], "cursor": cursor},
        {"cursor": cursor},
        {"order_by": order_by, "cursor": by_id},
    ]
    for kwargs in others:
        with pytest.raises(BadParams, match="is no cursor of such a page"):
            log.find("Thing", **kwargs)
    with pytest.raises(BadParams, match="is no cursor of such a page"):
        log.find("Object", order_by=["Name"], cursor=log.find("Thing", order_by=["Name"], limit=1).cursor)


def test_what_was_never_a_cursor_is_refused(log: Log) -> None:
    things(log, "Count", 1, 2, 3)
    order_by = ["Count", "Text:desc", "Data", "Flag"]
    cursor = log.find("Thing", order_by=order_by, limit=1).cursor
    assert cursor is not None
    good = [5, 1, 2, "QQ==", 1, "QQ==", 2, 1, 7]
    log.find("Thing", order_by=order_by, cursor=forged(log, cursor, *good))
    strange: list[Any] = ["x", "é", None, [], {}, [1], True]
    bads: list[tuple[int, Any]] = [
        *((place, wrong) for place in range(9) for wrong in strange),
        *((place, wrong) for place in (0, 2, 4, 6) for wrong in (-1, 8, 2**70, 1.0)),
        (0, 6),
        (8, 1.5),
        (7, 0.5),
    ]
    for place, wrong in bads:
        bad = [*good[:place], wrong, *good[place + 1 :]]
        with pytest.raises(BadParams, match="is no cursor"):
            log.find("Thing", order_by=order_by, cursor=forged(log, cursor, *bad))
    for token in ("", "c.", "5", "c.W10", "c.WyJhIl0", cursor[:-3], cursor * 2, "c." + "W" * 16_000_000):
        with pytest.raises(BadParams, match="is no cursor"):
            log.find("Thing", order_by=order_by, cursor=token)
    for parts in (good[:-1], [*good, 1], []):
        with pytest.raises(BadParams, match="is no cursor"):
            log.find("Thing", order_by=order_by, cursor=forged(log, cursor, *parts))


@pytest.mark.parametrize("char", ["x", "\x00", "\U0001f600", '"'])
def test_the_largest_cursor_there_can_be_is_one(log: Log, char: str) -> None:
    text, data = char * 2 * MAX_TEXT, base64.b64encode(bytes(2 * MAX_TEXT)).decode()
    ids = [log.create("Thing", "x", 1, Text=text, Data=data) for _ in range(3)]
    for order_by in (["Text"] * MAX_FIELDS, ["Text:desc"] * MAX_FIELDS, ["Data", "Data:desc"] * (MAX_FIELDS // 2)):
        cursor = log.find("Thing", order_by=order_by, limit=1).cursor
        assert [item.id for item in log.find("Thing", order_by=order_by, cursor=cursor).items] == ids[1:]


# -- against a plain model ---------------------------------------------------------------------------------

PATHS = ["Count", "Ratio", "Text", "Data", "Flag", "Mood", "When", "Boss", "Boss->Count", "Boss->Text", "Parts->0"]
PATHS += ["Parts->1->Mood", "Name", "Boss->Boss->Ratio", "Extra", "Boss->Extra"]
VALUES: dict[str, list[Any]] = {
    "Count": [-1, 0, 1, 2**62],
    "Ratio": [-0.0, 0.0, 0.5, -2.5],
    "Text": ["", "a", "a\x00", "ab", "é"],
    "Data": ["", "AA==", "/w=="],
    "Flag": [True, False],
    "Mood": ["Zen", "Calm", "Angry"],
    "When": [0, -5, 10**18],
}


class World:
    """A crowd of two types that changes at random, and the plain order of it."""

    def __init__(self, seed: int, size: int) -> None:
        self.chance = random.Random(seed)
        self.log = Log(THING, type_of("Heir", field("Extra"), field("Count", Kind.Float), inherits=["Thing"]))
        self.touched: set[int] = set()
        self.left = 200
        self.alive: list[int] = []
        for _ in range(size):
            self.create()
        for id in self.alive:
            self.refer(id)

    def create(self) -> None:
        values = {name: self.chance.choice(some) for name, some in VALUES.items() if self.chance.random() < 0.7}
        type_name = self.chance.choice(["Thing", "Heir"])
        if type_name == "Heir":
            values["Extra"] = self.chance.randint(0, 2)
        self.alive.append(self.log.create(type_name, self.chance.choice("abc"), 1, **values))

    def refer(self, id: int) -> None:
        others = self.chance.sample(self.alive, min(2, len(self.alive)))
        self.log.set(id, "Boss", self.chance.choice([None, *others]))
        self.log.set(id, "Parts", others)

    def change(self) -> None:
        """Create, delete, or write something; whose order that could touch is remembered.

        So many times and no more: pages that are disturbed more, the more there is, might never come to an end.
        """
        if self.left == 0:
            return
        self.left -= 1
        choice = self.chance.random()
        if choice < 0.4 or len(self.alive) < 3:
            self.create()
            self.touched.add(self.alive[-1])
        elif choice < 0.8:
            id = self.alive.pop(self.chance.randrange(len(self.alive)))
            self.touch(id)
            self.log.delete(id)
        else:
            id = self.chance.choice(self.alive)
            self.touch(id)
            name, some = self.chance.choice(sorted(VALUES.items()))
            self.log.set(id, name, self.chance.choice(some))

    def touch(self, id: int) -> None:
        """An entity, and who stands where it does because of it."""
        waiting = [id]
        while waiting:
            one = waiting.pop()
            if one not in self.touched or one == id:
                self.touched.add(one)
                for other in self.alive:
                    entity = self.log.state.entities[other]
                    named = [entity.read(entity.schema.by_name["Boss"].slot)]
                    named += entity.read(entity.schema.by_name["Parts"].slot)
                    if one in named and other not in self.touched:
                        waiting.append(other)

    def plain(self, ids: list[int], order_by: list[str]) -> list[int]:
        """Sorted by the last field first, as each sort keeps what was in order."""
        ids = sorted(ids)
        for one in reversed(order_by):
            path, _, direction = one.partition(":")
            values = {id: self.value(id, path) for id in ids}
            known = sorted(
                (id for id in ids if values[id] is not None), key=values.__getitem__, reverse=bool(direction)
            )
            ids = [id for id in ids if values[id] is None] + known
        return ids

    def value(self, id: int, path: str) -> Any:
        state = self.log.state
        place = reach(state, state.entities[id], path.split("->"))
        if place is None:
            return None
        stored = place.item or place.entity.read(place.field.slot)
        if place.field.kind in (Kind.EntityReference, Kind.EntityList):
            return stored if stored in state.entities else None
        return place.field.labels.index(stored) if place.field.kind is Kind.Choice else stored

    def orders(self) -> list[str]:
        paths = self.chance.sample(PATHS, self.chance.randint(1, 3))
        return [path + self.chance.choice(["", ":desc"]) for path in paths]

    def bound(self, text: str) -> Filter:
        return bind(parse(text), [self.log.state.types.of(name) for name in ("Heir", "Thing")])


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 30), st.integers(1, 8))
def test_any_order_is_the_plain_one(seed: int, size: int, limit: int) -> None:
    world = World(seed, size)
    for _ in range(3):
        order_by = world.orders()
        assert pages(world.log, limit, *order_by) == world.plain(world.alive, order_by)


@settings(deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 8), st.sampled_from([None, "true", "Flag", "Name == 'a'"])
)
def test_pages_show_whoever_did_not_change_once_and_in_order_while_others_come_and_go(
    seed: int, size: int, limit: int, text: str | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (search, "_SLICE", 3),
            (search, "_WORTH", 1),
            (indexes, "_SLICE", 2),
            (indexes, "_SHARE", 1),
            (order, "_BATCH", 2),
        ):
            patch.setattr(module, name, value)
        world = World(seed, size)
        order_by = [] if seed % 4 == 0 else world.orders()
        filter = None if text is None else world.bound(text)
        begun = [id for id in world.alive if filter is None or filter.matches(world.log.state, entity_of(world, id))]
        seen: list[int] = []
        cursor: str | None = None
        while True:
            page = disturbed(world, Find("Thing", limit=limit, cursor=cursor, order_by=order_by), filter)
            seen += [item.id for item in page.items]
            cursor = page.cursor
            if cursor is None:
                break
            world.change()
    calm = [id for id in begun if id not in world.touched]
    assert [id for id in seen if id in calm] == world.plain(calm, order_by)


def entity_of(world: World, id: int) -> Any:
    return world.log.state.entities[id]


def disturbed(world: World, query: Find, filter: Filter | None) -> Page:
    """One page, with changes in its pauses."""
    work = search.find(world.log.state, query, 10_000, filter)
    while True:
        try:
            next(work)
        except StopIteration as done:
            page: Page = done.value
            return page
        if world.chance.random() < 0.5:
            world.change()


def test_what_no_longer_matches_when_the_page_is_written_is_not_on_it(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_SLICE", 4)
    ids = things(log, "Count", 5, 6, 7)
    filter = bind(parse("Count > 4"), [log.state.types.of("Thing")])
    work = search.find(log.state, Find("Thing", order_by=["Count"]), 100, filter)
    next(work)
    log.set(ids[1], "Count", 1)
    assert [item.id for item in through(work).items] == [ids[0], ids[2]]


# -- cost --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-50, 50)), st.integers(1, 12), st.integers(1, 5))
def test_the_least_keys_are_the_beginning_of_all_sorted(numbers: list[int], most: int, batch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "_BATCH", batch)
        least = Least(most)
        keys = [(number, place) for place, number in enumerate(numbers)]
        for key in keys:
            least.add(key)
            assert len(least._keys) <= most + batch
        assert least.keys() == sorted(keys)[:most]


def test_an_ordered_search_pauses_and_a_deep_page_no_more_often_than_the_first(log: Log) -> None:
    for number in range(3_000):
        log.create("Thing", "x", 1, Count=-number)

    def pauses(cursor: str | None, *order_by: str) -> int:
        return sum(1 for _ in search.find(log.state, Find("Thing", cursor=cursor, order_by=list(order_by)), 100))

    cursor = None
    for _ in range(25):
        cursor = log.find("Thing", order_by=["Count"], limit=100, cursor=cursor).cursor
    assert 6 <= pauses(None, "Count") == pauses(cursor, "Count") <= 20
    deep = "->".join(["Boss"] * 99 + ["Count"])
    assert pauses(None, deep) >= 600
