from __future__ import annotations

from tests.packaging.nix.nix_settings import SETTINGS_FILE, settings_json


def test_the_module_has_the_settings_of_the_daemon() -> None:
    assert SETTINGS_FILE.read_text("utf-8") == settings_json(), "run: python -m tests.packaging.nix.nix_settings"
