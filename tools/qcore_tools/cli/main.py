"""The command line of qcore-cli: which commands to run, from where, how often and how to print them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any

import click

from qcore.model.errors import ConnectionFailed, QcoreError
from qcore_tools.cli.commands import COMMANDS, LEAVE
from qcore_tools.cli.lines import read_lines
from qcore_tools.cli.runner import Runner, complain_all
from qcore_tools.cli.words import BAR, PIPED, Sentence, Splitter, split
from qcore_tools.console import (
    CONTEXT,
    INTERRUPTED,
    FileError,
    UsageError,
    exit_code,
    run_tool,
    url_option,
    version_option,
    wait_option,
)
from qcore_tools.terminal import complain

__all__ = ["main", "qcore_cli"]

FOR_EVER = -1


def _complete_command(context: click.Context, _param: click.Parameter, start: str) -> list[str]:
    """Names of commands, in the case in which one was begun; what follows a name is for no shell to know."""
    if context.params.get("words"):
        return []
    names = (word.lower() if start.islower() else word for command in COMMANDS for word in command.words)
    return [name for name in names if name.startswith(start)]


@click.command(
    "qcore-cli",
    context_settings=CONTEXT | {"allow_interspersed_args": False},
    epilog="Exit codes: 0 done, 1 a command failed, 2 wrong usage, 3 no server to reach. HELP lists the commands.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND]...", shell_complete=_complete_command)
@click.option("-c", "commands", multiple=True, metavar="CMD", help="Run this command; may be repeated.")
@click.option(
    "--eval",
    "script",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Run the commands in a file, - for standard input, until one fails.",
)
@click.option(
    "-f",
    "--format",
    type=click.Choice(["human", "json", "csv", "raw"]),
    default="human",
    show_default=True,
    help="How results look.",
)
@click.option("--keep-going", is_flag=True, help="Go on after a command that failed.")
@click.option(
    "-r",
    "--repeat",
    type=click.IntRange(min=FOR_EVER),
    default=1,
    show_default=True,
    help=f"Run the commands this many times; {FOR_EVER}: until Ctrl-C.",
)
@click.option(
    "-i", "--interval", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Pause between repeats."
)
@click.option("--timing", is_flag=True, help="Print how long each command took, on standard error.")
@wait_option
@url_option
@version_option("qcore-cli")
def qcore_cli(
    words: tuple[str, ...],
    commands: tuple[str, ...],
    script: str | None,
    repeat: int,
    interval: float,
    keep_going: bool,
    urls: list[str],
    **printing: Any,
) -> int:
    """Talk to a qcore server: run one command, several, those in a file, or what you type.

    COMMAND is one command in the shell's own words (qcore-cli GET 12 Name). Without any command a terminal gets a
    prompt, and other standard input is run like a file.
    """
    if bool(words) + bool(commands) + bool(script) > 1:
        raise click.UsageError("a command, -c and --eval exclude each other")
    if not words and not commands and (repeat, interval) != (1, 0.0):
        raise click.UsageError("-r and -i need a command, or -c")
    if words or commands:
        sentences = [_with_bars(words)] if words else _split_all(commands)
        return asyncio.run(_run(Runner(urls, **printing), sentences, repeat, interval, keep_going))
    if script is None and sys.stdin is not None and sys.stdin.isatty():
        return asyncio.run(_converse(urls, printing))
    return asyncio.run(_eval(Runner(urls, **printing), script or "-", keep_going))


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code."""
    return run_tool("qcore-cli", qcore_cli, args)


def _with_bars(words: Sequence[str]) -> list[str]:
    """Words from a shell, which has read the quotes: a `|` alone separates commands where they may be several."""
    piped = words[0].upper() in PIPED
    return [BAR if piped and word == BAR else word for word in words]


def _split_all(commands: Sequence[str]) -> list[list[str]]:
    return [sentence.words for command in commands for sentence in split(command)]


async def _run(
    runner: Runner, sentences: Sequence[Sequence[str]], repeat: int, interval: float, keep_going: bool
) -> int:
    """Run commands, `repeat` times; returns the exit code of the first failure."""
    failed: QcoreError | None = None
    async with runner:
        while repeat:
            for words in sentences:
                errors = await runner.run(words)
                if runner.listeners.interrupted:
                    return INTERRUPTED
                if not errors:
                    continue
                if runner.format != "json":
                    complain_all(errors)
                failed = failed or errors[0]
                if not keep_going or isinstance(errors[0], ConnectionFailed):
                    return exit_code(failed)
            repeat -= repeat > 0
            if repeat:
                await asyncio.sleep(interval)
        if runner.listeners and sentences[-1][0].upper() == "LISTEN":  # there is nothing else it could be for
            errors = await runner.run(["POLL"])
            if runner.format != "json":
                complain_all(errors)
            return exit_code(errors[0]) if errors else INTERRUPTED
    return exit_code(failed)


async def _eval(runner: Runner, script: str, keep_going: bool) -> int:
    """Run the commands in a file; returns the exit code of the first failure."""
    failed: QcoreError | None = None
    name = "<stdin>" if script == "-" else script
    fd = 0 if script == "-" else _opened(script)
    try:
        async with runner:
            async for sentence in _sentences(read_lines(fd, name)):
                if isinstance(sentence, UsageError):
                    complain(f"{name}:{sentence.data['line']}: {sentence.kind}: {sentence.message}")
                    return exit_code(failed or sentence)
                if sentence.words[0].upper() in LEAVE:
                    break
                errors = await runner.run(sentence.words)
                if runner.listeners.interrupted:
                    return INTERRUPTED
                if not errors:
                    continue
                for error in errors:
                    complain(f"{name}:{sentence.line}: {error.kind}: {error.message}")
                failed = failed or errors[0]
                if not keep_going or isinstance(errors[0], ConnectionFailed):
                    break
    finally:
        if fd:
            os.close(fd)
    return exit_code(failed)


def _opened(script: str) -> int:
    try:
        return os.open(script, os.O_RDONLY)
    except OSError as exc:
        raise FileError(f"cannot read {script}: {exc.strerror}") from None


async def _sentences(lines: AsyncIterable[str]) -> AsyncIterator[Sentence | UsageError]:
    """The commands in lines; a quote that is never closed comes last, as the error it is."""
    splitter = Splitter(comments=True)
    async for line in lines:
        if (sentence := splitter.feed(line)) is not None:
            yield sentence
    try:
        last = splitter.finish()
    except UsageError as error:
        yield error
        return
    if last is not None:
        yield last


async def _converse(urls: Sequence[str], printing: dict[str, Any]) -> int:
    from qcore_tools.cli.prompt import converse  # here, as it takes a while and only a terminal needs it

    async with Runner(urls, **printing, on_lost=_announce_loss, on_connected=_announce_connection) as runner:
        return await converse(runner)


def _announce_loss(reason: str) -> None:
    complain(f"{reason}; trying to reach a server again")


def _announce_connection(url: str) -> None:
    complain(f"connected to {url}")
