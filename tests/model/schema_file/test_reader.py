"""The schema file: what it may say, and that every error in it is found at once, with its line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.errors import ConfigError
from qcore.model.requests.commands import TreeNode
from qcore.model.schema import EntitySchema, FieldSchema, Types
from qcore.model.schema_file.reader import MAX_TREE, SchemaFile, parse_schema_file, schema_file_digest
from qcore.model.values import Kind

HOUSE = Path(__file__).parents[3]

THING = """
schemas:
  - entity_type: Thing
    fields:
      Text: {default_value: ""}
      Count: {default_value: 0}
      Load: {default_value: 0.0}
      On: {default_value: false}
      Level: {default_value: {Choice: 0}, choices: [Low, High, "no"]}
      When: {data_type: Timestamp}
      Raw: {data_type: Blob}
      Owner: {data_type: EntityReference}
      Parts: {data_type: EntityList}
"""


def parse(text: str) -> SchemaFile:
    return parse_schema_file(dedent(text), "s.yaml")


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    found = caught.value.data["errors"]
    assert caught.value.message == "\n".join(found)
    return list(found)


def error(text: str) -> str:
    (only,) = errors(text)
    return only


def field(spec: str) -> FieldSchema:
    (schema,) = parse(f"schemas: [{{entity_type: T, fields: {{F: {spec}}}}}]").schemas
    return schema.fields[0]


def field_error(spec: str) -> str:
    return error(f"schemas: [{{entity_type: T, fields: {{F: {spec}}}}}]")


def thing(attributes: str) -> dict[str, Any]:
    (node,) = parse(f"{THING}\ntree: [{{entity_type: Thing, name: t, attributes: {{{attributes}}}}}]").tree
    return node.fields


def thing_error(attributes: str) -> str:
    return error(f"{THING}\ntree: [{{entity_type: Thing, name: t, attributes: {{{attributes}}}}}]")


# -- the whole file ----------------------------------------------------------------------------------------


def test_the_bundled_file_brings_the_types_and_the_tree_the_readme_speaks_of() -> None:
    file = parse_schema_file((HOUSE / "schemas.yaml").read_text(), "schemas.yaml")
    types = Types().with_schemas(file.schemas)
    user = types.of("User").by_name
    assert {name: user[name].kind for name in ("Name", "Age", "Email", "IsActive")} == {
        "Name": Kind.String,
        "Age": Kind.Int,
        "Email": Kind.String,
        "IsActive": Kind.Bool,
    }
    assert types.of("Project").field("Department").kind is Kind.EntityReference
    assert {"Folder", "Machine", "Service", "Permission", "Department"} <= set(types.names())
    (root,) = file.tree
    assert (root.type, root.name) == ("Root", "Root")


def test_the_bundled_tree_refers_only_to_entities_it_has() -> None:
    file = parse_schema_file((HOUSE / "schemas.yaml").read_text(), "schemas.yaml")
    paths: set[str] = set()
    referred: set[str] = set()
    waiting = [("", node) for node in file.tree]
    for above, node in waiting:
        path = f"{above}/{node.name}"
        paths.add(path)
        waiting.extend((path, child) for child in node.children)
        for value in node.fields.values():
            referred.update(item for item in (value if isinstance(value, list) else [value]) if str(item)[:1] == "/")
    assert referred
    assert referred <= paths


def test_the_examples_of_the_documentation_are_valid() -> None:
    text = (HOUSE / "docs" / "schema-file.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        if block.startswith("fields:"):
            block = "schemas:\n- entity_type: T\n" + "".join(f"  {line}\n" for line in block.splitlines())
        assert parse_schema_file(block, "docs").schemas


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "schemas:\ntree:\n", "---\n"])
def test_a_file_that_says_nothing_brings_nothing(text: str) -> None:
    file = parse(text)
    assert (file.schemas, file.tree) == ([], [])


def test_the_digest_is_of_the_text_and_changes_with_it() -> None:
    assert parse("schemas: []").digest == parse("schemas: []").digest
    assert parse("schemas: []").digest != parse("schemas:  []").digest
    assert re.fullmatch("[0-9a-f]{64}", parse("").digest)


def test_the_digest_can_be_had_without_reading_the_file() -> None:
    assert schema_file_digest("schemas: []") == parse("schemas: []").digest
    assert schema_file_digest("no: [yaml")


def test_an_unknown_part_of_the_file_is_refused() -> None:
    assert error("types: []") == "s.yaml:1: the file: unknown key 'types'; expected schemas, tree"


def test_a_file_that_is_no_mapping_is_refused() -> None:
    assert error("- schemas") == "s.yaml:1: the file: expected a mapping, given a list"


def test_all_errors_come_at_once_by_line() -> None:
    found = errors(
        """\
        schemas:
          - entity_type: User
            inherit: Person
            fields:
              Age: {default_value: {Int: old}}
              Email: {default_value: null}
              Phone: {default_value: "", colour: red}
        tree:
          - entity_type: Root
            name: Root
            children:
              - entity_type: Usr
                name: bob
              - entity_type: User
                name: ""
        """
    )
    assert [line.split(": ")[0] for line in found] == [f"s.yaml:{n}" for n in (3, 5, 6, 7, 12, 15)]
    assert found[0] == "s.yaml:3: type User inherits the unknown type 'Person'"
    assert found[3].startswith("s.yaml:7: field User.Phone: unknown key 'colour'; expected data_type,")


def test_an_error_in_a_type_is_not_held_against_the_entities_of_that_type() -> None:
    found = errors(
        """\
        schemas:
          - {entity_type: Base, fields: {Age: {data_type: Integer}}}
          - {entity_type: User, inherit: Base}
        tree:
          - {entity_type: User, name: bob, attributes: {Age: 3}}
        """
    )
    assert found == [
        "s.yaml:2: field Base.Age: unknown data_type 'Integer'; expected one of "
        "Blob, Bool, Choice, EntityList, EntityReference, Float, Int, String, Timestamp"
    ]


# -- schemas -----------------------------------------------------------------------------------------------


def test_schemas_come_in_the_order_of_the_file_and_in_normal_form() -> None:
    file = parse(
        """\
        schemas:
          - {entity_type: Switch, inherit: Device, fields: {Ports: {default_value: 24}, Fast: {default_value: true}}}
          - {entity_type: Device}
        """
    )
    ports = FieldSchema("Ports", Kind.Int, 24, 0)
    fast = FieldSchema("Fast", Kind.Bool, True, 1)
    assert file.schemas == [EntitySchema("Switch", ["Device"], [ports, fast]), EntitySchema("Device", ["Object"])]


@pytest.mark.parametrize("inherit", ["[A, B]", "\n    - A\n    - B"])
def test_a_type_may_inherit_several(inherit: str) -> None:
    file = parse(f"schemas:\n- entity_type: A\n- entity_type: B\n- entity_type: C\n  inherit: {inherit}")
    assert file.schemas[2].inherits_from == ["A", "B"]


@pytest.mark.parametrize("inherit", ["null", "[]", "Object", "~"])
def test_a_type_without_parents_inherits_object(inherit: str) -> None:
    assert parse(f"schemas: [{{entity_type: A, inherit: {inherit}}}]").schemas[0].inherits_from == ["Object"]


def test_the_shape_of_json_snapshots_means_the_same() -> None:
    camel = {
        "entityType": "Lamp",
        "inheritsFrom": ["Object"],
        "fields": [
            {"name": "Color", "dataType": "Choice", "default": "Amber", "choices": ["White", "Amber"], "rank": 7},
            {"name": "Hours", "dataType": "Float", "default": 2, "storageScope": "Runtime"},
        ],
    }
    file = parse(json.dumps({"schemas": [camel], "tree": {"entityType": "Lamp", "Name": "L", "Children": []}}))
    color = FieldSchema("Color", Kind.Choice, "Amber", 7, ["White", "Amber"])
    hours = FieldSchema("Hours", Kind.Float, 2.0, 1, [], "Runtime")
    assert file.schemas == [EntitySchema("Lamp", ["Object"], [color, hours])]
    assert file.tree == [TreeNode("Lamp", "L")]


def test_one_thing_said_in_both_spellings_is_refused() -> None:
    assert error("schemas: [{entity_type: A, entityType: B}]").endswith(
        "'entityType' says again what 'entity_type' says"
    )


def test_root_may_be_given_fields() -> None:
    file = parse(
        "schemas: [{entity_type: Root, fields: {Site: {default_value: x}}}]\ntree: [{entity_type: Root, name: R}]"
    )
    assert Types().with_schemas(file.schemas).of("Root").by_name["Site"].default == "x"


def test_object_cannot_be_changed() -> None:
    assert error("schemas: [{entity_type: Object}]") == "s.yaml:1: the built-in type Object cannot be changed"


def test_a_type_given_twice_names_the_first_line() -> None:
    assert error("schemas:\n- entity_type: A\n- entity_type: A") == "s.yaml:3: type A is given twice, first on line 2"


def test_a_field_given_twice_is_refused_in_both_shapes() -> None:
    by_name = "schemas:\n- entity_type: A\n  fields:\n    X: {default_value: 1}\n    X: {default_value: 2}"
    assert error(by_name) == "s.yaml:5: type A, fields: 'X' is given twice, first on line 4"
    listed = "schemas:\n- entity_type: A\n  fields:\n  - {name: X, dataType: Int}\n  - {name: X, dataType: Int}"
    assert error(listed) == "s.yaml:5: type A has the field X twice, first on line 4"


def test_types_that_inherit_each_other_are_named_in_a_ring() -> None:
    text = """\
        schemas:
          - {entity_type: Z}
          - {entity_type: A, inherit: B}
          - {entity_type: B, inherit: [Z, C]}
          - {entity_type: C, inherit: A}
          - {entity_type: Me, inherit: Me}
        """
    assert errors(text) == [
        "s.yaml:3: types inherit each other: A -> B -> C -> A",
        "s.yaml:6: types inherit each other: Me -> Me",
    ]


@pytest.mark.parametrize("name", ["2User", "User-Group", "''", "Größe"])
def test_a_bad_type_name_is_refused_once_and_its_fields_are_still_read(name: str) -> None:
    found = errors(
        f"schemas:\n- entity_type: {name}\n  fields:\n    Ok: {{default_value: 1}}\n    in: {{default_value: 1}}"
    )
    assert len(found) == 2
    assert found[0].startswith("s.yaml:2: type name ")
    assert found[1].endswith("the name in is reserved")


@pytest.mark.parametrize("name", ["null", "~", "[A]", "{A: 1}"])
def test_a_type_name_must_be_text(name: str) -> None:
    assert error(f"schemas: [{{entity_type: {name}}}]").startswith("s.yaml:1: entity_type: expected text, given ")


def test_a_schema_without_name_is_refused() -> None:
    assert error("schemas:\n- inherit: Object") == "s.yaml:2: a schema: entity_type is missing"


@pytest.mark.parametrize("text", ["schemas: A", "schemas: [A]", "schemas: [{entity_type: A, fields: 3}]"])
def test_a_wrong_shape_is_one_error(text: str) -> None:
    assert "expected a " in error(text)


def test_a_built_in_field_keeps_its_kind() -> None:
    assert "is built in as String, not Int" in error("schemas: [{entity_type: A, fields: {Name: {data_type: Int}}}]")


# -- fields and their kinds --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "kind", "default"),
    [
        ("{default_value: true}", Kind.Bool, True),
        ("{default_value: 5}", Kind.Int, 5),
        ("{default_value: 2.5}", Kind.Float, 2.5),
        ("{default_value: x}", Kind.String, "x"),
        ("{default_value: '5'}", Kind.String, "5"),
        ("{default_value: {Int: 5}}", Kind.Int, 5),
        ("{default_value: !Int 5}", Kind.Int, 5),
        ("{default_value: {Float: 5}}", Kind.Float, 5.0),
        ("{default_value: {String: ''}}", Kind.String, ""),
        ("{default_value: !String 5}", Kind.String, "5"),
        ("{default_value: {EntityReference: null}}", Kind.EntityReference, None),
        ("{default_value: !EntityReference null}", Kind.EntityReference, None),
        ("{default_value: {EntityList: []}}", Kind.EntityList, []),
        ("{default_value: !EntityList []}", Kind.EntityList, []),
        ("{default_value: {Choice: 1}, choices: [a, b]}", Kind.Choice, "b"),
        ("{default_value: {Choice: b}, choices: [a, b]}", Kind.Choice, "b"),
        ("{data_type: Choice, choices: [a, b]}", Kind.Choice, "a"),
        ("{data_type: Int}", Kind.Int, 0),
        ("{data_type: Int, default_value: null}", Kind.Int, 0),
        ("{data_type: Float, default_value: 3}", Kind.Float, 3.0),
        ("{data_type: Int, default_value: {Int: 3}}", Kind.Int, 3),
        ("{data_type: EntityList, default_value: []}", Kind.EntityList, []),
        ("{data_type: Blob, default_value: aGk=}", Kind.Blob, "aGk="),
        ("{data_type: Blob}", Kind.Blob, ""),
        ("{data_type: Timestamp, default_value: 2024-01-01T00:00:00Z}", Kind.Timestamp, "2024-01-01T00:00:00Z"),
        ("{data_type: Timestamp, default_value: 1000000000}", Kind.Timestamp, "1970-01-01T00:00:01Z"),
    ],
)
def test_a_field_has_the_kind_of_its_data_type_its_tag_or_its_bare_value(spec: str, kind: Kind, default: Any) -> None:
    read = field(spec)
    assert (read.data_type, read.default) == (kind, default)
    assert type(read.default) is type(default)


@pytest.mark.parametrize(
    ("text", "kind", "default"),
    [
        ("yes", Kind.String, "yes"),
        ("on", Kind.String, "on"),
        ("No", Kind.String, "No"),
        ("12:30:45", Kind.String, "12:30:45"),
        ("2024-01-01", Kind.String, "2024-01-01"),
        ("1_000", Kind.String, "1_000"),
        ("010", Kind.Int, 10),
        ("0x1F", Kind.Int, 31),
        ("1e3", Kind.Float, 1000.0),
        ("TRUE", Kind.Bool, True),
        ("!!str 12", Kind.String, "12"),
        ("9007199254740993", Kind.Int, 9007199254740993),
    ],
)
def test_bare_text_does_not_turn_into_something_surprising(text: str, kind: Kind, default: Any) -> None:
    read = field(f"{{default_value: {text}}}")
    assert (read.data_type, read.default) == (kind, default)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{}", "expected a data_type, or a default_value that shows the kind"),
        ("{default_value: null}", "null does not show the kind"),
        ("{default_value: }", "null does not show the kind"),
        ("{default_value: []}", "a list does not show the kind"),
        ("{default_value: {Itn: 5}}", "given a mapping of Itn"),
        ("{default_value: {Int: 5, Float: 5}}", "given a mapping of Int, Float"),
        ("{default_value: {Int: {Int: 5}}}", "given a mapping of Int"),
        ("{default_value: !Itn 5, data_type: Int}", "unknown tag !Itn; expected one of !Blob, "),
        ("{default_value: !!int 5}", "unknown tag !!int"),
        ("{data_type: Int, default_value: {Float: 5}}", "data_type is Int, but the default's tag is Float"),
        ("{data_type: int}", "unknown data_type 'int'; expected one of Blob, "),
        ("{data_type: [Int]}", "data_type: expected text, given a list"),
        ("{data_type: Int, default_value: 2.5}", "expected an Int (signed 64-bit), given '2.5'"),
        ("{data_type: Int, default_value: 9223372036854775808}", "expected an Int (signed 64-bit)"),
        ("{data_type: Bool, default_value: yes}", "expected a Bool (true, false, 1 or 0), given 'yes'"),
        ("{data_type: Float, default_value: .nan}", "expected a finite Float"),
        ("{default_value: .inf}", "expected a finite Float"),
        ("{data_type: Int, default_value: [1, [2]]}", "expected a scalar or a list of scalars"),
        ("{data_type: EntityReference, default_value: /Root}", "a default cannot refer to an entity"),
        ("{default_value: {Choice: c}, choices: [a, b]}", "expected one of the labels a, b"),
        ("{data_type: Choice}", "a Choice needs at least one label"),
        ("{data_type: Choice, choices: [a, a]}", "labels are different"),
        ("{data_type: Choice, choices: [a, null]}", "choices: expected text, given null"),
        ("{default_value: 1, choices: [a]}", "only a Choice has labels"),
        ("{default_value: 1, rank: x}", "expected a whole number as rank, given 'x'"),
        ("{default_value: 1, rank: true}", "expected a whole number as rank, given 'true'"),
        ("{default_value: 1, rank: 1.0}", "expected a whole number as rank, given '1.0'"),
        ("{default_value: 1, rank: 99999999999}", "a rank is a 32-bit number"),
        (
            "{default_value: 1, storage_scope: runtime}",
            "expected storage_scope Configuration or Runtime, given 'runtime'",
        ),
        ("{default_value: 1, name: F}", "unknown key 'name'"),
        ("5", "field T.F: expected a mapping, given '5'"),
    ],
)
def test_a_field_that_cannot_be_says_why(spec: str, message: str) -> None:
    found = field_error(spec)
    assert message in found
    assert found.startswith("s.yaml:1: ")


def test_labels_are_the_text_that_stands_there() -> None:
    read = field("{data_type: Choice, choices: [yes, no, 1.10, 007], default_value: no}")
    assert (read.choices, read.default) == (["yes", "no", "1.10", "007"], "no")


def test_a_list_of_fields_needs_their_names() -> None:
    assert (
        error("schemas:\n- entity_type: A\n  fields:\n  - dataType: Int")
        == "s.yaml:4: a field of type A: name is missing"
    )


# -- the tree ----------------------------------------------------------------------------------------------


def test_a_tree_has_entities_with_attributes_and_children() -> None:
    file = parse(
        f"""{THING}
tree:
  - entity_type: Root
    name: Home
    children:
      - entity_type: Thing
        name: a
        attributes: {{Count: 3, Owner: /Home/a/b}}
        children:
          - {{entity_type: Thing, name: b}}
  - entity_type: Thing
    name: alone
"""
    )
    below = TreeNode("Thing", "a", {"Count": 3, "Owner": "/Home/a/b"}, [TreeNode("Thing", "b")])
    assert file.tree == [TreeNode("Root", "Home", {}, [below]), TreeNode("Thing", "alone")]


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("Text: 1.10", "1.10"),
        ("Text: true", "true"),
        ("Text: 'null'", "null"),
        ("Text: {String: x}", "x"),
        ("Text: !String 0123", "0123"),
        ("Count: -3", -3),
        ("Count: {Int: 3}", 3),
        ("Count: '3'", "3"),
        ("Load: 3", 3),
        ("Load: 1.5", 1.5),
        ("On: true", True),
        ("On: 1", "1"),
        ("Level: High", "High"),
        ("Level: no", "no"),
        ("Level: 1", "1"),
        ("When: 2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("When: 2024-01-01 00:00:00.5+02:00", "2024-01-01 00:00:00.5+02:00"),
        ("Raw: 1234", "1234"),
        ("Owner: null", None),
        ("Owner: 7", 7),
        ("Owner: '@7'", "@7"),
        ("Owner: Thing$7", "Thing$7"),
        ("Owner: /Root/a b/c#2", "/Root/a b/c#2"),
        ("Parts: []", []),
        ("Parts: [/Root/a, 7, Thing$8]", ["/Root/a", 7, "Thing$8"]),
        ("Parts: {EntityList: [/Root/a]}", ["/Root/a"]),
        ("Parts: '[1,2]'", "[1,2]"),
    ],
)
def test_an_attribute_is_a_json_value_that_fits_its_field(attribute: str, value: Any) -> None:
    (read,) = thing(attribute).values()
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("Txt: x", "type Thing has no field 'Txt'"),
        ("Text: null", "field Thing.Text: expected String, given null"),
        ("Text: [a]", "expected a String"),
        ("Count: x", "field Thing.Count: expected an Int (signed 64-bit), given 'x'"),
        ("Count: {Float: 1.0}", "field Thing.Count: expected Int, given the tag Float"),
        ("Count: {a: 1}", "given a mapping of a"),
        ("On: yes", "expected a Bool (true, false, 1 or 0), given 'yes'"),
        ("Level: Middle", "expected one of the labels Low, High, no"),
        ("When: 2024-01-01", "expected a Timestamp"),
        ("Raw: '%'", "expected a Blob as padded base64"),
        ("Owner: [1]", "expected an EntityReference"),
        ("Owner: 0", "an entity id is 1..18446744073709551615, given 0"),
        ("Owner: '18446744073709551616'", "an entity id is 1..18446744073709551615"),
        ("Owner: Thing", "'Thing' is no entity id"),
        ("Owner: /Root//a", "has an empty step"),
        ("Parts: 7", "expected an EntityList"),
        ("Parts: [null]", "expected an EntityList"),
        ("Parts: [/a, /a]", "an entity stands twice in the list"),
        ("Parent: /Root", "Parent is no attribute of the tree"),
        ("Children: []", "Children is no attribute of the tree"),
    ],
)
def test_an_attribute_that_does_not_fit_says_why(attribute: str, message: str) -> None:
    assert message in thing_error(attribute)


def test_an_inherited_field_may_be_given() -> None:
    file = parse(
        f"{THING}  - {{entity_type: Sub, inherit: Thing}}\n"
        "tree: [{entity_type: Sub, name: s, attributes: {Count: 1}}]"
    )
    assert file.tree == [TreeNode("Sub", "s", {"Count": 1})]


def test_the_name_may_be_given_as_an_attribute() -> None:
    assert parse("tree: [{entity_type: Root, attributes: {Name: R}}]").tree == [TreeNode("Root", "R")]
    assert parse("tree: [{entity_type: Root, name: R, attributes: {Name: R}}]").tree == [TreeNode("Root", "R")]


def test_two_different_names_are_refused() -> None:
    text = "tree: [{entity_type: Root, name: A, attributes: {Name: B}}]"
    assert error(text).endswith("name 'A' and the attribute Name 'B' differ; give one")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("''", "1..255 characters, 0 given"),
        (f"{'x' * 256}", "1..255 characters, 256 given"),
        (r'"a\tb"', "no control characters"),
        ("null", "expected text, given null"),
        ("[a]", "expected text, given a list"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name: str, message: str) -> None:
    assert message in error(f"tree: [{{entity_type: Root, name: {name}}}]")


def test_a_name_may_look_like_a_number() -> None:
    assert parse("tree: [{entity_type: Root, name: 007}]").tree[0].name == "007"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tree: [{name: x}]", "s.yaml:1: an entity of the tree: entity_type is missing"),
        ("tree: [{entity_type: Root}]", "s.yaml:1: an entity of type Root: name is missing"),
        ("tree: [{entity_type: Nope, name: x}]", "s.yaml:1: unknown type 'Nope'"),
        ("tree: [x]", "s.yaml:1: an entity of the tree: expected a mapping, given 'x'"),
        ("tree: x", "s.yaml:1: tree: expected a list, given 'x'"),
        (
            "tree: [{entity_type: Root, name: x, Age: 3}]",
            "unknown key 'Age'; expected entity_type, name, attributes, children",
        ),
    ],
)
def test_an_entity_that_cannot_be_says_why(text: str, message: str) -> None:
    assert message in error(text)


def test_there_is_one_root_and_it_stands_at_the_top() -> None:
    two = "tree:\n- {entity_type: Root, name: a}\n- {entity_type: Root, name: b}"
    assert error(two) == "s.yaml:3: a second Root, the first is on line 2"
    below = "tree:\n- entity_type: Object\n  name: a\n  children:\n  - {entity_type: Root, name: b}"
    assert error(below) == "s.yaml:5: the Root stands at the top of the tree, not below another entity"


def test_a_tree_is_as_deep_as_it_may_be_and_no_deeper() -> None:
    def nested(depth: int) -> str:
        return "tree: " + "[{entity_type: Object, name: x, children: " * depth + "[]" + "}]" * depth

    node = parse(nested(MAX_TREE)).tree[0]
    for _ in range(MAX_TREE - 1):
        (node,) = node.children
    assert error(nested(MAX_TREE + 1)) == f"s.yaml:1: the tree is deeper than {MAX_TREE} entities"


def test_a_tree_that_aliases_make_deep_is_refused() -> None:
    lines = ["schemas: []", "tree:", "- &a0 {entity_type: Object, name: x}"]
    lines += [f"- &a{n} {{entity_type: Object, name: x, children: [*a{n - 1}]}}" for n in range(1, 300)]
    assert f"the tree is deeper than {MAX_TREE} entities" in errors("\n".join(lines))[0]


def test_entities_may_be_repeated_by_alias() -> None:
    text = "tree:\n- {entity_type: Object, name: a, children: &c [{entity_type: Object, name: x}]}\n"
    file = parse(f"{text}- {{entity_type: Object, name: b, children: *c}}")
    assert file.tree[0].children == file.tree[1].children == [TreeNode("Object", "x")]


# -- whatever comes ----------------------------------------------------------------------------------------

_KEYS = ["schemas", "tree", "entity_type", "inherit", "fields", "name", "attributes", "children", "default_value"]
_KEYS += ["data_type", "choices", "rank", "storage_scope"]


def test_json_is_read_as_json_by_its_name_or_its_beginning() -> None:
    text = "a \x85 b \u2028 c"
    content = json.dumps(
        {"schemas": [{"entityType": "T", "fields": [{"name": "S", "dataType": "String", "default": text}]}]},
        ensure_ascii=False,
        indent="\t",
    )
    for name, mark in (("s.json", ""), ("s", ""), ("s.JSON", "\ufeff")):
        (schema,) = parse_schema_file(mark + content, name).schemas
        assert schema.fields[0].default == text
    assert parse_schema_file("{schemas: [{entity_type: T}]}", "s.yaml").schemas == [EntitySchema("T", ["Object"])]
    with pytest.raises(ConfigError, match=r"^s\.json:1: not JSON: expected a key in double quotes, given 'schemas:"):
        parse_schema_file("{schemas: []}", "s.json")


def test_a_key_twice_in_json_is_named_with_its_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_schema_file('{"schemas": [{"entityType": "T",\n"fields": [],\n"fields": []}]}', "s.json")
    assert caught.value.data["errors"] == ["s.json:3: a schema: 'fields' is given twice, first on line 2"]


_WORDS = st.sampled_from(
    [*_KEYS, "Root", "Object", "User", "Int", "Choice", "Name", "Age", "5", "null", "true", "!Int", "&a", "*a", "/Root"]
)
_TREES = st.recursive(_WORDS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=4))


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(map(_flow, value)) + "]" if isinstance(value, list) else str(value)


@given(schemas=_TREES, tree=_TREES)
def test_any_nodes_are_a_file_or_named_errors(schemas: Any, tree: Any) -> None:
    text = f"schemas: [{_flow(schemas)}]\ntree: [{_flow(tree)}]"
    found: list[str] = []
    try:
        parse_schema_file(text, "s.yaml")
    except ConfigError as exc:
        found = exc.data["errors"]
    assert all(re.match(r"s\.yaml:[12]: ", line) for line in found)


@given(
    st.lists(st.text(min_size=1), unique=True, min_size=1),
    st.text(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_json_values_come_through_to_the_bit(labels: list[str], text: str, number: int, real: float) -> None:
    fields = [
        {"name": "Text", "dataType": "String", "default": text},
        {"name": "Number", "dataType": "Int", "default": number},
        {"name": "Real", "dataType": "Float", "default": real},
        {"name": "Label", "dataType": "Choice", "default": labels[-1], "choices": labels},
    ]
    (schema,) = parse_schema_file(json.dumps({"schemas": [{"entityType": "T", "fields": fields}]}), "s").schemas
    assert [read.default for read in schema.fields] == [text, number, real, labels[-1]]
    assert schema.fields[3].choices == labels
