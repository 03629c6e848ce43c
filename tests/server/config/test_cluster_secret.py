from __future__ import annotations

from pathlib import Path

import pytest

from qcore.model.errors import ConfigError
from qcore.server.config.cluster_secret import read_secrets

OLD, NEW = b"the secret of last year", b"the secret of this year"


def written(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "cluster.secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_without_a_file_there_is_no_secret() -> None:
    assert read_secrets(None) == ()


def test_a_line_is_a_secret_and_two_are_taken_while_it_is_changed(tmp_path: Path) -> None:
    assert read_secrets(written(tmp_path, OLD + b"\n")) == (OLD,)
    assert read_secrets(written(tmp_path, NEW + b" \r\n\n" + OLD, 0o640)) == (NEW, OLD)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected one line in .*, or two, found 0"),
        (b"\n".join([OLD, NEW, OLD]), "found 3"),
        (b"fifteen letters\n", "shorter than 16 characters"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_secrets(written(tmp_path, content))


def test_a_secret_that_everybody_can_read_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"everybody on this machine may use .*; chmod o= "):
        read_secrets(written(tmp_path, OLD, 0o644))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere: No such file"):
        read_secrets(tmp_path / "nowhere")
