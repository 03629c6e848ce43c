"""What a command is made into before it goes into the log."""

from __future__ import annotations

from typing import Any

import pytest

from qcore.model.documents.document import Document
from qcore.model.requests.commands import FieldChange, FieldSet, SchemaSet
from qcore.model.requests.compound import Pipeline
from qcore.model.requests.restore import Restore
from qcore.model.schema import EntitySchema
from qcore.server.config.settings import Settings
from qcore.server.writes.sealing import seal, set_limits


@pytest.mark.parametrize(("level", "kept"), [(1, False), (2, False), (3, True)])
def test_reset_is_logged_only_where_every_version_knows_it(level: int, kept: bool) -> None:
    """A version that knows no level above the one in force refuses records with a new member."""
    schema = SchemaSet(EntitySchema("T"), reset=True)
    field = FieldSet("T", "F", FieldChange(), reset=True)
    restore = Restore(Document([], []), reset=True)
    inner = SchemaSet(EntitySchema("T"), reset=True)
    commands: list[Any] = [schema, field, restore, Pipeline([inner])]
    for command in commands:
        set_limits(command, Settings(), level)
    assert [each.reset for each in (schema, field, restore, inner)] == [kept] * 4


def test_a_retry_has_the_same_hash_whatever_level_is_in_force() -> None:
    hashes = set()
    for level in (2, 3):
        command = SchemaSet(EntitySchema("T"), reset=True, session=1, seq=1)
        seal(command)
        set_limits(command, Settings(), level)
        hashes.add(command.hash)
    assert len(hashes) == 1
