"""The console scripts of pyproject.toml and the click commands behind them."""

from __future__ import annotations

import importlib
import importlib.util
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import click

__all__ = ["SCRIPTS", "commands", "definition"]

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
SCRIPTS: Mapping[str, str] = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["scripts"]
"""The entry point of each script: ``module:function``."""


def commands() -> dict[str, click.Command]:
    """Return the click command of every script, by the script's name."""
    return {script: definition(script, entry) for script, entry in sorted(SCRIPTS.items())}


def definition(script: str, entry: str) -> click.Command:
    """Find the click command that bears the script's name, in the module of its entry point or beside it.

    Raises:
        LookupError: there is none.
    """
    for module in _modules(entry.partition(":")[0]):
        for value in vars(module).values():
            if isinstance(value, click.Command) and value.name == script:
                return value
    raise LookupError(f"{script}: no click command of that name in the module of {entry} or beside it")


def _modules(entry: str) -> Iterator[ModuleType]:
    """The module of an entry point, ``main`` in it, and ``command_line`` in its package."""
    module = importlib.import_module(entry)
    yield module
    for name in (f"{entry}.main", f"{module.__package__}.command_line"):
        if hasattr(importlib.import_module(name.rpartition(".")[0]), "__path__") and importlib.util.find_spec(name):
            yield importlib.import_module(name)
