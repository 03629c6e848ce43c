"""What a start accepts in the folder of the log, and what it refuses by name."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from qcore.model.errors import Damaged
from tests.disk.life import header_of
from tests.disk.samples import append, body, entries, filled, log_id, names, open_node, prepare, record_of

LONG = "a name of several sectors " * 60


def tear(path: Path, *sectors: int, filler: bytes = b" ") -> None:
    """Undo what was written into some sectors of a file."""
    data = bytearray(path.read_bytes())
    for sector in sectors:
        data[sector * 512 : sector * 512 + 512] = filler * 512
    path.write_bytes(data)


def unacknowledge(path: Path) -> None:
    """Make the directory forget what was acknowledged."""
    (path / "committed.json").unlink()


@pytest.mark.parametrize("content", [b"", b" " * 4096, b"\0" * 100, b" " * 600 + b"\0" * 600])
def test_blank_files_above_the_last_entry_are_no_entries(tmp_path: Path, content: bytes) -> None:
    path = filled(tmp_path, 2)
    for index in (2, 3, 7):
        (path / "logs" / f"{index}.json").write_bytes(content)
    directory = open_node(tmp_path)
    assert directory.log.last == log_id(1)
    assert entries(directory) == [(0, 1), (1, 1)]
    directory.close()


@pytest.mark.parametrize("sectors", [[0], [1], [3], [0, 1, 2], [1, 2, 3], [0, 3]])
def test_a_torn_last_entry_that_nobody_was_promised_is_none(tmp_path: Path, sectors: list[int]) -> None:
    path = filled(tmp_path, 3, LONG, prepared=True)
    tear(path / "logs" / "2.json", *sectors)
    unacknowledge(path)
    directory = open_node(tmp_path)
    assert directory.log.last == log_id(1)
    assert (path / "logs" / "2.json").read_bytes() == b" " * 4096
    append(directory, 2, text="another")
    assert entries(directory) == [(0, 1), (1, 1), (2, 1)]
    directory.close()


@pytest.mark.parametrize("sectors", [[0], [1], [0, 1, 2]])
def test_a_torn_last_entry_that_was_acknowledged_is_damage(tmp_path: Path, sectors: list[int]) -> None:
    path = filled(tmp_path, 3, LONG, prepared=True)
    tear(path / "logs" / "2.json", *sectors)
    with pytest.raises(Damaged, match=r"logs/2\.json is damaged: .* which were stored, found parts of an entry"):
        open_node(tmp_path)


def test_a_last_entry_that_was_acknowledged_and_is_blank_is_damage(tmp_path: Path) -> None:
    path = filled(tmp_path, 3, prepared=True)
    (path / "logs" / "2.json").write_bytes(b" " * 4096)
    with pytest.raises(Damaged, match=r"logs/2\.json is damaged: .* which were stored, found a blank file"):
        open_node(tmp_path)


@pytest.mark.parametrize("sectors", [[0], [1], [3]])
@pytest.mark.parametrize("above", ["3.json", "5.json"])
def test_a_torn_entry_below_a_written_one_is_damage(tmp_path: Path, sectors: list[int], above: str) -> None:
    path = filled(tmp_path, 3, LONG, prepared=True) / "logs"
    (path / above).write_bytes(record_of(log_id(3), body()))
    tear(path / "2.json", *sectors)
    unacknowledge(path.parent)
    with pytest.raises(Damaged, match=r"logs/2\.json is damaged: expected (an entry|checksum)"):
        open_node(tmp_path)


def test_a_torn_entry_that_does_not_follow_the_last_one_is_damage(tmp_path: Path) -> None:
    path = filled(tmp_path, 3, LONG, prepared=True) / "logs"
    tear(path / "2.json", 1)
    (path / "1.json").unlink()
    unacknowledge(path.parent)
    with pytest.raises(Damaged, match=r"logs/1\.json is damaged: expected this entry below entry 2"):
        open_node(tmp_path)


def broken(data: bytes, how: str) -> bytes:
    """What was in a prepared file, after an accident that no power cut explains."""
    flipped = {"a bit of the head": 40, "a bit of the body": 700, "a bit of the blanks": 4_000}
    if how in flipped:
        at = flipped[how]
        return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
    return {
        "zeros in a sector": data[:512] + b"\0" * 512 + data[1024:],
        "zeros in the first sector": b"\0" * 512 + data[512:],
        "zeros beside a torn sector": data[:512] + b" " * 512 + b"\0" * 512 + data[1536:],
        "cut off": data[:1536],
        "cut off and torn": data[:512] + b" " * 512,
        "longer": data + b" " * 4096 + b"x",
        "torn within a sector": data[:512] + b" " * 511 + data[1023:],
        "torn, of no prepared size": data[:512] + b" " * 512 + data[1024:] + b" " * 512,
        "half a head": data[:100] + b" " * 412 + b" " * 512 + data[1024:],
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        "a bit of the head",
        "a bit of the body",
        "a bit of the blanks",
        "zeros in a sector",
        "zeros in the first sector",
        "zeros beside a torn sector",
        "cut off",
        "cut off and torn",
        "longer",
        "torn within a sector",
        "torn, of no prepared size",
        "half a head",
    ],
)
@pytest.mark.parametrize("index", [1, 2])
def test_an_accident_is_refused_by_name_even_if_nobody_was_promised_the_entry(
    tmp_path: Path, index: int, how: str
) -> None:
    path = filled(tmp_path, 3, LONG, prepared=True) / "logs"
    file = path / f"{index}.json"
    file.write_bytes(broken(file.read_bytes(), how))
    unacknowledge(path.parent)
    with pytest.raises(Damaged, match=rf"logs/{index}\.json is damaged"):
        open_node(tmp_path)


def test_swapped_files_are_refused_by_name(tmp_path: Path) -> None:
    path = filled(tmp_path, 3, prepared=True) / "logs"
    (path / "1.json").rename(path / "x")
    (path / "2.json").rename(path / "1.json")
    (path / "x").rename(path / "2.json")
    with pytest.raises(Damaged, match=r"logs/1\.json is damaged: expected entry 1 by its name, found entry 2"):
        open_node(tmp_path)


def test_an_entry_of_another_node_s_log_is_refused_by_name(tmp_path: Path) -> None:
    path = filled(tmp_path, 3, prepared=True) / "logs"
    (path / "1.json").write_bytes(record_of(log_id(1, term=7), body()).ljust(4096))
    with pytest.raises(Damaged, match=r"logs/2\.json is damaged: expected an entry that follows"):
        open_node(tmp_path)


def test_an_entry_blanked_in_the_middle_of_the_log_is_refused_by_name(tmp_path: Path) -> None:
    path = filled(tmp_path, 3, prepared=True) / "logs"
    (path / "1.json").write_bytes(b" " * 4096)
    unacknowledge(path.parent)
    with pytest.raises(Damaged, match=r"logs/1\.json is damaged: expected an entry, found blanks"):
        open_node(tmp_path)


def test_blanks_behind_a_record_are_accepted(tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    for index in range(3):
        file = path / "logs" / f"{index}.json"
        file.write_bytes(file.read_bytes().ljust(4096))
    directory = open_node(tmp_path)
    assert entries(directory) == [(0, 1), (1, 1), (2, 1)]
    directory.close()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_flipped_bit_is_refused_by_name(tmp_path: Path, index: int) -> None:
    path = filled(tmp_path, 3) / "logs" / f"{index}.json"
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)
    with pytest.raises(Damaged, match=rf"logs/{index}\.json is damaged: expected checksum"):
        open_node(tmp_path)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, index: int) -> None:
    path = filled(tmp_path, 3) / "logs" / f"{index}.json"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(Damaged, match=rf"logs/{index}\.json is damaged: expected at least"):
        open_node(tmp_path)


@pytest.mark.parametrize("index", [0, 1])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, index: int) -> None:
    path = filled(tmp_path, 3)
    (path / "logs" / f"{index}.json").unlink()
    with pytest.raises(Damaged, match=rf"logs/{index}\.json is damaged: expected this entry below entry {index + 1}"):
        open_node(tmp_path)


def test_an_entry_in_another_s_place_is_refused_by_name(tmp_path: Path) -> None:
    path = filled(tmp_path, 3) / "logs"
    shutil.copy(path / "1.json", path / "3.json")
    with pytest.raises(Damaged, match=r"logs/3\.json is damaged: expected entry 3 by its name, found entry 1"):
        open_node(tmp_path)


def test_an_entry_older_than_the_one_before_is_refused_by_name(tmp_path: Path) -> None:
    path = filled(tmp_path, 3) / "logs"
    (path / "3.json").write_bytes(record_of(log_id(3, term=0), body("old")))
    with pytest.raises(Damaged, match=r"logs/3\.json is damaged: expected an entry that follows"):
        open_node(tmp_path)


def test_a_damaged_directory_is_left_as_it_was_found(tmp_path: Path) -> None:
    path = filled(tmp_path, 3) / "logs"
    (path / "1.json").write_bytes(b"{}")
    (path / "3.json").write_bytes(b" " * 4096)
    with pytest.raises(Damaged):
        open_node(tmp_path)
    assert names(path.parent) == ["0.json", "1.json", "2.json", "3.json"]


@pytest.mark.parametrize("name", ["1 (copy).json", "01.json", "-1.json", "1.json.bak", "one.json", "１.json"])
def test_a_stray_file_is_never_taken_for_an_entry(tmp_path: Path, name: str) -> None:
    path = filled(tmp_path, 2) / "logs"
    shutil.copy(path / "1.json", path / name)
    directory = open_node(tmp_path)
    assert entries(directory) == [(0, 1), (1, 1)]
    assert any(name in warning for warning in directory.warnings)
    assert (path / name).exists()
    directory.close()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0, 40, 700, 4_000])
@pytest.mark.parametrize("index", [4, 6])
def test_a_flipped_bit_in_a_ready_file_is_blamed_on_that_file(tmp_path: Path, index: int, at: int) -> None:
    path = filled(tmp_path, 3) / "logs"
    for each in range(3, 8):
        (path / f"{each}.json").write_bytes(b" " * 4096)
    flip(path / f"{index}.json", at)
    with pytest.raises(Damaged) as caught:
        open_node(tmp_path)
    assert f"logs/{index}.json is damaged: expected nothing but blanks in a file that lies ready" in str(caught.value)
    assert "logs/3.json" not in str(caught.value)


def test_a_missing_purge_mark_is_blamed_on_its_file(tmp_path: Path) -> None:
    filled(tmp_path, 5)
    directory = open_node(tmp_path)
    writer = directory.snapshots.begin(header_of(2, 1), 1)
    writer.write(b"")
    writer.finish()
    directory.log.purge(log_id(1))
    prepare(directory)
    directory.close()
    (directory.path / "purged.json").unlink()
    with pytest.raises(
        Damaged, match=r"purged\.json is damaged: expected the mark .* as it begins at entry 2"
    ) as caught:
        open_node(tmp_path)
    assert "logs/" not in str(caught.value)


def test_every_damaged_file_is_named(tmp_path: Path) -> None:
    path = filled(tmp_path, 12)
    for each in range(12, 16):
        (path / "logs" / f"{each}.json").write_bytes(b" " * 4096)
    flip(path / "vote.json", 30)
    flip(path / "node.json", 30)
    for index in (1, 4, 14):
        flip(path / "logs" / f"{index}.json", 100)
    (path / "logs" / "6.json").unlink()
    (path / "logs" / "7.json").unlink()
    (path / "logs" / "9.json").write_bytes(b" " * 4096)
    with pytest.raises(Damaged) as caught:
        open_node(tmp_path)
    named = re.findall(r"(\w+)\.json is damaged", str(caught.value))
    assert named == ["node", "vote", "14", "1", "4", "6", "7", "9"]


@pytest.mark.parametrize("name", ["vote.json", "node.json", "purged.json", "committed.json", "logs/1.json"])
@pytest.mark.parametrize("how", ["a FIFO", "a symbolic link", "a folder"])
def test_what_is_no_file_is_named_and_never_opened(tmp_path: Path, name: str, how: str) -> None:
    path = filled(tmp_path, 3) / name
    held = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    if how == "a FIFO":
        os.mkfifo(path)
    elif how == "a folder":
        path.mkdir()
    else:
        (tmp_path / "elsewhere").write_bytes(held)
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match=rf"{name} is damaged: expected a file, found {how}"):
        open_node(tmp_path)


@pytest.mark.parametrize("name", ["logs", "snapshots"])
def test_a_folder_that_is_a_link_is_named_and_not_followed(tmp_path: Path, name: str) -> None:
    path = filled(tmp_path, 3) / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match=rf"{name} is damaged: expected a folder, found a symbolic link"):
        open_node(tmp_path)
