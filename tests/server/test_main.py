from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from qcore.engine.factory import available_engines
from qcore.server.config.settings import SETTINGS
from qcore.server.main import main
from qcore.version import VERSION

QCORE = (sys.executable, "-m", "qcore.server.main")


def test_version_names_the_engines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-V"]) == 0
    assert capsys.readouterr().out == f"qcore {VERSION} (engines: {', '.join(available_engines())})\n"
    assert available_engines()[0] == "embedded"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_flag_under_its_group(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    out = capsys.readouterr().out
    for setting in SETTINGS:
        heading, place = out.index(f"\n{setting.group}:\n"), out.index(f"\n  {setting.flag} ")
        assert heading < place
    assert "\n  config" in out


def test_help_says_bounds_units_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    main(["-h"])
    words = " ".join(capsys.readouterr().out.split())
    assert "[1..65535, default 1]" in words
    assert "[1..1024 MB, default 16]" in words
    assert "--log-format auto|text|json" in words
    assert "--insecure / --no-insecure" in words


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--idd", "3"], "--id"),
        (["confg"], "confg"),
        (["--id"], "--id"),
        (["config", "shw"], "shw"),
        (["--insecure=3", "config", "show"], "--insecure"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_code_2(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("qcore: ")
    assert err.count("\n") == 1
    assert words in err


def test_bad_settings_stop_the_daemon_before_it_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--id", "70000", "--ws-addr", "nowhere"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "qcore: id: expected a whole number from 1 to 65535, given '70000' (flag --id)"
    assert lines[1].startswith("qcore: ws_addr: expected host:port")
    assert len(lines) == 2


def test_a_closed_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([*QCORE, "config", "init"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_shell_completes_flags_and_choices() -> None:
    def complete(words: str, at: int) -> list[str]:
        env = os.environ | {"_QCORE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        done = subprocess.run(QCORE, env=env, capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert complete("qcore --log-l", 1) == ["plain,--log-level"]
    assert complete("qcore --engine e", 2) == ["plain,embedded"]


@pytest.mark.parametrize("module", ["click", "uvloop"])
def test_an_interrupt_while_modules_load_ends_quietly(module: str, tmp_path: Path) -> None:
    """Of the command line, and of the daemon."""
    (tmp_path / f"{module}.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    )
    done = subprocess.run(
        [*QCORE, "--data-dir", str(tmp_path), "--ws-addr", "127.0.0.1:0"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # shells ignore it for what they run behind
    )
    assert done.returncode == 130
    assert done.stderr.strip() == ""
