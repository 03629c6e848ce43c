"""Wheels of what this environment runs on, made of the files that are there: no network, and nothing is built."""

from __future__ import annotations

import re
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "pack_wheels"]

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = {"qcore": ROOT, "qcore_tools": ROOT / "tools"}
"""Our packages, and where each is imported from."""


def pack_wheels(folder: Path) -> None:
    """Write a wheel for qcore, one for its extension if that is built, and one for each distribution they need."""
    _pack_qcore(folder)
    waiting, seen = [_name(line) for line in PROJECT["dependencies"]] + ["qcore-openraft"], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:  # what another system or an older Python needs, or what is not built
            continue
        _pack_installed(found, folder)
        waiting += [_name(line) for line in found.requires or [] if "extra ==" not in line]


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0]


def _pack_qcore(folder: Path) -> None:
    files = {
        str(path.relative_to(place)): path
        for package, place in SOURCES.items()
        for path in (place / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    needed = (f"Requires-Dist: {line}" for line in PROJECT["dependencies"])
    about = [f"Name: qcore\nVersion: {PROJECT['version']}", *needed]
    scripts = [f"{name} = {entry}" for name, entry in PROJECT["scripts"].items()]
    texts = {
        "METADATA": "Metadata-Version: 2.1\n" + "\n".join(about) + "\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": "[console_scripts]\n" + "\n".join(scripts) + "\n",
    }
    _pack(folder, f"qcore-{PROJECT['version']}", "py3-none-any", files, texts)


def _pack_installed(found: Distribution, folder: Path) -> None:
    """Pack a distribution without its scripts and what was made when it was installed."""
    texts = {name: text for name in ("METADATA", "WHEEL", "entry_points.txt") if (text := found.read_text(name))}
    tags = [tag.split("-") for tag in re.findall(r"^Tag: *(\S+)", texts["WHEEL"], re.MULTILINE)]
    tag = "-".join(".".join(sorted(set(part))) for part in zip(*tags, strict=True))
    files = {
        str(file): Path(str(file.locate()))
        for file in found.files or []
        if not file.parts[0].endswith((".dist-info", "..")) and "__pycache__" not in file.parts
    }
    _pack(folder, f"{re.sub('[-_.]+', '_', found.metadata['Name'])}-{found.version}", tag, files, texts)


def _pack(folder: Path, stem: str, tag: str, files: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    metadata = f"{stem}.dist-info"
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for name, path in files.items():
            wheel.write(path, name)
        for name, text in texts.items():
            wheel.writestr(f"{metadata}/{name}", text)
        record = "".join(f"{name},,\n" for name in _names(wheel, metadata))
        wheel.writestr(f"{metadata}/RECORD", record)


def _names(wheel: zipfile.ZipFile, metadata: str) -> Iterator[str]:
    yield from wheel.namelist()
    yield f"{metadata}/RECORD"
