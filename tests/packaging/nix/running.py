"""Nix without a network, a daemon or nixpkgs: commands run on a store of their own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["NIX", "ROOT", "STUB", "Nix"]

ROOT = Path(__file__).parents[3]
NIX = ROOT / "packaging" / "nix"
STUB = Path(__file__).parent / "stub"


class Nix:
    """Runs Nix with its store, state and caches below `folder`."""

    def __init__(self, folder: Path) -> None:
        places = {name: str(folder / name) for name in ("store", "state", "log", "conf", "home")}
        self._environ = os.environ | {
            "NIX_STORE_DIR": places["store"],
            "NIX_STATE_DIR": places["state"],
            "NIX_LOG_DIR": places["log"],
            "NIX_CONF_DIR": places["conf"],
            "HOME": places["home"],
            "XDG_CACHE_HOME": places["home"],
            "NIX_PATH": "",
            "NIX_REMOTE": "local",
            "NIX_CONFIG": "build-users-group =\nexperimental-features = nix-command flakes\nsandbox = false\n"
            "substituters =\nflake-registry =\n",
        }

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever the exit code."""
        return subprocess.run(command, env=self._environ, capture_output=True, text=True, timeout=300)

    def output(self, *command: str | Path) -> str:
        """Run a command that must end well, and return what it printed."""
        done = self.run(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, which must be one that JSON can hold."""
        return json.loads(self.output(*self._evaluation(expression)))

    def refusal(self, expression: str) -> str:
        """Return what Nix says of an expression that has no value."""
        done = self.run(*self._evaluation(expression))
        assert done.returncode != 0, done.stdout
        return done.stderr

    def flake(self, verb: str, flake: Path, *options: str) -> str:
        """Run `nix flake` on a folder with the stub for nixpkgs; return what it printed."""
        stub = ("--no-write-lock-file", "--override-input", "nixpkgs", f"path:{STUB}")
        return self.output("nix", "flake", verb, f"path:{flake}", *stub, *options)

    def _evaluation(self, expression: str) -> list[str]:
        return ["nix-instantiate", "--eval", "--json", "--strict", "--expr", expression]
