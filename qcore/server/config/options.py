"""The settings as command-line options: flags made from the model, grouped in the help, and what was given of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
import msgspec
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from qcore.server.config.settings import SETTINGS, Setting
from qcore.server.config.sources import DEFAULT_FILE, Loaded, load

__all__ = ["Given", "GroupedHelp", "given", "options"]

_METAVARS = {"ms": "MS", "MB": "MB", "seconds": "SECONDS"}
_OTHER = "Other"
_F = TypeVar("_F", bound=Callable[..., Any])


class Given(msgspec.Struct, frozen=True):
    """What the command line said: settings by field name, unchecked, and the settings files it named."""

    flags: Mapping[str, Any]
    files: tuple[str, ...]

    def load(self) -> Loaded:
        """Join it with files and this process's environment; ConfigError as from `sources.load`."""
        return load(self.flags, self.files, os.environ)


class SettingOption(click.Option):
    """A flag that knows its group; its text is checked with all other settings, not by click."""

    def __init__(self, setting: Setting) -> None:
        dual = f"{setting.flag}/--no-{setting.flag[2:]}"
        super().__init__(
            [dual if setting.kind == "bool" else setting.flag, setting.name],
            help=setting.help + _facts(setting),
            metavar=None if setting.kind == "bool" else _metavar(setting),
            type=_click_type(setting),
            default=None,
            multiple=setting.many,
            shell_complete=_completer(setting),
        )
        self.group = setting.group


class GroupedHelp(click.Group):
    """A click group whose help lists options under the headings of their settings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(param, "group", _OTHER), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)
        self.format_commands(ctx, formatter)


def options() -> Callable[[_F], _F]:
    """Return a decorator that adds ``--settings`` and a flag for every setting to a click command."""

    def add(command: _F) -> _F:
        files = click.option(
            "--settings",
            multiple=True,
            metavar="FILE",
            type=click.Path(),
            help="TOML file with settings; may repeat, later ones win. With - before its name it may be missing. "
            f"[default {DEFAULT_FILE} if it exists]",
        )
        command = files(command)
        parameters = command.params if isinstance(command, click.Command) else _pending(command)
        # click keeps the pending parameters of a function in reverse
        parameters += [SettingOption(setting) for setting in reversed(SETTINGS)]
        return command

    return add


def given(ctx: click.Context) -> Given:
    """Return what stood on the command line of `ctx`; options left out are absent, whatever their default."""
    flags = {
        setting.name: ctx.params[setting.name]
        for setting in SETTINGS
        if ctx.get_parameter_source(setting.name) is ParameterSource.COMMANDLINE
    }
    return Given(flags, tuple(ctx.params["settings"]))


def _pending(function: Callable[..., Any]) -> list[click.Parameter]:
    parameters: list[click.Parameter] = function.__dict__.setdefault("__click_params__", [])
    return parameters


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(setting.choices)
    return _METAVARS.get(setting.unit) or ("N" if setting.low is not None else setting.unit.upper())


def _facts(setting: Setting) -> str:
    if setting.optional:
        return ""
    value = setting.plain(setting.default)
    if setting.kind == "bool":
        default = "default on" if value else "default off"
    elif setting.many:
        default = "may repeat"
    else:
        default = f"default {value:g}" if setting.kind == "float" else f"default {value}"
    return f" [{default}]" if setting.low is None else f" [{setting.bounds}, {default}]"


def _click_type(setting: Setting) -> click.ParamType[Any]:
    if setting.kind == "bool":
        return click.BOOL
    return click.Path() if setting.kind == "path" else click.STRING


def _completer(
    setting: Setting,
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]] | None:
    if not setting.choices:
        return None
    return lambda _ctx, _param, start: [CompletionItem(word) for word in setting.choices if word.startswith(start)]
