"""The command line of ``qcore``: takes the flags, runs the daemon or a sub-command, and turns errors into exit codes.

What the daemon does stands in daemon.py, which is imported only when it is to run.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import click

from qcore.engine.factory import available_engines
from qcore.model.errors import Fatal
from qcore.server.config.command import config
from qcore.server.config.options import GroupedHelp, given, options
from qcore.server.offline.check import check
from qcore.server.offline.cluster import cluster
from qcore.server.offline.recover import recover
from qcore.version import VERSION

__all__ = ["qcore", "run_command_line"]


def _print_version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(f"qcore {VERSION} (engines: {', '.join(available_engines())})")
        ctx.exit()


@click.group(
    "qcore",
    cls=GroupedHelp,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Each flag is also a variable (QCORE_MAX_LIST) and a key of the settings file (max_list). Flags win over "
    "variables, and those over files.",
)
@options()
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.pass_context
def qcore(ctx: click.Context, /, **_settings: Any) -> None:
    """Run a node of qcore, the real-time entity store, until it is told to stop."""
    ctx.obj = given(ctx)
    if ctx.invoked_subcommand is None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it asks a daemon to reload, which is not there yet
        loaded = ctx.obj.load()
        from qcore.server.daemon import run  # here, as the sub-commands do without it

        ctx.exit(run(loaded, ctx.obj.load))


qcore.add_command(check)
qcore.add_command(cluster)
qcore.add_command(config)
qcore.add_command(recover)


def run_command_line(args: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of the process, and return the exit code.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    try:
        code = qcore.main(args=args, prog_name="qcore", standalone_mode=False)
    except Fatal as error:
        return error.exit_code if error.logged else _complain(error.message, error.exit_code)
    except click.UsageError as error:
        return _complain(f"{error.format_message()} (qcore --help lists what there is)", error.exit_code)
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except click.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    for line in message.splitlines():
        click.echo(f"qcore: {line}", err=True)
    return code
