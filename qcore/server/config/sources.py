"""Where settings come from: flags over environment over TOML files over defaults, each value with its origin.

`load` reads everything, complains about everything that is wrong at once, and answers the settings with the origin of
each. What can be set stands in settings.py.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from qcore.model.errors import ConfigError
from qcore.server.config.rules import contradictions
from qcore.server.config.settings import SETTINGS, Setting, Settings

__all__ = ["DEFAULT_FILE", "Layer", "Loaded", "from_flags", "load", "resolve"]

DEFAULT_FILE = Path("/etc/qcore/qcore.toml")

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
_FILES_VARIABLE = "QCORE_SETTINGS"
# Variables that others read: the tools' addresses, and whether an installation may do without the extension.
_OTHER_VARIABLES = {_FILES_VARIABLE, "QCORE_URL", "QCORE_REQUIRE_OPENRAFT"}

Layer = dict[str, tuple[Any, str]]
"""Values of one source, unchecked: field name -> (value, origin)."""


class Loaded(msgspec.Struct, frozen=True):
    """Checked settings; `sources` names the origin of every field, `files` the TOML files that were read, in order."""

    settings: Settings
    sources: dict[str, str]
    warnings: list[str]
    files: list[str]


def load(
    flags: Mapping[str, Any], files: Sequence[str], environ: Mapping[str, str], default_file: Path = DEFAULT_FILE
) -> Loaded:
    """Gather settings from the flags that were given (by field name), the files named and the environment.

    Of several files the later wins; one whose name begins with ``-`` may be missing. Without any, those in
    ``QCORE_SETTINGS`` (separated by commas) are read, else `default_file` if it exists. Raises ConfigError that lists
    all that is wrong; an unknown ``QCORE_*`` variable is only a warning.
    """
    names = list(files) or _split(environ.get(_FILES_VARIABLE, "")) or [f"-{default_file}"]
    problems: list[str] = []
    layers: list[Layer] = []
    read: list[str] = []
    for name in names:
        layer = _from_file(name, problems)
        if layer is not None:
            layers.append(layer)
            read.append(name.removeprefix("-"))
    layers += [_from_environ(environ), from_flags(flags)]
    settings, sources = resolve(layers, problems)
    return Loaded(settings, sources, _strangers(environ), read)


def resolve(layers: Iterable[Layer], problems: Iterable[str] = ()) -> tuple[Settings, dict[str, str]]:
    """Check the values of all layers, the last one winning; answer the settings and where each came from.

    Raises ConfigError that lists `problems` and everything wrong with the values.
    """
    merged: Layer = {}
    for layer in layers:
        merged.update(layer)
    found = list(problems)
    try:
        settings = Settings(**{name: value for name, (value, _) in merged.items()})
        found += contradictions(settings)
    except ValidationError as error:
        found += _complaints(error, merged)
    if found:
        raise ConfigError("\n".join(found), problems=found)
    return settings, {name: merged[name][1] if name in merged else "default" for name in _BY_NAME}


def from_flags(flags: Mapping[str, Any]) -> Layer:
    """Return the layer of the command line: texts, truth values, and lists of texts that may hold commas."""
    layer: Layer = {}
    for name, value in flags.items():
        setting = _BY_NAME[name]
        flag = f"--no-{setting.flag[2:]}" if value is False else setting.flag
        if setting.many and not isinstance(value, str):
            value = ",".join(value)
        layer[name] = (_from_text(setting, value), f"flag {flag}")
    return layer


def _from_environ(environ: Mapping[str, str]) -> Layer:
    return {
        setting.name: (_from_text(setting, environ[variable]), f"environment variable {variable}")
        for variable, setting in _BY_VARIABLE.items()
        if variable in environ
    }


def _strangers(environ: Mapping[str, str]) -> list[str]:
    known = [*_BY_VARIABLE, *_OTHER_VARIABLES]
    strangers = (name for name in environ if name.startswith("QCORE_") and name not in known)
    return [
        f"environment variable {name} is no setting and has no effect{_hint(name, known)}" for name in sorted(strangers)
    ]


def _from_file(name: str, problems: list[str]) -> Layer | None:
    """Read a TOML file; None if it is missing and may be. Unknown keys and unreadable files go to `problems`."""
    path = Path(name.removeprefix("-"))
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        if not name.startswith("-"):
            problems.append(f"settings file {path}: no such file (with - before its name it may be missing)")
        return None
    except (OSError, ValueError) as error:
        problems.append(f"settings file {path}: {getattr(error, 'strerror', None) or error}")
        return None
    problems += [
        f"{key}: unknown setting{_hint(key.lower().replace('-', '_'), _BY_NAME)} (file {path})"
        for key in table
        if key not in _BY_NAME
    ]
    return {key: (value, f"file {path}") for key, value in table.items() if key in _BY_NAME}


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _from_text(setting: Setting, value: Any) -> Any:
    return _split(value) if setting.many and isinstance(value, str) else value


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def _complaints(error: ValidationError, merged: Layer) -> list[str]:
    lines = []
    for detail in error.errors(include_url=False, include_context=False):
        name = str(detail["loc"][0])
        setting = _BY_NAME[name]
        expected = f"a list, each {setting.expected}" if setting.many and len(detail["loc"]) == 1 else setting.expected
        lines.append(f"{name}: expected {expected}, given {_shown(detail['input'])} ({merged[name][1]})")
    return lines


def _shown(value: Any) -> str:
    text = ("true" if value else "false") if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
