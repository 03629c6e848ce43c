# The OpenRaft extension, from the crates that openraft/Cargo.lock pins.
{
  lib,
  buildPythonPackage,
  rustPlatform,
}:
let
  crate = (builtins.fromTOML (builtins.readFile ../../openraft/Cargo.toml)).package;
in
buildPythonPackage {
  pname = crate.name;
  inherit (crate) version;
  pyproject = true;

  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.difference ../../openraft (lib.fileset.maybeMissing ../../openraft/target);
  };
  cargoRoot = "openraft";
  buildAndTestSubdir = "openraft";
  cargoDeps = rustPlatform.importCargoLock { lockFile = ../../openraft/Cargo.lock; };

  nativeBuildInputs = [
    rustPlatform.cargoSetupHook
    rustPlatform.maturinBuildHook
  ];

  doCheck = false; # its tests are part of `make test`
  pythonImportsCheck = [ "qcore_openraft" ];

  meta = {
    inherit (crate) description;
    license = lib.licenses.asl20;
    platforms = lib.platforms.linux;
  };
}
