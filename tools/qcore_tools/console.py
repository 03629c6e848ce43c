"""What all console tools do alike: exit codes, `--url`, errors on standard error, Ctrl-C and closed pipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from qcore.client.urls import DEFAULT_URL, parse_urls
from qcore.model.errors import BadParams, ConnectionFailed, QcoreError
from qcore.version import VERSION

__all__ = [
    "CONTEXT",
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "UNREACHABLE",
    "USAGE",
    "FileError",
    "UsageError",
    "complain",
    "exit_code",
    "run_tool",
    "url_option",
    "version_option",
]

DONE, FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
"""Click's settings for every tool."""


class UsageError(QcoreError):
    """The words given are no request."""

    kind = "usage"


class FileError(QcoreError):
    """A file that cannot be read."""

    kind = "file"


def exit_code(error: QcoreError | None) -> int:
    """The exit code that stands for the outcome of a command."""
    if error is None:
        return DONE
    if isinstance(error, UsageError):
        return USAGE
    return UNREACHABLE if isinstance(error, ConnectionFailed) else FAILED


def complain(message: str) -> None:
    """Print an error for people: on standard error, red on a terminal unless NO_COLOR is set."""
    sys.stdout.flush()
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    click.echo(click.style(message, fg="red") if coloured else message, err=True)


def _read_urls(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> list[str]:
    try:
        return parse_urls(given or DEFAULT_URL)
    except BadParams as exc:
        raise click.BadParameter(exc.message) from None


def url_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--url`; the tool gets the list `urls`."""
    return click.option(
        "--url",
        "urls",
        multiple=True,
        metavar="URL",
        envvar="QCORE_URL",
        callback=_read_urls,
        help=f"Server to connect to; several (repeated, or with commas) are tried in order. [env: QCORE_URL; "
        f"default: {DEFAULT_URL}]",
    )(command)


def version_option(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `-V`, which prints the tool's name and version."""
    return click.version_option(VERSION, "-V", "--version", prog_name=name, message="%(prog)s %(version)s")


def run_tool(name: str, command: click.Command, args: Sequence[str] | None) -> int:
    """Run a tool's command line (None: the process's own); returns the exit code.

    A reader who closed the pipe has seen enough: that is no error.
    """
    try:
        with command.make_context(name, list(sys.argv[1:] if args is None else args)) as context:
            code = command.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        complain(f"{name}: {error.format_message()} ({name} --help lists what there is)")
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit finds no pipe
        return DONE
    except QcoreError as error:
        complain(f"{name}: {error.message}")
        return exit_code(error)
    return code if isinstance(code, int) else DONE
