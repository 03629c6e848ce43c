from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys

import pytest

from qcore.model.errors import NotFound
from qcore_tools.progress import waiting
from tests.process import DEADLINE
from tests.tools.running import environment

ON_A_TERMINAL = """
from qcore_tools import progress
progress.PAUSE = 0.0
with progress.Progress({given}) as shown:
    shown.advance({count})
print("done")
"""


BETWEEN = """
from qcore_tools import progress
progress.PAUSE = 0.0
with progress.Progress("bytes") as shown:
    shown.advance(1)
    shown.clear()
    print("line")
    shown.clear()
    shown.advance(1)
"""


def on_a_terminal(program: str) -> bytes:
    """What a terminal gets of a program."""
    main, terminal = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", program], stdout=terminal, stderr=terminal, env=environment(), check=True, timeout=60
        )
        return os.read(main, 1000)
    finally:
        os.close(terminal)
        os.close(main)


@pytest.mark.parametrize(
    ("given", "count", "line"),
    [
        ("'bytes'", 1234, b"1,234 bytes, 0 s"),
        ("'bytes', 200", 100, b"[###############...............]  50 %  100 bytes, 0 s"),
        ("'planning', counted=False", 0, b"planning, 0 s"),
    ],
)
def test_a_terminal_shows_how_far_it_is_and_the_line_goes_in_the_end(given: str, count: int, line: bytes) -> None:
    assert on_a_terminal(ON_A_TERMINAL.format(given=given, count=count)) == b"\r" + line + b"\x1b[K\r\x1b[Kdone\r\n"


def test_the_line_makes_room_for_what_is_written_meanwhile() -> None:
    one, two = (b"\r%d bytes, 0 s\x1b[K\r\x1b[K" % count for count in (1, 2))
    assert on_a_terminal(BETWEEN) == one + b"line\r\n" + two


async def test_who_waits_gets_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> int:
        return 7

    assert await waiting("planning", work()) == 7
    assert capsys.readouterr() == ("", "")


async def test_who_waits_gets_the_error() -> None:
    async def work() -> None:
        raise NotFound("gone")

    with pytest.raises(NotFound, match="gone"):
        await waiting("planning", work())


async def test_work_ends_with_who_waits_for_it() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(waiting("planning", work()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(DEADLINE):
        await ended.wait()
