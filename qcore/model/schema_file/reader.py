"""The schema file: YAML or JSON text to schemas and a tree, or every error in it with its line.

Everything that can be known without a store is checked here: names, kinds, defaults, inheritance, and whether
the tree's attributes fit their fields. Ids and paths are only checked to be well formed; what they lead to is
found when the file is loaded. Opening the file and loading it once are the server's and the store's.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from hashlib import blake2b
from typing import Any, get_args

import msgspec
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from qcore.model.errors import BadSchema, BadValue, Cycle, RequestError
from qcore.model.ids import MAX_ID, check_entity_name, is_identifier, parse_id, split_typed_id
from qcore.model.path import split_path
from qcore.model.requests.commands import TreeNode
from qcore.model.schema import (
    BUILTIN,
    CompleteField,
    CompleteSchema,
    EntitySchema,
    FieldSchema,
    Scope,
    Types,
    check_schema,
)
from qcore.model.schema_file.json_nodes import compose_json, looks_like_json
from qcore.model.schema_file.yaml_nodes import Keyed, Problems, compose, is_null, line_of, plain_value, text_of
from qcore.model.values import Kind, parse_value

__all__ = ["MAX_TREE", "SchemaFile", "parse_schema_file", "schema_file_digest"]

MAX_TREE = 120
"""Deepest tree a file may hold; the store's own bound may be lower."""

_FILE_KEYS = {"schemas": "schemas", "tree": "tree"}
_SCHEMA_KEYS = {
    "entity_type": "entity_type",
    "entityType": "entity_type",
    "inherit": "inherit",
    "inherits_from": "inherit",
    "inheritsFrom": "inherit",
    "fields": "fields",
}
_FIELD_KEYS = {
    "data_type": "data_type",
    "dataType": "data_type",
    "default_value": "default_value",
    "default": "default_value",
    "rank": "rank",
    "choices": "choices",
    "storage_scope": "storage_scope",
    "storageScope": "storage_scope",
}
_LISTED_FIELD_KEYS = {"name": "name", **_FIELD_KEYS}
_NODE_KEYS = {
    "entity_type": "entity_type",
    "entityType": "entity_type",
    "name": "name",
    "Name": "name",
    "attributes": "attributes",
    "children": "children",
    "Children": "children",
}

_KINDS: tuple[str, ...] = tuple(kind.value for kind in Kind)
_SCOPES: tuple[Scope, ...] = get_args(Scope)
_BARE = {bool: Kind.Bool, int: Kind.Int, float: Kind.Float, str: Kind.String}
_NATIVE: dict[Kind, tuple[type, ...]] = {
    Kind.Bool: (bool,),
    Kind.Int: (int,),
    Kind.Float: (int, float),
    Kind.EntityReference: (int,),
    Kind.EntityList: (int,),
}
"""What an unquoted scalar may become for a field of that kind; otherwise it is its text, for the kind to judge."""


class SchemaFile(msgspec.Struct):
    """What a schema file brings. `digest` is blake2b-256 of the text's UTF-8 bytes, in hex."""

    schemas: list[EntitySchema]
    tree: list[TreeNode]
    digest: str


def parse_schema_file(text: str, file_name: str = "schemas.yaml") -> SchemaFile:
    """Read a schema file, of which `file_name` is told in errors; it is JSON if its name ends so, or if it can be.

    Schemas come in the file's order and in normal form (ranks given, defaults by their kind, Object inherited).

    Raises:
        ConfigError: one ``file:line: message`` per error, and the same as a list in `data["errors"]`.
    """
    problems = Problems(file_name)
    root = _compose(text, file_name, problems)
    schemas: list[EntitySchema] = []
    tree: list[TreeNode] = []
    if root is not None:
        top = problems.keys(root, "the file", _FILE_KEYS) or {}
        reader = _SchemaReader(problems)
        reader.read(top.get("schemas"))
        types = reader.types()
        tree = _TreeReader(problems, types, reader.unsure).read(top.get("tree"))
        problems.raise_if_any()
        schemas = [types.own[name] for name in reader.schemas]
    return SchemaFile(schemas, tree, schema_file_digest(text))


def _compose(text: str, file_name: str, problems: Problems) -> Node | None:
    if file_name.lower().endswith(".json"):
        root = compose_json(text, problems)
        problems.raise_if_any()
        return root
    json = compose_json(text, Problems(file_name)) if looks_like_json(text) else None
    return compose(text, _KINDS, problems) if json is None else json


def schema_file_digest(text: str) -> str:
    """The `digest` of a schema file without reading it, to tell whether it is the one that was loaded."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


def _untagged(node: Node, what: str, problems: Problems) -> tuple[Kind | None, Node] | None:
    """Take ``!Int 5`` or ``{Int: 5}`` apart into kind and value; None after noting a tag nobody knows."""
    if node.tag.startswith("!"):
        return Kind(node.tag[1:]), node
    if not isinstance(node, MappingNode):
        return None, node
    if len(node.value) == 1:
        key, value = node.value[0]
        tag = text_of(key)
        if tag in _KINDS and not isinstance(value, MappingNode) and not value.tag.startswith("!"):
            return Kind(tag), value
    keys = ", ".join(str(key.value) for key, _ in node.value if isinstance(key, ScalarNode))
    known = ", ".join(_KINDS)
    problems.add(line_of(node), f"{what}: expected a value, or one under its tag ({known}), given a mapping of {keys}")
    return None


def _json_of(node: Node, kind: Kind, what: str, problems: Problems) -> tuple[Any] | None:
    """The JSON value a node stands for in a field of `kind`, in a tuple; None after noting what is none."""
    if isinstance(node, ScalarNode):
        return (_scalar(node, kind),)
    if isinstance(node, SequenceNode) and all(isinstance(item, ScalarNode) for item in node.value):
        return ([_scalar(item, kind) for item in node.value],)
    problems.add(line_of(node), f"{what}: expected a scalar or a list of scalars")
    return None


def _scalar(node: ScalarNode, kind: Kind) -> Any:
    value = plain_value(node)
    return value if value is None or type(value) in _NATIVE.get(kind, ()) else str(node.value)


class _SchemaReader:
    """Reads `schemas`. `unsure` are the types with errors: what follows from them is not held against the tree."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._lines: dict[str, int] = {}
        self._parents: dict[str, list[tuple[str, int]]] = {}
        self._section = 1
        self.schemas: dict[str, EntitySchema] = {}
        self.unsure: set[str] = set()

    def read(self, node: Node | None) -> None:
        """Read every schema of the list."""
        self._section = line_of(node) if node is not None else 1
        for item in self._problems.items(node, "schemas"):
            self._schema(item)

    def types(self) -> Types:
        """All types of the file and the built-in ones; bad parents are noted and left out."""
        for name, parents in self._parents.items():
            for parent, line in parents:
                if parent not in self.schemas and parent not in BUILTIN:
                    self._problems.add(line, f"type {name} inherits the unknown type {parent!r}")
                    self._disinherit(name, [parent])
        self._break_cycles()
        try:
            return Types().with_schemas(self.schemas.values())
        except (BadSchema, Cycle) as exc:
            self._problems.add(self._section, exc.message)
            self.unsure.update(self.schemas)
            return Types().with_schemas(EntitySchema(name) for name in self.schemas)

    def _break_cycles(self) -> None:
        while True:
            graph = {name: schema.inherits_from for name, schema in self.schemas.items()}
            try:
                TopologicalSorter(graph).prepare()
                return
            except CycleError as exc:
                ring = exc.args[1][:0:-1]
            first = min(range(len(ring)), key=lambda place: self._lines[ring[place]])
            ring = ring[first:] + ring[: first + 1]
            self._problems.add(self._lines[ring[0]], f"types inherit each other: {' -> '.join(ring)}")
            for name in ring:
                self._disinherit(name, ring)

    def _disinherit(self, name: str, parents: list[str]) -> None:
        schema = self.schemas[name]
        schema.inherits_from = [parent for parent in schema.inherits_from if parent not in parents]
        self.unsure.add(name)

    def _schema(self, node: Node) -> None:
        before = len(self._problems)
        keys = self._problems.keys(node, "a schema", _SCHEMA_KEYS)
        if keys is None:
            return
        if "entity_type" not in keys:
            self._problems.add(line_of(node), "a schema: entity_type is missing")
            return
        line = line_of(keys["entity_type"])
        name = self._problems.text(keys["entity_type"], "entity_type")
        if name is None:
            return
        parents = self._inherited(keys.get("inherit"), name)
        self._judge(EntitySchema(name, [parent for parent, _ in parents]), line)
        fields = self._fields(keys.get("fields"), name)
        if name in self.schemas:
            self._problems.add(line, f"type {name} is given twice, first on line {self._lines[name]}")
        elif _may_be_set(name):
            unique = list(dict.fromkeys(parent for parent, _ in parents))
            self.schemas[name] = EntitySchema(name, unique, fields)
            self._lines[name], self._parents[name] = line, parents
        if len(self._problems) > before and name != "Object":
            self.unsure.add(name)

    def _inherited(self, node: Node | None, name: str) -> list[tuple[str, int]]:
        what = f"type {name}, inherit"
        listed = [node] if isinstance(node, ScalarNode) and not is_null(node) else self._problems.items(node, what)
        texts = [(self._problems.text(item, what), line_of(item)) for item in listed]
        return [(text, line) for text, line in texts if text is not None]

    def _fields(self, node: Node | None, owner: str) -> list[FieldSchema]:
        # A type name that cannot be has its own error; its fields are judged under one that can.
        judged_as = owner if _may_be_set(owner) else "Type"
        fields: list[FieldSchema] = []
        lines: dict[str, int] = {}
        for name, line, keys in self._field_keys(node, owner):
            if name in lines:
                self._problems.add(line, f"type {owner} has the field {name} twice, first on line {lines[name]}")
                continue
            lines[name] = line
            field = _FieldReader(self._problems, f"field {owner}.{name}").read(name, line, keys)
            if field is not None and self._judge(EntitySchema(judged_as, [], [field]), line):
                fields.append(field)
        return fields

    def _field_keys(self, node: Node | None, owner: str) -> Iterator[tuple[str, int, dict[str, Node]]]:
        """Name, line and keys of each field, from a mapping by name or a list of mappings with names."""
        if node is None:
            return
        if not isinstance(node, SequenceNode):
            for name, (line, value) in (self._problems.mapping(node, f"type {owner}, fields") or {}).items():
                keys = self._problems.keys(value, f"field {owner}.{name}", _FIELD_KEYS)
                if keys is not None:
                    yield name, line, keys
            return
        for item in node.value:
            keys = self._problems.keys(item, f"a field of type {owner}", _LISTED_FIELD_KEYS)
            if keys is None:
                continue
            named = keys.pop("name", None)
            if named is None:
                self._problems.add(line_of(item), f"a field of type {owner}: name is missing")
                continue
            text = self._problems.text(named, f"a field of type {owner}, name")
            if text is not None:
                yield text, line_of(named), keys

    def _judge(self, schema: EntitySchema, line: int) -> bool:
        try:
            check_schema(schema)
        except BadSchema as exc:
            self._problems.add(line, exc.message)
            return False
        return True


def _may_be_set(name: str) -> bool:
    return is_identifier(name) and name != "Object"


class _FieldReader:
    """Reads one field's keys; `what` names it in errors."""

    def __init__(self, problems: Problems, what: str) -> None:
        self._problems = problems
        self._what = what

    def read(self, name: str, line: int, keys: dict[str, Node]) -> FieldSchema | None:
        """Return the field, None where its kind or its default could not be read."""
        rank = self._rank(keys.get("rank"))
        choices = self._choices(keys.get("choices"))
        scope = self._scope(keys.get("storage_scope"))
        default = keys.get("default_value")
        said = self._data_type(keys["data_type"]) if "data_type" in keys else None
        if "data_type" in keys and said is None:
            return None
        if default is None:
            if said is None:
                self._problems.add(line, f"{self._what}: expected a data_type, or a default_value that shows the kind")
                return None
            return FieldSchema(name, said, None, rank, choices, scope)
        untagged = _untagged(default, f"{self._what}, default_value", self._problems)
        if untagged is None:
            return None
        kind = self._kind(said, *untagged)
        value = None if kind is None else _json_of(untagged[1], kind, f"{self._what}, default_value", self._problems)
        return None if kind is None or value is None else FieldSchema(name, kind, value[0], rank, choices, scope)

    def _data_type(self, node: Node) -> Kind | None:
        text = self._problems.text(node, f"{self._what}, data_type")
        if text in _KINDS:
            return Kind(text)
        if text is not None:
            known = ", ".join(_KINDS)
            self._problems.add(line_of(node), f"{self._what}: unknown data_type {text!r}; expected one of {known}")
        return None

    def _kind(self, said: Kind | None, tag: Kind | None, value: Node) -> Kind | None:
        """The kind of a default: what data_type says, else its tag, else what the bare value is."""
        if said is not None and tag is not None and said is not tag:
            self._problems.add(line_of(value), f"{self._what}: data_type is {said}, but the default's tag is {tag}")
            return None
        kind = said or tag
        if kind is None and isinstance(value, ScalarNode) and not is_null(value):
            kind = _BARE[type(plain_value(value))]
        if kind is None:
            given = "null" if is_null(value) else "a list"
            advice = "add data_type, or a tag as in {EntityReference: null}"
            self._problems.add(line_of(value), f"{self._what}: {given} does not show the kind; {advice}")
        return kind

    def _rank(self, node: Node | None) -> int | None:
        if node is None or is_null(node):
            return None
        value = plain_value(node) if isinstance(node, ScalarNode) and not node.tag.startswith("!") else None
        if type(value) is int:
            return value
        given = repr(node.value) if isinstance(node, ScalarNode) else "something else"
        self._problems.add(line_of(node), f"{self._what}: expected a whole number as rank, given {given}")
        return None

    def _choices(self, node: Node | None) -> list[str]:
        what = f"{self._what}, choices"
        labels = [self._problems.text(item, what) for item in self._problems.items(node, what)]
        return [label for label in labels if label is not None]

    def _scope(self, node: Node | None) -> Scope:
        if node is not None and not is_null(node):
            text = text_of(node)
            for scope in _SCOPES:
                if text == scope:
                    return scope
            given = "something else" if text is None else repr(text)
            known = " or ".join(_SCOPES)
            self._problems.add(line_of(node), f"{self._what}: expected storage_scope {known}, given {given}")
        return "Configuration"


class _TreeReader:
    """Reads `tree` against the types; types that inherit an unsure one may have fields we could not read."""

    def __init__(self, problems: Problems, types: Types, unsure: set[str]) -> None:
        self._problems = problems
        self._types = types
        self._unsure = unsure
        self._root = 0

    def read(self, node: Node | None) -> list[TreeNode]:
        """Read the list of nodes; one mapping alone is a list of one."""
        if isinstance(node, MappingNode):
            return self._nodes([node], 1)
        return self._nodes(self._problems.items(node, "tree"), 1)

    def _nodes(self, nodes: list[Node], depth: int) -> list[TreeNode]:
        if nodes and depth > MAX_TREE:
            self._problems.add(line_of(nodes[0]), f"the tree is deeper than {MAX_TREE} entities")
            return []
        return [read for node in nodes if (read := self._node(node, depth)) is not None]

    def _node(self, node: Node, depth: int) -> TreeNode | None:
        line = line_of(node)
        keys = self._problems.keys(node, "an entity of the tree", _NODE_KEYS)
        if keys is None:
            return None
        entity_type = self._type(keys.get("entity_type"), line, depth)
        what = "an entity of the tree" if entity_type is None else f"an entity of type {entity_type}"
        attributes: Keyed = {}
        if "attributes" in keys:
            attributes = self._problems.mapping(keys["attributes"], f"{what}, attributes") or {}
        name = self._name(keys.get("name"), attributes.pop("Name", None), line, what)
        fields = self._attributes(attributes, entity_type)
        children = self._nodes(self._problems.items(keys.get("children"), f"{what}, children"), depth + 1)
        return None if entity_type is None or name is None else TreeNode(entity_type, name, fields, children)

    def _type(self, node: Node | None, line: int, depth: int) -> str | None:
        if node is None:
            self._problems.add(line, "an entity of the tree: entity_type is missing")
            return None
        name = self._problems.text(node, "entity_type")
        if name is not None and name not in self._types.own and name not in self._unsure:
            self._problems.add(line_of(node), f"unknown type {name!r}")
        if name == "Root":
            if depth > 1:
                self._problems.add(line_of(node), "the Root stands at the top of the tree, not below another entity")
            elif self._root:
                self._problems.add(line_of(node), f"a second Root, the first is on line {self._root}")
            self._root = self._root or line_of(node)
        return name

    def _name(self, node: Node | None, attribute: tuple[int, Node] | None, line: int, what: str) -> str | None:
        given = [place for place in (node, attribute[1] if attribute else None) if place is not None]
        if not given:
            self._problems.add(line, f"{what}: name is missing")
            return None
        names = [self._problems.text(place, f"{what}, name") for place in given]
        if names[0] is None or names[-1] is None:
            return None
        if names[0] != names[-1]:
            both = f"name {names[0]!r} and the attribute Name {names[-1]!r}"
            self._problems.add(line_of(given[-1]), f"{what}: {both} differ; give one")
        try:
            return check_entity_name(names[0])
        except BadValue as exc:
            self._problems.add(line_of(given[0]), f"{what}: {exc.message}")
            return None

    def _attributes(self, attributes: Keyed, entity_type: str | None) -> dict[str, Any]:
        schema = self._types.complete.get(entity_type or "")
        fields: dict[str, Any] = {}
        for name, (line, node) in attributes.items():
            if name in ("Parent", "Children"):
                self._problems.add(line, f"{name} is no attribute of the tree: its place there says it")
            elif schema is not None and name in schema.by_name:
                value = self._value(schema.by_name[name], f"field {entity_type}.{name}", node)
                if value is not None:
                    fields[name] = value[0]
            elif schema is not None and not self._is_unsure(schema):
                self._problems.add(line, f"type {entity_type} has no field {name!r}")
        return fields

    def _is_unsure(self, schema: CompleteSchema) -> bool:
        return not self._unsure.isdisjoint(schema.ancestors)

    def _value(self, field: CompleteField, what: str, node: Node) -> tuple[Any] | None:
        untagged = _untagged(node, what, self._problems)
        if untagged is None:
            return None
        tag, inner = untagged
        if tag is not None and tag is not field.kind:
            self._problems.add(line_of(inner), f"{what}: expected {field.kind}, given the tag {tag}")
            return None
        if is_null(inner) and field.kind is not Kind.EntityReference:
            advice = "leave the attribute out for the field's default, or quote the text"
            self._problems.add(line_of(inner), f"{what}: expected {field.kind}, given null; {advice}")
            return None
        value = _json_of(inner, field.kind, what, self._problems)
        if value is not None:
            self._fits(field, what, value[0], line_of(inner))
        return value

    def _fits(self, field: CompleteField, what: str, value: Any, line: int) -> None:
        try:
            parse_value(field.kind, what.removeprefix("field "), value, field.labels, _well_formed)
        except RequestError as exc:
            message = exc.message if exc.message.startswith("field ") else f"{what}: {exc.message}"
            self._problems.add(line, message)
            return
        if isinstance(value, list) and len(set(map(str, value))) < len(value):
            self._problems.add(line, f"{what}: an entity stands twice in the list")


def _well_formed(form: Any) -> int:
    """Stand in for the store's resolver: any id or path that could be one is good.

    Raises:
        RequestError: it is no id in any form.
    """
    if isinstance(form, str) and form.startswith("/"):
        split_path(form)
        return 1
    number = form if isinstance(form, int) else parse_id(form)
    if number is None:
        number = split_typed_id(form)[1]
    if not 1 <= number <= MAX_ID:
        raise BadValue(f"an entity id is 1..{MAX_ID}, given {form!r}")
    return 1
