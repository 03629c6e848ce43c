"""What a command is, and the request that one makes of its words. No I/O.

A usage such as ``<entity_id> [field...]`` is both what HELP prints and what the number of words is checked by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qcore_tools.cli.views import StepsView, View
from qcore_tools.console import UsageError

__all__ = ["Command", "Params", "Request", "take_options"]

Params = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """`words` are its name and aliases, `method` is the API's (empty: answered here).

    `read` makes the params of the words; `options` are words such as ``--dry-run`` that may stand anywhere, with
    whether a value follows, which `read` gets by keyword.
    """

    words: tuple[str, ...]
    usage: str
    summary: str
    method: str
    view: View
    read: Callable[..., Params]
    details: str = ""
    options: Mapping[str, bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.words[0]

    @property
    def line(self) -> str:
        """Name and usage, as HELP prints them."""
        return f"{self.name} {self.usage}".rstrip()

    def check(self, args: Sequence[str]) -> None:
        """Check the number of words, options left out.

        Raises:
            UsageError: too few or too many.
        """
        optional = [part for part in re.findall(r"\[(.*?)\]", self.usage) if not part.startswith("--")]
        least = len(re.findall(r"<.*?>", self.usage))
        endless = any(part.endswith("...") for part in optional)
        if len(args) < least or (len(args) > least + len(optional) and not endless):
            raise UsageError(f"expected {self.line}, given {len(args)} word{'s' * (len(args) != 1)} after {self.name}")


@dataclass(frozen=True)
class Request:
    """What a command asks of the server; `steps` are the commands that it is made of."""

    command: Command
    params: Params
    steps: tuple[Request, ...] = ()

    @property
    def view(self) -> View:
        """How the answer looks."""
        if not self.steps:
            return self.command.view
        return StepsView([(step.command.name, step.view, step.params) for step in self.steps])


def take_options(command: Command, args: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Separate the words of a command from its options, ``--rank 3`` or ``--rank=3``, as keywords of its `read`.

    Raises:
        UsageError: an option it does not have, or one whose value is missing.
    """
    rest: list[str] = []
    options: dict[str, str] = {}
    words = iter(args)
    for word in words:
        name, equals, value = word.partition("=")
        if not command.options or not word.startswith("--"):
            rest.append(word)
            continue
        if name not in command.options or (equals and not command.options[name]):
            raise UsageError(f"{command.name} has no option {word!r}; expected {command.line}")
        if command.options[name] and not equals:
            following = next(words, None)
            if following is None:
                raise UsageError(f"{name} needs a value; expected {command.line}")
            value = following
        options[name.removeprefix("--").replace("-", "_")] = value
    return rest, options
