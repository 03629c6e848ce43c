"""Paths: `/Root/Folder/Name` to an entity, `A->B->C` to a field. Text only; the store walks them."""

from __future__ import annotations

from collections.abc import Iterable

from qcore.model.errors import BadParams, TooLarge
from qcore.model.ids import is_digits
from qcore.model.quoting import quoted

__all__ = ["MAX_HOPS", "MAX_PATH", "Step", "escape_name", "join_path", "split_field_path", "split_path"]

Step = tuple[str, int]
"""A name and which of its twins, from 1."""

MAX_PATH = 65_536
"""Characters in a path: more than 100 names of the longest kind with every character escaped."""

MAX_HOPS = 256
"""Hops in a field path."""

_ESCAPED = ("\\", "/", "#")


def escape_name(name: str) -> str:
    """Write a name so that it can stand in a path."""
    for char in _ESCAPED:
        name = name.replace(char, "\\" + char)
    return name


def join_path(steps: Iterable[Step]) -> str:
    """Write a path; the first twin bears no number."""
    return "".join(f"/{escape_name(name)}" + (f"#{twin}" if twin > 1 else "") for name, twin in steps)


def split_path(text: str) -> list[Step]:
    """Read a path that begins with ``/``.

    Raises:
        BadParams: an empty step, a twin that is no number, an escape without a character.
        TooLarge: more than `MAX_PATH` characters.
    """
    if not text.startswith("/"):
        raise BadParams(f"a path begins with /, {quoted(text)} given")
    if len(text) > MAX_PATH:
        raise TooLarge(f"a path has at most {MAX_PATH} characters, {len(text)} given")
    return [_step(raw, text) for raw in _raw_steps(text)]


def _raw_steps(text: str) -> list[list[tuple[str, bool]]]:
    """Split at unescaped slashes; each character comes with whether it was escaped."""
    steps: list[list[tuple[str, bool]]] = []
    chars = iter(text)
    for char in chars:
        if char == "/":
            steps.append([])
        elif char == "\\":
            escaped = next(chars, "")
            if not escaped:
                raise BadParams(f"path {quoted(text)} ends in the middle of an escape")
            steps[-1].append((escaped, True))
        else:
            steps[-1].append((char, False))
    return steps


def _step(raw: list[tuple[str, bool]], text: str) -> Step:
    marks = [place for place, char in enumerate(raw) if char == ("#", False)]
    name = "".join(char for char, _ in raw[: marks[0] if marks else None])
    if not name:
        raise BadParams(f"path {quoted(text)} has an empty step")
    if not marks:
        return name, 1
    twin = "".join(char for char, _ in raw[marks[0] + 1 :])
    if not (is_digits(twin) and len(twin) <= 9 and int(twin) >= 1):
        raise BadParams(
            f"path {quoted(text)}: after # stands the number of the twin, {quoted(twin)} given (write \\# for a #)"
        )
    return name, int(twin)


def split_field_path(text: str) -> list[str]:
    """Split ``A->B->C`` into its hops.

    Raises:
        BadParams: an empty hop.
        TooLarge: more than `MAX_HOPS`.
    """
    hops = text.split("->")
    if len(hops) > MAX_HOPS:
        raise TooLarge(f"a field path has at most {MAX_HOPS} hops, {len(hops)} given")
    if not all(hops):
        raise BadParams(f"field path {quoted(text)} has an empty hop")
    return hops
