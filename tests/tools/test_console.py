from __future__ import annotations

import click
import pytest

from qcore.model.errors import ConnectionFailed, NotFound, QcoreError
from qcore_tools.console import UsageError, exit_code, run_tool, url_option


@click.command()
@url_option
def show(urls: list[str]) -> None:
    click.echo(" ".join(urls))


def test_urls_come_from_the_option_the_environment_or_the_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QCORE_URL", raising=False)
    run_tool("show", show, [])
    monkeypatch.setenv("QCORE_URL", "a:1,wss://b:2")
    run_tool("show", show, [])
    run_tool("show", show, ["--url", "c:3", "--url", "d:4,e:5"])
    assert capsys.readouterr().out.splitlines() == [
        "ws://127.0.0.1:8080",
        "ws://a:1 wss://b:2",
        "ws://c:3 ws://d:4 ws://e:5",
    ]


def test_a_bad_url_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool("show", show, ["--url", "http://a"]) == 2
    assert "http://a" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(None, 0), (NotFound("x"), 1), (UsageError("x"), 2), (ConnectionFailed("x"), 3)]
)
def test_exit_codes_tell_failures_wrong_usage_and_no_server_apart(error: QcoreError | None, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (NotFound("gone"), 1), (click.Abort(), 130)])
def test_what_ends_a_tool_becomes_its_exit_code(raised: BaseException, code: int) -> None:
    @click.command()
    def fail() -> None:
        raise raised

    assert run_tool("fail", fail, []) == code
