from __future__ import annotations

import array
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.server.runtime.journal import JournalSocket, encode_fields, stderr_is_journal


class Journald:
    """A socket as that of journald, and what comes to it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(30)

    def fields(self) -> dict[str, str]:
        """The next line."""
        data, memory, _, _ = self._socket.recvmsg(1 << 20, 64)
        for level, kind, content in memory:
            assert (level, kind, data) == (socket.SOL_SOCKET, socket.SCM_RIGHTS, b"")
            (descriptor,) = array.array("i", content)
            with os.fdopen(descriptor, "rb") as file:
                assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == 15
                file.seek(0)
                data = file.read()
        return decode(data)

    def close(self) -> None:
        self._socket.close()
        os.unlink(self.path)


def decode(data: bytes) -> dict[str, str]:
    """Read fields as journald does."""
    found = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        found[name.decode("ascii")] = value.decode("utf-8")
    return found


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    made = Journald(tmp_path / "socket")
    yield made
    made.close()


@given(st.dictionaries(st.from_regex("[A-Z][A-Z0-9_]{0,40}", fullmatch=True), st.text()))
def test_what_is_written_is_what_the_journal_reads(fields: dict[str, str]) -> None:
    fields = {name: value.encode("utf-8", "backslashreplace").decode() for name, value in fields.items()}
    assert decode(encode_fields(fields)) == fields


def test_names_become_those_that_the_journal_takes() -> None:
    assert decode(encode_fields({"qcore_höhe": "3", "X" * 100: "y"})) == {"QCORE_H_HE": "3", "X" * 64: "y"}


def test_a_line_is_one_datagram(journald: Journald) -> None:
    journal = JournalSocket(journald.path)
    assert journal.connect()
    assert journal.send({"MESSAGE": "two\nlines", "PRIORITY": "6"})
    assert journald.fields() == {"MESSAGE": "two\nlines", "PRIORITY": "6"}
    journal.close()


def test_a_line_that_is_too_long_for_a_datagram_goes_as_sealed_memory(journald: Journald) -> None:
    journal = JournalSocket(journald.path)
    assert journal.connect()
    text = "x" * (16 << 20)
    assert journal.send({"MESSAGE": text})
    assert journald.fields() == {"MESSAGE": text}
    journal.close()


def test_a_journald_that_takes_nothing_holds_nobody_up(journald: Journald) -> None:
    journal = JournalSocket(journald.path)
    assert journal.connect()
    sent = 0
    while journal.send({"MESSAGE": "x"}):
        sent += 1
    for _ in range(sent):
        journald.fields()
    assert journal.send({"MESSAGE": "y"})
    assert journald.fields() == {"MESSAGE": "y"}
    journal.close()


def test_a_journald_that_was_started_anew_is_found_again(tmp_path: Path) -> None:
    first = Journald(tmp_path / "socket")
    journal = JournalSocket(first.path)
    assert journal.connect()
    first.close()
    assert not journal.send({"MESSAGE": "unheard"})
    second = Journald(tmp_path / "socket")
    assert journal.send({"MESSAGE": "heard"})
    assert second.fields() == {"MESSAGE": "heard"}
    second.close()
    journal.close()


def test_without_a_journald_nothing_is_sent(tmp_path: Path) -> None:
    journal = JournalSocket(str(tmp_path / "nobody"))
    assert not journal.connect()
    assert not journal.send({"MESSAGE": "unheard"})


def test_stderr_is_the_journal_only_where_device_and_inode_say_so() -> None:
    found = os.fstat(2)
    assert stderr_is_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
    assert not stderr_is_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
    assert not stderr_is_journal({})
