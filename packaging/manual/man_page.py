"""The man page of a console script, with all its sub-commands in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import click

from manual.roff import bold, definition, escape, heading, option_words, paragraphs, section
from qcore.model import errors
from qcore.version import VERSION
from qcore_tools.cli.commands import COMMANDS

__all__ = ["man_page"]

_FILES = {
    "/etc/qcore/qcore.toml": "Settings of all nodes of this machine, read where --settings names no file.",
    "/etc/qcore/node-ID.toml": "Settings of one node, as qcore@ID.service reads them.",
    "/var/lib/qcore/node_ID": "Data of a node, as the settings file that is installed says.",
}


def man_page(script: str, command: click.Command, others: Mapping[str, click.Command]) -> str:
    """Return the page of section 1, in the macros of man(7); `others` are the scripts that it refers to."""
    context = click.Context(command, info_name=script, **command.context_settings)
    about = _text(command)
    parts = [
        f'.TH {script.upper()} 1 "" "qcore {VERSION}" "qcore"\n',
        section("name"),
        rf"{script} \- {_first_sentence(about)}" + "\n",
        section("synopsis"),
        f"{_usage(context)}\n",
        section("description"),
        paragraphs(about),
        section("options"),
        *_options(context),
        *([section("commands"), *_sub_commands(context)] if isinstance(command, click.Group) else []),
        *_more(script),
    ]
    if command.epilog:
        parts += [section("notes"), paragraphs(command.epilog)]
    named = [rf"{bold(name)}(1)" for name in sorted(others) if name != script]
    return "".join([*parts, section("see also"), ", ".join(named) + "\n"])


def _text(command: click.Command) -> str:
    return (command.help or command.short_help or "").partition("\f")[0].replace("\b\n", "")


def _first_sentence(text: str) -> str:
    sentence = " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")
    return escape(re.sub(r"^[A-Z](?=[a-z ])", lambda letter: letter[0].lower(), sentence))


def _usage(context: click.Context) -> str:
    pieces = context.command.collect_usage_pieces(context)
    return f"{bold(context.command_path)} {option_words(' '.join(pieces))}"


def _options(context: click.Context) -> Iterator[str]:
    """The options of a command by the headings of their groups, which are empty where it has none."""
    groups: dict[str, list[str]] = {}
    for param in context.command.get_params(context):
        record = param.get_help_record(context)
        if record is not None and record[1]:
            groups.setdefault(getattr(param, "group", ""), []).append(definition(option_words(record[0]), record[1]))
    for group, items in groups.items():
        if len(groups) > 1:
            yield heading(group or "Other")
        yield from items


def _sub_commands(context: click.Context) -> Iterator[str]:
    """Every command below one, each with its usage, what it does and its options."""
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = click.Context(command, info_name=name, parent=context, **command.context_settings)
        if not isinstance(command, click.Group):
            yield f".SS\n{_usage(below)}\n"
            yield paragraphs(_text(command))
            yield from _options(below)
        yield from _sub_commands(below)


def _store_commands() -> Iterator[str]:
    """What qcore-cli takes as a command: its HELP."""
    for command in COMMANDS:
        yield definition(bold(command.line), "\n\n".join(part for part in (command.summary, command.details) if part))


def _exit_codes() -> Iterator[str]:
    """The daemon's, as the tree in the docstring of the errors describes them."""
    codes = {0: ["it was told to stop"], 1: ["unexpected: the log says more"]}
    for code, what in re.findall(r"\(exit (\d+)\)\s+(.*)", errors.__doc__ or ""):
        codes.setdefault(int(code), []).append(what)
    for number, reasons in sorted(codes.items()):
        yield definition(str(number), " ".join(f"{what[0].upper()}{what[1:]}." for what in reasons))


def _more(script: str) -> Iterator[str]:
    if script == "qcore-cli":
        yield section("store commands")
        yield from _store_commands()
    if script == "qcore":
        yield section("exit status")
        yield from _exit_codes()
        yield section("files")
        for path, what in _FILES.items():
            yield definition(rf"\fI{path}\fR", what)
