"""The one version of qcore: that of the installed distribution, read nowhere else."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["VERSION"]

try:
    VERSION = version("qcore")
except PackageNotFoundError:  # run from a source tree that was never installed
    VERSION = "0+unknown"
