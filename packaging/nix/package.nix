# The daemon and the console tools, with man pages and completions.
{
  lib,
  python3,
  withClusters ? true, # with the OpenRaft extension; without it qcore runs single nodes, and needs no Rust to be built
}:
let
  project = import ./project.nix;
  requirements = import ./requirements.nix { inherit lib; };
  python = import ./python { inherit lib python3; };
  required = builtins.attrNames (requirements.parse project.dependencies);
  dependencies =
    map (name: python.pkgs.${name}) required ++ lib.optional withClusters python.pkgs.qcore-openraft;
in
python.pkgs.buildPythonApplication {
  pname = project.name;
  inherit (project) version;
  pyproject = true;

  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../pyproject.toml
      ../../README.md
      ../../LICENSE
      ../../qcore
      ../../tools
      ../manual
      ../systemd
    ];
  };

  build-system = [ python.pkgs.setuptools ];
  inherit dependencies;

  postInstall = ''
    install -m 755 packaging/systemd/qcore-backup $out/bin/qcore-backup
    PYTHONPATH=packaging:$out/${python.sitePackages}:$PYTHONPATH ${python.interpreter} -m manual $out/share
  '';

  doCheck = false; # `make test` starts nodes, and takes longer than a build should
  pythonImportsCheck = [
    "qcore.server.daemon"
    "qcore_tools.cli"
  ];

  passthru = {
    inherit python;
    pythonDependencies = dependencies;
  };

  meta = {
    inherit (project) description;
    license = lib.licenses.asl20;
    mainProgram = "qcore";
    platforms = lib.platforms.linux;
  };
}
