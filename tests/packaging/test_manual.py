"""Man pages and completions: made of the click definitions, whole, and taken by what reads them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from manual.__main__ import main
from manual.completion import SHELLS, completion_file
from manual.roff import definition, escape, option_words
from manual.scripts import SCRIPTS, commands
from manual.scripts import definition as find_definition
from qcore_tools.cli.commands import COMMANDS
from tests.tools.running import environment

scripts = pytest.mark.parametrize("script", sorted(SCRIPTS))


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` writes."""
    folder = tmp_path_factory.mktemp("docs")
    assert main([str(folder)]) == 0
    return folder


def page(share: Path, script: str) -> str:
    return (share / "man/man1" / f"{script}.1").read_text(encoding="utf-8")


def options(command: click.Command) -> Iterator[str]:
    """Every flag of a command and of all below it, but those that nobody is shown."""
    for param in command.params:
        if isinstance(param, click.Option) and not param.hidden:
            yield from (*param.opts, *param.secondary_opts)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from options(below)


def names(command: click.Command) -> Iterator[str]:
    """The words of every sub-command of a command."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from (f"{name} {rest}".rstrip() for rest in ([*names(below)] or [""]))


def run(*words: str, **environ: str) -> str:
    """The output of a command, which must end well and complain of nothing."""
    done = subprocess.run(
        words, env=environment(**environ), capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{words}: {done.stderr}"
    return done.stdout


@scripts
def test_every_option_and_every_command_is_in_the_page(share: Path, script: str) -> None:
    text, command = page(share, script), commands()[script]
    assert [flag for flag in options(command) if rf"\fB{escape(flag)}\fR" not in text] == []
    assert [name for name in names(command) if rf"\fB{escape(f'{script} {name}')}\fR" not in text] == []


def test_the_page_of_qcore_cli_explains_every_command_of_the_store(share: Path) -> None:
    text = page(share, "qcore-cli")
    assert [command.name for command in COMMANDS if f"\n\\fB{escape(command.line)}\\fR\n" not in text] == []


def test_the_page_of_qcore_has_its_exit_codes(share: Path) -> None:
    codes = re.findall(r"^\.TP\n(\d+)$", page(share, "qcore"), re.MULTILINE)
    assert {"0", "1", "2", "65", "70", "71", "73", "74"} <= set(codes)


@scripts
def test_a_page_can_be_read(share: Path, script: str) -> None:
    """By what is here of mandoc and groff; CI has both."""
    path = share / "man/man1" / f"{script}.1"
    if shutil.which("mandoc"):
        complaints = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
        assert [line for line in complaints.stdout.splitlines() if "missing date" not in line] == []
    if shutil.which("groff"):
        assert script in run("groff", "-man", "-ww", "-Tutf8", str(path))


@pytest.mark.parametrize("shell", SHELLS)
@scripts
def test_a_completion_is_a_script_of_its_shell(share: Path, shell: str, script: str) -> None:
    """As far as the shell is here; CI has all three."""
    path = share / completion_file(shell, script)
    assert script in path.read_text(encoding="utf-8")
    if shell == "bash" or shutil.which(shell):
        run(shell, "-n", str(path))


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("qcore conf", ["config"]),
        ("qcore config sh", ["show"]),
        ("qcore --engine em", ["embedded"]),
        ("qcore --enable-d", ["--enable-discovery"]),
        ("snapshot-tool ta", ["take"]),
        ("snapshot-tool take --if", ["--if-leader"]),
        ("select-tool --entity-t", ["--entity-type"]),
        ("tree-tool --format js", ["json"]),
        ("qcore-cli --keep", ["--keep-going"]),
        ("qcore-cli PI", ["PING", "PIPELINE"]),
        ("qcore-cli find", ["find", "findex", "findpag"]),
        ("qcore-cli GET F", []),
    ],
)
def test_bash_completes_commands_and_options(share: Path, tmp_path: Path, words: str, offered: list[str]) -> None:
    script, *rest = words.split()
    module, _, function = SCRIPTS[script].partition(":")
    wrapper = tmp_path / script
    wrapper.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    wrapper.chmod(0o755)
    asked = (
        f"source {share / completion_file('bash', script)}; COMP_WORDS=({words}); COMP_CWORD={len(rest)}; "
        f'_{script.replace("-", "_")}_completion {script}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    answer = run("bash", "--norc", "-c", asked, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert sorted(answer.split()) == offered


def test_the_command_of_a_script_is_found_by_its_name() -> None:
    with pytest.raises(LookupError, match="no click command"):
        find_definition("other-tool", "qcore_tools.tree:main")


def test_what_troff_would_take_for_its_own_is_escaped() -> None:
    assert escape(".nothing\n'quoted' a-b \\n") == "\\&.nothing\n\\(aqquoted\\(aq a\\-b \\en"
    assert option_words("-f, --format [a|b]") == r"\fB\-f\fR, \fB\-\-format\fR \fI[a|b]\fR"
    assert option_words("--on / --no-on") == r"\fB\-\-on\fR / \fB\-\-no\-on\fR"
    assert definition("a", "one\n\ntwo") == ".TP\na\none\n.IP\ntwo\n"


def test_the_folder_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
