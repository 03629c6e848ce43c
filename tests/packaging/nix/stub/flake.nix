# Stands for nixpkgs where there is none: it has just what qcore's flake asks of it, and builds nothing.
{
  outputs =
    { self }:
    let
      lib = import ./lib.nix;
      systems = [ "x86_64-linux" "aarch64-linux" ];
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs systems (system: import ./packages.nix { inherit lib system; });
    };
}
