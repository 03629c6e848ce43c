"""What is too long or too many in a command whatever the state is: refused before it is in the log.

Only what apply would refuse anyway, under any state; here it costs no bytes of log and nobody's time. Labels alone have
a bound that apply does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from qcore.model.errors import BadSchema, RequestError, TooLarge
from qcore.model.ids import MAX_NAME
from qcore.model.path import MAX_HOPS, MAX_PATH
from qcore.model.quoting import quoted
from qcore.model.requests.commands import Command, Create, Delete, FieldSet, SchemaDelete, SchemaSet, SetFields
from qcore.model.requests.compound import COMPOUND, Condition, Pipeline, Transaction
from qcore.model.requests.queries import MAX_PATHS, Query
from qcore.model.schema import MAX_COMPLETE, MAX_LABELS, EntitySchema
from qcore.model.values import MAX_SIZE, Kind
from qcore.model.wire import encode_json

__all__ = ["check_sizes"]

_MAX_TEXT = (MAX_SIZE + 2) // 3 * 4
"""Characters of the longest value as text: a Blob in base64."""

_MAX_FIELD_PATH = MAX_HOPS * (MAX_NAME + 2)

_MAX_QUERY_TEXT = 200_000
"""Characters of the longest text in a read: a cursor."""

_LONG_STEP = 64 << 10
"""Bytes of JSON up to which a step of a pipeline is left to apply, which answers each of them."""


def check_sizes(command: Command, max_list: int, max_fields: int) -> None:
    """Refuse what no store could take; a pipeline because of its long steps alone.

    Raises:
        TooLarge: names what it is, how much there may be, and how much was given.
        BadSchema: labels that cannot be.
    """
    if isinstance(command, COMPOUND):
        if isinstance(command, Transaction):
            for condition in command.conditions:
                _check_condition(condition)
        for number, step in enumerate(command.commands, 1):
            _check_step(command, step, number, max_list, max_fields)
    elif isinstance(command, SetFields):
        _check_set(command, max_list)
    elif isinstance(command, Create):
        _check_create(command, max_list, max_fields)
    elif isinstance(command, Delete):
        _check_id(command.id)
    elif isinstance(command, SchemaSet):
        schemas = [*(command.schemas or ()), *([command.schema] if command.schema else ())]
        _check_schemas(schemas, max_list, max_fields)
    elif isinstance(command, FieldSet):
        _check_name("type", command.type)
        _check_name("field", command.field)
        _check_default(command.field, command.schema.default, max_list)
        _check_labels(command.field, command.schema.choices or (), command.schema.data_type)
    elif isinstance(command, SchemaDelete):
        _check_name("type", command.type)


def _check_step(
    command: Pipeline | Transaction, step: Command | Query, number: int, max_list: int, max_fields: int
) -> None:
    try:
        if isinstance(step, Command):
            check_sizes(step, max_list, max_fields)
        else:
            _check_query(step)
    except RequestError as exc:
        if isinstance(command, Pipeline) and len(encode_json(step)) <= _LONG_STEP:
            return
        raise type(exc)(f"command {number}: {exc.message}", **exc.data, command=number) from None


def _check_query(query: Query) -> None:
    """A read among the steps, which is in the log with them."""
    for name in query.__struct_fields__:
        value = getattr(query, name)
        if type(value) is str:
            _check_count(f"{name} of a read", len(value), _MAX_QUERY_TEXT, "characters")
        elif type(value) is list:
            _check_count(f"{name} of a read", len(value), MAX_PATHS, "elements")
            for path in value:
                _check_path(path)


def _check_set(command: SetFields, max_list: int) -> None:
    _check_id(command.id)
    if type(command.time) is str:
        _check_count("a write time", len(command.time), MAX_NAME, "characters")
    if command.expect is not None:
        _check_given("expect", command.expect.value)
        _check_epoch(command.expect.epoch)
    writes = command.fields if command.fields is not None else {command.field or "": command.value}
    for path, value in writes.items():
        _check_path(path)
        _check_value(path, value, max_list)


def _check_create(command: Create, max_list: int, max_fields: int) -> None:
    _check_name("type", command.type)
    _check_name("entity", command.name)
    if command.parent is not None:
        _check_id(command.parent)
    _check_count("an entity", len(command.fields), max_fields, "fields")
    for name, value in command.fields.items():
        _check_name("field", name)
        _check_value(name, value, max_list)


def _check_condition(condition: Condition) -> None:
    _check_id(condition.id)
    if condition.field is not None:
        _check_path(condition.field)
    _check_given(condition.field or "", condition.value)
    _check_epoch(condition.epoch)


def _check_schemas(schemas: Iterable[EntitySchema], max_list: int, max_fields: int) -> None:
    total = 0
    for schema in schemas:
        _check_name("type", schema.entity_type)
        _check_count(f"type {schema.entity_type}", len(schema.fields), max_fields, "fields")
        total += len(schema.fields) + len(schema.inherits_from)
        _check_count("all types together", total, MAX_COMPLETE, "fields and ancestors")
        for name in schema.inherits_from:
            _check_name("type", name)
        for field in schema.fields:
            _check_name("field", field.name)
            _check_default(field.name, field.default, max_list)
            _check_labels(field.name, field.choices, field.data_type)


def _check_default(name: str, value: Any, max_list: int) -> None:
    if type(value) is list:
        _check_count(f"field {name}: a list", len(value), max_list, "elements")
    _check_given(name, value)


def _check_labels(name: str, labels: Sequence[str], kind: Kind | None) -> None:
    if not labels:
        return
    if kind is not None and kind is not Kind.Choice:
        raise BadSchema(f"field {name}: only a Choice has labels, this is a {kind}")
    _check_count(f"field {name}: a Choice", len(labels), MAX_LABELS, "labels")
    for label in labels:
        _check_count(f"field {name}: a label", len(label), MAX_SIZE, "characters")
    if len(set(labels)) != len(labels) or "" in labels:
        raise BadSchema(f"field {name}: labels are different and not empty, given {quoted(labels)}")


def _check_value(path: str, value: Any, max_list: int) -> None:
    """A new value; only Children may be a longer list, as it is a reordered one."""
    if type(value) is list and path.rpartition("->")[2] != "Children":
        _check_count(f"field {path}: a list", len(value), max_list, "elements")
    _check_given(path, value)


def _check_given(name: str, value: Any) -> None:
    """A value of any field, or the elements of a list."""
    if type(value) is list:
        if any(type(item) is str and len(item) > MAX_PATH for item in value):
            raise TooLarge(f"field {name[:MAX_NAME]}: an entity id or a path has at most {MAX_PATH} characters")
    else:
        _check_text(name, value)


def _check_text(name: str, value: Any) -> None:
    if type(value) is str and len(value) > _MAX_TEXT:
        raise TooLarge(
            f"field {name[:MAX_NAME]}: a String has at most {MAX_SIZE} characters, a Blob as many bytes; "
            f"{len(value)} characters given"
        )


def _check_id(form: int | str) -> None:
    if type(form) is str:
        _check_count("an entity id or a path", len(form), MAX_PATH, "characters")


def _check_path(path: str) -> None:
    _check_count("a field path", len(path), _MAX_FIELD_PATH, "characters")


def _check_epoch(epoch: str | None) -> None:
    if epoch is not None:
        _check_count("an epoch", len(epoch), MAX_NAME, "characters")


def _check_name(what: str, name: str) -> None:
    _check_count(f"the name of a{'n' if what[0] in 'e' else ''} {what}", len(name), MAX_NAME, "characters")


def _check_count(what: str, given: int, most: int, of: str) -> None:
    if given > most:
        raise TooLarge(f"{what} has at most {most} {of}, {given} given")
