"""Filters over entities: fields of every kind, references, paths, what is refused, and what an index may use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from qcore.model.errors import BadFilter
from qcore.model.requests.commands import SchemaSet
from qcore.model.values import Kind
from qcore.store.search.filter import FilterError, bind, parse, translate
from tests.store.filtering import World
from tests.store.samples import field, type_of

WORLD = World()
ANN, BO, CY = WORLD.ann, WORLD.bo, WORLD.cy

TRUE = [
    ("Name == 'Ann' && Age == 30 && Height == 1.75 && Email == 'a@b.org' && IsActive && Key == b'hi'", ANN),
    ("EntityType == 'Person' && EntityType != 'Guest' && type(EntityId) == int", ANN),
    (f"EntityId == {ANN} && EntityId > 1 && EntityId in [{ANN}] && EntityId->Name == Name", ANN),
    # constants on either side, every order, the default of an unset field
    ("30 == Age && 31 > Age && 30 >= Age && 29 < Age && 30 <= Age && 1 != Age", ANN),
    ("Age < 30.5 && Age > 29.5 && Age == 30u && Age in [30.0] && !(Age in [1, 2]) && Age in [Age]", ANN),
    ("Height > 1 && Height < 2u && 1.75 == Height && Height in [1, 1.75]", ANN),
    ("Email >= 'a' && Email < 'b' && Email in ['x', 'a@b.org'] && Email.matches('^[a-z]@') && size(Email) == 7", ANN),
    ("Key < b'hj' && Key.size() == 2 && string(Key) == 'hi' && Key in [b'hi']", ANN),
    ("IsActive == true && IsActive != false && true == IsActive && IsActive > false && IsActive in [true]", ANN),
    ("Age != '30' && Name != 1 && IsActive != 1 && Key != 'hi' && Since != 0 && !(Age in ['30', true])", ANN),
    ("Age == 41 && Age + 1 == 42", BO),
    # a choice is its label and its index
    (
        "Level == 'middle' && Level == 1 && Level == 1.0 && Level == 1u && Level != 0 && Level != 'low' && Level != 7",
        ANN,
    ),
    ("Level in ['x', 'middle'] && Level in [0, 1] && !(Level in [0, 'high', 9]) && Level in ['x', Level]", ANN),
    ("Level > 0 && Level <= 1 && 2 > Level && Level < 'n' && 'l' < Level && Level >= Level && Level != null", ANN),
    ("Level.startsWith('mid') && size(Level) == 6 && Level + '!' == 'middle!' && type(Level) == string", ANN),
    (
        "int(Level) == 1 && string(Level) == 'middle' && {'middle': 5}[Level] == 5 && [Level] == [1] && [1] == [Level]",
        ANN,
    ),
    ("Level == 'low' && Level == 0", CY),
    # times, exact
    (
        "Since == timestamp('2024-02-29T12:30:45.123456789Z') && Since > timestamp('2024-02-29T12:30:45.123456788Z')",
        ANN,
    ),
    ("Since - timestamp('2024-02-29T12:30:45Z') == duration('123456789ns') && Since + duration('1h') > Since", ANN),
    ("timestamp('2025-01-01T00:00:00Z') > Since && Since in [timestamp('2024-02-29T12:30:45.123456789Z')]", ANN),
    ("int(Since) == 1709209845 && string(Since) == '2024-02-29T12:30:45.123456789Z' && Since == Since", ANN),
    ("Since != 1709209845123456789 && Since > timestamp('0001-01-01T00:00:00Z')", ANN),
    # references
    (f"Team == {WORLD.team} && Team != null && {WORLD.team} == Team && Team != {WORLD.gone} && Parent == Team", ANN),
    (f"Team == null && Team != {WORLD.gone} && null == Team && !(Team in [{WORLD.gone}]) && Team in [null]", BO),
    ("Team == null && Team != 0 && !(Team == 0) && type(Team) == null_type", CY),
    ("Parent == 1 && Parent->Name == 'Root' && Parent->Parent == null", CY),
    # paths and has()
    ("Team->Name == 'Blue' && Team->Motto == 'go' && Team->Parent->Name == 'Root' && Team->Name.size() == 4", ANN),
    ("Team->EntityType == 'Team' && Team->EntityId == Team && Team -> Name == 'Blue' && Team->\n Name != ''", ANN),
    ("has(Team) && has(Team->Name) && has(Team->Parent->Name) && !has(Team->Nope) && !has(Team->Parent->Nope)", ANN),
    ("has(Team) && !has(Team->Name) && !has(Parent->Parent->Name) && has(Parent->Parent)", BO),
    ("!has(Team->Name) || Team->Name == 'Blue'", BO),
    ("has(Team->Name) ? Team->Name == 'Blue' : true", CY),
    ("!(has(Team->Name) && Team->Name == 'Blue')", CY),
    # lists are ids
    (
        f"Friends == [{ANN}, {BO}] && Friends.size() == 2 && Friends[1] == {BO} && {BO}.0 in Friends",
        CY,
    ),
    ("!(1 in Friends) && !('x' in Friends) && !(true in Friends) && !(null in Friends)", CY),
    ("Friends->0->Name == 'Ann' && Friends->1->Name == 'Bo' && Friends[0]->Age == 30 && !has(Friends->2)", CY),
    ("has(Friends->0->Team->Name) && !has(Friends->1->Team->Name) && !has(Friends->0->Team->Nope)", CY),
    ("Friends.exists(f, f->Name == 'Bo') && Friends.all(f, f->Age > 20) && Friends.map(f, f->Age) == [30, 41]", CY),
    ("Friends.filter(f, has(f->Team->Name)).size() == 1 && Friends.exists_one(f, f->Team == null)", CY),
    ("Friends == [] && Children == [] && !has(Friends->0)", ANN),
    ("Team->Children->0->Name == 'Ann' && EntityId in Team->Children && Team->Children.exists(c, c == EntityId)", ANN),
    # a field only some of the types have
    ("Badge == 'G1' && has(Badge)", CY),
    ("!has(Badge) && (has(Badge) ? Badge == 'x' : true) && (Badge == 'x' || true)", ANN),
]


@pytest.mark.parametrize(("text", "id"), TRUE)
def test_this_is_true(text: str, id: int) -> None:
    assert WORLD.matches(text, id) is True


ERRORS = [
    ("Badge == 'G1'", ANN, "type Person has no field 'Badge'"),
    # only the last step of has() may be missing
    ("has(Team->Parent->Name)", BO, "->Parent: the reference before it is null"),
    ("has(Friends->2->Name)", CY, "the list has 2 elements, none at 2"),
    ("has(Badge->Name)", ANN, "type Person has no field 'Badge'"),
    ("has(Team->Nope->Name)", ANN, "has no field 'Nope'"),
    ("has(Name->Name)", ANN, "->Name does not take string"),
    ("has({'a': {Name: 1}}.b.c)", ANN, "no such key"),
    ("Team->Name == 'Blue'", CY, "->Name: the reference before it is null"),
    ("Team->Name == 'Blue'", BO, "->Name: the reference before it is null"),
    ("Team->Nope == 1", ANN, f"entity {WORLD.team} of type Team has no field 'Nope'"),
    ("Name->Name == 'x'", ANN, "->Name does not take string"),
    ("Age->0 == 1", ANN, "->0 does not take int"),
    ("Friends->2->Name == 'x'", CY, "the list has 2 elements, none at 2"),
    ("Friends.exists(f, f->Nope == 1)", CY, "has no field 'Nope'"),
    ("Age + Height > 1.0", ANN, "+ does not take int, double"),
    ("Name > 5", ANN, "> does not take string, int"),
    ("5 > Name", ANN, "> does not take int, string"),
    ("Team < 5", CY, "< does not take null_type, int"),
    ("Level < null", ANN, "< does not take string, null_type"),
    ("Age && true", ANN, "&& takes a bool, given int"),
    ("Age / (Age - 30) == 1", ANN, "division by zero"),
    ("Email.matches(Name + '(')", ANN, "not a regular expression"),
]


@pytest.mark.parametrize(("text", "id", "reason"), ERRORS)
def test_this_has_no_answer_for_the_entity(text: str, id: int, reason: str) -> None:
    assert reason in (WORLD.error(text, id) or "an answer")


REFUSED = [
    ("Agee > 5", 1, "unknown field 'Agee'; the types asked are Person, Guest"),
    ("true || Agee > 5", 9, "unknown field 'Agee'"),
    ("Friends.exists(f, g == 1)", 19, "unknown field 'g'"),
    ("f == 1 && Friends.exists(f, f == 1)", 1, "unknown field 'f'"),
    ("has(Agee)", 5, "unknown field 'Agee'"),
    ("lower(Name) == 'x'", 1, "unknown function 'lower'"),
    ("Name.lower() == 'x'", 6, "unknown function 'lower'"),
    ("contains(Name, 'x')", 1, "unknown function 'contains'; it is called as value.contains(...)"),
    ("Age.int() == 1", 5, "unknown function 'int'; it is called as int(...)"),
    ("exists(1, 2)", 1, "a macro is list.exists(name, expression)"),
    ("Friends.exists(1, true)", 16, "the first argument of exists is a name"),
    ("Name.startsWith()", 6, "startsWith() takes 1 arguments here, 0 given"),
    ("has(1)", 1, "has() takes one field or path"),
    ("Team.Name == 'x'", 1, "a reference is followed with ->Name"),
    ("Team->Parent.Name == 'x'", 1, "a reference is followed with ->Name"),
    ("Team->size() == 1", 7, "a function is called with a dot"),
    ("Team->'x' == 1", 7, "expected a field name after ->"),
    ("Friends->0x == 1", 10, "expected a field name or an index"),
    ("Team-> == 1", 8, "expected a field name after ->, given '='"),
    ("Team->", 7, "given the end of the text"),
    ("->Name == 1", 1, "expected a value before ->"),
    ("Since > timestamp('yesterday')", 9, "RFC 3339"),
    ("Since - Since > duration('1 day')", 17, "expected a duration"),
    ("Name.matches('[')", 6, "not a regular expression"),
    ("Name.matches('(?=x)')", 6, "not a regular expression"),
    ("Name = 'x'", 6, "expected an operator or the end of the text, given '=' (equality is ==)"),
    ("Age > 1 & IsActive", 9, "(and is &&)"),
    ("Age >", 6, "expected a value, given the end of the text"),
    ("(Age > 1", 9, "expected an operator or ')', given the end of the text"),
    ("[1, 2", 6, "expected an operator or ']'"),
    ("Age > 1)", 8, "expected an operator or the end of the text, given ')'"),
    ("Age > é", 7, "expected a value, given 'é'"),
    ("Name == 'x", 9, "the literal that begins here is not closed"),
    ("Name == '\\q'", 10, "unknown escape"),
    ("Name == '\\ud800'", 10, "no Unicode character: U+D800"),
    ("Key == b'\\u0041'", 10, "unknown escape"),
    ("Age == 9223372036854775808", 8, "an int is"),
    ("Age == 18446744073709551616u", 8, "a uint is"),
    ("Height == 1e999", 11, "a double has at most"),
    ("Person{Age: 1}", 1, "messages such as"),
    ("Age", 1, "this is neither"),
    ("'true'", 1, "this is neither"),
    ("Age + 1", 1, "this is neither"),
    ("Friends.map(f, true)", 1, "this is neither"),
    ("Age > 1 ? 1 : 2", 1, "this is neither"),
    ("dyn(Age)", 1, "this is neither"),
    ("", 1, "expected a value"),
    # a comma too many
    ("[,] == []", 2, "expected"),
    ("[1,,] == []", 4, "expected a value"),
    ("(1,) == 1", 3, "expected an operator or ')', given ','"),
    ("[1][0,] == 1", 6, "expected"),
    ("size(,) == 1", 6, "expected"),
    ("1 in (1,)", 8, "expected"),
    ("Age == 1,", 9, "expected an operator or the end of the text"),
    ("[1].exists(.x, true)", 13, "the first argument of exists is a name"),
    (".Nope == 1", 2, "unknown field 'Nope'"),
    ("[1].exists(x, .x == 1)", 16, "unknown field 'x'"),
]


@pytest.mark.parametrize(("text", "column", "reason"), REFUSED)
def test_this_is_refused_with_its_place(text: str, column: int, reason: str) -> None:
    with pytest.raises(BadFilter) as caught:
        WORLD.bind(text)
    assert reason in caught.value.message
    assert (caught.value.data["line"], caught.value.data["column"]) == (1, column)


def test_a_place_is_counted_in_the_text_that_was_given() -> None:
    with pytest.raises(BadFilter, match=r"line 3, column 18: unknown field 'Nope'") as caught:
        WORLD.bind("Team->Name == '''\n->''' // 'x\n && Team->Name ==Nope")
    assert caught.value.data["offset"] == 47


def test_hops_are_checked_where_the_names_of_all_fields_are_given() -> None:
    types = [WORLD.log.state.types.of("Person")]
    bind(parse("Team->Motto == 'go' && Team->EntityId > 1"), types, fields={"Motto"})
    with pytest.raises(BadFilter, match="unknown field 'Moto' after ->: no type has it"):
        bind(parse("Team->Moto == 'go'"), types, fields={"Motto"})


def test_a_field_of_a_descendant_is_known_among_candidates_that_have_it() -> None:
    WORLD.bind("Badge == 'x'", "Person", "Guest")
    with pytest.raises(BadFilter, match="unknown field 'Badge'; the types asked are Person"):
        WORLD.bind("Badge == 'x'", "Person")


def test_a_result_is_a_bool_if_any_type_could_give_one() -> None:
    world = World()
    world.log.do(SchemaSet(schemas=[type_of("Odd", field("Age", Kind.Bool))]))
    complete = world.log.state.types.complete
    assert world.bind("Age", "Person", "Odd").equality(complete["Person"]) == []
    with pytest.raises(BadFilter, match="this is neither"):
        world.bind("Age", "Person", "Guest")


def test_one_text_is_parsed_by_several_threads_at_a_time() -> None:
    texts = [f"Team->Name == 'x{number}' && Age > {number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        parsed = list(pool.map(parse, texts))
    assert [found.source for found in parsed] == texts
    assert parsed == [parse(text) for text in texts]


def test_translated_text_has_the_same_length_and_no_arrows() -> None:
    text = "A->B -> C == 'x->y' && L->0->N == b\"\\\"->\" // -> '"
    assert translate(text) == "A._B . _C == '____' && L._0._N == b\"____\"        "
    assert translate("a == 1") == "a == 1"


def test_a_filter_lives_on_when_schemas_change() -> None:
    world = World()
    bound = world.bind("Age == 30 && Name == 'Ann'")
    entity = world.log.state.entities[world.ann]
    assert bound.matches(world.log.state, entity)
    before = entity.schema
    own = world.log.state.types.get("Person")
    own.fields.insert(0, field("Nick", Kind.String, "Annie"))
    world.log.do(SchemaSet(schemas=[own]))
    assert entity.schema is not before
    assert entity.schema.field("Age").slot != before.field("Age").slot
    assert bound.matches(world.log.state, entity)


def test_missing_and_present_references_follow_what_happens() -> None:
    world = World()
    bound = world.bind("Team == null")
    state = world.log.state
    assert not bound.matches(state, state.entities[world.ann])
    assert bound.matches(state, state.entities[world.bo])
    world.log.set(world.bo, "Team", world.team)
    assert not bound.matches(state, state.entities[world.bo])


EQUALITY = [
    ("Age == 30", [("Age", 30)]),
    ("30.0 == Age", [("Age", 30)]),
    ("Age == 30.5", []),
    ("Age == '30'", []),
    ("Age == 30 && Name == 'x' && Height == 2", [("Age", 30), ("Name", "x"), ("Height", 2.0)]),
    ("Age == 30 && (Name == 'x' && IsActive)", [("Age", 30), ("Name", "x"), ("IsActive", True)]),
    ("!IsActive && Key == b'a'", [("IsActive", False), ("Key", b"a")]),
    ("Age == 30 || Name == 'x'", []),
    ("!(Age == 30)", []),
    ("Age == 30 ? true : false", []),
    ("Level == 'high' && Level == 2", [("Level", "high"), ("Level", "high")]),
    ("Level == 'none'", []),
    ("Level == 9", []),
    ("Team == 5", [("Team", 5)]),
    ("Team == null", []),
    ("Team == 0", []),
    ("Since == timestamp('1970-01-01T00:00:01Z')", [("Since", 1_000_000_000)]),
    ("Since == 5", []),
    ("IsActive == 1", []),
    ("Team->Name == 'x'", []),
    ("Age == Age", []),
    ("EntityType == 'Person'", []),
    ("EntityId == 3", []),
    ("int == 3", []),
    ("12 in Friends", [("Friends", 12)]),
    ("12.0 in Friends && 3u in Friends", [("Friends", 12), ("Friends", 3)]),
    ("1.5 in Friends", []),
    ("0 in Friends", []),
    ("'12' in Friends", []),
    ("Friends == 12", []),
    ("30 in Age", []),
    ("Age in [30]", []),
    ("Team in Friends", []),
    ("12 in [12]", []),
    ("has(Age)", []),
]


@pytest.mark.parametrize(("text", "terms"), EQUALITY)
def test_equality_terms_are_those_an_index_could_answer(text: str, terms: list[tuple[str, object]]) -> None:
    found = WORLD.bind(text).equality(WORLD.log.state.types.complete["Guest"])
    assert [(name, type(value), value) for name, _, value in found] == [(n, type(v), v) for n, v in terms]
    assert all(field is not None for _, field, _ in found)


@pytest.mark.parametrize("text", [text for text, terms in EQUALITY if terms])
def test_whatever_matches_has_the_stored_forms_of_the_equality_terms(text: str) -> None:
    bound = WORLD.bind(text)
    for id in (ANN, BO, CY):
        entity = WORLD.log.state.entities[id]
        if bound.matches(WORLD.log.state, entity):
            for _, field, value in bound.equality(entity.schema):
                assert field is not None
                stored = entity.read(field.slot)
                assert value in stored if field.kind is Kind.EntityList else value == stored


def test_equality_is_of_one_type_and_knows_where_there_is_no_field() -> None:
    complete = WORLD.log.state.types.complete
    for text in ("Badge == 'G1'", "'G1' in Badge", "Badge && Age == 2"):
        (term, *_) = WORLD.bind(text).equality(complete["Person"])
        assert term == ("Badge", None, None)
    (term,) = WORLD.bind("Badge == 'G1'").equality(complete["Guest"])
    assert term == ("Badge", complete["Guest"].by_name["Badge"], "G1")
    assert WORLD.bind("'G1' in Badge").equality(complete["Guest"]) == []


def test_a_field_that_types_give_different_kinds_has_a_term_where_its_kind_has_one() -> None:
    world = World()
    world.log.do(SchemaSet(schemas=[type_of("Odd", field("Age", Kind.String), field("Friends"))]))
    complete = world.log.state.types.complete
    bound = world.bind("Age == 30 && 12 in Friends", "Person", "Odd")
    assert [(name, value) for name, _, value in bound.equality(complete["Person"])] == [("Age", 30), ("Friends", 12)]
    assert bound.equality(complete["Odd"]) == []


def test_an_entity_of_a_type_not_asked_for_has_no_field_or_an_answer() -> None:
    bound = WORLD.bind("Age == 30 || EntityType == 'Team'")
    state = WORLD.log.state
    assert bound.matches(state, state.entities[WORLD.team])
    with pytest.raises(FilterError, match="type Team has no field 'Age'"):
        WORLD.bind("Age == 30").matches(state, state.entities[WORLD.team])
