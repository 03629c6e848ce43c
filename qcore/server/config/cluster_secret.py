"""The file of the cluster secret: one line, or two while it is changed on all nodes, one after the other."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from qcore.model.errors import ConfigError

__all__ = ["read_secrets"]

_LEAST, _MOST = 16, 2
"""Bytes of a secret, and how many secrets are taken at a time."""


def read_secrets(path: Path | None) -> tuple[bytes, ...]:
    """Return the secrets in a file, none without a file. Blank lines and blanks around a secret are left out.

    Raises:
        ConfigError: it cannot be read, others may read it too, or what it holds is no secret.
    """
    if path is None:
        return ()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(65_536)
    except OSError as exc:
        raise ConfigError(f"cluster_secret_file: cannot read {path}: {exc.strerror}") from None
    if mode & stat.S_IRWXO:
        raise ConfigError(f"cluster_secret_file: everybody on this machine may use {path}; chmod o= {path}")
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not 1 <= len(found) <= _MOST:
        raise ConfigError(f"cluster_secret_file: expected one line in {path}, or two, found {len(found)}")
    if any(len(secret) < _LEAST for secret in found):
        raise ConfigError(
            f"cluster_secret_file: a secret in {path} is shorter than {_LEAST} characters; "
            f"head -c 32 /dev/urandom | base64 > {path} makes one"
        )
    return found
