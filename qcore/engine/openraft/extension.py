"""Whether the extension can be used, and what to do if not. Nothing else may import it before it was checked here."""

from __future__ import annotations

import importlib
import importlib.util

__all__ = ["BORDER_VERSION", "HOW_TO_INSTALL", "extension_problem", "is_installed"]

BORDER_VERSION = 4
"""The version of the border that this engine speaks over."""

HOW_TO_INSTALL = (
    "`make run` builds and installs it where it finds Rust 1.88 or newer, `pip install ./openraft` does by hand "
    "(Debian 12: apt install cargo-web; elsewhere: https://rustup.rs)"
)


def extension_problem() -> str | None:
    """Return why the extension cannot be used, None if it can."""
    try:
        found = importlib.import_module("qcore_openraft")
    except ImportError as error:
        if error.name == "qcore_openraft":
            return f"the OpenRaft extension qcore_openraft is not installed; {HOW_TO_INSTALL}"
        return f"the OpenRaft extension qcore_openraft cannot be loaded: {error}; {HOW_TO_INSTALL}"
    version = getattr(found, "BORDER_VERSION", None)
    if version != BORDER_VERSION:
        return (
            f"the OpenRaft extension qcore_openraft that is installed has border version {version}, this version of "
            f"qcore needs {BORDER_VERSION}; {HOW_TO_INSTALL}"
        )
    return None


def is_installed() -> bool:
    """Tell whether the extension is there, whether or not it can be used."""
    return importlib.util.find_spec("qcore_openraft") is not None
