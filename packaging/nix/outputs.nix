# What the flake offers.
{ self, nixpkgs }:
let
  inherit (nixpkgs) lib;
  project = import ./project.nix;
  systems = [ "x86_64-linux" "aarch64-linux" ];
  forEachSystem =
    outputs: lib.genAttrs systems (system: outputs (nixpkgs.legacyPackages.${system}.extend self.overlays.default));

  app = pkgs: script: {
    type = "app";
    program = "${pkgs.qcore}/bin/${script}";
    meta.description = "${script} of qcore";
  };
in
{
  overlays.default = import ./overlay.nix;

  packages = forEachSystem (pkgs: {
    inherit (pkgs) qcore;
    inherit (pkgs.qcore.python.pkgs) qcore-openraft;
    default = pkgs.qcore;
  });

  # One for each console script of pyproject.toml.
  apps = forEachSystem (
    pkgs: builtins.mapAttrs (script: _: app pkgs script) project.scripts // { default = app pkgs "qcore"; }
  );

  devShells = forEachSystem (pkgs: {
    default = pkgs.callPackage ./shell.nix { };
  });

  nixosModules.default =
    { lib, pkgs, ... }:
    {
      imports = [ ./module ];
      services.qcore.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.default;
    };

  checks = forEachSystem (pkgs: {
    inherit (pkgs) qcore;
    cluster = pkgs.testers.runNixOSTest (import ./vm-test.nix { module = self.nixosModules.default; });
  });
}
