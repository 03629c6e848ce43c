"""qcore-cli at a terminal: a prompt with history and completion, on a connection that heals itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from qcore.model.errors import QcoreError
from qcore_tools.cli.commands import COMMANDS, LEAVE
from qcore_tools.cli.runner import Runner
from qcore_tools.cli.words import split
from qcore_tools.console import DONE, UsageError, complain

__all__ = ["PROMPT", "WordCompleter", "converse", "history_file"]

PROMPT = "> "


class WordCompleter(Completer):
    """Completes the name of a command, and what HELP explains."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> list[Completion]:
        """What the word before the cursor may become."""
        *before, word = document.text_before_cursor.lstrip().split(" ")
        if before and [part.upper() for part in before] != ["HELP"]:
            return []
        lower = word.islower()
        names = sorted([name for command in COMMANDS for name in command.words] + ([] if before else list(LEAVE)))
        return [
            Completion(name.lower() if lower else name, start_position=-len(word))
            for name in names
            if name.startswith(word.upper())
        ]


def history_file() -> Path:
    """Where the history of the prompt is kept: ``qcore/cli_history`` in the XDG state folder."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return folder / "qcore" / "cli_history"


def _history() -> History:
    path = history_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


async def converse(runner: Runner) -> int:
    """Run what is typed until Ctrl-D, EXIT or QUIT; returns the exit code.

    Raises:
        ConnectionFailed: there was no server to begin with.
    """
    await runner.store()
    session: PromptSession[str] = PromptSession(history=_history(), completer=WordCompleter())
    while True:
        try:
            with patch_stdout():
                text = await session.prompt_async(PROMPT)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return DONE
        if not await _run_all(runner, text):
            return DONE


async def _run_all(runner: Runner, text: str) -> bool:
    """Run the lines that were typed or pasted; False when they ask to leave."""
    try:
        for sentence in split(text.splitlines()):
            if sentence.words[0].upper() in LEAVE:
                return False
            await _run_until_interrupted(runner, sentence.words)
    except UsageError as error:
        complain(f"(error) {error.kind}: {error.message}")
    return True


async def _run_until_interrupted(runner: Runner, words: Sequence[str]) -> None:
    """Run a command; Ctrl-C ends it and nothing else."""
    task = asyncio.create_task(runner.run(words))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    try:
        with suppress(asyncio.CancelledError):
            error: QcoreError | None = await task
            if error is not None:
                complain(f"(error) {error.kind}: {error.message}")
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    if task.cancelled():
        print("interrupted", file=sys.stderr)
