"""An installation into a folder that stands for the root, as for a package: everything is in it, nothing outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.wheels import PROJECT, ROOT, pack_wheels

INSTALL = ROOT / "packaging" / "systemd" / "install"
SCRIPTS = sorted(PROJECT["scripts"])


def python() -> str:
    """The interpreter below this environment, if services could read it, or the system's of the same version."""
    base = os.path.realpath(sys.executable)
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    return system if base.startswith(("/root/", "/home/")) else base


def install(word: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the installer as somebody whose files nobody else may read."""
    return subprocess.run(
        [INSTALL, word],
        env={"PATH": os.environ["PATH"], **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        umask=0o077,
    )


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    pack_wheels(folder)
    return folder


@pytest.fixture(scope="module")
def root(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root with qcore below /usr, for a newer systemd."""
    folder = tmp_path_factory.mktemp("root")
    done = install("install", DESTDIR=str(folder), PREFIX="/usr", WHEELS=str(wheels), SYSTEMD="255", PYTHON=python())
    assert done.returncode == 0, done.stdout
    yield folder
    assert install("purge", DESTDIR=str(folder), PREFIX="/usr").returncode == 0
    assert [str(path) for path in folder.rglob("*") if not path.is_dir() or path.name == "qcore"] == []


def test_nothing_in_it_names_the_folder_or_the_tree(root: Path) -> None:
    for path in [*(root / "usr/lib/qcore/bin").iterdir(), *(root / "usr/lib/systemd").rglob("*")]:
        if path.is_file() and not path.is_symlink():
            text = path.read_text(encoding="utf-8")
            assert str(root) not in text, path
            assert str(ROOT) not in text, path
    assert (root / "usr/lib/qcore/bin/qcore").read_text().startswith("#!/usr/lib/qcore/bin/python\n")


def test_services_and_users_can_read_all_but_the_secret(root: Path) -> None:
    hidden = [path for path in root.rglob("*") if path.lstat().st_mode & 0o004 == 0]
    assert hidden == [root / "etc/qcore/cluster.secret"]


def test_every_script_has_its_page_and_its_completions(root: Path) -> None:
    for script in SCRIPTS:
        assert os.readlink(root / "usr/bin" / script) == f"../lib/qcore/bin/{script}"
        assert (root / "usr/share/man/man1" / f"{script}.1").exists()
        assert (root / "usr/share/bash-completion/completions" / script).exists()
        assert (root / "usr/share/zsh/site-functions" / f"_{script}").exists()
        assert (root / "usr/share/fish/vendor_completions.d" / f"{script}.fish").exists()


def test_the_units_are_for_the_systemd_and_the_prefix_that_were_named(root: Path) -> None:
    """253 and later learn of the end of a reload from the service; 254 and later have pauses that grow."""
    unit = (root / "usr/lib/systemd/system/qcore@.service").read_text()
    lines = unit.splitlines()
    assert {"Type=notify-reload", "RestartSec=1", "RestartSteps=6", "RestartMaxDelaySec=30"} <= set(lines)
    assert "ExecReload" not in unit
    assert "ExecStart=/usr/lib/qcore/bin/qcore --settings " in unit
    assert os.readlink(root / "usr/lib/systemd/system/multi-user.target.wants/qcore.target") == "../qcore.target"


def test_a_secret_is_made_that_only_root_can_read(root: Path) -> None:
    secret = root / "etc/qcore/cluster.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_text().strip()) >= 43


def test_a_failed_installation_leaves_what_is_there(root: Path, tmp_path: Path) -> None:
    """Here the wheel is damaged."""
    before = (root / "usr/lib/qcore/installed-files").read_text()
    (tmp_path / f"qcore-{PROJECT['version']}-py3-none-any.whl").touch()
    done = install("install", DESTDIR=str(root), PREFIX="/usr", WHEELS=str(tmp_path), PYTHON=python())
    assert done.returncode != 0
    assert (root / "usr/lib/qcore/installed-files").read_text() == before
    assert [path.name for path in (root / "usr/lib").iterdir() if path.name.startswith("qcore")] == ["qcore"]


def test_a_folder_without_wheels_is_refused(tmp_path: Path) -> None:
    done = install("install", DESTDIR=str(tmp_path), WHEELS=str(tmp_path), PYTHON=python())
    assert (done.returncode, done.stdout.startswith(f"qcore: {tmp_path} has no wheel of qcore")) == (1, True)


def test_a_second_prefix_is_refused(wheels: Path, tmp_path: Path) -> None:
    """The units of the first one would go on being those that count."""
    (tmp_path / "usr/local/lib/qcore").mkdir(parents=True)
    (tmp_path / "usr/local/lib/qcore/installed-files").touch()
    done = install("install", DESTDIR=str(tmp_path), PREFIX="/usr", WHEELS=str(wheels), PYTHON=python())
    assert (done.returncode, done.stdout.startswith("qcore: it is installed in /usr/local; ")) == (1, True)


def test_an_interpreter_that_will_not_do_is_refused(tmp_path: Path) -> None:
    done = install("install", DESTDIR=str(tmp_path), PYTHON="/bin/false")
    assert (done.returncode, done.stdout.startswith("qcore: /bin/false is no Python 3.11")) == (1, True)


def test_what_is_not_there_cannot_be_removed(tmp_path: Path) -> None:
    done = install("uninstall", DESTDIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, f"qcore: nothing of qcore is installed in {tmp_path}/usr/local\n")
    assert install("nonsense").stdout == "qcore: install, uninstall or purge?\n"
