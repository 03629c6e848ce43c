"""Writes packaging/nix/module/settings.json, the settings of the daemon as the NixOS module reads them."""

from __future__ import annotations

import json
from typing import Any

from qcore.server.config.settings import SETTINGS, Setting
from tests.packaging.nix.running import NIX

__all__ = ["SETTINGS_FILE", "settings_json"]

SETTINGS_FILE = NIX / "module" / "settings.json"
_OPTIONS_OF_THEIR_OWN = ("id", "cluster_secret_file")


def settings_json() -> str:
    """Return the text of the file: a table for each setting but those that the module has an option for."""
    tables = {setting.name: _table(setting) for setting in SETTINGS if setting.name not in _OPTIONS_OF_THEIR_OWN}
    return json.dumps(tables, indent=2, ensure_ascii=False) + "\n"


def _table(setting: Setting) -> dict[str, Any]:
    default = None if setting.default is None else setting.plain(setting.default)
    table = {"kind": setting.kind, "many": setting.many, "default": default, "description": _description(setting)}
    if setting.choices:
        table["choices"] = list(setting.choices)
    if setting.low is not None:
        table |= {"low": setting.low, "high": setting.high}
    return table


def _description(setting: Setting) -> str:
    default = "" if setting.default in (None, ()) else f"default {json.dumps(setting.plain(setting.default))}"
    facts = ", ".join(part for part in (setting.bounds, default) if part)
    return f"{setting.help} [{facts}]" if facts else setting.help


if __name__ == "__main__":
    SETTINGS_FILE.write_text(settings_json(), encoding="utf-8")
