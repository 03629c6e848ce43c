"""qcore-cli at a terminal: a prompt with history and completion, on a connection that heals itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application.current import get_app_or_none
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.shortcuts import CompleteStyle

from qcore.model.errors import QcoreError
from qcore_tools.cli.commands import COMMANDS, LEAVE
from qcore_tools.cli.runner import Runner, complain_all
from qcore_tools.cli.schemas import KINDS
from qcore_tools.cli.words import BAR, PIPED, split
from qcore_tools.console import DONE, UsageError
from qcore_tools.terminal import note

__all__ = ["PROMPT", "WordCompleter", "converse", "history_file"]

PROMPT = "> "


class WordCompleter(Completer):
    """Completes the names of commands, those within others too, what HELP explains, and kinds of values."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> list[Completion]:
        """What the word before the cursor may become."""
        *before, word = document.text_before_cursor.lstrip().split(" ")
        lower = word.islower()
        return [
            Completion(name.lower() if lower else name, start_position=-len(word))
            for name in sorted(_candidates([part.upper() for part in before if part]))
            if name.startswith(word.upper())
        ]


def _candidates(before: Sequence[str]) -> Iterable[str]:
    """What may stand after these words, in upper case."""
    if not before:
        return [*_NAMES, *LEAVE]
    command = before
    if before[0] in PIPED:
        begin = max((place for place, word in enumerate(before) if word in _BEGINNERS), default=None)
        if begin is None:
            return ("IF", "THEN") if before == ["TX"] else ()
        command = before[begin + 1 :]
    if command[:1] == ["HELP"]:
        command = command[1:]
    if not command:
        return _NAMES
    if len(command) == 1 and _SECONDS.get(command[0]):
        return _SECONDS[command[0]]
    return KINDS if command[0] == "SETFSCH" and len(command) == 3 else ()


_WORDS = [name.split(" ") for command in COMMANDS for name in command.words]
_NAMES = sorted({words[0] for words in _WORDS})
_SECONDS = {first: [words[1] for words in _WORDS if words[0] == first and words[1:]] for first in _NAMES}
"""The second words of the commands whose name has two."""
_BEGINNERS = (BAR, "PIPELINE", "THEN")
"""Words after which a command begins."""


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
    return await _Conversation(runner).hold()


class _Conversation:
    """One terminal's turns at the prompt; Ctrl-C ends the line being typed or the command that runs, no more."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            completer=WordCompleter(),
            complete_style=CompleteStyle.READLINE_LIKE,
            complete_while_typing=False,
            reserve_space_for_menu=0,
        )
        self._running: asyncio.Task[Sequence[QcoreError]] | None = None

    async def hold(self) -> int:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        while True:
            try:
                with patch_stdout(raw=True):  # or the colour of what is announced meanwhile shows as ?[31m
                    text = await self._session.prompt_async(PROMPT, handle_sigint=False)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return DONE
            if not await self._run_all(text):
                return DONE

    async def _run_all(self, text: str) -> bool:
        """Run the lines that were typed or pasted; False when they ask to leave."""
        try:
            for sentence in split(text):
                if sentence.words[0].upper() in LEAVE:
                    return False
                if not await self._run(sentence.words):
                    break
        except UsageError as error:
            complain_all([error])
        return True

    async def _run(self, words: Sequence[str]) -> bool:
        """Run one command; False if it was interrupted."""
        self._running = asyncio.create_task(self._runner.run(words))
        try:
            errors = await self._running
        except asyncio.CancelledError:
            note("interrupted; a write may have been done all the same")
            return False
        finally:
            self._running = None
        if self._runner.format != "json":
            complain_all(errors)
        return True

    def _interrupt(self) -> None:
        if self._running is not None:
            self._running.cancel()
            return
        app = get_app_or_none()  # at the prompt, but the terminal was not yet in the mode where Ctrl-C is a key
        if app is not None and app.future is not None and not app.future.done():
            app.exit(exception=KeyboardInterrupt())
