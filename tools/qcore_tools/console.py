"""What all console tools do alike: exit codes, `--url`, errors, Ctrl-C, and output that nobody takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from qcore.client.urls import DEFAULT_URL, parse_urls
from qcore.model.errors import BadParams, ConnectionFailed, QcoreError
from qcore.version import VERSION
from qcore_tools.terminal import OutputError, complain, discard_output, write_result

__all__ = [
    "CONTEXT",
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "UNREACHABLE",
    "USAGE",
    "FileError",
    "UsageError",
    "exit_code",
    "names_option",
    "run_tool",
    "url_option",
    "version_option",
    "wait_option",
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


def wait_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--wait`; the tool gets the seconds as `wait`."""
    return click.option(
        "--wait",
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="SECONDS",
        help="Try for this long to reach a server that has a leader.",
    )(command)


def _read_names(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> list[str]:
    names = [name.strip() for text in given for name in text.split(",")]
    if "" in names:
        raise click.BadParameter("expected names with commas between them")
    return list(dict.fromkeys(names))


def names_option(
    flag: str, help: str, *others: str, check: Callable[[list[str]], list[str]] = list
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option for names, repeated or with commas; the tool gets a list, each name once.

    `others` are more flags for the same, and the name of the tool's parameter. `check` may change the names, or refuse
    them by `click.BadParameter`.
    """

    def read(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> list[str]:
        return check(_read_names(ctx, param, given))

    return click.option(flag, *others, multiple=True, metavar="A,B", callback=read, help=help)


def version_option(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `-V`, which prints the tool's name and version."""
    return click.version_option(VERSION, "-V", "--version", prog_name=name, message="%(prog)s %(version)s")


def run_tool(name: str, command: click.Command, args: Sequence[str] | None) -> int:
    """Run a tool's command line (None: the process's own); returns the exit code.

    A reader who closed the pipe has seen enough: that is no error. Output that cannot be written for another reason is
    one, though what was asked for may have been done.
    """
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    if args is None and variable in os.environ:
        return _complete(name, command, variable)
    try:
        with command.make_context(name, list(sys.argv[1:] if args is None else args)) as context:
            code = command.invoke(context)
        if sys.stdout is not None:
            write_result("")
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        complain(f"{name}: {error.format_message()} ({name} --help lists what there is)")
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return DONE
    except OutputError as error:
        discard_output()
        complain(f"{name}: {error}; what was asked for may have been done all the same")
        return FAILED
    except OSError as error:  # of click, which writes help and version itself
        discard_output()
        complain(f"{name}: {error.strerror or error}")
        return FAILED
    except QcoreError as error:
        complain(f"{name}: {error.message}")
        return exit_code(error)
    return code if isinstance(code, int) else DONE


def _complete(name: str, command: click.Command, variable: str) -> int:
    """Answer a shell what may stand next, as click does where it runs a command by itself."""
    from click.shell_completion import shell_complete  # here, as only a shell's Tab key needs it

    return shell_complete(command, {}, name, variable, os.environ[variable])
