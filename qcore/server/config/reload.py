"""What of the settings changes while a node runs, when it is asked to load them again (SIGHUP).

All others are in force after a restart only: what was decided by them at the start, such as addresses, stands.
"""

from __future__ import annotations

from qcore.server.config.settings import SETTINGS, Settings

__all__ = ["AT_RUN_TIME", "changed", "reloaded"]

AT_RUN_TIME = ("log_level", "log_format")
"""Names of the settings that are taken over."""


def changed(running: Settings, loaded: Settings) -> tuple[list[str], list[str]]:
    """Return the names of the settings that differ: those that are taken over, and those that need a restart."""
    names = [setting.name for setting in SETTINGS if getattr(running, setting.name) != getattr(loaded, setting.name)]
    return [name for name in names if name in AT_RUN_TIME], [name for name in names if name not in AT_RUN_TIME]


def reloaded(running: Settings, loaded: Settings) -> Settings:
    """Return the settings in force once what can be is taken over."""
    return running.model_copy(update={name: getattr(loaded, name) for name in AT_RUN_TIME})
