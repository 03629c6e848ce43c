from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from qcore.server.config.command import effective_toml, settings_toml
from qcore.server.config.settings import SETTINGS, Settings
from qcore.server.config.sources import load
from qcore.server.main import main

PACKAGED = Path(__file__).parents[3] / "etc" / "qcore.toml"
NO_FILE = ("--settings", "-/nonexistent/qcore.toml")


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.delenv("QCORE_SETTINGS", raising=False)


def uncommented(text: str) -> str:
    return re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)


def test_the_packaged_file_is_the_one_the_model_gives() -> None:
    settings = Settings(data_dir=Path("/var/lib/qcore"), cluster_secret_file=Path("/etc/qcore/cluster.secret"))
    assert PACKAGED.read_text("utf-8") == settings_toml(settings, ["data_dir", "cluster_secret_file"]), (
        "run: qcore --data-dir /var/lib/qcore --cluster-secret-file /etc/qcore/cluster.secret config init"
    )


def test_the_packaged_file_sets_the_data_directory_and_the_secret_only() -> None:
    answer = load({}, [str(PACKAGED)], {})
    given = {name: getattr(answer.settings, name) for name, source in answer.sources.items() if source != "default"}
    assert given == {"data_dir": Path("/var/lib/qcore"), "cluster_secret_file": Path("/etc/qcore/cluster.secret")}


def test_the_commented_lines_are_the_defaults(tmp_path: Path) -> None:
    text = settings_toml(Settings())
    assert tomllib.loads(text) == {}
    path = tmp_path / "all.toml"
    path.write_text(uncommented(text))
    answer = load({}, [str(path)], {})
    assert answer.settings == Settings()
    assert "default" not in answer.sources.values()


def test_show_prints_values_and_where_they_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.toml"
    file.write_text('peers = ["localhost:1", "localhost:2"]\n')
    monkeypatch.setenv("QCORE_MAX_LIST", "7")
    assert main(["--id", "3", "--no-insecure", "--settings", str(file), "config", "show"]) == 0
    lines = [re.sub(" +# ", " # ", line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == len(SETTINGS)
    assert "id = 3 # flag --id" in lines
    assert "insecure = false # flag --no-insecure" in lines
    assert "max_list = 7 # environment variable QCORE_MAX_LIST" in lines
    assert f'peers = ["localhost:1", "localhost:2"] # file {file}' in lines
    assert "max_page = 10000 # default" in lines


def test_what_show_prints_sets_the_same_again(tmp_path: Path) -> None:
    settings = Settings(id=2, machine='quo"te#\\', peers=("[::1]:9",), request_timeout=0.5, insecure=True)
    path = tmp_path / "shown.toml"
    path.write_text(effective_toml(settings, dict.fromkeys(Settings.model_fields, "default")))
    assert load({}, [str(path)], {}).settings == settings


def test_check_says_ok_and_what_it_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.toml"
    file.write_text("id = 2\n")
    assert main(["--settings", str(file), "config", "check"]) == 0
    assert capsys.readouterr().out == f"OK: the settings are good (read {file})\n"
    assert main([*NO_FILE, "config", "check"]) == 0
    assert capsys.readouterr().out == "OK: the settings are good (no settings file)\n"


def test_check_names_every_bad_key_and_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.toml"
    file.write_text("id = 0\nmax_lsit = 1\n")
    assert main(["--settings", str(file), "config", "check"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"qcore: max_lsit: unknown setting, did you mean max_list? (file {file})",
        f"qcore: id: expected a whole number from 1 to 65535, given 0 (file {file})",
    ]


def test_check_reads_the_cluster_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cluster.secret"
    file.write_text("a secret of all nodes\n")
    file.chmod(0o644)
    assert main([*NO_FILE, "--cluster-secret-file", str(file), "config", "check"]) == 2
    assert "everybody on this machine may use" in capsys.readouterr().err
    file.chmod(0o600)
    assert main([*NO_FILE, "--cluster-secret-file", str(file), "config", "check"]) == 0


def test_check_warns_of_unknown_variables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("QCORE_IDD", "1")
    assert main([*NO_FILE, "config", "check"]) == 0
    assert "qcore: warning: environment variable QCORE_IDD" in capsys.readouterr().err


def test_init_prints_the_commented_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "init"]) == 0
    assert capsys.readouterr().out == settings_toml(Settings())


def test_init_leaves_settings_given_as_flags_uncommented(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--id", "2", "--insecure", "config", "init"]) == 0
    assert tomllib.loads(capsys.readouterr().out) == {"id": 2, "insecure": True}


def test_init_refuses_flags_that_are_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--id", "0", "config", "init"]) == 2
    assert "flag --id" in capsys.readouterr().err


def test_init_ignores_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QCORE_ID", "0")
    assert main(["config", "init"]) == 0
    assert capsys.readouterr().out == settings_toml(Settings())


def test_init_writes_a_file_and_never_overwrites_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new.toml"
    assert main(["config", "init", str(file)]) == 0
    assert file.read_text("utf-8") == settings_toml(Settings())
    file.write_text("mine")
    assert main(["config", "init", str(file)]) == 1
    assert f"qcore: {file} exists already" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_init_names_a_place_it_cannot_write_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "init", str(tmp_path / "no" / "a.toml")]) == 1
    assert "No such file or directory" in capsys.readouterr().err
