"""Units as systemd reads them, from the files of packaging/systemd and from what the NixOS module renders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Unit", "nixos_unit", "read_unit"]

Unit = dict[str, dict[str, list[str]]]
"""Section -> key -> the words given for it, sorted: in none of the keys here does their order mean anything."""

_PLACE = "/usr/local/lib/qcore"
_KEYS = {
    "description": "Description",
    "documentation": "Documentation",
    "wants": "Wants",
    "after": "After",
    "partOf": "PartOf",
}


def read_unit(file: Path, instance: int) -> Unit:
    """Read a unit file as the given instance of it."""
    unit: Unit = {}
    section: dict[str, list[str]] = {}
    for line in file.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = unit.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).extend(_words(value.replace("%i", str(instance))))
    return _sorted(unit)


def nixos_unit(rendered: Mapping[str, Any], place: str) -> Unit:
    """Read what NixOS makes a unit of, with the package at `place`."""
    unit: Unit = {"Unit": {_KEYS[key]: _texts(rendered[key], place) for key in _KEYS if key in rendered}}
    unit["Unit"] |= _section(rendered.get("unitConfig", {}), place)
    for key, name in (("serviceConfig", "Service"), ("timerConfig", "Timer")):
        if key in rendered:
            unit[name] = _section(rendered[key], place)
    if "wantedBy" in rendered:
        unit["Install"] = {"WantedBy": _texts(rendered["wantedBy"], place)}
    return _sorted(unit)


def _section(table: Mapping[str, Any], place: str) -> dict[str, list[str]]:
    return {key: _texts(value, place) for key, value in table.items()}


def _texts(value: Any, place: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    texts = ("yes" if item is True else "no" if item is False else str(item) for item in values)
    return [word for text in texts for word in _words(text.replace(place, _PLACE))]


def _words(value: str) -> list[str]:
    return value.split() or [""]


def _sorted(unit: Unit) -> Unit:
    return {section: {key: sorted(words) for key, words in keys.items()} for section, keys in unit.items()}
