from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qcore.model.errors import ConfigError
from qcore.server.config.settings import SETTINGS, Settings
from qcore.server.config.sources import Loaded, load

NOWHERE = Path("/nonexistent/qcore.toml")


def loaded(
    flags: dict[str, Any] | None = None, files: tuple[str, ...] = (), environ: dict[str, str] | None = None
) -> Loaded:
    return load(flags or {}, files, environ or {}, default_file=NOWHERE)


def complaints(
    flags: dict[str, Any] | None = None, files: tuple[str, ...] = (), environ: dict[str, str] | None = None
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(flags, files, environ)
    assert caught.value.exit_code == 2
    assert caught.value.message.splitlines() == caught.value.data["problems"]
    return caught.value.message.splitlines()


@pytest.fixture
def toml(tmp_path: Path) -> Any:
    def write(text: str, name: str = "a.toml") -> str:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return str(path)

    return write


def test_with_nothing_given_everything_is_default() -> None:
    answer = loaded()
    assert answer.settings == Settings()
    assert set(answer.sources.values()) == {"default"}
    assert list(answer.sources) == [setting.name for setting in SETTINGS]
    assert answer.warnings == answer.files == []


def test_flags_win_over_the_environment_and_that_over_files(toml: Any) -> None:
    file = toml("id = 1\nmax_list = 1\nmax_page = 1\n")
    answer = loaded({"id": "3"}, (file,), {"QCORE_ID": "2", "QCORE_MAX_LIST": "2"})
    assert (answer.settings.id, answer.settings.max_list, answer.settings.max_page) == (3, 2, 1)
    assert answer.sources["id"] == "flag --id"
    assert answer.sources["max_list"] == "environment variable QCORE_MAX_LIST"
    assert answer.sources["max_page"] == f"file {file}"
    assert answer.sources["max_depth"] == "default"


def test_of_several_files_the_later_wins(toml: Any) -> None:
    files = (toml("id = 1\nmax_page = 5\n"), toml("id = 2\n", "b.toml"))
    answer = loaded(files=files)
    assert (answer.settings.id, answer.settings.max_page) == (2, 5)
    assert answer.sources["id"] == f"file {files[1]}"
    assert answer.files == list(files)


def test_the_default_file_is_read_if_it_exists(toml: Any) -> None:
    assert load({}, (), {}, default_file=Path(toml("id = 9\n"))).settings.id == 9


def test_naming_a_file_replaces_the_default_file(toml: Any) -> None:
    default, named = Path(toml("id = 9\n")), toml("max_page = 5\n", "b.toml")
    assert load({}, (named,), {}, default_file=default).settings.id == 1
    assert load({}, (), {"QCORE_SETTINGS": named}, default_file=default).settings.id == 1


def test_files_named_by_flags_replace_those_of_the_variable(toml: Any) -> None:
    a, b = toml("id = 2\n"), toml("max_page = 5\n", "b.toml")
    assert loaded(environ={"QCORE_SETTINGS": f"{a},{b}"}).files == [a, b]
    assert loaded(files=(b,), environ={"QCORE_SETTINGS": a}).files == [b]


def test_a_named_file_that_is_missing_is_an_error_unless_marked() -> None:
    assert "/nonexistent/a.toml: no such file" in complaints(files=("/nonexistent/a.toml",))[0]
    assert loaded(files=("-/nonexistent/a.toml",)).files == []


def test_a_marked_file_that_exists_is_read(toml: Any) -> None:
    assert loaded(files=("-" + toml("id = 4\n"),)).settings.id == 4


def test_a_file_that_cannot_be_read_is_an_error_even_if_marked(tmp_path: Path) -> None:
    assert "Is a directory" in complaints(files=(f"-{tmp_path}",))[0]


@pytest.mark.parametrize("text", ["id = \n", "id = 1\nid = 2\n", "= 1"])
def test_a_file_that_is_no_toml_is_named_with_the_line(toml: Any, text: str) -> None:
    file = toml(text)
    (line,) = complaints(files=(file,))
    assert file in line
    assert "line" in line


def test_a_file_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b'machine = "\xe9"\n')
    assert str(path) in complaints(files=(str(path),))[0]


def test_a_byte_order_mark_before_a_file_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfid = 4\r\n")
    assert loaded(files=(str(path),)).settings.id == 4


@pytest.mark.parametrize("key", ["max_lsit", "max-list", "MAX_LIST"])
def test_an_unknown_key_is_an_error_with_a_close_match(toml: Any, key: str) -> None:
    file = toml(f"{key} = 5\n")
    assert complaints(files=(file,)) == [f"{key}: unknown setting, did you mean max_list? (file {file})"]


def test_a_table_is_an_unknown_key(toml: Any) -> None:
    assert complaints(files=(toml("[zzz]\nid = 5\n"),))[0].startswith("zzz: unknown setting (")


def test_an_unknown_variable_is_a_warning_with_a_close_match() -> None:
    answer = loaded(environ={"QCORE_MAX_LSIT": "1", "QCORE_URL": "ws://x", "QCORE_REQUIRE_OPENRAFT": "1", "PATH": "/"})
    (warning,) = answer.warnings
    assert "QCORE_MAX_LSIT" in warning
    assert "did you mean QCORE_MAX_LIST?" in warning


def test_everything_wrong_is_named_at_once_with_its_source_expected_and_given(toml: Any) -> None:
    file = toml("max_page = 0\nnope = 1\nlog_level = true\n")
    lines = complaints({"id": "x"}, ("/nonexistent/a.toml", file), {"QCORE_PEERS": "a:1,b"})
    assert lines[0].startswith("settings file /nonexistent/a.toml: no such file")
    assert lines[1].startswith("nope: unknown setting")
    assert sorted(lines[2:]) == [
        "id: expected a whole number from 1 to 65535, given 'x' (flag --id)",
        f"log_level: expected one of debug, info, warning, error, given true (file {file})",
        f"max_page: expected a whole number from 1 to 10000, given 0 (file {file})",
        "peers: expected host:port with a port of 1..65535 and an IPv6 host in brackets, given 'b'"
        " (environment variable QCORE_PEERS)",
    ]


def test_a_text_where_a_list_belongs_is_named(toml: Any) -> None:
    assert "expected a list, each scheme://" in complaints(files=(toml('allow_origin = "https://a.org"\n'),))[0]


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(complaints({"id": "9" * 5000})[0]) < 200


@pytest.mark.parametrize(
    ("flags", "environ", "text"),
    [
        ({"peers": ("localhost:1", "localhost:2")}, {}, ""),
        ({"peers": ("localhost:1,localhost:2",)}, {}, ""),
        ({}, {"QCORE_PEERS": "localhost:1, localhost:2"}, ""),
        ({}, {}, 'peers = ["localhost:1", "localhost:2"]'),
    ],
)
def test_lists_repeat_as_flags_have_commas_in_variables_and_are_arrays_in_toml(
    toml: Any, flags: dict[str, Any], environ: dict[str, str], text: str
) -> None:
    assert loaded(flags, (toml(text),), environ).settings.peers == ("localhost:1", "localhost:2")


def test_an_empty_variable_empties_a_list(toml: Any) -> None:
    assert loaded(files=(toml('peers = ["a:1"]'),), environ={"QCORE_PEERS": ""}).settings.peers == ()


def test_a_flag_turned_off_wins_over_a_file_that_turns_it_on(toml: Any) -> None:
    answer = loaded({"insecure": False}, (toml("insecure = true"),))
    assert not answer.settings.insecure
    assert answer.sources["insecure"] == "flag --no-insecure"


def test_a_bad_value_that_is_overridden_does_no_harm(toml: Any) -> None:
    assert loaded({"id": "2"}, (toml("id = 0"),)).settings.id == 2


def test_settings_that_contradict_each_other_are_complained_about() -> None:
    (problem,) = complaints({"heartbeat_ms": "300"})
    assert problem.startswith("election_timeout_min_ms: expected at least twice heartbeat_ms (300), given 400")
