"""``qcore config``: show the effective settings, check them, write the commented settings file."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Any

import click
import tomli_w

from qcore.server.config.cluster_secret import read_secrets
from qcore.server.config.options import Given
from qcore.server.config.settings import SETTINGS, Setting, Settings
from qcore.server.config.sources import Loaded, from_flags, resolve

__all__ = ["config", "effective_toml", "settings_toml"]

_HEADER = """\
# Settings of a qcore node.
#
# A flag (--max-list 500) wins over an environment variable (QCORE_MAX_LIST=500), and that over this file. Lines that
# are commented out show the defaults; an empty text or list is the same as unset; 1 MB is 1,048,576 bytes.
# `qcore config show` prints the effective values and where each came from, `qcore config check` finds mistakes.
"""


@click.group(short_help="Show, check or write the settings.")
def config() -> None:
    """Show, check or write the settings; flags stand before the word config."""


@config.command(short_help="Print the effective settings.")
@click.pass_obj
def show(given: Given) -> None:
    """Print the effective settings as TOML, and where each came from."""
    loaded = given.load()
    _warn(loaded)
    _print(effective_toml(loaded.settings, loaded.sources))


@config.command(short_help="Name everything that is wrong.")
@click.pass_obj
def check(given: Given) -> None:
    """Name everything that is wrong with the settings and exit with 2 if anything is."""
    loaded = given.load()
    read_secrets(loaded.settings.cluster_secret_file)
    _warn(loaded)
    files = f" (read {', '.join(loaded.files)})" if loaded.files else " (no settings file)"
    _print(f"OK: the settings are good{files}\n")


@config.command(short_help="Write the commented settings file.")
@click.argument("file", required=False, default="-", type=click.Path())
@click.pass_obj
def init(given: Given, file: str) -> None:
    """Write the commented settings file to FILE, which must not exist yet, or to stdout.

    Everything is commented out but the settings given as flags: qcore --id 2 config init node-2.toml
    """
    settings, sources = resolve([from_flags(given.flags)])
    text = settings_toml(settings, [name for name, source in sources.items() if source != "default"])
    if file == "-":
        return _print(text)
    try:
        with open(file, "x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise click.ClickException(f"{file} exists already and is left as it is") from None
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from error


def effective_toml(settings: Settings, sources: Mapping[str, str]) -> str:
    """Render every setting with a comment that names its source; a settings file with this text sets the same."""
    lines = {s.name: _assignment(s, getattr(settings, s.name)) for s in SETTINGS}
    width = max(len(line) for line in lines.values() if len(line) <= 50)
    return "".join(f"{line:<{width}}  # {sources[name]}\n" for name, line in lines.items())


def settings_toml(settings: Settings, active: Collection[str] = ()) -> str:
    """Render the commented settings file; the fields named in `active` stand in it uncommented."""
    blocks = [_HEADER]
    for title, members in groupby(SETTINGS, key=lambda setting: setting.group):
        blocks.append(f"# ---- {title} ----\n")
        blocks += [_block(setting, getattr(settings, setting.name), setting.name in active) for setting in members]
    return "\n".join(blocks)


def _block(setting: Setting, value: Any, active: bool) -> str:
    facts = f" [{setting.bounds}]" if setting.bounds else ""
    comment = textwrap.fill(setting.help + facts, 116, initial_indent="# ", subsequent_indent="# ")
    return f"{comment}\n{'' if active else '# '}{_assignment(setting, value)}\n"


def _assignment(setting: Setting, value: Any) -> str:
    plain = setting.plain(value)
    if isinstance(plain, list):  # on one line, so that a comment fits before or after it
        return f"{setting.name} = [{', '.join(_value(item) for item in plain)}]"
    return f"{setting.name} = {_value(plain)}"


def _value(plain: Any) -> str:
    return tomli_w.dumps({"_": plain}).removeprefix("_ = ").rstrip("\n")


def _warn(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        click.echo(f"qcore: warning: {warning}", err=True)


def _print(text: str) -> None:
    """Write to stdout; a reader that has gone away is no error."""
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
