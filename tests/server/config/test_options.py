from __future__ import annotations

from typing import Any

import click
import pytest

from qcore.server.config.options import Given, given, options
from qcore.server.config.settings import SETTINGS


@click.command()
@options()
@click.pass_context
def command(ctx: click.Context, /, **_: Any) -> Given:
    return given(ctx)


def parse(*args: str) -> Given:
    answer = command.main(args, standalone_mode=False)
    assert isinstance(answer, Given)
    return answer


def test_only_what_stands_on_the_command_line_is_given() -> None:
    assert parse() == Given({}, ())
    assert parse("--id", "1").flags == {"id": "1"}


def test_texts_are_handed_on_unchecked() -> None:
    assert parse("--id", "x", "--log-level", "loud").flags == {"id": "x", "log_level": "loud"}


def test_a_flag_may_be_turned_on_and_off() -> None:
    assert parse("--insecure").flags == {"insecure": True}
    assert parse("--no-insecure").flags == {"insecure": False}


def test_lists_and_settings_files_may_repeat() -> None:
    answer = parse("--settings", "a.toml", "--peers", "a:1", "--peers", "b:2", "--settings", "-b.toml")
    assert answer.flags == {"peers": ("a:1", "b:2")}
    assert answer.files == ("a.toml", "-b.toml")


def test_flags_stand_in_the_order_of_the_settings() -> None:
    names = [param.name for param in command.params if param.name != "settings"]
    assert names == [setting.name for setting in SETTINGS]


def test_what_was_given_is_joined_with_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QCORE_MAX_LIST", "5")
    loaded = parse("--id", "2", "--settings", "-/nonexistent/qcore.toml").load()
    assert (loaded.settings.id, loaded.settings.max_list) == (2, 5)
