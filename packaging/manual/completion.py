"""What shells read to complete a script's words. The script itself says how they go on: click's own protocol."""

from __future__ import annotations

from pathlib import PurePath

import click
from click.shell_completion import BashComplete, ShellComplete, get_completion_class

__all__ = ["SHELLS", "completion", "completion_file"]

SHELLS = ("bash", "zsh", "fish")


def completion(shell: str, script: str, command: click.Command) -> str:
    """Return the text that teaches a shell to ask the script, which answers where ``_<SCRIPT>_COMPLETE`` is set."""
    found = get_completion_class(shell)
    if found is None:
        raise LookupError(f"click knows no shell {shell}")
    variable = f"_{script.replace('-', '_').upper()}_COMPLETE"
    made = found(command, {}, script, variable)
    # Which bash is here does not matter for one that is elsewhere.
    text = ShellComplete.source(made) if isinstance(made, BashComplete) else made.source()
    return text.strip() + "\n"


def completion_file(shell: str, script: str) -> PurePath:
    """Return where the shell looks for it, below ``share`` of a prefix."""
    return {
        "bash": PurePath("bash-completion/completions", script),
        "zsh": PurePath("zsh/site-functions", f"_{script}"),
        "fish": PurePath("fish/vendor_completions.d", f"{script}.fish"),
    }[shell]
