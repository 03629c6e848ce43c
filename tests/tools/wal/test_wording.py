from __future__ import annotations

from qcore.model.entry import Entry, EntryBody
from qcore_tools.wal.changes import Change, FieldChange
from qcore_tools.wal.lines import Line
from qcore_tools.wal.wording import for_people, moment
from tests.disk.samples import log_id

HEAD = "2026-09-21T14:13:20.000Z      7 t1  set"


def line(*fields: FieldChange, path: str = "/Root/ann") -> Line:
    entry = Entry(log_id(7), EntryBody(6, 0, "commands"))
    return Line(entry, 1_790_000_000_000_000_000, "set", changes=[Change("set", 2, "User", path, [*fields])])


def test_a_line_is_one_line_unless_a_terminal_is_narrower() -> None:
    told = line(FieldChange("Age", "30", "31"), FieldChange("Email", '""', '"a b"'))
    text = '/Root/ann (User) Age: 30 -> 31, Email: "" -> "a b"'
    assert for_people(told) == f"{HEAD}           {text}\n"
    assert for_people(told, 160) == for_people(told)
    assert for_people(told, 80) == f"{HEAD}\n    {text}\n"
    assert for_people(told, 40) == f'{HEAD}\n    /Root/ann (User) Age: 30 -> 31,\n    Email: "" -> "a b"\n'


def test_wide_characters_take_their_columns() -> None:
    told = line(path=f"/Root/{'名' * 20}")
    assert for_people(told, 110).count("\n") == 1
    assert for_people(told, 100).splitlines() == [HEAD, f"    /Root/{'名' * 20} (User)"]


def test_many_fields_and_changes_are_counted() -> None:
    told = line(*(FieldChange(f"F{number}", "0", "1") for number in range(30)))
    assert for_people(told).endswith("F19: 0 -> 1, and 10 more\n")
    told.changes.extend(told.changes * 29)
    assert for_people(told).endswith("; and 10 more\n")


def test_a_time_is_always_as_wide() -> None:
    assert moment(1_790_000_000_123_456_789) == "2026-09-21T14:13:20.123Z"
    assert moment(-1) == "1969-12-31T23:59:59.999Z"
    assert moment(None) == "-".ljust(24)
