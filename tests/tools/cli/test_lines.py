from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from qcore_tools.cli.lines import CHUNK, read_lines
from qcore_tools.console import FileError


async def lines_of(path: Path) -> list[str]:
    with path.open("rb") as file:
        return [line async for line in read_lines(file.fileno(), str(path))]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a\n", ["a"]),
        (b"a\n\nb", ["a", "", "b"]),
        ("ä\n€".encode(), ["ä", "€"]),
        (b"\xff\n", ["\udcff"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", ["a", "\ufeffb"]),
    ],
)
async def test_a_file_comes_line_by_line(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    path = tmp_path / "script"
    path.write_bytes(content)
    assert await lines_of(path) == expected


async def test_lines_and_characters_across_chunks_stay_whole(tmp_path: Path) -> None:
    expected = ["€" * CHUNK, "x", "é" * (CHUNK + 1)]
    path = tmp_path / "script"
    path.write_text("\n".join(expected))
    assert await lines_of(path) == expected


async def test_a_pipe_gives_each_line_as_it_comes() -> None:
    reader, writer = os.pipe()
    try:
        lines = read_lines(reader, "pipe")
        os.write(writer, b"one\ntw")
        assert await anext(lines) == "one"
        following = asyncio.ensure_future(anext(lines))
        os.write(writer, b"o\n")
        assert await following == "two"
    finally:
        os.close(writer)
    assert [line async for line in lines] == []
    os.close(reader)


async def test_what_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileError, match="cannot read script: Is a directory"):
            await anext(read_lines(directory, "script"))
    finally:
        os.close(directory)
