# Packages by name only. `versions` are those of Python packages; others have one that is new enough for anybody.
{
  lib,
  system,
  versions ? { },
}:
let
  # A derivation that depends on all its inputs, so that none of them stays unevaluated.
  package =
    attrs:
    let
      kinds = [ "build-system" "dependencies" "nativeBuildInputs" "packages" ];
      inputs = builtins.concatMap (kind: attrs.${kind} or [ ]) kinds;
      name = attrs.name or "${attrs.pname}-${attrs.version}";
    in
    derivation {
      inherit name system inputs;
      builder = "/bin/sh";
      src = attrs.src or null;
      cargoDeps = attrs.cargoDeps or null;
      subdir = attrs.buildAndTestSubdir or "";
      postInstall = attrs.postInstall or "";
    }
    // { inherit (attrs) meta; }
    // attrs.passthru or { }
    // removeAttrs attrs [ "src" "passthru" ]
    // { inherit name; };

  simple = name: version: package { pname = name; inherit version; meta.description = name; };

  callWith = scope: file: arguments:
    let
      definition = if builtins.isPath file then import file else file;
      wanted = builtins.functionArgs definition;
    in
    definition (builtins.intersectAttrs wanted scope // arguments);

  pythonNames = [
    "click" "google-re2" "hatchling" "hypothesis" "jmespath" "lark" "mypy" "pendulum" "prometheus-client"
    "prompt-toolkit" "pydantic" "pydantic-settings" "pytest" "pytest-asyncio" "pyyaml" "sdnotify" "setuptools"
    "setuptools-scm" "structlog" "tomli-w" "uvloop" "zeroconf" "cel-python" "msgspec" "websockets"
  ];

  python = { self ? null, packageOverrides ? (_: _: { }) }:
    let
      prev = lib.genAttrs pythonNames (name: simple name (versions.${name} or "1000")) // {
        buildPythonPackage = package;
        buildPythonApplication = package;
        fetchPypi = { pname, version, hash }: simple "${pname}-source" version // { inherit hash; };
        callPackage = callWith (packages // final);
      };
      final = prev // packageOverrides final prev;
    in
    simple "python3" "3.13"
    // {
      pkgs = final;
      sitePackages = "lib/python3.13/site-packages";
      interpreter = "/bin/python3";
      override = python;
      withPackages = choose: package { name = "python3-env"; dependencies = choose final; meta = { }; };
    };

  names = [ "cargo" "clippy" "gcc" "gnumake" "maturin" "redis" "ruff" "rustc" "rustfmt" ];
  base = lib.genAttrs names (name: simple name "1") // {
    inherit lib;
    python3 = python { };
    mkShell = attrs: package ({ name = "shell"; meta = { }; } // attrs);
    rustPlatform = {
      cargoSetupHook = simple "cargo-setup-hook" "1";
      maturinBuildHook = simple "maturin-build-hook" "1";
      importCargoLock =
        { lockFile }:
        simple "cargo-vendor" (toString (builtins.length (builtins.fromTOML (builtins.readFile lockFile)).package));
    };
    testers.runNixOSTest = test: package { name = "vm-test-${test.name}"; inherit (test) testScript; meta = { }; };
    callPackage = callWith packages;
  };

  packages = base // {
    extend =
      overlay:
      let
        extended = base // overlay extended packages // { callPackage = callWith extended; };
      in
      extended;
  };
in
packages
