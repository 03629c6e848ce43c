from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.nix.running import NIX, ROOT, STUB, Nix

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
SYSTEMS = ("x86_64-linux", "aarch64-linux")


@pytest.fixture(scope="session")
def flake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flake without what a checkout gathers beside it (environments, builds), which Nix would copy, too."""
    folder = Path(tmp_path_factory.mktemp("flake"))
    for name in ("flake.nix", "pyproject.toml", "README.md", "LICENSE", "schemas.yaml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "packaging", folder / "packaging")
    for name in ("qcore", "tools"):
        (folder / name).mkdir()
    (folder / "openraft").mkdir()
    for file in (ROOT / "openraft").glob("*.*"):
        shutil.copy(file, folder / "openraft")
    return folder


def packages(versions: str = "{ }") -> str:
    """An expression for the stub's packages with the overlay."""
    return f"""
      ((import {STUB}/packages.nix {{ lib = import {STUB}/lib.nix; system = "x86_64-linux"; versions = {versions}; }})
        .extend (import {NIX}/overlay.nix))
    """


@pytest.mark.parametrize(
    "file", sorted([ROOT / "flake.nix", *NIX.rglob("*.nix"), *STUB.glob("*.nix")]), ids=lambda file: file.name
)
def test_every_file_parses(nix: Nix, file: Path) -> None:
    nix.output("nix-instantiate", "--parse", file)


def test_the_flake_checks_offline(nix: Nix, flake: Path) -> None:
    nix.flake("check", flake, "--no-build")


def test_the_flake_has_an_app_for_every_console_script(nix: Nix, flake: Path) -> None:
    shown: dict[str, Any] = json.loads(nix.flake("show", flake, "--json"))
    for system in SYSTEMS:
        assert set(shown["apps"][system]) == {*SCRIPTS, "default"}
        assert set(shown["packages"][system]) == {"default", "qcore", "qcore-openraft"}
        assert set(shown["checks"][system]) == {"cluster", "qcore"}
        assert set(shown["devShells"][system]) == {"default"}
    assert set(shown["nixosModules"]) == {"default"}
    assert set(shown["overlays"]) == {"default"}


def test_the_input_names_a_release_branch_and_no_lock_is_committed() -> None:
    assert re.search(
        r'nixpkgs\.url = "github:NixOS/nixpkgs/nixos-\d\d\.(05|11)"', (ROOT / "flake.nix").read_text("utf-8")
    )
    assert not (ROOT / "flake.lock").exists()


def test_the_package_has_all_dependencies_and_the_extension(nix: Nix) -> None:
    names = nix.evaluate(f"map (package: package.pname) {packages()}.qcore.dependencies")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert sorted(names) == sorted([*(re.split("[<>=]", text)[0] for text in wanted), "qcore-openraft"])


def test_a_package_without_clusters_needs_no_rust(nix: Nix) -> None:
    expression = (
        f"(let pkgs = {packages()}; in pkgs.callPackage {NIX}/package.nix {{ withClusters = false; }}).dependencies"
    )
    assert "qcore-openraft" not in nix.evaluate(f"map (package: package.pname) {expression}")


def test_the_extension_is_built_in_its_folder_from_the_crates_of_its_lock_file(nix: Nix) -> None:
    crates = tomllib.loads((ROOT / "openraft" / "Cargo.lock").read_text("utf-8"))["package"]
    found = nix.evaluate(
        f"with {packages()}.qcore.python.pkgs.qcore-openraft; "
        "{ inherit version cargoRoot buildAndTestSubdir; crates = cargoDeps.version; }"
    )
    version = next(crate["version"] for crate in crates if crate["name"] == "qcore-openraft")
    assert found == {
        "version": version,
        "cargoRoot": "openraft",
        "buildAndTestSubdir": "openraft",
        "crates": str(len(crates)),
    }


@pytest.mark.parametrize(
    ("given", "used"),
    [("16.1", "17.4"), ("17.0", "17.0"), ("18.2", "18.2")],
    ids=["older than needed", "just new enough", "newer"],
)
def test_a_package_of_nixpkgs_gives_way_where_it_is_too_old(nix: Nix, given: str, used: str) -> None:
    expression = packages(f'{{ websockets = "{given}"; cel-python = "0.5.0"; msgspec = "0.22.0"; }}')
    assert nix.evaluate(f"{expression}.qcore.python.pkgs.websockets.version") == used


def test_a_package_of_nixpkgs_gives_way_where_it_is_too_new(nix: Nix) -> None:
    expression = packages('{ cel-python = "0.6.0"; }')
    assert nix.evaluate(f"{expression}.qcore.python.pkgs.cel-python.version") == "0.5.0"


def test_what_nixpkgs_may_lack_is_good_enough_here(nix: Nix) -> None:
    """The definitions in packaging/nix are within the bounds of pyproject.toml."""
    expression = f"""
      let
        lib = import {STUB}/lib.nix;
        requirements = import {NIX}/requirements.nix {{ inherit lib; }};
        required = requirements.parse (import {NIX}/project.nix).dependencies;
        old = {packages('{ websockets = "1"; cel-python = "0.1"; msgspec = "0.1"; }')}.qcore.python.pkgs;
      in
      builtins.mapAttrs (name: bounds: requirements.accepts bounds old.${{name}}.version) required
    """
    assert all(nix.evaluate(expression).values())
