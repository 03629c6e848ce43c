"""Password hashes as text: scrypt in the PHC string format, ``$scrypt$ln=15,r=8,p=3$<salt>$<hash>``.

Pure and slow on purpose (tens of milliseconds, 32 MiB): callers run these off the event loop, and bring the salt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from qcore.model.ids import is_digits

__all__ = ["SALT_BYTES", "hash_password", "is_hash", "verify_password"]

SALT_BYTES = 16
"""Random bytes a salt should have."""

_LN, _R, _P = 15, 8, 3
_HASH_BYTES = 32
_MAX_BYTES = 64
"""Bytes of a salt or hash that is verified. The text comes from a field that clients write, so its cost is bounded."""
_MAX_WORK = 256 * 1024 * 1024
"""Bytes that verifying a hash may fill, in memory or one after the other: less than a second."""


def hash_password(text: str, salt: bytes) -> str:
    """The PHC string for a password; equal text and salt give an equal string."""
    return f"$scrypt$ln={_LN},r={_R},p={_P}${_encode(salt)}${_encode(_scrypt(text, salt, _LN, _R, _P, _HASH_BYTES))}"


def is_hash(text: str) -> bool:
    """Whether a text is a hash as `hash_password` makes them, whatever its costs."""
    parts = text.split("$", 5)
    return len(parts) == 5 and parts[:2] == ["", "scrypt"] and bool(parts[4])


def verify_password(phc: str, text: str) -> bool:
    """Whether `phc` is a hash of the password; False for what is no scrypt PHC string, or asks for too much."""
    parts = phc.split("$")
    if len(parts) != 5 or parts[:2] != ["", "scrypt"]:
        return False
    costs, salt, wanted = _costs(parts[2]), _decode(parts[3]), _decode(parts[4])
    if costs is None or salt is None or not wanted or max(len(salt), len(wanted)) > _MAX_BYTES:
        return False
    try:
        found = _scrypt(text, salt, *costs, len(wanted))
    except (ValueError, MemoryError):  # costs that scrypt does not know
        return False
    return hmac.compare_digest(found, wanted)


def _scrypt(text: str, salt: bytes, ln: int, r: int, p: int, length: int) -> bytes:
    return hashlib.scrypt(text.encode("utf-8"), salt=salt, n=1 << ln, r=r, p=p, maxmem=2 * _MAX_WORK, dklen=length)


def _costs(text: str) -> tuple[int, int, int] | None:
    names_and_values = [part.partition("=") for part in text.split(",")]
    if [name for name, _, _ in names_and_values] != ["ln", "r", "p"]:
        return None
    if not all(is_digits(value) and len(value) <= 4 for _, _, value in names_and_values):
        return None
    ln, r, p = (int(value) for _, _, value in names_and_values)
    if not 1 <= ln <= 24 or r < 1 or p < 1 or 128 * r * p << ln > _MAX_WORK:
        return None
    return ln, r, p


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
